//! Small experiments on a practice stick: what a learner's step costs the overlay.
//!
//! It is a model. A copy of `image (+) overlay` in a temporary folder is changed by e2fsprogs, and
//! every chunk that is no longer what it was, and has no place in the overlay yet, would be granted
//! the next one. The stick itself is only read. What a kernel writes besides, its journal above
//! all, is not in it. That the steps in [`Step::MODELLED`] agree with a kernel is a test
//! (`tests/vm/experiments.rs`); the others are for a booted stick.

use crate::error::{Doing, Error, Part, Result};
use crate::ext4::{FileSystem, Replayed, Superblock};
use crate::practice::content;
use crate::practice::disk::{Disk, LABEL, LEARNER};
use crate::practice::learner::{LARGE, PICTURES, TERM};
use crate::practice::random::Random;
use crate::practice::sparse;
use crate::practice::store::Changes;
use crate::progress::Progress;
use crate::protocol::{Stage, Step};
use crate::sources::{Sources, Target, Use};
use crate::storage::{Folder, ReadAt};
use crate::units::{Bytes, SECTOR, Sectors};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What one step cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tried {
    /// What was done.
    pub step: Step,
    /// How large the file or folder is that it is about.
    pub bytes: Bytes,
    /// What the overlay held before.
    pub before: Sectors,
    /// What it held afterwards.
    pub after: Sectors,
    /// The overlay's size.
    pub total: Sectors,
}

const WHOLE: &str = "whole.img";
const CHANGED: &str = "changed.img";
/// Which block of the large file gets another letter.
const BLOCK: u64 = 60;
/// Read at once, in bytes.
const PIECE: usize = 1 << 20;
/// The picture that is saved is this part of the overlay.
const PICTURE: u64 = 8;

/// Tries the steps of the lesson one after another; `tell` learns of each.
///
/// # Errors
/// `Unsupported` where it is no practice stick, `NoSpace` where its overlay would be full,
/// `Missing` without e2fsprogs; those of reading the stick.
pub fn experiment<F: Folder>(
    target: Target<'_, F>,
    progress: &dyn Progress,
    mut tell: impl FnMut(Tried),
) -> Result<()>
where
    F::File: 'static,
{
    let sources = Sources::open(target, Use::AtRest, false, progress)?;
    let merged = sources.merged()?;
    if Superblock::read(&merged)?.label() != LABEL {
        let detail = "an experiment would need much room for a stick that is not for practice";
        return Err(Error::unsupported(Part::Stick, detail));
    }
    let work = tempfile::tempdir().doing("making a temporary folder")?;
    let whole = create(work.path(), WHOLE)?;
    write_out(&merged, &whole, progress)?;
    let changed = create(work.path(), CHANGED)?;
    sparse::copy(&whole, &changed).doing("copying the practice image")?;

    let list = &sources.list;
    let total = list.total();
    let sizes = Sizes::of(&merged, Bytes(total.0 * SECTOR / PICTURE), progress)?;
    let mut disk = Disk::existing(work.path(), &[PICTURES], TERM + 30 * 86_400);
    let mut changes = Changes::behind(list.iter().map(|exception| exception.old));
    let mut before = list.used_after(0);
    for step in Step::MODELLED {
        progress.check()?;
        let bytes = take(&mut disk, step, &sizes)?;
        disk.apply(CHANGED)?;
        changes.note(&whole, &changed)?;
        let after = list.used_after(changes.count());
        if after > total {
            let bytes = |sectors: Sectors| Bytes(sectors.0 * SECTOR);
            return Err(Error::NoSpace {
                part: Part::Overlay,
                needed: bytes(after),
                available: bytes(total),
            });
        }
        tell(Tried {
            step,
            bytes,
            before,
            after,
            total,
        });
        before = after;
    }
    disk.check(CHANGED)
}

/// How large it is what the steps are about.
struct Sizes {
    picture: Bytes,
    large: Bytes,
}

impl Sizes {
    fn of(merged: &dyn ReadAt, picture: Bytes, progress: &dyn Progress) -> Result<Sizes> {
        let view = Replayed::new(merged, progress)?;
        let fs = FileSystem::open(&view)?;
        let names: Vec<&str> = LARGE.split('/').collect();
        let large = fs.find(&names, progress)?;
        let missing = || Error::not_found(Part::Ext4, LARGE);
        Ok(Sizes {
            picture,
            large: Bytes(large.ok_or_else(missing)?.bytes),
        })
    }
}

/// Orders what belongs to a step; gives the bytes that it is about.
fn take(disk: &mut Disk, step: Step, sizes: &Sizes) -> Result<Bytes> {
    let picture = sizes.picture;
    let [tree, oak, beside] = ["Tree", "Oak", ".Oak"].map(|name| format!("{PICTURES}/{name}.jpg"));
    let drawn = |name: &str| content::photo(&mut Random::new(1, name), picture.0 as usize);
    let bytes = match step {
        Step::Save => {
            disk.file(&tree, 0o644, LEARNER, &drawn("tree"))?;
            picture
        }
        Step::Rename => {
            disk.rename(&tree, &oak);
            picture
        }
        Step::Letter => {
            disk.change_letter(LARGE, BLOCK, b'Q');
            sizes.large
        }
        Step::NewCopy => {
            // Whole beside the old one, before it takes its name.
            disk.file(&beside, 0o644, LEARNER, &drawn("oak"))?;
            disk.remove(&oak);
            disk.rename(&beside, &oak);
            picture
        }
        Step::Delete => {
            disk.remove(&oak);
            picture
        }
        // Not modelled.
        Step::SaveAgain | Step::CopyFolder | Step::Nothing => Bytes(0),
    };
    Ok(bytes)
}

fn create(work: &Path, name: &str) -> Result<File> {
    let mut options = File::options();
    let file = options
        .read(true)
        .write(true)
        .create_new(true)
        .open(work.join(name));
    file.doing("making a temporary file")
}

/// Writes `from` into the empty file `to`; zeros become holes.
fn write_out(from: &dyn ReadAt, to: &File, progress: &dyn Progress) -> Result<()> {
    let length = from.size().doing("reading the stick")?.0;
    to.set_len(length).doing("writing a temporary file")?;
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while at < length {
        progress.check()?;
        let part = &mut piece[..PIECE.min((length - at) as usize)];
        from.read_at(part, at).doing("reading the stick")?;
        if part.iter().any(|byte| *byte != 0) {
            to.write_all_at(part, at)
                .doing("writing a temporary file")?;
        }
        at += part.len() as u64;
        progress.step(Stage::Build, at, length);
    }
    Ok(())
}
