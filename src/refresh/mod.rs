//! The refresh: absorb all, then drop all.
//!
//! [`plan`] reads and decides, and changes nothing. [`Plan::ready`] gives what [`refresh`]
//! consumes: build ([`direct`] or [`kernel`]) -> verify ([`verify`]) -> exchange, remove, drop
//! ([`commit`]). Where the stick has no room for two images: [`borrow`], or, agreed to, [`replace`].
//! What a cut left is put right first, by comparing ([`recover`]).

mod borrow;
mod commit;
mod direct;
mod kernel;
mod plan;
mod recover;
mod replace;
mod sum;
mod verify;

pub use borrow::{RESERVE, give_back};
pub use kernel::Kernel;
pub use plan::{Options, Plan, Ready, plan};
pub use recover::{Recovered, recover, settle};
pub use replace::complete;
pub use sum::Sum;

use crate::error::{Doing, Error, Result};
use crate::progress::Progress;
use crate::protocol::Stage;
use crate::sources::{Guard, IMAGE, Use};
use crate::squash::Image;
use crate::storage::{Folder, Storage};
use std::sync::Arc;
use sum::Summing;

/// The second image file: the new one while it is built, the old one after the exchange.
/// A short name: one directory entry on FAT.
pub const SECOND: &str = "squashfs.new";

/// Does what the plan says, and gives the new image's SHA-256.
///
/// Of a stick that a system runs from, the new image is put in place, and that is all: the overlay,
/// which wins, keeps what it holds, and the old image, which the system reads, stays as the
/// second one. [`recover`], run where the system is gone, does the rest.
///
/// A store that the kernel gave up is taken up again before anything else.
///
/// Where the stick holds only one image and that was agreed to, it is overwritten by way of a scratch
/// folder; that is outside the promise, and errors are as [`Error::Replacing`] says.
///
/// An error before the exchange leaves the stick as it was, the second file removed. After the
/// exchange every error is an [`Error::Unfinished`]: the image is the new one, `image (+)
/// overlay` is what it was, and the next run completes the rest.
pub fn refresh<F: Folder>(
    mut ready: Ready<'_, F>,
    guard: &dyn Guard,
    progress: &dyn Progress,
) -> Result<Sum> {
    if let Some(scratch) = ready.scratch {
        return replace::replace(ready, scratch, guard, progress);
    }
    ready.sources.take_up(ready.target, guard)?;
    if ready.lends {
        guard.still_ours()?;
        let (target, reserve) = (ready.target, ready.options.reserve);
        ready.sources.list = borrow::borrow(target, &ready.sources.list, reserve)
            .map_err(|error| borrow::undo(target, guard, error))?;
        return absorb(ready, guard, progress).map_err(|error| match error {
            // The next run gives it back, as it completes the rest.
            error @ Error::Unfinished(_) => error,
            error => borrow::undo(target, guard, error),
        });
    }
    absorb(ready, guard, progress)
}

/// Build, verify, exchange, remove, drop; what was borrowed is given back.
fn absorb<F: Folder>(
    ready: Ready<'_, F>,
    guard: &dyn Guard,
    progress: &dyn Progress,
) -> Result<Sum> {
    let (folder, target) = (ready.target.folder, ready.target);
    let file = folder.create(SECOND).doing("creating the new image")?;
    let permit = || folder.permit(SECOND, IMAGE).doing("creating the new image");
    let sum = permit()
        .and_then(|()| build_and_verify(&ready, file, guard, progress))
        .map_err(|error| undo(folder, error))?;
    progress.step(Stage::Commit, 0, 1);
    commit::exchange(folder)?;
    progress.step(Stage::Commit, 1, 1);
    if ready.options.used == Use::Running {
        return Ok(sum);
    }
    let list = ready.sources.list.clone();
    // Nobody reads the old image any more: FAT gives a file's room back only then.
    drop(ready);
    remove_second(folder)
        .and_then(|()| commit::drop_all(target, list, guard, progress))
        .and_then(|()| give_back(target, guard))
        .map_err(Error::unfinished)?;
    Ok(sum)
}

/// Makes `file` the new image, complete, durable, and checked on bytes from the device; nothing
/// that the stick boots from is touched.
fn build_and_verify<F: Folder>(
    ready: &Ready<'_, F>,
    file: F::File,
    guard: &dyn Guard,
    progress: &dyn Progress,
) -> Result<Sum> {
    let folder = ready.target.folder;
    match &ready.kernel {
        None => direct::build(&ready.sources, &ready.options, &file, progress)?,
        Some(kernel) => kernel::build(kernel, ready, &file, progress)?,
    }
    file.sync().doing("writing the new image to the device")?;
    drop(file);
    folder.sync().doing("writing the new image to the device")?;
    progress.step(Stage::Verify, 0, ready.sources.image.inner_bytes().0);
    let new = folder
        .open_uncached(SECOND)
        .doing("opening the new image to read it back")?;
    let summing = Arc::new(Summing::new(new));
    let new = Image::open(summing.clone()).map_err(verify::of_the_new)?;
    let threads = ready.options.threads;
    let sum = verify::verify(&ready.sources, &new, &summing, threads, progress)?;
    if ready.options.used == Use::Running {
        ready.sources.still_listed(ready.target)?;
    }
    guard.still_ours()?;
    progress.check()?;
    Ok(sum)
}

/// Removes the half-made second file after `error`.
fn undo<F: Folder>(folder: &F, error: Error) -> Error {
    match remove_second(folder) {
        Ok(()) => error,
        Err(second) => Error::Undo {
            first: Box::new(error),
            second: Box::new(second),
        },
    }
}

/// Removes the second image, which is the half-made new one or the old one.
fn remove_second<F: Folder>(folder: &F) -> Result<()> {
    folder
        .remove(SECOND)
        .and_then(|()| folder.sync())
        .doing("removing the second image")
}
