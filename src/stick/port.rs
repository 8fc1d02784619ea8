//! The port of the computer by which a stick is reached.

use super::find::booted;
use super::host::{Device, Host};
use super::reach::{Caller, is_node};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

impl Caller {
    /// The port of what a person calls `named`: of the device itself, else of the disk that the
    /// folder or file lies on. None for what is not plugged in, or not there.
    pub fn port(&self, named: &Path) -> Option<String> {
        let device = if named == Path::new("live") {
            booted(&self.host, &self.host.mounts())?.device
        } else if self.by_pkexec && !is_node(named) {
            return None;
        } else {
            let found = std::fs::metadata(named).ok()?;
            Device::from_raw(match found.file_type().is_block_device() {
                true => found.rdev(),
                false => found.dev(),
            })
        };
        self.host.port(device)
    }
}

impl Host {
    /// The port by which a device is reached.
    pub(super) fn port(&self, device: Device) -> Option<String> {
        let place = std::fs::canonicalize(self.path(self.block(device)));
        port(&place.ok()?)
    }
}

/// The port as the kernel counts it: `1-4.2` of `…/usb1/1-4/1-4.2/1-4.2:1.0/host0/…`.
fn port(place: &Path) -> Option<String> {
    let parts = place
        .components()
        .filter_map(|part| part.as_os_str().to_str());
    let mut ports = parts.filter(|part| {
        let numbers = |text: &str| {
            !text.is_empty()
                && text
                    .split('.')
                    .all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        };
        part.split_once('-').is_some_and(|(bus, path)| {
            bus.bytes().all(|byte| byte.is_ascii_digit()) && numbers(bus) && numbers(path)
        })
    });
    ports.next_back().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A machine that has `device` at `place` in its tree.
    fn machine(device: Device, place: &str) -> tempfile::TempDir {
        let machine = tempfile::tempdir().unwrap();
        let place = machine.path().join(place);
        let numbers = machine.path().join("sys/dev/block");
        fs::create_dir_all(&place).unwrap();
        fs::create_dir_all(&numbers).unwrap();
        symlink(&place, numbers.join(device.to_string())).unwrap();
        machine
    }

    fn caller(machine: &tempfile::TempDir) -> Caller {
        Caller {
            host: Host::at(machine.path()),
            root: false,
            by_pkexec: false,
        }
    }

    const HUB: &str = "sys/devices/pci0000:00/usb1/1-4/1-4.2/1-4.2:1.0/host0/block/sdb/sdb2";

    #[test]
    fn a_folder_and_a_file_are_reached_by_their_disks_port() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("stick.img");
        fs::write(&image, "").unwrap();
        let device = Device::from_raw(fs::metadata(folder.path()).unwrap().dev());
        let plugged = machine(device, HUB);
        let mut caller = caller(&plugged);
        for named in [folder.path(), &image] {
            assert_eq!(caller.port(named).as_deref(), Some("1-4.2"));
        }
        assert_eq!(caller.port(&folder.path().join("nothing")), None);
        // No path of theirs is followed.
        caller.by_pkexec = true;
        assert_eq!(caller.port(folder.path()), None);
    }

    #[test]
    fn the_booted_one_is_reached_by_its_port() {
        let plugged = machine(Device::parse("8:18").unwrap(), HUB);
        let live = plugged.path().join("run/initramfs/live/LiveOS");
        fs::create_dir_all(live).unwrap();
        let proc = plugged.path().join("proc/self");
        fs::create_dir_all(&proc).unwrap();
        let mount = "1 1 8:18 / /run/initramfs/live rw - vfat /dev/sdb2 rw\n";
        fs::write(proc.join("mountinfo"), mount).unwrap();
        let port = caller(&plugged).port(Path::new("live"));
        assert_eq!(port.as_deref(), Some("1-4.2"));
    }

    #[test]
    fn what_is_built_in_has_no_port() {
        let device = Device::parse("8:1").unwrap();
        let on_board = "sys/devices/pci0000:00/ata1/host0-1/block/sda/sda1";
        let machine = machine(device, on_board);
        assert_eq!(Host::at(machine.path()).port(device), None);
    }
}
