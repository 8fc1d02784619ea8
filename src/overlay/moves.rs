//! Drop and shift: overlay space back, with image (+) overlay unchanged at every instant.
//!
//! # Drop
//! An exception may go when its chunk equals what the image holds there, or is free: then
//! it does not matter whether it is listed. So a drop is a matter of order alone.
//!
//! 1. *Fill.* With `k` entries to keep, those among the first `k` stay where they are. The
//!    others' slots are overwritten with copies of the kept entries that stand behind; these
//!    stay there, too. So each sector's write is right by itself, in any order, and all
//!    share one sync. Exact repeats of an entry are legal.
//! 2. *Cut.* [`Editor::cut`].
//!
//! Until the very last write the entry with the highest chunk stays listed, though it may
//! be one to drop. The kernel takes the next chunk to be one past the highest listed; while
//! the list holds repeats, a lower figure would let it grant so many chunks that the list
//! outgrows the store's last area, and then it gives the store up (it cannot wipe the next
//! area, which lies behind the end).
//!
//! # Shift
//! Data from the highest chunks goes to the lowest unused ones, is made durable, then the
//! entries are pointed there. No chunk is both source and target, and no source is
//! overwritten: an entry's old and new place are equally good until the list is durable.

use super::editor::Editor;
use super::exceptions::{Exception, ExceptionStore, Packed};
use super::format::Layout;
use crate::error::{Doing, Error, Part, Result};
use crate::progress::Progress;
use crate::protocol::Stage;
use crate::storage::Storage;
use crate::units::{Bytes, Chunks};

/// Data moved under one sync, at most (or one chunk).
const BATCH: u64 = 8 << 20;
/// Data copied at once, at most.
const PIECE: u64 = 1 << 20;

/// Which exceptions of a list to keep. Deciding writes nothing.
#[derive(Debug, Clone)]
pub struct Keep {
    list: ExceptionStore,
    /// One for each of the list's exceptions, by old chunk.
    kept: Vec<bool>,
}

impl Keep {
    /// Drops all: only for who has just verified that the image holds them all, and holds the lock.
    pub fn nothing(list: ExceptionStore) -> Keep {
        let kept = vec![false; list.len()];
        Keep { list, kept }
    }

    /// Asks for each exception, by old chunk, whether to keep it.
    ///
    /// # Errors
    /// `keep`'s own, and `Cancelled`.
    pub fn choose(
        list: ExceptionStore,
        mut keep: impl FnMut(Exception) -> Result<bool>,
        progress: &dyn Progress,
    ) -> Result<Keep> {
        let chunk = list.chunk_size().bytes().0;
        let total = list.len() as u64 * chunk;
        let mut kept = Vec::with_capacity(list.len());
        for exception in list.iter() {
            progress.check()?;
            kept.push(keep(exception)?);
            progress.step(Stage::Check, kept.len() as u64 * chunk, total);
        }
        Ok(Keep { list, kept })
    }

    /// How many are to be dropped.
    pub fn dropped(&self) -> usize {
        self.kept.iter().filter(|kept| !**kept).count()
    }

    /// The list that was decided upon.
    pub fn list(&self) -> &ExceptionStore {
        &self.list
    }
}

/// Drops what is not to be kept, and repeats. A handful of syncs, whatever the list's length.
///
/// May keep one exception more, which is as good: see the module's text; a shift mends it.
/// Cut anywhere, the store is good, and the drop can be decided and done anew.
///
/// # Errors
/// `Refused` where the list is not the one decided upon, or is invalid; nothing is written
/// then. `Damaged` where it does not read back as written. `Io`.
pub fn drop_chunks(store: &dyn Storage, keep: &Keep) -> Result<ExceptionStore> {
    let mut editor = Editor::open(store, &keep.list)?;
    reduce(&mut editor, &keep.list, keep.kept.clone())?;
    editor.finish()
}

/// Brings the list down to the kept ones, each once.
fn reduce(editor: &mut Editor, list: &ExceptionStore, mut keep: Vec<bool>) -> Result<()> {
    let Some(highest) = editor
        .entries()
        .iter()
        .copied()
        .max_by_key(|e| e.new_chunk())
    else {
        return Ok(());
    };
    let count = keep.iter().filter(|kept| **kept).count();
    let behind = &editor.entries()[count..];
    let id = place(list, highest)?;
    if !keep[id] && !behind.contains(&highest) {
        // It stands in front, where its slot is needed: all others first, and it alone then.
        keep[id] = true;
        fill_and_cut(editor, list, &keep, highest)?;
        if !bears_a_repeat(list) {
            return Ok(());
        }
        keep[id] = false;
    }
    fill_and_cut(editor, list, &keep, highest)
}

fn fill_and_cut(
    editor: &mut Editor,
    list: &ExceptionStore,
    keep: &[bool],
    highest: Packed,
) -> Result<()> {
    let count = keep.iter().filter(|kept| **kept).count();
    let mut standing = vec![false; keep.len()];
    let (mut slots, mut movers) = (Vec::new(), Vec::new());
    for (index, &entry) in editor.entries().iter().enumerate() {
        let id = place(list, entry)?;
        if keep[id] && !standing[id] {
            standing[id] = true;
            if index >= count {
                movers.push(entry);
            }
        } else if index < count {
            slots.push(index);
        }
    }
    // As many kept ones stand behind as others stand in front.
    for (slot, mover) in slots.into_iter().zip(movers) {
        editor.set(slot, mover);
    }
    editor.write()?;
    // Without repeats there is nothing to outweigh.
    let repeats = count > 0 || list.listed() != list.len() as u64;
    editor.cut(count, repeats.then_some(highest))
}

/// An entry's number among the list's exceptions.
fn place(list: &ExceptionStore, entry: Packed) -> Result<usize> {
    let found = list.unique().binary_search(&entry);
    found.map_err(|_| Error::damaged(Part::Overlay, "an entry that is not in its own list"))
}

/// Whether a list with one repeat, filled up by the kernel, still ends in the store's areas.
fn bears_a_repeat(list: &ExceptionStore) -> bool {
    let layout = list.layout();
    let areas = layout.areas_in(list.total());
    let data = layout.chunks_in(list.total()).0.saturating_sub(1 + areas);
    data + 1 < areas.saturating_mul(layout.per_area())
}

/// Moves data from the highest chunks to unused ones in front, until none is left there.
///
/// Drops repeats first. Cut anywhere, or cancelled, the store is good.
///
/// # Errors
/// As [`drop_chunks`], and `Cancelled` between two batches.
pub fn shift(
    store: &dyn Storage,
    list: &ExceptionStore,
    progress: &dyn Progress,
) -> Result<ExceptionStore> {
    let mut editor = Editor::open(store, list)?;
    if list.listed() != list.len() as u64 {
        reduce(&mut editor, list, vec![true; list.len()])?;
    }
    let layout = list.layout();
    let chunk = layout.chunk().bytes().0;
    let steps = plan_shift(editor.entries(), layout);
    let total = steps.len() as u64 * chunk;
    let mut done = 0;
    for batch in steps.chunks((BATCH / chunk).max(1) as usize) {
        progress.check()?;
        let mut batch = batch.to_vec();
        // Both upwards: neighbours are copied at once. All targets lie below all sources.
        batch.sort_unstable_by_key(|step| step.from);
        let mut targets: Vec<Chunks> = batch.iter().map(|step| step.to).collect();
        targets.sort_unstable();
        for (step, to) in batch.iter_mut().zip(targets) {
            step.to = to;
        }
        copy(store, layout, &batch)?;
        for step in &batch {
            let old = editor.entries()[step.index].old();
            let entry = Packed::new(old.0, step.to.0);
            let entry = entry.ok_or_else(|| Error::damaged(Part::Overlay, "a huge chunk"))?;
            editor.set(step.index, entry);
        }
        editor.write()?;
        done += batch.len() as u64 * chunk;
        progress.step(Stage::Drop, done, total);
    }
    editor.finish()
}

/// The entry at `index` is to have its data in `to` instead of `from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    index: usize,
    from: Chunks,
    to: Chunks,
}

/// The highest chunk goes to the lowest unused one, and so on, until they meet.
///
/// Any first part of the plan has all its targets below all its sources.
fn plan_shift(entries: &[Packed], layout: Layout) -> Vec<Step> {
    let mut sources: Vec<(Chunks, usize)> = entries
        .iter()
        .enumerate()
        .map(|(index, entry)| (entry.new_chunk(), index))
        .collect();
    sources.sort_unstable();
    let mut used = sources.iter().map(|(chunk, _)| *chunk).peekable();
    let unused = (2..).map(Chunks).filter(|&chunk| {
        // Both rise, so one look at the next used one is enough.
        let taken = used.next_if_eq(&chunk).is_some();
        !taken && !layout.is_metadata(chunk)
    });
    let pairs = sources.iter().rev().zip(unused);
    let pairs = pairs.take_while(|((from, _), to)| to < from);
    pairs
        .map(|(&(from, index), to)| Step { index, from, to })
        .collect()
}

/// Copies data and makes it durable. Steps rise in both their chunks.
fn copy(store: &dyn Storage, layout: Layout, steps: &[Step]) -> Result<()> {
    let chunk = layout.chunk().bytes().0;
    let next =
        |one: &Step, other: &Step| other.from.0 == one.from.0 + 1 && other.to.0 == one.to.0 + 1;
    let mut buffer = Vec::new();
    for run in steps.chunk_by(next) {
        let [from, to] = [run[0].from, run[0].to].map(|at| layout.chunk().offset(at));
        let (Some(Bytes(from)), Some(Bytes(to))) = (from, to) else {
            return Err(Error::damaged(Part::Overlay, "a chunk beyond all numbers"));
        };
        let length = run.len() as u64 * chunk;
        for at in (0..length).step_by(PIECE as usize) {
            buffer.resize(PIECE.min(length - at) as usize, 0);
            store
                .read_at(&mut buffer, from + at)
                .doing("reading the overlay's data")?;
            store
                .write_at(&buffer, to + at)
                .doing("moving the overlay's data")?;
        }
    }
    store.sync().doing("making the overlay's data durable")
}
