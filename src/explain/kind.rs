//! What kind of file it is, as far as its path tells.

use crate::protocol::EntryKind;

/// The kind of the file at `path`, which begins below the root, without a slash.
///
/// Where it lies comes before what it is called: a picture in a cache is a cache.
pub fn of(path: &str) -> EntryKind {
    let lower = path.to_lowercase();
    let parts: Vec<&str> = lower.split('/').collect();
    let (name, folders) = parts.split_last().unwrap_or((&"", &[]));
    by_place(folders, name)
        .or_else(|| by_ending(name))
        .unwrap_or_else(|| match folders {
            ["etc", ..] | ["var", "lib", ..] => EntryKind::Settings,
            _ if folders.iter().any(|folder| folder.starts_with('.')) => EntryKind::Settings,
            _ => EntryKind::Other,
        })
}

fn by_place(folders: &[&str], name: &str) -> Option<EntryKind> {
    let within = |folder: &str| folders.contains(&folder);
    let is_trash = |folder: &&str| *folder == "trash" || folder.starts_with(".trash");
    Some(match folders {
        _ if folders.iter().any(is_trash) => EntryKind::Trash,
        ["tmp", ..] | ["var", "tmp" | "cache", ..] => EntryKind::Cache,
        _ if within(".cache") || within(".thumbnails") || within("cache2") => EntryKind::Cache,
        ["var", "crash", ..] | ["var", "lib", "systemd", "coredump", ..] => EntryKind::Log,
        ["var", "log", ..] => EntryKind::Log,
        _ if within(".sugar") && within("datastore") => EntryKind::Journal,
        _ if within(".sugar") && within("logs") => EntryKind::Log,
        [
            "var",
            "lib",
            "dpkg" | "rpm" | "apt" | "dnf" | "packagekit" | "flatpak",
            ..,
        ] => EntryKind::Program,
        [
            "usr" | "bin" | "sbin" | "lib" | "lib32" | "lib64" | "opt" | "boot",
            ..,
        ] => EntryKind::Program,
        ["home", _, "activities", ..] | ["root", "activities", ..] => EntryKind::Program,
        ["etc", ..] => EntryKind::Settings,
        _ if name.ends_with(".log") || name == ".xsession-errors" => EntryKind::Log,
        _ => return None,
    })
}

fn by_ending(name: &str) -> Option<EntryKind> {
    let (_, ending) = name.rsplit_once('.')?;
    Some(match ending {
        "jpg" | "jpeg" | "png" | "gif" | "bmp" | "svg" | "webp" | "tif" | "tiff" | "heic"
        | "xcf" | "kra" | "ora" | "raw" | "ico" => EntryKind::Picture,
        "mp3" | "ogg" | "oga" | "opus" | "flac" | "wav" | "m4a" | "mid" | "midi" | "mp4"
        | "webm" | "mkv" | "avi" | "mov" | "ogv" | "3gp" | "mpg" | "mpeg" => EntryKind::Media,
        "txt" | "md" | "rtf" | "pdf" | "epub" | "odt" | "ods" | "odp" | "odg" | "doc" | "docx"
        | "xls" | "xlsx" | "ppt" | "pptx" | "csv" | "tex" | "abw" | "html" | "htm" | "py"
        | "ta" | "tb" | "sb" | "sb2" | "sb3" | "ggb" => EntryKind::Document,
        "rpm" | "deb" | "xo" | "so" | "appimage" | "flatpak" | "pyc" => EntryKind::Program,
        "iso" | "img" | "zip" | "tar" | "gz" | "xz" | "bz2" | "zst" | "7z" | "rar" => {
            EntryKind::Archive
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_comes_before_the_ending() {
        for (path, kind) in [
            ("home/ana/Pictures/cat.JPG", EntryKind::Picture),
            ("home/ana/.cache/thumbnails/large/a.png", EntryKind::Cache),
            (
                "home/ana/.local/share/Trash/files/cat.jpg",
                EntryKind::Trash,
            ),
            (
                "home/ana/.sugar/default/datastore/4f/4fa/data",
                EntryKind::Journal,
            ),
            ("home/ana/.sugar/default/logs/shell.log", EntryKind::Log),
            (
                "home/ana/Activities/Chat.activity/chat.py",
                EntryKind::Program,
            ),
            ("home/ana/.config/dconf/user", EntryKind::Settings),
            ("home/ana/story.odt", EntryKind::Document),
            ("home/ana/song.ogg", EntryKind::Media),
            ("home/ana/backup.tar.xz", EntryKind::Archive),
            ("home/ana/thing", EntryKind::Other),
            ("var/log/journal/1/system.journal", EntryKind::Log),
            ("var/cache/dnf/x.solv", EntryKind::Cache),
            ("var/lib/dpkg/status", EntryKind::Program),
            ("var/lib/NetworkManager/state", EntryKind::Settings),
            ("usr/share/pixmaps/a.png", EntryKind::Program),
            ("etc/motd", EntryKind::Settings),
            ("swapfile", EntryKind::Other),
            ("", EntryKind::Other),
        ] {
            assert_eq!(of(path), kind, "{path}");
        }
    }
}
