//! After a cut: what lies on the stick is looked at, and put right by comparing.
//!
//! No marker is needed. The second file's presence tells that a refresh was cut; whichever
//! image verifies is the image; and the overlay is dropped only where it equals that image,
//! for the stick may have been booted and written to since.

use super::{SECOND, commit, give_back, remove_second, replace};
use crate::check;
use crate::error::{Doing, Error, Part, Result};
use crate::overlay;
use crate::progress::Progress;
use crate::sources::{Guard, IMAGE, Target};
use crate::squash::Image;
use crate::stick::note::{self, Found, Note};
use crate::storage::{Folder, ReadAt};
use std::io;
use std::sync::Arc;

/// What was found, and put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovered {
    /// No refresh was cut here; nothing was changed.
    Nothing,
    /// A second image was removed (or put back), and the overlay compared with the image.
    Completed,
}

/// Puts right what a cut refresh left: a second image, what was borrowed from the overlay, a note that
/// the image is replaced. Needs the stick's lock.
///
/// # Errors
/// `Damaged` where neither image is whole, or both names show one file, `Replacing` where the image is
/// half replaced ([`super::complete`] comes first then); nothing is touched then.
pub fn recover<F: Folder>(
    target: Target<'_, F>,
    threads: usize,
    guard: &dyn Guard,
    progress: &dyn Progress,
) -> Result<Recovered> {
    let mut found = settle(target.folder, threads, guard, progress)?;
    if let Found::Note(Note::Replacing(_)) = note::read(target.folder)? {
        found = Recovered::Completed;
    }
    let store = target.folder.open_writable(target.overlay);
    overlay::settle(&store.doing("opening the overlay")?)?;
    if found == Recovered::Completed {
        crate::tidy::stick(target, guard, progress)?;
    }
    give_back(target, guard)?;
    Ok(found)
}

/// The first half of [`recover`], which needs no overlay: afterwards the image is the one that
/// verifies, and it is the only one. For a stick whose image cannot even be opened.
///
/// # Errors
/// As [`recover`].
pub fn settle<F: Folder>(
    folder: &F,
    threads: usize,
    guard: &dyn Guard,
    progress: &dyn Progress,
) -> Result<Recovered> {
    replace::not_begun(folder)?;
    if !is_there(folder, SECOND)? {
        return Ok(Recovered::Nothing);
    }
    guard.still_ours()?;
    // A run that was killed, or whose sync failed, may have left in memory what is not on the device:
    // what is removed must be what the device has twice.
    folder
        .sync()
        .and_then(|()| folder.forget())
        .doing("reading the names anew")?;
    if !is_there(folder, SECOND)? {
        return Ok(Recovered::Completed);
    }
    if is_there(folder, IMAGE)? {
        choose(folder, threads, progress)?;
    } else {
        whole(folder, SECOND, threads, progress)??;
        folder
            .rename(SECOND, IMAGE)
            .and_then(|()| folder.sync())
            .doing("giving the image its name back")?;
    }
    Ok(Recovered::Completed)
}

/// Listed, in whatever case FAT lists it, and opened by this name: on FAT, another file's short name may be
/// this one, and is none of ours.
fn is_there<F: Folder>(folder: &F, name: &str) -> Result<bool> {
    let entries = folder.entries().doing("reading the folder LiveOS")?;
    let mut names = entries.iter().map(|entry| &entry.name);
    if !names.any(|listed| listed.eq_ignore_ascii_case(name)) {
        return Ok(false);
    }
    match folder.open(name) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).doing(format!("opening {name}")),
    }
}

/// Both names are there: the one that verifies is the image, the other is removed.
///
/// Either may be the image: as long as both are there, nothing was dropped from the list ([`commit`]).
fn choose<F: Folder>(folder: &F, threads: usize, progress: &dyn Progress) -> Result<()> {
    if one_chain(folder)? {
        return Err(Error::damaged(
            Part::Disk,
            format!("{IMAGE} and {SECOND} show the same image: one file under two names"),
        ));
    }
    let Err(first) = whole(folder, IMAGE, threads, progress)? else {
        return remove_second(folder);
    };
    if whole(folder, SECOND, threads, progress)?.is_err() {
        // Neither: nothing is touched.
        return Err(first);
    }
    let good = commit::mark(folder, SECOND)?;
    folder
        .exchange(IMAGE, SECOND)
        .and_then(|()| folder.sync())
        .and_then(|()| folder.forget())
        .doing("putting the whole image back")?;
    if commit::mark(folder, IMAGE)? != good {
        let detail = "after the exchange the image is not the one that is whole";
        return Err(Error::damaged(Part::Disk, detail));
    }
    remove_second(folder)
}

/// Whether both names begin with the same superblock, which two different images never do:
/// a half-done exchange on FAT left two names for one chain of clusters.
pub(super) fn one_chain<F: Folder>(folder: &F) -> Result<bool> {
    let second = folder.open(SECOND).doing("opening the second image")?;
    let long_enough =
        second.size().doing("opening the second image")?.0 >= commit::MARK_BYTES as u64;
    if !long_enough {
        return Ok(false);
    }
    let mark = |name| {
        // FAT may know a length and not yet the clusters, or no more: the other one can be read.
        commit::mark(folder, name).inspect_err(|error| log::warn!("{name} cannot be read: {error}"))
    };
    Ok(match (mark(IMAGE), mark(SECOND)) {
        (Ok(image), Ok(second)) => image == second,
        _ => false,
    })
}

/// The outer result: could it be checked; the inner one: is every block of it readable.
pub(super) fn whole<F: Folder>(
    folder: &F,
    name: &str,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Result<()>> {
    let file = folder.open_uncached(name).doing("opening an image")?;
    let checked =
        Image::open(Arc::new(file)).and_then(|image| check::image(&image, threads, progress));
    match checked {
        Err(
            error @ (Error::Damaged { .. }
            | Error::Unsupported { .. }
            | Error::NotFound { .. }
            | Error::Io { .. }),
        ) => Ok(Err(error)),
        Err(error) => Err(error),
        Ok(()) => Ok(Ok(())),
    }
}
