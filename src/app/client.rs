//! Starts the helper and hands its lines to the main loop.
//!
//! A thread of its own starts the helper, reads its pipe and waits for its end; the main
//! loop only ever receives from a channel. Dropping a [`Job`] closes the helper's
//! standard input, which is how it is told to end, also where it runs as another user
//! and no signal could reach it.

use crate::config;
use crate::message::Message;
use async_channel::{Receiver, Sender};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Longer lines than this are no line of the helper's.
const LINE_LIMIT: u64 = 64 << 20;
/// How much of the helper's standard error is kept for a report.
const STDERR_LIMIT: u64 = 16 << 10;
/// Lines that may wait for the main loop; then the helper waits.
const WAITING: usize = 64;

/// How the helper is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its arguments, `--json` not among them.
    pub arguments: Vec<String>,
    /// Through `pkexec`, as administrator.
    pub asked: bool,
}

/// What a running helper says.
#[derive(Debug)]
pub enum Update {
    /// A line.
    Said(Message),
    /// It has ended; nothing follows.
    Ended(Ended),
}

/// How a helper ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// The exit status; none where a signal ended it or it did not start.
    pub code: Option<i32>,
    /// Why it did not start.
    pub not_started: Option<String>,
    /// What it wrote to standard error, for a report.
    pub complaints: String,
    /// Whether it was started through `pkexec`.
    pub asked: bool,
}

/// A running helper. Dropped, it is asked to end.
#[derive(Debug)]
pub struct Job {
    updates: Receiver<Update>,
    input: Arc<Mutex<Input>>,
}

#[derive(Debug)]
enum Input {
    NotYet,
    Open(#[expect(dead_code, reason = "held open; closing it is the message")] ChildStdin),
    Closed,
}

impl Job {
    /// Starts the helper; returns at once.
    pub fn start(call: Call) -> Job {
        let (sender, updates) = async_channel::bounded(WAITING);
        let input = Arc::new(Mutex::new(Input::NotYet));
        let held = Arc::clone(&input);
        thread::spawn(move || {
            let ended = run(&call, &sender, &held);
            // The window may be gone; then nobody needs to know.
            let _ = sender.send_blocking(Update::Ended(ended));
        });
        Job { updates, input }
    }

    /// What it says, to be received on the main loop.
    pub fn updates(&self) -> Receiver<Update> {
        self.updates.clone()
    }

    /// Asks it to end; what it still says is received as before.
    pub fn cancel(&self) {
        *self.input.lock().unwrap_or_else(PoisonError::into_inner) = Input::Closed;
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.cancel();
    }
}

fn command(call: &Call) -> Command {
    let helper = config::helper();
    let mut command = if call.asked {
        let mut command = Command::new("pkexec");
        // pkexec refuses a shell that /etc/shells does not list, though it starts none.
        command.env("SHELL", "/bin/sh").arg(helper);
        command
    } else {
        Command::new(helper)
    };
    command.args(&call.arguments).arg("--json");
    command
}

fn run(call: &Call, sender: &Sender<Update>, input: &Mutex<Input>) -> Ended {
    let spawned = command(call)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            return Ended {
                not_started: Some(error.to_string()),
                asked: call.asked,
                ..Ended::default()
            };
        }
    };
    keep_open(&mut child, input);
    let complaints = child
        .stderr
        .take()
        .map(|pipe| thread::spawn(move || gather(pipe)));
    if let Some(pipe) = child.stdout.take() {
        say(BufReader::new(pipe), sender);
    }
    let status = child.wait();
    let complaints = complaints
        .and_then(|thread| thread.join().ok())
        .unwrap_or_default();
    Ended {
        code: status.as_ref().ok().and_then(ExitStatus::code),
        not_started: None,
        complaints,
        asked: call.asked,
    }
}

/// Keeps the helper's standard input open until the job is cancelled, which it may be already.
fn keep_open(child: &mut Child, input: &Mutex<Input>) {
    let Some(pipe) = child.stdin.take() else {
        return;
    };
    let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
    if matches!(*input, Input::NotYet) {
        *input = Input::Open(pipe);
    }
}

/// Sends every line, until the pipe ends. Where nobody listens any more it goes on reading, so
/// that the helper does not stand still before a full pipe.
fn say(mut pipe: impl BufRead, sender: &Sender<Update>) {
    let mut line = Vec::new();
    loop {
        line.clear();
        match pipe.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                if let Some(message) = Message::parse(&line) {
                    let _ = sender.send_blocking(Update::Said(message));
                }
            }
        }
    }
}

/// The beginning of what was complained of; the rest is read and dropped.
fn gather(mut pipe: impl Read) -> String {
    let mut kept = Vec::new();
    let _ = pipe.by_ref().take(STDERR_LIMIT).read_to_end(&mut kept);
    let _ = std::io::copy(&mut pipe, &mut std::io::sink());
    String::from_utf8_lossy(&kept).into_owned()
}
