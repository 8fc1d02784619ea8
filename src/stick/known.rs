//! What an open stick says of itself: its layout, and its figures for a status.

use super::boot::{self, Asked};
use super::layout::{self, Head, ImageContent, Known, Layout};
use super::open::Stick;
use super::superblock::{self, Magic};
use crate::error::{Doing, Result};
use crate::protocol;
use crate::storage::{DiskFile, DiskFolder, Entry, EntryKind, Folder, ReadAt};
use crate::units::Bytes;
use std::io;

/// No folder of boot entries has more that matter.
const MOST_ENTRIES: usize = 64;
/// Drivers that take names for the same that differ only in case.
const FOLDING: [&str; 3] = ["vfat", "msdos", "exfat"];

impl Stick {
    /// The compressed image's entry, before anything is known of what it holds.
    ///
    /// `Refused` where the name is not a regular file's, `NotFound` without one,
    /// `Unsupported` where the root lies uncompressed on the stick.
    pub fn image(&self) -> Result<Entry> {
        let entries = self.folder().entries().doing("reading LiveOS")?;
        layout::image(&entries, self.folds_case()).cloned()
    }

    /// What lies in LiveOS, and which overlay a boot would use.
    pub fn layout(&self, content: &ImageContent) -> Result<Layout> {
        let entries = self.folder().entries().doing("reading LiveOS")?;
        let known = self.known()?;
        layout::decide(&entries, &known, content, &mut |entry| self.head(entry))
    }

    /// The stick's own part of a status.
    pub fn describe(&self) -> Result<protocol::Stick> {
        Ok(protocol::Stick {
            path: self.named().to_owned(),
            label: self.label().map(str::to_owned),
            uuid: self.uuid().map(str::to_owned),
            file_system: self.file_system().to_owned(),
            free_bytes: self.folder().free().doing("asking for free space")?,
            booted: self.booted(),
        })
    }

    /// What is used of a file system in a file of the running system's stick, by whom it is mounted;
    /// none where it is not, or of a driver that mounts no device by its number (btrfs).
    pub fn used_now(&self, entry: &Entry) -> Option<Bytes> {
        let free = self.booted().then(|| self.host.free_in(entry.id)).flatten();
        free.map(|free| entry.bytes.saturating_sub(free))
    }

    fn folds_case(&self) -> bool {
        FOLDING.contains(&self.file_system())
    }

    fn known(&self) -> Result<Known> {
        let live = match self.booted() {
            true => self.host.live_overlay()?,
            false => None,
        };
        Ok(Known {
            at_root: self.facts.at_root,
            label: self.facts.name.label.clone(),
            uuid: self.facts.name.uuid.clone(),
            folds_case: self.folds_case(),
            asked: self.asked(),
            live,
        })
    }

    /// What the boot entries ask for; of the booted stick, what the running kernel was asked.
    fn asked(&self) -> Vec<Asked> {
        if self.booted() {
            let asked = boot::asked(&self.host.text("proc/cmdline").unwrap_or_default());
            if !asked.is_empty() {
                return asked;
            }
        }
        configurations(&self.root)
            .iter()
            .flat_map(|(_, text)| boot::asked(text))
            .collect()
    }

    fn head(&self, entry: &Entry) -> Result<Head> {
        let doing = || format!("reading {}", entry.name);
        let file = self.folder().open(&entry.name).doing(doing())?;
        if let Some(found) = superblock::identify(&file).doing(doing())? {
            return Ok(Head::FileSystem { used: found.used });
        }
        Ok(match superblock::magic(&file).doing(doing())? {
            Magic::Snapshot => Head::Snapshot,
            Magic::Luks => Head::Encrypted,
            Magic::OtherFileSystem => Head::FileSystem { used: None },
            Magic::Unknown => Head::Other,
        })
    }
}

/// All boot configurations below the stick's root: the folder that each lies in, and its text.
///
/// What is missing, no regular file, too long, or reached through a link, says nothing.
pub(super) fn configurations(root: &DiskFolder) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for path in boot::CONFIGURATIONS {
        let (folders, name) = match path.rsplit_once('/') {
            Some((folders, name)) => (Some(folders), name),
            None => (None, *path),
        };
        let mut texts = Vec::new();
        match folders.map(|folders| walk(root, folders)) {
            None => read_all(root, name, &mut texts),
            Some(Ok(folder)) => read_all(&folder, name, &mut texts),
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Some(Err(error)) => log::info!("boot configuration {path}: {error}"),
        }
        let folder = folders.unwrap_or_default();
        found.extend(texts.into_iter().map(|text| (folder.to_owned(), text)));
    }
    found
}

fn walk(root: &DiskFolder, folders: &str) -> io::Result<DiskFolder> {
    let mut folders = folders.split('/');
    let first = root.below(folders.next().unwrap_or_default())?;
    folders.try_fold(first, |folder, name| folder.below(name))
}

fn read_all(folder: &DiskFolder, name: &str, texts: &mut Vec<String>) {
    let names = match name.split_once('*') {
        None => vec![name.to_owned()],
        Some((start, end)) => {
            let entries = folder.entries().unwrap_or_default().into_iter();
            let matching = entries.filter(|entry| {
                let long = entry.name.len() >= start.len() + end.len();
                entry.kind == EntryKind::File
                    && long
                    && entry.name.starts_with(start)
                    && entry.name.ends_with(end)
            });
            matching
                .map(|entry| entry.name)
                .take(MOST_ENTRIES)
                .collect()
        }
    };
    for name in names {
        match folder.open(&name).and_then(|file| read(&file)) {
            Ok(text) => texts.push(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => log::info!("boot configuration {name}: {error}"),
        }
    }
}

fn read(file: &DiskFile) -> io::Result<String> {
    let size = file.size()?;
    if size.0 > boot::LONGEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = vec![0; size.0 as usize];
    file.read_at(&mut bytes, 0)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
