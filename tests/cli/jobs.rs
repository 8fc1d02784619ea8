//! Long commands: events, cancelling, readers that go away.

use super::helper::{Place, command, finish, run};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

fn events(out: &[Value]) -> Vec<&str> {
    out.iter()
        .map(|line| line["event"].as_str().unwrap_or("status"))
        .collect()
}

#[test]
fn practice_says_hello_first_and_how_it_went_last() {
    let place = tempfile::tempdir().unwrap();
    let stick = place.path().join("stick");
    // At the end of its input, but nobody holds it: no reason to end.
    let ran = run([
        "practice".as_ref(),
        stick.as_os_str(),
        "--size".as_ref(),
        "32".as_ref(),
        "--json".as_ref(),
    ]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let lines = ran.json();
    let events = events(&lines);
    assert_eq!((events[0], events[events.len() - 1]), ("hello", "made"));
    assert!(
        events[1..events.len() - 1]
            .iter()
            .all(|event| *event == "progress")
    );
    assert_eq!(lines[0]["version"], 1);
    let made = &lines[lines.len() - 1];
    assert_eq!(made["stick"], stick.to_str().unwrap());
    assert_eq!(made["status"]["overlay"]["state"], "active");
    // At most five a second, and one more for each stage's start and end.
    let seconds = made["seconds"].as_f64().unwrap();
    assert!(
        (lines.len() as f64) < seconds * 5.0 + 10.0,
        "{} lines in {seconds} s",
        lines.len()
    );
}

#[test]
fn an_experiment_tells_every_step_and_leaves_the_stick_alone() {
    let place = Place::new();
    let ran = run([
        "experiment".as_ref(),
        place.stick().as_os_str(),
        "--json".as_ref(),
    ]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let lines = ran.json();
    assert_eq!(lines[0]["event"], "hello");
    let tried = lines.iter().filter(|line| line["event"] == "tried");
    let tried: Vec<&Value> = tried.collect();
    let steps: Vec<&str> = tried
        .iter()
        .map(|line| line["step"].as_str().unwrap())
        .collect();
    assert_eq!(steps, ["save", "rename", "letter", "new_copy", "delete"]);
    let mut before = tried[0]["before_sectors"].as_u64().unwrap();
    for line in &tried {
        assert_eq!(line["before_sectors"], before);
        let after = line["after_sectors"].as_u64().unwrap();
        let sectors = line["bytes"].as_u64().unwrap() / 512;
        // What is new costs its size, and nothing ever comes back.
        match line["step"].as_str().unwrap() {
            "save" | "new_copy" => assert!((sectors / 2..sectors * 2).contains(&(after - before))),
            _ => assert!((0..=64).contains(&(after - before)), "{line}"),
        }
        before = after;
    }
}

#[test]
fn an_experiment_that_does_not_fit_is_refused() {
    let place = Place::new();
    let status = run([
        "status".as_ref(),
        place.stick().as_os_str(),
        "--json".as_ref(),
    ]);
    let used = status.json()[0]["overlay"]["used_sectors"]
        .as_u64()
        .unwrap();
    let overlay = std::fs::File::options().write(true).open(place.overlay());
    overlay.unwrap().set_len(used * 512 + (64 << 10)).unwrap();
    let ran = run(["experiment".as_ref(), place.stick().as_os_str()]);
    assert_eq!(ran.code, 3);
    assert!(
        ran.err.contains("The overlay is too full for that"),
        "{}",
        ran.err
    );
    assert!(
        ran.err.contains("make a new practice stick."),
        "{}",
        ran.err
    );
}

#[test]
fn closing_the_pipe_cancels() {
    let place = tempfile::tempdir().unwrap();
    let stick = place.path().join("stick");
    let mut helper = command();
    helper
        .args(["practice".as_ref(), stick.as_os_str(), "--json".as_ref()])
        .stdin(Stdio::piped());
    let mut child = helper.spawn().unwrap();
    drop(child.stdin.take());
    let ran = finish(child);
    assert_eq!(ran.code, 4);
    let lines = ran.json();
    assert_eq!(lines[lines.len() - 1]["code"], "cancelled");
    assert!(!stick.exists());
}

#[test]
fn an_open_pipe_does_not() {
    let place = tempfile::tempdir().unwrap();
    let stick = place.path().join("stick");
    let mut helper = command();
    helper
        .args([
            "practice".as_ref(),
            stick.as_os_str(),
            "--size".as_ref(),
            "32".as_ref(),
            "--json".as_ref(),
        ])
        .stdin(Stdio::piped());
    let mut child = helper.spawn().unwrap();
    let held = child.stdin.take();
    let ran = finish(child);
    assert_eq!(ran.code, 0, "{ran:?}");
    drop(held);
}

#[test]
fn a_signal_cancels() {
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM] {
        let place = tempfile::tempdir().unwrap();
        let stick = place.path().join("stick");
        let mut helper = command();
        helper.args(["practice".as_ref(), stick.as_os_str(), "--json".as_ref()]);
        let mut child = helper.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut hello = String::new();
        out.read_line(&mut hello).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        let rest: Vec<String> = out.lines().map(Result::unwrap).collect();
        assert_eq!(child.wait().unwrap().code(), Some(4));
        assert!(rest[rest.len() - 1].contains("\"code\":\"cancelled\""));
        assert!(!stick.exists());
    }
}

#[test]
fn a_reader_that_goes_away_does_not_stop_the_work() {
    let place = tempfile::tempdir().unwrap();
    let stick = place.path().join("stick");
    let mut helper = command();
    helper.args([
        "practice".as_ref(),
        stick.as_os_str(),
        "--size".as_ref(),
        "32".as_ref(),
        "--json".as_ref(),
    ]);
    let mut child = helper.spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(stick.join("LiveOS").is_dir());
}

#[test]
fn watch_tells_of_changes_until_its_input_closes() {
    let place = Place::new();
    let mut helper = command();
    helper.args([
        "watch".as_ref(),
        place.stick().as_os_str(),
        "--interval".as_ref(),
        "0.1".as_ref(),
        "--json".as_ref(),
    ]);
    let mut child = helper.stdin(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = || {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        serde_json::from_str::<Value>(&line).unwrap()
    };
    assert_eq!(line()["event"], "hello");
    let first = line();
    assert_eq!(first["overlay"]["total_sectors"], 16_384);
    // Longer: the overlay grows.
    let overlay = std::fs::File::options()
        .write(true)
        .open(place.overlay())
        .unwrap();
    overlay.set_len(10 << 20).unwrap();
    let second = line();
    assert_eq!(second["overlay"]["total_sectors"], 20_480);
    assert_eq!(
        second["overlay"]["used_sectors"],
        first["overlay"]["used_sectors"]
    );
    let asked = Instant::now();
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(3));
}

#[test]
fn watch_goes_on_when_a_change_is_over() {
    let place = Place::new();
    let Some(image) = place.ext4(64, &[]) else {
        return;
    };
    let mut helper = command();
    helper.arg("watch").arg(&image);
    helper.args(["--interval", "0.1", "--json"]);
    let mut child = helper.stdin(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    for wanted in ["hello", "stick"] {
        let line = out.next().unwrap().unwrap();
        assert!(line.contains(wanted), "{line}");
    }
    // As a command holds it that changes the stick.
    let held = File::open(&image).unwrap();
    let exclusive = rustix::fs::FlockOperation::LockExclusive;
    rustix::fs::flock(&held, exclusive).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(child.try_wait().unwrap(), None, "it ended");
    drop(held);
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn watch_ends_when_nobody_reads_any_more() {
    let place = Place::new();
    let mut helper = command();
    helper.args(["watch".as_ref(), place.stick().as_os_str()]);
    let mut child = helper.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.starts_with("This stick is "), "{line}");
    drop(out);
    let closed = Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(closed.elapsed() < Duration::from_secs(3));
}
