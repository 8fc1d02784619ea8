//! The new image takes the old one's place, where the stick holds only one of them.
//!
//! Only with explicit consent: meanwhile the stick does not start. But stick and scratch folder
//! together hold everything at any instant. The order, and what a cut between leaves:
//! 1. a note on the stick names a file in the scratch folder - the stick is as it was, and a note;
//! 2. the new image is that file: written, durable, verified as ever - the same, and a file to remove;
//! 3. the note says what the file is known by, and the file is held against it, read anew; the old
//!    image becomes as long as the new one, so that there is room for all of it - the same;
//! 4. the old image's first sector becomes zeros, in one step - from here on the stick does not start,
//!    and the scratch file is its image: the next run goes on from here ([`complete`]);
//! 5. all but the first sector is copied over it, durable, and compared, read from the device - the same;
//! 6. the first sector is copied, in one step - the stick starts, with the same content;
//! 7. the list is dropped, the scratch file removed, and the note last - the same.
//!
//! Written over, and not removed and written anew: no name changes, and nothing of FAT's records but
//! where the image grows, which comes before anything is lost. Whoever finds a first sector finds a
//! whole image, so that the note decides nothing but which file completes it.

use super::borrow::SPARE;
use super::plan::Ready;
use super::recover::whole;
use super::sum::{Sum, Summing};
use super::{commit, direct, verify};
use crate::error::{Doing, Error, Part, Result};
use crate::progress::Progress;
use crate::protocol::Stage;
use crate::sources::{Guard, IMAGE};
use crate::squash::{Archive, Image};
use crate::stick::note::{self, Found, Mark, Note, Replacing};
use crate::storage::{Folder, ReadAt, Storage};
use crate::units::{Bytes, SECTOR};
use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::Arc;

/// As XZ has it; quick by its tables.
const CRC64: crc::Crc<u64, crc::Table<16>> = crc::Crc::<u64, crc::Table<16>>::new(&crc::CRC_64_XZ);
/// What is copied at once, in bytes.
const PIECE: usize = 1 << 20;
/// SquashFS images are filled up to whole blocks of this, for loop devices.
const PADDING: u64 = 4096;

/// What the stick has room for, if the new image takes the old one's place.
pub(super) fn available<F: Folder>(folder: &F, free: Bytes) -> Result<Bytes> {
    // Holes give nothing.
    let old = folder.taken(IMAGE);
    let old = old.doing("asking how much the image takes")?;
    // The note takes some, too.
    Ok((old + free).saturating_sub(SPARE))
}

/// Does what the plan says, by way of `scratch`.
///
/// An error before the first sector is overwritten leaves the stick as it was, and nothing in the
/// scratch folder. From then on it is [`Error::Replacing`]; once the image is whole again,
/// [`Error::Unfinished`].
pub(super) fn replace<F: Folder>(
    mut ready: Ready<'_, F>,
    scratch: &F,
    guard: &dyn Guard,
    progress: &dyn Progress,
) -> Result<Sum> {
    let target = ready.target;
    let folder = target.folder;
    guard.still_ours()?;
    if note::read(folder)? != Found::Nothing {
        let detail = "an earlier command noted down something that is still to be done";
        return Err(Error::refused(Part::Stick, detail));
    }
    // Found out now, and not when the new image is made.
    let writing = folder.open_writable(IMAGE);
    writing.doing("opening the old image to write over it")?;
    let name = note::scratch_name(RandomState::new().build_hasher().finish());
    let (mark, sum) = note::create(folder, &Note::replacing(&name, None))
        .doing(NOTING)
        .and_then(|()| prepare(&ready, scratch, &name, guard, progress))
        .map_err(|error| undo(folder, scratch, &name, error))?;
    let steps = Steps::new(progress, mark);
    let new = checked(scratch, &name, mark, &steps)
        .and_then(|new| make_room(folder, mark).map(|()| new))
        .and_then(|new| guard.still_ours().map(|()| new))
        .map_err(|error| undo(folder, scratch, &name, error))?;
    write_over(folder, &new, mark, &steps).map_err(|error| half_done(&name, &error))?;
    drop(new);
    // Only now does anything of the overlay change.
    let taken_up = trim(folder).and_then(|()| ready.sources.take_up(target, guard));
    let list = ready.sources.list.clone();
    drop(ready);
    taken_up
        .and_then(|()| commit::drop_all(target, list, guard, progress))
        .and_then(|()| remove_scratch(scratch, &name))
        .and_then(|()| note::remove(folder).doing("removing the note"))
        .map_err(Error::unfinished)?;
    Ok(sum)
}

const NOTING: &str = "noting that the image is to be replaced";

/// Makes the scratch folder's file `name` the new image, complete, durable, and checked on bytes
/// from its device; and notes what it is known by.
fn prepare<F: Folder>(
    ready: &Ready<'_, F>,
    scratch: &F,
    name: &str,
    guard: &dyn Guard,
    progress: &dyn Progress,
) -> Result<(Mark, Sum)> {
    let writing = "writing the new image to the scratch folder";
    let file = scratch.create(name).doing(writing)?;
    direct::build(&ready.sources, &ready.options, &file, progress)?;
    file.sync().doing(writing)?;
    drop(file);
    scratch.sync().doing(writing)?;
    progress.step(Stage::Verify, 0, ready.sources.image.inner_bytes().0);
    let file = scratch.open_uncached(name).doing(READING)?;
    let bytes = file.size().doing(READING)?.0;
    let crc64 = sum(&file, 0..bytes, CRC64.digest(), &mut |_| progress.check())?.finalize();
    let threads = ready.options.threads;
    let summing = Arc::new(Summing::new(file));
    let sum = Image::open(summing.clone())
        .map_err(verify::of_the_new)
        .and_then(|new| verify::verify(&ready.sources, &new, &summing, threads, progress))
        .map_err(of_the_scratch)?;
    let old = first_sector(ready.target.folder, IMAGE).doing("reading the image's first sector")?;
    let replaces = CRC64.checksum(&old);
    let mark = Mark {
        bytes,
        crc64,
        replaces,
    };
    progress.check()?;
    guard.still_ours()?;
    note::rewrite(ready.target.folder, &Note::replacing(name, Some(mark))).doing(NOTING)?;
    Ok((mark, sum))
}

/// What a cut replacement left is completed, as far as the image goes: afterwards it is whole, and the
/// scratch folder holds nothing of it any more. [`super::recover`] does the rest, and takes away the
/// note. Needs the stick's lock.
///
/// Before the scratch file is removed, all of the image is read: somebody may have begun to copy the
/// file by hand. Or put another image there: then what earlier refreshes took up is in the file alone.
///
/// # Errors
/// `Replacing` where the scratch file is needed and not there, and where this is cut in turn;
/// `Refused` where it is not the one that the note speaks of, and where the stick has an image that is
/// neither the old nor the new one: then nothing was changed.
pub fn complete<F: Folder>(
    folder: &F,
    scratch: &F,
    threads: usize,
    guard: &dyn Guard,
    progress: &dyn Progress,
) -> Result<()> {
    let Found::Note(Note::Replacing(Replacing {
        scratch: name,
        image,
    })) = note::read(folder)?
    else {
        return Ok(());
    };
    let entries = scratch.entries().doing("reading the scratch folder")?;
    let there = entries.iter().any(|entry| entry.name == name);
    if !there {
        // A whole image needs nothing from here.
        return not_begun(folder);
    }
    let Some(mark) = image else {
        // Nothing was taken from the old image. If it is gone all the same, nothing is thrown away.
        return match note::image_is_gone(folder)? {
            true => Ok(()),
            false => remove_scratch(scratch, &name),
        };
    };
    let to_begin = is_to_begin(folder, scratch, &name, mark)?;
    if !to_begin {
        not_begun(folder)?;
    }
    if to_begin || whole(folder, IMAGE, threads, progress)?.is_err() {
        let steps = Steps::new(progress, mark);
        let new = checked(scratch, &name, mark, &steps)?;
        guard.still_ours()?;
        make_room(folder, mark)?;
        write_over(folder, &new, mark, &steps).map_err(|error| half_done(&name, &error))?;
    }
    remove_scratch(scratch, &name)
}

/// Whether the image has no first sector; if it has one, it must be the old or the new image's.
fn is_to_begin<F: Folder>(folder: &F, scratch: &F, name: &str, mark: Mark) -> Result<bool> {
    if note::image_is_gone(folder)? {
        return Ok(true);
    }
    let image = first_sector(folder, IMAGE).doing("reading the image's first sector")?;
    if CRC64.checksum(&image) != mark.replaces
        && image != first_sector(scratch, name).doing(READING)?
    {
        let detail = format!(
            "{IMAGE} was replaced by another one; {name} is kept, and without its folder the stick is refreshed as it is"
        );
        return Err(Error::refused(Part::Image, detail));
    }
    Ok(false)
}

/// Read from the device.
fn first_sector<F: Folder>(folder: &F, name: &str) -> io::Result<[u8; SECTOR as usize]> {
    let mut sector = [0; SECTOR as usize];
    folder.open_uncached(name)?.read_at(&mut sector, 0)?;
    Ok(sector)
}

/// `Err(Replacing)` where a note says so and the image is gone. Where a note says so and it is there, it is
/// durable then: a run that was killed may have left its first sector in memory alone.
pub(super) fn not_begun<F: Folder>(folder: &F) -> Result<()> {
    if let Some(file) = note::awaited(folder)? {
        return Err(gone(&file));
    }
    let Found::Note(Note::Replacing(_)) = note::read(folder)? else {
        return Ok(());
    };
    match folder.open(IMAGE).and_then(|image| image.sync()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.doing("making the image durable"),
    }
}

/// Cuts off what [`make_room`] added behind the image's end, or a larger old one left there. Not on FAT,
/// where a length and its clusters lie apart.
pub(super) fn trim<F: Folder>(folder: &F) -> Result<()> {
    let doing = "cutting the image's file at its end";
    if !folder.shortens_at_once().doing(doing)? {
        return Ok(());
    }
    let file = folder.open_writable(IMAGE).doing(doing)?;
    let image = Archive::open(Arc::new(folder.open(IMAGE).doing(doing)?))?;
    let end = Bytes(image.bytes_used().0.next_multiple_of(PADDING));
    if file.size().doing(doing)? > end {
        file.set_len(end).and_then(|()| file.sync()).doing(doing)?;
    }
    Ok(())
}

/// After `error` of what came before the old image was touched.
fn undo<F: Folder>(folder: &F, scratch: &F, name: &str, error: Error) -> Error {
    let there = folder.entries().doing("reading the folder LiveOS");
    let there = there.map(|all| all.iter().any(|entry| entry.name == note::NOTE));
    let undone = trim(folder)
        .and_then(|()| remove_scratch(scratch, name))
        .and_then(|()| match there? {
            true => note::remove(folder).doing("removing the note"),
            false => Ok(()),
        });
    match undone {
        Ok(()) => error,
        Err(second) => Error::Undo {
            first: Box::new(error),
            second: Box::new(second),
        },
    }
}

/// Removes the scratch file, where it is still there.
fn remove_scratch<F: Folder>(scratch: &F, name: &str) -> Result<()> {
    match scratch.remove(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.and_then(|()| scratch.sync()),
    }
    .doing("removing the image from the scratch folder")
}

/// The scratch file, if it is, read from its device, what `mark` says.
fn checked<F: Folder>(scratch: &F, name: &str, mark: Mark, steps: &Steps<'_>) -> Result<F::File> {
    let file = scratch.open_uncached(name).doing(READING)?;
    let right = file.size().doing(READING)?.0 == mark.bytes && {
        let all = 0..mark.bytes;
        let read = sum(&file, all, CRC64.digest(), &mut |bytes| steps.check(bytes))?;
        read.finalize() == mark.crc64
    };
    if !right {
        let detail = format!("{name} is not the image that the stick's note speaks of");
        return Err(Error::refused(Part::Scratch, detail));
    }
    Ok(file)
}

/// Makes the image's file at least as long as the new image, with room for all of it.
fn make_room<F: Folder>(folder: &F, mark: Mark) -> Result<()> {
    let doing = "making room for the new image";
    let file = match folder.open_writable(IMAGE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => folder.create(IMAGE),
        other => other,
    };
    let file = file.doing(doing)?;
    if file.size().doing(doing)? < Bytes(mark.bytes) {
        file.allocate(Bytes(mark.bytes)).doing(doing)?;
    }
    file.sync().and_then(|()| folder.sync()).doing(doing)
}

/// Writes `new` over the image; the first sector goes first and comes last.
fn write_over<F: Folder>(folder: &F, new: &F::File, mark: Mark, steps: &Steps<'_>) -> Result<()> {
    let doing = "writing over the old image";
    let mut first = [0; SECTOR as usize];
    new.read_at(&mut first, 0).doing(READING)?;
    let image = folder.open_writable(IMAGE).doing(doing)?;
    image
        .write_at(&[0; SECTOR as usize], 0)
        .and_then(|()| image.sync())
        .doing(doing)?;
    let mut piece = vec![0; PIECE];
    for at in pieces(SECTOR..mark.bytes) {
        piece.resize((at.end - at.start) as usize, 0);
        new.read_at(&mut piece, at.start).doing(READING)?;
        image.write_at(&piece, at.start).doing(doing)?;
        image.start_writing(at.start, at.end - at.start);
        steps.step(at.end - at.start);
    }
    image.sync().and_then(|()| folder.sync()).doing(doing)?;
    // Read back from the device, past the cache.
    let back = folder.open_uncached(IMAGE).doing(doing)?;
    let mut digest = CRC64.digest();
    digest.update(&first);
    let rest = SECTOR..mark.bytes;
    let read = sum(&back, rest, digest, &mut |bytes| {
        steps.step(bytes);
        Ok(())
    })?;
    if read.finalize() != mark.crc64 {
        return Err(not_as_written());
    }
    image
        .write_at(&first, 0)
        .and_then(|()| image.sync())
        .doing(doing)?;
    let mut again = [0; SECTOR as usize];
    back.read_at(&mut again, 0).doing(doing)?;
    if again != first {
        return Err(not_as_written());
    }
    Ok(())
}

const READING: &str = "reading the new image from the scratch folder";

/// `digest`, fed with the bytes `all` of `file`; `read` is told of each piece.
fn sum<'a>(
    file: &dyn ReadAt,
    all: std::ops::Range<u64>,
    mut digest: crc::Digest<'a, u64, crc::Table<16>>,
    read: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<crc::Digest<'a, u64, crc::Table<16>>> {
    let mut piece = vec![0; PIECE];
    for at in pieces(all) {
        piece.resize((at.end - at.start) as usize, 0);
        file.read_at(&mut piece, at.start)
            .doing("reading the new image back")?;
        digest.update(&piece);
        read(at.end - at.start)?;
    }
    Ok(digest)
}

/// `all` in pieces.
fn pieces(all: std::ops::Range<u64>) -> impl Iterator<Item = std::ops::Range<u64>> {
    let end = all.end;
    all.step_by(PIECE)
        .map(move |start| start..(start + PIECE as u64).min(end))
}

/// Tells how far it is: the new image is read, copied, and read back.
struct Steps<'a> {
    progress: &'a dyn Progress,
    done: Cell<u64>,
    total: u64,
}

impl Steps<'_> {
    fn new(progress: &dyn Progress, mark: Mark) -> Steps<'_> {
        Steps {
            progress,
            done: Cell::new(0),
            total: mark.bytes.saturating_mul(3),
        }
    }

    fn step(&self, bytes: u64) {
        self.done.set(self.done.get() + bytes);
        let done = self.done.get().min(self.total);
        self.progress.step(Stage::Commit, done, self.total);
    }

    /// A step that may still be cancelled.
    fn check(&self, bytes: u64) -> Result<()> {
        self.step(bytes);
        self.progress.check()
    }
}

/// What is damaged is not what the stick holds.
fn of_the_scratch(error: Error) -> Error {
    match error {
        Error::Damaged {
            part: Part::NewImage,
            detail,
        } => Error::damaged(Part::Scratch, detail),
        other => other,
    }
}

fn not_as_written() -> Error {
    let detail = "the new image did not come back from the stick as it was written";
    Error::damaged(Part::NewImage, detail)
}

fn gone(name: &str) -> Error {
    Error::Replacing {
        file: name.to_owned(),
        detail: "the image on the stick is neither the old nor the new one".to_owned(),
    }
}

fn half_done(name: &str, error: &Error) -> Error {
    Error::Replacing {
        file: name.to_owned(),
        detail: error.to_string(),
    }
}
