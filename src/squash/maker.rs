//! The options by which mksquashfs makes an image of the kind of another one.
//!
//! Names and numbers are those of squashfs-tools (its `*_options.h` and `squashfs_fs.h`).

use super::format::{Compression, PADDING, flags, unsupported};
use super::read::Image;
use crate::error::Result;

/// What mksquashfs's `-Xbcj` calls the branch filters, by their bits.
const BRANCHES: [&str; 6] = ["x86", "powerpc", "ia64", "arm", "armthumb", "sparc"];
/// What its `-Xstrategy` calls zlib's strategies, by their bits.
const STRATEGIES: [&str; 5] = [
    "default",
    "filtered",
    "huffman_only",
    "run_length_encoded",
    "fixed",
];
/// What its `-Xalgorithm` calls LZO's, by their numbers.
const ALGORITHMS: [&str; 5] = [
    "lzo1x_1",
    "lzo1x_1_11",
    "lzo1x_1_12",
    "lzo1x_1_15",
    "lzo1x_999",
];
/// The one that takes a level.
const LZO1X_999: u32 = 4;
/// LZ4's flag for the slow, high compression.
const LZ4_HC: u32 = 1;

/// Options for an image with `image`'s block size, compressor (or the other one that is wanted)
/// and layout, made one second later than it: no two images have the same superblock.
///
/// # Errors
/// `Unsupported` where the compressor has options that mksquashfs does not make.
pub fn options(image: &Image, recompress: Option<Compression>) -> Result<Vec<String>> {
    let shared = &image.shared;
    let superblock = &shared.superblock;
    let mut all = vec![
        "-b".to_owned(),
        superblock.block_size.to_string(),
        "-mkfs-time".to_owned(),
        superblock.mod_time.wrapping_add(1).to_string(),
    ];
    let other = recompress.filter(|new| *new != superblock.compression);
    let compression = other.unwrap_or(superblock.compression);
    all.extend(["-comp".to_owned(), compression.to_string()]);
    if other.is_none()
        && let Some(options) = shared.options.get(2..)
    {
        all.extend(compressor(compression, options)?);
    }
    let set = |bit: u16| superblock.flags & bit != 0;
    // Whoever asks for a compressor wants everything compressed by it.
    let plain = |bit: u16| other.is_none() && set(bit);
    let switches = [
        (plain(flags::PLAIN_INODES), "-noI"),
        (plain(flags::PLAIN_DATA), "-noD"),
        (plain(flags::PLAIN_FRAGMENTS), "-noF"),
        (plain(flags::PLAIN_XATTRS), "-noX"),
        (plain(flags::PLAIN_IDS), "-noId"),
        (set(flags::NO_FRAGMENTS), "-no-fragments"),
        (set(flags::ALWAYS_FRAGMENTS), "-always-use-fragments"),
        (!set(flags::DUPLICATES), "-no-duplicates"),
        (!set(flags::EXPORT), "-no-exports"),
        (set(flags::NO_XATTRS), "-no-xattrs"),
        (!shared.file_bytes.is_multiple_of(PADDING), "-nopad"),
    ];
    let wanted = switches.iter().filter(|(wanted, _)| *wanted);
    all.extend(wanted.map(|(_, name)| (*name).to_owned()));
    Ok(all)
}

/// A compressor's own options, from their stored form without its head.
fn compressor(compression: Compression, stored: &[u8]) -> Result<Vec<String>> {
    let words: Vec<u32> = stored
        .chunks_exact(4)
        .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
        .collect();
    let unknown = || unsupported(format!("{compression} options {stored:02x?}"));
    let options = match (compression, &words[..]) {
        (Compression::Gzip, [level, rest]) => {
            let mut options = vec![
                "-Xcompression-level".to_owned(),
                level.to_string(),
                "-Xwindow-size".to_owned(),
                (rest & 0xffff).to_string(),
            ];
            if rest >> 16 != 0 {
                let Some(names) = names(&STRATEGIES, rest >> 16) else {
                    return unknown();
                };
                options.extend(["-Xstrategy".to_owned(), names]);
            }
            options
        }
        (Compression::Xz, [dictionary, filters]) => {
            let mut options = vec!["-Xdict-size".to_owned(), dictionary.to_string()];
            if *filters != 0 {
                let Some(names) = names(&BRANCHES, *filters) else {
                    return unknown();
                };
                options.extend(["-Xbcj".to_owned(), names]);
            }
            options
        }
        (Compression::Zstd, [level]) => vec!["-Xcompression-level".to_owned(), level.to_string()],
        (Compression::Lzo, [algorithm, level]) => {
            let Some(name) = ALGORITHMS.get(*algorithm as usize) else {
                return unknown();
            };
            let mut options = vec!["-Xalgorithm".to_owned(), (*name).to_owned()];
            if *algorithm == LZO1X_999 {
                options.extend(["-Xcompression-level".to_owned(), level.to_string()]);
            }
            options
        }
        (Compression::Lz4, [_, 0]) => Vec::new(),
        (Compression::Lz4, [_, LZ4_HC]) => vec!["-Xhc".to_owned()],
        _ => return unknown(),
    };
    Ok(options)
}

/// The names of the bits that are set; none where one has no name.
fn names(all: &[&str], bits: u32) -> Option<String> {
    if bits >> all.len() != 0 {
        return None;
    }
    let set = all
        .iter()
        .enumerate()
        .filter(|(bit, _)| bits & 1 << bit != 0);
    let names: Vec<&str> = set.map(|(_, name)| *name).collect();
    Some(names.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn compressors_options_are_said_as_mksquashfs_takes_them() {
        for (compression, stored, expected) in [
            (
                Compression::Gzip,
                &[3, 10][..],
                "-Xcompression-level 3 -Xwindow-size 10",
            ),
            (
                Compression::Gzip,
                &[9, 15 | 0b10010 << 16],
                "-Xcompression-level 9 -Xwindow-size 15 -Xstrategy filtered,fixed",
            ),
            (
                Compression::Xz,
                &[65536, 0b101001],
                "-Xdict-size 65536 -Xbcj x86,arm,sparc",
            ),
            (Compression::Zstd, &[3], "-Xcompression-level 3"),
            (Compression::Lzo, &[0, 0], "-Xalgorithm lzo1x_1"),
            (
                Compression::Lzo,
                &[4, 5],
                "-Xalgorithm lzo1x_999 -Xcompression-level 5",
            ),
            (Compression::Lz4, &[1, 0], ""),
            (Compression::Lz4, &[1, 1], "-Xhc"),
        ] {
            let options = compressor(compression, &words(stored)).unwrap();
            assert_eq!(options.join(" "), expected);
        }
        for (compression, stored) in [
            (Compression::Xz, &[65536, 0b1000000][..]),
            (Compression::Xz, &[65536, 0, 0]),
            (Compression::Gzip, &[9]),
            (Compression::Lzo, &[5, 0]),
            (Compression::Lz4, &[1, 2]),
        ] {
            assert!(compressor(compression, &words(stored)).is_err());
        }
    }
}
