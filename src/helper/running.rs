//! What is done to the running system, and not to a stick: only where it was started from one.

use crate::error::{Doing, Error, Part, Result};
use crate::stick::{Access, Caller, Stick};
use std::path::Path;

/// `statfs` type of OverlayFS (linux/magic.h, OVERLAYFS_SUPER_MAGIC).
const OVERLAY_FS_MAGIC: i64 = 0x794c_7630;

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

/// Whether the running system's root is an OverlayFS, whose files lie on the stick as they are: what
/// is removed takes no room any more.
pub fn on_overlay_fs() -> Result<bool> {
    let root = rustix::fs::statfs("/").doing("asking for the root file system")?;
    Ok(root.f_type as i64 == OVERLAY_FS_MAGIC)
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
