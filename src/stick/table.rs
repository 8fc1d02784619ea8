//! Partition tables: where in a disk image a file system may lie.
//!
//! Tables are untrusted. What gptman would allocate for is checked before it is
//! called (it reserves memory by the header's own count), and of mbrman only the
//! header is used: its reading of logical partitions is not bounded and can
//! overflow. Logical partitions are therefore not found in image *files*; on a
//! device, the kernel has them.

use crate::storage::ReadAt;
use crate::units::Bytes;
use std::io::{self, Read, Seek, SeekFrom};

/// A GPT has 128 entries; no tool makes more than this.
const MOST_ENTRIES: u32 = 1024;
/// The size of an entry that gptman reads.
const ENTRY_BYTES: u32 = 128;
/// Sector sizes that sticks and disks have, in bytes.
const SECTORS: [u64; 2] = [512, 4096];

/// The type of an MBR's entry that stands for a GPT.
const GUARD: u8 = 0xee;

/// A partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// Its number in the table, from 1.
    pub number: u32,
    /// Where it begins.
    pub offset: Bytes,
    /// Its length, more than 0.
    pub length: Bytes,
}

/// The used partitions that lie wholly on the disk; none where there is no table.
///
/// A GPT counts before an MBR, as for the kernel, its second copy only where the first is broken.
pub fn partitions(disk: &dyn ReadAt) -> io::Result<Vec<Partition>> {
    let size = disk.size()?;
    for sector in SECTORS {
        if let Some(found) = gpt(disk, size, sector)? {
            return Ok(found);
        }
    }
    mbr(disk, size)
}

/// A part of a disk, read as if it were one.
pub struct Part<'a> {
    disk: &'a dyn ReadAt,
    partition: Partition,
}

impl<'a> Part<'a> {
    /// The partition of `disk`.
    pub fn new(disk: &'a dyn ReadAt, partition: Partition) -> Part<'a> {
        Part { disk, partition }
    }
}

impl std::fmt::Debug for Part<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.partition.fmt(f)
    }
}

impl ReadAt for Part<'_> {
    fn size(&self) -> io::Result<Bytes> {
        Ok(self.partition.length)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.partition.length.0) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.disk.read_at(buffer, self.partition.offset.0 + offset)
    }
}

/// A reading position on a disk, as the table crates want one.
struct Position<'a> {
    disk: &'a dyn ReadAt,
    size: u64,
    at: u64,
}

impl Read for Position<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.size.saturating_sub(self.at);
        let length = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        self.disk.read_at(&mut buffer[..length], self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

impl Seek for Position<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Errors of a broken table mean that there is no such table; the device's own are errors.
fn broken<T>(result: Result<T, impl Into<Option<io::Error>>>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) => match error.into() {
            Some(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
            _ => Ok(None),
        },
    }
}

fn gpt(disk: &dyn ReadAt, size: Bytes, sector: u64) -> io::Result<Option<Vec<Partition>>> {
    let last = (size.0 / sector).saturating_sub(1);
    for place in [1, last] {
        let Some(at) = place.checked_mul(sector).filter(|at| *at > 0) else {
            continue;
        };
        let mut position = Position {
            disk,
            size: size.0,
            at,
        };
        let header = match gptman::GPTHeader::read_from(&mut position) {
            Ok(header) => header,
            Err(gptman::Error::Io(error)) if error.kind() != io::ErrorKind::UnexpectedEof => {
                return Err(error);
            }
            Err(_) => continue,
        };
        if !bounded(&header, size, sector) {
            continue;
        }
        let Some(entries) = broken(
            header
                .read_partitions(&mut position, sector)
                .map_err(gpt_io),
        )?
        else {
            continue;
        };
        let found = entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.is_used());
        let found = found.filter_map(|(at, entry)| {
            let sectors = entry
                .ending_lba
                .checked_sub(entry.starting_lba)?
                .checked_add(1)?;
            whole(at as u32 + 1, entry.starting_lba, sectors, sector, size)
        });
        return Ok(Some(found.collect()));
    }
    Ok(None)
}

/// Whether the list of entries lies on the disk and is no longer than anybody makes it.
fn bounded(header: &gptman::GPTHeader, size: Bytes, sector: u64) -> bool {
    let (number, each) = (
        header.number_of_partition_entries,
        header.size_of_partition_entry,
    );
    let length = u64::from(number) * u64::from(each);
    let start = header.partition_entry_lba.checked_mul(sector);
    let end = start.and_then(|start| start.checked_add(length));
    number <= MOST_ENTRIES && each == ENTRY_BYTES && end.is_some_and(|end| end <= size.0)
}

fn gpt_io(error: gptman::Error) -> Option<io::Error> {
    match error {
        gptman::Error::Io(error) => Some(error),
        _ => None,
    }
}

fn mbr(disk: &dyn ReadAt, size: Bytes) -> io::Result<Vec<Partition>> {
    let mut position = Position {
        disk,
        size: size.0,
        at: 0,
    };
    let header = mbrman::MBRHeader::read_from(&mut position).map_err(|error| match error {
        mbrman::Error::Io(error) => Some(error),
        _ => None,
    });
    let Some(header) = broken(header)? else {
        return Ok(Vec::new());
    };
    // It only guards a GPT, which is broken then; the kernel takes nothing from it either.
    if header.iter().any(|(_, entry)| entry.sys == GUARD) {
        return Ok(Vec::new());
    }
    let used = header.iter().filter(|(_, entry)| entry.is_used());
    let found = used.filter_map(|(number, entry)| {
        let (start, sectors) = (u64::from(entry.starting_lba), u64::from(entry.sectors));
        // A hybrid image's partition may begin at the disk's own beginning; that is no overlap.
        whole(number as u32, start, sectors, SECTORS[0], size)
    });
    Ok(found.collect())
}

fn whole(number: u32, start: u64, sectors: u64, sector: u64, size: Bytes) -> Option<Partition> {
    let offset = start.checked_mul(sector)?;
    let length = sectors.checked_mul(sector).filter(|length| *length > 0)?;
    let end = offset.checked_add(length)?;
    (end <= size.0).then_some(Partition {
        number,
        offset: Bytes(offset),
        length: Bytes(length),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{Cursor, Write};
    use std::process::{Command, Stdio};

    const MIB: u64 = 1 << 20;

    fn partition(number: u32, offset: u64, length: u64) -> Partition {
        Partition {
            number,
            offset: Bytes(offset),
            length: Bytes(length),
        }
    }

    /// A disk of 16 MiB that sfdisk made from `script`; `None`, loudly, without sfdisk.
    fn disk(script: &str) -> Option<Vec<u8>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(16 * MIB).unwrap();
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        let child = Command::new("sfdisk")
            .args(["-q", "--no-reread", "--no-tell-kernel"])
            .arg(file.path())
            .env("PATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(error) => {
                eprintln!("SKIPPED: sfdisk: {error}");
                return None;
            }
        };
        let mut input = child.stdin.take().unwrap();
        input.write_all(script.as_bytes()).unwrap();
        drop(input);
        assert!(child.wait().unwrap().success());
        Some(std::fs::read(file.path()).unwrap())
    }

    #[test]
    fn gpt_by_both_copies() {
        let Some(mut disk) = disk("label: gpt\nstart=2048, size=4096\nsize=8192\n") else {
            return;
        };
        let expected = [partition(1, MIB, 2 * MIB), partition(2, 3 * MIB, 4 * MIB)];
        assert_eq!(partitions(&disk).unwrap(), expected);
        disk[512] ^= 1;
        assert_eq!(partitions(&disk).unwrap(), expected);
        let last = disk.len() - 512;
        disk[last] ^= 1;
        assert_eq!(partitions(&disk).unwrap(), []);
    }

    #[test]
    fn mbr_and_none() {
        let Some(disk) = disk("label: dos\nstart=2048, size=4096, type=c\nsize=8192, type=83\n")
        else {
            return;
        };
        let expected = [partition(1, MIB, 2 * MIB), partition(2, 3 * MIB, 4 * MIB)];
        assert_eq!(partitions(&disk).unwrap(), expected);
        for size in [0, 1, 511, 512, 4096, 1 << 20] {
            assert_eq!(partitions(&vec![0; size]).unwrap(), []);
        }
    }

    #[test]
    fn a_hybrid_table_may_begin_at_zero() {
        let mut disk = vec![0; MIB as usize];
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        disk[446..462].copy_from_slice(&[0x80, 0, 0, 0, 0x17, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0]);
        assert_eq!(partitions(&disk).unwrap(), [partition(1, 0, MIB)]);
        // One sector more would lie outside.
        disk[458] = 1;
        assert_eq!(partitions(&disk).unwrap(), []);
    }

    #[test]
    fn a_table_in_larger_sectors() {
        let mut disk = Cursor::new(vec![0; 16 * MIB as usize]);
        let mut table = gptman::GPT::new_from(&mut disk, 4096, [7; 16]).unwrap();
        table[3] = gptman::GPTPartitionEntry {
            partition_type_guid: [1; 16],
            unique_partition_guid: [2; 16],
            starting_lba: 256,
            ending_lba: 511,
            attribute_bits: 0,
            partition_name: "LIVE".into(),
        };
        table.write_into(&mut disk).unwrap();
        let expected = [partition(3, MIB, MIB)];
        assert_eq!(partitions(&disk.into_inner()).unwrap(), expected);
    }

    #[test]
    fn absurd_headers_are_no_table() {
        let mut disk = Cursor::new(vec![0; MIB as usize]);
        let table = gptman::GPT::new_from(&mut disk, 512, [7; 16]).unwrap();
        type Change = fn(&mut gptman::GPTHeader);
        let changes: [Change; 6] = [
            |header| header.number_of_partition_entries = u32::MAX,
            |header| header.size_of_partition_entry = 0,
            |header| header.size_of_partition_entry = u32::MAX,
            |header| header.partition_entry_lba = u64::MAX,
            |header| header.partition_entry_lba = u64::MAX / 512,
            |header| header.partition_entry_array_crc32 ^= 1,
        ];
        for change in changes {
            let mut header = table.header.clone();
            change(&mut header);
            header.update_crc32_checksum();
            let mut bytes = vec![0; MIB as usize];
            let fields: Vec<u8> = [
                &header.signature[..],
                &header.revision,
                &header.header_size.to_le_bytes(),
                &header.crc32_checksum.to_le_bytes(),
                &header.reserved,
                &header.primary_lba.to_le_bytes(),
                &header.backup_lba.to_le_bytes(),
                &header.first_usable_lba.to_le_bytes(),
                &header.last_usable_lba.to_le_bytes(),
                &header.disk_guid,
                &header.partition_entry_lba.to_le_bytes(),
                &header.number_of_partition_entries.to_le_bytes(),
                &header.size_of_partition_entry.to_le_bytes(),
                &header.partition_entry_array_crc32.to_le_bytes(),
            ]
            .concat();
            bytes[512..512 + fields.len()].copy_from_slice(&fields);
            assert_eq!(partitions(&bytes).unwrap(), [], "{header:?}");
        }
    }

    #[test]
    fn a_part_ends_where_it_ends() {
        let disk: Vec<u8> = (0..=255).collect();
        let part = Part::new(&disk, partition(1, 100, 50));
        let mut byte = [0];
        part.read_at(&mut byte, 49).unwrap();
        assert_eq!(byte, [149]);
        assert!(part.read_at(&mut byte, 50).is_err());
        assert!(part.read_at(&mut byte, u64::MAX).is_err());
    }

    proptest! {
        #[test]
        fn no_table_makes_it_panic(
            entries in prop::collection::vec(any::<u8>(), 64),
            boot in prop::sample::select(vec![0u8, 0x80]),
            header in prop::collection::vec(any::<u8>(), 92),
        ) {
            let mut disk = vec![0; 8192];
            disk[446..510].copy_from_slice(&entries);
            for at in [446, 462, 478, 494] {
                disk[at] = boot;
            }
            disk[510..512].copy_from_slice(&[0x55, 0xaa]);
            disk[512..604].copy_from_slice(&header);
            disk[512..520].copy_from_slice(b"EFI PART");
            for found in partitions(&disk).unwrap() {
                prop_assert!(found.offset.0 + found.length.0 <= 8192);
            }
        }
    }
}
