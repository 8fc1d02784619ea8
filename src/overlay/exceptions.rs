//! Reads a persistent exception store's header and list, and believes nothing unchecked.
//!
//! Only the list is read, never the data: a store of 1 GiB is a thousand reads of 4 KiB.
//! In memory an exception takes 8 bytes.

use super::format::{ENTRY_BYTES, HEADER_BYTES, Layout, RawHeader, VERSION, parse_entry};
use crate::error::{Doing, Error, Part, Result};
use crate::protocol::OverlayState;
use crate::storage::ReadAt;
use crate::units::{Bytes, ChunkSize, Chunks, Sectors};
use std::ops::Range;

/// An area of a large chunk size is read in pieces of this many bytes.
const PIECE: u64 = 64 << 10;
/// The longest list that is read: 64 GiB in 4 KiB chunks. Keeps memory at 256 MiB,
/// whatever a sparse file pretends.
const LONGEST_LIST: usize = 1 << 24;

/// Chunk `old` of the image is found in chunk `new` of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exception {
    /// Which chunk of the image.
    pub old: Chunks,
    /// Where its present content lies in the store.
    pub new: Chunks,
}

/// Both chunk numbers in one word, so that sorting and comparing are cheap; by old chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Packed(u64);

impl Packed {
    /// `None` where a number does not fit in 32 bits.
    pub(super) fn new(old: u64, new: u64) -> Option<Packed> {
        let (old, new) = (u32::try_from(old).ok()?, u32::try_from(new).ok()?);
        Some(Packed(u64::from(old) << 32 | u64::from(new)))
    }

    pub(super) fn old(self) -> Chunks {
        Chunks(self.0 >> 32)
    }

    pub(super) fn new_chunk(self) -> Chunks {
        Chunks(self.0 & u64::from(u32::MAX))
    }

    pub(super) fn exception(self) -> Exception {
        Exception {
            old: self.old(),
            new: self.new_chunk(),
        }
    }
}

/// The figures of `dmsetup status`: `used/total metadata`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Allocated, metadata included: up to the next chunk that would be granted.
    pub used: Sectors,
    /// Altogether.
    pub total: Sectors,
    /// Header and areas in use.
    pub metadata: Sectors,
    /// The chunk's size.
    pub chunk: ChunkSize,
}

/// What the header says of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Magic 0: empty, to be set up by the kernel.
    Fresh,
    /// In order.
    Valid,
    /// Given up by the kernel.
    Invalid,
}

/// The list as it lies in the store: in order, repeats included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct List {
    standing: Standing,
    pub(super) layout: Layout,
    pub(super) total: Sectors,
    pub(super) entries: Vec<Packed>,
}

/// A validated exception store's list.
///
/// Two are equal when header, length and list say the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExceptionStore {
    standing: Standing,
    layout: Layout,
    total: Sectors,
    /// Entries listed, repeats included.
    listed: u64,
    /// The highest chunk listed; 0 where none is.
    highest: Chunks,
    /// Sorted by old chunk, each once.
    unique: Vec<Packed>,
}

impl List {
    /// Reads header and list. `origin` is the image's length, where that is known.
    ///
    /// Every entry lies in a whole data chunk of the store, and in the image; whether
    /// entries contradict each other is [`ExceptionStore::new`]'s to find.
    pub(super) fn read(store: &dyn ReadAt, origin: Option<Bytes>) -> Result<List> {
        let total = store.size().doing("reading the overlay's size")?.sectors();
        // The kernel reads the header in a chunk of the size that dracut's table says.
        let least = ChunkSize::LIVE.sectors();
        if total < least {
            return Err(damaged(format!("a store of {total} sectors has no header")));
        }
        let mut header = [0; HEADER_BYTES];
        store
            .read_at(&mut header, 0)
            .doing("reading the overlay's header")?;
        let (standing, chunk) = check_header(RawHeader::parse(&header))?;
        let mut list = List {
            standing,
            layout: Layout::new(chunk),
            total,
            entries: Vec::new(),
        };
        match standing {
            Standing::Valid => list.read_areas(store, origin)?,
            // The kernel wants to write header and first area.
            Standing::Fresh if total < least + least => {
                let detail = format!("a store of {total} sectors has no room for a list");
                return Err(damaged(detail));
            }
            Standing::Fresh | Standing::Invalid => {}
        }
        Ok(list)
    }

    /// The same, and of a store that the kernel gave up what it lists, too.
    pub(super) fn read_given_up(store: &dyn ReadAt, origin: Option<Bytes>) -> Result<List> {
        let mut list = List::read(store, origin)?;
        if list.standing == Standing::Invalid {
            list.read_areas(store, origin)?;
        }
        Ok(list)
    }

    /// Reads areas until one is not full.
    fn read_areas(&mut self, store: &dyn ReadAt, origin: Option<Bytes>) -> Result<()> {
        let chunk = self.layout.chunk();
        let checks = Checks {
            layout: self.layout,
            chunks: self.layout.chunks_in(self.total),
            origin: origin.map(|bytes| chunk.chunks_for(bytes)),
        };
        let mut piece = vec![0; PIECE.min(chunk.bytes().0) as usize];
        for area in 0..self.layout.areas_in(self.total) {
            // In the store, so its place is a 64-bit number.
            let place = self.layout.area_chunk(area).and_then(|at| chunk.offset(at));
            let start = place
                .ok_or_else(|| damaged("an area beyond all numbers"))?
                .0;
            for at in (start..start + chunk.bytes().0).step_by(piece.len()) {
                store
                    .read_at(&mut piece, at)
                    .doing("reading the overlay's exception list")?;
                if self.take_entries(&piece, &checks)? {
                    return Ok(());
                }
            }
        }
        Err(damaged(format!(
            "the exception list goes on behind the store's end, after {} entries",
            self.entries.len()
        )))
    }

    /// Takes a piece's entries; true where the list ended in it.
    fn take_entries(&mut self, piece: &[u8], checks: &Checks) -> Result<bool> {
        if self.entries.len() + piece.len() / ENTRY_BYTES > LONGEST_LIST {
            let detail = format!("more than {LONGEST_LIST} exceptions");
            return Err(Error::unsupported(Part::Overlay, detail));
        }
        let (entries, _) = piece.as_chunks::<ENTRY_BYTES>();
        for bytes in entries {
            let (old, new) = parse_entry(bytes);
            if new == 0 {
                return Ok(true);
            }
            self.entries.push(checks.entry(old, new)?);
        }
        Ok(false)
    }

    /// Whether the kernel would set the store up anew.
    pub(super) fn is_fresh(&self) -> bool {
        self.standing == Standing::Fresh
    }
}

/// What one entry is held against.
struct Checks {
    layout: Layout,
    /// Whole chunks in the store.
    chunks: Chunks,
    /// Chunks of the image, its last one perhaps not full.
    origin: Option<Chunks>,
}

impl Checks {
    fn entry(&self, old: u64, new: u64) -> Result<Packed> {
        let refuse = |what: String| Err(damaged(format!("exception {old} -> {new}: {what}")));
        if Chunks(new) >= self.chunks {
            return refuse(format!("the store has {} chunks", self.chunks));
        }
        if self.layout.is_metadata(Chunks(new)) {
            return refuse("points at the exception list itself".into());
        }
        if let Some(origin) = self.origin
            && Chunks(old) >= origin
        {
            return refuse(format!("the image has {origin} chunks"));
        }
        match Packed::new(old, new) {
            Some(packed) => Ok(packed),
            None => refuse("chunk numbers beyond 32 bits are not handled".into()),
        }
    }
}

fn check_header(header: RawHeader) -> Result<(Standing, ChunkSize)> {
    match header {
        RawHeader::Fresh => Ok((Standing::Fresh, ChunkSize::LIVE)),
        RawHeader::Foreign(magic) => Err(damaged(format!(
            "not an exception store: magic {magic:#010x}"
        ))),
        RawHeader::Store { version, .. } if version != VERSION => Err(Error::unsupported(
            Part::Overlay,
            format!("exception store version {version}"),
        )),
        RawHeader::Store {
            valid,
            chunk_sectors,
            ..
        } => {
            let chunk = ChunkSize::from_sectors(u64::from(chunk_sectors))
                .ok_or_else(|| damaged(format!("chunk size of {chunk_sectors} sectors")))?;
            // Like the kernel: anything but 0 is valid.
            let standing = if valid == 0 {
                Standing::Invalid
            } else {
                Standing::Valid
            };
            Ok((standing, chunk))
        }
    }
}

fn damaged(detail: impl Into<String>) -> Error {
    Error::damaged(Part::Overlay, detail)
}

impl ExceptionStore {
    /// Reads and validates a store's header and list.
    ///
    /// `origin` is the length of the image that the exceptions are of; without it, old
    /// chunks are not held against it. Magic 0 is an empty store with chunks of 8 sectors.
    ///
    /// # Errors
    /// `Damaged` for anything that the kernel would not have written, `Unsupported` for
    /// another version or a list beyond 2^24 entries, `Io` where reading fails.
    pub fn read(store: &dyn ReadAt, origin: Option<Bytes>) -> Result<ExceptionStore> {
        ExceptionStore::new(&List::read(store, origin)?)
    }

    /// The same, and of a store that the kernel gave up what it lists, too: all that was told to
    /// be written is listed, for the kernel writes the list before it tells so (dm-snap-persistent.c,
    /// `persistent_commit_exception`). It stays invalid, [`ExceptionStore::is_valid`].
    ///
    /// # Errors
    /// As [`ExceptionStore::read`].
    pub fn read_given_up(store: &dyn ReadAt, origin: Option<Bytes>) -> Result<ExceptionStore> {
        ExceptionStore::new(&List::read_given_up(store, origin)?)
    }

    /// Finds out whether the entries of a list contradict each other. Exact repeats do not.
    pub(super) fn new(list: &List) -> Result<ExceptionStore> {
        let mut unique = list.entries.clone();
        unique.sort_unstable();
        unique.dedup();
        if let Some(pair) = unique
            .windows(2)
            .find(|pair| pair[0].old() == pair[1].old())
        {
            let [one, other] = [0, 1].map(|i| pair[i].new_chunk());
            let old = pair[0].old();
            let detail = format!("chunk {old} is said to be in {one} and in {other}");
            return Err(damaged(detail));
        }
        check_shared(&list.entries, &unique)?;
        let news = list.entries.iter().map(|entry| entry.new_chunk());
        Ok(ExceptionStore {
            standing: list.standing,
            layout: list.layout,
            total: list.total,
            listed: list.entries.len() as u64,
            highest: news.max().unwrap_or(Chunks(0)),
            unique,
        })
    }

    /// False where the kernel gave the store up: it will read nothing of it.
    pub fn is_valid(&self) -> bool {
        self.standing != Standing::Invalid
    }

    /// The chunk's size: the header's, which wins over the device-mapper table's.
    pub fn chunk_size(&self) -> ChunkSize {
        self.layout.chunk()
    }

    /// Where things lie in this store.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// How many chunks of the image have a copy in the store.
    pub fn len(&self) -> usize {
        self.unique.len()
    }

    /// Whether no chunk has a copy.
    pub fn is_empty(&self) -> bool {
        self.unique.is_empty()
    }

    /// Entries in the list; more than [`ExceptionStore::len`] where some are repeated.
    pub fn listed(&self) -> u64 {
        self.listed
    }

    /// The store's length.
    pub fn total(&self) -> Sectors {
        self.total
    }

    /// The highest chunk that holds data; 0 where none does.
    pub fn highest(&self) -> Chunks {
        self.highest
    }

    /// Where the list's end mark is: which area.
    pub(super) fn last_area(&self) -> u64 {
        self.listed / self.layout.per_area()
    }

    /// The kernel's own figures for this store, opened now.
    ///
    /// Of an invalid store the kernel gives none: here all of it is used.
    pub fn figures(&self) -> Figures {
        let chunk = self.layout.chunk();
        let sectors = |chunks: Chunks| Sectors(chunks.0.saturating_mul(chunk.sectors().0));
        let (used, metadata) = if self.is_valid() {
            (self.used_after(0), sectors(Chunks(self.last_area() + 2)))
        } else {
            (self.total, Sectors(0))
        };
        Figures {
            used,
            total: self.total,
            metadata,
            chunk,
        }
    }

    /// What is used once so many `more` chunks are granted, one after another as the kernel does.
    pub fn used_after(&self, more: usize) -> Sectors {
        let mut highest = self.highest;
        for _ in 0..more {
            highest = self.layout.next_free(highest);
        }
        let next = self.layout.next_free(highest);
        Sectors(next.0.saturating_mul(self.chunk_size().sectors().0))
    }

    /// How it stands with the store. `Empty` means no exceptions, whatever its length.
    pub fn state(&self) -> OverlayState {
        let Figures {
            used, total, chunk, ..
        } = self.figures();
        if !self.is_valid() {
            OverlayState::Invalid
        } else if self.is_empty() {
            OverlayState::Empty
        } else if used + chunk.sectors() > total {
            // A grant needs the whole next chunk.
            OverlayState::Full
        } else if used.0.saturating_mul(10) >= total.0.saturating_mul(9) {
            OverlayState::NearlyFull
        } else {
            OverlayState::Active
        }
    }

    /// Where chunk `old` of the image lies in the store, if it does.
    pub fn lookup(&self, old: Chunks) -> Option<Chunks> {
        let place = self.unique.partition_point(|entry| entry.old() < old);
        let found = self.unique.get(place)?;
        (found.old() == old).then(|| found.new_chunk())
    }

    /// Whether any chunk of `old` has a copy.
    pub fn holds_any(&self, old: Range<u64>) -> bool {
        let place = self
            .unique
            .partition_point(|entry| entry.old().0 < old.start);
        let next = self.unique.get(place);
        next.is_some_and(|entry| entry.old().0 < old.end)
    }

    /// All exceptions, by old chunk, each once.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Exception> + '_ {
        self.unique.iter().map(|entry| entry.exception())
    }

    pub(super) fn unique(&self) -> &[Packed] {
        &self.unique
    }
}

/// No chunk of the store may serve two chunks of the image.
fn check_shared(entries: &[Packed], unique: &[Packed]) -> Result<()> {
    // The kernel grants chunks upwards: such a list needs no sorting.
    let rising = |pair: &[Packed]| pair[0].new_chunk() < pair[1].new_chunk();
    if entries.windows(2).all(rising) {
        return Ok(());
    }
    // At most 32 bits each, by `Packed`.
    let mut news: Vec<u32> = unique.iter().map(|e| e.new_chunk().0 as u32).collect();
    news.sort_unstable();
    match news.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(damaged(format!(
            "chunk {} of the store is said to be two chunks' content",
            pair[0]
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::format;

    /// A store of `chunks` chunks that lists `entries`, in order.
    fn store(chunk_sectors: u64, chunks: u64, entries: &[(u64, u64)]) -> Vec<u8> {
        let layout = Layout::new(ChunkSize::from_sectors(chunk_sectors).unwrap());
        let bytes = layout.chunk().bytes().0 as usize;
        let mut store = vec![0; chunks as usize * bytes];
        store[..512].copy_from_slice(&RawHeader::sector(layout.chunk()));
        for (index, &(old, new)) in entries.iter().enumerate() {
            let area = layout.area_chunk(index as u64 / layout.per_area()).unwrap();
            let at = area.0 as usize * bytes + index % layout.per_area() as usize * ENTRY_BYTES;
            store[at..at + ENTRY_BYTES].copy_from_slice(&format::entry(old, new));
        }
        store
    }

    /// What the kernel makes of `count` orderly writes.
    fn orderly(count: u64, layout: Layout) -> Vec<(u64, u64)> {
        let mut next = Chunks(0);
        let entry = |old| {
            next = layout.next_free(next);
            (old, next.0)
        };
        (0..count).map(entry).collect()
    }

    fn read(store: Vec<u8>) -> Result<ExceptionStore> {
        ExceptionStore::read(&store, None)
    }

    #[test]
    fn figures_are_the_kernels() {
        // (exceptions, used, metadata) in sectors, as dmsetup gave them for chunks of 8.
        let known = [
            (0, 16, 16),
            (1, 24, 16),
            (255, 2056, 16),
            (256, 2072, 24),
            (257, 2080, 24),
            (512, 4128, 32),
        ];
        for (count, used, metadata) in known {
            let entries = orderly(count, Layout::new(ChunkSize::LIVE));
            let list = read(store(8, 1000, &entries)).unwrap();
            let figures = list.figures();
            assert_eq!(figures.used, Sectors(used), "{count} exceptions");
            assert_eq!(figures.metadata, Sectors(metadata), "{count} exceptions");
            assert_eq!(figures.total, Sectors(8000));
            assert_eq!(list.len() as u64, count);
        }
    }

    #[test]
    fn a_fresh_store_is_empty() {
        let list = read(vec![0; 1 << 20]).unwrap();
        assert_eq!(list.state(), OverlayState::Empty);
        assert_eq!(list.figures().used, Sectors(16));
        assert_eq!(list.figures().metadata, Sectors(16));
        // Whatever else the header says, and whatever an earlier life left behind it.
        let mut reset = store(8, 1000, &orderly(300, Layout::new(ChunkSize::LIVE)));
        reset[..4].fill(0);
        assert_eq!(read(reset).unwrap().state(), OverlayState::Empty);
    }

    #[test]
    fn states_follow_the_next_grant() {
        let layout = Layout::new(ChunkSize::LIVE);
        for (count, state) in [
            (0, OverlayState::Empty),
            (1, OverlayState::Active),
            (87, OverlayState::Active),
            (88, OverlayState::NearlyFull),
            (97, OverlayState::NearlyFull),
            (98, OverlayState::Full),
        ] {
            let list = read(store(8, 100, &orderly(count, layout))).unwrap();
            assert_eq!(list.state(), state, "{count}");
        }
        let mut invalid = store(8, 100, &orderly(5, layout));
        invalid[4] = 0;
        let list = read(invalid).unwrap();
        assert_eq!(list.state(), OverlayState::Invalid);
        assert!(!list.is_valid() && list.is_empty());
    }

    #[test]
    fn the_header_says_how_large_chunks_are() {
        for sectors in [1, 2, 16, 1024] {
            let layout = Layout::new(ChunkSize::from_sectors(sectors).unwrap());
            let entries = orderly(40, layout);
            let list = read(store(sectors, 64, &entries)).unwrap();
            assert_eq!(list.chunk_size().sectors(), Sectors(sectors));
            assert_eq!(list.lookup(Chunks(39)), Some(Chunks(entries[39].1)));
            assert_eq!(list.lookup(Chunks(40)), None);
        }
    }

    #[test]
    fn exact_repeats_are_legal_and_contradictions_are_not() {
        let list = read(store(8, 100, &[(5, 2), (7, 9), (5, 2), (7, 9)])).unwrap();
        assert_eq!((list.len(), list.listed()), (2, 4));
        assert_eq!(list.figures().used, Sectors(80));
        assert!(read(store(8, 100, &[(5, 2), (5, 3)])).is_err());
        assert!(read(store(8, 100, &[(5, 2), (6, 3), (7, 2)])).is_err());
    }

    #[test]
    fn every_field_is_checked() {
        let layout = Layout::new(ChunkSize::LIVE);
        let bad_entries = [
            (1, 1),        // the list itself
            (1, 258),      // an area not in use yet
            (1, 1000),     // behind the end
            (1, u64::MAX), // far behind it
            (1 << 32, 2),  // no image is that large
            (u64::MAX, 2),
        ];
        for entry in bad_entries {
            let error = read(store(8, 1000, &[(0, 2), entry])).unwrap_err();
            assert!(matches!(error, Error::Damaged { .. }), "{entry:?}: {error}");
        }
        let good = store(8, 1000, &orderly(300, layout));
        assert!(ExceptionStore::read(&good, Some(Bytes(299 * 4096 + 1))).is_ok());
        assert!(ExceptionStore::read(&good, Some(Bytes(299 * 4096))).is_err());

        let header = |at: usize, value: u32| {
            let mut store = good.clone();
            store[at..at + 4].copy_from_slice(&value.to_le_bytes());
            read(store)
        };
        assert!(header(0, 0x1234).is_err());
        assert!(header(4, 77).unwrap().is_valid());
        assert!(matches!(header(8, 2), Err(Error::Unsupported { .. })));
        for size in [0, 3, 24, 1 << 22, u32::MAX] {
            assert!(header(12, size).is_err(), "{size}");
        }
        // Chunks of 1 GiB in a store of 4 MB: no area is in it.
        assert!(header(12, 1 << 21).is_err());
    }

    #[test]
    fn a_list_must_end_in_the_store() {
        let entries = orderly(256, Layout::new(ChunkSize::LIVE));
        assert!(read(store(8, 259, &entries)).is_ok());
        // The second area, where the end mark is, is cut off or cut in two.
        let mut cut = store(8, 259, &entries);
        cut.truncate(258 * 4096);
        assert!(read(cut.clone()).is_err());
        cut.resize(258 * 4096 + 512, 0);
        assert!(read(cut).is_err());
        for length in [1, 511, 512, 4096, 8191] {
            let mut short = store(8, 10, &[]);
            short.truncate(length);
            assert!(read(short).is_err(), "{length}");
        }
    }
}
