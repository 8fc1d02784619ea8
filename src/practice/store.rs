//! The overlay: which chunks of the image a learner's days changed, in the order in which they did.
//!
//! A persistent exception store as drivers/md/dm-snap-persistent.c of Linux
//! reads and writes it, with chunks of 8 sectors.

use super::sparse::next_data;
use crate::error::{Doing, Error, Part, Result};
use crate::units::{Bytes, SECTOR};
use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// 8 sectors, as dracut sets it.
const CHUNK: u64 = 8 * SECTOR;
const CHUNK_BYTES: usize = CHUNK as usize;
/// Two numbers of 64 bits an exception.
const PER_AREA: u64 = CHUNK / 16;
/// "SnAp", little endian.
const MAGIC: u32 = 0x7041_6e53;
/// Read and compared at once.
const PIECE: usize = 256 * CHUNK_BYTES;

/// The chunks in which one file differs from another, in the order in which they came to.
#[derive(Debug, Default)]
pub struct Changes {
    order: Vec<u64>,
    known: HashSet<u64>,
}

impl Changes {
    /// Adds the chunks in which `changed` differs from `base` now.
    ///
    /// Where `changed` is a hole, `base` must read as zeros.
    pub fn note(&mut self, base: &File, changed: &File) -> Result<()> {
        let doing = "comparing the practice images";
        let (mut ours, mut theirs) = (vec![0; PIECE], vec![0; PIECE]);
        let mut at = 0;
        while let Some(start) = next_data(changed, at).doing(doing)? {
            at = start / CHUNK * CHUNK;
            let left = changed.metadata().doing(doing)?.len().saturating_sub(at);
            let length = PIECE.min(left as usize);
            changed
                .read_exact_at(&mut ours[..length], at)
                .doing(doing)?;
            base.read_exact_at(&mut theirs[..length], at).doing(doing)?;
            let pairs = ours[..length]
                .chunks(CHUNK_BYTES)
                .zip(theirs[..length].chunks(CHUNK_BYTES));
            for (index, (one, other)) in pairs.enumerate() {
                let chunk = at / CHUNK + index as u64;
                if one != other && self.known.insert(chunk) {
                    self.order.push(chunk);
                }
            }
            at += length as u64;
        }
        Ok(())
    }

    /// Writes `store`, `size` long, whose exceptions are these chunks as `changed` holds them.
    pub fn write(&self, changed: &File, store: &File, size: Bytes) -> Result<()> {
        let doing = "writing the practice overlay";
        store.set_len(size.0).doing(doing)?;
        let mut header = Vec::new();
        for field in [MAGIC, 1, 1, (CHUNK / SECTOR) as u32] {
            header.extend_from_slice(&field.to_le_bytes());
        }
        store.write_all_at(&header, 0).doing(doing)?;
        let mut data = vec![0; CHUNK_BYTES];
        for (index, old) in (0..).zip(&self.order) {
            let (area, entry) = (index / PER_AREA, index % PER_AREA);
            let area_at = 1 + area * (PER_AREA + 1);
            let new = area_at + 1 + entry;
            // One chunk more than is used, for an end mark that may stand in an area of its own.
            if (new + 2) * CHUNK > size.0 {
                return Err(Error::refused(
                    Part::Overlay,
                    "the practice overlay is too small",
                ));
            }
            changed.read_exact_at(&mut data, old * CHUNK).doing(doing)?;
            store.write_all_at(&data, new * CHUNK).doing(doing)?;
            let exception = [old.to_le_bytes(), new.to_le_bytes()].concat();
            store
                .write_all_at(&exception, area_at * CHUNK + entry * 16)
                .doing(doing)?;
        }
        Ok(())
    }
}
