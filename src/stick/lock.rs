//! One writer a stick.

use crate::error::{Doing, Error, Result};
use crate::storage::DiskFolder;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

/// Held while a stick is changed; let go when dropped, or when the process ends.
///
/// An advisory lock (flock) on the folder LiveOS itself: nothing is written for
/// it, it needs no right to write, and it holds on FAT and ext4 alike, between
/// root and a learner, by whatever way each of them reached the folder. It
/// belongs to the mounted file system, so a *file* that is opened as a disk
/// (twice, that would be two file systems) is locked itself as well.
#[derive(Debug)]
pub struct Lock {
    _held: OwnedFd,
}

impl Lock {
    /// Locks the folder; `Busy` where another process, or this one, has it.
    pub fn folder(folder: &DiskFolder) -> Result<Lock> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // A description of its own: the lock ends with it, not with a copy.
        let held = rustix::fs::openat(folder.handle(), ".", flags, Mode::empty())
            .doing("opening LiveOS to lock it")?;
        Lock::take(held)
    }

    /// Locks a file that holds a whole disk.
    pub fn file(file: &impl AsFd) -> Result<Lock> {
        let path = super::loops::path_of(file.as_fd());
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let held = rustix::fs::open(path, flags, Mode::empty())
            .doing("opening the disk image to lock it")?;
        Lock::take(held)
    }

    fn take(held: OwnedFd) -> Result<Lock> {
        match rustix::fs::flock(&held, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Lock { _held: held }),
            Err(Errno::WOULDBLOCK) => Err(Error::Busy {
                detail: "another process, or this one, works on this stick already".to_owned(),
            }),
            Err(error) => Err(error).doing("locking the stick"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn the_second_one_waits_for_nothing_and_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let one = DiskFolder::open(place.path()).unwrap();
        let other = DiskFolder::open(&place.path().join(".")).unwrap();
        let lock = Lock::folder(&one).unwrap();
        assert_eq!(Lock::folder(&other).unwrap_err().kind(), ErrorKind::Busy);
        assert_eq!(Lock::folder(&one).unwrap_err().kind(), ErrorKind::Busy);
        // Closing the folder it was taken through changes nothing.
        drop(one);
        assert!(Lock::folder(&other).is_err());
        drop(lock);
        Lock::folder(&other).unwrap();
    }
}
