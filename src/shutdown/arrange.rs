//! Has systemd call us when it shuts down.

use super::prepare::write;
use crate::error::{Doing, Error, Part, Result};
use crate::program::systemctl;
use crate::stick::FINISH_WISH;
use std::path::Path;

const UNIT: &str = "sugar-cellar-finish.service";
/// As it is installed; the helper's path is filled in.
const TEXT: &str = include_str!("../../data/sugar-cellar-finish.service.in");
/// Where units lie that are gone with this boot.
const FOLDER: &str = "/run/systemd/system";
const ASKING: &str = "asking systemd";

/// Has the running system's stick finished when this system shuts down, by `helper`.
///
/// # Errors
/// `Unsupported` without systemd; `Denied`, `Io`. The stick is as good as before then.
pub fn arrange(helper: &Path) -> Result<()> {
    if !Path::new(FOLDER).is_dir() {
        let detail = "the running system is not shut down by systemd";
        return Err(Error::unsupported(Part::Stick, detail));
    }
    let doing = "arranging for the shutdown";
    write(Path::new(FINISH_WISH), b"", 0o644).doing(doing)?;
    if systemctl(&["start", UNIT], ASKING).is_ok() {
        return Ok(());
    }
    // Not installed: a unit for this boot does as well.
    let text = TEXT.replace("@helper@", &helper.to_string_lossy());
    write(&Path::new(FOLDER).join(UNIT), text.as_bytes(), 0o644).doing(doing)?;
    systemctl(&["daemon-reload"], ASKING)?;
    systemctl(&["start", UNIT], ASKING)
}
