//! File systems that had a life after mke2fs: files came and went, it grew and shrank.

use crate::combinations::same_as_dumpe2fs;
use crate::make::Image;
use std::fs::OpenOptions;
use sugar_cellar::ext4::{self, Trust};
use sugar_cellar::progress::Silent;
use sugar_cellar::storage::ReadAt;

/// Files go, come, get longer, get holes, share attributes; nodes without blocks appear.
fn live(image: &Image) {
    let value = "v".repeat(600);
    let mut script = String::new();
    for index in (0..300).step_by(3) {
        script += &format!("rm \"journal/entry {index}\"\n");
    }
    script += "rm picture\nmkdir desk\nmknod desk/pipe p\nmknod desk/device b 8 1\n";
    script += "symlink desk/to tiny\n";
    script += &format!("symlink desk/far {}\n", "x/".repeat(100));
    script += "write far desk/copy\nwrite holes desk/lace\npunch desk/lace 3 200\n";
    script += &format!("ea_set desk/copy user.note {value}\n");
    script += &format!("ea_set desk/lace user.note {value}\n");
    script += "ln tiny desk/again\nsif desk/again links_count 2\n";
    image.debugfs(&script);
    // debugfs leaves the counting of its changes to e2fsck.
    image.repair();
}

#[test]
fn files_came_and_went() {
    for options in [
        &["-b", "1024"] as &[&str],
        &["-b", "4096", "-g", "2048", "-O", "inline_data,ea_inode"],
        &["-b", "1024", "-t", "ext3", "-I", "128"],
        &["-b", "2048", "-O", "^metadata_csum,uninit_bg"],
    ] {
        let image = Image::new("45059K", options);
        live(&image);
        same_as_dumpe2fs(&image, &options.join(" "));
        image.debugfs("fallocate desk/copy 500 4000\n");
        if options.contains(&"ext3") {
            // Nothing can be kept unwritten there.
            continue;
        }
        image.repair();
        same_as_dumpe2fs(&image, &options.join(" "));
    }
}

#[test]
fn it_shrank_and_grew() {
    for options in [
        &["-b", "1024"] as &[&str],
        &["-b", "4096", "-g", "2048"],
        &["-b", "1024", "-t", "ext3"],
        &["-b", "1024", "-O", "meta_bg,^resize_inode"],
        &["-b", "1024", "-O", "sparse_super2"],
    ] {
        let image = Image::new("45059K", options);
        let before = image.open().size().unwrap().0;
        image.resize2fs(None);
        same_as_dumpe2fs(&image, &options.join(" "));

        // What lies behind the file system's end in the image belongs to nobody known.
        let file = OpenOptions::new().write(true).open(image.path()).unwrap();
        file.set_len(before).unwrap();
        let Trust::Free(free) = ext4::free_blocks(&image.open(), &Silent).unwrap() else {
            panic!("not trusted");
        };
        assert!(!free.is_free_range(before - 4096..before));
        assert!(!free.is_free_range(before..before + 4096));
        assert!(free.runs().all(|run| run.end < before));

        image.resize2fs(Some("90M"));
        same_as_dumpe2fs(&image, &options.join(" "));
    }
}

#[test]
fn its_features_changed() {
    let image = Image::new("45059K", &["-b", "1024", "-O", "^metadata_csum,uninit_bg"]);
    image.tune2fs(&["-O", "metadata_csum"]);
    image.repair();
    same_as_dumpe2fs(&image, "metadata_csum came");
    image.tune2fs(&["-U", "random", "-O", "metadata_csum_seed"]);
    same_as_dumpe2fs(&image, "its UUID changed");
    image.tune2fs(&["-O", "orphan_file,quota"]);
    image.repair();
    same_as_dumpe2fs(&image, "orphan_file and quota came");
    image.tune2fs(&["-O", "^has_journal,^orphan_file"]);
    assert!(matches!(
        ext4::free_blocks(&image.open(), &Silent).unwrap(),
        Trust::No(ext4::Finding::NoJournal)
    ));
    image.tune2fs(&["-j"]);
    same_as_dumpe2fs(&image, "its journal came back");
    let image = Image::new("45059K", &["-b", "1024", "-t", "ext2"]);
    image.tune2fs(&["-j", "-O", "extents,uninit_bg,dir_index"]);
    image.repair();
    same_as_dumpe2fs(&image, "it was an ext2");
}

#[test]
fn an_orphan_file_that_is_not_empty() {
    let image = Image::new("45059K", &["-b", "1024", "-O", "orphan_file"]);
    let mut bytes = image.bytes();
    let text = image.debugfs("show_super_stats -h\n");
    let inode = text
        .lines()
        .find_map(|line| line.strip_prefix("Orphan file inode:"))
        .unwrap()
        .trim()
        .to_string();
    let text = image.debugfs(&format!("bmap <{inode}> 5\n"));
    let block: usize = text.lines().nth(1).unwrap().trim().parse().unwrap();
    bytes[block * 1024 + 400] = 12;
    assert!(matches!(
        ext4::free_blocks(&bytes, &Silent).unwrap(),
        Trust::No(ext4::Finding::Orphans)
    ));
}
