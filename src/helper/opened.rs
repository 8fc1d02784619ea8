//! A stick opened for a command that reads or changes its overlay.

use crate::error::{Doing, Error, Result};
use crate::progress::{Progress, Silent};
use crate::refresh;
use crate::sources::{Target, Use};
use crate::status::{self, Seen};
use crate::stick::{Access, Device, Held, Host, Stick};
use crate::storage::DiskFolder;
use std::path::Path;

/// Which stick is meant, whatever is plugged in under its name by now.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Expect {
    /// Refuse a stick whose file system does not have this UUID
    ///
    /// “list --json” and “status --json” tell it. A stick may have been exchanged for
    /// another since it was looked at; nothing is written to that one.
    #[arg(long = "expect", value_name = "UUID")]
    uuid: Option<String>,
}

impl Expect {
    /// Whether one is named.
    pub fn any(&self) -> bool {
        self.uuid.is_some()
    }

    fn open(&self, named: &Path, access: Access) -> Result<Stick> {
        if self.any() && access == Access::Write {
            // Mounting it to write would write to it.
            self.check(&Stick::open(named, Access::Read)?)?;
        }
        let stick = Stick::open(named, access)?;
        self.check(&stick)?;
        Ok(stick)
    }

    fn check(&self, stick: &Stick) -> Result<()> {
        match (&self.uuid, stick.uuid()) {
            (None, _) => Ok(()),
            (Some(expected), Some(found)) if expected.eq_ignore_ascii_case(found) => Ok(()),
            (Some(expected), found) => Err(Error::Another {
                expected: expected.clone(),
                found: found.unwrap_or("unknown").to_owned(),
            }),
        }
    }
}

/// A stick with an overlay of the kind that is handled.
#[derive(Debug)]
pub struct Opened {
    stick: Stick,
    overlay: String,
    /// What was seen when it was opened.
    pub before: Seen,
}

impl Opened {
    /// Opens what a person calls `stick`, in use by the running system or not.
    ///
    /// To write: where its image cannot be read and a cut refresh left a second one, the one that
    /// is whole is put in place. `Refused` where it is none that is expected.
    pub fn new(stick: &Path, access: Access, expect: &Expect) -> Result<Opened> {
        Opened::completed(stick, access, expect, None, super::threads(), &Silent)
    }

    /// As [`Opened::new`]. To write: an image that is half replaced is completed first from `scratch`.
    /// `threads` check and compare.
    pub fn completed(
        stick: &Path,
        access: Access,
        expect: &Expect,
        scratch: Option<&DiskFolder>,
        threads: usize,
        progress: &dyn Progress,
    ) -> Result<Opened> {
        let stick = expect.open(stick, access)?;
        if let Some(scratch) = scratch.filter(|_| access == Access::Write && !stick.booted()) {
            refresh::complete(stick.folder(), scratch, threads, &stick, progress)?;
        }
        let before = match status::look(&stick) {
            Err(Error::Cut(_)) if access == Access::Write && !stick.booted() => {
                refresh::settle(stick.folder(), threads, &stick, &Silent)?;
                status::look(&stick)?
            }
            other => other?,
        };
        let overlay = before.layout.snapshot()?.name.clone();
        Ok(Opened {
            stick,
            overlay,
            before,
        })
    }

    /// Whether the running system was started from it.
    pub fn used(&self) -> Use {
        Use::of(&self.stick)
    }

    /// Whether the running system reads the second image: it was refreshed since it started. Where
    /// that cannot be found out, it does.
    pub fn reads_second(&self) -> Result<bool> {
        let Some(second) = &self.before.layout.second else {
            return Ok(false);
        };
        let second = (Device::from_raw(second.id.0), second.id.1);
        let loops = Host::default().loops().doing("asking for loop devices")?;
        let reads = |held: Held| (held.on, held.inode) == second;
        Ok(loops.iter().any(|bound| bound.held.is_none_or(reads)))
    }

    /// The stick itself.
    pub fn stick(&self) -> &Stick {
        &self.stick
    }

    /// Where operations work.
    pub fn target(&self) -> Target<'_, DiskFolder> {
        Target {
            folder: self.stick.folder(),
            overlay: &self.overlay,
        }
    }

    /// What is there now.
    pub fn look(&self) -> Result<Seen> {
        status::look(&self.stick)
    }
}
