//! A whole stick with a damaged image and a damaged overlay: plan, refresh, tidy, check.
//! A refusal changes nothing; whatever else happens, image (+) overlay stays what it was.

use crate::ensure;
use crate::overlay::random_of;
use crate::seeds::split;
use crate::verdict::{Ended, Verdict};
use std::sync::Arc;
use sugar_cellar::check;
use sugar_cellar::error::{Error, Result};
use sugar_cellar::ext4::{FreeBlocks, Trust, free_blocks};
use sugar_cellar::merged::Merged;
use sugar_cellar::overlay::ExceptionStore;
use sugar_cellar::progress::Silent;
use sugar_cellar::refresh::{self, Options};
use sugar_cellar::sources::{Guard, IMAGE, Target};
use sugar_cellar::squash::Image;
use sugar_cellar::storage::fault::{FaultFolder, Rules};
use sugar_cellar::storage::{Folder, ReadAt};
use sugar_cellar::tidy;

const OVERLAY: &str = "overlay-LEARNER-0123";
/// A longer inner image is not compared byte by byte.
const LONGEST: u64 = 8 << 20;

struct Alone;

impl Guard for Alone {
    fn still_ours(&self) -> Result<()> {
        Ok(())
    }
}

/// What the learner has; none where it cannot be read.
fn has(folder: &FaultFolder) -> Option<Vec<u8>> {
    let image = Image::open(Arc::new(folder.open(IMAGE).ok()?)).ok()?;
    let store = folder.open(OVERLAY).ok()?;
    let list = ExceptionStore::read(&store, Some(image.inner_bytes())).ok()?;
    if image.inner_bytes().0 > LONGEST {
        return None;
    }
    let mut bytes = vec![0; image.inner_bytes().0 as usize];
    let merged = Merged::new(image.reader(4), &store, &list).ok()?;
    merged.read_at(&mut bytes, 0).ok()?;
    Some(bytes)
}

/// The same, but for what no file uses.
fn same(before: &[u8], after: &[u8], free: Option<&FreeBlocks>) -> bool {
    let step = 1024;
    let chunks = before.chunks(step).zip(after.chunks(step)).enumerate();
    before.len() == after.len()
        && chunks
            .filter(|(_, (old, new))| old != new)
            .all(|(index, _)| {
                let start = (index * step) as u64;
                free.is_some_and(|free| free.is_free_range(start..start + step as u64))
            })
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
        threads: 1,
    };
    let before = has(&folder);
    let free = match before.as_ref().map(|view| free_blocks(view, &Silent)) {
        Some(Ok(Trust::Free(free))) => Some(free),
        _ => None,
    };
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
    let wants_tidy = random.below(3) == 0;
    let planned = refresh::plan(target, options, &Silent);
    ensure!(folder.calls() == 0, "a plan, and something was written");
    let done = match planned {
        Ok(plan) if !wants_tidy => plan
            .ready()
            .and_then(|ready| refresh::refresh(ready, &Alone, &Silent))
            .map(|()| "refreshed"),
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
    match (&before, has(&folder)) {
        (Some(before), Some(after)) => {
            ensure!(
                same(before, &after, free.as_ref()),
                "{done:?}: image (+) overlay changed"
            );
        }
        (Some(_), None) => ensure!(
            false,
            "{done:?}: image (+) overlay cannot be read any longer"
        ),
        (None, Some(_)) => ensure!(false, "{done:?}: unreadable before"),
        (None, None) => {}
    }
    let done = done?;
    ensure!(names == [OVERLAY, IMAGE], "{done}, and left are {names:?}");
    Ok(done.into())
}
