//! Numbers that look random and are the same for the same seed (splitmix64).

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads a number's bits over all of it.
pub(super) fn mix(number: u64) -> u64 {
    let z = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A generator of such numbers; good enough to choose what a test does.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The generator of this seed.
    pub fn new(seed: u64) -> Random {
        // Mixed, so that neighbouring seeds have nothing in common.
        Random(mix(seed.wrapping_add(GOLDEN)))
    }

    /// The next number.
    pub fn next_number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number below `limit`, or 0 where that is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        if limit == 0 {
            return 0;
        }
        self.next_number() % limit
    }
}
