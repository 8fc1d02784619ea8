//! The kernel's own merge of a store into an image: device-mapper's `snapshot-merge`.
//!
//! Table and status are those of Documentation/admin-guide/device-mapper/snapshot.rst.

use crate::error::{Doing, Error, Part, Result};
use crate::overlay::live::{Reported, ask};
use crate::stick::{Loop, Window};
use crate::units::{Bytes, ChunkSize, SECTOR, Sectors};
use devicemapper::{DM, DevId, DmError, DmFlags, DmNameBuf, DmOptions};
use std::fs::File;
use std::io;
use std::time::Duration;

const TARGET: &str = "snapshot-merge";
/// How often the kernel is asked how far it is.
const PAUSE: Duration = Duration::from_millis(50);

/// Whether the kernel can do it at all.
///
/// # Errors
/// `Unsupported` without device-mapper. Its target is loaded when it is first asked for.
pub(super) fn available() -> Result<()> {
    match DM::new() {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::unsupported(
            Part::Scratch,
            format!("this kernel has no device-mapper ({error})"),
        )),
    }
}

/// Merges the store in the file `store`, which loses its list on the way, into `image`.
/// `tell` learns which part of it is done, and may end it.
///
/// Whatever way it ends, the device and both loop devices are gone.
///
/// # Errors
/// `Damaged` where the kernel gives up; `tell`'s own.
pub(super) fn merge(
    image: &File,
    store: &File,
    chunk: ChunkSize,
    mut tell: impl FnMut(f64) -> Result<()>,
) -> Result<()> {
    let length = image.metadata().doing("looking at the scratch file")?.len();
    let whole = Window {
        offset: Bytes(0),
        length: None,
        read_only: false,
    };
    // Before anything that it could hold on to, should we end at this instant.
    let sectors = Sectors(length / SECTOR);
    let device = Merging::create(sectors)?;
    let image = Loop::attach(image, whole)?;
    let store = Loop::attach(store, whole)?;
    let parameters = format!(
        "{} {} P {}",
        image.number()?,
        store.number()?,
        chunk.sectors()
    );
    device.begin(sectors, parameters)?;
    let mut first = None;
    loop {
        let left = device.left()?;
        let most = *first.get_or_insert(left);
        tell(1.0 - left.0 as f64 / most.0.max(1) as f64)?;
        if left == Sectors(0) {
            return device.end();
        }
        std::thread::sleep(PAUSE);
    }
}

/// The device that merges. It ends with this process: the kernel removes it when the last one
/// closes it.
struct Merging {
    dm: DM,
    name: DmNameBuf,
    open: Option<File>,
    removed: bool,
}

impl Merging {
    /// A device that is none yet, of `length`, and goes when we do.
    fn create(length: Sectors) -> Result<Merging> {
        let dm = DM::new().map_err(failed)?;
        let name = DmNameBuf::new(format!("sugar-cellar-{}", std::process::id()));
        let name = name.map_err(failed)?;
        let created = dm
            .device_create(&name, None, DmOptions::private())
            .map_err(failed)?;
        let mut device = Merging {
            dm,
            name,
            open: None,
            removed: false,
        };
        // There is no node to open before the first table (since Linux 5.15).
        device.load(length, "error", String::new())?;
        device.tie(created.device().minor);
        Ok(device)
    }

    fn load(&self, length: Sectors, target: &str, parameters: String) -> Result<()> {
        let table = [(0, length.0, target.to_owned(), parameters)];
        self.dm
            .table_load(&self.id(), &table, DmOptions::default())
            .map_err(failed)?;
        Ok(())
    }

    fn begin(&self, length: Sectors, parameters: String) -> Result<()> {
        self.load(length, TARGET, parameters)?;
        self.dm
            .device_suspend(&self.id(), DmOptions::private())
            .map_err(failed)?;
        Ok(())
    }

    fn id(&self) -> DevId<'_> {
        DevId::Name(&self.name)
    }

    /// Has the kernel remove the device once we do not hold it any more, however we end. Without
    /// a node to open, only an orderly end removes it.
    fn tie(&mut self, minor: u32) {
        let node = format!("/dev/dm-{minor}");
        match File::open(&node) {
            Ok(open) => self.open = Some(open),
            Err(error) => return log::warn!("{node}: {error}"),
        }
        let later = DmOptions::private().set_flags(DmFlags::DM_DEFERRED_REMOVE);
        if let Err(error) = self.dm.device_remove(&self.id(), later) {
            log::warn!("asking to have {} removed later: {error}", self.id());
        }
    }

    /// What is not merged yet.
    fn left(&self) -> Result<Sectors> {
        match ask(&self.dm, &self.name)?.map(|live| live.reported) {
            Some(Reported::Figures { used, metadata, .. }) => Ok(used.saturating_sub(metadata)),
            other => Err(Error::damaged(
                Part::Overlay,
                format!("the kernel does not merge it: {other:?}"),
            )),
        }
    }

    fn end(mut self) -> Result<()> {
        self.remove().map_err(failed)
    }

    fn remove(&mut self) -> std::result::Result<(), DmError> {
        self.removed = true;
        self.open = None;
        match self.dm.device_remove(&self.id(), DmOptions::private()) {
            Ok(_) => Ok(()),
            // The kernel was quicker.
            Err(_) if self.dm.device_info(&self.id()).is_err() => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Merging {
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        if let Err(error) = self.remove() {
            log::error!("removing {}: {error}", self.id());
        }
    }
}

fn failed(error: DmError) -> Error {
    Error::Io {
        doing: "merging with device-mapper".to_owned(),
        source: io::Error::other(error.to_string()),
    }
}
