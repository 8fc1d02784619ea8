//! A guest's root: busybox, the kernel's modules, real tools with their
//! libraries, and the helper.

use super::{cpio::Archive, modules, run, which};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Real tools beside busybox's applets, which they hide.
pub const TOOLS: &[&str] = &[
    "blkid",
    "cmp",
    "cp",
    "dash",
    "dd",
    "debugfs",
    "dmsetup",
    "dumpe2fs",
    "e2fsck",
    "fsck.vfat",
    "losetup",
    "mke2fs",
    "mkfs.vfat",
    "mksquashfs",
    "mount",
    "sha256sum",
    "stty",
    "sync",
    "truncate",
    "umount",
    "unsquashfs",
];

/// Everything that does not change from guest to guest of a kernel: its modules lie below `modules`, and `own` are those that it alone needs.
///
/// # Panics
/// When something is missing on this machine.
pub fn base(modules: &Path, own: &[&str]) -> Vec<u8> {
    let mut archive = Archive::new();
    for folder in ["dev", "proc", "sys", "run", "tmp", "mnt", "data", "root"] {
        archive.folder(folder);
    }
    archive.file("init", 0o755, include_bytes!("../guest/init.sh"));
    archive.file("lib.sh", 0o644, include_bytes!("../guest/lib.sh"));
    archive.file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n");
    archive.file("etc/group", 0o644, b"root:x:0:\n");
    archive.link("etc/mtab", "/proc/self/mounts");

    let mut order = String::new();
    for (name, content) in modules::wanted(modules, own) {
        archive.file(&format!("modules/{name}.ko"), 0o644, &content);
        order += &format!("{name}\n");
    }
    archive.file("modules/order", 0o644, order.as_bytes());

    busybox(&mut archive);
    let mut libraries = BTreeSet::new();
    for tool in TOOLS {
        let path = which(tool);
        archive.file(&format!("usr/bin/{tool}"), 0o755, &fs::read(&path).unwrap());
        libraries.extend(needed(&path));
    }
    let helper = Path::new(env!("CARGO_BIN_EXE_sugar-cellar-helper"));
    archive.file("usr/bin/sugar-cellar-helper", 0o755, &stripped(helper));
    libraries.extend(needed(helper));
    for library in libraries {
        archive.file(&library, 0o755, &fs::read(&library).unwrap());
    }
    archive.finish()
}

fn busybox(archive: &mut Archive) {
    let path = which("busybox");
    assert!(
        needed(&path).is_empty(),
        "{}: want the package busybox-static",
        path.display()
    );
    archive.file("bin/busybox", 0o755, &fs::read(&path).unwrap());
    let applets = run(Command::new(&path).arg("--list"));
    for applet in applets.lines().filter(|applet| *applet != "busybox") {
        archive.link(&format!("bin/{applet}"), "busybox");
    }
}

/// The shared libraries that a program needs, and its loader, as `ldd` finds them.
fn needed(program: &Path) -> Vec<String> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    String::from_utf8_lossy(&output.stdout)
        .split_whitespace()
        .filter(|word| word.starts_with('/') && !word.ends_with(':'))
        .map(str::to_owned)
        .collect()
}

/// A program, stripped, and its libraries by their paths.
pub fn program(program: &Path) -> (Vec<u8>, Vec<(String, Vec<u8>)>) {
    let load = |path: String| {
        let bytes = fs::read(&path).unwrap();
        (path, bytes)
    };
    let libraries = needed(program).into_iter().map(load).collect();
    (stripped(program), libraries)
}

/// The helper without what only a debugger reads: most of it, and all of it goes through the guest's memory.
pub fn stripped(program: &Path) -> Vec<u8> {
    let small = tempfile::NamedTempFile::new().unwrap();
    run(Command::new("strip")
        .arg("-o")
        .arg(small.path())
        .arg(program));
    fs::read(small.path()).unwrap()
}
