//! `tidy`: overlay space back without writing the image anew.

use super::console::{Console, Exit};
use super::job::Jobs;
use super::meter::Share;
use super::opened::{Expect, Opened};
use super::{STICK, finish, named, tell};
use crate::error::Result;
use crate::progress::Progress;
use crate::protocol::Stage;
use crate::refresh::{Recovered, recover};
use crate::sources::Use;
use crate::stick::Access;
use crate::storage::confined;
use crate::tidy;
use std::path::{Path, PathBuf};

/// Give overlay space back without writing the image anew
///
/// What equals the image, and what deleted files held, is dropped from the
/// overlay; the rest moves to its front. Much faster than a refresh, and often
/// enough. Ctrl-C cancels it; whenever it ends, nothing is lost. Of the stick that
/// the computer was started from (“live”) it is done when the computer shuts down.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[arg(value_name = "STICK", help = STICK)]
    stick: PathBuf,
    #[command(flatten)]
    expect: Expect,
}

const EXAMPLES: &str = "\
Examples:
  sugar-cellar-helper tidy /media/me/SOAS";

const SHARES: &[Share] = &[(Stage::Check, 60), (Stage::Drop, 40)];

pub fn run(args: &Args, console: &Console) -> Exit {
    let name = named(&args.stick);
    console.end(&name, give_back(&args.stick, &args.expect, &name, console))
}

/// Tidies `stick`, which messages call `name`; the running system's, when it shuts down.
pub fn give_back(stick: &Path, expect: &Expect, name: &str, console: &Console) -> Result<Exit> {
    let jobs = Jobs::begin(console)?;
    let opened = Opened::new(stick, Access::Write, expect)?;
    if opened.used() == Use::Running {
        return at_shutdown(&opened, name, console);
    }
    let work = |progress: &dyn Progress| {
        let target = opened.target();
        confined(&[target.folder], || {
            // Putting a cut refresh right tidies as well.
            if recover(target, super::threads(), opened.stick(), progress)? == Recovered::Nothing {
                tidy::stick(target, opened.stick(), progress)?;
            }
            opened.look()
        })
    };
    let (after, seconds) = jobs.run(name, SHARES, work)?;
    let (before, after) = (opened.before.status.clone(), after.status);
    drop(opened);
    console.say(&tell::tidied(&before, &after));
    console.finished(name, seconds, before, after);
    Ok(Exit::Done)
}

fn at_shutdown(opened: &Opened, name: &str, console: &Console) -> Result<Exit> {
    finish::arrange()?;
    let after = opened.look()?.status;
    console.say(&tell::at_shutdown());
    console.finished(name, 0.0, opened.before.status.clone(), after);
    Ok(Exit::Done)
}
