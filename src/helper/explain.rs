//! `explain`: what the overlay's space is spent on.

use super::console::{Console, Exit};
use super::job::Jobs;
use super::meter::Share;
use super::{STICK, named, outline};
use crate::error::Result;
use crate::explain::{self, Options};
use crate::progress::Progress;
use crate::protocol::{Event, Explanation, Stage};
use crate::sources::{Target, Use};
use crate::status;
use crate::stick::{Access, Layout, Overlay, Stick};
use std::path::PathBuf;

/// Show what fills the overlay: which folders and files, what is deleted but still stored
///
/// All sums are exact, and add up to what “status” calls used. Of the stick that
/// the computer was started from (“live”), what is open and not saved yet is not seen.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[arg(value_name = "STICK", help = STICK)]
    stick: PathBuf,
    /// Do not read all that the overlay holds, only who owns it: much faster on a slow stick
    ///
    /// What equals the image, and would come back with a tidy, is not told then.
    #[arg(long)]
    quick: bool,
    /// Show folders and files from this share of the whole on, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 2.0)]
    from: f64,
}

const EXAMPLES: &str = "\
Examples:
  sugar-cellar-helper explain /media/me/SOAS
  sugar-cellar-helper explain live --quick --from 5
  sugar-cellar-helper explain stick.img --json";

const SHARES: &[Share] = &[(Stage::Check, 1)];

pub fn run(args: &Args, console: &Console) -> Exit {
    let name = named(&args.stick);
    console.end(&name, tell(args, &name, console))
}

fn tell(args: &Args, name: &str, console: &Console) -> Result<Exit> {
    let jobs = Jobs::begin(console)?;
    let stick = Stick::open(&args.stick, Access::Read)?;
    let layout = status::look(&stick)?.layout;
    let work = |progress: &dyn Progress| match &layout.overlay {
        Overlay::Folder(entry) => explain::upper(stick.folder(), &entry.name, progress),
        _ => chunks(&stick, &layout, args, progress),
    };
    let (explanation, seconds) = jobs.run(name, SHARES, work)?;
    console.say(&outline::explanation(&explanation, args.from));
    console.event(&Event::Explained {
        stick: name.to_owned(),
        seconds,
        explanation: Box::new(explanation),
    });
    Ok(Exit::Done)
}

fn chunks(
    stick: &Stick,
    layout: &Layout,
    args: &Args,
    progress: &dyn Progress,
) -> Result<Explanation> {
    let target = Target {
        folder: stick.folder(),
        overlay: &layout.snapshot()?.name,
    };
    let used = Use::of(stick);
    if used == Use::Running {
        // What programs have saved is to be seen, though the kernel may not have written it yet.
        rustix::fs::sync();
    }
    let options = Options {
        used,
        compare: !args.quick,
        threads: super::threads(),
    };
    explain::explain(target, options, progress)
}
