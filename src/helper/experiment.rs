//! `experiment`: what saving, deleting and copying cost the overlay, tried on a practice stick.

use super::console::{Console, Exit};
use super::figures::{fill, sectors, size};
use super::job::Jobs;
use super::meter::Share;
use super::{STICK, named, steps};
use crate::error::Result;
use crate::experiment::{self, Tried};
use crate::progress::Progress;
use crate::protocol::{Event, Stage};
use crate::sources::Target;
use crate::status;
use crate::stick::{Access, Stick};
use gettextrs::gettext;
use std::path::PathBuf;

/// Try on a practice stick what saving, deleting and copying cost the overlay
///
/// The stick itself is only read: the steps are carried out on a copy of its file system in
/// a temporary folder, which takes about as much room as the stick. It is a model: what the
/// system writes besides, its journal above all, is not in it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[arg(value_name = "STICK", help = STICK)]
    stick: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  sugar-cellar-helper practice ~/practice
  sugar-cellar-helper experiment ~/practice";

const SHARES: &[Share] = &[(Stage::Build, 1)];

pub fn run(args: &Args, console: &Console) -> Exit {
    let name = named(&args.stick);
    console.end(&name, experiment(args, &name, console))
}

fn experiment(args: &Args, name: &str, console: &Console) -> Result<Exit> {
    let jobs = Jobs::begin(console)?;
    let stick = Stick::open(&args.stick, Access::Read)?;
    let layout = status::look(&stick)?.layout;
    let target = Target {
        folder: stick.folder(),
        overlay: &layout.snapshot()?.name,
    };
    let tell = |tried: Tried| {
        console.say(&line(&tried));
        console.event(&Event::Tried {
            stick: name.to_owned(),
            step: tried.step,
            bytes: tried.bytes,
            before_sectors: tried.before,
            after_sectors: tried.after,
            total_sectors: tried.total,
        });
    };
    let work = |progress: &dyn Progress| experiment::experiment(target, progress, tell);
    jobs.run(name, SHARES, work)?;
    console.say(&gettext("The stick itself is as it was."));
    Ok(Exit::Done)
}

fn line(tried: &Tried) -> String {
    let values = [
        ("step", &*steps::done(tried.step, &size(tried.bytes))),
        ("before", &sectors(tried.before)),
        ("after", &sectors(tried.after)),
        ("more", &sectors(tried.after.saturating_sub(tried.before))),
    ];
    // Translators: a step, and what the overlay holds before and after it
    let text = gettext("{step}: {before} → {after}, {more} more");
    fill(&text, &values)
}
