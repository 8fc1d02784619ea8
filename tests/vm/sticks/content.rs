//! What is on the sticks before anybody uses them: a small system's root, made
//! on the host without root, as three kinds of live image.

use crate::harness::run;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A live image, as its makers made it.
#[derive(Debug, Clone, Copy)]
pub struct Base {
    /// What it is called here.
    pub name: &'static str,
    /// The inner image's name below LiveOS.
    pub inner: &'static str,
    /// What mke2fs is told.
    ext4: &'static [&'static str],
    /// What mksquashfs is told.
    squashfs: &'static [&'static str],
    /// The inner image's size in MiB.
    mebibytes: u64,
}

/// As Fedora's live images were until release 41.
pub const MODERN: Base = Base {
    name: "modern",
    inner: "rootfs.img",
    ext4: &["-b", "4096"],
    squashfs: &["-comp", "xz", "-b", "131072"],
    mebibytes: 64,
};

/// As they were ten years earlier: small blocks, no checksums, the old name.
pub const OLD: Base = Base {
    name: "old",
    inner: "ext3fs.img",
    ext4: &["-b", "1024", "-O", "^metadata_csum,^64bit,^flex_bg"],
    squashfs: &["-comp", "gzip", "-b", "131072"],
    mebibytes: 40,
};

/// With zstd, larger SquashFS blocks, and small block groups.
pub const ZSTD: Base = Base {
    name: "zstd",
    inner: "rootfs.img",
    ext4: &["-b", "4096", "-g", "2048"],
    squashfs: &["-comp", "zstd", "-b", "262144"],
    mebibytes: 48,
};

/// All of them.
pub const BASES: &[Base] = &[MODERN, OLD, ZSTD];

/// A file in the image whose blocks follow each other, and which tests overwrite chunk by chunk.
const PAD: &str = "usr/share/pad";
/// Its length in bytes: room for four areas and a bit.
const PAD_BYTES: usize = 5 << 20;

impl Base {
    /// The compressed image below `folder`.
    pub fn squashfs(&self, folder: &Path) -> PathBuf {
        folder.join(self.name).join("squashfs.img")
    }

    /// The inner image as it was compressed.
    pub fn image(&self, folder: &Path) -> PathBuf {
        folder.join(self.name).join("LiveOS").join(self.inner)
    }

    /// Makes both below `folder`.
    pub fn make(&self, root: &Path, folder: &Path) {
        let image = self.image(folder);
        fs::create_dir_all(image.parent().unwrap()).unwrap();
        run(Command::new("mke2fs")
            .args(["-q", "-F", "-t", "ext4", "-m", "0", "-L", "live"])
            .args(["-E", "root_owner=0:0"])
            .args(self.ext4)
            .arg("-d")
            .arg(root)
            .arg(&image)
            .arg(format!("{}M", self.mebibytes)));
        run(Command::new("mksquashfs")
            .arg(image.parent().unwrap())
            .arg(self.squashfs(folder))
            .args([
                "-keep-as-directory",
                "-noappend",
                "-no-progress",
                "-all-root",
            ])
            .args(self.squashfs));
    }

    /// The first of the pad's blocks, in ext4's blocks, on an image with blocks as long as a chunk.
    pub fn pad_start(&self, folder: &Path) -> u64 {
        let blocks = run(Command::new("debugfs")
            .arg("-R")
            .arg(format!("blocks /{PAD}"))
            .arg(self.image(folder)));
        let blocks: Vec<u64> = blocks
            .split_whitespace()
            .map(|block| block.parse().unwrap())
            .collect();
        let straight = blocks.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        assert!(straight, "{}'s pad lies in pieces", self.name);
        blocks[0]
    }
}

/// A small system's root below `root`: programs, books, a learner's home.
pub fn root(root: &Path) {
    let mut noise = Noise(1);
    let put = |path: String, bytes: Vec<u8>| put(root, &path, &bytes);
    put("etc/hosts".into(), b"127.0.0.1 localhost\n".into());
    put("etc/hostname".into(), b"stick\n".into());
    for n in 0..6 {
        put(format!("usr/lib/library{n}.so"), noise.program(400_000));
    }
    for n in 0..12 {
        put(format!("usr/share/books/{n}.txt"), noise.text(90_000));
    }
    for n in 0..200 {
        put(format!("usr/share/icons/{n}.svg"), noise.text(900));
    }
    for n in 0..30 {
        put(format!("usr/share/games/level{n}"), noise.program(20_000));
    }
    for n in 0..8 {
        put(
            format!("home/learner/Documents/{n}.txt"),
            noise.text(30_000),
        );
    }
    put(PAD.into(), noise.text(PAD_BYTES));
}

/// What a learner will save, below `folder`.
pub fn saved(folder: &Path) {
    let mut noise = Noise(2);
    for n in 0..8 {
        put(folder, &format!("pictures/{n}.jpg"), &noise.bytes(350_000));
    }
    for n in 0..40 {
        put(folder, &format!("journal/{n}/data"), &noise.text(12_000));
        put(folder, &format!("journal/{n}/metadata"), &noise.text(300));
    }
    put(folder, "noise", &noise.bytes(PAD_BYTES));
}

fn put(folder: &Path, path: &str, bytes: &[u8]) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// The same content each time: a linear congruential generator, its low bits mixed.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) ^ self.0
    }

    /// Compresses not at all, as pictures do.
    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.next().to_le_bytes());
        words.flatten().take(length).collect()
    }

    /// Compresses well.
    fn text(&mut self, length: usize) -> Vec<u8> {
        const WORDS: &[&str] = &[
            "apple", "boat", "cloud", "dream", "earth", "friend", "garden", "house", "island",
            "journey", "kite", "lemon", "moon", "night", "ocean", "paper", "sugar", "cellar\n",
        ];
        let mut text = Vec::with_capacity(length + 16);
        while text.len() < length {
            let word = self.next() as usize % WORDS.len();
            text.extend(format!("{} {} ", WORDS[word], self.next() % 1000).bytes());
        }
        text.truncate(length);
        text
    }

    /// Compresses by about half, with runs of zeros.
    fn program(&mut self, length: usize) -> Vec<u8> {
        let mut program = Vec::with_capacity(length + 512);
        while program.len() < length {
            match self.next() % 4 {
                0 => program.resize(program.len() + 256, 0),
                1 => program.extend(self.text(256)),
                _ => program.extend(self.bytes(128)),
            }
        }
        program.truncate(length);
        program
    }
}
