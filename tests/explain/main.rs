//! What fills a practice stick's overlay, judged by debugfs.

#![allow(clippy::unwrap_used)]

mod judge;
#[allow(dead_code)]
#[path = "../ext4/make.rs"]
mod make;
#[path = "../practised/mod.rs"]
mod practised;

use practised::Practised;
use std::fs;
use sugar_cellar::explain::{Options, explain};
use sugar_cellar::ext4::{self, FileSystem, Inode, Trust};
use sugar_cellar::practice::Compression;
use sugar_cellar::progress::Silent;
use sugar_cellar::protocol::{Entry, EntryKind, Explanation};
use sugar_cellar::sources::Use;
use sugar_cellar::storage::ReadAt;

fn explained(stick: &Practised, compare: bool) -> Explanation {
    let folder = stick.folder();
    let options = Options {
        used: Use::AtRest,
        compare,
        threads: 2,
    };
    explain(stick.target(&folder), options, &Silent).unwrap()
}

/// A stick whose overlay holds all of a file system, and what is told of it.
fn whole(image: &make::Image) -> (Practised, Explanation) {
    let stick = Practised::of(&image.bytes(), &image.bytes());
    let explanation = explained(&stick, false);
    (stick, explanation)
}

#[test]
fn every_chunk_has_the_owner_that_debugfs_names() {
    let stick = Practised::new(Compression::Zstd);
    let explanation = explained(&stick, false);
    let list = stick.list();
    let image = stick.place.path().join("merged.img");
    fs::write(&image, stick.learner_has()).unwrap();
    judge::replay(&image);
    judge::judge(&image, &list).holds(&explanation, "practice");
    judge::add_up(&explanation, &list, "practice");
    assert_eq!((explanation.unclear, explanation.equal_sectors), (0, None));
    let sums = &explanation.sums;
    assert!(
        sums.deleted_sectors.0 > 0 && sums.folder_sectors.0 > 0,
        "{sums:?}"
    );
    let largest = &explanation.entries[0];
    assert!(largest.path.starts_with("home/liveuser/"), "{largest:?}");
    let kinds: Vec<EntryKind> = explanation.kinds.iter().map(|one| one.kind).collect();
    for kind in [EntryKind::Journal, EntryKind::Picture, EntryKind::Log] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
}

/// Those of its own files count as records whose inodes are no reserved ones, too.
#[test]
fn what_the_file_system_keeps_for_itself_is_no_deleted_file() {
    let features = "orphan_file,quota,project";
    let image = make::Image::new("45059K", &["-O", features]);
    let (stick, explanation) = whole(&image);
    judge::judge(&image.path(), &stick.list()).holds(&explanation, features);
    judge::add_up(&explanation, &stick.list(), features);
    let nameless = |entry: &&Entry| entry.kind == EntryKind::Nameless;
    assert_eq!(explanation.entries.iter().find(nameless), None);
    assert_eq!(explanation.unclear, 0);
}

/// Small folders and files are inside their inodes there: in the place of the map, and behind it.
#[test]
fn names_inside_inodes_are_read() {
    let root = tempfile::tempdir().unwrap();
    let place = |number: u32| match number {
        1..=3 => "home/ana/docs",
        _ => "home/ana/more",
    };
    for number in 1..6 {
        let folder = root.path().join(place(number));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("letter{number}")), [b'x'; 5000]).unwrap();
    }
    let short = "short, but longer than the sixty bytes that a map of blocks has\n";
    fs::write(root.path().join("home/title"), short).unwrap();
    let image = make::Image::of("45059K", &["-O", "inline_data"], Some(root.path()));
    // e2fsprogs has no folder go on behind the map, and reads what the kernel puts there.
    let value = root.path().join("value");
    let moved = [(4, 16), (5, 44)].map(|(number, length)| {
        let path = format!("{}/letter{number}", place(number));
        let inode = found(&image, &path).unwrap().number;
        let mut entry = inode.to_le_bytes().to_vec();
        entry.extend([length, 0, 7, 1]);
        entry.extend(format!("letter{number}").bytes());
        entry.resize(usize::from(length), 0);
        (entry, format!("unlink {path}\n"))
    });
    fs::write(&value, [&*moved[0].0, &moved[1].0].concat()).unwrap();
    let docs = place(1);
    image.debugfs(&format!(
        "ea_set -f {} {docs} system.data\nsif {docs} size 120\n{}{}",
        value.display(),
        moved[0].1,
        moved[1].1
    ));
    assert_eq!(image.e2fsck(), None);
    assert!(found(&image, docs).unwrap().is_inline());
    let (stick, explanation) = whole(&image);
    judge::judge(&image.path(), &stick.list()).holds(&explanation, "inline");
    judge::add_up(&explanation, &stick.list(), "inline");
    for number in 1..6 {
        let path = format!("{docs}/letter{number}");
        assert!(found(&image, &path).is_some(), "{path}");
        let told = explanation.entries.iter().any(|entry| entry.path == path);
        assert!(told, "{path}");
    }
    assert!(found(&image, &format!("{docs}/letter6")).is_none());
    assert_eq!(explanation.unclear, 0);
    // A file's beginning, as that of a title.
    let disk = image.open();
    let file_system = FileSystem::open(&disk).unwrap();
    let title = found(&image, "home/title").unwrap();
    assert!(title.is_inline());
    let begins = file_system.beginning(&title).unwrap();
    assert_eq!(begins.as_deref(), Some(short.as_bytes()));
}

/// What a path leads to.
fn found(image: &make::Image, path: &str) -> Option<Inode> {
    let disk = image.open();
    let names: Vec<&str> = path.split('/').collect();
    let file_system = FileSystem::open(&disk).unwrap();
    file_system.find(&names, &Silent).unwrap()
}

/// By comparing all bytes in memory.
#[test]
fn what_equals_the_image_is_found() {
    let stick = Practised::new(Compression::Xz);
    let explanation = explained(&stick, true);
    let (base, now) = (stick.base(), stick.learner_has());
    let list = stick.list();
    let chunk = list.chunk_size().bytes().0;
    let Trust::Free(free) = ext4::free_blocks(&now, &Silent).unwrap() else {
        panic!("practice sticks are clean");
    };
    let same = list.iter().filter(|exception| {
        let start = exception.old.0 * chunk;
        let end = (start + chunk).min(now.len() as u64);
        let bytes = start as usize..end as usize;
        base[bytes.clone()] == now[bytes] && !free.is_free_range(start..end)
    });
    let same = same.count() as u64 * chunk / 512;
    assert!(same > 0, "the practice stick has such chunks");
    let equal = explanation.equal_sectors.unwrap();
    assert_eq!(equal.0, same);
    let of_entries: u64 = explanation
        .entries
        .iter()
        .map(|one| one.equal_sectors.0)
        .sum();
    assert!(of_entries <= equal.0);
}

#[test]
fn an_empty_overlay_holds_nothing() {
    let stick = Practised::new(Compression::Zstd);
    stick.refresh(|_| (), &Silent).unwrap();
    let explanation = explained(&stick, true);
    judge::add_up(&explanation, &stick.list(), "empty");
    assert_eq!(explanation.entries, []);
    assert_eq!(explanation.used_sectors, explanation.sums.list_sectors);
    assert!(stick.base().size().unwrap() == stick.learner_has().size().unwrap());
}
