//! Images that hold much besides the inner file: all of it stays.

use crate::editing::{Edit, judged, open, options, rewritten};
use crate::maker::{Maker, contents, huge, run};
use rustix::fs::{Mode, XattrFlags};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, LazyLock};
use sugar_cellar::error::{ErrorKind, Result};
use sugar_cellar::progress::Silent;
use sugar_cellar::squash::{
    Changes, Compression, Fate, Image, Options, forecast, rewrite, same_but_inner,
};
use sugar_cellar::storage::ReadAt;

fn inner() -> &'static [u8] {
    static INNER: LazyLock<Vec<u8>> = LazyLock::new(|| contents(900_000, 20));
    &INNER
}

/// A tree with one of everything, and many of some.
fn furnished(many: usize) -> Maker {
    let maker = Maker::new();
    maker.put("LiveOS/rootfs.img", inner());
    // A listing of several metadata blocks, and inodes of several.
    for i in 0..many {
        let name = format!("many/{i:05}-{}", "n".repeat(i % 50));
        maker.put(&name, &contents(i % 5000, i as u64));
    }
    maker.put("alone", &contents(300_000, 21));
    // Duplicates share their data; with a hole, and without.
    maker.put("twin-1", &contents(400_000, 22));
    maker.put("twin-2", &contents(400_000, 22));
    maker.put("with-hole", &contents(100, 23));
    let with_hole = fs::File::options()
        .write(true)
        .open(maker.tree("with-hole"))
        .unwrap();
    with_hole.set_len(700_000).unwrap();
    with_hole.write_all_at(b"behind the hole", 600_000).unwrap();
    maker.put("all-hole", b"");
    fs::File::create(maker.tree("all-hole"))
        .unwrap()
        .set_len(500_000)
        .unwrap();
    for folder in ["empty-folder", "deep/er/and/deeper"] {
        fs::create_dir_all(maker.tree(folder)).unwrap();
    }
    fs::hard_link(maker.tree("alone"), maker.tree("linked")).unwrap();
    let second = maker.tree("second-name-of-the-inner-file");
    fs::hard_link(maker.tree("LiveOS/rootfs.img"), second).unwrap();
    std::os::unix::fs::symlink("deep/er", maker.tree("symlink")).unwrap();
    maker.put("odd-mode", b"x");
    fs::set_permissions(maker.tree("odd-mode"), fs::Permissions::from_mode(0o4751)).unwrap();
    for (name, id) in [("twin-1", 1000), ("odd-mode", 70_000)] {
        std::os::unix::fs::chown(maker.tree(name), Some(id), Some(id + 1)).unwrap();
    }
    let device = rustix::fs::makedev(8, 300);
    for (name, kind) in [
        ("pipe", rustix::fs::FileType::Fifo),
        ("socket", rustix::fs::FileType::Socket),
        ("block", rustix::fs::FileType::BlockDevice),
        ("character", rustix::fs::FileType::CharacterDevice),
    ] {
        let path = maker.tree(name);
        rustix::fs::mknodat(rustix::fs::CWD, path, kind, Mode::RUSR, device).unwrap();
    }
    let long = [b'v'; 3000];
    for name in [
        "alone",
        "symlink",
        "pipe",
        "block",
        "deep",
        "many/00007-nnnnnnn",
        "twin-1",
    ] {
        let set = |attribute: &str, value: &[u8]| {
            rustix::fs::lsetxattr(maker.tree(name), attribute, value, XattrFlags::empty()).unwrap();
        };
        set("security.test", &long);
        set("trusted.name", name.as_bytes());
        if ["alone", "deep"].contains(&name) {
            set("user.short", b"1");
            set("user.empty", b"");
        }
    }
    maker
}

/// The tests that need all this make it as root; elsewhere they say that they do not run.
fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: devices, owners and trusted attributes need root");
    }
    root
}

/// What the kernel tells of one name.
#[derive(Debug, PartialEq)]
struct Sight {
    numbers: (u64, u32, u64, u32, u32, u64),
    size: u64,
    mtime: i64,
    link: Option<std::path::PathBuf>,
    bytes: Vec<u8>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Everything that the kernel tells of a tree.
fn sights(folder: &Path, all: &mut BTreeMap<std::path::PathBuf, Sight>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let data = fs::symlink_metadata(&path).unwrap();
        let mut list = vec![0; 1 << 16];
        let length = match rustix::fs::llistxattr(&path, &mut list[..]) {
            Err(rustix::io::Errno::OPNOTSUPP) => 0,
            other => other.unwrap(),
        };
        let names = list[..length].split(|byte| *byte == 0);
        let xattrs = names.filter(|name| !name.is_empty()).map(|name| {
            let mut value = vec![0; 1 << 16];
            let length = rustix::fs::lgetxattr(&path, name, &mut value[..]).unwrap();
            (name.to_vec(), value[..length].to_vec())
        });
        let inner = data.is_file() && data.len() == inner().len() as u64;
        let sight = Sight {
            numbers: (
                data.ino(),
                data.mode(),
                data.nlink(),
                data.uid(),
                data.gid(),
                data.rdev(),
            ),
            size: data.size(),
            mtime: data.mtime(),
            link: fs::read_link(&path).ok(),
            bytes: match data.is_file() && !inner {
                true => fs::read(&path).unwrap(),
                false => Vec::new(),
            },
            xattrs: xattrs.collect(),
        };
        all.insert(path.clone(), sight);
        if data.is_dir() {
            sights(&path, all);
        }
    }
}

fn kernel_sights(maker: &Maker, image: &[u8]) -> Option<BTreeMap<std::path::PathBuf, Sight>> {
    let mut all = BTreeMap::new();
    maker
        .mounted(image, |folder| sights(folder, &mut all))
        .then_some(all)
}

fn changes(image: &[u8]) -> Edit {
    Edit::new(&open(image), inner())
        .put(70_000, &contents(200_000, 30))
        .zero(4)
        .put(899_990, b"the end")
}

#[test]
fn everything_else_stays_as_it_was() {
    if !root() {
        return;
    }
    let maker = furnished(1500);
    for way in [
        "-comp gzip",
        "-comp xz -Xbcj x86 -b 64K",
        "-comp zstd -no-exports -no-fragments",
        "-comp xz -noI -noX -always-use-fragments",
        "-comp lz4 -no-xattrs -b 4K",
    ] {
        let old = maker.image(way);
        let new = judged(&maker, &old, &changes(&old), Options::default());
        let Some(before) = kernel_sights(&maker, &old) else {
            eprintln!("SKIPPED: this kernel does not mount {way}");
            continue;
        };
        assert!(before.len() > 1520);
        assert_eq!(
            way.contains("-no-xattrs"),
            before.values().all(|one| one.xattrs.is_empty())
        );
        let after = kernel_sights(&maker, &new).unwrap();
        for (path, sight) in &before {
            assert_eq!(Some(sight), after.get(path), "{way}: {path:?}");
        }
        assert_eq!(before.len(), after.len());
    }
}

#[test]
fn everything_else_stays_when_all_is_recompressed() {
    if !root() {
        return;
    }
    let maker = furnished(1500);
    let old = maker.image("-comp gzip");
    let before = kernel_sights(&maker, &old);
    for to in [Compression::Zstd, Compression::Xz, Compression::Lz4] {
        let options = Options {
            recompress: Some(to),
            ..Options::default()
        };
        let new = judged(&maker, &old, &changes(&old), options);
        match (&before, kernel_sights(&maker, &new)) {
            (Some(before), Some(after)) => assert!(*before == after, "{to}"),
            _ => eprintln!("SKIPPED: this kernel does not mount gzip or {to}"),
        }
    }
}

#[test]
fn what_differs_is_found() {
    if !root() {
        return;
    }
    let maker = furnished(120);
    let old = open(&maker.image("-comp gzip"));
    let differs = |what: &str, change: &dyn Fn()| {
        change();
        let other = maker.image("-comp gzip -mkfs-time 1600000009");
        let error = same_but_inner(&old, &open(&other), &Silent).expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Damaged, "{what}: {error}");
    };
    let run = |command: &str| {
        run(Command::new("sh")
            .arg("-c")
            .arg(command)
            .current_dir(maker.tree("")));
    };
    // Kept as it was, so that each difference is found alone.
    let tree = maker.path("kept");
    let tree = tree.to_str().unwrap();
    run(&format!("cp -a . {tree}"));
    let same = maker.image("-comp gzip -mkfs-time 1600000009");
    same_but_inner(&old, &open(&same), &Silent).unwrap();
    let equal = same_but_inner(&old, &open(&maker.image("-comp gzip")), &Silent);
    assert!(equal.is_err(), "the same superblock");
    for command in [
        "chmod 600 twin-2",
        "chown 5:5 twin-2",
        "touch -d @99 twin-2",
        "touch -d @99 deep/er",
        "mv twin-2 twin-3",
        "rm linked; cp -p alone linked",
        "ln -sfn deep/eR symlink",
        "rm block; mknod block b 8 301; chmod 400 block",
        "setfattr -n user.short -v 2 alone || python3 -c 'import os; os.setxattr(\"alone\", \"user.short\", b\"2\")'",
        "printf y | dd of=alone bs=1 seek=200000 conv=notrunc status=none; touch -r alone linked",
        "printf y | dd of=many/00101-n bs=1 seek=90 conv=notrunc status=none",
        "truncate -s 899999 LiveOS/rootfs.img",
    ] {
        differs(command, &|| run(command));
        run(&format!("find . -mindepth 1 -delete; cp -a {tree}/. ."));
    }
}

#[test]
fn another_file_with_the_same_data_is_refused() {
    let maker = Maker::new();
    maker.put("LiveOS/rootfs.img", inner());
    maker.put("copy", inner());
    let old = maker.image("-comp gzip -no-fragments");
    let image = open(&old);
    let edit = changes(&old);
    let out = crate::editing::Memory::default();
    let error = rewrite(&image, &edit, &options(1), &out, &Silent).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        out.0.into_inner().unwrap().is_empty(),
        "nothing was written"
    );
    // Stored twice, it is another file like any other.
    let old = maker.image("-comp gzip -no-duplicates");
    judged(&maker, &old, &changes(&old), Options::default());
}

#[test]
fn a_tail_that_others_share_changes_alone() {
    let maker = Maker::new();
    let inner = contents(300_000, 40);
    maker.put("LiveOS/rootfs.img", &inner);
    for i in 0..20 {
        maker.put(&format!("small-{i}"), &contents(1000 + i, 50 + i as u64));
    }
    for way in [
        "-comp xz -always-use-fragments",
        "-comp lzo -always-use-fragments -noF",
    ] {
        let old = maker.image(way);
        let image = open(&old);
        let edits = [
            Edit::new(&image, &inner).put(299_000, b"at the end"),
            Edit::new(&image, &inner).zero(2),
            Edit::new(&image, &inner).put(262_144, &contents(37_856, 41)),
            Edit::new(&image, &inner).put(299_000, &inner[299_000..299_100]),
        ];
        for (index, edit) in edits.iter().enumerate() {
            let new = judged(&maker, &old, edit, Options::default());
            for i in 0..20 {
                let name = format!("small-{i}");
                let bytes = fs::read(maker.tree(&name)).unwrap();
                assert!(
                    maker.unsquashed(&new, &name) == bytes,
                    "{way} {index} {name}"
                );
            }
            // The last edit changed nothing, so only the time differs.
            assert_eq!(index == 3, old[12..] == new[12..], "{way} {index}");
        }
    }
}

#[test]
fn beyond_four_gibibytes() {
    let huge = huge();
    let image = open(&huge.image);
    /// Writes into the block at 3 GiB and the last one; the first one is free.
    struct Far;
    impl Changes for Far {
        fn fate(&self, block: u64) -> Fate {
            match block {
                0 => Fate::Hole,
                3072 | 4096 => Fate::Change,
                _ => Fate::Keep,
            }
        }
        fn needs_old(&self, _: u64) -> bool {
            true
        }
        fn patch(&self, _: u64, bytes: &mut [u8]) -> Result<()> {
            bytes[7] = 7;
            Ok(())
        }
    }
    let out = crate::editing::Memory::default();
    rewrite(&image, &Far, &options(2), &out, &Silent).unwrap();
    let bytes = out.0.into_inner().unwrap();
    assert!(forecast(&image, &Far, &options(2)).unwrap().at_most.0 >= bytes.len() as u64);
    let new = Image::open(Arc::new(bytes.clone())).unwrap();
    same_but_inner(&image, &new, &Silent).unwrap();
    let check = |read: &dyn Fn(&mut [u8], u64)| {
        for (at, wanted) in [
            (0, [0; 8]),
            (2 << 30, [0; 8]),
            (3 << 30, *b"there\0\0\x07"),
            (4 << 30, [0, 0, 0, 0, 0, 0, 0, 7]),
            (huge.length - 8, *b"\0\0\0ended"),
        ] {
            let mut part = [1; 8];
            read(&mut part, at);
            assert_eq!(part, wanted, "{at}");
        }
    };
    let reader = new.reader(1);
    check(&|part, at| reader.read_at(part, at).unwrap());
    let judged = Maker::new().mounted(&bytes, |folder| {
        let file = fs::File::open(folder.join("LiveOS/rootfs.img")).unwrap();
        assert_eq!(file.metadata().unwrap().len(), huge.length);
        check(&|part, at| file.read_exact_at(part, at).unwrap());
        // What is a hole is told as one.
        assert!(file.metadata().unwrap().blocks() < 10_000);
        assert_eq!(fs::read(folder.join("after")).unwrap(), b"after");
    });
    if !judged {
        eprintln!("SKIPPED: this kernel does not mount zstd");
    }
}

#[test]
fn an_inner_file_of_holes_gets_its_first_block() {
    let maker = Maker::new();
    maker.put("LiveOS/rootfs.img", b"");
    fs::File::create(maker.tree("LiveOS/rootfs.img"))
        .unwrap()
        .set_len(500_000)
        .unwrap();
    maker.put("LiveOS/other", &contents(200_000, 60));
    let old = maker.image("-comp gzip");
    let image = open(&old);
    let edit = Edit::new(&image, &vec![0; 500_000]).put(200_000, b"something");
    judged(&maker, &old, &edit, Options::default());
    // And one becomes all holes.
    maker.put("LiveOS/rootfs.img", &contents(250_000, 61));
    let old = maker.image("-comp gzip -no-fragments");
    let image = open(&old);
    let edit = Edit::new(&image, &contents(250_000, 61)).zero(0).zero(1);
    let (new, written) = rewritten(&old, &edit, &options(1));
    assert_eq!(written.zeroed, 2);
    assert!(new.len() < old.len());
    judged(&maker, &old, &edit, Options::default());
}
