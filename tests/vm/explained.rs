//! What fills overlays that the kernel wrote, judged by debugfs on the kernel's own merge.

use crate::harness::{self, Machine};
use crate::judge;
use crate::kernel_written::read;
use crate::sticks::{KernelStatus, written};
use std::fs;
use sugar_cellar::explain::{Options, explain};
use sugar_cellar::progress::Silent;
use sugar_cellar::sources::{IMAGE, Target, Use};
use sugar_cellar::storage::DiskFolder;

#[test]
fn owners_are_those_that_debugfs_names() {
    let Some(machine) = Machine::get() else {
        return;
    };
    let place = tempfile::tempdir_in(harness::folder()).unwrap();
    let mut explained = 0;
    for stick in written(machine) {
        let Some(merged) = stick.merged() else {
            continue;
        };
        let live_os = place.path().join(stick.name);
        fs::create_dir(&live_os).unwrap();
        fs::hard_link(stick.squashfs(), live_os.join(IMAGE)).unwrap();
        fs::hard_link(stick.overlay(), live_os.join("overlay")).unwrap();
        let folder = DiskFolder::open(&live_os).unwrap();
        let target = Target {
            folder: &folder,
            overlay: "overlay",
        };
        let options = Options {
            used: Use::AtRest,
            compare: true,
            threads: 2,
        };
        let explanation = explain(target, options, &Silent).expect(stick.name);
        let (_, list) = read(&stick.overlay(), stick.name);
        judge::add_up(&explanation, &list, stick.name);
        if let KernelStatus::Figures(used, ..) = stick.status {
            assert_eq!(explanation.used_sectors.0, used, "{}", stick.name);
        }
        let image = place.path().join("merged.img");
        fs::copy(merged, &image).unwrap();
        judge::replay(&image);
        judge::judge(&image, &list).holds(&explanation, stick.name);
        println!("{}: {:?}", stick.name, explanation.sums);
        explained += 1;
    }
    assert!(explained > 10, "{explained}");
}
