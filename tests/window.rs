//! The window on a display of its own, read and driven through AT-SPI as a screen reader does
//! (tests/ui); the same with a real polkitd; and the data that it is installed with.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// One at a time: each has the machine's time limits to keep, and the display's keyboard.
static TURN: Mutex<()> = Mutex::new(());

/// Runs a script of the project's to its end. What it skips is said past the test's runner, which
/// hides what passing tests print.
fn run(script: &str, arguments: &[&str]) {
    let _turn = TURN.lock().unwrap_or_else(|other| other.into_inner());
    let programs = Path::new(env!("CARGO_BIN_EXE_sugar-cellar"));
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(script))
        .args(arguments)
        .env("CELLAR_PROGRAMS", programs.parent().unwrap())
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        output.status.success(),
        "{script}: {}\n{said}",
        output.status
    );
    for line in said.lines().filter(|line| line.contains("SKIPPED")) {
        let _ = writeln!(std::io::stderr(), "\n{line}");
    }
}

#[test]
fn its_data_is_valid() {
    run("data/validate", &[]);
}

#[test]
fn it_is_read_and_driven() {
    run("tests/ui/run", &[]);
}

#[test]
fn it_asks_polkit() {
    run("tests/ui/polkit", &[]);
}
