//! Sticks whose overlays the kernel wrote, with what the kernel says of them.
//!
//! Two guests write them, once a test run (and once for all where nothing
//! changed: they are kept below target/vm/sticks). Every overlay comes with its
//! image, the figures of `dmsetup status`, the bytes of the kernel's own
//! snapshot-merge, and the files in them.

mod carry_on;
mod content;
mod disk;
mod scenarios;

pub use carry_on::{Stick, carry_on, copy};
pub use content::Base;
pub use disk::{Disk, Format, practised};

use crate::harness::{self, Machine, run};
use scenarios::SCENARIOS;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A snapshot's line from `dmsetup status`, after the target's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelStatus {
    /// In sectors: allocated, total, metadata.
    Figures(u64, u64, u64),
    /// It was full once, and reads no more.
    Invalid,
    /// It is full, and takes no more.
    Overflow,
}

/// An overlay that the kernel wrote, and what it says of it.
#[derive(Debug)]
pub struct Written {
    /// The scenario's name.
    pub name: &'static str,
    /// Its image.
    pub base: Base,
    /// What the kernel said last while it was open to write; none after a power cut.
    pub live: Option<KernelStatus>,
    /// What the kernel says when it is opened again.
    pub status: KernelStatus,
    folder: PathBuf,
}

impl Written {
    /// The overlay. Not to be written: tests share it.
    pub fn overlay(&self) -> PathBuf {
        self.folder.join("out").join(self.name).join("overlay")
    }

    /// The compressed image. Not to be written.
    pub fn squashfs(&self) -> PathBuf {
        self.base.squashfs(&self.folder.join("images"))
    }

    /// The inner image.
    pub fn image(&self) -> PathBuf {
        self.base.image(&self.folder.join("images"))
    }

    /// What the kernel's snapshot-merge makes of both; none where the kernel calls the overlay invalid.
    pub fn merged(&self) -> Option<PathBuf> {
        let merged = self.overlay().with_file_name("merged.img");
        (self.status != KernelStatus::Invalid).then_some(merged)
    }

    /// The files in the merge after the kernel's replay of the journal, one line
    /// each, as `manifest` in guest/write.sh lists them; only of some.
    pub fn files(&self) -> Option<String> {
        fs::read_to_string(self.overlay().with_file_name("files")).ok()
    }
}

/// All of them, made by the kernel now or earlier.
pub fn written(machine: &Machine) -> &'static [Written] {
    static WRITTEN: OnceLock<Vec<Written>> = OnceLock::new();
    WRITTEN.get_or_init(|| {
        let folder = kept(machine);
        let status = |name: &str, file: &str| {
            let text = fs::read_to_string(folder.join("out").join(name).join(file)).ok()?;
            Some(parse_status(&text))
        };
        SCENARIOS
            .iter()
            .map(|scenario| Written {
                name: scenario.name,
                base: scenario.base,
                live: status(scenario.name, "live"),
                status: status(scenario.name, "status").expect(scenario.name),
                folder: folder.clone(),
            })
            .collect()
    })
}

/// The one of this name.
pub fn named(machine: &Machine, name: &str) -> &'static Written {
    let found = written(machine).iter().find(|stick| stick.name == name);
    found.unwrap_or_else(|| panic!("no scenario is called {name}"))
}

/// From `0 131072 snapshot 5648/65536 32`, without a device's name before it.
pub fn parse_status(line: &str) -> KernelStatus {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[3..] {
        ["Invalid"] => KernelStatus::Invalid,
        ["Overflow"] => KernelStatus::Overflow,
        [fill, metadata] => {
            let (used, total) = fill.split_once('/').expect(line);
            let [used, total, metadata] =
                [used, total, metadata].map(|number| number.parse().expect(line));
            KernelStatus::Figures(used, total, metadata)
        }
        _ => panic!("not a snapshot's status: {line}"),
    }
}

/// The folder with all that was made; made now where it is not there.
fn kept(machine: &Machine) -> PathBuf {
    let mut key = DefaultHasher::new();
    (
        include_str!("content.rs"),
        include_str!("scenarios.rs"),
        include_str!("../guest/write.sh"),
        machine.kernel_name(),
    )
        .hash(&mut key);
    let all = harness::folder().join("sticks");
    let folder = all.join(format!("{:016x}", key.finish()));
    if !folder.join("complete").exists() {
        let _ = fs::remove_dir_all(&all);
        fs::create_dir_all(&folder).unwrap();
        make(machine, &folder);
        fs::write(folder.join("complete"), "").unwrap();
    }
    folder
}

/// An ext4 disk with what is in `folder`.
pub fn ext4_disk(folder: &Path, disk: &Path, size: &str, options: &[&str]) {
    run(Command::new("mke2fs")
        .args(["-q", "-F", "-t", "ext4", "-m", "0"])
        .args(options)
        .arg("-d")
        .args([folder, disk])
        .arg(size));
}

fn guest<'m>(machine: &'m Machine, name: &str, disk: &Path, stick: &Path) -> harness::Guest<'m> {
    machine
        .guest(name)
        .disk(disk)
        .disk(stick)
        .script(include_str!("../guest/write.sh"))
}

fn make(machine: &Machine, folder: &Path) {
    let data = folder.join("data");
    let images = data.join("images");
    content::root(&folder.join("root"));
    content::saved(&data.join("saved"));
    for base in content::BASES {
        base.make(&folder.join("root"), &images);
    }
    let disk = folder.join("disk");
    ext4_disk(&data, &disk, "3G", &["-O", "^has_journal"]);

    // The disk on which the power is cut: a stick's own file system, with a journal.
    let stick = folder.join("stick");
    fs::create_dir_all(folder.join("empty")).unwrap();
    ext4_disk(&folder.join("empty"), &stick, "256M", &[]);

    let mut script = String::from("mount /dev/vda /data\n");
    for scenario in SCENARIOS.iter().filter(|scenario| !scenario.cut) {
        script += &scenario.script(&images);
        script += scenario.judge();
    }
    script += "umount /data\n";
    guest(machine, "the kernel writes", &disk, &stick)
        .script(&script)
        .run()
        .expect_ok();

    // The one scenario whose end is a power cut, on a disk of its own: what the
    // stick's own file system had not written yet is lost as well.
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.cut) {
        let script = format!(
            "mount -o ro /dev/vda /data; mkdir /run/out; mount /dev/vdb /run/out; outs=/run/out
            {}power_cut\n",
            scenario.script(&images)
        );
        guest(machine, "the power fails", &disk, &stick)
            .script(&script)
            .run()
            .expect_cut();
        let script = format!(
            "mount /dev/vda /data; mount /dev/vdb /mnt; mkdir -p /data/out/{0}
            cp --sparse=always /mnt/{0}/overlay /data/out/{0}/overlay; umount /mnt
            base={1}; open_image $base; out=/data/out/{0} overlay=/data/out/{0}/overlay
            {2}umount /data\n",
            scenario.name,
            scenario.base.name,
            scenario.judge(),
        );
        guest(machine, "after the power failed", &disk, &stick)
            .script(&script)
            .run()
            .expect_ok();
    }

    // Without a mount: the host's kernel may have neither loop devices nor a user with their rights.
    run(Command::new("debugfs")
        .arg("-R")
        .arg(format!("rdump /out {}", folder.display()))
        .arg(&disk));
    fs::rename(&images, folder.join("images")).unwrap();
    for leftover in ["root", "data", "empty"] {
        fs::remove_dir_all(folder.join(leftover)).unwrap();
    }
    for leftover in [disk, stick] {
        fs::remove_file(leftover).unwrap();
    }
}
