//! A new image with another inner file, written from front to back.
//!
//! SquashFS compresses each block of a file by itself. So the blocks that stay are
//! copied as they are stored, and only those that change are compressed, by
//! several threads in a bounded window. What lies behind them moves: the tables are
//! changed accordingly, and the superblock, which makes the new image one, is
//! written last.

use super::changes::{Changes, Options, Target};
use super::codec::Encoder;
use super::format::{PADDING, SUPERBLOCK, SizeWord, Superblock};
use super::items::{Item, Items, spans};
use super::pool::Pool;
use super::read::Image;
use super::recode::{Outcome, Recoder, Work};
use super::renew::{Moved, Moves, NewInner};
use super::survey::Survey;
use super::table::How;
use crate::error::{Doing, Result};
use crate::progress::Progress;
use crate::protocol::Stage;
use crate::storage::Storage;
use crate::units::Bytes;
use std::collections::VecDeque;
use std::ops::Range;

/// What is written at once, and what is copied between two looks at the window.
const CHUNK: usize = 1 << 20;
/// Blocks in work or waiting to be written take at most this together. Changed blocks come in
/// flocks, with long copies between: while one is copied, the next flock is compressed.
const WINDOW_BYTES: usize = 24 << 20;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// The new image's length, padding included.
    pub bytes: Bytes,
    /// Copied as they were stored.
    pub copied: Bytes,
    /// Blocks that were compressed anew.
    pub recoded: u64,
    /// Blocks that were to be changed and came out as they were.
    pub unchanged: u64,
    /// Blocks that became all zeros.
    pub zeroed: u64,
}

/// Writes a new image to `out`, from its begin on: the old image with `changes`.
///
/// All else stays: compressor and options, block size, names, owners, times, extended
/// attributes, other files. Only the time of making is one second later, so that no two
/// images have the same superblock. The same input gives the same bytes, with any number of
/// threads.
///
/// Nothing is synced, and `out` is not read. Memory is bounded by the block size and the number of
/// threads, and by the length of the tables.
///
/// # Errors
/// `Unsupported`, before anything is written, where another file shares the inner file's data; at
/// the end, where a file behind it whose inode has 32 bits for its place moves beyond 4 GiB. `Damaged` where
/// a block that changes does not decode, or a table contradicts itself.
pub fn rewrite(
    image: &Image,
    changes: &dyn Changes,
    options: &Options,
    out: &dyn Storage,
    progress: &dyn Progress,
) -> Result<Written> {
    let target = Target::new(image, options.recompress)?;
    let survey = Survey::new(image)?;
    let spans = spans(image, changes, &survey, target.recodes)?;
    let recoder = |encoder| {
        Recoder::new(
            image,
            changes,
            encoder,
            target.recodes,
            target.superblock.flags,
        )
    };
    let mut workers = Vec::new();
    for _ in 0..options.threads.max(1) {
        let mut recoder = recoder(Encoder::new(&target.method, options.xz_preset)?);
        workers.push(move |work: Work| recoder.work(work));
    }
    let mut writer = Writer {
        image,
        out: Output::new(out),
        moves: Moves::default(),
        words: image.inner.file.words.clone(),
        inner_start: 0,
        written: Written::default(),
        progress,
    };
    writer.out.put(&[0; SUPERBLOCK])?;
    writer.out.put(&target.options)?;
    let items = Items::new(image, changes, spans, target.recodes);
    Pool::run(workers, |pool| writer.data(pool, items))?;
    let mut encoder = Encoder::new(&target.method, options.xz_preset)?;
    let how = How {
        store: &image.shared.store,
        encoder: &mut encoder,
        plain: false,
        verbatim: !target.recodes,
    };
    writer.tables(survey, target.superblock, how)
}

/// An item whose turn comes when all before it is written.
enum Pending {
    Item(Item),
    /// Job `number`, which compresses this.
    Job(u64, JobOf),
}

/// What a job's result is for.
enum JobOf {
    Inner(usize),
    Piece(Range<u64>, SizeWord),
}

struct Writer<'a> {
    image: &'a Image,
    out: Output<'a>,
    moves: Moves,
    words: Vec<SizeWord>,
    inner_start: u64,
    written: Written,
    progress: &'a dyn Progress,
}

impl Writer<'_> {
    /// Writes all data, while the pool compresses what comes next.
    fn data(&mut self, pool: &Pool<Work, Outcome>, items: Items<'_>) -> Result<()> {
        let block_size = self.image.shared.superblock.block_size as usize;
        let window = (WINDOW_BYTES / block_size).clamp(4, 192);
        let mut items = items.fuse();
        let mut pending: VecDeque<Pending> = VecDeque::new();
        let mut jobs = 0;
        let mut opened = 0;
        let mut word = None;
        loop {
            while jobs < window && pending.len() < 4 * window {
                let Some(item) = items.next() else { break };
                match item {
                    Item::Work(work) => {
                        let job = match &work {
                            Work::Inner { index, .. } => JobOf::Inner(*index as usize),
                            Work::Piece(piece) => JobOf::Piece(piece.extent.clone(), piece.word),
                        };
                        jobs += 1;
                        pending.push_back(Pending::Job(pool.give(work), job));
                    }
                    Item::Copy(range) => add_copy(&mut pending, range),
                    other => pending.push_back(Pending::Item(other)),
                }
            }
            self.progress.check()?;
            let Some(next) = pending.pop_front() else {
                return Ok(());
            };
            match next {
                Pending::Item(Item::Copy(range)) => {
                    let part = range.start..range.end.min(range.start + CHUNK as u64);
                    self.copy(&part)?;
                    if part.end < range.end {
                        pending.push_front(Pending::Item(Item::Copy(part.end..range.end)));
                    }
                }
                Pending::Item(Item::Open) => opened = self.out.at(),
                Pending::Item(Item::Hole(index)) => {
                    self.words[index] = SizeWord::HOLE;
                    self.written.zeroed += 1;
                }
                Pending::Item(Item::Close(old, inner)) => {
                    if inner {
                        self.inner_start = opened;
                    }
                    self.moves.push(Moved {
                        old,
                        new: opened..self.out.at(),
                        word: word.take().filter(|_| !inner),
                    });
                }
                Pending::Item(Item::Work(_)) => {}
                Pending::Job(number, JobOf::Inner(index)) => {
                    jobs -= 1;
                    let old = self.image.inner.block_at(index);
                    let extent = old..old + u64::from(self.words[index].bytes());
                    self.words[index] =
                        self.block(pool.take(number)?, extent, self.words[index])?;
                }
                Pending::Job(number, JobOf::Piece(extent, old)) => {
                    jobs -= 1;
                    word = Some(self.block(pool.take(number)?, extent, old)?);
                }
            }
        }
    }

    /// Writes what came of a block that was at `extent`, and gives its new size word.
    fn block(&mut self, outcome: Outcome, extent: Range<u64>, old: SizeWord) -> Result<SizeWord> {
        self.step(extent.end);
        match outcome {
            Outcome::Same => {
                self.written.unchanged += 1;
                self.copy(&extent)?;
                Ok(old)
            }
            Outcome::Zeros => {
                self.written.zeroed += 1;
                Ok(SizeWord::HOLE)
            }
            Outcome::Stored(word, bytes) => {
                self.written.recoded += 1;
                self.out.put(&bytes)?;
                Ok(word)
            }
        }
    }

    fn copy(&mut self, range: &Range<u64>) -> Result<()> {
        self.written.copied += Bytes(range.end - range.start);
        self.out.fill(range.end - range.start, |at, buffer| {
            self.image.shared.store.read(range.start + at, buffer)
        })?;
        self.step(range.end);
        Ok(())
    }

    fn step(&self, at: u64) {
        let total = self.image.shared.superblock.bytes_used;
        self.progress.step(Stage::Build, at.min(total), total);
    }

    fn tables(
        mut self,
        survey: Survey,
        mut superblock: Superblock,
        mut how: How<'_>,
    ) -> Result<Written> {
        let file = &self.image.inner.file;
        let block_size = superblock.block_size;
        let holes = self
            .words
            .iter()
            .enumerate()
            .filter(|(_, word)| word.is_hole());
        let inner = NewInner {
            // Where nothing is stored, the place says nothing, and stays.
            start: match self.words.iter().all(|word| word.is_hole()) {
                true => file.start,
                false => self.inner_start,
            },
            words: &self.words,
            holes: holes
                .map(|(index, _)| file.block_bytes(index, block_size) as u64)
                .sum(),
        };
        let tables = survey.renew(self.image, &self.moves, &inner, superblock.flags, &mut how)?;
        let at = self.out.at();
        tables.write(at, &mut superblock, |bytes| self.out.put(bytes))?;
        self.pad(&superblock)?;
        self.out.flush()?;
        self.step(u64::MAX);
        self.written.bytes = Bytes(self.out.at());
        self.out.finish(&superblock.to_bytes())?;
        Ok(self.written)
    }

    /// An image without padding gets none, any other is padded as mksquashfs does it.
    fn pad(&mut self, superblock: &Superblock) -> Result<()> {
        let old = &self.image.shared;
        let used = old.superblock.bytes_used;
        let padded = old.file_bytes > used || used.is_multiple_of(PADDING);
        let end = superblock.bytes_used;
        if padded && !end.is_multiple_of(PADDING) {
            let zeros = [0; PADDING as usize];
            self.out.put(&zeros[(end % PADDING) as usize..])?;
        }
        Ok(())
    }
}

/// Copies of what lies side by side become one.
fn add_copy(pending: &mut VecDeque<Pending>, range: Range<u64>) {
    match pending.back_mut() {
        Some(Pending::Item(Item::Copy(before))) if before.end == range.start => {
            before.end = range.end;
        }
        _ => pending.push_back(Pending::Item(Item::Copy(range))),
    }
}

/// Collects what is written one after another, and writes it in large pieces.
struct Output<'a> {
    out: &'a dyn Storage,
    buffer: Vec<u8>,
    written: u64,
}

impl<'a> Output<'a> {
    fn new(out: &'a dyn Storage) -> Output<'a> {
        Output {
            out,
            buffer: Vec::with_capacity(CHUNK),
            written: 0,
        }
    }

    /// Where the next byte goes.
    fn at(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.fill(bytes.len() as u64, |at, buffer| {
            buffer.copy_from_slice(&bytes[at as usize..][..buffer.len()]);
            Ok(())
        })
    }

    /// Adds `length` bytes, which `read` gives by their place among them.
    fn fill(
        &mut self,
        length: u64,
        mut read: impl FnMut(u64, &mut [u8]) -> Result<()>,
    ) -> Result<()> {
        let mut done = 0;
        while done < length {
            let start = self.buffer.len();
            let part = (CHUNK - start).min((length - done).min(CHUNK as u64) as usize);
            self.buffer.resize(start + part, 0);
            read(done, &mut self.buffer[start..])?;
            done += part as u64;
            if self.buffer.len() == CHUNK {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if !self.buffer.is_empty() {
            self.out
                .write_at(&self.buffer, self.written)
                .doing("writing the new image")?;
            self.out
                .start_writing(self.written, self.buffer.len() as u64);
            self.written += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Writes the superblock, and cuts what may have been behind the end.
    fn finish(&mut self, superblock: &[u8; SUPERBLOCK]) -> Result<()> {
        let doing = "writing the new image";
        if self.out.size().doing(doing)? != Bytes(self.written) {
            self.out.set_len(Bytes(self.written)).doing(doing)?;
        }
        self.out.write_at(superblock, 0).doing(doing)
    }
}
