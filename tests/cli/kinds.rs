//! Sticks of every kind: shown as far as they can be, changed only where they are understood.

use super::contracts::{self, Does, taking};
use super::helper::{Place, everything, run};
use backhand::{FilesystemWriter, NodeHeader};
use serde_json::Value;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

fn status(place: &Place) -> Value {
    let ran = run([
        "status".into(),
        place.stick().into_os_string(),
        "--json".into(),
    ]);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.json().pop().unwrap()
}

/// Whatever changes a stick, and its plan, ends so and changes nothing.
fn untouched(place: &Place, code: i32, kind: &str) {
    let before = everything(place.path());
    for contract in taking().filter(|one| one.does == Does::Change || one.verb == "plan") {
        let ran = contract.on(place.stick(), true);
        assert_eq!(ran.code, code, "{}: {ran:?}", contract.verb);
        assert_eq!(ran.json().pop().unwrap()["code"], kind, "{}", contract.verb);
    }
    assert!(everything(place.path()) == before);
}

/// An image that is the root file system itself.
fn flatten(image: &Path) {
    let mut writer = FilesystemWriter::default();
    let header = NodeHeader::new(0o755, 0, 0, 0);
    for folder in ["proc", "usr", "usr/bin"] {
        writer.push_dir(folder, header).unwrap();
    }
    writer
        .push_file(&b"#!/bin/sh\n"[..], "usr/bin/init", header)
        .unwrap();
    writer.write(File::create(image).unwrap()).unwrap();
}

#[test]
fn a_flattened_stick() {
    let place = Place::new();
    flatten(&place.image());
    fs::remove_file(place.overlay()).unwrap();
    let upper = place.stick().join("LiveOS/overlay-SOAS-1234-ABCD");
    fs::create_dir_all(upper.join("home/liveuser")).unwrap();
    fs::create_dir(place.stick().join("LiveOS/ovlwork")).unwrap();
    fs::write(upper.join("home/liveuser/letter.txt"), vec![b'x'; 100_000]).unwrap();
    let status = status(&place);
    assert_eq!(
        (&status["image"]["kind"], &status["image"]["inner"]),
        (&"flat".into(), &Value::Null)
    );
    assert_eq!(status["overlay"]["kind"], "overlayfs");
    assert!(status["overlay"]["used_sectors"].as_u64().unwrap() >= 195);
    let words = run(["status".into(), place.stick().into_os_string()]).out;
    assert!(
        words.starts_with("This stick keeps what is saved as ordinary files"),
        "{words}"
    );
    let stick = || place.stick().into_os_string();
    let explained = run(["explain".into(), stick(), "--json".into()]).out;
    let explained: Value = serde_json::from_str(explained.lines().last().unwrap()).unwrap();
    let explained = &explained["explanation"];
    assert_eq!(explained["used_sectors"], status["overlay"]["used_sectors"]);
    let largest = &explained["entries"][0];
    assert_eq!(
        (&largest["path"], &largest["kind"]),
        (&"home/liveuser/letter.txt".into(), &"document".into())
    );
    let words = run(["explain".into(), stick()]).out;
    assert!(words.contains("      letter.txt\n"), "{words}");
    untouched(&place, 3, "unsupported");
}

/// Another stick may have been plugged in at the same place.
#[test]
fn another_stick_than_was_meant() {
    let place = Place::new();
    let before = everything(place.path());
    let stick = place.stick().into_os_string();
    let expect = |verb: &str, more: &[&str]| {
        let mut arguments = vec![verb.into(), stick.clone(), "--json".into()];
        arguments.extend(more.iter().map(Into::into));
        run(arguments)
    };
    for (verb, more) in [
        ("refresh", &["--yes", "--expect", "0BAD-0BAD"][..]),
        ("tidy", &["--expect", "0BAD-0BAD"]),
        ("enlarge", &["+1M", "--expect", "0BAD-0BAD"]),
    ] {
        let ran = expect(verb, more);
        assert_eq!(ran.code, 3, "{ran:?}");
        let told = ran.json().pop().unwrap();
        assert_eq!(told["code"], "refused");
        let message = told["message"].as_str().unwrap();
        assert!(message.contains("not the stick that was meant"), "{told}");
    }
    let two = ["/nowhere", "--yes", "--expect", "0BAD-0BAD"];
    assert_eq!(expect("refresh", &two).code, 2);
    assert!(everything(place.path()) == before);
    // Where the file system that it lies on here has a UUID that may be read.
    if let Some(uuid) = status(&place)["stick"]["uuid"].as_str() {
        assert_eq!(expect("tidy", &["--expect", uuid]).code, 0);
    }
}

#[test]
fn an_overlay_that_nobody_can_look_into() {
    let place = Place::new();
    flatten(&place.image());
    fs::write(place.overlay(), [&b"XFSB"[..], &[0; 65_532]].concat()).unwrap();
    let status = status(&place);
    let overlay = &status["overlay"];
    assert_eq!(overlay["kind"], "overlayfs");
    assert_eq!(
        (&overlay["percent"], &overlay["total_sectors"]),
        (&Value::Null, &128.into())
    );
    let words = run(["status".into(), place.stick().into_os_string()]).out;
    assert!(words.contains("cannot be told from outside"), "{words}");
}

/// The beginning of a kernel for PCs.
fn kernel(version: &str) -> Vec<u8> {
    let mut head = vec![0; 0x3000];
    head[0x202..0x206].copy_from_slice(b"HdrS");
    head[0x20e..0x210].copy_from_slice(&0x1000u16.to_le_bytes());
    head[0x1200..0x1200 + version.len()].copy_from_slice(version.as_bytes());
    head
}

/// An update of the system removed what belongs to the kernel that the stick starts.
#[test]
fn a_stick_whose_kernel_lacks_its_modules() {
    let place = Place::new();
    let boot = place.stick().join("syslinux");
    fs::create_dir(&boot).unwrap();
    let menu = "label a\n  kernel vmlinuz0\n  append x\nlabel b\n  kernel vmlinuz1\n  append y\n";
    fs::write(boot.join("syslinux.cfg"), menu).unwrap();
    fs::write(boot.join("vmlinuz0"), kernel("6.1.0-practice (me@here)")).unwrap();
    fs::write(boot.join("vmlinuz1"), kernel("6.0.9-gone (me@here)")).unwrap();
    let plan = |json: bool| {
        let mut arguments = vec!["plan".into(), place.stick().into_os_string()];
        arguments.extend(json.then(|| "--json".into()));
        run(arguments)
    };
    let told = plan(true).json().pop().unwrap();
    let kernels = told["kernels"].as_array().unwrap();
    let kernels: Vec<_> = kernels
        .iter()
        .map(|one| (one["version"].as_str().unwrap(), one["modules"] == true))
        .collect();
    assert_eq!(kernels, [("6.0.9-gone", false), ("6.1.0-practice", true)]);
    let words = plan(false).out;
    assert!(
        words.contains("starts the kernel 6.0.9-gone, whose modules"),
        "{words}"
    );
    assert!(!words.contains("6.1.0-practice"), "{words}");
}

#[test]
fn a_stick_without_an_overlay() {
    let place = Place::new();
    fs::remove_file(place.overlay()).unwrap();
    let status = status(&place);
    assert_eq!(
        (&status["overlay"]["kind"], &status["overlay"]["file"]),
        (&"none".into(), &Value::Null)
    );
    assert_eq!(status["overlay"]["not_here"], Value::Null);
    untouched(&place, 1, "not_found");
}

#[test]
fn a_folder_with_two_overlays() {
    let place = Place::new();
    fs::copy(
        place.overlay(),
        place.stick().join("LiveOS/overlay-OTHER-0000-0000"),
    )
    .unwrap();
    let overlay = &status(&place)["overlay"];
    assert_eq!(overlay["kind"], "none");
    assert_eq!(overlay["not_here"]["reason"], "unclear");
    let words = run(["status".into(), place.stick().into_os_string()]).out;
    assert!(
        words.starts_with("Which overlay this stick would use cannot be told"),
        "{words}"
    );
    untouched(&place, 3, "refused");
}

#[test]
fn an_overlay_of_another_stick() {
    let place = Place::new();
    let other = tempfile::tempdir().unwrap();
    let options = sugar_cellar::practice::Options {
        mebibytes: 32,
        seed: 2,
        ..Default::default()
    };
    let stick = other.path().join("stick");
    sugar_cellar::practice::make(&stick, &options, &sugar_cellar::progress::Silent).unwrap();
    fs::copy(stick.join("LiveOS/squashfs.img"), place.image()).unwrap();
    let before = everything(place.path());
    for verb in ["plan", "refresh", "tidy"] {
        let ran = super::contracts::find(verb).on(place.stick(), true);
        assert_eq!(ran.code, 3, "{verb}: {ran:?}");
    }
    assert!(everything(place.path()) == before);
}

/// It is not written before it is in order, and nothing on it is made longer.
#[test]
fn an_ext4_without_a_journal() {
    const UUID: &str = "5475d33f-0000-4000-8000-000000000001";
    let place = Place::new();
    // 15 areas of 256 entries, each in a chunk, the header's chunk, and no room for another area.
    const TRAP: u64 = (15 * 257 + 1) * 4096;
    let file = File::options().write(true).open(place.overlay()).unwrap();
    file.set_len(TRAP).unwrap();
    let overlay = format!("overlay-PRACTICE-{UUID}");
    fs::rename(place.overlay(), place.overlay().with_file_name(overlay)).unwrap();
    let Some(image) = place.ext4(96, &["-O", "^has_journal", "-U", UUID]) else {
        return;
    };
    let asked = |verb: &str| {
        let ran = contracts::find(verb).on(&image, true);
        (ran.code, ran.json().pop().unwrap())
    };
    let (code, refused) = asked("enlarge");
    assert_eq!((code, &refused["code"]), (1, &"unsupported".into()));
    let (code, plan) = asked("plan");
    assert_eq!((code, &plan["refusals"]), (0, &Value::Array(Vec::new())));
    let (_, checked) = asked("check");
    assert_eq!(checked["findings"], Value::Array(Vec::new()));

    let (code, done) = asked("refresh");
    let after = &done["after"]["overlay"]["total_sectors"];
    assert_eq!((code, after), (0, &(TRAP / 512).into()), "{done}");

    // As a cut leaves it.
    let mut cut = Command::new("debugfs");
    cut.args(["-w", "-R", "set_super_value state 0"])
        .arg(&image);
    assert!(cut.output().unwrap().status.success(), "{cut:?}");
    let before = fs::read(&image).unwrap();
    let (code, plan) = asked("plan");
    assert_eq!((code, &plan["refusals"][0]["code"]), (3, &"damaged".into()));
    let (code, checked) = asked("check");
    assert_eq!((code, &checked["findings"][0]["part"]), (0, &"disk".into()));
    for contract in taking().filter(|contract| contract.does == Does::Change) {
        let (code, refused) = asked(contract.verb);
        assert_eq!(
            (code, &refused["code"]),
            (1, &"damaged".into()),
            "{}",
            contract.verb
        );
    }
    assert!(fs::read(&image).unwrap() == before);
}
