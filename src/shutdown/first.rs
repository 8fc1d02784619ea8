//! The computer's last program, where there is no dracut to be it.

use super::{HELPER, LIBRARIES, LOADER, OURS};
use rustix::system::{RebootCommand, reboot};
use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

/// How the computer is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending(RebootCommand);

impl Ending {
    /// From our arguments, if systemd started us as `shutdown` at the end of a shutdown:
    /// the script's name, then `poweroff`, `reboot`, `halt` or `kexec`.
    pub fn asked(arguments: &[OsString]) -> Option<Ending> {
        let [_, script, verb, ..] = arguments else {
            return None;
        };
        let first = rustix::process::getpid().is_init();
        if !first || script != "/shutdown" || !super::is_here() {
            return None;
        }
        Some(Ending(match verb.to_str() {
            Some("poweroff") => RebootCommand::PowerOff,
            Some("halt") => RebootCommand::Halt,
            // A kernel that was loaded to be started directly is left out: the firmware does it.
            _ => RebootCommand::Restart,
        }))
    }
}

/// Finishes the stick, and ends the computer, whatever comes of it.
pub fn end(ending: Ending) -> ! {
    let ours = Path::new("/").join(OURS);
    let console = || {
        let device = File::options().write(true).open("/dev/console");
        device.map_or_else(|_| Stdio::null(), Stdio::from)
    };
    let finished = Command::new(ours.join(LIBRARIES).join(LOADER))
        .arg("--library-path")
        .arg(ours.join(LIBRARIES))
        .arg(ours.join(HELPER))
        .arg("finish")
        .stdin(Stdio::null())
        .stdout(console())
        .stderr(console())
        .status();
    log::info!("finish: {finished:?}");
    rustix::fs::sync();
    if let Err(error) = reboot(ending.0) {
        log::error!("ending the computer: {error}");
    }
    // The first program must not end.
    loop {
        std::thread::park();
    }
}
