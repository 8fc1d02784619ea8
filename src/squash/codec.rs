//! Compressing and decompressing one block, with each of SquashFS's five compressors.
//!
//! What is decoded is untrusted: the room is given beforehand, never grown,
//! and so is the memory that a decoder may take.

use super::format::{BLOCK_MAX, BLOCK_MIN, Compression, METADATA, damaged};
use super::xz::Branch;
use super::{lzo, xz};
use crate::error::{Doing, Result};
use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};
use std::fmt;

/// How hard xz tries on the blocks that are compressed anew.
///
/// Blocks of any preset read alike. On blocks of real systems preset 3 takes three tenths
/// of the time of mksquashfs's preset 6, for 3 to 4 % more bytes in these blocks alone: with one
/// block in twenty changed, 0.2 % of the image. Preset 4 takes 0.7 to 0.8 of preset 6's time, and
/// presets below 3 save less than a tenth of what is left.
pub const XZ_PRESET: u32 = 3;
/// What mksquashfs takes unless told otherwise.
const ZSTD_LEVEL: i32 = 15;
/// What mksquashfs takes unless told otherwise.
const GZIP_LEVEL: u32 = 9;
/// zlib's largest window, mksquashfs's default.
const GZIP_WINDOW: u8 = 15;
/// A Zstandard frame's first bytes (RFC 8878). Other kinds of frames, of zstd's first days, are
/// refused as the kernel refuses them.
const ZSTD_MAGIC: [u8; 4] = 0xfd2f_b528u32.to_le_bytes();
/// The longest compressor options known: 8 bytes; some firmwares' xz has 12.
pub const OPTIONS_MAX: usize = 64;

/// A compressor with what the image's options say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method {
    /// Which compressor.
    pub compression: Compression,
    /// A data block's size.
    block_size: u32,
    settings: Settings,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Settings {
    Gzip {
        level: u32,
        window: u8,
    },
    Xz {
        dictionary: u32,
        branches: Vec<Branch>,
    },
    Zstd {
        level: i32,
    },
    Lzo,
    Lz4,
}

impl Method {
    /// From the image's own options, or mksquashfs's defaults where it has none.
    pub fn new(
        compression: Compression,
        block_size: u32,
        options: Option<&[u8]>,
    ) -> Result<Method> {
        let word = |at: usize| {
            let bytes = options.and_then(|all| all.get(at..at + 4))?;
            Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        };
        let (first, second) = (word(0), word(4));
        if options.is_some() && first.is_none() {
            return damaged("compressor options that are cut short");
        }
        let settings = match compression {
            Compression::Gzip => Settings::Gzip {
                level: within("gzip level", first.unwrap_or(GZIP_LEVEL), 1, 9)?,
                // Deflate's own smallest window is 9; 8 reads the same.
                window: match second {
                    None => GZIP_WINDOW,
                    Some(word) => within("gzip window", word & 0xffff, 8, 15)?.max(9) as u8,
                },
            },
            Compression::Xz => {
                let dictionary = first.unwrap_or(block_size);
                let bits = second.unwrap_or(0);
                Settings::Xz {
                    dictionary: within("xz dictionary", dictionary, BLOCK_MIN, BLOCK_MAX)?,
                    branches: (0..Branch::ALL.len())
                        .filter(|bit| bits & 1 << bit != 0)
                        .map(|bit| Branch::ALL[bit])
                        .collect(),
                }
            }
            Compression::Zstd => Settings::Zstd {
                level: match first {
                    None => ZSTD_LEVEL,
                    Some(level) => within("zstd level", level, 1, 22)? as i32,
                },
            },
            Compression::Lzo => Settings::Lzo,
            Compression::Lz4 => Settings::Lz4,
        };
        Ok(Method {
            compression,
            block_size,
            settings,
        })
    }

    /// The options that a new image with this compressor and its defaults needs: LZ4's are never
    /// left out (fs/squashfs/lz4_wrapper.c).
    pub fn default_options(compression: Compression) -> Option<Vec<u8>> {
        (compression == Compression::Lz4).then(|| vec![1, 0, 0, 0, 0, 0, 0, 0])
    }
}

fn within(name: &str, value: u32, least: u32, most: u32) -> Result<u32> {
    if !(least..=most).contains(&value) {
        return damaged(format!("{name} {value}"));
    }
    Ok(value)
}

/// Decodes blocks; keeps its working memory.
pub struct Decoder {
    compression: Compression,
    /// xz's largest dictionary.
    dictionary: u32,
    gzip: Option<Decompress>,
    zstd: Option<zstd::bulk::Decompressor<'static>>,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decoder({})", self.compression)
    }
}

impl Decoder {
    /// For the blocks of an image with this method.
    pub fn new(method: &Method) -> Result<Decoder> {
        let compression = method.compression;
        Ok(Decoder {
            compression,
            dictionary: method.block_size.max(METADATA as u32),
            gzip: (compression == Compression::Gzip).then(|| Decompress::new(true)),
            zstd: match compression {
                Compression::Zstd => {
                    Some(zstd::bulk::Decompressor::new().doing("preparing to decompress")?)
                }
                _ => None,
            },
        })
    }

    /// Decodes `stored` into `out`, and gives the length; longer than `out` is damage.
    pub fn decode(&mut self, stored: &[u8], out: &mut [u8]) -> Result<usize> {
        match self.compression {
            Compression::Gzip => self.gunzip(stored, out),
            Compression::Xz => xz::decode(stored, self.dictionary, out),
            Compression::Zstd => self.unzstd(stored, out),
            Compression::Lzo => match lzo::decode(stored, out) {
                Some(length) => Ok(length),
                None => damaged("an lzo block that does not decode"),
            },
            Compression::Lz4 => match lz4_flex::block::decompress_into(stored, out) {
                Ok(length) => Ok(length),
                Err(error) => damaged(format!("an lz4 block: {error}")),
            },
        }
    }

    fn gunzip(&mut self, stored: &[u8], out: &mut [u8]) -> Result<usize> {
        let stream = self.gzip.get_or_insert_with(|| Decompress::new(true));
        stream.reset(true);
        match stream.decompress(stored, out, FlushDecompress::Finish) {
            Ok(Status::StreamEnd) => Ok(stream.total_out() as usize),
            Ok(_) => damaged("a gzip block that is cut short or too long"),
            Err(error) => damaged(format!("a gzip block: {error}")),
        }
    }

    fn unzstd(&mut self, stored: &[u8], out: &mut [u8]) -> Result<usize> {
        let whole = zstd::zstd_safe::find_frame_compressed_size(stored);
        if !stored.starts_with(&ZSTD_MAGIC) || whole != Ok(stored.len()) {
            return damaged("a zstd block that is not one frame");
        }
        let Some(context) = &mut self.zstd else {
            return damaged("a zstd block");
        };
        match context.decompress_to_buffer(stored, out) {
            Ok(length) => Ok(length),
            Err(error) => damaged(format!("a zstd block: {error}")),
        }
    }
}

/// What a block holds: metadata is smaller, and compressed with a smaller dictionary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// A piece of a file, or of several files' ends.
    Data,
    /// A piece of a table.
    Metadata,
}

/// zstd's level for a quick look at a block: it takes 3 % of the time that xz would.
const QUICK: i32 = 1;
/// What zstd cannot shrink by a 64th (photos, films, archives: one block in six of a desktop system)
/// is stored as it is. xz takes longest on it, 30 % of all its time, to save 0.04 % of all bytes.
const WORTH: usize = 64;

/// Encodes blocks; keeps its working memory.
pub struct Encoder {
    method: Method,
    xz_preset: u32,
    gzip: Option<Compress>,
    /// For xz: a quick look at what is not worth its time.
    zstd: Option<zstd::bulk::Compressor<'static>>,
    lzo: Option<lzo::Encoder>,
    /// xz tries several filters: the best so far.
    other: Vec<u8>,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoder({:?})", self.method)
    }
}

impl Encoder {
    /// For blocks of an image with this method.
    pub fn new(method: &Method, xz_preset: u32) -> Result<Encoder> {
        let mut encoder = Encoder {
            method: method.clone(),
            xz_preset,
            gzip: None,
            zstd: None,
            lzo: None,
            other: Vec::new(),
        };
        let zstd = |level| zstd::bulk::Compressor::new(level).doing("preparing to compress");
        match method.settings {
            Settings::Gzip { level, window } => {
                let level = flate2::Compression::new(level);
                encoder.gzip = Some(Compress::new_with_window_bits(level, true, window));
            }
            Settings::Zstd { level } => encoder.zstd = Some(zstd(level)?),
            Settings::Xz { .. } => encoder.zstd = Some(zstd(QUICK)?),
            Settings::Lzo => encoder.lzo = Some(lzo::Encoder::new()),
            Settings::Lz4 => {}
        }
        Ok(encoder)
    }

    /// Encodes `plain` into `out`; false where it does not become smaller, and is to be stored
    /// as it is.
    ///
    /// `before` is what the same block was encoded as earlier, where it is at hand: xz then takes
    /// the filter that was the best for it instead of trying all that the image allows.
    pub fn encode(
        &mut self,
        plain: &[u8],
        holds: Holds,
        before: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        match &self.method.settings {
            Settings::Xz { .. } => self.xz(plain, holds, before, out)?,
            Settings::Gzip { .. } => return self.gzip(plain, out),
            Settings::Zstd { .. } => self.zstd(plain, out)?,
            Settings::Lzo => {
                let encoder = self.lzo.get_or_insert_with(lzo::Encoder::new);
                encoder.encode(plain, out);
            }
            Settings::Lz4 => {
                out.resize(lz4_flex::block::get_maximum_output_size(plain.len()), 0);
                match lz4_flex::block::compress_into(plain, out) {
                    Ok(length) => out.truncate(length),
                    Err(_) => return Ok(false),
                }
            }
        }
        Ok(!out.is_empty() && out.len() < plain.len())
    }

    /// The smallest of what plain LZMA2 and each allowed filter give; empty where none shrinks
    /// it by what is worth the time.
    fn xz(
        &mut self,
        plain: &[u8],
        holds: Holds,
        before: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        // Metadata is little, and is to be as small as it can.
        if holds == Holds::Data {
            self.zstd(plain, out)?;
            if out.len() >= plain.len() - plain.len() / WORTH {
                out.clear();
                return Ok(());
            }
        }
        let Settings::Xz {
            dictionary,
            branches,
        } = &self.method.settings
        else {
            return Ok(());
        };
        let dictionary = match holds {
            Holds::Data => *dictionary,
            // As mksquashfs does it (xz_wrapper.c, squashfs_xz_init).
            Holds::Metadata => METADATA as u32,
        };
        let mut tries = vec![None];
        match before {
            Some(stored) => tries[0] = xz::branch_of(stored).filter(|one| branches.contains(one)),
            None => tries.extend(branches.iter().copied().map(Some)),
        }
        out.clear();
        for branch in tries {
            let other = &mut self.other;
            let smaller = xz::encode(plain, self.xz_preset, dictionary, branch, other)?;
            if smaller && (out.is_empty() || other.len() < out.len()) {
                std::mem::swap(out, other);
            }
        }
        Ok(())
    }

    fn gzip(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let Some(stream) = &mut self.gzip else {
            return Ok(false);
        };
        stream.reset();
        out.clear();
        out.resize(plain.len(), 0);
        let status = stream.compress(plain, out, FlushCompress::Finish);
        out.truncate(stream.total_out() as usize);
        match status {
            Ok(Status::StreamEnd) => Ok(out.len() < plain.len()),
            Ok(_) => Ok(false),
            Err(error) => Err(std::io::Error::other(error)).doing("compressing with gzip"),
        }
    }

    fn zstd(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let Some(context) = &mut self.zstd else {
            return Ok(());
        };
        out.clear();
        out.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        // There is room for whatever comes out: all that can be missing is memory.
        context
            .compress_to_buffer(plain, out)
            .map_err(|error| std::io::Error::new(std::io::ErrorKind::OutOfMemory, error))
            .doing("compressing with zstd")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn method(compression: Compression, options: Option<&[u8]>) -> Result<Method> {
        Method::new(compression, 131_072, options)
    }

    fn text() -> Vec<u8> {
        (0..30_000u32)
            .flat_map(|i| (i.wrapping_mul(i) % 1009).to_le_bytes())
            .collect()
    }

    #[test]
    fn each_compressor_comes_back_again_and_again() {
        for compression in Compression::ALL {
            let method = method(compression, None).unwrap();
            let mut encoder = Encoder::new(&method, XZ_PRESET).unwrap();
            let mut decoder = Decoder::new(&method).unwrap();
            let plain = text();
            let mut first = Vec::new();
            for _ in 0..2 {
                for length in [plain.len(), 8192, 5000] {
                    let plain = &plain[..length];
                    let mut stored = Vec::new();
                    for holds in [Holds::Metadata, Holds::Data] {
                        assert!(encoder.encode(plain, holds, None, &mut stored).unwrap());
                        let mut out = vec![0; length];
                        assert_eq!(decoder.decode(&stored, &mut out).unwrap(), length);
                        assert_eq!(out, plain, "{compression}");
                        // More room than needed is fine, less is not.
                        let mut out = vec![0; length + 100];
                        assert_eq!(decoder.decode(&stored, &mut out).unwrap(), length);
                        assert!(decoder.decode(&stored, &mut out[..length - 1]).is_err());
                    }
                    if length == 5000 {
                        assert!(first.is_empty() || first == stored, "{compression}");
                        first = stored;
                    }
                }
            }
            let mut stored = Vec::new();
            assert!(
                !encoder
                    .encode(b"ab", Holds::Data, None, &mut stored)
                    .unwrap()
            );
        }
    }

    #[test]
    fn what_is_hardly_worth_it_is_not_compressed_by_xz() {
        let method = method(Compression::Xz, None).unwrap();
        let mut encoder = Encoder::new(&method, XZ_PRESET).unwrap();
        let mut state = 1u64;
        let mut noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        })
        .take(128 << 10)
        .collect();
        let mut encode = |plain: &[u8], holds| {
            let mut stored = Vec::new();
            encoder.encode(plain, holds, None, &mut stored).unwrap()
        };
        // xz would save a little more than its own frame takes.
        noise[..1000].fill(0);
        assert!(encode(&noise, Holds::Metadata));
        assert!(!encode(&noise, Holds::Data));
        noise[..4000].fill(0);
        assert!(encode(&noise, Holds::Data));
    }

    #[test]
    fn options_are_checked() {
        let words = |words: &[u32]| -> Vec<u8> {
            words.iter().flat_map(|word| word.to_le_bytes()).collect()
        };
        let good = [
            (Compression::Gzip, vec![5, 0x0001_000c]),
            (Compression::Xz, vec![8192, 0x7f]),
            (Compression::Xz, vec![131_072, 1, 7]),
            (Compression::Zstd, vec![22]),
            (Compression::Lz4, vec![1, 1]),
            (Compression::Lzo, vec![4, 8]),
        ];
        for (compression, options) in good {
            method(compression, Some(&words(&options))).unwrap();
        }
        let bad = [
            (Compression::Gzip, vec![0, 15]),
            (Compression::Gzip, vec![9, 16]),
            (Compression::Xz, vec![4095, 0]),
            (Compression::Xz, vec![1 << 21, 0]),
            (Compression::Zstd, vec![23]),
            (Compression::Zstd, vec![]),
        ];
        for (compression, options) in bad {
            method(compression, Some(&words(&options))).unwrap_err();
        }
    }

    #[test]
    fn xz_keeps_the_filter_that_was_best() {
        let options: Vec<u8> = [131_072u32, 1]
            .iter()
            .flat_map(|w| w.to_le_bytes())
            .collect();
        let method = method(Compression::Xz, Some(&options)).unwrap();
        let mut encoder = Encoder::new(&method, XZ_PRESET).unwrap();
        // Calls to one place from many: what the x86 filter is for.
        let code: Vec<u8> = (0..20_000u32)
            .flat_map(|i| {
                let mut call = vec![0x90, 0xe8];
                call.extend(0u32.wrapping_sub(i * 6).to_le_bytes());
                call
            })
            .collect();
        let mut stored = Vec::new();
        assert!(
            encoder
                .encode(&code, Holds::Data, None, &mut stored)
                .unwrap()
        );
        assert_eq!(xz::branch_of(&stored), Some(Branch::X86));
        let before = stored.clone();
        assert!(
            encoder
                .encode(&code, Holds::Data, Some(&before), &mut stored)
                .unwrap()
        );
        assert_eq!(stored, before);
    }

    proptest! {
        #[test]
        fn any_block_ends(stored in proptest::collection::vec(any::<u8>(), 0..400)) {
            for compression in Compression::ALL {
                let method = method(compression, None).unwrap();
                let mut decoder = Decoder::new(&method).unwrap();
                let _ = decoder.decode(&stored, &mut [0; 1000]);
                let mut framed = ZSTD_MAGIC.to_vec();
                framed.extend(&stored);
                let _ = decoder.decode(&framed, &mut [0; 1000]);
            }
        }
    }
}
