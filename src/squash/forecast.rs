//! How large a new image becomes, known before it is written.

use super::changes::{Changes, Fate, Options, Target};
use super::codec::OPTIONS_MAX;
use super::format::{PADDING, SUPERBLOCK};
use super::read::{Block, Image};
use super::survey::Survey;
use crate::error::Result;
use crate::units::Bytes;

/// How large a new image becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// No more than this, padding included, even if nothing can be compressed.
    pub at_most: Bytes,
    /// About this: what changes compresses like what is there.
    pub likely: Bytes,
    /// How many blocks change.
    pub changed: u64,
    /// How many blocks become holes that were none.
    pub zeroed: u64,
}

/// Tells how large a new image becomes, without reading its data.
pub fn forecast(image: &Image, changes: &dyn Changes, options: &Options) -> Result<Forecast> {
    let shared = &image.shared;
    let recodes = Target::new(image, options.recompress)?.recodes;
    let survey = Survey::new(image)?;
    let data = shared.data.end - shared.data.start;
    let stored: u64 = image.inner.file.extent().end - image.inner.file.start;
    let full = (0..image.blocks()).filter(|index| image.block(*index) != Block::Hole);
    let full = full.count().max(1) as u64;
    let usual = (stored / full).max(1);

    // What each block adds to what all others take.
    let (mut most, mut likely) = (data.saturating_sub(stored), data.saturating_sub(stored));
    let mut forecast = Forecast {
        at_most: Bytes(0),
        likely: Bytes(0),
        changed: 0,
        zeroed: 0,
    };
    for index in 0..image.blocks() {
        let length = image.length_of(index) as u64;
        let (old, tail) = match image.block(index) {
            Block::Hole => (0, false),
            Block::Stored { word, .. } => (u64::from(word.bytes()), false),
            Block::Fragment(_) => (0, true),
        };
        match changes.fate(index) {
            Fate::Keep => {
                most += if recodes && old > 0 { length } else { old };
                likely += old;
            }
            Fate::Hole => forecast.zeroed += u64::from(old > 0 || tail),
            Fate::Change => {
                forecast.changed += 1;
                most += length;
                likely += if old > 0 { old } else { usual.min(length) };
            }
        }
        if tail && changes.fate(index) != Fate::Keep {
            most += u64::from(shared.superblock.block_size);
        }
    }
    if recodes {
        // Other blocks may all grow to what they are decompressed.
        let pieces = survey.pieces(image, true, None)?;
        most += pieces.iter().map(|piece| piece.bytes as u64).sum::<u64>();
    }
    let tables = survey.plain_bytes() + SUPERBLOCK as u64 + OPTIONS_MAX as u64;
    let old_tables = shared.superblock.bytes_used - shared.superblock.inode_table;
    forecast.at_most = Bytes((most + tables).next_multiple_of(PADDING));
    forecast.likely = Bytes((likely + old_tables + SUPERBLOCK as u64).next_multiple_of(PADDING));
    Ok(forecast)
}
