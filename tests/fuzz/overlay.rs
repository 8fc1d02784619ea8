//! The exception store: read, seen over an image, and every move that changes it.

use crate::ensure;
use crate::memory::Memory;
use crate::seeds::ORIGIN;
use crate::verdict::{Ended, Verdict};
use std::io;
use std::sync::Arc;
use sugar_cellar::merged::Merged;
use sugar_cellar::overlay::moves::{Keep, drop_chunks, shift};
use sugar_cellar::overlay::{Exception, ExceptionStore, size};
use sugar_cellar::progress::Silent;
use sugar_cellar::storage::fault::Random;
use sugar_cellar::storage::{ReadAt, Storage};
use sugar_cellar::units::Bytes;

/// An image in which every byte tells its place.
struct Pattern(u64);

impl Pattern {
    fn byte(at: u64) -> u8 {
        (at ^ at >> 8 ^ at >> 16) as u8
    }
}

impl ReadAt for Pattern {
    fn size(&self) -> io::Result<Bytes> {
        Ok(Bytes(self.0))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.0) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (index, byte) in buffer.iter_mut().enumerate() {
            *byte = Pattern::byte(offset + index as u64);
        }
        Ok(())
    }
}

/// Numbers that depend on the input alone, so that it can be replayed.
pub fn random_of(bytes: &[u8]) -> Random {
    let mix = |sum: u64, word: &[u8]| {
        let word = word
            .iter()
            .fold(0, |word, byte| word << 8 | u64::from(*byte));
        (sum ^ word).wrapping_mul(0x0100_0000_01b3)
    };
    Random::new(bytes.chunks(8).fold(0xcbf2_9ce4_8422_2325, mix))
}

pub fn run(bytes: &Arc<Vec<u8>>) -> Verdict {
    let mut random = random_of(bytes);
    let origin = match random.below(8) {
        0 => None,
        1 => Some(Bytes(random.below(1 << 20))),
        2 => Some(Bytes(u64::MAX - random.below(3))),
        _ => Some(ORIGIN),
    };
    let list = ExceptionStore::read(&**bytes, origin)?;
    sound(&list, bytes, origin)?;
    if !list.is_valid() {
        refused(&list, bytes)?;
        return Ok("invalid".into());
    }
    see(&list, bytes, origin.unwrap_or(ORIGIN), &mut random)?;
    moves(&list, bytes, &mut random)?;
    Ok(format!(
        "{:?}, 2^{} entries, {} repeats",
        list.state(),
        list.len().checked_ilog2().unwrap_or(0),
        (list.listed() - list.len() as u64).min(3)
    ))
}

/// What the list says of itself holds together.
fn sound(list: &ExceptionStore, bytes: &[u8], origin: Option<Bytes>) -> Result<(), Ended> {
    let chunk = list.chunk_size().bytes().0;
    let figures = list.figures();
    ensure!(figures.total.0 == bytes.len() as u64 / 512, "{figures:?}");
    ensure!(list.iter().len() == list.len(), "{list:?}");
    ensure!(list.listed() >= list.len() as u64, "{list:?}");
    for Exception { old, new } in list.iter() {
        ensure!(list.lookup(old) == Some(new), "{old} is not found");
        ensure!(
            (new.0 + 1) * chunk <= bytes.len() as u64,
            "{new} lies outside"
        );
        ensure!(new <= list.highest(), "{new} is above the highest");
        let inside = origin.is_none_or(|origin| old.0.saturating_mul(chunk) < origin.0);
        ensure!(inside, "{old} lies outside the image");
    }
    Ok(())
}

/// The view through the store is the image but for the listed chunks.
fn see(list: &ExceptionStore, bytes: &[u8], size: Bytes, random: &mut Random) -> Result<(), Ended> {
    // A long one is looked at here and there only.
    let size = size.0.min(1 << 40);
    let merged = Merged::new(Pattern(size), bytes.to_vec(), list)?;
    let chunk = list.chunk_size().bytes().0;
    let mut starts: Vec<u64> = (0..8).map(|_| random.below(size)).collect();
    starts.extend(list.iter().take(8).map(|e| e.old.0.saturating_mul(chunk)));
    for start in starts.into_iter().filter(|start| *start < size) {
        let length = random.below(20_000).min(size - start) as usize;
        let mut found = vec![0; length];
        merged.read_at(&mut found, start)?;
        for (at, byte) in (start..).zip(found) {
            let place = list.lookup(list.chunk_size().chunk_of(Bytes(at)));
            let wanted = match place {
                Some(new) => bytes[(new.0 * chunk + at % chunk) as usize],
                None => Pattern::byte(at),
            };
            ensure!(byte == wanted, "byte {at} is {byte} instead of {wanted}");
        }
    }
    let beyond = merged.read_at(&mut [0; 2], size.saturating_sub(1));
    ensure!(beyond.is_err(), "reads beyond the end");
    Ok(())
}

/// Nothing moves in a store that the kernel gave up.
fn refused(list: &ExceptionStore, bytes: &[u8]) -> Result<(), Ended> {
    let store = Memory::new(bytes.to_vec());
    let moved = [
        drop_chunks(&store, &Keep::nothing(list.clone())).is_ok(),
        shift(&store, list, &Silent).is_ok(),
        size::grow(&store, list, Bytes(1 << 21)).is_ok(),
        size::shorten(&store, list, Bytes(0)).is_ok(),
    ];
    ensure!(
        !moved.contains(&true),
        "an invalid store is changed: {moved:?}"
    );
    ensure!(store.changes() == 0, "a refusal, and written all the same");
    Ok(())
}

/// What a store lists, with the content.
fn content(list: &ExceptionStore, store: &dyn Storage) -> Result<Vec<(u64, Vec<u8>)>, Ended> {
    let chunk = list.chunk_size().bytes().0;
    let mut all = Vec::new();
    for Exception { old, new } in list.iter() {
        let mut bytes = vec![0; chunk as usize];
        store.read_at(&mut bytes, new.0 * chunk)?;
        all.push((old.0, bytes));
    }
    Ok(all)
}

fn moves(list: &ExceptionStore, bytes: &[u8], random: &mut Random) -> Result<(), Ended> {
    // Of a huge chunk size, content alone would be the whole store, again and again.
    let store = Memory::new(bytes.to_vec());
    let before = content(list, &store)?;
    let share = random.below(5);
    let keep: Vec<bool> = before.iter().map(|_| random.below(4) < share).collect();
    let mut kept = keep.iter().copied();
    let chosen = Keep::choose(list.clone(), |_| Ok(kept.next().unwrap_or(true)), &Silent)?;

    let dropped = must(drop_chunks(&store, &chosen), "drop")?;
    same_again(&dropped, &store)?;
    let after = content(&dropped, &store)?;
    ensure!(
        after.iter().all(|chunk| before.contains(chunk)),
        "a dropped list has what was not there"
    );
    let wanted = before.iter().zip(&keep).filter(|(_, keep)| **keep);
    ensure!(
        wanted.clone().all(|(chunk, _)| after.contains(chunk)),
        "a drop took what was to be kept"
    );
    ensure!(
        after.len() <= wanted.count() + 1,
        "a drop left {}",
        after.len()
    );

    let shifted = must(shift(&store, &dropped, &Silent), "shift")?;
    same_again(&shifted, &store)?;
    ensure!(
        content(&shifted, &store)? == after,
        "a shift changed something"
    );
    ensure!(shifted.highest() <= dropped.highest(), "a shift upwards");

    let room = Bytes(random.below(1 << 20));
    let length = must(size::shorten(&store, &shifted, room), "shorten")?;
    ensure!(length.0 <= bytes.len() as u64, "shortened to {length}");
    let short = must(
        ExceptionStore::read(&store, None),
        "reading the shortened store",
    )?;
    ensure!(
        content(&short, &store)? == after,
        "shortening changed something"
    );
    let length = must(
        size::grow(&store, &short, length + Bytes(random.below(1 << 20))),
        "grow",
    )?;
    ensure!(length <= store.size()?, "grown to {length}");
    let long = must(
        ExceptionStore::read(&store, None),
        "reading the longer store",
    )?;
    ensure!(
        content(&long, &store)? == after,
        "growing changed something"
    );
    Ok(())
}

/// A list that was read without fault can be worked on.
fn must<T>(result: sugar_cellar::error::Result<T>, what: &str) -> Result<T, Ended> {
    result.map_err(|error| Ended::Wrong(format!("{what}: {error}")))
}

fn same_again(list: &ExceptionStore, store: &dyn Storage) -> Result<(), Ended> {
    let again = must(ExceptionStore::read(&store, None), "reading it again")?;
    ensure!(again == *list, "reads differently: {list:?}, {again:?}");
    Ok(())
}
