//! Runs the helper as a person or a script would, never for long.

use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use sugar_cellar::practice::{self, Options};
use sugar_cellar::progress::Silent;

/// Nothing here takes a tenth of it; what hangs is ended and fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a run ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// How a line about progress begins, which comes only where the machine is slow. Of several sticks, the
/// name stands before it.
const PROGRESS: [&str; 5] = [
    "Checking ",
    "Writing the image ",
    "Reading it back ",
    "Exchanging the images ",
    "Giving space back ",
];

impl Ran {
    /// What was said on standard error beside progress.
    pub fn complaints(&self) -> Vec<&str> {
        let progress = |line: &&str| {
            let text = line.split_once(": ").map_or(*line, |(_, text)| text);
            PROGRESS.iter().any(|start| text.starts_with(start))
        };
        self.err.lines().filter(|line| !progress(line)).collect()
    }

    /// Each line of the output as a JSON object.
    pub fn json(&self) -> Vec<Value> {
        let parse = |line: &str| {
            let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            assert!(value.is_object(), "{line}");
            value
        };
        self.out.lines().map(parse).collect()
    }
}

/// The helper, in English, without what the tester's environment may hold.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sugar-cellar-helper"));
    command
        .env_remove("LANGUAGE")
        .env_remove("RUST_LOG")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs it to its end.
pub fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Ran {
    let mut command = command();
    command.args(arguments);
    finish(command.spawn().unwrap())
}

/// Waits for its end and takes what it said.
pub fn finish(mut child: Child) -> Ran {
    let mut out = child.stdout.take().unwrap();
    let mut err = child.stderr.take().unwrap();
    let read = |pipe: &mut dyn Read| {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    let out = std::thread::spawn(move || read(&mut out));
    let err = std::thread::spawn(move || read(&mut err));
    let end = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > end {
            child.kill().unwrap();
            panic!("it hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Ran {
        code: status.code().expect("ended by a signal"),
        out: out.join().unwrap(),
        err: err.join().unwrap(),
    }
}

/// Runs a refresh on a terminal (script, of Debian's base) and types `answers` once it asks.
pub fn answered(places: &[&Place], answers: &str) -> (Option<i32>, String) {
    let helper = env!("CARGO_BIN_EXE_sugar-cellar-helper");
    // In the shell's place: a shell that waits dies of the Ctrl-C itself.
    let mut line = format!("exec '{helper}' refresh");
    for place in places {
        line += &format!(" '{}'", place.stick().display());
    }
    let mut script = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .env("LC_ALL", "C.UTF-8")
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(script.stdout.take().unwrap());
    let mut typed = script.stdin.take().unwrap();
    let mut said = Vec::new();
    // The question ends without a line's end.
    while !String::from_utf8_lossy(&said).contains("[y/N]") {
        let more = out.fill_buf().unwrap();
        assert!(!more.is_empty(), "{}", String::from_utf8_lossy(&said));
        let length = more.len();
        said.extend_from_slice(more);
        out.consume(length);
    }
    typed.write_all(answers.as_bytes()).unwrap();
    std::io::copy(&mut out, &mut said).unwrap();
    (
        script.wait().unwrap().code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// Runs `script` as root of a mount namespace of its own, with `$original`, a practice stick, and `$place`,
/// the folder that it is in, and `$helper`; what it wrote to standard output and error. None, loudly, where nothing
/// can be mounted.
pub fn unshared(
    place: &Place,
    variables: &[(&str, &Path)],
    script: &str,
) -> Option<(String, String)> {
    let out = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .env("original", place.stick())
        .env("place", place.path())
        .envs(variables.iter().copied())
        .env("helper", env!("CARGO_BIN_EXE_sugar-cellar-helper"))
        .env("LC_ALL", "C.UTF-8")
        .env_remove("LANGUAGE")
        .output();
    let Ok(out) = out else {
        eprintln!("SKIPPED: no unshare (package util-linux)");
        return None;
    };
    let [said, err] = [out.stdout, out.stderr].map(|text| String::from_utf8(text).unwrap());
    if err.contains("unshare") || err.contains("permission denied") {
        eprintln!("SKIPPED: nothing can be mounted here: {err}");
        return None;
    }
    assert!(out.status.success(), "{said}{err}");
    Some((said, err))
}

/// A folder for one test with a practice stick of its own in it, as `stick`.
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        copy(
            &original().join("LiveOS"),
            &folder.path().join("stick/LiveOS"),
        );
        Place { folder }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn stick(&self) -> PathBuf {
        self.folder.path().join("stick")
    }

    pub fn image(&self) -> PathBuf {
        self.stick().join("LiveOS/squashfs.img")
    }

    /// An image of an ext4 of so many MiB that holds the stick, made with `options`; none, loudly, where that
    /// cannot be made or opened.
    pub fn ext4(&self, mebibytes: u64, options: &[&str]) -> Option<PathBuf> {
        if !rustix::process::geteuid().is_root() || !Path::new("/dev/loop-control").exists() {
            eprintln!("SKIPPED: needs root and loop devices");
            return None;
        }
        let image = self.path().join("stick.img");
        let file = fs::File::create(&image).unwrap();
        file.set_len(mebibytes << 20).unwrap();
        let mut made = Command::new("mkfs.ext4");
        made.args(["-q", "-F", "-L", "PRACTICE"]).args(options);
        let made = made.arg("-d").args([self.stick(), image.clone()]).status();
        if !made.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: mkfs.ext4 is not installed");
            return None;
        }
        Some(image)
    }

    pub fn overlay(&self) -> PathBuf {
        let all = fs::read_dir(self.stick().join("LiveOS")).unwrap();
        let mut all = all.map(|entry| entry.unwrap().path());
        all.find(|path| path.to_string_lossy().contains("overlay-"))
            .unwrap()
    }
}

/// One practice stick for all tests, made once.
fn original() -> PathBuf {
    static MADE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            mebibytes: 32,
            ..Options::default()
        };
        practice::make(&folder.path().join("stick"), &options, &Silent).unwrap();
        folder
    });
    made.path().join("stick")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Everything below `folder`: name, kind, time of change, content.
pub fn everything(folder: &Path) -> BTreeMap<PathBuf, (String, Vec<u8>)> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        let facts = format!(
            "{:?} {:?}",
            metadata.file_type(),
            metadata.modified().unwrap()
        );
        if metadata.is_dir() {
            all.extend(everything(&path));
        }
        let content = if metadata.is_file() {
            fs::read(&path).unwrap()
        } else {
            Vec::new()
        };
        all.insert(path, (facts, content));
    }
    all
}
