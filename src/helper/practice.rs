//! `practice`: a stick to practise on.

use super::console::{Console, Exit};
use super::job::Jobs;
use super::meter::Share;
use super::{named, tell};
use crate::error::Result;
use crate::practice::{Compression, DEFAULT_SIZE, Options, SIZES, make};
use crate::progress::Progress;
use crate::protocol::{Event, Stage};
use crate::status;
use crate::stick::{Access, Stick};
use clap::builder::RangedU64ValueParser;
use std::path::PathBuf;

/// Make a stick to practise on: a folder with a small, real live system
///
/// The folder holds LiveOS with a compressed image and an overlay that is about
/// half full of school work: documents, pictures, a Sugar Journal; some of it
/// edited, some deleted. It needs no administrator, and takes a few seconds.
/// The same size and seed give the same bytes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The folder to make; it must not exist, or be empty
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The root file system's size in MiB; the overlay gets a quarter of it
    #[arg(long, value_name = "MIB", default_value_t = DEFAULT_SIZE)]
    #[arg(value_parser = RangedU64ValueParser::<u64>::new().range(SIZES))]
    size: u64,
    /// What all content is made from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The image's compression
    #[arg(long, value_name = "NAME", default_value_t, hide = true)]
    compression: Compression,
}

const EXAMPLES: &str = "\
Examples:
  sugar-cellar-helper practice ~/practice
  sugar-cellar-helper practice ~/large --size 1024 --seed 7";

const SHARES: &[Share] = &[(Stage::Build, 85), (Stage::Verify, 15)];

pub fn run(args: &Args, console: &Console) -> Exit {
    let name = named(&args.folder);
    console.end(&name, practise(args, &name, console))
}

fn practise(args: &Args, name: &str, console: &Console) -> Result<Exit> {
    let options = Options {
        mebibytes: args.size,
        seed: args.seed,
        compression: args.compression,
    };
    let jobs = Jobs::begin(console)?;
    let work = |progress: &dyn Progress| make(&args.folder, &options, progress);
    let ((), seconds) = jobs.run(name, SHARES, work)?;
    let seen = status::look(&Stick::open(&args.folder, Access::Read)?)?;
    console.say(&tell::status(&seen.status, &seen.layout));
    console.event(&Event::Made {
        stick: name.to_owned(),
        seconds,
        status: Box::new(seen.status),
    });
    Ok(Exit::Done)
}
