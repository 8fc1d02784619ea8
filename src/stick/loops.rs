//! Loop devices: ours, which let go by themselves, and what everybody's hold.

use super::host::{Device, Host};
use crate::error::{Doing, Result};
use crate::system;
use crate::units::Bytes;
use loopdev::LoopControl;
use rustix::fd::BorrowedFd;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

/// So often another process may take the free loop device before us.
const TRIES: usize = 32;
/// How often, and how long between, it is asked whether somebody has let go: for three seconds.
const RELEASE_TRIES: usize = 150;
const RELEASE_PAUSE: Duration = Duration::from_millis(20);

/// Asks again for a moment, until the answer is `settled`; gives the last one.
///
/// Whoever looks at a stick, and udev, which looks at each new device, hold it for no longer.
pub(super) fn patiently<T>(ask: impl Fn() -> T, settled: impl Fn(&T) -> bool) -> T {
    for _ in 0..RELEASE_TRIES {
        let answer = ask();
        if settled(&answer) {
            return answer;
        }
        std::thread::sleep(RELEASE_PAUSE);
    }
    ask()
}

/// A loop device of ours. Whatever ends this process ends it: the kernel unbinds
/// it when the last one closes it, and it is bound in one call.
#[derive(Debug)]
pub struct Loop {
    device: File,
}

/// Which part of a file a loop device shows, and how.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Where it begins.
    pub offset: Bytes,
    /// Its length; none: to the file's end.
    pub length: Option<Bytes>,
    /// Whether the device refuses every write.
    pub read_only: bool,
}

impl Loop {
    /// Binds a free loop device to `file`.
    pub fn attach(file: &File, window: Window) -> Result<Loop> {
        attach(file, window).doing("setting up a loop device")
    }

    /// The device, to mount it.
    pub fn file(&self) -> &File {
        &self.device
    }

    /// Lets go of the file, and waits for a moment until the kernel has: whoever looks at new
    /// devices may hold this one a little longer than we do.
    pub fn release(self) {
        let number = self.number();
        drop(self.device);
        let Ok(number) = number else { return };
        let held = format!("/sys/dev/block/{number}/loop/backing_file");
        if patiently(|| Path::new(&held).exists(), |bound| !bound) {
            log::warn!("loop device {number} is held by somebody else, too");
        }
    }

    /// Its device number.
    pub fn number(&self) -> Result<Device> {
        let metadata = self.device.metadata().doing("asking a loop device")?;
        Ok(Device::from_raw(metadata.rdev()))
    }
}

fn attach(file: &File, window: Window) -> io::Result<Loop> {
    let control = LoopControl::open()?;
    let mut last = None;
    for _ in 0..TRIES {
        let free = control.next_free()?;
        let number = free.minor()?;
        let device = File::options()
            .read(true)
            .write(!window.read_only)
            .open(format!("/dev/loop{number}"))?;
        let limit = window.length.map_or(0, |length| length.0);
        match system::loop_configure(&device, file, window.offset.0, limit, window.read_only) {
            Ok(()) => return Ok(Loop { device }),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::ResourceBusy.into()))
}

/// What a bound loop device holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The loop device's name: `loop0`.
    pub name: String,
    /// The loop device.
    pub device: Device,
    /// What it holds; none where that cannot be found out.
    pub held: Option<Held>,
    /// The file's name as the kernel gives it: for people, not to decide by.
    pub file: String,
}

/// A file by what it is, not by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The device number of the file system that it lies on.
    pub on: Device,
    /// Its inode number there.
    pub inode: u64,
    /// Its own number, where it is a block device.
    pub own: Option<Device>,
}

impl Host {
    /// All bound loop devices.
    pub fn loops(&self) -> io::Result<Vec<Bound>> {
        let mut bound = Vec::new();
        for name in self.names("sys/block") {
            if !name.starts_with("loop") {
                continue;
            }
            let folder = Path::new("sys/block").join(&name);
            // Only a bound one has this.
            let Some(file) = self.text(folder.join("loop/backing_file")) else {
                continue;
            };
            let number = self.text(folder.join("dev"));
            let Some(device) = number.and_then(|number| Device::parse(&number)) else {
                continue;
            };
            let held = match self.asked(device) {
                Some(Err(error)) if unbound(&error) => continue,
                Some(Ok(held)) => Some(held),
                Some(Err(_)) | None => self.by_path(&folder, device, &file),
            };
            bound.push(Bound {
                name,
                device,
                held,
                file,
            });
        }
        Ok(bound)
    }

    /// Asks the device itself, which only root may open.
    fn asked(&self, device: Device) -> Option<io::Result<Held>> {
        let opened = self.open(device).ok()?;
        Some(system::loop_status(opened.file()).map(|info| Held {
            on: Device::from_raw(info.device),
            inode: info.inode,
            own: Some(Device::from_raw(info.own_device)).filter(|own| own.major != 0),
        }))
    }

    /// Follows the name that the kernel gives. It may have been removed, or be
    /// another process's view; what its size contradicts is not believed.
    fn by_path(&self, folder: &Path, device: Device, file: &str) -> Option<Held> {
        let metadata = std::fs::metadata(file).ok()?;
        let number = |name| self.text(folder.join(name))?.parse::<u64>().ok();
        let (offset, limit) = (number("loop/offset")?, number("loop/sizelimit")?);
        let kind = metadata.file_type();
        let own = kind
            .is_block_device()
            .then(|| Device::from_raw(metadata.rdev()));
        let size = match own {
            Some(own) => self.size(own)?.0,
            None => metadata.len(),
        };
        let shown = size.checked_sub(offset)?;
        let shown = if limit > 0 { shown.min(limit) } else { shown };
        (self.size(device)?.0 == shown / 512 * 512).then_some(Held {
            on: Device::from_raw(metadata.dev()),
            inode: metadata.ino(),
            own,
        })
    }
}

fn unbound(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error())
}

/// A path by which the kernel finds an open file, whatever became of its name.
pub(super) fn path_of(file: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}
