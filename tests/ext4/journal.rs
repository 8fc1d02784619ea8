//! Journals replayed in memory, judged by e2fsck's own replay.

use crate::make::{Image, tool};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use sugar_cellar::ext4::{FileSystem, Inode, Replayed};
use sugar_cellar::progress::Silent;
use sugar_cellar::storage::ReadAt;

/// Blocks that the journals below write to: contents of a large file, whatever they were.
const TARGETS: [u64; 4] = [3000, 3001, 3002, 3003];

/// A file of blocks to write, each filled with another letter; the second begins as a journal does.
fn payload(folder: &Path, name: &str, letter: u8, block_bytes: usize) {
    let mut bytes = Vec::new();
    for index in 0..TARGETS.len() as u8 {
        bytes.extend(vec![letter + index; block_bytes]);
    }
    bytes[block_bytes..block_bytes + 4].copy_from_slice(&[0xc0, 0x3b, 0x39, 0x98]);
    fs::write(folder.join(name), bytes).unwrap();
}

/// What a mount would see: e2fsck replays on a copy.
fn replayed_by_e2fsck(image: &Image) -> Vec<u8> {
    let copy = tempfile::NamedTempFile::new().unwrap();
    fs::copy(image.path(), copy.path()).unwrap();
    let output = tool("e2fsck")
        .args(["-y", "-E", "journal_only"])
        .arg(copy.path())
        .output()
        .unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    fs::read(copy.path()).unwrap()
}

/// Where the two views differ, in blocks, the superblock's and those of the journal left out.
fn differences(image: &Image) -> (usize, Vec<u64>) {
    let disk = image.open();
    let replayed = Replayed::new(&disk, &Silent).unwrap();
    let fs = FileSystem::open(&disk).unwrap();
    let block_bytes = fs.geometry().block_bytes as usize;
    let journal: Inode = fs.inode(fs.journal().unwrap()).unwrap();
    let own: Vec<_> = fs.runs(&journal).map(|run| run.unwrap().blocks()).collect();
    let judged = replayed_by_e2fsck(image);
    let mut ours = vec![0; judged.len()];
    replayed.read_at(&mut ours, 0).unwrap();
    let superblock = 1024 / block_bytes as u64;
    let pairs = judged.chunks(block_bytes).zip(ours.chunks(block_bytes));
    let differ = (0u64..)
        .zip(pairs)
        .filter(|(_, (judged, ours))| judged != ours)
        .map(|(block, _)| block)
        .filter(|block| *block != superblock && !own.iter().any(|run| run.contains(block)))
        .collect();
    // In pieces that begin and end inside blocks it reads the same.
    for at in (0..ours.len() - 3000).step_by(40_013) {
        let mut piece = vec![0; 2777];
        replayed.read_at(&mut piece, at as u64).unwrap();
        assert!(piece == ours[at..at + piece.len()], "at {at}");
    }
    (replayed.blocks(), differ)
}

/// Transactions as debugfs writes them: overwritten, revoked, without an end.
fn transactions(image: &Image, opening: &str, block_bytes: usize) {
    let place = tempfile::tempdir().unwrap();
    let mut script = String::new();
    let mut write = |letter: u8, options: &str| {
        let name = format!("letters-{letter}");
        payload(place.path(), &name, letter, block_bytes);
        let file = place.path().join(name);
        script += &format!("{opening}\njw {options} {}\njc\n", file.display());
    };
    write(b'a', "-b 3000,3001,3002,3003");
    write(b'h', "-b 3001");
    write(b'o', "-b 3003 -r 3000");
    write(b'u', "-b 3002 -c");
    image.debugfs(&script);
}

#[test]
fn it_is_what_e2fsck_makes_of_it() {
    for (options, opening, block_bytes) in [
        (&["-b", "4096"] as &[&str], "jo", 4096),
        (&["-b", "4096"], "jo -c", 4096),
        (&["-b", "4096"], "jo -c -v 2", 4096),
        (&["-b", "4096"], "jo -c -v 3", 4096),
        (&["-b", "1024"], "jo -c", 1024),
        (&["-b", "1024", "-O", "^64bit,^metadata_csum"], "jo", 1024),
        (&["-b", "2048", "-O", "^64bit"], "jo -c -v 2", 2048),
        (&["-b", "4096", "-t", "ext3"], "jo", 4096),
    ] {
        let what = format!("{options:?} {opening}");
        let image = Image::new("45059K", options);
        assert_eq!(differences(&image), (0, Vec::new()), "{what}: clean");
        transactions(&image, opening, block_bytes);
        let (blocks, differ) = differences(&image);
        assert_eq!(differ, [] as [u64; 0], "{what}");
        assert_eq!(blocks, 3, "{what}");
    }
}

/// A transaction whose commit is damaged never was; one whose contents are is passed over.
#[test]
fn damaged_blocks_are_not_put_in_place() {
    let image = Image::new("45059K", &["-b", "4096"]);
    transactions(&image, "jo -c", 4096);
    let first = {
        let disk = image.open();
        let fs = FileSystem::open(&disk).unwrap();
        let journal = fs.inode(fs.journal().unwrap()).unwrap();
        fs.runs(&journal).next().unwrap().unwrap().block
    };
    let whole = image.bytes();
    // The log begins behind its superblock: descriptor, four blocks, commit; descriptor, block, commit;
    // revocations, descriptor, block, commit; and one without a commit.
    for (block, left) in [
        (1, 0),
        (2, 3),
        (3, 3),
        (6, 0),
        (7, 4),
        (9, 4),
        (12, 3),
        (13, 4),
    ] {
        let at = (first + block) * 4096 + 40;
        let file = OpenOptions::new().write(true).open(image.path()).unwrap();
        file.write_all_at(&[0x5a; 4], at).unwrap();
        let disk = image.open();
        let blocks = Replayed::new(&disk, &Silent).unwrap().blocks();
        assert_eq!(blocks, left, "block {block} of the log");
        file.write_all_at(&whole[at as usize..at as usize + 4], at)
            .unwrap();
    }
}
