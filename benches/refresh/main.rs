//! `make bench`: a refresh against the classic way and against what cannot be avoided.
//!
//! On about 1.3 GiB of real files (a Debian with sugar-session) in a 3 GiB ext4, in a SquashFS of
//! xz and 128 KiB blocks, with 1 % and 5 % of the used chunks changed, it measures
//! - the classic way: unsquashfs, patch, mksquashfs with the same compressor and block size;
//! - `sugar-cellar-helper refresh`, with and without `--keep-deleted`;
//! - the limit: copy and sync of the image, compressing just the blocks that changed, on all cores
//!   and with the same preset, and one read of the new image past the page cache, one after
//!   another. "strict" leaves out those blocks that a refresh finds not worth compressing;
//! - `status` and `explain` of a 1 GiB store with 250,000 exceptions.
//!
//! Wall time, processor time of the process and all that it started (user and system), and peak
//! memory of the largest process. The classic way is measured once, for 5 %: it does the same work for 1 %.
//! Everything lies below `target/bench`; the corpus ([`corpus`]) and the overlays ([`changes`]) are
//! made once and kept. About 10 GiB and, the first time, a quarter of an hour.
//!
//! ```text
//! make bench                          the whole of it; as root, for debootstrap needs it
//! SUGAR_CELLAR_BENCH_MIB=150 make bench    150 MiB of this machine's own /usr instead
//! ```

#[path = "../../tests/model/alone.rs"]
mod alone;
mod changes;
mod classic;
mod corpus;
mod limit;
mod measure;
mod places;
mod table;

use alone::Alone;
use changes::Change;
use corpus::Corpus;
use measure::{Figures, Outcome, Step};
use places::Places;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use sugar_cellar::progress::Silent;
use sugar_cellar::refresh;
use sugar_cellar::sources::{Target, Use};
use sugar_cellar::squash::{Block, Image};
use sugar_cellar::storage::{DiskFile, DiskFolder};
use table::{Refresh, Table};

/// Each refresh, and its limit right after it, is measured this many times; medians count.
const RUNS: usize = 5;
/// What memory is measured with.
const THREADS: usize = 4;
/// `status` is measured this many times; the median counts.
const STATUS_RUNS: usize = 21;
const EXCEPTIONS: u64 = 250_000;
const STORE_BYTES: u64 = 1 << 30;
const HELPER: &str = env!("CARGO_BIN_EXE_sugar-cellar-helper");

fn main() -> Step {
    // Cargo adds `--bench`.
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        // What is measured as a process of its own.
        ["patch", inner, store] => classic::patch(Path::new(inner), Path::new(store)),
        ["refresh", stick, threads] => refresh_with(Path::new(stick), threads.parse()?),
        _ => bench(),
    }
}

fn bench() -> Step {
    let (corpus, places) = Corpus::make(&Places::find()?)?;
    println!("{corpus}");
    let crowded = changes::crowded(&places, &corpus, EXCEPTIONS, STORE_BYTES)?;
    let mut table = Table {
        status: status(&crowded)?,
        explained: explained(&crowded)?,
        ..Default::default()
    };
    let mut changes = Vec::new();
    for percent in [5, 1] {
        let change = Change::make(&places, &corpus, percent)?;
        println!("{change}");
        changes.push(change);
    }
    let classic = classic::run(&places, &corpus, &changes[0])?;
    println!("classic: {}", classic.figures);
    table.classic = Some((classic.figures, classic.image_bytes));
    for change in &changes {
        for keep in [false, true] {
            table
                .refreshes
                .push(measured(&places, &corpus, change, keep)?);
        }
    }
    println!("{table}");
    Ok(())
}

/// Who owns what, and the same with all compared.
fn explained(stick: &Path) -> Outcome<[Figures; 2]> {
    let figures = |options: &[&str]| {
        let mut helper = Command::new(HELPER);
        helper.arg("explain").arg(stick).arg("--json");
        measure::run(helper.args(options))
    };
    Ok([figures(&["--quick"])?, figures(&[])?])
}

/// Refreshes and limits in turn, so that both see the same machine.
fn measured(places: &Places, corpus: &Corpus, change: &Change, keep: bool) -> Outcome<Refresh> {
    let mut runs = Vec::new();
    let (mut image_bytes, mut touched) = (0, Touched::default());
    for _ in 0..RUNS {
        let stick = change.stick(places, corpus)?;
        let mut helper = Command::new(HELPER);
        helper.args(["refresh", "--yes", "--json"]).arg(&stick);
        if keep {
            helper.arg("--keep-deleted");
        }
        let figures = measure::run(&mut helper)?;
        let new = open(&stick.join("LiveOS/squashfs.img"))?;
        image_bytes = new.bytes().0;
        touched = Touched::find(&open(&corpus.image)?, &new)?;
        if keep {
            change.holds(&new, &touched)?;
        }
        let limit = limit::run(places, &corpus.image, &new, &touched)?;
        println!(
            "{}: {figures}; limit {:.2} s",
            name(change.percent, keep),
            limit.seconds()
        );
        runs.push((figures, limit));
    }
    let stick = change.stick(places, corpus)?;
    let mut four = Command::new(std::env::current_exe()?);
    four.arg("refresh").arg(&stick).arg(THREADS.to_string());
    Ok(Refresh {
        percent: change.percent,
        keep,
        runs,
        four_threads: measure::run(&mut four)?.peak,
        image_bytes,
        touched,
    })
}

fn name(percent: u64, keep: bool) -> String {
    let kept = if keep { " --keep-deleted" } else { "" };
    format!("refresh, {percent} %{kept}")
}

/// The blocks that two images store in different bytes, holes in the new one left out.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    /// Those that the new one stores compressed.
    compressed: Vec<u64>,
    /// Those that it stores as they are, for they cannot be compressed.
    dense: Vec<u64>,
}

impl Touched {
    fn find(old: &Image, new: &Image) -> Outcome<Touched> {
        let (mut one, mut other) = (old.in_order(), new.in_order());
        let mut touched = Touched::default();
        for index in 0..new.blocks() {
            let word = match new.block(index) {
                Block::Hole => continue,
                Block::Stored { word, .. } => word,
                Block::Fragment(tail) => tail.fragment.word,
            };
            if one.stored(index)? == other.stored(index)? {
                continue;
            }
            match word.is_compressed() {
                true => touched.compressed.push(index),
                false => touched.dense.push(index),
            }
        }
        Ok(touched)
    }
}

pub(crate) fn open(path: &Path) -> Outcome<Image> {
    let file = DiskFile::new(std::fs::File::open(path)?);
    Ok(Image::open(Arc::new(file))?)
}

/// The refresh with a number of threads that the command line does not offer.
fn refresh_with(stick: &Path, threads: usize) -> Step {
    let folder = DiskFolder::open(&stick.join("LiveOS"))?;
    let target = Target {
        folder: &folder,
        overlay: changes::OVERLAY,
    };
    let options = refresh::Options {
        compression: None,
        keep_deleted: false,
        used: Use::AtRest,
        reserve: refresh::RESERVE,
        threads,
    };
    let plan = refresh::plan(target, options, &Silent)?;
    refresh::refresh(plan.ready()?, &Alone, &Silent)?;
    Ok(())
}

/// Median seconds of `status` for a store with many exceptions.
fn status(stick: &Path) -> Outcome<f64> {
    let mut walls = Vec::new();
    for _ in 0..STATUS_RUNS {
        let mut helper = Command::new(HELPER);
        helper.arg("status").arg(stick).arg("--json");
        walls.push(measure::quick(&mut helper)?);
    }
    walls.sort_by(f64::total_cmp);
    Ok(walls[STATUS_RUNS / 2])
}
