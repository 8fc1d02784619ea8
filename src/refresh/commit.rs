//! The steps that count: exchange, drop, remove. Knows only [`Storage`] and [`Folder`].
//!
//! The order, and what a cut between leaves:
//! 1. the new image is complete, durable and verified as `squashfs.new` - the stick is as it was;
//! 2. the names are exchanged in one step - either image gives the same `image (+) overlay`;
//! 3. the old image is removed - only now, and before anything is dropped: as long as there is a second
//!    image, the list is whole, so that either image may be the stick's ([`super::recover`]);
//! 4. the list is dropped, which is consistent after every sector;
//! 5. an overlay whose length is a trap becomes a chunk longer.

use super::SECOND;
use crate::error::{Doing, Error, Part, Result};
use crate::overlay::moves::{Keep, drop_chunks};
use crate::overlay::{ExceptionStore, size};
use crate::progress::Progress;
use crate::protocol::Stage;
use crate::sources::{Guard, IMAGE, Target};
use crate::storage::{Folder, ReadAt};

/// Bytes that tell two images apart: SquashFS's superblock. A new image always differs from the
/// one it was made of in it.
pub(super) const MARK_BYTES: usize = 96;

/// The first bytes of the file `name`, read from the device.
pub(super) fn mark<F: Folder>(folder: &F, name: &str) -> Result<Vec<u8>> {
    let mut bytes = vec![0; MARK_BYTES];
    folder
        .open_uncached(name)
        .and_then(|file| file.read_at(&mut bytes, 0))
        .doing("reading an image's first bytes")?;
    Ok(bytes)
}

/// Exchanges the verified new image for the old one, and makes sure of it.
///
/// Where the file system cannot exchange, nothing has happened and the second file is removed.
/// Every other error is [`Error::Unfinished`], for then nobody knows which names are on the device.
pub(super) fn exchange<F: Folder>(folder: &F) -> Result<()> {
    let marks = || Ok((mark(folder, IMAGE)?, mark(folder, SECOND)?));
    let (old, new) = marks().map_err(|error| super::undo(folder, error))?;
    if let Err(error) = folder
        .exchange(IMAGE, SECOND)
        .doing("exchanging the images")
    {
        let nothing_happened = marks().is_ok_and(|now| now == (old, new));
        return Err(if nothing_happened {
            super::undo(folder, error)
        } else {
            Error::unfinished(error)
        });
    }
    let sure = || {
        folder.sync().doing("exchanging the images")?;
        folder.forget().doing("reading the names anew")?;
        if marks()? != (new, old) {
            return Err(Error::damaged(
                Part::Disk,
                "after the exchange the two names do not show the two images",
            ));
        }
        Ok(())
    };
    sure().map_err(Error::unfinished)
}

/// Drops all of `list` without comparing: allowed here, for this process has just verified, holds the
/// lock, and finds header and list unchanged since it read them.
pub(super) fn drop_all<F: Folder>(
    target: Target<'_, F>,
    list: ExceptionStore,
    guard: &dyn Guard,
    progress: &dyn Progress,
) -> Result<()> {
    guard.still_ours()?;
    let store = target
        .folder
        .open_writable(target.overlay)
        .doing("opening the overlay")?;
    // Refuses where header or list are not what they were when all was read.
    let list = drop_chunks(&store, &Keep::nothing(list))?;
    progress.step(Stage::Drop, 1, 1);
    size::leave_trap(&store, &list, || guard.lets_files_grow());
    Ok(())
}
