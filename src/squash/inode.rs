//! Inodes and directory listings.

use super::format::{
    ENTRIES_MAX, NAME_MAX, NO_FRAGMENT, NO_XATTR, Place, SizeWord, damaged, kind, unsupported,
};
use super::meta::Take;
use crate::error::Result;

/// The most blocks that a file may have: 512 GiB in blocks of 128 KiB, 16 GiB in those of 4 KiB.
/// Each takes four bytes of memory.
pub const BLOCKS_MAX: u64 = 1 << 22;
/// The longest symbolic link (PATH_MAX).
const SYMLINK_MAX: u32 = 4096;
/// The longest listing of one directory that is read, in bytes.
const LISTING_MAX: u32 = 2 << 20;
/// A directory's size counts three bytes more than its listing: for "." and "..".
const DOTS: u32 = 3;

/// Where fields that the writer changes stand in an inode, in bytes from its begin.
pub mod field {
    /// A file's first block: 32 bits, in an extended one 64.
    pub const FILE_START: usize = 16;
    /// An extended file's bytes in holes.
    pub const FILE_SPARSE: usize = 32;
    /// A file's size words.
    pub const FILE_WORDS: usize = 32;
    /// An extended file's size words.
    pub const FILE_WORDS_EXTENDED: usize = 56;
    /// A directory's block in the directory table.
    pub const DIRECTORY_BLOCK: usize = 16;
    /// An extended directory's block in the directory table.
    pub const DIRECTORY_BLOCK_EXTENDED: usize = 24;
    /// An extended directory's index.
    pub const DIRECTORY_INDEX: usize = 40;
}

/// An inode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    /// The type as stored, see [`kind`].
    pub kind: u16,
    /// Permission bits.
    pub mode: u16,
    /// The owner's number, as a place in the id table.
    pub uid: u16,
    /// The group's number, as a place in the id table.
    pub gid: u16,
    /// When it was changed, seconds since 1970.
    pub mtime: u32,
    /// Its number.
    pub number: u32,
    /// How many names it has; 1 where that is not stored.
    pub links: u32,
    /// Which extended attributes it has.
    pub xattr: u32,
    /// The rest.
    pub body: Body,
}

/// What differs between types of inodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A directory.
    Directory(Directory),
    /// A regular file.
    File(File),
    /// A symbolic link, and where it leads.
    Symlink(Vec<u8>),
    /// A device, and its number.
    Device(u32),
    /// A named pipe or a socket.
    Other,
}

/// Where a directory's listing lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Its begin in the directory table.
    pub place: Place,
    /// The listing's length.
    pub bytes: u32,
    /// The number of the directory that it is in.
    pub parent: u32,
    /// For long listings: blocks in the directory table, and where they stand in the inode.
    pub index: Vec<(usize, u32)>,
}

/// Where a file's contents lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where its first block lies in the image.
    pub start: u64,
    /// Its length.
    pub size: u64,
    /// The bytes in its holes, as far as the image's maker counted them.
    pub sparse: u64,
    /// Which fragment block holds its end; [`NO_FRAGMENT`] where its last block does.
    pub fragment: u32,
    /// Where in the fragment block, decompressed.
    pub offset: u32,
    /// The size words of its blocks.
    pub words: Vec<SizeWord>,
}

impl Inode {
    /// Whether it is of an extended type.
    pub fn is_extended(&self) -> bool {
        self.kind > kind::EXTENDED
    }

    /// The type without regard to whether it is extended.
    pub fn basic_kind(&self) -> u16 {
        if self.is_extended() {
            self.kind - kind::EXTENDED
        } else {
            self.kind
        }
    }

    /// Reads one.
    pub fn read(from: &mut impl Take, block_size: u32) -> Result<Inode> {
        let mut inode = Inode {
            kind: from.u16()?,
            mode: from.u16()?,
            uid: from.u16()?,
            gid: from.u16()?,
            mtime: from.u32()?,
            number: from.u32()?,
            links: 1,
            xattr: NO_XATTR,
            body: Body::Other,
        };
        if inode.kind == 0 || inode.kind > 2 * kind::EXTENDED {
            return damaged(format!("an inode of type {}", inode.kind));
        }
        let extended = inode.is_extended();
        inode.body = match inode.basic_kind() {
            kind::DIRECTORY if extended => inode.extended_directory(from)?,
            kind::DIRECTORY => inode.directory(from)?,
            kind::FILE => inode.file(from, extended, block_size)?,
            kind::SYMLINK => {
                inode.links = from.u32()?;
                let length = from.u32()?;
                if length > SYMLINK_MAX {
                    return damaged(format!("a symbolic link of {length} bytes"));
                }
                Body::Symlink(from.bytes(length as usize)?)
            }
            kind::BLOCK_DEVICE | kind::CHARACTER_DEVICE => {
                inode.links = from.u32()?;
                Body::Device(from.u32()?)
            }
            _ => {
                inode.links = from.u32()?;
                Body::Other
            }
        };
        if extended && !matches!(inode.basic_kind(), kind::DIRECTORY | kind::FILE) {
            inode.xattr = from.u32()?;
        }
        Ok(inode)
    }

    fn directory(&mut self, from: &mut impl Take) -> Result<Body> {
        let block = from.u32()?;
        self.links = from.u32()?;
        let size = from.u16()?;
        let offset = from.u16()?;
        Ok(Body::Directory(Directory {
            place: place(block, offset),
            bytes: u32::from(size).saturating_sub(DOTS),
            parent: from.u32()?,
            index: Vec::new(),
        }))
    }

    fn extended_directory(&mut self, from: &mut impl Take) -> Result<Body> {
        self.links = from.u32()?;
        let size = from.u32()?;
        let block = from.u32()?;
        let parent = from.u32()?;
        let count = from.u16()?;
        let offset = from.u16()?;
        self.xattr = from.u32()?;
        let mut at = field::DIRECTORY_INDEX;
        let mut index = Vec::new();
        for _ in 0..count {
            from.u32()?;
            index.push((at + 4, from.u32()?));
            let name = from.u32()? as usize;
            if name >= NAME_MAX {
                return damaged(format!("a name of {name} bytes in an index"));
            }
            from.bytes(name + 1)?;
            at += 12 + name + 1;
        }
        Ok(Body::Directory(Directory {
            place: place(block, offset),
            bytes: size.saturating_sub(DOTS),
            parent,
            index,
        }))
    }

    fn file(&mut self, from: &mut impl Take, extended: bool, block_size: u32) -> Result<Body> {
        let mut file = File {
            start: 0,
            size: 0,
            sparse: 0,
            fragment: NO_FRAGMENT,
            offset: 0,
            words: Vec::new(),
        };
        if extended {
            file.start = from.u64()?;
            file.size = from.u64()?;
            file.sparse = from.u64()?;
            self.links = from.u32()?;
        } else {
            file.start = u64::from(from.u32()?);
        }
        file.fragment = from.u32()?;
        file.offset = from.u32()?;
        if extended {
            self.xattr = from.u32()?;
        } else {
            file.size = u64::from(from.u32()?);
        }
        let count = file.blocks(block_size);
        if count > BLOCKS_MAX {
            return unsupported(format!("a file of {count} blocks"));
        }
        // Grown as the words come: a length alone takes no memory.
        for _ in 0..count {
            file.words.push(SizeWord(from.u32()?).check(block_size)?);
        }
        Ok(Body::File(file))
    }
}

fn place(block: u32, offset: u16) -> Place {
    Place {
        block: u64::from(block),
        offset,
    }
}

impl File {
    /// How many blocks of its own it has: its end may be in a fragment block instead.
    fn blocks(&self, block_size: u32) -> u64 {
        let whole = self.size / u64::from(block_size);
        let rest = !self.size.is_multiple_of(u64::from(block_size));
        whole + u64::from(rest && self.fragment == NO_FRAGMENT)
    }

    /// The length of its end in a fragment block; 0 where it has none there.
    pub fn tail(&self, block_size: u32) -> usize {
        match self.fragment {
            NO_FRAGMENT => 0,
            _ => (self.size % u64::from(block_size)) as usize,
        }
    }

    /// The decompressed length of its own block `index`.
    pub fn block_bytes(&self, index: usize, block_size: u32) -> usize {
        let before = index as u64 * u64::from(block_size);
        (self.size - before).min(u64::from(block_size)) as usize
    }

    /// Whether any byte of its blocks is stored.
    pub fn is_stored(&self) -> bool {
        self.words.iter().any(|word| word.bytes() > 0)
    }

    /// Where its blocks lie, one after another. At the end of all numbers it is shorter than that,
    /// or empty: whoever reads it asks first whether it lies in the data.
    pub fn extent(&self) -> std::ops::Range<u64> {
        let bytes: u64 = self.words.iter().map(|word| u64::from(word.bytes())).sum();
        self.start..self.start.saturating_add(bytes)
    }
}

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: Vec<u8>,
    /// The basic type.
    pub kind: u16,
    /// Where the inode lies in the inode table.
    pub inode: Place,
}

/// Reads a directory's listing, entry by entry.
#[derive(Debug)]
pub struct Listing<T> {
    from: T,
    left: u32,
    /// Entries left under the present head, and the inode block that it names.
    entries: u32,
    block: u32,
}

impl<T: Take> Listing<T> {
    /// Of `bytes` bytes, from where `from` stands.
    pub fn new(from: T, bytes: u32) -> Result<Listing<T>> {
        if bytes > LISTING_MAX {
            return unsupported(format!("a directory of {bytes} bytes"));
        }
        Ok(Listing {
            from,
            left: bytes,
            entries: 0,
            block: 0,
        })
    }

    /// How many bytes of the listing are still to come.
    pub fn left(&self) -> u32 {
        self.left
    }

    fn spend(&mut self, bytes: u32) -> Result<()> {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => return damaged("a directory's listing is cut short"),
        }
        Ok(())
    }

    /// Reads the head of up to 256 entries, where one is due: the block of the inode table that
    /// they are in. Nothing at the end, or within the entries of a head.
    pub fn head(&mut self) -> Result<Option<u32>> {
        if self.entries > 0 || self.left == 0 {
            return Ok(None);
        }
        self.spend(12)?;
        let count = self.from.u32()?;
        if count >= ENTRIES_MAX {
            return damaged(format!("a directory head of {count} entries"));
        }
        self.entries = count + 1;
        self.block = self.from.u32()?;
        self.from.u32()?;
        Ok(Some(self.block))
    }

    /// The next entry.
    pub fn entry(&mut self) -> Result<Option<Entry>> {
        self.head()?;
        if self.entries == 0 {
            return Ok(None);
        }
        self.entries -= 1;
        self.spend(8)?;
        let offset = self.from.u16()?;
        self.from.u16()?;
        let kind = self.from.u16()?;
        let length = usize::from(self.from.u16()?) + 1;
        if length > NAME_MAX {
            return damaged(format!("a name of {length} bytes"));
        }
        self.spend(length as u32)?;
        Ok(Some(Entry {
            name: self.from.bytes(length)?,
            kind,
            inode: place(self.block, offset),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_file_has_as_many_words_as_blocks() {
        let mut bytes = vec![2, 0, 0xa4, 1, 0, 0, 0, 0];
        let words = [7u32, 3, 96, NO_FRAGMENT, 0, 10_000, 50, 0, 1 << 24 | 9];
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        let inode = Inode::read(&mut &bytes[..], 4096).unwrap();
        let Body::File(file) = &inode.body else {
            panic!("{inode:?}");
        };
        assert_eq!((inode.mtime, inode.number, file.size), (7, 3, 10_000));
        assert_eq!(file.extent(), 96..155);
        assert_eq!(file.block_bytes(2, 4096), 10_000 - 8192);
        // With a fragment, one word fewer.
        bytes[20..24].fill(0);
        let inode = Inode::read(&mut &bytes[..40], 4096).unwrap();
        let Body::File(file) = &inode.body else {
            panic!("{inode:?}");
        };
        assert_eq!((file.words.len(), file.tail(4096)), (2, 10_000 - 8192));
    }

    #[test]
    fn a_length_alone_takes_no_memory() {
        let mut bytes = vec![9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend([0; 8]);
        bytes.extend((1u64 << 34).to_le_bytes());
        bytes.extend([0xff; 40]);
        assert!(Inode::read(&mut &bytes[..], 4096).is_err());
        bytes[24..32].fill(0xff);
        assert!(Inode::read(&mut &bytes[..], 4096).is_err());
    }

    #[test]
    fn a_listing_reads_by_heads() {
        let mut bytes = Vec::new();
        for (block, names) in [(0u32, vec!["a", "bc"]), (99, vec!["d"])] {
            bytes.extend((names.len() as u32 - 1).to_le_bytes());
            bytes.extend(block.to_le_bytes());
            bytes.extend(1u32.to_le_bytes());
            for name in names {
                bytes.extend([5, 0, 0, 0, 2, 0, name.len() as u8 - 1, 0]);
                bytes.extend(name.bytes());
            }
        }
        let read = |bytes: &[u8]| -> Result<Vec<(u64, usize)>> {
            let mut listing = Listing::new(bytes, bytes.len() as u32)?;
            let mut all = Vec::new();
            while let Some(entry) = listing.entry()? {
                all.push((entry.inode.block, entry.name.len()));
            }
            Ok(all)
        };
        assert_eq!(read(&bytes).unwrap(), [(0, 1), (0, 2), (99, 1)]);
        assert!(read(&bytes[..bytes.len() - 1]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..400), kind in 0u8..16) {
            let mut inode = vec![kind, 0];
            inode.extend(&bytes);
            let _ = Inode::read(&mut &inode[..], 4096);
            let mut listing = Listing::new(&bytes[..], bytes.len() as u32).unwrap();
            while let Ok(Some(_)) = listing.entry() {}
        }
    }
}
