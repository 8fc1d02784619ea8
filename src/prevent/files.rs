//! The files that switch a measure on: what stands in them, and how they come and go.
//!
//! A file is ours where it reads exactly as we write it; where it does not, somebody else wrote it or
//! changed it, and it stays. (So a text that was once released is to be known for ever.) It comes
//! whole or not at all, through no link, and in no other file system than the root.

use crate::error::{Doing, Result};
use crate::protocol::Measure;
use crate::storage::beneath;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Write};

/// A file of ours.
#[derive(Debug)]
pub(super) struct Ours {
    /// Below the root, or below the caller's home, without a slash before it.
    pub folder: &'static str,
    pub name: &'static str,
    pub text: &'static str,
}

const UNITS: &str = "etc/systemd/system";
const WANTED: &str = "etc/systemd/system/local-fs.target.d";
const JOURNALD: &str = "etc/systemd/journald.conf.d";

const CACHE: &[Ours] = &[Ours {
    folder: ".config/environment.d",
    name: "60-sugar-cellar.conf",
    text: "\
# Written by Sugar Cellar. To remove it: sugar-cellar-helper prevent live cache off
# Caches in memory.
XDG_CACHE_HOME=${XDG_RUNTIME_DIR:+${XDG_RUNTIME_DIR}/sugar-cellar-cache}
",
}];

/// As systemd's own, which Debian 12 keeps where systemd does not look for it.
const TMP_UNIT: Ours = Ours {
    folder: UNITS,
    name: "tmp.mount",
    text: "\
# Written by Sugar Cellar. To remove it: sugar-cellar-helper prevent live tmp off
[Unit]
Description=Temporary files in memory (/tmp)
Documentation=man:sugar-cellar-helper(1)
ConditionPathIsSymbolicLink=!/tmp
DefaultDependencies=no
Conflicts=umount.target
Before=local-fs.target umount.target
After=swap.target

[Mount]
What=tmpfs
Where=/tmp
Type=tmpfs
Options=mode=1777,strictatime,nosuid,nodev,size=50%,nr_inodes=1m
",
};
const TMP: &[Ours] = &[
    TMP_UNIT,
    Ours {
        folder: WANTED,
        name: "60-sugar-cellar-tmp.conf",
        text: "\
# Written by Sugar Cellar. To remove it: sugar-cellar-helper prevent live tmp off
[Unit]
Wants=tmp.mount
",
    },
];

const JOURNAL: &[Ours] = &[Ours {
    folder: JOURNALD,
    name: "60-sugar-cellar.conf",
    text: "\
# Written by Sugar Cellar. To remove it: sugar-cellar-helper prevent live journal off
[Journal]
Storage=volatile
RuntimeMaxUse=16M
",
}];

const NOATIME: &[Ours] = &[
    Ours {
        folder: UNITS,
        name: "sugar-cellar-noatime.service",
        text: "\
# Written by Sugar Cellar. To remove it: sugar-cellar-helper prevent live noatime off
[Unit]
Description=No access times on the root file system
Documentation=man:sugar-cellar-helper(1)
DefaultDependencies=no
After=systemd-remount-fs.service
Before=local-fs.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/mount -o remount,bind,noatime /
",
    },
    Ours {
        folder: WANTED,
        name: "60-sugar-cellar-noatime.conf",
        text: "\
# Written by Sugar Cellar. To remove it: sugar-cellar-helper prevent live noatime off
[Unit]
Wants=sugar-cellar-noatime.service
",
    },
];

const LOGS: &[Ours] = &[Ours {
    folder: JOURNALD,
    name: "60-sugar-cellar-logs.conf",
    text: "\
# Written by Sugar Cellar. To remove it: sugar-cellar-helper prevent live logs off
[Journal]
MaxLevelStore=notice
",
}];

/// Those of a measure, in the order in which they come: the one that makes it so is the last.
pub(super) fn of(measure: Measure) -> &'static [Ours] {
    match measure {
        Measure::Cache => CACHE,
        Measure::Tmp => TMP,
        Measure::Journal => JOURNAL,
        Measure::Noatime => NOATIME,
        Measure::Logs => LOGS,
    }
}

/// What lies where a file of ours would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Ours,
    /// Somebody else's.
    Others,
    /// A folder of another file system is on the way there.
    Elsewhere,
}

impl Ours {
    /// Its folder below the root; `home` is where a person's own lie.
    pub fn place(&self, home: &str) -> String {
        match self.folder.starts_with('.') {
            true => format!("{home}/{}", self.folder),
            false => self.folder.to_owned(),
        }
    }

    pub fn look(&self, root: &OwnedFd, place: &str) -> Result<Found> {
        let path = format!("{place}/{}", self.name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = beneath::open(root, &path, flags, Mode::empty());
        let file = match opened {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(Found::Nothing),
            Err(Errno::XDEV) => return Ok(Found::Elsewhere),
            Err(Errno::LOOP | Errno::NOTDIR | Errno::ACCESS | Errno::NXIO) => {
                return Ok(Found::Others);
            }
            Err(error) => return Err(error).doing(format!("opening {path}")),
        };
        let stat = rustix::fs::fstat(&file).doing("looking at a file")?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(Found::Others);
        }
        let mut read = Vec::new();
        let most = self.text.len() as u64 + 1;
        let text = File::from(file).take(most).read_to_end(&mut read);
        text.doing(format!("reading {path}"))?;
        Ok(match read == self.text.as_bytes() {
            true => Found::Ours,
            false => Found::Others,
        })
    }

    /// Writes it where nothing lies, and makes the folders above it.
    pub fn write(&self, root: &OwnedFd, place: &str) -> Result<()> {
        let doing = || format!("writing {place}/{}", self.name);
        // Settings in a home folder are nobody else's business; the system's are for all.
        let mode = match self.folder.starts_with('.') {
            true => Mode::RWXU,
            false => Mode::from_raw_mode(0o755),
        };
        let folder = made(root, place, mode).doing(doing())?;
        // systemd reads no file that is called so.
        let fresh = format!(".{}.new", self.name);
        match rustix::fs::unlinkat(&folder, &*fresh, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error).doing(doing()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&folder, &*fresh, flags, Mode::RUSR | Mode::WUSR);
        let mut file = File::from(file.doing(doing())?);
        let put = file
            .write_all(self.text.as_bytes())
            .and_then(|()| Ok(rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))?))
            .and_then(|()| file.sync_all())
            .and_then(|()| {
                let never_over = RenameFlags::NOREPLACE;
                let done =
                    rustix::fs::renameat_with(&folder, &*fresh, &folder, self.name, never_over);
                Ok(done?)
            });
        if put.is_err() {
            // What was begun is of no use; that it failed is what is told.
            let _ = rustix::fs::unlinkat(&folder, &*fresh, AtFlags::empty());
        }
        put.doing(doing())?;
        rustix::fs::fsync(&folder).doing(doing())
    }

    /// Removes it. The folders stay: somebody may count on them.
    pub fn remove(&self, root: &OwnedFd, place: &str) -> Result<()> {
        let doing = || format!("removing {place}/{}", self.name);
        let folder = beneath::folder(root, place).doing(doing())?;
        match rustix::fs::unlinkat(&folder, self.name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error).doing(doing()),
        }
        rustix::fs::fsync(&folder).doing(doing())
    }
}

/// A folder below `root`, made where it is not there.
fn made(root: &OwnedFd, path: &str, mode: Mode) -> rustix::io::Result<OwnedFd> {
    match beneath::folder(root, path) {
        Err(Errno::NOENT) => {}
        done => return done,
    }
    let (above, name) = path.rsplit_once('/').unwrap_or((".", path));
    let above = match above {
        "." => beneath::folder(root, above)?,
        _ => made(root, above, mode)?,
    };
    match rustix::fs::mkdirat(&above, name, mode) {
        Ok(()) => {
            // Whatever the caller's umask hides, the services are to read.
            let flags = AtFlags::empty();
            rustix::fs::chmodat(&above, name, mode, flags)?;
            rustix::fs::fsync(&above)?;
        }
        Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    beneath::folder(root, path)
}
