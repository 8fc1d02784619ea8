//! What a long command says while it runs, and at its end.

use super::explanation::{Clutter, Explanation};
use super::prevention::Prevention;
use super::status::Status;
use crate::error::{ErrorKind, Part};
use crate::units::{Bytes, Sectors};
use serde::{Deserialize, Serialize};

/// One line of a long command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first line.
    Hello {
        /// [`super::VERSION`].
        version: u32,
    },
    /// How far it is.
    Progress {
        /// Which stick.
        stick: String,
        /// What is being done.
        stage: Stage,
        /// Bytes behind us.
        done: u64,
        /// Bytes altogether.
        total: u64,
        /// Seconds left of the whole; none while nobody can know.
        eta_seconds: Option<u64>,
    },
    /// One stick is done.
    Finished {
        /// Which stick.
        stick: String,
        /// What it took.
        seconds: f64,
        /// Before.
        before: Box<Status>,
        /// After.
        after: Box<Status>,
        /// The new image's SHA-256, as `sha256sum` writes it; none where none was made.
        #[serde(default)]
        image_sha256: Option<String>,
    },
    /// A practice stick is made.
    Made {
        /// Which stick.
        stick: String,
        /// What it took.
        seconds: f64,
        /// What it holds.
        status: Box<Status>,
    },
    /// One stick was read from end to end.
    Checked {
        /// Which stick.
        stick: String,
        /// What it took.
        seconds: f64,
        /// What was found; empty where nothing was.
        findings: Vec<Finding>,
    },
    /// What one stick's overlay is spent on.
    Explained {
        /// Which stick.
        stick: String,
        /// What it took.
        seconds: f64,
        /// What was found.
        explanation: Box<Explanation>,
    },
    /// What a step of an experiment cost on a practice stick.
    Tried {
        /// Which stick.
        stick: String,
        /// What was done.
        step: Step,
        /// How large the file or folder is that it is about.
        bytes: Bytes,
        /// What the overlay held before, by the model.
        before_sectors: Sectors,
        /// What it held afterwards.
        after_sectors: Sectors,
        /// The overlay's size.
        total_sectors: Sectors,
    },
    /// Files were removed from the system that runs.
    Cleaned {
        /// Which stick.
        stick: String,
        /// What it took.
        seconds: f64,
        /// What was removed.
        what: Clutter,
        /// How many files.
        files: u64,
        /// What they took.
        bytes: Bytes,
    },
    /// How the measures stand that let the running system's overlay fill more slowly.
    Prevented {
        /// Which stick.
        stick: String,
        /// Each that the caller may switch.
        measures: Vec<Prevention>,
    },
    /// One stick failed.
    Failed {
        /// Which stick.
        stick: String,
        /// What kind of failure.
        code: ErrorKind,
        /// One sentence what.
        message: String,
        /// One sentence what to do.
        hint: String,
        /// Technical detail, in English.
        #[serde(default)]
        detail: String,
    },
}

/// A stage of a long operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Reading and checking what is there.
    Check,
    /// Merging with the kernel's help (kernel engine only).
    Merge,
    /// Writing the new image.
    Build,
    /// Reading the new image back from the device.
    Verify,
    /// Exchanging the images.
    Commit,
    /// Giving overlay space back.
    Drop,
}

/// A step of the experiments: what a learner does, to see what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A new picture is saved.
    Save,
    /// It gets another name.
    Rename,
    /// One letter of a large file is changed in its place.
    Letter,
    /// The picture is changed by a program that saves a new copy.
    NewCopy,
    /// It is deleted.
    Delete,
    /// Another one of the same size is saved.
    SaveAgain,
    /// A folder of documents is copied.
    CopyFolder,
    /// Nothing is done for a while: only the system writes.
    Nothing,
}

impl Step {
    /// All of them, in the order of the lesson: some go on from those before.
    pub const ALL: [Step; 8] = [
        Step::Save,
        Step::Rename,
        Step::Letter,
        Step::NewCopy,
        Step::Delete,
        Step::SaveAgain,
        Step::CopyFolder,
        Step::Nothing,
    ];

    /// Those that a model tells as a kernel does. Whether a new file goes into places that a deleted
    /// one left is the kernel's choice, and differs from one day to the next; and nobody can tell
    /// what a running system writes by itself.
    pub const MODELLED: [Step; 5] = [
        Step::Save,
        Step::Rename,
        Step::Letter,
        Step::NewCopy,
        Step::Delete,
    ];
}

/// How much a finding of `check` weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// Worth knowing; nothing is wrong.
    Note,
    /// Something is damaged.
    Damage,
}

/// One thing that `check` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Where.
    pub part: Part,
    /// How much it weighs.
    pub weight: Weight,
    /// Technical detail, in English.
    pub detail: String,
}
