//! Arrows point down: a room uses only rooms of lower levels, and nothing uses the window.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, from the ground up. Rooms of one level do not know each other.
const LEVELS: [&[&str]; 10] = [
    &["units", "system", "lanes"],
    &["error"],
    &["protocol", "storage", "parallel", "program"],
    &["progress"],
    &["squash", "ext4", "overlay", "stick", "clutter"],
    &["shutdown", "clean", "prevent"],
    &["merged", "practice", "status"],
    &["sources"],
    &["tidy", "check", "explain", "experiment"],
    &["refresh"],
];

fn level(room: &str) -> Option<usize> {
    LEVELS.iter().position(|rooms| rooms.contains(&room))
}

/// Every Rust file of a room: `src/room.rs`, or all below `src/room`.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        found.extend(files(&entry.unwrap().path()));
    }
    found.retain(|file| file.extension().is_some_and(|end| end == "rs"));
    found
}

/// The rooms that a file names after `crate::`, alone or in braces.
fn used(text: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        let inside = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        text.trim_start().chars().take_while(inside).collect()
    };
    let mut rooms = BTreeSet::new();
    for (at, found) in text.match_indices("crate::") {
        let rest = &text[at + found.len()..];
        match rest.strip_prefix('{') {
            Some(list) => {
                let end = list.find('}').unwrap_or(list.len());
                rooms.extend(list[..end].split(',').map(word));
            }
            None => {
                rooms.insert(word(rest));
            }
        }
    }
    rooms.remove("");
    rooms
}

#[test]
fn rooms_use_only_what_lies_below() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(&source).unwrap() {
        let path = entry.unwrap().path();
        let room = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if ["lib", "bin", "app"].contains(&room.as_str()) {
            continue;
        }
        // The helper stands on all others.
        let own = if room == "helper" {
            LEVELS.len()
        } else {
            level(&room).unwrap_or_else(|| panic!("{room} has no level: give it one"))
        };
        for file in files(&path) {
            for used in used(&fs::read_to_string(&file).unwrap()) {
                let below = used == room || level(&used).is_some_and(|used| used < own);
                assert!(
                    below,
                    "{} uses {used}, which is not below {room}",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn the_window_opens_no_device() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/app");
    for file in files(&source) {
        let text = fs::read_to_string(&file).unwrap();
        for (at, found) in text.match_indices("sugar_cellar::") {
            let rest = &text[at + found.len()..];
            // Those of the helper's are about words.
            let known = [
                "protocol",
                "error",
                "units",
                "lanes",
                "helper::locale",
                "helper::kinds",
                "helper::steps",
                "{",
            ];
            let line = rest.lines().next().unwrap();
            assert!(
                known.iter().any(|room| rest.starts_with(room)),
                "{}: {line}",
                file.display()
            );
        }
    }
}
