//! A new image with another inner file, written from front to back.
//!
//! SquashFS compresses each block of a file by itself. So the blocks that stay are
//! copied as they are stored, and only those that change are compressed, by
//! several threads in a bounded window. What lies behind them moves: the tables are
//! changed accordingly, and the superblock, which makes the new image one, is
//! written last.

use super::codec::{Encoder, Method, XZ_PRESET};
use super::format::{Compression, PADDING, SUPERBLOCK, SizeWord, Superblock, flags};
use super::pool::Pool;
use super::read::{Block, Image};
use super::recode::{Outcome, Recoder, Work};
use super::survey::{Moved, Moves, NewInner, Piece, Survey};
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
/// Blocks in work or waiting to be written take at most this together.
const WINDOW_BYTES: usize = 8 << 20;

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
    /// What becomes of block `block`. Asked once or twice for each, the same each time.
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
/// images have the same superblock. The same input gives the same bytes, with any number of threads.
///
/// Nothing is synced, and `out` is not read. Memory is bounded by the block size and the number of threads, and by
/// the length of the tables.
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
    let items = Items {
        image,
        changes,
        recodes: target.recodes,
        spans: spans.into_iter(),
        span: None,
        at: image.shared.data.start,
        queue: VecDeque::new(),
    };
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

/// What the new image is to be.
struct Target {
    method: Method,
    /// The compressor options as they are stored; empty where there are none.
    options: Vec<u8>,
    superblock: Superblock,
    /// All blocks are compressed anew.
    recodes: bool,
}

impl Target {
    fn new(image: &Image, recompress: Option<Compression>) -> Result<Target> {
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
            let head = bytes.len() as u16 | super::format::METADATA_PLAIN;
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

/// A part of the data that is not simply copied.
#[derive(Debug)]
enum Span {
    /// The inner file's own blocks.
    Inner(Range<u64>),
    /// Some other block.
    Piece(Piece),
}

impl Span {
    fn old(&self) -> Range<u64> {
        match self {
            Span::Inner(extent) => extent.clone(),
            Span::Piece(piece) => piece.extent.clone(),
        }
    }
}

/// The spans in the order of their places. All else between them is copied, or, where everything
/// is compressed anew, belongs to nobody and is left out.
fn spans(
    image: &Image,
    changes: &dyn Changes,
    survey: &Survey,
    recodes: bool,
) -> Result<Vec<Span>> {
    let pieces = survey.pieces(image)?;
    let changed_tail = image.inner.tail.filter(|_| {
        let last = image.blocks().saturating_sub(1);
        changes.fate(last) != Fate::Keep
    });
    let wanted = |piece: &Piece| {
        recodes || changed_tail.is_some_and(|tail| tail.fragment.start == piece.extent.start)
    };
    let mut spans: Vec<Span> = pieces.into_iter().filter(wanted).map(Span::Piece).collect();
    let mut inner = image.inner.file.extent();
    if inner.is_empty() {
        // All holes: what begins to be stored goes behind all else.
        inner = image.shared.data.end..image.shared.data.end;
    }
    let place = spans.partition_point(|span| span.old().start < inner.start);
    spans.insert(place, Span::Inner(inner));
    Ok(spans)
}

/// What is to be written next.
#[derive(Debug)]
enum Item {
    /// Stored bytes of the old image.
    Copy(Range<u64>),
    /// A span begins.
    Open,
    /// A block that is compressed anew.
    Work(Work),
    /// Block `index` of the inner file becomes a hole.
    Hole(usize),
    /// A span ends.
    Close(Range<u64>, bool),
}

/// Goes through the old image's data, and tells item by item.
struct Items<'a> {
    image: &'a Image,
    changes: &'a dyn Changes,
    recodes: bool,
    spans: std::vec::IntoIter<Span>,
    /// The inner file's span, and the next block.
    span: Option<(Range<u64>, usize)>,
    /// Everything before is told.
    at: u64,
    queue: VecDeque<Item>,
}

impl Iterator for Items<'_> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.queue.pop_front() {
                return Some(item);
            }
            match self.span.take() {
                Some((extent, index)) => self.inner(extent, index),
                None => self.open()?,
            }
        }
    }
}

impl Items<'_> {
    /// The next span, and what is before it; nothing at the end.
    fn open(&mut self) -> Option<()> {
        let end = self.image.shared.data.end;
        let span = self.spans.next();
        if span.is_none() && self.at == end {
            return None;
        }
        let until = span.as_ref().map_or(end, |span| span.old().start);
        if !self.recodes && self.at < until {
            self.queue.push_back(Item::Copy(self.at..until));
        }
        self.at = until;
        if span.is_some() {
            self.queue.push_back(Item::Open);
        }
        match span {
            Some(Span::Inner(extent)) => self.span = Some((extent, 0)),
            Some(Span::Piece(piece)) => {
                self.at = piece.extent.end;
                let extent = piece.extent.clone();
                self.queue.push_back(Item::Work(Work::Piece(piece)));
                self.queue.push_back(Item::Close(extent, false));
            }
            None => {}
        }
        Some(())
    }

    /// The inner file's block `index`, or its end.
    fn inner(&mut self, extent: Range<u64>, index: usize) {
        let Some(word) = self.image.inner.file.words.get(index) else {
            self.at = extent.end;
            self.queue.push_back(Item::Close(extent, true));
            return;
        };
        let next = self.at + u64::from(word.bytes());
        // A hole's place is the same as the next block's, and nothing is copied for it.
        match self.changes.fate(index as u64) {
            Fate::Keep if word.is_hole() => {}
            Fate::Keep if !self.recodes => self.queue.push_back(Item::Copy(self.at..next)),
            Fate::Hole if word.is_hole() => {}
            Fate::Hole => self.queue.push_back(Item::Hole(index)),
            Fate::Keep => self.work(index, false),
            Fate::Change => self.work(index, true),
        }
        if !extent.is_empty() {
            self.at = next;
        }
        self.span = Some((extent, index + 1));
    }

    fn work(&mut self, index: usize, change: bool) {
        let work = Work::Inner {
            index: index as u64,
            change,
        };
        self.queue.push_back(Item::Work(work));
    }
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
        let window = (WINDOW_BYTES / block_size).clamp(4, 64);
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
            start: self.inner_start,
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
        let pieces = survey.pieces(image)?;
        most += pieces.iter().map(|piece| piece.bytes as u64).sum::<u64>();
    }
    let tables = survey.plain_bytes() + SUPERBLOCK as u64 + super::codec::OPTIONS_MAX as u64;
    let old_tables = shared.superblock.bytes_used - shared.superblock.inode_table;
    forecast.at_most = Bytes((most + tables).next_multiple_of(PADDING));
    forecast.likely = Bytes((likely + old_tables + SUPERBLOCK as u64).next_multiple_of(PADDING));
    Ok(forecast)
}
