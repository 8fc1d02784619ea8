//! A whole stick with a damaged image and a damaged overlay: explain, plan, refresh, tidy, check.
//! A refusal changes nothing; whatever else happens, image (+) overlay stays what it was.

use crate::alone::Alone;
use crate::ensure;
use crate::overlay::random_of;
use crate::seeds::split;
use crate::verdict::{Ended, Verdict};
use std::sync::Arc;
use sugar_cellar::check;
use sugar_cellar::error::Error;
use sugar_cellar::explain;
use sugar_cellar::ext4::{FreeBlocks, Trust, free_blocks};
use sugar_cellar::merged::Merged;
use sugar_cellar::overlay::ExceptionStore;
use sugar_cellar::progress::Silent;
use sugar_cellar::protocol::Entry;
use sugar_cellar::refresh::{self, Options};
use sugar_cellar::sources::{IMAGE, Target, Use};
use sugar_cellar::squash::Image;
use sugar_cellar::storage::fault::{FaultFolder, Rules};
use sugar_cellar::storage::{Folder, ReadAt};
use sugar_cellar::tidy;
use sugar_cellar::units::Sectors;

const OVERLAY: &str = "overlay-LEARNER-0123";
/// A longer inner image is not compared byte by byte.
const LONGEST: u64 = 8 << 20;
/// A file system's block.
const PIECE: u64 = 1024;

/// What the learner has.
struct Learner {
    /// In pieces of [`PIECE`]; none where one cannot be read.
    pieces: Vec<Option<Vec<u8>>>,
    free: Option<FreeBlocks>,
}

/// None where nothing can be read.
fn has(folder: &FaultFolder) -> Option<Learner> {
    let image = Image::open(Arc::new(folder.open(IMAGE).ok()?)).ok()?;
    let store = folder.open(OVERLAY).ok()?;
    let list = ExceptionStore::read_given_up(&store, Some(image.inner_bytes())).ok()?;
    let size = image.inner_bytes().0;
    if size > LONGEST {
        return None;
    }
    let merged = Merged::new(image.reader(16), &store, &list).ok()?;
    let piece = |start: u64| {
        let mut bytes = vec![0; PIECE.min(size - start) as usize];
        merged.read_at(&mut bytes, start).ok().map(|()| bytes)
    };
    let pieces = (0..size).step_by(PIECE as usize).map(piece).collect();
    let free = match free_blocks(&merged, &Silent) {
        Ok(Trust::Free(free)) => Some(free),
        _ => None,
    };
    Some(Learner { pieces, free })
}

/// Where the learner has something else now than before, and a file uses it.
fn lost(before: &Learner, after: &Learner) -> Option<u64> {
    if before.pieces.len() != after.pieces.len() {
        return Some(u64::MAX);
    }
    let pairs = before.pieces.iter().zip(&after.pieces);
    let starts = (0..).step_by(PIECE as usize).zip(pairs);
    starts
        .filter(|(_, (old, new))| old != new)
        .map(|(start, _)| start)
        .find(|start| {
            let free = before.free.as_ref();
            !free.is_some_and(|free| free.is_free_range(*start..*start + PIECE))
        })
}

/// How many entries; the sums are the whole, whatever is read. None where it is refused.
fn explained(target: Target<'_, FaultFolder>) -> std::result::Result<Option<usize>, Ended> {
    let options = explain::Options {
        used: Use::AtRest,
        compare: true,
        threads: 1,
    };
    let explanation = match explain::explain(target, options, &Silent).map_err(Ended::from) {
        Ok(explanation) => explanation,
        Err(Ended::Refused(_)) => return Ok(None),
        Err(wrong) => return Err(wrong),
    };
    let sums = &explanation.sums;
    let known = sums.file_sectors + sums.folder_sectors + sums.record_sectors;
    let rest = sums.journal_sectors + sums.deleted_sectors + sums.list_sectors;
    let all = known + rest + sums.unused_sectors;
    ensure!(all == explanation.used_sectors, "{all}: {explanation:?}");
    let of = |entries: &[Entry]| entries.iter().map(|one| one.sectors).sum::<Sectors>();
    let files = sums.file_sectors + sums.folder_sectors;
    ensure!(of(&explanation.entries) == files, "{explanation:?}");
    Ok(Some(explanation.entries.len()))
}

pub fn run(bytes: &Arc<Vec<u8>>) -> Verdict {
    let mut random = random_of(bytes);
    let (image, overlay) = split(bytes);
    let folder = FaultFolder::new(Rules::Ext4);
    folder.put(IMAGE, image)?;
    folder.put(OVERLAY, overlay)?;
    let target = Target {
        folder: &folder,
        overlay: OVERLAY,
    };
    let options = Options {
        compression: None,
        keep_deleted: random.below(2) == 0,
        used: Use::AtRest,
        reserve: refresh::RESERVE,
        threads: 1,
    };
    let before = has(&folder);
    if let Ok(image) = Image::open(Arc::new(image.to_vec()))
        && image.inner_bytes().0 <= LONGEST
        && let Err(error) = check::image(&image, 1, &Silent)
    {
        match Ended::from(error) {
            Ended::Refused(_) => {}
            wrong => return Err(wrong),
        }
    }
    folder.record();
    let explained = explained(target)?;
    let wants_tidy = random.below(3) == 0;
    let planned = refresh::plan(target, options, &Silent);
    ensure!(folder.calls() == 0, "a plan, and something was written");
    let done = match planned {
        Ok(plan) if !wants_tidy => plan
            .ready()
            .and_then(|ready| refresh::refresh(ready, &Alone, &Silent))
            .map(|_| "refreshed"),
        Ok(_) => tidy::stick(target, &Alone, &Silent).map(|_| "tidied"),
        Err(error) => Err(error),
    };
    let names: Vec<String> = folder
        .entries()?
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    if let Err(error) = &done
        && !matches!(error, Error::Unfinished(_))
    {
        ensure!(names == [OVERLAY, IMAGE], "{error}, and left are {names:?}");
        ensure!(
            folder.read(IMAGE)? == image,
            "{error}, and the image is another"
        );
    }
    match (&before, &has(&folder)) {
        (Some(before), Some(after)) => {
            let lost = lost(before, after);
            ensure!(lost.is_none(), "{done:?}: other content at {lost:?}");
        }
        (None, None) => {}
        (before, _) => {
            let was = before.is_some();
            ensure!(
                false,
                "{done:?}: could be read before: {was}, and now: {}",
                !was
            );
        }
    }
    let done = done?;
    ensure!(names == [OVERLAY, IMAGE], "{done}, and left are {names:?}");
    let readable = before.map_or(0, |before| before.pieces.iter().flatten().count());
    Ok(format!(
        "{done}, {} readable, {} bytes of overlay, {explained:?} explained",
        readable / 64,
        overlay.len() >> 14
    ))
}
