//! Overlays that the kernel wrote, read by us.

use crate::harness::Machine;
use crate::sticks::{KernelStatus, Stick, carry_on, named, practised, written};
use std::fs::{self, File};
use std::path::Path;
use sugar_cellar::overlay::ExceptionStore;
use sugar_cellar::protocol::OverlayState;
use sugar_cellar::storage::{DiskFile, ReadAt};
use sugar_cellar::units::Bytes;

/// A store's figures as we give them.
pub fn figures(store: &ExceptionStore) -> KernelStatus {
    if !store.is_valid() {
        return KernelStatus::Invalid;
    }
    let figures = store.figures();
    KernelStatus::Figures(figures.used.0, figures.total.0, figures.metadata.0)
}

/// A store's file and list.
pub fn read(overlay: &Path, name: &str) -> (DiskFile, ExceptionStore) {
    let overlay = DiskFile::new(File::open(overlay).unwrap());
    let store = ExceptionStore::read(&overlay, None).expect(name);
    (overlay, store)
}

/// Image and overlay as we read them together.
pub fn merge(image: &Path, overlay: &Path, name: &str) -> Vec<u8> {
    let mut bytes = fs::read(image).unwrap();
    let (overlay, store) = read(overlay, name);
    let held = ExceptionStore::read(&overlay, Some(Bytes(bytes.len() as u64)));
    assert_eq!(held.expect(name), store, "{name}");
    let chunk = store.chunk_size();
    let mut buffer = vec![0; chunk.bytes().0 as usize];
    for exception in store.iter() {
        let from = chunk.offset(exception.new).unwrap().0;
        overlay.read_at(&mut buffer, from).unwrap();
        let to = chunk.offset(exception.old).unwrap().0 as usize;
        let end = bytes.len().min(to + buffer.len());
        bytes[to..end].copy_from_slice(&buffer[..end - to]);
    }
    bytes
}

#[test]
fn figures_equal_the_kernels() {
    let Some(machine) = Machine::get() else {
        return;
    };
    for stick in written(machine) {
        println!("{}: {:?}, live {:?}", stick.name, stick.status, stick.live);
        assert_eq!(
            figures(&read(&stick.overlay(), stick.name).1),
            stick.status,
            "{}",
            stick.name
        );
        // That it is full the kernel remembers, but does not write down.
        if let Some(live) = stick.live.filter(|live| *live != KernelStatus::Overflow) {
            assert_eq!(live, stick.status, "{}: live", stick.name);
        }
    }
}

#[test]
fn states_tell_what_happened() {
    let Some(machine) = Machine::get() else {
        return;
    };
    for stick in written(machine) {
        let state = match stick.name {
            "empty" | "empty-p" => OverlayState::Empty,
            "exactly-full" | "overflow-po" => OverlayState::Full,
            // Even with PO: the next area could not be wiped.
            "overflow-p" | "no-next-area" => OverlayState::Invalid,
            _ => OverlayState::Active,
        };
        assert_eq!(
            read(&stick.overlay(), stick.name).1.state(),
            state,
            "{}",
            stick.name
        );
    }
}

#[test]
fn image_and_overlay_are_what_the_kernel_merges() {
    let Some(machine) = Machine::get() else {
        return;
    };
    for stick in written(machine) {
        let Some(merged) = stick.merged() else {
            continue;
        };
        let bytes = merge(&stick.image(), &stick.overlay(), stick.name);
        assert!(bytes == fs::read(merged).unwrap(), "{}", stick.name);
    }
}

#[test]
fn the_kernel_goes_on_with_a_practice_stick_and_with_its_own() {
    let Some(machine) = Machine::get() else {
        return;
    };
    let folder = tempfile::tempdir_in(crate::harness::folder()).unwrap();
    let (live, overlay) = practised(&folder.path().join("practice"), 64, 1);
    let own = named(machine, "power-cut");
    let merged = own.merged().unwrap();
    let sticks = [
        Stick {
            name: "practice",
            image: &live.join("squashfs.img"),
            overlay: &live.join(&overlay),
            expected: None,
        },
        Stick {
            name: own.name,
            image: &own.image(),
            overlay: &own.overlay(),
            expected: Some(&merged),
        },
    ];
    let gone_on = carry_on(machine, "carrying on", &sticks, folder.path());
    for (stick, after) in sticks.iter().zip(&gone_on) {
        let ours = |path| figures(&read(path, stick.name).1);
        assert_eq!(ours(stick.overlay), after.opened, "{}", stick.name);
        assert_eq!(ours(&after.overlay), after.closed, "{}", stick.name);
    }
    assert_eq!(Some(&gone_on[1].files), own.files().as_ref());
}
