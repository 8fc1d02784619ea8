//! What refresh, tidy and check read: the image, the overlay, and which chunks no file uses.

use crate::error::{Doing, Error, Part, Result};
use crate::ext4::{self, Finding, FreeBlocks, Superblock, Trust};
use crate::merged::Merged;
use crate::overlay::{Exception, ExceptionStore, revive};
use crate::progress::Progress;
use crate::squash::{Image, InnerReader};
use crate::stick::Stick;
use crate::storage::{Folder, ReadAt, Storage};
use crate::units::{Bytes, Chunks};
use std::ops::Range;
use std::sync::Arc;

/// The image that dracut looks for in LiveOS.
pub const IMAGE: &str = "squashfs.img";

/// How many decoded SquashFS blocks a reader of the inner image keeps.
const CACHE_BLOCKS: usize = 16;

/// Where an operation works: LiveOS, and the overlay in it that dracut would take.
#[derive(Debug)]
pub struct Target<'a, F: Folder> {
    /// The folder LiveOS.
    pub folder: &'a F,
    /// The overlay's name in it.
    pub overlay: &'a str,
}

impl<F: Folder> Clone for Target<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Folder> Copy for Target<'_, F> {}

/// Whether a system runs from the stick meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Nobody changes it but us.
    AtRest,
    /// A system runs from it: its kernel appends to the exception list, and writes into the
    /// overlay's chunks, while we read.
    Running,
}

impl Use {
    /// Of an open stick.
    pub fn of(stick: &Stick) -> Use {
        match stick.booted() {
            true => Use::Running,
            false => Use::AtRest,
        }
    }
}

/// Who speaks for the stick where it is about to be written.
pub trait Guard: Sync {
    /// Whether it is still ours alone: `Err(Busy)` where somebody else came to hold the stick, its image or its
    /// overlay. Asked right before the exchange and before the first write into the exception list.
    fn still_ours(&self) -> Result<()>;

    /// `Err` where a cut could lose a file of the stick that is made longer. Asked before the overlay grows.
    fn lets_files_grow(&self) -> Result<()>;
}

/// The lock and the look at holders are the stick's own.
impl Guard for Stick {
    fn still_ours(&self) -> Result<()> {
        self.check_again()
    }

    fn lets_files_grow(&self) -> Result<()> {
        Stick::lets_files_grow(self)
    }
}

/// An image and the overlay `store` over it, with the list read from it.
#[derive(Debug)]
pub(crate) struct Sources<S> {
    /// The old image.
    pub image: Image,
    /// The overlay file.
    pub store: S,
    /// Its exception list; of a running system's, what was on the device. Invalid where the kernel
    /// gave the store up: [`Sources::take_up`] comes before any change.
    pub list: ExceptionStore,
    /// Whether a system runs from them.
    pub used: Use,
    /// The blocks that no file uses, where that is wanted and can be trusted.
    pub free: std::result::Result<FreeBlocks, NotFree>,
    /// The blocks that the image alone calls free: a hint which of the free blocks may hold
    /// something there. Decides what is worth the work, never what is right. Where none can be trusted
    /// to be free, nobody asks.
    pub free_before: Option<FreeBlocks>,
}

/// Why no block is taken to be free.
#[derive(Debug, Clone)]
pub(crate) enum NotFree {
    /// Nobody wants to know.
    NotWanted,
    /// A system runs from the stick, and may use any block at any instant.
    Running,
    /// The file system's own record cannot be trusted.
    NotTrusted(Finding),
}

/// The part of one chunk that lies in one SquashFS block.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// The chunk.
    pub chunk: Chunks,
    /// Where the piece lies in the inner image, in bytes.
    pub at: Range<u64>,
}

impl Piece {
    /// Where the piece lies in a buffer that begins at byte `start` of the inner image.
    pub fn within(&self, start: u64) -> Range<usize> {
        (self.at.start - start) as usize..(self.at.end - start) as usize
    }
}

impl<S: ReadAt> Sources<S> {
    /// Opens image and overlay to read, and makes sure that they belong together: the file
    /// system seen through the overlay must be the image's own (UUID and time of creation), and
    /// must not have recorded errors that the image alone has not.
    ///
    /// Of a running system, the *overlay file* is read and never its device, whose page cache holds
    /// what the file system has not committed. Its list comes from the device, made durable before:
    /// the kernel only ever appends to it, so all of it is there after any cut. No block is free.
    pub fn open<F: Folder<File = S>>(
        target: Target<'_, F>,
        used: Use,
        want_free: bool,
        progress: &dyn Progress,
    ) -> Result<Sources<S>>
    where
        S: 'static,
    {
        let image = target.folder.open(IMAGE).doing("opening the image")?;
        let image = Image::open(Arc::new(image))?;
        let store = target
            .folder
            .open(target.overlay)
            .doing("opening the overlay")?;
        let list = match used {
            Use::AtRest => ExceptionStore::read_given_up(&store, Some(image.inner_bytes()))?,
            Use::Running => durable(target, image.inner_bytes())?,
        };
        if used == Use::Running && !list.is_valid() {
            let detail = "the kernel marked the exception store invalid";
            return Err(Error::damaged(Part::Overlay, detail));
        }
        let mut sources = Sources {
            image,
            store,
            list,
            used,
            free: Err(match used {
                Use::AtRest => NotFree::NotWanted,
                Use::Running => NotFree::Running,
            }),
            free_before: None,
        };
        sources.belong_together()?;
        if want_free && used == Use::AtRest {
            let trust = ext4::free_blocks(&sources.merged()?, progress)?;
            sources.free = match trust {
                Trust::Free(free) => Ok(free),
                Trust::No(why) => Err(NotFree::NotTrusted(why)),
            };
            if sources.free.is_ok() {
                sources.free_before = ext4::claimed_free(&sources.base(), progress)?;
            }
        }
        Ok(sources)
    }

    /// Makes the store valid again where the kernel gave it up; nothing that it lists changes.
    ///
    /// # Errors
    /// As [`revive`]; the guard's.
    pub fn take_up<F: Folder<File = S>>(
        &mut self,
        target: Target<'_, F>,
        guard: &dyn Guard,
    ) -> Result<()>
    where
        S: Storage,
    {
        if self.list.is_valid() {
            return Ok(());
        }
        guard.still_ours()?;
        let store = target
            .folder
            .open_writable(target.overlay)
            .doing("opening the overlay")?;
        self.list = revive(&store, &self.list)?;
        Ok(())
    }

    /// Whether all that was listed still is, on the device: what the new image may differ in.
    ///
    /// # Errors
    /// `Refused` where it is not.
    pub fn still_listed<F: Folder<File = S>>(&self, target: Target<'_, F>) -> Result<()> {
        let now = durable(target, self.image.inner_bytes())?;
        let there = |one: Exception| now.lookup(one.old) == Some(one.new);
        if now.is_valid() && self.list.iter().all(there) {
            return Ok(());
        }
        let detail = "the running system's exception list is no longer what was read";
        Err(Error::refused(Part::Overlay, detail))
    }

    /// The inner image alone.
    pub fn base(&self) -> InnerReader {
        self.image.reader(CACHE_BLOCKS)
    }

    /// `image (+) overlay`.
    pub fn merged(&self) -> Result<Merged<'_, InnerReader, &S>> {
        Merged::new(self.base(), &self.store, &self.list).doing("reading the image")
    }

    fn belong_together(&self) -> Result<()> {
        let before = Superblock::read(&self.base())?;
        let after = Superblock::read(&self.merged()?)?;
        if before.uuid() != after.uuid() || before.created() != after.created() {
            return Err(Error::refused(
                Part::Overlay,
                "the file system seen through the overlay is not the image's",
            ));
        }
        if after.state().has_errors() && !before.state().has_errors() {
            return Err(Error::refused(
                Part::Ext4,
                "the file system recorded errors since the image was made",
            ));
        }
        Ok(())
    }

    /// Whether the overlay's copy of a chunk can be forgotten: nothing uses it, or the image
    /// holds the same there.
    pub fn is_spare(&self, base: &dyn ReadAt, exception: Exception) -> Result<bool> {
        if self.is_free(exception.old) {
            return Ok(true);
        }
        let at = self.chunk_range(exception.old);
        let piece = Piece {
            chunk: exception.old,
            at,
        };
        let length = (piece.at.end - piece.at.start) as usize;
        let (mut ours, mut theirs) = (vec![0; length], vec![0; length]);
        self.read_copy(&piece, &mut ours)?;
        base.read_at(&mut theirs, piece.at.start)
            .doing("reading the image")?;
        Ok(ours == theirs)
    }

    /// Where SquashFS block `block` lies in the inner image, in bytes.
    pub fn block_range(&self, block: u64) -> Range<u64> {
        let size = self.image.block_bytes().0;
        let start = block * size;
        start..(start + size).min(self.image.inner_bytes().0)
    }

    /// The chunks, or parts of them, that SquashFS block `block` consists of.
    pub fn pieces(&self, block: u64) -> impl Iterator<Item = Piece> + use<S> {
        let range = self.block_range(block);
        let chunk_bytes = self.list.chunk_size().bytes().0;
        self.chunks_of(block).map(move |chunk| Piece {
            chunk: Chunks(chunk),
            at: range.start.max(chunk * chunk_bytes)..range.end.min((chunk + 1) * chunk_bytes),
        })
    }

    /// The chunks that SquashFS block `block` has a part of.
    fn chunks_of(&self, block: u64) -> Range<u64> {
        let range = self.block_range(block);
        let chunk_bytes = self.list.chunk_size().bytes().0;
        range.start / chunk_bytes..range.end.div_ceil(chunk_bytes)
    }

    /// Whether the overlay holds any part of SquashFS block `block`.
    pub fn touches(&self, block: u64) -> bool {
        self.list.holds_any(self.chunks_of(block))
    }

    /// Whether nothing uses any part of SquashFS block `block`.
    pub fn is_all_free(&self, block: u64) -> bool {
        is_free_in(self.free.as_ref().ok(), self.chunks_range(block))
    }

    /// Whether a part of SquashFS block `block` is free that may still hold something in the old
    /// image.
    pub fn frees_any(&self, block: u64) -> bool {
        let free = self.free.as_ref().ok();
        free.is_some_and(|free| free.has_free(self.chunks_range(block)))
            && self
                .chunks_of(block)
                .map(Chunks)
                .any(|chunk| self.is_free(chunk) && self.was_used(chunk))
    }

    /// Whether the overlay holds this chunk.
    pub fn is_listed(&self, chunk: Chunks) -> bool {
        self.list.lookup(chunk).is_some()
    }

    /// Whether every file system block in this chunk is known to be used by nothing.
    pub fn is_free(&self, chunk: Chunks) -> bool {
        is_free_in(self.free.as_ref().ok(), self.chunk_range(chunk))
    }

    /// Whether a free chunk may still hold something in the old image.
    fn was_used(&self, chunk: Chunks) -> bool {
        !is_free_in(self.free_before.as_ref(), self.chunk_range(chunk))
    }

    /// Reads the overlay's copy of `piece`, which must be listed; `false` where it is not.
    pub fn read_copy(&self, piece: &Piece, buffer: &mut [u8]) -> Result<bool> {
        let Some(copy) = self.list.lookup(piece.chunk) else {
            return Ok(false);
        };
        let size = self.list.chunk_size();
        let inside = piece.at.start % size.bytes().0;
        let start = size.offset(copy).unwrap_or(Bytes(u64::MAX)).0;
        self.store
            .read_at(buffer, start.saturating_add(inside))
            .doing("reading the overlay")?;
        Ok(true)
    }

    /// All bytes of the chunks that SquashFS block `block` has a part of.
    fn chunks_range(&self, block: u64) -> Range<u64> {
        let chunks = self.chunks_of(block);
        let last = chunks.end.saturating_sub(1);
        self.chunk_range(Chunks(chunks.start)).start..self.chunk_range(Chunks(last)).end
    }

    /// The chunk's bytes in the inner image; what lies beyond its end does not count.
    fn chunk_range(&self, chunk: Chunks) -> Range<u64> {
        let size = self.list.chunk_size().bytes().0;
        let end = self.image.inner_bytes().0;
        let start = chunk.0.saturating_mul(size).min(end);
        start..start.saturating_add(size).min(end)
    }
}

/// The exception list that a power cut would leave.
fn durable<F: Folder>(target: Target<'_, F>, inner: Bytes) -> Result<ExceptionStore> {
    let doing = "reading the overlay from the device";
    target.folder.sync().doing(doing)?;
    let store = target.folder.open_uncached(target.overlay).doing(doing)?;
    ExceptionStore::read(&store, Some(inner))
}

fn is_free_in(free: Option<&FreeBlocks>, range: Range<u64>) -> bool {
    free.is_some_and(|free| free.is_free_range(range))
}
