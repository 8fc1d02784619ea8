//! What is done to a good file: a few edits, made so that they hit what matters.
//!
//! An edit names its places by plain numbers that are brought into the file when it is
//! applied. So any list of edits fits any file, and one can be left out.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A file that the real tools made, and where it is worth changing.
pub struct Seed {
    pub name: String,
    pub bytes: Vec<u8>,
    /// Headers, tables, lists: most edits go there.
    pub hot: Vec<Range<usize>>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Edit {
    Flip {
        at: u64,
        bit: u8,
    },
    /// A number of so many bytes becomes another one.
    Set {
        at: u64,
        width: u8,
        big_endian: bool,
        value: Value,
    },
    Fill {
        at: u64,
        length: u32,
        byte: u8,
    },
    /// Bytes from one place also at another.
    Copy {
        from: u64,
        to: u64,
        length: u32,
    },
    Cut {
        at: u64,
    },
    Grow {
        by: u32,
    },
}

/// What a number becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    Is(u64),
    /// A little more or less.
    Add(i64),
    /// Twice, half, and so on.
    Shift(i8),
    /// The same as at another place, and a little more or less.
    SameAs(u64, i8),
    /// A share of the file's length, in units of 2 to this power.
    OfLength {
        per_mille: u16,
        unit: u8,
    },
}

/// Which seed, and what is done to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    pub seed: usize,
    pub edits: Vec<Edit>,
    /// Checksums are made right afterwards, where the format has any.
    pub repair: bool,
}

fn value() -> impl Strategy<Value = Value> {
    let around = |power: u32| (1u64 << power).wrapping_sub(1)..=(1u64 << power).wrapping_add(1);
    prop_oneof![
        3 => (0u32..64).prop_flat_map(around).prop_map(Value::Is),
        2 => (0u64..20).prop_map(Value::Is),
        1 => (0u64..20).prop_map(|below| Value::Is(u64::MAX - below)),
        1 => any::<u64>().prop_map(Value::Is),
        3 => (-9i64..10).prop_map(Value::Add),
        1 => (-70_000i64..70_000).prop_map(Value::Add),
        1 => (-9i8..10).prop_map(Value::Shift),
        3 => (any::<u64>(), -2i8..3).prop_map(|(at, more)| Value::SameAs(at, more)),
        2 => (0u16..1100, 0u8..18).prop_map(|(per_mille, unit)| Value::OfLength { per_mille, unit }),
    ]
}

fn length() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 1u32..40, 2 => (0u32..16).prop_map(|power| 1 << power), 1 => 1u32..70_000]
}

fn edit() -> impl Strategy<Value = Edit> {
    let width = prop_oneof![Just(1u8), Just(2), Just(4), Just(8)];
    let byte = prop_oneof![Just(0u8), Just(0xff), any::<u8>()];
    prop_oneof![
        6 => (any::<u64>(), 0u8..8).prop_map(|(at, bit)| Edit::Flip { at, bit }),
        9 => (any::<u64>(), width, prop::bool::weighted(0.1), value()).prop_map(
            |(at, width, big_endian, value)| Edit::Set { at, width, big_endian, value }),
        2 => (any::<u64>(), length(), byte).prop_map(
            |(at, length, byte)| Edit::Fill { at, length, byte }),
        3 => (any::<u64>(), any::<u64>(), length()).prop_map(
            |(from, to, length)| Edit::Copy { from, to, length }),
        1 => any::<u64>().prop_map(|at| Edit::Cut { at }),
        1 => length().prop_map(|by| Edit::Grow { by }),
    ]
}

/// Any few edits of one of so many seeds.
pub fn input(seeds: usize) -> impl Strategy<Value = Input> {
    let edits = prop_oneof![
        5 => prop::collection::vec(edit(), 1..4),
        1 => prop::collection::vec(edit(), 1..16),
    ];
    (0..seeds, edits, prop::bool::weighted(0.7)).prop_map(|(seed, edits, repair)| Input {
        seed,
        edits,
        repair,
    })
}

impl Input {
    /// The damaged file.
    pub fn bytes(&self, seeds: &[Seed], repair: fn(&mut [u8])) -> Vec<u8> {
        let seed = &seeds[self.seed % seeds.len()];
        let mut bytes = seed.bytes.clone();
        for edit in &self.edits {
            edit.apply(&mut bytes, &seed.hot);
        }
        if self.repair {
            repair(&mut bytes);
        }
        bytes
    }
}

/// A place: mostly a hot one.
fn place(number: u64, length: usize, hot: &[Range<usize>], align: u64) -> usize {
    let anywhere = number / 8 % (length as u64).max(1);
    if number.is_multiple_of(8) || hot.is_empty() {
        return (anywhere / align * align) as usize;
    }
    // Each region is as likely as the others, however long: a superblock is short.
    let region = &hot[(number / 8 % hot.len() as u64) as usize];
    let inside = (number / 8 / hot.len() as u64) % (region.len() as u64).max(1);
    (region.start + (inside / align * align) as usize).min(length.saturating_sub(1))
}

fn read(bytes: &[u8], at: usize, width: usize, big_endian: bool) -> u64 {
    let mut number = 0;
    for index in 0..width {
        let byte = u64::from(bytes.get(at + index).copied().unwrap_or(0));
        let power = if big_endian { width - 1 - index } else { index };
        number |= byte << (8 * power);
    }
    number
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>, hot: &[Range<usize>]) {
        let total = bytes.len();
        if total == 0 {
            return;
        }
        match *self {
            Edit::Flip { at, bit } => bytes[place(at, total, hot, 1)] ^= 1 << (bit % 8),
            Edit::Set {
                at,
                width,
                big_endian,
                ref value,
            } => {
                let at = place(at, total, hot, u64::from(width));
                let width = usize::from(width).min(total - at);
                let old = read(bytes, at, width, big_endian);
                let new = match *value {
                    Value::Is(number) => number,
                    Value::Add(more) => old.wrapping_add_signed(more),
                    Value::Shift(by) if by < 0 => old >> by.unsigned_abs(),
                    Value::Shift(by) => old << by,
                    Value::SameAs(other, more) => {
                        let other = place(other, total, hot, width as u64);
                        read(bytes, other, width, big_endian).wrapping_add_signed(more.into())
                    }
                    Value::OfLength { per_mille, unit } => {
                        (total as u64 * u64::from(per_mille) / 1000) >> unit
                    }
                };
                for index in 0..width {
                    let power = if big_endian { width - 1 - index } else { index };
                    bytes[at + index] = (new >> (8 * power)) as u8;
                }
            }
            Edit::Fill { at, length, byte } => {
                let at = place(at, total, hot, 1);
                let end = total.min(at + length as usize);
                bytes[at..end].fill(byte);
            }
            Edit::Copy { from, to, length } => {
                let [from, to] = [from, to].map(|at| place(at, total, hot, 4));
                let length = (length as usize).min(total - from.max(to));
                bytes.copy_within(from..from + length, to);
            }
            Edit::Cut { at } => bytes.truncate(place(at, total, hot, 1)),
            Edit::Grow { by } => bytes.resize(total + by as usize, 0),
        }
    }
}
