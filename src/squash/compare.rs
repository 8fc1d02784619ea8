//! Whether two images hold the same, found out from their bytes alone.
//!
//! Whoever verifies a new image opens it anew and compares it with the old one here.
//! Stored bytes that are equal need no decompressing, so most of an image costs no more than
//! reading it.

use super::format::{NO_XATTR, Place, SizeWord, damaged, flags, unsupported};
use super::inode::{Body, Directory, Entry, File, Inode};
use super::read::{Block, Image, Shared};
use super::tables::Fragment;
use crate::error::Result;
use crate::progress::Progress;
use std::collections::{HashMap, HashSet};

/// The most bytes that are read of both images to compare them, for each that they have, and
/// beyond that: an image may say that very many files share a few bytes.
const READ_TIMES: u64 = 4;
const READ_BEYOND: u64 = 16 << 20;
/// How much is read at once.
const AHEAD: usize = 1 << 20;
/// The most inodes of an image that are compared: each takes memory.
const INODES_MAX: usize = 1 << 20;
/// The most bytes of directory listings that are compared.
const LISTINGS_MAX: u64 = 32 << 20;

/// The blocks of the inner file, read in large pieces by whoever wants them in order.
#[derive(Debug)]
pub struct Blocks<'a> {
    image: &'a Image,
    window: Vec<u8>,
    /// Where the window begins in the image.
    start: u64,
    /// No window goes beyond this place.
    until: u64,
}

impl Image {
    /// Reads its blocks one after another.
    pub fn in_order(&self) -> Blocks<'_> {
        Blocks {
            image: self,
            window: Vec::new(),
            start: 0,
            until: self.shared.data.end,
        }
    }
}

impl Blocks<'_> {
    /// From here on nothing is read ahead from block `index` on: somebody else reads it.
    pub fn up_to(&mut self, index: u64) {
        let inner = &self.image.inner;
        self.until = inner.block_at((index as usize).min(inner.file.words.len()));
    }

    /// The stored bytes of block `index`: empty for a hole, the whole fragment block for a part of
    /// one.
    pub fn stored(&mut self, index: u64) -> Result<&[u8]> {
        let (at, word) = match self.image.block(index) {
            Block::Hole => return Ok(&[]),
            Block::Stored { at, word } => (at, word),
            Block::Fragment(tail) => (tail.fragment.start, tail.fragment.word),
        };
        let length = word.bytes() as usize;
        let end = self.start + self.window.len() as u64;
        if at < self.start || at + length as u64 > end {
            let room = self.until.saturating_sub(at);
            self.window.clear();
            self.window.resize(AHEAD.min(room as usize).max(length), 0);
            // Nothing is in the window if reading fails.
            let mut window = std::mem::take(&mut self.window);
            self.image.shared.store.read(at, &mut window)?;
            (self.window, self.start) = (window, at);
        }
        let skip = (at - self.start) as usize;
        Ok(&self.window[skip..skip + length])
    }

    /// Decompresses block `index` into `plain`.
    pub fn plain(&mut self, index: u64, plain: &mut Vec<u8>) -> Result<()> {
        let image = self.image;
        image.decode(index, self.stored(index)?, plain)
    }
}

/// Whether block `index` of the inner file holds the same in both images.
pub fn same_block(old: &mut Blocks<'_>, new: &mut Blocks<'_>, index: u64) -> Result<bool> {
    let (one, other) = (old.image, new.image);
    let length = one.length_of(index);
    if length != other.length_of(index) {
        return Ok(false);
    }
    let alike = match (one.block(index), other.block(index)) {
        (Block::Hole, Block::Hole) => return Ok(true),
        (Block::Stored { word, .. }, Block::Stored { word: new, .. }) => word == new,
        (Block::Fragment(tail), Block::Fragment(new)) => {
            tail.fragment.word == new.fragment.word && tail.offset == new.offset
        }
        _ => false,
    };
    if alike
        && one.compression() == other.compression()
        && old.stored(index)? == new.stored(index)?
    {
        return Ok(true);
    }
    let (mut was, mut is) = (Vec::new(), Vec::new());
    old.plain(index, &mut was)?;
    new.plain(index, &mut is)?;
    Ok(was == is)
}

/// Checks that the new image differs from the old one in nothing but the inner file's contents:
/// all names, owners, times, links, extended attributes, and the contents of all other files.
///
/// # Errors
/// `Damaged`, and what differs, if it does. `Unsupported` where an image shares so much that this
/// would take for ever. Cancelled.
pub fn same_but_inner(old: &Image, new: &Image, progress: &dyn Progress) -> Result<()> {
    let (one, other) = (&*old.shared, &*new.shared);
    same_superblocks(one, other)?;
    if old.inner_path() != new.inner_path() || old.inner_bytes() != new.inner_bytes() {
        return differs("the inner file's name or length");
    }
    let mut walk = Walk {
        progress,
        old: Side::new(one),
        new: Side::new(other),
        inner: old.inner.place,
        seen: HashMap::new(),
        attributes: HashSet::new(),
        compared: HashSet::new(),
        same: HashSet::new(),
        fragments: None,
        listed: 0,
        left: READ_BEYOND + READ_TIMES * (one.file_bytes + other.file_bytes),
        todo: vec![(one.superblock.root, other.superblock.root)],
    };
    while let Some((was, is)) = walk.todo.pop() {
        progress.check()?;
        walk.inode(was, is)?;
    }
    if walk.seen.get(&old.inner.place) != Some(&new.inner.place) {
        return differs("the inner file's place");
    }
    Ok(())
}

fn differs<T>(what: impl std::fmt::Display) -> Result<T> {
    damaged(format!("the new image differs from the old one in {what}"))
}

fn same_superblocks(old: &Shared, new: &Shared) -> Result<()> {
    let (was, is) = (&old.superblock, &new.superblock);
    if was.to_bytes() == is.to_bytes() {
        return damaged("the new image cannot be told from the old one");
    }
    let same_kind = was.compression == is.compression;
    if same_kind && (was.flags != is.flags || old.options != new.options) {
        return differs("its flags or its compressor's options");
    }
    let flags = |all: u16| all & !(flags::PLAIN | flags::OPTIONS);
    if flags(was.flags) != flags(is.flags)
        || was.block_size != is.block_size
        || (was.inodes, was.fragments, was.ids) != (is.inodes, is.fragments, is.ids)
        || was.has_export() != is.has_export()
        || was.has_xattrs() != is.has_xattrs()
    {
        return differs("its superblock");
    }
    Ok(())
}

/// One of the two images.
struct Side<'a> {
    shared: &'a Shared,
    /// Users and groups met so far.
    ids: HashMap<u16, u32>,
}

/// What is told of an inode besides its contents and extended attributes.
#[derive(PartialEq)]
struct Sight {
    kind: u16,
    mode: u16,
    owner: (u32, u32),
    mtime: u32,
    number: u32,
    links: u32,
}

impl<'a> Side<'a> {
    fn new(shared: &'a Shared) -> Side<'a> {
        Side {
            shared,
            ids: HashMap::new(),
        }
    }

    fn id(&mut self, index: u16) -> Result<u32> {
        if let Some(id) = self.ids.get(&index) {
            return Ok(*id);
        }
        let id = self.shared.tables.id(&self.shared.store, index)?;
        self.ids.insert(index, id);
        Ok(id)
    }

    fn sight(&mut self, inode: &Inode) -> Result<Sight> {
        Ok(Sight {
            // Whether it is stored in the short or the long form says nothing of it.
            kind: inode.basic_kind(),
            mode: inode.mode,
            owner: (self.id(inode.uid)?, self.id(inode.gid)?),
            mtime: inode.mtime,
            number: inode.number,
            links: inode.links,
        })
    }

    /// Decodes a fragment block.
    fn fragment(&self, fragment: Fragment, stored: &[u8]) -> Result<Vec<u8>> {
        let most = self.shared.superblock.block_size as usize;
        let mut plain = Vec::new();
        self.shared
            .decode(fragment.word, stored, most, &mut plain)?;
        Ok(plain)
    }
}

struct Walk<'a> {
    progress: &'a dyn Progress,
    old: Side<'a>,
    new: Side<'a>,
    inner: Place,
    /// Inodes that were compared: where they were, where they are. Several names of one stay
    /// several names of one.
    seen: HashMap<Place, Place>,
    /// Sets of extended attributes that are the same: inodes share them.
    attributes: HashSet<(u32, u32)>,
    /// Data that was compared: files may share it.
    compared: HashSet<(u64, u64, u64)>,
    /// Where fragment blocks begin that hold the same: many small files share one.
    same: HashSet<(u64, u64)>,
    /// The last one that does not, as that with the inner file's end.
    fragments: Option<Fragments>,
    /// Bytes of listings that were read.
    listed: u64,
    /// How many more bytes may be read of what files share.
    left: u64,
    todo: Vec<(Place, Place)>,
}

/// A fragment block in both images.
struct Fragments {
    starts: (u64, u64),
    /// Decompressed.
    plain: (Vec<u8>, Vec<u8>),
}

impl Walk<'_> {
    fn inode(&mut self, was: Place, is: Place) -> Result<()> {
        if let Some(known) = self.seen.get(&was) {
            return match *known == is {
                true => Ok(()),
                false => differs(format!("the inode at {was:?}, which became two")),
            };
        }
        if self.seen.len() >= INODES_MAX {
            return unsupported(format!("an image with more than {INODES_MAX} inodes"));
        }
        self.seen.insert(was, is);
        let old = self.old.shared.inode(was)?;
        let new = self.new.shared.inode(is)?;
        if self.old.sight(&old)? != self.new.sight(&new)?
            || !self.attributes(old.xattr, new.xattr)?
        {
            return differs(format!("inode {}", old.number));
        }
        let shared = self.new.shared;
        let exported = shared.tables.exported(&shared.store, new.number)?;
        if exported.is_some_and(|place| place != is) {
            return differs(format!("the exported place of inode {}", new.number));
        }
        let same = match (&old.body, &new.body) {
            (Body::Directory(old), Body::Directory(new)) => {
                self.directories(old, new)? && old.parent == new.parent
            }
            (Body::File(old), Body::File(new)) if was == self.inner => old.size == new.size,
            (Body::File(old), Body::File(new)) => {
                old.size == new.size && old.sparse == new.sparse && self.files(old, new)?
            }
            (Body::Symlink(old), Body::Symlink(new)) => old == new,
            (Body::Device(old), Body::Device(new)) => old == new,
            (Body::Other, Body::Other) => true,
            _ => false,
        };
        match same {
            true => Ok(()),
            false => differs(format!("the contents of inode {}", old.number)),
        }
    }

    /// Counts what is read.
    fn read(&mut self, bytes: usize) -> Result<()> {
        match self.left.checked_sub(bytes as u64) {
            Some(left) => self.left = left,
            None => return unsupported("files that share their data again and again"),
        }
        self.progress.check()
    }

    fn attributes(&mut self, was: u32, is: u32) -> Result<bool> {
        if (was, is) == (NO_XATTR, NO_XATTR) || self.attributes.contains(&(was, is)) {
            return Ok(true);
        }
        let set = |side: &Side, index| match index {
            NO_XATTR => Ok(Vec::new()),
            index => side.shared.tables.xattrs(&side.shared.store, index),
        };
        let (old, new) = (set(&self.old, was)?, set(&self.new, is)?);
        for one in old.iter().chain(&new) {
            self.read(one.name.len() + one.value.len())?;
        }
        let same = old == new;
        if same {
            self.attributes.insert((was, is));
        }
        Ok(same)
    }

    fn directories(&mut self, old: &Directory, new: &Directory) -> Result<bool> {
        self.listed += u64::from(old.bytes);
        if self.listed > LISTINGS_MAX {
            return unsupported("an image with more than 32 MiB of names");
        }
        let was = self.old.shared.listing(old)?;
        let is = self.new.shared.listing(new)?;
        let names = |(old, new): (&Entry, &Entry)| old.name == new.name && old.kind == new.kind;
        if was.len() != is.len() || !was.iter().zip(&is).all(names) {
            return Ok(false);
        }
        let places = was.iter().zip(&is).map(|(old, new)| (old.inode, new.inode));
        // Each entry once, however often its directory is named.
        let fresh = places.filter(|(old, new)| self.seen.get(old) != Some(new));
        self.todo.extend(fresh);
        Ok(true)
    }

    fn files(&mut self, old: &File, new: &File) -> Result<bool> {
        let block_size = self.old.shared.superblock.block_size;
        if old.words.len() != new.words.len() || old.tail(block_size) != new.tail(block_size) {
            return Ok(false);
        }
        if old.tail(block_size) > 0 && !self.tails(old, new)? {
            return Ok(false);
        }
        let (was, is) = (old.extent(), new.extent());
        let key = (was.start, is.start, old.size);
        if was.is_empty() && is.is_empty() || self.compared.contains(&key) {
            return Ok(true);
        }
        let (mut was, mut is) = (was.start, is.start);
        for (index, (old_word, new_word)) in old.words.iter().zip(&new.words).enumerate() {
            let bytes = old.block_bytes(index, block_size);
            if !self.blocks((was, *old_word), (is, *new_word), bytes)? {
                return Ok(false);
            }
            was += u64::from(old_word.bytes());
            is += u64::from(new_word.bytes());
        }
        self.compared.insert(key);
        Ok(true)
    }

    fn blocks(
        &mut self,
        (was, old): (u64, SizeWord),
        (is, new): (u64, SizeWord),
        bytes: usize,
    ) -> Result<bool> {
        if old.is_hole() || new.is_hole() {
            return Ok(old == new);
        }
        self.read(old.bytes() as usize + new.bytes() as usize)?;
        let (mut one, mut other) = (Vec::new(), Vec::new());
        self.old.shared.read_stored(was, old, &mut one)?;
        self.new.shared.read_stored(is, new, &mut other)?;
        if old == new && self.same_kind() && one == other {
            return Ok(true);
        }
        let (mut plain, mut now) = (Vec::new(), Vec::new());
        self.old
            .shared
            .decode_exactly(old, &one, bytes, &mut plain)?;
        self.new
            .shared
            .decode_exactly(new, &other, bytes, &mut now)?;
        Ok(plain == now)
    }

    fn same_kind(&self) -> bool {
        self.old.shared.superblock.compression == self.new.shared.superblock.compression
    }

    fn tails(&mut self, old: &File, new: &File) -> Result<bool> {
        if old.fragment != new.fragment || old.offset != new.offset {
            return Ok(false);
        }
        let start = old.offset as usize;
        let end = start + old.tail(self.old.shared.superblock.block_size);
        let was = self.old.shared.fragment(old.fragment)?;
        let is = self.new.shared.fragment(new.fragment)?;
        let starts = (was.start, is.start);
        if self.same.contains(&starts) {
            return Ok(true);
        }
        let known = self.fragments.take().filter(|known| known.starts == starts);
        let plain = match known {
            Some(known) => known.plain,
            None => match self.load(was, is)? {
                Some(plain) => plain,
                None => {
                    self.same.insert(starts);
                    return Ok(true);
                }
            },
        };
        let part = plain.0.get(start..end);
        let same = part.is_some() && part == plain.1.get(start..end);
        self.fragments = Some(Fragments { starts, plain });
        Ok(same)
    }

    /// Two fragment blocks, decompressed; none where they are the same.
    fn load(&mut self, was: Fragment, is: Fragment) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        self.read(was.word.bytes() as usize + is.word.bytes() as usize)?;
        let (mut one, mut other) = (Vec::new(), Vec::new());
        self.old.shared.read_stored(was.start, was.word, &mut one)?;
        self.new.shared.read_stored(is.start, is.word, &mut other)?;
        if was.word == is.word && self.same_kind() && one == other {
            return Ok(None);
        }
        let plain = self.old.fragment(was, &one)?;
        let now = self.new.fragment(is, &other)?;
        Ok((plain != now).then_some((plain, now)))
    }
}
