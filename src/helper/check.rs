//! `check`: reads everything, and says what is not as it should be.

use super::console::{Console, Exit};
use super::job::Jobs;
use super::meter::Share;
use super::{STICK, named, tell};
use crate::check;
use crate::error::{Doing, Error, Part, Result};
use crate::ext4;
use crate::merged::Merged;
use crate::overlay::ExceptionStore;
use crate::progress::Progress;
use crate::protocol::{Event, Finding, Stage, Weight};
use crate::squash::Image;
use crate::status;
use crate::stick::{Access, Stick};
use crate::storage::Folder;
use std::path::PathBuf;
use std::sync::Arc;

/// Read a whole stick, and say what is damaged; change nothing
///
/// Reads every block of the image, the overlay's list, and the root file
/// system as the overlay changes it. Ends with 5 where damage was found.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[arg(value_name = "STICK", help = STICK)]
    stick: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  sugar-cellar-helper check /media/me/SOAS
  sugar-cellar-helper check stick.img --json";

const SHARES: &[Share] = &[(Stage::Check, 1)];
/// Decoded blocks of the image that are kept while the file system is walked.
const CACHE_BLOCKS: usize = 64;

pub fn run(args: &Args, console: &Console) -> Exit {
    let name = named(&args.stick);
    console.end(&name, read(args, &name, console))
}

fn read(args: &Args, name: &str, console: &Console) -> Result<Exit> {
    let jobs = Jobs::begin(console)?;
    let work = |progress: &dyn Progress| {
        let stick = Stick::open(&args.stick, Access::Read)?;
        let mut findings = Vec::new();
        // The first damage hides what lies behind it.
        if let Some(damage) = damage(everything(&stick, &mut findings, progress))? {
            findings.push(damage);
        }
        Ok(findings)
    };
    let (findings, seconds) = jobs.run(name, SHARES, work)?;
    let damaged = findings.iter().any(|one| one.weight == Weight::Damage);
    console.say(&tell::findings(&findings));
    console.event(&Event::Checked {
        stick: name.to_owned(),
        seconds,
        findings,
    });
    Ok(if damaged { Exit::Damage } else { Exit::Done })
}

/// Damage is a finding; what could not be checked stays an error.
fn damage(result: Result<()>) -> Result<Option<Finding>> {
    match result {
        Ok(()) => Ok(None),
        Err(Error::Damaged { part, detail }) => Ok(Some(Finding {
            part,
            weight: Weight::Damage,
            detail,
        })),
        Err(error) => Err(error),
    }
}

fn everything(stick: &Stick, findings: &mut Vec<Finding>, progress: &dyn Progress) -> Result<()> {
    let seen = status::look(stick)?;
    if let Some(second) = &seen.layout.second {
        findings.push(Finding {
            part: Part::Stick,
            weight: Weight::Note,
            detail: format!(
                "a refresh was cut: there is a second image, {}",
                second.name
            ),
        });
    }
    findings.extend(stick.doubt()?.map(|doubt| Finding {
        part: Part::Disk,
        weight: Weight::Note,
        detail: doubt.to_string(),
    }));
    let overlay = seen.layout.snapshot()?.name.clone();
    let folder = stick.folder();
    let file = folder
        .open(&seen.layout.image.name)
        .doing("opening the image")?;
    let image = Image::open(Arc::new(file))?;
    // Told before the long part, and apart from it: the overlay may be damaged on a whole image.
    let store = folder.open(&overlay).doing("opening the overlay")?;
    let list = ExceptionStore::read(&store, Some(image.inner_bytes()))?;
    check::image(&image, super::threads(), progress)?;
    if !list.is_valid() {
        return Err(Error::damaged(
            Part::Overlay,
            "the kernel marked it invalid",
        ));
    }
    let merged =
        Merged::new(image.reader(CACHE_BLOCKS), &store, &list).doing("reading the image")?;
    let found = ext4::consistency(&merged, progress)?;
    findings.extend(found.iter().map(|one| Finding {
        part: Part::Ext4,
        weight: if one.is_damage() {
            Weight::Damage
        } else {
            Weight::Note
        },
        detail: one.to_string(),
    }));
    Ok(())
}
