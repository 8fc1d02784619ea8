//! The direct engine: overlay chunks go straight into a copy of the image.
//!
//! A SquashFS block without a change is copied as it is stored. A changed one is made of the
//! overlay's chunks, zeros for chunks that no file uses, and the old bytes for all others.

use super::plan::Options;
use crate::error::Result;
use crate::progress::Progress;
use crate::sources::Sources;
use crate::squash::{self, Changes, Fate};
use crate::storage::{ReadAt, Storage};

impl<S: ReadAt> Changes for Sources<S> {
    fn fate(&self, block: u64) -> Fate {
        if self.is_all_free(block) {
            Fate::Hole
        } else if self.touches(block) || self.frees_any(block) {
            Fate::Change
        } else {
            Fate::Keep
        }
    }

    fn needs_old(&self, block: u64) -> bool {
        self.pieces(block)
            .any(|piece| !self.is_listed(piece.chunk) && !self.is_free(piece.chunk))
    }

    fn patch(&self, block: u64, bytes: &mut [u8]) -> Result<()> {
        let start = self.block_range(block).start;
        for piece in self.pieces(block) {
            let target = &mut bytes[piece.within(start)];
            if self.is_free(piece.chunk) {
                target.fill(0);
            } else {
                self.read_copy(&piece, target)?;
            }
        }
        Ok(())
    }
}

/// Writes the new image into the empty file `out`. The caller syncs it.
pub(super) fn build<S: ReadAt>(
    sources: &Sources<S>,
    options: &Options,
    out: &dyn Storage,
    progress: &dyn Progress,
) -> Result<()> {
    let written = squash::rewrite(&sources.image, sources, &options.rewrite(), out, progress)?;
    log::info!("new image: {written:?}");
    Ok(())
}
