//! How a person, or the program that started us, asks for an end.

use rustix::fs::FileType;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set once an end was asked for.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Watches for Ctrl-C, for a request to end, and, where somebody holds our standard input,
    /// for its end.
    ///
    /// Somebody holds it only where it is a pipe or a socket. A script's `</dev/null` or a
    /// terminal says nothing about whether anybody still wants the job done.
    pub fn watch(standard_input: bool) -> io::Result<Cancel> {
        let cancel = Cancel::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&cancel.0))?;
        }
        // A limit on files' sizes is an error to tell, not an end: the kernel's signal would kill us.
        signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        if standard_input
            && is_held(FileType::from_raw_mode(
                rustix::fs::fstat(io::stdin())?.st_mode,
            ))
        {
            let flag = Arc::clone(&cancel.0);
            // Ends with the process: nothing else can wake it.
            std::thread::Builder::new().spawn(move || {
                drain(&mut io::stdin());
                flag.store(true, Ordering::Relaxed);
            })?;
        }
        Ok(cancel)
    }

    /// Whether an end was asked for.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

fn is_held(kind: FileType) -> bool {
    matches!(kind, FileType::Fifo | FileType::Socket)
}

/// Reads until the other side is gone; what it says has no meaning.
fn drain(input: &mut impl Read) {
    let mut buffer = [0; 4096];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pipe_is_held_by_somebody() {
        assert!(is_held(FileType::Fifo) && is_held(FileType::Socket));
        for kind in [
            FileType::CharacterDevice,
            FileType::RegularFile,
            FileType::Directory,
        ] {
            assert!(!is_held(kind));
        }
    }

    #[test]
    fn draining_ends_with_the_input() {
        drain(&mut io::Cursor::new(vec![0; 10_000]));
    }
}
