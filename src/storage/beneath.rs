//! Folders and files below a root folder, by a path of which no part may be a link or another file
//! system (openat2): nobody can move what is found elsewhere meanwhile.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io;

/// How a folder is opened.
pub const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Opens what lies at `path` below `root`; `XDEV` and `LOOP` where the way leads out.
pub fn open(root: impl AsFd, path: &str, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(root, path, flags, mode, resolve)
}

/// Opens a folder there.
pub fn folder(root: impl AsFd, path: &str) -> io::Result<OwnedFd> {
    open(root, path, FOLDER, Mode::empty())
}
