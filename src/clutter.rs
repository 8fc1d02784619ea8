//! What may go from a running system without loss of what a person made, by its path.
//!
//! The same decision says how much of it an overlay holds, and what is removed.

use crate::protocol::Clutter;

/// What the file at `path` is, which begins below the root, without a slash; none where it stays.
///
/// By the XDG base directories and trash (freedesktop.org), hier(7), and where Debian, Fedora,
/// systemd and abrt keep packages and dumps.
pub fn of(path: &str) -> Option<Clutter> {
    let parts: Vec<&str> = path.split('/').collect();
    match parts[..] {
        ["home", _, ref own @ ..] | ["root", ref own @ ..] => in_home(own),
        [
            "var",
            "cache",
            "apt" | "dnf" | "yum" | "libdnf5" | "PackageKit",
            ..,
            name,
        ] if name != "lock" => Some(Clutter::Packages),
        ["var", "crash", _, ..]
        | ["var", "lib", "systemd", "coredump", _, ..]
        | ["var", "spool", "abrt", _, ..] => Some(Clutter::Crashes),
        ["var", "log", .., name] if is_archived(name) => Some(Clutter::Logs),
        _ => None,
    }
}

fn in_home(own: &[&str]) -> Option<Clutter> {
    match own {
        [".cache", "thumbnails", _, ..] | [".thumbnails", _, ..] => Some(Clutter::Thumbnails),
        [".cache", _, ..] => Some(Clutter::Caches),
        [
            ".local",
            "share",
            "Trash",
            "files" | "info" | "expunged",
            _,
            ..,
        ] => Some(Clutter::Trash),
        _ => None,
    }
}

/// Whether a log is an older one, which nobody writes into any more: logrotate's
/// (`messages-20240902`, `syslog.1`, `syslog.2.gz`) or journald's (`system@….journal`).
fn is_archived(name: &str) -> bool {
    let packed = [".gz", ".xz", ".bz2", ".zst", ".old"];
    let (_, ending) = name.rsplit_once(['.', '-']).unwrap_or(("", ""));
    let numbered = !ending.is_empty() && ending.bytes().all(|byte| byte.is_ascii_digit());
    let journal = name.contains('@') && (name.ends_with(".journal") || name.ends_with(".journal~"));
    numbered || journal || packed.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_go_and_what_stays() {
        for (path, clutter) in [
            ("home/ana/.cache/x/y", Some(Clutter::Caches)),
            ("root/.cache/x", Some(Clutter::Caches)),
            ("home/ana/.cache", None),
            (
                "home/ana/.cache/thumbnails/large/a.png",
                Some(Clutter::Thumbnails),
            ),
            ("home/ana/.thumbnails/a.png", Some(Clutter::Thumbnails)),
            ("home/ana/.local/share/Trash/files/a", Some(Clutter::Trash)),
            (
                "home/ana/.local/share/Trash/info/a.trashinfo",
                Some(Clutter::Trash),
            ),
            ("home/ana/.local/share/Trash", None),
            ("home/ana/Documents/.cache/x", None),
            ("home/.cache/x", None),
            ("home/ana/.sugar/default/datastore/4f/4fa/data", None),
            ("var/cache/apt/archives/a.deb", Some(Clutter::Packages)),
            ("var/cache/apt/archives/lock", None),
            ("var/cache/dnf/updates.solv", Some(Clutter::Packages)),
            ("var/cache/debconf/config.dat", None),
            ("var/crash/1.crash", Some(Clutter::Crashes)),
            (
                "var/lib/systemd/coredump/core.x.zst",
                Some(Clutter::Crashes),
            ),
            ("var/log/syslog", None),
            ("var/log/syslog.1", Some(Clutter::Logs)),
            ("var/log/syslog.2.gz", Some(Clutter::Logs)),
            ("var/log/messages-20240902", Some(Clutter::Logs)),
            ("var/log/journal/1f/system.journal", None),
            ("var/log/journal/1f/system@0-1.journal", Some(Clutter::Logs)),
            (
                "var/log/journal/1f/system@0-1.journal~",
                Some(Clutter::Logs),
            ),
            ("var/log/Xorg.0.log", None),
            ("var/log/Xorg.0.log.old", Some(Clutter::Logs)),
            ("", None),
        ] {
            assert_eq!(of(path), clutter, "{path}");
        }
    }
}
