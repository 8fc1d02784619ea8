//! Sticks that the kernel wrote and we refreshed, against the kernel's own merge.

use crate::harness::{self, Machine, run};
use crate::kernel_written::{figures, merge, read};
use crate::model::alone::Alone;
use crate::sticks::{KernelStatus, Stick, Written, carry_on, copy, written};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use sugar_cellar::error::Result;
use sugar_cellar::progress::Silent;
use sugar_cellar::refresh::{Options, plan, refresh};
use sugar_cellar::sources::{Target, Use};
use sugar_cellar::storage::DiskFolder;

pub const OVERLAY: &str = "overlay";

/// A folder LiveOS with copies of a stick's files.
pub fn live_os(stick: &Written, folder: &Path) -> PathBuf {
    let live = folder.join(stick.name).join("LiveOS");
    fs::create_dir_all(&live).unwrap();
    copy(&stick.squashfs(), &live.join("squashfs.img"));
    copy(&stick.overlay(), &live.join(OVERLAY));
    live
}

/// As a refresh is by itself, on one core.
pub fn options(used: Use) -> Options {
    Options {
        compression: None,
        keep_deleted: false,
        used,
        reserve: sugar_cellar::refresh::RESERVE,
        threads: 1,
    }
}

fn refreshed(live: &Path, keep_deleted: bool) -> Result<()> {
    let folder = DiskFolder::open(live).unwrap();
    let target = Target {
        folder: &folder,
        overlay: OVERLAY,
    };
    let options = Options {
        keep_deleted,
        threads: 2,
        ..options(Use::AtRest)
    };
    let plan = plan(target, options, &Silent)?;
    if plan.is_needed() {
        refresh(plan.ready()?, &Alone, &Silent)?;
    }
    Ok(())
}

/// The inner image, as unsquashfs finds it.
pub fn inner(stick: &Written, live: &Path) -> PathBuf {
    let to = live.with_file_name("unpacked");
    run(Command::new("unsquashfs")
        .args(["-q", "-n", "-f", "-d"])
        .args([&to, &live.join("squashfs.img")]));
    to.join("LiveOS").join(stick.base.inner)
}

/// Byte ranges that dumpe2fs calls free.
fn free_ranges(image: &Path) -> Vec<(u64, u64)> {
    let told = run(Command::new("dumpe2fs").arg(image));
    let size = told
        .lines()
        .find_map(|line| line.strip_prefix("Block size:"));
    let size: u64 = size.unwrap().trim().parse().unwrap();
    told.lines()
        .filter_map(|line| line.strip_prefix("  Free blocks: "))
        .flat_map(|list| list.split(", "))
        .filter(|range| !range.is_empty())
        .map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let [first, last]: [u64; 2] = [first, last].map(|block| block.parse().unwrap());
            (first * size, (last + 1) * size)
        })
        .collect()
}

/// What may be in blocks that no file uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Free {
    /// The kernel's bytes, as in all others.
    Same,
    /// Those, or zeros.
    Zero,
    /// Anything.
    Any,
}

/// Blocks in use must be the kernel's. Gives how many bytes differ in free ones.
pub fn compare(name: &str, mut ours: Vec<u8>, merged: &Path, free: Free) -> usize {
    let mut kernels = fs::read(merged).unwrap();
    assert_eq!(ours.len(), kernels.len(), "{name}");
    let mut different = 0;
    for (start, end) in free_ranges(merged) {
        let range = start as usize..end as usize;
        let sectors = range.clone().step_by(512).map(|at| at..at + 512);
        for at in sectors.filter(|at| ours[at.clone()] != kernels[at.clone()]) {
            different += 512;
            let zero = ours[at.clone()].iter().all(|byte| *byte == 0);
            assert!(
                free == Free::Any || free == Free::Zero && zero,
                "{name}: {at:?}"
            );
        }
        ours[range.clone()].fill(0);
        kernels[range].fill(0);
    }
    assert!(ours == kernels, "{name}: a block in use differs");
    different
}

/// After the journal's replay on a copy, e2fsck finds nothing.
pub fn check(name: &str, image: &Path) {
    let copied = image.with_extension("copy");
    copy(image, &copied);
    run(Command::new("e2fsck")
        .args(["-E", "journal_only", "-y"])
        .arg(&copied));
    let found = Command::new(harness::which("e2fsck"))
        .arg("-fn")
        .arg(&copied)
        .output()
        .unwrap();
    assert!(found.status.success(), "{name}: {found:?}");
    fs::remove_file(copied).unwrap();
}

/// Image and overlay together, as if the kernel had not given the overlay up.
fn given_up(stick: &Written, at: &Path) -> PathBuf {
    let overlay = at.join("taken-up");
    let mut bytes = fs::read(stick.overlay()).unwrap();
    assert_eq!(bytes[4], 0, "{} is valid", stick.name);
    bytes[4] = 1;
    fs::write(&overlay, bytes).unwrap();
    let merged = at.join("merged");
    fs::write(&merged, merge(&stick.image(), &overlay, stick.name)).unwrap();
    merged
}

#[test]
fn image_and_empty_overlay_equal_the_kernels_merge() {
    let Some(machine) = Machine::get() else {
        return;
    };
    let folder = tempfile::tempdir_in(harness::folder()).unwrap();
    let mut sticks = Vec::new();
    for stick in written(machine) {
        for keep_deleted in [true, false] {
            let at = folder.path().join(format!("{keep_deleted}"));
            let live = live_os(stick, &at);
            let result = refreshed(&live, keep_deleted);
            println!("{} keep_deleted {keep_deleted}: {result:?}", stick.name);
            result.unwrap();
            // The kernel merges nothing of what it gave up; all that is listed counts.
            let merged = stick.merged().unwrap_or_else(|| given_up(stick, &at));
            let store = read(&live.join(OVERLAY), stick.name).1;
            let chunk = store.chunk_size().sectors().0;
            let total = store.total().0;
            assert_eq!(
                figures(&store),
                KernelStatus::Figures(2 * chunk, total, 2 * chunk)
            );
            let ours = inner(stick, &live);
            let free = if keep_deleted { Free::Same } else { Free::Zero };
            let zeroed = compare(stick.name, fs::read(&ours).unwrap(), &merged, free);
            if stick.name == "deletions" && !keep_deleted {
                assert!(zeroed > 4 << 20, "only {zeroed} bytes given back");
            }
            check(stick.name, &ours);
            if !keep_deleted {
                sticks.push((stick, live, ours));
            }
        }
    }
    // And the kernel itself reads them, and goes on.
    let names = ["typical", "old-image", "chunk-16", "power-cut"];
    let chosen: Vec<_> = sticks
        .iter()
        .filter(|(stick, ..)| names.contains(&stick.name))
        .collect();
    let paths: Vec<_> = chosen
        .iter()
        .map(|(stick, live, ours)| {
            (
                stick.name,
                live.join("squashfs.img"),
                live.join(OVERLAY),
                ours,
            )
        })
        .collect();
    let carried: Vec<_> = paths
        .iter()
        .map(|(name, image, overlay, ours)| Stick {
            name,
            image,
            overlay,
            expected: Some(ours),
        })
        .collect();
    let after = carry_on(machine, "after a refresh", &carried, folder.path());
    for ((stick, ..), after) in chosen.iter().zip(&after) {
        if let Some(files) = stick.files() {
            assert_eq!(files, after.files, "{}", stick.name);
        }
    }
}
