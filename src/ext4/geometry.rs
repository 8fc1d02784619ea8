//! The shape of a file system: where its groups, descriptors and copies lie.

use super::format::{self, compat, incompat, le16, le32, ro_compat};
use super::superblock::{Superblock, damaged, unsupported};
use crate::error::Result;
use std::ops::Range;

/// Larger ones are not read: each block takes a few bits of memory, and no stick's root comes near.
/// 512 GiB with blocks of 4 KiB.
const MOST_BLOCKS: u64 = 1 << 27;
/// mke2fs makes no smaller groups (misc/mke2fs.c, option -g); it bounds how many there are.
const FEWEST_BLOCKS_PER_GROUP: u32 = 256;

impl Superblock {
    /// The shape that follows from it, checked as the kernel does when it mounts
    /// (fs/ext4/super.c), and bounded.
    ///
    /// # Errors
    /// Unsupported: features that change the shape in unknown ways (named), bigalloc, or a size
    /// beyond 2^27 blocks. Damaged: it contradicts itself.
    pub fn geometry(&self) -> Result<Geometry> {
        let unreadable = self.features().unreadable();
        if !unreadable.is_empty() {
            return Err(unsupported(format!(
                "ext4 with the features {}",
                unreadable.join(", ")
            )));
        }
        Geometry::of(self)
    }
}

/// Where things lie in a file system. Block numbers count from the image's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Geometry {
    /// A block's size in bytes: a power of two, 1 KiB to 64 KiB.
    pub block_bytes: u32,
    /// The first block that is accounted for: 1 with blocks of 1 KiB (block 0 is the boot block), else 0.
    pub first_block: u64,
    /// One past the last block.
    pub blocks: u64,
    /// Blocks in a group; the last group may have fewer.
    pub blocks_per_group: u32,
    /// How many groups there are.
    pub groups: u32,
    /// Inodes in a group.
    pub inodes_per_group: u32,
    /// An inode's size in bytes.
    pub inode_bytes: u32,
    /// The first inode that is not reserved.
    pub first_inode: u32,
    pub(super) descriptor_bytes: u32,
    reserved_descriptor_blocks: u32,
    /// With meta_bg: descriptor blocks from this one on lie in the groups that they describe.
    first_meta_group: Option<u32>,
    backups: Backups,
    /// The multiple-mount protection's block.
    pub(super) mmp_block: Option<u64>,
}

/// Which groups hold a copy of the superblock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backups {
    All,
    Powers,
    Two([u32; 2]),
}

impl Geometry {
    fn of(superblock: &Superblock) -> Result<Geometry> {
        let bytes: &[u8] = &*superblock.bytes;
        let features = superblock.features();
        let wrong = |what: &str| {
            Err(damaged(format!(
                "the superblock contradicts itself: {what}"
            )))
        };

        let log = le32(bytes, 0x18);
        if log > 6 || le32(bytes, 0x1c) != log {
            return wrong("block size");
        }
        let block_bytes = 1024u32 << log;
        let high = match features.incompat(incompat::BITS64) {
            true => le32(bytes, 0x150),
            false => 0,
        };
        let blocks = format::join(le32(bytes, 0x4), high);
        let first_block = u64::from(le32(bytes, 0x14));
        if first_block != u64::from(log == 0) || blocks <= first_block {
            return wrong("number of blocks");
        }
        if blocks > MOST_BLOCKS {
            return Err(unsupported(format!("ext4 of {blocks} blocks")));
        }
        let blocks_per_group = le32(bytes, 0x20);
        if !(FEWEST_BLOCKS_PER_GROUP..=8 * block_bytes).contains(&blocks_per_group)
            || !blocks_per_group.is_multiple_of(8)
            || le32(bytes, 0x24) != blocks_per_group
        {
            return wrong("blocks in a group");
        }
        // At most MOST_BLOCKS / FEWEST_BLOCKS_PER_GROUP.
        let groups = (blocks - first_block).div_ceil(u64::from(blocks_per_group)) as u32;

        let old = le32(bytes, 0x4c) == 0;
        let (first_inode, inode_bytes) = match old {
            true => (format::FIRST_INODE, 128),
            false => (le32(bytes, 0x54), u32::from(le16(bytes, 0x58))),
        };
        let inodes = le32(bytes, 0x0);
        let inodes_per_group = le32(bytes, 0x28);
        if !inode_bytes.is_power_of_two() || !(128..=block_bytes).contains(&inode_bytes) {
            return wrong("size of an inode");
        }
        if inodes_per_group < block_bytes / inode_bytes
            || inodes_per_group > 8 * block_bytes
            || u64::from(inodes_per_group) * u64::from(groups) != u64::from(inodes)
            || !(format::FIRST_INODE..=inodes).contains(&first_inode)
        {
            return wrong("number of inodes");
        }

        let descriptor_bytes = match features.incompat(incompat::BITS64) {
            true => u32::from(le16(bytes, 0xfe)),
            false => 32,
        };
        if !descriptor_bytes.is_power_of_two()
            || descriptor_bytes > 1024
            || (features.incompat(incompat::BITS64) && descriptor_bytes < 64)
        {
            return wrong("size of a group descriptor");
        }
        let reserved = u32::from(le16(bytes, 0xce));
        if reserved > block_bytes / 4 {
            return wrong("reserved group descriptors");
        }
        let mut geometry = Geometry {
            block_bytes,
            first_block,
            blocks,
            blocks_per_group,
            groups,
            inodes_per_group,
            inode_bytes,
            first_inode,
            descriptor_bytes,
            reserved_descriptor_blocks: reserved,
            first_meta_group: None,
            backups: if features.compat(compat::SPARSE_SUPER2) {
                Backups::Two([le32(bytes, 0x24c), le32(bytes, 0x250)])
            } else if features.ro_compat(ro_compat::SPARSE_SUPER) {
                Backups::Powers
            } else {
                Backups::All
            },
            mmp_block: features
                .incompat(incompat::MMP)
                .then(|| format::join(le32(bytes, 0x168), le32(bytes, 0x16c))),
        };
        if features.incompat(incompat::META_BG) {
            let first = le32(bytes, 0x104);
            if first > geometry.descriptor_blocks() {
                return wrong("first meta block group");
            }
            geometry.first_meta_group = Some(first);
        }
        Ok(geometry)
    }

    /// How many descriptors stand in a block.
    pub(super) fn descriptors_per_block(&self) -> u32 {
        self.block_bytes / self.descriptor_bytes
    }

    /// How many blocks all descriptors take.
    pub(super) fn descriptor_blocks(&self) -> u32 {
        self.groups.div_ceil(self.descriptors_per_block())
    }

    /// How many blocks a group's inodes take.
    pub(super) fn table_blocks(&self) -> u64 {
        (u64::from(self.inodes_per_group) * u64::from(self.inode_bytes))
            .div_ceil(u64::from(self.block_bytes))
    }

    /// A group's blocks.
    pub(super) fn group_blocks(&self, group: u32) -> Range<u64> {
        let start = self.first_block + u64::from(group) * u64::from(self.blocks_per_group);
        start..(start + u64::from(self.blocks_per_group)).min(self.blocks)
    }

    /// Whether a group begins with a copy of the superblock (the kernel's ext4_bg_has_super).
    fn has_superblock(&self, group: u32) -> bool {
        match self.backups {
            _ if group == 0 => true,
            Backups::All => true,
            Backups::Powers => group == 1 || [3, 5, 7].iter().any(|base| is_power(group, *base)),
            Backups::Two(groups) => groups.contains(&group),
        }
    }

    /// The superblock's copy and the descriptors that a group begins with, reserved ones included
    /// (e2fsprogs' ext2fs_reserve_super_and_bgd).
    pub(super) fn base_metadata(&self, group: u32) -> Range<u64> {
        let superblock = u64::from(self.has_superblock(group));
        let per_block = self.descriptors_per_block();
        let (meta_group, place) = (group / per_block, group % per_block);
        let descriptors = match self.first_meta_group {
            None => {
                let blocks = self.descriptor_blocks() + self.reserved_descriptor_blocks;
                superblock * u64::from(blocks)
            }
            Some(first) if meta_group < first => superblock * u64::from(first),
            // A meta group's descriptors stand in its first, second and last group.
            Some(_) => u64::from(place <= 1 || place == per_block - 1),
        };
        let start = self.group_blocks(group).start;
        start..(start + superblock + descriptors).min(self.blocks)
    }

    /// Where descriptor block `index` lies (e2fsprogs' ext2fs_descriptor_block_loc2).
    pub(super) fn descriptor_block(&self, index: u32) -> u64 {
        if self.first_meta_group.is_none_or(|first| index < first) {
            return self.first_block + 1 + u64::from(index);
        }
        let group = index * self.descriptors_per_block();
        self.group_blocks(group).start + u64::from(self.has_superblock(group))
    }

    /// Whether `blocks` lie wholly in the file system, and are any.
    pub(super) fn contains(&self, blocks: &Range<u64>) -> bool {
        self.first_block <= blocks.start && blocks.start < blocks.end && blocks.end <= self.blocks
    }

    /// The file system's end in bytes.
    pub fn bytes(&self) -> u64 {
        self.blocks * u64::from(self.block_bytes)
    }
}

/// Whether `number` is `base` to the power of one or more.
fn is_power(number: u32, base: u32) -> bool {
    let mut power = u64::from(base);
    while power < u64::from(number) {
        power *= u64::from(base);
    }
    power == u64::from(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A superblock of `bytes` with the fields that would end its reading at once put right.
    fn readable(mut bytes: [u8; 1024], log: u32, blocks: u32, per_group: u32) -> [u8; 1024] {
        let mut put =
            |at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        put(0x4, blocks);
        put(0x14, u32::from(log == 0));
        put(0x18, log);
        put(0x1c, log);
        put(0x20, per_group);
        put(0x24, per_group);
        put(0x4c, 1);
        put(0x150, 0);
        bytes[0x38..0x3a].copy_from_slice(&format::MAGIC.to_le_bytes());
        let known = |at: usize, mask: u32| le32(&bytes, at) & mask;
        let incompat = known(0x60, incompat::KNOWN);
        let ro_compat = known(0x64, ro_compat::KNOWN & !ro_compat::METADATA_CSUM);
        let groups = blocks.saturating_sub(1).div_ceil(per_group.max(1));
        let inodes_per_group = u32::from(bytes[0x28]) * 64 + 128;
        let inode_bytes: u16 = 128 << (bytes[0x58] % 3);
        let mut put =
            |at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        put(0x60, incompat);
        put(0x64, ro_compat);
        put(0x0, groups.wrapping_mul(inodes_per_group));
        put(0x28, inodes_per_group);
        put(0x54, format::FIRST_INODE);
        bytes[0x58..0x5a].copy_from_slice(&inode_bytes.to_le_bytes());
        bytes[0xfe..0x100].copy_from_slice(&64u16.to_le_bytes());
        bytes
    }

    proptest! {
        /// Any bytes are read or refused; what is read keeps within its bounds.
        #[test]
        fn any_bytes(
            bytes in prop::collection::vec(any::<u8>(), 1024),
            log in 0u32..8,
            blocks in prop_oneof![0u32..100_000, any::<u32>()],
            per_group in prop_oneof![Just(8192u32), (0u32..2000).prop_map(|n| n * 8)],
        ) {
            let mut raw = [0; 1024];
            raw.copy_from_slice(&bytes);
            let _ = Superblock::parse(&raw).map(|superblock| superblock.geometry());
            let superblock = Superblock::parse(&readable(raw, log, blocks, per_group)).unwrap();
            let _ = (superblock.label(), superblock.created(), superblock.state());
            let Ok(geometry) = superblock.geometry() else {
                return Ok(());
            };
            prop_assert!(geometry.blocks <= MOST_BLOCKS);
            let last = geometry.groups - 1;
            prop_assert_eq!(geometry.group_blocks(last).end, geometry.blocks);
            for group in [0, 1, last / 2, last].into_iter().filter(|group| *group <= last) {
                let base = geometry.base_metadata(group);
                prop_assert!(base.start <= base.end && base.end <= geometry.blocks);
            }
            let _ = geometry.descriptor_block(geometry.descriptor_blocks() - 1);
        }
    }

    #[test]
    fn powers() {
        let powers: Vec<u32> = (0..130)
            .filter(|n| [3, 5, 7].iter().any(|base| is_power(*n, *base)))
            .collect();
        assert_eq!(powers, [3, 5, 7, 9, 25, 27, 49, 81, 125]);
        assert!(!is_power(u32::MAX, 3));
    }
}
