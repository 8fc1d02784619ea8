//! The kernel goes on with sticks that we have written.

use super::{KernelStatus, content, ext4_disk, parse_status};
use crate::harness::{Machine, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A stick to go on with.
#[derive(Debug)]
pub struct Stick<'a> {
    /// Its name in the guest.
    pub name: &'a str,
    /// A SquashFS called squashfs.img, or else an inner image.
    pub image: &'a Path,
    /// Its overlay; copied, not written.
    pub overlay: &'a Path,
    /// What the root must read as, where that is known byte for byte.
    pub expected: Option<&'a Path>,
}

/// How it went on.
#[derive(Debug)]
pub struct CarriedOn {
    /// What the kernel said when it opened the overlay.
    pub opened: KernelStatus,
    /// What it said last.
    pub closed: KernelStatus,
    /// The files that it found, as `manifest` in guest/write.sh lists them.
    pub files: String,
    /// The overlay as the kernel left it.
    pub overlay: PathBuf,
}

/// Has the kernel open each stick, compare it, write on, close it and open it again.
///
/// `folder` takes what comes back.
///
/// # Panics
/// When anything reads otherwise than it should, or e2fsck finds something.
pub fn carry_on(machine: &Machine, name: &str, sticks: &[Stick], folder: &Path) -> Vec<CarriedOn> {
    let data = folder.join("data");
    content::saved(&data.join("saved"));
    let mut script = String::from("mount /dev/vda /data\n");
    for stick in sticks {
        let to = data.join("sticks").join(stick.name);
        fs::create_dir_all(&to).unwrap();
        let squashfs = stick.image.ends_with("squashfs.img");
        let image = if squashfs { "squashfs.img" } else { "image" };
        copy(stick.image, &to.join(image));
        copy(stick.overlay, &to.join("overlay"));
        if let Some(expected) = stick.expected {
            copy(expected, &to.join("expected"));
        }
        script += &format!("carry_on {}\n", stick.name);
    }
    script += "umount /data\n";
    let disk = folder.join("disk");
    ext4_disk(&data, &disk, "4G", &["-O", "^has_journal"]);
    fs::remove_dir_all(&data).unwrap();
    machine
        .guest(name)
        .disk(&disk)
        .script(include_str!("../guest/write.sh"))
        .script(include_str!("../guest/carry_on.sh"))
        .script(&script)
        .run()
        .expect_ok();

    sticks
        .iter()
        .map(|stick| {
            let back = |file: &str| {
                let to = folder.join(format!("{}.{file}", stick.name));
                let from = format!("/sticks/{}/{file}", stick.name);
                run(Command::new("debugfs")
                    .arg("-R")
                    .arg(format!("dump {from} {}", to.display()))
                    .arg(&disk));
                to
            };
            let text = |file: &str| fs::read_to_string(back(file)).unwrap();
            CarriedOn {
                opened: parse_status(&text("opened")),
                closed: parse_status(&text("live")),
                files: text("files"),
                overlay: back("overlay"),
            }
        })
        .collect()
}

/// A copy with its holes.
pub fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").arg("--sparse=always").args([from, to]));
}
