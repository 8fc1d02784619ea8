//! A model of dm-snapshot with a persistent store: how the kernel reads a store, grants
//! chunks, commits exceptions and gives up. After drivers/md/dm-snap-persistent.c and
//! dm-snap.c, step by step, with its habits: the last area is kept in memory and written
//! back whole; the next one is wiped before a full one is written.
//!
//! Stricter than the kernel in one thing: entries that contradict each other are an error.

use std::collections::BTreeMap;
use std::io;
use sugar_cellar::storage::Storage;

/// Why the kernel would not go on.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// The store could not be opened: no live system.
    NotOpened(String),
    /// Given up for ever; what was not merged is lost.
    Invalid(String),
    /// No further chunk fits; what is there stays readable (`PO`).
    Overflow,
}

/// A snapshot: an image, read only, and the store that holds what was written.
pub struct Kernel<'a> {
    store: &'a dyn Storage,
    origin: &'a [u8],
    chunk_sectors: u64,
    valid: bool,
    /// The area that is being filled, whole.
    area: Vec<u8>,
    current_area: u64,
    current_committed: u64,
    next_free: u64,
    pending: u64,
    /// Committed to memory, not written yet.
    callbacks: Vec<(u64, u64)>,
    complete: BTreeMap<u64, u64>,
    taken: BTreeMap<u64, u64>,
    overflowed: bool,
}

impl<'a> Kernel<'a> {
    /// Activates a snapshot, as dracut does: chunk size 8 in the table, the header's wins.
    pub fn open(store: &'a dyn Storage, origin: &'a [u8]) -> Result<Kernel<'a>, Stop> {
        let mut kernel = Kernel {
            store,
            origin,
            chunk_sectors: 8,
            valid: true,
            area: Vec::new(),
            current_area: 0,
            current_committed: 0,
            next_free: 2,
            pending: 0,
            callbacks: Vec::new(),
            complete: BTreeMap::new(),
            taken: BTreeMap::new(),
            overflowed: false,
        };
        kernel.read_metadata().map_err(not_opened)??;
        Ok(kernel)
    }

    fn read_metadata(&mut self) -> io::Result<Result<(), Stop>> {
        let header = self.read_chunk_io(0)?;
        let field = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
        let stop = |what: &str| Ok(Err(Stop::NotOpened(what.to_owned())));
        if field(0) == 0 {
            self.write_header()?;
            self.area = vec![0; self.chunk_bytes() as usize];
            self.zero_disk_area(0)?;
            return Ok(Ok(()));
        }
        if field(0) != 0x7041_6e53 {
            return stop("invalid or corrupt snapshot");
        }
        if !field(12).is_power_of_two() || field(12) > i32::MAX as u32 >> 9 {
            return stop("invalid on-disk chunk size");
        }
        self.chunk_sectors = field(12).into();
        if field(8) != 1 {
            return stop("unable to handle snapshot disk version");
        }
        if field(4) == 0 {
            self.valid = false;
            return Ok(Err(Stop::Invalid("marked invalid".into())));
        }
        self.read_exceptions()
    }

    fn read_exceptions(&mut self) -> io::Result<Result<(), Stop>> {
        loop {
            let area = self.read_chunk_io(self.area_location(self.current_area))?;
            for index in 0..self.per_area() {
                let (old, new) = entry_at(&area, index);
                if new == 0 {
                    self.current_committed = index;
                    self.area = area;
                    self.skip_metadata();
                    return Ok(Ok(()));
                }
                self.next_free = self.next_free.max(new.saturating_add(1));
                if let Err(contradiction) = self.insert(old, new) {
                    return Ok(Err(Stop::NotOpened(contradiction)));
                }
            }
            self.current_area += 1;
        }
    }

    /// Adds a completed exception. The kernel would take contradictions; nobody may make them.
    fn insert(&mut self, old: u64, new: u64) -> Result<(), String> {
        if self.is_metadata(new) || new >= self.size() / self.chunk_sectors {
            return Err(format!("{old} -> {new}: not a data chunk"));
        }
        if old >= (self.origin.len() as u64).div_ceil(self.chunk_bytes()) {
            return Err(format!("{old} -> {new}: behind the image's end"));
        }
        let before = (self.complete.insert(old, new), self.taken.insert(new, old));
        match before {
            (None, None) => Ok(()),
            (Some(same_new), Some(same_old)) if same_new == new && same_old == old => Ok(()),
            _ => Err(format!("{old} -> {new} contradicts {before:?}")),
        }
    }

    /// `allocated/total metadata`, in sectors.
    pub fn status(&self) -> (u64, u64, u64) {
        let metadata = (self.current_area + 1 + 1) * self.chunk_sectors;
        (self.next_free * self.chunk_sectors, self.size(), metadata)
    }

    /// How many entries are listed.
    pub fn listed(&self) -> u64 {
        self.current_area * self.per_area() + self.current_committed
    }

    /// Where a chunk lies in the store, if it does.
    pub fn place(&self, old: u64) -> Option<u64> {
        self.complete.get(&old).copied()
    }

    /// How many chunks have exceptions.
    pub fn exceptions(&self) -> usize {
        self.complete.len()
    }

    /// Whether entries lie behind the end mark in its area, to come back later.
    pub fn lurks(&self) -> bool {
        let end = self.current_committed as usize * 16;
        self.area[end..].iter().any(|&byte| byte != 0)
    }

    pub fn chunk_bytes(&self) -> u64 {
        self.chunk_sectors * 512
    }

    /// Reads one chunk of what the learner sees; short at the image's end.
    pub fn read_chunk(&self, chunk: u64) -> io::Result<Vec<u8>> {
        let start = (chunk * self.chunk_bytes()) as usize;
        let end = (start + self.chunk_bytes() as usize).min(self.origin.len());
        let Some(new) = self.complete.get(&chunk) else {
            return Ok(self.origin[start..end].to_vec());
        };
        let mut bytes = vec![0; end - start];
        self.store.read_at(&mut bytes, new * self.chunk_bytes())?;
        Ok(bytes)
    }

    /// Whether a chunk of what the learner sees is this, or begins so.
    pub fn holds(&self, chunk: u64, wanted: &[u8], buffer: &mut Vec<u8>) -> bool {
        let Some(new) = self.complete.get(&chunk) else {
            return self.origin[(chunk * self.chunk_bytes()) as usize..].starts_with(wanted);
        };
        buffer.resize(wanted.len(), 0);
        let read = self.store.read_at(buffer, new * self.chunk_bytes());
        read.is_ok() && buffer == wanted
    }

    /// Writes pieces, none across a chunk's border, as far as possible before any is committed.
    /// Tells how many were written: fewer than all where the store is full.
    pub fn write(&mut self, pieces: &[(u64, Vec<u8>)]) -> Result<usize, Stop> {
        let mut started = Vec::new();
        let mut written = 0;
        for (offset, data) in pieces {
            match self.map(*offset, data) {
                Ok(exception) => started.extend(exception),
                Err(Stop::Overflow) => break,
                Err(stop) => return Err(stop),
            }
            written += 1;
        }
        for (old, new) in started {
            self.commit(old, new)?;
        }
        Ok(written)
    }

    /// A barrier: all that was written is durable.
    pub fn flush(&self) {
        self.store.sync().unwrap();
    }

    /// Starts a write; gives the exception that is to be committed for it.
    fn map(&mut self, offset: u64, data: &[u8]) -> Result<Option<(u64, u64)>, Stop> {
        let (chunk, inside) = (offset / self.chunk_bytes(), offset % self.chunk_bytes());
        assert!(inside + data.len() as u64 <= self.chunk_bytes());
        let known = self.complete.get(&chunk).copied();
        let place = |new: u64| new * self.chunk_bytes() + inside;
        if let Some(new) = known {
            self.store.write_at(data, place(new)).unwrap();
            return Ok(None);
        }
        let before = self.read_chunk(chunk).unwrap();
        let new = self.prepare_exception()?;
        self.store
            .write_at(&before, new * self.chunk_bytes())
            .unwrap();
        self.store
            .write_at(data, new * self.chunk_bytes() + inside)
            .unwrap();
        // Writes that follow find it pending and go to the same place.
        self.complete.insert(chunk, new);
        Ok(Some((chunk, new)))
    }

    fn prepare_exception(&mut self) -> Result<u64, Stop> {
        if self.overflowed || self.size() < (self.next_free + 1) * self.chunk_sectors {
            self.overflowed = true;
            return Err(Stop::Overflow);
        }
        let new = self.next_free;
        self.next_free += 1;
        self.skip_metadata();
        self.pending += 1;
        Ok(new)
    }

    fn commit(&mut self, old: u64, new: u64) -> Result<(), Stop> {
        let at = self.current_committed as usize * 16;
        self.area[at..at + 8].copy_from_slice(&old.to_le_bytes());
        self.area[at + 8..at + 16].copy_from_slice(&new.to_le_bytes());
        self.current_committed += 1;
        self.callbacks.push((old, new));
        self.pending -= 1;
        let full = self.current_committed == self.per_area();
        if self.pending > 0 && !full {
            return Ok(());
        }
        if full && self.zero_disk_area(self.current_area + 1).is_err() {
            self.valid = false;
        }
        if self.valid && self.write_area().is_err() {
            self.valid = false;
        }
        if full {
            self.current_committed = 0;
            self.current_area += 1;
            self.area.fill(0);
        }
        for (old, new) in std::mem::take(&mut self.callbacks) {
            if !self.valid {
                self.write_header().unwrap();
                return Err(Stop::Invalid("an area could not be written".into()));
            }
            self.complete.remove(&old);
            self.insert(old, new).map_err(Stop::Invalid)?;
        }
        Ok(())
    }

    /// With flush before and force-unit-access.
    fn write_area(&self) -> io::Result<()> {
        self.store.sync()?;
        self.write_chunk_io(&self.area, self.area_location(self.current_area))?;
        self.store.sync()
    }

    fn zero_disk_area(&self, area: u64) -> io::Result<()> {
        let zeros = vec![0; self.chunk_bytes() as usize];
        self.write_chunk_io(&zeros, self.area_location(area))
    }

    fn write_header(&self) -> io::Result<()> {
        let mut header = vec![0; self.chunk_bytes() as usize];
        let chunk = self.chunk_sectors as u32;
        for (at, field) in [0x7041_6e53, self.valid as u32, 1, chunk]
            .iter()
            .enumerate()
        {
            header[at * 4..at * 4 + 4].copy_from_slice(&field.to_le_bytes());
        }
        self.write_chunk_io(&header, 0)?;
        self.store.sync()
    }

    fn read_chunk_io(&self, chunk: u64) -> io::Result<Vec<u8>> {
        self.in_device(chunk)?;
        let mut bytes = vec![0; self.chunk_bytes() as usize];
        self.store.read_at(&mut bytes, chunk * self.chunk_bytes())?;
        Ok(bytes)
    }

    fn write_chunk_io(&self, bytes: &[u8], chunk: u64) -> io::Result<()> {
        self.in_device(chunk)?;
        self.store.write_at(bytes, chunk * self.chunk_bytes())
    }

    /// A block device has an end, which a file that is written to has not.
    fn in_device(&self, chunk: u64) -> io::Result<()> {
        if (chunk + 1) * self.chunk_sectors > self.size() {
            let what = format!("chunk {chunk} is behind the device's end");
            return Err(io::Error::other(what));
        }
        Ok(())
    }

    fn size(&self) -> u64 {
        self.store.size().unwrap().0 / 512
    }

    fn per_area(&self) -> u64 {
        self.chunk_bytes() / 16
    }

    fn area_location(&self, area: u64) -> u64 {
        1 + (self.per_area() + 1) * area
    }

    fn is_metadata(&self, chunk: u64) -> bool {
        chunk == 0 || chunk % (self.per_area() + 1) == 1
    }

    fn skip_metadata(&mut self) {
        if self.next_free % (self.per_area() + 1) == 1 {
            self.next_free += 1;
        }
    }
}

fn not_opened(error: io::Error) -> Stop {
    Stop::NotOpened(error.to_string())
}

fn entry_at(area: &[u8], index: u64) -> (u64, u64) {
    let number = |at: usize| u64::from_le_bytes(area[at..at + 8].try_into().unwrap());
    let at = index as usize * 16;
    (number(at), number(at + 8))
}
