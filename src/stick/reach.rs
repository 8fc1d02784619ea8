//! Reaches a stick's file system, whatever the stick was called.
//!
//! A stick may be named as a folder that holds LiveOS, as a block device (a
//! partition or a whole disk, mounted or not), as a disk image's file, or as
//! `live`, the one that the running system was started from. Whatever it was
//! called, it is resolved to a device number first, and whether it is the
//! booted one or in use is judged by that.
//!
//! Root mounts devices and files for itself alone ([`super::mount`]); anybody
//! else reaches a device where it is mounted already. Nothing outside LiveOS
//! is opened to be written.

use super::host::{Device, Host, Name};
use super::in_use::{self, InUse, Wanted, WantedFile};
use super::layout::LIVE_OS;
use super::lock::Lock;
use super::mount::{self, Access, Kept};
use super::mounts::{INITRAMFS, Mount};
use super::superblock::{self, Kind, Left};
use super::table::{self, Partition};
use crate::error::{Doing, Error, Part, Result};
use crate::storage::{DiskFile, DiskFolder, ReadAt};
use crate::units::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path};

/// Where dracut mounts what it started from, the likeliest first.
const LIVE: [&str; 2] = ["live", "isoscan"];
/// No disk has more partitions with a file system of ours on it.
const MOST_PARTITIONS: usize = 32;

/// Who opens it.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The machine.
    pub host: Host,
    /// Whether we may mount.
    pub root: bool,
    /// Whether a person without rights started us through pkexec: then no path of theirs is followed.
    pub by_pkexec: bool,
}

impl Caller {
    /// This process.
    pub fn current() -> Caller {
        Caller {
            host: Host::default(),
            root: rustix::process::geteuid().is_root(),
            by_pkexec: std::env::var_os("PKEXEC_UID").is_some(),
        }
    }
}

/// What is known of the file system that LiveOS lies on.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub device: Device,
    pub driver: String,
    pub name: Name,
    /// Whether LiveOS lies at its root.
    pub at_root: bool,
    pub left: Left,
}

/// A file system with a stick on it, perhaps.
pub(super) struct Found {
    pub root: DiskFolder,
    pub kept: Option<Kept>,
    pub image: Option<File>,
    pub locks: Vec<Lock>,
    pub facts: Facts,
}

impl Caller {
    pub(super) fn find(&self, named: &Path, access: Access) -> Result<Found> {
        if named == Path::new("live") {
            return self.live();
        }
        if self.by_pkexec && !is_node(named) {
            return Err(Error::Denied {
                detail: "only a block device in /dev, or `live`, is opened for another user"
                    .to_owned(),
            });
        }
        let metadata = std::fs::metadata(named).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                Error::not_found(Part::Stick, format!("there is no {}", named.display()))
            }
            _ => Error::Io {
                doing: format!("looking at {}", named.display()),
                source: error,
            },
        })?;
        let kind = metadata.file_type();
        if kind.is_block_device() {
            return self.disk(Device::from_raw(metadata.rdev()), access);
        }
        if self.by_pkexec {
            return Err(Error::Denied {
                detail: format!("{} is not a block device", named.display()),
            });
        }
        if kind.is_dir() {
            self.folder(named)
        } else if kind.is_file() {
            self.image(named, access)
        } else {
            let detail = format!("{} is no folder, device or file", named.display());
            Err(Error::unsupported(Part::Stick, detail))
        }
    }

    fn live(&self) -> Result<Found> {
        let mut mounted = false;
        for place in LIVE {
            let path = Path::new(INITRAMFS).join(place);
            let mounts = self.host.mounts();
            if !mounts.iter().any(|mount| mount.point == path) {
                continue;
            }
            mounted = true;
            let found = self.folder(&path)?;
            if live_os(&found.root).is_ok() {
                return Ok(found);
            }
        }
        let detail = match mounted {
            true => format!("the running system's stick has no folder {LIVE_OS}"),
            false => "the running system was not started from a live stick".to_owned(),
        };
        Err(Error::not_found(Part::Stick, detail))
    }

    /// A folder, at a file system's root or anywhere.
    fn folder(&self, path: &Path) -> Result<Found> {
        let root = DiskFolder::open(path).doing(format!("opening {}", path.display()))?;
        let stat = rustix::fs::fstat(root.handle()).doing("looking at the stick's folder")?;
        let device = Device::from_raw(stat.st_dev);
        let place = std::fs::canonicalize(path).doing("resolving the stick's path")?;
        let mounts = self.host.mounts();
        let number = mount_number(&self.host, &root);
        let mount = mounts.iter().find(|mount| Some(mount.id) == number);
        let at_root = mount.is_some_and(|mount| mount.whole() && mount.point == place);
        let name = match at_root {
            true => self.host.name(device),
            false => Name::default(),
        };
        Ok(Found {
            root,
            kept: None,
            image: None,
            locks: Vec::new(),
            facts: Facts {
                device,
                driver: mount.map_or_else(|| "unknown".to_owned(), |m| m.file_system.clone()),
                name,
                at_root,
                left: self.mounted_left(device),
            },
        })
    }

    /// A whole disk or a partition.
    fn disk(&self, device: Device, access: Access) -> Result<Found> {
        let parts = self.host.partitions(device);
        let open = |device: Device, access| self.file_system(device, access);
        the_one(parts, device, access, &open)
    }

    /// The file system on a device, mounted or not.
    pub(super) fn file_system(&self, device: Device, access: Access) -> Result<Found> {
        if !self.root {
            return self.mounted(device);
        }
        let mounts = self.host.all_mounts();
        if let Some(mount) = mounts.iter().find(|mount| mount.device == device) {
            return self.share(mount, access);
        }
        let opened = self.host.open(device).doing("opening the device")?;
        let found = superblock::identify(&opened).doing("reading the device")?;
        let Some(found) = found else {
            let kind = self.host.udev_kind(device);
            return Err(unknown(kind));
        };
        let mounted = match access {
            // Who writes to it counts a loop device of ours as a holder, and gives up.
            Access::Read if found.kind != Kind::Iso && self.host.out_of_sight(device) => {
                return Err(Error::Busy {
                    detail: in_use::OUT_OF_SIGHT.to_owned(),
                });
            }
            Access::Read => {
                let size = opened.size().doing("asking for the device's size")?;
                mount::window(opened.file(), Bytes(0), size, found.kind, access)?
            }
            Access::Write => {
                if self.host.write_protected(device) {
                    return Err(Error::ReadOnly {
                        detail: "the device is write-protected".to_owned(),
                    });
                }
                if found.left == Left::Unchecked && self.host.out_of_sight(device) {
                    return Err(Error::Busy {
                        detail: in_use::OUT_OF_SIGHT.to_owned(),
                    });
                }
                writable(&found)?;
                self.unheld(Wanted {
                    devices: std::iter::once(device)
                        .chain(self.host.disk(device))
                        .collect(),
                    ..Wanted::default()
                })?;
                mount::device(&self.host, device, found.kind)?
            }
        };
        Ok(Found {
            root: mounted.root,
            kept: Some(mounted.kept),
            image: None,
            locks: Vec::new(),
            facts: Facts {
                device,
                ..facts(&found, device)
            },
        })
    }

    /// A device that is mounted somewhere: the same file system once more, for us.
    fn share(&self, mount: &Mount, access: Access) -> Result<Found> {
        const DRIVERS: [&str; 6] = ["vfat", "msdos", "ext2", "ext3", "ext4", "iso9660"];
        if !DRIVERS.contains(&&*mount.file_system) {
            return Err(unknown(Some(mount.file_system.clone())));
        }
        if access == Access::Write && mount.read_only {
            return Err(Error::ReadOnly {
                detail: format!("it is mounted read-only at {}", mount.point.display()),
            });
        }
        let device = mount.device;
        let (driver, read_only) = (&*mount.file_system, mount.read_only);
        let mounted = mount::shared(&self.host, device, driver, read_only, access)?;
        Ok(Found {
            root: mounted.root,
            kept: Some(mounted.kept),
            image: None,
            locks: Vec::new(),
            facts: Facts {
                device,
                driver: driver.to_owned(),
                name: self.host.name(device),
                at_root: true,
                left: self.mounted_left(device),
            },
        })
    }

    fn mounted_left(&self, device: Device) -> Left {
        match self.host.noted_errors(device) {
            true => Left::Unchecked,
            false => Left::Unseen,
        }
    }

    /// Where a device is mounted already, for whoever may not mount.
    fn mounted(&self, device: Device) -> Result<Found> {
        let mounts = self.host.mounts().into_iter();
        let of_device = mounts.filter(|mount| mount.device == device && mount.whole());
        for mount in of_device {
            let Ok(found) = self.folder(&mount.point) else {
                continue;
            };
            // Another file system may have been mounted over it.
            if found.facts.device == device {
                return Ok(found);
            }
        }
        Err(Error::Denied {
            detail: format!("the device {device} is not mounted, and only root may mount it"),
        })
    }

    /// A disk image's file, with or without a partition table.
    fn image(&self, path: &Path, access: Access) -> Result<Found> {
        if !self.root {
            return Err(Error::Denied {
                detail: "only root may mount a disk image".to_owned(),
            });
        }
        let file = File::options()
            .read(true)
            .write(access == Access::Write)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
            .open(path)
            .doing(format!("opening {}", path.display()))?;
        let mut locks = Vec::new();
        if access == Access::Read {
            Lock::free_file(&file)?;
        } else {
            locks.push(Lock::file(&file)?);
            // Before it is mounted: that already writes to it.
            self.unheld(Wanted {
                files: vec![wanted_file(&file)?],
                ..Wanted::default()
            })?;
        }
        let disk = DiskFile::new(file.try_clone().doing("opening the disk image")?);
        let size = disk.size().doing("asking for the disk image's size")?;
        let whole = Partition {
            number: 0,
            offset: Bytes(0),
            length: size,
        };
        let mut parts = table::partitions(&disk).doing("reading the partition table")?;
        parts.sort_by_key(|part| (part.offset, part.length));
        parts.dedup_by_key(|part| (part.offset, part.length));
        let open = |part: Partition, access| self.part(&disk, part, access);
        let found = the_one(parts, whole, access, &open)?;
        Ok(Found {
            image: Some(file),
            locks,
            ..found
        })
    }

    fn part(&self, disk: &DiskFile, part: Partition, access: Access) -> Result<Found> {
        let source = table::Part::new(disk, part);
        let found = superblock::identify(&source).doing("reading the disk image")?;
        let Some(found) = found else {
            return Err(unknown(None));
        };
        if access == Access::Write {
            writable(&found)?;
        }
        let (offset, length) = (part.offset, part.length);
        let mounted = mount::window(disk.file(), offset, length, found.kind, access)?;
        let stat = rustix::fs::fstat(mounted.root.handle()).doing("looking at the disk image")?;
        Ok(Found {
            root: mounted.root,
            kept: Some(mounted.kept),
            image: None,
            locks: Vec::new(),
            facts: facts(&found, Device::from_raw(stat.st_dev)),
        })
    }

    fn unheld(&self, wanted: Wanted) -> Result<()> {
        match in_use::patiently(|| self.host.held(&wanted))? {
            InUse::Free | InUse::Live => Ok(()),
            InUse::Held(who) => Err(Error::Busy { detail: who }),
            InUse::Unknown(why) => Err(Error::Denied { detail: why }),
        }
    }
}

/// Opens the one among `parts` that holds a stick; if none does, the `whole` disk.
fn the_one<P: Copy>(
    parts: Vec<P>,
    whole: P,
    access: Access,
    open: &dyn Fn(P, Access) -> Result<Found>,
) -> Result<Found> {
    let mut sticks = Vec::new();
    let mut trouble = None;
    for part in parts.into_iter().take(MOST_PARTITIONS) {
        match open(part, Access::Read) {
            Ok(found) if live_os(&found.root).is_ok() => sticks.push(part),
            // A partition of another kind is none of our business.
            Ok(_) | Err(Error::Unsupported { .. }) => {}
            Err(error) => trouble = Some(error),
        }
    }
    match (&sticks[..], trouble) {
        ([part], _) => open(*part, access),
        ([], None) => open(whole, access),
        // The trouble counts only where the disk itself is no file system.
        ([], Some(trouble)) => match open(whole, access) {
            Err(Error::Unsupported { .. }) => Err(trouble),
            other => other,
        },
        _ => {
            let detail = format!("several partitions hold a folder {LIVE_OS}");
            Err(Error::refused(Part::Disk, detail))
        }
    }
}

fn facts(found: &superblock::FileSystem, device: Device) -> Facts {
    Facts {
        device,
        driver: found.kind.driver().to_owned(),
        name: Name {
            label: found.label.clone(),
            uuid: found.uuid.clone(),
        },
        at_root: true,
        left: found.left,
    }
}

/// A device's own name, by its letters alone: right in a folder of /dev where only root makes
/// names. (In /dev/shm, everybody does.)
pub(super) fn is_node(named: &Path) -> bool {
    let plain = named
        .components()
        .all(|part| !matches!(part, Component::ParentDir));
    let folder = named.parent().and_then(Path::to_str).unwrap_or_default();
    let fixed = matches!(folder, "/dev" | "/dev/mapper" | "/dev/block");
    plain
        && (fixed
            || folder
                .strip_prefix("/dev/disk/by-")
                .is_some_and(|by| !by.contains('/')))
}

fn writable(found: &superblock::FileSystem) -> Result<()> {
    match found.kind {
        Kind::Fat | Kind::Ext if found.left == Left::Unchecked => Err(Error::Unchecked),
        Kind::Fat | Kind::Ext => Ok(()),
        Kind::Iso => Err(Error::unsupported(
            Part::Disk,
            "the stick's file system is ISO 9660, which cannot be written",
        )),
    }
}

fn unknown(kind: Option<String>) -> Error {
    let kind = kind.unwrap_or_else(|| "unknown".to_owned());
    let detail = format!("the file system ({kind}) is none of FAT, ext4 and ISO 9660");
    Error::unsupported(Part::Disk, detail)
}

/// The number of the mount that an open folder lies on.
fn mount_number(host: &Host, folder: &DiskFolder) -> Option<u64> {
    use std::os::fd::AsRawFd;
    let number = folder.handle().as_raw_fd();
    let text = host.text(format!("proc/self/fdinfo/{number}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("mnt_id:"))?;
    line.trim().parse().ok()
}

/// A disk image, which may be held under any name.
pub(super) fn wanted_file(file: &File) -> Result<WantedFile> {
    let metadata = file.metadata().doing("looking at the disk image")?;
    Ok(WantedFile {
        on: Device::from_raw(metadata.dev()),
        inode: metadata.ino(),
        only_name: None,
    })
}

pub(super) fn live_os(root: &DiskFolder) -> Result<DiskFolder> {
    root.below(LIVE_OS).map_err(|error| {
        use rustix::io::Errno;
        let detail = match Errno::from_io_error(&error) {
            Some(Errno::NOENT) => {
                return Error::not_found(Part::Stick, format!("there is no folder {LIVE_OS}"));
            }
            Some(Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => {
                format!("{LIVE_OS} is not a folder of the stick itself ({error})")
            }
            _ => {
                return Error::Io {
                    doing: format!("opening {LIVE_OS}"),
                    source: error,
                };
            }
        };
        Error::refused(Part::Stick, detail)
    })
}
