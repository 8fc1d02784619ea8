//! What a cut leaves of a stick, booted by the kernel: a sample of the states that `tests/cuts.rs` and
//! `tests/refresh_cuts.rs` go through with a model of it.

use crate::harness::{self, Machine};
use crate::model::alone::Alone;
use crate::model::small::{OVERLAY, Small, files};
use crate::refreshed::options;
use crate::sticks::ext4_disk;
use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::Duration;
use sugar_cellar::error::Result;
use sugar_cellar::overlay::{ExceptionStore, size};
use sugar_cellar::progress::Silent;
use sugar_cellar::refresh::{self, SECOND};
use sugar_cellar::sources::{IMAGE, Target, Use};
use sugar_cellar::storage::fault::{FaultFolder, Rules};
use sugar_cellar::storage::{Folder, ReadAt};
use sugar_cellar::tidy;
use sugar_cellar::units::Bytes;

/// How many states, all operations together; `SUGAR_CELLAR_STATES=1000` takes more.
const STATES: usize = 24;
/// Tries to find different ones for each cut.
const SEEDS: u64 = 12;

/// Something that is done to a stick.
struct Operation {
    name: &'static str,
    /// Of eight states it gets so many.
    share: usize,
    run: fn(&FaultFolder) -> Result<()>,
    /// The helper's command that follows, STICK left out.
    next: &'static [&'static str],
}

const OPERATIONS: [Operation; 3] = [
    Operation {
        name: "refresh",
        share: 4,
        run: refresh,
        next: &["refresh", "--yes"],
    },
    Operation {
        name: "tidy",
        share: 2,
        run: |folder| tidy::stick(target(folder), &Alone, &Silent).map(|_| ()),
        next: &["tidy"],
    },
    Operation {
        name: "enlarge",
        share: 2,
        run: |folder| enlarge(target(folder)),
        next: &["refresh", "--yes"],
    },
];

fn target(folder: &FaultFolder) -> Target<'_, FaultFolder> {
    Target {
        folder,
        overlay: OVERLAY,
    }
}

fn refresh(folder: &FaultFolder) -> Result<()> {
    let plan = refresh::plan(target(folder), options(Use::AtRest), &Silent)?;
    refresh::refresh(plan.ready()?, &Alone, &Silent).map(drop)
}

/// Makes the overlay longer by a MiB.
pub fn enlarge<F: Folder>(target: Target<'_, F>) -> Result<()> {
    let store = target.folder.open_writable(target.overlay).unwrap();
    let list = ExceptionStore::read(&store, None)?;
    size::grow(&store, &list, Bytes(store.size().unwrap().0 + (1 << 20))).map(|_| ())
}

/// A state's files.
type Files = Vec<(&'static str, Vec<u8>)>;

/// A state that was found.
struct State {
    /// Where it was cut.
    at: String,
    call: usize,
    /// So many others were found at this call before.
    rank: usize,
    files: Files,
}

/// States that `operation` may leave when it is cut, each another one, in the order of its calls.
fn states(small: &Small, operation: &Operation) -> Vec<State> {
    let folder = small.folder.copy();
    (operation.run)(&folder).expect(operation.name);
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for cut in folder.trace().cuts() {
        let mut rank = 0;
        for seed in 0..SEEDS {
            let found = cut.crash(seed);
            let read = |name| Some((name, found.read(name).ok()?));
            let files: Files = [IMAGE, SECOND, OVERLAY]
                .into_iter()
                .filter_map(read)
                .collect();
            let mut key = DefaultHasher::new();
            files.hash(&mut key);
            if seen.insert(key.finish()) {
                let call = cut.calls();
                all.push(State {
                    at: format!("after call {call} ({}), seed {seed}", cut.last()),
                    call,
                    rank,
                    files,
                });
                rank += 1;
            }
        }
    }
    all
}

/// `count` of them: first one of every call.
fn sample(mut all: Vec<State>, count: usize) -> Vec<State> {
    all.sort_by_key(|state| (state.rank, state.call));
    all.truncate(count);
    all
}

#[test]
fn the_kernel_boots_what_a_cut_leaves() {
    let Some(machine) = Machine::get() else {
        return;
    };
    let wanted = std::env::var("SUGAR_CELLAR_STATES").map_or(STATES, |n| n.parse().unwrap());
    let place = tempfile::tempdir_in(harness::folder()).unwrap();
    let data = place.path().join("data");
    fs::create_dir_all(data.join("files")).unwrap();
    for (name, contents) in files() {
        fs::write(data.join("files").join(name), contents).unwrap();
    }
    let small = Small::new(Rules::Ext4, 8 << 20);
    let mut script = String::new();
    let mut tried = 0;
    for operation in &OPERATIONS {
        let all = states(&small, operation);
        let of = all.len();
        let some = sample(all, wanted * operation.share / 8);
        println!("{}: {} of {of} states", operation.name, some.len());
        for State { at, files, .. } in some {
            let name = format!("{}-{tried}", operation.name);
            println!("{name}: {at}");
            put(&data.join(&name), &files);
            let (verb, options) = operation.next.split_first().unwrap();
            let options = options.join(" ");
            script += &format!("live_on /data/{name} {verb} /data/{name} {options}\n");
            tried += 1;
        }
    }
    let disk = place.path().join("disk");
    let size = format!("{}M", 128 + 16 * tried);
    ext4_disk(&data, &disk, &size, &["-O", "^has_journal"]);
    fs::remove_dir_all(&data).unwrap();
    let said = machine
        .guest("cut states")
        .disk(&disk)
        .limit(Duration::from_secs(900 + 60 * tried))
        .script(&format!("OVERLAY={OVERLAY}; mkdir -p /run/squashfs"))
        .script("mount /dev/vda /data")
        .script(include_str!("guest/cut.sh"))
        .script(&script)
        .script("umount /data")
        .run()
        .expect_ok();
    println!("{said}");
    assert_eq!(said.matches("== ").count() as u64, tried);
}

fn put(folder: &Path, files: &Files) {
    let live = folder.join("LiveOS");
    fs::create_dir_all(&live).unwrap();
    for (name, contents) in files {
        fs::write(live.join(name), contents).unwrap();
    }
}
