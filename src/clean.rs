//! Removes what may go ([`crate::clutter`]) from the system that runs.
//!
//! Folders are opened one in another, and never through a link, into another file system, or
//! by a path that somebody could change meanwhile. A snapshot's overlay keeps the room until it is
//! tidied.
//!
//! Device numbers tell nothing: on OverlayFS a file has that of the layer that it lies in, and a
//! folder the overlay's own.

use crate::clutter;
use crate::error::{Doing, Error, Result};
use crate::progress::Progress;
use crate::protocol::Clutter;
use crate::storage::beneath::{self, FOLDER};
use crate::units::Bytes;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode};
use rustix::io::Errno;
use std::path::Path;

/// Deeper folders are left.
const DEEPEST: usize = 64;

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// How many files.
    pub files: u64,
    /// What they took.
    pub bytes: Bytes,
}

/// Removes all of one kind below `root`; a person's own only in the home folder `home`, a path below
/// `root`, without a slash before it.
///
/// What is gone already, or is no longer what was looked for, is passed over.
///
/// # Errors
/// `Denied` where nothing could be removed for want of rights; cancelled: what is removed is gone.
pub fn clean(
    root: &Path,
    home: &str,
    clutter: Clutter,
    progress: &dyn Progress,
) -> Result<Cleaned> {
    let root = rustix::fs::open(root, FOLDER, Mode::empty()).doing("opening the root folder")?;
    let mut work = Work {
        clutter,
        progress,
        cleaned: Cleaned::default(),
        refused: None,
    };
    for place in places(clutter, home) {
        match beneath::folder(&root, &place) {
            Ok(folder) => work.empty(folder, &place, 0)?,
            Err(error) => work.passed_over(&place, error),
        }
    }
    match work.refused {
        Some(error) if work.cleaned.files == 0 => match error {
            Errno::ACCESS | Errno::PERM => Err(Error::Denied {
                detail: format!("removing {clutter:?}: {error}"),
            }),
            error => Err(error).doing("removing files"),
        },
        _ => Ok(work.cleaned),
    }
}

/// Where it may lie.
fn places(clutter: Clutter, home: &str) -> Vec<String> {
    let own = |names: &[&str]| names.iter().map(|name| format!("{home}/{name}")).collect();
    let system = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    match clutter {
        Clutter::Caches => own(&[".cache"]),
        Clutter::Thumbnails => own(&[".cache/thumbnails", ".thumbnails"]),
        Clutter::Trash => own(&[".local/share/Trash"]),
        Clutter::Logs => system(&["var/log"]),
        Clutter::Crashes => system(&["var/crash", "var/lib/systemd/coredump", "var/spool/abrt"]),
        Clutter::Packages => system(&[
            "var/cache/apt",
            "var/cache/dnf",
            "var/cache/yum",
            "var/cache/libdnf5",
            "var/cache/PackageKit",
        ]),
    }
}

struct Work<'a> {
    clutter: Clutter,
    progress: &'a dyn Progress,
    cleaned: Cleaned,
    /// Why something could not be removed.
    refused: Option<Errno>,
}

impl Work<'_> {
    /// Removes from the folder at `path`, `depth` below the first one.
    fn empty(&mut self, folder: OwnedFd, path: &str, depth: usize) -> Result<()> {
        let dir = Dir::read_from(&folder).doing("reading a folder")?;
        for entry in dir {
            self.progress.check()?;
            let Ok(entry) = entry else { break };
            let name = entry.file_name();
            // What is no UTF-8 is nobody's cache that we know of.
            let Ok(text) = name.to_str() else { continue };
            if matches!(text, "." | "..") {
                continue;
            }
            let path = format!("{path}/{text}");
            let Ok(stat) = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                if depth < DEEPEST {
                    self.deeper(folder.as_fd(), text, &path, depth)?;
                }
            } else if clutter::of(&path) == Some(self.clutter) {
                match rustix::fs::unlinkat(&folder, name, AtFlags::empty()) {
                    Ok(()) => {
                        self.cleaned.files += 1;
                        if stat.st_nlink == 1 {
                            let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
                            self.cleaned.bytes += Bytes(blocks.saturating_mul(512));
                        }
                    }
                    Err(error) => self.passed_over(&path, error),
                }
            }
        }
        Ok(())
    }

    /// Something that could not be opened or removed.
    fn passed_over(&mut self, path: &str, error: Errno) {
        match error {
            Errno::NOENT | Errno::NOTDIR => {}
            // A link, or something that is mounted there.
            Errno::LOOP | Errno::XDEV | Errno::BUSY => log::info!("{path}: passed over: {error}"),
            error => self.refused = Some(error),
        }
    }

    fn deeper(
        &mut self,
        above: BorrowedFd<'_>,
        name: &str,
        path: &str,
        depth: usize,
    ) -> Result<()> {
        match beneath::folder(above, name) {
            Ok(folder) => self.empty(folder, path, depth + 1)?,
            Err(error) => {
                self.passed_over(path, error);
                return Ok(());
            }
        }
        // Programs make their own folders again; those of the system stay for the services.
        if self.clutter.is_own() && clutter::of(path) == Some(self.clutter) {
            match rustix::fs::unlinkat(above, name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => {}
                Err(error) => self.refused = Some(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for path in [
            "home/ana/.cache/browser/a/b",
            "home/ana/.cache/thumbnails/large/1.png",
            "home/ana/.local/share/Trash/files/cat.jpg",
            "home/ana/.local/share/Trash/info/cat.jpg.trashinfo",
            "home/ana/Documents/story.odt",
            "home/bo/.cache/x",
            "var/log/syslog",
            "var/log/syslog.1",
            "var/cache/apt/archives/a.deb",
            "var/cache/apt/archives/lock",
            "var/cache/apt/archives/partial/b.deb",
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, [7; 5000]).unwrap();
        }
        root
    }

    fn removed(root: &Path, clutter: Clutter) -> Cleaned {
        clean(root, "home/ana", clutter, &Silent).unwrap()
    }

    #[test]
    fn only_what_was_asked_for_goes() {
        let root = tree();
        let there = |path: &str| root.path().join(path).exists();
        let caches = removed(root.path(), Clutter::Caches);
        assert_eq!((caches.files, caches.bytes), (1, Bytes(8192)));
        assert!(!there("home/ana/.cache/browser") && there("home/ana/.cache"));
        assert!(there("home/ana/.cache/thumbnails/large/1.png") && there("home/bo/.cache/x"));
        assert_eq!(removed(root.path(), Clutter::Thumbnails).files, 1);
        assert_eq!(removed(root.path(), Clutter::Trash).files, 2);
        assert!(there("home/ana/.local/share/Trash/files"));
        assert_eq!(removed(root.path(), Clutter::Logs).files, 1);
        assert!(there("var/log/syslog") && !there("var/log/syslog.1"));
        assert_eq!(removed(root.path(), Clutter::Packages).files, 2);
        // apt complains without them.
        assert!(there("var/cache/apt/archives/lock") && there("var/cache/apt/archives/partial"));
        assert_eq!(removed(root.path(), Clutter::Crashes), Cleaned::default());
        assert!(there("home/ana/Documents/story.odt"));
        assert_eq!(removed(root.path(), Clutter::Caches), Cleaned::default());
    }

    /// A root on OverlayFS with layers on two file systems, and a third one mounted in it.
    const OVERLAY_FS: &str = r#"set -e
cd "$1"
mkdir lower upper root
mount -t tmpfs lower lower
mount -t tmpfs upper upper
mkdir -p upper/files upper/work lower/home/ana/.cache/deep
head -c 5000 /dev/zero >lower/home/ana/.cache/deep/old
mount -t overlay -o lowerdir=lower,upperdir=upper/files,workdir=upper/work overlay root
head -c 5000 /dev/zero >root/home/ana/.cache/deep/new
mkdir root/home/ana/.cache/other
mount -t tmpfs other root/home/ana/.cache/other
echo kept >root/home/ana/.cache/other/kept
shift
exec "$@"
"#;
    /// Names the root, in the process that the next test starts.
    const ROOT: &str = "SUGAR_CELLAR_TEST_ROOT";

    #[test]
    fn child_in_an_overlay_fs() {
        let Some(root) = std::env::var_os(ROOT) else {
            return;
        };
        let there = |path: &str| Path::new(&root).join("home/ana/.cache").join(path).exists();
        assert!(there("deep/old") && there("deep/new"));
        let caches = removed(Path::new(&root), Clutter::Caches);
        assert_eq!((caches.files, caches.bytes), (2, Bytes(2 * 8192)));
        assert!(!there("deep") && there("other/kept"));
    }

    #[test]
    fn an_overlay_fs_is_one_file_system() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: needs root");
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let run = |program: &Path, arguments: &[&str]| {
            std::process::Command::new("unshare")
                .args(["--mount", "sh", "-c", OVERLAY_FS, "sh"])
                .arg(place.path())
                .arg(program)
                .args(arguments)
                .env(ROOT, place.path().join("root"))
                .status()
        };
        let can_mount = run(Path::new("true"), &[]);
        if !can_mount.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: OverlayFS cannot be mounted here");
            return;
        }
        for layer in ["lower", "upper", "root"] {
            fs::remove_dir(place.path().join(layer)).unwrap();
        }
        let test = ["--exact", "clean::tests::child_in_an_overlay_fs"];
        let ours = std::env::current_exe().unwrap();
        assert!(run(&ours, &test).unwrap().success());
    }

    #[test]
    fn links_lead_nowhere() {
        let root = tree();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("kept.1"), "x").unwrap();
        symlink(outside.path(), root.path().join("var/log/deeper")).unwrap();
        symlink(outside.path(), root.path().join("var/crash")).unwrap();
        fs::remove_dir_all(root.path().join("home/ana/.cache")).unwrap();
        symlink(outside.path(), root.path().join("home/ana/.cache")).unwrap();
        for clutter in Clutter::ALL {
            removed(root.path(), clutter);
        }
        assert!(outside.path().join("kept.1").exists());
        assert!(root.path().join("var/log/deeper").is_symlink());
    }
}
