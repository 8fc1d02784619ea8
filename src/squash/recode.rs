//! What the threads do: one block, read, changed, compressed.

use super::changes::{Changes, Fate};
use super::codec::{Encoder, Holds};
use super::format::{SizeWord, damaged, flags};
use super::read::{Block, Image, Tail};
use super::survey::Piece;

use crate::error::Result;

/// Enough of a stored block to tell how it was compressed.
const HEAD: usize = 64;

/// A block to be compressed anew.
#[derive(Debug)]
pub enum Work {
    /// A block of the inner file.
    Inner {
        /// Which.
        index: u64,
        /// Whether it changes, too.
        change: bool,
    },
    /// Any other block.
    Piece(Piece),
}

/// What came of it.
#[derive(Debug)]
pub enum Outcome {
    /// The same as it was.
    Same,
    /// All zeros.
    Zeros,
    /// Stored like this.
    Stored(SizeWord, Vec<u8>),
}

/// Does the work; keeps its working space.
pub struct Recoder<'a> {
    image: &'a Image,
    changes: &'a dyn Changes,
    encoder: Encoder,
    /// The compressor changes: nothing is the same.
    recodes: bool,
    flags: u16,
    stored: Vec<u8>,
    old: Vec<u8>,
    plain: Vec<u8>,
    packed: Vec<u8>,
}

impl<'a> Recoder<'a> {
    /// For a new image with these flags, compressed by `encoder`.
    pub fn new(
        image: &'a Image,
        changes: &'a dyn Changes,
        encoder: Encoder,
        recodes: bool,
        flags: u16,
    ) -> Recoder<'a> {
        Recoder {
            image,
            changes,
            encoder,
            recodes,
            flags,
            stored: Vec::new(),
            old: Vec::new(),
            plain: Vec::new(),
            packed: Vec::new(),
        }
    }

    /// Does one piece of work.
    pub fn work(&mut self, work: Work) -> Result<Outcome> {
        match work {
            Work::Inner { index, change } => self.inner(index, change),
            Work::Piece(piece) => self.piece(&piece),
        }
    }

    fn inner(&mut self, index: u64, change: bool) -> Result<Outcome> {
        let block = self.image.block(index);
        let length = self.image.length_of(index);
        if change && !self.changes.needs_old(index) {
            self.read_head(block)?;
            self.plain.clear();
            self.plain.resize(length, 0);
            self.changes.patch(index, &mut self.plain)?;
        } else {
            self.image
                .read_block(index, &mut self.stored, &mut self.plain)?;
            if change {
                self.old.clone_from(&self.plain);
                self.changes.patch(index, &mut self.plain)?;
                if self.old == self.plain && !self.recodes {
                    return Ok(Outcome::Same);
                }
            }
        }
        if is_zero(&self.plain) {
            return Ok(Outcome::Zeros);
        }
        let known = match block {
            Block::Stored { word, .. } => word.is_compressed() && !self.recodes,
            _ => false,
        };
        self.encode(known, self.flags & flags::PLAIN_DATA != 0)
    }

    /// What is not read of a block still tells by its head how it was compressed.
    fn read_head(&mut self, block: Block) -> Result<()> {
        self.stored.clear();
        if let Block::Stored { at, word } = block {
            self.stored.resize((word.bytes() as usize).min(HEAD), 0);
            self.image.shared.store.read(at, &mut self.stored)?;
        }
        Ok(())
    }

    fn piece(&mut self, piece: &Piece) -> Result<Outcome> {
        let shared = &self.image.shared;
        shared.read_stored(piece.extent.start, piece.word, &mut self.stored)?;
        if piece.fragment {
            shared.decode(piece.word, &self.stored, piece.bytes, &mut self.plain)?;
        } else {
            shared.decode_exactly(piece.word, &self.stored, piece.bytes, &mut self.plain)?;
        }
        if let Some(tail) = self.image.inner.tail
            && tail.fragment.start == piece.extent.start
        {
            self.old.clone_from(&self.plain);
            self.patch_tail(tail)?;
            if self.old == self.plain && !self.recodes {
                return Ok(Outcome::Same);
            }
        }
        let plain = match piece.fragment {
            true => flags::PLAIN_FRAGMENTS,
            false => flags::PLAIN_DATA,
        };
        let known = piece.word.is_compressed() && !self.recodes;
        self.encode(known, self.flags & plain != 0)
    }

    /// The end of the inner file, among the ends of others.
    fn patch_tail(&mut self, tail: Tail) -> Result<()> {
        let index = self.image.blocks() - 1;
        let Some(bytes) = self.plain.get_mut(tail.offset..tail.offset + tail.bytes) else {
            return damaged("a fragment block that is shorter than its parts");
        };
        match self.changes.fate(index) {
            Fate::Keep => Ok(()),
            Fate::Hole => {
                bytes.fill(0);
                Ok(())
            }
            Fate::Change => {
                if !self.changes.needs_old(index) {
                    bytes.fill(0);
                }
                self.changes.patch(index, bytes)
            }
        }
    }

    /// `known`: the head of `stored` tells how the block was compressed.
    fn encode(&mut self, known: bool, plain: bool) -> Result<Outcome> {
        let before = known.then_some(&self.stored[..]);
        let smaller = !plain
            && self
                .encoder
                .encode(&self.plain, Holds::Data, before, &mut self.packed)?;
        let bytes = if smaller { &self.packed } else { &self.plain };
        let word = SizeWord::stored(bytes.len() as u32, smaller);
        Ok(Outcome::Stored(word, bytes.clone()))
    }
}

/// Whether all bytes are zero. In words, which the compiler makes wider still.
fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<16>();
    words.iter().all(|word| u128::from_le_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_all_zero() {
        for length in [0, 1, 15, 16, 17, 4096] {
            let mut bytes = vec![0; length];
            assert!(is_zero(&bytes));
            if let Some(last) = bytes.last_mut() {
                *last = 1;
                assert!(!is_zero(&bytes));
            }
        }
    }
}
