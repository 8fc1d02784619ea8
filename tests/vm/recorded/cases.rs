//! What is recorded: commands, and the sticks that they are given.

use crate::cut::enlarge;
use crate::harness::run;
use crate::model::alone::Alone;
use crate::model::learner::Learner;
use crate::model::small::{OVERLAY, Small};
use crate::refreshed::options;
use crate::sticks::{Disk, Format, ext4_disk};
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use sugar_cellar::error::{Error, Part, Result};
use sugar_cellar::progress::Silent;
use sugar_cellar::refresh::{self, SECOND};
use sugar_cellar::sources::{IMAGE, Target, Use};
use sugar_cellar::stick::Stick;
use sugar_cellar::storage::fault::Rules;
use sugar_cellar::storage::{DiskFolder, Folder, ReadAt};
use sugar_cellar::tidy;
use sugar_cellar::units::Bytes;

/// The sticks' file systems, as the cases name them.
pub const FORMATS: [&str; 3] = ["ext4", BARE, FAT];
/// ext4 without a journal.
const BARE: &str = "bare";
pub const FAT: &str = "fat";

/// How a stick is before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// A learner used it.
    Used,
    /// A refresh of the running stick made the new image, and the system is about to end.
    Begun,
    /// As used, with no room for a second image but in the overlay's unused end.
    Narrow,
    /// As used, with room for one image only.
    Full,
}

impl Before {
    const ALL: [Before; 4] = [Before::Used, Before::Begun, Before::Narrow, Before::Full];

    fn name(self) -> &'static str {
        match self {
            Before::Used => "used",
            Before::Begun => "begun",
            Before::Narrow => "narrow",
            Before::Full => "full",
        }
    }

    /// What has no journal lends nothing of the overlay.
    fn is_on(self, format: &str) -> bool {
        self != Before::Narrow || format == "ext4"
    }

    /// A stick's size in MiB, and the overlay's where it is not the learner's.
    fn sizes(self) -> (u64, Option<u64>) {
        match self {
            // 128 MiB of the overlay's unused end are never lent.
            Before::Narrow => (168, Some(136)),
            _ => (40, None),
        }
    }
}

/// Something that is done to a stick.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    name: &'static str,
    before: Before,
    /// The helper's command; STICK stands for the device.
    pub command: &'static str,
    /// The next run, after a cut.
    pub next: fn(&Found<'_>) -> Result<()>,
}

/// A stick as it is found after a cut.
pub struct Found<'a> {
    pub stick: &'a Stick,
    pub target: Target<'a, DiskFolder>,
    /// The scratch folder, where there is one.
    pub scratch: Option<&'a DiskFolder>,
}

const OPERATIONS: [Operation; 7] = [
    Operation {
        name: "refresh",
        before: Before::Used,
        command: "refresh STICK --yes",
        next: refreshed,
    },
    Operation {
        name: "kernel",
        before: Before::Used,
        command: "refresh STICK --yes --engine kernel --scratch /data/scratch",
        next: refreshed,
    },
    Operation {
        name: "borrow",
        before: Before::Narrow,
        command: "refresh STICK --yes",
        next: |found| {
            refreshed(found)?;
            // All but what the image has grown by.
            let target = found.target;
            let file = target.folder.open(target.overlay).unwrap();
            let given_back = file.size().unwrap() >= Bytes(135 << 20);
            if given_back {
                return Ok(());
            }
            let detail = format!("the overlay is {:?} long", file.size());
            Err(Error::damaged(Part::Overlay, detail))
        },
    },
    Operation {
        name: "replace",
        before: Before::Full,
        command: "refresh STICK --yes --scratch /run/scratch --replace",
        next: refreshed,
    },
    Operation {
        name: "tidy",
        before: Before::Used,
        command: "tidy STICK",
        next: tidied,
    },
    // What `finish` does at shutdown, once the root is gone, it does by the same function.
    Operation {
        name: "finish",
        before: Before::Begun,
        command: "tidy STICK",
        next: tidied,
    },
    Operation {
        name: "enlarge",
        before: Before::Used,
        command: "enlarge STICK +1M",
        next: |found| {
            enlarge(found.target)?;
            refreshed(found)
        },
    },
];

/// An operation on a file system.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub format: &'static str,
    pub operation: Operation,
}

impl Case {
    /// Those that there are.
    pub fn all() -> impl Iterator<Item = Case> {
        let of = |format| OPERATIONS.map(|operation| Case { format, operation });
        let all = FORMATS.into_iter().flat_map(of);
        all.filter(|case| case.operation.before.is_on(case.format))
            // Refused there.
            .filter(|case| (case.format, case.operation.name) != (BARE, "enlarge"))
    }

    /// Its name.
    pub fn name(&self) -> String {
        format!("{}-{}", self.format, self.operation.name)
    }

    /// Whether its stick has to be checked after a cut.
    pub fn has_no_journal(&self) -> bool {
        self.format == BARE
    }

    /// Its overlay's name.
    pub fn overlay(&self) -> String {
        kind(self.format).overlay()
    }

    /// The file with the stick that it is done to.
    pub fn stick(&self) -> String {
        stick(self.format, self.operation.before)
    }

    /// The file with the disk of its scratch folder, where that is cut off with the stick.
    pub fn scratch(&self) -> Option<String> {
        let replaces = self.operation.before == Before::Full;
        replaces.then(|| scratch(&self.stick()))
    }
}

fn kind(format: &str) -> Format {
    match format {
        FAT => Format::Fat32,
        _ => Format::Ext4,
    }
}

fn stick(format: &str, before: Before) -> String {
    format!("{format}-{}", before.name())
}

fn scratch(stick: &str) -> String {
    format!("{stick}.scratch")
}

/// Makes all sticks, and what the learner has on them, in `data`; `place` is for what is needed on the way.
pub fn make(place: &Path, data: &Path) {
    let small = Small::new(Rules::Ext4, 8 << 20);
    for before in Before::ALL {
        let folder = small.folder.copy();
        let target = Target {
            folder: &folder,
            overlay: OVERLAY,
        };
        let mut names = vec![IMAGE];
        if before == Before::Begun {
            let plan = refresh::plan(target, options(Use::Running), &Silent).unwrap();
            refresh::refresh(plan.ready().unwrap(), &Alone, &Silent).unwrap();
            names.push(SECOND);
        }
        let put = |name: &str| {
            let file = place.join(format!("{}-{name}", before.name()));
            fs::write(&file, folder.read(name).unwrap()).unwrap();
            file
        };
        let files: Vec<_> = names.iter().map(|name| (put(name), *name)).collect();
        let files: Vec<_> = files.iter().map(|(file, name)| (&**file, *name)).collect();
        let overlay = put(OVERLAY);
        let (mebibytes, long) = before.sizes();
        if let Some(long) = long {
            let file = File::options().write(true).open(&overlay).unwrap();
            file.set_len(long << 20).unwrap();
        }
        for name in FORMATS {
            if !before.is_on(name) {
                continue;
            }
            let stick = stick(name, before);
            let format = kind(name);
            Disk::holding(&data.join(&stick), format, mebibytes, &files, &overlay);
            if name == BARE {
                run(Command::new("tune2fs")
                    .args(["-O", "^has_journal"])
                    .arg(data.join(&stick)));
            }
            if before == Before::Full {
                if format == Format::Ext4 {
                    // What is free is free for anybody.
                    run(Command::new("tune2fs")
                        .args(["-m", "0"])
                        .arg(data.join(&stick)));
                }
                let empty = tempfile::tempdir_in(place).unwrap();
                ext4_disk(empty.path(), &data.join(scratch(&stick)), "24M", &[]);
            }
        }
    }
    let Learner {
        content,
        chunk_bytes,
        careless,
        places,
        ..
    } = &small.learner;
    fs::write(data.join("content"), content).unwrap();
    let chunks = serde_json::to_vec(&(careless, places, chunk_bytes)).unwrap();
    fs::write(data.join("chunks"), chunks).unwrap();
}

/// What the learner has, from that folder.
pub fn learner(data: &Path) -> Learner {
    let chunks = fs::read(data.join("chunks")).unwrap();
    let (careless, places, chunk_bytes) = serde_json::from_slice(&chunks).unwrap();
    Learner {
        content: fs::read(data.join("content")).unwrap(),
        chunk_bytes,
        careless,
        places,
        may_lurk: false,
    }
}

fn refreshed(found: &Found<'_>) -> Result<()> {
    let (target, ours) = (found.target, found.stick);
    if let Some(scratch) = found.scratch {
        refresh::complete(target.folder, scratch, 1, ours, &Silent)?;
    }
    refresh::recover(target, 1, ours, &Silent)?;
    let mut plan = refresh::plan(target, options(Use::AtRest), &Silent)?;
    if let Some(scratch) = found.scratch {
        plan = plan.replacing(scratch)?;
    }
    if plan.is_needed() {
        refresh::refresh(plan.ready()?, ours, &Silent)?;
    }
    Ok(())
}

fn tidied(found: &Found<'_>) -> Result<()> {
    let (target, ours) = (found.target, found.stick);
    refresh::recover(target, 1, ours, &Silent)?;
    tidy::stick(target, ours, &Silent).map(|_| ())
}
