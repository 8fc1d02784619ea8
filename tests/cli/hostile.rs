//! The helper under attack: odd descriptors, limits, permissions, names, and another user's paths.

use super::contracts::{Does, taking};
use super::helper::{Place, command, everything, finish, run};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs the helper from a shell that does `before` first.
fn from_shell(before: &str, arguments: &[&str], stick: &Path) -> (Option<i32>, String) {
    let script = format!("{before}\nexec \"$HELPER\" \"$@\"");
    let output = Command::new("sh")
        .args(["-c", &script, "sh"])
        .args(arguments)
        .arg(stick)
        .env("HELPER", env!("CARGO_BIN_EXE_sugar-cellar-helper"))
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said += &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said)
}

/// As `pkexec` starts it for somebody without rights.
fn for_another(arguments: &[&std::ffi::OsStr]) -> super::helper::Ran {
    let mut command = command();
    command.env("PKEXEC_UID", "1000").args(arguments);
    finish(command.spawn().unwrap())
}

fn whole(place: &Place) {
    let ran = run(["check".into(), place.stick().into_os_string()]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

/// What is opened first would be where words are written to.
#[test]
fn without_standard_descriptors_nothing_is_written_astray() {
    let place = Place::new();
    let script = "exec \"$0\" refresh \"$1\" --yes <&- >&- 2>&-";
    let status = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_sugar-cellar-helper")])
        .arg(place.stick())
        .status()
        .unwrap();
    assert!(status.success(), "{status:?}");
    whole(&place);
    let ran = run(["status".into(), place.stick().into_os_string()]);
    assert!(ran.out.starts_with("This stick is empty"), "{ran:?}");
}

#[test]
fn limits_are_errors_and_change_nothing() {
    for limit in ["ulimit -f 4000", "ulimit -n 8", "ulimit -f 0"] {
        let place = Place::new();
        // A file came and went: the folder's own time is another.
        let files = || {
            let all = everything(place.path()).into_iter();
            let files = all.filter(|(path, _)| path.is_file());
            files.collect::<Vec<_>>()
        };
        let before = files();
        let (code, said) = from_shell(
            &format!("{limit}; exec 3</dev/null"),
            &["refresh", "--yes"],
            &place.stick(),
        );
        assert_eq!(code, Some(1), "{limit}: {said}");
        assert!(said.contains("Details:"), "{limit}: {said}");
        assert!(files() == before, "{limit}");
        whole(&place);
    }
}

/// Who may read the image must not hang on who refreshed it; and no rights are lent.
#[test]
fn permissions_stay() {
    for (mode, kept) in [(0o644, 0o644), (0o640, 0o640), (0o4755, 0o755)] {
        let place = Place::new();
        fs::set_permissions(place.image(), fs::Permissions::from_mode(mode)).unwrap();
        let (code, said) = from_shell(
            "umask 077; exec 3</dev/null",
            &["refresh", "--yes"],
            &place.stick(),
        );
        assert_eq!(code, Some(0), "{said}");
        let now = fs::metadata(place.image()).unwrap().permissions().mode();
        assert_eq!(now & 0o7777, kept, "{mode:o}");
    }
}

/// Started through pkexec or sudo, what is made in /run and on a stick is for the learner to see.
#[test]
fn what_root_makes_is_for_all_to_read() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: needs root");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let stick = place.path().join("stick");
    let made = ["practice", "--size", "64"];
    let (code, said) = from_shell("umask 077; exec 3</dev/null", &made, &stick);
    assert_eq!(code, Some(0), "{said}");
    for path in [stick.join("LiveOS"), stick.join("LiveOS/squashfs.img")] {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o044, 0o044, "{}: {mode:o}", path.display());
    }
}

#[test]
fn names_are_no_commands_to_the_terminal() {
    let place = Place::new();
    let live_os = place.stick().join("LiveOS");
    fs::write(
        live_os.join("overlay-\u{1b}[31m\n\u{9b}\u{202e}-0000-0000"),
        "x",
    )
    .unwrap();
    let odd =
        std::ffi::OsString::from_vec(b"/nowhere\x1b[2J\n\xff\xc2\x9b\xe2\x80\xae/stick".to_vec());
    for contract in taking() {
        for stick in [place.stick().into_os_string(), odd.clone()] {
            let said = contract.on(&stick, false);
            let all = format!("{}{}", said.out, said.err);
            let harmless =
                |letter: char| letter == '\n' || !letter.is_control() && letter != '\u{202e}';
            assert!(all.chars().all(harmless), "{}: {all:?}", contract.verb);
            let said = contract.on(&stick, true);
            said.json();
            assert!(
                said.out.chars().all(harmless),
                "{}: {said:?}",
                contract.verb
            );
        }
    }
}

#[test]
fn arguments_may_be_anything() {
    let long = "x".repeat(100_000);
    for contract in taking() {
        for odd in [long.as_str(), "", "\u{202e}", "-", "..", "/dev/null/x"] {
            let ran = run([contract.verb, odd]);
            assert!(
                (1..=3).contains(&ran.code),
                "{} {odd:.20}: {ran:?}",
                contract.verb
            );
        }
    }
}

/// Whoever may have the helper run as root may not have it open what they name.
#[test]
fn another_users_paths_are_not_followed() {
    let place = Place::new();
    let link = place.path().join("link");
    symlink(place.stick(), &link).unwrap();
    let dots = Path::new("/dev/..").join(place.stick().strip_prefix("/").unwrap());
    let shm = tempfile::tempdir_in("/dev/shm").ok();
    let mut named = vec![place.stick(), place.image(), link, dots];
    if let Some(shm) = &shm {
        symlink(place.stick(), shm.path().join("stick")).unwrap();
        named.push(shm.path().join("stick"));
    }
    named.push("/dev/null".into());
    named.push("/dev/fd/0".into());
    let before = everything(place.path());
    for contract in taking() {
        for stick in &named {
            let mut arguments = vec![contract.verb.as_ref(), stick.as_os_str(), "--json".as_ref()];
            arguments.extend(contract.arguments.iter().map(std::ffi::OsStr::new));
            let ran = for_another(&arguments);
            let told = ran.json().pop().unwrap();
            assert_eq!(
                told["code"], "denied",
                "{} {stick:?}: {ran:?}",
                contract.verb
            );
        }
    }
    let made = place.path().join("made");
    for verb in ["practice", "generate"] {
        let ran = for_another(&[verb.as_ref(), made.as_os_str()]);
        assert_eq!(ran.code, 1, "{verb}: {ran:?}");
        assert!(!made.exists());
    }
    let scratch = [
        "refresh",
        "/dev/null",
        "--yes",
        "--engine",
        "kernel",
        "--scratch",
        "/tmp",
    ];
    let scratch: Vec<&std::ffi::OsStr> = scratch.iter().map(|one| one.as_ref()).collect();
    assert_eq!(for_another(&scratch).code, 1);
    assert!(everything(place.path()) == before);
}

/// Everything that a command opens to write, makes, renames or removes lies in LiveOS.
#[test]
fn nothing_outside_live_os_is_written() {
    let strace = Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .status();
    if !strace.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: strace is not installed");
        return;
    }
    for contract in taking().filter(|one| one.verb != "watch") {
        let place = Place::new();
        let log = place.path().join("calls");
        // An experiment works on a copy, in a folder of its own.
        let own = place.path().join("own");
        fs::create_dir(&own).unwrap();
        let output = Command::new("strace")
            .args([
                "-f",
                "-y",
                "-qq",
                "-s",
                "4096",
                "-e",
                "trace=%file,ftruncate,fchmod,fchown,fallocate",
            ])
            .arg("-o")
            .arg(&log)
            .arg(env!("CARGO_BIN_EXE_sugar-cellar-helper"))
            .arg(contract.verb)
            .arg(place.stick())
            .args(contract.arguments)
            .env("TMPDIR", &own)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        if String::from_utf8_lossy(&output.stderr).contains("ptrace") {
            eprintln!("SKIPPED: nothing may be traced here");
            return;
        }
        assert!(output.status.success(), "{}: {output:?}", contract.verb);
        let live_os = place.stick().join("LiveOS");
        let live_os = fs::canonicalize(live_os).unwrap();
        let text = fs::read_to_string(&log).unwrap();
        let written: BTreeSet<&str> = text.lines().filter(|line| writes(line)).collect();
        for line in &written {
            let inside = line.contains(&format!("<{}", live_os.display()))
                || contract.verb == "experiment" && line.contains(own.to_str().unwrap());
            // Without a journal, names are read anew from the device.
            let no_file = ["\"/dev/null\"", "\"/proc/sys/vm/drop_caches\""];
            assert!(
                inside || no_file.iter().any(|one| line.contains(one)),
                "{}: {line}",
                contract.verb
            );
        }
        assert_eq!(fs::read_dir(&own).unwrap().count(), 0, "{}", contract.verb);
        let changes = written.iter().any(|line| line.contains("LiveOS"));
        assert_eq!(
            changes,
            contract.does == Does::Change,
            "{}: {written:?}",
            contract.verb
        );
    }
}

/// Whether a line of strace's is a call that changes something, or opens something to be changed.
fn writes(line: &str) -> bool {
    let call = line
        .split_once(' ')
        .map_or(line, |(_, call)| call.trim_start());
    let name = call.split('(').next().unwrap_or_default();
    match name {
        "open" | "openat" | "openat2" | "creat" => {
            ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "creat("]
                .iter()
                .any(|flag| call.contains(flag))
        }
        "access" | "faccessat" | "faccessat2" | "stat" | "lstat" | "newfstatat" | "statx"
        | "statfs" | "readlink" | "readlinkat" | "execve" | "getcwd" | "chdir" | "fstatfs" => false,
        _ => {
            name.chars()
                .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
                && !name.is_empty()
        }
    }
}
