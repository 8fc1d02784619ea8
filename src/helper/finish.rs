//! `finish`: at shutdown, what was begun on the stick that the computer runs from.

use super::console::{Console, Exit};
use super::opened::Expect;
use super::tidy;
use crate::error::{Doing, Error, Part, Result};
use crate::shutdown;
use gettextrs::gettext;
use std::path::Path;

/// Finish, at shutdown, what was begun on the stick that the computer was started from
///
/// Runs by itself: “refresh live” and “tidy live” arrange for it. When the
/// computer shuts down, and nothing runs from the stick any more, the overlay is
/// emptied of what the image holds, and the old image is removed. Where that is
/// not reached, as after a power cut, nothing is lost; it is done the next time.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// While the system still runs: lay down what is needed for it (systemd does this)
    #[arg(long)]
    prepare: bool,
}

const EXAMPLES: &str = "\
Examples:
  sugar-cellar-helper finish --prepare    what systemd runs before it shuts down";

pub fn run(args: &Args, console: &Console) -> Exit {
    if args.prepare {
        return console.end("", shutdown::prepare().map(|()| Exit::Done));
    }
    if !shutdown::is_here() {
        let detail = "it runs by itself when the computer shuts down";
        return console.failed("", &Error::refused(Part::Stick, detail));
    }
    console.say(&gettext("Finishing the stick. Please do not pull it out."));
    let exit = match shutdown::take_down() {
        Ok(node) => finish(&node, console),
        Err(error) => console.failed("", &error),
    };
    if exit != Exit::Done {
        console.say(&gettext(
            "The stick could not be finished now. Nothing is lost: it starts as it is, and is finished the next time.",
        ));
    }
    exit
}

fn finish(node: &Path, console: &Console) -> Exit {
    let name = super::named(node);
    console.end(
        &name,
        tidy::give_back(node, &Expect::default(), &name, console),
    )
}

/// Has the running system finish its stick when it shuts down.
pub fn arrange() -> Result<()> {
    let helper = std::env::current_exe().doing("looking for this program")?;
    shutdown::arrange(&helper)
}
