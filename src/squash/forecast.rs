//! How large a new image becomes, known before it is written.

use super::changes::{Changes, Fate, Options, Target};
use super::codec::{Encoder, OPTIONS_MAX};
use super::format::{PADDING, SUPERBLOCK};
use super::read::{Block, Image};
use super::recode::{Outcome, Recoder, Work};
use super::survey::Survey;
use crate::error::Result;
use crate::units::Bytes;
use std::time::{Duration, Instant};

/// So many blocks are compressed to learn what the others take.
const SAMPLES: usize = 24;

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
    /// What is compressed anew of the inner file, as long as it is decompressed.
    pub recoded: Bytes,
    /// What `likely` counts for that, in bytes.
    guessed: u64,
}

impl Forecast {
    /// With what a sample took instead of what was there before.
    pub fn with(mut self, sample: &Sample) -> Forecast {
        let share = sample.stored as f64 / sample.plain.max(1) as f64;
        let known = self.likely.0.saturating_sub(self.guessed);
        self.guessed = (self.recoded.0 as f64 * share) as u64;
        self.likely = Bytes((known + self.guessed).next_multiple_of(PADDING)).min(self.at_most);
        self
    }
}

/// What some of the blocks that are compressed anew take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    plain: u64,
    stored: u64,
    time: Duration,
}

impl Sample {
    /// What reading, decompressing and compressing `plain` bytes takes on one core.
    pub fn time_of(&self, plain: Bytes) -> Duration {
        self.time.mul_f64(plain.0 as f64 / self.plain.max(1) as f64)
    }
}

/// Compresses a few blocks, evenly spread over those that will be; none where none will.
pub fn sample(image: &Image, changes: &dyn Changes, options: &Options) -> Result<Option<Sample>> {
    let target = Target::new(image, options.recompress)?;
    let works = |index: &u64| match changes.fate(*index) {
        Fate::Change => true,
        Fate::Keep => target.recodes && image.block(*index) != Block::Hole,
        Fate::Hole => false,
    };
    let all: Vec<u64> = (0..image.blocks()).filter(works).collect();
    let encoder = Encoder::new(&target.method, options.xz_preset)?;
    let flags = target.superblock.flags;
    let mut recoder = Recoder::new(image, changes, encoder, target.recodes, flags);
    let start = Instant::now();
    let mut sample = Sample {
        plain: 0,
        stored: 0,
        time: Duration::ZERO,
    };
    let count = all.len().min(SAMPLES);
    for number in 0..count {
        let index = all[(2 * number + 1) * all.len() / (2 * count)];
        let change = changes.fate(index) == Fate::Change;
        sample.plain += image.length_of(index) as u64;
        sample.stored += match (
            recoder.work(Work::Inner { index, change })?,
            image.block(index),
        ) {
            (Outcome::Stored(word, _), _) | (Outcome::Same, Block::Stored { word, .. }) => {
                u64::from(word.bytes())
            }
            (Outcome::Zeros | Outcome::Same, _) => 0,
        };
    }
    sample.time = start.elapsed();
    Ok((count > 0).then_some(sample))
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
        recoded: Bytes(0),
        guessed: 0,
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
                if recodes && (old > 0 || tail) {
                    forecast.recoded += Bytes(length);
                    forecast.guessed += old;
                }
            }
            Fate::Hole => forecast.zeroed += u64::from(old > 0 || tail),
            Fate::Change => {
                forecast.changed += 1;
                // What stays the same after all is copied, however it was stored.
                most += length.max(old);
                let guess = if old > 0 { old } else { usual.min(length) };
                likely += guess;
                forecast.recoded += Bytes(length);
                forecast.guessed += guess;
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
    let tables = survey.most_bytes() + SUPERBLOCK as u64 + OPTIONS_MAX as u64;
    let old_tables = shared.superblock.bytes_used - shared.superblock.inode_table;
    forecast.at_most = Bytes((most + tables).next_multiple_of(PADDING));
    forecast.likely = Bytes((likely + old_tables + SUPERBLOCK as u64).next_multiple_of(PADDING));
    Ok(forecast)
}
