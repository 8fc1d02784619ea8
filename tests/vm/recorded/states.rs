//! The states that a cut may leave of what was recorded: all that was flushed, and of the rest any part,
//! in any order, torn at sector borders.

use super::cases::Case;
use super::log::{Request, SECTOR, requests};
use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use sugar_cellar::storage::fault::Random;

/// A part of a request that has come to the device: where, and where its bytes are in the log.
type Piece = (usize, std::ops::Range<usize>);

/// A command as it was recorded.
pub struct Recording {
    /// The stick before it; behind it the scratch folder's disk, where there is one.
    base: Vec<u8>,
    /// Where the stick ends. Of what is written behind it, nothing is lost.
    stick: usize,
    log: Vec<u8>,
    pub requests: Vec<Request>,
}

impl Recording {
    pub fn read(folder: &Path, case: &Case) -> Recording {
        let log = fs::read(folder.join(format!("{}.log", case.name()))).unwrap();
        let mut base = fs::read(folder.join(case.stick())).unwrap();
        let stick = base.len();
        if let Some(scratch) = case.scratch() {
            base.extend(fs::read(folder.join(scratch)).unwrap());
        }
        let requests = requests(&log);
        Recording {
            base,
            stick,
            log,
            requests,
        }
    }

    fn cuts(&self) -> Cuts<'_> {
        Cuts {
            of: self,
            device: self.base.clone(),
            pending: Vec::new(),
        }
    }

    /// Which states to try, by the number of requests done and a seed: each another one, first one
    /// of every request, then more.
    pub fn choose(&self, wanted: usize) -> Vec<(usize, u64)> {
        let mut seen = BTreeSet::new();
        let mut all = Vec::new();
        let mut cuts = self.cuts();
        let mut settled = 0;
        for calls in 0..=self.requests.len() {
            if let Some(request) = calls.checked_sub(1).map(|last| &self.requests[last]) {
                settled += u64::from(request.flush || request.durable || request.at >= self.stick);
                cuts.done(request);
            }
            let seeds = match cuts.pending.len() {
                0 => 1,
                _ => 3 + wanted as u64 / 8,
            };
            for seed in 0..seeds {
                let mut key = DefaultHasher::new();
                let pieces = cuts.arrived(seed);
                (settled, pieces).hash(&mut key);
                if seen.insert(key.finish()) {
                    all.push((seed, calls));
                }
            }
        }
        all.sort_unstable();
        let step = (all.len() as f64 / wanted as f64).max(1.0);
        let count = all.len().min(wanted);
        (0..count)
            .map(|number| all[(number as f64 * step) as usize])
            .map(|(seed, calls)| (calls, seed))
            .collect()
    }

    /// The stick's state, and that of the scratch folder's disk, after so many requests.
    pub fn state(&self, calls: usize, seed: u64) -> (Vec<u8>, Vec<u8>) {
        let mut cuts = self.cuts();
        for request in &self.requests[..calls] {
            cuts.done(request);
        }
        for piece in cuts.arrived(seed) {
            cuts.write(piece);
        }
        let mut stick = cuts.device;
        let scratch = stick.split_off(self.stick);
        (stick, scratch)
    }
}

/// The states of a stick whose power is cut while a command is done.
struct Cuts<'a> {
    of: &'a Recording,
    /// What is on the device for certain.
    device: Vec<u8>,
    /// What was done since the last flush.
    pending: Vec<&'a Request>,
}

impl<'a> Cuts<'a> {
    fn done(&mut self, request: &'a Request) {
        let behind = request.at >= self.of.stick;
        // The other disk's flushes tell nothing of the stick.
        if request.flush && !behind {
            for earlier in std::mem::take(&mut self.pending) {
                self.write((earlier.at, earlier.data.clone()));
            }
        }
        if request.durable || behind {
            self.write((request.at, request.data.clone()));
        } else if !request.data.is_empty() {
            self.pending.push(request);
        }
    }

    fn write(&mut self, (at, data): Piece) {
        self.device[at..at + data.len()].copy_from_slice(&self.of.log[data]);
    }

    /// What of the pending requests has arrived. Seed 0: nothing; 1: all; else some of
    /// it, in any order, torn at sector borders.
    fn arrived(&self, seed: u64) -> Vec<Piece> {
        let whole = |request: &&Request| (request.at, request.data.clone());
        match seed {
            0 => Vec::new(),
            1 => self.pending.iter().map(whole).collect(),
            _ => {
                let mut random = Random::new(seed.wrapping_mul(1 + self.pending.len() as u64));
                let mut pieces = Vec::new();
                for request in &self.pending {
                    let sectors = (request.data.len() / SECTOR) as u64;
                    let (first, last) = match random.below(4) {
                        0 => continue,
                        1 => (0, sectors),
                        2 => (0, random.below(sectors) + 1),
                        _ => (random.below(sectors), sectors),
                    };
                    let [first, last] = [first, last].map(|sector| sector as usize * SECTOR);
                    let start = request.data.start;
                    pieces.push((request.at + first, start + first..start + last));
                }
                // Of two to the same place either may come last.
                for index in (1..pieces.len()).rev() {
                    if random.below(3) == 0 {
                        let other = random.below(index as u64 + 1) as usize;
                        pieces.swap(index, other);
                    }
                }
                pieces
            }
        }
    }
}
