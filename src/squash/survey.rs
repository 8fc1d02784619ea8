//! What an image's tables say of where things lie.

use super::format::{SizeWord, damaged, unsupported};
use super::inode::{Body, Directory, File, Inode, Listing, field};
use super::meta::Take;
use super::read::{Image, Shared};
use super::table::Table;
use super::tables::{FRAGMENT_BYTES, Fragment, XATTR_HEAD};
use crate::error::Result;
use std::ops::Range;

/// The tables, and where in them something stands that the writer changes.
#[derive(Debug)]
pub struct Survey {
    pub(super) inodes: Table,
    pub(super) directories: Table,
    pub(super) fragments: Option<Table>,
    pub(super) export: Option<Table>,
    pub(super) ids: Table,
    pub(super) xattrs: Option<XattrTables>,
    /// The inner file's inode.
    pub(super) inner: FileAt,
    /// All other files that have blocks of their own.
    pub(super) files: Vec<FileAt>,
    /// In directory listings: fields that name a block of the inode table, and which.
    pub(super) heads: Vec<(usize, usize)>,
    /// In inodes: fields that name a block of the directory table, and which.
    pub(super) folders: Vec<(usize, usize)>,
}

#[derive(Debug)]
pub(super) struct XattrTables {
    pub values: Table,
    pub sets: Table,
}

/// A file's inode.
#[derive(Debug, Clone)]
pub(super) struct FileAt {
    /// Where it begins in the inode table.
    pub at: usize,
    pub extended: bool,
    pub size: u64,
    /// How many blocks it has.
    pub words: usize,
    pub extent: Range<u64>,
}

impl FileAt {
    /// Where its size words begin in the inode table.
    pub fn words_at(&self) -> usize {
        self.at
            + if self.extended {
                field::FILE_WORDS_EXTENDED
            } else {
                field::FILE_WORDS
            }
    }
}

/// A stored block of a file other than the inner one, or a fragment block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where it lies.
    pub extent: Range<u64>,
    /// Its size word.
    pub word: SizeWord,
    /// Its decompressed length.
    pub bytes: usize,
    /// Whether it may also be shorter: a fragment block.
    pub fragment: bool,
}

impl Survey {
    /// Reads all tables of an image.
    pub fn new(image: &Image) -> Result<Survey> {
        let shared = &*image.shared;
        let store = &shared.store;
        let lookup = |table: &Option<_>| {
            let table = table.as_ref();
            table
                .map(|table| Table::of_lookup(store, table))
                .transpose()
        };
        let tables = &shared.tables;
        let mut survey = Survey {
            inodes: Table::of_range(store, &tables.inodes)?,
            directories: Table::of_range(store, &tables.directories)?,
            fragments: lookup(&tables.fragments)?,
            export: lookup(&tables.export)?,
            ids: Table::of_lookup(store, &tables.ids)?,
            xattrs: match &tables.xattrs {
                None => None,
                Some(xattrs) => Some(XattrTables {
                    values: Table::of_range(store, &xattrs.values)?,
                    sets: Table::of_lookup(store, &xattrs.sets)?,
                }),
            },
            inner: FileAt {
                at: usize::MAX,
                extended: false,
                size: 0,
                words: 0,
                extent: 0..0,
            },
            files: Vec::new(),
            heads: Vec::new(),
            folders: Vec::new(),
        };
        survey.read_inodes(image)?;
        Ok(survey)
    }

    /// Inodes stand one after another, so that each is met once whoever names it.
    fn read_inodes(&mut self, image: &Image) -> Result<()> {
        let superblock = &image.shared.superblock;
        let inner_at = self.inodes.position(image.inner.place)?;
        let mut at = 0;
        let mut listed = 0;
        for _ in 0..superblock.inodes {
            let whole = &self.inodes.bytes()[at..];
            let mut rest = whole;
            let inode = Inode::read(&mut rest, superblock.block_size)?;
            let length = whole.len() - rest.len();
            match &inode.body {
                Body::File(file) => {
                    let found = self.file(at, inode.is_extended(), file, &image.shared)?;
                    if at == inner_at {
                        self.inner = found;
                    } else if found.words > 0 {
                        self.files.push(found);
                    }
                }
                Body::Directory(directory) => {
                    listed += directory.bytes as usize;
                    // Listings that overlap could name each other's heads without end.
                    if listed > self.directories.bytes().len() {
                        return damaged("directories that share their listings");
                    }
                    self.directory(at, inode.is_extended(), directory)?;
                }
                _ => {}
            }
            at += length;
        }
        if at != self.inodes.bytes().len() || self.inner.at == usize::MAX {
            return damaged("an inode table that is not a list of inodes");
        }
        Ok(())
    }

    fn file(&self, at: usize, extended: bool, file: &File, shared: &Shared) -> Result<FileAt> {
        let extent = file.extent();
        let data = &shared.data;
        if file.is_stored() && (extent.start < data.start || extent.end > data.end) {
            return damaged(format!("a file lies at {extent:?}, outside {data:?}"));
        }
        Ok(FileAt {
            at,
            extended,
            size: file.size,
            words: file.words.len(),
            extent,
        })
    }

    fn directory(&mut self, at: usize, extended: bool, directory: &Directory) -> Result<()> {
        let block_at = if extended {
            field::DIRECTORY_BLOCK_EXTENDED
        } else {
            field::DIRECTORY_BLOCK
        };
        for (field, block) in &directory.index {
            let ordinal = self.directories.ordinal(u64::from(*block))?;
            self.folders.push((at + field, ordinal));
        }
        if directory.bytes == 0 {
            return Ok(());
        }
        let ordinal = self.directories.ordinal(directory.place.block)?;
        self.folders.push((at + block_at, ordinal));
        let start = self.directories.position(directory.place)?;
        let mut listing = Listing::new(&self.directories.bytes()[start..], directory.bytes)?;
        loop {
            let before = directory.bytes - listing.left();
            if let Some(block) = listing.head()? {
                let ordinal = self.inodes.ordinal(u64::from(block))?;
                // A head is the number of entries, and then the block.
                self.heads.push((start + before as usize + 4, ordinal));
            }
            if listing.entry()?.is_none() {
                return Ok(());
            }
        }
    }

    /// The fragment blocks, checked.
    fn fragments(&self, shared: &Shared) -> Result<Vec<Fragment>> {
        let Some(table) = &self.fragments else {
            return Ok(Vec::new());
        };
        let entries = table.bytes().chunks_exact(FRAGMENT_BYTES);
        entries
            .map(|entry| Fragment::parse(entry, &shared.data, shared.superblock.block_size))
            .collect()
    }

    /// The parts of the data that belong to others than the inner file, in order. What several
    /// files share is there once.
    fn others(&self, shared: &Shared) -> Result<Vec<Piece>> {
        let block_size = shared.superblock.block_size as usize;
        let fragments = self.fragments(shared)?.into_iter();
        let fragments = fragments.filter(|fragment| fragment.word.bytes() > 0);
        let mut pieces: Vec<Piece> = fragments
            .map(|fragment| Piece {
                extent: fragment.extent(),
                word: fragment.word,
                bytes: block_size,
                fragment: true,
            })
            .collect();
        for file in &self.files {
            let mut start = file.extent.start;
            for index in 0..file.words {
                let word = self.word(file, index)?;
                // Of holes there may be very many.
                if word.bytes() == 0 {
                    continue;
                }
                let end = start + u64::from(word.bytes());
                let before = (index * block_size) as u64;
                pieces.push(Piece {
                    extent: start..end,
                    word,
                    bytes: (file.size - before).min(block_size as u64) as usize,
                    fragment: false,
                });
                start = end;
            }
        }
        pieces.sort_by_key(|piece| (piece.extent.start, piece.extent.end));
        pieces.dedup();
        Ok(pieces)
    }

    /// The size word of a file's block.
    pub(super) fn word(&self, file: &FileAt, index: usize) -> Result<SizeWord> {
        let mut bytes = &self.inodes.bytes()[file.words_at() + 4 * index..];
        Ok(SizeWord(bytes.u32()?))
    }

    /// The parts of the data besides the inner file's own blocks that are written anew: all of
    /// them, or only the fragment block `changed`. Nobody else may have a share in their bytes, or
    /// in the inner file's.
    pub fn pieces(
        &self,
        image: &Image,
        all: bool,
        changed: Option<Fragment>,
    ) -> Result<Vec<Piece>> {
        // One without bytes is nobody's piece, and would be passed over.
        if changed.is_some_and(|changed| changed.word.bytes() == 0) {
            return damaged("a fragment block that is shorter than its parts");
        }
        let mut pieces = self.others(&image.shared)?;
        let inner = &self.inner.extent;
        match pieces.iter().find(|piece| meet(&piece.extent, inner)) {
            Some(piece) if piece.fragment => {
                return damaged(format!(
                    "a fragment block at {:?}, within the inner file",
                    piece.extent
                ));
            }
            Some(piece) => {
                return unsupported(format!(
                    "another file shares the inner file's data at {:?}",
                    piece.extent
                ));
            }
            None => {}
        }
        if !all {
            pieces.retain(|piece| {
                changed.is_some_and(|changed| meet(&piece.extent, &changed.extent()))
            });
        }
        // In order, so that if any two meet, two neighbours do.
        match pieces
            .windows(2)
            .find(|pair| meet(&pair[0].extent, &pair[1].extent))
        {
            Some(pair) => unsupported(format!(
                "blocks at {:?} and {:?} share bytes",
                pair[0].extent, pair[1].extent
            )),
            None => Ok(pieces),
        }
    }
}

fn meet(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

impl Survey {
    /// What the tables take at most, lists of places included.
    pub fn most_bytes(&self) -> u64 {
        let sets = self.xattrs.iter();
        let sets = sets.flat_map(|xattrs| [&xattrs.values, &xattrs.sets]);
        let tables = [&self.inodes, &self.directories, &self.ids].into_iter();
        let tables = tables
            .chain(&self.fragments)
            .chain(&self.export)
            .chain(sets);
        let bytes = tables.map(|table| table.most_bytes() + 8 * table.blocks() as u64);
        bytes.sum::<u64>() + XATTR_HEAD
    }
}
