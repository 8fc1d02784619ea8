//! A practice stick: a folder with a small, real LiveOS and a partly filled overlay.
//!
//! Nothing in it is pretended: the ext4 is made by mke2fs, the image is a
//! SquashFS, and the overlay holds what three school days changed in a copy of
//! the ext4. No root is needed. All of it comes from the seed; the same seed
//! gives the same bytes (for one version of e2fsprogs).

pub(crate) mod content;
pub(crate) mod disk;
mod image;
pub(crate) mod learner;
pub(crate) mod random;
pub(crate) mod sparse;
pub(crate) mod store;

pub use image::Compression;

use crate::error::{Doing, Error, Part, Result};
use crate::progress::Progress;
use crate::units::Bytes;
use disk::Disk;
use learner::Scale;
use random::Random;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use store::Changes;

/// How large the root file system may be, in MiB.
pub const SIZES: RangeInclusive<u64> = 32..=4096;
/// How large it is when nobody says, in MiB.
pub const DEFAULT_SIZE: u64 = 256;

/// What is wanted of a practice stick.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The root file system's size in MiB, in [`SIZES`]. The overlay is a quarter of it.
    pub mebibytes: u64,
    /// What all content is made from.
    pub seed: u64,
    /// How the image is compressed.
    pub compression: Compression,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            mebibytes: DEFAULT_SIZE,
            seed: 1,
            compression: Compression::default(),
        }
    }
}

/// Makes a practice stick at `stick`, which must not exist, or be an empty folder.
///
/// Where it fails or is cancelled, nothing is left of it.
///
/// # Errors
/// `Exists` where something lies at `stick`, `Refused` where the size is out of range, `Missing`
/// without e2fsprogs.
pub fn make(stick: &Path, options: &Options, progress: &dyn Progress) -> Result<()> {
    if !SIZES.contains(&options.mebibytes) {
        let detail = format!("{} MiB is not in {SIZES:?}", options.mebibytes);
        return Err(Error::refused(Part::Stick, detail));
    }
    let place = Place::take(stick)?;
    build(&place.work, options, progress)?;
    place.finish()
}

/// Builds `work/LiveOS`.
fn build(work: &Path, options: &Options, progress: &dyn Progress) -> Result<()> {
    let scale = Scale::new(options.mebibytes);
    let seed = options.seed;
    let size = Bytes(options.mebibytes << 20);
    let mut random = Random::new(seed, "stick");
    let (uuid, hash_seed, stick_id) = (random.uuid(), random.uuid(), random.uuid().to_uppercase());
    let (base, changed) = ("rootfs.img", "changed.img");

    let mut disk = Disk::format(work, base, size, [&uuid, &hash_seed], learner::TERM)?;
    learner::install(&mut disk, seed, scale)?;
    progress.check()?;
    disk.apply(base)?;
    disk.check(base)?;

    let live = work.join("LiveOS");
    fs::create_dir(&live).doing("creating LiveOS")?;
    let base_file = File::open(work.join(base)).doing("reading the practice image")?;
    let image = create(&live.join("squashfs.img"))?;
    image::write(
        &base_file,
        options.compression,
        learner::TERM,
        &image,
        progress,
    )?;
    image.sync_all().doing("writing the compressed image")?;
    let again = File::open(live.join("squashfs.img")).doing("reading the compressed image")?;
    let whole = File::open(work.join(base)).doing("reading the practice image")?;
    image::verify(again, &whole, progress)?;

    let changed_file = create(&work.join(changed))?;
    sparse::copy(&base_file, &changed_file).doing("copying the practice image")?;
    let mut changes = Changes::default();
    for day in 0..learner::DAYS {
        progress.check()?;
        learner::school_day(&mut disk, seed, scale, day)?;
        disk.apply(changed)?;
        changes.note(&base_file, &changed_file)?;
    }
    disk.check(changed)?;
    // Named as for a stick labelled PRACTICE with a FAT volume number.
    let name = format!("overlay-PRACTICE-{}-{}", &stick_id[..4], &stick_id[9..13]);
    let overlay = create(&live.join(name))?;
    changes.write(&changed_file, overlay, Bytes(size.0 / 4))
}

fn create(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).open(path);
    file.doing(format!("creating {}", path.display()))
}

/// The folder that becomes the stick, and the hidden one inside it where all is built.
///
/// Built inside, not beside, so that it also works where the folder is the
/// root of a mounted stick. Dropped without [`Place::finish`], it removes what it made.
#[derive(Debug)]
struct Place {
    stick: PathBuf,
    work: PathBuf,
    /// Whether the folder itself is ours to remove again.
    created: bool,
    finished: bool,
}

impl Place {
    fn take(stick: &Path) -> Result<Place> {
        let created = match fs::create_dir(stick) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error).doing(format!("creating {}", stick.display())),
        };
        if !created {
            let mut entries = fs::read_dir(stick).doing(format!("reading {}", stick.display()))?;
            if entries.next().is_some() {
                let path = stick.display().to_string();
                return Err(Error::Exists { path });
            }
        }
        let work = stick.join(".practice");
        let place = Place {
            stick: stick.to_owned(),
            work,
            created,
            finished: false,
        };
        fs::create_dir(&place.work).doing(format!("creating {}", place.work.display()))?;
        Ok(place)
    }

    fn finish(mut self) -> Result<()> {
        let doing = "putting the practice stick in its place";
        fs::rename(self.work.join("LiveOS"), self.stick.join("LiveOS")).doing(doing)?;
        self.finished = true;
        fs::remove_dir_all(&self.work).doing(doing)
    }
}

impl Drop for Place {
    /// What cannot be removed now stays; there is nobody left to tell.
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let gone = fs::remove_dir_all(&self.work);
        if self.created && gone.is_ok() {
            let _ = fs::remove_dir(&self.stick);
        }
    }
}
