//! Work that can write in a few folders alone, whatever goes wrong in it: the kernel sees to that
//! (Landlock, Documentation/userspace-api/landlock.rst).

use super::disk::{DROP_CACHES, DiskFolder};
use crate::error::{Doing, Result};
use landlock::{
    ABI, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
};
use rustix::fd::AsFd;
use std::panic::resume_unwind;
use std::thread;

/// What is forbidden outside: opening to write, making, removing, renaming, shortening.
const RIGHTS: ABI = ABI::V3;

/// Does `work` on a thread of its own, which can open nothing to write and change no name but in
/// `folders` and below, nor can the threads that it begins. What is open already stays as it is.
///
/// Older kernels know less of it or nothing, and then it is work like any other.
///
/// # Errors
/// Those of `work`, and of starting a thread.
pub fn confined<T: Send>(
    folders: &[&DiskFolder],
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    let confined = || {
        if let Err(error) = confine(folders) {
            log::warn!("working without Landlock: {error}");
        }
        work()
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().spawn_scoped(scope, confined);
        let thread = thread.doing("starting a thread")?;
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// From now on, for this thread.
fn confine(folders: &[&DiskFolder]) -> std::result::Result<(), RulesetError> {
    let rights = AccessFs::from_write(RIGHTS);
    let ruleset = Ruleset::default().handle_access(rights)?.create()?;
    let folders = folders.iter();
    let mut rules: Vec<_> = folders
        .map(|folder| PathBeneath::new(folder.as_fd(), rights))
        .collect();
    // Where root asks the kernel to forget what it keeps of FAT's folders.
    let caches = PathFd::new(DROP_CACHES);
    if let Ok(caches) = &caches {
        let write = AccessFs::WriteFile | AccessFs::Truncate;
        rules.push(PathBeneath::new(caches.as_fd(), write));
    }
    let rules = rules.into_iter().map(Ok::<_, RulesetError>);
    let status = ruleset.add_rules(rules)?.restrict_self()?;
    log::debug!("Landlock: {:?}", status.ruleset);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::storage::{Folder, Storage};
    use std::fs::{self, File};
    use std::io::ErrorKind;

    #[test]
    fn nothing_is_written_outside() {
        let [inside, outside] = [0, 1].map(|_| tempfile::tempdir().unwrap());
        let there = outside.path().join("there");
        fs::write(&there, "as it was").unwrap();
        let open = DiskFolder::private(outside.path()).unwrap();
        let folder = DiskFolder::private(inside.path()).unwrap();
        let is_confined = confined(&[&folder], || {
            folder.create("one").unwrap().write_at(b"1", 0).unwrap();
            folder.create("two").unwrap();
            folder.exchange("one", "two").unwrap();
            folder.remove("one").unwrap();
            // Where the kernel has no Landlock, this is no test.
            let denied = match File::create(&there) {
                Err(error) => error.kind() == ErrorKind::PermissionDenied,
                Ok(_) => return Ok(false),
            };
            assert!(denied);
            // By an open folder as by a path, and on threads that begin here.
            let others = thread::scope(|scope| {
                let others = scope.spawn(|| {
                    let made = open.create("new").unwrap_err();
                    let removed = open.remove("there").unwrap_err();
                    [made.kind(), removed.kind()]
                });
                others.join().unwrap()
            });
            assert_eq!(others, [ErrorKind::PermissionDenied; 2]);
            assert_eq!(fs::read(&there).unwrap(), b"as it was");
            Ok(true)
        });
        if !is_confined.unwrap() {
            eprintln!("SKIPPED: this kernel has no Landlock");
            return;
        }
        assert_eq!(fs::read(inside.path().join("two")).unwrap(), b"1");
        // Who began it goes on as before.
        fs::write(&there, "another").unwrap();
        let failed = confined(&[&folder], || Err::<(), _>(Error::Cancelled));
        assert!(matches!(failed, Err(Error::Cancelled)));
    }
}
