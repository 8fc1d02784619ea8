//! Tidy: overlay space back without touching the image. Drop, then shift.

use crate::error::{Doing, Result};
use crate::overlay::moves::{Keep, drop_chunks, shift};
use crate::overlay::{Exception, ExceptionStore, Figures, size};
use crate::progress::Progress;
use crate::sources::{Guard, Sources, Target, Use};
use crate::storage::{Folder, Storage};

/// What a tidy came to.
#[derive(Debug, Clone)]
pub struct Tidied {
    /// The figures before.
    pub before: Figures,
    /// The figures now.
    pub after: Figures,
    /// The list now.
    pub list: ExceptionStore,
}

/// Drops every chunk for which `superfluous` says so, and moves the rest to the front.
///
/// `superfluous` says whether a chunk equals what the image holds there, or is wholly free
/// (where free is trusted). `ready` is asked when all is decided and nothing is written yet:
/// that nobody uses the store, as deciding may take minutes.
///
/// # Errors
/// The closures' own; `Refused` where the list changed meanwhile; `Cancelled`. Whenever it
/// ends, image (+) overlay is what it was.
pub fn tidy(
    store: &dyn Storage,
    list: ExceptionStore,
    mut superfluous: impl FnMut(Exception) -> Result<bool>,
    ready: impl FnOnce() -> Result<()>,
    progress: &dyn Progress,
) -> Result<Tidied> {
    let before = list.figures();
    let keep = Keep::choose(list, |exception| Ok(!superfluous(exception)?), progress)?;
    ready()?;
    progress.check()?;
    let list = drop_chunks(store, &keep)?;
    let list = shift(store, &list, progress)?;
    Ok(Tidied {
        before,
        after: list.figures(),
        list,
    })
}

/// Tidies a stick's overlay: what equals the image is dropped, and what no file uses where that
/// can be trusted.
///
/// # Errors
/// As [`tidy`], and those of opening: image and overlay must belong together.
pub fn stick<F: Folder>(
    target: Target<'_, F>,
    guard: &dyn Guard,
    progress: &dyn Progress,
) -> Result<Tidied> {
    let mut sources = Sources::open(target, Use::AtRest, true, progress)?;
    sources.take_up(target, guard)?;
    let base = sources.base();
    let store = target
        .folder
        .open_writable(target.overlay)
        .doing("opening the overlay")?;
    let tidied = tidy(
        &store,
        sources.list.clone(),
        |exception| sources.is_spare(&base, exception),
        || guard.still_ours(),
        progress,
    )?;
    size::leave_trap(&store, &tidied.list, || guard.lets_files_grow());
    Ok(tidied)
}
