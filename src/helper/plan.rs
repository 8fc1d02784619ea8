//! `plan`: what a refresh would do.

use super::console::{Console, Exit};
use super::job::Jobs;
use super::opened::{Expect, Opened};
use super::refresh::Choices;
use super::{STICK, named, tell, words};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::protocol::{Plan, Refusal, Stage};
use crate::stick::{Access, InUse};
use crate::storage::DiskFolder;
use std::path::PathBuf;

/// Show what a refresh would do, and why not, if not; change nothing
///
/// Ends with 3 where a refresh would be refused.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[arg(value_name = "STICK", help = STICK)]
    stick: PathBuf,
    #[command(flatten)]
    choices: Choices,
}

const EXAMPLES: &str = "\
Examples:
  sugar-cellar-helper plan /media/me/SOAS
  sugar-cellar-helper plan /media/me/SOAS --compression zstd --json";

pub fn run(args: &Args, console: &Console) -> Exit {
    let name = named(&args.stick);
    console.end(&name, look(args, &name, console))
}

fn look(args: &Args, name: &str, console: &Console) -> Result<Exit> {
    let jobs = Jobs::quiet(console)?;
    let scratch = args.choices.scratch()?;
    let work = |progress: &dyn Progress| {
        let opened = Opened::new(&args.stick, Access::Read, &Expect::default())?;
        let threads = super::threads();
        draw(&opened, &args.choices, scratch.as_ref(), threads, progress)
    };
    let (plan, _) = jobs.run(name, &[(Stage::Check, 1)], work)?;
    console.value(&plan);
    console.say(&tell::plan(&plan));
    Ok(match plan.refusals.is_empty() {
        true => Exit::Done,
        false => Exit::Refused,
    })
}

/// The plan of an open stick, with `threads` to work on it.
pub fn draw<'f>(
    opened: &'f Opened,
    choices: &Choices,
    scratch: Option<&'f DiskFolder>,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Plan> {
    let plan = choices
        .plan(opened.target(), scratch, opened.used(), threads, progress)?
        .sampled()?;
    let (doubt, in_the_way) = (opened.stick().doubt()?, in_the_way(opened)?);
    let against = [plan.obstacle(), doubt.as_ref(), in_the_way.as_ref()];
    let stick = &opened.before.status.stick;
    let against = against.into_iter().flatten();
    let refusals = against.map(|error| refusal(&stick.path, error)).collect();
    Ok(Plan {
        kernels: plan.kernels(opened.stick().kernels(), progress)?,
        stick: stick.clone(),
        seconds: plan.is_needed().then_some(plan.seconds),
        image: plan.image,
        overlay: plan.overlay,
        blocks: plan.blocks,
        space: plan.space,
        free_blocks: plan.free_blocks,
        refusals,
    })
}

/// Who would be in the way of a refresh now.
fn in_the_way(opened: &Opened) -> Result<Option<Error>> {
    Ok(match opened.stick().in_use()? {
        InUse::Free => None,
        InUse::Live => {
            let waits = opened.reads_second()?;
            waits.then_some(Error::Waiting)
        }
        InUse::Held(who) => Some(Error::Busy { detail: who }),
        InUse::Unknown(why) => Some(Error::Denied { detail: why }),
    })
}

fn refusal(stick: &str, error: &Error) -> Refusal {
    let said = words::error_of(stick, error);
    Refusal {
        code: error.kind(),
        message: said.what,
        hint: said.hint,
        detail: error.to_string(),
    }
}
