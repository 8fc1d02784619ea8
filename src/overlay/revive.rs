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
    let doing = "making the overlay's header durable";
    let header = |from: &dyn ReadAt| {
        let mut sector = [0; SECTOR as usize];
        from.read_at(&mut sector, 0).map(|()| sector)
    };
    let memory = header(store).doing(doing)?;
    let device = store.uncached().and_then(|device| header(&*device));
    if memory != device.doing(doing)? {
        store
            .write_at(&memory, 0)
            .and_then(|()| store.sync())
            .doing(doing)?;
    }
    Editor::open(store, &list).map(drop)
}

/// Marks the store valid; `list` is what [`ExceptionStore::read_given_up`] read of it. The kernel
/// then reads it as one that is full but not given up. Gives the list as it reads now.
///
/// A store that is valid is left alone.
///
/// # Errors
/// `Refused` where the list is not `list`; nothing is written then. `Io`.
pub fn revive(store: &dyn Storage, list: &ExceptionStore) -> Result<ExceptionStore> {
    if list.is_valid() {
        return Ok(list.clone());
    }
    if ExceptionStore::read_given_up(store, None)? != *list {
        let detail = "the overlay's exception list changed since it was read";
        return Err(Error::refused(Part::Overlay, detail));
    }
    let doing = "taking up the overlay that the kernel gave up";
    store
        .write_at(&RawHeader::sector(list.chunk_size()), 0)
        .doing(doing)?;
    store.sync().doing(doing)?;
    ExceptionStore::read(store, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::write::format;
    use crate::storage::Folder;
    use crate::storage::fault::{FaultFolder, Rules};
    use crate::units::{Bytes, ChunkSize};

    /// The mark is out of the header in memory, and the device still has it.
    #[test]
    fn a_mark_that_is_gone_in_memory_alone_goes_the_next_time() {
        let folder = FaultFolder::new(Rules::Fat);
        let store = folder.create("overlay").unwrap();
        store.set_len(Bytes(1 << 20)).unwrap();
        format(&store, ChunkSize::LIVE, []).unwrap();
        let valid = RawHeader::sector(ChunkSize::LIVE);
        let mut given_up = valid;
        given_up[4] = 0;
        store.write_at(&given_up, 0).unwrap();
        folder.sync().unwrap();
        folder.record();
        let header = |from: &dyn ReadAt| {
            let mut sector = [0; SECTOR as usize];
            from.read_at(&mut sector, 0).unwrap();
            sector
        };
        let on_device = || header(&*store.uncached().unwrap());

        let list = ExceptionStore::read_given_up(&store, None).unwrap();
        folder.fail_call(1, std::io::ErrorKind::Other);
        revive(&store, &list).unwrap_err();
        assert!(header(&store) == valid && on_device() == given_up);
        settle(&store).unwrap();
        assert!(on_device() == valid);
    }
}
