//! What no refresh can do without, each part measured alone.

use super::Touched;
use super::measure::{Outcome, Step};
use super::places::Places;
use liblzma::stream::{Action, Filters, LzmaOptions, Stream};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use sugar_cellar::squash::{Image, XZ_PRESET};
use sugar_cellar::storage::{DiskFolder, Folder, ReadAt};

const PIECE: usize = 1 << 20;

/// Seconds of wall time.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Copying the image and syncing the copy.
    pub copy: f64,
    /// Compressing the blocks that changed, on all cores.
    pub compress: f64,
    /// The same for those that a refresh finds not worth it, and stores as they are.
    pub dense: f64,
    /// Reading the new image past the page cache.
    pub read: f64,
}

impl Limit {
    /// All blocks that changed compressed.
    pub fn seconds(&self) -> f64 {
        self.strict() + self.dense
    }

    /// Only those compressed that the new image stores compressed.
    pub fn strict(&self) -> f64 {
        self.copy + self.compress + self.read
    }
}

/// Measures all three; `touched` are the new image's blocks that changed.
pub fn run(places: &Places, old: &Path, new: &Image, touched: &Touched) -> Outcome<Limit> {
    let copied = places.work.join("limit.img");
    let start = Instant::now();
    copy(old, &copied)?;
    let copy = start.elapsed().as_secs_f64();
    let start = Instant::now();
    read(&places.work, "limit.img")?;
    let read = start.elapsed().as_secs_f64();
    fs::remove_file(copied)?;
    Ok(Limit {
        copy,
        compress: compress(new, &touched.compressed)?,
        dense: compress(new, &touched.dense)?,
        read,
    })
}

/// By reading and writing: not by sharing blocks, which no stick's file system can.
fn copy(from: &Path, to: &Path) -> Step {
    let (mut from, mut to) = (File::open(from)?, File::create(to)?);
    let mut piece = vec![0; PIECE];
    loop {
        let length = from.read(&mut piece)?;
        if length == 0 {
            return Ok(to.sync_all()?);
        }
        to.write_all(&piece[..length])?;
    }
}

fn read(folder: &Path, name: &str) -> Step {
    let file = DiskFolder::open(folder)?.open_uncached(name)?;
    let length = file.size()?.0;
    let mut piece = vec![0; PIECE];
    for at in (0..length).step_by(PIECE) {
        let part = PIECE.min((length - at) as usize);
        file.read_at(&mut piece[..part], at)?;
    }
    Ok(())
}

/// Seconds to compress these blocks, which are in memory beforehand.
fn compress(new: &Image, indices: &[u64]) -> Outcome<f64> {
    let mut blocks = Vec::new();
    let mut in_order = new.in_order();
    for index in indices {
        let mut plain = Vec::new();
        in_order.plain(*index, &mut plain)?;
        blocks.push(plain);
    }
    let next = AtomicUsize::new(0);
    let cores = std::thread::available_parallelism()?.get();
    let work = || -> Result<(), liblzma::stream::Error> {
        let mut packed = vec![0; 256 << 10];
        while let Some(block) = blocks.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut options = LzmaOptions::new_preset(XZ_PRESET)?;
            options.dict_size(128 << 10);
            let mut filters = Filters::new();
            filters.lzma2(&options);
            Stream::new_raw_encoder(&filters)?.process(block, &mut packed, Action::Finish)?;
        }
        Ok(())
    };
    let start = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            thread.join().map_err(|_| "a thread ended early")??;
        }
        Ok(start.elapsed().as_secs_f64())
    })
}
