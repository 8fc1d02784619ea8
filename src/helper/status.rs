//! `status`: how full a stick is.

use super::console::{Console, Exit};
use super::{STICK, named, tell};
use crate::error::Result;
use crate::status;
use crate::stick::{Access, Stick};
use std::path::PathBuf;

/// Show how full a stick's overlay is, and what the stick holds
///
/// The figures are the kernel's own: used, total and metadata sectors as
/// “dmsetup status” gives them. Nothing is changed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[arg(value_name = "STICK", help = STICK)]
    stick: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  sugar-cellar-helper status /media/me/SOAS
  sugar-cellar-helper status /dev/sdb1 --json
  sugar-cellar-helper status live";

pub fn run(args: &Args, console: &Console) -> Exit {
    console.end(&named(&args.stick), look(args, console))
}

fn look(args: &Args, console: &Console) -> Result<Exit> {
    let seen = status::look(&Stick::open(&args.stick, Access::Read)?)?;
    console.value(&seen.status);
    console.say(&tell::status(&seen.status, &seen.layout));
    Ok(Exit::Done)
}
