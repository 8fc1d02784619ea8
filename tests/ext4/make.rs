//! File systems to look at, made by e2fsprogs, which is also the judge.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use sugar_cellar::storage::DiskFile;

/// An image in a folder of its own that vanishes with it.
pub struct Image {
    folder: tempfile::TempDir,
}

impl Image {
    /// Makes a file system of `size` (as mke2fs takes it) with the learner's files in it.
    pub fn new(size: &str, options: &[&str]) -> Image {
        Image::of(size, options, Some(learner()))
    }

    /// Makes one with the files of `root`, or an empty one.
    pub fn of(size: &str, options: &[&str], root: Option<&Path>) -> Image {
        let image = Image {
            folder: tempfile::tempdir().unwrap(),
        };
        let mut command = tool("mke2fs");
        command.args(["-q", "-F", "-U", "01234567-89ab-cdef-0123-456789abcdef"]);
        command.args([
            "-L",
            "learner",
            "-E",
            "hash_seed=01234567-89ab-cdef-0123-456789abcdef",
        ]);
        if !options.contains(&"-t") {
            command.args(["-t", "ext4"]);
        }
        command.args(options);
        if let Some(root) = root {
            command.arg("-d").arg(root);
        }
        run(command.arg(image.path()).arg(size));
        image
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    pub fn bytes(&self) -> Vec<u8> {
        fs::read(self.path()).unwrap()
    }

    pub fn open(&self) -> DiskFile {
        DiskFile::new(File::open(self.path()).unwrap())
    }

    /// Runs debugfs's commands on it.
    pub fn debugfs(&self, commands: &str) -> String {
        let script = self.folder.path().join("script");
        fs::write(&script, commands).unwrap();
        run(tool("debugfs")
            .arg("-w")
            .arg("-f")
            .arg(&script)
            .arg(self.path())
            // Files that the script writes into it are named below here.
            .current_dir(learner()))
    }

    /// Runs tune2fs on it.
    pub fn tune2fs(&self, arguments: &[&str]) {
        run(tool("tune2fs").args(arguments).arg(self.path()));
    }

    /// Runs resize2fs on it: to `size`, or as small as it goes.
    pub fn resize2fs(&self, size: Option<&str>) {
        let mut command = tool("resize2fs");
        command.arg("-f").args(size.is_none().then_some("-M"));
        run(command.arg(self.path()).args(size));
    }

    /// Has e2fsck repair it.
    pub fn repair(&self) {
        let output = tool("e2fsck").arg("-fy").arg(self.path()).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    }

    /// What e2fsck finds, if anything.
    pub fn e2fsck(&self) -> Option<String> {
        e2fsck(&self.path())
    }

    /// The free runs in blocks as dumpe2fs lists them, and the size of a block.
    pub fn free(&self) -> (u64, Vec<(u64, u64)>) {
        let text = run(tool("dumpe2fs").arg(self.path()));
        let field = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
        };
        let block_bytes = field("Block size:");
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for line in text.lines() {
            let Some(list) = line.strip_prefix("  Free blocks: ") else {
                continue;
            };
            for run in list.split(", ").filter(|run| !run.is_empty()) {
                let (first, last) = run.split_once('-').unwrap_or((run, run));
                let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
                // A run may go on in the next group.
                match runs.last_mut() {
                    Some(before) if before.1 == first => before.1 = last + 1,
                    _ => runs.push((first, last + 1)),
                }
            }
        }
        assert_eq!(
            runs.iter().map(|(start, end)| end - start).sum::<u64>(),
            field("Free blocks:"),
            "dumpe2fs was understood"
        );
        (block_bytes, runs)
    }
}

/// What e2fsck -fn finds in the file system at `path`, if anything.
pub fn e2fsck(path: &Path) -> Option<String> {
    let output = tool("e2fsck").arg("-fn").arg(path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code() != Some(0)).then_some(text)
}

/// One of e2fsprogs' programs, which need not be in an ordinary user's path.
pub fn tool(name: &str) -> Command {
    let mut command = Command::new(name);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command.env("LC_ALL", "C");
    command.stdin(Stdio::null());
    command
}

/// Runs it to its end; what it wrote.
fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; e2fsprogs is needed"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}\n{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// A folder of files such as a learner has, with every kind that a block map takes.
pub fn learner() -> &'static Path {
    static ROOT: OnceLock<tempfile::TempDir> = OnceLock::new();
    ROOT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::write(root.join("tiny"), "a line that fits into an inode\n").unwrap();
        fs::write(root.join("empty"), "").unwrap();
        fs::write(root.join("picture"), vec![7; 700_000]).unwrap();
        // Every other block of 4 KiB: an extent each, several levels of them with small blocks.
        let holes = File::create(root.join("holes")).unwrap();
        for index in 0..700 {
            holes.write_all_at(&[9; 4096], index * 8192).unwrap();
        }
        // Far out: a triple indirect block where blocks have 1 KiB.
        let far = File::create(root.join("far")).unwrap();
        for megabytes in [0, 1, 30, 70] {
            far.write_all_at(&[5; 5000], megabytes << 20).unwrap();
        }
        symlink("short", root.join("short link")).unwrap();
        symlink("long/".repeat(30), root.join("long link")).unwrap();
        let journal = root.join("journal");
        fs::create_dir(&journal).unwrap();
        for index in 0..300 {
            let mut file = File::create(journal.join(format!("entry {index}"))).unwrap();
            file.write_all(&vec![index as u8; index * 37]).unwrap();
        }
        folder
    })
    .path()
}
