//! What is in memory and what is on the device, and what a power cut leaves of it.

use super::content::Content;
use super::random::{Random, mix};
use crate::units::SECTOR;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// The file system whose promises are kept, and no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// A journal: names change in order, an exchange as one. Holes take no room.
    Ext4,
    /// No journal: each name by itself reaches the device or does not, so that after an
    /// exchange both may show one file, and after a rename both or neither may be there.
    /// What is removed may be overwritten though its name is still there, and new room
    /// holds what lay there before.
    Fat,
}

/// A file's number; never used again.
pub(super) type Id = u64;

/// A call that changes something, and can be cut or failed.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Write {
        file: Id,
        offset: u64,
        data: Arc<[u8]>,
    },
    SetLength {
        file: Id,
        length: u64,
    },
    Sync {
        file: Id,
    },
    /// Its sync fails. As Linux does it, memory keeps what was to be written and takes it for written;
    /// a later sync goes well and brings nothing of it to the device.
    LoseSync {
        file: Id,
    },
    Create {
        name: String,
        file: Id,
    },
    Exchange {
        one: String,
        other: String,
    },
    Rename {
        from: String,
        to: String,
    },
    Remove {
        name: String,
    },
    SyncFolder,
    /// The folder's sync fails, in the same way. A journal keeps what it has of names; the
    /// sectors of FAT's folders are lost as those of files are.
    LoseSyncFolder,
    /// On FAT, memory is read anew from the device; what is still to be written stays.
    Forget,
}

/// A file: as whoever reads it now sees it, and as the device has it.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    pub(super) memory: Content,
    pub(super) durable: Content,
    /// Its first name, to tell of it.
    label: String,
}

/// Files and names, in memory and on the device.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) rules: Rules,
    pub(super) nodes: BTreeMap<Id, Node>,
    pub(super) names: BTreeMap<String, Id>,
    durable_names: BTreeMap<String, Id>,
    /// What is not durable yet, in order.
    pending: Vec<Call>,
}

impl World {
    pub(super) fn new(rules: Rules) -> World {
        World {
            rules,
            nodes: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending: Vec::new(),
        }
    }

    pub(super) fn settled(&self) -> bool {
        self.pending.is_empty()
    }

    pub(super) fn node(&mut self, id: Id) -> io::Result<&mut Node> {
        self.nodes
            .get_mut(&id)
            .ok_or(io::ErrorKind::NotFound.into())
    }

    pub(super) fn find(&self, name: &str) -> io::Result<Id> {
        self.names
            .get(name)
            .copied()
            .ok_or(io::ErrorKind::NotFound.into())
    }

    /// Does what a call does, in memory; makes durable what it makes durable.
    pub(super) fn apply(&mut self, call: &Call) -> io::Result<()> {
        match call {
            Call::Write { file, .. } | Call::SetLength { file, .. } => {
                call.change(&mut self.node(*file)?.memory);
            }
            Call::Sync { file } => return self.sync(*file),
            Call::SyncFolder => {
                self.sync_all();
                return Ok(());
            }
            Call::Forget => {
                if self.rules == Rules::Fat {
                    self.forget();
                }
                return Ok(());
            }
            Call::LoseSync { file } => {
                self.pending.retain(|call| call.file() != Some(*file));
                return Ok(());
            }
            Call::LoseSyncFolder => {
                let rules = self.rules;
                self.pending
                    .retain(|call| rules == Rules::Ext4 && call.file().is_none());
                return Ok(());
            }
            names => self.change_names(names)?,
        }
        self.pending.push(call.clone());
        Ok(())
    }

    fn sync(&mut self, id: Id) -> io::Result<()> {
        let of_it = |call: &mut Call| call.file() == Some(id);
        let calls: Vec<Call> = self.pending.extract_if(.., of_it).collect();
        let node = self.node(id)?;
        for call in calls {
            call.change(&mut node.durable);
        }
        Ok(())
    }

    fn sync_all(&mut self) {
        for call in std::mem::take(&mut self.pending) {
            match call.file() {
                Some(file) => {
                    if let Some(node) = self.nodes.get_mut(&file) {
                        call.change(&mut node.durable);
                    }
                }
                None => call.rename(&mut self.durable_names),
            }
        }
    }

    fn forget(&mut self) {
        self.names = self.durable_names.clone();
        for node in self.nodes.values_mut() {
            node.memory = node.durable.clone();
        }
        for call in &self.pending {
            match call.file() {
                Some(file) => {
                    if let Some(node) = self.nodes.get_mut(&file) {
                        call.change(&mut node.memory);
                    }
                }
                None => call.rename(&mut self.names),
            }
        }
    }

    fn change_names(&mut self, call: &Call) -> io::Result<()> {
        let exists = || Err(io::ErrorKind::AlreadyExists.into());
        match call {
            Call::Create { name, .. } if self.names.contains_key(name) => return exists(),
            Call::Create { name, file } => {
                let label = name.clone();
                self.nodes.insert(
                    *file,
                    Node {
                        label,
                        ..Node::default()
                    },
                );
            }
            Call::Exchange { one, other } => {
                self.find(one)?;
                self.find(other)?;
            }
            Call::Rename { from, to } => {
                self.find(from)?;
                if self.names.contains_key(to) {
                    return exists();
                }
            }
            Call::Remove { name } => self.free_shared(name)?,
            _ => {}
        }
        call.rename(&mut self.names);
        Ok(())
    }

    /// On FAT, removing one of two names of a cluster chain frees the other's clusters.
    fn free_shared(&mut self, name: &str) -> io::Result<()> {
        let id = self.find(name)?;
        let shared = self.names.values().filter(|&&other| other == id).count() > 1;
        if shared {
            let node = self.node(id)?;
            spoil(&mut node.memory);
            spoil(&mut node.durable);
        }
        Ok(())
    }

    /// What is found after a power cut now. Seed 0: nothing that was not synced is there;
    /// seed 1: all of it; others: some of it.
    pub(super) fn crash(&self, seed: u64) -> World {
        let mut chance = Chance::new(seed, self.fingerprint());
        let names = match self.rules {
            Rules::Ext4 => self.journalled_names(&mut chance),
            Rules::Fat => self.torn_names(&mut chance),
        };
        let removed: BTreeSet<Id> = self.removed().collect();
        let mut nodes = BTreeMap::new();
        for &id in names.values() {
            let Some(node) = self.nodes.get(&id) else {
                continue;
            };
            if nodes.contains_key(&id) {
                continue;
            }
            let mut content = self.crash_content(id, &node.durable, &mut chance);
            if self.rules == Rules::Fat && removed.contains(&id) && chance.keep() {
                spoil(&mut content);
            }
            let label = node.label.clone();
            let node = Node {
                memory: content.clone(),
                durable: content,
                label,
            };
            nodes.insert(id, node);
        }
        World {
            rules: self.rules,
            nodes,
            durable_names: names.clone(),
            names,
            pending: Vec::new(),
        }
    }

    /// A number of what is pending: the same seed shall not choose alike for all runs.
    fn fingerprint(&self) -> u64 {
        self.pending.iter().fold(0, |sum, call| {
            let what = match call {
                Call::Write { offset, data, .. } => offset ^ (data.len() as u64) << 40,
                Call::SetLength { length, .. } => *length,
                _ => 1,
            };
            mix(sum ^ what)
        })
    }

    /// Files whose removal is not durable yet.
    fn removed(&self) -> impl Iterator<Item = Id> + '_ {
        let mut names = self.durable_names.clone();
        self.pending.iter().filter_map(move |call| {
            let file = match call {
                Call::Remove { name } => names.get(name).copied(),
                _ => None,
            };
            call.rename(&mut names);
            file
        })
    }

    /// Names after a cut where a journal keeps their order: the first few changes.
    fn journalled_names(&self, chance: &mut Chance) -> BTreeMap<String, Id> {
        let mut names = self.durable_names.clone();
        let changes: Vec<&Call> = self
            .pending
            .iter()
            .filter(|call| call.file().is_none())
            .collect();
        for call in &changes[..chance.up_to(changes.len())] {
            call.rename(&mut names);
        }
        names
    }

    /// Names after a cut where each is by itself: any state that it has been in since.
    fn torn_names(&self, chance: &mut Chance) -> BTreeMap<String, Id> {
        let mut states: BTreeMap<&str, Vec<Option<Id>>> = BTreeMap::new();
        let mut names = self.durable_names.clone();
        for call in &self.pending {
            for name in call.names() {
                let before = names.get(name).copied();
                states.entry(name).or_insert_with(|| vec![before]);
            }
            call.rename(&mut names);
            for name in call.names() {
                let after = names.get(name).copied();
                if let Some(seen) = states.get_mut(name) {
                    seen.push(after);
                }
            }
        }
        let mut names = self.durable_names.clone();
        for (name, seen) in states {
            match seen[chance.up_to(seen.len() - 1)] {
                Some(id) => names.insert(name.to_owned(), id),
                None => names.remove(name),
            };
        }
        names
    }

    /// A file's bytes after a cut: each sector as it was at one instant since the last sync.
    fn crash_content(&self, id: Id, durable: &Content, chance: &mut Chance) -> Content {
        let calls = self.pending.iter().filter(|call| call.file() == Some(id));
        let mut content = durable.clone();
        let mut lengths = vec![durable.length()];
        let mut lost = HashSet::new();
        for call in calls {
            let length = lengths[lengths.len() - 1];
            match call {
                Call::Write { offset, data, .. } => {
                    lengths.push(length.max(offset + data.len() as u64));
                    self.extend(&mut content, lengths[lengths.len() - 1], chance);
                    zero(&mut content, length..*offset, chance);
                    chance.begin_write();
                    for (sector, at, bytes) in sectors(*offset, data) {
                        if !lost.contains(&sector) && chance.keep_sector() {
                            content.write(bytes, at);
                        } else {
                            lost.insert(sector);
                        }
                    }
                }
                Call::SetLength { length: new, .. } => {
                    lengths.push(*new);
                    self.extend(&mut content, *new, chance);
                    let behind = length.min(*new)..content.length();
                    zero(&mut content, behind, chance);
                }
                _ => {}
            }
        }
        content.set_length(lengths[chance.up_to(lengths.len() - 1)]);
        content
    }

    /// Makes room up to `length`: zeros with a journal, anything without one.
    fn extend(&self, content: &mut Content, length: u64, chance: &mut Chance) {
        let old = content.length();
        if length <= old {
            return;
        }
        content.set_length(length);
        if self.rules == Rules::Fat && chance.keep() {
            // Clusters of files of old; the last sector written before is the file's own.
            let start = old.next_multiple_of(SECTOR);
            content.write(&vec![GARBAGE; length.saturating_sub(start) as usize], start);
        }
    }

    /// One line that tells what a call does.
    pub(super) fn describe(&self, call: &Call) -> String {
        let label = |id: &Id| self.nodes.get(id).map_or("?", |node| node.label.as_str());
        match call {
            Call::Write { file, offset, data } => {
                format!("write {} {offset}+{}", label(file), data.len())
            }
            Call::SetLength { file, length } => format!("set_len {} {length}", label(file)),
            Call::Sync { file } => format!("sync {}", label(file)),
            Call::LoseSync { file } => format!("sync {} in vain", label(file)),
            Call::Create { name, .. } => format!("create {name}"),
            Call::Exchange { one, other } => format!("exchange {one} {other}"),
            Call::Rename { from, to } => format!("rename {from} {to}"),
            Call::Remove { name } => format!("remove {name}"),
            Call::SyncFolder => "sync the folder".to_owned(),
            Call::LoseSyncFolder => "sync the folder in vain".to_owned(),
            Call::Forget => "forget".to_owned(),
        }
    }
}

/// What lies in clusters that are nobody's.
const GARBAGE: u8 = 0xdb;

/// What the file system zeroes may have been zeroed.
fn zero(content: &mut Content, range: Range<u64>, chance: &mut Chance) {
    if range.is_empty() || !chance.keep() {
        return;
    }
    let end = content.length();
    if range.end == end {
        content.set_length(range.start);
        content.set_length(end);
    } else {
        content.write(&vec![0; (range.end - range.start) as usize], range.start);
    }
}

/// Makes a file's bytes nobody's.
fn spoil(content: &mut Content) {
    content.write(&vec![GARBAGE; content.length() as usize], 0);
}

/// A write's pieces: sector number, place, bytes.
fn sectors(offset: u64, data: &[u8]) -> impl Iterator<Item = (u64, u64, &[u8])> {
    let mut at = offset;
    let mut rest = data;
    std::iter::from_fn(move || {
        let whole = (SECTOR - at % SECTOR) as usize;
        let (piece, behind) = rest.split_at(rest.len().min(whole));
        let found = (at / SECTOR, at, piece);
        at += piece.len() as u64;
        rest = behind;
        (!piece.is_empty()).then_some(found)
    })
}

impl Call {
    /// The file whose bytes or length it concerns; none for changes of names.
    fn file(&self) -> Option<Id> {
        match self {
            Call::Write { file, .. }
            | Call::SetLength { file, .. }
            | Call::Sync { file }
            | Call::LoseSync { file } => Some(*file),
            _ => None,
        }
    }

    /// Does what it does to a file's bytes and length.
    fn change(&self, content: &mut Content) {
        match self {
            Call::Write { offset, data, .. } => content.write(data, *offset),
            Call::SetLength { length, .. } => content.set_length(*length),
            _ => {}
        }
    }

    /// The names that it changes.
    fn names(&self) -> impl Iterator<Item = &str> {
        let (one, other) = match self {
            Call::Create { name, .. } | Call::Remove { name } => (Some(name), None),
            Call::Exchange { one, other } => (Some(one), Some(other)),
            Call::Rename { from, to } => (Some(from), Some(to)),
            _ => (None, None),
        };
        one.into_iter().chain(other).map(String::as_str)
    }

    /// Does what it does to names, as far as they are there.
    fn rename(&self, names: &mut BTreeMap<String, Id>) {
        let mut put = |name: &String, id: Option<Id>| match id {
            Some(id) => names.insert(name.clone(), id),
            None => names.remove(name),
        };
        match self {
            Call::Create { name, file } => {
                put(name, Some(*file));
            }
            Call::Exchange { one, other } => {
                let first = put(one, None);
                let second = put(other, first);
                put(one, second);
            }
            Call::Rename { from, to } => {
                let file = put(from, None);
                put(to, file);
            }
            Call::Remove { name } => {
                put(name, None);
            }
            _ => {}
        }
    }
}

/// Decides what survives, the same way for the same seed.
struct Chance {
    kind: Kind,
    random: Random,
    /// How much of a torn write survives, of 8.
    write: u64,
}

#[derive(PartialEq, Eq)]
enum Kind {
    Nothing,
    Everything,
    /// So many of 8.
    Some(u64),
}

impl Chance {
    fn new(seed: u64, fingerprint: u64) -> Chance {
        let mut random = Random::new(seed ^ fingerprint);
        let kind = match seed {
            0 => Kind::Nothing,
            1 => Kind::Everything,
            _ => Kind::Some([1, 4, 7][random.below(3) as usize]),
        };
        Chance {
            kind,
            random,
            write: 0,
        }
    }

    fn keep(&mut self) -> bool {
        match self.kind {
            Kind::Nothing => false,
            Kind::Everything => true,
            Kind::Some(density) => self.random.below(8) < density,
        }
    }

    /// A write survives whole, not at all, or torn.
    fn begin_write(&mut self) {
        self.write = match self.random.below(3) {
            0 => 0,
            1 => 8,
            _ => 1 + self.random.below(7),
        };
    }

    fn keep_sector(&mut self) -> bool {
        match self.kind {
            Kind::Nothing => false,
            Kind::Everything => true,
            Kind::Some(_) => self.random.below(8) < self.write,
        }
    }

    /// How many of the first `most` steps survive.
    fn up_to(&mut self, most: usize) -> usize {
        match self.kind {
            Kind::Nothing => 0,
            Kind::Everything => most,
            Kind::Some(_) => self.random.below(most as u64 + 1) as usize,
        }
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rules::Ext4 => "ext4",
            Rules::Fat => "FAT",
        })
    }
}
