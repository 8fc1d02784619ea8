//! The small parsers: partition tables and first blocks; texts and JSON.

use crate::ensure;
use crate::verdict::{Ended, Verdict};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::sync::Arc;
use sugar_cellar::overlay::live;
use sugar_cellar::protocol::{Event, Listing, Plan, Status};
use sugar_cellar::stick::note::{self, Found, NOTE, Note, Replacing};
use sugar_cellar::stick::{boot, superblock, table};
use sugar_cellar::storage::ReadAt;
use sugar_cellar::storage::fault::{FaultFolder, Rules};
use sugar_cellar::units::Bytes;

/// From this length on a file is the begin of a disk of [`DISK`]; the rest of it is zeros.
pub const BEGIN: usize = 512 << 10;
const DISK: u64 = 40 << 20;

/// A FAT32 is at least 33 MiB long, of which only the first few are looked at.
struct Disk<'a>(&'a [u8]);

impl ReadAt for Disk<'_> {
    fn size(&self) -> io::Result<Bytes> {
        let length = self.0.len();
        Ok(Bytes(if length < BEGIN { length as u64 } else { DISK }))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.size().map_or(0, |size| size.0)) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let from = (offset as usize).min(self.0.len());
        let there = &self.0[from..self.0.len().min(from + buffer.len())];
        buffer.fill(0);
        buffer[..there.len()].copy_from_slice(there);
        Ok(())
    }
}

pub fn disk(bytes: &Arc<Vec<u8>>) -> Verdict {
    let disk = &Disk(bytes);
    let size = disk.size()?.0;
    let mut ends = Vec::new();
    let parts = table::partitions(disk)?;
    ensure!(parts.len() <= 1024, "{} partitions", parts.len());
    ends.push(format!("{} partitions", parts.len().min(9)));
    for part in parts {
        let end = part.offset.checked_add(part.length);
        let inside = end.is_some_and(|end| end.0 <= size);
        ensure!(inside && part.length.0 > 0, "{part:?}");
        let part = table::Part::new(disk, part);
        part.read_at(&mut [0; 1], part.size()?.0 - 1)?;
        superblock::identify(&part)?;
    }
    if let Some(found) = superblock::identify(disk)? {
        ensure!(found.used.is_none_or(|used| used.0 <= size), "{found:?}");
        ends.push(format!(
            "{:?} {} {} {:?}",
            found.kind,
            found.label.is_some(),
            found.uuid.is_some(),
            found.left
        ));
    }
    ends.push(format!("{:?}", superblock::magic(disk)?));
    Ok(ends.join(", "))
}

/// What is understood can be written, and is understood the same again.
fn again<T: Serialize + DeserializeOwned>(text: &str) -> Result<bool, Ended> {
    let Ok(first) = serde_json::from_str::<T>(text) else {
        return Ok(false);
    };
    let wrong = |error: serde_json::Error| Ended::Wrong(format!("{text}: {error}"));
    let line = serde_json::to_string(&first).map_err(wrong)?;
    ensure!(!line.contains('\n'), "more than a line: {line:?}");
    let second: T = serde_json::from_str(&line).map_err(wrong)?;
    let same = serde_json::to_value(&first).map_err(wrong)?;
    ensure!(
        same == serde_json::to_value(&second).map_err(wrong)?,
        "{line} changes"
    );
    Ok(true)
}

pub fn text(bytes: &Arc<Vec<u8>>) -> Verdict {
    let text = String::from_utf8_lossy(bytes);
    let asked = boot::asked(&text);
    ensure!(asked.len() <= text.lines().count(), "{asked:?}");
    let kinds: Vec<String> = asked
        .iter()
        .map(|one| {
            format!("{one:?}")
                .chars()
                .take_while(|c| c.is_alphabetic())
                .collect()
        })
        .collect();
    for line in text.lines() {
        let _ = live::parse_status(line);
        let _ = live::parse_table(line);
    }
    let noted = noted(bytes)?;
    let mut known = Vec::new();
    for line in text.lines() {
        known.push([
            again::<Event>(line)?,
            again::<Status>(line)?,
            again::<Plan>(line)?,
            again::<Listing>(line)?,
        ]);
    }
    Ok(format!("{kinds:?} {noted} {known:?}"))
}

/// What a command noted down on a stick leads to no file but those that it would have made itself.
fn noted(bytes: &[u8]) -> Result<&'static str, Ended> {
    let folder = FaultFolder::new(Rules::Fat);
    folder.put(NOTE, bytes)?;
    let note = match note::read(&folder)? {
        Found::Nothing => return Err(Ended::Wrong("no note".into())),
        Found::Torn => return Ok("torn"),
        Found::Note(note) => note,
    };
    let end = match &note {
        Note::Lent { .. } => "lent",
        Note::Replacing(Replacing { scratch, .. }) => {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
            ensure!(scratch.bytes().all(plain), "leads to {scratch:?}");
            "replacing"
        }
    };
    let again = FaultFolder::new(Rules::Fat);
    note::create(&again, &note)?;
    let found = note::read(&again)?;
    ensure!(found == Found::Note(note), "becomes {found:?}");
    Ok(end)
}
