//! The classic way: all out, changed, all in again.

use super::changes::Change;
use super::corpus::{Corpus, squash_command};
use super::measure::{self, Figures, Outcome, Step};
use super::places::Places;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use sugar_cellar::overlay::ExceptionStore;
use sugar_cellar::storage::{DiskFile, ReadAt};

/// What it took and made.
#[derive(Debug, Clone, Copy)]
pub struct Classic {
    pub figures: Figures,
    pub image_bytes: u64,
}

pub fn run(places: &Places, _: &Corpus, change: &Change) -> Outcome<Classic> {
    println!("the classic way: some minutes");
    let work = places.work.join("classic");
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    fs::create_dir_all(&work)?;
    let (tree, new) = (work.join("tree"), work.join("new.img"));
    let mut out = Command::new("unsquashfs");
    out.args(["-quiet", "-no-progress", "-dest"]).arg(&tree);
    out.arg(places.work.join("base.img"));
    let mut patch = Command::new(std::env::current_exe()?);
    patch
        .arg("patch")
        .arg(tree.join("LiveOS/rootfs.img"))
        .arg(&change.overlay);
    let figures = measure::run(&mut out)?
        .then(measure::run(&mut patch)?)
        .then(measure::run(&mut squash_command(&tree, &new))?)
        .then(measure::run(Command::new("sync").arg(&new))?);
    let image_bytes = fs::metadata(&new)?.len();
    fs::remove_dir_all(&work)?;
    Ok(Classic {
        figures,
        image_bytes,
    })
}

/// Writes the overlay's chunks into the unpacked file system.
pub fn patch(inner: &Path, store: &Path) -> Step {
    let inner = OpenOptions::new().write(true).open(inner)?;
    let store = DiskFile::new(fs::File::open(store)?);
    let list = ExceptionStore::read(&store, None)?;
    let size = list.chunk_size().bytes().0;
    let mut chunk = vec![0; size as usize];
    for exception in list.iter() {
        store.read_at(&mut chunk, exception.new.0 * size)?;
        inner.write_all_at(&chunk, exception.old.0 * size)?;
    }
    Ok(())
}
