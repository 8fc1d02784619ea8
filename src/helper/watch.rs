//! `watch`: a stick's status again whenever it changes.

use super::console::{Console, Exit};
use super::job::Jobs;
use super::{STICK, named, tell};
use crate::error::{Error, Result};
use crate::protocol::{OverlayKind, Status};
use crate::status::{self, Seen};
use crate::stick::{Access, Stick};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Show a stick's status again whenever it changes
///
/// Ends with Ctrl-C, or when its standard input, where that is a pipe, closes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[arg(value_name = "STICK", help = STICK)]
    stick: PathBuf,
    /// Look this often
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = interval)]
    interval: Duration,
}

const EXAMPLES: &str = "\
Examples:
  sugar-cellar-helper watch live
  sugar-cellar-helper watch /media/me/SOAS --interval 10 --json";

/// The longest interval: a day. Whoever wants more wants another program.
const LONGEST: f64 = 86_400.0;
/// An end that is asked for is noticed this soon.
const NOTICED: Duration = Duration::from_millis(100);

fn interval(text: &str) -> std::result::Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if !(0.1..=LONGEST).contains(&seconds) {
        return Err(format!("from 0.1 to {LONGEST} seconds"));
    }
    Ok(Duration::from_secs_f64(seconds))
}

pub fn run(args: &Args, console: &Console) -> Exit {
    console.end(&named(&args.stick), follow(args, console))
}

/// Whether the later status is worth a line.
///
/// How much is free beside an overlay of fixed size moves with everything else
/// that lies on the file system; alone it is not worth one.
fn differs(before: &Status, now: &Status) -> bool {
    let mut before = before.clone();
    if now.overlay.kind == OverlayKind::Snapshot {
        before.stick.free_bytes = now.stick.free_bytes;
    }
    before != *now
}

/// Until somebody asks for an end, or nobody reads any more.
fn follow(args: &Args, console: &Console) -> Result<Exit> {
    let jobs = Jobs::begin(console)?;
    let mut last: Option<Seen> = None;
    while !jobs.cancelled() && !console.reader_gone() {
        // Opened each time: a stick that is mounted, unmounted or changed is seen as it is now,
        // and nobody is kept from pulling it out.
        let seen = Stick::open(&args.stick, Access::Read).and_then(|stick| status::look(&stick));
        let seen = match seen {
            // Somebody changes it: it is looked at again when that is over.
            Err(Error::Busy { .. }) if last.is_some() => None,
            seen => Some(seen?),
        };
        let differs = |seen: &Seen| {
            let last = last.as_ref();
            last.is_none_or(|last| differs(&last.status, &seen.status))
        };
        if let Some(seen) = seen.filter(differs) {
            console.value(&seen.status);
            if last.is_some() {
                console.say("");
            }
            console.say(&tell::status(&seen.status, &seen.layout));
            last = Some(seen);
        }
        let next = Instant::now() + args.interval;
        while Instant::now() < next && !jobs.cancelled() && !console.reader_gone() {
            std::thread::sleep(NOTICED.min(args.interval));
        }
    }
    Ok(Exit::Done)
}
