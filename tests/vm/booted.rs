//! A live stick, booted for real: dracut's dmsquash-live builds its root, systemd runs in it.
//!
//! `make test-boot` runs these tests; they need debootstrap, dracut, and some minutes.

use crate::harness::{self, Machine};
use crate::sticks::{Disk, Format, KernelStatus, parse_status};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

/// What a learner does; the files are what the next boot must find.
const SAVE: &str = r#"
echo "booted: $(dmsetup status live-rw)"
mkdir -p /home/learner
head -c 6000000 /dev/urandom >/home/learner/photo
cp -r /usr/share/perl5 /home/learner/copied
rm -r /usr/share/zoneinfo
echo "the learner's" >/etc/motd
echo more >>/etc/hostname
sync
echo "saved: $(dmsetup status live-rw)"
cd /
find home/learner etc -xdev -type f ! -name '*-' ! -path etc/mtab -exec md5sum {} + | sort -k 2 | sed 's/^/file: /'
"#;

/// What is found, and that more can be saved.
const FIND: &str = r#"
echo "booted: $(dmsetup status live-rw)"
[ ! -e /usr/share/zoneinfo ]
cd /
find home/learner etc -xdev -type f ! -name '*-' ! -path etc/mtab -exec md5sum {} + | sort -k 2 | sed 's/^/file: /'
head -c 2000000 /dev/urandom >/home/learner/another
sync
"#;

const REFRESH: &str = r#"
sugar-cellar-helper refresh /dev/vda --yes --json </dev/null
sugar-cellar-helper check /dev/vda --json </dev/null
"#;

/// The live system, made once; none where nobody asked for it, and, loudly, where that cannot be done.
fn system(machine: &Machine) -> Option<PathBuf> {
    std::env::var_os("SUGAR_CELLAR_BOOT")?;
    if !rustix::process::geteuid().is_root() {
        harness::loud("SKIPPED: a live system is made by root");
        return None;
    }
    static MADE: Mutex<()> = Mutex::new(());
    let _one = MADE.lock().unwrap();
    let folder = harness::folder().join("live-root");
    let made = Command::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/vm/live-root.sh"
    ))
    .args([&folder, machine.root()])
    .output()
    .unwrap();
    assert!(made.status.success(), "{made:?}");
    Some(folder)
}

fn lines<'a>(said: &'a str, start: &'static str) -> Vec<&'a str> {
    said.lines()
        .filter_map(|line| line.strip_prefix(start))
        .collect()
}

/// Used sectors.
fn used(said: &str, when: &'static str) -> u64 {
    match lines(said, when)[..] {
        [line] => match parse_status(line) {
            KernelStatus::Figures(used, ..) => used,
            other => panic!("{other:?}"),
        },
        _ => panic!("{said}"),
    }
}

fn booted_and_refreshed(name: &str, format: Format) {
    let Some(machine) = Machine::get() else {
        return;
    };
    let Some(system) = system(machine) else {
        return;
    };
    let place = tempfile::tempdir_in(harness::folder()).unwrap();
    let overlay = place.path().join("overlay");
    File::create(&overlay).unwrap().set_len(96 << 20).unwrap();
    let squashfs = system.join("squashfs.img");
    let path = place.path().join("stick");
    let disk = Disk::make(&path, format, 320, &squashfs, &overlay);
    let initrd = system.join("initrd");
    let boot = |when: &str, script: &str| {
        machine
            .guest(&format!("live {name} {when}"))
            .disk(&disk.path)
            .live(&initrd)
            .script(script)
            .limit(Duration::from_secs(400))
            .run()
            .expect_ok()
    };
    let first = boot("first", SAVE);
    let filled = used(&first, "saved: ");
    assert!(filled > 16_000, "{first}");

    let said = machine
        .guest(&format!("live {name} refreshed"))
        .disk(&disk.path)
        .script(REFRESH)
        .run()
        .expect_ok();
    assert!(said.contains(r#""event":"finished""#), "{said}");
    let before = fs::metadata(squashfs).unwrap().len();
    let after = fs::metadata(disk.extract("squashfs.img")).unwrap().len();
    assert!(after > before, "{after}");

    let second = boot("second", FIND);
    assert_eq!(lines(&second, "file: "), lines(&first, "file: "));
    assert!(
        lines(&second, "file: ")
            .iter()
            .any(|line| line.ends_with("home/learner/photo"))
    );
    // What a start of the system itself writes is all that there is.
    let (fresh, again) = (used(&first, "booted: "), used(&second, "booted: "));
    println!(
        "{name}: {fresh} sectors after the first start, {filled} filled, {again} after the refresh"
    );
    assert!(again < fresh + 4096, "{again} of {filled}");
}

#[test]
fn a_fat_stick_boots_with_everything_after_a_refresh() {
    booted_and_refreshed("fat", Format::Fat32);
}

#[test]
fn an_ext4_stick_boots_with_everything_after_a_refresh() {
    booted_and_refreshed("ext4", Format::Ext4);
}
