//! The kernel engine, in a guest that has device-mapper; and the kernel with stores that it would
//! not write itself.

use crate::harness::{self, Machine, run};
use crate::kernel_written::{figures, merge, read};
use crate::model::alone::Alone;
use crate::refreshed::{Free, OVERLAY, check, compare, inner, live_os, options};
use crate::sticks::{
    Disk, Format, KernelStatus, Written, copy, ext4_disk, named, parse_status, written,
};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use sugar_cellar::error::{Error, Part, Result};
use sugar_cellar::overlay::format::{SECTOR_ENTRIES, entry};
use sugar_cellar::overlay::size::ends_before_an_area;
use sugar_cellar::progress::{Progress, Silent};
use sugar_cellar::protocol::Stage;
use sugar_cellar::refresh::{Kernel, Options, plan, refresh};
use sugar_cellar::sources::{Target, Use};
use sugar_cellar::squash::Compression;
use sugar_cellar::storage::DiskFolder;

/// What is to be done in the guest.
const STEP: &str = "SUGAR_CELLAR_ENGINES";
/// An overlay as a drop that was cut leaves it.
const REPEATS: &str = "repeats";

/// A refresh by the kernel engine.
struct Case {
    name: &'static str,
    keep_deleted: bool,
    compression: Option<Compression>,
}

const fn case(name: &'static str, keep_deleted: bool) -> Case {
    Case {
        name,
        keep_deleted,
        // Emulated xz takes minutes.
        compression: Some(Compression::Lz4),
    }
}

const fn same_kind(name: &'static str, keep_deleted: bool) -> Case {
    Case {
        compression: None,
        ..case(name, keep_deleted)
    }
}

const CASES: &[Case] = &[
    same_kind("typical", false),
    same_kind("old-image", false),
    same_kind("chunk-16", true),
    case("typical", true),
    case("empty", true),
    case("deletions", false),
    case("chunk-32", true),
    case("two-areas-exact", true),
    case("exactly-full", true),
    case("overflow-po", true),
    case("reset", true),
    case("power-cut", false),
    case(REPEATS, true),
];

impl Case {
    fn place(&self, sticks: &Path) -> PathBuf {
        let Case {
            name, keep_deleted, ..
        } = self;
        sticks.join(format!("{name}.{keep_deleted}"))
    }

    fn stick(&self, machine: &Machine) -> &'static Written {
        let name = match self.name {
            REPEATS => "typical",
            name => name,
        };
        named(machine, name)
    }

    fn refresh(&self, live: &Path, progress: &dyn Progress) -> Result<()> {
        let folder = DiskFolder::open(live).unwrap();
        let target = Target {
            folder: &folder,
            overlay: OVERLAY,
        };
        let options = Options {
            compression: self.compression,
            keep_deleted: self.keep_deleted,
            threads: 2,
            ..options(Use::AtRest)
        };
        let kernel = Kernel::new(Path::new("/data/scratch"))?;
        let plan = plan(target, options, progress)?.by_kernel(kernel)?;
        refresh(plan.ready()?, &Alone, progress).map(drop)
    }
}

/// The first exceptions' slots are taken by repeats of those listed last, as a drop does it.
fn with_repeats(overlay: &Path) {
    let (_, list) = read(overlay, REPEATS);
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(overlay)
        .unwrap();
    let layout = list.layout();
    let place = |slot: u64| {
        let sector = layout.list_sector(slot / SECTOR_ENTRIES as u64).unwrap();
        sector.0 + slot % SECTOR_ENTRIES as u64 * 16
    };
    let mut stored = [0; 16];
    for slot in 0..list.listed() / 3 {
        file.read_exact_at(&mut stored, place(list.listed() - 1 - slot))
            .unwrap();
        file.write_all_at(&stored, place(slot)).unwrap();
    }
    // And one of the middle of a run stands last: the kernel puts runs together in memory, takes
    // the list from its end, and then finds the run where it looks for this one.
    let entries: Vec<[u8; 16]> = (0..list.listed())
        .map(|slot| {
            file.read_exact_at(&mut stored, place(slot)).unwrap();
            stored
        })
        .collect();
    let number = |entry: &[u8]| u64::from_le_bytes(entry.try_into().unwrap());
    let follows = |one: &[u8; 16], other: &[u8; 16]| {
        (0..2).all(|part| {
            let [one, other] = [one, other].map(|entry| number(&entry[8 * part..][..8]));
            one + 1 == other
        })
    };
    let from = entries.len() / 2;
    let run = entries[from..].windows(3);
    let middle = run
        .enumerate()
        .find(|(_, three)| follows(&three[0], &three[1]) && follows(&three[1], &three[2]));
    let middle = entries[from + middle.unwrap().0 + 1];
    file.write_all_at(&middle, place(list.listed() - 1))
        .unwrap();
    let after = read(overlay, REPEATS).1;
    assert!(after.len() < list.len() && after.listed() == list.listed());
}

/// One exception, listed three times.
fn one_three_times(overlay: &Path) {
    let mut store = vec![0; 1 << 20];
    let header =
        sugar_cellar::overlay::format::RawHeader::sector(sugar_cellar::units::ChunkSize::LIVE);
    store[..512].copy_from_slice(&header);
    for slot in 0..3 {
        store[4096 + 16 * slot..][..16].copy_from_slice(&entry(5, 2));
    }
    store[8192..12288].fill(0x5a);
    fs::write(overlay, store).unwrap();
}

#[test]
fn the_kernel_engine_gives_what_the_kernel_merges() {
    let Some(machine) = Machine::get() else {
        return;
    };
    let folder = tempfile::tempdir_in(harness::folder()).unwrap();
    let data = folder.path().join("data");
    let sticks = data.join("sticks");
    fs::create_dir_all(data.join("scratch")).unwrap();
    fs::create_dir_all(data.join("stores")).unwrap();
    for case in CASES {
        let live = live_os(case.stick(machine), folder.path());
        if case.name == REPEATS {
            with_repeats(&live.join(OVERLAY));
        }
        let to = case.place(&sticks);
        fs::create_dir_all(&to).unwrap();
        fs::rename(live, to.join("LiveOS")).unwrap();
    }
    let repeats = CASES.last().unwrap();
    let image = repeats.stick(machine).image();
    let odd = repeats.place(&sticks).join("LiveOS").join(OVERLAY);
    let expected = folder.path().join("expected");
    fs::write(&expected, merge(&image, &odd, REPEATS)).unwrap();
    copy(&odd, &data.join("stores/repeats.overlay"));
    copy(&image, &data.join("stores/repeats.image"));
    one_three_times(&data.join("stores/triple.overlay"));
    fs::write(data.join("stores/triple.image"), vec![1; 1 << 20]).unwrap();

    let disk = folder.path().join("disk");
    ext4_disk(&data, &disk, "4G", &["-O", "^has_journal"]);
    fs::remove_dir_all(&data).unwrap();
    let typical = CASES[0].stick(machine);
    let (squashfs, overlay) = (typical.squashfs(), typical.overlay());
    let fat = folder.path().join("fat");
    let fat = Disk::make(&fat, Format::Fat32, 120, &squashfs, &overlay);
    let said = machine
        .guest("engines")
        .disk(&disk)
        .disk(&fat.path)
        .program("engine-test", &std::env::current_exe().unwrap())
        .script("mount /dev/vda /data")
        .script(include_str!("guest/engines.sh"))
        .script("bare_merge repeats; bare_merge triple; fill 258; fill 259; fill 515; fill 516")
        .script("step refused; step cancelled; step refreshed; killed /dev/vdb; by_helper /dev/vdb")
        .script("umount /data")
        .run()
        .expect_ok();
    println!("{said}");

    let status = |what: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(what));
        parse_status(line.expect(what))
    };
    for (chunks, good) in [(258, false), (259, true), (515, false), (516, true)] {
        let invalid = status(&format!("filled {chunks}: ")) == KernelStatus::Invalid;
        assert_eq!(invalid, !good, "{chunks}");
    }

    // Without the repeats' being dropped first, the kernel gives it up half-way.
    assert!(said.contains("snapshot-merge Merge failed"));
    assert!(matches!(
        status("bare triple: "),
        KernelStatus::Figures(16, _, 16)
    ));

    fat.check();
    assert_eq!(fat.names(), [fat.overlay(), "squashfs.img".to_owned()]);
    assert!(said.contains(r#""event":"finished""#));
    let unpacked = folder.path().join("unpacked");
    run(Command::new("unsquashfs")
        .args(["-q", "-n", "-d"])
        .args([&unpacked, &fat.extract("squashfs.img")]));
    let bytes = fs::read(unpacked.join("LiveOS").join(typical.base.inner)).unwrap();
    compare("fat", bytes, &typical.merged().unwrap(), Free::Zero);

    run(Command::new("debugfs")
        .arg("-R")
        .arg(format!("rdump /sticks {}", folder.path().display()))
        .arg(&disk));
    for case in CASES {
        let stick = case.stick(machine);
        let live = case.place(&folder.path().join("sticks")).join("LiveOS");
        let mut names: Vec<_> = fs::read_dir(&live)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, [OVERLAY, "squashfs.img"], "{}", case.name);
        let store = read(&live.join(OVERLAY), case.name).1;
        let (chunk, total) = (store.chunk_size().sectors().0, store.total().0);
        let empty = KernelStatus::Figures(2 * chunk, total, 2 * chunk);
        assert_eq!(figures(&store), empty, "{}", case.name);
        let ours = inner(stick, &live);
        let free = if case.keep_deleted {
            Free::Same
        } else {
            Free::Zero
        };
        let bytes = fs::read(&ours).unwrap();
        if case.name == REPEATS {
            assert!(bytes == fs::read(&expected).unwrap());
            continue;
        }
        let zeroed = compare(case.name, bytes, &stick.merged().unwrap(), free);
        println!(
            "{} keep_deleted {}: {zeroed} bytes given back",
            case.name, case.keep_deleted
        );
        if case.name == "deletions" {
            assert!(zeroed > 4 << 20, "only {zeroed} bytes given back");
        }
        check(case.name, &ours);
    }
}

/// Of all stores, the one whose length is a trap is the one that the kernel gave up with `PO`.
#[test]
fn lengths_that_are_traps_are_known() {
    let Some(machine) = Machine::get() else {
        return;
    };
    for stick in written(machine) {
        let store = read(&stick.overlay(), stick.name).1;
        let trap = stick.name == "no-next-area";
        assert_eq!(ends_before_an_area(&store), trap, "{}", stick.name);
    }
}

/// What [`STEP`] asks for; run in the guest.
#[test]
fn inside() {
    let sticks = Path::new("/data/sticks");
    match std::env::var(STEP).as_deref() {
        Err(_) => {}
        Ok("refreshed") => {
            for case in CASES {
                let start = Instant::now();
                let progress = Monotonic::default();
                let live = case.place(sticks).join("LiveOS");
                case.refresh(&live, &progress).expect(case.name);
                println!("{}: {:.1} s", case.name, start.elapsed().as_secs_f64());
            }
        }
        Ok("cancelled") => {
            for stage in [Stage::Merge, Stage::Build, Stage::Verify] {
                unchanged(&CASES[1], &At(stage, AtomicBool::new(false)), |error| {
                    matches!(error, Error::Cancelled)
                });
            }
        }
        Ok("refused") => refused(),
        Ok(other) => panic!("{other}"),
    }
}

/// Fails, and leaves the stick as it was.
fn unchanged(case: &Case, progress: &dyn Progress, expected: impl Fn(&Error) -> bool) {
    let live = case.place(Path::new("/data/sticks")).join("LiveOS");
    let overlay = fs::read(live.join(OVERLAY)).unwrap();
    let image = fs::read(live.join("squashfs.img")).unwrap();
    let error = case.refresh(&live, progress).unwrap_err();
    assert!(expected(&error), "{error:?}");
    assert!(fs::read(live.join(OVERLAY)).unwrap() == overlay);
    assert!(fs::read(live.join("squashfs.img")).unwrap() == image);
    assert_eq!(fs::read_dir(&live).unwrap().count(), 2);
}

fn refused() {
    let missing = Kernel::new(Path::new("/data/none")).unwrap_err();
    assert!(
        matches!(
            missing,
            Error::NotFound {
                part: Part::Scratch,
                ..
            }
        ),
        "{missing:?}"
    );
    // A scratch folder of 8 MiB.
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=8M", "tmpfs", "/data/scratch"]));
    unchanged(&CASES[1], &Silent, |error| {
        let Error::NoSpace {
            part,
            needed,
            available,
        } = error
        else {
            return false;
        };
        *part == Part::Scratch && needed > available && available.0 <= 8 << 20
    });
    run(Command::new("umount").arg("/data/scratch"));
}

/// Ends it once a stage is on its way.
struct At(Stage, AtomicBool);

impl Progress for At {
    fn step(&self, stage: Stage, done: u64, _: u64) {
        if stage == self.0 && done > 0 {
            self.1.store(true, Ordering::Relaxed);
        }
    }

    fn cancelled(&self) -> bool {
        self.1.load(Ordering::Relaxed)
    }
}

/// Stages come in their order.
#[derive(Default)]
struct Monotonic(std::sync::Mutex<Vec<Stage>>);

impl Progress for Monotonic {
    fn step(&self, stage: Stage, done: u64, total: u64) {
        assert!(done <= total);
        let mut seen = self.0.lock().unwrap();
        if seen.last() != Some(&stage) {
            assert!(!seen.contains(&stage), "{stage:?} after {seen:?}");
            seen.push(stage);
        }
    }

    fn cancelled(&self) -> bool {
        false
    }
}
