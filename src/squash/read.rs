//! Opening an image, and reading the one file system image inside it.
//!
//! The metadata is parsed here and not by the crate backhand, which is the judge in
//! the tests instead. Three reasons, seen in its version 0.25: it reads
//! tables to the end that the superblock names, and lets xz blocks ask for any
//! dictionary, so that a small crafted image takes all memory; it has slices and
//! additions on lengths from the image that panic; and the writer has to know
//! where each inode and listing stands, which its interface does not tell. Here memory is taken
//! only for what was read, within limits that are named at their constants.

use super::codec::{Method, OPTIONS_MAX};
use super::format::{
    Compression, EROFS_MAGIC, EROFS_MAGIC_AT, METADATA_PLAIN, Place, SUPERBLOCK, SizeWord,
    Superblock, damaged, flags, kind, unsupported,
};
use super::inode::{Body, Directory, Entry, File, Inode, Listing};
use super::meta::{Cursor, Store};
use super::tables::{Fragment, Tables};
use crate::error::{Doing, Error, Part, Result};
use crate::storage::ReadAt;
use crate::units::Bytes;
use std::ops::Range;
use std::sync::Arc;

/// Where the root file system lies in the image, in the order in which dracut looks
/// (modules.d/90dmsquash-live/dmsquash-live-root.sh).
const INNER_FOLDER: &str = "LiveOS";
const INNER_NAMES: [&str; 2] = ["rootfs.img", "ext3fs.img"];
/// Folders by which dracut knows that the image is the root file system itself.
const ROOT_FOLDERS: [&str; 2] = ["proc", "usr"];
/// Blocks' places are kept for each 64th block and counted from there.
const STRIDE: usize = 64;

/// What an image holds.
#[derive(Debug, Clone)]
pub enum Contents {
    /// A file system image, the root of the live system.
    Inner(Image),
    /// The root file system itself.
    Flat,
    /// Neither.
    Other,
}

/// A SquashFS image.
#[derive(Debug, Clone)]
pub struct Archive {
    pub(super) shared: Arc<Shared>,
}

/// What all handles of an image share.
#[derive(Debug)]
pub(super) struct Shared {
    pub store: Store,
    pub superblock: Superblock,
    /// The compressor options as stored: a metadata block; empty where there are none.
    pub options: Vec<u8>,
    pub tables: Tables,
    /// Where blocks of files and fragment blocks lie.
    pub data: Range<u64>,
    pub file_bytes: u64,
}

impl Archive {
    /// Opens an image and checks its superblock and where its tables lie.
    pub fn open(source: Arc<dyn ReadAt>) -> Result<Archive> {
        let file_bytes = source.size().doing("opening the image")?.0;
        let mut bytes = [0; SUPERBLOCK];
        if file_bytes < SUPERBLOCK as u64 {
            return damaged(format!("an image of {file_bytes} bytes"));
        }
        source.read_at(&mut bytes, 0).doing("opening the image")?;
        let superblock = match Superblock::parse(&bytes, file_bytes) {
            Err(_) if is_erofs(&*source, file_bytes)? => {
                return unsupported("the image is an EROFS");
            }
            other => other?,
        };
        let options = read_options(&*source, &superblock)?;
        let method = Method::new(
            superblock.compression,
            superblock.block_size,
            options.get(2..),
        )?;
        let data = (SUPERBLOCK + options.len()) as u64..superblock.inode_table;
        if data.start > data.end {
            return damaged("the tables begin within the compressor options");
        }
        let store = Store::new(source, method);
        Ok(Archive {
            shared: Arc::new(Shared {
                tables: Tables::open(&store, &superblock)?,
                store,
                superblock,
                options,
                data,
                file_bytes,
            }),
        })
    }

    /// How its blocks are compressed.
    pub fn compression(&self) -> Compression {
        self.shared.superblock.compression
    }

    /// A data block's size.
    pub fn block_bytes(&self) -> Bytes {
        Bytes(u64::from(self.shared.superblock.block_size))
    }

    /// The length of the image's file, padding included.
    pub fn bytes(&self) -> Bytes {
        Bytes(self.shared.file_bytes)
    }

    /// The image's length without padding.
    pub fn bytes_used(&self) -> Bytes {
        Bytes(self.shared.superblock.bytes_used)
    }

    /// When it was made, seconds since 1970.
    pub fn mod_time(&self) -> u32 {
        self.shared.superblock.mod_time
    }

    /// The superblock.
    pub fn superblock(&self) -> &Superblock {
        &self.shared.superblock
    }

    /// Finds what it holds.
    pub fn contents(&self) -> Result<Contents> {
        let root = self.shared.directory(self.shared.superblock.root)?;
        let root = self.shared.listing(&root)?;
        let folder = |name: &str| {
            let found = root.iter().find(|entry| entry.name == name.as_bytes());
            found.filter(|entry| entry.kind == kind::DIRECTORY)
        };
        if let Some(live) = folder(INNER_FOLDER) {
            let live = self.shared.directory(live.inode)?;
            return self.inner(&self.shared.listing(&live)?);
        }
        if ROOT_FOLDERS.into_iter().any(|name| folder(name).is_some()) {
            return Ok(Contents::Flat);
        }
        Ok(Contents::Other)
    }

    fn inner(&self, live: &[Entry]) -> Result<Contents> {
        let mut found = INNER_NAMES.into_iter().filter_map(|name| {
            let entry = live.iter().find(|entry| entry.name == name.as_bytes())?;
            Some((name, entry))
        });
        let Some((name, entry)) = found.next() else {
            return Ok(Contents::Other);
        };
        if found.next().is_some() {
            return unsupported("an image with both LiveOS/rootfs.img and LiveOS/ext3fs.img");
        }
        let path = format!("{INNER_FOLDER}/{name}");
        let inode = self.shared.inode(entry.inode)?;
        let Body::File(file) = inode.body else {
            return unsupported(format!("{path} is no regular file"));
        };
        let inner = Inner::new(&self.shared, path, entry.inode, file)?;
        Ok(Contents::Inner(Image {
            shared: self.shared.clone(),
            inner: Arc::new(inner),
        }))
    }
}

/// Whether a file of `file_bytes` is an EROFS, which is what newer live images may be instead.
pub fn is_erofs(source: &dyn ReadAt, file_bytes: u64) -> Result<bool> {
    let mut magic = [0; 4];
    if file_bytes < EROFS_MAGIC_AT + 4 {
        return Ok(false);
    }
    source
        .read_at(&mut magic, EROFS_MAGIC_AT)
        .doing("opening the image")?;
    Ok(u32::from_le_bytes(magic) == EROFS_MAGIC)
}

/// The compressor options as stored, head included; empty where there are none.
fn read_options(source: &dyn ReadAt, superblock: &Superblock) -> Result<Vec<u8>> {
    if superblock.flags & flags::OPTIONS == 0 {
        return Ok(Vec::new());
    }
    let mut head = [0; 2];
    source
        .read_at(&mut head, SUPERBLOCK as u64)
        .doing("reading the compressor options")?;
    let length = usize::from(u16::from_le_bytes(head) & !METADATA_PLAIN);
    // mksquashfs always stores them as they are.
    if u16::from_le_bytes(head) & METADATA_PLAIN == 0 || !(1..=OPTIONS_MAX).contains(&length) {
        return damaged(format!("compressor options of {length} bytes"));
    }
    let mut options = vec![0; 2 + length];
    source
        .read_at(&mut options, SUPERBLOCK as u64)
        .doing("reading the compressor options")?;
    Ok(options)
}

impl Shared {
    /// Reads the inode at `place`.
    pub fn inode(&self, place: Place) -> Result<Inode> {
        let mut cursor = Cursor::new(&self.store, &self.tables.inodes, place)?;
        Inode::read(&mut cursor, self.superblock.block_size)
    }

    fn directory(&self, place: Place) -> Result<Directory> {
        match self.inode(place)?.body {
            Body::Directory(directory) => Ok(directory),
            _ => damaged("an entry that says folder leads to something else"),
        }
    }

    /// Reads a directory's entries.
    pub fn listing(&self, directory: &Directory) -> Result<Vec<Entry>> {
        let mut all = Vec::new();
        if directory.bytes == 0 {
            return Ok(all);
        }
        let cursor = Cursor::new(&self.store, &self.tables.directories, directory.place)?;
        let mut listing = Listing::new(cursor, directory.bytes)?;
        while let Some(entry) = listing.entry()? {
            all.push(entry);
        }
        Ok(all)
    }

    /// The fragment block that holds a file's end.
    pub fn fragment(&self, index: u32) -> Result<Fragment> {
        let block_size = self.superblock.block_size;
        self.tables
            .fragment(&self.store, index, &self.data, block_size)
    }

    /// Reads a stored block into `stored`.
    pub fn read_stored(&self, at: u64, word: SizeWord, stored: &mut Vec<u8>) -> Result<()> {
        stored.resize(word.bytes() as usize, 0);
        self.store.read(at, stored)
    }

    /// Decodes a stored block of at most `most` bytes into `plain`.
    pub fn decode(
        &self,
        word: SizeWord,
        stored: &[u8],
        most: usize,
        plain: &mut Vec<u8>,
    ) -> Result<()> {
        plain.clear();
        if word.is_compressed() {
            plain.resize(most, 0);
            let length = self.store.decode(stored, plain)?;
            plain.truncate(length);
        } else if stored.len() <= most {
            plain.extend_from_slice(stored);
        } else {
            return damaged(format!(
                "a block of {} bytes instead of {most}",
                stored.len()
            ));
        }
        Ok(())
    }

    /// Decodes a stored block that holds exactly `bytes` into `plain`.
    pub fn decode_exactly(
        &self,
        word: SizeWord,
        stored: &[u8],
        bytes: usize,
        plain: &mut Vec<u8>,
    ) -> Result<()> {
        self.decode(word, stored, bytes, plain)?;
        if plain.len() != bytes {
            return damaged(format!(
                "a block of {} bytes instead of {bytes}",
                plain.len()
            ));
        }
        Ok(())
    }
}

/// An image with the file system image inside it. Copies share everything.
#[derive(Debug, Clone)]
pub struct Image {
    pub(super) shared: Arc<Shared>,
    pub(super) inner: Arc<Inner>,
}

/// The file system image inside an image.
#[derive(Debug)]
pub(super) struct Inner {
    pub path: String,
    pub place: Place,
    pub file: File,
    /// Where each [`STRIDE`]th block lies.
    marks: Vec<u64>,
    /// The fragment block with its end.
    pub tail: Option<Tail>,
}

/// The end of a file, in a fragment block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// Where the fragment block lies.
    pub fragment: Fragment,
    /// Where the end lies in it, decompressed.
    pub offset: usize,
    /// How long the end is.
    pub bytes: usize,
}

impl Inner {
    fn new(shared: &Shared, path: String, place: Place, file: File) -> Result<Inner> {
        let block_size = shared.superblock.block_size;
        let extent = file.extent();
        let inside = extent.start >= shared.data.start && extent.end <= shared.data.end;
        if file.is_stored() && !inside {
            return damaged(format!(
                "{path} lies at {extent:?}, outside {:?}",
                shared.data
            ));
        }
        let bytes = file.tail(block_size);
        let mut tail = None;
        if bytes > 0 {
            let offset = file.offset as usize;
            if offset + bytes > block_size as usize {
                return damaged(format!("{path} ends at {offset} + {bytes} of a fragment"));
            }
            tail = Some(Tail {
                fragment: shared.fragment(file.fragment)?,
                offset,
                bytes,
            });
        }
        let mut marks = Vec::with_capacity(file.words.len() / STRIDE + 1);
        let mut at = file.start;
        for (index, word) in file.words.iter().enumerate() {
            if index % STRIDE == 0 {
                marks.push(at);
            }
            at = at.saturating_add(u64::from(word.bytes()));
        }
        Ok(Inner {
            path,
            place,
            file,
            marks,
            tail,
        })
    }

    /// Where its own block `index` lies; `index` may be the number of blocks: the end.
    pub fn block_at(&self, index: usize) -> u64 {
        if index == self.file.words.len() {
            return self.file.extent().end;
        }
        let mark = index / STRIDE;
        let words = &self.file.words[mark * STRIDE..index];
        self.marks[mark]
            + words
                .iter()
                .map(|word| u64::from(word.bytes()))
                .sum::<u64>()
    }
}

/// One block of the inner file: where its bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// Nowhere: all zeros.
    Hole,
    /// Stored by itself.
    Stored {
        /// Where in the image.
        at: u64,
        /// How long, and whether compressed.
        word: SizeWord,
    },
    /// A part of a fragment block, which other files share.
    Fragment(Tail),
}

impl Image {
    /// Opens an image that holds a file system image: `Unsupported` where it is itself the
    /// root file system, `NotFound` where it is something else.
    pub fn open(source: Arc<dyn ReadAt>) -> Result<Image> {
        match Archive::open(source)?.contents()? {
            Contents::Inner(image) => Ok(image),
            Contents::Flat => unsupported("the image is itself the root file system"),
            Contents::Other => Err(Error::not_found(
                Part::Image,
                "neither LiveOS/rootfs.img nor LiveOS/ext3fs.img in the image",
            )),
        }
    }

    /// The image as such.
    pub fn archive(&self) -> Archive {
        Archive {
            shared: self.shared.clone(),
        }
    }

    /// How its blocks are compressed.
    pub fn compression(&self) -> Compression {
        self.shared.superblock.compression
    }

    /// A block's size.
    pub fn block_bytes(&self) -> Bytes {
        Bytes(u64::from(self.shared.superblock.block_size))
    }

    /// The length of the image's file, padding included.
    pub fn bytes(&self) -> Bytes {
        Bytes(self.shared.file_bytes)
    }

    /// The inner file's path in the image: `LiveOS/rootfs.img`.
    pub fn inner_path(&self) -> &str {
        &self.inner.path
    }

    /// The inner file's length.
    pub fn inner_bytes(&self) -> Bytes {
        Bytes(self.inner.file.size)
    }

    /// How many blocks the inner file has, the last one perhaps not full.
    pub fn blocks(&self) -> u64 {
        self.inner
            .file
            .size
            .div_ceil(u64::from(self.shared.superblock.block_size))
    }

    /// The decompressed length of block `index`; 0 behind the end.
    pub fn length_of(&self, index: u64) -> usize {
        let block_size = u64::from(self.shared.superblock.block_size);
        let before = index.saturating_mul(block_size);
        let left = self.inner.file.size.saturating_sub(before);
        left.min(block_size) as usize
    }

    /// Where block `index` is; a hole behind the end.
    pub fn block(&self, index: u64) -> Block {
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        match (self.inner.file.words.get(at), self.inner.tail) {
            (Some(word), _) if !word.is_hole() => Block::Stored {
                at: self.inner.block_at(at),
                word: *word,
            },
            (None, Some(tail)) if index.checked_add(1) == Some(self.blocks()) => {
                Block::Fragment(tail)
            }
            _ => Block::Hole,
        }
    }

    /// Reads the stored bytes of a block: empty for a hole, the whole fragment block for a part
    /// of one.
    pub fn read_stored(&self, block: Block, stored: &mut Vec<u8>) -> Result<()> {
        stored.clear();
        match block {
            Block::Hole => Ok(()),
            Block::Stored { at, word } => self.shared.read_stored(at, word, stored),
            Block::Fragment(Tail { fragment, .. }) => {
                self.shared
                    .read_stored(fragment.start, fragment.word, stored)
            }
        }
    }

    /// Decodes the stored bytes of block `index` into `plain`, which gets exactly
    /// [`Image::length_of`] bytes.
    pub fn decode(&self, index: u64, stored: &[u8], plain: &mut Vec<u8>) -> Result<()> {
        let length = self.length_of(index);
        match self.block(index) {
            Block::Hole => {
                plain.clear();
                plain.resize(length, 0);
                Ok(())
            }
            Block::Stored { word, .. } => self.shared.decode_exactly(word, stored, length, plain),
            Block::Fragment(tail) => {
                let most = self.shared.superblock.block_size as usize;
                self.shared
                    .decode(tail.fragment.word, stored, most, plain)?;
                plain.truncate(tail.offset + tail.bytes);
                if plain.len() != tail.offset + tail.bytes {
                    return damaged("a fragment block that is shorter than its parts");
                }
                plain.drain(..tail.offset);
                Ok(())
            }
        }
    }

    /// Reads block `index`, decompressed, into `plain`. `stored` is working space.
    pub fn read_block(&self, index: u64, stored: &mut Vec<u8>, plain: &mut Vec<u8>) -> Result<()> {
        self.read_stored(self.block(index), stored)?;
        self.decode(index, stored, plain)
    }
}
