//! Several sticks on one command line: in turns, or side by side as their ports allow.

use super::helper::{Place, answered, command, everything, finish, run, unshared};
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::Path;
use std::process::Stdio;

fn arguments<S: AsRef<OsStr>>(sticks: impl IntoIterator<Item = S>) -> Vec<OsString> {
    let sticks = sticks.into_iter().map(|stick| stick.as_ref().to_owned());
    let mut all = vec!["refresh".into(), "--yes".into(), "--json".into()];
    all.extend(sticks);
    all
}

/// How each stick ended, in that order.
fn ends(lines: &[Value]) -> Vec<(&str, &str)> {
    lines
        .iter()
        .filter(|line| line["event"] == "finished" || line["event"] == "failed")
        .map(|line| {
            let end = line["code"].as_str().unwrap_or("finished");
            (line["stick"].as_str().unwrap(), end)
        })
        .collect()
}

fn state(stick: &Path) -> String {
    let ran = run([OsStr::new("status"), stick.as_os_str(), "--json".as_ref()]);
    let status = ran.json().pop().unwrap();
    status["overlay"]["state"].as_str().unwrap().to_owned()
}

#[test]
fn one_of_several_may_fail() {
    let (one, busy, other) = (Place::new(), Place::new(), Place::new());
    let held = File::open(busy.stick().join("LiveOS")).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let sticks = [one.stick(), busy.stick(), "/nowhere".into(), other.stick()];
    let ran = run(arguments(&sticks));
    // The first that failed is what it ends with.
    assert_eq!((ran.code, ran.err.as_str()), (3, ""));
    let lines = ran.json();
    assert_eq!(lines[0]["event"], "hello");
    let names: Vec<&str> = sticks.iter().map(|stick| stick.to_str().unwrap()).collect();
    // What has no port takes turns.
    let codes = ["finished", "busy", "not_found", "finished"];
    let expected: Vec<(&str, &str)> = names.iter().copied().zip(codes).collect();
    assert_eq!(ends(&lines), expected);
    for line in &lines[1..] {
        assert!(names.contains(&line["stick"].as_str().unwrap()), "{line}");
    }
}

#[test]
fn a_stick_that_is_named_twice_is_refreshed_once() {
    let place = Place::new();
    let stick = place.stick();
    let ran = run([
        OsStr::new("refresh"),
        stick.as_os_str(),
        stick.join(".").as_os_str(),
        "--yes".as_ref(),
    ]);
    assert_eq!((ran.code, ran.complaints()), (0, vec![]));
    let name = stick.display();
    let (first, second) = ran.out.split_once(&format!("{name}/.: ")).unwrap();
    let refreshed = format!("{name}: The stick is refreshed");
    assert!(first.starts_with(&refreshed), "{first}");
    assert!(
        second.starts_with("There was nothing to refresh"),
        "{second}"
    );
    // Asked about, it is held already.
    let place = Place::new();
    let (code, said) = answered(&[&place, &place], "y\n");
    assert_eq!(code, Some(3), "{said}");
    assert_eq!(said.matches("[y/N]").count(), 1, "{said}");
    assert!(said.contains("This stick is in use."), "{said}");
    assert!(
        said.contains("or this one, works on this stick already"),
        "{said}"
    );
    assert_eq!(state(&place.stick()), "empty");
}

#[test]
fn all_questions_come_before_the_work() {
    let places = [Place::new(), Place::new(), Place::new()];
    let before = everything(&places[1].stick());
    let (code, said) = answered(&[&places[0], &places[1], &places[2]], "y\nn\ny\n");
    assert_eq!(code, Some(4), "{said}");
    let questions = said.rfind("[y/N]").unwrap();
    assert_eq!(said.matches("[y/N]").count(), 3, "{said}");
    for (place, refreshed) in places.iter().zip([true, false, true]) {
        let name = place.stick().display().to_string();
        let asked = said.find(&format!("{name}: A refresh would take about"));
        assert!(asked.unwrap() < questions, "{said}");
        let told = said.find(&format!("{name}: The stick is refreshed"));
        assert_eq!(told.is_some(), refreshed, "{said}");
        assert!(told.is_none_or(|told| told > questions), "{said}");
    }
    assert_eq!(state(&places[0].stick()), "empty");
    assert_eq!(state(&places[2].stick()), "empty");
    assert!(everything(&places[1].stick()) == before);
    // Ctrl-C at a question: nothing was begun yet.
    let places = [Place::new(), Place::new()];
    let (code, said) = answered(&[&places[0], &places[1]], "\u{3}");
    assert_eq!(code, Some(4), "{said}");
    assert_eq!(said.matches("It was cancelled.").count(), 2, "{said}");
    assert_eq!(said.matches("[y/N]").count(), 1, "{said}");
}

#[test]
fn an_end_is_asked_of_all_of_them() {
    let places = [Place::new(), Place::new()];
    let sticks = places.each_ref().map(Place::stick);
    let mut helper = command();
    let mut child = helper
        .args(arguments(&sticks))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdin.take());
    let ran = finish(child);
    assert_eq!(ran.code, 4, "{ran:?}");
    let lines = ran.json();
    let expected = sticks
        .each_ref()
        .map(|stick| (stick.to_str().unwrap(), "cancelled"));
    assert_eq!(ends(&lines), expected);
}

/// Sticks on file systems of their own, of whose devices /sys says that they are in USB ports: two at a
/// hub, one beside it.
#[test]
fn different_ports_go_side_by_side() {
    let place = Place::new();
    let script = r#"
set -eu
mkdir "$place/sys"
cp -P /sys/dev/block/* "$place/sys"
for port in 1-1/1-1.1 1-1/1-1.2 1-2; do
    stick=$place/$(basename $port)
    mkdir -p "$stick" "$place/usb1/$port/block/sd"
    mount -t tmpfs none "$stick"
    cp -r "$original/LiveOS" "$stick"
    ln -s "$place/usb1/$port/block/sd" "$place/sys/$(mountpoint -d "$stick")"
done
mount --bind "$place/sys" /sys/dev/block
exec "$helper" refresh --yes --json "$place/1-1.1" "$place/1-1.2" "$place/1-2" </dev/null
"#;
    let Some((said, _)) = unshared(&place, &[], script) else {
        return;
    };
    let events: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let of = |port: &str| {
        let stick = place.path().join(port);
        let its = |line: &Value| line["stick"] == stick.to_str().unwrap();
        let begun = events.iter().position(its).unwrap();
        let ended = events.iter().rposition(its).unwrap();
        assert_eq!(events[ended]["event"], "finished");
        assert_eq!(events[ended]["after"]["overlay"]["state"], "empty");
        begun..=ended
    };
    let (hub, hub_too, beside) = (of("1-1.1"), of("1-1.2"), of("1-2"));
    assert!(hub.end() < hub_too.start(), "{said}");
    if std::thread::available_parallelism().unwrap().get() == 1 {
        eprintln!("SKIPPED: with one processor, one at a time");
        return;
    }
    assert!(
        beside.start() < hub.end() && hub.start() < beside.end(),
        "{said}"
    );
}
