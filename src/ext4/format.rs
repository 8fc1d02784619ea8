//! Numbers of the ext4 format, and how they are read: no I/O, no decisions.
//!
//! Source: the kernel's fs/ext4/ext4.h and Documentation/filesystems/ext4,
//! e2fsprogs' lib/ext2fs/ext2_fs.h and lib/ext2fs/csum.c (for the checksums).

use crc::{Algorithm, CRC_16_MODBUS, CRC_32_ISCSI, Crc, Table};

/// Where the primary superblock begins, in bytes, whatever the block size.
pub const SUPERBLOCK_AT: u64 = 1024;
/// Its length in bytes.
pub const SUPERBLOCK_BYTES: usize = 1024;
/// `s_magic`.
pub const MAGIC: u16 = 0xef53;

/// `s_state`: unmounted cleanly.
pub const STATE_VALID: u16 = 1;
/// `s_state`: errors were found while it was in use.
pub const STATE_ERRORS: u16 = 2;
/// `s_state`: orphans are being removed.
pub const STATE_ORPHANS: u16 = 4;
/// `s_state`: a fast commit is being replayed.
pub const STATE_REPLAY: u16 = 0x20;

/// `bg_flags`: the inode bitmap and table were never written.
pub const GROUP_INODES_UNINIT: u16 = 1;
/// `bg_flags`: the block bitmap was never written; it follows from the layout.
pub const GROUP_BLOCKS_UNINIT: u16 = 2;

/// Features that may be ignored by who does not know them.
pub mod compat {
    /// A journal, inside or on another device.
    pub const HAS_JOURNAL: u32 = 0x4;
    /// Inode 7 holds blocks that the descriptor table may grow into.
    pub const RESIZE_INODE: u32 = 0x10;
    /// At most two backup superblocks, in groups that the superblock names.
    pub const SPARSE_SUPER2: u32 = 0x200;
    /// Orphans are kept in a file as well as in a list.
    pub const ORPHAN_FILE: u32 = 0x1000;
    /// Those under which blocks are used as this module knows:
    /// also dir_prealloc, ext_attr, dir_index, fast_commit, stable_inodes.
    pub const KNOWN: u32 =
        0x1 | HAS_JOURNAL | 0x8 | RESIZE_INODE | 0x20 | SPARSE_SUPER2 | 0x400 | 0x800 | ORPHAN_FILE;
}

/// Features that must be known to read it.
pub mod incompat {
    /// The journal holds changes that are not in place yet.
    pub const RECOVER: u32 = 0x4;
    /// Descriptors lie in the groups that they describe.
    pub const META_BG: u32 = 0x10;
    /// Files may map their blocks by extents.
    pub const EXTENTS: u32 = 0x40;
    /// Block numbers of 48 bits, descriptors of 64 bytes.
    pub const BITS64: u32 = 0x80;
    /// A block tells other hosts that it is mounted.
    pub const MMP: u32 = 0x100;
    /// A group's bitmaps and inode table may lie in another group.
    pub const FLEX_BG: u32 = 0x200;
    /// Large attribute values lie in inodes of their own.
    pub const EA_INODE: u32 = 0x400;
    /// The checksums' seed is kept, not made of the UUID.
    pub const CSUM_SEED: u32 = 0x2000;
    /// Small files and folders lie inside their inode.
    pub const INLINE_DATA: u32 = 0x8000;
    /// Those that this module reads: also filetype, large_dir, encrypt, casefold.
    pub const KNOWN: u32 = 0x2
        | RECOVER
        | META_BG
        | EXTENTS
        | BITS64
        | MMP
        | FLEX_BG
        | EA_INODE
        | CSUM_SEED
        | 0x4000
        | INLINE_DATA
        | 0x1_0000
        | 0x2_0000;
}

/// Features that must be known to write it.
pub mod ro_compat {
    /// Backup superblocks only in groups 0, 1 and powers of 3, 5 and 7.
    pub const SPARSE_SUPER: u32 = 0x1;
    /// Descriptors have a CRC-16, and groups may be uninitialised.
    pub const GDT_CSUM: u32 = 0x10;
    /// Who uses how much is kept in files that the superblock names.
    pub const QUOTA: u32 = 0x100;
    /// Space is kept in clusters of blocks: not handled.
    pub const BIGALLOC: u32 = 0x200;
    /// All metadata has a CRC-32C.
    pub const METADATA_CSUM: u32 = 0x400;
    /// The orphan file is not empty.
    pub const ORPHAN_PRESENT: u32 = 0x1_0000;
    /// Those under which blocks are used as this module knows: also large_file, btree_dir,
    /// huge_file, dir_nlink, extra_isize, read-only, project, verity.
    pub const KNOWN: u32 = SPARSE_SUPER
        | 0x2
        | 0x4
        | 0x8
        | GDT_CSUM
        | 0x20
        | 0x40
        | QUOTA
        | METADATA_CSUM
        | 0x1000
        | 0x2000
        | 0x8000
        | ORPHAN_PRESENT;
}

/// The names that e2fsprogs gives features (lib/e2p/feature.c), of those in no `KNOWN`.
const FEATURE_NAMES: [(char, u32, &str); 10] = [
    ('C', 0x2, "imagic_inodes"),
    ('C', 0x40, "lazy_bg"),
    ('C', 0x100, "snapshot_bitmap"),
    ('I', 0x1, "compression"),
    ('I', 0x8, "journal_dev"),
    ('I', 0x1000, "dirdata"),
    ('R', 0x80, "has_snapshot"),
    ('R', 0x200, "bigalloc"),
    ('R', 0x800, "replica"),
    ('R', 0x4000, "shared_blocks"),
];

/// The names of the features in `mask`; `set` is `C`, `I` or `R` as e2fsprogs writes unknown ones.
pub fn feature_names(set: char, mask: u32) -> Vec<String> {
    (0..32)
        .filter(|bit| mask & (1 << bit) != 0)
        .map(|bit| {
            FEATURE_NAMES
                .iter()
                .find(|(s, m, _)| *s == set && *m == 1 << bit)
                .map_or_else(
                    || format!("FEATURE_{set}{bit}"),
                    |(_, _, name)| (*name).to_string(),
                )
        })
        .collect()
}

/// The bad blocks' inode.
pub const INODE_BAD: u32 = 1;
/// The inode that keeps blocks for a longer descriptor table.
pub const INODE_RESIZE: u32 = 7;
/// The first inode that is no reserved one, in revision 0 and at the least.
pub const FIRST_INODE: u32 = 11;

/// `i_mode`'s kind of file.
pub const MODE_KIND: u16 = 0xf000;
/// A folder.
pub const MODE_FOLDER: u16 = 0x4000;
/// A regular file.
pub const MODE_FILE: u16 = 0x8000;
/// A symbolic link.
pub const MODE_LINK: u16 = 0xa000;

/// `i_flags`: blocks are mapped by extents.
pub const INODE_EXTENTS: u32 = 0x8_0000;
/// `i_flags`: the contents lie in the inode.
pub const INODE_INLINE: u32 = 0x1000_0000;

/// How many bytes `i_block` has.
pub const MAP_BYTES: usize = 60;
/// The magic before the attributes inside an inode.
pub const ATTRIBUTES_MAGIC: u32 = 0xea02_0000;
/// Length of an attribute's entry, without its name.
pub const ATTRIBUTE_BYTES: usize = 16;
/// What stands for `system.` in an attribute's name.
pub const ATTRIBUTE_SYSTEM: u8 = 7;

/// An extent header's magic.
pub const EXTENT_MAGIC: u16 = 0xf30a;
/// Length of an extent, an index entry, and the header before them.
pub const EXTENT_BYTES: usize = 12;
/// The deepest extent tree (the kernel's EXT4_MAX_EXTENT_DEPTH).
pub const EXTENT_DEPTH: u16 = 5;
/// An extent longer than this is unwritten, and this much shorter than it says.
pub const EXTENT_WRITTEN: u16 = 0x8000;

/// A journal's magic (big endian, include/linux/jbd2.h).
pub const JOURNAL_MAGIC: u32 = 0xc03b_3998;
/// The magic at the end of an orphan file's block.
pub const ORPHAN_MAGIC: u32 = 0x0b10_ca04;

/// A little-endian 16-bit number at byte `at` of a structure whose length is known.
pub fn le16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// A little-endian 32-bit number.
pub fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// A big-endian 16-bit number: the journal's only.
pub fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// A big-endian 32-bit number: the journal's only.
pub fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Two halves that lie apart.
pub fn join(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// ext4 goes on from one checksum to the next and never inverts the last one.
const RAW_32: Algorithm<u32> = Algorithm {
    xorout: 0,
    ..CRC_32_ISCSI
};
static CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&RAW_32);
static CRC16: Crc<u16> = Crc::<u16>::new(&CRC_16_MODBUS);

/// CRC-32C from `seed` on; the first seed is all ones.
pub fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    let mut digest = CRC32C.digest_with_initial(seed.reverse_bits());
    digest.update(bytes);
    digest.finalize()
}

/// The CRC-16 of `parts` one after the other, as uninit_bg's descriptors have it.
pub fn crc16(parts: &[&[u8]]) -> u16 {
    let mut digest = CRC16.digest();
    for part in parts {
        digest.update(part);
    }
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_go_on_where_they_stopped() {
        let text = b"123456789";
        let whole = crc32c(!0, text);
        assert_eq!(!whole, 0xe306_9283);
        assert_eq!(crc32c(crc32c(!0, &text[..4]), &text[4..]), whole);
        assert_eq!(crc16(&[&text[..2], &text[2..]]), 0x4b37);
    }

    #[test]
    fn features_have_their_usual_names() {
        assert_eq!(feature_names('R', 0x200), ["bigalloc"]);
        assert_eq!(
            feature_names('I', 0x8000_1001),
            ["compression", "dirdata", "FEATURE_I31"]
        );
        assert!(feature_names('C', 0).is_empty());
    }
}
