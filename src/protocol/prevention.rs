//! What lets an overlay fill more slowly.

use serde::{Deserialize, Serialize};

/// A measure that lets an overlay fill more slowly. Each can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// What a person's programs keep to be quicker lies in memory.
    Cache,
    /// /tmp lies in memory.
    Tmp,
    /// The system's log lies in memory.
    Journal,
    /// When a file was read last is not noted.
    Noatime,
    /// Everyday messages are not logged.
    Logs,
}

impl Measure {
    /// All of them.
    pub const ALL: [Measure; 5] = [
        Measure::Cache,
        Measure::Tmp,
        Measure::Journal,
        Measure::Noatime,
        Measure::Logs,
    ];

    /// The word for it here, and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Measure::Cache => "cache",
            Measure::Tmp => "tmp",
            Measure::Journal => "journal",
            Measure::Noatime => "noatime",
            Measure::Logs => "logs",
        }
    }

    /// What a word stands for.
    pub fn of(word: &str) -> Option<Measure> {
        Measure::ALL.into_iter().find(|one| one.word() == word)
    }

    /// Whether it is a person's own, and not the system's.
    pub fn is_own(self) -> bool {
        self == Measure::Cache
    }
}

/// How a measure stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasureState {
    /// Switched on.
    On,
    /// Not switched on.
    Off,
    /// The system does so by itself, or somebody arranged it: there is nothing to switch.
    Already,
    /// It cannot be switched on here.
    Impossible,
}

/// Why a measure cannot be switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// systemd does not run.
    NoSystemd,
    /// The caller has no home folder of their own.
    NoHome,
    /// It lies in another file system than the root, and not in the overlay.
    Elsewhere,
    /// Somebody arranged it otherwise, in the file that the detail names.
    Taken,
    /// Another program keeps the logs.
    OtherLogger,
}

/// A measure, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prevention {
    /// Which.
    pub measure: Measure,
    /// How it stands.
    pub state: MeasureState,
    /// Whether the running system goes by it already; from its next start on, if not.
    pub effective: bool,
    /// Why it is impossible; none where it is not.
    pub obstacle: Option<Obstacle>,
    /// Technical detail, in English; empty where there is none.
    #[serde(default)]
    pub detail: String,
}
