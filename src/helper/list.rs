//! `list`: which sticks are there.

use super::console::{Console, Exit};
use super::tell;
use crate::protocol::Listing;
use crate::stick::find::{Sureness, find};

/// Show the sticks that are plugged in, and the one that the computer was started from
///
/// Who is not administrator cannot look into a stick that is not mounted; one
/// whose label speaks for it is shown all the same.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {}

const EXAMPLES: &str = "\
Examples:
  sugar-cellar-helper list
  sugar-cellar-helper list --json";

pub fn run(_: &Args, console: &Console) -> Exit {
    let sightings = find()
        .into_iter()
        .filter(|one| one.sureness != Sureness::Possible);
    let sticks: Vec<_> = sightings.map(|one| one.found).collect();
    console.say(&tell::listing(&sticks));
    console.value(&Listing { sticks });
    Exit::Done
}
