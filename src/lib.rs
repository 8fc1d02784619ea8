//! Sugar Cellar: what a live stick's overlay holds, and how it is refreshed.
//!
//! # One refresh, in words
//!
//! A live stick's root is `image (+) overlay`: reading chunk *c* means the
//! overlay's copy where it has one, else the image's. A refresh makes a new
//! image that already holds what the overlay holds, exchanges it for the old
//! one in one atomic step, and then forgets the overlay's copies. At every
//! instant between, `image (+) overlay` is what the learner has.

pub mod check;
pub mod clean;
mod clutter;
pub mod error;
pub mod experiment;
pub mod explain;
pub mod ext4;
pub mod helper;
pub mod lanes;
pub mod merged;
pub mod overlay;
mod parallel;
pub mod practice;
pub mod prevent;
mod program;
pub mod progress;
pub mod protocol;
pub mod refresh;
pub mod shutdown;
pub mod sources;
pub mod squash;
pub mod status;
pub mod stick;
pub mod storage;
mod system;
pub mod tidy;
pub mod units;
