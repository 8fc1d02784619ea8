//! Sticks as disk images and devices, on this machine's own kernel. For root; skipped, loudly,
//! for anybody else, and where a program or a file system is missing. (FAT and device-mapper
//! are tried in the virtual machine.)

#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use sugar_cellar::error::{Error, ErrorKind};
use sugar_cellar::stick::layout::IMAGE;
use sugar_cellar::stick::{Access, ImageContent, InUse, Left, Stick};
use sugar_cellar::storage::{Folder, ReadAt, Storage};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
const UUID: &str = "c7a1b9de-3c1f-4b0a-9f6e-001122334455";
const OVERLAY: &str = "overlay-SOAS-c7a1b9de-3c1f-4b0a-9f6e-001122334455";
/// Names the stick that the child process is to hold open.
const CHILD: &str = "SUGAR_CELLAR_TEST_STICK";

/// Loop devices are the machine's: one test at a time looks at all of them.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

macro_rules! root_only {
    ($($program:literal),*) => {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: needs root");
            return;
        }
        if !Path::new("/dev/loop-control").exists() {
            eprintln!("SKIPPED: there are no loop devices here");
            return;
        }
        $(if !installed($program) {
            eprintln!("SKIPPED: {} is not installed", $program);
            return;
        })*
        let _alone = alone();
    };
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    command.env("PATH", path);
    command
}

fn installed(program: &str) -> bool {
    let mut command = command(program);
    command.arg("--version");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok()
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = command(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A place with an ext4 of 8 MiB that holds a stick.
struct Ext4 {
    place: TempDir,
}

impl Ext4 {
    fn new() -> Ext4 {
        Ext4::with(&[])
    }

    fn with(extra: &[&str]) -> Ext4 {
        let place = tempfile::tempdir().unwrap();
        let tree = place.path().join("tree");
        fs::create_dir_all(tree.join("LiveOS")).unwrap();
        for file in [IMAGE, OVERLAY, "overlay-OTHER-1"] {
            fs::write(tree.join("LiveOS").join(file), vec![0; 8192]).unwrap();
        }
        let image = place.path().join("ext4.img");
        File::create(&image).unwrap().set_len(8 * MIB).unwrap();
        let (tree, image) = (tree.to_str().unwrap(), image.to_str().unwrap());
        let mut options = vec!["-q", "-F", "-L", "SOAS", "-U", UUID];
        options.extend(extra);
        options.extend(["-d", tree, image]);
        run("mkfs.ext4", &options);
        Ext4 { place }
    }

    fn image(&self) -> PathBuf {
        self.place.path().join("ext4.img")
    }

    /// A disk of 32 MiB with this file system in partitions, as sfdisk's `script` says.
    fn disk(&self, script: &str, starts: &[u64]) -> PathBuf {
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

fn nested() -> ImageContent {
    ImageContent::Nested("LiveOS/rootfs.img".to_owned())
}

/// Loop devices bound to the file, whatever its name.
fn loops_of(path: &Path) -> Vec<String> {
    let wanted = fs::metadata(path).unwrap();
    let output = run("losetup", &["-l", "-n", "-O", "NAME,BACK-INO"]);
    let matching = output.lines().filter_map(|line| {
        let (name, inode) = line.trim().split_once(char::is_whitespace)?;
        (inode.trim() == wanted.ino().to_string()).then(|| name.to_owned())
    });
    matching.collect()
}

fn assert_let_go(path: &Path) {
    let end = Instant::now() + Duration::from_secs(10);
    while !loops_of(path).is_empty() {
        assert!(Instant::now() < end, "{:?}", loops_of(path));
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn mountinfo() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap()
}

fn digest(path: &Path) -> u32 {
    crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&fs::read(path).unwrap())
}

fn kind_of(path: &Path, access: Access) -> ErrorKind {
    let error = Stick::open(path, access).unwrap_err();
    eprintln!("{}: {error}", path.display());
    error.kind()
}

#[test]
fn an_image_is_read_without_a_change_and_written_beneath() {
    root_only!("mkfs.ext4", "losetup");
    let ext4 = Ext4::new();
    let path = ext4.image();
    let (before, mounts) = (digest(&path), mountinfo());
    let stick = Stick::open(&path, Access::Read).unwrap();
    assert_eq!(loops_of(&path).len(), 1);
    assert_eq!(mountinfo(), mounts, "the mount is nobody else's");
    assert_eq!((stick.label(), stick.uuid()), (Some("SOAS"), Some(UUID)));
    assert_eq!(stick.file_system(), "ext4");
    assert!(stick.left() == Left::InOrder && !stick.booted());
    let layout = stick.layout(&nested()).unwrap();
    assert_eq!(layout.snapshot().unwrap().name, OVERLAY);
    assert_eq!(layout.unused, ["overlay-OTHER-1"]);
    assert!(stick.folder().create("x").is_err(), "it may only be read");
    assert!(stick.folder().open_writable(IMAGE).is_err());
    drop(stick);
    assert_let_go(&path);
    assert_eq!(digest(&path), before);

    let stick = Stick::open(&path, Access::Write).unwrap();
    stick.check_again().unwrap();
    let file = stick.folder().create("squashfs.new").unwrap();
    file.write_at(b"new", 0).unwrap();
    file.sync().unwrap();
    stick.folder().exchange(IMAGE, "squashfs.new").unwrap();
    stick.folder().sync().unwrap();
    drop(file);
    drop(stick);
    assert_let_go(&path);
    run("e2fsck", &["-fn", path.to_str().unwrap()]);
    let stick = Stick::open(&path, Access::Read).unwrap();
    let image = stick.folder().open_uncached(IMAGE).unwrap();
    assert_eq!(image.size().unwrap().0, 3);
}

#[test]
fn older_kinds_of_ext_are_read_and_written_too() {
    root_only!("mkfs.ext4", "losetup", "e2fsck");
    let old = "none,^extent,^64bit,^metadata_csum";
    for features in ["^has_journal", "none", old, "bigalloc,^has_journal"] {
        let ext4 = Ext4::with(&["-O", features]);
        let path = ext4.image();
        let before = digest(&path);
        let stick = Stick::open(&path, Access::Read).unwrap();
        assert_eq!(stick.label(), Some("SOAS"));
        drop(stick);
        assert_let_go(&path);
        assert_eq!(digest(&path), before, "{features}");
        let stick = Stick::open(&path, Access::Write).unwrap();
        stick.folder().create("new").unwrap().sync().unwrap();
        stick.close().unwrap();
        assert_let_go(&path);
        run("e2fsck", &["-fn", path.to_str().unwrap()]);
    }
}

/// Without a journal, a file's length, what it takes and the list of that reach the device at different times.
#[test]
fn only_with_a_journal_a_files_length_is_changed() {
    root_only!("mkfs.ext4", "losetup", "mount");
    for (features, at_once) in [
        ("has_journal", true),
        ("^has_journal", false),
        ("none", false),
    ] {
        let ext4 = Ext4::with(&["-O", features]);
        let shortens = |path: &Path, access: Access| {
            let stick = Stick::open(path, access).unwrap();
            let found = stick.folder().shortens_at_once().unwrap();
            assert_eq!(found, at_once, "{features} {access:?} {}", path.display());
            let refused = matches!(stick.lets_files_grow(), Err(Error::NoJournal));
            assert_eq!(refused, !at_once, "{features} {access:?}");
        };
        for access in [Access::Read, Access::Write] {
            shortens(&ext4.image(), access);
            assert_let_go(&ext4.image());
        }
        let mut device = Device::new(&ext4.image(), &[]);
        // Where there is no journal, the kernel may not take the option to leave it alone.
        let options = ["rw", "ro", "ro,noload"];
        for options in &options[..if at_once { 3 } else { 2 }] {
            let point = device.mount(options);
            shortens(&point, Access::Read);
            device.unmount();
        }
        let point = device.mount("rw");
        for path in [&*point, Path::new(&device.node)] {
            if at_once {
                shortens(path, Access::Write);
            } else {
                // Nobody can see any more whether it was left in order.
                let refused = Stick::open(path, Access::Write).err();
                assert!(matches!(refused, Some(Error::Unseen)), "{refused:?}");
            }
        }
    }
}

#[test]
fn files_outlive_the_stick_that_they_were_opened_through() {
    root_only!("mkfs.ext4", "losetup");
    let ext4 = Ext4::new();
    let stick = Stick::open(&ext4.image(), Access::Read).unwrap();
    let file = stick.folder().open(OVERLAY).unwrap();
    drop(stick);
    let mut bytes = [1; 512];
    file.read_at(&mut bytes, 4096).unwrap();
    assert_eq!(bytes, [0; 512]);
    drop(file);
    assert_let_go(&ext4.image());
}

#[test]
fn partitions_are_found_by_gpt_and_mbr() {
    root_only!("mkfs.ext4", "sfdisk", "losetup");
    let ext4 = Ext4::new();
    for script in [
        "label: gpt\nstart=2048, size=4096\nstart=8192, size=16384\n",
        "label: dos\nstart=2048, size=4096, type=c\nstart=8192, size=16384, type=83\n",
    ] {
        let disk = ext4.disk(script, &[4 * MIB]);
        let before = digest(&disk);
        let stick = Stick::open(&disk, Access::Read).unwrap();
        assert_eq!(stick.label(), Some("SOAS"));
        assert_eq!(
            stick.layout(&nested()).unwrap().snapshot().unwrap().name,
            OVERLAY
        );
        drop(stick);
        assert_eq!(digest(&disk), before);
        let stick = Stick::open(&disk, Access::Write).unwrap();
        stick.folder().create("note").unwrap().sync().unwrap();
        drop(stick);
        assert_let_go(&disk);
        let stick = Stick::open(&disk, Access::Read).unwrap();
        assert!(stick.folder().open("note").is_ok());
    }
    // Two of them: which one is meant?
    let script = "label: gpt\nstart=2048, size=16384\nstart=20480, size=16384\n";
    let disk = ext4.disk(script, &[MIB, 10 * MIB]);
    assert_eq!(kind_of(&disk, Access::Read), ErrorKind::Refused);
    // None of them.
    let disk = ext4.disk("label: gpt\nstart=2048, size=16384\n", &[]);
    assert_eq!(kind_of(&disk, Access::Read), ErrorKind::Unsupported);
    assert_let_go(&disk);
}

/// Like a hybrid image: the file system begins at the disk's own beginning, and so does
/// partition 1; another one lies inside it.
#[test]
fn a_hybrid_table_leads_to_the_whole_disk() {
    root_only!("mkfs.ext4", "losetup");
    let ext4 = Ext4::new();
    let path = ext4.image();
    let mut file = File::options().write(true).open(&path).unwrap();
    // ext4 leaves the first 1024 bytes alone.
    file.seek(SeekFrom::Start(446)).unwrap();
    file.write_all(&[0x80, 0, 0, 0, 0x17, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0])
        .unwrap();
    file.write_all(&[0, 0, 0, 0, 0xef, 0, 0, 0, 100, 0, 0, 0, 8, 0, 0, 0])
        .unwrap();
    file.seek(SeekFrom::Start(510)).unwrap();
    file.write_all(&[0x55, 0xaa]).unwrap();
    let stick = Stick::open(&path, Access::Write).unwrap();
    assert_eq!(stick.label(), Some("SOAS"));
    drop(stick);
    assert_let_go(&path);
}

#[test]
fn the_same_image_is_written_by_one_only() {
    root_only!("mkfs.ext4", "losetup");
    let ext4 = Ext4::new();
    let path = ext4.image();
    let link = ext4.place.path().join("other name");
    fs::hard_link(&path, &link).unwrap();
    let stick = Stick::open(&path, Access::Write).unwrap();
    assert_eq!(kind_of(&path, Access::Write), ErrorKind::Busy);
    assert_eq!(kind_of(&link, Access::Write), ErrorKind::Busy);
    drop(stick);
    assert_let_go(&path);
    // Somebody else's loop device, by another name of the file.
    let device = run("losetup", &["-f", "--show", link.to_str().unwrap()]);
    assert_eq!(kind_of(&path, Access::Write), ErrorKind::Busy);
    run("losetup", &["-d", device.trim()]);
    assert_let_go(&path);
    Stick::open(&path, Access::Write).unwrap();
}

#[test]
fn what_has_no_journal_is_checked_before_it_is_written() {
    root_only!("mkfs.ext4", "debugfs", "losetup", "mount", "e2fsck");
    let ext4 = Ext4::with(&["-O", "^has_journal"]);
    let path = ext4.image();
    let [cut, wrong] = ["cut.img", "wrong.img"].map(|name| ext4.place.path().join(name));
    let set = |path: &Path, value: &str| {
        let asked = format!("set_super_value {value}");
        run("debugfs", &["-w", "-R", &asked, path.to_str().unwrap()]);
    };
    let stick = Stick::open(&path, Access::Write).unwrap();
    stick.folder().sync().unwrap();
    fs::copy(&path, &cut).unwrap();
    drop(stick);
    let left = |path| Stick::open(path, Access::Read).unwrap().left();
    assert_eq!(left(&path), Left::InOrder);
    fs::copy(&path, &wrong).unwrap();
    set(&wrong, "state 3");
    // Where it is mounted, the driver tells that it noted an error.
    set(&wrong, "error_count 2");
    let mut device = Device::new(&wrong, &[]);
    let point = device.mount("rw");
    for path in [&*point, Path::new(&device.node)] {
        let refused = Stick::open(path, Access::Write).err();
        assert!(matches!(refused, Some(Error::Unchecked)), "{refused:?}");
    }
    device.unmount();
    drop(device);
    // Held by another run, it is in use and not in disorder.
    let device = Device::new(&path, &[]);
    let held = Stick::open(Path::new(&device.node), Access::Write).unwrap();
    let refused = kind_of(Path::new(&device.node), Access::Write);
    assert_eq!(refused, ErrorKind::Busy);
    drop(held);
    drop(device);
    for path in [&cut, &wrong] {
        let before = digest(path);
        assert_eq!(left(path), Left::Unchecked);
        let refused = Stick::open(path, Access::Write).err();
        assert!(matches!(refused, Some(Error::Unchecked)), "{refused:?}");
        assert_eq!(digest(path), before);
        run(
            "sh",
            &["-c", "e2fsck -fy $0 || [ $? = 1 ]", path.to_str().unwrap()],
        );
        assert_eq!(left(path), Left::InOrder);
        Stick::open(path, Access::Write).unwrap();
    }
}

#[test]
fn a_journal_is_replayed_for_writing_only() {
    root_only!("mkfs.ext4", "losetup", "e2fsck");
    let ext4 = Ext4::new();
    let path = ext4.image();
    // Copied while it is mounted and written to: as after a power cut.
    let cut = ext4.place.path().join("cut.img");
    let stick = Stick::open(&path, Access::Write).unwrap();
    let file = stick.folder().create("late").unwrap();
    file.write_at(&[3; 4096], 0).unwrap();
    file.sync().unwrap();
    // A file that is open and has no name left: whoever mounts it read-write clears it up,
    // and on a device that can be written, whoever mounts it read-only does so as well.
    let orphan = stick.folder().create("orphan").unwrap();
    orphan.write_at(&[4; 65536], 0).unwrap();
    stick.folder().remove("orphan").unwrap();
    for _ in 0..100 {
        stick.folder().sync().unwrap();
        rustix::fs::sync();
        fs::copy(&path, &cut).unwrap();
        if fs::read(&cut).unwrap()[1024 + 0xe8..][..4] != [0; 4] {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_ne!(
        fs::read(&cut).unwrap()[1024 + 0xe8..][..4],
        [0; 4],
        "no orphan"
    );
    drop((file, orphan, stick));

    let before = digest(&cut);
    let stick = Stick::open(&cut, Access::Read).unwrap();
    assert_eq!(stick.left(), Left::Cut);
    drop(stick);
    assert_let_go(&cut);
    assert_eq!(digest(&cut), before, "looking must not replay the journal");
    let stick = Stick::open(&cut, Access::Write).unwrap();
    assert!(stick.folder().open("late").is_ok());
    drop(stick);
    assert_let_go(&cut);
    run("e2fsck", &["-fn", cut.to_str().unwrap()]);
    let stick = Stick::open(&cut, Access::Read).unwrap();
    assert_eq!(stick.left(), Left::InOrder);
}

/// Held by `losetup` as long as it lives; mounted where asked.
struct Device {
    node: String,
    mounted: Option<TempDir>,
}

impl Device {
    fn new(path: &Path, options: &[&str]) -> Device {
        let mut arguments = vec!["-f", "--show"];
        arguments.extend(options);
        arguments.push(path.to_str().unwrap());
        Device {
            node: run("losetup", &arguments).trim().to_owned(),
            mounted: None,
        }
    }

    fn mount(&mut self, options: &str) -> PathBuf {
        let place = tempfile::tempdir().unwrap();
        let point = place.path().to_owned();
        run(
            "mount",
            &["-o", options, &self.node, point.to_str().unwrap()],
        );
        self.mounted = Some(place);
        point
    }

    fn unmount(&mut self) {
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

#[test]
fn a_device_is_opened_mounted_or_not() {
    root_only!("mkfs.ext4", "losetup", "mount");
    let ext4 = Ext4::new();
    let mut device = Device::new(&ext4.image(), &[]);
    let node = PathBuf::from(&device.node);
    let before = digest(&ext4.image());
    let stick = Stick::open(&node, Access::Read).unwrap();
    assert_eq!(
        stick.layout(&nested()).unwrap().snapshot().unwrap().name,
        OVERLAY
    );
    assert_eq!(stick.in_use().unwrap(), InUse::Free);
    drop(stick);
    assert_eq!(digest(&ext4.image()), before);
    let stick = Stick::open(&node, Access::Write).unwrap();
    stick.folder().create("one").unwrap().sync().unwrap();
    drop(stick);

    // Mounted by somebody else: the same file system, seen at once.
    let point = device.mount("rw");
    let mounts = mountinfo();
    let stick = Stick::open(&node, Access::Write).unwrap();
    assert_eq!(mountinfo(), mounts);
    stick.folder().create("two").unwrap();
    assert!(point.join("LiveOS/two").exists());
    // The lock is one, whichever way the stick was reached.
    assert_eq!(kind_of(&point, Access::Write), ErrorKind::Busy);
    drop(stick);
    let reader = Stick::open(&node, Access::Read).unwrap();
    fs::write(point.join("LiveOS/three"), "x").unwrap();
    assert!(reader.folder().open("three").is_ok());
    assert!(reader.folder().create("four").is_err());
    drop(reader);
    // By its mount point it has a name as well.
    let stick = Stick::open(&point, Access::Write).unwrap();
    assert_eq!((stick.label(), stick.uuid()), (Some("SOAS"), Some(UUID)));
    assert_eq!(
        stick.layout(&nested()).unwrap().snapshot().unwrap().name,
        OVERLAY
    );
    drop(stick);
    device.unmount();

    let point = device.mount("ro");
    assert_eq!(kind_of(&node, Access::Write), ErrorKind::Denied);
    assert_eq!(kind_of(&point, Access::Write), ErrorKind::Denied);
    Stick::open(&node, Access::Read).unwrap();
    // Without rights: where it is mounted.
    let caller = sugar_cellar::stick::Caller {
        root: false,
        ..sugar_cellar::stick::Caller::current()
    };
    Stick::open_as(&caller, &node, Access::Read).unwrap();
    device.unmount();
    let error = Stick::open_as(&caller, &node, Access::Read).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
}

#[test]
fn a_disk_with_partitions_is_opened_by_its_own_name() {
    root_only!("mkfs.ext4", "losetup", "sfdisk", "addpart");
    let ext4 = Ext4::new();
    let script = "label: gpt\nstart=2048, size=4096\nstart=8192, size=16384\n";
    let disk = ext4.disk(script, &[4 * MIB]);
    let device = Device::new(&disk, &["-P"]);
    let node = PathBuf::from(&device.node);
    let part = PathBuf::from(format!("{}p2", device.node));
    if !part.exists() {
        // A kernel that reads no partition tables takes them from us.
        run("addpart", &[&device.node, "1", "2048", "4096"]);
        run("addpart", &[&device.node, "2", "8192", "16384"]);
    }
    for name in [&node, &part] {
        let stick = Stick::open(name, Access::Write).unwrap();
        assert_eq!(stick.label(), Some("SOAS"));
        drop(stick);
    }
    let first = PathBuf::from(format!("{}p1", device.node));
    assert_eq!(kind_of(&first, Access::Read), ErrorKind::Unsupported);
    // What is built upon the whole disk holds the partition as well.
    let above = Device::new(Path::new(&device.node), &["-r"]);
    assert_eq!(kind_of(&part, Access::Write), ErrorKind::Busy);
    drop(above);
}

#[test]
fn an_overlay_held_under_another_name_is_seen() {
    root_only!("mkfs.ext4", "losetup", "mount");
    let ext4 = Ext4::new();
    let mut device = Device::new(&ext4.image(), &[]);
    let point = device.mount("rw");
    let away = tempfile::tempdir().unwrap();
    // A hard link outside LiveOS, a bind mount, and a name that is gone.
    fs::hard_link(point.join("LiveOS").join(OVERLAY), point.join("link")).unwrap();
    run(
        "mount",
        &[
            "--bind",
            point.to_str().unwrap(),
            away.path().to_str().unwrap(),
        ],
    );
    fs::hard_link(point.join("LiveOS").join(IMAGE), point.join("gone")).unwrap();
    let names = [
        point.join("link"),
        away.path().join("LiveOS").join(OVERLAY),
        point.join("gone"),
    ];
    for name in &names {
        let holder = Device::new(name, &["-r"]);
        if name.ends_with("gone") {
            fs::remove_file(name).unwrap();
        }
        for stick in [&point, &PathBuf::from(&device.node)] {
            assert_eq!(
                kind_of(stick, Access::Write),
                ErrorKind::Busy,
                "{}",
                name.display()
            );
            let reader = Stick::open(stick, Access::Read).unwrap();
            assert!(matches!(reader.in_use().unwrap(), InUse::Held(_)));
        }
        drop(holder);
        Stick::open(&point, Access::Write).unwrap();
    }
    // Taken between opening and writing.
    let stick = Stick::open(&point, Access::Write).unwrap();
    stick.check_again().unwrap();
    let holder = Device::new(&point.join("link"), &[]);
    assert_eq!(stick.check_again().unwrap_err().kind(), ErrorKind::Busy);
    drop(holder);
    stick.check_again().unwrap();
    drop(stick);
    run("umount", &[away.path().to_str().unwrap()]);
}

/// A device that is itself held by a loop device is not written to.
#[test]
fn a_device_under_a_loop_device_is_held() {
    root_only!("mkfs.ext4", "losetup");
    let ext4 = Ext4::new();
    let device = Device::new(&ext4.image(), &[]);
    let above = Device::new(Path::new(&device.node), &["-r"]);
    assert_eq!(
        kind_of(Path::new(&device.node), Access::Write),
        ErrorKind::Busy
    );
    drop(above);
    Stick::open(Path::new(&device.node), Access::Write).unwrap();
}

/// Started by the next test in a process of its own: holds a stick until it is killed.
#[test]
fn child_that_holds_a_stick() {
    let Some(path) = std::env::var_os(CHILD) else {
        return;
    };
    let (path, access) = match path.to_str().unwrap().split_once('=').unwrap() {
        ("write", path) => (path.to_owned(), Access::Write),
        (_, path) => (path.to_owned(), Access::Read),
    };
    let stick = Stick::open(Path::new(&path), access).unwrap();
    let file = stick.folder().open(IMAGE).unwrap();
    println!("HOLDING {}", file.size().unwrap());
    let mut asked = String::new();
    std::io::stdin().read_line(&mut asked).unwrap();
    stick.check_again().unwrap();
    println!("STILL HOLDING");
    std::thread::sleep(Duration::from_secs(60));
}

type Lines = std::io::Lines<BufReader<ChildStdout>>;

fn child(path: &Path, access: &str) -> (Child, Lines) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_holds_a_stick", "--nocapture"])
        .env(CHILD, format!("{access}={}", path.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines.any(|line| line.unwrap().contains("HOLDING")),
        "the child failed"
    );
    (child, lines)
}

#[test]
fn a_killed_process_leaves_nothing() {
    root_only!("mkfs.ext4", "losetup", "sfdisk");
    let ext4 = Ext4::new();
    let disk = ext4.disk("label: dos\nstart=2048, size=16384, type=83\n", &[MIB]);
    let mounts = mountinfo();
    for path in [&ext4.image(), &disk] {
        for access in ["read", "write"] {
            let (mut child, _lines) = child(path, access);
            assert_eq!(loops_of(path).len(), 1);
            if access == "write" {
                assert_eq!(kind_of(path, Access::Write), ErrorKind::Busy);
            }
            child.kill().unwrap();
            child.wait().unwrap();
            assert_let_go(path);
            assert_eq!(mountinfo(), mounts);
            Stick::open(path, Access::Write).unwrap();
            assert_let_go(path);
        }
    }
}

/// A loop device that a reader puts on what somebody writes would end that work.
#[test]
fn nobody_looks_while_a_stick_is_written() {
    root_only!("mkfs.ext4", "losetup");
    let ext4 = Ext4::new();
    let device = Device::new(&ext4.image(), &[]);
    let node = PathBuf::from(&device.node);
    let writer = child(&node, "write");
    assert_eq!(kind_of(&node, Access::Read), ErrorKind::Busy);
    assert_eq!(loops_of(&node), [""; 0]);
    assert_still_held(writer);
    Stick::open(&node, Access::Read).unwrap();
    drop(device);
    assert_let_go(&ext4.image());

    let path = ext4.image();
    let writer = child(&path, "write");
    let loops = loops_of(&path);
    assert_eq!(kind_of(&path, Access::Read), ErrorKind::Busy);
    assert_eq!(loops_of(&path), loops);
    assert_still_held(writer);
    assert_let_go(&path);
    // Readers do not disturb each other.
    let readers = [0; 2].map(|_| Stick::open(&path, Access::Read).unwrap());
    assert_eq!(loops_of(&path).len(), readers.len());
}

/// The child's stick passes its check, and then it ends.
fn assert_still_held(mut writer: (Child, Lines)) {
    let mut input = writer.0.stdin.take().unwrap();
    input.write_all(b"\n").unwrap();
    let held = writer.1.any(|line| line.unwrap().contains("STILL HOLDING"));
    writer.0.kill().unwrap();
    writer.0.wait().unwrap();
    assert!(held, "looking ended the writer's work");
}

/// Whoever looks for a moment keeps nobody from writing.
#[test]
fn a_writer_waits_for_who_looks() {
    root_only!("mkfs.ext4", "losetup");
    let ext4 = Ext4::new();
    let device = Device::new(&ext4.image(), &[]);
    let node = PathBuf::from(&device.node);
    let look = |path: &Path| {
        let mut reader = child(path, "read").0;
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(1));
            reader.kill().unwrap();
            reader.wait().unwrap();
        })
    };
    let reader = look(&node);
    let stick = Stick::open(&node, Access::Write).unwrap();
    reader.join().unwrap();
    // Taken between opening and writing, and let go again.
    let above = Device::new(&node, &["-r"]);
    let above = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(1));
        drop(above);
    });
    stick.check_again().unwrap();
    above.join().unwrap();
    drop((stick, device));
    assert_let_go(&ext4.image());

    let reader = look(&ext4.image());
    Stick::open(&ext4.image(), Access::Write).unwrap();
    reader.join().unwrap();
}

/// Killed at any instant, opening leaves no loop device either.
#[test]
fn killed_while_opening_it_leaves_nothing() {
    root_only!("mkfs.ext4", "losetup");
    let ext4 = Ext4::new();
    let path = ext4.image();
    for step in 0..40 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_holds_a_stick", "--nocapture"])
            .env(CHILD, format!("write={}", path.display()))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(500 * step));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_let_go(&path);
    Stick::open(&path, Access::Write).unwrap();
}

/// Sticks made to hurt: figures of the file system's beginning and of the table, changed.
#[test]
fn broken_images_end_in_an_error() {
    root_only!("mkfs.ext4", "losetup", "sfdisk");
    // Without checksums, so that more than one of them is looked at.
    let ext4 = Ext4::with(&["-O", "^metadata_csum"]);
    let path = ext4.image();
    let whole = fs::read(&path).unwrap();
    let mut opened = 0;
    for at in (1024..1024 + 264).step_by(8) {
        let mut bytes = whole.clone();
        bytes[at..at + 4].fill(0xff);
        fs::write(&path, &bytes).unwrap();
        if let Ok(stick) = Stick::open(&path, Access::Read) {
            opened += 1;
            let _ = stick.layout(&nested());
        }
        assert_let_go(&path);
        assert!(fs::read(&path).unwrap() == bytes, "looking changed it");
    }
    eprintln!("{opened} of 33 damaged superblocks were still taken by the kernel");
    fs::write(&path, &whole[..1 << 20]).unwrap();
    Stick::open(&path, Access::Read).unwrap_err();
    fs::write(&path, b"").unwrap();
    assert_eq!(kind_of(&path, Access::Read), ErrorKind::Unsupported);
    fs::write(&path, &whole).unwrap();
    let disk = ext4.disk("label: gpt\nstart=2048, size=16384\n", &[MIB]);
    let table = fs::read(&disk).unwrap();
    for at in (446..512).chain(512..604).chain(1024..1152).step_by(7) {
        let mut bytes = table.clone();
        bytes[at] ^= 0xff;
        fs::write(&disk, &bytes).unwrap();
        let _ = Stick::open(&disk, Access::Read).map_err(|error| error.to_string());
    }
    assert_let_go(&disk);
}
