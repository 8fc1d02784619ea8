//! Runs a target on damaged files, one after another, and watches it.
//!
//! Inputs are edits (made by proptest) of files that the real tools made. There is no coverage
//! on a stable toolchain; what stands in for it is where a target ended: an input that ended
//! as none before is kept, and damaged further. An input fails its target by a panic, a
//! property that does not hold, more than [`MOST_CPU`], or more than [`MOST_MEMORY`].
//!
//! A failing input is made smaller and saved below target/fuzz. One that ends the whole process
//! (an overflowing stack, memory that is not there) lies there as well, as `NAME.running`,
//! and is tried first the next time.

use crate::PEAK;
use crate::edits::{self, Input, Seed};
use crate::verdict::{Ended, Verdict};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rustix::time::{ClockId, clock_gettime};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How much processor time an input may take: a loaded machine must not look like a hang.
const MOST_CPU: Duration = Duration::from_secs(2);
/// How long an input may take on the clock: a deadlock takes no processor time.
const MOST_TIME: Duration = Duration::from_secs(60);
/// How much memory an input may take, its own bytes not counted.
const MOST_MEMORY: usize = 256 << 20;
/// At this the input is not waited for any longer.
const FAR_TOO_MUCH: usize = 1 << 30;
/// So many inputs are kept to be damaged further.
const MOST_KEPT: usize = 400;
/// More ends are not told apart.
const MOST_ENDS: usize = 50_000;
/// Kept inputs have no more edits than this.
const MOST_EDITS: usize = 24;

/// Something that reads untrusted bytes.
pub struct Target {
    pub name: &'static str,
    pub seeds: fn() -> Vec<Seed>,
    pub run: fn(&Arc<Vec<u8>>) -> Verdict,
    /// Makes checksums right.
    pub repair: fn(&mut [u8]),
    /// How many inputs the short run tries.
    pub executions: u64,
}

/// No checksums.
pub fn nothing(_: &mut [u8]) {}

/// What is tried right now; for the watchdog, and for the panic hook.
struct Running {
    name: &'static str,
    input: Option<Input>,
    bytes: Arc<Vec<u8>>,
    cpu: Duration,
    since: Instant,
    memory: usize,
}

static RUNNING: Mutex<Option<Running>> = Mutex::new(None);
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// Memory is counted for all threads together: one target at a time.
static TURN: Mutex<()> = Mutex::new(());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Processor time of all threads of this process.
fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("fuzz");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Past what the test harness catches.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// What one input came to.
struct Tried {
    verdict: Verdict,
    cpu: Duration,
    memory: usize,
}

fn attempt(target: &Target, input: Option<&Input>, bytes: Vec<u8>) -> Tried {
    let bytes = Arc::new(bytes);
    lock(&PANICS).clear();
    PEAK.reset_peak_usage();
    let memory = PEAK.current_usage();
    let start = cpu();
    *lock(&RUNNING) = Some(Running {
        name: target.name,
        input: input.cloned(),
        bytes: Arc::clone(&bytes),
        cpu: start,
        since: Instant::now(),
        memory,
    });
    let result = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(&bytes)));
    *lock(&RUNNING) = None;
    let memory = PEAK.peak_usage().saturating_sub(memory);
    let cpu = cpu().saturating_sub(start);
    let verdict = match result {
        Err(_) => Err(Ended::Wrong(lock(&PANICS).join("; "))),
        Ok(_) if cpu > MOST_CPU => Err(Ended::Wrong(format!("took {cpu:?}"))),
        Ok(_) if memory > MOST_MEMORY => Err(Ended::Wrong(format!("took {memory} bytes"))),
        Ok(verdict) => verdict,
    };
    Tried {
        verdict,
        cpu,
        memory,
    }
}

/// Saves a failing input; how to see it fail again.
fn save(name: &str, input: Option<&Input>, bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let path = folder().join(format!("{name}-{sum:016x}.bin"));
    fs::write(&path, bytes).unwrap();
    if let Some(input) = input {
        fs::write(path.with_extension("json"), json(input)).unwrap();
    }
    let path = path.display();
    format!("FUZZ_REPLAY={path} cargo test --test fuzz -- --exact {name}")
}

fn json(input: &Input) -> String {
    serde_json::to_string(input).unwrap()
}

/// Once a process: a thread that looks after what is tried, and a hook that keeps what
/// panics say.
fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if RUNNING.try_lock().is_ok_and(|running| running.is_none()) {
                usual(info);
            } else {
                lock(&PANICS).push(info.to_string().replace('\n', " "));
            }
        }));
        thread::spawn(|| {
            loop {
                thread::sleep(Duration::from_millis(20));
                let running = lock(&RUNNING);
                let Some(now) = &*running else { continue };
                let used = PEAK.current_usage().saturating_sub(now.memory);
                let what = if used > FAR_TOO_MUCH {
                    format!("{used} bytes of memory, and still running")
                } else if cpu().saturating_sub(now.cpu) > MOST_CPU * 4
                    || now.since.elapsed() > MOST_TIME
                {
                    format!("still running after {:?}", now.since.elapsed())
                } else {
                    continue;
                };
                let again = save(now.name, now.input.as_ref(), &now.bytes);
                say(&format!(
                    "{}: {what}\n  {:?}\n  {again}",
                    now.name, now.input
                ));
                std::process::exit(101);
            }
        });
    });
}

impl Target {
    /// Tries as many inputs as was asked for by the environment, or else the short run's.
    pub fn fuzz(&self, targets: u64) {
        let _turn = lock(&TURN);
        watch();
        let number = |name: &str| -> Option<u64> {
            let text = std::env::var(name).ok()?;
            Some(
                text.parse()
                    .unwrap_or_else(|_| panic!("{name}={text} is no number")),
            )
        };
        if let Ok(path) = std::env::var("FUZZ_REPLAY") {
            return self.replay(Path::new(&path));
        }
        let seeds = (self.seeds)();
        let time = number("FUZZ_SECONDS").map(|all| Duration::from_secs(all) / targets as u32);
        let most = number("FUZZ_EXECUTIONS").unwrap_or(match time {
            Some(_) => u64::MAX,
            None => self.executions,
        });
        let start = number("FUZZ_SEED").unwrap_or(1);
        Session {
            target: self,
            seeds,
            kept: Default::default(),
            ends: HashSet::new(),
            through: 0,
            slowest: Duration::ZERO,
            largest: 0,
        }
        .run(start, most, time);
    }

    fn replay(&self, path: &Path) {
        let bytes = fs::read(path).unwrap();
        let tried = attempt(self, None, bytes);
        let Tried {
            verdict,
            cpu,
            memory,
        } = &tried;
        say(&format!(
            "{}: {verdict:?}, {cpu:?}, {memory} bytes",
            self.name
        ));
        assert!(!matches!(verdict, Err(Ended::Wrong(_))), "{verdict:?}");
    }
}

struct Session<'a> {
    target: &'a Target,
    seeds: Vec<Seed>,
    /// What was refused, and what was not.
    kept: [Vec<Input>; 2],
    ends: HashSet<String>,
    /// Inputs that nothing was found wrong with.
    through: u64,
    slowest: Duration,
    largest: usize,
}

impl Session<'_> {
    fn run(mut self, start: u64, most: u64, time: Option<Duration>) {
        let name = self.target.name;
        let path = folder().join(format!("{name}.running"));
        if let Ok(input) = fs::read(&path)
            .map_err(drop)
            .and_then(|text| serde_json::from_slice::<Input>(&text).map_err(drop))
        {
            say(&format!(
                "{name}: the last run ended in the middle of {input:?}"
            ));
            self.expect_sound(input);
        }
        for seed in 0..self.seeds.len() {
            let edits = Vec::new();
            let good = Input {
                seed,
                edits,
                repair: false,
            };
            let end = self.expect_sound(good);
            if most != self.target.executions {
                let seed = self.seeds[seed].name.lines().next().unwrap_or_default();
                say(&format!("{name}: {seed}: {end}"));
            }
        }
        let running = File::create(&path).unwrap();
        let mut random = [0; 32];
        random[..8].copy_from_slice(&start.to_le_bytes());
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &random);
        let mut runner = TestRunner::new_with_rng(Config::default(), random);
        let strategy = edits::input(self.seeds.len());
        let begin = Instant::now();
        let mut done = 0;
        while done < most && time.is_none_or(|time| begin.elapsed() < time) {
            let mut input = strategy.new_tree(&mut runner).unwrap().current();
            // Two of three times more damage to what came to an end of its own: in turn to what
            // was refused, and to what was not.
            let kept = &self.kept[(done % 2) as usize];
            if done % 3 != 0 && !kept.is_empty() {
                let base = &kept[(done / 3) as usize * 7 % kept.len()];
                let edits = base.edits.iter().cloned().chain(input.edits);
                input = Input {
                    seed: base.seed,
                    edits: edits.collect(),
                    repair: input.repair,
                };
            }
            let text = json(&input) + "\n";
            running.write_all_at(text.as_bytes(), 0).unwrap();
            running.set_len(text.len() as u64).unwrap();
            self.expect_sound(input);
            done += 1;
        }
        fs::remove_file(&path).unwrap();
        let rate = done as f64 / begin.elapsed().as_secs_f64();
        say(&format!(
            "{name}: seed {start}, {done} executions, {rate:.0} a second, {} not refused, {} ends, slowest {} ms, most memory {} KiB",
            self.through,
            self.ends.len(),
            self.slowest.as_millis(),
            self.largest >> 10,
        ));
    }

    fn try_one(&mut self, input: &Input) -> Verdict {
        let bytes = input.bytes(&self.seeds, self.target.repair);
        let tried = attempt(self.target, Some(input), bytes);
        self.slowest = self.slowest.max(tried.cpu);
        self.largest = self.largest.max(tried.memory);
        let (Ok(end) | Err(Ended::Refused(end))) = &tried.verdict else {
            return tried.verdict;
        };
        self.through += u64::from(tried.verdict.is_ok());
        let new = self.ends.len() < MOST_ENDS && self.ends.insert(end.clone());
        if new && (1..=MOST_EDITS).contains(&input.edits.len()) {
            let kept = &mut self.kept[usize::from(tried.verdict.is_ok())];
            if kept.len() < MOST_KEPT {
                kept.push(input.clone());
            } else {
                kept[self.ends.len() % MOST_KEPT] = input.clone();
            }
        }
        tried.verdict
    }

    /// Tries an input. Of one that fails, leaves out what is not needed to fail, saves the
    /// rest, and says so.
    fn expect_sound(&mut self, mut input: Input) -> String {
        let mut wrong = match self.try_one(&input) {
            Ok(end) | Err(Ended::Refused(end)) => return end,
            Err(Ended::Wrong(wrong)) => wrong,
        };
        let mut index = 0;
        while index < input.edits.len() {
            let mut less = input.clone();
            less.edits.remove(index);
            match self.try_one(&less) {
                Err(Ended::Wrong(again)) => (input, wrong) = (less, again),
                _ => index += 1,
            }
        }
        let name = self.target.name;
        // It is saved under a name of its own.
        drop(fs::remove_file(folder().join(format!("{name}.running"))));
        let bytes = input.bytes(&self.seeds, self.target.repair);
        let again = save(name, Some(&input), &bytes);
        let seed = &self.seeds[input.seed].name;
        panic!("{name}: {wrong}\n  {seed}, {input:?}\n  {again}");
    }
}
