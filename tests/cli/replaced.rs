//! A stick that holds only one image: nothing without consent, and what was cut is told and completed.

use super::contracts::taking;
use super::helper::{Place, Ran, everything, run, unshared};
use std::ffi::OsString;
use std::fs;
use std::io::{Seek, Write};
use std::path::PathBuf;

const NAME: &str = "sugar-cellar-00000000000000aa.img";

/// A stick whose image was half replaced, and the scratch folder that completes it.
struct Half {
    place: Place,
}

impl Half {
    fn new() -> Half {
        let place = Place::new();
        let other = Place::new();
        let ran = run([
            "refresh".into(),
            other.stick().into_os_string(),
            "--yes".into(),
        ]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let new = fs::read(other.image()).unwrap();
        let half = Half { place };
        fs::create_dir(half.scratch()).unwrap();
        fs::write(half.scratch().join(NAME), &new).unwrap();
        let old = fs::read(half.place.image()).unwrap();
        let crc64 = crc::Crc::<u64>::new(&crc::CRC_64_XZ);
        let note = format!(
            r#"{{"scratch":"{NAME}","image":{{"bytes":{},"crc64":{},"replaces":{}}}}}"#,
            new.len(),
            crc64.checksum(&new),
            crc64.checksum(&old[..512])
        );
        fs::write(half.place.stick().join("LiveOS/sugar-cellar.json"), note).unwrap();
        half
    }

    /// Takes the old image's first sector, as a replacement begins.
    fn begun(self) -> Half {
        let mut image = fs::File::options()
            .write(true)
            .open(self.place.image())
            .unwrap();
        image.write_all(&[0; 512]).unwrap();
        image.seek(std::io::SeekFrom::Start(100_000)).unwrap();
        image.write_all(&[7; 10_000]).unwrap();
        self
    }

    fn scratch(&self) -> PathBuf {
        self.place.path().join("scratch")
    }

    fn run(&self, verb: &str, more: &[&str]) -> Ran {
        let mut arguments: Vec<OsString> = vec![verb.into(), self.place.stick().into()];
        arguments.extend(more.iter().map(Into::into));
        run(arguments)
    }

    /// The refresh that goes on with the scratch folder.
    fn refresh(&self) -> Ran {
        let scratch = self.scratch();
        self.run(
            "refresh",
            &["--yes", "--json", "--scratch", scratch.to_str().unwrap()],
        )
    }

    fn is_refreshed(&self) {
        let status = self.run("status", &["--json"]).json().pop().unwrap();
        assert_eq!(status["overlay"]["state"], "empty");
        assert_eq!(status["pending"], serde_json::Value::Null);
        assert_eq!(self.run("check", &[]).code, 0);
        assert_eq!(everything(&self.place.stick().join("LiveOS")).len(), 2);
        assert!(everything(&self.scratch()).is_empty());
    }
}

#[test]
fn a_half_replaced_image_is_told_and_left_alone() {
    let half = Half::new().begun();
    let before = everything(half.place.path());
    for contract in taking() {
        let ran = contract.on(half.place.stick(), true);
        assert_eq!((ran.code, ran.err.as_str()), (1, ""), "{}", contract.verb);
        let failed = ran.json().pop().unwrap();
        assert_eq!(failed["code"], "interrupted", "{}", contract.verb);
        let hint = failed["hint"].as_str().unwrap();
        assert!(hint.contains(NAME) && hint.contains("--scratch"), "{hint}");
        let words = contract.on(half.place.stick(), false);
        assert_eq!(words.code, 1, "{words:?}");
        assert!(words.err.contains("does not start"), "{}", words.err);
    }
    // Another folder, and one that is not there.
    let elsewhere = half.place.path().to_str().unwrap().to_owned();
    let ran = half.run("refresh", &["--yes", "--json", "--scratch", &elsewhere]);
    assert_eq!(ran.json().pop().unwrap()["code"], "interrupted");
    let ran = half.run(
        "refresh",
        &["--yes", "--json", "--scratch", "/nowhere/at/all"],
    );
    let failed = ran.json().pop().unwrap();
    assert_eq!((ran.code, &failed["code"]), (1, &"not_found".into()));
    assert!(everything(half.place.path()) == before);
}

#[test]
fn a_half_replaced_image_is_completed() {
    let half = Half::new().begun();
    let ran = half.refresh();
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    let lines = ran.json();
    assert_eq!(lines.last().unwrap()["event"], "finished");
    assert!(lines.iter().any(|line| line["stage"] == "commit"));
    half.is_refreshed();
}

#[test]
fn another_file_completes_nothing() {
    let half = Half::new().begun();
    let file = half.scratch().join(NAME);
    let mut bytes = fs::read(&file).unwrap();
    bytes[200_000] ^= 1;
    fs::write(&file, bytes).unwrap();
    let before = everything(half.place.path());
    let ran = half.refresh();
    assert_eq!(ran.code, 3, "{ran:?}");
    assert_eq!(ran.json().pop().unwrap()["code"], "refused");
    assert!(everything(half.place.path()) == before);
}

#[test]
fn what_was_not_begun_is_forgotten() {
    // With the scratch folder or without it: the old image is whole.
    let half = Half::new();
    let status = half.run("status", &["--json"]).json().pop().unwrap();
    assert_eq!(status["pending"], "cleanup");
    assert_eq!(half.run("plan", &[]).code, 0);
    assert_eq!(half.refresh().code, 0);
    half.is_refreshed();

    let half = Half::new();
    fs::remove_file(half.scratch().join(NAME)).unwrap();
    let ran = half.run("refresh", &["--yes"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    half.is_refreshed();
}

#[test]
fn a_scratch_folder_is_not_for_another_user() {
    let half = Half::new().begun();
    let before = everything(half.place.path());
    for more in [&["--replace"][..], &[]] {
        let mut helper = super::helper::command();
        helper
            .args(["refresh", "/dev/null", "--yes", "--json", "--scratch"])
            .arg(half.scratch())
            .args(more)
            .env("PKEXEC_UID", "1000");
        let ran = super::helper::finish(helper.spawn().unwrap());
        assert_eq!(ran.code, 1, "{ran:?}");
        let failed = ran.json().pop().unwrap();
        assert_eq!(failed["code"], "denied");
        let detail = failed["detail"].as_str().unwrap();
        assert!(detail.contains("scratch folder"), "{detail}");
    }
    assert!(everything(half.place.path()) == before);
}

/// Runs `script` where `$stick` is a stick on a file system of its own that has room for one image.
fn crowded(script: &str) -> Option<String> {
    let place = Place::new();
    // Where tests' other folders lie, it may be in memory.
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mount = r#"
set -eu
files=$(du -s --block-size=1024 "$original" | cut -f1)
mkdir "$place/crowded"
stick=$place/crowded
mount -t tmpfs -o size=$((files + 6300))k none "$stick"
cp -r "$original/LiveOS" "$stick"
code() { set +e; "$helper" "$@" </dev/null; echo "code $?"; set -e; }
state() { (cd "$stick/LiveOS" && sha256sum *); ls "$scratch"; }
"#;
    let variables = [("scratch", scratch.path())];
    let (said, err) = unshared(&place, &variables, &format!("{mount}{script}"))?;
    Some(said + &err)
}

#[test]
fn without_consent_it_is_refused() {
    let Some(said) = crowded(
        r#"
state >"$place/before"
code plan "$stick" --json
code plan "$stick" --json --scratch "$scratch"
code refresh "$stick" --json --yes
code refresh "$stick" --json --yes --scratch "$scratch"
code refresh "$stick" --yes
state >"$place/after"
cmp "$place/before" "$place/after"
echo end
"#,
    ) else {
        return;
    };
    assert_eq!(said.matches("code 3").count(), 5, "{said}");
    assert_eq!(said.matches(r#""mode":"scratch""#).count(), 2, "{said}");
    assert_eq!(said.matches(r#""scratch_bytes":"#).count(), 2, "{said}");
    assert_eq!(said.matches(r#""code":"no_space""#).count(), 4, "{said}");
    assert!(said.contains("--scratch DIR --replace"), "{said}");
    assert!(said.contains("the stick does not start"), "{said}");
}

#[test]
fn with_consent_it_is_done() {
    let Some(said) = crowded(
        r#"
code plan "$stick" --scratch "$scratch" --replace
code refresh "$stick" --yes --json --scratch "$scratch" --replace
code status "$stick" --json
code check "$stick"
state
"#,
    ) else {
        return;
    };
    assert_eq!(said.matches("code 0").count(), 4, "{said}");
    assert!(
        said.contains("Until this ends the stick does not start"),
        "{said}"
    );
    assert!(said.contains(r#""state":"empty""#), "{said}");
    assert!(said.contains(r#""pending":null"#), "{said}");
    assert!(
        !said.contains("sugar-cellar-0") && !said.contains("json\n"),
        "{said}"
    );
}

#[test]
fn a_scratch_folder_that_a_power_cut_empties_is_refused() {
    let Some(said) = crowded(
        r#"
memory=$place/memory
mkdir "$memory"
mount -t tmpfs none "$memory"
state >"$place/before"
code plan "$stick" --json --scratch "$memory" --replace
code refresh "$stick" --yes --scratch "$memory" --replace
state >"$place/after"
cmp "$place/before" "$place/after"
ls "$memory"
"#,
    ) else {
        return;
    };
    assert_eq!(said.matches("code 3").count(), 2, "{said}");
    assert_eq!(said.matches("lies in memory").count(), 2, "{said}");
}

/// Found before the new image is made, which takes its time, and not after.
#[test]
fn an_image_that_may_not_be_written_over() {
    let Some(said) = crowded(
        r#"
chmod 444 "$stick/LiveOS/squashfs.img"
state >"$place/before"
set +e
setpriv --bounding-set -dac_override "$helper" refresh "$stick" --yes --json --scratch "$scratch" --replace </dev/null
echo "code $?"
state >"$place/after"
cmp "$place/before" "$place/after" && echo same
"#,
    ) else {
        return;
    };
    assert!(said.contains("code 1"), "{said}");
    assert!(said.contains(r#""code":"denied""#), "{said}");
    assert!(said.contains("same"), "{said}");
    assert!(!said.contains(r#""stage":"build""#), "{said}");
}

/// Somebody who looks while it is at work is told that, and not that it was interrupted.
#[test]
fn what_is_at_work_was_not_interrupted() {
    let half = Half::new().begun();
    let live_os = fs::File::open(half.place.stick().join("LiveOS")).unwrap();
    rustix::fs::flock(&live_os, rustix::fs::FlockOperation::LockExclusive).unwrap();
    for contract in taking() {
        let ran = contract.on(half.place.stick(), true);
        let failed = ran.json().pop().unwrap();
        assert_eq!(failed["code"], "busy", "{}: {ran:?}", contract.verb);
    }
    drop(live_os);
    let ran = half.run("status", &["--json"]);
    assert_eq!(ran.json().pop().unwrap()["code"], "interrupted");
}
