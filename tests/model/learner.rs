//! A learner: knows what was saved, finds it again, and goes on saving.

use super::kernel::{Kernel, Stop};
use std::collections::BTreeSet;
use sugar_cellar::storage::Storage;
use sugar_cellar::storage::fault::Random;

/// What shall be there.
#[derive(Debug, Clone)]
pub struct Learner {
    /// All of it, chunk after chunk.
    pub content: Vec<u8>,
    pub chunk_bytes: usize,
    /// Chunks that belong to no file: what they hold does not matter.
    pub careless: BTreeSet<u64>,
    /// Where the learner saves: chunks of files. None: anywhere.
    pub places: Option<Vec<u64>>,
    /// Entries may lie behind the list's end from the start: a cut of the kernel's own writing.
    pub may_lurk: bool,
}

impl Learner {
    /// Boots with this image and store; all must be as it was left.
    pub fn find_all(&self, store: &dyn Storage, image: &[u8]) -> Result<(), String> {
        let kernel = Kernel::open(store, image).map_err(|stop| format!("{stop:?}"))?;
        if kernel.lurks() && !self.may_lurk {
            return Err("entries lurk behind the end of the list".into());
        }
        let mut buffer = Vec::new();
        for (number, wanted) in self.content.chunks(self.chunk_bytes).enumerate() {
            if self.careless.contains(&(number as u64)) {
                continue;
            }
            if !kernel.holds(number as u64, wanted, &mut buffer) {
                return Err(format!("chunk {number} is not as it was left"));
            }
        }
        Ok(())
    }

    /// Boots, saves about `count` things here and there, and shuts down.
    ///
    /// A full store is no failure; what did not fit was not saved.
    pub fn save(
        &mut self,
        store: &dyn Storage,
        image: &[u8],
        count: usize,
        random: &mut Random,
    ) -> Result<(), Stop> {
        let mut kernel = Kernel::open(store, image)?;
        let mut left = count;
        while left > 0 {
            let pieces = self.pieces(left.min(1 + random.below(9) as usize), random);
            left -= pieces.len();
            let written = kernel.write(&pieces)?;
            self.remember(&pieces[..written]);
            if written < pieces.len() {
                break;
            }
        }
        kernel.flush();
        Ok(())
    }

    /// Boots and saves to every chunk there is, until nothing fits. The store must not be
    /// given up over that. What was saved is not remembered.
    pub fn fill_up(&self, store: &dyn Storage, image: &[u8]) -> Result<(), Stop> {
        let mut kernel = Kernel::open(store, image)?;
        for number in 0..self.content.len().div_ceil(self.chunk_bytes) as u64 {
            if self
                .places
                .as_ref()
                .is_some_and(|some| !some.contains(&number))
            {
                continue;
            }
            let offset = number * self.chunk_bytes as u64;
            kernel.write(&[(offset, vec![1])])?;
        }
        kernel.flush();
        Kernel::open(store, image).map(|_| ())
    }

    /// Things to save: in different chunks, some whole ones, some a few bytes.
    fn pieces(&self, count: usize, random: &mut Random) -> Vec<(u64, Vec<u8>)> {
        let all = self.content.len().div_ceil(self.chunk_bytes) as u64;
        let chunks = self.places.as_ref().map_or(all, |some| some.len() as u64);
        let first = random.below(chunks);
        let numbers = (0..count as u64).map(|i| (first + i * 3) % chunks);
        let numbers: BTreeSet<u64> = match &self.places {
            None => numbers.collect(),
            Some(some) => numbers.map(|i| some[i as usize]).collect(),
        };
        let piece = |number: u64, random: &mut Random| {
            let start = number as usize * self.chunk_bytes;
            let whole = self.chunk_bytes.min(self.content.len() - start);
            let fill = random.next_number() as u8;
            // Whole where the rest does not matter: who begins to use a block writes it.
            let all = self.careless.contains(&number) || random.below(2) == 0;
            let (skip, length) = match (all, whole / 2) {
                (true, _) | (_, 0) => (0, whole),
                (false, half) => (half, 1 + random.below(half as u64) as usize),
            };
            ((start + skip) as u64, vec![fill; length])
        };
        numbers
            .into_iter()
            .map(|number| piece(number, random))
            .collect()
    }

    fn remember(&mut self, pieces: &[(u64, Vec<u8>)]) {
        for (offset, data) in pieces {
            let start = *offset as usize;
            self.content[start..start + data.len()].copy_from_slice(data);
            self.careless.remove(&(offset / self.chunk_bytes as u64));
        }
    }
}
