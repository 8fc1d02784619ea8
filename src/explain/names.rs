//! What files and folders are called.

use super::owners::Owners;
use crate::error::Result;
use crate::ext4::{FileSystem, ROOT};
use crate::progress::Progress;
use std::collections::{BTreeSet, HashMap};

/// More folders inside one another than this are taken for a circle.
const DEEPEST: usize = 512;

/// The names of all folders, and of the files that own something.
pub struct Names {
    folders: BTreeSet<u32>,
    /// By inode: the folder that it is in, and its name there.
    places: HashMap<u32, (u32, Box<[u8]>)>,
    /// How many blocks of folders contradict themselves.
    pub unclear: u64,
}

impl Names {
    /// Reads all folders, in the order in which they lie in the image: the blocks that it is
    /// compressed in are decompressed once each. A file with several names has the first one met.
    pub fn find(fs: &FileSystem, owners: &Owners, progress: &dyn Progress) -> Result<Names> {
        let wanted = owners.inodes();
        let mut names = Names {
            folders: owners.folders.clone(),
            places: HashMap::new(),
            unclear: 0,
        };
        let mut blocks: Vec<(u64, u32)> = owners
            .folder_blocks
            .iter()
            .flat_map(|(blocks, folder)| blocks.clone().map(|block| (block, *folder)))
            .collect();
        blocks.sort_unstable();
        for (block, folder) in blocks {
            progress.check()?;
            let whole = fs.names(block, |name, inode| {
                if matches!(name, b"." | b"..") {
                    return;
                }
                if names.folders.contains(&inode) || wanted.contains(&inode) {
                    names
                        .places
                        .entry(inode)
                        .or_insert_with(|| (folder, name.into()));
                }
            })?;
            names.unclear += u64::from(!whole);
        }
        Ok(names)
    }

    /// Whether an inode is a folder.
    pub fn is_folder(&self, inode: u32) -> bool {
        self.folders.contains(&inode)
    }

    /// The path from the root, without a slash before it; none where nothing leads to it, as to a
    /// file that was deleted while a program has it open. The root's own is empty. [`readable`].
    pub fn path(&self, inode: u32) -> Option<String> {
        let mut parts: Vec<&[u8]> = Vec::new();
        let mut at = inode;
        while at != ROOT {
            let (folder, name) = self.places.get(&at)?;
            if parts.len() == DEEPEST {
                return None;
            }
            parts.push(name);
            at = *folder;
        }
        parts.reverse();
        let path = parts.join(&b'/');
        Some(readable(&path))
    }
}

/// A path to show: what is no UTF-8 in it is replaced by U+FFFD, control characters too.
pub fn readable(path: &[u8]) -> String {
    let clean = |letter: char| match letter.is_control() {
        true => char::REPLACEMENT_CHARACTER,
        false => letter,
    };
    String::from_utf8_lossy(path).chars().map(clean).collect()
}
