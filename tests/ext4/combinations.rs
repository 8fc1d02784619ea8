//! Every layout that mke2fs makes: the same free blocks as dumpe2fs, and nothing found.

use crate::make::Image;
use sugar_cellar::ext4::{self, Trust};
use sugar_cellar::progress::Silent;
use sugar_cellar::storage::ReadAt;

/// Free blocks are trusted, and are those that dumpe2fs lists.
#[track_caller]
pub fn same_as_dumpe2fs(image: &Image, what: &str) {
    if let Some(text) = image.e2fsck() {
        panic!("{what}: e2fsck finds fault:\n{text}");
    }
    let disk = image.open();
    assert_eq!(ext4::consistency(&disk, &Silent).unwrap(), [], "{what}");
    let Trust::Free(free) = ext4::free_blocks(&disk, &Silent).unwrap() else {
        panic!("{what}: not trusted");
    };
    let (block_bytes, wanted) = image.free();
    assert_eq!(free.block_bytes(), block_bytes, "{what}");
    let runs: Vec<(u64, u64)> = free
        .runs()
        .map(|run| (run.start / block_bytes, run.end / block_bytes))
        .collect();
    assert_eq!(runs, wanted, "{what}");
    for (start, end) in wanted {
        assert!(free.is_free_range(start * block_bytes..end * block_bytes));
        assert!(!free.is_free_range(start * block_bytes - 1..end * block_bytes));
        // What lies beyond the image's end does not count.
        let at_end = end * block_bytes == disk.size().unwrap().0;
        let longer = start * block_bytes..end * block_bytes + 1;
        assert_eq!(free.is_free_range(longer), at_end);
    }
}

/// Makes a file system with each of `layouts`, in groups of 8 MiB, the last one cut short.
#[track_caller]
fn all(size: &[&str], layouts: &[&[&str]]) {
    for layout in layouts {
        let options = [size, layout].concat();
        let image = Image::new("45059K", &options);
        if layout.iter().any(|option| option.contains("quota")) {
            // mke2fs counts its own files wrongly there.
            image.repair();
        }
        same_as_dumpe2fs(&image, &options.join(" "));
    }
}

const SMALL: &[&str] = &["-b", "1024"];
const MIDDLE: &[&str] = &["-b", "2048", "-g", "4096"];
const LARGE: &[&str] = &["-b", "4096", "-g", "2048"];

const CLASSIC: &[&[&str]] = &[
    &["-t", "ext3"],
    &["-t", "ext3", "-I", "128"],
    &["-O", "^extents,^64bit"],
    &["-O", "^extents,^64bit,^metadata_csum"],
    &["-O", "^metadata_csum,uninit_bg"],
    &["-O", "^metadata_csum,uninit_bg,64bit"],
    &["-O", "^metadata_csum,^uninit_bg"],
    &["-O", "^metadata_csum,^uninit_bg,^flex_bg"],
    &["-O", "^sparse_super,^resize_inode"],
];

const LAYOUT: &[&[&str]] = &[
    &[],
    &["-O", "^64bit"],
    &["-O", "64bit"],
    &["-O", "^flex_bg"],
    &["-O", "^resize_inode"],
    &["-O", "meta_bg,^resize_inode"],
    &["-O", "meta_bg,^resize_inode,^flex_bg,^64bit"],
    &["-O", "sparse_super2"],
    &["-O", "sparse_super2,^resize_inode", "-E", "num_backup_sb=1"],
    &["-E", "packed_meta_blocks=1"],
    &["-E", "resize=1G"],
    &["-E", "stride=16,stripe_width=64"],
    &["-E", "lazy_itable_init=1"],
    &["-G", "2"],
    &["-N", "20000", "-m", "0"],
    &["-J", "size=8"],
];

const CONTENTS: &[&[&str]] = &[
    &["-I", "512"],
    &["-O", "inline_data"],
    &["-O", "ea_inode,large_dir"],
    &["-O", "orphan_file"],
    &["-O", "metadata_csum_seed"],
    &["-O", "quota,project", "-I", "256"],
    &["-O", "casefold,encrypt,verity,stable_inodes"],
    &["-O", "mmp"],
    &["-O", "fast_commit"],
];

#[test]
fn classic_small() {
    all(SMALL, CLASSIC);
}

#[test]
fn classic_large() {
    all(LARGE, CLASSIC);
}

#[test]
fn layouts_small() {
    all(SMALL, LAYOUT);
}

#[test]
fn layouts_large() {
    all(LARGE, LAYOUT);
}

#[test]
fn contents_small() {
    all(SMALL, CONTENTS);
}

#[test]
fn contents_large() {
    all(LARGE, CONTENTS);
}

#[test]
fn middle_sizes() {
    all(
        MIDDLE,
        &[&[], &["-t", "ext3"], &["-O", "meta_bg,^resize_inode"]],
    );
    // Block sizes that some kernels only read.
    all(&["-b", "8192"], &[&[], &["-t", "ext3"]]);
    all(&["-b", "16384"], &[&[], &["-t", "ext3"]]);
}
