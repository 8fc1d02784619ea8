//! Who may look at a stick while another process writes to it, and what is left of one that is killed.

use crate::made::{Device, Ext4, MIB, assert_let_go, kind_of, loops_of, mountinfo};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;
use sugar_cellar::error::ErrorKind;
use sugar_cellar::stick::layout::IMAGE;
use sugar_cellar::stick::{Access, Stick};
use sugar_cellar::storage::{Folder, ReadAt};

/// Names the stick that the child process is to hold open.
const CHILD: &str = "SUGAR_CELLAR_TEST_STICK";

#[test]
fn the_same_image_is_written_by_one_only() {
    root_only!("mkfs.ext4", "losetup");
    let ext4 = Ext4::new();
    let path = ext4.image();
    let link = ext4.place.path().join("other name");
    fs::hard_link(&path, &link).unwrap();
    let stick = Stick::open(&path, Access::Write).unwrap();
    assert_eq!(kind_of(&path, Access::Write), ErrorKind::Busy);
    assert_eq!(kind_of(&link, Access::Write), ErrorKind::Busy);
    drop(stick);
    assert_let_go(&path);
    // Somebody else's loop device, by another name of the file.
    let device = Device::new(&link, &[]);
    assert_eq!(kind_of(&path, Access::Write), ErrorKind::Busy);
    drop(device);
    assert_let_go(&path);
    Stick::open(&path, Access::Write).unwrap();
}

/// Started by the tests below in a process of its own: holds a stick until it is killed.
#[test]
fn child_that_holds_a_stick() {
    let Some(path) = std::env::var_os(CHILD) else {
        return;
    };
    let (path, access) = match path.to_str().unwrap().split_once('=').unwrap() {
        ("write", path) => (path.to_owned(), Access::Write),
        (_, path) => (path.to_owned(), Access::Read),
    };
    let stick = Stick::open(Path::new(&path), access).unwrap();
    let file = stick.folder().open(IMAGE).unwrap();
    println!("HOLDING {}", file.size().unwrap());
    let mut asked = String::new();
    std::io::stdin().read_line(&mut asked).unwrap();
    stick.check_again().unwrap();
    println!("STILL HOLDING");
    std::thread::sleep(Duration::from_secs(60));
}

type Lines = std::io::Lines<BufReader<ChildStdout>>;

/// This program again, for that test.
fn holder(path: &Path, access: &str) -> Command {
    let mut holder = Command::new(std::env::current_exe().unwrap());
    holder
        .args([
            "--exact",
            "processes::child_that_holds_a_stick",
            "--nocapture",
        ])
        .env(CHILD, format!("{access}={}", path.display()));
    holder
}

fn child(path: &Path, access: &str) -> (Child, Lines) {
    let mut child = holder(path, access)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines.any(|line| line.unwrap().contains("HOLDING")),
        "the child failed"
    );
    (child, lines)
}

#[test]
fn a_killed_process_leaves_nothing() {
    root_only!("mkfs.ext4", "losetup", "sfdisk");
    let ext4 = Ext4::new();
    let disk = ext4.disk("label: dos\nstart=2048, size=16384, type=83\n", &[MIB]);
    let mounts = mountinfo();
    for path in [&ext4.image(), &disk] {
        for access in ["read", "write"] {
            let (mut child, _lines) = child(path, access);
            assert_eq!(loops_of(path).len(), 1);
            if access == "write" {
                assert_eq!(kind_of(path, Access::Write), ErrorKind::Busy);
            }
            child.kill().unwrap();
            child.wait().unwrap();
            assert_let_go(path);
            assert_eq!(mountinfo(), mounts);
            Stick::open(path, Access::Write).unwrap();
            assert_let_go(path);
        }
    }
}

/// A loop device that a reader puts on what somebody writes would end that work.
#[test]
fn nobody_looks_while_a_stick_is_written() {
    root_only!("mkfs.ext4", "losetup");
    let ext4 = Ext4::new();
    let device = Device::new(&ext4.image(), &[]);
    let node = PathBuf::from(&device.node);
    let writer = child(&node, "write");
    assert_eq!(kind_of(&node, Access::Read), ErrorKind::Busy);
    assert_eq!(loops_of(&node), [""; 0]);
    assert_still_held(writer);
    Stick::open(&node, Access::Read).unwrap();
    drop(device);
    assert_let_go(&ext4.image());

    let path = ext4.image();
    let writer = child(&path, "write");
    let loops = loops_of(&path);
    assert_eq!(kind_of(&path, Access::Read), ErrorKind::Busy);
    assert_eq!(loops_of(&path), loops);
    assert_still_held(writer);
    assert_let_go(&path);
    // Readers do not disturb each other.
    let readers = [0; 2].map(|_| Stick::open(&path, Access::Read).unwrap());
    assert_eq!(loops_of(&path).len(), readers.len());
}

/// The child's stick passes its check, and then it ends.
fn assert_still_held(mut writer: (Child, Lines)) {
    let mut input = writer.0.stdin.take().unwrap();
    input.write_all(b"\n").unwrap();
    let held = writer.1.any(|line| line.unwrap().contains("STILL HOLDING"));
    writer.0.kill().unwrap();
    writer.0.wait().unwrap();
    assert!(held, "looking ended the writer's work");
}

/// Whoever looks for a moment keeps nobody from writing.
#[test]
fn a_writer_waits_for_who_looks() {
    root_only!("mkfs.ext4", "losetup");
    let ext4 = Ext4::new();
    let device = Device::new(&ext4.image(), &[]);
    let node = PathBuf::from(&device.node);
    let look = |path: &Path| {
        let mut reader = child(path, "read").0;
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(1));
            reader.kill().unwrap();
            reader.wait().unwrap();
        })
    };
    let reader = look(&node);
    let stick = Stick::open(&node, Access::Write).unwrap();
    reader.join().unwrap();
    // Taken between opening and writing, and let go again.
    let above = Device::new(&node, &["-r"]);
    let above = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(1));
        drop(above);
    });
    stick.check_again().unwrap();
    above.join().unwrap();
    drop((stick, device));
    assert_let_go(&ext4.image());

    let reader = look(&ext4.image());
    Stick::open(&ext4.image(), Access::Write).unwrap();
    reader.join().unwrap();
}

/// Killed at any instant, opening leaves no loop device either.
#[test]
fn killed_while_opening_it_leaves_nothing() {
    root_only!("mkfs.ext4", "losetup");
    let ext4 = Ext4::new();
    let path = ext4.image();
    for step in 0..40 {
        let mut child = holder(&path, "write")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(500 * step));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_let_go(&path);
    Stick::open(&path, Access::Write).unwrap();
}
