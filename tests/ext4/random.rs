//! Metadata damaged at random: no panic, an end, and no block in use called free.

use crate::damage::{number, places};
use crate::make::Image;
use proptest::prelude::*;
use std::ops::Range;
use std::sync::OnceLock;
use sugar_cellar::ext4::{self, FileSystem, Trust};
use sugar_cellar::progress::Silent;

/// A file system to be damaged at random.
struct Victim {
    bytes: Vec<u8>,
    /// Free according to dumpe2fs.
    free: Vec<Range<u64>>,
    /// Where metadata lies that counts, kind by kind: what a damage is worth trying on.
    metadata: Vec<Vec<Range<usize>>>,
}

fn victims() -> &'static [Victim] {
    static VICTIMS: OnceLock<Vec<Victim>> = OnceLock::new();
    VICTIMS.get_or_init(|| {
        [
            &["-b", "1024"] as &[&str],
            &["-b", "1024", "-O", "^metadata_csum,^uninit_bg,^flex_bg"],
            &["-b", "1024", "-O", "^metadata_csum,uninit_bg", "-g", "2048"],
            &["-b", "1024", "-t", "ext3", "-g", "1024"],
            &[
                "-b",
                "1024",
                "-O",
                "meta_bg,^resize_inode,^metadata_csum,orphan_file",
            ],
            &[
                "-b",
                "4096",
                "-g",
                "1024",
                "-O",
                "sparse_super2,^metadata_csum,inline_data",
            ],
        ]
        .into_iter()
        .map(Victim::new)
        .collect()
    })
}

impl Victim {
    fn new(options: &[&str]) -> Victim {
        let image = Image::new("16M", options);
        let bytes = image.bytes();
        let (size, free) = image.free();
        let fs = FileSystem::open(&bytes).unwrap();
        let places = places(&image);
        let block = |number: u64| (number * size) as usize..((number + 1) * size) as usize;
        let per_group = fs.geometry().inodes_per_group;
        let inode_bytes = fs.geometry().inode_bytes as usize;

        // Descriptors stand in the block behind the superblock (with meta_bg the first ones do).
        let start = 1024usize.next_multiple_of(size as usize).max(2048);
        let descriptors = start..start + 64 * places.len().min(8);
        let bitmap = |number: u64, bits: u32| {
            let whole = block(number);
            whole.start..whole.start + bits as usize / 8
        };
        let block_bitmaps = places
            .iter()
            .map(|p| bitmap(p[0], fs.geometry().blocks_per_group));
        let inode_bitmaps = places.iter().map(|p| bitmap(p[1], per_group));
        let (mut inodes, mut maps) = (Vec::new(), Vec::new());
        for number in 1..=per_group * fs.geometry().groups {
            let inode = fs.inode(number).unwrap();
            if inode.links == 0 {
                continue;
            }
            let (group, index) = ((number - 1) / per_group, (number - 1) % per_group);
            let at = block(places[group as usize][2]).start + index as usize * inode_bytes;
            // All but the times.
            inodes.extend([at..at + 8, at + 0x1a..at + 0x82]);
            for run in fs.runs(&inode).map(|run| run.unwrap()) {
                if run.kind == ext4::Kind::Map {
                    let whole = block(run.block);
                    let used = bytes[whole.clone()].iter().rposition(|byte| *byte != 0);
                    maps.push(whole.start..whole.start + (used.unwrap_or(0) + 1).max(4));
                }
            }
        }
        let journal = number(&image, "bmap <8> 0\n");
        let metadata = vec![
            vec![
                1024..1024 + 0x60,
                1024 + 0x60..1024 + 0x68,
                1024 + 0xc8..1024 + 0x110,
                1024..2048,
            ],
            vec![descriptors],
            block_bitmaps.collect(),
            inode_bitmaps.collect(),
            inodes,
            maps,
            vec![block(journal).start..block(journal).start + 0x30],
        ];
        let free = free
            .into_iter()
            .map(|(start, end)| start * size..end * size)
            .collect();
        let victim = Victim {
            bytes,
            free,
            metadata,
        };
        assert!(victim.keeps_its_promise(&victim.bytes), "untouched");
        victim
    }

    /// Whether `damaged` is not trusted, or nothing of what it calls free was in use before.
    fn keeps_its_promise(&self, damaged: &Vec<u8>) -> bool {
        let _ = ext4::consistency(damaged, &Silent);
        let Ok(Trust::Free(free)) = ext4::free_blocks(damaged, &Silent) else {
            return true;
        };
        free.runs().all(|run| {
            self.free
                .iter()
                .any(|known| known.start <= run.start && run.end <= known.end)
        })
    }
}

#[derive(Debug, Clone)]
enum Damage {
    Flip(u8),
    Set16(u16),
    Set32(u32),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (0u8..8).prop_map(|bit| Damage::Flip(1 << bit)),
        1 => any::<u16>().prop_map(Damage::Set16),
        1 => prop_oneof![Just(0), Just(u32::MAX), 0u32..20_000, any::<u32>()].prop_map(Damage::Set32),
    ]
}

proptest! {
    /// Whatever becomes of the metadata: no panic, an end, and no block in use called free.
    #[test]
    fn random_damage(
        victim in any::<prop::sample::Index>(),
        damages in prop::collection::vec(
            (any::<[prop::sample::Index; 3]>(), damage()), 1..6),
    ) {
        let victim = &victims()[victim.index(victims().len())];
        let mut bytes = victim.bytes.clone();
        for ([kind, range, place], damage) in damages {
            let ranges = &victim.metadata[kind.index(victim.metadata.len())];
            let range = ranges[range.index(ranges.len())].clone();
            let at = range.start + place.index(range.len() - 3);
            match damage {
                Damage::Flip(bits) => bytes[at] ^= bits,
                Damage::Set16(value) => {
                    let at = at & !1;
                    bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
                }
                Damage::Set32(value) => {
                    let at = at & !3;
                    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
                }
            }
        }
        prop_assert!(victim.keeps_its_promise(&bytes));
    }
}
