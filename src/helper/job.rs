//! Runs one long operation: tells how far it is, ends it when asked to, says how it ended.

use super::cancel::Cancel;
use super::console::Console;
use super::meter::{Meter, Reading, Share};
use super::{figures, words};
use crate::error::{Doing, Error, Result};
use crate::progress::Progress;
use crate::protocol::{Event, Stage, VERSION};
use indicatif::ProgressBar;
use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Programs are told at most five times a second.
const EVERY: Duration = Duration::from_millis(200);
/// Without a terminal a line comes at most this often, and none where all takes but a moment.
const LINE_EVERY: Duration = Duration::from_secs(5);
const NO_LINE_BEFORE: Duration = Duration::from_secs(1);

/// What long operations share while the program runs.
#[derive(Debug)]
pub struct Jobs<'a> {
    console: &'a Console,
    cancel: Cancel,
    /// Whether programs are told of progress.
    events: bool,
    /// Whether people are told which stick it is: there are several.
    several: bool,
}

impl<'a> Jobs<'a> {
    /// Begins: the first line, and from here on an end can be asked for.
    pub fn begin(console: &'a Console) -> Result<Jobs<'a>> {
        let jobs = Jobs {
            events: true,
            ..Jobs::quiet(console)?
        };
        console.event(&Event::Hello { version: VERSION });
        Ok(jobs)
    }

    /// As [`Jobs::begin`], on so many sticks.
    pub fn on(sticks: usize, console: &'a Console) -> Result<Jobs<'a>> {
        Ok(Jobs {
            several: sticks > 1,
            ..Jobs::begin(console)?
        })
    }

    /// As [`Jobs::begin`], for a command that prints one JSON object and nothing else.
    pub fn quiet(console: &'a Console) -> Result<Jobs<'a>> {
        // Somebody who wants JSON and gives us a pipe is a program that minds us.
        let cancel = Cancel::watch(console.json()).doing("watching for signals")?;
        Ok(Jobs {
            console,
            cancel,
            events: false,
            several: false,
        })
    }

    /// Whether an end was asked for: no further job begins.
    pub fn cancelled(&self) -> bool {
        self.cancel.asked()
    }

    /// Words about `stick`, which name it where there are several.
    pub fn about(&self, stick: &str, words: &str) -> String {
        match self.several {
            true => format!("{}: {words}", figures::shown(stick)),
            false => words.to_owned(),
        }
    }

    /// Runs `work` on `stick`; gives its result and the seconds it took.
    pub fn run<T>(
        &self,
        stick: &str,
        shares: &[Share],
        work: impl FnOnce(&dyn Progress) -> Result<T>,
    ) -> Result<(T, f64)> {
        if self.cancelled() {
            return Err(Error::Cancelled);
        }
        let report = Report::new(self, stick, shares);
        let result = work(&report);
        let seconds = report.start.elapsed().as_secs_f64();
        report.clear();
        Ok((result?, seconds))
    }
}

/// Tells of one job.
struct Report<'a> {
    jobs: &'a Jobs<'a>,
    stick: &'a str,
    start: Instant,
    /// When the next step is worth a line, in milliseconds from the start.
    next: AtomicU64,
    state: Mutex<State>,
}

struct State {
    meter: Meter,
    /// The stage whose end was told last.
    ended: Option<Stage>,
    view: View,
}

/// How a person sees it.
enum View {
    Json,
    Bar(ProgressBar),
    Lines { last: Option<(Stage, Duration)> },
}

impl fmt::Debug for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("stick", &self.stick)
            .finish_non_exhaustive()
    }
}

impl<'a> Report<'a> {
    fn new(jobs: &'a Jobs<'a>, stick: &'a str, shares: &[Share]) -> Report<'a> {
        let view = if jobs.console.json() {
            View::Json
        } else if io::stderr().is_terminal() {
            View::Bar(jobs.console.bars().add())
        } else {
            View::Lines { last: None }
        };
        let state = State {
            meter: Meter::new(shares),
            ended: None,
            view,
        };
        Report {
            jobs,
            stick,
            start: Instant::now(),
            next: AtomicU64::new(0),
            state: Mutex::new(state),
        }
    }

    fn clear(&self) {
        if let Ok(state) = self.state.lock()
            && let View::Bar(bar) = &state.view
        {
            self.jobs.console.bars().end(bar);
        }
    }

    fn show(&self, state: &mut State, now: Duration, reading: Reading) {
        match &mut state.view {
            View::Json if !self.jobs.events => {}
            View::Json => self.jobs.console.event(&Event::Progress {
                stick: self.stick.to_owned(),
                stage: reading.stage,
                done: reading.done,
                total: reading.total,
                eta_seconds: reading.eta_seconds,
            }),
            View::Bar(bar) => {
                let text = self.jobs.about(self.stick, &words::bar(&reading));
                self.jobs.console.bars().show(bar, text);
            }
            View::Lines { last } => {
                let told = last.is_some_and(|(stage, at)| {
                    stage == reading.stage && now.saturating_sub(at) < LINE_EVERY
                });
                if !told && now >= NO_LINE_BEFORE {
                    *last = Some((reading.stage, now));
                    let line = format!("{} {}", words::stage(reading.stage), words::pace(&reading));
                    let line = self.jobs.about(self.stick, line.trim_end());
                    self.jobs.console.complain(&line);
                }
            }
        }
    }
}

impl Progress for Report<'_> {
    fn step(&self, stage: Stage, done: u64, total: u64) {
        let now = self.start.elapsed();
        let millis = now.as_millis() as u64;
        let next = self.next.load(Ordering::Relaxed);
        // The end of a stage is told even when a line has just gone out.
        if millis < next && done < total {
            return;
        }
        let Ok(mut state) = self.state.try_lock() else {
            return;
        };
        let ended = (done >= total).then_some(stage);
        // But once: what is behind the last byte takes steps as well.
        if millis < next && ended == state.ended {
            return;
        }
        state.ended = ended;
        self.next
            .store(millis + EVERY.as_millis() as u64, Ordering::Relaxed);
        let reading = state.meter.read(now, stage, done, total);
        self.show(&mut state, now, reading);
    }

    fn cancelled(&self) -> bool {
        self.jobs.cancelled()
    }
}
