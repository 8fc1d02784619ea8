//! Reads the new image back from the device and holds it against the rule for absorb.
//!
//! Offline, every chunk of the new image must be
//! - where the overlay lists it: the overlay's copy, or free and zero;
//! - elsewhere: what the old image holds, or wholly free and zero.
//!
//! While a system runs from the stick, a listed chunk may hold anything, for its kernel goes on writing
//! there, and the overlay's copy is what counts; and no chunk is free.
//!
//! Nothing of what the writer knew is used: both images are opened anew, block lists included.
//! A block that is stored in the same bytes in both needs no decoding for what the overlay does
//! not list.

use super::sum::{Sum, Summing};
use crate::error::{Error, Part, Result};
use crate::parallel::over_blocks;
use crate::progress::Progress;
use crate::protocol::Stage;
use crate::sources::{Sources, Use};
use crate::squash::{self, Block, Blocks, Image};
use crate::storage::ReadAt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Blocks that a thread takes at once: about a megabyte to read, so that all threads together are near one
/// place, and no more to decode than keeps the others waiting for a moment at the end.
const RUN: u64 = 16;

/// The SHA-256 of `new`, which reads through `summing`.
/// `Err(Damaged)` names a place where the new image is not what the rule asks for.
pub(super) fn verify<S: ReadAt>(
    sources: &Sources<S>,
    new: &Image,
    summing: &Summing<impl ReadAt>,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Sum> {
    let old = &sources.image;
    squash::same_but_inner(old, new, progress)?;
    if new.block_bytes() != old.block_bytes() || new.inner_bytes() != old.inner_bytes() {
        return Err(wrong("its inner image has another shape".to_owned()));
    }
    let done = AtomicU64::new(0);
    let state = || Checker {
        sources,
        new,
        old_blocks: old.in_order(),
        new_blocks: new.in_order(),
        old: Vec::new(),
        plain: Vec::new(),
        copy: Vec::new(),
    };
    summing.in_order();
    over_blocks(new.blocks(), RUN, threads, state, |checker, run| {
        progress.check()?;
        checker.old_blocks.up_to(run.end);
        checker.new_blocks.up_to(run.end);
        for block in run {
            checker.check(block)?;
            let so_far = done.fetch_add(1, Ordering::Relaxed) + 1;
            let bytes = so_far.saturating_mul(new.block_bytes().0);
            progress.step(
                Stage::Verify,
                bytes.min(new.inner_bytes().0),
                new.inner_bytes().0,
            );
        }
        Ok(())
    })?;
    summing.finish()
}

/// One thread's view of both images, and buffers that it uses again.
struct Checker<'a, S> {
    sources: &'a Sources<S>,
    new: &'a Image,
    old_blocks: Blocks<'a>,
    new_blocks: Blocks<'a>,
    old: Vec<u8>,
    plain: Vec<u8>,
    copy: Vec<u8>,
}

impl<S: ReadAt> Checker<'_, S> {
    fn check(&mut self, block: u64) -> Result<()> {
        let sources = self.sources;
        let same = self.stored_the_same(block)?;
        if same && !sources.touches(block) {
            return Ok(());
        }
        self.new_blocks
            .plain(block, &mut self.plain)
            .map_err(of_the_new)?;
        let start = sources.block_range(block).start;
        let mut have_old = false;
        for piece in sources.pieces(block) {
            let here = piece.within(start);
            let got = &self.plain[here.clone()];
            let free_and_zero =
                || got.iter().all(|byte| *byte == 0) && sources.is_free(piece.chunk);
            self.copy.resize(here.len(), 0);
            let right = if sources.read_copy(&piece, &mut self.copy)? {
                sources.used == Use::Running || *got == self.copy[..] || free_and_zero()
            } else if same || free_and_zero() {
                true
            } else {
                if !have_old {
                    self.old_blocks.plain(block, &mut self.old)?;
                    have_old = true;
                }
                *got == self.old[here]
            };
            if !right {
                return Err(wrong(format!(
                    "chunk {} (block {block}) is not what the old image and the overlay hold",
                    piece.chunk
                )));
            }
        }
        Ok(())
    }

    /// Whether both images store the block in the very same bytes.
    fn stored_the_same(&mut self, block: u64) -> Result<bool> {
        let old = &self.sources.image;
        let alike = match (old.block(block), self.new.block(block)) {
            (Block::Hole, Block::Hole) => return Ok(true),
            (Block::Stored { word: one, .. }, Block::Stored { word: other, .. }) => one == other,
            // The end of a file in a fragment block: rare, and decoded each time.
            _ => false,
        };
        if !alike || old.compression() != self.new.compression() {
            return Ok(false);
        }
        let new = self.new_blocks.stored(block).map_err(of_the_new)?;
        Ok(self.old_blocks.stored(block)? == new)
    }
}

/// What is damaged is not the image that the stick has, but the one that was just written.
pub(super) fn of_the_new(error: Error) -> Error {
    match error {
        Error::Damaged { detail, .. }
        | Error::Unsupported { detail, .. }
        | Error::NotFound { detail, .. } => Error::damaged(Part::NewImage, detail),
        other => other,
    }
}

fn wrong(detail: String) -> Error {
    Error::damaged(Part::NewImage, detail)
}
