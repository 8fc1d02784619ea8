//! What an overlay's space is spent on, and what may go.

use crate::units::Sectors;
use serde::{Deserialize, Serialize};

/// What an overlay's space is spent on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Allocated, as `status` tells it: all sums together.
    pub used_sectors: Sectors,
    /// Altogether.
    pub total_sectors: Sectors,
    /// The chunk's size, which all sums are counted in.
    pub chunk_sectors: Sectors,
    /// The parts of what is used.
    pub sums: Sums,
    /// What is not deleted, but equals the image in its place, and comes back with a tidy; none where
    /// it was not compared.
    pub equal_sectors: Option<Sectors>,
    /// Files and folders by kind, the largest sum first.
    pub kinds: Vec<KindSum>,
    /// What may go without loss of what a person made, the largest sum first.
    #[serde(default)]
    pub clutter: Vec<ClutterSum>,
    /// The largest entries of Sugar's Journal, the largest first; [`JournalEntry::MOST`] at the most.
    #[serde(default)]
    pub journal_entries: Vec<JournalEntry>,
    /// How many things in the file system could not be made out; 0 in a whole one.
    pub unclear: u64,
    /// Each file and folder that owns something, the largest first; of very many, those beyond some
    /// 100,000 as one `…` for each kind, at the end.
    pub entries: Vec<Entry>,
}

/// The parts of what an overlay uses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Contents of files.
    pub file_sectors: Sectors,
    /// Folders: the names in them.
    pub folder_sectors: Sectors,
    /// The file system's own records: superblock, descriptors, bitmaps, inode tables.
    pub record_sectors: Sectors,
    /// The file system's journal.
    pub journal_sectors: Sectors,
    /// What no file uses any more.
    pub deleted_sectors: Sectors,
    /// The exception list: header and metadata areas.
    pub list_sectors: Sectors,
    /// Places in the store that nothing lies in.
    pub unused_sectors: Sectors,
}

/// All of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindSum {
    /// Which.
    pub kind: EntryKind,
    /// How many files.
    pub number: u64,
    /// What they own.
    pub sectors: Sectors,
}

/// What kind of file owns a part of the overlay, by its place and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// Text, tables, books, and what people make with programs.
    Document,
    /// Pictures.
    Picture,
    /// Sound and video.
    Media,
    /// Entries of Sugar's Journal.
    Journal,
    /// Packed files, and images of disks.
    Archive,
    /// Programs, what belongs to them, and the records of packages.
    Program,
    /// Settings, and what programs remember.
    Settings,
    /// Logs and crash dumps.
    Log,
    /// What programs keep to be quicker, and temporary files.
    Cache,
    /// In the trash.
    Trash,
    /// Anything else.
    Other,
    /// A file without a name: deleted while a program has it open.
    Nameless,
    /// A folder itself.
    Folder,
}

/// A file or folder that owns a part of the overlay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// From the root on, without a slash before it; empty for the root, `#` and the inode's number
    /// for what has no name.
    pub path: String,
    /// Which kind.
    pub kind: EntryKind,
    /// What it owns of the overlay.
    pub sectors: Sectors,
    /// Of that, what equals the image; 0 where it was not compared.
    pub equal_sectors: Sectors,
}

/// An entry of Sugar's Journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Its folder, as an [`Entry::path`].
    pub path: String,
    /// Its title; none where it cannot be read.
    pub title: Option<String>,
    /// What its files and folders own of the overlay.
    pub sectors: Sectors,
}

impl JournalEntry {
    /// So many of them are told.
    pub const MOST: usize = 10;
}

/// What may go from a running system without loss of what a person made; or, the trash, of what
/// they still want.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clutter {
    /// What a person's programs keep to be quicker.
    Caches,
    /// Small pictures of a person's files.
    Thumbnails,
    /// A person's trash.
    Trash,
    /// The system's older logs.
    Logs,
    /// What the system kept of programs that crashed.
    Crashes,
    /// Packages that were downloaded and are installed, and lists of them.
    Packages,
}

impl Clutter {
    /// All of it.
    pub const ALL: [Clutter; 6] = [
        Clutter::Caches,
        Clutter::Thumbnails,
        Clutter::Trash,
        Clutter::Logs,
        Clutter::Crashes,
        Clutter::Packages,
    ];

    /// The word for it here, and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Clutter::Caches => "caches",
            Clutter::Thumbnails => "thumbnails",
            Clutter::Trash => "trash",
            Clutter::Logs => "logs",
            Clutter::Crashes => "crashes",
            Clutter::Packages => "packages",
        }
    }

    /// What a word stands for.
    pub fn of(word: &str) -> Option<Clutter> {
        Clutter::ALL.into_iter().find(|one| one.word() == word)
    }

    /// Whether it is a person's own, and not the system's.
    pub fn is_own(self) -> bool {
        matches!(self, Clutter::Caches | Clutter::Thumbnails | Clutter::Trash)
    }
}

/// All of one kind that may go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClutterSum {
    /// Which.
    pub clutter: Clutter,
    /// How many files.
    pub number: u64,
    /// What they own of the overlay.
    pub sectors: Sectors,
}
