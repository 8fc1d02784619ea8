//! Group descriptors: where each group keeps its bitmaps and inodes, and what it counts as free.

use super::FileSystem;
use super::format::{self, le16, le32, ro_compat};
use super::geometry::Geometry;
use super::superblock::Superblock;
use crate::error::{Error, Part, Result};
use std::ops::Range;

/// A group's descriptor, unchecked but for its checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) block_bitmap: u64,
    pub(super) inode_bitmap: u64,
    pub(super) inode_table: u64,
    pub(super) free_blocks: u32,
    pub(super) free_inodes: u32,
    /// How many inodes at the table's end were never written.
    unwritten_inodes: u32,
    flags: u16,
    block_bitmap_sum: u32,
    inode_bitmap_sum: u32,
    pub(super) sum_right: bool,
}

impl Group {
    /// Takes the descriptor of group `number`; `bytes` are as long as the geometry says.
    fn parse(superblock: &Superblock, number: u32, bytes: &[u8]) -> Group {
        let long = bytes.len() >= 64;
        let high32 = |at| if long { le32(bytes, at) } else { 0 };
        let high16 = |at| {
            if long {
                u32::from(le16(bytes, at)) << 16
            } else {
                0
            }
        };
        Group {
            block_bitmap: format::join(le32(bytes, 0x0), high32(0x20)),
            inode_bitmap: format::join(le32(bytes, 0x4), high32(0x24)),
            inode_table: format::join(le32(bytes, 0x8), high32(0x28)),
            free_blocks: u32::from(le16(bytes, 0xc)) | high16(0x2c),
            free_inodes: u32::from(le16(bytes, 0xe)) | high16(0x2e),
            flags: le16(bytes, 0x12),
            block_bitmap_sum: u32::from(le16(bytes, 0x18)) | high16(0x38),
            inode_bitmap_sum: u32::from(le16(bytes, 0x1a)) | high16(0x3a),
            unwritten_inodes: u32::from(le16(bytes, 0x1c)) | high16(0x32),
            sum_right: !superblock.features().group_sums()
                || checksum(superblock, number, bytes) == le16(bytes, 0x1e),
        }
    }

    /// Where a group's metadata lies: block bitmap, inode bitmap, inode table.
    pub(super) fn places(&self, geometry: &Geometry) -> [Range<u64>; 3] {
        let run = |start: u64, count: u64| start..start.saturating_add(count);
        [
            run(self.block_bitmap, 1),
            run(self.inode_bitmap, 1),
            run(self.inode_table, geometry.table_blocks()),
        ]
    }
}

/// A descriptor's checksum (e2fsprogs' ext2fs_group_desc_csum).
fn checksum(superblock: &Superblock, number: u32, bytes: &[u8]) -> u16 {
    let number = number.to_le_bytes();
    if superblock.features().metadata_sums() {
        let mut sum = format::crc32c(superblock.seed(), &number);
        sum = format::crc32c(sum, &bytes[..0x1e]);
        sum = format::crc32c(sum, &[0, 0]);
        return format::crc32c(sum, &bytes[0x20..]) as u16;
    }
    format::crc16(&[
        &superblock.uuid().0,
        &number,
        &bytes[..0x1e],
        &bytes[0x20..],
    ])
}

impl FileSystem<'_> {
    /// Reads all descriptors. How many there are was bounded by the geometry.
    pub(super) fn read_groups(&self) -> Result<Vec<Group>> {
        let geometry = self.geometry();
        let mut groups = Vec::with_capacity(geometry.groups as usize);
        let mut block = Vec::new();
        for index in 0..geometry.descriptor_blocks() {
            let at = geometry.descriptor_block(index);
            if !geometry.contains(&(at..at + 1)) {
                let detail = "its group descriptors lie outside the file system";
                return Err(Error::damaged(Part::Ext4, detail));
            }
            self.read_block(at, &mut block)?;
            for bytes in block.chunks_exact(geometry.descriptor_bytes as usize) {
                if groups.len() == geometry.groups as usize {
                    break;
                }
                groups.push(Group::parse(self.superblock(), groups.len() as u32, bytes));
            }
        }
        Ok(groups)
    }

    /// Whether a group's block bitmap is to be computed, not read.
    pub(super) fn blocks_uninit(&self, group: &Group) -> bool {
        self.superblock().features().group_sums() && group.flags & format::GROUP_BLOCKS_UNINIT != 0
    }

    /// How many of a group's inodes were ever written; the others are not to be looked at.
    /// None where not even the inode bitmap was.
    pub(super) fn written_inodes(&self, group: &Group) -> Option<u32> {
        let all = self.geometry().inodes_per_group;
        if !self.superblock().features().group_sums() {
            return Some(all);
        }
        if group.flags & format::GROUP_INODES_UNINIT != 0 {
            return None;
        }
        Some(all.saturating_sub(group.unwritten_inodes))
    }

    /// Whether a block bitmap, as it stands in its block, has the checksum that its group says.
    pub(super) fn block_bitmap_right(&self, group: &Group, bitmap: &[u8]) -> bool {
        let bits = self.geometry().blocks_per_group;
        self.bitmap_right(bitmap, bits, group.block_bitmap_sum)
    }

    /// The same of an inode bitmap.
    pub(super) fn inode_bitmap_right(&self, group: &Group, bitmap: &[u8]) -> bool {
        let bits = self.geometry().inodes_per_group;
        self.bitmap_right(bitmap, bits, group.inode_bitmap_sum)
    }

    fn bitmap_right(&self, bitmap: &[u8], bits: u32, recorded: u32) -> bool {
        let superblock = self.superblock();
        if !superblock.features().ro_compat(ro_compat::METADATA_CSUM) {
            return true;
        }
        let sum = format::crc32c(superblock.seed(), &bitmap[..(bits / 8) as usize]);
        // Short descriptors hold the lower half only.
        let kept = match self.geometry().descriptor_bytes >= 64 {
            true => u32::MAX,
            false => 0xffff,
        };
        sum & kept == recorded
    }
}
