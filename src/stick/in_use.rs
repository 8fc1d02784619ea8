//! Whether anybody else uses the stick, its image or its overlay.
//!
//! Asked by device and inode number, never by name: a hard link, a bind mount,
//! another process's view of the tree or a removed name change nothing. What
//! cannot be found out counts against writing.

use super::host::{Device, Host};
use super::layout::{LIVE_OS, LiveOverlay};
use super::loops::{self, Bound, Held};
use super::mounts::Mount;
use crate::error::{Doing, Result};
use crate::storage::{DiskFolder, Folder};
use rustix::fs::AtFlags;
use std::path::Path;

/// What is said of a device that somebody has where nobody sees it.
pub(super) const OUT_OF_SIGHT: &str =
    "its device is mounted out of sight, or held by another driver";
/// dracut's name for the running system's root.
const LIVE_ROOT: &str = "live-rw";
/// What the kernel puts behind the name of a file that was removed.
const REMOVED: &str = " (deleted)";

/// Who uses a stick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InUse {
    /// Nobody that matters.
    Free,
    /// The running system was started from it.
    Live,
    /// A loop device or a device-mapper device; which one, in English.
    Held(String),
    /// It could not be found out; why not, in English.
    Unknown(String),
}

/// What nobody else may hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    /// Files.
    pub files: Vec<WantedFile>,
    /// Devices.
    pub devices: Vec<Device>,
    /// Our own loop device, which may.
    pub ours: Option<Device>,
}

/// A file that nobody else may hold.
#[derive(Debug, Clone)]
pub(super) struct WantedFile {
    /// The device number of the file system that it lies on.
    pub on: Device,
    /// Its inode number there.
    pub inode: u64,
    /// Its name, where it has no other one.
    pub only_name: Option<String>,
}

impl WantedFile {
    /// All files in LiveOS.
    pub fn all(live_os: &DiskFolder) -> Result<Vec<WantedFile>> {
        let entries = live_os.entries().doing("reading LiveOS")?;
        entries
            .into_iter()
            .map(|entry| {
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                let stat = rustix::fs::statat(live_os.handle(), &entry.name, flags)
                    .doing(format!("looking at {}", entry.name))?;
                Ok(WantedFile {
                    on: Device::from_raw(stat.st_dev),
                    inode: stat.st_ino,
                    only_name: (stat.st_nlink == 1).then_some(entry.name),
                })
            })
            .collect()
    }
}

impl Wanted {
    fn wants(&self, held: &Held) -> bool {
        let same = |file: &WantedFile| file.on == held.on && file.inode == held.inode;
        self.files.iter().any(same) || held.own.is_some_and(|own| self.devices.contains(&own))
    }

    /// Whether a loop device whose file cannot be looked at may hold any of it.
    ///
    /// The kernel gives the file's present name, though perhaps below a root that is not ours
    /// (dracut's own loop devices are such): a file that has only one name is not the one with
    /// another name. A device in /dev has many names, but can always be looked at.
    fn may_be(&self, bound: &Bound) -> bool {
        let path = bound.file.strip_suffix(REMOVED).unwrap_or(&bound.file);
        let name = path.rsplit('/').next();
        let same = |file: &WantedFile| match &file.only_name {
            Some(only) => name.is_none_or(|name| name.eq_ignore_ascii_case(only)),
            None => true,
        };
        self.files.iter().any(same)
    }
}

/// Who uses it, asked for a moment longer while somebody does.
pub(super) fn patiently(ask: impl Fn() -> Result<InUse>) -> Result<InUse> {
    let settled = |answer: &Result<InUse>| !matches!(answer, Ok(InUse::Held(_)));
    loops::patiently(ask, settled)
}

impl Host {
    /// Who holds any of it.
    pub(super) fn held(&self, wanted: &Wanted) -> Result<InUse> {
        for device in &wanted.devices {
            let holders = self.holders(*device);
            if !holders.is_empty() {
                let text = format!("{} is built upon the stick's device", holders.join(", "));
                return Ok(InUse::Held(text));
            }
        }
        let mut unknown = None;
        for bound in self.loops().doing("asking for loop devices")? {
            if Some(bound.device) == wanted.ours {
                continue;
            }
            match &bound.held {
                Some(held) if wanted.wants(held) => return Ok(InUse::Held(self.describe(&bound))),
                Some(_) => {}
                None if wanted.may_be(&bound) => unknown = Some(bound),
                None => {}
            }
        }
        Ok(match unknown {
            None => InUse::Free,
            Some(bound) => InUse::Unknown(format!(
                "what {} holds cannot be found out ({})",
                bound.name, bound.file
            )),
        })
    }

    fn describe(&self, bound: &Bound) -> String {
        let mut text = format!("{} holds {}", bound.name, bound.file);
        let mounts = self.all_mounts();
        if let Some(mount) = mounts.iter().find(|mount| mount.device == bound.device) {
            text.push_str(&format!(", mounted at {}", mount.point.display()));
        }
        let holders = self.holders(bound.device);
        if !holders.is_empty() {
            text.push_str(&format!(", used by {}", holders.join(", ")));
        }
        text
    }

    /// Whether the running system was started from the file system on `device`.
    ///
    /// `folder` is LiveOS's id, for one that does not lie at the root of the file system.
    pub(super) fn booted(&self, device: Device, at_root: bool, folder: (u64, u64)) -> bool {
        let mounts = self.all_mounts().into_iter();
        let mut live = mounts.filter(|mount| mount.of_initramfs() && mount.device == device);
        live.any(|mount| at_root || same_folder(&mount.point, folder))
    }

    /// Whether the running system needs what `named` lies on or is: the stick that it was started from,
    /// a disk with that on it, or anything in its root file system. Nothing is opened for it.
    pub fn runs_from(&self, named: &Path) -> bool {
        use std::os::unix::fs::{FileTypeExt, MetadataExt};
        if named == Path::new("live") {
            return true;
        }
        let Ok(metadata) = std::fs::metadata(named) else {
            return false;
        };
        let device = Device::from_raw(match metadata.file_type().is_block_device() {
            true => metadata.rdev(),
            false => metadata.dev(),
        });
        let mounts = self.all_mounts();
        let root = |mount: &Mount| mount.point == Path::new("/") && mount.device == device;
        let below = |mount: &Mount| {
            let disk = || self.disk(mount.device) == Some(device);
            mount.of_initramfs() && (mount.device == device || disk())
        };
        mounts.iter().any(below)
            || mounts.iter().any(Mount::of_initramfs) && mounts.iter().any(root)
    }

    /// Whether `folder` lies in the root file system of a live system: in memory, or in the overlay of
    /// the stick that the computer was started from, which fills up.
    pub fn in_live_root(&self, folder: &DiskFolder) -> Result<bool> {
        let mounts = self.all_mounts();
        if !mounts.iter().any(Mount::of_initramfs) {
            return Ok(false);
        }
        let folder = rustix::fs::fstat(folder.handle()).doing("looking at the scratch folder")?;
        let on = Device::from_raw(folder.st_dev);
        let at_root = |mount: &Mount| mount.point == Path::new("/") && mount.device == on;
        Ok(mounts.iter().any(at_root))
    }

    /// The overlay that the running system's root device writes to, where that can be found out.
    pub(super) fn live_overlay(&self) -> Result<Option<LiveOverlay>> {
        let named = |device: &String| {
            let name = self.text(Path::new("sys/block").join(device).join("dm/name"));
            name.as_deref() == Some(LIVE_ROOT)
        };
        let Some(root) = self.names("sys/block").into_iter().find(named) else {
            return Ok(None);
        };
        let slaves = Path::new("sys/block").join(root).join("slaves");
        // Of the two devices beneath a snapshot, the image's is read-only.
        let writable = |slave: &String| {
            let ro = self.text(slaves.join(slave).join("ro"));
            ro.as_deref() == Some("0")
        };
        let mut stores = self.names(&slaves).into_iter().filter(writable);
        let (Some(store), None) = (stores.next(), stores.next()) else {
            return Ok(None);
        };
        let number = self.text(slaves.join(store).join("dev"));
        let Some(device) = number.and_then(|number| Device::parse(&number)) else {
            return Ok(None);
        };
        let loops = self.loops().doing("asking for loop devices")?;
        let held = loops.into_iter().find(|bound| bound.device == device);
        Ok(held.and_then(|bound| bound.held).map(|held| match held.on {
            // Of no device: dracut's own file in memory.
            Device { major: 0, .. } => LiveOverlay::Temporary,
            on => LiveOverlay::File((rustix::fs::makedev(on.major, on.minor), held.inode)),
        }))
    }
}

fn same_folder(point: &Path, folder: (u64, u64)) -> bool {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::symlink_metadata(point.join(LIVE_OS));
    metadata.is_ok_and(|found| (found.dev(), found.ino()) == folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine of description files: (path, content).
    fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, Host) {
        let place = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = place.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let host = Host::at(place.path());
        (place, host)
    }

    const STICK: Device = Device {
        major: 8,
        minor: 17,
    };

    #[test]
    fn a_folder_in_a_live_systems_root() {
        let place = tempfile::tempdir().unwrap();
        let folder = DiskFolder::open(place.path()).unwrap();
        let on = rustix::fs::fstat(folder.handle()).unwrap().st_dev;
        let on = Device::from_raw(on);
        let live = "2 1 8:17 / /run/initramfs/live rw - vfat /dev/sdb1 rw\n";
        for (mounts, wanted) in [
            (format!("1 1 {on} / / rw - ext4 live-rw rw\n{live}"), true),
            // Installed, as most are.
            (format!("1 1 {on} / / rw - ext4 /dev/sda1 rw\n"), false),
            // A disk of the computer's own, in a live system.
            (
                format!("1 1 0:99 / / rw - overlay x rw\n3 1 {on} / /mnt rw - ext4 x rw\n{live}"),
                false,
            ),
        ] {
            let (_place, host) = host(&[("proc/self/mountinfo", &mounts)]);
            assert_eq!(host.in_live_root(&folder).unwrap(), wanted, "{mounts}");
        }
    }

    #[test]
    fn what_the_running_system_needs() {
        let place = tempfile::tempdir().unwrap();
        let on = std::os::unix::fs::MetadataExt::dev(&place.path().metadata().unwrap());
        let on = Device::from_raw(on);
        let file = place.path().join("stick.img");
        std::fs::write(&file, "").unwrap();
        let live = "2 1 8:17 / /run/initramfs/live rw - vfat /dev/sdb1 rw\n";
        let root = format!("1 1 {on} / / rw - ext4 x rw\n");
        let stick = format!("2 1 {on} / /run/initramfs/live rw - vfat x rw\n");
        let other = format!("3 1 {on} / /mnt rw - ext4 x rw\n{live}");
        for (mounts, needed) in [
            (format!("{root}{live}"), true),
            (stick, true),
            (root, false),
            (other, false),
        ] {
            let (_place, host) = host(&[("proc/self/mountinfo", &mounts)]);
            for path in [place.path(), &file] {
                assert_eq!(host.runs_from(path), needed, "{mounts}");
            }
            assert!(host.runs_from(Path::new("live")));
            assert!(!host.runs_from(Path::new("/no/such/place")));
        }
    }

    #[test]
    fn the_booted_stick_is_known_by_its_device() {
        let mountinfo = "1 1 0:9 / / rw - tmpfs x rw\n\
            2 1 8:17 / /run/initramfs/live rw - vfat /dev/sdb1 rw\n";
        let (_place, host) = host(&[("proc/self/mountinfo", mountinfo)]);
        assert!(host.booted(STICK, true, (0, 0)));
        let other = Device { minor: 18, ..STICK };
        assert!(!host.booted(other, true, (0, 0)));
        // A folder somewhere on the same file system is another one.
        assert!(!host.booted(STICK, false, (0, 0)));
    }

    #[test]
    fn a_device_beneath_another_is_held() {
        let (_place, host) = host(&[("sys/dev/block/8:17/holders/dm-3/x", "")]);
        let wanted = Wanted {
            devices: vec![STICK],
            ..Wanted::default()
        };
        assert!(matches!(host.held(&wanted).unwrap(), InUse::Held(text) if text.contains("dm-3")));
    }

    #[test]
    fn what_cannot_be_found_out_is_unknown() {
        use std::os::unix::fs::MetadataExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(8192).unwrap();
        let path = file.path().to_str().unwrap();
        let metadata = file.as_file().metadata().unwrap();
        let machine = |backing: &str, sectors: &str| {
            host(&[
                ("sys/block/loop0/loop/backing_file", backing),
                ("sys/block/loop0/loop/offset", "0\n"),
                ("sys/block/loop0/loop/sizelimit", "0\n"),
                ("sys/block/loop0/dev", "7:0\n"),
                ("sys/dev/block/7:0/size", sectors),
                ("sys/block/loop1/size", "0\n"),
            ])
        };
        let wanted = |inode: u64, only_name: Option<&str>| Wanted {
            files: vec![WantedFile {
                on: Device::from_raw(metadata.dev()),
                inode,
                only_name: only_name.map(str::to_owned),
            }],
            ..Wanted::default()
        };
        let held = |backing: &str, sectors: &str, wanted: &Wanted| {
            let (_place, host) = machine(backing, sectors);
            host.held(wanted).unwrap()
        };
        let (one, other) = (metadata.ino(), metadata.ino() + 1);
        assert_eq!(held(path, "16\n", &wanted(other, Some("x"))), InUse::Free);
        let state = held(path, "16\n", &wanted(one, Some("x")));
        assert!(
            matches!(state, InUse::Held(_)),
            "by what it is, not by its name"
        );
        let ours = Wanted {
            ours: Some(Device { major: 7, minor: 0 }),
            ..wanted(one, None)
        };
        assert_eq!(held(path, "16\n", &ours), InUse::Free);
        // Removed, out of reach, or not what the loop device shows: then its name is all there
        // is, and tells something only of a file without other names.
        let name = file.path().file_name().unwrap().to_str().unwrap();
        let removed = format!("{path} (deleted)");
        let away = format!("/no/such/{name}");
        for (backing, sectors) in [(&*removed, "16"), (&away, "16"), (path, "15")] {
            let unknown = |only_name| {
                let state = held(backing, sectors, &wanted(other, only_name));
                matches!(state, InUse::Unknown(_))
            };
            assert!(unknown(None), "{backing} {sectors}");
            assert!(unknown(Some(name)), "{backing} {sectors}");
            assert!(!unknown(Some("another")), "{backing} {sectors}");
        }
    }

    #[test]
    fn the_running_roots_store_is_the_writable_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(4096).unwrap();
        let path = file.path().to_str().unwrap();
        let (_place, host) = host(&[
            ("sys/block/dm-0/dm/name", "live-rw\n"),
            ("sys/block/dm-0/slaves/loop1/ro", "1\n"),
            ("sys/block/dm-0/slaves/loop1/dev", "7:1\n"),
            ("sys/block/dm-0/slaves/loop2/ro", "0\n"),
            ("sys/block/dm-0/slaves/loop2/dev", "7:2\n"),
            ("sys/block/loop2/loop/backing_file", path),
            ("sys/block/loop2/loop/offset", "0\n"),
            ("sys/block/loop2/loop/sizelimit", "0\n"),
            ("sys/block/loop2/dev", "7:2\n"),
            ("sys/dev/block/7:2/size", "8\n"),
        ]);
        use std::os::unix::fs::MetadataExt;
        let metadata = file.as_file().metadata().unwrap();
        let expected = match Device::from_raw(metadata.dev()).major {
            0 => LiveOverlay::Temporary,
            _ => LiveOverlay::File((metadata.dev(), metadata.ino())),
        };
        assert_eq!(host.live_overlay().unwrap(), Some(expected));
    }
}
