//! What the helper says: statuses, plans and events, one JSON object a line.
//!
//! Codes and numbers only; whoever shows them makes the words. The JSON texts
//! are a contract that people script against, pinned in `tests/protocol.rs`.

use crate::error::ErrorKind;
use crate::units::{Bytes, Sectors};
use serde::{Deserialize, Serialize};

/// The version that `hello` names; raised when a reader of the old one would misread.
pub const VERSION: u32 = 1;

/// What a stick holds, and how full its overlay is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The stick itself.
    pub stick: Stick,
    /// Its compressed image.
    pub image: Image,
    /// Its overlay.
    pub overlay: Overlay,
    /// Its separate home, where there is one.
    pub home: Option<Home>,
    /// What an earlier operation left to be done.
    pub pending: Option<Pending>,
}

/// The stick itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stick {
    /// As it was named: a directory, a device, an image file, or `live`.
    pub path: String,
    /// Its file system's label, where it can be known.
    pub label: Option<String>,
    /// Its file system: `vfat`, `ext4`, ….
    pub file_system: String,
    /// Free for the person who asks.
    pub free_bytes: Bytes,
    /// Whether the running system was started from it.
    pub booted: bool,
}

/// How the root file system lies in the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageKind {
    /// An ext4 image inside a SquashFS.
    Nested,
    /// The SquashFS or EROFS is the root file system.
    Flat,
}

/// A stick's compressed image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// How the root lies in it.
    pub kind: ImageKind,
    /// Its path below the stick: `LiveOS/squashfs.img`.
    pub file: String,
    /// Its size.
    pub bytes: Bytes,
    /// Its compressor: `xz`, `zstd`, `gzip`, `lzo`, `lz4`.
    pub compression: String,
    /// SquashFS's block size.
    pub block_bytes: Bytes,
    /// The inner image's path in it (`LiveOS/rootfs.img`); none when flat.
    pub inner: Option<String>,
    /// The inner image's size; none when flat.
    pub inner_bytes: Option<Bytes>,
}

/// How the stick keeps what a learner saves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverlayKind {
    /// A device-mapper snapshot's persistent exception store.
    Snapshot,
    /// An OverlayFS upper directory.
    Overlayfs,
    /// None: nothing is kept.
    None,
}

/// How it stands with an overlay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverlayState {
    /// No exceptions.
    Empty,
    /// In use, with room.
    Active,
    /// Nine tenths used or more.
    NearlyFull,
    /// No further chunk fits.
    Full,
    /// Marked invalid by the kernel: it reads no more.
    Invalid,
}

/// A stick's overlay, in the kernel's own figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overlay {
    /// What kind.
    pub kind: OverlayKind,
    /// Its path below the stick; none when there is none.
    pub file: Option<String>,
    /// How it stands.
    pub state: OverlayState,
    /// Allocated, as `dmsetup status` gives it: metadata included.
    pub used_sectors: Sectors,
    /// Altogether.
    pub total_sectors: Sectors,
    /// Of the used ones, those that hold the exception list.
    pub metadata_sectors: Sectors,
    /// The chunk's size; 0 where there are no chunks.
    pub chunk_sectors: Sectors,
    /// Used of total, in percent.
    pub percent: f64,
}

/// A separate home file system on the stick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Home {
    /// Its path below the stick.
    pub file: String,
    /// Its size.
    pub bytes: Bytes,
    /// Used in it; none where it cannot be read (encrypted).
    pub used_bytes: Option<Bytes>,
    /// Whether it is encrypted.
    pub encrypted: bool,
}

/// What an earlier operation left to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pending {
    /// A refresh of the booted stick waits for the shutdown.
    Finish,
    /// A refresh was cut: a second image file lies on the stick.
    Cleanup,
    /// The overlay was shortened to make room, and not grown back yet.
    Borrowed,
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

/// One line of a long command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first line.
    Hello {
        /// [`VERSION`].
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
    },
}
