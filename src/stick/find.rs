//! Sticks that nobody named: what is plugged in and holds a LiveOS.
//!
//! Looked for among removable devices, those on USB or in a card reader, and
//! the booted one. A mounted file system is looked into where it is mounted; an
//! unmounted one is mounted to look by root only, unchanged, for this process
//! alone. Anybody else gets what udev knows: then it is a guess.

use super::host::{Device, Host};
use super::layout::LIVE_OS;
use super::mount::Access;
use super::mounts::Mount;
use super::reach::{Caller, live_os};
use crate::error::Error;
use crate::protocol::Found;
use crate::units::Bytes;
use std::path::{Path, PathBuf};

/// Kinds of whole disks that are no sticks, by the start of their names.
const NO_DISKS: [&str; 9] = [
    "loop", "ram", "zram", "dm-", "md", "nbd", "fd", "sr", "mtdblock",
];
/// What file systems of live sticks are.
const KINDS: [&str; 6] = ["vfat", "ext4", "ext3", "ext2", "iso9660", "msdos"];
/// What labels of live sticks have in them, in small letters.
const LABELS: [&str; 5] = ["live", "soas", "sugar", "fedora", "olpc"];

/// How sure it is that there is a stick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sureness {
    /// Its LiveOS was seen.
    Seen,
    /// Its label speaks for it; nobody could look.
    Likely,
    /// Its file system could hold one; nobody could look.
    Possible,
}

/// A stick, or what may be one.
#[derive(Debug, Clone, PartialEq)]
pub struct Sighting {
    /// What is known of it. Its `path` opens it: `live`, or a device's node.
    pub found: Found,
    /// How sure it is.
    pub sureness: Sureness,
}

/// All sticks of this machine: the booted one first, then by name.
pub fn find() -> Vec<Sighting> {
    find_as(&Caller::current())
}

/// As [`find`], for a given caller.
pub fn find_as(caller: &Caller) -> Vec<Sighting> {
    let mounts = caller.host.mounts();
    let booted = booted(&caller.host, &mounts);
    let mut sightings = Vec::new();
    if let Some(mount) = booted {
        let known = Known {
            path: "live".to_owned(),
            file_system: mount.file_system.clone(),
            mounted: Some(mount.point.clone()),
            booted: true,
        };
        sightings.push(Sighting {
            found: describe(&caller.host, mount.device, known),
            sureness: Sureness::Seen,
        });
    }
    for disk in disks(&caller.host) {
        let parts = caller.host.partitions(disk);
        let of_booted = |device: &Device| booted.is_some_and(|mount| mount.device == *device);
        if of_booted(&disk) || parts.iter().any(of_booted) {
            continue;
        }
        let look = |device: Device| look(caller, &mounts, device);
        let mut here: Vec<Sighting> = parts.into_iter().filter_map(look).collect();
        // A hybrid image's partitions may be none: the disk itself is the stick.
        let seen = |one: &Sighting| one.sureness == Sureness::Seen;
        if !here.iter().any(seen) {
            match look(disk) {
                Some(whole) if seen(&whole) => here = vec![whole],
                Some(whole) if here.is_empty() => here.push(whole),
                _ => {}
            }
        }
        // Guesses beside what was seen are its other partitions.
        if here.iter().any(seen) {
            here.retain(seen);
        }
        sightings.extend(here);
    }
    sightings
}

/// Where the running system's stick is mounted.
pub(super) fn booted<'a>(host: &Host, mounts: &'a [Mount]) -> Option<&'a Mount> {
    let has_live = |mount: &&Mount| host.path(below(&mount.point)).join(LIVE_OS).is_dir();
    mounts
        .iter()
        .filter(|mount| mount.of_initramfs() && mount.whole())
        .find(has_live)
}

/// An absolute path, to be taken below the host's root.
fn below(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

/// Whole disks that can be taken out.
fn disks(host: &Host) -> Vec<Device> {
    let names = host.names("sys/block").into_iter();
    let portable = names.filter(|name| {
        let folder = Path::new("sys/block").join(name);
        let text = |file| host.text(folder.join(file)).unwrap_or_default();
        !NO_DISKS.iter().any(|kind| name.starts_with(kind))
            && text("size") != "0"
            && (text("removable") == "1" || place(host, name).is_some_and(|place| outside(&place)))
    });
    portable
        .filter_map(|name| Device::parse(&host.text(format!("sys/block/{name}/dev"))?))
        .collect()
}

/// Where in the machine's tree of devices a disk hangs.
fn place(host: &Host, disk: &str) -> Option<PathBuf> {
    std::fs::canonicalize(host.path("sys/block").join(disk)).ok()
}

/// Whether it hangs on a bus for things that are plugged in.
fn outside(place: &Path) -> bool {
    place.components().any(|part| {
        let part = part.as_os_str().to_string_lossy();
        ["usb", "mmc", "fw"].iter().any(|bus| {
            let number = part.strip_prefix(bus);
            number.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
        })
    })
}

fn look(caller: &Caller, mounts: &[Mount], device: Device) -> Option<Sighting> {
    let host = &caller.host;
    let mount = mounts
        .iter()
        .find(|mount| mount.device == device && mount.whole());
    let (file_system, sureness) = match mount {
        Some(mount) => {
            let place = host.path(below(&mount.point)).join(LIVE_OS);
            match std::fs::symlink_metadata(place) {
                Ok(found) if found.is_dir() => (mount.file_system.clone(), Sureness::Seen),
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                    let kind = mount.file_system.clone();
                    let guess = guess(host, device);
                    (kind, guess)
                }
                _ => return None,
            }
        }
        None if caller.root => match caller.file_system(device, Access::Read) {
            Ok(found) => {
                live_os(&found.root).ok()?;
                (found.facts.driver.clone(), Sureness::Seen)
            }
            Err(Error::Unsupported { .. }) => return None,
            Err(error) => {
                log::info!("{device}: {error}");
                (host.udev_kind(device)?, guess(host, device))
            }
        },
        None => (host.udev_kind(device)?, guess(host, device)),
    };
    if !KINDS.contains(&&*file_system) && sureness != Sureness::Seen {
        return None;
    }
    let known = Known {
        path: host.node_name(device)?,
        file_system,
        mounted: mount.map(|mount| mount.point.clone()),
        booted: false,
    };
    Some(Sighting {
        found: describe(host, device, known),
        sureness,
    })
}

fn guess(host: &Host, device: Device) -> Sureness {
    let label = host.name(device).label.unwrap_or_default().to_lowercase();
    match LABELS.iter().any(|word| label.contains(word)) {
        true => Sureness::Likely,
        false => Sureness::Possible,
    }
}

struct Known {
    path: String,
    file_system: String,
    mounted: Option<PathBuf>,
    booted: bool,
}

fn describe(host: &Host, device: Device, known: Known) -> Found {
    let disk = host.disk(device).unwrap_or(device);
    let text = |file: &str| {
        let text = host.text(host.block(disk).join("device").join(file))?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    // Disks say maker and model apart, cards have a name.
    let model: Vec<String> = [text("vendor"), text("model")]
        .into_iter()
        .flatten()
        .collect();
    let model = match model.is_empty() {
        true => text("name"),
        false => Some(model.join(" ")),
    };
    let name = host.name(device);
    Found {
        path: known.path,
        device: host.node_name(device),
        mounted: known
            .mounted
            .map(|point| point.to_string_lossy().into_owned()),
        label: name.label,
        uuid: name.uuid,
        file_system: known.file_system,
        bytes: host.size(device).unwrap_or(Bytes(0)),
        booted: known.booted,
        model,
        port: host.port(device),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A machine with a hard disk, a stick in port 1-4.2 with two partitions, a card, and a
    /// stick in port 2-1 that is not mounted.
    struct Machine {
        place: tempfile::TempDir,
    }

    impl Machine {
        fn new() -> Machine {
            let machine = Machine {
                place: tempfile::tempdir().unwrap(),
            };
            let usb = "sys/devices/pci0000:00/usb1/1-4/1-4.2/1-4.2:1.0/host0/block";
            machine.disk("sys/devices/pci0000:00/ata1/host9/block", "sda", "8:0", "0");
            machine.part(
                "sys/devices/pci0000:00/ata1/host9/block/sda",
                "sda1",
                "8:1",
                "SYSTEM",
            );
            machine.disk(usb, "sdb", "8:16", "1");
            machine.put(&format!("{usb}/sdb/device/vendor"), "ACME    \n");
            machine.put(&format!("{usb}/sdb/device/model"), " Stick 3000 \n");
            machine.part(&format!("{usb}/sdb"), "sdb1", "8:17", "EFI");
            machine.part(&format!("{usb}/sdb"), "sdb2", "8:18", "SOAS");
            let card = "sys/devices/platform/mmc_host/mmc0/mmc0:1/block";
            machine.disk(card, "mmcblk0", "179:0", "0");
            machine.put(&format!("{card}/mmcblk0/device/name"), "SC16G\n");
            machine.part(&format!("{card}/mmcblk0"), "mmcblk0p1", "179:1", "PHOTOS");
            let other = "sys/devices/pci0000:00/usb2/2-1/2-1:1.0/host1/block";
            machine.disk(other, "sdc", "8:32", "1");
            machine.udev("8:32", "sugar-live");
            machine
        }

        fn put(&self, path: &str, text: &str) {
            let path = self.place.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn udev(&self, number: &str, label: &str) {
            let text = format!(
                "E:ID_FS_TYPE=vfat\nE:ID_FS_LABEL_ENC={label}\nE:ID_FS_UUID_ENC=12AB-34CD\n"
            );
            self.put(&format!("run/udev/data/b{number}"), &text);
        }

        fn device(&self, folder: &str, name: &str, number: &str) {
            let path = format!("{folder}/{name}");
            self.put(&format!("{path}/dev"), &format!("{number}\n"));
            self.put(&format!("{path}/size"), "2048\n");
            self.put(
                &format!("{path}/uevent"),
                &format!("MAJOR=8\nDEVNAME={name}\n"),
            );
            let root = self.place.path();
            for link in [
                format!("sys/dev/block/{number}"),
                format!("sys/block/{name}"),
            ] {
                fs::create_dir_all(root.join(&link).parent().unwrap()).unwrap();
                symlink(root.join(&path), root.join(&link)).unwrap();
            }
        }

        fn disk(&self, folder: &str, name: &str, number: &str, removable: &str) {
            self.device(folder, name, number);
            self.put(&format!("{folder}/{name}/removable"), removable);
        }

        fn part(&self, disk: &str, name: &str, number: &str, label: &str) {
            self.device(disk, name, number);
            self.put(&format!("{disk}/{name}/partition"), "1\n");
            fs::remove_file(self.place.path().join("sys/block").join(name)).unwrap();
            self.udev(number, label);
        }

        fn found(&self, mountinfo: &str) -> Vec<Sighting> {
            self.put("proc/self/mountinfo", mountinfo);
            find_as(&Caller {
                host: Host::at(self.place.path()),
                root: false,
                by_pkexec: false,
            })
        }
    }

    fn paths(sightings: &[Sighting]) -> Vec<(&str, Sureness)> {
        sightings
            .iter()
            .map(|one| (&*one.found.path, one.sureness))
            .collect()
    }

    #[test]
    fn without_rights_and_mounts_it_is_a_guess() {
        let found = Machine::new().found("");
        let expected = [
            ("/dev/mmcblk0p1", Sureness::Possible),
            ("/dev/sdb1", Sureness::Possible),
            ("/dev/sdb2", Sureness::Likely),
            ("/dev/sdc", Sureness::Likely),
        ];
        assert_eq!(paths(&found), expected);
        let stick = &found[2].found;
        assert_eq!(stick.model.as_deref(), Some("ACME Stick 3000"));
        assert_eq!(stick.port.as_deref(), Some("1-4.2"));
        assert_eq!(stick.label.as_deref(), Some("SOAS"));
        assert_eq!(stick.uuid.as_deref(), Some("12AB-34CD"));
        assert_eq!(
            (stick.bytes, stick.mounted.as_deref()),
            (Bytes(1 << 20), None)
        );
        let card = &found[0].found;
        assert_eq!(
            (card.model.as_deref(), card.port.as_deref()),
            (Some("SC16G"), None)
        );
        assert_eq!(found[3].found.port.as_deref(), Some("2-1"));
    }

    #[test]
    fn what_is_mounted_is_looked_into() {
        let machine = Machine::new();
        machine.put("media/ann/SOAS/LiveOS/squashfs.img", "");
        machine.put("media/ann/PHOTOS/DCIM/1.jpg", "");
        let found = machine.found(
            "1 2 8:18 / /media/ann/SOAS rw - vfat /dev/sdb2 rw\n\
             3 2 179:1 / /media/ann/PHOTOS rw - vfat /dev/mmcblk0p1 rw\n",
        );
        let expected = [
            ("/dev/sdb2", Sureness::Seen),
            ("/dev/sdc", Sureness::Likely),
        ];
        assert_eq!(paths(&found), expected);
        assert_eq!(found[0].found.mounted.as_deref(), Some("/media/ann/SOAS"));
        assert_eq!(found[0].found.device.as_deref(), Some("/dev/sdb2"));
    }

    #[test]
    fn the_booted_one_comes_first_and_once() {
        let machine = Machine::new();
        machine.put("run/initramfs/live/LiveOS/squashfs.img", "");
        let found = machine.found(
            "9 1 0:5 / /run/initramfs/squashfs ro - squashfs /dev/loop0 ro\n\
             1 1 8:18 / /run/initramfs/live rw - vfat /dev/sdb2 rw\n\
             2 1 8:18 / /media/ann/SOAS rw - vfat /dev/sdb2 rw\n",
        );
        assert_eq!(paths(&found)[0], ("live", Sureness::Seen));
        assert!(found[0].found.booted);
        assert_eq!(found[0].found.device.as_deref(), Some("/dev/sdb2"));
        assert_eq!(found.iter().filter(|one| one.found.booted).count(), 1);
        assert!(
            !found
                .iter()
                .any(|one| one.found.path.starts_with("/dev/sdb"))
        );
    }

    #[test]
    fn buses_are_told_from_their_likes() {
        for (path, is_outside) in [
            ("/sys/devices/pci0000:00/0000:00:14.0/usb1/1-4/host0", true),
            ("/sys/devices/platform/soc/mmc_host/mmc1/mmc1:aaaa", true),
            ("/sys/devices/pci0000:00/ata1/host0", false),
            ("/sys/devices/usb/fwupd/mmc_host", false),
        ] {
            assert_eq!(outside(Path::new(path)), is_outside, "{path}");
        }
    }
}
