//! SquashFS images: opened, read in all ways, rewritten, and read again.

use crate::ensure;
use crate::memory::Memory;
use crate::overlay::random_of;
use crate::verdict::{Ended, Verdict};
use std::sync::Arc;
use sugar_cellar::error::{Error, Part, Result};
use sugar_cellar::progress::Silent;
use sugar_cellar::squash::{
    Archive, Block, Changes, Compression, Contents, Fate, Image, Options, forecast, rewrite,
    same_block, same_but_inner,
};
use sugar_cellar::storage::ReadAt;
use sugar_cellar::storage::fault::Random;

/// So many blocks are read one by one.
const MOST_READ: u64 = 60;
/// A longer inner file is not written anew: holes can make it any length.
const MOST_WRITTEN: u64 = 4 << 20;

/// What an overlay might hold: some blocks zero, some changed.
struct Touched {
    seed: u64,
    needs_old: bool,
}

impl Touched {
    fn number(&self, block: u64) -> u64 {
        Random::new(self.seed ^ block).next_number()
    }
}

impl Changes for Touched {
    fn fate(&self, block: u64) -> Fate {
        match self.number(block) % 8 {
            0 => Fate::Hole,
            1 | 2 => Fate::Change,
            _ => Fate::Keep,
        }
    }

    fn needs_old(&self, _: u64) -> bool {
        self.needs_old
    }

    fn patch(&self, block: u64, bytes: &mut [u8]) -> Result<()> {
        if !self.needs_old && bytes.iter().any(|byte| *byte != 0) {
            return Err(Error::damaged(Part::Image, "not given zeros"));
        }
        // Some come out as they were.
        let number = self.number(block);
        if number & 0x100 == 0 && !bytes.is_empty() {
            let at = (number >> 16) as usize % bytes.len();
            bytes[at] ^= 0x55;
        }
        Ok(())
    }
}

pub fn run(bytes: &Arc<Vec<u8>>) -> Verdict {
    let mut random = random_of(bytes);
    let archive = Archive::open(bytes.clone())?;
    let image = match archive.contents()? {
        Contents::Inner(image) => image,
        Contents::Flat => return Ok("flat".into()),
        Contents::Other => return Ok("other".into()),
    };
    let read = read(&image, &mut random)?;
    let end = match read {
        Ok(()) => "reads".to_owned(),
        Err(Ended::Refused(end)) => end,
        Err(wrong) => return Err(wrong),
    };
    let changes = Touched {
        seed: random.next_number(),
        needs_old: random.below(2) == 0,
    };
    let options = Options {
        threads: 1 + random.below(2) as usize,
        recompress: [Some(Compression::Zstd), Some(Compression::Lz4)]
            .get(random.below(16) as usize)
            .copied()
            .flatten(),
        xz_preset: 0,
    };
    let forecast = forecast(&image, &changes, &options)?;
    ensure!(
        forecast.likely.0 <= bytes.len() as u64 * 64 + (64 << 20),
        "{forecast:?}"
    );
    if image.inner_bytes().0 > MOST_WRITTEN {
        return Ok(format!("{end}; long"));
    }
    let out = Memory::default();
    let written = rewrite(&image, &changes, &options, &out, &Silent)?;
    ensure!(Ok(written.bytes) == out.size().map_err(drop), "{written:?}");
    ensure!(
        written.bytes <= forecast.at_most,
        "{written:?}, {forecast:?}"
    );
    compare(&image, &changes, &options, out.into_bytes())?;
    let few = |count: u64| count.checked_ilog2().map_or(0, |power| power + 1);
    Ok(format!(
        "{end}; {} blocks of {}, {} kept bytes, {} recoded, {} zeroed, {}",
        few(image.blocks()),
        image.block_bytes(),
        few(written.copied.0) / 3,
        few(written.recoded),
        few(written.zeroed),
        image.compression(),
    ))
}

/// Reads blocks in each way; the inner result is damage in the data alone.
fn read(
    image: &Image,
    random: &mut Random,
) -> std::result::Result<std::result::Result<(), Ended>, Ended> {
    let (mut stored, mut plain, mut other) = (Vec::new(), Vec::new(), Vec::new());
    let reader = image.reader(3);
    let mut in_order = image.in_order();
    let mut end = Ok(());
    let some = (0..image.blocks().min(MOST_READ)).chain([
        random.below(image.blocks()),
        image.blocks().saturating_sub(1),
        image.blocks(),
        u64::MAX,
    ]);
    let some: Vec<u64> = some.collect();
    for index in some {
        let length = image.length_of(index);
        ensure!(
            length as u64 <= image.block_bytes().0,
            "block {index}: {length}"
        );
        if let Block::Stored { at, word } = image.block(index) {
            let inside = at.checked_add(word.bytes().into());
            ensure!(
                inside.is_some_and(|end| end <= image.bytes().0),
                "block {index} lies outside"
            );
        }
        let one = image.read_block(index, &mut stored, &mut plain);
        let two = in_order.plain(index, &mut other);
        ensure!(
            one.is_ok() == two.is_ok(),
            "block {index}: {one:?}, {two:?}"
        );
        if one.is_ok() {
            ensure!(
                plain.len() == length,
                "block {index} has {} bytes",
                plain.len()
            );
            ensure!(plain == other, "block {index} reads in two ways");
        }
        if index < image.blocks() {
            other.resize(length, 0);
            let three = reader.read_at(&mut other, index * image.block_bytes().0);
            ensure!(
                three.is_ok() == one.is_ok(),
                "block {index}: {one:?}, {three:?}"
            );
            ensure!(
                one.is_err() || plain == other,
                "block {index} reads in two ways"
            );
        }
        if let Err(error) = one {
            end = Err(error.into());
        }
    }
    Ok(end)
}

/// The new image opens, and holds what it shall.
fn compare(
    old: &Image,
    changes: &Touched,
    options: &Options,
    bytes: Vec<u8>,
) -> std::result::Result<(), Ended> {
    let must = |error: Error| Ended::Wrong(format!("the new image: {error}"));
    let new = Image::open(Arc::new(bytes)).map_err(must)?;
    ensure!(new.inner_bytes() == old.inner_bytes(), "another length");
    let wanted = options.recompress.unwrap_or(old.compression());
    ensure!(new.compression() == wanted, "another compressor");
    let (mut olds, mut news) = (old.in_order(), new.in_order());
    let (mut was, mut is) = (Vec::new(), Vec::new());
    for index in 0..old.blocks() {
        match changes.fate(index) {
            Fate::Keep => {
                // A damaged block is copied as it is.
                if olds.plain(index, &mut was).is_err() {
                    continue;
                }
                let same = same_block(&mut olds, &mut news, index).map_err(must)?;
                ensure!(same, "block {index} changed");
                continue;
            }
            Fate::Hole => {
                was.clear();
                was.resize(old.length_of(index), 0);
            }
            Fate::Change => {
                if changes.needs_old {
                    olds.plain(index, &mut was).map_err(must)?;
                } else {
                    was.clear();
                    was.resize(old.length_of(index), 0);
                }
                changes.patch(index, &mut was).map_err(must)?;
            }
        }
        news.plain(index, &mut is).map_err(must)?;
        ensure!(was == is, "block {index} is not what it became");
    }
    // What cannot be walked in the old one cannot in the new one.
    if same_but_inner(old, old, &Silent).is_ok() {
        same_but_inner(old, &new, &Silent).map_err(must)?;
    }
    Ok(())
}
