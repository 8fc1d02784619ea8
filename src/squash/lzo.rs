//! LZO1X, as SquashFS images with `-comp lzo` hold it.
//!
//! Written from the format's description in Linux (Documentation/staging/lzo.rst),
//! because the crates for it either trust their input or may not be linked with
//! a program under GPL version 3. Every copy here is checked against both ends.
//!
//! A stream is a list of copies from at most 48 KiB back, each followed by
//! up to three literal bytes; longer runs of literals stand between copies.

/// A match further back than this needs the longest form, in bytes.
const NEAR: usize = 0x800;
/// The furthest a three-byte match may reach after a run of literals.
const RUN_REACH: usize = NEAR + 0x400;
/// The furthest the middle form reaches.
const MIDDLE: usize = 0x4000;
/// The furthest a match reaches at all.
const FAR: usize = 0xbfff;
/// How many earlier places with the same three bytes are tried.
const TRIES: usize = 48;
/// A match this long is taken without a look at the next place.
const GOOD: usize = 64;
/// Entries of the hash table.
const HASH_BITS: u32 = 14;
/// "No earlier place."
const NOWHERE: u32 = u32::MAX;

/// Decodes `input` into `out`; gives the length, or nothing where the stream is damaged or
/// longer than `out`.
pub fn decode(input: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut stream = Decoder {
        input,
        at: 0,
        out,
        end: 0,
    };
    // Literals since the last copy: 0 to 3 came with it, 4 stands for a longer run.
    let mut state = 0;
    let first = *input.first()?;
    if first > 17 {
        stream.at = 1;
        let run = usize::from(first) - 17;
        stream.literals(run)?;
        state = run.min(4);
    }
    loop {
        let code = usize::from(stream.byte()?);
        let (length, distance, literals) = match code {
            0..16 if state == 0 => {
                let run = stream.length(code, 15)? + 3;
                stream.literals(run)?;
                state = 4;
                continue;
            }
            0..16 => {
                let (length, base) = if state == 4 { (3, NEAR + 1) } else { (2, 1) };
                let distance = (usize::from(stream.byte()?) << 2) + (code >> 2) + base;
                (length, distance, code & 3)
            }
            16..32 => {
                let length = stream.length(code & 7, 7)? + 2;
                let word = stream.word()?;
                let distance = ((code & 8) << 11) + (word >> 2);
                if distance == 0 {
                    return (stream.at == input.len() && length == 3).then_some(stream.end);
                }
                (length, distance + MIDDLE, word & 3)
            }
            32..64 => {
                let length = stream.length(code & 31, 31)? + 2;
                let word = stream.word()?;
                (length, (word >> 2) + 1, word & 3)
            }
            _ => {
                let distance = (usize::from(stream.byte()?) << 3) + ((code >> 2) & 7) + 1;
                ((code >> 5) + 1, distance, code & 3)
            }
        };
        stream.copy(length, distance)?;
        stream.literals(literals)?;
        state = literals;
    }
}

struct Decoder<'a> {
    input: &'a [u8],
    at: usize,
    out: &'a mut [u8],
    end: usize,
}

impl Decoder<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.input.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn word(&mut self) -> Option<usize> {
        Some(usize::from(self.byte()?) | usize::from(self.byte()?) << 8)
    }

    /// A length that stands in the code itself, or, where that is 0, in the bytes that follow.
    fn length(&mut self, short: usize, base: usize) -> Option<usize> {
        if short != 0 {
            return Some(short);
        }
        let mut length = base;
        loop {
            match self.byte()? {
                0 => length += 255,
                last => return Some(length + usize::from(last)),
            }
        }
    }

    fn literals(&mut self, length: usize) -> Option<()> {
        let from = self.input.get(self.at..self.at.checked_add(length)?)?;
        let to = self.out.get_mut(self.end..self.end.checked_add(length)?)?;
        to.copy_from_slice(from);
        self.at += length;
        self.end += length;
        Some(())
    }

    /// A copy may overlap itself: it then repeats what lies `distance` back.
    fn copy(&mut self, length: usize, distance: usize) -> Option<()> {
        let from = self.end.checked_sub(distance)?;
        let end = self.end.checked_add(length)?;
        if end > self.out.len() {
            return None;
        }
        if distance >= length {
            self.out.copy_within(from..from + length, self.end);
        } else {
            for i in 0..length {
                self.out[self.end + i] = self.out[from + i];
            }
        }
        self.end = end;
        Some(())
    }
}

/// Encodes, with working memory that is used again.
#[derive(Debug)]
pub struct Encoder {
    /// The last place with a hash.
    heads: Vec<u32>,
    /// For each place, the one before it with the same hash.
    links: Vec<u32>,
}

/// A match: how long, how far back.
#[derive(Clone, Copy)]
struct Match {
    length: usize,
    distance: usize,
}

impl Encoder {
    /// Empty.
    pub fn new() -> Encoder {
        Encoder {
            heads: vec![NOWHERE; 1 << HASH_BITS],
            links: Vec::new(),
        }
    }

    /// Encodes all of `input`.
    pub fn encode(&mut self, input: &[u8], out: &mut Vec<u8>) {
        out.clear();
        self.heads.fill(NOWHERE);
        self.links.clear();
        self.links.resize(input.len(), NOWHERE);
        let mut literals_from = 0;
        let mut at = 0;
        // Entered in the table are the places before this one.
        let mut entered = 0;
        while at + 3 <= input.len() {
            self.enter(input, &mut entered, at);
            let mut best = self.find(input, at, at - literals_from);
            while let Some(here) = best {
                // A longer match one byte on is worth a literal.
                if here.length >= GOOD || at + 4 > input.len() {
                    break;
                }
                self.enter(input, &mut entered, at + 1);
                match self.find(input, at + 1, at + 1 - literals_from) {
                    Some(next) if next.length > here.length + 1 => {
                        at += 1;
                        best = Some(next);
                    }
                    _ => break,
                }
            }
            let Some(found) = best else {
                at += 1;
                continue;
            };
            put_literals(out, &input[literals_from..at]);
            put_match(out, found, at - literals_from);
            at += found.length;
            literals_from = at;
        }
        put_literals(out, &input[literals_from..]);
        out.extend([0x11, 0, 0]);
    }

    fn enter(&mut self, input: &[u8], entered: &mut usize, until: usize) {
        while *entered < until {
            if *entered + 3 <= input.len() {
                let slot = hash(&input[*entered..]);
                self.links[*entered] = self.heads[slot];
                self.heads[slot] = *entered as u32;
            }
            *entered += 1;
        }
    }

    /// The best match at `at`, after `literals` literals, that pays.
    fn find(&self, input: &[u8], at: usize, literals: usize) -> Option<Match> {
        let here = &input[at..];
        let mut place = self.heads[hash(here)];
        let mut best: Option<Match> = None;
        for _ in 0..TRIES {
            if place == NOWHERE {
                break;
            }
            let from = place as usize;
            let distance = at - from;
            if distance > FAR {
                break;
            }
            let length = common(&input[from..], here);
            let longer = best.is_none_or(|best| length > best.length);
            if longer && pays(length, distance, literals) {
                best = Some(Match { length, distance });
            }
            place = self.links[from];
        }
        best
    }
}

/// Whether a match is shorter coded than as literals.
fn pays(length: usize, distance: usize, literals: usize) -> bool {
    match length {
        0..3 => false,
        3 => distance <= NEAR || (literals > 3 && distance <= RUN_REACH),
        4 => distance <= MIDDLE,
        _ => true,
    }
}

fn hash(bytes: &[u8]) -> usize {
    let word = u32::from(bytes[0]) | u32::from(bytes[1]) << 8 | u32::from(bytes[2]) << 16;
    (word.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize
}

fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

/// Up to three literals go into the two low bits of the copy before them.
fn put_literals(out: &mut Vec<u8>, literals: &[u8]) {
    let run = literals.len();
    let after_copy = !out.is_empty();
    match run {
        0 => return,
        // The low bits are the second last byte of every copy's code.
        1..4 if after_copy => {
            let low = out.len() - 2;
            out[low] |= run as u8;
        }
        _ if !after_copy && run <= 238 => out.push(17 + run as u8),
        4..19 => out.push(run as u8 - 3),
        _ => {
            out.push(0);
            put_length(out, run - 18);
        }
    }
    out.extend(literals);
}

/// `literals` were put since the last match.
fn put_match(out: &mut Vec<u8>, found: Match, literals: usize) {
    let Match { length, distance } = found;
    if length == 3 && distance > NEAR {
        debug_assert!(literals > 3 && distance <= RUN_REACH);
        let far = distance - NEAR - 1;
        out.extend([((far & 3) << 2) as u8, (far >> 2) as u8]);
    } else if length <= 8 && distance <= NEAR {
        let near = distance - 1;
        out.push((((length - 1) << 5) | ((near & 7) << 2)) as u8);
        out.push((near >> 3) as u8);
    } else if distance <= MIDDLE {
        put_code(out, 32, length - 2, 31);
        put_distance(out, distance - 1);
    } else {
        let far = distance - MIDDLE;
        put_code(out, 16 | ((far >> 11) & 8) as u8, length - 2, 7);
        put_distance(out, far & 0x3fff);
    }
}

fn put_code(out: &mut Vec<u8>, code: u8, length: usize, most: usize) {
    if length <= most {
        out.push(code | length as u8);
    } else {
        out.push(code);
        put_length(out, length - most);
    }
}

fn put_length(out: &mut Vec<u8>, mut length: usize) {
    while length > 255 {
        out.push(0);
        length -= 255;
    }
    out.push(length as u8);
}

fn put_distance(out: &mut Vec<u8>, distance: usize) {
    out.extend([(distance << 2) as u8, (distance >> 6) as u8]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round(plain: &[u8]) -> usize {
        let mut stored = Vec::new();
        Encoder::new().encode(plain, &mut stored);
        let mut out = vec![0xa5; plain.len()];
        assert_eq!(decode(&stored, &mut out), Some(plain.len()));
        assert_eq!(out, plain);
        if !plain.is_empty() {
            assert_eq!(
                decode(&stored, &mut out[1..]),
                None,
                "no room for all of it"
            );
        }
        stored.len()
    }

    #[test]
    fn what_is_encoded_decodes() {
        round(b"");
        round(b"a");
        round(b"abc");
        round(&[0; 100_000]);
        let text: Vec<u8> = (0..200_000u32)
            .flat_map(|i| format!("{} ", i.wrapping_mul(2_654_435_761) % 997).into_bytes())
            .take(400_000)
            .collect();
        assert!(round(&text) < text.len() * 6 / 10);
        // Runs of literals of every length class, matches of every form.
        for literals in [1, 2, 3, 4, 18, 19, 238, 239, 300, 600] {
            for gap in [
                1, 900, 2048, 2049, 3072, 3073, 16_384, 16_385, 49_151, 49_152,
            ] {
                let mut plain: Vec<u8> = noise(gap.max(literals) + 40);
                let start = plain.len() - gap;
                let repeat = plain[start..].iter().copied().take(9).collect::<Vec<_>>();
                plain.extend(repeat);
                plain.extend(noise(literals));
                plain.extend(b"xyzxyzxyzxyzxyz");
                round(&plain);
            }
        }
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x1234_5678u32;
        let step = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 8) as u8
        };
        std::iter::repeat_with(step).take(length).collect()
    }

    #[test]
    fn a_long_length_does_not_overflow() {
        let mut stored = vec![0x20];
        stored.extend([0; 1 << 16]);
        stored.extend([1, 0, 0]);
        assert_eq!(decode(&stored, &mut [0; 4096]), None);
        assert_eq!(decode(&[], &mut [0; 4096]), None);
        assert_eq!(decode(&[0x11, 0, 0], &mut []), Some(0));
        assert_eq!(decode(&[0x11, 0, 0, 7], &mut []), None);
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(plain in proptest::collection::vec(0u8..4, 0..3000)) {
            round(&plain);
        }

        #[test]
        fn any_stream_ends(stored in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = decode(&stored, &mut [0; 2000]);
        }
    }
}
