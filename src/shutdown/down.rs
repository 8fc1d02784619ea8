//! Takes down all that stands on the stick, once nobody runs from it.

use super::{OURS, STICK};
use crate::error::{Doing, Error, Part, Result};
use crate::stick::{Device, Host};
use devicemapper::{DM, DevId, DmOptions};
use loopdev::LoopDevice;
use rustix::mount::{UnmountFlags, unmount};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where systemd leaves the root that the system ran from.
const OLD_ROOT: &str = "/oldroot";
/// What dracut calls the devices that it makes of a stick begins so.
const LIVE: &str = "live-";
/// Where udev listens, as long as it runs.
const UDEV: &str = "/run/udev/control";
/// How long the kernel is given to let go of it all; a moment is enough.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);

/// Takes down the old root, the snapshot, its loop devices and the stick's mount; gives the
/// stick's device node. To be called where [`super::is_here`] says so.
///
/// # Errors
/// `Busy` where something holds on to the stick: it is not to be changed then. `Io`.
pub fn take_down() -> Result<PathBuf> {
    let note = Path::new("/").join(OURS).join(STICK);
    let text = fs::read_to_string(note).doing("reading which stick it is")?;
    let device = Device::parse(&text);
    let device =
        device.ok_or_else(|| Error::not_found(Part::Stick, format!("no device {text}")))?;
    let host = Host::default();
    let node = host.node(device);
    let node = node.ok_or_else(|| Error::not_found(Part::Stick, format!("no node of {device}")))?;
    // udev is gone, and what it leaves would have device-mapper wait for it.
    match fs::remove_file(UDEV) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).doing("clearing what udev left");
        }
        _ => {}
    }
    rustix::fs::sync();
    let end = Instant::now() + PATIENCE;
    loop {
        let left = round(&host, device)?;
        if left.is_empty() {
            return Ok(node);
        }
        if Instant::now() > end {
            let detail = format!("in use at shutdown: {}", left.join(", "));
            return Err(Error::Busy { detail });
        }
        std::thread::sleep(PAUSE);
    }
}

/// Takes down what can be; gives what is left.
///
/// Mounts are taken out of the tree at once, and are gone when the last one lets go of them:
/// what stood on them tells by staying.
fn round(host: &Host, stick: Device) -> Result<Vec<String>> {
    let mut left = Vec::new();
    for mount in host.mounts().iter().rev() {
        let old = mount.point.starts_with(OLD_ROOT);
        // Number 0: file systems of no device, which hold nothing.
        if !(old || mount.device.major != 0) || mount.point == Path::new("/") {
            continue;
        }
        if let Err(error) = unmount(&mount.point, UnmountFlags::DETACH) {
            log::info!("{}: {error}", mount.point.display());
        }
    }
    for name in live_devices()? {
        left.push(name);
    }
    for bound in host.loops().doing("asking for loop devices")? {
        let detached = LoopDevice::open(Path::new("/dev").join(&bound.name))
            .and_then(|device| device.detach());
        if let Err(error) = detached {
            log::info!("{}: {error}", bound.name);
        }
        left.push(bound.name);
    }
    if left.is_empty() && host.claimed(stick) {
        left.push(format!("device {stick}"));
    }
    Ok(left)
}

/// Removes the devices that dracut made; gives those that are still there.
fn live_devices() -> Result<Vec<String>> {
    let failed = |error: devicemapper::DmError| Error::Io {
        doing: "asking device-mapper".to_owned(),
        source: std::io::Error::other(error.to_string()),
    };
    let dm = DM::new().map_err(failed)?;
    let mut left = Vec::new();
    for (name, ..) in dm.list_devices().map_err(failed)? {
        let called = name.to_string();
        if !called.starts_with(LIVE) {
            continue;
        }
        if let Err(error) = dm.device_remove(&DevId::Name(&name), DmOptions::default()) {
            log::info!("{called}: {error}");
            left.push(called);
        }
    }
    Ok(left)
}
