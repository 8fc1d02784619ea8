//! `refresh`: folds the overlay back into the image.

use super::console::{Console, Exit};
use super::job::Jobs;
use super::meter::Share;
use super::opened::{Expect, Opened};
use super::{STICK, ask, finish, named, plan, tell, turns};
use crate::error::{Doing, Error, Part, Result};
use crate::lanes::Lanes;
use crate::progress::Progress;
use crate::protocol::{Pending, SpaceMode, Stage};
use crate::refresh::{self, Kernel, Options};
use crate::sources::{Target, Use};
use crate::squash::Compression;
use crate::stick::{Access, Caller, Host};
use crate::storage::{DiskFolder, confined};
use gettextrs::gettext;
use std::collections::BTreeMap;
use std::io::ErrorKind::{NotADirectory, NotFound};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Fold a stick's overlay back into its image: nothing is lost, and the overlay is empty again
///
/// The new image is written beside the old one, read back from the stick,
/// compared, and only then put in its place. Of the stick that the computer was
/// started from (“live”) the overlay is emptied when the computer shuts down. Whatever happens meanwhile
/// (but with --replace), the stick starts with everything on it; a refresh that was cut is completed by
/// the next one. Ctrl-C cancels it.
///
/// Several sticks are asked about first. Then those in different ports of the computer are refreshed at
/// once, no more of them than it has processors. Those behind one hub take turns; so do those that are not
/// plugged in (practice sticks, image files on the computer's own disk), and all of them with --scratch.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[arg(value_name = "STICK", required = true, help = STICK)]
    sticks: Vec<PathBuf>,
    #[command(flatten)]
    choices: Choices,
    #[command(flatten)]
    expect: Expect,
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
    /// A folder on another disk, for --replace and for the kernel engine
    ///
    /// The kernel engine needs room there for the whole root file system, a
    /// replacement for the new image. A replacement that was cut is completed from it.
    #[arg(long, value_name = "DIR", required_if_eq("engine", "kernel"))]
    scratch: Option<PathBuf>,
    /// Where the stick holds only one image: write the new one to the scratch folder, then replace the old one
    ///
    /// Until this ends THE STICK DOES NOT START. Stick and scratch folder together
    /// lose nothing: if it is cut, refresh again with the same scratch folder.
    #[arg(long, requires = "scratch")]
    replace: bool,
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
    fn options(&self, used: Use, threads: usize) -> Options {
        Options {
            compression: match self.compression {
                Kind::Keep => None,
                Kind::Xz => Some(Compression::Xz),
                Kind::Zstd => Some(Compression::Zstd),
            },
            keep_deleted: self.keep_deleted,
            used,
            reserve: refresh::RESERVE,
            threads,
        }
    }

    /// The scratch folder, where there is one.
    ///
    /// # Errors
    /// `Denied` for whoever became root by pkexec: no path of theirs is followed. `NotFound` where
    /// there is no such folder.
    pub fn scratch(&self) -> Result<Option<DiskFolder>> {
        let Some(path) = &self.scratch else {
            return Ok(None);
        };
        if Caller::current().by_pkexec {
            let detail = "a scratch folder is for whoever runs this at a terminal".to_owned();
            return Err(Error::Denied { detail });
        }
        match DiskFolder::private(path) {
            Err(error) if [NotFound, NotADirectory].contains(&error.kind()) => {
                let detail = format!("no folder {}", path.display());
                Err(Error::not_found(Part::Scratch, detail))
            }
            other => other.doing("opening the scratch folder").map(Some),
        }
    }

    /// The plan of a refresh done so, `scratch` being what [`Choices::scratch`] gave.
    pub fn plan<'f>(
        &self,
        target: Target<'f, DiskFolder>,
        scratch: Option<&'f DiskFolder>,
        used: Use,
        threads: usize,
        progress: &dyn Progress,
    ) -> Result<refresh::Plan<'f, DiskFolder>> {
        // What it cannot do without is asked for before anything is read.
        let kernel = match (self.engine, &self.scratch) {
            (Engine::Kernel, Some(scratch)) => Some(Kernel::new(scratch)?),
            _ => None,
        };
        let plan = refresh::plan(target, self.options(used, threads), progress)?;
        match (kernel, scratch) {
            (Some(_), _) if self.replace => {
                let detail = "the kernel engine replaces no image";
                Err(Error::unsupported(Part::Scratch, detail))
            }
            (Some(kernel), _) => plan.by_kernel(kernel),
            (None, Some(scratch)) if self.replace => {
                let plan = plan.replacing(scratch)?;
                if plan.space.mode == SpaceMode::Scratch && Host::default().in_live_root(scratch)? {
                    let detail = "the scratch folder lies in the live system that runs here, which may keep nothing of it";
                    return Err(Error::refused(Part::Scratch, detail));
                }
                Ok(plan)
            }
            (None, _) => Ok(plan),
        }
    }

    fn shares(&self) -> &'static [Share] {
        match self.engine {
            Engine::Direct if self.replace => REPLACE_SHARES,
            Engine::Direct => SHARES,
            Engine::Kernel => KERNEL_SHARES,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  sugar-cellar-helper refresh /media/me/SOAS
  sugar-cellar-helper refresh /dev/sdb1 /dev/sdc1 --yes
  sugar-cellar-helper refresh stick.img --compression zstd
  sugar-cellar-helper refresh /media/me/SOAS --scratch ~/scratch --replace";

/// What each stage usually takes of the whole.
const SHARES: &[Share] = &[
    (Stage::Check, 5),
    (Stage::Build, 65),
    (Stage::Verify, 25),
    (Stage::Commit, 1),
    (Stage::Drop, 4),
];
const REPLACE_SHARES: &[Share] = &[
    (Stage::Check, 5),
    (Stage::Build, 50),
    (Stage::Verify, 15),
    (Stage::Commit, 26),
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
    if args.expect.any() && args.sticks.len() > 1 {
        console.complain(&gettext("--expect is for one stick alone."));
        return Exit::Usage;
    }
    let jobs = match Jobs::on(args.sticks.len(), console) {
        Ok(jobs) => jobs,
        Err(error) => return console.failed("", &error),
    };
    let mut ends = BTreeMap::new();
    let mut held = BTreeMap::new();
    if !args.yes {
        // All questions come before any work, which then needs nobody.
        let run = Run::new(args, &jobs, console, &lanes(args, &ends));
        for (place, stick) in args.sticks.iter().enumerate() {
            match run.agreed(stick) {
                Ok(one) => {
                    held.insert(place, one);
                }
                Err(exit) => {
                    ends.insert(place, exit);
                }
            }
        }
    }
    let lanes = lanes(args, &ends);
    let run = Run::new(args, &jobs, console, &lanes);
    let held = Mutex::new(held);
    ends.extend(turns::take(lanes, |place| {
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        let one = held.remove(&place);
        drop(held);
        run.one(&args.sticks[place], one)
    }));
    // One stick's failure stops none of the others; the first one is what is told at the end.
    let worst = ends.into_values().find(|exit| *exit != Exit::Done);
    worst.unwrap_or(Exit::Done)
}

/// Whose turn it is of those that did not end yet.
fn lanes(args: &Args, ends: &BTreeMap<usize, Exit>) -> Lanes {
    let caller = Caller::current();
    let sticks = args.sticks.iter().enumerate();
    let ports: Vec<(usize, Option<String>)> = sticks
        .filter(|(place, _)| !ends.contains_key(place))
        .map(|(place, stick)| (place, caller.port(stick)))
        .collect();
    // One after another goes by the room that the scratch folder has then.
    let most = match args.choices.scratch {
        Some(_) => 1,
        None => super::threads(),
    };
    let ports = ports.iter().map(|(place, port)| (*place, port.as_deref()));
    Lanes::new(ports, most)
}

/// A stick that is held, and the scratch folder for it.
struct Held {
    opened: Opened,
    scratch: Option<DiskFolder>,
}

/// What all sticks of a command line share.
struct Run<'a> {
    args: &'a Args,
    jobs: &'a Jobs<'a>,
    console: &'a Console,
    /// Of each stick: those at work at once share the processors, and the memory that threads take.
    threads: usize,
}

impl<'a> Run<'a> {
    fn new(args: &'a Args, jobs: &'a Jobs<'a>, console: &'a Console, lanes: &Lanes) -> Run<'a> {
        let threads = super::threads() / lanes.at_once().max(1);
        Run {
            args,
            jobs,
            console,
            threads: threads.max(1),
        }
    }

    /// The stick, held from now on, where its plan is agreed to; else how it ended.
    fn agreed(&self, path: &Path) -> std::result::Result<Held, Exit> {
        let name = named(path);
        let held = self.open(&name, path);
        let held = held.map_err(|error| self.console.failed(&name, &error))?;
        match self.ask(&name, &held) {
            Ok(Exit::Done) => Ok(held),
            other => Err(self.console.end(&name, other)),
        }
    }

    /// Refreshes a stick, which may be `held` already.
    fn one(&self, path: &Path, held: Option<Held>) -> Exit {
        let name = named(path);
        let held = held.map_or_else(|| self.open(&name, path), Ok);
        let refreshed = held.and_then(|held| self.refresh(&name, held));
        self.console.end(&name, refreshed.map(|()| Exit::Done))
    }

    fn open(&self, name: &str, path: &Path) -> Result<Held> {
        let scratch = self.args.choices.scratch()?;
        let open = |progress: &dyn Progress| {
            Opened::completed(
                path,
                Access::Write,
                &self.args.expect,
                scratch.as_ref(),
                self.threads,
                progress,
            )
        };
        let (opened, _) = self.jobs.run(name, &[(Stage::Commit, 1)], open)?;
        if opened.used() == Use::Running && opened.reads_second()? {
            finish::arrange()?;
            return Err(Error::Waiting);
        }
        Ok(Held { opened, scratch })
    }

    /// Shows what a refresh would do, and asks; `Done` where it is to be done.
    fn ask(&self, name: &str, held: &Held) -> Result<Exit> {
        let choices = &self.args.choices;
        let look = |progress: &dyn Progress| {
            let scratch = held.scratch.as_ref();
            plan::draw(&held.opened, choices, scratch, self.threads, progress)
        };
        let (planned, _) = self.jobs.run(name, &[(Stage::Check, 1)], look)?;
        self.say(name, &tell::plan(&planned));
        if !planned.refusals.is_empty() {
            return Ok(Exit::Refused);
        }
        Ok(match ask::refresh(name, self.jobs)? {
            true => Exit::Done,
            false => Exit::Cancelled,
        })
    }

    fn refresh(&self, name: &str, held: Held) -> Result<()> {
        let Held { opened, scratch } = held;
        let choices = &self.args.choices;
        let (used, threads) = (opened.used(), self.threads);
        let work = |progress: &dyn Progress| {
            let (target, stick) = (opened.target(), opened.stick());
            let write = || {
                // What an earlier one left, that was cut. The running system's list is left alone.
                match used {
                    Use::AtRest => refresh::recover(target, threads, stick, progress)?,
                    Use::Running => refresh::settle(target.folder, threads, stick, progress)?,
                };
                let plan = choices.plan(target, scratch.as_ref(), used, threads, progress)?;
                if !plan.is_needed() {
                    return Ok(None);
                }
                refresh::refresh(plan.ready()?, stick, progress).map(Some)
            };
            let folders: Vec<_> = [target.folder].into_iter().chain(&scratch).collect();
            let sum = match choices.engine {
                Engine::Direct => confined(&folders, write)?,
                // It works by devices of its own.
                Engine::Kernel => write()?,
            };
            if used == Use::Running && sum.is_some() {
                finish::arrange().map_err(Error::unfinished)?;
            }
            Ok((opened.look()?, sum))
        };
        let ((after, sum), seconds) = self.jobs.run(name, choices.shares(), work)?;
        let (before, after) = (opened.before.status.clone(), after.status);
        // Unmounted, where it was us who mounted it, before anybody reads that it is done.
        drop(opened);
        let mut words = match after.pending {
            Some(Pending::Finish) => tell::absorbed(&before, &after, seconds),
            _ => tell::refreshed(&before, &after, seconds),
        };
        if let Some(sum) = &sum {
            words = format!("{words}\n{}", tell::sum(sum));
        }
        self.say(name, &words);
        self.console.refreshed(name, seconds, before, after, sum);
        Ok(())
    }

    /// Words for people, all at once: those of another stick do not come between.
    fn say(&self, name: &str, words: &str) {
        self.console.say(&self.jobs.about(name, words));
    }
}
