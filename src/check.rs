//! Reads everything, and says what is not as it should be.

use crate::error::Result;
use crate::parallel::over_blocks;
use crate::progress::Progress;
use crate::protocol::Stage;
use crate::squash::Image;
use std::sync::atomic::{AtomicU64, Ordering};

/// Blocks that a thread takes at once.
const RUN: u64 = 256;

/// Reads and decodes every block of the inner image. The first that cannot be read ends it.
///
/// # Errors
/// `Damaged` names the first block found that cannot be decoded; those of reading; `Cancelled`.
pub fn image(image: &Image, threads: usize, progress: &dyn Progress) -> Result<()> {
    let done = AtomicU64::new(0);
    let total = image.inner_bytes().0;
    over_blocks(
        image.blocks(),
        RUN,
        threads,
        || (image.in_order(), Vec::new()),
        |(blocks, plain), run| {
            progress.check()?;
            for block in run {
                blocks.plain(block, plain)?;
                let length = plain.len() as u64;
                let so_far = done.fetch_add(length, Ordering::Relaxed) + length;
                progress.step(Stage::Check, so_far, total);
            }
            Ok(())
        },
    )
}
