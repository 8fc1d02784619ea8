//! A small stick: a real ext4 in a real SquashFS, made by mke2fs, debugfs and mksquashfs, and an
//! overlay of what a learner did there since.

use super::learner::Learner;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use sugar_cellar::ext4::{self, Trust};
use sugar_cellar::overlay::write;
use sugar_cellar::progress::Silent;
use sugar_cellar::sources::IMAGE;
use sugar_cellar::storage::fault::{FaultFolder, Rules};
use sugar_cellar::storage::{Folder, Storage};
use sugar_cellar::units::{Bytes, ChunkSize, Chunks};

/// The overlay's file in the folder.
pub const OVERLAY: &str = "overlay-TEST-0123";
const CHUNK: usize = 4096;
const INNER_BYTES: usize = 5 << 20;
const OVERLAY_BYTES: u64 = 3 << 20;

/// The learner's files: name and contents.
pub fn files() -> [(&'static str, Vec<u8>); 3] {
    [
        ("work", noise(600 << 10, 1)),
        ("kept", noise(900 << 10, 2)),
        ("added", noise(300 << 10, 4)),
    ]
}

/// The small stick: a folder in memory, and what the learner has on it.
pub struct Small {
    pub folder: FaultFolder,
    pub learner: Learner,
}

fn run(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments);
    // Users' paths often lack the sbin folders.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    command.env("PATH", path);
    // The same bytes each time.
    command.env("E2FSPROGS_FAKE_TIME", "1700000000");
    command.env("SOURCE_DATE_EPOCH", "1700000000");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {text} {output:?}"
    );
    text
}

fn noise(length: usize, mut state: u64) -> Vec<u8> {
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8 & 0x3f
    };
    (0..length).map(|_| next()).collect()
}

fn base(place: &Path) -> String {
    let tree = place.join("tree");
    fs::create_dir(&tree).unwrap();
    let [(work, works), (kept, keeps), _] = files();
    fs::write(tree.join(work), works).unwrap();
    fs::write(tree.join(kept), keeps).unwrap();
    fs::write(tree.join("deleted"), noise(500 << 10, 3)).unwrap();
    let image = place.join("rootfs.img");
    fs::File::create(&image)
        .unwrap()
        .set_len(INNER_BYTES as u64)
        .unwrap();
    let image = image.to_str().unwrap().to_owned();
    let hash = "hash_seed=6b33f586-a183-4383-921d-30ab1f3b0e2e";
    let uuid = "1f3f10f6-2d6a-4a4b-a6f3-3f0a3c9e7e11";
    let tree = tree.to_str().unwrap();
    run(
        "mke2fs",
        &[
            "-q", "-t", "ext4", "-b", "1024", "-E", hash, "-U", uuid, "-d", tree, &image,
        ],
    );
    image
}

impl Small {
    pub fn new(rules: Rules, room: u64) -> Small {
        let place = tempfile::tempdir().unwrap();
        let image = base(place.path());
        let live = place.path().join("root/LiveOS");
        fs::create_dir_all(&live).unwrap();
        fs::copy(&image, live.join("rootfs.img")).unwrap();
        let squash = place
            .path()
            .join("squashfs.img")
            .to_str()
            .unwrap()
            .to_owned();
        let root = place.path().join("root").to_str().unwrap().to_owned();
        let flags = [
            "-comp",
            "zstd",
            "-b",
            "32K",
            "-noappend",
            "-quiet",
            "-no-progress",
        ];
        run(
            "mksquashfs",
            &[&[root.as_str(), &squash], &flags[..]].concat(),
        );
        let before = fs::read(&image).unwrap();
        // The learner deletes, writes, and changes.
        let [.., (name, contents)] = files();
        let added = place.path().join(name);
        fs::write(&added, contents).unwrap();
        for request in [
            "rm deleted".to_owned(),
            format!("write {} {name}", added.display()),
            "mkdir folder".to_owned(),
        ] {
            run("debugfs", &["-w", "-R", &request, &image]);
        }
        let after = fs::read(&image).unwrap();
        let blocks = run("debugfs", &["-R", "blocks /work", &image]);
        let places = whole_chunks(&blocks);
        assert!(places.len() > 100, "{blocks}");

        let folder = FaultFolder::new(rules);
        folder.put(IMAGE, &fs::read(&squash).unwrap()).unwrap();
        let store = folder.create(OVERLAY).unwrap();
        store.set_len(Bytes(OVERLAY_BYTES)).unwrap();
        let chunks = (0..INNER_BYTES / CHUNK).filter_map(|chunk| {
            let range = chunk * CHUNK..(chunk + 1) * CHUNK;
            let changed = before[range.clone()] != after[range.clone()];
            // Some were written again with the bytes that they had.
            let again = places.iter().step_by(5).any(|place| *place == chunk as u64);
            (changed || again).then(|| (Chunks(chunk as u64), after[range].to_vec()))
        });
        let list = write::format(&store, ChunkSize::LIVE, chunks).unwrap();
        assert!(list.len() > 80, "{list:?}");
        folder.sync().unwrap();
        let used = fs::metadata(&squash).unwrap().len() + OVERLAY_BYTES;
        folder.set_capacity(Bytes(used + room));
        folder.record();

        let Trust::Free(free) = ext4::free_blocks(&after, &Silent).unwrap() else {
            panic!("not trusted");
        };
        let careless = (0..(INNER_BYTES / CHUNK) as u64)
            .filter(|chunk| free.is_free_range(chunk * CHUNK as u64..(chunk + 1) * CHUNK as u64));
        let learner = Learner {
            content: after,
            chunk_bytes: CHUNK,
            careless: careless.collect(),
            places: Some(places),
            may_lurk: false,
        };
        Small { folder, learner }
    }
}

/// Of a file's 1 KiB blocks, the chunks of 4 KiB that are all its own.
fn whole_chunks(blocks: &str) -> Vec<u64> {
    let blocks: BTreeSet<u64> = blocks
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let chunks: BTreeSet<u64> = blocks.iter().map(|block| block / 4).collect();
    let whole = |chunk: &u64| (0..4).all(|part| blocks.contains(&(chunk * 4 + part)));
    chunks.into_iter().filter(whole).collect()
}
