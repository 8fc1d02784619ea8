//! Opening images and reading the file system image inside.

use crate::maker::{Maker, WAYS, backhanded, contents, huge};
use std::sync::Arc;
use sugar_cellar::error::ErrorKind;
use sugar_cellar::squash::{Archive, Block, Compression, Contents, Image};
use sugar_cellar::storage::ReadAt;
use sugar_cellar::units::Bytes;

fn open(image: &[u8]) -> Image {
    Image::open(Arc::new(image.to_vec())).unwrap()
}

#[test]
fn every_way_of_mksquashfs_reads() {
    let maker = Maker::new();
    let inner = contents(700_123, 1);
    maker.put("LiveOS/rootfs.img", &inner);
    maker.put("LiveOS/a-first", &contents(70_000, 2));
    maker.put("z-last", b"last");
    for way in WAYS {
        let bytes = maker.image(way);
        let image = open(&bytes);
        assert_eq!(image.inner_path(), "LiveOS/rootfs.img");
        assert_eq!(image.inner_bytes(), Bytes(inner.len() as u64));
        assert!(way.contains(&format!("-comp {}", image.compression())));
        let (mut stored, mut plain, mut all) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..image.blocks() {
            image.read_block(index, &mut stored, &mut plain).unwrap();
            assert_eq!(plain.len(), image.length_of(index));
            all.extend_from_slice(&plain);
        }
        assert!(all == inner, "{way}");
        assert_eq!(image.length_of(image.blocks()), 0);
        for behind in [image.blocks(), image.blocks() + 1, u64::MAX] {
            assert_eq!(image.block(behind), Block::Hole, "{way}");
        }
        let reader = image.reader(2);
        for (at, length) in [
            (0, 10),
            (4095, 2),
            (131_071, 300_000),
            (700_000, 123),
            (5, 0),
        ] {
            let mut part = vec![1; length];
            reader.read_at(&mut part, at as u64).unwrap();
            assert!(part == inner[at..at + length], "{way}");
        }
        assert!(reader.read_at(&mut [0; 2], 700_122).is_err());
        assert!(maker.unsquashed(&bytes, "LiveOS/rootfs.img") == inner);
        if image.compression() != Compression::Lzo {
            assert!(backhanded(&bytes, "LiveOS/rootfs.img") == Some(inner.clone()));
        }
    }
}

#[test]
fn a_tail_may_be_a_fragment_a_block_or_nothing() {
    for (length, way, fragment) in [
        (300_000, "-comp gzip -always-use-fragments", true),
        (300_000, "-comp gzip", false),
        (262_144, "-comp gzip -always-use-fragments", false),
        (1000, "-comp gzip", true),
    ] {
        let maker = Maker::new();
        let inner = contents(length, 4);
        maker.put("LiveOS/ext3fs.img", &inner);
        let image = open(&maker.image(way));
        assert_eq!(image.inner_path(), "LiveOS/ext3fs.img");
        let last = image.blocks() - 1;
        let found = matches!(image.block(last), Block::Fragment(_));
        assert_eq!(found, fragment, "{length} {way}");
        let mut all = vec![0; length];
        image.reader(1).read_at(&mut all, 0).unwrap();
        assert!(all == inner);
    }
}

#[test]
fn holes_cost_nothing_and_read_as_zeros() {
    let huge = huge();
    let image = open(&huge.image);
    assert_eq!(image.inner_bytes(), Bytes(huge.length));
    let stored = (0..image.blocks()).filter(|index| image.block(*index) != Block::Hole);
    assert_eq!(stored.count(), 3);
    let reader = image.reader(1);
    for (at, word) in huge.words {
        let mut part = [0; 5];
        reader.read_at(&mut part, at).unwrap();
        assert_eq!(part, *word);
    }
    let mut part = [1; 5000];
    reader.read_at(&mut part, 2 << 30).unwrap();
    assert_eq!(part, [0; 5000]);
}

#[test]
fn other_images_are_told_apart() {
    let contents = |names: &[&str]| {
        let maker = Maker::new();
        for name in names {
            maker.put(name, b"something");
        }
        let archive = Archive::open(Arc::new(maker.image("-comp gzip"))).unwrap();
        archive.contents()
    };
    let inner = contents(&["LiveOS/rootfs.img", "usr/bin/true"]).unwrap();
    assert!(matches!(inner, Contents::Inner(_)));
    for name in ["usr/bin/true", "proc/x"] {
        assert!(matches!(contents(&[name]).unwrap(), Contents::Flat));
    }
    for name in ["rootfs.img", "LiveOS/other", "usr-local/x"] {
        assert!(matches!(contents(&[name]).unwrap(), Contents::Other));
    }
    let both = contents(&["LiveOS/rootfs.img", "LiveOS/ext3fs.img"]).unwrap_err();
    assert_eq!(both.kind(), ErrorKind::Unsupported);
    let folder = contents(&["LiveOS/rootfs.img/x"]).unwrap_err();
    assert_eq!(folder.kind(), ErrorKind::Unsupported);

    let mut erofs = vec![0; 4096];
    erofs[1024..1028].copy_from_slice(&0xe0f5_e1e2u32.to_le_bytes());
    let error = Archive::open(Arc::new(erofs)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    for bytes in [0, 95, 4096] {
        let error = Archive::open(Arc::new(vec![0; bytes])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
    }
}

#[test]
fn a_root_of_many_files_is_recognised() {
    let maker = Maker::new();
    for i in 0..3000 {
        maker.put(
            &format!("usr/share/words/{i:04}-{}", "x".repeat(i % 60)),
            b"",
        );
        maker.put(&format!("{i:04}"), &i.to_string().into_bytes());
    }
    let archive = Archive::open(Arc::new(maker.image("-comp xz"))).unwrap();
    assert!(matches!(archive.contents().unwrap(), Contents::Flat));
}
