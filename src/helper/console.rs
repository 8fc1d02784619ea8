//! Where all lines go: JSON for programs, plain words for people.

use super::bars::Bars;
use super::{figures, words};
use crate::error::{Error, Result};
use crate::protocol::{Event, Status};
use crate::refresh::Sum;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

/// How the program ends; scripts compare with these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed: the stick is unchanged or completed, the message says which.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Refused by the plan.
    Refused = 3,
    /// Ended on request.
    Cancelled = 4,
    /// `check` found damage.
    Damage = 5,
}

impl Exit {
    /// What an error ends with.
    pub fn of(error: &Error) -> Exit {
        match error {
            Error::Cancelled => Exit::Cancelled,
            Error::Refused { .. }
            | Error::Another { .. }
            | Error::Waiting
            | Error::Exists { .. }
            | Error::NoSpace { .. }
            | Error::OnlyReplacing { .. }
            | Error::FileLimit { .. }
            | Error::Unsupported { .. }
            | Error::Busy { .. } => Exit::Refused,
            Error::Undo { first, .. } => Exit::of(first),
            // Past the point of return a refusal is a failure.
            _ => Exit::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Standard output and standard error, in one of two languages.
#[derive(Debug)]
pub struct Console {
    json: bool,
    bars: Bars,
    /// Whether whoever read our output is gone. The work goes on; the lines do not.
    reader_gone: AtomicBool,
}

impl Console {
    /// For programs (`json`) or for people.
    pub fn new(json: bool) -> Console {
        Console {
            json,
            bars: Bars::new(),
            reader_gone: AtomicBool::new(false),
        }
    }

    /// Whether a program reads.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Where bars are drawn for people.
    pub fn bars(&self) -> &Bars {
        &self.bars
    }

    /// Whether nobody reads any more: a line could not be written, or the pipe's other end is closed.
    pub fn reader_gone(&self) -> bool {
        if self.reader_gone.load(Ordering::Relaxed) {
            return true;
        }
        let out = io::stdout();
        let mut output = [PollFd::new(&out, PollFlags::empty())];
        let asked = poll(&mut output, Some(&Timespec::default()));
        asked.is_ok() && output[0].revents().contains(PollFlags::ERR)
    }

    /// One JSON object on one line, for programs only.
    pub fn value(&self, value: &impl Serialize) {
        if !self.json {
            return;
        }
        match serde_json::to_string(value) {
            Ok(line) => self.line(&figures::escaped(&line)),
            Err(error) => log::error!("a line could not be written as JSON: {error}"),
        }
    }

    /// One event, for programs only.
    pub fn event(&self, event: &Event) {
        self.value(event);
    }

    /// That a command on `stick` ended well, for programs only: how it stood before, and does now.
    pub fn finished(&self, stick: &str, seconds: f64, before: Status, after: Status) {
        self.refreshed(stick, seconds, before, after, None);
    }

    /// As [`Console::finished`], of a command that made a new image with the SHA-256 `sum`.
    pub fn refreshed(
        &self,
        stick: &str,
        seconds: f64,
        before: Status,
        after: Status,
        sum: Option<Sum>,
    ) {
        self.event(&Event::Finished {
            stick: stick.to_owned(),
            seconds,
            before: Box::new(before),
            after: Box::new(after),
            image_sha256: sum.map(|sum| sum.to_string()),
        });
    }

    /// Words, for people only; several lines are fine.
    pub fn say(&self, words: &str) {
        if !self.json {
            self.line(words);
        }
    }

    /// How a command on `stick` ends; says why, where it failed.
    pub fn end(&self, stick: &str, result: Result<Exit>) -> Exit {
        result.unwrap_or_else(|error| self.failed(stick, &error))
    }

    /// That `stick` failed, in both languages; what the program is to end with.
    pub fn failed(&self, stick: &str, error: &Error) -> Exit {
        let said = words::error_of(stick, error);
        if self.json {
            self.event(&Event::Failed {
                stick: stick.to_owned(),
                code: error.kind(),
                message: said.what,
                hint: said.hint,
                detail: error.to_string(),
            });
        } else {
            let detail = words::details(&error.to_string());
            let stick = if stick.is_empty() {
                String::new()
            } else {
                format!("{}: ", figures::shown(stick))
            };
            self.complain(&format!("{stick}{}\n{}\n{detail}", said.what, said.hint));
        }
        Exit::of(error)
    }

    /// Words on standard error, for people only.
    pub fn complain(&self, words: &str) {
        self.bars.aside(|| {
            // Nowhere is left to tell of a failure here.
            let _ = writeln!(io::stderr().lock(), "{words}");
        });
    }

    fn line(&self, line: &str) {
        if self.reader_gone.load(Ordering::Relaxed) {
            return;
        }
        let written = self.bars.aside(|| {
            let mut out = io::stdout().lock();
            writeln!(out, "{line}").and_then(|()| out.flush())
        });
        if let Err(error) = written {
            self.reader_gone.store(true, Ordering::Relaxed);
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.complain(&format!("sugar-cellar-helper: {error}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Part;
    use crate::units::Bytes;

    #[test]
    fn exit_statuses() {
        let no_space = || Error::NoSpace {
            part: Part::Stick,
            needed: Bytes(2),
            available: Bytes(1),
        };
        let undo = Error::Undo {
            first: Box::new(Error::Cancelled),
            second: Box::new(no_space()),
        };
        for (error, exit) in [
            (Error::Cancelled, Exit::Cancelled),
            (no_space(), Exit::Refused),
            (
                Error::OnlyReplacing {
                    needed: Bytes(2),
                    available: Bytes(1),
                },
                Exit::Refused,
            ),
            (
                Error::Replacing {
                    file: String::new(),
                    detail: String::new(),
                },
                Exit::Failed,
            ),
            (Error::refused(Part::Stick, ""), Exit::Refused),
            (Error::unsupported(Part::Image, ""), Exit::Refused),
            (Error::damaged(Part::Image, ""), Exit::Failed),
            (Error::not_found(Part::Stick, ""), Exit::Failed),
            (Error::unfinished(no_space()), Exit::Failed),
            (undo, Exit::Cancelled),
        ] {
            assert_eq!(Exit::of(&error), exit, "{error}");
        }
    }
}
