//! Sticks as folders: opened, looked at, locked; and what lies there instead of what should.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use sugar_cellar::error::{Error, ErrorKind};
use sugar_cellar::stick::layout::{HOME, IMAGE, SECOND_IMAGE};
use sugar_cellar::stick::{Access, Caller, Host, ImageContent, InUse, Overlay, Stick};
use sugar_cellar::storage::{Folder, Storage};
use tempfile::TempDir;

/// A folder with these files in LiveOS, each with a few bytes in it.
fn bare(files: &[&str]) -> TempDir {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("LiveOS")).unwrap();
    for file in files {
        fs::write(place.path().join("LiveOS").join(file), [0; 4096]).unwrap();
    }
    place
}

fn nested() -> ImageContent {
    ImageContent::Nested("LiveOS/rootfs.img".to_owned())
}

fn kind(error: &Error) -> ErrorKind {
    error.kind()
}

#[test]
fn a_folder_is_a_stick() {
    let place = bare(&[IMAGE, "overlay-SOAS-1234-ABCD", HOME]);
    let stick = Stick::open(place.path(), Access::Write).unwrap();
    assert!(!stick.booted());
    assert_eq!(stick.in_use().unwrap(), InUse::Free);
    stick.check_again().unwrap();
    let layout = stick.layout(&nested()).unwrap();
    assert_eq!(layout.snapshot().unwrap().name, "overlay-SOAS-1234-ABCD");
    assert_eq!(layout.image.name, stick.image().unwrap().name);
    assert!(layout.home.is_some() && layout.second.is_none());
    let described = stick.describe().unwrap();
    assert_eq!(described.path, place.path().to_str().unwrap());
    assert!(described.free_bytes.0 > 0 && !described.booted);
    assert_ne!(described.file_system, "unknown");
    stick.folder().create(SECOND_IMAGE).unwrap().sync().unwrap();
    assert!(stick.layout(&nested()).unwrap().second.is_some());
}

#[test]
fn looking_writes_nothing_and_allows_no_writing() {
    let place = bare(&[IMAGE]);
    let one = Stick::open(place.path(), Access::Read).unwrap();
    let error = one.check_again().unwrap_err();
    assert_eq!(kind(&error), ErrorKind::Refused);
    // It keeps nobody from writing either.
    Stick::open(place.path(), Access::Write).unwrap();
}

#[test]
fn the_second_writer_is_refused_under_any_name() {
    let place = bare(&[IMAGE]);
    let other = tempfile::tempdir().unwrap();
    symlink(place.path(), other.path().join("stick")).unwrap();
    let one = Stick::open(place.path(), Access::Write).unwrap();
    for name in [place.path(), &other.path().join("stick")] {
        let error = Stick::open(name, Access::Write).unwrap_err();
        assert_eq!(kind(&error), ErrorKind::Busy);
        Stick::open(name, Access::Read).unwrap();
    }
    drop(one);
    Stick::open(&other.path().join("stick"), Access::Write).unwrap();
}

#[test]
fn the_boot_configuration_decides_between_overlays() {
    let place = bare(&[IMAGE, "overlay-A-1", "overlay-B-2", "mine"]);
    let overlay = |path: &str, text: &str| {
        let path = place.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        let stick = Stick::open(place.path(), Access::Read).unwrap();
        let overlay = stick.layout(&nested()).unwrap().overlay;
        fs::remove_file(&path).unwrap();
        overlay
    };
    let stick = Stick::open(place.path(), Access::Read).unwrap();
    let found = stick.layout(&nested()).unwrap();
    assert!(matches!(found.overlay, Overlay::Unclear(_)));
    assert_eq!(found.unused, ["overlay-A-1", "overlay-B-2"]);
    assert_eq!(kind(&found.snapshot().unwrap_err()), ErrorKind::Refused);
    let asks = "x root=live:UUID=1 rd.live.image rd.live.overlay=UUID=1:/LiveOS/mine";
    for path in [
        "syslinux/syslinux.cfg",
        "isolinux/isolinux.cfg",
        "syslinux/extlinux.conf",
        "EFI/BOOT/grub.cfg",
        "EFI/BOOT/BOOTX64.conf",
        "boot/grub2/grub.cfg",
        "loader/entries/sugar.conf",
        "syslinux.cfg",
    ] {
        let found = overlay(path, &format!("# comment\n{asks} quiet\n"));
        assert!(
            matches!(found, Overlay::Snapshot(entry) if entry.name == "mine"),
            "{path}"
        );
    }
    let nothing = overlay("syslinux.cfg", "append root=live:UUID=1 rd.live.image\n");
    assert_eq!(nothing, Overlay::None);
    // Too long to be one, and bytes that are no text.
    let long = format!("{asks}\n{}", " ".repeat(1 << 20));
    assert!(matches!(
        overlay("syslinux.cfg", &long),
        Overlay::Unclear(_)
    ));
}

#[test]
fn links_pipes_and_devices_are_not_followed() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), [7; 4096]).unwrap();
    let secret = outside.path().join("secret");
    let fifo = |path: &Path| {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    let refused = |place: &TempDir| {
        let stick = Stick::open(place.path(), Access::Read).unwrap();
        let error = stick.image().unwrap_err();
        assert_eq!(kind(&error), ErrorKind::Refused, "{error}");
    };

    let linked = bare(&[]);
    symlink(&secret, linked.path().join("LiveOS").join(IMAGE)).unwrap();
    refused(&linked);
    let piped = bare(&[]);
    fifo(&piped.path().join("LiveOS").join(IMAGE));
    refused(&piped);
    let foldered = bare(&[]);
    fs::create_dir(foldered.path().join("LiveOS").join(IMAGE)).unwrap();
    refused(&foldered);

    // An overlay and a boot configuration that are pipes or links.
    let odd = bare(&[IMAGE]);
    fifo(&odd.path().join("LiveOS/overlay-A-1"));
    fifo(&odd.path().join("syslinux.cfg"));
    fs::create_dir(odd.path().join("EFI")).unwrap();
    symlink(outside.path(), odd.path().join("EFI/BOOT")).unwrap();
    fs::write(
        outside.path().join("grub.cfg"),
        "x rd.live.image rd.live.overlay=UUID=1:/LiveOS/y\n",
    )
    .unwrap();
    let stick = Stick::open(odd.path(), Access::Read).unwrap();
    let layout = stick.layout(&nested()).unwrap();
    assert!(matches!(layout.overlay, Overlay::Unclear(_)));
    assert_eq!(kind(&layout.snapshot().unwrap_err()), ErrorKind::Refused);

    // LiveOS itself.
    let away = tempfile::tempdir().unwrap();
    symlink(odd.path().join("LiveOS"), away.path().join("LiveOS")).unwrap();
    let error = Stick::open(away.path(), Access::Read).unwrap_err();
    assert_eq!(kind(&error), ErrorKind::Refused, "{error}");
    fs::remove_file(away.path().join("LiveOS")).unwrap();
    fifo(&away.path().join("LiveOS"));
    let error = Stick::open(away.path(), Access::Read).unwrap_err();
    assert_eq!(kind(&error), ErrorKind::Refused, "{error}");
}

#[test]
fn what_is_no_stick_is_said_to_be_none() {
    let empty = tempfile::tempdir().unwrap();
    for (name, expected) in [
        (empty.path().to_owned(), ErrorKind::NotFound),
        (empty.path().join("missing"), ErrorKind::NotFound),
        ("/dev/null".into(), ErrorKind::Unsupported),
        ("live".into(), ErrorKind::NotFound),
    ] {
        let error = Stick::open(&name, Access::Read).unwrap_err();
        assert_eq!(kind(&error), expected, "{}: {error}", name.display());
    }
    let uncompressed = bare(&["rootfs.img"]);
    let stick = Stick::open(uncompressed.path(), Access::Read).unwrap();
    assert_eq!(kind(&stick.image().unwrap_err()), ErrorKind::Unsupported);
}

#[test]
fn for_another_user_no_path_is_followed() {
    let caller = Caller {
        by_pkexec: true,
        ..Caller::current()
    };
    let place = bare(&[IMAGE]);
    let file = place.path().join("LiveOS").join(IMAGE);
    let around = Path::new("/dev/..").join(place.path().strip_prefix("/").unwrap());
    let mut paths = vec![place.path(), &file, &around];
    paths.extend(
        [
            "/dev",
            "/dev/null",
            "/dev/shm/x",
            "/dev/disk/by-x/../../sda",
            "sda",
        ]
        .map(Path::new),
    );
    for path in paths {
        let error = Stick::open_as(&caller, path, Access::Read).unwrap_err();
        assert_eq!(kind(&error), ErrorKind::Denied, "{}", path.display());
    }
    for path in [
        "/dev/no-such",
        "/dev/disk/by-label/NO-SUCH",
        "/dev/mapper/no-such",
    ] {
        let error = Stick::open_as(&caller, Path::new(path), Access::Read).unwrap_err();
        assert_eq!(kind(&error), ErrorKind::NotFound, "{path}");
    }
    let error = Stick::open_as(&caller, Path::new("live"), Access::Read).unwrap_err();
    assert_eq!(kind(&error), ErrorKind::NotFound);
}

#[test]
fn without_rights_files_and_devices_are_denied() {
    let caller = Caller {
        root: false,
        ..Caller::current()
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Stick::open_as(&caller, file.path(), Access::Read).unwrap_err();
    assert_eq!(kind(&error), ErrorKind::Denied);
}

/// As the user nobody, where this is root: a folder that may not be written.
#[test]
fn a_stick_that_may_not_be_written_is_denied() {
    let place = bare(&[IMAGE]);
    let live_os = place.path().join("LiveOS");
    fs::set_permissions(&live_os, fs::Permissions::from_mode(0o555)).unwrap();
    if rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: root may write everything");
        return;
    }
    let error = Stick::open(place.path(), Access::Write).unwrap_err();
    assert_eq!(kind(&error), ErrorKind::Denied);
    Stick::open(place.path(), Access::Read).unwrap();
}

#[test]
fn a_loop_device_of_unknown_content_forbids_writing_only() {
    let machine = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = machine.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let held = "sys/block/loop7/loop/backing_file";
    put(held, "/out/of/reach/squashfs.img\n");
    put("sys/block/loop7/dev", "7:7\n");
    let caller = Caller {
        host: Host::at(machine.path()),
        root: false,
        by_pkexec: false,
    };
    let place = bare(&[IMAGE]);
    let stick = Stick::open_as(&caller, place.path(), Access::Read).unwrap();
    assert!(matches!(stick.in_use().unwrap(), InUse::Unknown(_)));
    let error = Stick::open_as(&caller, place.path(), Access::Write).unwrap_err();
    assert_eq!(kind(&error), ErrorKind::Denied);
    // Nothing here is called so, and nothing has two names.
    put(held, "/LiveOS/overlay-BOOTED-1\n");
    Stick::open_as(&caller, place.path(), Access::Write).unwrap();
    let link = place.path().join("another name");
    fs::hard_link(place.path().join("LiveOS").join(IMAGE), link).unwrap();
    let error = Stick::open_as(&caller, place.path(), Access::Write).unwrap_err();
    assert_eq!(kind(&error), ErrorKind::Denied);
}

/// What has to go without rights, done by a user who has none.
#[test]
fn nobody_can_do_it_as_well() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: all tests here run without rights already");
        return;
    }
    let tests = [
        "a_folder_is_a_stick",
        "looking_writes_nothing_and_allows_no_writing",
        "the_second_writer_is_refused_under_any_name",
        "a_stick_that_may_not_be_written_is_denied",
        "without_rights_files_and_devices_are_denied",
    ];
    let run = Command::new(std::env::current_exe().unwrap())
        .arg("--exact")
        .args(tests)
        .uid(65534)
        .gid(65534)
        .env("TMPDIR", "/tmp")
        .output();
    let output = match run {
        Ok(output) => output,
        Err(error) => {
            eprintln!("SKIPPED: the user nobody cannot run this program: {error}");
            return;
        }
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("5 passed"), "{text}");
}

/// root and a learner: one lock.
#[test]
fn root_and_nobody_share_one_lock() {
    const STICK: &str = "SUGAR_CELLAR_TEST_LOCKED";
    if let Some(path) = std::env::var_os(STICK) {
        let error = Stick::open(Path::new(&path), Access::Write).unwrap_err();
        assert_eq!(kind(&error), ErrorKind::Busy);
        return;
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: needs root");
        return;
    }
    let place = bare(&[IMAGE]);
    for path in [place.path(), &place.path().join("LiveOS")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let _stick = Stick::open(place.path(), Access::Write).unwrap();
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "root_and_nobody_share_one_lock"])
        .env(STICK, place.path())
        .uid(65534)
        .gid(65534)
        .output();
    match run {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(error) => eprintln!("SKIPPED: the user nobody cannot run this program: {error}"),
    }
}
