//! The table of commands, and what each keeps to.

use super::helper::{Place, Ran, everything, run};
use std::ffi::OsString;

/// What a command does with the stick that it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// Is given none.
    Nothing,
    /// Looks at it.
    Look,
    /// Looks at it until it is ended.
    Follow,
    /// Changes it.
    Change,
}

/// One command.
pub struct Contract {
    pub verb: &'static str,
    pub does: Does,
    /// Arguments behind the stick.
    pub arguments: &'static [&'static str],
}

const fn contract(verb: &'static str, does: Does, arguments: &'static [&'static str]) -> Contract {
    Contract {
        verb,
        does,
        arguments,
    }
}

/// Every command that a person may give.
pub const ALL: &[Contract] = &[
    contract("list", Does::Nothing, &[]),
    contract("status", Does::Look, &[]),
    contract("watch", Does::Follow, &[]),
    contract("explain", Does::Look, &[]),
    contract("plan", Does::Look, &[]),
    contract("refresh", Does::Change, &["--yes"]),
    contract("tidy", Does::Change, &[]),
    contract("clean", Does::Nothing, &[]),
    contract("prevent", Does::Nothing, &[]),
    contract("enlarge", Does::Change, &["+1M"]),
    contract("check", Does::Look, &[]),
    contract("practice", Does::Nothing, &[]),
    contract("experiment", Does::Look, &[]),
    contract("finish", Does::Nothing, &[]),
];

/// The command `verb`.
pub fn find(verb: &str) -> &'static Contract {
    ALL.iter().find(|contract| contract.verb == verb).unwrap()
}

/// Those that only look at a stick, and end by themselves.
pub fn looking() -> impl Iterator<Item = &'static Contract> {
    ALL.iter().filter(|contract| contract.does == Does::Look)
}

/// Those that take a stick and end by themselves.
pub fn taking() -> impl Iterator<Item = &'static Contract> {
    let takes = |contract: &&Contract| matches!(contract.does, Does::Look | Does::Change);
    ALL.iter().filter(takes)
}

impl Contract {
    /// Runs it on `stick`.
    pub fn on(&self, stick: impl Into<OsString>, json: bool) -> Ran {
        let mut arguments: Vec<OsString> = vec![self.verb.into(), stick.into()];
        arguments.extend(self.arguments.iter().map(Into::into));
        if json {
            arguments.push("--json".into());
        }
        run(arguments)
    }
}

#[test]
fn the_table_is_whole() {
    let help = run(["--help"]).out;
    let commands = help
        .split("Commands:")
        .nth(1)
        .unwrap()
        .split("Options:")
        .next()
        .unwrap();
    let named: Vec<&str> = commands
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .collect();
    let known: Vec<&str> = ALL.iter().map(|contract| contract.verb).collect();
    assert_eq!(named, known);
}

#[test]
fn help_is_given_and_has_examples() {
    for arguments in [vec!["--help"], vec!["-h"], vec!["help"]] {
        let ran = run(&arguments);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{arguments:?}");
        assert!(
            ran.out.contains("Usage: sugar-cellar-helper"),
            "{}",
            ran.out
        );
    }
    for contract in ALL {
        for flag in ["--help", "-h"] {
            let ran = run([contract.verb, flag]);
            assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", contract.verb);
            let example = format!("\n  sugar-cellar-helper {}", contract.verb);
            assert!(ran.out.contains(&example), "{}", ran.out);
        }
    }
    assert!(run(["--help"]).out.contains("Exit status:\n  0  done"));
}

#[test]
fn the_version_is_given() {
    for flag in ["--version", "-V"] {
        let ran = run([flag]);
        let version = concat!("sugar-cellar-helper ", env!("CARGO_PKG_VERSION"), "\n");
        assert_eq!((ran.code, ran.out.as_str()), (0, version));
    }
}

#[test]
fn what_makes_no_sense_ends_with_2() {
    let nonsense: &[&[&str]] = &[
        &[],
        &["frobnicate"],
        &["--frobnicate"],
        &["status"],
        &["plan"],
        &["refresh"],
        &["refresh", "/nowhere", "--compression", "zip"],
        &["refresh", "/nowhere", "--engine", "kernel"],
        &["refresh", "/nowhere", "--replace"],
        &["enlarge", "/nowhere"],
        &["enlarge", "/nowhere", "-1M"],
        &["enlarge", "/nowhere", "much"],
        &["practice", "/nowhere/x", "--size", "7"],
        &["practice", "/nowhere/x", "--seed", "-1"],
        &["prevent", "live", "tmp"],
        &["prevent", "live", "tmp", "perhaps"],
        &["prevent", "live", "everything", "on"],
        &["watch", "/nowhere", "--interval", "0"],
        &["watch", "/nowhere", "--interval", "NaN"],
    ];
    for arguments in nonsense {
        let ran = run(*arguments);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{arguments:?}");
        assert!(!ran.err.is_empty());
    }
    for contract in ALL {
        let ran = run([contract.verb, "--frobnicate"]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", contract.verb);
        assert!(ran.err.contains("Usage:"), "{}", ran.err);
    }
}

#[test]
fn what_only_looks_changes_nothing() {
    let place = Place::new();
    let before = everything(place.path());
    for contract in looking() {
        for json in [false, true] {
            let ran = contract.on(place.stick(), json);
            assert_eq!(
                (ran.code, ran.complaints()),
                (0, vec![]),
                "{}",
                contract.verb
            );
            assert!(!ran.out.is_empty());
            if json {
                assert!(!ran.json().is_empty());
            }
            assert!(
                everything(place.path()) == before,
                "{} changed the stick",
                contract.verb
            );
        }
    }
}

#[test]
fn what_is_not_there_is_said_in_two_sentences() {
    let place = tempfile::tempdir().unwrap();
    for contract in taking() {
        for missing in [
            place.path().join("missing"),
            place.path().to_owned(),
            "live".into(),
        ] {
            let words = contract.on(&missing, false);
            assert_eq!((words.code, words.out.as_str()), (1, ""), "{}", words.err);
            assert_eq!(words.complaints().len(), 3, "{}", words.err);
            let json = contract.on(&missing, true);
            assert_eq!((json.code, json.err.as_str()), (1, ""));
            let failed = json.json().pop().unwrap();
            assert_eq!(
                (&failed["event"], &failed["code"]),
                (&"failed".into(), &"not_found".into())
            );
            for field in ["stick", "message", "hint", "detail"] {
                assert!(
                    failed[field].as_str().is_some_and(|text| !text.is_empty()),
                    "{field}"
                );
            }
        }
    }
}

#[test]
fn a_finish_is_for_the_shutdown_alone() {
    let ran = run(["finish"]);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{}", ran.err);
    assert!(
        ran.err.contains("when the computer shuts down"),
        "{}",
        ran.err
    );
    // No stick is below this system.
    assert_eq!(run(["finish", "--prepare"]).code, 1);
}

#[test]
fn a_status_is_the_stores_own() {
    let place = Place::new();
    let status = run([
        "status".into(),
        place.stick().into_os_string(),
        "--json".into(),
    ])
    .json()
    .pop()
    .unwrap();
    assert_eq!(status["stick"]["path"], place.stick().to_str().unwrap());
    assert_eq!(status["overlay"]["state"], "active");
    assert_eq!(status["overlay"]["total_sectors"], 16_384);
    let used = status["overlay"]["used_sectors"].as_f64().unwrap();
    assert_eq!(
        status["overlay"]["percent"].as_f64().unwrap(),
        used * 100.0 / 16_384.0
    );
    assert_eq!(status["image"]["inner"], "LiveOS/rootfs.img");
    assert_eq!(status["image"]["compression"], "xz");
    let words = run(["status".into(), place.stick().into_os_string()]).out;
    assert!(words.starts_with("This stick is "), "{words}");
}

#[test]
fn a_list_is_valid_whatever_is_plugged_in() {
    let ran = run(["list", "--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.json()[0]["sticks"].is_array());
    let words = run(["list"]);
    assert_eq!((words.code, words.err.as_str()), (0, ""));
    assert!(!words.out.is_empty());
}

#[test]
fn numbers_are_written_as_at_home() {
    let place = Place::new();
    let home = place.path().join("de_DE.UTF-8");
    let made = std::process::Command::new("localedef")
        .args(["-i", "de_DE", "-f", "UTF-8"])
        .arg(&home)
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        eprintln!("SKIPPED: no locale with a decimal comma can be made (package locales)");
        return;
    }
    let mut command = super::helper::command();
    command
        .args(["status".as_ref(), place.stick().as_os_str()])
        .env("LOCPATH", place.path())
        .env("LC_ALL", "de_DE.UTF-8");
    let ran = super::helper::finish(command.spawn().unwrap());
    assert!(ran.out.contains("1,7 MB"), "{}", ran.out);
}

/// No system runs from a practice stick, and none from a stick here.
#[test]
fn the_running_system_is_changed_by_its_own_stick_alone() {
    let place = Place::new();
    let before = everything(place.path());
    let stick = place.stick().into_os_string();
    let home = place.path().join("home");
    for arguments in [
        &["clean", "caches"][..],
        &["prevent"],
        &["prevent", "cache", "on"],
        &["prevent", "tmp", "off"],
    ] {
        for (named, code) in [(stick.clone(), 3), ("live".into(), 1)] {
            let (verb, rest) = (arguments[0].into(), &arguments[1..]);
            let mut all: Vec<OsString> = vec![verb, named];
            all.extend(rest.iter().map(OsString::from));
            let mut command = super::helper::command();
            command.args(&all).env("HOME", &home);
            let ran = super::helper::finish(command.spawn().unwrap());
            assert_eq!(
                (ran.code, ran.out.as_str()),
                (code, ""),
                "{all:?}: {}",
                ran.err
            );
            assert_eq!(ran.complaints().len(), 3, "{}", ran.err);
        }
    }
    assert!(everything(place.path()) == before);
}
