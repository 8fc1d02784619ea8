//! What files and folders are called.

use super::owners::Owners;
use crate::error::Result;
use crate::ext4::{FileSystem, ROOT};
use crate::progress::Progress;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

/// More folders inside one another than this are taken for a circle.
const DEEPEST: usize = 512;

/// No path is shown in more bytes. The kernel takes none that are longer.
const LONGEST: usize = 4096;

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
        // No two of them share a block.
        let mut runs: Vec<&(Range<u64>, u32)> = owners.folder_blocks.iter().collect();
        runs.sort_unstable_by_key(|(blocks, _)| blocks.start);
        let blocks = runs
            .into_iter()
            .flat_map(|(blocks, folder)| blocks.clone().map(move |block| (block, *folder)));
        for (block, folder) in blocks {
            progress.check()?;
            let whole = fs.names(block, |name, inode| {
                names.note(folder, name, inode, &wanted)
            })?;
            names.unclear += u64::from(!whole);
        }
        for &folder in &owners.inline {
            progress.check()?;
            let inode = fs.inode(folder)?;
            let whole = inode.inline_names(|name, inode| names.note(folder, name, inode, &wanted));
            names.unclear += u64::from(!whole);
        }
        Ok(names)
    }

    /// Notes a name in a folder, if it is that of a folder or of one that is wanted.
    fn note(&mut self, folder: u32, name: &[u8], inode: u32, wanted: &BTreeSet<u32>) {
        let known = self.folders.contains(&inode) || wanted.contains(&inode);
        if known && !matches!(name, b"." | b"..") {
            let place = || (folder, name.into());
            self.places.entry(inode).or_insert_with(place);
        }
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
        Some(shown(parts))
    }
}

/// The path of these names to show; without the folders in its middle where it is very long.
pub fn shown(mut names: Vec<&[u8]>) -> String {
    if names.iter().map(|name| name.len() + 1).sum::<usize>() > LONGEST {
        let length = |name: &&[u8]| name.len() + 1;
        let front = within(LONGEST / 2, names.iter().map(length));
        let back = within(LONGEST / 2, names.iter().rev().map(length));
        names.splice(front..names.len() - back, ["…".as_bytes()]);
    }
    readable(&names.join(&b'/'))
}

/// How many of the first of these lengths `room` is enough for.
pub fn within(mut room: usize, lengths: impl Iterator<Item = usize>) -> usize {
    let left = lengths.map_while(|length| {
        room = room.checked_sub(length)?;
        Some(room)
    });
    left.count()
}

/// What is no UTF-8 in it is replaced by U+FFFD, control characters too.
pub fn readable(path: &[u8]) -> String {
    let clean = |letter: char| match letter.is_control() {
        true => char::REPLACEMENT_CHARACTER,
        false => letter,
    };
    String::from_utf8_lossy(path).chars().map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_very_long_path_is_shown_without_its_middle() {
        let folder = "f".repeat(255);
        let mut names: Vec<&[u8]> = vec![folder.as_bytes(); 15];
        names.push(b"letter.txt");
        let path = shown(names.clone());
        assert_eq!(
            path,
            format!("{}letter.txt", format!("{folder}/").repeat(15))
        );
        names.splice(..0, vec![&b"deep"[..]; 400]);
        let path = shown(names);
        assert!(path.starts_with("deep/deep/"), "{path}");
        assert!(path.contains("/deep/…/fff"), "{path}");
        assert!(path.ends_with("/letter.txt"), "{path}");
        assert!(path.len() <= LONGEST, "{}", path.len());
    }
}
