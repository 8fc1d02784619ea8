//! What a writing command has to remember over a power cut: the file [`NOTE`] in LiveOS.

pub use super::layout::NOTE;

use super::layout::IMAGE;
use crate::error::{Doing, Result};
use crate::storage::{Folder, ReadAt, Storage};
use crate::units::{Bytes, SECTOR};
use serde::{Deserialize, Serialize};
use std::io;

/// A longer note is none of ours.
const LONGEST: u64 = 4096;
/// A note is filled up with blanks to whole sectors, so that rewriting a short one is one step.
const BLANK: u8 = b' ';
/// What the new image's file in a scratch folder is called: no note leads to any other.
const SCRATCH: (&str, &str) = ("sugar-cellar-", ".img");

/// What is to be remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Note {
    /// A part of the overlay's room makes room for the new image.
    Lent {
        /// The overlay's name in LiveOS.
        overlay: String,
        /// How long it was, in bytes.
        bytes: u64,
    },
    /// The old image is replaced by one in a scratch folder.
    Replacing(Replacing),
}

/// The image that takes the old one's place. Where the image in LiveOS is gone ([`image_is_gone`]),
/// this one is the stick's; else the note means no more than that its file is not needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacing {
    /// Its file's name in the scratch folder.
    pub scratch: String,
    /// What it is known by, once it is whole, durable and verified.
    pub image: Option<Mark>,
}

/// What a file is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its length, in bytes.
    pub bytes: u64,
    /// CRC-64 of it, as XZ has it.
    pub crc64: u64,
    /// The same of the first sector of the image that it replaces, which tells that one from any other.
    pub replaces: u64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// There is no note.
    Nothing,
    /// One that was cut while it was written: what it was to announce was not begun.
    Torn,
    /// A note.
    Note(Note),
}

impl Note {
    /// One that says that the image is replaced by the scratch folder's file `scratch`.
    pub fn replacing(scratch: &str, image: Option<Mark>) -> Note {
        Note::Replacing(Replacing {
            scratch: scratch.to_owned(),
            image,
        })
    }

    fn is_sound(&self) -> bool {
        match self {
            Note::Lent { .. } => true,
            Note::Replacing(Replacing { scratch, .. }) => {
                let middle = scratch.strip_prefix(SCRATCH.0);
                let middle = middle.and_then(|rest| rest.strip_suffix(SCRATCH.1));
                middle.is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_alphanumeric()))
            }
        }
    }
}

/// The name of a file in a scratch folder, another one for every `number`.
pub fn scratch_name(number: u64) -> String {
    format!("{}{number:016x}{}", SCRATCH.0, SCRATCH.1)
}

/// The note in LiveOS.
pub fn read<F: Folder>(folder: &F) -> Result<Found> {
    let doing = "reading what an earlier command noted down";
    let entries = folder.entries().doing("reading the folder LiveOS")?;
    let Some(entry) = entries.iter().find(|entry| entry.name == NOTE) else {
        return Ok(Found::Nothing);
    };
    if !(1..=LONGEST).contains(&entry.bytes.0) {
        return Ok(Found::Torn);
    }
    let mut text = vec![0; entry.bytes.0 as usize];
    let file = folder.open(NOTE).doing(doing)?;
    file.read_at(&mut text, 0).doing(doing)?;
    let note: Option<Note> = serde_json::from_slice(&text).ok();
    let note = note.filter(Note::is_sound);
    Ok(note.map_or(Found::Torn, Found::Note))
}

/// Writes a note where there is none, durably.
pub fn create<F: Folder>(folder: &F, note: &Note) -> io::Result<()> {
    let text = text(note)?;
    let file = folder.create(NOTE)?;
    file.write_at(&text, 0)?;
    file.sync()?;
    folder.sync()
}

/// Writes another note over one of at most a sector, in one step, durably.
pub fn rewrite<F: Folder>(folder: &F, note: &Note) -> io::Result<()> {
    let text = text(note)?;
    let file = folder.open_writable(NOTE)?;
    file.write_at(&text, 0)?;
    file.sync()
}

/// Removes the note, durably.
pub fn remove<F: Folder>(folder: &F) -> io::Result<()> {
    folder.remove(NOTE)?;
    folder.sync()
}

fn text(note: &Note) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(note)?;
    text.resize(text.len().next_multiple_of(SECTOR as usize), BLANK);
    Ok(text)
}

/// The scratch file that is the stick's image, where a replacement took the one in LiveOS.
pub fn awaited<F: Folder>(folder: &F) -> Result<Option<String>> {
    match read(folder)? {
        // Before there is a mark, no replacement takes anything.
        Found::Note(Note::Replacing(note)) if note.image.is_some() && image_is_gone(folder)? => {
            Ok(Some(note.scratch))
        }
        _ => Ok(None),
    }
}

/// Whether the image has no first sector. That sector is the first that a replacement takes from the
/// old image and the last that it gives the new one, so that whoever begins with one is whole.
///
/// Asked of the device and of memory: a write that failed may be in one of them alone.
pub fn image_is_gone<F: Folder>(folder: &F) -> Result<bool> {
    let begins = |file: F::File| {
        let mut sector = [0; SECTOR as usize];
        let long_enough = file.size()? >= Bytes(SECTOR);
        if long_enough {
            file.read_at(&mut sector, 0)?;
        }
        Ok(sector.iter().any(|byte| *byte != 0))
    };
    let device = folder.open_uncached(IMAGE).and_then(begins);
    match device.and_then(|there| Ok(there && folder.open(IMAGE).and_then(begins)?)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        there => there.map(|there| !there),
    }
    .doing("reading the image's first sector")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::fault::{FaultFolder, Rules};

    fn noted(text: &str) -> Found {
        let folder = FaultFolder::new(Rules::Fat);
        folder.put(NOTE, text.as_bytes()).unwrap();
        read(&folder).unwrap()
    }

    #[test]
    fn what_is_noted_is_found() {
        let folder = FaultFolder::new(Rules::Fat);
        assert_eq!(read(&folder).unwrap(), Found::Nothing);
        let name = scratch_name(u64::MAX);
        let first = Note::replacing(&name, None);
        create(&folder, &first).unwrap();
        assert_eq!(read(&folder).unwrap(), Found::Note(first));
        let mark = Mark {
            bytes: u64::MAX,
            crc64: u64::MAX,
            replaces: u64::MAX,
        };
        let second = Note::replacing(&name, Some(mark));
        rewrite(&folder, &second).unwrap();
        assert_eq!(read(&folder).unwrap(), Found::Note(second));
        // One sector, whatever it says.
        assert_eq!(folder.read(NOTE).unwrap().len() as u64, SECTOR);
        remove(&folder).unwrap();
        assert_eq!(read(&folder).unwrap(), Found::Nothing);
    }

    #[test]
    fn notes_of_both_kinds() {
        let lent = noted(r#"{"overlay":"overlay-A-1","bytes":4096}"#);
        assert!(matches!(lent, Found::Note(Note::Lent { bytes: 4096, .. })));
        let replacing = noted(r#"{"scratch":"sugar-cellar-0a.img","image":null}"#);
        assert!(matches!(replacing, Found::Note(Note::Replacing(_))));
        for torn in ["", "{", "null", "{}", &" ".repeat(5000)] {
            assert_eq!(noted(torn), Found::Torn, "{torn:?}");
        }
    }

    #[test]
    fn no_note_leads_to_a_file_that_is_not_ours() {
        let names = [
            "holiday.img",
            "sugar-cellar-/../../x.img",
            "sugar-cellar-..img",
            "../sugar-cellar-0.img",
        ];
        for name in names {
            let text = format!(r#"{{"scratch":"{name}","image":null}}"#);
            assert_eq!(noted(&text), Found::Torn, "{name}");
        }
    }

    #[test]
    fn an_image_without_its_first_sector_is_gone() {
        let folder = FaultFolder::new(Rules::Ext4);
        assert!(image_is_gone(&folder).unwrap());
        folder.put(IMAGE, &[1; 600]).unwrap();
        assert!(!image_is_gone(&folder).unwrap());
        let image = folder.open_writable(IMAGE).unwrap();
        image.write_at(&[0; SECTOR as usize], 0).unwrap();
        // In memory alone, it may reach the device at any time.
        assert!(image_is_gone(&folder).unwrap());
        image.sync().unwrap();
        assert!(image_is_gone(&folder).unwrap());
        image.write_at(&[1; SECTOR as usize], 0).unwrap();
        assert!(image_is_gone(&folder).unwrap());
    }
}
