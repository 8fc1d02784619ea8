//! The new image's SHA-256, of the bytes that are read back from the device to be verified.
//!
//! Writing it goes from front to back, but for its first bytes, which come last: there it could not be
//! summed. Verifying reads all of it but little, several threads side by side, nearly in order. So what is
//! read a bit too early is kept for a moment, and what nobody read (the tables) is read at the end:
//! nothing that is long is read twice.

use crate::error::{Doing, Result};
use crate::storage::ReadAt;
use crate::units::Bytes;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// So much that was read too early is kept, in bytes. More, and what is missing before it is read by whoever
/// comes: a thread that is slow does not make the others wait.
const KEPT: usize = 8 << 20;
/// What is read at once, in bytes.
const PIECE: u64 = 1 << 20;

/// A file's SHA-256; shown as `sha256sum` does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum([u8; 32]);

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Reads a file, and sums what is read.
pub(super) struct Summing<R> {
    file: R,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sum: Sha256,
    /// All before this is in the sum.
    at: u64,
    /// Whether all is read nearly in order, so that keeping is worth it.
    in_order: bool,
    /// Read too early, by their places.
    kept: BTreeMap<u64, Vec<u8>>,
    kept_bytes: usize,
}

impl<R> fmt::Debug for Summing<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Summing").finish_non_exhaustive()
    }
}

impl<R: ReadAt> Summing<R> {
    pub fn new(file: R) -> Summing<R> {
        Summing {
            file,
            state: Mutex::default(),
        }
    }

    /// From here on it is read nearly in order.
    pub fn in_order(&self) {
        self.state().in_order = true;
    }

    /// The sum of all of it: what nobody read is read now.
    pub fn finish(&self) -> Result<Sum> {
        let mut state = self.state();
        let doing = "reading the new image back";
        let end = self.file.size().doing(doing)?.0;
        self.fill(&mut state, end).doing(doing)?;
        Ok(Sum(state.sum.clone().finalize().into()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what is missing up to `end`.
    fn fill(&self, state: &mut State, end: u64) -> io::Result<()> {
        let mut buffer = Vec::new();
        while state.at < end {
            let known = state.kept.keys().next().copied().unwrap_or(end);
            let length = PIECE.min(known.min(end) - state.at);
            buffer.resize(length as usize, 0);
            self.file.read_at(&mut buffer, state.at)?;
            state.add(&buffer, state.at);
        }
        Ok(())
    }
}

impl State {
    /// Adds what lies at `offset`, which is not behind what is missing, and what is kept behind it.
    fn add(&mut self, bytes: &[u8], offset: u64) {
        let skip = (self.at - offset) as usize;
        if let Some(news) = bytes.get(skip..) {
            self.sum.update(news);
            self.at += news.len() as u64;
        }
        while let Some(next) = self.kept.first_entry()
            && *next.key() <= self.at
        {
            let (offset, bytes) = next.remove_entry();
            self.kept_bytes -= bytes.len();
            let skip = (self.at - offset) as usize;
            if let Some(news) = bytes.get(skip..) {
                self.sum.update(news);
                self.at += news.len() as u64;
            }
        }
    }
}

impl<R: ReadAt> ReadAt for Summing<R> {
    fn size(&self) -> io::Result<Bytes> {
        self.file.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_at(buffer, offset)?;
        let mut state = self.state();
        if offset > state.at && state.in_order {
            if state.kept_bytes + buffer.len() <= KEPT {
                // Of two at one place the longer one.
                let known = state.kept.get(&offset).map_or(0, Vec::len);
                if buffer.len() > known {
                    state.kept.insert(offset, buffer.to_vec());
                    state.kept_bytes += buffer.len() - known;
                }
                return Ok(());
            }
            self.fill(&mut state, offset)?;
        }
        if offset <= state.at {
            state.add(buffer, offset);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Counts what is read of it.
    struct Counted(Vec<u8>, AtomicU64);

    impl ReadAt for Counted {
        fn size(&self) -> io::Result<Bytes> {
            self.0.size()
        }

        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
            self.1.fetch_add(buffer.len() as u64, Ordering::Relaxed);
            self.0.read_at(buffer, offset)
        }
    }

    fn summing(bytes: usize) -> (Summing<Counted>, Sum) {
        let bytes: Vec<u8> = (0..bytes).map(|i| (i * i % 251) as u8).collect();
        let sum = Sum(Sha256::digest(&bytes).into());
        (Summing::new(Counted(bytes, AtomicU64::new(0))), sum)
    }

    fn read(summing: &Summing<Counted>, at: usize, length: usize) {
        summing.read_at(&mut vec![0; length], at as u64).unwrap();
    }

    #[test]
    fn nothing_read_and_nothing_there() {
        for bytes in [0, 1, 3 << 20] {
            let (summing, sum) = summing(bytes);
            assert_eq!(summing.finish().unwrap(), sum);
        }
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(summing(0).1.to_string(), empty);
    }

    #[test]
    fn what_is_read_out_of_order_is_read_once() {
        let (summing, sum) = summing(10_000);
        read(&summing, 0, 96);
        // A table: nobody knows yet how far it is to there.
        read(&summing, 9_000, 500);
        summing.in_order();
        for at in [2_000, 1_000, 100, 3_000, 5_000, 4_000] {
            read(&summing, at, if at == 100 { 900 } else { 1_000 });
        }
        assert_eq!(summing.finish().unwrap(), sum);
        assert_eq!(summing.file.1.load(Ordering::Relaxed), 10_000 + 500);
    }

    #[test]
    fn overlaps_count_once() {
        let (summing, sum) = summing(10_000);
        summing.in_order();
        for (at, length) in [(50, 10), (50, 100), (40, 5), (60, 300), (0, 50), (20, 20)] {
            read(&summing, at, length);
        }
        assert_eq!(summing.state().at, 360);
        assert_eq!(summing.finish().unwrap(), sum);
    }

    #[test]
    fn one_who_is_slow_makes_nobody_keep_all() {
        let (summing, sum) = summing(30 << 20);
        summing.in_order();
        for at in 1..30 {
            read(&summing, at << 20, 1 << 20);
            assert!(summing.state().kept_bytes <= KEPT);
        }
        assert_eq!(summing.state().at, 30 << 20);
        read(&summing, 0, 1 << 20);
        assert_eq!(summing.finish().unwrap(), sum);
        assert_eq!(summing.file.1.load(Ordering::Relaxed), 31 << 20);
    }

    #[test]
    fn threads_side_by_side() {
        let (summing, sum) = summing(20 << 20);
        summing.in_order();
        let work = |(): &mut (), run: std::ops::Range<u64>| {
            for piece in run {
                read(&summing, (piece << 16) as usize, 1 << 16);
            }
            Ok(())
        };
        crate::parallel::over_blocks(20 << 4, 16, 4, || (), work).unwrap();
        assert_eq!(summing.finish().unwrap(), sum);
    }
}
