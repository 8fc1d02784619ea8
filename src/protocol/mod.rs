//! What the helper says: statuses, plans and events, one JSON object a line.
//!
//! Codes and numbers only; whoever shows them makes the words. The JSON texts
//! are a contract that people script against, pinned in `tests/protocol.rs`.

mod event;
mod explanation;
mod plan;
mod prevention;
mod status;

pub use event::{Event, Finding, Stage, Step, Weight};
pub use explanation::{
    Clutter, ClutterSum, Entry, EntryKind, Explanation, JournalEntry, KindSum, Sums,
};
pub use plan::{
    Distrust, FreeBlocks, Kernel, Plan, PlannedBlocks, PlannedImage, PlannedOverlay, PlannedSpace,
    Refusal, SpaceMode,
};
pub use prevention::{Measure, MeasureState, Obstacle, Prevention};
pub use status::{
    Found, Home, Image, ImageKind, Listing, NotHere, Overlay, OverlayKind, OverlayState, Pending,
    Status, Stick,
};

/// The version that `hello` names; raised when a reader of the old one would misread.
pub const VERSION: u32 = 1;
