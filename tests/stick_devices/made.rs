//! Sticks to try it with, and what this machine says of them.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use sugar_cellar::error::ErrorKind;
use sugar_cellar::stick::layout::IMAGE;
use sugar_cellar::stick::{Access, ImageContent, Stick};
use tempfile::TempDir;

pub const MIB: u64 = 1 << 20;
pub const UUID: &str = "c7a1b9de-3c1f-4b0a-9f6e-001122334455";
pub const OVERLAY: &str = "overlay-SOAS-c7a1b9de-3c1f-4b0a-9f6e-001122334455";

/// Loop devices are the machine's: one test at a time looks at all of them.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    command.env("PATH", path);
    command
}

pub fn installed(program: &str) -> bool {
    let mut command = command(program);
    command.arg("--version");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok()
}

pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = command(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Makes a folder with the files of a stick.
pub fn put(folder: &Path) {
    let live_os = folder.join("LiveOS");
    fs::create_dir_all(&live_os).unwrap();
    for file in [IMAGE, OVERLAY, "overlay-OTHER-1"] {
        fs::write(live_os.join(file), vec![0; 8192]).unwrap();
    }
}

/// A place with an ext4 of 8 MiB that holds a stick.
pub struct Ext4 {
    pub place: TempDir,
}

impl Ext4 {
    pub fn new() -> Ext4 {
        Ext4::with(&[])
    }

    pub fn with(extra: &[&str]) -> Ext4 {
        let place = tempfile::tempdir().unwrap();
        let tree = place.path().join("tree");
        put(&tree);
        let image = place.path().join("ext4.img");
        File::create(&image).unwrap().set_len(8 * MIB).unwrap();
        let (tree, image) = (tree.to_str().unwrap(), image.to_str().unwrap());
        let mut options = vec!["-q", "-F", "-L", "SOAS", "-U", UUID];
        options.extend(extra);
        options.extend(["-d", tree, image]);
        run("mkfs.ext4", &options);
        Ext4 { place }
    }

    pub fn image(&self) -> PathBuf {
        self.place.path().join("ext4.img")
    }

    /// A disk of 32 MiB with this file system in partitions, as sfdisk's `script` says.
    pub fn disk(&self, script: &str, starts: &[u64]) -> PathBuf {
        let path = self.place.path().join("disk.img");
        File::create(&path).unwrap().set_len(32 * MIB).unwrap();
        let mut child = command("sfdisk")
            .args(["-q", "--no-reread", "--no-tell-kernel"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(script.as_bytes()).unwrap();
        drop(input);
        assert!(child.wait().unwrap().success());
        let bytes = fs::read(self.image()).unwrap();
        let mut disk = File::options().write(true).open(&path).unwrap();
        for start in starts {
            disk.seek(SeekFrom::Start(*start)).unwrap();
            disk.write_all(&bytes).unwrap();
        }
        path
    }
}

pub fn nested() -> ImageContent {
    ImageContent::Nested("LiveOS/rootfs.img".to_owned())
}

/// Loop devices bound to the file, whatever its name.
pub fn loops_of(path: &Path) -> Vec<String> {
    let wanted = fs::metadata(path).unwrap();
    let output = run("losetup", &["-l", "-n", "-O", "NAME,BACK-INO"]);
    let matching = output.lines().filter_map(|line| {
        let (name, inode) = line.trim().split_once(char::is_whitespace)?;
        (inode.trim() == wanted.ino().to_string()).then(|| name.to_owned())
    });
    matching.collect()
}

pub fn assert_let_go(path: &Path) {
    let end = Instant::now() + Duration::from_secs(10);
    while !loops_of(path).is_empty() {
        assert!(Instant::now() < end, "{:?}", loops_of(path));
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn mountinfo() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap()
}

pub fn digest(path: &Path) -> u32 {
    crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&fs::read(path).unwrap())
}

pub fn kind_of(path: &Path, access: Access) -> ErrorKind {
    let error = Stick::open(path, access).unwrap_err();
    eprintln!("{}: {error}", path.display());
    error.kind()
}

/// Held by `losetup` as long as it lives; mounted where asked.
pub struct Device {
    pub node: String,
    mounted: Option<TempDir>,
}

impl Device {
    pub fn new(path: &Path, options: &[&str]) -> Device {
        let mut arguments = vec!["-f", "--show"];
        arguments.extend(options);
        arguments.push(path.to_str().unwrap());
        Device {
            node: run("losetup", &arguments).trim().to_owned(),
            mounted: None,
        }
    }

    pub fn mount(&mut self, options: &str) -> PathBuf {
        let place = tempfile::tempdir().unwrap();
        let point = place.path().to_owned();
        run(
            "mount",
            &["-o", options, &self.node, point.to_str().unwrap()],
        );
        self.mounted = Some(place);
        point
    }

    pub fn unmount(&mut self) {
        if let Some(place) = self.mounted.take() {
            run("umount", &[place.path().to_str().unwrap()]);
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.unmount();
        run("losetup", &["-d", &self.node]);
    }
}
