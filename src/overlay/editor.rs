//! An exception list that is changed in place, sector by sector.
//!
//! A sector is written whole or not at all, so each write here is one step. What must not
//! be reordered has a sync between; the reasons stand at each.

use super::exceptions::{ExceptionStore, List, Packed};
use super::format::{ENTRY_BYTES, SECTOR_ENTRIES, entry};
use crate::error::{Doing, Error, Part, Result};
use crate::storage::Storage;
use crate::units::{Bytes, SECTOR};
use std::collections::BTreeSet;
use std::ops::Range;

const SECTOR_BYTES: usize = SECTOR as usize;
/// At most so many sectors of the list are read or written at once.
const RUN: u64 = 128;

/// The list in memory, and which of its sectors differ from the store's.
pub(super) struct Editor<'a> {
    store: &'a dyn Storage,
    list: List,
    changed: BTreeSet<u64>,
}

impl<'a> Editor<'a> {
    /// Reads the list anew and refuses unless it is the one that was decided upon.
    ///
    /// What an earlier run wrote, and could not make durable, is made durable first: the sectors that
    /// differ on the device are those of the one batch whose sync failed.
    ///
    /// Also clears what lies behind the end mark in its area. Normally nothing does; but an
    /// area that the kernel was writing when the power failed may keep later sectors of it,
    /// and they would become entries again as soon as the list reaches them.
    pub(super) fn open(store: &'a dyn Storage, expected: &ExceptionStore) -> Result<Editor<'a>> {
        let list = List::read(store, None)?;
        let now = ExceptionStore::new(&list)?;
        if !now.is_valid() {
            let detail = "the overlay is marked invalid";
            return Err(Error::refused(Part::Overlay, detail));
        }
        if now != *expected {
            let detail = "the overlay's exception list changed since it was read";
            return Err(Error::refused(Part::Overlay, detail));
        }
        let mut editor = Editor {
            store,
            list,
            changed: BTreeSet::new(),
        };
        editor.sync()?;
        editor.find_stale(0..editor.listed_sectors())?;
        editor.write()?;
        editor.find_stale(editor.behind())?;
        editor.write()?;
        Ok(editor)
    }

    /// The entries, in the list's order.
    pub(super) fn entries(&self) -> &[Packed] {
        &self.list.entries
    }

    /// Changes one entry; [`Editor::write`] brings it to the store.
    pub(super) fn set(&mut self, index: usize, entry: Packed) {
        if self.list.entries[index] != entry {
            self.list.entries[index] = entry;
            self.changed.insert((index / SECTOR_ENTRIES) as u64);
        }
    }

    /// Writes all changed sectors, in any order, and makes them durable.
    pub(super) fn write(&mut self) -> Result<()> {
        let changed: Vec<u64> = std::mem::take(&mut self.changed).into_iter().collect();
        if changed.is_empty() {
            return Ok(());
        }
        let area = self.area_sectors();
        let together = |one: &u64, next: &u64| *next == one + 1 && !next.is_multiple_of(area);
        for run in changed.chunk_by(together) {
            for run in run.chunks(RUN as usize) {
                let bytes: Vec<u8> = run.iter().flat_map(|&s| self.sector(s)).collect();
                self.store
                    .write_at(&bytes, self.place(run[0])?.0)
                    .doing("writing the overlay's exception list")?;
            }
        }
        self.sync()
    }

    /// Ends the list after `kept` entries.
    ///
    /// Every entry that stays is durable in front of that, and all that is cut off may as
    /// well be listed. Sectors are zeroed from the area's end backwards, each durable before
    /// the next, and the one in which the list ends last: so that no entry ever lies behind
    /// an end mark in its area, to come back when the kernel appends and the list reaches it.
    /// Areas behind this one keep what they hold: the kernel wipes an area before it uses it.
    ///
    /// `ballast` is repeated in that last sector until it is written: see
    /// [`super::moves`] on what must stay listed until then.
    pub(super) fn cut(&mut self, kept: usize, ballast: Option<Packed>) -> Result<()> {
        let listed = self.list.entries.len();
        if kept >= listed {
            return Ok(());
        }
        let sector_of = |index: usize| (index / SECTOR_ENTRIES) as u64;
        let mixed = sector_of(kept);
        let area_end = (mixed / self.area_sectors() + 1) * self.area_sectors() - 1;
        let last = sector_of(listed - 1).min(area_end);
        if let Some(ballast) = ballast
            && last > mixed
        {
            for index in kept..(mixed as usize + 1) * SECTOR_ENTRIES {
                self.set(index, ballast);
            }
            self.write()?;
        }
        for sector in (mixed + 1..=last).rev() {
            self.list.entries.truncate(sector as usize * SECTOR_ENTRIES);
            self.changed.insert(sector);
            self.write()?;
        }
        self.list.entries.truncate(kept);
        self.changed.insert(mixed);
        self.write()
    }

    /// The sectors that are full of entries.
    fn listed_sectors(&self) -> u64 {
        (self.list.entries.len() / SECTOR_ENTRIES) as u64
    }

    /// The sectors from the end mark's to the end of its area.
    fn behind(&self) -> Range<u64> {
        if self.list.is_fresh() {
            // The kernel wipes the first area when it sets the store up.
            return 0..0;
        }
        let first = self.listed_sectors();
        first..(first / self.area_sectors() + 1) * self.area_sectors()
    }

    /// Notes which of the sectors are not on the device what they shall be.
    fn find_stale(&mut self, sectors: Range<u64>) -> Result<()> {
        if sectors.is_empty() {
            return Ok(());
        }
        let doing = "reading the overlay's exception list from the device";
        let device = self.store.uncached().doing(doing)?;
        let mut at = sectors.start;
        while at < sectors.end {
            let area_end = (at / self.area_sectors() + 1) * self.area_sectors();
            let run = at..sectors.end.min(at + RUN).min(area_end);
            at = run.end;
            let mut found = vec![0; (run.end - run.start) as usize * SECTOR_BYTES];
            let place = self.place(run.start)?.0;
            device.read_at(&mut found, place).doing(doing)?;
            for (bytes, sector) in found.chunks_exact(SECTOR_BYTES).zip(run) {
                if *bytes != self.sector(sector) {
                    self.changed.insert(sector);
                }
            }
        }
        Ok(())
    }

    /// Reads the store again: on the device, the list must be what was meant to be there, and end there.
    pub(super) fn finish(mut self) -> Result<ExceptionStore> {
        let list = List::read(self.store, None)?;
        self.find_stale(0..self.behind().end)?;
        if list != self.list || !self.changed.is_empty() {
            let detail = "the exception list does not read as it was written";
            return Err(Error::damaged(Part::Overlay, detail));
        }
        ExceptionStore::new(&list)
    }

    fn area_sectors(&self) -> u64 {
        self.list.layout.chunk().sectors().0
    }

    /// A sector of the list as it shall be: entries, and zeros behind the last.
    fn sector(&self, sector: u64) -> [u8; SECTOR_BYTES] {
        let mut bytes = [0; SECTOR_BYTES];
        let first = sector as usize * SECTOR_ENTRIES;
        let entries = self.list.entries.iter().skip(first).take(SECTOR_ENTRIES);
        for (packed, place) in entries.zip(bytes.chunks_exact_mut(ENTRY_BYTES)) {
            let exception = packed.exception();
            place.copy_from_slice(&entry(exception.old.0, exception.new.0));
        }
        bytes
    }

    /// Where a sector of the list lies in the store.
    fn place(&self, sector: u64) -> Result<Bytes> {
        let place = self.list.layout.list_sector(sector);
        place.ok_or_else(|| Error::damaged(Part::Overlay, "a list beyond all numbers"))
    }

    fn sync(&self) -> Result<()> {
        self.store
            .sync()
            .doing("making the overlay's exception list durable")
    }
}
