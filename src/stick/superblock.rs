//! Which file system a device or file begins with: its kind, label and UUID.
//!
//! Just enough of FAT, ext4 and ISO 9660 to name an overlay as blkid would
//! (libblkid/src/superblocks: vfat.c, ext.c, iso9660.c) and to choose a driver.
//! Every figure is checked against the size of what is read.

use crate::storage::ReadAt;
use crate::units::Bytes;
use std::io;

/// How much of the beginning is looked at, in bytes.
const HEAD: usize = 4096;
/// ext4's superblock lies here.
const EXT: usize = 1024;
/// ISO 9660's primary volume descriptor lies here.
const ISO: u64 = 32768;
/// A FAT folder holds at most this many entries of 32 bytes (2 MiB).
const FAT_ENTRIES: usize = 65536;
/// As many clusters of a FAT32 root folder are looked at, as blkid does.
const FAT_CLUSTERS: usize = 100;

/// A file system's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// FAT12, FAT16 or FAT32.
    Fat,
    /// ext2, ext3 or ext4: all are the kernel's ext4.
    Ext,
    /// ISO 9660, written by hybrid images.
    Iso,
}

impl Kind {
    /// The kernel driver's name.
    pub fn driver(self) -> &'static str {
        match self {
            Kind::Fat => "vfat",
            Kind::Ext => "ext4",
            Kind::Iso => "iso9660",
        }
    }
}

/// What a file system says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// Its kind.
    pub kind: Kind,
    /// Its label as blkid gives it; none when empty or not ASCII.
    pub label: Option<String>,
    /// Its UUID or serial number as blkid gives it.
    pub uuid: Option<String>,
    /// How it was left.
    pub left: Left,
    /// Used bytes by its superblock's counters (ext4 only).
    pub used: Option<Bytes>,
}

/// How a file system was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Unmounted in order: no journal to replay, no dirty bit.
    InOrder,
    /// Cut off while it was written. Of ext4, the journal puts that right as soon as it is mounted to write; FAT
    /// has nothing that could.
    Cut,
    /// An ext4 that noted an error, or that was cut off and has no journal: what it takes for free may be in
    /// use, until its checker has been over it.
    Unchecked,
    /// Others have it mounted: it cannot be seen any more.
    Unseen,
}

/// What the first bytes of a file are, other than a file system that we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Magic {
    /// A snapshot's exception store, or zeros where the kernel begins one.
    Snapshot,
    /// A LUKS container.
    Luks,
    /// Another file system.
    OtherFileSystem,
    /// Unknown.
    Unknown,
}

/// Identifies the file system that begins at byte 0, if it is one of ours.
pub fn identify(source: &dyn ReadAt) -> io::Result<Option<FileSystem>> {
    let size = source.size()?;
    let head = head(source, size)?;
    if let Some(found) = ext(&head, size) {
        return Ok(Some(found));
    }
    // Before FAT: a hybrid image's boot code may look like one.
    if let Some(found) = iso(source, size)? {
        return Ok(Some(found));
    }
    fat(source, &head, size)
}

/// What a file begins with that is not one of ours.
pub fn magic(source: &dyn ReadAt) -> io::Result<Magic> {
    let size = source.size()?;
    let head = head(source, size)?;
    let at = |offset: usize, magic: &[u8]| head.get(offset..offset + magic.len()) == Some(magic);
    if at(0, b"LUKS\xba\xbe") {
        return Ok(Magic::Luks);
    }
    // XFS, F2FS and btrfs: the others that livecd-iso-to-disk puts into an overlay file.
    let btrfs =
        || read(source, size, 0x10040, 8).map(|found| found.as_deref() == Some(b"_BHRfS_M"));
    if at(0, b"XFSB") || at(1024, &[0x10, 0x20, 0xf5, 0xf2]) || btrfs()? {
        return Ok(Magic::OtherFileSystem);
    }
    // dm-snap-persistent.c, SNAP_MAGIC; 0 makes the kernel begin a new store.
    if at(0, b"SnAp") || at(0, &[0; 4]) {
        return Ok(Magic::Snapshot);
    }
    Ok(Magic::Unknown)
}

fn head(source: &dyn ReadAt, size: Bytes) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD.min(usize::try_from(size.0).unwrap_or(HEAD))];
    source.read_at(&mut head, 0)?;
    Ok(head)
}

fn le16(bytes: &[u8], at: usize) -> u64 {
    u64::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

fn le32(bytes: &[u8], at: usize) -> u64 {
    le16(bytes, at) | le16(bytes, at + 2) << 16
}

/// Text up to the first zero, without blanks at its end; none when empty or not ASCII.
fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0);
    let bytes = &bytes[..end.unwrap_or(bytes.len())];
    let text = std::str::from_utf8(bytes).ok()?.trim_end();
    (text.is_ascii() && !text.is_empty()).then(|| text.to_owned())
}

fn ext(head: &[u8], size: Bytes) -> Option<FileSystem> {
    let sb = head.get(EXT..EXT + 1024)?;
    let log_block = le32(sb, 0x18);
    if le16(sb, 0x38) != 0xef53 || log_block > 6 {
        return None;
    }
    let block = 1024u64 << log_block;
    let incompat = le32(sb, 0x60);
    // Feature 64BIT adds upper halves to the counters.
    let high = |at| {
        if incompat & 0x80 != 0 {
            le32(sb, at) << 32
        } else {
            0
        }
    };
    let blocks = le32(sb, 0x04) | high(0x150);
    let free = le32(sb, 0x0c) | high(0x158);
    let total = blocks.checked_mul(block).filter(|total| *total <= size.0);
    let used = total
        .and_then(|_| blocks.checked_sub(free))
        .map(|used| Bytes(used * block));
    let uuid = &sb[0x68..0x78];
    // s_state: unmounted in order (with a journal, that is so meanwhile as well); an error was noted.
    let (in_order, errors) = (le16(sb, 0x3a) & 1 == 1, le16(sb, 0x3a) & 2 == 2);
    Some(FileSystem {
        kind: Kind::Ext,
        label: text(&sb[0x78..0x88]),
        uuid: uuid.iter().any(|byte| *byte != 0).then(|| dashed(uuid)),
        left: match incompat & 0x4 {
            _ if errors || !in_order => Left::Unchecked,
            0 => Left::InOrder,
            // RECOVER: the journal holds what the file system does not yet.
            _ => Left::Cut,
        },
        used,
    })
}

fn dashed(uuid: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in uuid.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

fn iso(source: &dyn ReadAt, size: Bytes) -> io::Result<Option<FileSystem>> {
    if size.0 < ISO + 2048 {
        return Ok(None);
    }
    let mut volume = vec![0; 2048];
    source.read_at(&mut volume, ISO)?;
    if volume[..7] != *b"\x01CD001\x01" {
        return Ok(None);
    }
    let date = |at: usize| iso_date(&volume[at..at + 17]);
    Ok(Some(FileSystem {
        kind: Kind::Iso,
        label: text(&volume[40..72]),
        // The time of modification, else of creation.
        uuid: date(830).or_else(|| date(813)),
        left: Left::InOrder,
        used: None,
    }))
}

/// `2012-08-17-10-11-12-00` of a date in digits.
fn iso_date(date: &[u8]) -> Option<String> {
    let digits = date.get(..16)?;
    if !digits.iter().all(u8::is_ascii_digit) || digits.iter().all(|digit| *digit == b'0') {
        return None;
    }
    let digits = std::str::from_utf8(digits).ok()?;
    let pairs = (4..16).step_by(2).map(|at| &digits[at..at + 2]);
    let parts: Vec<&str> = std::iter::once(&digits[..4]).chain(pairs).collect();
    Some(parts.join("-"))
}

/// A FAT's geometry, checked.
struct Fat {
    sector: u64,
    /// In sectors.
    cluster: u64,
    /// Where the first FAT lies, in bytes.
    table: u64,
    /// Where the root folder (FAT12, FAT16) or cluster 2 (FAT32) lies, in bytes.
    data: u64,
    root: Root,
    /// Where in the boot sector label and serial number lie; their mark stands right before.
    named: usize,
}

enum Root {
    /// So many entries at a fixed place.
    Fixed(usize),
    /// A chain of clusters, by its first one.
    Chain(u64),
}

impl Fat {
    fn parse(head: &[u8], size: Bytes) -> Option<Fat> {
        let boot = head.get(..512)?;
        let (sector, cluster) = (le16(boot, 11), u64::from(boot[13]));
        let (reserved, tables) = (le16(boot, 14), u64::from(boot[16]));
        let entries = le16(boot, 17) as usize;
        let media = boot[21];
        let sectors = match le16(boot, 19) {
            0 => le32(boot, 32),
            few => few,
        };
        let plausible = boot[510..512] == [0x55, 0xaa]
            && sector.is_power_of_two()
            && (512..=4096).contains(&sector)
            && cluster.is_power_of_two()
            && reserved != 0
            && (1..=2).contains(&tables)
            && (media == 0xf0 || media >= 0xf8)
            && sectors != 0
            && sectors * sector <= size.0;
        if !plausible {
            return None;
        }
        let short = le16(boot, 22);
        let (length, root, named) = match short {
            0 => (le32(boot, 36), Root::Chain(le32(boot, 44)), 67),
            _ => (short, Root::Fixed(entries), 39),
        };
        // At most 2^32 tables' sectors of 4096 bytes: no overflow in 64 bits.
        let table = reserved * sector;
        let data = table + tables * length * sector;
        if length == 0 || data >= sectors * sector {
            return None;
        }
        Some(Fat {
            sector,
            cluster,
            table,
            data,
            root,
            named,
        })
    }

    /// The label entry of the root folder, as it stands there.
    fn label(&self, source: &dyn ReadAt, size: Bytes) -> io::Result<Option<Vec<u8>>> {
        let mut cluster = match self.root {
            Root::Fixed(entries) => return label_among(source, size, self.data, entries),
            Root::Chain(first) => first,
        };
        let bytes = self.cluster * self.sector;
        for _ in 0..FAT_CLUSTERS {
            if !(2..0x0fff_fff7).contains(&cluster) {
                break;
            }
            let at = self.data + (cluster - 2) * bytes;
            let label = label_among(source, size, at, (bytes / 32) as usize)?;
            if label.is_some() {
                return Ok(label);
            }
            let Some(next) = read(source, size, self.table + cluster * 4, 4)? else {
                break;
            };
            cluster = le32(&next, 0) & 0x0fff_ffff;
        }
        Ok(None)
    }
}

fn fat(source: &dyn ReadAt, head: &[u8], size: Bytes) -> io::Result<Option<FileSystem>> {
    let Some(fat) = Fat::parse(head, size) else {
        return Ok(None);
    };
    let named = &head[fat.named..fat.named + 15];
    // Dracut names the overlay by it, as blkid reads it: without a look at the mark, and none if it is 0.
    let [a, b, c, d] = [named[3], named[2], named[1], named[0]];
    let serial = format!("{a:02X}{b:02X}-{c:02X}{d:02X}");
    // The extended boot signature says that a label is there.
    let marked = matches!(head[fat.named - 1], 0x28 | 0x29);
    let boot_label = marked.then(|| text(&named[4..])).flatten();
    let label = match fat.label(source, size)? {
        // Also where it is no text of ours: then it has another label than the boot sector's.
        Some(label) => text(&label),
        None => boot_label.filter(|label| label != "NO NAME"),
    };
    Ok(Some(FileSystem {
        kind: Kind::Fat,
        label,
        uuid: (named[..4] != [0; 4]).then_some(serial),
        // Linux marks a mounted FAT here (fs/fat/inode.c, fat_set_state).
        left: match head[fat.named - 2] & 1 {
            0 => Left::InOrder,
            _ => Left::Cut,
        },
        used: None,
    }))
}

fn read(source: &dyn ReadAt, size: Bytes, at: u64, length: usize) -> io::Result<Option<Vec<u8>>> {
    if at.checked_add(length as u64).is_none_or(|end| end > size.0) {
        return Ok(None);
    }
    let mut bytes = vec![0; length];
    source.read_at(&mut bytes, at)?;
    Ok(Some(bytes))
}

/// The first label among `entries` folder entries at `at`.
fn label_among(
    source: &dyn ReadAt,
    size: Bytes,
    at: u64,
    entries: usize,
) -> io::Result<Option<Vec<u8>>> {
    let length = entries.min(FAT_ENTRIES) * 32;
    let Some(folder) = read(source, size, at, length)? else {
        return Ok(None);
    };
    for entry in folder.chunks_exact(32) {
        let (first, attributes) = (entry[0], entry[11]);
        if first == 0 {
            break;
        }
        let clusters = le16(entry, 20) | le16(entry, 26);
        let long_name = attributes & 0x3f == 0x0f;
        // A volume label, and no folder.
        if first != 0xe5 && clusters == 0 && !long_name && attributes & 0x18 == 0x08 {
            return Ok(Some(entry[..11].to_vec()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    /// An image made by `program` of `size` bytes, or `None`, loudly, where it is not there.
    fn made(size: u64, program: &str, arguments: &[&str]) -> Option<Vec<u8>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(size).unwrap();
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        let made = Command::new(program)
            .args(arguments)
            .arg(file.path())
            .env("PATH", path)
            .output();
        match made {
            Ok(output) => assert!(output.status.success(), "{output:?}"),
            Err(error) => {
                eprintln!("SKIPPED: {program}: {error}");
                return None;
            }
        }
        Some(std::fs::read(file.path()).unwrap())
    }

    fn found(image: &Vec<u8>) -> FileSystem {
        identify(image).unwrap().expect("a file system")
    }

    #[test]
    fn ext4_is_named_as_mkfs_named_it() {
        let uuid = "c7a1b9de-3c1f-4b0a-9f6e-001122334455";
        for extra in [&["-b", "1024"][..], &["-b", "4096", "-O", "^has_journal"]] {
            let mut arguments = vec!["-q", "-F", "-L", "SOAS stick", "-U", uuid];
            arguments.extend(extra);
            let Some(mut image) = made(8 << 20, "mkfs.ext4", &arguments) else {
                return;
            };
            let file_system = found(&image);
            assert_eq!(file_system.kind, Kind::Ext);
            assert_eq!(file_system.label.as_deref(), Some("SOAS stick"));
            assert_eq!(file_system.uuid.as_deref(), Some(uuid));
            assert_eq!(file_system.left, Left::InOrder);
            assert!((1 << 15..8 << 20).contains(&file_system.used.unwrap().0));
            let mut left = |state| {
                image[EXT + 0x3a] = state;
                found(&image).left
            };
            assert_eq!([left(0), left(3)], [Left::Unchecked; 2]);
            let short = identify(&image[..3000].to_vec()).unwrap();
            assert_eq!(short.and_then(|found| found.used), None);
        }
    }

    #[test]
    fn fat_is_named_as_mkfs_named_it() {
        for (size, bits) in [(4 << 20, "12"), (32 << 20, "16"), (64 << 20, "32")] {
            let arguments = ["-F", bits, "-n", "SOAS", "-i", "12ab34cd"];
            let Some(mut image) = made(size, "mkfs.vfat", &arguments) else {
                return;
            };
            let file_system = found(&image);
            assert_eq!(file_system.kind, Kind::Fat, "{bits}");
            assert_eq!(file_system.label.as_deref(), Some("SOAS"));
            assert_eq!(file_system.uuid.as_deref(), Some("12AB-34CD"));
            assert_eq!(file_system.left, Left::InOrder);
            let state = if bits == "32" { 65 } else { 37 };
            image[state] |= 1;
            assert_eq!(found(&image).left, Left::Cut);
            // Without the mark before it.
            image[state + 1] = 0;
            assert_eq!(found(&image).uuid.as_deref(), Some("12AB-34CD"));
            image[state + 2..state + 6].fill(0);
            assert_eq!(found(&image).uuid, None);
        }
        let Some(image) = made(64 << 20, "mkfs.vfat", &["-F", "32", "-i", "12ab34cd"]) else {
            return;
        };
        assert_eq!(found(&image).label, None);
    }

    /// Windows writes a new label into the root folder alone.
    #[test]
    fn a_fat_with_a_new_label_has_lost_its_old_one() {
        let arguments = ["-F", "32", "-n", "SOAS"];
        let Some(mut image) = made(64 << 20, "mkfs.vfat", &arguments) else {
            return;
        };
        let fat = Fat::parse(&image, Bytes(image.len() as u64)).unwrap();
        let entry = fat.data as usize;
        assert_eq!(image[entry..entry + 11], *b"SOAS       ");
        for (written, label) in [(b"ESCUELA    ", Some("ESCUELA")), (b"\x90COLE      ", None)] {
            image[entry..entry + 11].copy_from_slice(written);
            assert_eq!(found(&image).label.as_deref(), label);
        }
    }

    #[test]
    fn iso_is_named_by_its_volume_and_date() {
        let mut image = vec![0; 40 << 10];
        let volume = &mut image[ISO as usize..];
        volume[..7].copy_from_slice(b"\x01CD001\x01");
        volume[40..72].copy_from_slice(b"SOAS-LIVE                       ");
        volume[813..829].copy_from_slice(b"2012081710111200");
        volume[830..846].copy_from_slice(b"0000000000000000");
        let file_system = found(&image);
        assert_eq!(file_system.kind, Kind::Iso);
        assert_eq!(file_system.label.as_deref(), Some("SOAS-LIVE"));
        let created = Some("2012-08-17-10-11-12-00");
        assert_eq!(file_system.uuid.as_deref(), created);
    }

    #[test]
    fn a_fat_root_that_runs_in_a_circle_ends() {
        let Some(mut image) = made(64 << 20, "mkfs.vfat", &["-F", "32", "-n", "SOAS"]) else {
            return;
        };
        let reserved = le16(&image, 14) as usize;
        let fat = Fat::parse(&image, Bytes(image.len() as u64)).unwrap();
        // Cluster 2 follows itself, and its entries are all in use and no label.
        image[reserved * 512 + 8..reserved * 512 + 12].copy_from_slice(&2u32.to_le_bytes());
        let (start, length) = (fat.data as usize, (fat.cluster * fat.sector) as usize);
        image[start..start + length].fill(b'A');
        // The boot sector's label stands in.
        assert_eq!(found(&image).label.as_deref(), Some("SOAS"));
    }

    #[test]
    fn other_beginnings_are_told_apart() {
        let with = |start: &[u8]| {
            let mut bytes = vec![0; 8192];
            bytes[..start.len()].copy_from_slice(start);
            magic(&bytes).unwrap()
        };
        assert_eq!(with(b"SnAp"), Magic::Snapshot);
        assert_eq!(with(b""), Magic::Snapshot);
        assert_eq!(with(b"LUKS\xba\xbe\x00\x02"), Magic::Luks);
        assert_eq!(with(b"XFSB"), Magic::OtherFileSystem);
        assert_eq!(with(b"hsqs"), Magic::Unknown);
        let mut btrfs = vec![0; 0x11000];
        btrfs[0x10040..0x10048].copy_from_slice(b"_BHRfS_M");
        assert_eq!(magic(&btrfs).unwrap(), Magic::OtherFileSystem);
        assert_eq!(magic(&Vec::new()).unwrap(), Magic::Unknown);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            mut bytes in prop::collection::vec(any::<u8>(), 0..5000),
            boot in any::<bool>(),
        ) {
            if boot && bytes.len() > 512 {
                bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
                bytes[11..24].copy_from_slice(&[0, 2, 1, 1, 0, 1, 0, 2, 9, 0, 0xf8, 1, 0]);
            }
            identify(&bytes).unwrap();
            magic(&bytes).unwrap();
        }
    }
}
