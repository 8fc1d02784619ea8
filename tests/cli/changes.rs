//! Commands that change a stick: what they ask, what they leave.

use super::contracts::{Does, taking};
use super::helper::{Place, answered, command, everything, finish, run};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

fn status(stick: &Path) -> Value {
    let ran = run([OsStr::new("status"), stick.as_os_str(), "--json".as_ref()]);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.json().pop().unwrap()
}

fn used(status: &Value) -> u64 {
    status["overlay"]["used_sectors"].as_u64().unwrap()
}

/// The image's checksum by the standard tool.
fn sha256sum(place: &Place) -> String {
    let image = place.stick().join("LiveOS/squashfs.img");
    let ran = Command::new("sha256sum").arg(image).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    String::from_utf8(ran.stdout).unwrap()[..64].to_owned()
}

#[test]
fn the_new_images_checksum_is_told() {
    let place = Place::new();
    let refresh = || {
        let stick = place.stick();
        let ran = run([OsStr::new("refresh"), stick.as_os_str(), "--yes".as_ref()]);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.out
    };
    let before = sha256sum(&place);
    let said = refresh();
    let sum = sha256sum(&place);
    assert_ne!(sum, before);
    let told = format!("\nSHA-256 of the image: {sum}\n");
    assert!(said.ends_with(&told), "{said}");
    // No new image, no checksum: nothing is read for it alone.
    assert!(!refresh().contains("SHA-256"));
}

#[test]
fn a_refresh_empties_the_overlay() {
    let place = Place::new();
    let before = status(&place.stick());
    let ran = run([
        OsStr::new("refresh"),
        place.stick().as_os_str(),
        "--yes".as_ref(),
        "--json".as_ref(),
    ]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let lines = ran.json();
    assert_eq!(lines[0]["event"], "hello");
    let finished = &lines[lines.len() - 1];
    assert_eq!(finished["event"], "finished");
    assert_eq!(finished["before"]["overlay"], before["overlay"]);
    let after = status(&place.stick());
    assert_eq!(finished["after"]["overlay"], after["overlay"]);
    assert_eq!(
        (&after["overlay"]["state"], used(&after)),
        (&"empty".into(), 16)
    );
    assert_eq!(
        after["overlay"]["total_sectors"],
        before["overlay"]["total_sectors"]
    );
    assert_ne!(after["image"]["bytes"], before["image"]["bytes"]);
    assert_eq!(finished["image_sha256"], sha256sum(&place));
    let names = everything(&place.stick().join("LiveOS"));
    assert_eq!(names.len(), 2, "{:?}", names.keys());
    let stages: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["stage"].as_str())
        .collect();
    for stage in ["build", "verify", "commit"] {
        assert!(stages.contains(&stage), "{stages:?}");
    }

    let again = run([
        OsStr::new("refresh"),
        place.stick().as_os_str(),
        "--yes".as_ref(),
    ]);
    assert_eq!(
        (again.code, again.out.as_str()),
        (0, "There was nothing to refresh: the overlay is empty.\n")
    );
    let check = run([OsStr::new("check"), place.stick().as_os_str()]);
    assert_eq!(
        (check.code, check.complaints()),
        (0, vec![]),
        "{}",
        check.out
    );
}

#[test]
fn without_a_terminal_yes_is_needed() {
    let place = Place::new();
    let before = everything(place.path());
    for json in [&["--json"][..], &[]] {
        let stick = place.stick();
        let mut arguments = vec![OsStr::new("refresh"), stick.as_os_str()];
        arguments.extend(json.iter().map(OsStr::new));
        let ran = run(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""));
        assert!(ran.err.contains("--yes"), "{}", ran.err);
    }
    assert!(everything(place.path()) == before);
}

#[test]
fn on_a_terminal_it_is_asked() {
    let place = Place::new();
    let before = everything(place.path());
    let (code, said) = answered(&[&place], "n\n");
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("A refresh would take about"), "{said}");
    assert!(everything(place.path()) == before);
    // Ctrl-C.
    let (code, said) = answered(&[&place], "\u{3}");
    assert_eq!(code, Some(4), "{said}");
    assert!(everything(place.path()) == before);
    let (code, said) = answered(&[&place], "y\n");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(status(&place.stick())["overlay"]["state"], "empty");
}

#[test]
fn cancelled_it_leaves_the_stick_as_it_was() {
    let place = Place::new();
    let before = everything(&place.stick().join("LiveOS"));
    let mut helper = command();
    helper
        .args([
            OsStr::new("refresh"),
            place.stick().as_os_str(),
            "--yes".as_ref(),
            "--json".as_ref(),
        ])
        .stdin(Stdio::piped());
    let mut child = helper.spawn().unwrap();
    drop(child.stdin.take());
    let ran = finish(child);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert_eq!(ran.json().pop().unwrap()["code"], "cancelled");
    let contents = |all: std::collections::BTreeMap<std::path::PathBuf, (String, Vec<u8>)>| {
        all.into_iter()
            .map(|(path, (_, bytes))| (path, bytes))
            .collect::<Vec<_>>()
    };
    assert!(contents(everything(&place.stick().join("LiveOS"))) == contents(before));
}

#[test]
fn a_stick_in_use_is_refused() {
    let place = Place::new();
    let before = everything(place.path());
    let folder = File::open(place.stick().join("LiveOS")).unwrap();
    rustix::fs::flock(&folder, rustix::fs::FlockOperation::LockExclusive).unwrap();
    for contract in taking().filter(|contract| contract.does == Does::Change) {
        let ran = contract.on(place.stick(), true);
        assert_eq!(ran.code, 3, "{}: {ran:?}", contract.verb);
        assert_eq!(ran.json().pop().unwrap()["code"], "busy");
    }
    assert!(everything(place.path()) == before);
}

#[test]
fn a_tidy_gives_space_back() {
    let place = Place::new();
    let before = status(&place.stick());
    let ran = run([
        OsStr::new("tidy"),
        place.stick().as_os_str(),
        "--json".as_ref(),
    ]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let finished = ran.json().pop().unwrap();
    assert_eq!(finished["before"]["overlay"], before["overlay"]);
    let after = status(&place.stick());
    assert_eq!(finished["after"]["overlay"], after["overlay"]);
    assert!(used(&after) < used(&before));
    let again = run([OsStr::new("tidy"), place.stick().as_os_str()]);
    assert!(
        again.out.starts_with("There was nothing to give back"),
        "{}",
        again.out
    );
}

#[test]
fn an_overlay_grows_and_never_shrinks() {
    let place = Place::new();
    let ran = run([
        OsStr::new("enlarge"),
        place.stick().as_os_str(),
        "+4M".as_ref(),
        "--json".as_ref(),
    ]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let finished = ran.json().pop().unwrap();
    assert_eq!(finished["before"]["overlay"]["total_sectors"], 16_384);
    assert_eq!(finished["after"]["overlay"]["total_sectors"], 16_384 + 8192);
    assert_eq!(used(&finished["after"]), used(&finished["before"]));
    let smaller = run([
        OsStr::new("enlarge"),
        place.stick().as_os_str(),
        "1M".as_ref(),
        "--json".as_ref(),
    ]);
    assert_eq!(smaller.code, 3);
    let absurd = run([
        OsStr::new("enlarge"),
        place.stick().as_os_str(),
        "9999999G".as_ref(),
        "--json".as_ref(),
    ]);
    assert_eq!(
        (absurd.code, &absurd.json().pop().unwrap()["code"]),
        (3, &"no_space".into())
    );
    assert_eq!(
        status(&place.stick())["overlay"]["total_sectors"],
        16_384 + 8192
    );
}

#[test]
fn a_plan_says_what_a_refresh_does() {
    let place = Place::new();
    let plan = run([
        OsStr::new("plan"),
        place.stick().as_os_str(),
        "--json".as_ref(),
    ])
    .json();
    assert_eq!(plan.len(), 1);
    let plan = &plan[0];
    assert_eq!(plan["refusals"], Value::Array(vec![]));
    assert_eq!(plan["space"]["mode"], "beside");
    assert_eq!(plan["free_blocks"]["trusted"], true);
    run([
        OsStr::new("refresh"),
        place.stick().as_os_str(),
        "--yes".as_ref(),
    ]);
    let after = status(&place.stick());
    assert_eq!(
        plan["overlay"]["after_sectors"],
        after["overlay"]["used_sectors"]
    );
    let bytes = after["image"]["bytes"].as_u64().unwrap();
    assert!(bytes <= plan["image"]["largest_bytes"].as_u64().unwrap());
    let likely = plan["image"]["estimated_bytes"].as_f64().unwrap();
    assert!(
        (0.85..1.2).contains(&(bytes as f64 / likely)),
        "{bytes} of {likely}"
    );
}
