//! The kernel engine: the way in which Fedora's tools do it, for trust and comparison.
//!
//! 1. The inner image is decompressed into scratch space.
//! 2. So is the overlay copied: `snapshot-merge` empties the store that it merges, and the
//!    stick's own is never to be changed before the new image is in place.
//! 3. The kernel merges the copy into the image ([`merge`]).
//! 4. Blocks that no file uses become zeros, by the same decision as in the direct engine.
//! 5. mksquashfs compresses it into the new image ([`maker`]).
//!
//! Scratch space is unnamed files: whatever ends this process gives it back. Loop devices let go
//! by themselves, and so does the merge's device.

mod maker;
mod merge;

use super::plan::Ready;
use crate::error::{Doing, Error, Part, Result};
use crate::overlay::ExceptionStore;
use crate::overlay::moves::{Keep, drop_chunks};
use crate::parallel::over_blocks;
use crate::progress::{Progress, Silent};
use crate::protocol::Stage;
use crate::sources::{IMAGE, Sources};
use crate::squash::Block;
use crate::stick::Caller;
use crate::storage::{DiskFile, Folder, ReadAt, Storage};
use crate::units::{Bytes, Chunks, SECTOR};
use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Blocks that a thread decompresses at once.
const RUN: u64 = 64;
/// What is copied at once, in bytes.
const PIECE: usize = 1 << 20;
/// Where nothing but zeros stands, nothing is written; in bytes.
const GRAIN: usize = 64 << 10;

/// That the kernel engine can be used, and where it works.
#[derive(Debug)]
pub struct Kernel {
    scratch: OwnedFd,
}

impl Kernel {
    /// With scratch space in the folder at `scratch`.
    ///
    /// # Errors
    /// `Denied` for anybody but root, and for whoever became it by pkexec: no path of theirs is
    /// followed. `Missing` without mksquashfs, `Unsupported` without device-mapper or for a folder
    /// that cannot have unnamed files, `NotFound` where there is no such folder.
    pub fn new(scratch: &Path) -> Result<Kernel> {
        let caller = Caller::current();
        if caller.by_pkexec || !caller.root {
            let detail = "the kernel engine is for root itself, at a terminal".to_owned();
            return Err(Error::Denied { detail });
        }
        merge::available()?;
        maker::available()?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let scratch = match rustix::fs::open(scratch, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR) => {
                let detail = format!("no folder {}", scratch.display());
                return Err(Error::not_found(Part::Scratch, detail));
            }
            other => other.doing("opening the scratch folder")?,
        };
        let kernel = Kernel { scratch };
        kernel.unnamed()?;
        Ok(kernel)
    }

    /// A file of scratch space that nobody else can reach.
    fn unnamed(&self) -> Result<File> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        match rustix::fs::openat(&self.scratch, ".", flags, mode) {
            Ok(file) => Ok(File::from(file)),
            Err(Errno::OPNOTSUPP | Errno::ISDIR) => Err(Error::unsupported(
                Part::Scratch,
                "the scratch folder's file system has no unnamed files",
            )),
            Err(error) => Err(error).doing("making a file in the scratch folder"),
        }
    }

    /// Scratch space that is there.
    pub(super) fn available(&self) -> Result<Bytes> {
        let space = rustix::fs::fstatvfs(&self.scratch).doing("asking for the scratch space")?;
        Ok(Bytes(space.f_bavail.saturating_mul(space.f_frsize)))
    }

    /// Whether scratch space is taken from the stick's own.
    pub(super) fn is_on<F: Folder>(&self, folder: &F) -> Result<bool> {
        let scratch = rustix::fs::fstat(&self.scratch).doing("looking at the scratch folder")?;
        let entries = folder.entries().doing("reading the folder LiveOS")?;
        Ok(entries.iter().any(|entry| entry.id.0 == scratch.st_dev))
    }
}

/// The most scratch space that is needed: the inner image without its holes, what the overlay
/// may put into these, and the overlay as far as it is used.
pub(super) fn scratch_needed<S: ReadAt>(sources: &Sources<S>) -> Bytes {
    let listed = sources.list.len() as u64 * sources.list.chunk_size().bytes().0;
    let all = stored_blocks(sources)
        .saturating_mul(sources.image.block_bytes().0)
        .saturating_add(listed)
        .saturating_add(used(&sources.list).0);
    // A file system's own records of that.
    Bytes(all.saturating_add(all / 64))
}

/// Blocks of the inner image that are no holes.
pub(super) fn stored_blocks<S: ReadAt>(sources: &Sources<S>) -> u64 {
    let blocks = 0..sources.image.blocks();
    let stored = blocks.filter(|block| sources.image.block(*block) != Block::Hole);
    stored.count() as u64
}

/// The store up to the last chunk, or the list's last area, that is used.
fn used(list: &ExceptionStore) -> Bytes {
    let layout = list.layout();
    // With repeats in it, the list's end may lie behind all data.
    let area = layout.area_chunk(list.listed() / layout.per_area());
    let chunks = layout
        .next_free(list.highest())
        .max(area.unwrap_or_default() + Chunks(1));
    let bytes = layout.chunk().offset(chunks);
    let total = list.total().bytes().unwrap_or(Bytes(u64::MAX));
    bytes.unwrap_or(total).min(total)
}

/// Makes the new image in the empty file `out`. The caller syncs it.
pub(super) fn build<F: Folder>(
    kernel: &Kernel,
    ready: &Ready<'_, F>,
    out: &F::File,
    progress: &dyn Progress,
) -> Result<()> {
    let sources = &ready.sources;
    let merged = kernel.unnamed()?;
    let meter = Meter::new(sources, progress);
    inflate(sources, ready.options.threads, &merged, &meter)?;
    if !sources.list.is_empty() {
        let store = DiskFile::new(kernel.unnamed()?);
        copy_store(sources, &store, &meter)?;
        let chunk = sources.list.chunk_size();
        merge::merge(&merged, store.file(), chunk, |part| meter.merged(part))?;
    }
    let inner = sources.image.inner_bytes().0;
    merged.set_len(inner).doing(WRITING)?;
    zero_free(sources, &merged, progress)?;
    let image = ready.target.folder.open(IMAGE).doing("opening the image")?;
    let (Some(image), Some(out)) = (image.descriptor(), out.descriptor()) else {
        let detail = "the kernel engine works on real files only";
        return Err(Error::unsupported(Part::Stick, detail));
    };
    let job = maker::Job {
        old: &sources.image,
        image,
        inner: &merged,
        out,
        options: &ready.options,
    };
    job.run(progress)
}

const WRITING: &str = "writing to the scratch folder";

/// Tells how far the merge is: decompressing, copying, merging.
struct Meter<'a> {
    progress: &'a dyn Progress,
    image: u64,
    store: u64,
    listed: u64,
    inflated: AtomicU64,
}

impl Meter<'_> {
    fn new<'a, S: ReadAt>(sources: &Sources<S>, progress: &'a dyn Progress) -> Meter<'a> {
        let list = &sources.list;
        Meter {
            progress,
            image: stored_blocks(sources) * sources.image.block_bytes().0,
            store: used(list).0,
            listed: list.len() as u64 * list.chunk_size().bytes().0,
            inflated: AtomicU64::new(0),
        }
    }

    fn step(&self, done: u64) -> Result<()> {
        let total = self.image + self.store + self.listed;
        self.progress.step(Stage::Merge, done.min(total), total);
        self.progress.check()
    }

    fn inflated(&self, bytes: usize) -> Result<()> {
        let before = self.inflated.fetch_add(bytes as u64, Ordering::Relaxed);
        self.step(before + bytes as u64)
    }

    fn copied(&self, bytes: u64) -> Result<()> {
        self.step(self.image + bytes)
    }

    /// `part` of 1 of the overlay is merged.
    fn merged(&self, part: f64) -> Result<()> {
        self.step(self.image + self.store + (self.listed as f64 * part) as u64)
    }
}

/// Decompresses the inner image into `merged`, its holes left out; a whole number of sectors.
fn inflate<S: ReadAt>(
    sources: &Sources<S>,
    threads: usize,
    merged: &File,
    meter: &Meter<'_>,
) -> Result<()> {
    let image = &sources.image;
    let length = image.inner_bytes().0.next_multiple_of(SECTOR);
    merged.set_len(length).doing(WRITING)?;
    let state = || (image.in_order(), Vec::new());
    over_blocks(
        image.blocks(),
        RUN,
        threads,
        state,
        |(blocks, plain), run| {
            for block in run {
                if image.block(block) == Block::Hole {
                    continue;
                }
                blocks.plain(block, plain)?;
                write_sparsely(merged, plain, block * image.block_bytes().0)?;
                meter.inflated(plain.len())?;
            }
            Ok(())
        },
    )
}

/// Writes into a file that is all zeros there.
fn write_sparsely(file: &File, bytes: &[u8], offset: u64) -> Result<()> {
    for (index, grain) in bytes.chunks(GRAIN).enumerate() {
        if grain.iter().any(|byte| *byte != 0) {
            let at = offset + (index * GRAIN) as u64;
            file.write_all_at(grain, at).doing(WRITING)?;
        }
    }
    Ok(())
}

/// Copies the overlay as far as it is used, and makes sure that it is the one that was read.
///
/// Each exception is listed once in the copy: a drop that was cut may have left exact repeats,
/// which mean nothing to whoever reads the list, but which a merge may stumble over.
fn copy_store<S: ReadAt>(sources: &Sources<S>, store: &DiskFile, meter: &Meter<'_>) -> Result<()> {
    let list = &sources.list;
    let total = list.total().bytes().unwrap_or(Bytes(u64::MAX));
    store.file().set_len(total.0).doing(WRITING)?;
    let end = used(list).0;
    let mut piece = vec![0; PIECE];
    for at in (0..end).step_by(PIECE) {
        piece.resize(PIECE.min((end - at) as usize), 0);
        sources
            .store
            .read_at(&mut piece, at)
            .doing("reading the overlay")?;
        write_sparsely(store.file(), &piece, at)?;
        meter.copied(at)?;
    }
    let copied = ExceptionStore::read(store, Some(sources.image.inner_bytes()))?;
    if copied != *list {
        let detail = "the overlay's exception list changed since it was read";
        return Err(Error::refused(Part::Overlay, detail));
    }
    if list.listed() != list.len() as u64 {
        let keep = Keep::choose(copied, |_| Ok(true), &Silent)?;
        drop_chunks(store, &keep)?;
    }
    Ok(())
}

/// Makes chunks that no file uses zeros, where that is wanted and can be known.
fn zero_free<S: ReadAt>(
    sources: &Sources<S>,
    merged: &File,
    progress: &dyn Progress,
) -> Result<()> {
    if sources.free.is_err() {
        return Ok(());
    }
    let chunk = sources.list.chunk_size();
    let inner = sources.image.inner_bytes();
    let chunks = chunk.chunks_for(inner).0;
    let mut next = 0;
    while next < chunks {
        let free = |at: &u64| sources.is_free(Chunks(*at));
        let Some(first) = (next..chunks).find(free) else {
            break;
        };
        progress.check()?;
        let end = (first..chunks).find(|at| !free(at)).unwrap_or(chunks);
        let start = first * chunk.bytes().0;
        let end_bytes = (end * chunk.bytes().0).min(inner.0);
        punch(merged, start, end_bytes - start).doing(WRITING)?;
        next = end;
    }
    Ok(())
}

fn punch(file: &File, offset: u64, length: u64) -> std::io::Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match rustix::fs::fallocate(file, flags, offset, length) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            let zeros = vec![0; PIECE.min(length as usize)];
            for at in (0..length).step_by(PIECE) {
                let here = zeros.len().min((length - at) as usize);
                file.write_all_at(&zeros[..here], offset + at)?;
            }
            Ok(())
        }
        other => Ok(other?),
    }
}
