//! FAT sticks with entries in LiveOS that no system makes: names that are commands to a terminal, that are
//! no names, or that two files have; folders that hold themselves. Every command does what it is for, or
//! says why not and changes nothing; and what it says is harmless.

mod entries;

use crate::harness::{self, Machine, run};
use crate::sticks::{Disk, Format, practised};
use serde_json::Value;
use std::ffi::OsStr;
use std::process::Command;

/// A label, as a FAT has it, which the overlay has in its name.
const LABEL: &str = "\u{1b}[2J\nQ\u{7f}";
/// Begins a line where a name breaks one.
const BROKEN: &str = "Q";

#[test]
fn nothing_comes_of_odd_entries() {
    let Some(machine) = Machine::get() else {
        return;
    };
    let place = tempfile::tempdir_in(harness::folder()).unwrap();
    let (live_os, overlay) = practised(&place.path().join("practice"), 32, 1);
    let [image, overlay] = ["squashfs.img", &overlay].map(|name| live_os.join(name));
    let photo = place.path().join("photo.jpg");
    std::fs::write(&photo, "a photo").unwrap();
    let stick = |name: &str| {
        let disk = Disk::make(
            &place.path().join(name),
            Format::Fat32,
            64,
            &image,
            &overlay,
        );
        on(&disk, "mcopy", &[photo.as_os_str(), "::/".as_ref()]);
        disk
    };
    let odd_name = format!("overlay-{LABEL}-1234-ABCD");

    let sticks = [
        "names", "own", "slash", "nameless", "twice", "alias", "capitals", "circle", "endless",
    ];
    let disks = sticks.map(stick);
    let [
        names,
        named,
        slash,
        nameless,
        twice,
        alias,
        capitals,
        circle,
        endless,
    ] = &disks;
    hostile(names);
    entries::label(named, b"\x1b[2J\nQ\x7f    ");
    entries::rename(named, &named.overlay(), &units(&odd_name));
    entries::add(slash, &units("../../photo.jpg"));
    // Of letters that are no letters, nothing is left.
    entries::add(nameless, &[0xd800; 13]);
    entries::add(twice, &units("squashfs.img"));
    entries::add(twice, &units(&twice.overlay()));
    entries::add_alias(alias, "Harmless one", b"SQUASHFSNEW");
    // Also where a refresh was cut while it wrote the new image.
    on(capitals, "mdel", &["::/LiveOS/squashfs.img".as_ref()]);
    on(
        capitals,
        "mcopy",
        &[image.as_os_str(), "::/LiveOS/SQUASHFS.IMG".as_ref()],
    );
    on(
        capitals,
        "mcopy",
        &[photo.as_os_str(), "::/LiveOS/squashfs.new".as_ref()],
    );
    folder_of_itself(circle);
    entries::endless(endless);

    let mut guest = machine
        .guest("crafted")
        .script(include_str!("../guest/crafted.sh"));
    guest = guest.script(include_str!("../guest/live.sh"));
    for ((name, disk), letter) in sticks.iter().zip(&disks).zip('a'..) {
        let device = format!("/dev/vd{letter}");
        guest = guest
            .disk(&disk.path)
            .script(&format!("try {device} {name}"));
        let overlay = match *name {
            "own" => odd_name.clone(),
            "circle" | "endless" => continue,
            _ => disk.overlay(),
        };
        guest = guest.script(&format!("goes_on {device} '{overlay}'"));
    }
    let said = guest.run().expect_ok();
    let all: Vec<Ran<'_>> = said.split("\n<<").skip(1).map(Ran::parse).collect();
    assert_eq!(all.len(), sticks.len() * 12, "{said}");
    for ran in &all {
        ran.is_harmless();
        let expected = match (ran.stick, ran.verb()) {
            (_, "list") | ("names" | "own" | "twice" | "capitals", _) => 0,
            // The image would be written beside the old one under that very name.
            ("alias", verb) => i32::from(verb == "refresh"),
            // Linux does not read a folder with such names, or such a folder, at all.
            ("slash" | "nameless" | "endless", _) => 1,
            ("circle", "status" | "explain") => 0,
            ("circle", _) => 3,
            other => panic!("{other:?}"),
        };
        assert_eq!(ran.code, expected, "{ran:?}");
    }
    let status = |stick, json| {
        let one =
            |ran: &&Ran<'_>| ran.stick == stick && ran.verb() == "status" && ran.json() == json;
        all.iter().find(one).unwrap().said
    };
    // A person sees that there is something odd; a program gets the name as it is.
    assert!(
        status("own", false).contains("LiveOS/overlay-\u{fffd}[2J\u{fffd}Q\u{fffd}-1234-ABCD, ")
    );
    let json: Value = serde_json::from_str(status("own", true)).unwrap();
    assert_eq!(json["overlay"]["file"], format!("LiveOS/{odd_name}"));
    assert_eq!(json["stick"]["label"], LABEL);
    let unused = status("names", false)
        .lines()
        .filter(|line| line.starts_with("Not used: "));
    assert_eq!(unused.count(), 6, "{}", status("names", false));
}

/// Overlays that no boot uses, which a status names, and other files.
fn hostile(disk: &Disk) {
    for name in [
        "overlay-\u{1b}[31m\nQ\u{202e}-0000-0000",
        "overlay-\u{1b}]0;x\u{7}\r\u{8}\u{7f}",
        "overlay-\u{9b}2J\u{9d}x\u{9c}",
        "overlay-\u{202e}gmi.\u{2066}",
        "overlay-n\0behind",
        "..",
        "\n",
    ] {
        entries::add(disk, &units(name));
    }
    let mut halves = units("overlay-xy");
    halves.extend([0xdc00, 0xd800, 0xd800]);
    entries::add(disk, &halves);
    entries::add_short(disk, b"\x1b[2J\n\x07\x7f\x9bPWN");
    // 0x05 stands for 0xe5, which would mean that it was removed.
    entries::add_short(disk, b"\x05SQUASH\xffIMG");
}

/// An OverlayFS overlay that is LiveOS, and so lies in itself.
fn folder_of_itself(disk: &Disk) {
    let overlay = format!("::/LiveOS/{}", disk.overlay());
    on(disk, "mdel", &[overlay.as_ref()]);
    on(
        disk,
        "mmd",
        &[overlay.as_ref(), "::/LiveOS/ovlwork".as_ref()],
    );
    entries::circle(disk, b"OVERLA~1   ");
}

fn on(disk: &Disk, tool: &str, arguments: &[&OsStr]) {
    run(Command::new(tool).arg("-i").arg(&disk.path).args(arguments));
}

fn units(name: &str) -> Vec<u16> {
    name.encode_utf16().collect()
}

/// What one command came to.
#[derive(Debug)]
struct Ran<'a> {
    stick: &'a str,
    code: i32,
    arguments: &'a str,
    said: &'a str,
}

impl<'a> Ran<'a> {
    /// From `STICK CODE ARGUMENTS>>`, and what was said below.
    fn parse(text: &'a str) -> Ran<'a> {
        let (head, said) = text.split_once(">>\n").unwrap();
        let mut words = head.splitn(3, ' ');
        Ran {
            stick: words.next().unwrap(),
            code: words.next().unwrap().parse().unwrap(),
            arguments: words.next().unwrap(),
            said,
        }
    }

    fn verb(&self) -> &str {
        self.arguments.split(' ').next().unwrap_or_default()
    }

    fn json(&self) -> bool {
        self.arguments.ends_with("--json")
    }

    /// No name in it tells a terminal anything, and a program can read it.
    fn is_harmless(&self) {
        let around = ['\u{202a}'..='\u{202e}', '\u{2066}'..='\u{2069}'];
        let harmless = |letter: char| {
            letter == '\n'
                || !letter.is_control() && !around.iter().any(|some| some.contains(&letter))
        };
        assert!(!self.said.is_empty(), "{self:?}");
        assert!(self.said.chars().all(harmless), "{self:?}");
        let begin = |start: &str| {
            self.said
                .lines()
                .filter(|line| line.starts_with(start))
                .count()
        };
        assert_eq!(begin(BROKEN), 0, "{self:?}");
        if self.json() {
            for line in self.said.lines() {
                assert!(
                    serde_json::from_str::<Value>(line).unwrap().is_object(),
                    "{self:?}"
                );
            }
        } else {
            assert_eq!(begin("(Details: "), usize::from(self.code != 0), "{self:?}");
        }
    }
}
