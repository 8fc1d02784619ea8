//! A stick's whole file system in a file, as a disk for a guest. Made and read without a mount.

use crate::harness::{Guest, Machine, run};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;
use sugar_cellar::practice;
use sugar_cellar::progress::Silent;
use sugar_cellar::sources::IMAGE;

/// Makes a practice stick at `stick`; gives its folder LiveOS, and the overlay's name in it.
pub fn practised(stick: &Path, mebibytes: u64, seed: u64) -> (PathBuf, String) {
    let options = practice::Options {
        mebibytes,
        seed,
        compression: practice::Compression::Zstd,
    };
    practice::make(stick, &options, &Silent).unwrap();
    let live = stick.join("LiveOS");
    let names = fs::read_dir(&live).unwrap();
    let overlay = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .find(|name| name.starts_with("overlay-"))
        .unwrap();
    (live, overlay)
}

/// What a stick is formatted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Fat32,
    Ext4,
    /// FAT32 in the only partition of an MBR's table.
    Partition,
}

impl Format {
    /// The overlay's name in LiveOS.
    pub fn overlay(self) -> String {
        let uuid = match self {
            Format::Ext4 => EXT4_UUID,
            Format::Fat32 | Format::Partition => "1234-ABCD",
        };
        format!("overlay-STICK-{uuid}")
    }
}

/// A disk for a guest that is a stick.
#[derive(Debug)]
pub struct Disk {
    pub path: PathBuf,
    format: Format,
}

/// Where the partition begins, in bytes.
const PARTITION: u64 = 1 << 20;

impl Disk {
    /// A stick of so many MiB at `path`, with image and overlay under the name that dracut looks for.
    pub fn make(
        path: &Path,
        format: Format,
        mebibytes: u64,
        squashfs: &Path,
        overlay: &Path,
    ) -> Disk {
        Disk::holding(path, format, mebibytes, &[(squashfs, IMAGE)], overlay)
    }

    /// The same with these files in LiveOS, and the overlay under its name.
    pub fn holding(
        path: &Path,
        format: Format,
        mebibytes: u64,
        files: &[(&Path, &str)],
        overlay: &Path,
    ) -> Disk {
        let disk = Disk {
            path: path.to_owned(),
            format,
        };
        File::create(path)
            .unwrap()
            .set_len(mebibytes << 20)
            .unwrap();
        let name = disk.overlay();
        let files = files.iter().copied().chain([(overlay, &*name)]);
        if format == Format::Ext4 {
            let tree = tempfile::tempdir_in(path.parent().unwrap()).unwrap();
            let live = tree.path().join("LiveOS");
            fs::create_dir(&live).unwrap();
            files.for_each(|(from, name)| super::copy(from, &live.join(name)));
            run(Command::new("mke2fs")
                .args([
                    "-q", "-F", "-t", "ext4", "-L", "STICK", "-U", EXT4_UUID, "-d",
                ])
                .args([tree.path(), path]));
            return disk;
        }
        if format == Format::Partition {
            let table = tempfile::NamedTempFile::new().unwrap();
            fs::write(table.path(), "label: dos\nstart=1MiB, type=c, bootable\n").unwrap();
            let script = r#"sfdisk -q "$0" <"$1""#;
            run(Command::new("sh")
                .args(["-c", script])
                .args([path, table.path()]));
        }
        let kibibytes = (mebibytes << 10) - disk.offset() / 1024;
        run(Command::new("mkfs.vfat")
            .args(["-F", "32", "-n", "STICK", "-i", "1234ABCD"])
            .arg("--offset")
            .arg((disk.offset() / 512).to_string())
            .arg(path)
            .arg(kibibytes.to_string()));
        run(Command::new("mmd").args(["-i", &disk.mtools(), "::/LiveOS"]));
        for (from, name) in files {
            run(Command::new("mcopy")
                .args(["-i", &disk.mtools()])
                .arg(from)
                .arg(format!("::/LiveOS/{name}")));
        }
        disk
    }

    /// As [`Disk::make`] on ext4, `name` in `folder`, of the practice stick of this size and seed that it
    /// makes there; gives its folder LiveOS, and the overlay's name in it, too.
    pub fn practice(
        folder: &Path,
        name: &str,
        (mebibytes, seed): (u64, u64),
    ) -> (Disk, PathBuf, String) {
        let made = format!("{name}-practice");
        let (live, overlay) = practised(&folder.join(made), mebibytes, seed);
        let disk = Disk::make(
            &folder.join(name),
            Format::Ext4,
            160,
            &live.join("squashfs.img"),
            &live.join(&overlay),
        );
        (disk, live, overlay)
    }

    /// A guest that has it as its first disk, the overlay's name as `$OVERLAY`, and the live root's set-up.
    pub fn guest<'m>(&self, machine: &'m Machine, name: &str) -> Guest<'m> {
        machine
            .guest(name)
            .disk(&self.path)
            .script(&format!("OVERLAY={}", self.overlay()))
            .script(include_str!("../guest/live.sh"))
    }

    /// The overlay's name in LiveOS.
    pub fn overlay(&self) -> String {
        self.format.overlay()
    }

    /// A copy of a file in LiveOS, beside the disk.
    pub fn extract(&self, name: &str) -> PathBuf {
        let folder = self.path.with_extension("extracted");
        fs::create_dir_all(&folder).unwrap();
        let to = folder.join(name);
        match self.format {
            Format::Ext4 => run(Command::new("debugfs")
                .arg("-R")
                .arg(format!("dump /LiveOS/{name} {}", to.display()))
                .arg(&self.path)),
            Format::Fat32 | Format::Partition => run(Command::new("mcopy")
                .args(["-n", "-i", &self.mtools()])
                .arg(format!("::/LiveOS/{name}"))
                .arg(&to)),
        };
        to
    }

    /// The names in LiveOS, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = if self.format == Format::Ext4 {
            let listed = run(Command::new("debugfs")
                .args(["-R", "ls -p /LiveOS"])
                .arg(&self.path));
            // /inode/mode/user/group/name/size/; inode 0 is a name that is gone
            let entries = listed.lines().filter(|line| !line.starts_with("/0/"));
            let names = entries.filter_map(|line| line.split('/').nth(5));
            names.map(str::to_owned).collect()
        } else {
            let listed = run(Command::new("mdir").args(["-b", "-i", &self.mtools(), "::/LiveOS"]));
            let names = listed.lines().filter_map(|line| line.rsplit('/').next());
            names.map(str::to_owned).collect()
        };
        names.retain(|name| !matches!(&**name, "" | "." | ".."));
        names.sort();
        names
    }

    /// Its file system's own checker finds nothing.
    pub fn check(&self) {
        let mut part = tempfile::NamedTempFile::new_in(self.path.parent().unwrap()).unwrap();
        let mut disk = File::open(&self.path).unwrap();
        disk.seek(SeekFrom::Start(self.offset())).unwrap();
        std::io::copy(&mut disk, &mut part).unwrap();
        match self.format {
            Format::Ext4 => run(Command::new("e2fsck").arg("-fn").arg(part.path())),
            Format::Fat32 | Format::Partition => {
                run(Command::new("fsck.vfat").arg("-n").arg(part.path()))
            }
        };
    }

    fn offset(&self) -> u64 {
        if self.format == Format::Partition {
            PARTITION
        } else {
            0
        }
    }

    fn mtools(&self) -> String {
        format!("{}@@{}", self.path.display(), self.offset())
    }
}

const EXT4_UUID: &str = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";
