//! What the helper says: statuses, plans and events, one JSON object a line.
//!
//! Codes and numbers only; whoever shows them makes the words. The JSON texts
//! are a contract that people script against, pinned in `tests/protocol.rs`.

use crate::error::{ErrorKind, Part};
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

/// What an overlay's space is spent on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Allocated, as `status` tells it: all sums together.
    pub used_sectors: Sectors,
    /// Altogether.
    pub total_sectors: Sectors,
    /// The chunk's size, which all sums are counted in.
    pub chunk_sectors: Sectors,
    /// The parts of what is used.
    pub sums: Sums,
    /// What is not deleted, but equals the image in its place, and comes back with a tidy; none where
    /// it was not compared.
    pub equal_sectors: Option<Sectors>,
    /// Files and folders by kind, the largest sum first.
    pub kinds: Vec<KindSum>,
    /// What may go without loss of what a person made, the largest sum first.
    #[serde(default)]
    pub clutter: Vec<ClutterSum>,
    /// The largest entries of Sugar's Journal, the largest first; [`JournalEntry::MOST`] at the most.
    #[serde(default)]
    pub journal_entries: Vec<JournalEntry>,
    /// How many things in the file system could not be made out; 0 in a whole one.
    pub unclear: u64,
    /// Each file and folder that owns something, the largest first; of very many, those beyond some
    /// 100,000 as one `…` for each kind, at the end.
    pub entries: Vec<Entry>,
}

/// What may go from a running system without loss of what a person made; or, the trash, of what
/// they still want.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clutter {
    /// What a person's programs keep to be quicker.
    Caches,
    /// Small pictures of a person's files.
    Thumbnails,
    /// A person's trash.
    Trash,
    /// The system's older logs.
    Logs,
    /// What the system kept of programs that crashed.
    Crashes,
    /// Packages that were downloaded and are installed, and lists of them.
    Packages,
}

impl Clutter {
    /// All of it.
    pub const ALL: [Clutter; 6] = [
        Clutter::Caches,
        Clutter::Thumbnails,
        Clutter::Trash,
        Clutter::Logs,
        Clutter::Crashes,
        Clutter::Packages,
    ];

    /// The word for it here, and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Clutter::Caches => "caches",
            Clutter::Thumbnails => "thumbnails",
            Clutter::Trash => "trash",
            Clutter::Logs => "logs",
            Clutter::Crashes => "crashes",
            Clutter::Packages => "packages",
        }
    }

    /// What a word stands for.
    pub fn of(word: &str) -> Option<Clutter> {
        Clutter::ALL.into_iter().find(|one| one.word() == word)
    }

    /// Whether it is a person's own, and not the system's.
    pub fn is_own(self) -> bool {
        matches!(self, Clutter::Caches | Clutter::Thumbnails | Clutter::Trash)
    }
}

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

/// All of one kind that may go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClutterSum {
    /// Which.
    pub clutter: Clutter,
    /// How many files.
    pub number: u64,
    /// What they own of the overlay.
    pub sectors: Sectors,
}

/// An entry of Sugar's Journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Its folder, as an [`Entry::path`].
    pub path: String,
    /// Its title; none where it cannot be read.
    pub title: Option<String>,
    /// What its files and folders own of the overlay.
    pub sectors: Sectors,
}

impl JournalEntry {
    /// So many of them are told.
    pub const MOST: usize = 10;
}

/// The parts of what an overlay uses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Contents of files.
    pub file_sectors: Sectors,
    /// Folders: the names in them.
    pub folder_sectors: Sectors,
    /// The file system's own records: superblock, descriptors, bitmaps, inode tables.
    pub record_sectors: Sectors,
    /// The file system's journal.
    pub journal_sectors: Sectors,
    /// What no file uses any more.
    pub deleted_sectors: Sectors,
    /// The exception list: header and metadata areas.
    pub list_sectors: Sectors,
    /// Places in the store that nothing lies in.
    pub unused_sectors: Sectors,
}

/// All of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindSum {
    /// Which.
    pub kind: EntryKind,
    /// How many files.
    pub number: u64,
    /// What they own.
    pub sectors: Sectors,
}

/// What kind of file owns a part of the overlay, by its place and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// Text, tables, books, and what people make with programs.
    Document,
    /// Pictures.
    Picture,
    /// Sound and video.
    Media,
    /// Entries of Sugar's Journal.
    Journal,
    /// Packed files, and images of disks.
    Archive,
    /// Programs, what belongs to them, and the records of packages.
    Program,
    /// Settings, and what programs remember.
    Settings,
    /// Logs and crash dumps.
    Log,
    /// What programs keep to be quicker, and temporary files.
    Cache,
    /// In the trash.
    Trash,
    /// Anything else.
    Other,
    /// A file without a name: deleted while a program has it open.
    Nameless,
    /// A folder itself.
    Folder,
}

/// A file or folder that owns a part of the overlay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// From the root on, without a slash before it; empty for the root, `#` and the inode's number
    /// for what has no name.
    pub path: String,
    /// Which kind.
    pub kind: EntryKind,
    /// What it owns of the overlay.
    pub sectors: Sectors,
    /// Of that, what equals the image; 0 where it was not compared.
    pub equal_sectors: Sectors,
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
