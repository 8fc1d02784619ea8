//! Overlays that the kernel wrote and we dropped and shifted chunks of: the kernel judges.

use crate::harness::{self, Machine};
use crate::kernel_written::{figures, merge, read};
use crate::model::alone::Alone;
use crate::refreshed::{Free, OVERLAY, compare, live_os};
use crate::sticks::{KernelStatus, Stick, Written, carry_on, copy, named, written};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use sugar_cellar::overlay::moves::{Keep, drop_chunks};
use sugar_cellar::overlay::size::grow;
use sugar_cellar::overlay::{Exception, ExceptionStore};
use sugar_cellar::progress::Silent;
use sugar_cellar::sources::Target;
use sugar_cellar::storage::{DiskFile, DiskFolder, ReadAt};
use sugar_cellar::tidy::{self, tidy};
use sugar_cellar::units::Bytes;

/// How long an overlay is made at least.
const ROOM: Bytes = Bytes(16 << 20);

/// Which exceptions the image takes over, so that the overlay may drop them.
#[derive(Debug, Clone, Copy)]
enum Absorbed {
    All,
    /// Every other one or so.
    Half,
    /// All but so many: the last ones by old chunk.
    AllBut(usize),
}

impl Absorbed {
    fn takes(self, number: usize, of: usize) -> bool {
        match self {
            Absorbed::All => true,
            // Runs of different lengths, on both sides.
            Absorbed::Half => number.wrapping_mul(2_654_435_761) >> 7 & 1 == 1,
            Absorbed::AllBut(kept) => number < of - kept,
        }
    }
}

/// An image that holds part of what the overlay holds, and a copy of the overlay without that part.
struct Moved {
    name: &'static str,
    image: PathBuf,
    overlay: PathBuf,
    expected: PathBuf,
    kept: u64,
    store: ExceptionStore,
}

fn moved(stick: &'static Written, absorbed: Absorbed, shift: bool, folder: &Path) -> Moved {
    let path = |what: &str| folder.join(format!("{}.{what}", stick.name));
    let (image, overlay) = (path("image"), path("overlay"));
    let expected = stick.merged().unwrap();
    copy(&stick.overlay(), &overlay);
    let file = File::options()
        .read(true)
        .write(true)
        .open(&overlay)
        .unwrap();
    let file = DiskFile::new(file);
    let store = ExceptionStore::read(&file, None).unwrap();

    let mut bytes = fs::read(stick.image()).unwrap();
    let merged = fs::read(&expected).unwrap();
    let chunk = store.chunk_size().bytes().0 as usize;
    let place = |exception: &Exception| {
        let start = exception.old.0 as usize * chunk;
        start..merged.len().min(start + chunk)
    };
    for (number, exception) in store.iter().enumerate() {
        if absorbed.takes(number, store.len()) {
            bytes[place(&exception)].copy_from_slice(&merged[place(&exception)]);
        }
    }
    fs::write(&image, &bytes).unwrap();

    let mut kept = 0;
    let mut equal = |exception: Exception| {
        let mut ours = vec![0; chunk];
        let from = store.chunk_size().offset(exception.new).unwrap();
        file.read_at(&mut ours, from.0).unwrap();
        let place = place(&exception);
        let equal = ours[..place.len()] == bytes[place];
        kept += u64::from(!equal);
        Ok(equal)
    };
    let store = if shift {
        let list = store.clone();
        tidy(&file, list, equal, || Ok(()), &Silent).unwrap().list
    } else {
        let keep = Keep::choose(store.clone(), |e| Ok(!equal(e)?), &Silent).unwrap();
        drop_chunks(&file, &keep).unwrap()
    };
    // To be written on, a store that was full needs room: the rescue's way.
    grow(&file, &store, ROOM).unwrap();
    let store = ExceptionStore::read(&file, None).unwrap();
    Moved {
        name: stick.name,
        image,
        overlay,
        expected,
        kept,
        store,
    }
}

#[test]
fn the_kernel_goes_on_with_what_drop_and_shift_left() {
    let Some(machine) = Machine::get() else {
        return;
    };
    let folder = tempfile::tempdir_in(harness::folder()).unwrap();
    let cases = [
        ("typical", Absorbed::Half, true),
        ("deletions", Absorbed::Half, false),
        ("chunk-16", Absorbed::Half, true),
        ("two-areas-exact", Absorbed::AllBut(256), true),
        ("overflow-po", Absorbed::All, true),
        ("power-cut", Absorbed::Half, true),
    ];
    let cases = cases.map(|(name, absorbed, shift)| {
        let stick = named(machine, name);
        (moved(stick, absorbed, shift, folder.path()), shift)
    });
    for (moved, shift) in &cases {
        let KernelStatus::Figures(used, _, metadata) = figures(&moved.store) else {
            panic!("{}: invalid", moved.name);
        };
        let areas = moved.kept / moved.store.layout().per_area();
        let chunk = moved.store.chunk_size().sectors().0;
        println!("{}: {} kept, {used} used", moved.name, moved.kept);
        if *shift {
            let expected = ((2 + moved.kept + areas) * chunk, (2 + areas) * chunk);
            assert_eq!((used, metadata), expected, "{}", moved.name);
        }
    }
    let sticks = cases.each_ref().map(|(moved, _)| Stick {
        name: moved.name,
        image: &moved.image,
        overlay: &moved.overlay,
        expected: Some(&moved.expected),
    });
    let after = carry_on(machine, "after drop and shift", &sticks, folder.path());
    for ((moved, _), after) in cases.iter().zip(&after) {
        assert_eq!(after.opened, figures(&moved.store), "{}", moved.name);
        let store = read(&after.overlay, moved.name).1;
        assert_eq!(after.closed, figures(&store), "{}", moved.name);
    }
}

#[test]
fn a_tidied_stick_reads_as_before() {
    let Some(machine) = Machine::get() else {
        return;
    };
    let folder = tempfile::tempdir_in(harness::folder()).unwrap();
    let mut sticks = Vec::new();
    for stick in written(machine) {
        let Some(merged) = stick.merged() else {
            continue;
        };
        let live = live_os(stick, folder.path());
        let target = Target {
            folder: &DiskFolder::open(&live).unwrap(),
            overlay: OVERLAY,
        };
        let tidied = tidy::stick(target, &Alone, &Silent).expect(stick.name);
        let (before, after) = (tidied.before, tidied.after);
        println!("{}: {} -> {} sectors", stick.name, before.used, after.used);
        let overlay = live.join(OVERLAY);
        let bytes = merge(&stick.image(), &overlay, stick.name);
        let expected = live.with_file_name("expected");
        fs::write(&expected, &bytes).unwrap();
        compare(stick.name, bytes, &merged, Free::Any);
        let listed = tidied.list.len() as u64;
        let areas = listed / tidied.list.layout().per_area();
        let chunks = if listed == 0 { 2 } else { 2 + listed + areas };
        assert_eq!(
            after.used.0,
            chunks * after.chunk.sectors().0,
            "{}",
            stick.name
        );
        if stick.name == "deletions" {
            assert!(after.used.0 * 3 < before.used.0, "{before:?} {after:?}");
        }
        sticks.push((stick, overlay, expected, tidied.list));
    }
    sticks.retain(|(stick, ..)| ["deletions", "chunk-1024", "power-cut"].contains(&stick.name));
    let images: Vec<_> = sticks.iter().map(|(stick, ..)| stick.image()).collect();
    let carried: Vec<_> = sticks
        .iter()
        .zip(&images)
        .map(|((stick, overlay, expected, _), image)| Stick {
            name: stick.name,
            image,
            overlay,
            expected: Some(expected),
        })
        .collect();
    let after = carry_on(machine, "after a tidy", &carried, folder.path());
    for ((stick, .., list), after) in sticks.iter().zip(&after) {
        assert_eq!(after.opened, figures(list), "{}", stick.name);
    }
}
