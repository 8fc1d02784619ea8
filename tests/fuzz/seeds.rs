//! Good files, made by the tools that make them in earnest: small, and the same each time.

use crate::edits::Seed;
use crate::memory::Memory;
use crate::small::BEGIN;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use sugar_cellar::overlay::write;
use sugar_cellar::units::{Bytes, ChunkSize, Chunks};

const UUID: &str = "1f3f10f6-2d6a-4a4b-a6f3-3f0a3c9e7e11";

/// Runs a tool, to the same bytes each time.
pub fn run(program: &str, arguments: &[&str]) {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .env("E2FSPROGS_FAKE_TIME", "1700000000")
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .stdin(Stdio::null());
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; `make install-deps` installs it"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
}

/// Bytes that compress to about two thirds.
pub fn noise(length: usize, mut state: u64) -> Vec<u8> {
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8 & 0x1f
    };
    (0..length).map(|_| next()).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What is at a place of a file, little endian.
pub fn number(bytes: &[u8], at: usize, width: usize) -> u64 {
    let bytes = bytes.get(at..at + width).unwrap_or(&[]);
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Stores with chunks of several sizes: empty, of one area, of several, full.
pub fn stores() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (sectors, chunks, listed) in [
        (8, 30, 0),
        (8, 60, 40),
        (1, 300, 200),
        (1, 100, 94),
        (2, 300, 190),
        (16, 20, 17),
        (32, 9, 3),
    ] {
        let chunk = ChunkSize::from_sectors(sectors).unwrap();
        let length = chunk.bytes().0 as usize;
        let store = Memory::new(vec![0; chunks * length]);
        // Every third chunk of the image, and as the kernel meets them: in no order.
        let content = (0..listed as u64).map(|index| {
            let old = index * 7 % listed as u64 * 3;
            (Chunks(old), noise(length, old))
        });
        write::format(&store, chunk, content).unwrap();
        let area = 1 + length / 16;
        let areas = (0..chunks.div_ceil(area)).map(|index| (1 + index * area) * length);
        let hot = areas
            .filter(|start| start + length <= chunks * length)
            .map(|start| start..start + length.min(listed * 16 + 64));
        let mut hot: Vec<Range<usize>> = hot.collect();
        hot.push(0..16);
        seeds.push(Seed {
            name: format!("{listed} of {chunks} chunks of {sectors} sectors"),
            bytes: store.into_bytes(),
            hot,
        });
    }
    seeds
}

/// A folder with the file system image `inner` where a live system has it, and other things.
fn live_root(place: &Path, inner: &[u8]) -> PathBuf {
    let root = place.join("root");
    fs::create_dir_all(root.join("LiveOS/folder")).unwrap();
    fs::write(root.join("LiveOS/rootfs.img"), inner).unwrap();
    fs::write(root.join("LiveOS/folder/other"), noise(9000, 5)).unwrap();
    fs::write(root.join("LiveOS/small"), "a few words\n").unwrap();
    for index in 0..40 {
        fs::write(
            root.join(format!("LiveOS/folder/{index}")),
            noise(index * 90, 6),
        )
        .unwrap();
    }
    symlink("somewhere/else", root.join("link")).unwrap();
    fs::hard_link(root.join("LiveOS/small"), root.join("same")).unwrap();
    // Not every file system has them; the image is good without.
    let attribute = rustix::fs::setxattr(
        root.join("LiveOS/small"),
        "user.note",
        b"kept",
        rustix::fs::XattrFlags::empty(),
    );
    if attribute.is_err() {
        eprintln!("no extended attributes here: none in the images");
    }
    root
}

fn squash(place: &Path, root: &Path, options: &str) -> Vec<u8> {
    let image = place.join("squashfs.img");
    let mut arguments = vec![
        text(root),
        text(&image),
        "-noappend",
        "-quiet",
        "-no-progress",
    ];
    arguments.extend(["-all-root", "-processors", "1"]);
    arguments.extend(options.split_whitespace());
    run("mksquashfs", &arguments);
    fs::read(image).unwrap()
}

/// Superblock and tables of a SquashFS.
fn squash_hot(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut hot = vec![0..96, 0..112];
    let mut tables: Vec<usize> = [48, 56, 64, 72, 80, 88, 40]
        .into_iter()
        .map(|at| number(bytes, at, 8) as usize)
        .filter(|at| *at <= bytes.len())
        .collect();
    tables.sort_unstable();
    for pair in tables.windows(2).filter(|pair| pair[0] < pair[1]) {
        hot.push(pair[0]..pair[1]);
    }
    // The fragments' list stands right before the place that the superblock names.
    hot.push(tables[0].saturating_sub(64)..tables[0]);
    hot
}

/// Images with each compressor; tables stored as they are are where single fields are hit.
pub fn images() -> Vec<Seed> {
    let place = tempfile::tempdir().unwrap();
    let mut inner = noise(70_000, 1);
    inner[20_000..40_000].fill(0);
    let root = live_root(place.path(), &inner);
    let ways = [
        "-comp gzip -b 4K -noI -noX -noF",
        "-comp xz -b 8K -noI -noX -noF -no-fragments",
        "-comp zstd -b 4K -noI -noX -noF -always-use-fragments",
        "-comp gzip -b 16K -noI -noD -noX -noF -no-exports",
        "-comp lzo -b 4K",
        "-comp lz4 -b 4K",
        "-comp zstd -b 128K",
        "-comp gzip -b 4K -Xcompression-level 3 -Xwindow-size 10",
        "-comp xz -b 16K -Xbcj x86 -Xdict-size 50%",
        "-comp xz -b 4K -nopad",
    ];
    let seed = |way: &&str| {
        let bytes = squash(place.path(), &root, way);
        let name = (*way).to_owned();
        let hot = squash_hot(&bytes);
        Seed { name, bytes, hot }
    };
    ways.iter().map(seed).collect()
}

/// Superblock, group descriptors, and what they name: bitmaps and the tables' first inodes; and
/// nodes of extent trees.
fn ext4_hot(bytes: &[u8]) -> Vec<Range<usize>> {
    let block = 1024usize << number(bytes, 1024 + 0x18, 4);
    let first = number(bytes, 1024 + 0x14, 4) as usize;
    let inode = number(bytes, 1024 + 0x58, 2).max(128) as usize;
    let wide = match number(bytes, 1024 + 0x60, 4) & 0x80 {
        0 => 32,
        _ => number(bytes, 1024 + 0xfe, 2) as usize,
    };
    let groups = (bytes.len() / block - first).div_ceil(number(bytes, 1024 + 0x20, 4) as usize);
    let table = (first + 1) * block;
    let mut hot = vec![1024..1024 + 0x160, 1024..2048, table..table + groups * wide];
    for group in 0..groups.min(3) {
        for (field, length) in [(0, 64), (4, 32), (8, 16 * inode), (8, 24 * inode)] {
            let at = number(bytes, table + group * wide + field, 4) as usize * block;
            hot.push(at..at + length);
        }
    }
    let node = |at: &usize| number(bytes, *at, 2) == 0xf30a;
    hot.extend(
        (0..bytes.len())
            .step_by(block)
            .filter(node)
            .take(4)
            .map(|at| at..at + 64),
    );
    hot.retain(|range| range.end <= bytes.len());
    hot
}

/// File systems with every way to note down blocks, with checksums and without.
pub fn file_systems() -> Vec<Seed> {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("files");
    fs::create_dir_all(root.join("journal")).unwrap();
    fs::write(root.join("tiny"), "a line that fits into an inode\n").unwrap();
    fs::write(root.join("picture"), noise(30_000, 2)).unwrap();
    let holes = fs::File::create(root.join("holes")).unwrap();
    for index in 0..24 {
        holes.write_all_at(&[9; 1024], index * 8192).unwrap();
    }
    symlink("long/".repeat(30), root.join("long link")).unwrap();
    for index in 0..20u8 {
        let path = root.join(format!("journal/entry {index}"));
        fs::write(path, vec![index; usize::from(index) * 60]).unwrap();
    }
    let ways = [
        ("ext4 -b 1024 -O ^has_journal,^metadata_csum", "300K"),
        ("ext4 -b 1024 -O ^has_journal -g 256", "300K"),
        (
            "ext4 -b 1024 -O ^has_journal,^metadata_csum,uninit_bg -g 256",
            "600K",
        ),
        (
            "ext4 -b 4096 -O ^has_journal,^metadata_csum,inline_data -I 256",
            "600K",
        ),
        ("ext2 -b 1024", "300K"),
        (
            "ext4 -b 1024 -O ^has_journal,^metadata_csum,meta_bg,^resize_inode -g 256",
            "2M",
        ),
        ("ext4 -b 1024 -O ^metadata_csum -J size=1", "3M"),
        ("ext4 -b 1024 -O 64bit,metadata_csum -J size=1", "3M"),
        (
            "ext4 -b 2048 -O ^has_journal,^metadata_csum,bigalloc,extent -C 16384",
            "2M",
        ),
    ];
    let seed = |(options, size, journal): (&str, &str, Option<&str>)| {
        let image = place.path().join("image");
        drop(fs::remove_file(&image));
        let hash = format!("hash_seed={UUID}");
        let mut arguments = vec!["-q", "-F", "-U", UUID, "-E", &hash, "-N", "64", "-t"];
        arguments.extend(options.split_whitespace());
        arguments.extend(["-d", text(&root), text(&image), size]);
        run("mke2fs", &arguments);
        if let Some(opening) = journal {
            transactions(&place.path().join("files"), &image, opening);
        }
        let bytes = fs::read(&image).unwrap();
        let mut hot = ext4_hot(&bytes);
        if journal.is_some() {
            hot.extend(log_hot(&bytes));
        }
        Seed {
            name: format!("{options} {size} {journal:?}"),
            hot,
            bytes,
        }
    };
    let plain = ways.iter().map(|(options, size)| (*options, *size, None));
    let journals = [
        ("ext4 -b 1024 -O ^metadata_csum -J size=1", "3M", Some("jo")),
        ("ext4 -b 1024 -J size=1", "3M", Some("jo -c")),
    ];
    plain.chain(journals).map(seed).collect()
}

/// Three transactions in the journal of `image`, and one without an end.
fn transactions(files: &Path, image: &Path, opening: &str) {
    let script = files.with_file_name("transactions");
    let picture = files.join("picture");
    let mut requests = String::new();
    for transaction in ["-b 900,901,40", "-b 901,902", "-b 903 -r 900", "-b 40 -c"] {
        requests += &format!("{opening}\njw {transaction} {}\njc\n", picture.display());
    }
    fs::write(&script, requests).unwrap();
    run("debugfs", &["-w", "-f", text(&script), text(image)]);
}

/// The heads of a journal's blocks.
fn log_hot(bytes: &[u8]) -> Vec<Range<usize>> {
    let magic = |at: &usize| bytes[*at..*at + 4] == [0xc0, 0x3b, 0x39, 0x98];
    let blocks = (0..bytes.len()).step_by(1024).filter(magic);
    blocks.map(|at| at..at + 96).collect()
}

/// Makes the checksums of superblock and group descriptors right, where there are any.
pub fn repair_ext4(bytes: &mut [u8]) {
    use sum::{crc16, crc32c};
    if bytes.len() < 4096 {
        return;
    }
    let features = number(bytes, 1024 + 0x64, 4);
    let (full, short) = (features & 0x400 != 0, features & 0x10 != 0);
    let uuid = bytes[1024 + 0x68..1024 + 0x78].to_vec();
    let incompat = number(bytes, 1024 + 0x60, 4);
    let wide = match incompat & 0x80 {
        0 => 32,
        _ => number(bytes, 1024 + 0xfe, 2) as usize,
    };
    let block = 1024usize << (number(bytes, 1024 + 0x18, 4) % 7);
    let table = (number(bytes, 1024 + 0x14, 4) as usize % 2 + 1) * block;
    let seed = match incompat & 0x2000 {
        0 => crc32c(!0, &uuid),
        _ => number(bytes, 1024 + 0x270, 4) as u32,
    };
    let most = if (32..=1024).contains(&wide) { 64 } else { 0 };
    for group in 0..most {
        let at = table + group as usize * wide;
        if !(full || short) || at + wide > bytes.len() {
            break;
        }
        let number = u32::to_le_bytes(group);
        let (head, rest) = (&bytes[at..at + 0x1e], &bytes[at + 0x20..at + wide]);
        let sum = if full {
            let sum = crc32c(crc32c(crc32c(seed, &number), head), &[0, 0]);
            crc32c(sum, rest) as u16
        } else {
            crc16(&[&uuid[..], &number[..], head, rest].concat())
        };
        bytes[at + 0x1e..at + 0x20].copy_from_slice(&sum.to_le_bytes());
    }
    if full {
        let sum = crc32c(!0, &bytes[1024..1024 + 0x3fc]);
        bytes[1024 + 0x3fc..2048].copy_from_slice(&sum.to_le_bytes());
    }
}

mod sum {
    use crc::{Algorithm, CRC_16_MODBUS, CRC_32_ISCSI, Crc};

    /// Goes on from one checksum to the next.
    const RAW: Algorithm<u32> = Algorithm {
        xorout: 0,
        ..CRC_32_ISCSI
    };

    pub fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
        static SUM: Crc<u32> = Crc::<u32>::new(&RAW);
        let mut digest = SUM.digest_with_initial(seed.reverse_bits());
        digest.update(bytes);
        digest.finalize()
    }

    pub fn crc16(bytes: &[u8]) -> u16 {
        Crc::<u16>::new(&CRC_16_MODBUS).checksum(bytes)
    }
}

/// Whole sticks: the image's length in four bytes, the image, the overlay.
pub fn sticks() -> Vec<Seed> {
    let place = tempfile::tempdir().unwrap();
    let files = place.path().join("files");
    fs::create_dir(&files).unwrap();
    fs::write(files.join("kept"), noise(50_000, 1)).unwrap();
    fs::write(files.join("deleted"), noise(90_000, 3)).unwrap();
    let inner = place.path().join("inner");
    let hash = format!("hash_seed={UUID}");
    let mut arguments = vec!["-q", "-F", "-U", UUID, "-E", &hash, "-N", "64"];
    arguments.extend(["-t", "ext4", "-b", "1024", "-J", "size=1"]);
    arguments.extend(["-d", text(&files), text(&inner), "3M"]);
    run("mke2fs", &arguments);
    let before = fs::read(&inner).unwrap();
    let added = place.path().join("added");
    fs::write(&added, noise(40_000, 4)).unwrap();
    let write = format!("write {} added", added.display());
    for request in ["rm deleted", &write, "mkdir folder"] {
        run("debugfs", &["-w", "-R", request, text(&inner)]);
    }
    let after = fs::read(&inner).unwrap();
    let root = live_root(place.path(), &before);
    let ways = [
        ("-comp zstd -b 16K", 8),
        ("-comp gzip -b 4K -noI -noX -noF", 8),
        ("-comp zstd -b 8K -noI -noX -noF -always-use-fragments", 32),
    ];
    let seed = |(way, sectors): &(&str, u64)| {
        let image = squash(place.path(), &root, way);
        let chunk = ChunkSize::from_sectors(*sectors).unwrap();
        let length = chunk.bytes().0 as usize;
        let store = Memory::new(vec![0; 60 * 4096]);
        let chunks = before.chunks(length).zip(after.chunks(length)).enumerate();
        let changed = chunks.filter(|(_, (old, new))| old != new);
        let changed = changed.map(|(index, (_, new))| (Chunks(index as u64), new.to_vec()));
        write::format(&store, chunk, changed).unwrap();
        let store = store.into_bytes();
        let mut hot: Vec<Range<usize>> = squash_hot(&image);
        let list = image.len();
        hot.extend([list..list + 16, list + length..list + length + 800]);
        // Data in the overlay begins with the file system's own metadata.
        hot.push(list + 2 * length..list + 6 * length);
        let mut bytes = (image.len() as u32).to_le_bytes().to_vec();
        bytes.extend(image);
        bytes.extend(store);
        Seed {
            name: format!("{way}, chunks of {sectors} sectors"),
            bytes,
            hot: hot
                .into_iter()
                .map(|range| range.start + 4..range.end + 4)
                .collect(),
        }
    };
    ways.iter().map(seed).collect()
}

/// The two files of a stick.
pub fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let length = number(bytes, 0, 4) as usize;
    let rest = bytes.get(4..).unwrap_or(&[]);
    rest.split_at(length.min(rest.len()))
}

/// Disks: partition tables, and what a partition begins with.
pub fn disks() -> Vec<Seed> {
    let place = tempfile::tempdir().unwrap();
    let disk = place.path().join("disk");
    let mut seeds = Vec::new();
    let mut keep = |name: &str, hot: &[Range<usize>]| {
        let bytes = fs::read(&disk).unwrap();
        let mut hot = hot.to_vec();
        hot.retain(|range| range.end <= bytes.len());
        seeds.push(Seed {
            name: name.to_owned(),
            bytes,
            hot,
        });
        fs::remove_file(&disk).unwrap();
    };
    for (label, parts) in [
        ("gpt", "size=20\nsize=30\n"),
        ("dos", "size=20,type=c\nsize=40,type=83\n"),
    ] {
        fs::File::create(&disk).unwrap().set_len(200 << 10).unwrap();
        let script = place.path().join("script");
        fs::write(
            &script,
            format!("label: {label}\nunit: sectors\nfirst-lba: 40\n{parts}"),
        )
        .unwrap();
        run(
            "sh",
            &[
                "-c",
                &format!("sfdisk -q {} < {}", text(&disk), text(&script)),
            ],
        );
        keep(
            label,
            &[440..512, 512..604, 1024..1536, (200 << 10) - 512..200 << 10],
        );
    }
    for (bits, size) in [("12", "128"), ("16", "16000"), ("32", "40000")] {
        run(
            "mkfs.fat",
            &[
                "-C",
                "-F",
                bits,
                "-s",
                "1",
                "-n",
                "LEARNER",
                "-i",
                "12345678",
                text(&disk),
                size,
            ],
        );
        if bits != "12" {
            fs::File::options()
                .write(true)
                .open(&disk)
                .unwrap()
                .set_len((BEGIN + (200 << 10)) as u64)
                .unwrap();
        }
        keep(
            &format!("FAT{bits}"),
            &[0..96, 512..600, 0..4096, 16384..20000, 647_168..647_300],
        );
    }
    let files = place.path().join("LiveOS");
    fs::create_dir(&files).unwrap();
    fs::write(files.join("squashfs.img"), "nothing").unwrap();
    run(
        "xorriso",
        &[
            "-as",
            "mkisofs",
            "-quiet",
            "-V",
            "LEARNER",
            "-o",
            text(&disk),
            text(&files),
        ],
    );
    keep("ISO 9660", &[32768..33700, 0..512]);
    run(
        "mke2fs",
        &[
            "-q",
            "-F",
            "-t",
            "ext4",
            "-b",
            "1024",
            "-L",
            "learner",
            "-U",
            UUID,
            text(&disk),
            "200K",
        ],
    );
    keep("ext4", &[1024..1100, 1100..1500]);
    for seed in &mut seeds {
        assert!(seed.bytes.len() <= 1 << 20, "{}", seed.name);
    }
    seeds
}

/// Texts that others wrote: boot menus, mount tables, the mapper's answers, our own JSON.
pub fn texts() -> Vec<Seed> {
    let texts = [
        "label linux0\n  kernel vmlinuz0\n  append initrd=initrd0.img root=live:CDLABEL=SOAS rootfstype=auto ro liveimg quiet rd.live.image rd.live.overlay=UUID=ABCD-1234:/LiveOS/overlay-SOAS-ABCD\\x2d1234 rd.live.overlay.overlayfs=0\n",
        "linuxefi /images/vmlinuz root=live:LABEL=Learner\\x20One rd.live.image rd.overlay=LABEL=Learner:auto overlay=UUID=1f3f10f6-2d6a-4a4b-a6f3-3f0a3c9e7e11 rd.live.dir=LiveOS rd.live.squashimg=squashfs.img \"$extra\"\n# a note\n",
        "36 35 98:0 /mnt1 /run/initramfs/live rw,noatime master:1 - vfat /dev/sdb1 rw,errors=continue\n25 30 0:23 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n37 1 7:2 / / ro - ext4 /dev/mapper/live\\040rw ro\n",
        "0 131072 snapshot 24/196608 16\n0 131072 snapshot Invalid\n0 131072 snapshot 7:1 7:2 PO 8\n",
        r#"{"overlay":"overlay-SOAS-ABCD-1234","bytes":1073741824}"#,
        r#"{"scratch":"sugar-cellar-00000000000000ff.img","image":{"bytes":734003200,"crc64":9223372036854775807,"replaces":81985529216486895}}"#,
        r#"{"event":"progress","stick":"/dev/sdb1","stage":"build","done":1024,"total":4096,"eta_seconds":3}"#,
        r#"{"event":"failed","stick":"/dev/sdb1","code":"no_space","message":"Not enough room.","hint":"Free some.","detail":""}"#,
        r#"{"stick":{"path":"/dev/sdb1","label":"SOAS","file_system":"vfat","free_bytes":1048576,"booted":false},"image":{"kind":"nested","file":"squashfs.img","bytes":4096,"compression":"xz","block_bytes":131072,"inner":"LiveOS/rootfs.img","inner_bytes":65536},"overlay":{"kind":"snapshot","file":"overlay-SOAS-ABCD-1234","state":"active","used_sectors":24,"total_sectors":4096,"metadata_sectors":16,"chunk_sectors":8,"percent":0.59},"home":null,"pending":"cleanup"}"#,
    ];
    let seed = |text: &&str| Seed {
        name: text.chars().take(40).collect(),
        bytes: text.as_bytes().to_vec(),
        hot: Vec::new(),
    };
    texts.iter().map(seed).collect()
}

/// How long an image's file system is said to be, where a store stands alone.
pub const ORIGIN: Bytes = Bytes(3 * 4096 * 300 + 100);
