//! Measures that let the running system's overlay fill more slowly, each of which can be taken back.
//!
//! Each is switched on by files of ours alone ([`files`]), which systemd and its services read, and
//! switched off by their removal. What takes effect at once does ([`System::follow`]); the rest from
//! the next start on.

mod files;

use crate::error::{Doing, Error, Part, Result};
use crate::program::{run, systemctl};
use crate::protocol::{Measure, MeasureState, Obstacle, Prevention};
use crate::stick::{Host, Mount};
use crate::storage::beneath;
use files::Found;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs;
use std::path::{Path, PathBuf};

const FOLLOWING: &str = "having the running system follow";

/// The running system, as its measures see it.
#[derive(Debug)]
pub struct System {
    root: PathBuf,
    opened: OwnedFd,
    /// The caller's home folder, below the root, without a slash before it.
    home: String,
    /// The caller's `XDG_CACHE_HOME`.
    cache: Option<String>,
}

impl System {
    /// The one whose root folder is `root`.
    ///
    /// # Errors
    /// Where that cannot be opened.
    pub fn at(root: &Path, home: &str, cache: Option<&str>) -> Result<System> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened =
            rustix::fs::open(root, flags, Mode::empty()).doing("opening the root folder")?;
        Ok(System {
            root: root.to_owned(),
            opened,
            home: home.trim_matches('/').to_owned(),
            cache: cache.map(str::to_owned),
        })
    }

    /// How a measure stands.
    ///
    /// # Errors
    /// `Io`, where a file cannot be read.
    pub fn look(&self, measure: Measure) -> Result<Prevention> {
        let told = |state, effective| Prevention {
            measure,
            state,
            effective,
            obstacle: None,
            detail: String::new(),
        };
        let impossible = |obstacle, detail: String| Prevention {
            obstacle: Some(obstacle),
            detail,
            ..told(MeasureState::Impossible, true)
        };
        if !self.there("run/systemd/system") {
            return Ok(impossible(Obstacle::NoSystemd, String::new()));
        }
        if measure.is_own() {
            match self.owner_of_home() {
                Ok(owner) if owner == rustix::process::geteuid().as_raw() => {}
                Err(Errno::XDEV) => {
                    return Ok(impossible(Obstacle::Elsewhere, format!("/{}", self.home)));
                }
                _ => return Ok(impossible(Obstacle::NoHome, String::new())),
            }
        }
        let mut found = Vec::new();
        for (place, file) in self.files(measure) {
            let here = file.look(&self.opened, &place)?;
            found.push((here, format!("/{place}/{}", file.name)));
        }
        let any = |kind| found.iter().find(|(found, _)| *found == kind);
        if any(Found::Ours).is_none() && self.is_already(measure) {
            return Ok(told(MeasureState::Already, true));
        }
        if let Some((_, path)) = any(Found::Others) {
            return Ok(impossible(Obstacle::Taken, path.clone()));
        }
        if let Some((_, path)) = any(Found::Elsewhere) {
            return Ok(impossible(Obstacle::Elsewhere, path.clone()));
        }
        let runs = self.runs(measure);
        if any(Found::Nothing).is_none() {
            return Ok(told(MeasureState::On, runs.unwrap_or(true)));
        }
        if let Some((obstacle, detail)) = self.obstacle(measure) {
            return Ok(impossible(obstacle, detail));
        }
        Ok(told(MeasureState::Off, !runs.unwrap_or(false)))
    }

    /// Switches a measure; what is so already stays.
    ///
    /// # Errors
    /// `Refused` where it is impossible, or nothing of ours; `Denied` without the rights; `Io`. What
    /// was cut is completed, or taken back, by the next call.
    pub fn switch(&self, measure: Measure, on: bool) -> Result<()> {
        let stands = self.look(measure)?;
        match stands.state {
            MeasureState::Impossible => {
                let obstacle = stands.obstacle;
                let detail = match (obstacle, &*stands.detail) {
                    (Some(Obstacle::NoSystemd), _) => "systemd does not run".to_owned(),
                    (Some(Obstacle::NoHome), _) => {
                        "the caller has no home folder of their own".to_owned()
                    }
                    (Some(Obstacle::Elsewhere), path) => {
                        format!("{path} is in another file system")
                    }
                    (Some(Obstacle::OtherLogger), path) => format!("another logger runs: {path}"),
                    (_, path) => format!("{path} was written or changed by somebody else"),
                };
                return Err(Error::refused(Part::Stick, detail));
            }
            MeasureState::Already if !on => {
                let detail = "the system does so without a file of ours";
                return Err(Error::refused(Part::Stick, detail));
            }
            MeasureState::Already => return Ok(()),
            MeasureState::On | MeasureState::Off => {}
        }
        let files = self.files(measure);
        if on {
            for (place, file) in files {
                if file.look(&self.opened, &place)? == Found::Nothing {
                    file.write(&self.opened, &place)?;
                }
            }
        } else {
            for (place, file) in files.into_iter().rev() {
                if file.look(&self.opened, &place)? == Found::Ours {
                    file.remove(&self.opened, &place)?;
                }
            }
        }
        Ok(())
    }

    /// Has the running system, which this is, go by what was switched, as far as it can at once.
    ///
    /// # Errors
    /// What systemd or mount say. It is switched all the same, and takes effect at the next start.
    pub fn follow(measure: Measure, on: bool) -> Result<()> {
        match measure {
            Measure::Cache => Ok(()),
            Measure::Tmp => systemctl(&["daemon-reload"], FOLLOWING),
            Measure::Journal | Measure::Logs => {
                let unit = "systemd-journald.service";
                systemctl(&["restart", unit], FOLLOWING)?;
                match (measure, on) {
                    // Where the log was in memory since the start, nobody asked for it on disk yet.
                    (Measure::Journal, false) => run("journalctl", &["--flush"], FOLLOWING),
                    _ => Ok(()),
                }
            }
            Measure::Noatime => {
                systemctl(&["daemon-reload"], FOLLOWING)?;
                let options = match on {
                    true => "remount,bind,noatime",
                    // As the kernel has it by itself; mount(8) keeps what is not taken back.
                    false => "remount,bind,atime,relatime",
                };
                run("mount", &["-o", options, "/"], FOLLOWING)
            }
        }
    }

    /// Those of a measure that are needed here, with their folders.
    fn files(&self, measure: Measure) -> Vec<(String, &'static files::Ours)> {
        // A system that has the unit where systemd looks for it needs none of ours;
        let has_unit = ["usr/lib/systemd/system", "lib/systemd/system"]
            .iter()
            .any(|folder| self.there(&format!("{folder}/tmp.mount")));
        let needed = |file: &&files::Ours| {
            // but what lies in its way is seen, and one of ours removed.
            file.name != "tmp.mount" || !has_unit || self.there("etc/systemd/system/tmp.mount")
        };
        let files = files::of(measure).iter().filter(needed);
        files.map(|file| (file.place(&self.home), file)).collect()
    }

    /// Whether the system does so though no file of ours is there.
    fn is_already(&self, measure: Measure) -> bool {
        match measure {
            Measure::Cache => self.cache().is_some_and(|cache| {
                !cache.ends_with("/sugar-cellar-cache") && cache.starts_with("/run/")
            }),
            Measure::Tmp => {
                let wants = "systemd/system/local-fs.target.wants/tmp.mount";
                let wanted = ["etc", "usr/lib", "lib"]
                    .iter()
                    .any(|folder| self.there(&format!("{folder}/{wants}")));
                (wanted || self.in_fstab("/tmp")) && self.runs(measure) == Some(true)
            }
            // Both follow at once: what runs now is not left from one of ours.
            Measure::Journal | Measure::Noatime => self.runs(measure) == Some(true),
            Measure::Logs => false,
        }
    }

    /// What stands in the way, besides files where ours would be.
    fn obstacle(&self, measure: Measure) -> Option<(Obstacle, String)> {
        match measure {
            Measure::Tmp if self.in_fstab("/tmp") => {
                Some((Obstacle::Taken, "/etc/fstab".to_owned()))
            }
            Measure::Logs => {
                // rsyslog's own, and how others call theirs.
                let known = ["rsyslogd.pid", "syslogd.pid", "syslog-ng.pid"];
                let other = known
                    .into_iter()
                    .find(|name| self.there(&format!("run/{name}")));
                other.map(|name| (Obstacle::OtherLogger, format!("/run/{name}")))
            }
            _ => None,
        }
    }

    /// Whether the running system goes by it; none where that cannot be seen.
    fn runs(&self, measure: Measure) -> Option<bool> {
        match measure {
            Measure::Cache => Some(self.cache().is_some_and(|cache| cache.starts_with("/run/"))),
            Measure::Tmp => Some(
                self.mounted("/tmp")
                    .is_some_and(|mount| mount.file_system == "tmpfs"),
            ),
            // journald removes its folder here when it begins to keep the log on disk.
            Measure::Journal => {
                let folder = fs::read_dir(self.root.join("run/log/journal"));
                Some(folder.is_ok_and(|mut folder| folder.next().is_some()))
            }
            Measure::Noatime => Some(self.mounted("/").is_some_and(|mount| mount.has("noatime"))),
            Measure::Logs => None,
        }
    }

    fn cache(&self) -> Option<&str> {
        self.cache.as_deref()
    }

    /// What is mounted at `point`: the last one covers those before.
    fn mounted(&self, point: &str) -> Option<Mount> {
        let mounts = Host::at(&self.root).mounts().into_iter();
        mounts.rev().find(|mount| mount.point == Path::new(point))
    }

    fn in_fstab(&self, point: &str) -> bool {
        let text = fs::read_to_string(self.root.join("etc/fstab")).unwrap_or_default();
        text.lines().any(|line| {
            let mut words = line.split_whitespace();
            !line.trim_start().starts_with('#') && words.nth(1) == Some(point)
        })
    }

    fn owner_of_home(&self) -> rustix::io::Result<u32> {
        if self.home.is_empty() {
            return Err(Errno::NOENT);
        }
        let home = beneath::folder(&self.opened, &self.home)?;
        Ok(rustix::fs::fstat(home)?.st_uid)
    }

    fn there(&self, path: &str) -> bool {
        self.root.join(path).symlink_metadata().is_ok()
    }
}

#[cfg(test)]
mod tests;
