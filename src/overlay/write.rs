//! Makes a new exception store, as orderly as the kernel would have filled it.

use super::exceptions::ExceptionStore;
use super::format::{ENTRY_BYTES, Layout, RawHeader, entry};
use crate::error::{Doing, Error, Part, Result};
use crate::storage::Storage;
use crate::units::{Bytes, ChunkSize, Chunks, SECTOR};

/// Zeros are written in pieces of this many bytes.
const PIECE: usize = 64 << 10;

/// Makes `store`, whatever it held, an exception store with these chunks.
///
/// The store keeps its length, which must hold them. `chunks` are the image's chunks with
/// their content, each at most once; content may be short for the image's last chunk.
/// Written are the data, then the list, and when both are durable the header: until then
/// the store reads as fresh.
///
/// # Errors
/// `NoSpace` where the store is too short (it is left fresh), `Refused` for content longer
/// than a chunk, `Damaged` where a chunk was given twice.
pub fn format(
    store: &dyn Storage,
    chunk: ChunkSize,
    chunks: impl IntoIterator<Item = (Chunks, Vec<u8>)>,
) -> Result<ExceptionStore> {
    let layout = Layout::new(chunk);
    let size = store.size().doing("reading the overlay's size")?;
    write(store, &[0; SECTOR as usize], Bytes(0))?;
    sync(store)?;
    let mut next = layout.next_free(Chunks(0));
    let mut area = Area {
        layout,
        number: 0,
        entries: Vec::new(),
    };
    for (old, content) in chunks {
        if content.len() as u64 > chunk.bytes().0 {
            let detail = format!("{} bytes for chunk {old}", content.len());
            return Err(Error::refused(Part::Overlay, detail));
        }
        let place = room(layout, next, size)?;
        write(store, &content, place)?;
        area.entries.extend_from_slice(&entry(old.0, next.0));
        next = layout.next_free(next);
        if area.entries.len() as u64 == chunk.bytes().0 {
            area.write(store, size)?;
            area.number += 1;
            area.entries.clear();
        }
    }
    area.write(store, size)?;
    sync(store)?;
    write(store, &RawHeader::sector(chunk), Bytes(0))?;
    sync(store)?;
    ExceptionStore::read(store, None)
}

/// The area that is being filled.
struct Area {
    layout: Layout,
    number: u64,
    entries: Vec<u8>,
}

impl Area {
    /// Writes the entries, and zeros behind them to the area's end.
    fn write(&self, store: &dyn Storage, size: Bytes) -> Result<()> {
        let place = self.layout.area_chunk(self.number);
        let place = place.ok_or_else(|| no_room(Bytes(u64::MAX), size))?;
        let start = room(self.layout, place, size)?.0;
        write(store, &self.entries, Bytes(start))?;
        let end = start + self.layout.chunk().bytes().0;
        let mut at = start + self.entries.len() as u64;
        while at < end {
            let length = PIECE.min((end - at) as usize);
            write(store, &vec![0; length], Bytes(at))?;
            at += length as u64;
        }
        debug_assert_eq!(self.entries.len() % ENTRY_BYTES, 0);
        Ok(())
    }
}

/// Where a chunk lies, if it lies wholly in the store.
fn room(layout: Layout, chunk: Chunks, size: Bytes) -> Result<Bytes> {
    let ends = |chunk: Chunks| layout.chunk().offset(chunk + Chunks(1));
    match (layout.chunk().offset(chunk), ends(chunk)) {
        (Some(start), Some(end)) if end <= size => Ok(start),
        (_, end) => Err(no_room(end.unwrap_or(Bytes(u64::MAX)), size)),
    }
}

fn no_room(needed: Bytes, available: Bytes) -> Error {
    Error::NoSpace {
        part: Part::Overlay,
        needed,
        available,
    }
}

fn write(store: &dyn Storage, data: &[u8], at: Bytes) -> Result<()> {
    store.write_at(data, at.0).doing("writing a new overlay")
}

fn sync(store: &dyn Storage) -> Result<()> {
    store.sync().doing("making a new overlay durable")
}
