//! `prevent`: measures that let the running system's overlay fill more slowly.

use super::console::{Console, Exit};
use super::figures::fill;
use super::{kinds, named, running};
use crate::error::{Error, Result};
use crate::prevent::System;
use crate::protocol::{Event, Measure, MeasureState, Prevention, VERSION};
use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use gettextrs::gettext;
use std::path::{Path, PathBuf};

/// Let the stick fill more slowly: caches, temporary files and logs in memory, and less of them
///
/// Only on the stick that the computer was started from (“live”). Without WHAT it tells how
/// each measure stands. “cache” is your own; “tmp”, “journal”, “noatime” and “logs” are the
/// system's, and need the administrator. What cannot be done at once takes effect at the next
/// start. “off” removes what “on” wrote, and nothing else.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[arg(
        value_name = "STICK",
        help = "“live”, the stick that the computer was started from"
    )]
    stick: PathBuf,
    /// The measure to switch
    #[arg(value_name = "WHAT", requires = "switch", value_parser = what())]
    what: Option<Measure>,
    /// Whether it is to be
    #[arg(value_name = "SWITCH")]
    switch: Option<Switch>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

const EXAMPLES: &str = "\
Examples:
  sugar-cellar-helper prevent live
  sugar-cellar-helper prevent live cache on
  sudo sugar-cellar-helper prevent live journal on
  sudo sugar-cellar-helper prevent live journal off";

fn what() -> impl TypedValueParser<Value = Measure> {
    let known = |word: String| Measure::of(&word).ok_or("no such word");
    PossibleValuesParser::new(Measure::ALL.map(Measure::word)).try_map(known)
}

pub fn run(args: &Args, console: &Console) -> Exit {
    let name = named(&args.stick);
    console.end(&name, prevent(args, &name, console))
}

fn prevent(args: &Args, name: &str, console: &Console) -> Result<Exit> {
    console.event(&Event::Hello { version: VERSION });
    let detail = "this is switched only where the system runs that it is about";
    running::only(&args.stick, detail)?;
    let for_oneself = running::for_oneself();
    if !for_oneself && args.what.is_some_and(Measure::is_own) {
        let detail = "a person's own caches are switched by that person".to_owned();
        return Err(Error::Denied { detail });
    }
    let home = running::home();
    let cache = std::env::var("XDG_CACHE_HOME").ok();
    let system = System::at(Path::new("/"), &home, cache.as_deref())?;
    let mut follows = true;
    if let (Some(what), Some(switch)) = (args.what, args.switch) {
        let on = switch == Switch::On;
        system.switch(what, on)?;
        if let Err(error) = System::follow(what, on) {
            // Switched it is: what reads the files at the next start asks nobody.
            log::warn!("{error}");
            follows = false;
        }
    }
    let mut measures = Vec::new();
    for measure in Measure::ALL {
        if !for_oneself && measure.is_own() {
            continue;
        }
        let mut stands = system.look(measure)?;
        if args.what == Some(measure) {
            stands.effective &= follows;
            if args.switch == Some(Switch::Off) && stands.state == MeasureState::Already {
                // What we began goes on until the next start.
                stands.state = MeasureState::Off;
                stands.effective = false;
            }
        }
        if args.what.is_none_or(|what| what == measure) {
            console.say(&line(&stands));
        }
        measures.push(stands);
    }
    console.event(&Event::Prevented {
        stick: name.to_owned(),
        measures,
    });
    Ok(Exit::Done)
}

fn line(stands: &Prevention) -> String {
    let values = [
        ("what", &*kinds::measure(stands.measure)),
        ("state", &*kinds::stands(stands)),
    ];
    // Translators: a measure that lets a stick fill more slowly, and how it stands
    fill(&gettext("{what}: {state}"), &values)
}
