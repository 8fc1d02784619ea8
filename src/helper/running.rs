//! What is done to the running system, and not to a stick: only where it was started from one.

use crate::error::{Error, Part, Result};
use crate::stick::{Access, Caller, Stick};
use std::path::Path;

/// Makes sure that `stick` is the one that the computer was started from.
///
/// # Errors
/// `Refused` where it is another one, with `detail`; those of opening it.
pub fn only(stick: &Path, detail: &str) -> Result<()> {
    match Stick::open(stick, Access::Read)?.booted() {
        true => Ok(()),
        false => Err(Error::refused(Part::Stick, detail)),
    }
}

/// Whether we may do what concerns a person's own files. Started for somebody else we are root: whose
/// they are cannot be told by our home.
pub fn for_oneself() -> bool {
    !Caller::current().by_pkexec
}

/// The caller's home folder; empty where there is none.
pub fn home() -> String {
    std::env::var("HOME").unwrap_or_default()
}
