//! Lays the helper, and what it is linked with, where systemd goes back to.

use super::{HELPER, LIBRARIES, LOADER, OURS, RETURN, STICK};
use crate::error::{Doing, Result};
use crate::stick::{Access, Stick};
use rustix::mount::{MountFlags, mount_remount};
use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// What systemd runs there.
const SHUTDOWN: &str = "shutdown";
/// Where dracut's own looks for what to run before it ends: up to dracut 105, and since.
const HOOKS: [&str; 2] = ["lib/dracut/hooks", "var/lib/dracut/hooks"];
const HOOK: &str = "shutdown/90-sugar-cellar.sh";
/// What systemd moves there.
const PLACES: [&str; 5] = ["dev", "proc", "sys", "run", "oldroot"];

/// Prepares for the shutdown of a system that runs from a stick.
///
/// # Errors
/// `NotFound` where it does not; `Denied`, `Io`.
pub fn prepare() -> Result<()> {
    let stick = Stick::open(Path::new("live"), Access::Read)?.device();
    lay(Path::new(RETURN), &stick.to_string()).doing("preparing for the shutdown")?;
    Ok(())
}

fn lay(root: &Path, stick: &str) -> io::Result<()> {
    // dracut's initramfs may have mounted it so that nothing in it can be run.
    let run = root.parent().unwrap_or(root);
    let flags = MountFlags::BIND | MountFlags::NOSUID | MountFlags::NODEV;
    if let Err(error) = mount_remount(run, flags, c"") {
        log::info!("{}: {error}", run.display());
    }
    let ours = root.join(OURS);
    let linked = linked()?;
    for library in &linked {
        let name = if is_loader(library) {
            LOADER.as_ref()
        } else {
            library.file_name().unwrap_or_default()
        };
        let to = ours.join(LIBRARIES).join(name);
        write(&to, &fs::read(library)?, 0o755)?;
    }
    let helper = fs::read("/proc/self/exe")?;
    write(&ours.join(HELPER), &helper, 0o755)?;
    write(&ours.join(STICK), stick.as_bytes(), 0o644)?;
    let program = format!("/{OURS}/{HELPER}");
    let loader = format!("/{OURS}/{LIBRARIES}/{LOADER}");
    let shutdown = root.join(SHUTDOWN);
    let first = format!("#!{loader} {program}\n");
    if shutdown.exists() && fs::read(&shutdown)? != first.as_bytes() {
        let line = format!("{loader} --library-path /{OURS}/{LIBRARIES} {program} finish\n");
        let folders = HOOKS.map(|folder| root.join(folder));
        for folder in folders.iter().filter(|folder| folder.is_dir()) {
            write(&folder.join(HOOK), format!("{line}:\n").as_bytes(), 0o755)?;
        }
        return Ok(());
    }
    for place in PLACES {
        fs::create_dir_all(root.join(place))?;
    }
    // The kernel hands a script to its interpreter with one argument, so that the loader
    // cannot be told where the libraries are: it finds them where they were.
    let folders: BTreeSet<&Path> = linked.iter().filter_map(|path| path.parent()).collect();
    for folder in folders {
        let there = root.join(folder.strip_prefix("/").unwrap_or(folder));
        if let Some(parent) = there.parent() {
            fs::create_dir_all(parent)?;
        }
        match symlink(format!("/{OURS}/{LIBRARIES}"), &there) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other?,
        }
    }
    write(&shutdown, first.as_bytes(), 0o755)
}

/// The files that this program is linked with, the loader among them: what of it is in memory.
fn linked() -> io::Result<BTreeSet<PathBuf>> {
    let own = fs::read_link("/proc/self/exe")?;
    let mut text = String::new();
    File::open("/proc/self/maps")?.read_to_string(&mut text)?;
    // proc(5): the file's path is the sixth field, and may hold spaces.
    let path = |line: &str| {
        let at = line.find('/')?;
        Some(PathBuf::from(&line[at..]))
    };
    let paths = text
        .lines()
        .filter(|line| line.contains(".so"))
        .filter_map(path);
    let found: BTreeSet<PathBuf> = paths.filter(|path| *path != own && path.exists()).collect();
    if found.iter().any(|path| is_loader(path)) {
        return Ok(found);
    }
    Err(io::Error::other("this program's loader was not found"))
}

fn is_loader(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("ld-") || name.starts_with("ld.so") || name.starts_with("ld64")
}

/// Writes a whole file, and its folder.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::process::Command;

    fn laid(dracut: bool) -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("initramfs");
        fs::create_dir(&root).unwrap();
        if dracut {
            fs::write(root.join(SHUTDOWN), "#!/bin/sh\n").unwrap();
            fs::create_dir_all(root.join(HOOKS[1])).unwrap();
        }
        lay(&root, "8:17").unwrap();
        // A second shutdown that was cancelled, and one more: no harm.
        lay(&root, "8:17").unwrap();
        place
    }

    #[test]
    fn what_is_laid_down_runs_with_nothing_else() {
        let place = laid(false);
        let root = place.path().join("initramfs");
        let ours = root.join(OURS);
        assert_eq!(fs::read_to_string(ours.join(STICK)).unwrap(), "8:17");
        let first = fs::read_to_string(root.join(SHUTDOWN)).unwrap();
        assert_eq!(first, "#!/sugar-cellar/lib/loader /sugar-cellar/helper\n");
        for place in PLACES {
            assert!(root.join(place).is_dir());
        }
        // This test's own program, by what lies there alone.
        let library = ours.join(LIBRARIES);
        let listed = Command::new(library.join(LOADER))
            .arg("--inhibit-cache")
            .arg("--library-path")
            .arg(&library)
            .arg(ours.join(HELPER))
            .arg("--list")
            .output()
            .unwrap();
        let said = String::from_utf8(listed.stdout).unwrap();
        assert!(said.contains("what_is_laid_down_runs"), "{said}");
    }

    #[test]
    fn dracuts_own_is_left_alone() {
        let place = laid(true);
        let root = place.path().join("initramfs");
        assert_eq!(
            fs::read_to_string(root.join(SHUTDOWN)).unwrap(),
            "#!/bin/sh\n"
        );
        let hook = fs::read_to_string(root.join(HOOKS[1]).join(HOOK)).unwrap();
        assert!(!root.join(HOOKS[0]).exists());
        assert!(
            hook.ends_with(" /sugar-cellar/helper finish\n:\n"),
            "{hook}"
        );
    }
}
