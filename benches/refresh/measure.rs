//! What a command takes, from start to end.

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::error::Error;
use std::fmt;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Anything may fail here, and ends the bench.
pub type Outcome<T> = Result<T, Box<dyn Error>>;
/// One step of it.
pub type Step = Outcome<()>;

/// How often memory is looked at. The peak is kept by the kernel, so only what comes in the
/// last moment can be missed.
const LOOK: Duration = Duration::from_millis(10);

/// What a command took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    /// Seconds.
    pub wall: f64,
    /// Seconds of processor time, user and system, with all processes that it waited for.
    pub processor: f64,
    /// The largest resident size of the process, in bytes.
    pub peak: u64,
}

impl Figures {
    /// One after another.
    pub fn then(self, next: Figures) -> Figures {
        Figures {
            wall: self.wall + next.wall,
            processor: self.processor + next.processor,
            peak: self.peak.max(next.peak),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.peak >> 20;
        write!(
            f,
            "{:.2} s, CPU {:.2} s, {mib} MiB",
            self.wall, self.processor
        )
    }
}

/// Runs a command, whose output is thrown away, and measures it.
pub fn run(command: &mut Command) -> Outcome<Figures> {
    let start = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let process = format!("/proc/{}", child.id());
    let id = WaitId::Pid(Pid::from_child(&child));
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    let mut peak = 0;
    while waitid(id.clone(), ended | WaitIdOptions::NOHANG)?.is_none() {
        peak = peak_of(&process).unwrap_or(0).max(peak);
        std::thread::sleep(LOOK);
    }
    let wall = start.elapsed().as_secs_f64();
    // Ended and not waited for yet: its times are still there.
    let processor = processor_of(&process)?;
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("{command:?}: {status}").into());
    }
    Ok(Figures {
        wall,
        processor,
        peak,
    })
}

/// Seconds from start to end of a short command.
pub fn quick(command: &mut Command) -> Outcome<f64> {
    let start = Instant::now();
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    if !status.success() {
        return Err(format!("{command:?}: {status}").into());
    }
    Ok(start.elapsed().as_secs_f64())
}

/// Runs a command that only prepares; its output is shown where it fails.
pub fn prepare(command: &mut Command) -> Outcome<String> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {}\n{told}", output.status).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn peak_of(process: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes << 10)
}

/// proc_pid_stat(5): fields 14 to 17, in clock ticks; the name before may hold spaces.
fn processor_of(process: &str) -> Outcome<f64> {
    let stat = fs::read_to_string(format!("{process}/stat"))?;
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(4)
        .map(str::parse::<u64>)
        .sum::<Result<u64, _>>()?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}
