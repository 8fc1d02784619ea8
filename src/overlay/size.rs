//! Grow and shorten: the store's length is one number, so each is one step.
//!
//! Some lengths are traps. When an area is full, the kernel wipes the next one before it
//! writes the full one; where the store ends exactly there, that fails, and the kernel
//! gives the whole store up instead of reporting it full. Such lengths are never set.

use super::exceptions::ExceptionStore;
use super::format::Layout;
use crate::error::{Doing, Error, Part, Result};
use crate::storage::Storage;
use crate::units::{Bytes, ChunkSize, Chunks};

/// Makes the store `length` bytes long, or a little less; never shorter than it is.
///
/// Room on the stick is set aside for it where the file system can. Returns the length.
///
/// # Errors
/// `Refused` for an invalid store. `Io`, with the kind of a full stick among it; the store
/// is then as long as it was.
pub fn grow(store: &dyn Storage, list: &ExceptionStore, length: Bytes) -> Result<Bytes> {
    // A running system may list more meanwhile.
    let now = ExceptionStore::read(store, None)?;
    if !now.is_valid() || now.layout() != list.layout() {
        let detail = "the overlay is marked invalid, or has other chunks than before";
        return Err(Error::refused(Part::Overlay, detail));
    }
    let old = store.size().doing("reading the overlay's size")?;
    let chunks = match list.layout().chunk().chunk_of(length) {
        trap if is_trap(list.layout(), trap) => trap.saturating_sub(Chunks(1)),
        good => good,
    };
    let length = bytes(list.layout(), chunks)?;
    if length <= old {
        return Ok(old);
    }
    if let Err(first) = store.allocate(length).doing("making the overlay longer") {
        // It may have become a little longer.
        return match store.set_len(old).doing("restoring the overlay's length") {
            Ok(()) => Err(first),
            Err(second) => Err(Error::Undo {
                first: Box::new(first),
                second: Box::new(second),
            }),
        };
    }
    store.sync().doing("making the overlay's length durable")?;
    Ok(length)
}

/// Cuts the store behind its last used chunk, leaving `reserve` bytes or a little more.
///
/// Never makes it longer. Returns the length.
///
/// # Errors
/// `Refused` for an invalid store or where the list is not `list`. `Io`.
pub fn shorten(store: &dyn Storage, list: &ExceptionStore, reserve: Bytes) -> Result<Bytes> {
    unchanged(store, list)?;
    let old = store.size().doing("reading the overlay's size")?;
    let length = shortened(list, reserve)?;
    if length >= old {
        return Ok(old);
    }
    store.set_len(length).doing("making the overlay shorter")?;
    store.sync().doing("making the overlay's length durable")?;
    Ok(length)
}

/// How long [`shorten`] would make the store, were it longer than that.
///
/// # Errors
/// `Refused` where no 64-bit number is that long.
pub fn shortened(list: &ExceptionStore, reserve: Bytes) -> Result<Bytes> {
    let layout = list.layout();
    // With repeats in the list, its end mark may lie behind all data.
    let area = layout.area_chunk(list.last_area());
    let used = layout
        .next_free(list.highest())
        .max(area.unwrap_or(Chunks(0)) + Chunks(1));
    // The kernel reads the header in a chunk of the table's size, whatever the header then says.
    let least = Bytes(2 * ChunkSize::LIVE.bytes().0);
    let chunks = used + layout.chunk().chunks_for(reserve);
    let chunks = chunks.max(layout.chunk().chunks_for(least));
    if is_trap(layout, chunks) {
        bytes(layout, chunks + Chunks(1))
    } else {
        bytes(layout, chunks)
    }
}

/// Whether the store has one of the lengths that are traps: when its very last chunk has been
/// used, the kernel marks it invalid. One of 256 MiB has, in chunks of 4 KiB; a chunk more mends it.
pub fn ends_before_an_area(list: &ExceptionStore) -> bool {
    is_trap(list.layout(), list.layout().chunks_in(list.total()))
}

/// Makes a store that has a trap's length a chunk longer, where there is room for one: a stick may be so
/// full that there is none, and what was done to it is done all the same. Nor where `may_grow` says why not.
pub fn leave_trap(
    store: &dyn Storage,
    list: &ExceptionStore,
    may_grow: impl FnOnce() -> Result<()>,
) {
    if !ends_before_an_area(list) {
        return;
    }
    let chunks = list.layout().chunks_in(list.total()) + Chunks(1);
    let grown = may_grow()
        .and_then(|()| bytes(list.layout(), chunks))
        .and_then(|length| grow(store, list, length));
    if let Err(error) = grown {
        log::warn!("the overlay keeps its length, which the kernel cannot use up: {error}");
    }
}

fn is_trap(layout: Layout, chunks: Chunks) -> bool {
    layout.is_metadata(chunks)
}

fn bytes(layout: Layout, chunks: Chunks) -> Result<Bytes> {
    let bytes = layout.chunk().offset(chunks);
    bytes.ok_or_else(|| Error::refused(Part::Overlay, format!("{chunks} chunks")))
}

/// Refuses unless the store is valid and lists what `list` does.
fn unchanged(store: &dyn Storage, list: &ExceptionStore) -> Result<()> {
    let detail = match ExceptionStore::read(store, None)? {
        now if !now.is_valid() => "the overlay is marked invalid",
        now if now != *list => "the overlay's exception list changed since it was read",
        _ => return Ok(()),
    };
    Err(Error::refused(Part::Overlay, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In chunks of less than the usual size, too.
    #[test]
    fn a_shortened_store_can_be_read_again() {
        for sectors in [1, 2, 4, 8, 16] {
            let chunk = ChunkSize::from_sectors(sectors).unwrap();
            let mut store = vec![0; 1 << 20];
            store[..512].copy_from_slice(&super::super::format::RawHeader::sector(chunk));
            let list = ExceptionStore::read(&store, None).unwrap();
            let length = shortened(&list, Bytes(0)).unwrap();
            assert!(length < Bytes(1 << 18), "{length}");
            store.truncate(length.0 as usize);
            ExceptionStore::read(&store, None).unwrap();
            // Reset, too.
            store[..4].fill(0);
            ExceptionStore::read(&store, None).unwrap();
        }
    }

    #[test]
    fn a_store_of_256_mib_is_a_trap() {
        let list = |mib: usize| {
            let mut store = vec![0; 16];
            store[..16].copy_from_slice(
                &super::super::format::RawHeader::sector(crate::units::ChunkSize::LIVE)[..16],
            );
            store.resize(mib << 20, 0);
            ExceptionStore::read(&store, None).unwrap()
        };
        assert!(ends_before_an_area(&list(256)));
        for good in [255, 257, 320] {
            assert!(!ends_before_an_area(&list(good)), "{good}");
        }
    }
}
