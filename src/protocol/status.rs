//! What a stick holds, and which sticks there are.

use crate::units::{Bytes, Sectors};
use serde::{Deserialize, Serialize};

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
    /// Its file system's UUID or serial number, where it can be known.
    #[serde(default)]
    pub uuid: Option<String>,
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
    /// None: nothing is kept. Or there is no telling: [`Overlay::not_here`].
    None,
}

/// Why an overlay that there may be is not told of. The detail is technical, in English.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reason", content = "detail")]
pub enum NotHere {
    /// It lies on another file system, or outside LiveOS: where.
    Elsewhere(String),
    /// Which one a start would use cannot be told for sure: why not.
    Unclear(String),
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
    /// Of kind `none`, why there may be one all the same; none where there is none.
    #[serde(default)]
    pub not_here: Option<NotHere>,
    /// Its path below the stick; none when there is none.
    pub file: Option<String>,
    /// How it stands.
    pub state: OverlayState,
    /// Allocated, as `dmsetup status` gives it: metadata included. Without a percentage it says nothing.
    pub used_sectors: Sectors,
    /// Altogether.
    pub total_sectors: Sectors,
    /// Of the used ones, those that hold the exception list.
    pub metadata_sectors: Sectors,
    /// The chunk's size; 0 where there are no chunks.
    pub chunk_sectors: Sectors,
    /// Used of total, in percent; none where it cannot be told.
    pub percent: Option<f64>,
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

/// What `list --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    /// All sticks found, the booted one first.
    pub sticks: Vec<Found>,
}

/// A stick that was found without being named.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// What to call it on the command line: a device, a directory, or `live`.
    pub path: String,
    /// Its block device, where it has one.
    pub device: Option<String>,
    /// Where it is mounted; none where it is not.
    pub mounted: Option<String>,
    /// Its file system's label.
    pub label: Option<String>,
    /// Its file system's UUID or serial number.
    #[serde(default)]
    pub uuid: Option<String>,
    /// Its file system: `vfat`, `ext4`, ….
    pub file_system: String,
    /// The size of its file system.
    pub bytes: Bytes,
    /// Whether the running system was started from it.
    pub booted: bool,
    /// Maker and model as the device gives them.
    pub model: Option<String>,
    /// Which port it is plugged into, as the kernel counts them (`1-4.2`).
    pub port: Option<String>,
}
