//! A practice stick, as tests of several rooms use it.

// Each test takes what it needs.
#![allow(dead_code)]

#[path = "../model/alone.rs"]
mod alone;

pub use alone::Alone;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use sugar_cellar::error::Result;
use sugar_cellar::merged::Merged;
use sugar_cellar::overlay::{ExceptionStore, write};
use sugar_cellar::practice;
use sugar_cellar::progress::{Progress, Silent};
use sugar_cellar::protocol::OverlayState;
use sugar_cellar::refresh::{self, Options};
use sugar_cellar::sources::{IMAGE, Target, Use};
use sugar_cellar::squash::Image;
use sugar_cellar::storage::{DiskFile, DiskFolder, Folder, ReadAt};
use sugar_cellar::units::{ChunkSize, Chunks};

/// A practice stick in a temporary folder.
pub struct Practised {
    pub place: tempfile::TempDir,
    pub overlay: String,
}

impl Practised {
    pub fn new(compression: practice::Compression) -> Practised {
        let place = tempfile::tempdir().unwrap();
        let options = practice::Options {
            mebibytes: 64,
            seed: 7,
            compression,
        };
        practice::make(&place.path().join("stick"), &options, &Silent).unwrap();
        let folder = place.path().join("stick/LiveOS");
        let overlay = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .find(|name| name.starts_with("overlay-"))
            .unwrap();
        Practised { place, overlay }
    }

    /// One whose image holds the file system `base`, all of which is in the overlay as `now` has it.
    pub fn of(base: &[u8], now: &[u8]) -> Practised {
        let place = tempfile::tempdir().unwrap();
        let (tree, live) = (place.path().join("tree/LiveOS"), "stick/LiveOS");
        let live = place.path().join(live);
        fs::create_dir_all(&tree).unwrap();
        fs::create_dir_all(&live).unwrap();
        fs::write(tree.join("rootfs.img"), base).unwrap();
        let made = Command::new("mksquashfs")
            .args([place.path().join("tree"), live.join(IMAGE)])
            .args(["-comp", "zstd", "-quiet", "-no-progress"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let overlay = "overlay-TEST-0123-4567";
        let store = fs::File::create_new(live.join(overlay)).unwrap();
        store.set_len(2 * now.len() as u64).unwrap();
        let chunks = (0..).zip(now.chunks(ChunkSize::LIVE.bytes().0 as usize));
        let chunks = chunks.filter(|(_, bytes)| bytes.iter().any(|byte| *byte != 0));
        let chunks = chunks.map(|(index, bytes)| (Chunks(index), bytes.to_vec()));
        write::format(&DiskFile::new(store), ChunkSize::LIVE, chunks).unwrap();
        Practised {
            place,
            overlay: overlay.to_owned(),
        }
    }

    pub fn path(&self) -> PathBuf {
        self.place.path().join("stick/LiveOS")
    }

    pub fn folder(&self) -> DiskFolder {
        DiskFolder::open(&self.path()).unwrap()
    }

    pub fn target<'f>(&'f self, folder: &'f DiskFolder) -> Target<'f, DiskFolder> {
        Target {
            folder,
            overlay: &self.overlay,
        }
    }

    pub fn list(&self) -> ExceptionStore {
        let store = self.folder().open(&self.overlay).unwrap();
        ExceptionStore::read(&store, None).unwrap()
    }

    /// The inner image without the overlay, all of it.
    pub fn base(&self) -> Vec<u8> {
        let image = Image::open(Arc::new(self.folder().open(IMAGE).unwrap())).unwrap();
        let mut bytes = vec![0; image.inner_bytes().0 as usize];
        image.reader(8).read_at(&mut bytes, 0).unwrap();
        bytes
    }

    /// `image (+) overlay`, all of it.
    pub fn learner_has(&self) -> Vec<u8> {
        let folder = self.folder();
        let image = Image::open(Arc::new(folder.open(IMAGE).unwrap())).unwrap();
        let store = folder.open(&self.overlay).unwrap();
        let list = ExceptionStore::read(&store, Some(image.inner_bytes())).unwrap();
        let merged = Merged::new(image.reader(8), &store, &list).unwrap();
        let mut bytes = vec![0; merged.size().unwrap().0 as usize];
        merged.read_at(&mut bytes, 0).unwrap();
        bytes
    }

    pub fn options(&self) -> Options {
        Options {
            compression: None,
            keep_deleted: false,
            used: Use::AtRest,
            reserve: refresh::RESERVE,
            threads: 2,
        }
    }

    pub fn refresh(&self, change: impl Fn(&mut Options), progress: &dyn Progress) -> Result<()> {
        let folder = self.folder();
        let target = self.target(&folder);
        let mut options = self.options();
        change(&mut options);
        refresh::recover(target, 2, &Alone, progress)?;
        let plan = refresh::plan(target, options, progress)?;
        let largest = plan.image.largest_bytes;
        refresh::refresh(plan.ready()?, &Alone, progress)?;
        let image = folder.open(IMAGE).unwrap().size().unwrap();
        assert!(image <= largest, "{image} > {largest}");
        Ok(())
    }

    pub fn figures(&self) -> (u64, OverlayState) {
        let list = self.list();
        (list.figures().used.0, list.state())
    }

    /// Everything on the stick, by name.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let names = self.folder().entries().unwrap();
        names
            .into_iter()
            .map(|entry| {
                (
                    entry.name.clone(),
                    fs::read(self.path().join(&entry.name)).unwrap(),
                )
            })
            .collect()
    }
}
