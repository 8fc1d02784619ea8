//! What shall change, and what the new image is to be.

use super::codec::{Method, XZ_PRESET};
use super::format::{Compression, METADATA_PLAIN, Superblock, flags};
use super::read::Image;
use crate::error::Result;

/// What becomes of a block of the inner file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It stays as it is.
    Keep,
    /// It becomes all zeros.
    Hole,
    /// [`Changes::patch`] changes it.
    Change,
}

/// What changes in the inner file.
pub trait Changes: Sync {
    /// What becomes of block `block`. Asked several times, and the same each time.
    fn fate(&self, block: u64) -> Fate;

    /// Whether [`Changes::patch`] wants the block's old bytes; all zeros are given otherwise.
    /// Where it does, a block that comes out as it was is kept as it is stored.
    fn needs_old(&self, block: u64) -> bool;

    /// Changes a block's bytes, decompressed, all of them: the last block may be shorter.
    /// Called from several threads.
    fn patch(&self, block: u64, bytes: &mut [u8]) -> Result<()>;
}

/// How to write.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many threads compress; one at least.
    pub threads: usize,
    /// Compress all blocks anew by this compressor, with mksquashfs's defaults for it.
    pub recompress: Option<Compression>,
    /// xz's preset for blocks that are compressed anew.
    pub xz_preset: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            recompress: None,
            xz_preset: XZ_PRESET,
        }
    }
}

/// What the new image is to be.
pub(super) struct Target {
    /// How blocks are compressed.
    pub method: Method,
    /// The compressor options as they are stored; empty where there are none.
    pub options: Vec<u8>,
    /// The superblock, but for the places of the tables.
    pub superblock: Superblock,
    /// All blocks are compressed anew.
    pub recodes: bool,
}

impl Target {
    /// Of a new image made from `image`.
    pub fn new(image: &Image, recompress: Option<Compression>) -> Result<Target> {
        let shared = &image.shared;
        let mut superblock = shared.superblock.clone();
        superblock.mod_time = superblock.mod_time.wrapping_add(1);
        let new = recompress.filter(|new| *new != superblock.compression);
        let Some(compression) = new else {
            return Ok(Target {
                method: shared.store.method().clone(),
                options: shared.options.clone(),
                superblock,
                recodes: false,
            });
        };
        superblock.compression = compression;
        // Whoever asks for a compressor wants everything compressed by it.
        superblock.flags &= !(flags::PLAIN | flags::OPTIONS);
        let mut options = Vec::new();
        if let Some(bytes) = Method::default_options(compression) {
            superblock.flags |= flags::OPTIONS;
            let head = bytes.len() as u16 | METADATA_PLAIN;
            options.extend(head.to_le_bytes());
            options.extend(bytes);
        }
        Ok(Target {
            method: Method::new(compression, superblock.block_size, options.get(2..))?,
            options,
            superblock,
            recodes: true,
        })
    }
}
