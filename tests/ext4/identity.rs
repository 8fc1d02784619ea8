//! Which file system it is, how it was left, and what is no file system that can be read.

use crate::make::Image;
use sugar_cellar::error::ErrorKind;
use sugar_cellar::ext4::{self, FileSystem, Finding, State, Superblock, Trust};
use sugar_cellar::progress::Silent;

const CLEAN: State = State {
    valid: true,
    errors: false,
    error_count: 0,
    orphans: false,
    needs_recovery: false,
    has_journal: true,
};

#[test]
fn identity_is_read() {
    let image = Image::of("8M", &["-b", "1024"], None);
    image.debugfs("ssv mkfs_time 20120131070809\n");
    let superblock = Superblock::read(&image.open()).unwrap();
    assert_eq!(
        superblock.uuid().to_string(),
        "01234567-89ab-cdef-0123-456789abcdef"
    );
    assert_eq!(superblock.label(), "learner");
    assert_eq!(superblock.created(), 1_327_993_689);
    assert_eq!(superblock.state(), CLEAN);
    let bytes = image.bytes();
    let fs = FileSystem::open(&bytes).unwrap();
    assert_eq!(fs.geometry().blocks, 8192);
}

/// What `change` (debugfs) makes of a clean file system: its state, and why it is not trusted.
#[track_caller]
fn left(change: &str) -> (State, Finding) {
    let image = Image::new("45059K", &["-b", "1024", "-O", "orphan_file"]);
    image.debugfs(change);
    let disk = image.open();
    let state = Superblock::read(&disk).unwrap().state();
    let Trust::No(why) = ext4::free_blocks(&disk, &Silent).unwrap() else {
        panic!("{change}: trusted");
    };
    assert!(ext4::consistency(&disk, &Silent).unwrap().contains(&why));
    (state, why)
}

#[test]
fn a_state_that_is_not_clean_is_not_trusted() {
    let expect = |change: &str, state: State, why: Finding| {
        assert_eq!(left(change), (state, why), "{change}");
    };
    expect(
        "feature needs_recovery",
        State {
            needs_recovery: true,
            ..CLEAN
        },
        Finding::NeedsRecovery,
    );
    expect(
        "ssv state 0",
        State {
            valid: false,
            ..CLEAN
        },
        Finding::NotClean,
    );
    expect(
        "ssv state 3",
        State {
            errors: true,
            ..CLEAN
        },
        Finding::Errors { count: 0 },
    );
    expect(
        "ssv error_count 2",
        State {
            error_count: 2,
            ..CLEAN
        },
        Finding::Errors { count: 2 },
    );
    let orphans = State {
        orphans: true,
        ..CLEAN
    };
    expect("ssv state 5", orphans, Finding::Orphans);
    expect("ssv last_orphan 20", orphans, Finding::Orphans);
    expect("feature orphan_present", orphans, Finding::Orphans);
    expect(
        "feature ^has_journal",
        State {
            has_journal: false,
            ..CLEAN
        },
        Finding::NoJournal,
    );
    expect("ssv journal_inum 0", CLEAN, Finding::JournalElsewhere);
}

#[test]
fn a_file_system_without_a_journal_is_not_trusted() {
    let image = Image::new("45059K", &["-t", "ext2"]);
    let why = ext4::free_blocks(&image.open(), &Silent).unwrap();
    assert!(matches!(why, Trust::No(Finding::NoJournal)));
    let findings = ext4::consistency(&image.open(), &Silent).unwrap();
    assert_eq!(findings, [Finding::NoJournal]);
    assert!(!findings[0].is_damage());
}

#[test]
fn unknown_features_are_named() {
    let image = Image::of("8M", &["-O", "bigalloc"], None);
    let error = FileSystem::open(&image.bytes()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("bigalloc"), "{error}");
    // Its identity can be read all the same.
    assert_eq!(Superblock::read(&image.open()).unwrap().label(), "learner");
    let why = ext4::free_blocks(&image.open(), &Silent).unwrap();
    assert!(matches!(why, Trust::No(Finding::Unsupported(_))), "{why:?}");

    for (feature, name) in [
        ("FEATURE_I30", "FEATURE_I30"),
        ("dirdata", "dirdata"),
        ("compression", "compression"),
        ("FEATURE_R30", "FEATURE_R30"),
        ("shared_blocks", "shared_blocks"),
        ("FEATURE_C30", "FEATURE_C30"),
    ] {
        let image = Image::of("8M", &[], None);
        image.debugfs(&format!("feature {feature}\n"));
        let why = ext4::free_blocks(&image.open(), &Silent).unwrap();
        let Trust::No(Finding::Unsupported(text)) = why else {
            panic!("{feature}: {why:?}");
        };
        assert!(text.contains(name), "{text}");
        let opened = FileSystem::open(&image.bytes()).is_ok();
        assert_eq!(
            opened,
            name.contains("_R30") || name.contains("_C30") || name == "shared_blocks"
        );
    }
}

#[test]
fn what_is_no_file_system_is_damaged() {
    let image = Image::of("8M", &[], None);
    let bytes = image.bytes();
    let kind = |bytes: &Vec<u8>| ext4::free_blocks(bytes, &Silent).unwrap_err().kind();
    assert_eq!(kind(&Vec::new()), ErrorKind::Damaged);
    assert_eq!(kind(&vec![0; 1 << 20]), ErrorKind::Damaged);
    assert_eq!(kind(&bytes[..bytes.len() - 1].to_vec()), ErrorKind::Damaged);
    assert_eq!(kind(&bytes[..2047].to_vec()), ErrorKind::Damaged);
    let mut flipped = bytes.clone();
    flipped[1024 + 0x120] ^= 1;
    assert_eq!(kind(&flipped), ErrorKind::Damaged);
}

#[test]
fn the_first_revision_is_read() {
    let image = Image::of("8M", &["-t", "ext2", "-r", "0", "-O", "none"], None);
    let bytes = image.bytes();
    let fs = FileSystem::open(&bytes).unwrap();
    assert_eq!(fs.geometry().inode_bytes, 128);
    assert_eq!(
        ext4::consistency(&bytes, &Silent).unwrap(),
        [Finding::NoJournal]
    );
}
