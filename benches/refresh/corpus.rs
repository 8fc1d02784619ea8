//! Real files in an ext4 in a SquashFS, as on a live stick.
//!
//! The files are a Debian with the Sugar desktop, by debootstrap from `deb.debian.org`: what a stick
//! holds. Where that cannot be made, they are this machine's own `/usr`, cut at a size.

use super::measure::{Outcome, Step, prepare};
use super::places::Places;
use std::fmt;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use sugar_cellar::ext4::{FreeBlocks, Trust, free_blocks};
use sugar_cellar::progress::Silent;
use sugar_cellar::storage::DiskFile;

/// The root file system's size for a whole Debian, in MiB: as most live images have it.
const EXT4_MIB: u64 = 3072;
/// Fixed, so that names hash to the same places.
const ID: &str = "6f2a4c5e-0d3b-4b5c-9e7a-3c1d5e7f9a0b";
const DESKTOP: &str = "sugar-session";
/// A tree smaller than this is no desktop: debootstrap ended early.
const LEAST_MIB: u64 = 900;

/// What is refreshed.
#[derive(Debug)]
pub struct Corpus {
    /// The files, in a folder.
    pub files: PathBuf,
    /// The ext4 made of them.
    pub inner: PathBuf,
    /// The SquashFS with it.
    pub image: PathBuf,
    /// Chunks of 4 KiB in use.
    pub used: u64,
    what: String,
}

impl Corpus {
    /// Makes what is not there yet.
    pub fn make(places: &Places) -> Outcome<(Corpus, Places)> {
        let (places, what) = match places.own_mib {
            None => match debian(&places.work) {
                Ok(what) => (places.clone(), what),
                Err(error) => own_files(&places.fall_back(&error.to_string())?)?,
            },
            Some(_) => own_files(places)?,
        };
        let mib = places.own_mib.map_or(EXT4_MIB, |mib| mib * 9 / 4);
        let tree = places.work.join("tree");
        let mut corpus = Corpus {
            files: places.work.join("root"),
            inner: tree.join("LiveOS/rootfs.img"),
            image: places.work.join("base.img"),
            used: 0,
            what,
        };
        if !corpus.image.exists() {
            fs::create_dir_all(tree.join("LiveOS"))?;
            make_ext4(&corpus.files, &corpus.inner, mib)?;
            println!("making the first image");
            squash(&tree, &corpus.image)?;
        }
        let free = corpus.free()?;
        corpus.used = fs::metadata(&corpus.inner)?.len() / 4096 - free.bytes() / 4096;
        Ok((corpus, places))
    }

    /// The blocks that no file uses; they must be known, or nothing is measured that is meant.
    pub fn free(&self) -> Outcome<FreeBlocks> {
        free_in(&self.inner)
    }
}

impl fmt::Display for Corpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len() >> 20);
        write!(
            f,
            "corpus: {}; {} MiB used in an ext4 of {} MiB; image {} MiB",
            self.what,
            self.used >> 8,
            mib(&self.inner),
            mib(&self.image)
        )
    }
}

/// The free blocks of an ext4 in a file.
pub fn free_in(path: &Path) -> Outcome<FreeBlocks> {
    match free_blocks(&DiskFile::new(fs::File::open(path)?), &Silent)? {
        Trust::Free(free) => Ok(free),
        Trust::No(why) => Err(format!("{}: {why}", path.display()).into()),
    }
}

/// mksquashfs as for a live image, as the classic way does it, too.
pub fn squash_command(tree: &Path, image: &Path) -> Command {
    let mut command = Command::new("mksquashfs");
    command.args([tree, image]);
    command.args([
        "-comp",
        "xz",
        "-b",
        "131072",
        "-noappend",
        "-no-progress",
        "-quiet",
    ]);
    command
}

fn squash(tree: &Path, image: &Path) -> Step {
    let half = image.with_extension("half");
    prepare(&mut squash_command(tree, &half))?;
    Ok(fs::rename(half, image)?)
}

fn make_ext4(files: &Path, image: &Path, mib: u64) -> Step {
    match fs::remove_file(image) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let extended = format!("hash_seed={ID},root_owner=0:0,lazy_itable_init=0,nodiscard");
    prepare(
        Command::new("mke2fs")
            .args([
                "-q", "-F", "-t", "ext4", "-b", "4096", "-L", "LIVE", "-U", ID,
            ])
            .args(["-E", &extended, "-d"])
            .args([files, image])
            .arg(format!("{mib}M")),
    )?;
    Ok(())
}

/// A Debian with the desktop in `work/root`.
fn debian(work: &Path) -> Outcome<String> {
    let suite = suite();
    let what = format!("Debian {suite} with {DESKTOP}");
    let root = work.join("root");
    if root.exists() {
        return Ok(what);
    }
    let half = work.join("root.half");
    if half.exists() {
        fs::remove_dir_all(&half)?;
    }
    println!("fetching {what}: some minutes");
    let made = prepare(
        Command::new("debootstrap")
            .args(["--variant=minbase", &format!("--include={DESKTOP}"), &suite])
            .arg(&half),
    );
    // In a container the last steps of installing often fail; what counts is that all is unpacked.
    if let Err(error) = made
        && tree_mib(&half)? < LEAST_MIB
    {
        return Err(error.to_string().lines().next().unwrap_or_default().into());
    }
    // Nothing may be mounted in it, and packages that were unpacked are no part of a stick.
    let archives = half.join("var/cache/apt/archives");
    if archives.exists() {
        fs::remove_dir_all(archives)?;
    }
    fs::rename(half, root)?;
    Ok(what)
}

/// This machine's own suite, where it is a Debian.
fn suite() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let debian = release.lines().any(|line| line == "ID=debian");
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.filter(|_| debian).unwrap_or("bookworm").to_owned()
}

fn tree_mib(root: &Path) -> Outcome<u64> {
    let files = regular_files(root)?;
    let bytes: u64 = files.iter().map(|(_, bytes)| bytes).sum();
    Ok(bytes >> 20)
}

/// This machine's own files in `work/root`, as many as are wanted.
fn own_files(places: &Places) -> Outcome<(Places, String)> {
    let mib = places.own_mib.unwrap_or_default();
    let what = format!("{mib} MiB of this machine's /usr");
    let root = places.work.join("root");
    if !root.exists() {
        let half = places.work.join("root.half");
        if half.exists() {
            fs::remove_dir_all(&half)?;
        }
        let left = copy_tree(Path::new("/usr"), &half.join("usr"), mib << 20)?;
        fs::create_dir_all(half.join("home"))?;
        if left > 0 {
            println!("/usr is {} MiB short of what was asked for", left >> 20);
        }
        fs::rename(half, root)?;
    }
    Ok((places.clone(), what))
}

/// Copies until `room` bytes are used up; how much of it is left.
fn copy_tree(from: &Path, to: &Path, mut room: u64) -> Outcome<u64> {
    fs::create_dir_all(to)?;
    for entry in sorted(from)? {
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            room = copy_tree(&entry.path(), &target, room)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path())?, target)?;
        } else if kind.is_file() {
            let bytes = entry.metadata()?.len();
            // Files that this user may not read are passed over.
            if bytes <= room && fs::copy(entry.path(), target).is_ok() {
                room -= bytes;
            }
        }
        if room < 4096 {
            break;
        }
    }
    Ok(room)
}

fn sorted(folder: &Path) -> Outcome<Vec<fs::DirEntry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        entries.push(entry?);
    }
    entries.sort_by_key(fs::DirEntry::file_name);
    Ok(entries)
}

/// All regular files with one name only, and their lengths, by name.
pub fn regular_files(root: &Path) -> Outcome<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in sorted(&folder)? {
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if metadata.is_file() && metadata.nlink() == 1 {
                found.push((entry.path(), metadata.len()));
            }
        }
    }
    found.sort();
    Ok(found)
}
