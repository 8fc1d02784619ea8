//! Overlays that the kernel wrote, read by us.

use crate::harness::Machine;
use crate::sticks::{KernelStatus, Written, written};
use std::fs::{self, File};
use sugar_cellar::overlay::ExceptionStore;
use sugar_cellar::protocol::OverlayState;
use sugar_cellar::storage::{DiskFile, ReadAt};
use sugar_cellar::units::Bytes;

fn read(stick: &Written) -> (DiskFile, ExceptionStore) {
    let overlay = DiskFile::new(File::open(stick.overlay()).unwrap());
    let origin = fs::metadata(stick.image()).unwrap().len();
    let store = ExceptionStore::read(&overlay, Some(Bytes(origin))).expect(stick.name);
    (overlay, store)
}

#[test]
fn figures_equal_the_kernels() {
    let Some(machine) = Machine::get() else {
        return;
    };
    for stick in written(machine) {
        let (_, store) = read(stick);
        let figures = store.figures();
        let ours = if store.is_valid() {
            KernelStatus::Figures(figures.used.0, figures.total.0, figures.metadata.0)
        } else {
            KernelStatus::Invalid
        };
        println!("{}: {:?}, live {:?}", stick.name, stick.status, stick.live);
        assert_eq!(ours, stick.status, "{}", stick.name);
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
            "overflow-p" => OverlayState::Invalid,
            _ => OverlayState::Active,
        };
        assert_eq!(read(stick).1.state(), state, "{}", stick.name);
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
        let (overlay, store) = read(stick);
        let chunk = store.chunk_size();
        let mut bytes = fs::read(stick.image()).unwrap();
        let mut buffer = vec![0; chunk.bytes().0 as usize];
        for exception in store.iter() {
            let from = chunk.offset(exception.new).unwrap().0;
            overlay.read_at(&mut buffer, from).unwrap();
            let to = chunk.offset(exception.old).unwrap().0 as usize;
            let end = bytes.len().min(to + buffer.len());
            bytes[to..end].copy_from_slice(&buffer[..end - to]);
        }
        assert!(bytes == fs::read(merged).unwrap(), "{}", stick.name);
    }
}
