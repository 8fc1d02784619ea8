//! A live stick, booted for real: dracut's dmsquash-live builds its root, systemd runs in it.
//!
//! `make test-boot` runs these tests; they need debootstrap, dracut, and some minutes.

use crate::harness::{self, Guest, Machine};
use crate::sticks::{Disk, Format, KernelStatus, parse_status};
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

/// How a start begins; `list` tells the files that the next one must find.
const LIST: &str = r#"
echo "booted: $(dmsetup status live-rw)"
cd /
list() { find home/learner etc -xdev -type f ! -name '*-' ! -path etc/mtab -exec md5sum {} + | sort -k 2 | sed "s/^/$1: /"; }
"#;

/// What a learner does.
const SAVE: &str = r#"
mkdir -p /home/learner
head -c 6000000 /dev/urandom >/home/learner/photo
cp -r /usr/share/perl5 /home/learner/copied
rm -r /usr/share/zoneinfo
echo "the learner's" >/etc/motd
echo more >>/etc/hostname
sync
echo "saved: $(dmsetup status live-rw)"
list file
"#;

/// What is found, and that more can be saved.
const FIND: &str = r#"
[ ! -e /usr/share/zoneinfo ]
list file
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

/// A stick that dracut starts, and the initramfs that it starts from.
pub struct Live<'m> {
    machine: &'m Machine,
    name: String,
    pub place: tempfile::TempDir,
    squashfs: PathBuf,
    initrd: PathBuf,
    disk: Disk,
}

impl<'m> Live<'m> {
    /// With the live system on it, and an overlay of so many MiB; none where [`system`] has none.
    pub fn stick(name: &str, format: Format, mib: u64, overlay_mib: u64) -> Option<Live<'m>> {
        let machine = Machine::get()?;
        let system = system(machine)?;
        let place = tempfile::tempdir_in(harness::folder()).unwrap();
        let overlay = place.path().join("overlay");
        let file = File::create(&overlay).unwrap();
        file.set_len(overlay_mib << 20).unwrap();
        let squashfs = system.join("squashfs.img");
        let path = place.path().join("stick");
        Some(Live {
            machine,
            name: name.to_owned(),
            disk: Disk::make(&path, format, mib, &squashfs, &overlay),
            initrd: system.join("initrd"),
            squashfs,
            place,
        })
    }

    /// A start of it, in which `script` runs behind [`LIST`]; `others` are its further disks.
    pub fn start(&self, when: &str, others: &[&Path], script: &str) -> Guest<'_> {
        let guest = self.guest(when);
        let guest = others.iter().fold(guest, |guest, other| guest.disk(other));
        guest
            .live(&self.initrd)
            .script(&format!("{LIST}{script}"))
            .limit(Duration::from_secs(1500))
    }

    /// A guest of another system that it is plugged into.
    fn guest(&self, when: &str) -> Guest<'_> {
        let title = format!("live {} {when}", self.name);
        self.machine.guest(&title).disk(&self.disk.path)
    }
}

pub fn lines<'a>(said: &'a str, start: &'static str) -> Vec<&'a str> {
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
    let Some(stick) = Live::stick(name, format, 320, 96) else {
        return;
    };
    let first = stick.start("first", &[], SAVE).run().expect_ok();
    let filled = used(&first, "saved: ");
    assert!(filled > 16_000, "{first}");

    let said = stick.guest("refreshed").script(REFRESH).run().expect_ok();
    assert!(said.contains(r#""event":"finished""#), "{said}");
    let before = fs::metadata(&stick.squashfs).unwrap().len();
    let after = stick.disk.extract("squashfs.img");
    let after = fs::metadata(after).unwrap().len();
    assert!(after > before, "{after}");

    let second = stick.start("second", &[], FIND).run().expect_ok();
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

/// Installs the helper, as a package would.
pub const INSTALL: &str = "
tar -x -C / -f /dev/vdb
systemctl daemon-reload
";

/// What every start of the running stick looks at, and adds: `ROUND` is its number.
const ROUND: &str = r#"
echo "state: $(sugar-cellar-helper status live --json)"
echo "left: $(ls /run/initramfs/live/LiveOS | tr '\n' ' ')"
mkdir -p /home/learner
list found
head -c 3000000 /dev/urandom >/home/learner/photoROUND
cp -r /usr/share/perl5 /home/learner/copiedROUND
rm -rf /home/learner/copied$((ROUND - 2))
sync
"#;

/// Refreshes the stick that it runs from, and saves meanwhile and behind it.
const REFRESH_LIVE: &str = r#"
( head -c 500000 /dev/urandom >/home/learner/duringROUND; sync; list synced ) &
sugar-cellar-helper refresh live --yes --json </dev/null
wait
echo "behind ROUND" >/home/learner/behindROUND
echo "edited in ROUND" >>/home/learner/photoROUND
sync
list synced
echo "refreshed: $(sugar-cellar-helper status live --json)"
"#;

/// How a start of the running stick goes on, and ends.
#[derive(Debug, Clone, Copy)]
enum Round {
    /// Refreshed, shut down and finished.
    Whole,
    /// The same, where dracut's own shutdown lies in /run/initramfs, as on a system that has dracut.
    WithDracut,
    /// The power is cut when this is said.
    CutAt(&'static str),
    /// Tidied at shutdown, with nothing to refresh.
    Tidied,
    /// Nothing but what is found, and saved.
    Plain,
}

/// Several rounds on one stick: refreshed while it runs, shut down, cut here and there.
fn running(name: &str, format: Format) {
    let Some(stick) = Live::stick(name, format, 560, 128) else {
        return;
    };
    let place = stick.place.path();
    let tools = tools(place);
    let dracut = place.join("dracut.tar");
    let unpack = r#"mkdir "$1" && cd "$1" && zstdcat "$0" | cpio -id --quiet && tar -cf "$2" ."#;
    harness::run(Command::new("sh").args(["-c", unpack]).args([
        &stick.initrd,
        &place.join("dracut"),
        &dracut,
    ]));
    let mut known: Vec<String> = Vec::new();
    let mut fresh = 0;
    // What was cut is finished by the round behind it, whatever that does.
    let rounds = [
        Round::Whole,
        Round::CutAt(r#""stage":"build""#),
        Round::Plain,
        Round::CutAt(r#""stage":"verify""#),
        Round::Whole,
        Round::CutAt("refreshed: "),
        Round::CutAt("Finishing the stick"),
        Round::WithDracut,
        Round::Tidied,
        Round::Plain,
    ];
    for (number, round) in rounds.into_iter().enumerate() {
        let mut script = String::new();
        if number == 0 {
            script += INSTALL;
        }
        script += ROUND;
        let mut cut_at = None;
        match round {
            Round::Whole => script += REFRESH_LIVE,
            Round::WithDracut => {
                script += "tar -x -C /run/initramfs -f /dev/vdc\n";
                script += REFRESH_LIVE;
            }
            Round::CutAt(mark) => {
                script += REFRESH_LIVE;
                cut_at = Some(mark);
            }
            Round::Tidied => script += "sugar-cellar-helper tidy live\nlist synced\n",
            Round::Plain => script += "list synced\n",
        }
        let script = script.replace("ROUND", &(number + 1).to_string());
        let mut guest = stick.start(&number.to_string(), &[&tools, &dracut], &script);
        if let Some(mark) = cut_at {
            guest = guest.cut_at(mark);
        }
        let output = guest.run();
        let console = output.console.clone();
        let said = match round {
            Round::CutAt(_) => output.expect_cut(),
            _ => output.expect_ok(),
        };
        let found = lines(&said, "found: ");
        for file in &known {
            assert!(
                found.contains(&file.as_str()),
                "{round:?} {number} lost {file}: {said}"
            );
        }
        let synced = lines(&said, "synced: ");
        let names = |line: &str| {
            line.split_whitespace()
                .last()
                .unwrap_or_default()
                .to_owned()
        };
        // The last list that was written whole; what is cut may lack it.
        known = match synced
            .iter()
            .rposition(|line| names(line) == names(synced[0]))
        {
            Some(last) => synced[last..].iter().map(|&line| line.to_owned()).collect(),
            None => {
                let removed = format!("home/learner/copied{}/", number as i64 - 1);
                let kept = found.iter().filter(|line| !line.contains(&removed));
                kept.map(|&line| line.to_owned()).collect()
            }
        };
        let now = used(&said, "booted: ");
        println!(
            "{name} {number}: {round:?}: started with {now} sectors, {}",
            lines(&said, "left: ")[0]
        );
        let finishing = console.contains("Finishing the stick");
        let waits = said.contains(r#""pending":"finish""#);
        assert!(
            !waits || finishing || matches!(round, Round::CutAt(_)),
            "{said}\n{console}"
        );
        if number == 0 {
            fresh = now;
        }
    }
    assert!(fresh > 0);
}

#[test]
fn a_running_fat_stick_is_refreshed_and_cut() {
    running("fat", Format::Fat32);
}

#[test]
fn a_running_ext4_stick_is_refreshed_and_cut() {
    running("ext4", Format::Ext4);
}

/// The helper and its unit, as they are installed.
pub fn tools(place: &Path) -> PathBuf {
    let tree = place.join("tools");
    let bin = tree.join("usr/bin");
    let units = tree.join("usr/lib/systemd/system");
    let wants = tree.join("etc/systemd/system/multi-user.target.wants");
    for folder in [&bin, &units, &wants] {
        fs::create_dir_all(folder).unwrap();
    }
    let helper = harness::stripped(Path::new(env!("CARGO_BIN_EXE_sugar-cellar-helper")));
    let program = bin.join("sugar-cellar-helper");
    fs::write(&program, helper).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let unit = "sugar-cellar-finish.service";
    let text = include_str!("../../data/sugar-cellar-finish.service.in");
    let text = text.replace("@helper@", "/usr/bin/sugar-cellar-helper");
    fs::write(units.join(unit), text).unwrap();
    symlink(format!("/usr/lib/systemd/system/{unit}"), wants.join(unit)).unwrap();
    let disk = place.join("tools.tar");
    harness::run(
        Command::new("tar")
            .arg("-C")
            .arg(&tree)
            .arg("-cf")
            .arg(&disk)
            .arg("."),
    );
    disk
}

/// Saves until nothing more fits.
const OVERFILL: &str = r#"
mkdir -p /home/learner
head -c 2000000 /dev/urandom >/home/learner/photo
cp -r /usr/share/perl5 /home/learner/copied
sync
list kept
head -c 80000000 /dev/urandom >/home/learner/too-much || true
sync || true
echo "full: $(dmsetup status live-rw)"
echo "cut now"
"#;

/// What a start from the full overlay comes to.
const START_FULL: &str = r#"
if dd if=/dev/urandom of=/home/learner/more bs=1M count=8 conv=fsync; then
    echo "start: more could be saved"
else
    echo "start: nothing could be saved"
fi
"#;

const RESCUE: &str = r#"
echo "full: $(sugar-cellar-helper status /dev/vda --json)"
sugar-cellar-helper enlarge /dev/vda +64M --json </dev/null
sugar-cellar-helper check /dev/vda --json </dev/null
sugar-cellar-helper refresh /dev/vda --yes --json </dev/null
echo "rescued: $(sugar-cellar-helper status /dev/vda --json)"
"#;

/// Dracut's last word before its shell.
const NO_ROOT: &str = "Can't mount root filesystem";

/// What becomes of a stick that is saved on until nothing more fits.
struct Full {
    /// The kernel's word for its store, and ours.
    state: (KernelStatus, &'static str),
    /// What its next start comes to, one of these: what it says, in this order, and no more.
    starts: &'static [&'static [&'static str]],
}

/// Fills the stick up, looks at what its next start comes to, rescues it, and starts it again.
fn rescued(stick: &Live<'_>, full: &Full) {
    // Such a system hardly shuts down any more: its power is cut, as people do.
    let filled = stick.start("filled", &[], OVERFILL).cut_at("cut now");
    let filled = filled.run().expect_cut();
    assert_eq!(parse_status(lines(&filled, "full: ")[0]), full.state.0);
    let kept = lines(&filled, "kept: ");
    assert!(kept.iter().any(|line| line.ends_with("home/learner/photo")));

    let mut again = stick.start("again", &[], START_FULL);
    for start in full.starts {
        again = again.cut_at(start.last().unwrap());
    }
    let again = again.run();
    let said = format!("{}{}", again.console, again.stdout);
    again.expect_cut();
    let in_order = |start: &&[&str]| {
        let mut rest = Some(&*said);
        for part in *start {
            rest = rest.and_then(|rest| Some(rest.split_once(part)?.1));
        }
        rest.is_some()
    };
    let ends = full.starts.iter().copied().find(in_order);
    let ends = ends.unwrap_or_else(|| panic!("{said}"));

    let rescue = stick.guest("rescued").script(RESCUE).run().expect_ok();
    let state = format!(r#""state":"{}""#, full.state.1);
    assert!(lines(&rescue, "full: ")[0].contains(&state), "{rescue}");

    let after = format!("list found\n{START_FULL}echo \"saved: $(dmsetup status live-rw)\"\n");
    let after = stick.start("after", &[], &after).run().expect_ok();
    let found = lines(&after, "found: ");
    for file in &kept {
        assert!(found.contains(file), "lost {file}: {after}");
    }
    assert_eq!(lines(&after, "start: "), ["more could be saved"]);
    let (booted, saved) = (used(&after, "booted: "), used(&after, "saved: "));
    println!(
        "{}: {:?}; {} files kept, {booted} sectors after the rescue, {saved} saved",
        stick.name,
        ends.last().unwrap(),
        kept.len()
    );
    // 8 MiB more, or nearly.
    assert!(saved > booted + 16_000, "{after}");
}

#[test]
fn a_full_stick_is_rescued() {
    let Some(stick) = Live::stick("full", Format::Fat32, 480, 40) else {
        return;
    };
    let full = Full {
        state: (KernelStatus::Overflow, "full"),
        starts: &[
            &["start: nothing could be saved"],
            // Where the root's journal has to be written back to blocks for which there is no room.
            &["Snapshot overflowed", "error loading journal", NO_ROOT],
        ],
    };
    rescued(&stick, &full);
}

/// dracut 043 and older asked for no `O`, and sticks that they start are still about.
#[test]
fn a_stick_that_no_longer_starts_is_rescued() {
    let Some(mut stick) = Live::stick("invalid", Format::Fat32, 480, 40) else {
        return;
    };
    stick.initrd.set_file_name("initrd-invalidates");
    let full = Full {
        state: (KernelStatus::Invalid, "invalid"),
        starts: &[&[
            "Snapshot is marked invalid.",
            "can't read superblock on /dev/mapper/live-rw.",
            NO_ROOT,
        ]],
    };
    rescued(&stick, &full);
}
