//! Where an image's tables lie, and single entries of them.

use super::format::{METADATA, Place, SizeWord, Superblock, damaged, unsupported};
use super::meta::{Cursor, Store, Take};
use crate::error::Result;
use std::ops::Range;

/// A fragment block's entry.
pub const FRAGMENT_BYTES: usize = 16;
/// An inode's place in the export table.
pub const EXPORT_BYTES: usize = 8;
/// A user's or group's number.
const ID_BYTES: usize = 4;
/// Where an inode's extended attributes lie, how many, how long.
pub const XATTR_BYTES: usize = 16;
/// The xattr table's head, before the places of its blocks.
pub const XATTR_HEAD: u64 = 16;
/// The most extended attributes that one file may have here.
const XATTR_COUNT_MAX: u32 = 1 << 14;
/// The longest name of one (Linux, XATTR_NAME_MAX).
const XATTR_NAME_MAX: u16 = 255;
/// The longest value of one (Linux, XATTR_SIZE_MAX).
const XATTR_VALUE_MAX: u32 = 1 << 16;
/// The longest that all of one file may be together here.
const XATTR_TOTAL_MAX: usize = 1 << 20;
/// The bit of an attribute's type that says that its value lies elsewhere.
pub const XATTR_ELSEWHERE: u16 = 1 << 8;

/// A table of entries of equal length: metadata blocks, and a list of their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// Where its metadata blocks lie.
    pub blocks: Range<u64>,
    /// Where the list of their places lies.
    places: u64,
    /// How many entries there are.
    pub entries: u64,
    /// One entry's length.
    entry_bytes: usize,
}

impl Lookup {
    /// Finds where the blocks begin, and checks that all is within `room`.
    fn checked(mut self, store: &Store, room: Range<u64>) -> Result<Lookup> {
        let at = self.places;
        if self.entries == 0 {
            return damaged(format!("the table at {at} is empty"));
        }
        if room.end.saturating_sub(at) / 8 < self.count() {
            return damaged(format!("the table at {at} reaches beyond {}", room.end));
        }
        self.blocks.start = u64::from_le_bytes(store.array(at)?);
        if !(room.start..self.blocks.end).contains(&self.blocks.start) {
            return damaged(format!("the table at {at} begins at {}", self.blocks.start));
        }
        Ok(self)
    }

    /// How many metadata blocks it has.
    pub fn count(&self) -> u64 {
        self.bytes().div_ceil(METADATA as u64)
    }

    /// Where its block `index` lies.
    pub fn block(&self, store: &Store, index: u64) -> Result<Place> {
        let at = u64::from_le_bytes(store.array(self.places + 8 * index)?);
        match at.checked_sub(self.blocks.start) {
            Some(block) => Ok(Place { block, offset: 0 }),
            None => damaged(format!("a table's block at {at}")),
        }
    }

    /// Reads the bytes of entry `index`.
    fn entry<const N: usize>(&self, store: &Store, index: u64) -> Result<[u8; N]> {
        debug_assert_eq!(N, self.entry_bytes);
        if index >= self.entries {
            return damaged(format!("entry {index} of a table of {}", self.entries));
        }
        let at = index * N as u64;
        let mut place = self.block(store, at / METADATA as u64)?;
        place.offset = (at % METADATA as u64) as u16;
        Cursor::new(store, &self.blocks, place)?.array()
    }

    /// Its length, decompressed.
    pub fn bytes(&self) -> u64 {
        // At most 2^32 entries of 16 bytes.
        self.entries * self.entry_bytes as u64
    }
}

/// The extended attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xattrs {
    /// Names and values, in metadata blocks.
    pub values: Range<u64>,
    /// Which of them an inode has.
    pub sets: Lookup,
}

/// Where all tables lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// Inodes.
    pub inodes: Range<u64>,
    /// Directory listings.
    pub directories: Range<u64>,
    /// Fragment blocks.
    pub fragments: Option<Lookup>,
    /// Places of inodes by number.
    pub export: Option<Lookup>,
    /// Users and groups.
    pub ids: Lookup,
    /// Extended attributes.
    pub xattrs: Option<Xattrs>,
}

impl Tables {
    /// Finds and checks them: from the last one, since each ends where the next one begins.
    pub fn open(store: &Store, superblock: &Superblock) -> Result<Tables> {
        let floor = superblock.directory_table;
        let mut end = superblock.bytes_used;
        let mut open = |head: u64, places: u64, entries: u32, entry_bytes: usize| {
            let table = Lookup {
                blocks: head..head,
                places,
                entries: u64::from(entries),
                entry_bytes,
            };
            let table = table.checked(store, floor..end)?;
            end = table.blocks.start;
            Ok::<_, crate::error::Error>(table)
        };
        let mut xattrs = None;
        if superblock.has_xattrs() {
            let head = superblock.xattr_table;
            let room = superblock.bytes_used.saturating_sub(head);
            if room < XATTR_HEAD {
                return damaged(format!("the xattr table at {head} has no room"));
            }
            let fields: [u8; XATTR_HEAD as usize] = store.array(head)?;
            let mut fields = &fields[..];
            let (start, count) = (fields.u64()?, fields.u32()?);
            let sets = open(head, head + XATTR_HEAD, count, XATTR_BYTES)?;
            if !(floor..=sets.blocks.start).contains(&start) {
                return damaged(format!("the xattr table begins at {start}"));
            }
            let values = start..sets.blocks.start;
            xattrs = Some(Xattrs { values, sets });
        }
        let at = superblock.id_table;
        let ids = open(at, at, u32::from(superblock.ids), ID_BYTES)?;
        let mut export = None;
        if superblock.has_export() {
            let at = superblock.export_table;
            export = Some(open(at, at, superblock.inodes, EXPORT_BYTES)?);
        }
        let mut fragments = None;
        if superblock.fragments > 0 {
            let at = superblock.fragment_table;
            fragments = Some(open(at, at, superblock.fragments, FRAGMENT_BYTES)?);
        }
        if let Some(xattrs) = &xattrs
            && xattrs.values.start < ids.places
        {
            return damaged(format!("the xattr table begins at {}", xattrs.values.start));
        }
        Ok(Tables {
            inodes: superblock.inode_table..superblock.directory_table,
            directories: superblock.directory_table..end,
            fragments,
            export,
            ids,
            xattrs,
        })
    }
}

/// A fragment block: the ends of several files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    /// Where it lies.
    pub start: u64,
    /// Its size word.
    pub word: SizeWord,
}

impl Fragment {
    /// Reads and checks an entry; `data` is where blocks may lie. Some makers write an empty block
    /// where there are no ends of files: it may be there, and whoever uses it finds nothing in it.
    pub fn parse(mut entry: &[u8], data: &Range<u64>, block_size: u32) -> Result<Fragment> {
        let fragment = Fragment {
            start: entry.u64()?,
            word: SizeWord(entry.u32()?),
        };
        if fragment.word.bytes() > 0 {
            fragment.word.check(block_size)?;
        }
        let extent = fragment.extent();
        if extent.start < data.start || extent.end > data.end {
            return damaged(format!("a fragment block at {extent:?}, outside {data:?}"));
        }
        Ok(fragment)
    }

    /// Where it lies.
    pub fn extent(&self) -> Range<u64> {
        self.start..self.start.saturating_add(u64::from(self.word.bytes()))
    }
}

impl Tables {
    /// The fragment block `index`.
    pub fn fragment(
        &self,
        store: &Store,
        index: u32,
        data: &Range<u64>,
        block_size: u32,
    ) -> Result<Fragment> {
        let Some(table) = &self.fragments else {
            return damaged(format!("fragment {index} of an image without any"));
        };
        let entry: [u8; FRAGMENT_BYTES] = table.entry(store, u64::from(index))?;
        Fragment::parse(&entry, data, block_size)
    }

    /// The user or group at place `index` of the id table.
    pub fn id(&self, store: &Store, index: u16) -> Result<u32> {
        let entry: [u8; ID_BYTES] = self.ids.entry(store, u64::from(index))?;
        Ok(u32::from_le_bytes(entry))
    }

    /// Where inode `number` lies, by the export table.
    pub fn exported(&self, store: &Store, number: u32) -> Result<Option<Place>> {
        let Some(table) = &self.export else {
            return Ok(None);
        };
        // Numbers begin with 1.
        let index = u64::from(number).wrapping_sub(1);
        let entry: [u8; EXPORT_BYTES] = table.entry(store, index)?;
        Ok(Some(Place::from_reference(u64::from_le_bytes(entry))))
    }

    /// The extended attributes of set `index`.
    pub fn xattrs(&self, store: &Store, index: u32) -> Result<Vec<Xattr>> {
        let Some(table) = &self.xattrs else {
            return damaged(format!("xattrs {index} of an image without any"));
        };
        let entry: [u8; XATTR_BYTES] = table.sets.entry(store, u64::from(index))?;
        let set = XattrSet::parse(&entry)?;
        let mut cursor = Cursor::new(store, &table.values, set.place)?;
        let mut all = Vec::new();
        let mut total = 0;
        for _ in 0..set.count {
            let mut one = Xattr::read(&mut cursor)?;
            if let Some(place) = one.elsewhere()? {
                let mut cursor = Cursor::new(store, &table.values, place)?;
                one.value = Xattr::read_value(&mut cursor)?;
                one.kind &= !XATTR_ELSEWHERE;
            }
            total += one.name.len() + one.value.len();
            if total > XATTR_TOTAL_MAX {
                return unsupported("more than 1 MiB of extended attributes");
            }
            all.push(one);
        }
        Ok(all)
    }
}

/// Where one inode's extended attributes lie, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XattrSet {
    /// In the table of values.
    pub place: Place,
    /// How many.
    pub count: u32,
}

impl XattrSet {
    /// Reads an entry of the table of sets.
    pub fn parse(mut entry: &[u8]) -> Result<XattrSet> {
        let set = XattrSet {
            place: Place::from_reference(entry.u64()?),
            count: entry.u32()?,
        };
        if set.count > XATTR_COUNT_MAX {
            return unsupported(format!("a file with {} extended attributes", set.count));
        }
        Ok(set)
    }
}

/// An extended attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xattr {
    /// Its name's prefix, by number, and [`XATTR_ELSEWHERE`].
    pub kind: u16,
    /// Its name behind the prefix.
    pub name: Vec<u8>,
    /// Its value, or where that lies.
    pub value: Vec<u8>,
}

impl Xattr {
    /// Reads name and value.
    pub fn read(from: &mut impl Take) -> Result<Xattr> {
        let kind = from.u16()?;
        let length = from.u16()?;
        if length > XATTR_NAME_MAX {
            return damaged(format!("an extended attribute's name of {length} bytes"));
        }
        Ok(Xattr {
            kind,
            name: from.bytes(usize::from(length))?,
            value: Xattr::read_value(from)?,
        })
    }

    /// Reads a value, which its length precedes.
    pub fn read_value(from: &mut impl Take) -> Result<Vec<u8>> {
        let length = from.u32()?;
        if length > XATTR_VALUE_MAX {
            return damaged(format!("an extended attribute of {length} bytes"));
        }
        from.bytes(length as usize)
    }

    /// Where the value lies, if not here.
    pub fn elsewhere(&self) -> Result<Option<Place>> {
        if self.kind & XATTR_ELSEWHERE == 0 {
            return Ok(None);
        }
        match <[u8; 8]>::try_from(&self.value[..]) {
            Ok(bytes) => Ok(Some(Place::from_reference(u64::from_le_bytes(bytes)))),
            Err(_) => damaged("a reference to an extended attribute that is no reference"),
        }
    }
}
