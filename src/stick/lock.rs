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
        Lock::take(open_folder(folder)?)
    }

    /// Locks a file that holds a whole disk.
    pub fn file(file: &impl AsFd) -> Result<Lock> {
        Lock::take(open_file(file)?)
    }

    /// `Busy` where somebody has the folder locked. Nobody who asks disturbs another.
    pub fn free_folder(folder: &DiskFolder) -> Result<()> {
        free(&open_folder(folder)?)
    }

    /// As [`Lock::free_folder`], of a file that holds a whole disk.
    pub fn free_file(file: &impl AsFd) -> Result<()> {
        free(&open_file(file)?)
    }

    fn take(held: OwnedFd) -> Result<Lock> {
        let exclusive = || locked(&held, FlockOperation::NonBlockingLockExclusive);
        // Who only asks holds it for an instant.
        let decided = |taken: &Result<()>| taken.is_ok() || free(&held).is_err();
        super::loops::patiently(exclusive, decided)?;
        Ok(Lock { _held: held })
    }
}

// Descriptions of their own: a lock ends with its description, not with a copy.
fn open_folder(folder: &DiskFolder) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(folder.handle(), ".", flags, Mode::empty())
        .doing("opening LiveOS to lock it")
}

fn open_file(file: &impl AsFd) -> Result<OwnedFd> {
    let path = super::loops::path_of(file.as_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).doing("opening the disk image to lock it")
}

/// Tries a lock that those who ask share, and lets it go.
fn free(held: &OwnedFd) -> Result<()> {
    locked(held, FlockOperation::NonBlockingLockShared)?;
    rustix::fs::flock(held, FlockOperation::Unlock).doing("asking for the stick's lock")
}

fn locked(held: &OwnedFd, how: FlockOperation) -> Result<()> {
    match rustix::fs::flock(held, how) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(Error::Busy {
            detail: "another process, or this one, works on this stick already".to_owned(),
        }),
        Err(error) => Err(error).doing("locking the stick"),
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

    #[test]
    fn who_asks_disturbs_nobody() {
        let place = tempfile::tempdir().unwrap();
        let folder = DiskFolder::open(place.path()).unwrap();
        let asking = open_folder(&folder).unwrap();
        locked(&asking, FlockOperation::NonBlockingLockShared).unwrap();
        Lock::free_folder(&folder).unwrap();
        // Whoever is to write waits for the instant that asking takes.
        let lock = std::thread::scope(|scope| {
            let writer = scope.spawn(|| Lock::folder(&folder));
            std::thread::sleep(std::time::Duration::from_millis(100));
            drop(asking);
            writer.join().unwrap().unwrap()
        });
        let busy = Lock::free_folder(&folder).unwrap_err();
        assert_eq!(busy.kind(), ErrorKind::Busy);
        drop(lock);
        Lock::free_folder(&folder).unwrap();
    }
}
