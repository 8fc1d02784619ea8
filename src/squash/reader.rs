//! The inner file as something to read at any place.

use super::read::{Block, Image};
use crate::error::Error;
use crate::storage::ReadAt;
use crate::units::Bytes;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// The inner file, decompressed: a few blocks that were read last are kept.
#[derive(Debug)]
pub struct InnerReader {
    image: Image,
    /// How many blocks are kept.
    most: usize,
    /// The block read last is last.
    kept: Mutex<Vec<(u64, Arc<Vec<u8>>)>>,
}

impl Image {
    /// The inner file, to read at any place from several threads. `cache_blocks` blocks are kept
    /// decompressed, one at least.
    pub fn reader(&self, cache_blocks: usize) -> InnerReader {
        InnerReader {
            image: self.clone(),
            most: cache_blocks.max(1),
            kept: Mutex::default(),
        }
    }
}

impl InnerReader {
    /// The image that it reads.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Two threads that miss the same block both decode it: rare, and nobody waits for another.
    fn block(&self, index: u64) -> Result<Arc<Vec<u8>>, Error> {
        if let Some(kept) = self.kept(index) {
            return Ok(kept);
        }
        let mut plain = Vec::new();
        self.image.read_block(index, &mut Vec::new(), &mut plain)?;
        let plain = Arc::new(plain);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= self.most {
            kept.remove(0);
        }
        kept.push((index, plain.clone()));
        Ok(plain)
    }

    fn kept(&self, index: u64) -> Option<Arc<Vec<u8>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().rposition(|(block, _)| *block == index)?;
        let one = kept.remove(found);
        let plain = one.1.clone();
        kept.push(one);
        Some(plain)
    }
}

impl ReadAt for InnerReader {
    fn size(&self) -> io::Result<Bytes> {
        Ok(self.image.inner_bytes())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.image.inner_bytes().0) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let block_size = self.image.block_bytes().0;
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let index = at / block_size;
            let skip = (at % block_size) as usize;
            let part = (buffer.len() - done).min(self.image.length_of(index) - skip);
            let here = &mut buffer[done..done + part];
            if self.image.block(index) == Block::Hole {
                here.fill(0);
            } else {
                let plain = self.block(index).map_err(into_io)?;
                here.copy_from_slice(&plain[skip..skip + part]);
            }
            done += part;
        }
        Ok(())
    }
}

/// An error of the device stays what it is; damage becomes `InvalidData`.
fn into_io(error: Error) -> io::Error {
    match error {
        Error::Io { source, .. } => source,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}
