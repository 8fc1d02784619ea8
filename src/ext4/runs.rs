//! Which blocks an inode uses: its extent tree, or its blocks of block numbers, as an iterator.
//!
//! A damaged map may name one block again and again. The iterator names every
//! block of the map itself, as [`Kind::Map`], before it reads it: who keeps a
//! note of the blocks seen, and stops where one comes again, reads each block
//! once at the most. Without that it ends all the same, but only when it has
//! named as many blocks as the file system has.

use super::FileSystem;
use super::finding::{Finding, Owner};
use super::format::{self, le16, le32};
use super::inode::{Inode, Map};
use crate::error::{self, Error};
use std::ops::Range;

/// What a run of blocks is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Contents.
    Data,
    /// Kept for contents, and read as zeros until they are written.
    Unwritten,
    /// A part of the map itself, which tells where contents lie.
    Map,
}

/// A run of blocks that an inode uses. All of it lies in the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// What for.
    pub kind: Kind,
    /// The block of the file that the first one holds (of a map: that it begins to map).
    pub file_block: u64,
    /// The first block.
    pub block: u64,
    /// How many.
    pub count: u64,
}

impl Run {
    /// The blocks.
    pub fn blocks(&self) -> Range<u64> {
        self.block..self.block + self.count
    }
}

/// Why a map could not be followed to its end.
#[derive(Debug)]
pub enum Fault {
    /// It contradicts itself.
    Found(Finding),
    /// It could not be read.
    Failed(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Failed(error)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        match fault {
            Fault::Found(finding) => Error::damaged(error::Part::Ext4, finding.to_string()),
            Fault::Failed(error) => error,
        }
    }
}

/// The runs of an inode, in the file's order. Ends after the first fault.
#[derive(Debug)]
pub struct Runs<'f> {
    fs: &'f FileSystem<'f>,
    inode: u32,
    generation: u32,
    /// The parts of the map that are being gone through, the innermost last.
    open: Vec<Node>,
    /// The part of the map that was named last, and is gone through next.
    next: Option<Part>,
    /// No later run may begin before this block of the file.
    floor: u64,
    /// How many more blocks may be named, those of the map among them.
    left: u64,
}

/// A part of a map, read.
#[derive(Debug)]
struct Node {
    bytes: Vec<u8>,
    /// How many entries were gone through.
    at: usize,
    /// How many it has.
    entries: usize,
    shape: Shape,
}

/// How a part of a map is to be read.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// A node of an extent tree, so many levels above the leaves.
    Extents { depth: u16 },
    /// Block numbers: of contents at level 0, else of blocks that hold numbers of the level below.
    /// The first number stands for block `file_block` of the file.
    Numbers { level: u32, file_block: u64 },
}

/// A part of a map that is not read yet.
#[derive(Debug)]
enum Part {
    /// An extent tree's root, which stands in the inode.
    Root([u8; format::MAP_BYTES]),
    /// A block.
    Block(u64, Shape),
}

impl FileSystem<'_> {
    /// The blocks that `inode` uses for its contents and their map; not those of its attributes.
    pub fn runs<'f>(&'f self, inode: &Inode) -> Runs<'f> {
        let mut runs = Runs {
            fs: self,
            inode: inode.number,
            generation: inode.generation,
            open: Vec::new(),
            next: None,
            floor: 0,
            left: self.geometry().blocks,
        };
        match inode.map_kind() {
            Map::None => {}
            Map::Extents => runs.next = Some(Part::Root(inode.map)),
            Map::Indirect => {
                // Twelve blocks, then one number each of levels 1 to 3; the innermost is last.
                let span = u64::from(self.geometry().block_bytes / 4);
                let starts = [0, 12, 12 + span, 12 + span + span * span];
                let numbers = [0..48, 48..52, 52..56, 56..60];
                for (level, (start, bytes)) in starts.into_iter().zip(numbers).enumerate().rev() {
                    runs.open.push(Node {
                        bytes: inode.map[bytes.clone()].to_vec(),
                        at: 0,
                        entries: bytes.len() / 4,
                        shape: Shape::Numbers {
                            level: level as u32,
                            file_block: start,
                        },
                    });
                }
            }
        }
        runs
    }
}

impl Node {
    /// The next run that a list of numbers names; holes are passed over.
    fn next_number(&mut self, level: u32, file_block: u64, span: u64) -> Option<Run> {
        while self.at < self.entries {
            let index = self.at;
            self.at += 1;
            let block = u64::from(le32(&self.bytes, index * 4));
            if block == 0 {
                continue;
            }
            let mut count = 1;
            while level == 0
                && self.at < self.entries
                && u64::from(le32(&self.bytes, self.at * 4)) == block + count
            {
                self.at += 1;
                count += 1;
            }
            return Some(Run {
                kind: if level == 0 { Kind::Data } else { Kind::Map },
                file_block: file_block + index as u64 * span.pow(level),
                block,
                count,
            });
        }
        None
    }

    /// The next run that a node of an extent tree names; one without length is wrong.
    fn next_extent(&mut self, depth: u16) -> Option<Run> {
        if self.at == self.entries {
            return None;
        }
        self.at += 1;
        let entry = &self.bytes[self.at * format::EXTENT_BYTES..];
        let file_block = u64::from(le32(entry, 0));
        if depth > 0 {
            return Some(Run {
                kind: Kind::Map,
                file_block,
                block: format::join(le32(entry, 4), u32::from(le16(entry, 8))),
                count: 1,
            });
        }
        let length = le16(entry, 4);
        let (kind, count) = match length > format::EXTENT_WRITTEN {
            true => (Kind::Unwritten, length - format::EXTENT_WRITTEN),
            false => (Kind::Data, length),
        };
        Some(Run {
            kind,
            file_block,
            block: format::join(le32(entry, 8), u32::from(le16(entry, 6))),
            count: u64::from(count),
        })
    }
}

impl Runs<'_> {
    fn wrong(&self, what: &'static str) -> Fault {
        Fault::Found(Finding::Map {
            inode: self.inode,
            what,
        })
    }

    /// Reads a part of the map.
    fn read(&self, part: Part) -> std::result::Result<Node, Fault> {
        let (bytes, block, shape) = match part {
            Part::Root(map) => (map.to_vec(), None, None),
            Part::Block(block, shape) => {
                let mut bytes = Vec::new();
                self.fs.read_block(block, &mut bytes)?;
                (bytes, Some(block), Some(shape))
            }
        };
        if let Some(shape @ Shape::Numbers { .. }) = shape {
            return Ok(Node {
                at: 0,
                entries: bytes.len() / 4,
                bytes,
                shape,
            });
        }
        let entries = usize::from(le16(&bytes, 2));
        let most = usize::from(le16(&bytes, 4));
        let depth = le16(&bytes, 6);
        if le16(&bytes, 0) != format::EXTENT_MAGIC {
            return Err(self.wrong("an extent header's magic is missing"));
        }
        if entries > most || most > bytes.len() / format::EXTENT_BYTES - 1 {
            return Err(self.wrong("an extent header counts too many entries"));
        }
        let expected = match shape {
            Some(Shape::Extents { depth }) => depth,
            _ => depth.min(format::EXTENT_DEPTH),
        };
        if depth != expected || (depth > 0 && entries == 0) {
            return Err(self.wrong("an extent header's depth is wrong"));
        }
        if let Some(block) = block
            && !self.node_right(&bytes, most)
        {
            return Err(Fault::Found(Finding::ExtentChecksum {
                inode: self.inode,
                block,
            }));
        }
        Ok(Node {
            bytes,
            at: 0,
            entries,
            shape: Shape::Extents { depth },
        })
    }

    /// Whether a block of an extent tree has the checksum that stands behind its last place.
    fn node_right(&self, bytes: &[u8], most: usize) -> bool {
        let superblock = self.fs.superblock();
        if !superblock.features().metadata_sums() {
            return true;
        }
        let tail = (most + 1) * format::EXTENT_BYTES;
        let mut sum = format::crc32c(superblock.seed(), &self.inode.to_le_bytes());
        sum = format::crc32c(sum, &self.generation.to_le_bytes());
        // A power of two leaves at least four bytes behind the last twelve.
        format::crc32c(sum, &bytes[..tail]) == le32(bytes, tail)
    }

    /// Goes on to the next run.
    fn step(&mut self) -> std::result::Result<Option<Run>, Fault> {
        if let Some(part) = self.next.take() {
            let node = self.read(part)?;
            self.open.push(node);
        }
        let span = u64::from(self.fs.geometry().block_bytes / 4);
        while let Some(node) = self.open.last_mut() {
            let (run, below) = match node.shape {
                Shape::Extents { depth } => (
                    node.next_extent(depth),
                    Shape::Extents {
                        depth: depth.saturating_sub(1),
                    },
                ),
                Shape::Numbers { level, file_block } => {
                    let run = node.next_number(level, file_block, span);
                    let below = Shape::Numbers {
                        level: level.saturating_sub(1),
                        file_block: run.map_or(0, |run| run.file_block),
                    };
                    (run, below)
                }
            };
            let Some(run) = run else {
                self.open.pop();
                continue;
            };
            if run.count == 0 || run.file_block < self.floor {
                return Err(self.wrong("extents are empty or out of order"));
            }
            if !self.fs.geometry().contains(&run.blocks()) {
                return Err(Fault::Found(Finding::Misplaced {
                    owner: Owner::Inode(self.inode),
                    block: run.block,
                }));
            }
            let Some(left) = self.left.checked_sub(run.count) else {
                return Err(self.wrong("it has more blocks than there are"));
            };
            self.left = left;
            self.floor = run.file_block;
            match run.kind {
                Kind::Map => self.next = Some(Part::Block(run.block, below)),
                Kind::Data | Kind::Unwritten => self.floor += run.count,
            }
            return Ok(Some(run));
        }
        Ok(None)
    }
}

impl Iterator for Runs<'_> {
    type Item = std::result::Result<Run, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.open.clear();
            self.next = None;
        }
        step.transpose()
    }
}
