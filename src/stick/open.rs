//! Opens what a person calls a stick, and holds its folder LiveOS.

use super::host::{Device, Host};
use super::in_use::{self, InUse, Wanted, WantedFile};
use super::layout::LIVE_OS;
use super::lock::Lock;
use super::mount::{Access, Kept};
use super::reach::{self, Caller, Facts, Found};
use super::superblock::{Kind, Left};
use crate::error::{Doing, Error, Part, Result};
use crate::storage::{DiskFolder, Folder};
use rustix::fs::{Access as Right, AtFlags};
use std::fs::File;
use std::path::Path;

/// There where the running system's stick is to be finished at shutdown. It is gone with this boot.
pub const FINISH_WISH: &str = "/run/sugar-cellar/finish";

/// A stick, open. Dropped, it leaves nothing mounted, bound or locked.
#[derive(Debug)]
pub struct Stick {
    // In the order in which they are let go.
    pub(super) live_os: DiskFolder,
    pub(super) root: DiskFolder,
    locks: Vec<Lock>,
    kept: Option<Kept>,
    image: Option<File>,
    named: String,
    access: Access,
    pub(super) host: Host,
    pub(super) facts: Facts,
    booted: bool,
}

impl Stick {
    /// Opens the stick that a person calls `named`.
    ///
    /// To write: it is locked (`Busy` otherwise), it can be written (`Denied`
    /// otherwise), and it is nobody else's or the booted one (`Busy` otherwise).
    pub fn open(named: &Path, access: Access) -> Result<Stick> {
        Stick::open_as(&Caller::current(), named, access)
    }

    /// As [`Stick::open`], for a given caller.
    pub fn open_as(caller: &Caller, named: &Path, access: Access) -> Result<Stick> {
        let found = caller.find(named, access)?;
        Stick::new(caller, named, access, found)
    }

    fn new(caller: &Caller, named: &Path, access: Access, found: Found) -> Result<Stick> {
        let live_os = reach::live_os(&found.root)?;
        let id = id(&live_os)?;
        let host = caller.host.clone();
        let facts = found.facts;
        let booted = host.booted(facts.device, facts.at_root, id);
        let mut stick = Stick {
            live_os,
            root: found.root,
            locks: found.locks,
            kept: found.kept,
            image: found.image,
            named: named.to_string_lossy().into_owned(),
            access,
            host,
            facts,
            booted,
        };
        if access == Access::Write {
            stick.prepare_to_write()?;
        }
        Ok(stick)
    }

    fn prepare_to_write(&mut self) -> Result<()> {
        if self.facts.driver == Kind::Iso.driver() {
            let detail = "the stick's file system is ISO 9660, which cannot be written";
            return Err(Error::unsupported(Part::Disk, detail));
        }
        if let Some(doubt) = self.doubt()? {
            return Err(doubt);
        }
        self.locks.push(Lock::folder(&self.live_os)?);
        let rights = Right::WRITE_OK | Right::EXEC_OK;
        rustix::fs::accessat(self.live_os.handle(), ".", rights, AtFlags::EACCESS).map_err(
            |errno| match errno {
                rustix::io::Errno::ROFS => Error::ReadOnly {
                    detail: "the stick is mounted read-only".to_owned(),
                },
                _ => Error::Denied {
                    detail: format!("{LIVE_OS} may not be changed ({errno})"),
                },
            },
        )?;
        self.check_again()
    }

    /// To be called before a file of it is made longer: an error where its own file system is an ext4 without a
    /// journal.
    pub fn lets_files_grow(&self) -> Result<()> {
        match self.has_no_journal()? {
            true => Err(Error::NoJournal),
            false => Ok(()),
        }
    }

    /// Whether its own file system is an ext4 without a journal: the journal is what shortens a file in one step
    /// there. A LiveOS in a folder of somebody's disk is a stick to practise on.
    fn has_no_journal(&self) -> Result<bool> {
        let ext4 = self.facts.at_root && self.facts.driver.starts_with("ext");
        let doing = "asking about the stick's file system";
        Ok(ext4 && !self.live_os.shortens_at_once().doing(doing)?)
    }

    /// What keeps everybody from writing to its file system until it was checked.
    pub fn doubt(&self) -> Result<Option<Error>> {
        Ok(match self.facts.left {
            _ if !self.facts.at_root => None,
            Left::Unchecked => Some(Error::Unchecked),
            Left::Unseen if self.has_no_journal()? => Some(Error::Unseen),
            _ => None,
        })
    }

    /// Who else uses it, asked anew.
    pub fn in_use(&self) -> Result<InUse> {
        let id = id(&self.live_os)?;
        if self.host.booted(self.facts.device, self.facts.at_root, id) {
            return Ok(InUse::Live);
        }
        let mut wanted = Wanted {
            files: WantedFile::all(&self.live_os)?,
            ..Wanted::default()
        };
        if let Some(device) = self.kept.as_ref().and_then(Kept::loop_device) {
            wanted.ours = Some(device.number()?);
        }
        match &self.image {
            Some(image) => wanted.files.push(reach::wanted_file(image)?),
            None if wanted.ours.is_some() && self.host.claimed(self.facts.device) => {
                // Behind a loop device of our own, the files have other numbers.
                return Ok(InUse::Held(in_use::OUT_OF_SIGHT.to_owned()));
            }
            None if self.facts.at_root => {
                wanted.devices.push(self.facts.device);
                wanted.devices.extend(self.host.disk(self.facts.device));
            }
            None => {}
        }
        self.host.held(&wanted)
    }

    /// To be called right before the exchange, and before the exception list's
    /// first write: an error unless the stick may still be written. Who only looks is waited for.
    pub fn check_again(&self) -> Result<()> {
        if self.access == Access::Read {
            let detail = "the stick was opened to look only";
            return Err(Error::refused(Part::Stick, detail));
        }
        match in_use::patiently(|| self.in_use())? {
            InUse::Free if !self.booted => Ok(()),
            InUse::Live if self.booted => Ok(()),
            InUse::Free => Err(Error::Busy {
                detail: "the running system let go of the stick meanwhile".to_owned(),
            }),
            InUse::Live => Err(Error::Busy {
                detail: "the running system took the stick meanwhile".to_owned(),
            }),
            InUse::Held(who) => Err(Error::Busy { detail: who }),
            InUse::Unknown(why) => Err(Error::Denied { detail: why }),
        }
    }

    /// `Err(Busy)` where it was opened to look only, and another process is changing it.
    pub fn nobody_writes(&self) -> Result<()> {
        match self.access {
            Access::Read => Lock::free_folder(&self.live_os),
            Access::Write => Ok(()),
        }
    }

    /// Lets go of it, and tells whether all that was written has arrived. To be
    /// dropped before: whatever was opened through it.
    pub fn close(self) -> Result<()> {
        match self.access {
            Access::Read => Ok(()),
            Access::Write => self
                .live_os
                .sync()
                .doing("writing out the stick's file system"),
        }
    }

    /// The folder LiveOS.
    pub fn folder(&self) -> &DiskFolder {
        &self.live_os
    }

    /// As it was named.
    pub fn named(&self) -> &str {
        &self.named
    }

    /// What it was opened for.
    pub fn access(&self) -> Access {
        self.access
    }

    /// Its file system's device number.
    pub fn device(&self) -> Device {
        self.facts.device
    }

    /// Its file system: `vfat`, `ext4`, ….
    pub fn file_system(&self) -> &str {
        &self.facts.driver
    }

    /// Its file system's label, where it is known.
    pub fn label(&self) -> Option<&str> {
        self.facts.name.label.as_deref()
    }

    /// Its file system's UUID or serial number, where it is known.
    pub fn uuid(&self) -> Option<&str> {
        self.facts.name.uuid.as_deref()
    }

    /// Whether the running system was started from it.
    pub fn booted(&self) -> bool {
        self.booted
    }

    /// Whether the running system was started from it, and finishes something on it at shutdown.
    pub fn to_be_finished(&self) -> bool {
        let wish = FINISH_WISH.trim_start_matches('/');
        self.booted && self.host.path(wish).exists()
    }

    /// How its file system was left. If it was cut, and the stick was opened to look only, its latest changes may
    /// not be seen: its journal was not replayed.
    pub fn left(&self) -> Left {
        self.facts.left
    }
}

fn id(folder: &DiskFolder) -> Result<(u64, u64)> {
    let stat = rustix::fs::fstat(folder.handle()).doing("looking at LiveOS")?;
    Ok((stat.st_dev, stat.st_ino))
}
