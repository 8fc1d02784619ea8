//! The xz container around LZMA2, made and read for one block.
//!
//! mksquashfs calls liblzma's `lzma_stream_buffer_encode`, which knows the
//! lengths beforehand and writes them into the block's header. Its safe
//! wrapper is missing, so the container (some 60 bytes) is made here around
//! liblzma's raw LZMA2: the same bytes as mksquashfs's, which the tests compare.
//! Format: <https://tukaani.org/xz/xz-file-format.txt>, version 1.2.

use super::format::damaged;
use crate::error::Result;
use flate2::Crc;
use liblzma::stream::{Action, Error as LzmaError, Filters, LzmaOptions, Status, Stream};

const MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];
/// Stream flags: the check is CRC32, which the kernel's decoder knows.
const FLAGS: [u8; 2] = [0, 1];
const FOOTER_MAGIC: [u8; 2] = *b"YZ";
/// Id of the LZMA2 filter.
const LZMA2: u8 = 0x21;
/// What liblzma's decoder takes besides the dictionary, generously.
const DECODER_MEMORY: u64 = 1 << 20;

/// A filter that makes machine code more compressible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Branch {
    /// x86 in 32 and 64 bits.
    X86 = 4,
    /// PowerPC, big endian.
    PowerPc = 5,
    /// Itanium.
    Ia64 = 6,
    /// ARM.
    Arm = 7,
    /// ARM's Thumb.
    ArmThumb = 8,
    /// SPARC.
    Sparc = 9,
}

impl Branch {
    /// In the order of the bits in SquashFS's compressor options.
    pub const ALL: [Branch; 6] = [
        Branch::X86,
        Branch::PowerPc,
        Branch::Ia64,
        Branch::Arm,
        Branch::ArmThumb,
        Branch::Sparc,
    ];
}

/// Compresses `plain` into `out`; false where it would not become smaller.
pub fn encode(
    plain: &[u8],
    preset: u32,
    dictionary: u32,
    branch: Option<Branch>,
    out: &mut Vec<u8>,
) -> Result<bool> {
    let header = block_header_bytes(plain.len() as u64, branch);
    let start = MAGIC.len() + FLAGS.len() + 4 + header;
    out.clear();
    if start >= plain.len() {
        return Ok(false);
    }
    // Room for what is smaller than the plain bytes, and no more.
    out.resize(plain.len(), 0);
    let mut stream = raw_encoder(preset, dictionary, branch)?;
    match stream.process(plain, &mut out[start..], Action::Finish) {
        Ok(Status::StreamEnd) => {}
        Ok(_) => return Ok(false),
        Err(error) => return lzma(error),
    }
    let packed = stream.total_out();
    out.truncate(start + packed as usize);
    put_head(out, header, packed, plain.len() as u64, dictionary, branch);
    pad(out, start);
    put_sum(out, plain);
    put_index(out, header as u64 + packed + 4, plain.len() as u64);
    Ok(out.len() < plain.len())
}

fn raw_encoder(preset: u32, dictionary: u32, branch: Option<Branch>) -> Result<Stream> {
    let mut options = LzmaOptions::new_preset(preset).or_else(lzma)?;
    options.dict_size(dictionary);
    let mut filters = Filters::new();
    match branch {
        None => {}
        Some(Branch::X86) => {
            filters.x86();
        }
        Some(Branch::PowerPc) => {
            filters.powerpc();
        }
        Some(Branch::Ia64) => {
            filters.ia64();
        }
        Some(Branch::Arm) => {
            filters.arm();
        }
        Some(Branch::ArmThumb) => {
            filters.arm_thumb();
        }
        Some(Branch::Sparc) => {
            filters.sparc();
        }
    }
    filters.lzma2(&options);
    Stream::new_raw_encoder(&filters).or_else(lzma)
}

fn lzma<T>(error: LzmaError) -> Result<T> {
    Err(crate::error::Error::Io {
        doing: "compressing with xz".into(),
        source: std::io::Error::other(error),
    })
}

/// The block header's length. liblzma sizes it for the largest outcome: all of it incompressible.
fn block_header_bytes(plain: u64, branch: Option<Branch>) -> usize {
    let largest = plain + plain.div_ceil(1 << 16) * 3 + 1;
    let filters = 3 + if branch.is_some() { 2 } else { 0 };
    (2 + number_bytes(largest) + number_bytes(plain) + filters + 4).next_multiple_of(4)
}

/// Stream header and block header, into the room left for them.
fn put_head(
    out: &mut [u8],
    header: usize,
    packed: u64,
    plain: u64,
    dictionary: u32,
    branch: Option<Branch>,
) {
    let mut head = Vec::with_capacity(64);
    head.extend(MAGIC);
    head.extend(FLAGS);
    put_sum(&mut head, &FLAGS);
    let start = head.len();
    let filters = if branch.is_some() { 2 } else { 1 };
    // Bits 6 and 7: both lengths are there.
    head.extend([(header / 4 - 1) as u8, 0xc0 | (filters - 1)]);
    put_number(&mut head, packed);
    put_number(&mut head, plain);
    if let Some(branch) = branch {
        head.extend([branch as u8, 0]);
    }
    head.extend([LZMA2, 1, dictionary_code(dictionary)]);
    head.resize(start + header - 4, 0);
    let sum = checksum(&head[start..]);
    head.extend(sum.to_le_bytes());
    out[..head.len()].copy_from_slice(&head);
}

/// The index of the one block, and the stream's footer.
fn put_index(out: &mut Vec<u8>, unpadded: u64, plain: u64) {
    let start = out.len();
    out.extend([0, 1]);
    put_number(out, unpadded);
    put_number(out, plain);
    pad(out, start);
    let sum = checksum(&out[start..]);
    out.extend(sum.to_le_bytes());
    let backward = ((out.len() - start) / 4 - 1) as u32;
    let mut tail = backward.to_le_bytes().to_vec();
    tail.extend(FLAGS);
    put_sum(out, &tail);
    out.extend(tail);
    out.extend(FOOTER_MAGIC);
}

/// The smallest code whose dictionary is no smaller: two sizes for each power of two.
fn dictionary_code(bytes: u32) -> u8 {
    let size = |code: u32| u64::from(2 | (code & 1)) << (code / 2 + 11);
    (0..40)
        .find(|code| size(*code) >= u64::from(bytes))
        .unwrap_or(40) as u8
}

fn pad(out: &mut Vec<u8>, start: usize) {
    let length = (out.len() - start).next_multiple_of(4);
    out.resize(start + length, 0);
}

fn put_sum(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(checksum(bytes).to_le_bytes());
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn number_bytes(number: u64) -> usize {
    (64 - (number | 1).leading_zeros() as usize).div_ceil(7)
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Decodes one stream into `out`, checks its sums, and gives the length.
///
/// The dictionary may not be larger than `dictionary`: liblzma would allocate
/// whatever the stream asks for.
pub fn decode(stored: &[u8], dictionary: u32, out: &mut [u8]) -> Result<usize> {
    let memory = u64::from(dictionary) + DECODER_MEMORY;
    let mut stream = match Stream::new_stream_decoder(memory, 0) {
        Ok(stream) => stream,
        Err(error) => return lzma(error),
    };
    match stream.process(stored, out, Action::Finish) {
        Ok(Status::StreamEnd) => Ok(stream.total_out() as usize),
        Ok(_) => damaged("an xz block that is cut short or too long"),
        Err(error) => damaged(format!("an xz block: {error}")),
    }
}

/// The filter that a block was compressed with, where its header names one we know.
pub fn branch_of(stored: &[u8]) -> Option<Branch> {
    let header = stored.get(12..)?;
    let flags = *header.get(1)?;
    if flags & 3 == 0 {
        return None;
    }
    let mut at = 2;
    for present in [flags & 0x40, flags & 0x80] {
        if present != 0 {
            while header.get(at)? & 0x80 != 0 {
                at += 1;
            }
            at += 1;
        }
    }
    let id = *header.get(at)?;
    Branch::ALL.into_iter().find(|one| *one as u8 == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text() -> Vec<u8> {
        (0..40_000u32)
            .flat_map(|i| (i.wrapping_mul(i) % 1009).to_le_bytes())
            .collect()
    }

    #[test]
    fn what_is_encoded_decodes() {
        let plain = text();
        for branch in [None].into_iter().chain(Branch::ALL.map(Some)) {
            let mut stored = Vec::new();
            assert!(encode(&plain, 6, 131_072, branch, &mut stored).unwrap());
            let mut out = vec![0; plain.len()];
            assert_eq!(decode(&stored, 131_072, &mut out).unwrap(), plain.len());
            assert_eq!(out, plain);
            assert_eq!(branch_of(&stored), branch);
            // Too little room, a cut stream, a flipped bit: errors, never wrong bytes.
            assert!(decode(&stored, 131_072, &mut out[1..]).is_err());
            assert!(decode(&stored[..stored.len() - 1], 131_072, &mut out).is_err());
            for at in (0..stored.len()).step_by(97) {
                let mut bad = stored.clone();
                bad[at] ^= 4;
                assert!(decode(&bad, 131_072, &mut out).is_err(), "byte {at}");
            }
        }
    }

    #[test]
    fn a_large_dictionary_is_refused_and_costs_nothing() {
        let plain = text();
        let mut stored = Vec::new();
        assert!(encode(&plain, 6, 1 << 29, None, &mut stored).unwrap());
        let mut out = vec![0; plain.len()];
        assert!(decode(&stored, 1 << 20, &mut out).is_err());
    }

    #[test]
    fn what_does_not_shrink_is_told() {
        let mut stored = Vec::new();
        assert!(!encode(b"short", 6, 8192, None, &mut stored).unwrap());
        let noise: Vec<u8> = (0..9000u64)
            .map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8 ^ ((i * i) >> 3) as u8)
            .collect();
        let shrunk = encode(&noise, 6, 8192, None, &mut stored).unwrap();
        assert_eq!(shrunk, stored.len() < noise.len());
    }

    #[test]
    fn dictionary_codes() {
        for (bytes, code) in [
            (4096, 0),
            (6144, 1),
            (8192, 2),
            (131_072, 10),
            (1 << 20, 16),
        ] {
            assert_eq!(dictionary_code(bytes), code);
        }
    }

    proptest! {
        #[test]
        fn any_stream_ends(stored in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut whole = MAGIC.to_vec();
            whole.extend(FLAGS);
            whole.extend(checksum(&FLAGS).to_le_bytes());
            whole.extend(&stored);
            let _ = decode(&whole, 8192, &mut [0; 500]);
            let _ = branch_of(&whole);
        }
    }
}
