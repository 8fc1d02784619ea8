//! The tables said anew, after the data moved.

use super::format::{NO_TABLE, Place, SizeWord, Superblock, damaged, flags, unsupported};
use super::inode::field;
use super::meta::Take;
use super::read::Image;
use super::survey::{Survey, XattrTables};
use super::table::{How, Stored, Table};
use super::tables::{EXPORT_BYTES, FRAGMENT_BYTES, XATTR_BYTES, Xattr, XattrSet};
use crate::error::Result;
use std::ops::Range;

/// Where parts of the data went.
#[derive(Debug, Default)]
pub struct Moves {
    /// By old place.
    spans: Vec<Moved>,
}

/// A part of the data that was written anew, and may have got another length.
#[derive(Debug, Clone)]
pub struct Moved {
    /// Where it was.
    pub old: Range<u64>,
    /// Where it is.
    pub new: Range<u64>,
    /// Its size word now, where it is one block.
    pub word: Option<SizeWord>,
}

impl Moves {
    /// Adds a span that lies behind all that were added before.
    pub fn push(&mut self, moved: Moved) {
        self.spans.push(moved);
    }

    /// Where what began at `at` begins now.
    fn place(&self, at: u64) -> u64 {
        let behind = self.spans.partition_point(|span| span.old.start <= at);
        match behind.checked_sub(1).map(|index| &self.spans[index]) {
            None => at,
            Some(span) if at == span.old.start => span.new.start,
            Some(span) => span.new.end + at.saturating_sub(span.old.end),
        }
    }

    fn word(&self, at: u64) -> Option<SizeWord> {
        let found = self.spans.binary_search_by_key(&at, |span| span.old.start);
        found.ok().and_then(|index| self.spans[index].word)
    }
}

/// The inner file's blocks, anew.
#[derive(Debug)]
pub struct NewInner<'a> {
    /// Where the first one is.
    pub start: u64,
    /// The size words.
    pub words: &'a [SizeWord],
    /// The bytes in holes.
    pub holes: u64,
}

/// The tables as they are to be written, one after another.
#[derive(Debug)]
pub struct NewTables {
    /// Tables in their order; lists of places still count from the table's begin.
    parts: Vec<Part>,
    root: Place,
}

/// A piece of the tables' part of the image.
#[derive(Debug)]
enum Part {
    Inodes(Stored),
    Directories(Stored),
    Fragments(Stored),
    Export(Stored),
    Ids(Stored),
    Xattrs {
        values: Stored,
        sets: Stored,
        count: u32,
    },
}

impl Survey {
    /// Changes the tables to what is true after the moves, and stores them; `flags` are those of
    /// the new superblock.
    pub fn renew(
        mut self,
        image: &Image,
        moves: &Moves,
        inner: &NewInner<'_>,
        flags: u16,
        how: &mut How<'_>,
    ) -> Result<NewTables> {
        let plain = |bit: u16| flags & bit != 0;
        self.move_inner(inner, image)?;
        self.move_files(moves, how.verbatim)?;
        self.move_fragments(moves)?;
        let superblock = &image.shared.superblock;

        let how = &mut how.with(plain(flags::PLAIN_INODES), how.verbatim);
        let mut inodes = self.inodes.stored(how)?;
        let mut listings_as_they_are = false;
        if inodes.places != self.inodes.places() {
            // Listings name blocks of the inode table, and inodes name blocks of the listings'
            // table. To get out of the circle, listings of more than one block are not compressed:
            // where each block begins is then known beforehand.
            if self.directories.blocks() > 1 {
                listings_as_they_are = true;
                self.move_folders()?;
                inodes = self.inodes.stored(how)?;
            }
            for (at, ordinal) in &self.heads {
                self.directories
                    .put(*at, &narrow(inodes.places[*ordinal])?.to_le_bytes());
            }
        }
        let directories = if listings_as_they_are {
            self.directories.stored(&mut how.with(true, false))?
        } else {
            self.directories.stored(how)?
        };
        let renamed = |place: Place| -> Result<Place> {
            Ok(Place {
                block: inodes.places[self.inodes.ordinal(place.block)?],
                offset: place.offset,
            })
        };
        let root = renamed(superblock.root)?;
        if let Some(table) = &mut self.export {
            renumber(table, EXPORT_BYTES, renamed)?;
        }
        let mut parts = vec![Part::Inodes(inodes), Part::Directories(directories)];
        if let Some(table) = &self.fragments {
            let how = &mut how.with(plain(flags::PLAIN_FRAGMENTS), how.verbatim);
            parts.push(Part::Fragments(table.stored(how)?));
        }
        if let Some(table) = &self.export {
            parts.push(Part::Export(table.stored(how)?));
        }
        parts.push(Part::Ids(self.ids.stored(how)?));
        if let Some(xattrs) = &mut self.xattrs {
            parts.push(xattrs.renew(how)?);
        }
        Ok(NewTables { parts, root })
    }

    fn move_inner(&mut self, inner: &NewInner<'_>, image: &Image) -> Result<()> {
        let at = self.inner.at;
        if self.inner.extended {
            self.inodes
                .put(at + field::FILE_START, &inner.start.to_le_bytes());
            // Counted only where the image's maker did; never all of the file.
            if image.inner.file.sparse > 0 {
                let holes = inner.holes.min(self.inner.size.saturating_sub(1));
                self.inodes
                    .put(at + field::FILE_SPARSE, &holes.to_le_bytes());
            }
        } else {
            self.inodes
                .put(at + field::FILE_START, &narrow(inner.start)?.to_le_bytes());
        }
        let words_at = self.inner.words_at();
        for (index, word) in inner.words.iter().enumerate() {
            self.inodes.put(words_at + 4 * index, &word.0.to_le_bytes());
        }
        Ok(())
    }

    fn move_files(&mut self, moves: &Moves, same_words: bool) -> Result<()> {
        for file in std::mem::take(&mut self.files) {
            if file.extent.is_empty() {
                // All holes: where nothing lies does not matter.
                continue;
            }
            let start = moves.place(file.extent.start);
            let at = file.at + field::FILE_START;
            if file.extended {
                self.inodes.put(at, &start.to_le_bytes());
            } else {
                self.inodes.put(at, &narrow(start)?.to_le_bytes());
            }
            if same_words {
                continue;
            }
            let mut place = file.extent.start;
            for index in 0..file.words {
                let old = self.word(&file, index)?;
                if let Some(word) = moves.word(place).filter(|_| !old.is_hole()) {
                    self.inodes
                        .put(file.words_at() + 4 * index, &word.0.to_le_bytes());
                }
                place += u64::from(old.bytes());
            }
        }
        Ok(())
    }

    fn move_fragments(&mut self, moves: &Moves) -> Result<()> {
        let Some(table) = &mut self.fragments else {
            return Ok(());
        };
        for at in (0..table.bytes().len()).step_by(FRAGMENT_BYTES) {
            let mut entry = &table.bytes()[at..];
            let old = entry.u64()?;
            table.put(at, &moves.place(old).to_le_bytes());
            if let Some(word) = moves.word(old) {
                table.put(at + 8, &word.0.to_le_bytes());
            }
        }
        Ok(())
    }

    /// For listings that are stored as they are.
    fn move_folders(&mut self) -> Result<()> {
        let places = self.directories.plain_places();
        for (at, ordinal) in &self.folders {
            self.inodes
                .put(*at, &narrow(places[*ordinal])?.to_le_bytes());
        }
        Ok(())
    }
}

impl XattrTables {
    /// Places of values count in stored bytes: where the blocks are compressed anew, all
    /// references change. The values are then stored as they are, for the same reason as listings.
    fn renew(&mut self, how: &mut How<'_>) -> Result<Part> {
        if !how.verbatim {
            let places = self.values.plain_places();
            let old: Vec<u64> = self.values.places();
            let renamed = |place: Place| -> Result<Place> {
                match old.binary_search(&place.block) {
                    Ok(ordinal) => Ok(Place {
                        block: places[ordinal],
                        offset: place.offset,
                    }),
                    Err(_) => damaged(format!("a reference to {place:?}, where nothing begins")),
                }
            };
            self.move_values(&renamed)?;
            renumber(&mut self.sets, XATTR_BYTES, renamed)?;
        }
        let values = self.values.stored(&mut how.with(true, how.verbatim))?;
        Ok(Part::Xattrs {
            values,
            count: (self.sets.bytes().len() / XATTR_BYTES) as u32,
            sets: self.sets.stored(how)?,
        })
    }

    /// Values that lie elsewhere are named by their places.
    fn move_values(&mut self, renamed: &impl Fn(Place) -> Result<Place>) -> Result<()> {
        let mut found = Vec::new();
        let mut read = 0;
        for entry in self.sets.bytes().chunks_exact(XATTR_BYTES) {
            let set = XattrSet::parse(entry)?;
            let start = self.values.position(set.place)?;
            let mut rest = &self.values.bytes()[start..];
            for _ in 0..set.count {
                let one = Xattr::read(&mut rest)?;
                if let Some(place) = one.elsewhere()? {
                    let at = self.values.bytes().len() - rest.len() - 8;
                    found.push((at, renamed(place)?));
                }
            }
            // Sets may share what they hold; many that hold much are no real image's.
            read += self.values.bytes().len() - start - rest.len();
            if read > XATTR_READ_MAX {
                return unsupported("extended attributes that share their values");
            }
        }
        for (at, place) in found {
            self.values.put(at, &place.reference().to_le_bytes());
        }
        Ok(())
    }
}

/// The most bytes of extended attributes that are read in all.
const XATTR_READ_MAX: usize = 64 << 20;

/// Changes the reference that each entry of `entry_bytes` begins with.
fn renumber(
    table: &mut Table,
    entry_bytes: usize,
    renamed: impl Fn(Place) -> Result<Place>,
) -> Result<()> {
    for at in (0..table.bytes().len()).step_by(entry_bytes) {
        let mut entry = &table.bytes()[at..];
        let place = renamed(Place::from_reference(entry.u64()?))?;
        table.put(at, &place.reference().to_le_bytes());
    }
    Ok(())
}

/// Fields of 32 bits hold places up to 4 GiB.
fn narrow(place: u64) -> Result<u32> {
    match u32::try_from(place) {
        Ok(place) => Ok(place),
        Err(_) => unsupported(format!(
            "a file would move to {place}, which its inode cannot hold"
        )),
    }
}

impl NewTables {
    /// Writes them in order to `write`, the first one at `at`; fills in the superblock.
    pub fn write(
        self,
        mut at: u64,
        superblock: &mut Superblock,
        mut write: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        superblock.root = self.root;
        superblock.xattr_table = NO_TABLE;
        superblock.export_table = NO_TABLE;
        let no_fragments = superblock.fragment_table == NO_TABLE;
        superblock.fragment_table = NO_TABLE;
        let mut put = |bytes: &[u8], at: &mut u64| {
            *at += bytes.len() as u64;
            write(bytes)
        };
        for part in self.parts {
            match part {
                Part::Inodes(table) => {
                    superblock.inode_table = at;
                    put(&table.bytes, &mut at)?;
                }
                Part::Directories(table) => {
                    superblock.directory_table = at;
                    put(&table.bytes, &mut at)?;
                    if !no_fragments {
                        // Without fragments mksquashfs names the place where the list would be.
                        superblock.fragment_table = at;
                    }
                }
                Part::Fragments(table) => {
                    let list = list(&table, at);
                    put(&table.bytes, &mut at)?;
                    superblock.fragment_table = at;
                    put(&list, &mut at)?;
                }
                Part::Export(table) => {
                    let list = list(&table, at);
                    put(&table.bytes, &mut at)?;
                    superblock.export_table = at;
                    put(&list, &mut at)?;
                }
                Part::Ids(table) => {
                    let list = list(&table, at);
                    put(&table.bytes, &mut at)?;
                    superblock.id_table = at;
                    put(&list, &mut at)?;
                }
                Part::Xattrs {
                    values,
                    sets,
                    count,
                } => {
                    let start = at;
                    put(&values.bytes, &mut at)?;
                    let list = list(&sets, at);
                    put(&sets.bytes, &mut at)?;
                    superblock.xattr_table = at;
                    let mut head = start.to_le_bytes().to_vec();
                    head.extend(count.to_le_bytes());
                    head.extend(0u32.to_le_bytes());
                    put(&head, &mut at)?;
                    put(&list, &mut at)?;
                }
            }
        }
        superblock.bytes_used = at;
        Ok(())
    }
}

/// The list of a table's blocks' places, where the table begins at `at`.
fn list(table: &Stored, at: u64) -> Vec<u8> {
    let places = table.places.iter();
    places
        .flat_map(|place| (at + place).to_le_bytes())
        .collect()
}
