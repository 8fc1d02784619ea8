//! Refreshes of practice sticks in a folder, judged by unsquashfs and e2fsck.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "ext4/make.rs"]
mod make;
mod practised;

use practised::{Alone, Practised};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use sugar_cellar::error::Error;
use sugar_cellar::practice;
use sugar_cellar::progress::{Progress, Silent};
use sugar_cellar::protocol::{OverlayState, Stage};
use sugar_cellar::refresh::{self, Options, Recovered, SECOND};
use sugar_cellar::sources::IMAGE;
use sugar_cellar::squash::{Compression, Image};
use sugar_cellar::storage::{DiskFile, Folder};
use sugar_cellar::tidy;

/// Ends at the first step of a stage.
struct EndAt(Stage, AtomicU64);

impl Progress for EndAt {
    fn step(&self, stage: Stage, _: u64, _: u64) {
        if stage == self.0 {
            self.1.store(1, Ordering::Relaxed);
        }
    }

    fn cancelled(&self) -> bool {
        self.1.load(Ordering::Relaxed) == 1
    }
}

/// The inner image as unsquashfs reads it.
fn unsquashed(stick: &Practised) -> Vec<u8> {
    let out = stick.place.path().join("unsquashed");
    let status = Command::new("unsquashfs")
        .args(["-quiet", "-no-progress", "-dest"])
        .arg(&out)
        .arg(stick.path().join(IMAGE))
        .status()
        .unwrap();
    assert!(status.success());
    let bytes = fs::read(out.join("LiveOS/rootfs.img")).unwrap();
    fs::remove_dir_all(out).unwrap();
    bytes
}

fn e2fsck(bytes: &[u8], place: &Path) {
    let file = place.join("checked.img");
    fs::write(&file, bytes).unwrap();
    let output = Command::new("e2fsck")
        .arg("-fn")
        .arg(&file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(!text.contains("Fix?"), "{text}");
}

/// Where the two differ, only zeros are in `after`, and `before`'s bitmaps call it free.
fn same_in_use(before: Vec<u8>, after: &[u8]) -> u64 {
    let free = sugar_cellar::ext4::free_blocks(&before, &Silent).unwrap();
    let sugar_cellar::ext4::Trust::Free(free) = free else {
        panic!("{free:?}");
    };
    assert_eq!(before.len(), after.len());
    let mut zeroed = 0;
    for (index, (old, new)) in before.chunks(4096).zip(after.chunks(4096)).enumerate() {
        if old != new {
            let start = index as u64 * 4096;
            assert!(free.is_free_range(start..start + 4096), "block {index}");
            assert!(new.iter().all(|byte| *byte == 0), "block {index}");
            zeroed += 1;
        }
    }
    zeroed
}

#[test]
fn nothing_is_lost_and_the_overlay_is_empty() {
    for compression in [
        practice::Compression::Xz,
        practice::Compression::Gzip,
        practice::Compression::Zstd,
    ] {
        let stick = Practised::new(compression);
        let before = stick.learner_has();
        assert!(stick.figures().0 > 100);
        stick.refresh(|_| (), &Silent).unwrap();
        assert_eq!(stick.figures(), (16, OverlayState::Empty));
        let after = stick.learner_has();
        assert_eq!(unsquashed(&stick), after, "{compression:?}");
        e2fsck(&after, stick.place.path());
        assert!(
            same_in_use(before, &after) > 0,
            "deleted files' blocks are given back"
        );
        let names: Vec<_> = stick.files().into_iter().map(|(name, _)| name).collect();
        assert!(!names.iter().any(|name| name == SECOND), "{names:?}");
    }
}

#[test]
fn with_keep_deleted_every_byte_is_the_same() {
    let stick = Practised::new(practice::Compression::Zstd);
    let before = stick.learner_has();
    stick
        .refresh(|options| options.keep_deleted = true, &Silent)
        .unwrap();
    assert!(before == stick.learner_has());
    assert!(before == unsquashed(&stick));
}

#[test]
fn another_compression_holds_the_same() {
    let stick = Practised::new(practice::Compression::Gzip);
    let before = stick.learner_has();
    let zstd = |options: &mut Options| options.compression = Some(Compression::Zstd);
    stick.refresh(zstd, &Silent).unwrap();
    let after = stick.learner_has();
    same_in_use(before, &after);
    assert_eq!(unsquashed(&stick), after);
    let file: DiskFile = stick.folder().open(IMAGE).unwrap();
    let image = Image::open(Arc::new(file)).unwrap();
    assert_eq!(image.compression(), Compression::Zstd);
}

/// Nothing counts as free in a file system with features that are not known, and nothing is lost.
#[test]
fn a_file_system_that_is_not_understood_is_kept_whole() {
    let base = make::Image::new("45059K", &["-O", "bigalloc"]).bytes();
    let mut now = base.clone();
    let picture = now.chunks(4096).position(|chunk| chunk == [7; 4096]);
    now[picture.unwrap() * 4096] = 8;
    let stick = Practised::of(&base, &now);
    let folder = stick.folder();
    let plan = refresh::plan(stick.target(&folder), stick.options(), &Silent).unwrap();
    assert!(!plan.free_blocks.trusted);
    let why = plan.free_blocks.detail.as_ref().unwrap();
    assert!(why.contains("bigalloc"), "{why}");
    // Whether it holds a kernel's modules is advice.
    let kernels = BTreeSet::from(["6.1.0".to_owned()]);
    assert_eq!(plan.kernels(kernels, &Silent).unwrap(), []);
    tidy::stick(stick.target(&folder), &Alone, &Silent).unwrap();
    assert_eq!(stick.list().len(), 1);
    assert!(stick.learner_has() == now);
    stick.refresh(|_| (), &Silent).unwrap();
    assert_eq!(stick.figures(), (16, OverlayState::Empty));
    assert!(unsquashed(&stick) == now);
}

#[test]
fn cancelled_in_any_stage_before_the_exchange_it_is_as_it_was() {
    let stick = Practised::new(practice::Compression::Zstd);
    let before = stick.files();
    for stage in [Stage::Check, Stage::Build, Stage::Verify] {
        let end = EndAt(stage, AtomicU64::new(0));
        let result = stick.refresh(|_| (), &end);
        assert!(
            matches!(result, Err(Error::Cancelled)),
            "{stage:?}: {result:?}"
        );
        assert!(before == stick.files(), "{stage:?}");
    }
}

/// A store that the kernel would give up with its last chunk becomes a chunk longer.
#[test]
fn a_length_that_is_a_trap_is_left() {
    for tidied in [false, true] {
        let stick = Practised::new(practice::Compression::Zstd);
        let overlay = stick.path().join(&stick.overlay);
        // 15 areas of 256 entries, each in a chunk, the header's chunk, and no room for another area.
        let trap = (15 * 257 + 1) * 4096;
        let file = fs::File::options().write(true).open(&overlay).unwrap();
        file.set_len(trap).unwrap();
        let before = stick.learner_has();
        if tidied {
            let folder = stick.folder();
            tidy::stick(stick.target(&folder), &Alone, &Silent).unwrap();
        } else {
            let keep = |options: &mut Options| options.keep_deleted = true;
            stick.refresh(keep, &Silent).unwrap();
        }
        assert_eq!(fs::metadata(&overlay).unwrap().len(), trap + 4096);
        if !tidied {
            assert!(stick.learner_has() == before);
        }
        same_in_use(before, &stick.learner_has());
    }
}

#[test]
fn a_half_written_second_image_is_cleared_away() {
    let stick = Practised::new(practice::Compression::Zstd);
    let before = stick.learner_has();
    let image = fs::read(stick.path().join(IMAGE)).unwrap();
    let second = stick.path().join(SECOND);
    for half in [&image[..0], &image[..50], &vec![0; 5000]] {
        fs::write(&second, half).unwrap();
        let folder = stick.folder();
        let found = refresh::recover(stick.target(&folder), 2, &Alone, &Silent).unwrap();
        assert_eq!(found, Recovered::Completed);
        assert!(!second.exists());
        same_in_use(before.clone(), &stick.learner_has());
    }
    // The image itself under a second name: one chain of clusters, as far as anybody can tell.
    fs::write(&second, &image).unwrap();
    let files = stick.files();
    let refused = stick.refresh(|_| (), &Silent);
    assert!(matches!(refused, Err(Error::Damaged { .. })), "{refused:?}");
    assert!(files == stick.files());
}

#[test]
fn the_whole_one_of_two_images_is_put_in_place() {
    let stick = Practised::new(practice::Compression::Zstd);
    let before = stick.learner_has();
    let image = stick.path().join(IMAGE);
    let second = stick.path().join(SECOND);
    // Only the second name is there.
    fs::rename(&image, &second).unwrap();
    let recover = || {
        let folder = stick.folder();
        refresh::recover(stick.target(&folder), 2, &Alone, &Silent)
    };
    recover().unwrap();
    assert!(image.exists() && !second.exists());
    // The first is cut short.
    let whole = fs::read(&image).unwrap();
    fs::write(&second, &whole).unwrap();
    let mut cut = whole[..whole.len() / 2].to_vec();
    cut[8] ^= 1;
    fs::write(&image, &cut).unwrap();
    recover().unwrap();
    assert!(fs::read(&image).unwrap() == whole);
    assert!(!second.exists());
    same_in_use(before, &stick.learner_has());
    // Neither is whole: nothing is touched.
    fs::write(&image, &cut).unwrap();
    fs::write(&second, &cut[..1000]).unwrap();
    let files = stick.files();
    assert!(recover().is_err());
    assert!(files == stick.files());
}
