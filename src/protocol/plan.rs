//! What a refresh would do.

use super::status::Stick;
use crate::error::ErrorKind;
use crate::units::{Bytes, Sectors};
use serde::{Deserialize, Serialize};

/// What a refresh would do: what `plan --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The stick itself.
    pub stick: Stick,
    /// The image, before and after.
    pub image: PlannedImage,
    /// The overlay, before and after.
    pub overlay: PlannedOverlay,
    /// What is to be done to the image's blocks.
    pub blocks: PlannedBlocks,
    /// The room that it takes.
    pub space: PlannedSpace,
    /// Whether blocks of deleted files can be given back.
    pub free_blocks: FreeBlocks,
    /// About how long it takes; none where nobody can know.
    pub seconds: Option<u64>,
    /// Why it is not done; empty where nothing speaks against it.
    pub refusals: Vec<Refusal>,
    /// The kernels that the stick starts, which lie outside its image.
    #[serde(default)]
    pub kernels: Vec<Kernel>,
}

/// A kernel that a stick starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// Its version, as `uname -r` gives it.
    pub version: String,
    /// Whether the root file system has its modules. Without them it has no drivers.
    pub modules: bool,
}

/// The image before and after a refresh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedImage {
    /// Its size now.
    pub bytes: Bytes,
    /// Its size afterwards, estimated.
    pub estimated_bytes: Bytes,
    /// Its size afterwards at the very most.
    pub largest_bytes: Bytes,
}

/// The overlay before and after a refresh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedOverlay {
    /// Used now.
    pub used_sectors: Sectors,
    /// Used afterwards.
    pub after_sectors: Sectors,
    /// Altogether.
    pub total_sectors: Sectors,
}

/// What a refresh does to the image's blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedBlocks {
    /// A block's size before compression.
    pub block_bytes: Bytes,
    /// All blocks of the inner image.
    pub total: u64,
    /// Those that are compressed anew.
    pub changed: u64,
    /// Those that become holes, for no file uses them.
    pub freed: u64,
}

/// How room for the new image is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpaceMode {
    /// Both images fit on the stick.
    Beside,
    /// They fit once the overlay's unused end is cut off; it grows back afterwards.
    ShortenedOverlay,
    /// The new image is written elsewhere first and then replaces the old one.
    Scratch,
    /// There is no way.
    None,
}

/// The room that a refresh takes on the stick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedSpace {
    /// How it is found.
    pub mode: SpaceMode,
    /// Needed at the very most.
    pub needed_bytes: Bytes,
    /// There, for whoever asks.
    pub available_bytes: Bytes,
    /// The longest file that the stick's file system can hold; none where that is no concern.
    pub file_limit_bytes: Option<Bytes>,
    /// Needed in a scratch folder outside the stick; none where none is needed.
    #[serde(default)]
    pub scratch_bytes: Option<Bytes>,
}

/// Whether the root file system's own record of its free blocks is believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreeBlocks {
    /// Believed: what deleted files held is given back.
    pub trusted: bool,
    /// Why not; none where it is.
    pub reason: Option<Distrust>,
    /// Technical detail, in English.
    pub detail: Option<String>,
}

/// Why blocks of deleted files are left as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distrust {
    /// The person does not want it.
    NotWanted,
    /// The system runs from this stick.
    Live,
    /// The system was not shut down: its last changes are still to be put in place.
    NotClean,
    /// The file system recorded errors, or contradicts itself.
    Errors,
    /// The file system has features that are not handled.
    Unsupported,
}

/// One reason not to refresh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What kind.
    pub code: ErrorKind,
    /// One sentence what.
    pub message: String,
    /// One sentence what to do.
    pub hint: String,
    /// Technical detail, in English.
    #[serde(default)]
    pub detail: String,
}
