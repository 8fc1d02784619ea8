//! Rewriting images of every kind.

use crate::editing::{Edit, Memory, judged, open, options, rewritten};
use crate::maker::{Maker, WAYS, contents, run};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use sugar_cellar::error::{Error, ErrorKind};
use sugar_cellar::progress::{Progress, Silent};
use sugar_cellar::protocol::Stage;
use sugar_cellar::squash::{Block, Compression, Image, Options, rewrite};
use sugar_cellar::storage::{ReadAt, Storage};
use sugar_cellar::units::Bytes;

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

#[test]
fn the_data_are_what_mksquashfs_makes_of_the_merged_file() {
    let (maker, inner) = filled();
    let ways = [
        ("-comp xz", true),
        (
            "-comp xz -Xdict-size 50% -b 64K -always-use-fragments",
            true,
        ),
        // Other versions, or other makes, of the same compressors.
        ("-comp zstd", false),
        ("-comp gzip", false),
        ("-comp lz4", false),
        ("-comp lzo", false),
    ];
    for (way, to_the_byte) in ways {
        let old = maker.image(way);
        let edit = some_changes(&old, &inner);
        let mksquashfs = Options {
            xz_preset: 6,
            ..options(2)
        };
        let (new, _) = rewritten(&old, &edit, &mksquashfs);
        maker.put("LiveOS/rootfs.img", &edit.wanted);
        let classic = maker.image(way);
        maker.put("LiveOS/rootfs.img", &inner);
        let data = |bytes: &[u8]| {
            let end = open(bytes).archive().superblock().inode_table;
            bytes[96..end as usize].to_vec()
        };
        let (ours, theirs) = (data(&new), data(&classic));
        assert!(!to_the_byte || ours == theirs, "{way}");
        let excess = ours.len() as f64 / theirs.len() as f64 - 1.0;
        println!("{way}: {:+.2} %", 100.0 * excess);
        assert!(excess < 0.02, "{way}: {} {}", ours.len(), theirs.len());
    }
}

#[test]
fn the_kernel_reads_what_is_written() {
    let (maker, inner) = filled();
    for compressor in ["gzip", "lzo", "lz4", "zstd", "xz", "xz -Xbcj x86"] {
        let old = maker.image(&format!("-comp {compressor}"));
        let edit = some_changes(&old, &inner);
        let (new, _) = rewritten(&old, &edit, &options(2));
        for (image, wanted) in [(&old, &inner), (&new, &edit.wanted)] {
            let judged = maker.mounted(image, |folder| {
                let bytes = std::fs::read(folder.join("LiveOS/rootfs.img")).unwrap();
                assert!(bytes == *wanted);
                for name in ["LiveOS/a-first", "LiveOS/z-after", "a-short", "z-short"] {
                    let bytes = std::fs::read(folder.join(name)).unwrap();
                    assert!(bytes == std::fs::read(maker.tree(name)).unwrap());
                }
            });
            // A kernel without the compressor refuses mksquashfs's image already.
            if !judged {
                assert!(image == &old, "{compressor}: only the old image mounts");
                eprintln!("SKIPPED: this kernel does not mount {compressor}");
                break;
            }
        }
    }
}

#[test]
fn any_compressor_becomes_any_other() {
    let (maker, inner) = filled();
    for (index, from) in Compression::ALL.into_iter().enumerate() {
        let old = maker.image(&format!("-comp {from} -always-use-fragments"));
        // Each to two others, so that each is taken twice.
        for to in [1, 2].map(|step| Compression::ALL[(index + step) % 5]) {
            let edit = some_changes(&old, &inner);
            let options = Options {
                recompress: Some(to),
                ..options(2)
            };
            let new = judged(&maker, &old, &edit, options);
            assert_eq!(open(&new).compression(), to);
            for name in ["LiveOS/a-first", "LiveOS/z-after", "a-short", "z-short"] {
                let bytes = std::fs::read(maker.tree(name)).unwrap();
                assert!(maker.unsquashed(&new, name) == bytes, "{from} {to} {name}");
            }
        }
    }
    // The same compressor: nothing is recompressed.
    let old = maker.image("-comp zstd -Xcompression-level 3");
    let edit = Edit::new(&open(&old), &inner);
    let options = Options {
        recompress: Some(Compression::Zstd),
        ..options(1)
    };
    assert_eq!(rewritten(&old, &edit, &options).1.recoded, 0);
}

#[test]
fn an_image_that_was_added_to() {
    let (maker, inner) = filled();
    let mut command = std::process::Command::new("mksquashfs");
    maker.image("-comp gzip");
    std::fs::write(maker.path("added"), contents(150_000, 5)).unwrap();
    command.arg(maker.path("added")).arg(maker.path("image"));
    run(command.args(["-no-progress", "-quiet"]));
    let old = std::fs::read(maker.path("image")).unwrap();
    let new = judged(
        &maker,
        &old,
        &some_changes(&old, &inner),
        Options::default(),
    );
    assert!(maker.unsquashed(&new, "added") == contents(150_000, 5));
}

/// backhand lays out an image otherwise than mksquashfs, with an empty fragment block.
#[test]
fn an_image_of_another_maker() {
    use backhand::{FilesystemWriter, NodeHeader};
    for length in [262_144, 300_000] {
        let inner = contents(length, 6);
        let mut writer = FilesystemWriter::default();
        writer.push_dir("LiveOS", NodeHeader::default()).unwrap();
        for (name, bytes) in [
            ("LiveOS/rootfs.img", inner.clone()),
            ("after", contents(150_000, 7)),
        ] {
            let header = NodeHeader::default();
            writer
                .push_file(io::Cursor::new(bytes), name, header)
                .unwrap();
        }
        let mut old = io::Cursor::new(Vec::new());
        writer.write(&mut old).unwrap();
        let old = old.into_inner();
        let edit = Edit::new(&open(&old), &inner)
            .put(1000, b"changed")
            .put(length - 100, b"and at the end")
            .zero(1);
        let maker = Maker::new();
        let new = judged(&maker, &old, &edit, Options::default());
        assert!(maker.unsquashed(&new, "after") == contents(150_000, 7));
    }
}

/// Counts, and asks for an end after some steps.
#[derive(Default)]
struct Watch {
    steps: Mutex<Vec<(u64, u64)>>,
    end_after: Option<usize>,
}

impl Progress for Watch {
    fn step(&self, stage: Stage, done: u64, total: u64) {
        assert_eq!(stage, Stage::Build);
        self.steps.lock().unwrap().push((done, total));
    }

    fn cancelled(&self) -> bool {
        let steps = self.steps.lock().unwrap().len();
        self.end_after.is_some_and(|end| steps >= end)
    }
}

#[test]
fn progress_only_grows_and_an_end_ends_it() {
    let (maker, inner) = filled();
    let old = maker.image("-comp zstd -b 16K");
    let image = open(&old);
    let edit = some_changes(&old, &inner);
    let watch = Watch::default();
    rewrite(&image, &edit, &options(2), &Memory::default(), &watch).unwrap();
    let steps = watch.steps.into_inner().unwrap();
    assert!(steps.is_sorted());
    assert_eq!(steps.last(), Some(&(steps[0].1, steps[0].1)));
    for end in [0, 1, 3] {
        let watch = Watch {
            end_after: Some(end),
            ..Watch::default()
        };
        let ended = rewrite(&image, &edit, &options(2), &Memory::default(), &watch);
        assert!(matches!(ended, Err(Error::Cancelled)));
    }
}

/// A device that is full from some byte on.
struct Full {
    bytes: Memory,
    from: u64,
}

impl ReadAt for Full {
    fn size(&self) -> io::Result<Bytes> {
        self.bytes.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.bytes.read_at(buffer, offset)
    }
}

impl Storage for Full {
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        if offset + data.len() as u64 > self.from {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.write_at(data, offset)
    }

    fn set_len(&self, length: Bytes) -> io::Result<()> {
        self.bytes.set_len(length)
    }

    fn uncached(&self) -> io::Result<Box<dyn ReadAt + '_>> {
        Ok(Box::new(self))
    }

    fn sync(&self) -> io::Result<()> {
        self.bytes.sync()
    }
}

/// An image of which some bytes cannot be read.
struct Scratched {
    bytes: Vec<u8>,
    scratch: Range<u64>,
}

impl ReadAt for Scratched {
    fn size(&self) -> io::Result<Bytes> {
        self.bytes.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset + buffer.len() as u64;
        if offset < self.scratch.end && end > self.scratch.start {
            return Err(io::ErrorKind::Other.into());
        }
        self.bytes.read_at(buffer, offset)
    }
}

#[test]
fn errors_of_the_device_come_through() {
    let (maker, inner) = filled();
    let old = maker.image("-comp gzip -noD");
    let image = open(&old);
    let edit = some_changes(&old, &inner);
    for from in [0, 100, 1 << 20, 1_700_000] {
        let full = Full {
            bytes: Memory::default(),
            from,
        };
        let error = rewrite(&image, &edit, &options(2), &full, &Silent).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{from}");
        // Without its superblock it is no image.
        let bytes = full.bytes.0.into_inner().unwrap();
        assert!(bytes.iter().take(96).all(|byte| *byte == 0));
    }
    // A block that changes, and one that is copied.
    for index in [0, 2] {
        let Block::Stored { at, .. } = image.block(index) else {
            panic!("block {index} is stored");
        };
        let scratched = Scratched {
            bytes: old.clone(),
            scratch: at + 1..at + 2,
        };
        let image = Image::open(Arc::new(scratched)).unwrap();
        let written = rewrite(&image, &edit, &options(2), &Memory::default(), &Silent);
        assert_eq!(written.unwrap_err().kind(), ErrorKind::Io);
        let read = image.reader(1).read_at(&mut vec![0; inner.len()], 0);
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::Other);
    }
}
