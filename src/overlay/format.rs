//! How a persistent exception store is laid out (drivers/md/dm-snap-persistent.c).
//!
//! ```text
//! chunk 0            header: magic, valid, version, chunk size; u32 each, little endian
//! chunk 1            area 0: chunk_bytes / 16 entries { old: u64, new: u64 }
//! per_area chunks    data
//! next chunk         area 1, and so on: area k at 1 + k * (per_area + 1)
//! ```
//!
//! The list ends at the first entry whose `new` is 0. Numbers are raw here, and only here.

use crate::units::{Bytes, ChunkSize, Chunks, SECTOR, Sectors};

/// "SnAp", little endian.
pub const MAGIC: u32 = 0x7041_6e53;
/// The only version there is.
pub const VERSION: u32 = 1;
/// Bytes of the header that mean something; the rest of its chunk is zero.
pub const HEADER_BYTES: usize = 16;
/// Bytes of one entry of the list.
pub const ENTRY_BYTES: usize = 16;
/// Entries in a sector: what a device writes whole or not at all.
pub const SECTOR_ENTRIES: usize = SECTOR as usize / ENTRY_BYTES;

/// What a header says, before anything else is believed of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawHeader {
    /// Magic 0: the kernel makes an empty store of it at its next activation.
    Fresh,
    /// A magic that is neither.
    Foreign(u32),
    /// A header.
    Store {
        /// Not 0: usable. The kernel sets 0 when it could not go on.
        valid: u32,
        /// [`VERSION`].
        version: u32,
        /// The chunk's size in sectors; wins over the device-mapper table's.
        chunk_sectors: u32,
    },
}

impl RawHeader {
    /// From the first bytes of a store.
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> RawHeader {
        let [magic, valid, version, chunk_sectors] =
            [0, 4, 8, 12].map(|at| u32::from_le_bytes([0, 1, 2, 3].map(|i| bytes[at + i])));
        match magic {
            0 => RawHeader::Fresh,
            MAGIC => RawHeader::Store {
                valid,
                version,
                chunk_sectors,
            },
            other => RawHeader::Foreign(other),
        }
    }

    /// The first sector of a valid store's header.
    pub fn sector(chunk: ChunkSize) -> [u8; SECTOR as usize] {
        let mut sector = [0; SECTOR as usize];
        // A chunk size is at most 2^21.
        let fields = [MAGIC, 1, VERSION, chunk.sectors().0 as u32];
        for (field, place) in fields.iter().zip(sector.chunks_exact_mut(4)) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        sector
    }
}

/// The old and the new chunk of a 16-byte entry.
pub fn parse_entry(bytes: &[u8; ENTRY_BYTES]) -> (u64, u64) {
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
    (number(0), number(8))
}

/// An entry's 16 bytes.
pub fn entry(old: u64, new: u64) -> [u8; ENTRY_BYTES] {
    let mut bytes = [0; ENTRY_BYTES];
    bytes[..8].copy_from_slice(&old.to_le_bytes());
    bytes[8..].copy_from_slice(&new.to_le_bytes());
    bytes
}

/// Where things lie in a store with chunks of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    chunk: ChunkSize,
}

impl Layout {
    /// The layout with chunks of this size.
    pub fn new(chunk: ChunkSize) -> Layout {
        Layout { chunk }
    }

    /// The chunk's size.
    pub fn chunk(self) -> ChunkSize {
        self.chunk
    }

    /// Entries in an area: a whole number of sectors of them.
    pub fn per_area(self) -> u64 {
        self.chunk.bytes().0 / ENTRY_BYTES as u64
    }

    /// The chunk in which area `area` lies; `None` where no 64-bit number is its.
    pub fn area_chunk(self, area: u64) -> Option<Chunks> {
        area.checked_mul(self.per_area() + 1)?
            .checked_add(1)
            .map(Chunks)
    }

    /// Whether an area lies, or would lie, in this chunk.
    pub fn is_metadata(self, chunk: Chunks) -> bool {
        chunk.0 % (self.per_area() + 1) == 1
    }

    /// Where the list's sector number `sector` lies; `None` where no 64-bit number is its.
    ///
    /// Sectors of the list are counted through all areas, [`SECTOR_ENTRIES`] entries each.
    pub fn list_sector(self, sector: u64) -> Option<Bytes> {
        let area_sectors = self.chunk.sectors().0;
        let area = self.area_chunk(sector / area_sectors)?;
        let inside = Bytes(sector % area_sectors * SECTOR);
        self.chunk.offset(area)?.checked_add(inside)
    }

    /// What the kernel grants next after `highest` (0: nothing in use): one past it, areas left out.
    pub fn next_free(self, highest: Chunks) -> Chunks {
        let next = Chunks(highest.0.saturating_add(1).max(2));
        if self.is_metadata(next) {
            next + Chunks(1)
        } else {
            next
        }
    }

    /// Whole chunks in a store of `total` sectors.
    pub fn chunks_in(self, total: Sectors) -> Chunks {
        Chunks(total.0 / self.chunk.sectors().0)
    }

    /// Areas that lie wholly in a store of `total` sectors.
    pub fn areas_in(self, total: Sectors) -> u64 {
        let chunks = self.chunks_in(total).0;
        // Area k takes chunk 1 + k * (per_area + 1).
        chunks.saturating_sub(1).div_ceil(self.per_area() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_lie_where_the_kernel_puts_them() {
        let layout = Layout::new(ChunkSize::LIVE);
        assert_eq!(layout.per_area(), 256);
        assert_eq!(layout.area_chunk(0), Some(Chunks(1)));
        assert_eq!(layout.area_chunk(2), Some(Chunks(515)));
        assert_eq!(layout.area_chunk(u64::MAX / 2), None);
        for chunk in [1, 258, 515] {
            assert!(layout.is_metadata(Chunks(chunk)), "{chunk}");
        }
        for chunk in [0, 2, 257, 259] {
            assert!(!layout.is_metadata(Chunks(chunk)), "{chunk}");
        }
        assert_eq!(layout.list_sector(7), Some(Bytes(4096 + 7 * 512)));
        assert_eq!(layout.list_sector(8), Some(Bytes(258 * 4096)));
        assert_eq!(layout.list_sector(u64::MAX), None);
    }

    #[test]
    fn the_next_grant_leaves_areas_out() {
        let layout = Layout::new(ChunkSize::LIVE);
        assert_eq!(layout.next_free(Chunks(0)), Chunks(2));
        assert_eq!(layout.next_free(Chunks(2)), Chunks(3));
        assert_eq!(layout.next_free(Chunks(257)), Chunks(259));
    }

    #[test]
    fn only_whole_areas_count() {
        let layout = Layout::new(ChunkSize::LIVE);
        for (chunks, areas) in [
            (0, 0),
            (1, 0),
            (2, 1),
            (258, 1),
            (259, 2),
            (515, 2),
            (516, 3),
        ] {
            assert_eq!(layout.areas_in(Sectors(chunks * 8 + 7)), areas, "{chunks}");
        }
    }

    #[test]
    fn headers_are_told_apart() {
        let mut bytes: [u8; HEADER_BYTES] =
            RawHeader::sector(ChunkSize::LIVE)[..16].try_into().unwrap();
        let store = RawHeader::Store {
            valid: 1,
            version: 1,
            chunk_sectors: 8,
        };
        assert_eq!(RawHeader::parse(&bytes), store);
        assert_eq!(&bytes[..4], b"SnAp");
        bytes[0] = b'X';
        assert!(matches!(RawHeader::parse(&bytes), RawHeader::Foreign(_)));
        bytes[..4].fill(0);
        assert_eq!(RawHeader::parse(&bytes), RawHeader::Fresh);
    }
}
