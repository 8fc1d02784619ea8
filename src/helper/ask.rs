//! The one question that a command asks on a terminal.

use super::console::{Console, Exit};
use super::job::Jobs;
use crate::error::{Doing, Error, Result};
use gettextrs::{gettext, pgettext};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io::{self, IsTerminal, Write};

/// An end that is asked for is noticed this soon.
const TURN: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// Whether there is somebody to ask.
pub fn possible(console: &Console) -> bool {
    !console.json() && io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Says that nobody is there to be asked.
pub fn impossible(console: &Console) -> Exit {
    console.complain(&gettext(
        "There is no terminal to ask on: add --yes if you are sure.",
    ));
    Exit::Usage
}

/// Whether to refresh `stick`. Anything but a clear yes is a no; `Cancelled` where an end is asked for.
pub fn refresh(stick: &str, jobs: &Jobs) -> Result<bool> {
    let question =
        gettext("Afterwards there is no way back to the stick as it is now. Refresh it? [y/N]");
    let question = jobs.about(stick, &question);
    let doing = "asking whether to refresh";
    write!(io::stderr(), "{question} ").doing(doing)?;
    let stdin = io::stdin();
    // Waited for in short turns: a signal does not end a read that has begun.
    loop {
        if jobs.cancelled() {
            return Err(Error::Cancelled);
        }
        let mut input = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut input, Some(&TURN)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => break,
            Err(error) => return Err(error).doing(doing),
        }
    }
    let mut answer = String::new();
    stdin.read_line(&mut answer).doing(doing)?;
    Ok(means_yes(&answer))
}

fn means_yes(answer: &str) -> bool {
    // Translators: the first letter of the word for yes, in small letters
    let letter = pgettext("answer", "y");
    // Translators: the word for yes, in small letters
    let word = pgettext("answer", "yes");
    let answer = answer.trim().to_lowercase();
    [&*letter, &*word, "y", "yes"].contains(&&*answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_means_yes() {
        for yes in ["y", "Y\n", "yes", " yes \n"] {
            assert!(means_yes(yes), "{yes:?}");
        }
        for no in ["", "\n", "n", "no", "yesterday", "1", "ja y"] {
            assert!(!means_yes(no), "{no:?}");
        }
    }
}
