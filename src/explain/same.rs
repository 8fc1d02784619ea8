//! Which chunks hold what the image holds in their place.

use crate::error::Result;
use crate::parallel::over_blocks;
use crate::progress::Progress;
use crate::protocol::Stage;
use crate::sources::Sources;
use crate::storage::ReadAt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Blocks that a thread takes at once.
const RUN: u64 = 64;

/// For each chunk of the overlay, by old chunk: whether its copy equals the image there. A tidy
/// drops those.
///
/// Reads all that the overlay holds, and each block of the image that it touches once.
pub fn as_in_image<S: ReadAt>(
    sources: &Sources<S>,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Vec<bool>> {
    let chunks: Vec<u64> = sources.list.iter().map(|one| one.old.0).collect();
    let differs: Vec<AtomicBool> = chunks.iter().map(|_| AtomicBool::new(false)).collect();
    let done = AtomicU64::new(0);
    let total = sources.image.inner_bytes().0;
    over_blocks(
        sources.image.blocks(),
        RUN,
        threads,
        || (sources.image.in_order(), Vec::new(), Vec::new()),
        |(blocks, plain, copy), run| {
            progress.check()?;
            let bytes = (run.end - run.start) * sources.image.block_bytes().0;
            for block in run {
                if !sources.touches(block) {
                    continue;
                }
                blocks.plain(block, plain)?;
                for piece in sources.pieces(block) {
                    let Ok(index) = chunks.binary_search(&piece.chunk.0) else {
                        continue;
                    };
                    let ours = &plain[piece.within(sources.block_range(block).start)];
                    copy.resize(ours.len(), 0);
                    sources.read_copy(&piece, copy)?;
                    if copy != ours {
                        differs[index].store(true, Ordering::Relaxed);
                    }
                }
            }
            let so_far = done.fetch_add(bytes, Ordering::Relaxed) + bytes;
            progress.step(Stage::Check, so_far.min(total), total);
            Ok(())
        },
    )?;
    Ok(differs
        .iter()
        .map(|one| !one.load(Ordering::Relaxed))
        .collect())
}
