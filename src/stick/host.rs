//! The machine: device numbers, and what /sys, /proc and udev say of them.

use super::boot::unescape;
use super::superblock::{self, FileSystem};
use crate::storage::DiskFile;
use crate::units::{Bytes, Sectors};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A device number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device {
    /// The driver's part.
    pub major: u32,
    /// The device's part.
    pub minor: u32,
}

impl Device {
    /// From `st_dev`, `st_rdev`, or the kernel's own coding, which is the same for what it can hold.
    pub fn from_raw(raw: u64) -> Device {
        Device {
            major: rustix::fs::major(raw),
            minor: rustix::fs::minor(raw),
        }
    }

    /// From `8:17`.
    pub fn parse(text: &str) -> Option<Device> {
        let (major, minor) = text.trim().split_once(':')?;
        Some(Device {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        })
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// A file system's name for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Name {
    /// Its label as blkid gives it.
    pub label: Option<String>,
    /// Its UUID or serial number as blkid gives it.
    pub uuid: Option<String>,
}

/// Where the machine's own descriptions lie; elsewhere in tests.
#[derive(Debug, Clone)]
pub struct Host {
    /// `/`, below which sys, proc, dev and run lie.
    root: PathBuf,
}

impl Default for Host {
    fn default() -> Host {
        Host::at(Path::new("/"))
    }
}

impl Host {
    /// A machine whose descriptions lie below `root`.
    pub fn at(root: &Path) -> Host {
        Host {
            root: root.to_owned(),
        }
    }

    pub(super) fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.root.join(below)
    }

    /// A small description file's content; none where it is not there.
    pub(super) fn text(&self, below: impl AsRef<Path>) -> Option<String> {
        let text = std::fs::read_to_string(self.path(below)).ok()?;
        Some(text.trim_end_matches('\n').to_owned())
    }

    /// The names in a description folder, sorted; none where it is not there.
    pub(super) fn names(&self, below: impl AsRef<Path>) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(below)).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// The description folder of a block device, below the root.
    pub(super) fn block(&self, device: Device) -> PathBuf {
        PathBuf::from(format!("sys/dev/block/{device}"))
    }

    /// A block device's node by name, for people: `/dev/sdb1`.
    pub fn node_name(&self, device: Device) -> Option<String> {
        Some(format!("/dev/{}", self.device_name(device)?))
    }

    fn device_name(&self, device: Device) -> Option<String> {
        let uevent = self.text(self.block(device).join("uevent"))?;
        let mut lines = uevent.lines();
        lines.find_map(|line| Some(line.strip_prefix("DEVNAME=")?.to_owned()))
    }

    /// A block device's node, checked to be that device's.
    pub fn node(&self, device: Device) -> Option<PathBuf> {
        let node = self.path("dev").join(self.device_name(device)?);
        let metadata = std::fs::metadata(&node).ok()?;
        let same = Device::from_raw(metadata.rdev()) == device;
        (metadata.file_type().is_block_device() && same).then_some(node)
    }

    /// Opens a block device to read.
    pub fn open(&self, device: Device) -> io::Result<DiskFile> {
        let node = self.node(device).ok_or(io::ErrorKind::NotFound)?;
        let file = File::open(node)?;
        if Device::from_raw(file.metadata()?.rdev()) != device {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(DiskFile::new(file))
    }

    /// Whether a file system or a driver has a device for itself. Needs the right to open it.
    pub fn claimed(&self, device: Device) -> bool {
        let exclusively = |node| {
            File::options()
                .read(true)
                .custom_flags(rustix::fs::OFlags::EXCL.bits() as i32)
                .open(node)
        };
        self.node(device)
            .map(exclusively)
            .and_then(|opened| opened.err())
            .is_some_and(|error| error.kind() == io::ErrorKind::ResourceBusy)
    }

    /// Whether a file system has a device for itself that nothing is built upon: where it is in no
    /// mountinfo, it is mounted for one process alone, as we mount it to write.
    pub(super) fn out_of_sight(&self, device: Device) -> bool {
        self.claimed(device) && self.holders(device).is_empty()
    }

    /// Whether the ext4 that is mounted from a device has noted an error since it was last checked
    /// (fs/ext4/sysfs.c, errors_count).
    pub(super) fn noted_errors(&self, device: Device) -> bool {
        let name = self.device_name(device).unwrap_or_default();
        let count = self.text(format!("sys/fs/ext4/{name}/errors_count"));
        count.is_some_and(|count| count != "0")
    }

    /// A block device's length.
    pub fn size(&self, device: Device) -> Option<Bytes> {
        let sectors = self.text(self.block(device).join("size"))?;
        Sectors(sectors.parse().ok()?).bytes()
    }

    /// The partitions that the kernel has of a disk.
    pub fn partitions(&self, disk: Device) -> Vec<Device> {
        let folder = self.block(disk);
        let names = self.names(&folder).into_iter();
        let mut found: Vec<Device> = names
            .map(|name| folder.join(name))
            .filter(|part| self.path(part.join("partition")).exists())
            .filter_map(|part| Device::parse(&self.text(part.join("dev"))?))
            .collect();
        found.sort();
        found
    }

    /// The disk that a partition lies on; none for what is no partition.
    pub fn disk(&self, part: Device) -> Option<Device> {
        let folder = self.block(part);
        if !self.path(folder.join("partition")).exists() {
            return None;
        }
        // The link's target lies in the disk's folder.
        Device::parse(&self.text(folder.join("../dev"))?)
    }

    /// What the kernel builds upon a device: device-mapper and the like.
    pub fn holders(&self, device: Device) -> Vec<String> {
        self.names(self.block(device).join("holders"))
    }

    /// Whether the device itself refuses writing (a switch on the stick).
    pub fn write_protected(&self, device: Device) -> bool {
        self.text(self.block(device).join("ro"))
            .is_some_and(|ro| ro == "1")
    }

    /// The name of the file system on a device: from its superblock where that can be read,
    /// else from udev.
    pub fn name(&self, device: Device) -> Name {
        if let Some(found) = self.superblock(device) {
            return Name {
                label: found.label,
                uuid: found.uuid,
            };
        }
        let udev = self.udev(device);
        Name {
            label: udev.label.or_else(|| self.linked("by-label", device)),
            uuid: udev.uuid.or_else(|| self.linked("by-uuid", device)),
        }
    }

    /// The file system on a device, if we may read it and know its kind.
    pub(super) fn superblock(&self, device: Device) -> Option<FileSystem> {
        superblock::identify(&self.open(device).ok()?).ok()?
    }

    fn udev(&self, device: Device) -> Name {
        let text = self.text(format!("run/udev/data/b{device}"));
        parse_udev(&text.unwrap_or_default())
    }

    /// The kind that udev found on a device, for what we do not know ourselves.
    pub(super) fn udev_kind(&self, device: Device) -> Option<String> {
        let text = self.text(format!("run/udev/data/b{device}"))?;
        let mut lines = text.lines();
        lines.find_map(|line| Some(line.strip_prefix("E:ID_FS_TYPE=")?.to_owned()))
    }

    /// The name of a link in /dev/disk that leads to the device.
    fn linked(&self, folder: &str, device: Device) -> Option<String> {
        let folder = Path::new("dev/disk").join(folder);
        let names = self.names(&folder).into_iter();
        let mut matching = names.filter(|name| {
            let metadata = std::fs::metadata(self.path(folder.join(name)));
            metadata.is_ok_and(|found| Device::from_raw(found.rdev()) == device)
        });
        Some(unescape(&matching.next()?))
    }
}

/// Label and UUID in udev's database (`ID_FS_LABEL_ENC` loses nothing, `ID_FS_LABEL` does).
fn parse_udev(text: &str) -> Name {
    let value = |key: &str| {
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix("E:")?.strip_prefix(key));
        Some(unescape(value?)).filter(|value| !value.is_empty())
    };
    Name {
        label: value("ID_FS_LABEL_ENC="),
        uuid: value("ID_FS_UUID_ENC="),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_read_and_print() {
        let device = Device::parse("259:1048575\n").unwrap();
        assert_eq!(device.to_string(), "259:1048575");
        let raw = rustix::fs::makedev(device.major, device.minor);
        assert_eq!(Device::from_raw(raw), device);
        for bad in ["", "8", "8:", ":1", "8:x", "4294967296:1"] {
            assert_eq!(Device::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn udev_labels_are_whole() {
        let text = "S:disk/by-id/x\nE:ID_FS_LABEL=My_Stick\nE:ID_FS_LABEL_ENC=My\\x20Stick\n\
            E:ID_FS_UUID=12AB-34CD\nE:ID_FS_UUID_ENC=12AB-34CD\n";
        let name = parse_udev(text);
        assert_eq!(name.label.as_deref(), Some("My Stick"));
        assert_eq!(name.uuid.as_deref(), Some("12AB-34CD"));
        assert_eq!(parse_udev("E:ID_FS_LABEL_ENC=\n"), Name::default());
    }
}
