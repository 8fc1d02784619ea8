//! SquashFS 4.0 as it lies on disk: numbers, flags, the superblock. No I/O.
//!
//! Everything is little endian. The rules are those of Linux
//! (fs/squashfs/squashfs_fs.h, super.c) and of squashfs-tools.
//!
//! ```text
//! superblock, 96 bytes
//! compressor options           where the flag says so; one metadata block
//! data                         blocks of files, fragment blocks
//! inode table                  metadata blocks
//! directory table              metadata blocks
//! fragment table               metadata blocks, then their places
//! export table                 metadata blocks, then their places    (optional)
//! id table                     metadata blocks, then their places
//! xattr table                  metadata blocks of two kinds, then a header and places   (optional)
//! ```

use crate::error::{Error, Part, Result};
use std::fmt;

/// "hsqs".
pub const MAGIC: u32 = 0x7371_7368;
/// The magic of an image of the other byte order.
pub const MAGIC_SWAPPED: u32 = 0x6873_7173;
/// EROFS's magic, at byte 1024: what newer live images may be instead.
pub const EROFS_MAGIC: u32 = 0xe0f5_e1e2;
/// Where EROFS's magic lies.
pub const EROFS_MAGIC_AT: u64 = 1024;

/// A superblock's length.
pub const SUPERBLOCK: usize = 96;
/// A metadata block holds at most this, decompressed.
pub const METADATA: usize = 8192;
/// The bit of a metadata block's head that says "stored as it is".
pub const METADATA_PLAIN: u16 = 1 << 15;
/// The bit of a data block's size word that says "stored as it is".
pub const DATA_PLAIN: u32 = 1 << 24;
/// Images are padded to a multiple of this, unless asked not to be.
pub const PADDING: u64 = 4096;
/// The smallest block.
pub const BLOCK_MIN: u32 = 4096;
/// The largest block.
pub const BLOCK_MAX: u32 = 1 << 20;

/// "No such table."
pub const NO_TABLE: u64 = u64::MAX;
/// "No fragment."
pub const NO_FRAGMENT: u32 = u32::MAX;
/// "No extended attributes."
pub const NO_XATTR: u32 = u32::MAX;

/// The longest name in a directory.
pub const NAME_MAX: usize = 256;
/// A directory's head stands before at most this many entries.
pub const ENTRIES_MAX: u32 = 256;

/// Flags of the superblock.
pub mod flags {
    /// Inodes and directories are stored as they are (`-noI`).
    pub const PLAIN_INODES: u16 = 1 << 0;
    /// Data blocks are stored as they are (`-noD`).
    pub const PLAIN_DATA: u16 = 1 << 1;
    /// Fragment blocks are stored as they are (`-noF`).
    pub const PLAIN_FRAGMENTS: u16 = 1 << 3;
    /// Something is stored as it is: one of the above, extended attributes or ids.
    pub const PLAIN: u16 = PLAIN_INODES | PLAIN_DATA | PLAIN_FRAGMENTS | PLAIN_XATTRS | PLAIN_IDS;
    /// No file's end shares a block with others' (`-no-fragments`).
    pub const NO_FRAGMENTS: u16 = 1 << 4;
    /// Every file's end does (`-always-use-fragments`).
    pub const ALWAYS_FRAGMENTS: u16 = 1 << 5;
    /// Files with the same contents share them (not with `-no-duplicates`).
    pub const DUPLICATES: u16 = 1 << 6;
    /// Extended attributes are stored as they are (`-noX`).
    pub const PLAIN_XATTRS: u16 = 1 << 8;
    /// No extended attributes are stored (`-no-xattrs`).
    pub const NO_XATTRS: u16 = 1 << 9;
    /// Ids are stored as they are (`-noId`).
    pub const PLAIN_IDS: u16 = 1 << 11;
    /// There is an export table.
    pub const EXPORT: u16 = 1 << 7;
    /// Compressor options follow the superblock.
    pub const OPTIONS: u16 = 1 << 10;
    /// All that squashfs-tools 4.6 and Linux 6.x know (bit 2 is no longer used).
    pub const KNOWN: u16 = (1 << 12) - 1;
}

/// Types of inodes; the extended ones are seven higher.
pub mod kind {
    /// A directory.
    pub const DIRECTORY: u16 = 1;
    /// A regular file.
    pub const FILE: u16 = 2;
    /// A symbolic link.
    pub const SYMLINK: u16 = 3;
    /// A block device.
    pub const BLOCK_DEVICE: u16 = 4;
    /// A character device.
    pub const CHARACTER_DEVICE: u16 = 5;
    /// A named pipe.
    pub const PIPE: u16 = 6;
    /// A socket.
    pub const SOCKET: u16 = 7;
    /// What an extended inode's type is higher by.
    pub const EXTENDED: u16 = 7;
}

/// How blocks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// zlib's deflate.
    Gzip = 1,
    /// LZO1X.
    Lzo = 3,
    /// LZMA2 in an xz container.
    Xz = 4,
    /// LZ4 blocks.
    Lz4 = 5,
    /// Zstandard.
    Zstd = 6,
}

impl Compression {
    /// All of them.
    pub const ALL: [Compression; 5] = [
        Compression::Gzip,
        Compression::Lzo,
        Compression::Xz,
        Compression::Lz4,
        Compression::Zstd,
    ];

    fn from_id(id: u16) -> Option<Compression> {
        Compression::ALL.into_iter().find(|one| *one as u16 == id)
    }
}

impl fmt::Display for Compression {
    /// The name that mksquashfs's `-comp` takes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Compression::Gzip => "gzip",
            Compression::Lzo => "lzo",
            Compression::Xz => "xz",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        })
    }
}

/// A place in a table of metadata blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// Where the metadata block begins, in stored bytes from the table's begin.
    pub block: u64,
    /// The place in the block, decompressed.
    pub offset: u16,
}

impl Place {
    /// As references are stored: the block above 16 bits of offset.
    pub fn from_reference(reference: u64) -> Place {
        Place {
            block: reference >> 16,
            offset: reference as u16,
        }
    }

    /// As references are stored. A block's place is within a file, so it fits.
    pub fn reference(self) -> u64 {
        self.block << 16 | u64::from(self.offset)
    }
}

/// A data block's size word: its stored length, and whether it is compressed. 0 is a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SizeWord(pub u32);

impl SizeWord {
    /// A block that is all zeros and not stored.
    pub const HOLE: SizeWord = SizeWord(0);

    /// Of a stored block.
    pub fn stored(bytes: u32, compressed: bool) -> SizeWord {
        SizeWord(if compressed {
            bytes
        } else {
            bytes | DATA_PLAIN
        })
    }

    /// Stored bytes.
    pub fn bytes(self) -> u32 {
        self.0 & !DATA_PLAIN
    }

    /// Whether the stored bytes are compressed.
    pub fn is_compressed(self) -> bool {
        self.0 & DATA_PLAIN == 0
    }

    /// Whether nothing is stored, and the block is all zeros.
    pub fn is_hole(self) -> bool {
        self.0 == 0
    }

    /// Checked against the block's size: the kernel refuses more (fs/squashfs/block.c).
    pub fn check(self, block_size: u32) -> Result<SizeWord> {
        if self.bytes() > block_size || (self.bytes() == 0 && !self.is_hole()) {
            return damaged(format!("a block with the size word {:#x}", self.0));
        }
        Ok(self)
    }
}

/// The superblock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// How many inodes there are.
    pub inodes: u32,
    /// When the image was made, seconds since 1970.
    pub mod_time: u32,
    /// A data block's size: a power of two from 4 KiB to 1 MiB.
    pub block_size: u32,
    /// How many fragment blocks there are.
    pub fragments: u32,
    /// How blocks are compressed.
    pub compression: Compression,
    /// See [`flags`].
    pub flags: u16,
    /// How many user and group numbers there are.
    pub ids: u16,
    /// The root directory's inode.
    pub root: Place,
    /// The image's length without its padding.
    pub bytes_used: u64,
    /// Where the places of the id table's blocks lie.
    pub id_table: u64,
    /// Where the head of the xattr table lies; [`NO_TABLE`] without.
    pub xattr_table: u64,
    /// Where the inode table begins.
    pub inode_table: u64,
    /// Where the directory table begins.
    pub directory_table: u64,
    /// Where the places of the fragment table's blocks lie.
    pub fragment_table: u64,
    /// Where the places of the export table's blocks lie; [`NO_TABLE`] without.
    pub export_table: u64,
}

impl Superblock {
    /// Reads and checks one, by itself and against the length of the image's file.
    pub fn parse(bytes: &[u8; SUPERBLOCK], file_bytes: u64) -> Result<Superblock> {
        let mut fields = Fields(bytes);
        match fields.u32() {
            MAGIC => {}
            MAGIC_SWAPPED => return unsupported("a SquashFS of the other byte order"),
            _ => return damaged("no SquashFS: its magic number is missing"),
        }
        let inodes = fields.u32();
        let mod_time = fields.u32();
        let block_size = fields.u32();
        let fragments = fields.u32();
        let compression = fields.u16();
        let block_log = fields.u16();
        let flags = fields.u16();
        let ids = fields.u16();
        let version = (fields.u16(), fields.u16());
        if version != (4, 0) {
            return unsupported(format!("SquashFS version {}.{}", version.0, version.1));
        }
        let Some(compression) = Compression::from_id(compression) else {
            return unsupported(format!("SquashFS compressor {compression}"));
        };
        if flags & !flags::KNOWN != 0 {
            return unsupported(format!("unknown SquashFS flags {flags:#06x}"));
        }
        if !block_size.is_power_of_two()
            || !(BLOCK_MIN..=BLOCK_MAX).contains(&block_size)
            || block_size.trailing_zeros() != u32::from(block_log)
        {
            return damaged(format!("block size {block_size}, logarithm {block_log}"));
        }
        let superblock = Superblock {
            inodes,
            mod_time,
            block_size,
            fragments,
            compression,
            flags,
            ids,
            root: Place::from_reference(fields.u64()),
            bytes_used: fields.u64(),
            id_table: fields.u64(),
            xattr_table: fields.u64(),
            inode_table: fields.u64(),
            directory_table: fields.u64(),
            fragment_table: fields.u64(),
            export_table: fields.u64(),
        };
        superblock.check_order(file_bytes)?;
        Ok(superblock)
    }

    /// The tables stand in the one order that all writers use and newer kernels insist on.
    fn check_order(&self, file_bytes: u64) -> Result<()> {
        if self.bytes_used > file_bytes {
            return damaged(format!(
                "the image says {} bytes, its file has {file_bytes}",
                self.bytes_used
            ));
        }
        if self.inodes == 0 || self.ids == 0 {
            return damaged("an image without inodes or without ids");
        }
        let mut before = SUPERBLOCK as u64;
        let mut follow = |name: &str, at: u64| {
            if at < before || at > self.bytes_used {
                return damaged(format!("the {name} table lies at {at}"));
            }
            before = at;
            Ok(())
        };
        follow("inode", self.inode_table)?;
        // Neither table is ever empty: there is a root directory.
        follow("directory", self.directory_table.wrapping_sub(1))?;
        if self.fragments > 0 {
            follow("fragment", self.fragment_table)?;
        }
        if self.has_export() {
            follow("export", self.export_table)?;
        }
        follow("id", self.id_table)?;
        if self.has_xattrs() {
            follow("xattr", self.xattr_table)?;
        }
        Ok(())
    }

    /// Whether there is an export table. The kernel goes by the place, not by the flag.
    pub fn has_export(&self) -> bool {
        self.export_table != NO_TABLE
    }

    /// Whether there are extended attributes.
    pub fn has_xattrs(&self) -> bool {
        self.xattr_table != NO_TABLE
    }

    /// As it is stored.
    pub fn to_bytes(&self) -> [u8; SUPERBLOCK] {
        let mut bytes = Vec::with_capacity(SUPERBLOCK);
        bytes.extend(MAGIC.to_le_bytes());
        bytes.extend(self.inodes.to_le_bytes());
        bytes.extend(self.mod_time.to_le_bytes());
        bytes.extend(self.block_size.to_le_bytes());
        bytes.extend(self.fragments.to_le_bytes());
        bytes.extend((self.compression as u16).to_le_bytes());
        bytes.extend((self.block_size.trailing_zeros() as u16).to_le_bytes());
        bytes.extend(self.flags.to_le_bytes());
        bytes.extend(self.ids.to_le_bytes());
        bytes.extend(4u16.to_le_bytes());
        bytes.extend(0u16.to_le_bytes());
        for place in [
            self.root.reference(),
            self.bytes_used,
            self.id_table,
            self.xattr_table,
            self.inode_table,
            self.directory_table,
            self.fragment_table,
            self.export_table,
        ] {
            bytes.extend(place.to_le_bytes());
        }
        let mut whole = [0; SUPERBLOCK];
        whole.copy_from_slice(&bytes);
        whole
    }
}

/// Reads little-endian fields one after another from bytes whose length is known to suffice.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_at(N);
        self.0 = rest;
        let mut bytes = [0; N];
        bytes.copy_from_slice(head);
        bytes
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

/// The image contradicts its format.
pub(super) fn damaged<T>(detail: impl Into<String>) -> Result<T> {
    Err(Error::damaged(Part::Image, detail))
}

/// The image is of a kind that is not handled.
pub(super) fn unsupported<T>(detail: impl Into<String>) -> Result<T> {
    Err(Error::unsupported(Part::Image, detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn sample() -> Superblock {
        Superblock {
            inodes: 3,
            mod_time: 7,
            block_size: 131_072,
            fragments: 1,
            compression: Compression::Xz,
            flags: flags::EXPORT,
            ids: 1,
            root: Place {
                block: 0,
                offset: 64,
            },
            bytes_used: 1000,
            id_table: 900,
            xattr_table: NO_TABLE,
            inode_table: 500,
            directory_table: 600,
            fragment_table: 700,
            export_table: 800,
        }
    }

    #[test]
    fn a_superblock_reads_back() {
        let one = sample();
        assert_eq!(Superblock::parse(&one.to_bytes(), 4096).unwrap(), one);
    }

    #[test]
    fn wrong_superblocks_are_refused_by_kind() {
        let refuse = |change: &dyn Fn(&mut [u8; 96]), kind: ErrorKind| {
            let mut bytes = sample().to_bytes();
            change(&mut bytes);
            let error = Superblock::parse(&bytes, 4096).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
        };
        refuse(&|b| b[0] = 0, ErrorKind::Damaged);
        refuse(&|b| b[..4].reverse(), ErrorKind::Unsupported);
        refuse(&|b| b[28] = 3, ErrorKind::Unsupported);
        refuse(&|b| b[20] = 2, ErrorKind::Unsupported);
        refuse(&|b| b[25] = 0x80, ErrorKind::Unsupported);
        refuse(&|b| b[12] = 1, ErrorKind::Damaged);
        refuse(&|b| b[22] = 16, ErrorKind::Damaged);
        refuse(&|b| b[4] = 0, ErrorKind::Damaged);
        refuse(&|b| b[41] = 0xff, ErrorKind::Damaged);
        // The tables out of order, before the superblock, behind the end.
        refuse(&|b| b[73] = 0, ErrorKind::Damaged);
        refuse(&|b| b[64..72].fill(0), ErrorKind::Damaged);
        refuse(&|b| b[48..56].fill(0xff), ErrorKind::Damaged);
        refuse(&|b| b[72..80].fill(0), ErrorKind::Damaged);
    }

    #[test]
    fn references_and_words() {
        let place = Place::from_reference(0x12_3456_789a);
        assert_eq!((place.block, place.offset), (0x12_3456, 0x789a));
        assert_eq!(place.reference(), 0x12_3456_789a);
        assert_eq!(SizeWord::stored(5, false).bytes(), 5);
        for bad in [4097, DATA_PLAIN, DATA_PLAIN << 1 | 5] {
            assert!(SizeWord(bad).check(4096).is_err(), "{bad:#x}");
        }
        for good in [0, 4096, DATA_PLAIN | 4096] {
            assert!(SizeWord(good).check(4096).is_ok(), "{good:#x}");
        }
    }
}
