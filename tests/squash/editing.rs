//! Changes to the file inside an image, and what must be true of every new image.

use crate::maker::{Maker, backhanded};
use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};
use sugar_cellar::error::Result;
use sugar_cellar::progress::Silent;
use sugar_cellar::squash::{
    Changes, Compression, Fate, Image, Options, Written, forecast, rewrite, same_block,
    same_but_inner,
};
use sugar_cellar::storage::{ReadAt, Storage};
use sugar_cellar::units::Bytes;

const CHUNK: usize = 4096;

/// The inner file as it shall be, and which chunks of it an overlay would hold.
pub struct Edit {
    pub wanted: Vec<u8>,
    pub block_size: usize,
    chunks: BTreeSet<usize>,
    zeroed: BTreeSet<u64>,
}

impl Edit {
    pub fn new(image: &Image, inner: &[u8]) -> Edit {
        Edit {
            wanted: inner.to_vec(),
            block_size: image.block_bytes().0 as usize,
            chunks: BTreeSet::new(),
            zeroed: BTreeSet::new(),
        }
    }

    /// Puts bytes at a place, as an overlay would: in whole chunks.
    pub fn put(mut self, at: usize, bytes: &[u8]) -> Edit {
        self.wanted[at..at + bytes.len()].copy_from_slice(bytes);
        for chunk in at / CHUNK..(at + bytes.len()).div_ceil(CHUNK) {
            self.chunks.insert(chunk);
        }
        self
    }

    /// Says that a whole block is free.
    pub fn zero(mut self, block: u64) -> Edit {
        let start = block as usize * self.block_size;
        let end = self.wanted.len().min(start + self.block_size);
        self.wanted[start..end].fill(0);
        self.zeroed.insert(block);
        self
    }

    fn chunks_of(&self, block: u64) -> impl Iterator<Item = usize> {
        let per_block = (self.block_size / CHUNK).max(1);
        let first = block as usize * per_block;
        let end = self.wanted.len().div_ceil(CHUNK);
        self.chunks
            .range(first..end.min(first + per_block))
            .copied()
    }

    fn whole(&self, block: u64) -> bool {
        let start = block as usize * self.block_size;
        let bytes = (self.wanted.len() - start).min(self.block_size);
        self.chunks_of(block).count() == bytes.div_ceil(CHUNK)
    }
}

impl Changes for Edit {
    fn fate(&self, block: u64) -> Fate {
        if self.zeroed.contains(&block) {
            Fate::Hole
        } else if self.chunks_of(block).next().is_some() {
            Fate::Change
        } else {
            Fate::Keep
        }
    }

    fn needs_old(&self, block: u64) -> bool {
        !self.whole(block)
    }

    fn patch(&self, block: u64, bytes: &mut [u8]) -> Result<()> {
        let start = block as usize * self.block_size;
        if self.whole(block) {
            assert!(bytes.iter().all(|byte| *byte == 0));
        }
        for chunk in self.chunks_of(block) {
            let from = chunk * CHUNK - start;
            let to = (from + CHUNK).min(bytes.len());
            bytes[from..to].copy_from_slice(&self.wanted[start + from..start + to]);
        }
        Ok(())
    }
}

/// A file in memory.
#[derive(Default)]
pub struct Memory(pub Mutex<Vec<u8>>);

impl ReadAt for Memory {
    fn size(&self) -> io::Result<Bytes> {
        self.0.lock().unwrap().size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.lock().unwrap().read_at(buffer, offset)
    }
}

impl Storage for Memory {
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let mut bytes = self.0.lock().unwrap();
        let end = offset as usize + data.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset as usize..end].copy_from_slice(data);
        Ok(())
    }

    fn set_len(&self, length: Bytes) -> io::Result<()> {
        self.0.lock().unwrap().resize(length.0 as usize, 0);
        Ok(())
    }

    fn uncached(&self) -> io::Result<Box<dyn ReadAt + '_>> {
        Ok(Box::new(self))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

pub fn options(threads: usize) -> Options {
    Options {
        threads,
        ..Options::default()
    }
}

pub fn open(bytes: &[u8]) -> Image {
    Image::open(Arc::new(bytes.to_vec())).unwrap()
}

/// Rewrites, and checks all that does not need another reader.
pub fn rewritten(old: &[u8], edit: &Edit, options: &Options) -> (Vec<u8>, Written) {
    let image = open(old);
    let out = Memory::default();
    // What was in the file before does not matter.
    out.write_at(&vec![0xee; 3 * old.len()], 0).unwrap();
    let written = rewrite(&image, edit, options, &out, &Silent).unwrap();
    let bytes = out.0.into_inner().unwrap();
    assert_eq!(written.bytes, Bytes(bytes.len() as u64));
    let expected = forecast(&image, edit, options).unwrap();
    assert!(
        written.bytes <= expected.at_most,
        "{written:?} {expected:?}"
    );

    let new = open(&bytes);
    same_but_inner(&image, &new, &Silent).unwrap();
    let mut all = Vec::new();
    let (mut was, mut is) = (image.in_order(), new.in_order());
    let (mut plain, mut before) = (Vec::new(), Vec::new());
    for index in 0..new.blocks() {
        is.plain(index, &mut plain).unwrap();
        was.plain(index, &mut before).unwrap();
        let same = same_block(&mut was, &mut is, index).unwrap();
        assert_eq!(same, plain == before, "block {index}");
        all.extend_from_slice(&plain);
    }
    assert!(all == edit.wanted);
    (bytes, written)
}

/// Rewrites with one thread and with four, and asks the other readers.
pub fn judged(maker: &Maker, old: &[u8], edit: &Edit, mut options: Options) -> Vec<u8> {
    options.threads = 4;
    let (new, written) = rewritten(old, edit, &options);
    options.threads = 1;
    assert_eq!(rewritten(old, edit, &options), (new.clone(), written));

    let image = open(&new);
    let path = image.inner_path();
    assert!(maker.unsquashed(&new, path) == edit.wanted);
    if image.compression() != Compression::Lzo {
        assert!(backhanded(&new, path).as_ref() == Some(&edit.wanted));
    }
    assert_eq!(maker.listed(&new), maker.listed(old));
    new
}
