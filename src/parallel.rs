//! Work on several cores: on the blocks of an image, or on anything that threads share out.

use crate::error::{Error, Part, Result};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Does `work` on `threads` threads, of which this is one, until it is done on each.
pub(crate) fn on_threads(threads: usize, work: impl Fn() + Sync) {
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Without memory for another thread, those that there are do it.
            let spawned = std::thread::Builder::new().spawn_scoped(scope, &work);
            if let Err(error) = spawned {
                log::info!("no more threads: {error}");
                break;
            }
        }
        work();
    });
}

/// Calls `work` for all of `0..blocks`, in runs of at most `run` neighbours, from `threads`
/// threads. Each thread makes its own `state` once. The first error ends it and is returned.
pub(crate) fn over_blocks<T>(
    blocks: u64,
    run: u64,
    threads: usize,
    state: impl Fn() -> T + Sync,
    work: impl Fn(&mut T, Range<u64>) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicU64::new(0);
    let failure = Mutex::new(None::<Error>);
    let one_thread = || {
        let mut state = state();
        loop {
            let first = next.fetch_add(run, Ordering::Relaxed);
            if first >= blocks {
                return;
            }
            if let Err(error) = work(&mut state, first..(first + run).min(blocks)) {
                next.store(blocks, Ordering::Relaxed);
                if let Ok(mut failure) = failure.lock() {
                    failure.get_or_insert(error);
                }
                return;
            }
        }
    };
    on_threads(threads, one_thread);
    match failure.into_inner() {
        Ok(None) => Ok(()),
        Ok(Some(error)) => Err(error),
        Err(_) => Err(Error::damaged(Part::Image, "a working thread ended early")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_block_is_worked_on_once() {
        for (blocks, run, threads) in [(0, 4, 2), (1, 4, 3), (1000, 7, 4), (64, 64, 1)] {
            let seen = Mutex::new(vec![0; blocks as usize]);
            let work = |(): &mut (), range: Range<u64>| {
                let mut seen = seen.lock().unwrap();
                range.for_each(|block| seen[block as usize] += 1);
                Ok(())
            };
            over_blocks(blocks, run, threads, || (), work).unwrap();
            assert!(seen.into_inner().unwrap().iter().all(|times| *times == 1));
        }
    }

    #[test]
    fn an_error_ends_it() {
        let work = |(): &mut (), range: Range<u64>| match range.contains(&10) {
            true => Err(Error::Cancelled),
            false => Ok(()),
        };
        let end = over_blocks(1 << 40, 1, 2, || (), work);
        assert!(matches!(end, Err(Error::Cancelled)));
    }
}
