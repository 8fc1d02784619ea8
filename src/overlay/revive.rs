//! Takes up again a store that the kernel gave up.
//!
//! The kernel marks a store invalid when it runs full and its table has no `O`, or when a write into
//! it fails; it then reads nothing of it any more, and the stick does not start. What it lists is
//! whole all the same. The mark is the header's alone: one sector, written whole or not at all.

use super::editor::Editor;
use super::exceptions::ExceptionStore;
use super::format::RawHeader;
use crate::error::{Doing, Error, Part, Result};
use crate::storage::{ReadAt, Storage};
use crate::units::SECTOR;

/// Brings to the device what an earlier run wrote of header and list and could not make durable, so that
/// memory and device are the same. Comes before anything is read to decide by.
///
/// # Errors
/// `Damaged` where the list contradicts itself. `Io`.
pub fn settle(store: &dyn Storage) -> Result<()> {
    let list = ExceptionStore::read_given_up(store, None)?;
    if !list.is_valid() {
        return Ok(());
    }
    Editor::open(store, &revive(store, &list)?).map(drop)
}

/// Marks the store valid; `list` is what [`ExceptionStore::read_given_up`] read of it. The kernel
/// then reads it as one that is full but not given up. Gives the list as it reads now.
///
/// A store that is valid on its device is left alone: where it is so in memory only, an earlier run could
/// not make it durable.
///
/// # Errors
/// `Refused` where the list is not `list`; nothing is written then. `Io`.
pub fn revive(store: &dyn Storage, list: &ExceptionStore) -> Result<ExceptionStore> {
    let doing = "taking up the overlay that the kernel gave up";
    if list.is_valid() {
        let header = |from: &dyn ReadAt| {
            let mut sector = [0; SECTOR as usize];
            from.read_at(&mut sector, 0).map(|()| sector)
        };
        let device = store.uncached().and_then(|device| header(&*device));
        if header(store).doing(doing)? == device.doing(doing)? {
            return Ok(list.clone());
        }
    }
    if ExceptionStore::read_given_up(store, None)? != *list {
        let detail = "the overlay's exception list changed since it was read";
        return Err(Error::refused(Part::Overlay, detail));
    }
    store
        .write_at(&RawHeader::sector(list.chunk_size()), 0)
        .doing(doing)?;
    store.sync().doing(doing)?;
    ExceptionStore::read(store, None)
}
