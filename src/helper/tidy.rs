//! `tidy`: overlay space back without writing the image anew.

use super::console::{Console, Exit};
use super::job::Jobs;
use super::meter::Share;
use super::opened::Opened;
use super::{STICK, named, tell};
use crate::error::Result;
use crate::progress::Progress;
use crate::protocol::{Event, Stage};
use crate::refresh::{Recovered, recover};
use crate::tidy;
use std::path::PathBuf;

/// Give overlay space back without writing the image anew
///
/// What equals the image, and what deleted files held, is dropped from the
/// overlay; the rest moves to its front. Much faster than a refresh, and often
/// enough. Ctrl-C cancels it; whenever it ends, nothing is lost.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[arg(value_name = "STICK", help = STICK)]
    stick: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  sugar-cellar-helper tidy /media/me/SOAS";

const SHARES: &[Share] = &[(Stage::Check, 60), (Stage::Drop, 40)];

pub fn run(args: &Args, console: &Console) -> Exit {
    let name = named(&args.stick);
    console.end(&name, give_back(args, &name, console))
}

fn give_back(args: &Args, name: &str, console: &Console) -> Result<Exit> {
    let jobs = Jobs::begin(console)?;
    let opened = Opened::at_rest(&args.stick)?;
    let work = |progress: &dyn Progress| {
        // Putting a cut refresh right tidies as well.
        if recover(opened.target(), super::threads(), &opened, progress)? == Recovered::Nothing {
            tidy::stick(opened.target(), &opened, progress)?;
        }
        opened.look()
    };
    let (after, seconds) = jobs.run(name, SHARES, work)?;
    let (before, after) = (opened.before.status.clone(), after.status);
    drop(opened);
    console.say(&tell::tidied(&before, &after));
    console.event(&Event::Finished {
        stick: name.to_owned(),
        seconds,
        before: Box::new(before),
        after: Box::new(after),
    });
    Ok(Exit::Done)
}
