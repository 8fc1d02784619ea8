//! A mount that nobody sees: a file system held open, at no place in any tree.
//!
//! A detached mount (fsopen, fsmount; Linux 5.2) needs neither a folder nor a
//! mount namespace of its own. It lives by the descriptors that this process
//! holds, so it ends with it, kill -9 included; no other process can reach what
//! is beneath it by a path, and all threads see it alike.

use super::host::{Device, Host};
use super::loops::{self, Loop, Window, path_of};
use super::superblock::Kind;
use crate::error::{Doing, Error, Part, Result};
use crate::storage::DiskFolder;
use crate::units::Bytes;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{self, FsMountFlags, FsOpenFlags, MountAttrFlags};
use std::fs::File;

/// What a stick is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To look: the stick is not changed, not even its journal replayed.
    Read,
    /// To change it. A journal that was not replayed yet is, as by every mounting.
    Write,
}

/// A file system, mounted for this process alone.
#[derive(Debug)]
pub struct Detached {
    /// Its root folder.
    pub root: DiskFolder,
    /// What keeps it mounted; to be dropped after all that is open beneath it.
    pub kept: Kept,
}

/// Keeps a detached mount, and lets go of it in the right order.
#[derive(Debug)]
pub struct Kept {
    _mount: OwnedFd,
    device: Option<Loop>,
}

impl Detached {
    /// Unmounts it and waits until nothing holds the file beneath it any more. To be dropped
    /// before: whatever is open beneath it.
    pub fn release(self) {
        drop(self.root);
        let Kept { _mount, device } = self.kept;
        drop(_mount);
        if let Some(device) = device {
            device.release();
        }
    }
}

impl Kept {
    /// Our own loop device beneath it.
    pub fn loop_device(&self) -> Option<&Loop> {
        self.device.as_ref()
    }
}

/// Mounts the file system in a part of a file or of a device that is mounted nowhere.
///
/// To read, it lies behind a read-only loop device: on a writable one, ext4 cleans
/// up orphaned files even when it is mounted read-only and without its journal.
pub fn window(
    file: &File,
    offset: Bytes,
    length: Bytes,
    kind: Kind,
    access: Access,
) -> Result<Detached> {
    let window = Window {
        offset,
        length: Some(length),
        read_only: access == Access::Read,
    };
    let device = Loop::attach(file, window)?;
    let how = match access {
        Access::Read => How::Reading,
        Access::Write => How::Writing,
    };
    let mounted = attach(device.file(), kind.driver(), how)?;
    Ok(Detached {
        root: mounted.root,
        kept: Kept {
            device: Some(device),
            ..mounted.kept
        },
    })
}

/// Mounts a SquashFS image, to read.
pub fn squashfs(image: &File) -> Result<Detached> {
    let window = Window {
        offset: Bytes(0),
        length: None,
        read_only: true,
    };
    let device = Loop::attach(image, window)?;
    let mounted = attach(device.file(), "squashfs", How::Reading)?;
    Ok(Detached {
        root: mounted.root,
        kept: Kept {
            device: Some(device),
            ..mounted.kept
        },
    })
}

/// Mounts a device to write to it.
pub fn device(host: &Host, device: Device, kind: Kind) -> Result<Detached> {
    let opened = host.open(device).doing("opening the device")?;
    // Who asks whether it is mounted has it for an instant.
    let mount = || attach(opened.file(), kind.driver(), How::Writing);
    loops::patiently(mount, |mounted| !matches!(mounted, Err(Error::Busy { .. })))
}

/// Shares the file system that others have mounted from a device by `driver`,
/// which is read-only as a whole where `read_only` says so.
pub fn shared(
    host: &Host,
    device: Device,
    driver: &str,
    read_only: bool,
    access: Access,
) -> Result<Detached> {
    let opened = host.open(device).doing("opening the device")?;
    let how = match (access, read_only) {
        (Access::Write, _) => How::Writing,
        (Access::Read, true) => How::Reading,
        (Access::Read, false) => How::ReadingBeside,
    };
    attach(opened.file(), driver, how)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Writing,
    /// The file system as a whole is read-only.
    Reading,
    /// Only our mount is read-only: others write to the file system.
    ReadingBeside,
}

fn attach(device: &File, driver: &str, how: How) -> Result<Detached> {
    let context = match mount::fsopen(driver, FsOpenFlags::FSOPEN_CLOEXEC) {
        Ok(context) => context,
        Err(errno) => return Err(explain(errno, driver, String::new())),
    };
    let mount = match configure(&context, device, driver, how) {
        Ok(mount) => mount,
        Err(errno) => return Err(explain(errno, driver, messages(&context))),
    };
    // The mount's own descriptor is a mere place; this one can be read.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(&mount, ".", flags, Mode::empty())
        .doing("opening the stick's root folder")?;
    Ok(Detached {
        root: DiskFolder::from(root),
        kept: Kept {
            _mount: mount,
            device: None,
        },
    })
}

fn configure(
    context: &OwnedFd,
    device: &File,
    driver: &str,
    how: How,
) -> rustix::io::Result<OwnedFd> {
    mount::fsconfig_set_string(context, "source", path_of(device.as_fd()))?;
    if how == How::Reading {
        mount::fsconfig_set_flag(context, "ro")?;
    }
    match driver {
        "ext2" | "ext3" | "ext4" => {
            // A stick's own choice may be to stop the whole machine on an error.
            let errors = match how {
                How::Reading => "continue",
                How::Writing | How::ReadingBeside => "remount-ro",
            };
            mount::fsconfig_set_string(context, "errors", errors)?;
            if how == How::Reading {
                mount::fsconfig_set_flag(context, "noload")?;
            }
        }
        "vfat" => {
            // Names are compared with the label, in UTF-8, whatever the kernel was built for.
            mount::fsconfig_set_string(context, "utf8", "1")?;
            // A cut may leave the second image with a length and without clusters. Having met
            // that, the kernel would let nobody write any more, and so nobody remove it.
            mount::fsconfig_set_string(context, "errors", "continue")?;
        }
        _ => {}
    }
    mount::fsconfig_create(context)?;
    let quiet = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let attributes = match how {
        How::Writing => quiet,
        How::Reading | How::ReadingBeside => quiet | MountAttrFlags::MOUNT_ATTR_RDONLY,
    };
    mount::fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// What the kernel says of a mounting that failed (fsopen(2)); it keeps eight lines at most.
fn messages(context: &OwnedFd) -> String {
    let mut all = Vec::new();
    let mut line = [0; 1024];
    while let Ok(length @ 1..) = rustix::io::read(context, &mut line) {
        all.push(String::from_utf8_lossy(&line[..length]).trim().to_owned());
        if all.len() == 8 {
            break;
        }
    }
    all.join("; ")
}

fn explain(errno: Errno, driver: &str, messages: String) -> Error {
    let detail = |what: &str| {
        format!("{what} ({driver}: {errno}) {messages}")
            .trim()
            .to_owned()
    };
    match errno {
        Errno::PERM => Error::Denied {
            detail: detail("mounting needs root"),
        },
        Errno::ACCESS | Errno::ROFS => Error::ReadOnly {
            detail: detail("the device is write-protected"),
        },
        Errno::BUSY => Error::Busy {
            detail: detail("the device is mounted in another way, or held by another driver"),
        },
        Errno::NODEV | Errno::NOSYS => {
            Error::unsupported(Part::Disk, detail("this kernel cannot mount it"))
        }
        Errno::INVAL | Errno::UCLEAN | Errno::BADMSG => Error::damaged(
            Part::Disk,
            detail("the kernel does not take the file system"),
        ),
        other => Error::Io {
            doing: detail("mounting the stick"),
            source: other.into(),
        },
    }
}
