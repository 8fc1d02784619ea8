//! What is mounted where, by the kernel's own list.

use super::host::{Device, Host};
use super::loops::Bound;
use crate::units::Bytes;
use std::path::{Path, PathBuf};

/// Below this, dracut keeps what the running system was started from.
pub const INITRAMFS: &str = "/run/initramfs";

/// One line of mountinfo (proc(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The mount's number, as fdinfo names it.
    pub id: u64,
    /// The mounted file system's device number.
    pub device: Device,
    /// The folder of the file system that is mounted: `/`, but for binds.
    pub root: String,
    /// Where.
    pub point: PathBuf,
    /// The mount's own options, as the kernel lists them.
    pub options: String,
    /// The driver's name.
    pub file_system: String,
    /// Whether the file system as a whole is read-only.
    pub read_only: bool,
}

impl Mount {
    /// Whether the whole file system is mounted, and not a folder of it.
    pub fn whole(&self) -> bool {
        self.root == "/"
    }

    /// Whether it is mounted with `option`.
    pub fn has(&self, option: &str) -> bool {
        self.options.split(',').any(|one| one == option)
    }

    /// Whether dracut mounted it for the running system.
    pub fn of_initramfs(&self) -> bool {
        self.point.starts_with(INITRAMFS) && self.point != Path::new(INITRAMFS)
    }

    /// `None` for a line that is not one of mountinfo.
    fn parse(line: &str) -> Option<Mount> {
        let (front, back) = line.split_once(" - ")?;
        let mut front = front.split(' ');
        let id = front.next()?.parse().ok()?;
        let device = Device::parse(front.nth(1)?)?;
        let root = plain(front.next()?);
        let point = plain(front.next()?);
        let options = front.next()?.to_owned();
        let mut back = back.split(' ');
        let file_system = plain(back.next()?);
        let of_all = back.nth(1)?;
        Some(Mount {
            id,
            device,
            root,
            point: PathBuf::from(point),
            options,
            file_system,
            read_only: of_all.split(',').any(|option| option == "ro"),
        })
    }
}

/// All lines of a mountinfo text.
pub fn parse(text: &str) -> Vec<Mount> {
    text.lines().filter_map(Mount::parse).collect()
}

impl Host {
    /// What this process sees mounted.
    pub fn mounts(&self) -> Vec<Mount> {
        self.mounts_of("self")
    }

    /// What this process or, where we may ask, the first one sees mounted.
    pub fn all_mounts(&self) -> Vec<Mount> {
        let mut mounts = self.mounts_of("self");
        mounts.extend(self.mounts_of("1"));
        mounts
    }

    /// What is free of the file system in the file with this device and inode number, where it is
    /// mounted by a loop device.
    pub(super) fn free_in(&self, file: (u64, u64)) -> Option<Bytes> {
        let file = (Device::from_raw(file.0), file.1);
        let holds = |bound: &Bound| bound.held.is_some_and(|held| (held.on, held.inode) == file);
        let bound = self.loops().ok()?.into_iter().find(holds)?;
        let shows = |mount: &Mount| mount.device == bound.device && mount.whole();
        let mount = self.mounts().into_iter().find(shows)?;
        let point = self.path(mount.point.strip_prefix("/").ok()?);
        let space = rustix::fs::statvfs(point).ok()?;
        Some(Bytes(space.f_bfree.saturating_mul(space.f_frsize)))
    }

    fn mounts_of(&self, process: &str) -> Vec<Mount> {
        let text = self.text(format!("proc/{process}/mountinfo"));
        parse(&text.unwrap_or_default())
    }
}

/// Undoes the kernel's `\040` (fs/proc_namespace.c, `mangle`).
fn plain(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = rest
            .strip_prefix(b"\\")
            .and_then(|digits| digits.get(..3))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[4..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_whole() {
        let text = "36 35 8:17 / /media/ann/MY\\040STICK rw,nosuid shared:1 master:2 - \
            vfat /dev/sdb1 rw,uid=1000\n\
            37 35 8:18 /LiveOS /mnt rw - ext4 /dev/sdb2 ro,errors=remount-ro\n\
            nonsense\n38 35 8:19 / /x rw\n";
        let mounts = parse(text);
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[0].point, Path::new("/media/ann/MY STICK"));
        assert_eq!(mounts[0].file_system, "vfat");
        assert!(mounts[0].whole() && !mounts[0].read_only);
        assert!(!mounts[1].whole() && mounts[1].read_only);
        assert_eq!(
            mounts[1].device,
            Device {
                major: 8,
                minor: 18
            }
        );
    }

    #[test]
    fn what_is_mounted_from_a_file_is_asked() {
        use std::os::unix::fs::MetadataExt;
        let place = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = place.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("overlay", &"x".repeat(1024));
        let overlay = place.path().join("overlay");
        for (name, text) in [
            ("loop/backing_file", overlay.to_str().unwrap()),
            ("loop/offset", "0"),
            ("loop/sizelimit", "0"),
            ("dev", "7:0"),
            ("size", "2"),
        ] {
            put(&format!("sys/block/loop0/{name}"), text);
            put(&format!("sys/dev/block/7:0/{name}"), text);
        }
        put("run/initramfs/overlayfs/x", "");
        let found = std::fs::metadata(&overlay).unwrap();
        let free = || Host::at(place.path()).free_in((found.dev(), found.ino()));
        assert_eq!(free(), None);
        let mounted = "1 2 7:0 / /run/initramfs/overlayfs rw - xfs /dev/loop0 rw\n";
        put("proc/self/mountinfo", mounted);
        assert!(free().is_some());
    }

    #[test]
    fn initramfs_is_told_from_its_neighbours() {
        for (point, expected) in [
            ("/run/initramfs/live", true),
            ("/run/initramfs/isoscan", true),
            ("/run/initramfs", false),
            ("/run/initramfs2/live", false),
            ("/home/run/initramfs/live", false),
        ] {
            let line = format!("1 2 8:1 / {point} ro - ext4 x ro");
            assert_eq!(parse(&line)[0].of_initramfs(), expected, "{point}");
        }
    }
}
