//! What a look at a file system may find, each a reason not to trust its free blocks.

use std::fmt;

/// What uses blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A file, a folder, or a reserved inode: its number.
    Inode(u32),
    /// The superblock's copy and the descriptors that a group begins with.
    Descriptors(u32),
    /// A group's block bitmap.
    BlockBitmap(u32),
    /// A group's inode bitmap.
    InodeBitmap(u32),
    /// A group's inodes.
    InodeTable(u32),
    /// The block that tells other hosts of a mount.
    MountProtection,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Inode(inode) => write!(f, "inode {inode}"),
            Owner::Descriptors(group) => write!(f, "the descriptors in group {group}"),
            Owner::BlockBitmap(group) => write!(f, "the block bitmap of group {group}"),
            Owner::InodeBitmap(group) => write!(f, "the inode bitmap of group {group}"),
            Owner::InodeTable(group) => write!(f, "the inode table of group {group}"),
            Owner::MountProtection => f.write_str("the mount protection's block"),
        }
    }
}

/// Something about a file system that speaks against trusting its free blocks.
///
/// `Display` is one technical phrase in English; numbers are ext4's own, blocks count from the
/// image's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Features that may use blocks in a way that is not known here, or a size that is not handled.
    Unsupported(String),
    /// It has no journal: nothing tells whether the last writes are whole.
    NoJournal,
    /// Its journal lies on another device.
    JournalElsewhere,
    /// Its journal holds changes that are not in place yet.
    NeedsRecovery,
    /// Its journal cannot be read, holds changes that nobody announced, or recorded an error.
    Journal(&'static str),
    /// It was not unmounted cleanly.
    NotClean,
    /// Errors were recorded in it.
    Errors {
        /// How many the kernel counted; 0 where there is only the mark.
        count: u32,
    },
    /// Deleted or cut files still wait to be removed.
    Orphans,

    /// A group descriptor's checksum is wrong.
    DescriptorChecksum {
        /// The group.
        group: u32,
    },
    /// A bitmap's checksum is wrong.
    BitmapChecksum {
        /// Which bitmap.
        of: Owner,
    },
    /// An inode's checksum is wrong.
    InodeChecksum {
        /// The inode.
        inode: u32,
    },
    /// The checksum of a block in an extent tree is wrong.
    ExtentChecksum {
        /// Whose tree.
        inode: u32,
        /// The block.
        block: u64,
    },
    /// An extent tree, or another map of blocks, contradicts itself.
    Map {
        /// Whose map.
        inode: u32,
        /// How.
        what: &'static str,
    },

    /// Blocks that lie outside the file system, or where they may not be.
    Misplaced {
        /// Who says that they are its own.
        owner: Owner,
        /// The first of them.
        block: u64,
    },
    /// Blocks in use that the bitmap calls free.
    UsedButFree {
        /// Who uses them.
        owner: Owner,
        /// The first block of the run that holds them.
        block: u64,
        /// How many of the run are called free.
        count: u64,
    },
    /// Blocks in use twice.
    UsedTwice {
        /// The second user.
        owner: Owner,
        /// The first block of the run that holds them.
        block: u64,
        /// How many of the run are somebody else's.
        count: u64,
    },
    /// Blocks that the bitmap calls used and that nothing uses.
    Lost {
        /// The first.
        block: u64,
        /// How many.
        count: u64,
    },

    /// An inode in use that the bitmap calls free.
    InodeUnmarked {
        /// The inode.
        inode: u32,
    },
    /// An inode marked as used that no folder names.
    InodeUnlinked {
        /// The inode.
        inode: u32,
    },
    /// An inode marked as used in the part of the table that was never written.
    InodeUnwritten {
        /// The inode.
        inode: u32,
    },

    /// A number of free blocks is wrong.
    FreeBlocks {
        /// The group; none for the whole file system.
        group: Option<u32>,
        /// As written down.
        recorded: u64,
        /// As counted.
        counted: u64,
    },
    /// A number of free inodes is wrong.
    FreeInodes {
        /// The group; none for the whole file system.
        group: Option<u32>,
        /// As written down.
        recorded: u64,
        /// As counted.
        counted: u64,
    },
    /// So much was found that the look was ended.
    TooMany,
}

impl Finding {
    /// Whether it may hide who uses a block. What was only counted wrong, as every mounted file
    /// system has it, does not.
    pub(super) fn hides_owners(&self) -> bool {
        matches!(
            self,
            Finding::DescriptorChecksum { .. }
                | Finding::BitmapChecksum { .. }
                | Finding::InodeChecksum { .. }
                | Finding::ExtentChecksum { .. }
                | Finding::Map { .. }
                | Finding::Misplaced { .. }
                | Finding::UsedTwice { .. }
        )
    }

    /// Whether it is damage, rather than a state that a file system may well be in.
    pub fn is_damage(&self) -> bool {
        !matches!(
            self,
            Finding::Unsupported(_)
                | Finding::NoJournal
                | Finding::JournalElsewhere
                | Finding::NeedsRecovery
                | Finding::NotClean
                | Finding::Orphans
        )
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |group: &Option<u32>| match group {
            Some(group) => format!("group {group}"),
            None => "the superblock".to_string(),
        };
        match self {
            Finding::Unsupported(what) => write!(f, "not handled: {what}"),
            Finding::NoJournal => f.write_str("it has no journal"),
            Finding::JournalElsewhere => f.write_str("its journal lies on another device"),
            Finding::NeedsRecovery => f.write_str("its journal needs recovery"),
            Finding::Journal(what) => write!(f, "its journal {what}"),
            Finding::NotClean => f.write_str("it was not unmounted cleanly"),
            Finding::Errors { count } => write!(f, "it has recorded errors ({count} counted)"),
            Finding::Orphans => f.write_str("deleted files still wait to be removed"),
            Finding::DescriptorChecksum { group } => {
                write!(f, "the descriptor of group {group} has a wrong checksum")
            }
            Finding::BitmapChecksum { of } => write!(f, "{of} has a wrong checksum"),
            Finding::InodeChecksum { inode } => write!(f, "inode {inode} has a wrong checksum"),
            Finding::ExtentChecksum { inode, block } => {
                write!(
                    f,
                    "block {block}, extents of inode {inode}, has a wrong checksum"
                )
            }
            Finding::Map { inode, what } => write!(f, "the block map of inode {inode}: {what}"),
            Finding::Misplaced { owner, block } => {
                write!(f, "{owner} claims block {block}, where it may not be")
            }
            Finding::UsedButFree {
                owner,
                block,
                count,
            } => write!(
                f,
                "{owner} uses blocks from {block} on of which {count} are called free"
            ),
            Finding::UsedTwice {
                owner,
                block,
                count,
            } => write!(
                f,
                "{owner} uses blocks from {block} on of which {count} are used already"
            ),
            Finding::Lost { block, count } => write!(
                f,
                "{count} blocks from {block} on are called used, and nothing uses them"
            ),
            Finding::InodeUnmarked { inode } => {
                write!(f, "inode {inode} is in use and called free")
            }
            Finding::InodeUnlinked { inode } => {
                write!(f, "inode {inode} is called used and has no links")
            }
            Finding::InodeUnwritten { inode } => {
                write!(f, "inode {inode} is called used and was never written")
            }
            Finding::FreeBlocks {
                group,
                recorded,
                counted,
            } => write!(
                f,
                "{} records {recorded} free blocks, and there are {counted}",
                place(group)
            ),
            Finding::FreeInodes {
                group,
                recorded,
                counted,
            } => write!(
                f,
                "{} records {recorded} free inodes, and there are {counted}",
                place(group)
            ),
            Finding::TooMany => f.write_str("and more"),
        }
    }
}
