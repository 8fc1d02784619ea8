//! `image (+) overlay`: what the learner has.
//!
//! Reading chunk *c* gives the overlay's copy where the exception list has one,
//! else the inner image's. The one view that planning, verifying and explaining read.

use crate::overlay::ExceptionStore;
use crate::storage::ReadAt;
use crate::units::{Bytes, Chunks};
use std::io;

/// The inner image as the overlay changes it.
#[derive(Debug)]
pub struct Merged<'a, B, S> {
    base: B,
    size: Bytes,
    store: S,
    list: &'a ExceptionStore,
}

impl<'a, B: ReadAt, S: ReadAt> Merged<'a, B, S> {
    /// Of the inner image `base`, the overlay file `store`, and the exception list read from it.
    /// The view is as long as the inner image.
    pub fn new(base: B, store: S, list: &'a ExceptionStore) -> io::Result<Merged<'a, B, S>> {
        let size = base.size()?;
        Ok(Merged {
            base,
            size,
            store,
            list,
        })
    }

    /// Reads from `at` on what lies in one chunk, or in a run of chunks that the overlay does
    /// not hold; gives how many bytes that were.
    fn read_piece(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let chunk_size = self.list.chunk_size();
        let chunk_bytes = chunk_size.bytes().0;
        let chunk = chunk_size.chunk_of(Bytes(at));
        let inside = at % chunk_bytes;
        let in_chunk = (chunk_bytes - inside).min(buffer.len() as u64);
        if let Some(copy) = self.list.lookup(chunk) {
            let start = chunk_size.offset(copy).ok_or(io::ErrorKind::InvalidData)?;
            let length = in_chunk as usize;
            self.store
                .read_at(&mut buffer[..length], start.0 + inside)?;
            return Ok(length);
        }
        let mut length = in_chunk;
        let mut next = Chunks(chunk.0 + 1);
        while length < buffer.len() as u64 && self.list.lookup(next).is_none() {
            length = (length + chunk_bytes).min(buffer.len() as u64);
            next.0 += 1;
        }
        let length = length as usize;
        self.base.read_at(&mut buffer[..length], at)?;
        Ok(length)
    }
}

impl<B: ReadAt, S: ReadAt> ReadAt for Merged<'_, B, S> {
    fn size(&self) -> io::Result<Bytes> {
        Ok(self.size)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.size.0) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut done = 0;
        while done < buffer.len() {
            done += self.read_piece(&mut buffer[done..], offset + done as u64)?;
        }
        Ok(())
    }
}
