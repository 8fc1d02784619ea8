//! Inodes: what they are, and whether they are whole.

use super::FileSystem;
use super::format::{self, incompat, le16, le32};
use crate::error::{Doing, Error, Part, Result};

/// What an inode says, as far as blocks are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    /// Its number, from 1.
    pub number: u32,
    /// Kind and permissions; 0 in a reserved inode that is not used.
    pub mode: u16,
    /// How many names it has.
    pub links: u16,
    /// Its contents' length in bytes.
    pub bytes: u64,
    /// The block of its extended attributes, which other inodes may share.
    pub attributes: Option<u64>,
    pub(super) flags: u32,
    pub(super) generation: u32,
    pub(super) map: [u8; format::MAP_BYTES],
    /// What of its contents stands behind the map, where they are inside the inode.
    pub(super) inline: Option<Box<[u8]>>,
}

/// How an inode says where its blocks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Map {
    /// It has none: a device, a short link, contents inside the inode.
    None,
    /// An extent tree.
    Extents,
    /// Twelve blocks, then blocks of block numbers.
    Indirect,
}

impl Inode {
    /// Takes an inode's bytes, 128 or more.
    pub(super) fn parse(fs: &FileSystem, number: u32, bytes: &[u8]) -> Inode {
        let mut map = [0; format::MAP_BYTES];
        map.copy_from_slice(&bytes[0x28..0x64]);
        let high = match fs.superblock().features().incompat(incompat::BITS64) {
            true => u32::from(le16(bytes, 0x76)),
            false => 0,
        };
        let flags = le32(bytes, 0x20);
        let inline = flags & format::INODE_INLINE != 0
            && fs.superblock().features().incompat(incompat::INLINE_DATA);
        Inode {
            number,
            mode: le16(bytes, 0x0),
            links: le16(bytes, 0x1a),
            bytes: format::join(le32(bytes, 0x4), le32(bytes, 0x6c)),
            attributes: Some(format::join(le32(bytes, 0x68), high)).filter(|block| *block != 0),
            flags,
            generation: le32(bytes, 0x64),
            map,
            inline: inline.then(|| behind_the_map(bytes).unwrap_or_default().into()),
        }
    }

    /// Whether its contents are inside the inode.
    pub fn is_inline(&self) -> bool {
        self.inline.is_some()
    }

    /// Whether it is a folder.
    pub fn is_folder(&self) -> bool {
        self.mode & format::MODE_KIND == format::MODE_FOLDER
    }

    /// How to read its map of blocks.
    pub(super) fn map_kind(&self) -> Map {
        let kind = self.mode & format::MODE_KIND;
        // The bad blocks' inode is no file, and has a map nevertheless.
        if self.number != format::INODE_BAD
            && !matches!(
                kind,
                format::MODE_FILE | format::MODE_FOLDER | format::MODE_LINK
            )
        {
            return Map::None;
        }
        if self.is_inline() {
            return Map::None;
        }
        if self.flags & format::INODE_EXTENTS != 0 {
            return Map::Extents;
        }
        // A link's target that fits into the map stands in it (the kernel's ext4_symlink).
        if kind == format::MODE_LINK && self.bytes < format::MAP_BYTES as u64 {
            return Map::None;
        }
        Map::Indirect
    }
}

/// The attribute `system.data` in an inode's bytes (the kernel's struct ext4_xattr_entry): contents
/// inside the inode go on there.
fn behind_the_map(bytes: &[u8]) -> Option<&[u8]> {
    let extra = bytes.get(0x80..0x82)?;
    let attributes = bytes.get(0x80 + usize::from(le16(extra, 0))..)?;
    let first = attributes.get(4..)?;
    if le32(attributes, 0) != format::ATTRIBUTES_MAGIC {
        return None;
    }
    let mut entry = first;
    while entry.len() >= format::ATTRIBUTE_BYTES && le32(entry, 0) != 0 {
        let name = usize::from(entry[0]);
        let end = format::ATTRIBUTE_BYTES + name;
        if entry[1] == format::ATTRIBUTE_SYSTEM
            && entry.get(format::ATTRIBUTE_BYTES..end)? == b"data"
        {
            let value = first.get(usize::from(le16(entry, 2))..)?;
            return value.get(..le32(entry, 8) as usize);
        }
        entry = entry.get(end.next_multiple_of(4)..)?;
    }
    None
}

impl FileSystem<'_> {
    /// Whether an inode has the checksum that it says. One that is all zero needs none:
    /// nobody ever wrote it. `scratch` is overwritten.
    pub(super) fn inode_right(&self, number: u32, bytes: &[u8], scratch: &mut Vec<u8>) -> bool {
        let superblock = self.superblock();
        if !superblock.features().metadata_sums() {
            return true;
        }
        // The upper half of the checksum is there where the inode's extra fields reach so far.
        let long = bytes.len() > 128 && le16(bytes, 0x80) >= 4;
        scratch.clear();
        scratch.extend_from_slice(&number.to_le_bytes());
        scratch.extend_from_slice(&bytes[0x64..0x68]);
        scratch.extend_from_slice(bytes);
        scratch[8 + 0x7c..8 + 0x7e].fill(0);
        let mut recorded = u32::from(le16(bytes, 0x7c));
        let mut kept = 0xffff;
        if long {
            scratch[8 + 0x82..8 + 0x84].fill(0);
            recorded |= u32::from(le16(bytes, 0x82)) << 16;
            kept = u32::MAX;
        }
        format::crc32c(superblock.seed(), scratch) & kept == recorded
            || bytes[..128].iter().all(|byte| *byte == 0)
    }

    /// Reads inode `number`.
    ///
    /// # Errors
    /// Damaged: there is no such inode, or its group's table lies outside; those of reading.
    pub fn inode(&self, number: u32) -> Result<Inode> {
        let geometry = self.geometry();
        let missing = || Error::damaged(Part::Ext4, format!("there is no inode {number}"));
        let index = number.checked_sub(1).ok_or_else(missing)?;
        let group = self
            .groups()
            .get((index / geometry.inodes_per_group) as usize)
            .ok_or_else(missing)?;
        let [.., table] = group.places(geometry);
        if !geometry.contains(&table) {
            return Err(missing());
        }
        let place = u64::from(index % geometry.inodes_per_group) * u64::from(geometry.inode_bytes);
        let mut bytes = vec![0; geometry.inode_bytes as usize];
        let at = table.start * u64::from(geometry.block_bytes) + place;
        self.view()
            .read_at(&mut bytes, at)
            .doing("reading an inode")?;
        Ok(Inode::parse(self, number, &bytes))
    }
}
