//! Room for the new image, borrowed from the overlay's unused end.
//!
//! The order, and what a cut between leaves:
//! 1. a note says how long the overlay was, and is durable - the stick is as it was, and a note;
//! 2. the overlay is cut behind its last used chunk and a reserve, in one step - the same content, with
//!    less room to save in;
//! 3. the refresh, as ever;
//! 4. the overlay is as long as it was again, less what the image has grown by, in one step;
//! 5. the note is removed.
//!
//! Wherever it is cut, the next command that writes gives the room back ([`give_back`]). Not on FAT,
//! where a file's length and its clusters lie apart: a cut could leave an overlay that is longer than
//! what it has, and the kernel gives such a one up when it saves there.

use super::replace;
use crate::error::{Doing, Error, Result};
use crate::overlay::{ExceptionStore, size};
use crate::sources::{Guard, Target};
use crate::stick::note::{self, Found, Note};
use crate::storage::{Folder, ReadAt};
use crate::units::Bytes;

/// What an overlay keeps to save in while a part of it is lent: a learner may start from the stick
/// after a cut.
pub const RESERVE: Bytes = Bytes(128 << 20);

/// What is left free on the stick: a file system that is full to the last block is slow and in trouble.
pub(super) const SPARE: Bytes = Bytes(256 << 10);

/// What could be borrowed from the overlay; nothing where its file system does not shorten in one step.
pub(super) fn available<F: Folder>(
    target: Target<'_, F>,
    list: &ExceptionStore,
    reserve: Bytes,
) -> Result<Bytes> {
    let shortens = target.folder.shortens_at_once();
    if !shortens.doing("asking about the stick's file system")? || !list.is_valid() {
        return Ok(Bytes(0));
    }
    // Holes give nothing back.
    Ok(taken(target)?.saturating_sub(size::shortened(list, reserve)?))
}

/// What the overlay takes on the stick.
fn taken<F: Folder>(target: Target<'_, F>) -> Result<Bytes> {
    let taken = target.folder.taken(target.overlay);
    taken.doing("asking how much the overlay takes")
}

/// Borrows it; gives the list as it reads then, which is the same in a shorter store.
pub(super) fn borrow<F: Folder>(
    target: Target<'_, F>,
    list: &ExceptionStore,
    reserve: Bytes,
) -> Result<ExceptionStore> {
    let store = target
        .folder
        .open_writable(target.overlay)
        .doing("opening the overlay")?;
    let lent = Note::Lent {
        overlay: target.overlay.to_owned(),
        bytes: store.size().doing("reading the overlay's size")?.0,
    };
    note::create(target.folder, &lent).doing("noting how long the overlay is")?;
    size::shorten(&store, list, reserve)?;
    ExceptionStore::read(&store, None)
}

/// Gives back what was borrowed, where something was, as far as there is room: what the image has
/// grown by is lacking. Takes note that an image is not replaced any more, where one was to be. Tells
/// whether there was a note.
///
/// # Errors
/// The guard's; those of reading and writing; `Replacing` where the image is half replaced.
pub fn give_back<F: Folder>(target: Target<'_, F>, guard: &dyn Guard) -> Result<bool> {
    let folder = target.folder;
    let found = note::read(folder)?;
    if found == Found::Nothing {
        return Ok(false);
    }
    guard.still_ours()?;
    match found {
        Found::Note(Note::Replacing(_)) => {
            replace::not_begun(folder)?;
            replace::trim(folder)?;
        }
        Found::Note(Note::Lent { overlay, bytes }) if overlay == target.overlay => {
            let store = folder
                .open_writable(target.overlay)
                .doing("opening the overlay")?;
            let list = ExceptionStore::read(&store, None)?;
            let now = store.size().doing("reading the overlay's size")?;
            if !list.is_valid() {
                // It is taken up first, by the refresh or tidy that comes.
                return Ok(true);
            }
            if let Err(error) = guard.lets_files_grow() {
                // It lost its journal since. The note stays, and says so.
                log::warn!("the overlay does not get its room back: {error}");
                return Ok(true);
            }
            // What the image has grown by cannot come back.
            let free = folder.free_again().doing("asking for the free space")?;
            // What a growth that was cut took behind the end, the next one takes again.
            let most = now.max(taken(target)?) + free.saturating_sub(SPARE);
            size::grow(&store, &list, Bytes(bytes).min(most))?;
        }
        // Nothing was borrowed yet, or not from this overlay.
        Found::Note(Note::Lent { .. }) | Found::Torn | Found::Nothing => {}
    }
    note::remove(folder).doing("removing the note")?;
    Ok(true)
}

/// After `error` of what came behind a [`borrow`].
pub(super) fn undo<F: Folder>(target: Target<'_, F>, guard: &dyn Guard, error: Error) -> Error {
    match give_back(target, guard) {
        Ok(_) => error,
        Err(second) => Error::Undo {
            first: Box::new(error),
            second: Box::new(second),
        },
    }
}
