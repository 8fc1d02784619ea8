//! A real ext4, made and changed without root by e2fsprogs (mke2fs, debugfs, e2fsck).
//!
//! Every time, identifier and owner is set, so that the same orders give the
//! same bytes: e2fsprogs takes its clock from the environment
//! (`E2FSPROGS_FAKE_TIME`, since 1.47.1 also `SOURCE_DATE_EPOCH`).

use crate::error::{Doing, Error, Result};
use crate::units::Bytes;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The features of a live image's ext4: those of a Debian or Fedora of these years,
/// named one by one, so that a machine's own mke2fs.conf changes nothing.
const FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,\
                        sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum";

/// What the file system of a practice stick is called.
pub const LABEL: &str = "SugarPractice";

/// Who owns what is made: user and group number.
#[derive(Debug, Clone, Copy)]
pub struct Owner(pub u32, pub u32);

/// The system's own files.
pub const ROOT: Owner = Owner(0, 0);
/// The one user of a live stick.
pub const LEARNER: Owner = Owner(1000, 1000);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    File,
}

/// An ext4 in a file, and the orders that are to change it.
///
/// Orders are gathered and given to one debugfs by [`Disk::apply`].
#[derive(Debug)]
pub struct Disk {
    /// Where the image and what goes into it lie.
    work: PathBuf,
    orders: String,
    waiting: Vec<PathBuf>,
    known: BTreeMap<String, Kind>,
    made: u64,
    clock: u64,
}

impl Disk {
    /// Makes an empty ext4 of `size` as `name` in the folder `work`.
    pub fn format(
        work: &Path,
        name: &str,
        size: Bytes,
        ids: [&str; 2],
        clock: u64,
    ) -> Result<Disk> {
        let file = File::create_new(work.join(name)).doing("creating the practice image")?;
        file.set_len(size.0).doing("creating the practice image")?;
        let [uuid, hash_seed] = ids;
        // mke2fs allows no smaller journal than 1024 blocks.
        let journal = (size.0 >> 25).clamp(4, 64).to_string();
        let extended = format!(
            "hash_seed={hash_seed},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,nodiscard"
        );
        let mut mke2fs = program("mke2fs", work, clock)?;
        mke2fs.args([
            "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-i", "16384",
        ]);
        mke2fs.args(["-L", LABEL, "-U", uuid, "-O", FEATURES, "-E", &extended]);
        mke2fs.args(["-J", &format!("size={journal}"), name]);
        run(&mut mke2fs, "mke2fs")?;
        Ok(Disk {
            work: work.to_owned(),
            orders: String::new(),
            waiting: Vec::new(),
            known: BTreeMap::new(),
            made: 0,
            clock,
        })
    }

    /// The image that lies in the folder `work` already, in which the folders `known` are, and
    /// those above them.
    pub fn existing(work: &Path, known: &[&str], clock: u64) -> Disk {
        let above = |path: &&'_ str| -> Vec<String> {
            let ends = path.match_indices('/').map(|(at, _)| at);
            let ends = ends.chain([path.len()]);
            ends.map(|end| path[..end].to_owned()).collect()
        };
        let folders = known.iter().flat_map(above);
        Disk {
            work: work.to_owned(),
            orders: String::new(),
            waiting: Vec::new(),
            known: folders.map(|path| (path, Kind::Folder)).collect(),
            made: 0,
            clock,
        }
    }

    /// What comes from now on happens at `clock`, in seconds since 1970.
    pub fn set_clock(&mut self, clock: u64) {
        self.clock = clock;
    }

    /// Makes the folder `path` and those above it.
    pub fn folder(&mut self, path: &str, owner: Owner) {
        if path.is_empty() || self.known.contains_key(path) {
            return;
        }
        if let Some((above, _)) = path.rsplit_once('/') {
            self.folder(above, owner);
        }
        self.tick();
        self.order(&format!("mkdir \"{path}\""));
        self.own(path, owner);
        self.known.insert(path.to_owned(), Kind::Folder);
    }

    /// Writes a new file, or in an old one's place a new one, as a program that saves a copy does.
    pub fn file(&mut self, path: &str, mode: u16, owner: Owner, content: &[u8]) -> Result<()> {
        if self.known.contains_key(path) {
            self.remove(path);
        }
        if let Some((above, _)) = path.rsplit_once('/') {
            self.folder(above, owner);
        }
        let name = format!("content-{}", self.made);
        self.made += 1;
        let source = self.work.join(&name);
        fs::write(&source, content).doing("writing practice files")?;
        self.waiting.push(source);
        self.tick();
        self.order(&format!("write {name} \"{path}\""));
        self.order(&format!("set_inode_field \"{path}\" mode 010{mode:04o}"));
        self.own(path, owner);
        self.known.insert(path.to_owned(), Kind::File);
        Ok(())
    }

    /// Gives the file `from` the name `to`, which is free.
    pub fn rename(&mut self, from: &str, to: &str) {
        self.tick();
        // Neither counts the names, so that there is one before and after.
        self.order(&format!("ln \"{from}\" \"{to}\""));
        self.order(&format!("unlink \"{from}\""));
        if let Some(kind) = self.known.remove(from) {
            self.known.insert(to.to_owned(), kind);
        }
    }

    /// A symbolic link at `path`.
    pub fn link(&mut self, path: &str, target: &str) {
        self.tick();
        self.order(&format!("symlink \"{path}\" \"{target}\""));
        self.known.insert(path.to_owned(), Kind::File);
    }

    /// Removes the file at `path`, or the folder with all that is in it.
    pub fn remove(&mut self, path: &str) {
        self.tick();
        let below = format!("{path}/");
        let inside = |name: &str| name == path || name.starts_with(&below);
        let gone: Vec<(String, Kind)> = self
            .known
            .range(path.to_owned()..)
            .filter(|(name, _)| inside(name))
            .map(|(name, kind)| (name.clone(), *kind))
            .collect();
        // What lies deeper sorts behind, and has to go first.
        for (name, kind) in gone.into_iter().rev() {
            let order = if kind == Kind::Folder { "rmdir" } else { "rm" };
            self.order(&format!("{order} \"{name}\""));
            self.known.remove(&name);
        }
    }

    /// Overwrites one byte of a file in place, as a program that edits in the middle does.
    pub fn change_letter(&mut self, path: &str, block: u64, letter: u8) {
        self.order(&format!(
            "zap_block -f \"{path}\" -o 100 -l 1 -p {letter} {block}"
        ));
    }

    /// The files below `path`, in the order of their names.
    pub fn files_below(&self, path: &str) -> Vec<String> {
        let below = format!("{path}/");
        let files = self.known.iter().filter(|(_, kind)| **kind == Kind::File);
        let names = files
            .map(|(name, _)| name)
            .filter(|name| name.starts_with(&below));
        names.cloned().collect()
    }

    /// Carries out what was ordered, on the image `name`.
    pub fn apply(&mut self, name: &str) -> Result<()> {
        fs::write(self.work.join("orders"), &self.orders).doing("writing practice files")?;
        let mut debugfs = program("debugfs", &self.work, self.clock)?;
        debugfs.args(["-w", "-f", "orders", name]);
        let output = run(&mut debugfs, "debugfs")?;
        // What fails in a script is told on standard error alone; the first line is the version.
        let said = String::from_utf8_lossy(&output.stderr);
        let mut complaints = said.lines().filter(|line| !line.starts_with("debugfs "));
        if let Some(first) = complaints.next() {
            return Err(failed("debugfs", first));
        }
        self.orders.clear();
        for source in self.waiting.drain(..) {
            fs::remove_file(source).doing("removing practice files")?;
        }
        Ok(())
    }

    /// Whether e2fsck finds nothing to say about the image `name`.
    pub fn check(&self, name: &str) -> Result<()> {
        let mut e2fsck = program("e2fsck", &self.work, self.clock)?;
        e2fsck.args(["-f", "-n", name]);
        run(&mut e2fsck, "e2fsck").map(|_| ())
    }

    fn tick(&mut self) {
        self.clock += 1;
        let clock = self.clock;
        self.order(&format!("set_current_time @{clock}"));
    }

    fn own(&mut self, path: &str, owner: Owner) {
        let Owner(user, group) = owner;
        if user != 0 || group != 0 {
            self.order(&format!("set_inode_field \"{path}\" uid {user}"));
            self.order(&format!("set_inode_field \"{path}\" gid {group}"));
        }
    }

    fn order(&mut self, order: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.orders, "{order}");
    }
}

/// A program of e2fsprogs, to be run in `work` with nothing of our own environment.
fn program(name: &'static str, work: &Path, clock: u64) -> Result<Command> {
    let path = find(name).ok_or(Error::Missing {
        program: name,
        package: "e2fsprogs",
    })?;
    let mut command = Command::new(path);
    command
        .current_dir(work)
        .stdin(Stdio::null())
        .env_clear()
        .env("LC_ALL", "C")
        .env("E2FSPROGS_FAKE_TIME", clock.to_string())
        .env("SOURCE_DATE_EPOCH", clock.to_string());
    Ok(command)
}

/// Where `name` lies: on the search path, or where Debian keeps it, which is not on every user's.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

fn run(command: &mut Command, name: &str) -> Result<Output> {
    let output = command.output().doing(format!("starting {name}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = [&output.stderr[..], &output.stdout[..]].concat();
    let said = String::from_utf8_lossy(&said);
    Err(failed(name, &format!("{}: {}", output.status, said.trim())))
}

fn failed(name: &str, detail: &str) -> Error {
    Error::Io {
        doing: format!("running {name}"),
        source: io::Error::other(detail.to_owned()),
    }
}
