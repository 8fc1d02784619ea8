//! The overlay: which chunks of the image a learner's days changed, in the order in which they did.

use super::sparse::next_data;
use crate::error::{Doing, Result};
use crate::overlay;
use crate::storage::DiskFile;
use crate::units::{Bytes, ChunkSize, Chunks, SECTOR};
use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// 8 sectors, as dracut sets it.
const CHUNK: u64 = 8 * SECTOR;
const CHUNK_BYTES: usize = CHUNK as usize;
/// Read and compared at once.
const PIECE: usize = 256 * CHUNK_BYTES;

/// The chunks in which one file differs from another, in the order in which they came to.
#[derive(Debug, Default)]
pub struct Changes {
    order: Vec<u64>,
    known: HashSet<u64>,
}

impl Changes {
    /// None so far; the chunks `listed` have their place already.
    pub fn behind(listed: impl Iterator<Item = Chunks>) -> Changes {
        Changes {
            order: Vec::new(),
            known: listed.map(|chunk| chunk.0).collect(),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.order.len()
    }

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

    /// Makes the empty `store` an exception store, `size` long, with these chunks as `changed`
    /// holds them. What no chunk needs stays a hole: it is for practice, and shall take little room.
    pub fn write(&self, changed: &File, store: File, size: Bytes) -> Result<()> {
        let doing = "writing the practice overlay";
        store.set_len(size.0).doing(doing)?;
        let mut trouble = Ok(());
        let chunks = self.order.iter().map_while(|&old| {
            let mut content = vec![0; CHUNK_BYTES];
            trouble = changed.read_exact_at(&mut content, old * CHUNK);
            trouble.is_ok().then_some((Chunks(old), content))
        });
        overlay::write::format(&DiskFile::new(store), ChunkSize::LIVE, chunks)?;
        trouble.doing(doing)
    }
}
