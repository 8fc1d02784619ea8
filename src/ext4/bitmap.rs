//! A bit for every block, compact, and worked on a word at a time.

use std::ops::Range;

/// A bit for each number of a range of block numbers; all clear at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bitmap {
    first: u64,
    end: u64,
    words: Vec<u64>,
}

impl Bitmap {
    /// For `blocks`; the caller has bounded them.
    pub(super) fn new(blocks: Range<u64>) -> Bitmap {
        let words = (blocks.end - blocks.start).div_ceil(64) as usize;
        Bitmap {
            first: blocks.start,
            end: blocks.end,
            words: vec![0; words],
        }
    }

    /// The words that `range` touches, each with a mask of the range's bits in it.
    /// What lies outside the bitmap is passed over.
    fn masks(&self, range: Range<u64>) -> impl Iterator<Item = (usize, u64)> + use<> {
        let start = range.start.max(self.first) - self.first;
        let end = range.end.clamp(self.first, self.end) - self.first;
        let words = match start < end {
            true => start / 64..(end - 1) / 64 + 1,
            false => 0..0,
        };
        words.map(move |word| {
            let low = start.saturating_sub(word * 64);
            let high = (end - word * 64).min(64);
            // 1 <= high - low <= 64: a word is listed only where the range has bits in it.
            (word as usize, (u64::MAX >> (64 - (high - low))) << low)
        })
    }

    /// Sets the bits of `range`.
    pub(super) fn set(&mut self, range: Range<u64>) {
        for (word, mask) in self.masks(range) {
            self.words[word] |= mask;
        }
    }

    /// How many bits of `range` are set.
    pub(super) fn count(&self, range: Range<u64>) -> u64 {
        self.masks(range)
            .map(|(word, mask)| u64::from((self.words[word] & mask).count_ones()))
            .sum()
    }

    /// Whether any bit of `range` is set.
    pub(super) fn any(&self, range: Range<u64>) -> bool {
        self.masks(range)
            .any(|(word, mask)| self.words[word] & mask != 0)
    }

    /// Whether all bits of `range` are set (also where the bitmap has none of them).
    pub(super) fn all(&self, range: Range<u64>) -> bool {
        self.masks(range)
            .all(|(word, mask)| self.words[word] & mask == mask)
    }

    /// Whether the bit of `block` is set.
    pub(super) fn has(&self, block: u64) -> bool {
        self.any(block..block.saturating_add(1))
    }

    /// Sets bits from block `start` on, a multiple of 8 past the first one, from a bitmap as it
    /// stands in a block: the lowest bit of a byte is the lowest block. Takes `range.end - start` bits.
    pub(super) fn load(&mut self, range: Range<u64>, bytes: &[u8]) {
        for (index, byte) in bytes.iter().enumerate() {
            let start = range.start + index as u64 * 8;
            if start >= range.end {
                break;
            }
            let bits = (range.end.min(self.end) - start).min(8);
            let byte = u64::from(*byte) & (u64::MAX >> (64 - bits));
            let at = start - self.first;
            // Eight bits that begin at a multiple of eight lie in one word.
            self.words[(at / 64) as usize] |= byte << (at % 64);
        }
    }

    /// The first block at or behind `from` whose bit is `set`; the end where there is none.
    fn next(&self, from: u64, set: bool) -> u64 {
        let flip = if set { 0 } else { u64::MAX };
        self.masks(from..self.end)
            .find_map(|(word, mask)| {
                let hit = (self.words[word] ^ flip) & mask;
                (hit != 0).then(|| self.first + word as u64 * 64 + u64::from(hit.trailing_zeros()))
            })
            .unwrap_or(self.end)
    }

    /// Runs of blocks, as long as they go, whose bit is `set`, in order.
    pub(super) fn runs(&self, set: bool) -> impl Iterator<Item = Range<u64>> + '_ {
        let mut at = self.first;
        std::iter::from_fn(move || {
            let start = self.next(at, set);
            at = self.next(start, !set);
            (start < at).then_some(start..at)
        })
    }

    /// Clears the bits that are set in `other`, a bitmap of the same blocks.
    pub(super) fn subtract(&mut self, other: &Bitmap) {
        for (word, theirs) in self.words.iter_mut().zip(&other.words) {
            *word &= !theirs;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A bitmap does what a list of booleans would.
        #[test]
        fn like_booleans(
            first in 0u64..70,
            length in 1u64..300,
            ranges in prop::collection::vec((0u64..400, 0u64..200), 0..6),
            asked in prop::collection::vec((0u64..400, 0u64..300), 1..6),
        ) {
            let end = first + length;
            let mut bitmap = Bitmap::new(first..end);
            let mut model = vec![false; end as usize];
            for (start, count) in ranges {
                bitmap.set(start..start + count);
                for block in start.max(first)..(start + count).min(end) {
                    model[block as usize] = true;
                }
            }
            for (start, count) in asked {
                let wanted = start.max(first)..(start + count).clamp(first, end);
                let set = wanted.clone().filter(|b| model[*b as usize]).count() as u64;
                let range = start..start + count;
                prop_assert_eq!(bitmap.count(range.clone()), set);
                prop_assert_eq!(bitmap.any(range.clone()), set > 0);
                prop_assert_eq!(bitmap.all(range), set == wanted.count() as u64);
            }
            for kind in [true, false] {
                let blocks: Vec<u64> = bitmap.runs(kind).flatten().collect();
                let wanted: Vec<u64> = (first..end).filter(|b| model[*b as usize] == kind).collect();
                prop_assert_eq!(blocks, wanted);
            }
        }

        /// Bytes on disk and blocks in memory are the same bits.
        #[test]
        fn loads_groups(first in 0u64..2, bytes in prop::collection::vec(any::<u8>(), 1..40), cut in 0u64..8) {
            let count = bytes.len() as u64 * 8;
            let mut bitmap = Bitmap::new(first..first + 2 * count - cut);
            bitmap.load(first..first + count, &bytes);
            bitmap.load(first + count..first + 2 * count - cut, &bytes);
            for block in 0..2 * count - cut {
                let bit = block % count;
                let set = bytes[(bit / 8) as usize] & (1 << (bit % 8)) != 0;
                prop_assert_eq!(bitmap.has(first + block), set);
            }
        }
    }

    #[test]
    fn differences() {
        let mut one = Bitmap::new(1..200);
        let mut other = one.clone();
        one.set(3..150);
        other.set(70..71);
        other.subtract(&one);
        assert_eq!(other.runs(true).next(), None);
        other.set(70..71);
        one.subtract(&other);
        assert_eq!(one.runs(true).collect::<Vec<_>>(), [3..70, 71..150]);
        assert!(!one.has(u64::MAX));
        assert_eq!(one.count(500..600), 0);
    }
}
