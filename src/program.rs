//! Programs of the system that are run for what they do, and not for what they say.

use crate::error::{Doing, Result};
use std::process::{Command, Stdio};

/// Runs `name` to its end.
///
/// # Errors
/// `Io` while `doing`: where it cannot be started, or with what it complained of.
pub fn run(name: &str, arguments: &[&str], doing: &str) -> Result<()> {
    let mut command = Command::new(name);
    command.args(arguments).stdin(Stdio::null());
    let output = command.output().doing(doing)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(std::io::Error::other(said)).doing(doing)
}

/// Asks systemd, which asks nobody for a password.
///
/// # Errors
/// As [`run`].
pub fn systemctl(arguments: &[&str], doing: &str) -> Result<()> {
    run(
        "systemctl",
        &[&["--no-ask-password"], arguments].concat(),
        doing,
    )
}
