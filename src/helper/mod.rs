//! The command line, which is also what the window starts (`--json`).
//!
//! One file a verb; each says what it takes ([`clap::Args`]) and runs it. Long
//! ones go through [`job`], all lines through [`console`], all words through
//! [`words`] and [`figures`].

mod ask;
mod bars;
mod cancel;
mod check;
mod clean;
mod console;
mod enlarge;
mod experiment;
mod explain;
mod figures;
mod finish;
mod generate;
mod job;
pub mod kinds;
mod list;
pub mod locale;
mod meter;
mod opened;
mod outline;
mod plan;
mod practice;
mod prevent;
mod refresh;
mod running;
mod status;
pub mod steps;
mod tell;
mod tidy;
mod turns;
mod watch;
mod words;

use crate::error::Error;
use crate::shutdown::{self, Ending};
use crate::stick::Caller;
use clap::{CommandFactory, Parser, Subcommand};
use console::{Console, Exit};
use rustix::fs::Mode;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// Show how full a live USB stick's overlay is, and refresh the stick without losing anything
///
/// A live stick keeps what is saved on it in an overlay, which only ever fills
/// up. A refresh folds it back into the stick's compressed image: nothing is
/// lost, and the overlay is empty again. STICK is a folder that holds LiveOS, a
/// block device, an image file of a disk or partition, or “live” for the stick
/// that this computer was started from.
#[derive(Debug, Parser)]
#[command(name = "sugar-cellar-helper", version, after_help = EXAMPLES, after_long_help = LONG_EXAMPLES)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
struct CommandLine<V: Subcommand> {
    /// Print JSON, one object a line, for programs
    ///
    /// A long command's first line is a “hello” with the version. Closing its
    /// standard input, where that is a pipe, cancels it.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: V,
}

/// What every command calls a stick.
const STICK: &str = "A folder that holds LiveOS, a block device, an image file, or “live”";

const EXAMPLES: &str = "\
Examples:
  sugar-cellar-helper practice ~/practice     make a stick to practise on
  sugar-cellar-helper status ~/practice       see how full it is
  sugar-cellar-helper refresh ~/practice      refresh it
  sugar-cellar-helper --help                  more examples, and the exit statuses";

const LONG_EXAMPLES: &str = "\
Examples:
  sugar-cellar-helper practice ~/practice     make a stick to practise on
  sugar-cellar-helper status ~/practice       see how full it is
  sugar-cellar-helper explain ~/practice      see what fills it
  sugar-cellar-helper plan ~/practice         see what a refresh would do
  sugar-cellar-helper refresh ~/practice      refresh it
  sugar-cellar-helper list                    find the sticks that are plugged in
  sugar-cellar-helper watch live              follow the stick you work on

Exit status:
  0  done
  1  failed; the message says whether the stick is unchanged or completed
  2  the command line makes no sense
  3  refused: nothing was changed
  4  cancelled
  5  check found damage";

/// What people may ask for.
#[derive(Debug, Subcommand)]
enum Verb {
    List(list::Args),
    Status(status::Args),
    Watch(watch::Args),
    Explain(explain::Args),
    Plan(plan::Args),
    Refresh(refresh::Args),
    Tidy(tidy::Args),
    Clean(clean::Args),
    Prevent(prevent::Args),
    Enlarge(enlarge::Args),
    Check(check::Args),
    Practice(practice::Args),
    Experiment(experiment::Args),
    Finish(finish::Args),
}

/// And what is asked for when the program is built and installed.
#[derive(Debug, Subcommand)]
enum AnyVerb {
    #[command(flatten)]
    Public(Verb),
    Generate(generate::Args),
}

/// The whole program: reads the command line, runs the verb, gives the exit status.
pub fn main() -> ExitCode {
    // What root makes on a stick and in /run is for all to read, whatever the umask of the person
    // hides who started us; what is private is made so.
    if rustix::process::geteuid().is_root() {
        rustix::process::umask(Mode::WGRP | Mode::WOTH);
    }
    // At the end of a shutdown we may be the computer's first program, and its last.
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(ending) = Ending::asked(&arguments) {
        shutdown::end(ending);
    }
    locale::begin();
    env_logger::init();
    let line = CommandLine::<AnyVerb>::parse();
    let console = Console::new(line.json);
    let by_pkexec = Caller::current().by_pkexec;
    let exit = match line.verb {
        // Started for somebody without rights, nothing is written where they say.
        AnyVerb::Public(Verb::Practice(_) | Verb::Experiment(_)) | AnyVerb::Generate(_)
            if by_pkexec =>
        {
            let detail = "this command is not run for another user".to_owned();
            console.failed("", &Error::Denied { detail })
        }
        AnyVerb::Public(verb) => verb.run(&console),
        AnyVerb::Generate(args) => {
            let documented = CommandLine::<Verb>::command();
            generate::run(&args, documented, &console)
        }
    };
    exit.into()
}

impl Verb {
    fn run(&self, console: &Console) -> Exit {
        match self {
            Verb::List(args) => list::run(args, console),
            Verb::Status(args) => status::run(args, console),
            Verb::Watch(args) => watch::run(args, console),
            Verb::Explain(args) => explain::run(args, console),
            Verb::Plan(args) => plan::run(args, console),
            Verb::Refresh(args) => refresh::run(args, console),
            Verb::Tidy(args) => tidy::run(args, console),
            Verb::Clean(args) => clean::run(args, console),
            Verb::Prevent(args) => prevent::run(args, console),
            Verb::Enlarge(args) => enlarge::run(args, console),
            Verb::Check(args) => check::run(args, console),
            Verb::Practice(args) => practice::run(args, console),
            Verb::Experiment(args) => experiment::run(args, console),
            Verb::Finish(args) => finish::run(args, console),
        }
    }
}

/// What a stick is called in messages and events.
fn named(stick: &Path) -> String {
    stick.to_string_lossy().into_owned()
}

/// Threads for the work that all cores can do.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
