//! Images that lie: nothing may panic, hang or take memory for what is not there.

use crate::editing::{Memory, options};
use crate::maker::{Maker, contents};
use proptest::prelude::*;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use sugar_cellar::error::{Error, ErrorKind, Result};
use sugar_cellar::progress::{Progress, Silent};
use sugar_cellar::protocol::Stage;
use sugar_cellar::squash::{
    Archive, Block, Changes, Compression, Contents, Fate, Image, Options, forecast, rewrite,
    same_block, same_but_inner,
};
use sugar_cellar::storage::fault::Random;

/// No single image may take longer, on a busy machine.
const LONGEST: Duration = Duration::from_secs(20);
/// No loop over images may ever take more memory altogether.
const MOST_MEMORY_KIB: u64 = 160 << 10;

/// Changes the first and the last block, and frees the second.
struct Some3 {
    last: u64,
}

impl Changes for Some3 {
    fn fate(&self, block: u64) -> Fate {
        match block {
            1 => Fate::Hole,
            0 => Fate::Change,
            _ if block == self.last => Fate::Change,
            _ => Fate::Keep,
        }
    }

    fn needs_old(&self, block: u64) -> bool {
        block == 0
    }

    fn patch(&self, _: u64, bytes: &mut [u8]) -> Result<()> {
        if let Some(first) = bytes.first_mut() {
            *first ^= 1;
        }
        Ok(())
    }
}

/// Does everything that can be done with an image.
fn exercise(bytes: &[u8]) -> Result<()> {
    let started = Instant::now();
    let result = exercise_all(bytes);
    assert!(started.elapsed() < LONGEST, "{:?}", started.elapsed());
    match &result {
        // What an image says never is the system's fault, but for reads behind its end.
        Err(Error::Io { source, doing }) => {
            assert_eq!(source.kind(), std::io::ErrorKind::UnexpectedEof, "{doing}");
        }
        Err(error) => assert!(
            [ErrorKind::Damaged, ErrorKind::Unsupported].contains(&error.kind()),
            "{error}"
        ),
        Ok(()) => {}
    }
    result
}

fn exercise_all(bytes: &[u8]) -> Result<()> {
    let Contents::Inner(image) = Archive::open(Arc::new(bytes.to_vec()))?.contents()? else {
        return Ok(());
    };
    let mut blocks = image.in_order();
    let mut plain = Vec::new();
    // A length that lies is not worth reading for ever.
    for index in 0..image.blocks().min(40) {
        // One bad block does not hide the others.
        let _ = blocks.plain(index, &mut plain);
    }
    let changes = Some3 {
        last: image.blocks().saturating_sub(1),
    };
    for recompress in [None, Some(Compression::Gzip), Some(Compression::Lz4)] {
        let options = Options {
            recompress,
            ..options(1)
        };
        let out = Memory::default();
        let most = forecast(&image, &changes, &options)?.at_most;
        let written = rewrite(&image, &changes, &options, &out, &Silent)?;
        assert!(written.bytes <= most, "{written:?} {most}");
        let new = Image::open(Arc::new(out.0.into_inner().unwrap()))?;
        same_but_inner(&image, &new, &Silent)?;
        let (mut was, mut is) = (image.in_order(), new.in_order());
        for index in 2..image.blocks().min(40) {
            if changes.fate(index) == Fate::Keep {
                assert!(same_block(&mut was, &mut is, index)?, "block {index}");
            }
        }
    }
    Ok(())
}

/// A small image with much in it. Stored as it is, so that its fields are in sight.
fn sample(way: &str) -> Vec<u8> {
    let maker = Maker::new();
    maker.put("LiveOS/rootfs.img", &contents(30_000, 70));
    maker.put("LiveOS/other", &contents(9_000, 71));
    maker.put("LiveOS/twin", &contents(9_000, 71));
    maker.put("one", b"one");
    for i in 0..12 {
        maker.put(&format!("folder/{i}"), &contents(50 * i, 72));
    }
    std::os::unix::fs::symlink("one", maker.tree("link")).unwrap();
    let long = [b'l'; 60];
    for name in ["one", "LiveOS/other"] {
        for attribute in ["user.test", "user.more"] {
            let flags = rustix::fs::XattrFlags::empty();
            let set = rustix::fs::setxattr(maker.tree(name), attribute, &long, flags);
            if let Err(error) = set {
                eprintln!("SKIPPED: extended attributes: {error}");
            }
        }
    }
    maker.image(&format!("-b 4K -nopad {way}"))
}

const WAYS: [&str; 6] = [
    "-comp gzip -noI -noD -noF -noX",
    "-comp gzip",
    "-comp xz -Xbcj x86",
    "-comp zstd",
    "-comp lzo -always-use-fragments",
    "-comp lz4",
];

#[test]
fn whole_images_are_fine() {
    for way in WAYS {
        exercise(&sample(way)).unwrap();
    }
}

/// The end of the inner file is said to lie in a fragment block without bytes: it cannot be changed,
/// and is not passed over in silence.
#[test]
fn a_fragment_block_without_bytes_is_refused() {
    let mut bytes = sample("-comp gzip -noI -noD -noF -noX -always-use-fragments");
    let number =
        |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    // The superblock names the list of the table's blocks; each entry has a start, then a size.
    let list = number(&bytes, 80) as usize;
    let entries = number(&bytes, list) as usize + 2;
    let many = u32::from_le_bytes(bytes[16..20].try_into().unwrap()) as usize;
    for entry in 0..many {
        let size = entries + 16 * entry + 8;
        bytes[size..size + 4].fill(0);
    }
    let Contents::Inner(image) = Archive::open(Arc::new(bytes)).unwrap().contents().unwrap() else {
        panic!("an image");
    };
    let last = image.blocks() - 1;
    assert!(matches!(image.block(last), Block::Fragment(_)));
    let out = Memory::default();
    let written = rewrite(&image, &Some3 { last }, &options(1), &out, &Silent);
    assert!(matches!(written, Err(Error::Damaged { .. })), "{written:?}");
}

/// The last block is compressed to a thousand times its length, and copied as it is.
#[test]
fn a_block_stored_in_more_bytes_than_it_has_is_forecast() {
    const LONG: usize = 9996;
    let maker = Maker::new();
    maker.put("LiveOS/rootfs.img", &noise((128 << 10) + LONG));
    let mut bytes = maker.image("-comp gzip -b 128K -noI -no-fragments");
    // Random bytes are stored as they are, in front of all tables.
    let word = (LONG as u32 | 1 << 24).to_le_bytes();
    let at = bytes.windows(4).rposition(|four| four == word).unwrap();
    bytes[at..at + 4].copy_from_slice(&(LONG as u32).to_le_bytes());
    let length = (128u32 << 10) + 10;
    bytes[at - 8..at - 4].copy_from_slice(&length.to_le_bytes());
    // Empty parts, then a one and nine zeros, and their sum.
    let mut stored = vec![0x78, 0x01];
    stored.extend([0, 0, 0, 0xff, 0xff].repeat(1995));
    stored.extend([1, 10, 0, 0xf5, 0xff, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    stored.extend([0, 20, 0, 2]);
    let start = 96 + (128 << 10);
    bytes[start..start + LONG].copy_from_slice(&stored);
    let image = Image::open(Arc::new(bytes)).unwrap();
    assert_eq!(image.length_of(1), 10);
    let out = Memory::default();
    let most = forecast(&image, &Unchanged, &options(1)).unwrap().at_most;
    let written = rewrite(&image, &Unchanged, &options(1), &out, &Silent).unwrap();
    assert!(written.bytes <= most, "{written:?} {most}");
    assert!(written.bytes.0 > (128 << 10) + LONG as u64, "{written:?}");
}

/// The second block is written to, with what it holds.
struct Unchanged;

impl Changes for Unchanged {
    fn fate(&self, block: u64) -> Fate {
        match block {
            1 => Fate::Change,
            _ => Fate::Keep,
        }
    }

    fn needs_old(&self, _: u64) -> bool {
        true
    }

    fn patch(&self, _: u64, _: &mut [u8]) -> Result<()> {
        Ok(())
    }
}

/// A hundred files have the same three megabytes, each from a byte further on.
#[test]
fn files_that_share_their_data_are_not_compared_for_ever() {
    const MIB: u32 = 1 << 20;
    let maker = Maker::new();
    maker.put("LiveOS/rootfs.img", &contents(30_000, 70));
    maker.put("all", &noise(4 << 20));
    for index in 0..100 {
        let file = std::fs::File::create(maker.tree(&format!("{index}"))).unwrap();
        file.set_len(4 << 20).unwrap();
    }
    let mut old = maker.image("-comp gzip -b 1M -noI -no-fragments");
    let (mut shared, mut at) = (0u64, 96);
    // Files with holes: kind, where they begin, length, and the four blocks' sizes.
    while at + 72 < old.len() {
        let length = u64::from(4 * MIB).to_le_bytes();
        if old[at..at + 2] == [9, 0] && old[at + 24..at + 32] == length {
            old[at + 16..at + 24].copy_from_slice(&(96 + shared).to_le_bytes());
            let stored = (MIB | 1 << 24).to_le_bytes().repeat(3);
            old[at + 56..at + 68].copy_from_slice(&stored);
            shared += 1;
        }
        at += 1;
    }
    // But for those in two blocks of the table.
    assert!(shared > 90, "{shared}");
    let mut new = old.clone();
    new[8] ^= 1;
    let open = |bytes: Vec<u8>| Image::open(Arc::new(bytes)).unwrap();
    let (old, new) = (open(old), open(new));
    let same = same_but_inner(&old, &new, &Silent);
    assert!(matches!(same, Err(Error::Unsupported { .. })), "{same:?}");
    let ended = same_but_inner(&old, &new, &Ended);
    assert!(matches!(ended, Err(Error::Cancelled)), "{ended:?}");
}

/// Bytes that no compressor makes fewer.
fn noise(bytes: usize) -> Vec<u8> {
    let mut random = Random::new(1);
    (0..bytes).map(|_| random.below(256) as u8).collect()
}

/// An end was asked for.
struct Ended;

impl Progress for Ended {
    fn step(&self, _: Stage, _: u64, _: u64) {}

    fn cancelled(&self) -> bool {
        true
    }
}

/// Runs one of the tests below in a process of its own, and looks at the memory that it took.
fn measured(name: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("hostile::{name}"), "--ignored"])
        .args(["--nocapture", "--test-threads=1"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{wrong}");
    let peak = said.lines().find_map(|line| line.strip_prefix("peak "));
    let peak: u64 = peak.expect("the peak is told").parse().unwrap();
    assert!(peak < MOST_MEMORY_KIB, "{peak} KiB");
}

fn tell_peak() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let peak = line.unwrap().split_whitespace().nth(1).unwrap();
    println!("\npeak {peak}");
}

#[test]
fn flipped_fields() {
    measured("flip_each_byte_of_the_tables");
}

#[test]
fn cut_images() {
    measured("cut_everywhere");
}

#[test]
fn torn_images() {
    measured("tear_at_random");
}

#[test]
#[ignore = "run by flipped_fields, in a process of its own"]
fn flip_each_byte_of_the_tables() {
    for way in WAYS {
        let image = sample(way);
        let tables = Archive::open(Arc::new(image.clone())).unwrap();
        let tables = tables.superblock().inode_table as usize;
        let mut bad = image.clone();
        for at in (0..110).chain(tables..image.len()) {
            for change in [0x00, 0x01, 0x80, 0xff, 0x10] {
                bad[at] = match change {
                    0x00 => 0,
                    change => image[at] ^ change,
                };
                if bad[at] != image[at] {
                    let _ = exercise(&bad);
                }
            }
            bad[at] = image[at];
        }
        for at in tables..image.len() - 8 {
            bad[at..at + 8].fill(0xff);
            let _ = exercise(&bad);
            bad[at..at + 8].copy_from_slice(&image[at..at + 8]);
        }
    }
    tell_peak();
}

#[test]
#[ignore = "run by cut_images, in a process of its own"]
fn cut_everywhere() {
    for way in WAYS {
        let image = sample(way);
        for length in (0..image.len()).step_by(23) {
            assert!(exercise(&image[..length]).is_err(), "{way} {length}");
        }
    }
    tell_peak();
}

#[test]
#[ignore = "run by torn_images, in a process of its own"]
fn tear_at_random() {
    let images: Vec<Vec<u8>> = WAYS.into_iter().map(sample).collect();
    // Several fields at once: bytes set, words made large, ranges copied elsewhere.
    let tear = (0usize..1 << 16, 0usize..1 << 16, 0u8..5, any::<u64>());
    let strategy = (0..images.len(), proptest::collection::vec(tear, 1..6));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(2500)
    });
    let torn = runner.run(&strategy, |(which, tears)| {
        let mut bad = images[which].clone();
        let length = bad.len() - 8;
        let tables = length.saturating_sub(2000);
        for (to, from, kind, value) in tears {
            // Mostly in the tables, which are last, or in the superblock.
            let at = match to % 4 {
                0 => to % 96,
                _ => tables + to % (length - tables),
            };
            match kind {
                0 => bad[at] = value as u8,
                1 => bad[at..at + 4].copy_from_slice(&(value as u32).to_le_bytes()),
                2 => bad[at..at + 8].copy_from_slice(&(value >> (value % 64)).to_le_bytes()),
                3 => bad[at..at + 8].fill(0xff),
                _ => bad.copy_within(from % length..from % length + 8, at),
            }
        }
        let _ = exercise(&bad);
        Ok(())
    });
    torn.unwrap();
    tell_peak();
}
