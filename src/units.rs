//! Units of length and position on a stick.
//!
//! The kernel counts a snapshot in 512-byte sectors, its exception list in
//! chunks, SquashFS and ext4 in bytes. Each is a type of its own, so that none
//! is taken for another; conversions are checked or named.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// Size of a sector in bytes, as device-mapper counts (not the device's own).
pub const SECTOR: u64 = 512;

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The difference, or zero where `other` is larger.
            pub fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }

            /// The sum, or `None` where it does not fit.
            pub fn checked_add(self, other: Self) -> Option<Self> {
                self.0.checked_add(other.0).map(Self)
            }
        }

        impl Add for $name {
            type Output = Self;
            /// Sums of figures already checked against a device's size.
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }

        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
                all.fold(Self(0), Add::add)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

unit!(
    /// Bytes.
    Bytes
);
unit!(
    /// Sectors of 512 bytes.
    Sectors
);
unit!(
    /// A chunk's number, or a number of chunks: what device-mapper's snapshot copies at once.
    Chunks
);

impl Bytes {
    /// The whole sectors in it.
    pub fn sectors(self) -> Sectors {
        Sectors(self.0 / SECTOR)
    }
}

impl Sectors {
    /// In bytes; `None` where that does not fit in 64 bits.
    pub fn bytes(self) -> Option<Bytes> {
        self.0.checked_mul(SECTOR).map(Bytes)
    }
}

/// The size of a chunk: a power of two of sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChunkSize(u32);

impl ChunkSize {
    /// What dracut and livecd-tools set: 8 sectors, 4 KiB.
    pub const LIVE: ChunkSize = ChunkSize(8);

    /// From sectors: a power of two from 1 to 2^21 (1 GiB); `None` otherwise.
    ///
    /// The kernel asks for a power of two, and for whole device blocks
    /// (drivers/md/dm-exception-store.c, `dm_exception_store_set_chunk_size`).
    pub fn from_sectors(sectors: u64) -> Option<ChunkSize> {
        let sectors = u32::try_from(sectors).ok()?;
        (sectors.is_power_of_two() && sectors <= 1 << 21).then_some(ChunkSize(sectors))
    }

    /// In sectors.
    pub fn sectors(self) -> Sectors {
        Sectors(u64::from(self.0))
    }

    /// In bytes.
    pub fn bytes(self) -> Bytes {
        Bytes(u64::from(self.0) * SECTOR)
    }

    /// Where chunk `chunk` begins, in bytes; `None` where that does not fit in 64 bits.
    pub fn offset(self, chunk: Chunks) -> Option<Bytes> {
        chunk.0.checked_mul(self.bytes().0).map(Bytes)
    }

    /// The chunk that holds byte `at`.
    pub fn chunk_of(self, at: Bytes) -> Chunks {
        Chunks(at.0 / self.bytes().0)
    }

    /// How many chunks `length` takes, the last one perhaps not full.
    pub fn chunks_for(self, length: Bytes) -> Chunks {
        Chunks(length.0.div_ceil(self.bytes().0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_sizes_are_powers_of_two() {
        assert_eq!(ChunkSize::from_sectors(8), Some(ChunkSize::LIVE));
        for bad in [0, 3, 24, (1 << 21) + 1, 1 << 22, u64::MAX] {
            assert_eq!(ChunkSize::from_sectors(bad), None, "{bad}");
        }
    }

    #[test]
    fn conversions_do_not_wrap() {
        assert_eq!(Sectors(u64::MAX).bytes(), None);
        assert_eq!(Sectors(3).bytes(), Some(Bytes(1536)));
        assert_eq!(ChunkSize::LIVE.offset(Chunks(u64::MAX / 2)), None);
        assert_eq!(ChunkSize::LIVE.chunks_for(Bytes(4097)), Chunks(2));
        assert_eq!(ChunkSize::LIVE.chunk_of(Bytes(4095)), Chunks(0));
    }
}
