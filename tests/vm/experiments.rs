//! The experiments' claims: the same steps under the real kernel.

use crate::harness::{self, Machine};
use crate::sticks::{Disk, KernelStatus, parse_status};
use std::collections::BTreeMap;
use sugar_cellar::experiment::{Tried, experiment};
use sugar_cellar::progress::Silent;
use sugar_cellar::protocol::Step;
use sugar_cellar::sources::Target;
use sugar_cellar::storage::DiskFolder;

/// Where the model changes a letter: block 60, byte 100.
const LETTER: u64 = 60 * 4096 + 100;

#[test]
fn the_kernel_agrees_with_the_model() {
    let Some(machine) = Machine::get() else {
        return;
    };
    let folder = tempfile::tempdir_in(harness::folder()).unwrap();
    // Another size and seed, so that it does not hold for one stick by chance.
    for (mebibytes, seed) in [(128, 9), (96, 5)] {
        let name = format!("stick-{seed}");
        let (disk, live, overlay) = Disk::practice(folder.path(), &name, (mebibytes, seed));
        let mut model = Vec::new();
        let target = Target {
            folder: &DiskFolder::open(&live).unwrap(),
            overlay: &overlay,
        };
        experiment(target, &Silent, |tried| model.push(tried)).unwrap();
        let picture = model[0].bytes.0;
        let said = disk
            .guest(machine, "experiments")
            .script(include_str!("guest/experiments.sh"))
            .script("live_root /dev/vda $OVERLAY")
            .script("mount -o noatime /dev/mapper/live-rw /mnt")
            .script(&format!(
                "experiments usr/share/doc/encyclopedia.txt {LETTER} {picture}"
            ))
            .script("umount /mnt; live_end")
            .run()
            .expect_ok();
        agree(&model, &figures(&said), picture / 512);
    }
}

/// What the store held after each step: "figure NAME: " and the status.
fn figures(said: &str) -> BTreeMap<&str, u64> {
    let figure = |line| -> Option<(&str, u64)> {
        let (name, status) = str::strip_prefix(line, "figure ")?.split_once(": ")?;
        let KernelStatus::Figures(used, ..) = parse_status(status) else {
            panic!("{line}");
        };
        Some((name, used))
    };
    said.lines().filter_map(figure).collect()
}

/// Every step does the same under both, within a fifth of what it is about.
fn agree(model: &[Tried], kernel: &BTreeMap<&str, u64>, picture: u64) {
    let steps: Vec<Step> = model.iter().map(|tried| tried.step).collect();
    assert_eq!(steps, Step::MODELLED);
    let mut before = kernel["begin"];
    assert_eq!(model[0].before.0, before);
    for tried in model {
        let name = serde_json::to_string(&tried.step).unwrap();
        let after = kernel[name.trim_matches('"')];
        let (ours, theirs) = (tried.after.0 - tried.before.0, after - before);
        let about = theirs.max(tried.bytes.0 / 512);
        println!("{name}: {ours} sectors by the model, {theirs} by the kernel, of {about}");
        assert!(ours.abs_diff(theirs) * 5 <= about, "{name}");
        // And the lesson says the same of both: a quarter of the size is a rise.
        let rises = |sectors: u64| sectors * 4 > tried.bytes.0 / 512;
        assert_eq!(rises(ours), rises(theirs), "{name}");
        before = after;
    }
    // What is told of steps that the learner takes on a stick in use: the one is as it comes, the
    // other always costs.
    let again = kernel["save_again"] - before;
    println!("saved again: {again} of {picture}");
    assert!(again * 4 <= picture * 5, "{again}");
    let copied = kernel["copy_folder"] - kernel["save_again"];
    println!("a folder copied: {copied}");
}
