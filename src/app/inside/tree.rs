//! What owns an overlay's space, as a tree to walk in: by folder, or by kind. No GTK here.

use std::collections::HashMap;
use sugar_cellar::protocol::{EntryKind, Explanation};

/// So many things are shown at once; the smaller ones follow when they are asked for.
pub const MOST: usize = 60;

/// How it is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum View {
    #[default]
    Folders,
    Kinds,
}

/// What a part of the overlay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Everything.
    All,
    Folder,
    /// The names in a folder: what it takes itself.
    Own,
    File(EntryKind),
    /// All files of a kind.
    Kind(EntryKind),
    Deleted,
    /// The file system's own records, its journal among them.
    Records,
    /// The overlay's own list, and unused places between.
    List,
}

/// A part of the overlay.
#[derive(Debug)]
struct Node {
    /// Of a file that is listed by kind: where it is among the folders, and has its name.
    same: Option<usize>,
    name: Box<str>,
    what: What,
    above: usize,
    sectors: u64,
    /// The parts of it, the largest first.
    below: Vec<usize>,
    /// The kind that has most of it.
    kind: Option<EntryKind>,
}

/// All of it.
#[derive(Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    /// What `tidy` may give back.
    pub deleted: u64,
}

/// Something that is shown: a part, or all the smaller ones together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    Part(usize),
    /// The parts from this place on, so many, with so many sectors.
    Smaller {
        from: usize,
        count: usize,
        sectors: u64,
    },
}

const FOLDERS: usize = 0;
const KINDS: usize = 1;

impl Tree {
    /// Of what the helper found.
    pub fn new(explanation: &Explanation) -> Tree {
        let mut tree = Tree {
            nodes: Vec::new(),
            deleted: explanation.sums.deleted_sectors.0,
        };
        for root in [FOLDERS, KINDS] {
            tree.add(root, "", What::All, 0);
        }
        let files = tree.folders(explanation);
        tree.kinds(explanation, &files);
        let sums = &explanation.sums;
        for root in [FOLDERS, KINDS] {
            for (what, sectors) in [
                (What::Deleted, sums.deleted_sectors),
                (What::Records, sums.record_sectors + sums.journal_sectors),
                (What::List, sums.list_sectors + sums.unused_sectors),
            ] {
                if sectors.0 > 0 {
                    tree.add(root, "", what, sectors.0);
                    tree.nodes[root].sectors += sectors.0;
                }
            }
        }
        tree.sort();
        tree
    }

    fn add(&mut self, above: usize, name: &str, what: What, sectors: u64) -> usize {
        let index = self.nodes.len();
        self.nodes.push(Node {
            same: None,
            name: name.into(),
            what,
            above,
            sectors,
            below: Vec::new(),
            kind: match what {
                What::File(kind) | What::Kind(kind) => Some(kind),
                _ => None,
            },
        });
        if index != above && index > KINDS {
            self.nodes[above].below.push(index);
        }
        index
    }

    /// Gives where each entry is.
    fn folders(&mut self, explanation: &Explanation) -> Vec<usize> {
        let mut files = Vec::with_capacity(explanation.entries.len());
        let mut known: HashMap<&str, usize> = HashMap::new();
        for entry in &explanation.entries {
            self.nodes[FOLDERS].sectors += entry.sectors.0;
            let mut above = FOLDERS;
            let (folders, name) = match entry.kind {
                EntryKind::Folder => (&*entry.path, None),
                _ => match entry.path.rsplit_once('/') {
                    Some((folders, name)) => (folders, Some(name)),
                    None => ("", Some(&*entry.path)),
                },
            };
            let ends = folders.match_indices('/').map(|(end, _)| end);
            for end in ends.chain((!folders.is_empty()).then_some(folders.len())) {
                let path = &folders[..end];
                above = match known.get(path) {
                    Some(&index) => index,
                    None => {
                        let name = path.rsplit('/').next().unwrap_or(path);
                        let index = self.add(above, name, What::Folder, 0);
                        known.insert(path, index);
                        index
                    }
                };
                self.nodes[above].sectors += entry.sectors.0;
            }
            let what = match name {
                Some(_) => What::File(entry.kind),
                None => What::Own,
            };
            files.push(self.add(above, name.unwrap_or_default(), what, entry.sectors.0));
        }
        files
    }

    fn kinds(&mut self, explanation: &Explanation, files: &[usize]) {
        let mut known: HashMap<EntryKind, usize> = HashMap::new();
        for (entry, &file) in explanation.entries.iter().zip(files) {
            let kind = entry.kind;
            let above = match known.get(&kind) {
                Some(&index) => index,
                None => {
                    let index = self.add(KINDS, "", What::Kind(kind), 0);
                    known.insert(kind, index);
                    index
                }
            };
            let index = self.add(above, "", What::File(kind), entry.sectors.0);
            self.nodes[index].same = Some(file);
            for index in [above, KINDS] {
                self.nodes[index].sectors += entry.sectors.0;
            }
        }
    }

    /// Sorts all parts, and finds out of which kind most of each is.
    fn sort(&mut self) {
        // Parts come after what they are parts of.
        for index in (0..self.nodes.len()).rev() {
            let mut below = std::mem::take(&mut self.nodes[index].below);
            below.sort_by(|a, b| {
                let sectors = |index: &usize| self.nodes[*index].sectors;
                sectors(b)
                    .cmp(&sectors(a))
                    .then_with(|| self.name(*a).cmp(self.name(*b)))
            });
            let largest = below.first().and_then(|first| self.nodes[*first].kind);
            let node = &mut self.nodes[index];
            node.kind = node.kind.or(largest);
            node.below = below;
        }
    }

    /// Where a view begins.
    pub fn root(view: View) -> usize {
        match view {
            View::Folders => FOLDERS,
            View::Kinds => KINDS,
        }
    }

    /// What a part is.
    pub fn what(&self, index: usize) -> What {
        self.nodes[index].what
    }

    /// What a part is called on the stick; empty where it has no name of its own.
    pub fn name(&self, index: usize) -> &str {
        let node = &self.nodes[index];
        match node.same {
            Some(same) => self.name(same),
            None => &node.name,
        }
    }

    /// The folder that a file lies in, where it is listed by kind.
    pub fn folder(&self, index: usize) -> Option<String> {
        let same = self.nodes[index].same?;
        let path = self.path(same);
        let folders = path.get(1..path.len() - 1)?;
        let names: Vec<&str> = folders.iter().map(|folder| self.name(*folder)).collect();
        Some(names.join("/"))
    }

    /// The kind that has most of a part; none of what is no file.
    pub fn kind(&self, index: usize) -> Option<EntryKind> {
        self.nodes[index].kind
    }

    /// What a part takes, in sectors.
    pub fn sectors(&self, index: usize) -> u64 {
        self.nodes[index].sectors
    }

    /// What all of it takes.
    pub fn used(&self) -> u64 {
        self.nodes[FOLDERS].sectors
    }

    /// The share of the whole, in percent.
    pub fn share(&self, sectors: u64) -> f64 {
        100.0 * sectors as f64 / self.used().max(1) as f64
    }

    /// What a part is a part of; none at the top.
    pub fn above(&self, index: usize) -> Option<usize> {
        (index > KINDS).then(|| self.nodes[index].above)
    }

    /// Whether a part has parts of its own.
    pub fn opens(&self, index: usize) -> bool {
        !self.nodes[index].below.is_empty()
    }

    /// The folders down to a part, from the top on, itself the last.
    pub fn path(&self, index: usize) -> Vec<usize> {
        let mut path = vec![index];
        while let Some(above) = self.above(path[path.len() - 1]) {
            path.push(above);
        }
        path.reverse();
        path
    }

    /// The parts of a part from place `from` on, the largest first, as many as are shown at once.
    pub fn items(&self, index: usize, from: usize) -> Vec<Item> {
        let below = &self.nodes[index].below[from..];
        let shown = match below.len() > MOST + 1 {
            true => MOST,
            false => below.len(),
        };
        let (shown, smaller) = below.split_at(shown);
        let mut items: Vec<Item> = shown.iter().map(|part| Item::Part(*part)).collect();
        if !smaller.is_empty() {
            items.push(Item::Smaller {
                from: from + shown.len(),
                count: smaller.len(),
                sectors: smaller.iter().map(|part| self.sectors(*part)).sum(),
            });
        }
        items
    }

    /// What an item takes, in sectors.
    pub fn size(&self, item: Item) -> u64 {
        match item {
            Item::Part(index) => self.sectors(index),
            Item::Smaller { sectors, .. } => sectors,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sugar_cellar::protocol::{Entry, Sums};
    use sugar_cellar::units::Sectors;

    fn explanation(entries: &[(&str, EntryKind, u64)]) -> Explanation {
        let sum = |folder: bool| {
            let own = |one: &&(&str, EntryKind, u64)| (one.1 == EntryKind::Folder) == folder;
            Sectors(entries.iter().filter(own).map(|one| one.2).sum())
        };
        let sums = Sums {
            file_sectors: sum(false),
            folder_sectors: sum(true),
            deleted_sectors: Sectors(5),
            list_sectors: Sectors(16),
            ..Sums::default()
        };
        let entry = |(path, kind, sectors): &(&str, EntryKind, u64)| Entry {
            path: (*path).to_owned(),
            kind: *kind,
            sectors: Sectors(*sectors),
            equal_sectors: Sectors(0),
        };
        Explanation {
            used_sectors: sums.file_sectors + sums.folder_sectors + Sectors(21),
            total_sectors: Sectors(1000),
            chunk_sectors: Sectors(8),
            equal_sectors: None,
            kinds: Vec::new(),
            clutter: Vec::new(),
            journal_entries: Vec::new(),
            unclear: 0,
            entries: entries.iter().map(entry).collect(),
            sums,
        }
    }

    #[test]
    fn every_folder_holds_what_is_below_it() {
        let all = explanation(&[
            ("home/ana/cat.jpg", EntryKind::Picture, 100),
            ("home/ana/a/b/c.txt", EntryKind::Document, 20),
            ("home/ana", EntryKind::Folder, 8),
            ("swap", EntryKind::Other, 3),
            ("", EntryKind::Folder, 1),
        ]);
        let tree = Tree::new(&all);
        for view in [View::Folders, View::Kinds] {
            assert_eq!(tree.sectors(Tree::root(view)), all.used_sectors.0);
        }
        for index in 0..tree.nodes.len() {
            let below: u64 = tree.nodes[index]
                .below
                .iter()
                .map(|b| tree.sectors(*b))
                .sum();
            assert!(!tree.opens(index) || below == tree.sectors(index));
        }
        let files = tree.nodes[KINDS]
            .below
            .iter()
            .filter(|kind| tree.opens(**kind));
        let mut largest: Vec<_> = files
            .map(|kind| tree.nodes[*kind].below[0])
            .map(|file| (tree.name(file), tree.folder(file).unwrap()))
            .collect();
        largest.sort();
        let largest: Vec<_> = largest
            .iter()
            .map(|(name, folder)| (*name, &**folder))
            .collect();
        let wanted = [
            ("", "home/ana"),
            ("c.txt", "home/ana/a/b"),
            ("cat.jpg", "home/ana"),
            ("swap", ""),
        ];
        assert_eq!(largest, wanted);
        let named = |from: usize, name: &str| {
            let below = &tree.nodes[from].below;
            *below
                .iter()
                .find(|index| tree.name(**index) == name)
                .unwrap()
        };
        let home = named(FOLDERS, "home");
        let ana = named(home, "ana");
        assert_eq!((tree.sectors(home), tree.sectors(ana)), (128, 128));
        assert_eq!(tree.kind(home), Some(EntryKind::Picture));
        assert_eq!(tree.path(ana), [FOLDERS, home, ana]);
        let whats: Vec<What> = tree.nodes[ana]
            .below
            .iter()
            .map(|b| tree.what(*b))
            .collect();
        let file = What::File(EntryKind::Picture);
        assert_eq!(whats, [file, What::Folder, What::Own]);
    }

    #[test]
    fn the_smaller_ones_come_later() {
        let names: Vec<String> = (0..200).map(|index| format!("f/{index:03}")).collect();
        let entries: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(index, name)| (&**name, EntryKind::Other, 1000 - index as u64))
            .collect();
        let tree = Tree::new(&explanation(&entries));
        let folder = tree.nodes[FOLDERS].below[0];
        let (mut from, mut seen, mut sum) = (0, 0, 0);
        loop {
            let items = tree.items(folder, from);
            assert!(items.len() <= MOST + 1);
            let parts = items.iter().filter(|item| matches!(item, Item::Part(_)));
            seen += parts.clone().count();
            sum += parts.map(|part| tree.size(*part)).sum::<u64>();
            match items.last() {
                Some(Item::Smaller {
                    from: next,
                    count,
                    sectors,
                }) => {
                    assert_eq!((seen + count, sum + sectors), (200, tree.sectors(folder)));
                    from = *next;
                }
                _ => break,
            }
        }
        assert_eq!((seen, sum), (200, tree.sectors(folder)));
    }
}
