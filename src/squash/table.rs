//! A whole table in memory, to be changed in place and stored anew.
//!
//! Each metadata block keeps the bytes that it has, decompressed. So places within
//! blocks stay what they are, and only where the blocks begin changes.

use super::codec::{Encoder, Holds};
use super::format::{METADATA_PLAIN, Place, damaged, unsupported};
use super::meta::Store;
use super::tables::Lookup;
use crate::error::Result;
use std::ops::Range;

/// The most bytes that a table may have, decompressed: what a file with the most blocks takes,
/// and room for half a million other files.
const TABLE_MAX: usize = 32 << 20;

/// A table.
#[derive(Debug)]
pub struct Table {
    bytes: Vec<u8>,
    blocks: Vec<Block>,
}

/// One of its metadata blocks.
#[derive(Debug)]
struct Block {
    /// Where it is stored, from the table's begin.
    at: u64,
    /// Where it is stored, in the image, head included.
    stored: Range<u64>,
    /// Where its bytes begin.
    start: usize,
    changed: bool,
}

/// How a table is stored.
#[derive(Debug)]
pub struct How<'a> {
    /// The image that it comes from.
    pub store: &'a Store,
    /// What compresses it.
    pub encoder: &'a mut Encoder,
    /// Blocks are not compressed.
    pub plain: bool,
    /// But those that did not change are taken as they are stored, whatever that is.
    pub verbatim: bool,
}

impl How<'_> {
    /// The same, but for what is compressed.
    pub fn with(&mut self, plain: bool, verbatim: bool) -> How<'_> {
        How {
            store: self.store,
            encoder: self.encoder,
            plain,
            verbatim,
        }
    }
}

/// A table as it is to be written.
#[derive(Debug, Default)]
pub struct Stored {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Where each block begins, from the table's begin.
    pub places: Vec<u64>,
}

impl Table {
    /// Of metadata blocks that fill a range.
    pub fn of_range(store: &Store, range: &Range<u64>) -> Result<Table> {
        let mut table = Table {
            bytes: Vec::new(),
            blocks: Vec::new(),
        };
        let mut next = range.start;
        while next < range.end {
            next = table.add(store, range, next)?;
        }
        Ok(table)
    }

    /// Of metadata blocks that are found by a list.
    pub fn of_lookup(store: &Store, lookup: &Lookup) -> Result<Table> {
        let mut table = Table {
            bytes: Vec::new(),
            blocks: Vec::new(),
        };
        if lookup.bytes() > TABLE_MAX as u64 {
            return unsupported(format!("a table of {} bytes", lookup.bytes()));
        }
        for index in 0..lookup.count() {
            let at = lookup.blocks.start + lookup.block(store, index)?.block;
            table.add(store, &lookup.blocks, at)?;
        }
        if table.bytes.len() as u64 != lookup.bytes() {
            return damaged(format!(
                "a table of {} bytes instead of {}",
                table.bytes.len(),
                lookup.bytes()
            ));
        }
        Ok(table)
    }

    fn add(&mut self, store: &Store, range: &Range<u64>, at: u64) -> Result<u64> {
        let mut block = Vec::new();
        let next = store.metadata(at, range.end, &mut block)?;
        self.blocks.push(Block {
            at: at - range.start,
            stored: at..next,
            start: self.bytes.len(),
            changed: false,
        });
        self.bytes.extend_from_slice(&block);
        if self.bytes.len() > TABLE_MAX {
            return unsupported(format!("a table of more than {TABLE_MAX} bytes"));
        }
        Ok(next)
    }

    /// Its bytes, decompressed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many metadata blocks it has.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// What its blocks take at most, their heads among it: a block that is stored in more bytes than
    /// it has may be copied.
    pub fn most_bytes(&self) -> u64 {
        let block = |(index, block): (usize, &Block)| {
            let plain = 2 + (self.end(index) - block.start) as u64;
            plain.max(block.stored.end - block.stored.start)
        };
        self.blocks.iter().enumerate().map(block).sum()
    }

    /// Where each block began, from the table's begin.
    pub fn places(&self) -> Vec<u64> {
        self.blocks.iter().map(|block| block.at).collect()
    }

    /// Where its blocks would begin, were all stored as they are.
    pub fn plain_places(&self) -> Vec<u64> {
        let heads = (0u64..).step_by(2);
        let starts = self.blocks.iter().map(|block| block.start as u64);
        starts
            .zip(heads)
            .map(|(start, heads)| start + heads)
            .collect()
    }

    /// Which of its blocks began at `at`.
    pub fn ordinal(&self, at: u64) -> Result<usize> {
        match self.blocks.binary_search_by_key(&at, |block| block.at) {
            Ok(index) => Ok(index),
            Err(_) => damaged(format!(
                "a reference to {at}, where no metadata block begins"
            )),
        }
    }

    /// Where in its bytes a place is.
    pub fn position(&self, place: Place) -> Result<usize> {
        let block = self.ordinal(place.block)?;
        let position = self.blocks[block].start + usize::from(place.offset);
        if position >= self.end(block) {
            return damaged(format!("a reference to {place:?}, outside its block"));
        }
        Ok(position)
    }

    fn end(&self, block: usize) -> usize {
        self.blocks
            .get(block + 1)
            .map_or(self.bytes.len(), |next| next.start)
    }

    /// Changes bytes at `position`, which the caller read there before.
    pub fn put(&mut self, position: usize, bytes: &[u8]) {
        let old = &mut self.bytes[position..position + bytes.len()];
        if old == bytes {
            return;
        }
        old.copy_from_slice(bytes);
        let end = position + bytes.len();
        let first = self
            .blocks
            .partition_point(|block| block.start <= position)
            .saturating_sub(1);
        for block in self.blocks[first..]
            .iter_mut()
            .take_while(|block| block.start < end)
        {
            block.changed = true;
        }
    }

    /// As it is to be written.
    pub fn stored(&self, how: &mut How<'_>) -> Result<Stored> {
        let mut all = Stored::default();
        let mut packed = Vec::new();
        for (index, block) in self.blocks.iter().enumerate() {
            all.places.push(all.bytes.len() as u64);
            let plain = &self.bytes[block.start..self.end(index)];
            if how.verbatim && !block.changed {
                let start = all.bytes.len();
                let length = (block.stored.end - block.stored.start) as usize;
                all.bytes.resize(start + length, 0);
                how.store
                    .read(block.stored.start, &mut all.bytes[start..])?;
                continue;
            }
            let smaller = !how.plain
                && how
                    .encoder
                    .encode(plain, Holds::Metadata, None, &mut packed)?;
            let (head, body) = if smaller {
                (packed.len() as u16, &packed[..])
            } else {
                (plain.len() as u16 | METADATA_PLAIN, plain)
            };
            all.bytes.extend(head.to_le_bytes());
            all.bytes.extend_from_slice(body);
        }
        Ok(all)
    }
}
