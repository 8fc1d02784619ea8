//! Metadata blocks: what the tables are stored in, read one block at a time.

use super::codec::{Decoder, Method};
use super::format::{METADATA, METADATA_PLAIN, Place, damaged};
use crate::error::{Doing, Result};
use crate::storage::ReadAt;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// An image's bytes, with decoders for them.
pub struct Store {
    source: Arc<dyn ReadAt>,
    method: Method,
    /// Decoders at rest: as many as there were ever readers at once.
    decoders: Mutex<Vec<Decoder>>,
    /// The metadata blocks that were wanted last: one inode after another is in the same.
    kept: Mutex<Vec<Kept>>,
}

/// How many metadata blocks are kept.
const KEPT: usize = 16;

/// A metadata block, decompressed.
#[derive(Debug, Clone)]
struct Kept {
    at: u64,
    /// Where the next one begins.
    next: u64,
    bytes: Arc<Vec<u8>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({:?})", self.method)
    }
}

impl Store {
    /// Of an image whose blocks are compressed by `method`.
    pub fn new(source: Arc<dyn ReadAt>, method: Method) -> Store {
        Store {
            source,
            method,
            decoders: Mutex::default(),
            kept: Mutex::default(),
        }
    }

    /// How blocks are compressed.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Fills `buffer` with stored bytes.
    pub fn read(&self, at: u64, buffer: &mut [u8]) -> Result<()> {
        self.source.read_at(buffer, at).doing("reading the image")
    }

    /// Reads `N` stored bytes.
    pub fn array<const N: usize>(&self, at: u64) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read(at, &mut bytes)?;
        Ok(bytes)
    }

    /// Decodes a block into `out` and gives its length.
    pub fn decode(&self, stored: &[u8], out: &mut [u8]) -> Result<usize> {
        let resting = || self.decoders.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = resting().pop();
        let mut decoder = match taken {
            Some(decoder) => decoder,
            None => Decoder::new(&self.method)?,
        };
        let length = decoder.decode(stored, out)?;
        resting().push(decoder);
        Ok(length)
    }

    /// The metadata block at `at`, which ends by `end`, and where the next one begins.
    fn kept(&self, at: u64, end: u64) -> Result<Kept> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = {
            let mut kept = kept();
            let found = kept.iter().position(|one| one.at == at);
            found.map(|index| kept.remove(index))
        };
        let one = match found {
            Some(one) if one.next <= end => one,
            _ => {
                let mut bytes = Vec::new();
                let next = self.metadata(at, end, &mut bytes)?;
                let bytes = Arc::new(bytes);
                Kept { at, next, bytes }
            }
        };
        let mut kept = kept();
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push(one.clone());
        Ok(one)
    }

    /// Reads the metadata block at `at`, which ends by `end`, into `out`; gives where the next
    /// one begins.
    pub fn metadata(&self, at: u64, end: u64, out: &mut Vec<u8>) -> Result<u64> {
        let room = end.saturating_sub(at).min(2 + METADATA as u64) as usize;
        let mut stored = [0; 2 + METADATA];
        if room < 3 {
            return damaged(format!("a table that ends at {end} reaches beyond"));
        }
        self.read(at, &mut stored[..room])?;
        let (head, body) = stored[..room].split_at(2);
        let head = u16::from_le_bytes([head[0], head[1]]);
        let length = usize::from(head & !METADATA_PLAIN);
        let Some(body) = body.get(..length).filter(|body| !body.is_empty()) else {
            return damaged(format!("the metadata block at {at} has {length} bytes"));
        };
        out.clear();
        if head & METADATA_PLAIN != 0 {
            out.extend_from_slice(body);
        } else {
            out.resize(METADATA, 0);
            let length = self.decode(body, out)?;
            out.truncate(length);
        }
        if out.is_empty() {
            // Nothing would come of reading on, however many such blocks there are.
            return damaged(format!("the metadata block at {at} is empty"));
        }
        Ok(at + 2 + length as u64)
    }
}

/// Gives bytes one after another: of a table on disk, or of one in memory.
pub trait Take {
    /// Fills `out` with the next bytes.
    fn take(&mut self, out: &mut [u8]) -> Result<()>;

    /// The next bytes.
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.take(&mut bytes)?;
        Ok(bytes)
    }

    /// The next 16 bits.
    fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// The next 32 bits.
    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next 64 bits.
    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// The next `length` bytes, a length that the caller has bounded.
    fn bytes(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.take(&mut bytes)?;
        Ok(bytes)
    }
}

impl Take for &[u8] {
    fn take(&mut self, out: &mut [u8]) -> Result<()> {
        let Some((head, rest)) = self.split_at_checked(out.len()) else {
            return damaged("a table that is cut short");
        };
        out.copy_from_slice(head);
        *self = rest;
        Ok(())
    }
}

/// Reads a table from a place on.
#[derive(Debug)]
pub struct Cursor<'a> {
    store: &'a Store,
    end: u64,
    next: u64,
    block: Arc<Vec<u8>>,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// In the table that lies in `table`, from `place` on.
    pub fn new(store: &'a Store, table: &Range<u64>, place: Place) -> Result<Cursor<'a>> {
        let mut cursor = Cursor {
            store,
            end: table.end,
            next: match table.start.checked_add(place.block) {
                Some(at) if at < table.end => at,
                _ => return damaged(format!("a reference to {place:?}, outside its table")),
            },
            block: Arc::default(),
            at: 0,
        };
        cursor.load()?;
        cursor.at = usize::from(place.offset);
        if cursor.at >= cursor.block.len() {
            return damaged(format!("a reference to {place:?}, outside its block"));
        }
        Ok(cursor)
    }

    fn load(&mut self) -> Result<()> {
        let Kept { next, bytes, .. } = self.store.kept(self.next, self.end)?;
        (self.next, self.block, self.at) = (next, bytes, 0);
        Ok(())
    }
}

impl Take for Cursor<'_> {
    fn take(&mut self, out: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < out.len() {
            if self.at == self.block.len() {
                self.load()?;
            }
            let here = &self.block[self.at..];
            let part = here.len().min(out.len() - done);
            out[done..done + part].copy_from_slice(&here[..part]);
            self.at += part;
            done += part;
        }
        Ok(())
    }
}
