//! `clean`: removes what may go from the system that runs.

use super::console::{Console, Exit};
use super::figures::{fill, size};
use super::job::Jobs;
use super::meter::Share;
use super::{kinds, named, running};
use crate::clean;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::protocol::{Clutter, Event, Stage};
use crate::units::Bytes;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use gettextrs::gettext;
use std::path::{Path, PathBuf};

/// Remove what may go from the system that runs: caches, the trash, old logs, packages
///
/// Only from the stick that the computer was started from (“live”). Your own caches,
/// thumbnails and trash are removed for yourself; old logs, crash dumps and downloaded
/// packages need the administrator. In an overlay that only fills up, the room comes back
/// with “tidy”; where the root is an OverlayFS, at once.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[arg(
        value_name = "STICK",
        help = "“live”, the stick that the computer was started from"
    )]
    stick: PathBuf,
    /// What to remove
    #[arg(value_name = "WHAT", required = true, value_parser = what())]
    what: Vec<Clutter>,
}

const EXAMPLES: &str = "\
Examples:
  sugar-cellar-helper clean live caches thumbnails
  sudo sugar-cellar-helper clean live logs packages";

fn what() -> impl TypedValueParser<Value = Clutter> {
    let known = |word: String| Clutter::of(&word).ok_or("no such word");
    PossibleValuesParser::new(Clutter::ALL.map(Clutter::word)).try_map(known)
}

const SHARES: &[Share] = &[(Stage::Check, 1)];

pub fn run(args: &Args, console: &Console) -> Exit {
    let name = named(&args.stick);
    console.end(&name, remove(args, &name, console))
}

fn remove(args: &Args, name: &str, console: &Console) -> Result<Exit> {
    let jobs = Jobs::begin(console)?;
    let detail = "files are removed only where the system runs that they belong to";
    running::only(&args.stick, detail)?;
    if !running::for_oneself() && args.what.iter().any(|what| what.is_own()) {
        let detail = "a person's own files are removed by that person".to_owned();
        return Err(Error::Denied { detail });
    }
    let home = running::home();
    let home = home.trim_matches('/');
    for what in &args.what {
        let work = |progress: &dyn Progress| clean::clean(Path::new("/"), home, *what, progress);
        let (cleaned, seconds) = jobs.run(name, SHARES, work)?;
        console.say(&line(*what, cleaned.bytes));
        console.event(&Event::Cleaned {
            stick: name.to_owned(),
            seconds,
            what: *what,
            files: cleaned.files,
            bytes: cleaned.bytes,
        });
    }
    if !running::on_overlay_fs()? {
        console.say(&gettext("The room comes back with “tidy”."));
    }
    Ok(Exit::Done)
}

fn line(what: Clutter, bytes: Bytes) -> String {
    let values = [("what", &*kinds::clutter(what)), ("size", &*size(bytes))];
    fill(&gettext("{what}: {size} were removed."), &values)
}
