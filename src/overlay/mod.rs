//! The overlay: device-mapper's persistent exception store, read and changed in place.
//!
//! [`exceptions`] reads and validates it, [`moves`] and [`size`] change it so that at
//! every instant image (+) overlay stays what the learner has, [`write`] makes a new one.

mod editor;
pub mod exceptions;
pub mod format;
pub mod live;
pub mod moves;
mod revive;
pub mod size;
pub mod upper;
pub mod write;

pub use exceptions::{Exception, ExceptionStore, Figures};
pub use revive::{revive, settle};
