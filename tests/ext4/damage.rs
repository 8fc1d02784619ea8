//! Damaged file systems: none is trusted, and none leads astray.

use crate::make::Image;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use sugar_cellar::error::ErrorKind;
use sugar_cellar::ext4::{self, FileSystem, Finding, Owner, Trust};
use sugar_cellar::progress::{Progress, Silent};
use sugar_cellar::protocol::Stage;
use sugar_cellar::storage::ReadAt;
use sugar_cellar::units::Bytes;

/// The first number in debugfs's answer to `question`.
#[track_caller]
pub fn number(image: &Image, question: &str) -> u64 {
    let text = image.debugfs(question);
    // The first line repeats the question.
    let answer = text.split_once('\n').map_or("", |(_, answer)| answer);
    let digits: String = answer
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    digits
        .parse()
        .unwrap_or_else(|_| panic!("{question}: {text}"))
}

/// Where each group's block bitmap, inode bitmap and inode table begin, as debugfs says it.
pub fn places(image: &Image) -> Vec<[u64; 3]> {
    let text = image.debugfs("stats\n");
    let after = |part: &str, name: &str| -> u64 {
        let rest = part.split_once(name).unwrap().1;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    };
    text.split(" Group ")
        .skip(1)
        .map(|part| {
            ["block bitmap at ", "inode bitmap at ", "inode table at "]
                .map(|name| after(part, name))
        })
        .collect()
}

/// Why a file system is not trusted.
#[track_caller]
fn found(image: &Image) -> Finding {
    let disk = image.open();
    match ext4::free_blocks(&disk, &Silent).unwrap() {
        Trust::No(finding) => {
            let all = ext4::consistency(&disk, &Silent).unwrap();
            assert!(all.contains(&finding), "{all:?}");
            finding
        }
        Trust::Free(_) => panic!("trusted; e2fsck: {:?}", image.e2fsck()),
    }
}

/// The same, where e2fsck is not content either.
#[track_caller]
fn why(image: &Image) -> Finding {
    let finding = found(image);
    assert!(image.e2fsck().is_some(), "e2fsck is content: {finding}");
    finding
}

/// The inode of a file in the learner's folder.
fn inode_of(image: &Image, name: &str) -> u32 {
    let text = image.debugfs(&format!("stat \"{name}\"\n"));
    let rest = text.split_once("Inode: ").unwrap().1;
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn a_used_block_that_is_called_free() {
    for options in [
        &["-b", "1024", "-g", "8192"] as &[&str],
        &["-b", "1024", "-O", "^metadata_csum,^uninit_bg"],
        &["-b", "1024", "-t", "ext3"],
    ] {
        let image = Image::new("45059K", options);
        // A block of contents, wherever it is; debugfs keeps the bitmap's checksum right.
        for (name, file_block) in [
            ("picture", 300),
            ("holes", 4400),
            ("far", 71680),
            ("journal", 1),
        ] {
            let block = number(&image, &format!("bmap \"{name}\" {file_block}\n"));
            image.debugfs(&format!("freeb {block}\n"));
            let inode = inode_of(&image, name);
            match why(&image) {
                Finding::UsedButFree {
                    owner,
                    block: first,
                    count: 1,
                } => {
                    assert_eq!(owner, Owner::Inode(inode), "{name}");
                    assert!(first <= block, "{name}");
                }
                other => panic!("{name}: {other:?}"),
            }
            image.debugfs(&format!("setb {block}\n"));
        }
        // Each block of the map, of every level.
        let bytes = image.bytes();
        let fs = FileSystem::open(&bytes).unwrap();
        for name in ["holes", "far", "<8>"] {
            let number = inode_of(&image, name);
            let inode = fs.inode(number).unwrap();
            let maps: Vec<u64> = fs
                .runs(&inode)
                .map(|run| run.unwrap())
                .filter(|run| run.kind == ext4::Kind::Map)
                .map(|run| run.block)
                .collect();
            // The outermost ones, some inner ones, and the last: all levels.
            let last = maps.len().saturating_sub(1);
            for (_, block) in maps
                .into_iter()
                .enumerate()
                .filter(|(i, _)| *i < 3 || *i == last)
            {
                image.debugfs(&format!("freeb {block}\n"));
                let expected = Finding::UsedButFree {
                    owner: Owner::Inode(number),
                    block,
                    count: 1,
                };
                assert_eq!(found(&image), expected);
                image.debugfs(&format!("setb {block}\n"));
            }
        }
    }
}

#[test]
fn the_layout_s_own_blocks_that_are_called_free() {
    // Without uninitialised groups, whose bitmaps on the disk would not count.
    let features = "^flex_bg,^metadata_csum,^uninit_bg";
    let image = Image::new("45059K", &["-b", "1024", "-O", features, "-E", "resize=1G"]);
    let places = places(&image);
    for (block, owner) in [
        (1, Owner::Descriptors(0)),
        // A reserved block behind the descriptors.
        (5, Owner::Descriptors(0)),
        // The superblock's copy in group 1.
        (8193, Owner::Descriptors(1)),
        (places[2][0], Owner::BlockBitmap(2)),
        (places[2][1], Owner::InodeBitmap(2)),
        (places[2][2], Owner::InodeTable(2)),
    ] {
        image.debugfs(&format!("freeb {block}\n"));
        match why(&image) {
            Finding::UsedButFree {
                owner: found,
                count: 1,
                ..
            } => assert_eq!(found, owner, "{block}"),
            other => panic!("{block}: {other:?}"),
        }
        image.debugfs(&format!("setb {block}\n"));
    }
}

#[test]
fn attributes_that_are_called_free() {
    for features in ["^ea_inode", "ea_inode"] {
        let image = Image::new("45059K", &["-b", "1024", "-I", "128", "-O", features]);
        let value = "x".repeat(700);
        image.debugfs(&format!("ea_set picture user.note {value}\n"));
        image.repair();
        let block = number(&image, "stat picture\n");
        assert_ne!(block, 0);
        let text = image.debugfs("stat picture\n");
        let block: u64 = text
            .split_once("File ACL: ")
            .and_then(|(_, rest)| rest.split_whitespace().next())
            .unwrap()
            .parse()
            .unwrap();
        assert_ne!(block, 0, "{text}");
        assert!(matches!(
            ext4::free_blocks(&image.open(), &Silent).unwrap(),
            Trust::Free(_)
        ));
        image.debugfs(&format!("freeb {block}\n"));
        assert!(matches!(
            why(&image),
            Finding::UsedButFree { block: found, .. } if found == block
        ));
    }
}

#[test]
fn other_contradictions() {
    let make = || Image::new("45059K", &["-b", "1024", "-t", "ext3"]);

    let image = make();
    let (_, free) = image.free();
    let block = free.last().unwrap().0;
    image.debugfs(&format!("setb {block} 3\n"));
    let lost = Finding::Lost { block, count: 3 };
    assert!(
        ext4::consistency(&image.open(), &Silent)
            .unwrap()
            .contains(&lost)
    );
    assert!(matches!(why(&image), Finding::FreeBlocks { .. }));

    // Two files with one block.
    let image = make();
    let theirs = number(&image, "bmap picture 3\n");
    image.debugfs(&format!("sif tiny block[0] {theirs}\n"));
    assert!(matches!(
        why(&image),
        Finding::UsedTwice { block, .. } if block <= theirs
    ));

    // A map that leads back to itself; e2fsck takes its time over that.
    let image = make();
    let text = image.debugfs("stat holes\n");
    let double: u64 = text
        .split_once("(DIND):")
        .map(|(_, rest)| {
            rest.chars()
                .take_while(char::is_ascii_digit)
                .collect::<String>()
        })
        .unwrap()
        .parse()
        .unwrap();
    image.debugfs(&format!("sif holes block[TIND] {double}\n"));
    assert!(matches!(found(&image), Finding::UsedTwice { .. }));

    // Outside.
    let image = make();
    image.debugfs("sif tiny block[0] 46000\n");
    assert!(matches!(
        why(&image),
        Finding::Misplaced { block: 46000, .. }
    ));

    // In use, and called free.
    let image = make();
    let inode = inode_of(&image, "tiny");
    image.debugfs(&format!("freei <{inode}>\n"));
    let findings = ext4::consistency(&image.open(), &Silent).unwrap();
    assert!(
        findings.contains(&Finding::InodeUnmarked { inode }),
        "{findings:?}"
    );
    assert!(matches!(why(&image), Finding::FreeInodes { .. }));

    // Called used, and nowhere named.
    let image = make();
    image.debugfs("sif picture links_count 0\n");
    assert!(matches!(why(&image), Finding::InodeUnlinked { .. }));

    // e2fsck puts this right without a word, so it has no say here.
    let image = make();
    let (_, free) = image.free();
    image.debugfs("ssv free_blocks_count 5\n");
    let wrong = Finding::FreeBlocks {
        group: None,
        recorded: 5,
        counted: free.iter().map(|(start, end)| end - start).sum(),
    };
    assert_eq!(ext4::consistency(&image.open(), &Silent).unwrap(), [wrong]);
}

#[test]
fn a_journal_that_holds_changes_which_nobody_announced() {
    let image = Image::new("45059K", &["-b", "1024"]);
    let block = number(&image, "bmap <8> 0\n");
    let mut bytes = image.bytes();
    let at = block as usize * 1024;
    for (place, expected) in [
        (0x1f, "holds changes that nobody announced"),
        (0x23, "recorded an error"),
        (0x3, "has no superblock"),
        (0x7, "has no superblock"),
    ] {
        let before = bytes[at + place];
        bytes[at + place] = 9;
        let found = ext4::free_blocks(&bytes, &Silent).unwrap();
        assert!(matches!(found, Trust::No(Finding::Journal(what)) if what == expected));
        bytes[at + place] = before;
    }
    image.debugfs("clri <8>\n");
    let findings = ext4::consistency(&image.open(), &Silent).unwrap();
    assert!(findings.contains(&Finding::Journal("cannot be read")));
}

/// A view whose reads fail from a certain one on, and which counts them.
struct Failing {
    bytes: Vec<u8>,
    left: AtomicUsize,
    good: usize,
}

impl ReadAt for Failing {
    fn size(&self) -> io::Result<Bytes> {
        self.bytes.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if self.left.fetch_add(1, Ordering::Relaxed) >= self.good {
            return Err(io::Error::other("bad sector"));
        }
        self.bytes.read_at(buffer, offset)
    }
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let image = Image::new("45059K", &["-b", "1024", "-O", "orphan_file"]);
    let mut view = Failing {
        bytes: image.bytes(),
        left: AtomicUsize::new(0),
        good: usize::MAX,
    };
    assert!(matches!(
        ext4::free_blocks(&view, &Silent).unwrap(),
        Trust::Free(_)
    ));
    let reads = view.left.load(Ordering::Relaxed);
    for good in (0..reads.min(60)).chain([reads - 1]) {
        view.left = AtomicUsize::new(0);
        view.good = good;
        let error = ext4::free_blocks(&view, &Silent).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        view.left = AtomicUsize::new(0);
        assert!(ext4::consistency(&view, &Silent).is_err());
    }
}

#[test]
fn it_ends_when_asked() {
    struct Impatient;
    impl Progress for Impatient {
        fn step(&self, _: Stage, done: u64, total: u64) {
            assert!(done <= total);
        }
        fn cancelled(&self) -> bool {
            true
        }
    }
    let image = Image::new("45059K", &["-b", "1024"]);
    let error = ext4::free_blocks(&image.open(), &Impatient).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}
