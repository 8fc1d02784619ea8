//! How a long operation tells how far it is, and learns that it shall end.

use crate::error::{Error, Result};
use crate::protocol::Stage;

/// Whoever watches a long operation. Called from several threads.
pub trait Progress: Sync {
    /// `done` of `total` bytes of `stage` are behind us. Cheap: called for every block.
    fn step(&self, stage: Stage, done: u64, total: u64);

    /// Whether an end was asked for.
    fn cancelled(&self) -> bool;

    /// `Err(Cancelled)` once an end was asked for.
    fn check(&self) -> Result<()> {
        if self.cancelled() {
            return Err(Error::Cancelled);
        }
        Ok(())
    }
}

/// Nobody watches, nobody ends it.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn step(&self, _: Stage, _: u64, _: u64) {}

    fn cancelled(&self) -> bool {
        false
    }
}
