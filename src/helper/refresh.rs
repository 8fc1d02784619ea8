//! `refresh`: folds the overlay back into the image.

use super::console::{Console, Exit};
use super::job::Jobs;
use super::meter::Share;
use super::opened::Opened;
use super::{STICK, ask, finish, named, plan, tell};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::protocol::{Pending, Stage};
use crate::refresh::{self, Kernel, Options};
use crate::sources::{Target, Use};
use crate::squash::Compression;
use crate::stick::Access;
use crate::storage::DiskFolder;
use std::path::{Path, PathBuf};

/// Fold a stick's overlay back into its image: nothing is lost, and the overlay is empty again
///
/// The new image is written beside the old one, read back from the stick,
/// compared, and only then put in its place. Of the stick that the computer was
/// started from (“live”) the overlay is emptied when the computer shuts down. Whatever happens meanwhile, the
/// stick starts with everything on it; a refresh that was cut is completed by
/// the next one. Ctrl-C cancels it. Several sticks are done one after the other.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[arg(value_name = "STICK", required = true, help = STICK)]
    sticks: Vec<PathBuf>,
    #[command(flatten)]
    choices: Choices,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// How a refresh is to be done; a plan takes the same.
#[derive(Debug, Clone, clap::Args)]
pub struct Choices {
    /// The new image's compression
    #[arg(long, value_enum, default_value_t = Kind::Keep, value_name = "NAME")]
    compression: Kind,
    /// Keep what deleted files held, instead of zeros
    #[arg(long)]
    keep_deleted: bool,
    /// How image and overlay are merged
    #[arg(long, value_enum, default_value_t = Engine::Direct, value_name = "NAME")]
    engine: Engine,
    /// A folder with room for the whole root file system, for the kernel engine
    #[arg(long, value_name = "DIR", required_if_eq("engine", "kernel"))]
    scratch: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Engine {
    /// Changed blocks straight into a copy of the image
    Direct,
    /// By the kernel and mksquashfs: slow, for comparison; needs root
    Kernel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// The old image's
    Keep,
    /// Smaller, and slower to write
    Xz,
    /// A quarter larger, and much faster to write
    Zstd,
}

impl Choices {
    /// For the library.
    fn options(&self, used: Use) -> Options {
        Options {
            compression: match self.compression {
                Kind::Keep => None,
                Kind::Xz => Some(Compression::Xz),
                Kind::Zstd => Some(Compression::Zstd),
            },
            keep_deleted: self.keep_deleted,
            used,
            reserve: refresh::RESERVE,
            threads: super::threads(),
        }
    }

    /// The plan of a refresh done so.
    pub fn plan<'f>(
        &self,
        target: Target<'f, DiskFolder>,
        used: Use,
        progress: &dyn Progress,
    ) -> Result<refresh::Plan<'f, DiskFolder>> {
        // What it cannot do without is asked for before anything is read.
        let kernel = match (self.engine, &self.scratch) {
            (Engine::Kernel, Some(scratch)) => Some(Kernel::new(scratch)?),
            _ => None,
        };
        let plan = refresh::plan(target, self.options(used), progress)?;
        match kernel {
            Some(kernel) => plan.by_kernel(kernel),
            None => Ok(plan),
        }
    }

    fn shares(&self) -> &'static [Share] {
        match self.engine {
            Engine::Direct => SHARES,
            Engine::Kernel => KERNEL_SHARES,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  sugar-cellar-helper refresh /media/me/SOAS
  sugar-cellar-helper refresh /dev/sdb1 /dev/sdc1 --yes
  sugar-cellar-helper refresh stick.img --compression zstd";

/// What each stage usually takes of the whole.
const SHARES: &[Share] = &[
    (Stage::Check, 5),
    (Stage::Build, 65),
    (Stage::Verify, 25),
    (Stage::Commit, 1),
    (Stage::Drop, 4),
];
const KERNEL_SHARES: &[Share] = &[
    (Stage::Check, 5),
    (Stage::Merge, 15),
    (Stage::Build, 65),
    (Stage::Verify, 10),
    (Stage::Commit, 1),
    (Stage::Drop, 4),
];

pub fn run(args: &Args, console: &Console) -> Exit {
    if !args.yes && !ask::possible(console) {
        return ask::impossible(console);
    }
    let jobs = match Jobs::begin(console) {
        Ok(jobs) => jobs,
        Err(error) => return console.failed("", &error),
    };
    let mut worst = Exit::Done;
    for stick in &args.sticks {
        let exit = console.end(&named(stick), one(stick, args, &jobs, console));
        // One stick's failure stops none of the others; the first one is what is told at the end.
        if worst == Exit::Done {
            worst = exit;
        }
        if jobs.cancelled() {
            break;
        }
    }
    worst
}

fn one(path: &Path, args: &Args, jobs: &Jobs, console: &Console) -> Result<Exit> {
    let name = named(path);
    let opened = Opened::new(path, Access::Write)?;
    let used = opened.used();
    if used == Use::Running && opened.reads_second()? {
        finish::arrange()?;
        return Err(Error::Waiting);
    }
    if !args.yes {
        let look = |progress: &dyn Progress| plan::draw(&opened, &args.choices, progress);
        let (planned, _) = jobs.run(&name, &[(Stage::Check, 1)], look)?;
        console.say(&tell::plan(&planned));
        if !planned.refusals.is_empty() {
            return Ok(Exit::Refused);
        }
        if !ask::refresh(jobs)? {
            return Ok(Exit::Cancelled);
        }
    }
    let work = |progress: &dyn Progress| {
        let target = opened.target();
        // What an earlier one left, that was cut. The running system's list is left alone.
        match used {
            Use::AtRest => refresh::recover(target, super::threads(), &opened, progress)?,
            Use::Running => refresh::settle(target.folder, super::threads(), &opened, progress)?,
        };
        let plan = args.choices.plan(target, used, progress)?;
        let mut sum = None;
        if plan.is_needed() {
            sum = Some(refresh::refresh(plan.ready()?, &opened, progress)?);
            if used == Use::Running {
                finish::arrange().map_err(Error::unfinished)?;
            }
        }
        Ok((opened.look()?, sum))
    };
    let ((after, sum), seconds) = jobs.run(&name, args.choices.shares(), work)?;
    let (before, after) = (opened.before.status.clone(), after.status);
    // Unmounted, where it was us who mounted it, before anybody reads that it is done.
    drop(opened);
    console.say(&match after.pending {
        Some(Pending::Finish) => tell::absorbed(&before, &after, seconds),
        _ => tell::refreshed(&before, &after, seconds),
    });
    if let Some(sum) = &sum {
        console.say(&tell::sum(sum));
    }
    console.refreshed(&name, seconds, before, after, sum);
    Ok(Exit::Done)
}
