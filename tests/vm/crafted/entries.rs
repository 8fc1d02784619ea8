//! What no system writes into a FAT's folders, patched into a stick's image.
//!
//! Format: fs/fat/namei_vfat.c and include/uapi/linux/msdos_fs.h in the kernel's sources.

use crate::harness::run;
use crate::sticks::Disk;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// An entry, and a slot of a long name, in bytes.
const ENTRY: usize = 32;
/// Where the letters of a long name lie in a slot.
const LETTERS: [usize; 13] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
/// An entry's attributes; what they are in a slot, a folder, and a label.
const ATTRIBUTES: usize = 11;
const SLOT: u8 = 0x0f;
const FOLDER: u8 = 0x10;
const LABEL: u8 = 0x08;
/// A slot's sum over the short name that it belongs to.
const SUM: usize = 13;

/// Adds an empty file to LiveOS by a long name of any 16-bit units; a 0 among them ends it.
pub fn add(disk: &Disk, name: &[u16]) {
    let slots = name.len().div_ceil(LETTERS.len());
    // Like no other in any of its slots.
    let stand_in = format!("{:013}", number()).repeat(slots);
    put(disk, &stand_in);
    rename(disk, &stand_in, name);
}

/// Gives a file another long name of as many slots.
pub fn rename(disk: &Disk, from: &str, to: &[u16]) {
    let from: Vec<u16> = from.encode_utf16().collect();
    for index in 0..from.len().div_ceil(LETTERS.len()) {
        let (old, new) = (slot(&from, index), slot(to, index));
        patch(
            disk,
            |entry| is_slot(entry, index, &old),
            |entry| {
                for (at, letter) in LETTERS.into_iter().zip(new) {
                    entry[at..at + 2].copy_from_slice(&letter.to_le_bytes());
                }
            },
        );
    }
}

/// Adds an empty file to LiveOS by a short name of any bytes.
pub fn add_short(disk: &Disk, name: &[u8; 11]) {
    let stand_in = format!("SHORT{:03}", number());
    put(disk, &stand_in);
    rename_short(disk, &stand_in, name);
}

/// Adds an empty file to LiveOS whose long name and whose short one have nothing to do with each other.
pub fn add_alias(disk: &Disk, long: &str, short: &[u8; 11]) {
    assert!(long.len() < LETTERS.len());
    put(disk, long);
    let letters: Vec<u16> = long.encode_utf16().collect();
    let old = slot(&letters, 0);
    let sum = short
        .iter()
        .fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
    let at = patch(
        disk,
        |entry| is_slot(entry, 0, &old),
        |entry| entry[SUM] = sum,
    );
    let file = open(disk);
    file.write_all_at(short, (at + ENTRY) as u64).unwrap();
}

/// Gives the stick another label.
pub fn label(disk: &Disk, name: &[u8; 11]) {
    let old = |entry: &[u8]| entry[ATTRIBUTES] == LABEL && entry.starts_with(b"STICK ");
    patch(disk, old, |entry| entry[..11].copy_from_slice(name));
}

/// Makes the folder with this short name in LiveOS be LiveOS itself.
pub fn circle(disk: &Disk, short: &[u8; 11]) {
    let live_os = live_os(disk).to_le_bytes();
    let folder = |entry: &[u8]| entry[ATTRIBUTES] == FOLDER && entry.starts_with(short);
    patch(disk, folder, |entry| {
        entry[20..22].copy_from_slice(&live_os[2..]);
        entry[26..28].copy_from_slice(&live_os[..2]);
    });
}

/// Makes LiveOS go on with its own beginning, for ever.
pub fn endless(disk: &Disk) {
    let bytes = fs::read(&disk.path).unwrap();
    let first = live_os(disk);
    let number = |range: Range<usize>| {
        let mut number = [0; 4];
        number[..range.len()].copy_from_slice(&bytes[range]);
        u32::from_le_bytes(number) as usize
    };
    let (sector, reserved, tables, length) = (
        number(11..13),
        number(14..16),
        number(16..17),
        number(36..40),
    );
    let place =
        |table: usize, cluster: u32| (reserved + table * length) * sector + cluster as usize * 4;
    let mut last = first;
    loop {
        let at = place(0, last);
        let next = number(at..at + 4) as u32 & 0x0fff_ffff;
        if next >= 0x0fff_fff8 {
            break;
        }
        last = next;
    }
    for table in 0..tables {
        let at = place(table, last) as u64;
        open(disk).write_all_at(&first.to_le_bytes(), at).unwrap();
    }
}

/// The first cluster of LiveOS.
fn live_os(disk: &Disk) -> u32 {
    let bytes = fs::read(&disk.path).unwrap();
    let at = find(&bytes, |entry| {
        entry[ATTRIBUTES] == FOLDER && entry.starts_with(b"LIVEOS  ")
    });
    let entry = &bytes[at..at + ENTRY];
    u32::from_le_bytes([entry[26], entry[27], entry[20], entry[21]])
}

fn rename_short(disk: &Disk, from: &str, to: &[u8; 11]) {
    let from = format!("{from:11}");
    let old = |entry: &[u8]| entry.starts_with(from.as_bytes());
    patch(disk, old, |entry| entry[..11].copy_from_slice(to));
}

/// The letters of a name's slot; what is behind its end is filled as the format has it.
fn slot(name: &[u16], index: usize) -> [u16; 13] {
    let start = index * LETTERS.len();
    std::array::from_fn(|at| match name.get(start + at) {
        Some(&letter) => letter,
        None if start + at == name.len() => 0,
        None => 0xffff,
    })
}

fn is_slot(entry: &[u8], index: usize, letters: &[u16; 13]) -> bool {
    // 0x40 marks a name's last slot.
    entry[ATTRIBUTES] == SLOT
        && usize::from(entry[0] & 0x3f) == index + 1
        && LETTERS
            .into_iter()
            .zip(letters)
            .all(|(at, letter)| entry[at..at + 2] == letter.to_le_bytes())
}

/// Another one each time.
fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn put(disk: &Disk, name: &str) {
    let empty = tempfile::NamedTempFile::new().unwrap();
    run(Command::new("mcopy")
        .arg("-i")
        .arg(&disk.path)
        .arg(empty.path())
        .arg(format!("::/LiveOS/{name}")));
}

fn open(disk: &Disk) -> File {
    File::options().write(true).open(&disk.path).unwrap()
}

/// Where the one entry lies that is like this.
fn find(bytes: &[u8], wanted: impl Fn(&[u8]) -> bool) -> usize {
    let mut found = bytes
        .chunks_exact(ENTRY)
        .enumerate()
        .filter(|(_, entry)| wanted(entry));
    let (one, other) = (found.next(), found.next());
    assert!(other.is_none());
    one.expect("an entry like this").0 * ENTRY
}

/// Changes the one entry that is like this, and tells where it lies.
fn patch(disk: &Disk, wanted: impl Fn(&[u8]) -> bool, change: impl Fn(&mut [u8])) -> usize {
    let bytes = fs::read(&disk.path).unwrap();
    let at = find(&bytes, wanted);
    let mut entry = bytes[at..at + ENTRY].to_vec();
    change(&mut entry);
    open(disk).write_all_at(&entry, at as u64).unwrap();
    at
}
