//! A stick that nobody else can reach.

use sugar_cellar::error::Result;
use sugar_cellar::sources::Guard;

/// Nobody else is there, and its files may grow.
pub struct Alone;

impl Guard for Alone {
    fn still_ours(&self) -> Result<()> {
        Ok(())
    }

    fn lets_files_grow(&self) -> Result<()> {
        Ok(())
    }
}
