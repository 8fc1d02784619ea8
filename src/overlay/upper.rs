//! An OverlayFS upper folder: how much it holds.
//!
//! Its files lie on the stick as they are, so there is no fill level of its
//! own: what counts is what they take, and what the stick has free.

use crate::error::{Doing, Result};
use crate::progress::Progress;
use crate::storage::DiskFolder;
use crate::units::Bytes;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::collections::HashSet;
use std::ffi::CString;

/// Folders deeper than this are counted as not seen. No file system made by people is.
const DEEPEST: usize = 256;

/// So many files with several names are told apart; more of them count once for each name.
const MOST_LINKED: usize = 1 << 20;

/// What lies in an upper folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// What its files take on the stick, each once however many names it has.
    pub bytes: Bytes,
    /// How many files, folders and other things.
    pub things: u64,
    /// Whether all of it was seen; if not, it is more.
    pub complete: bool,
}

/// Something in an upper folder.
#[derive(Debug)]
pub struct Thing<'w> {
    /// The folders that it lies in, from the upper folder on.
    folders: &'w [CString],
    name: &'w CString,
    /// What it takes on the stick.
    pub bytes: Bytes,
    /// Whether it is a folder.
    pub is_folder: bool,
}

impl Thing<'_> {
    /// From the upper folder on, without a slash before it.
    pub fn path(&self) -> Vec<u8> {
        let mut parts: Vec<&[u8]> = self.folders.iter().map(|one| one.to_bytes()).collect();
        parts.push(self.name.to_bytes());
        parts.join(&b'/')
    }
}

/// Measures the folder `name` in LiveOS.
///
/// Links are not followed, other file systems not entered. What may not be
/// read is left out, and [`Size::complete`] false.
pub fn measure(live_os: &DiskFolder, name: &str, progress: &dyn Progress) -> Result<Size> {
    visit(live_os, name, progress, &mut |_| ())
}

/// As [`measure`], and tells `each` of everything, what has several names once.
pub fn visit(
    live_os: &DiskFolder,
    name: &str,
    progress: &dyn Progress,
    each: &mut dyn FnMut(Thing<'_>),
) -> Result<Size> {
    let top = live_os.below(name).doing("opening the overlay folder")?;
    let device = rustix::fs::fstat(top.handle())
        .doing("looking at the overlay folder")?
        .st_dev;
    let mut walk = Walk {
        device,
        linked: HashSet::new(),
        size: Size {
            complete: true,
            ..Size::default()
        },
    };
    // One open folder for each level: as many as the tree is deep, not as it is wide.
    let mut folders = Vec::new();
    let mut open = vec![entries(top.handle().as_fd()).doing("reading the overlay folder")?];
    while let Some(dir) = open.last_mut() {
        progress.check()?;
        let Some(entry) = dir.read() else {
            open.pop();
            folders.pop();
            continue;
        };
        let Ok(entry) = entry else {
            walk.size.complete = false;
            open.pop();
            folders.pop();
            continue;
        };
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let name = CString::from(name);
        let fd = dir.fd().doing("reading the overlay folder")?;
        let Some(counted) = walk.count(fd, &name) else {
            continue;
        };
        each(Thing {
            folders: &folders,
            name: &name,
            bytes: counted.bytes,
            is_folder: counted.is_folder,
        });
        if let Some(deeper) = counted.deeper {
            if open.len() < DEEPEST {
                open.push(deeper);
                folders.push(name);
            } else {
                walk.size.complete = false;
            }
        }
    }
    Ok(walk.size)
}

fn entries(folder: rustix::fd::BorrowedFd<'_>) -> rustix::io::Result<Dir> {
    Dir::read_from(folder)
}

/// An entry that counts.
struct Counted {
    bytes: Bytes,
    is_folder: bool,
    /// Its own entries, where it is a folder that can be read.
    deeper: Option<Dir>,
}

struct Walk {
    device: u64,
    /// Inodes with several names that were counted.
    linked: HashSet<u64>,
    size: Size,
}

impl Walk {
    /// Counts one entry; a folder is opened to go deeper. None where it does not count.
    fn count(&mut self, folder: rustix::fd::BorrowedFd<'_>, name: &CString) -> Option<Counted> {
        let stat = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // Removed meanwhile, or out of reach.
            Err(Errno::NOENT) => return None,
            Err(_) => {
                self.size.complete = false;
                return None;
            }
        };
        if stat.st_dev != self.device {
            return None;
        }
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if !is_folder && stat.st_nlink > 1 {
            if self.linked.contains(&stat.st_ino) {
                return None;
            }
            if self.linked.len() < MOST_LINKED {
                self.linked.insert(stat.st_ino);
            }
        }
        self.size.things += 1;
        let taken = u64::try_from(stat.st_blocks)
            .unwrap_or(0)
            .saturating_mul(512);
        self.size.bytes = Bytes(self.size.bytes.0.saturating_add(taken));
        let mut counted = Counted {
            bytes: Bytes(taken),
            is_folder,
            deeper: None,
        };
        if is_folder {
            let opened = open_folder(folder, name).and_then(|opened| entries(opened.as_fd()));
            counted.deeper = opened.ok();
            self.size.complete &= counted.deeper.is_some();
        }
        Some(counted)
    }
}

fn open_folder(folder: rustix::fd::BorrowedFd<'_>, name: &CString) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(folder, name, flags, Mode::empty(), resolve)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn measured(place: &tempfile::TempDir) -> Size {
        let live_os = DiskFolder::open(place.path()).unwrap();
        measure(&live_os, "overlay-A-1", &Silent).unwrap()
    }

    #[test]
    fn files_count_once_and_links_not_at_all() {
        let place = tempfile::tempdir().unwrap();
        let upper = place.path().join("overlay-A-1");
        fs::create_dir_all(upper.join("home/ann")).unwrap();
        let empty = measured(&place);
        assert_eq!((empty.things, empty.complete), (2, true));
        fs::write(upper.join("home/ann/a"), vec![1; 100_000]).unwrap();
        let one = measured(&place);
        assert!(one.bytes.0 >= empty.bytes.0 + 100_000, "{one:?}");
        fs::hard_link(upper.join("home/ann/a"), upper.join("b")).unwrap();
        symlink("/", upper.join("root")).unwrap();
        symlink("..", upper.join("up")).unwrap();
        let linked = measured(&place);
        assert_eq!(linked.things, one.things + 2);
        assert!(linked.bytes.0 < one.bytes.0 + 100_000);
    }

    #[test]
    fn everything_is_told_once_with_its_path() {
        let place = tempfile::tempdir().unwrap();
        let upper = place.path().join("overlay-A-1");
        fs::create_dir_all(upper.join("home/ann")).unwrap();
        fs::create_dir_all(upper.join("etc")).unwrap();
        fs::write(upper.join("home/ann/a"), vec![1; 100_000]).unwrap();
        fs::write(upper.join("etc/b"), "b").unwrap();
        let live_os = DiskFolder::open(place.path()).unwrap();
        let mut told = Vec::new();
        let mut bytes = 0;
        let size = visit(&live_os, "overlay-A-1", &Silent, &mut |thing| {
            bytes += thing.bytes.0;
            told.push((String::from_utf8(thing.path()).unwrap(), thing.is_folder));
        });
        told.sort();
        let told: Vec<_> = told.iter().map(|(path, is)| (&**path, *is)).collect();
        let all = [
            ("etc", true),
            ("etc/b", false),
            ("home", true),
            ("home/ann", true),
            ("home/ann/a", false),
        ];
        assert_eq!(told, all);
        assert_eq!(size.unwrap().bytes.0, bytes);
    }

    #[test]
    fn a_tree_too_deep_ends() {
        let place = tempfile::tempdir().unwrap();
        let mut path = place.path().join("overlay-A-1");
        for _ in 0..300 {
            path.push("d");
        }
        fs::create_dir_all(&path).unwrap();
        let deep = measured(&place);
        assert!(!deep.complete);
        assert_eq!(deep.things, DEEPEST as u64);
    }

    #[test]
    fn what_is_no_folder_is_an_error() {
        let place = tempfile::tempdir().unwrap();
        symlink("/", place.path().join("overlay-A-1")).unwrap();
        let live_os = DiskFolder::open(place.path()).unwrap();
        assert!(measure(&live_os, "overlay-A-1", &Silent).is_err());
        assert!(measure(&live_os, "missing", &Silent).is_err());
    }
}
