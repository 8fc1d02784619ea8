//! Rewriting images of every kind.

use crate::editing::{Edit, judged, open, options, rewritten};
use crate::maker::{Maker, WAYS, contents};
use sugar_cellar::squash::{Block, Options};

/// Where the superblock keeps the time of making.
const MOD_TIME: std::ops::Range<usize> = 8..12;

fn filled() -> (Maker, Vec<u8>) {
    let maker = Maker::new();
    let mut inner = contents(1_500_123, 1);
    inner[400_000..700_000].fill(0);
    maker.put("LiveOS/rootfs.img", &inner);
    maker.put("LiveOS/a-first", &contents(300_000, 2));
    maker.put("LiveOS/z-after", &contents(200_000, 3));
    maker.put("a-short", b"short");
    maker.put("z-short", b"also short");
    (maker, inner)
}

fn some_changes(image: &[u8], inner: &[u8]) -> Edit {
    let image = open(image);
    let last = inner.len() - 100;
    let same = inner[900_000..900_010].to_vec();
    let whole = image.block_bytes().0 as usize;
    Edit::new(&image, inner)
        .put(0, b"first")
        .put(450_000, b"where a hole was")
        .put(900_000, &same)
        .put(last, &contents(100, 9))
        .put(1_048_576 - whole, &contents(whole, 10))
        .zero(image.blocks() / 2)
}

#[test]
fn without_changes_only_the_time_differs() {
    let (maker, inner) = filled();
    for way in WAYS {
        let old = maker.image(way);
        let edit = Edit::new(&open(&old), &inner);
        let (mut new, written) = rewritten(&old, &edit, &options(2));
        assert_eq!((written.recoded, written.zeroed), (0, 0));
        assert_eq!(new[MOD_TIME], 1_600_000_001u32.to_le_bytes());
        new[MOD_TIME].copy_from_slice(&old[MOD_TIME]);
        assert!(new == old, "{way}");
    }
}

#[test]
fn changes_in_every_way_of_mksquashfs() {
    let (maker, inner) = filled();
    for way in WAYS {
        let old = maker.image(way);
        let edit = some_changes(&old, &inner);
        let new = judged(&maker, &old, &edit, Options::default());
        for name in ["LiveOS/a-first", "LiveOS/z-after", "a-short", "z-short"] {
            let bytes = std::fs::read(maker.tree(name)).unwrap();
            assert!(maker.unsquashed(&new, name) == bytes, "{way} {name}");
        }
        let plain = way.contains("-noD");
        let image = open(&new);
        let compressed = (0..image.blocks()).any(|index| match image.block(index) {
            Block::Stored { word, .. } => word.is_compressed(),
            _ => false,
        });
        assert_eq!(compressed, !plain);
    }
}
