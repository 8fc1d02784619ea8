//! A disk in memory whose every call can be cut, torn, reordered or failed. For tests.
//!
//! [`FaultFolder`] behaves as [`super::DiskFolder`] does, and remembers every call that
//! changes something. [`FaultFolder::trace`] gives them as a [`Trace`]; its [`Trace::cuts`]
//! stop after each of them, and [`Cut::crash`] is the folder as it may be found after a
//! power cut there:
//!
//! - what a sync made durable is there; a file's sync makes its bytes and its length
//!   durable, not its name; the folder's sync makes everything durable;
//! - of the rest, each 512-byte sector is as it was at some instant since;
//! - names are as [`Rules`] say.
//!
//! Short of a cut, calls can be made to fail ([`FaultFolder::fail_call`]), room to run out
//! ([`FaultFolder::set_capacity`]), and bytes to rot ([`FaultFolder::flip`]).

mod content;
mod random;
mod trace;
mod world;

pub use random::Random;
pub use trace::{Cut, Trace};
pub use world::Rules;

use super::disk::single;
use super::{Entry, EntryKind, Folder, ReadAt, Storage};
use crate::units::Bytes;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use world::{Call, Id, World};

/// A FAT file's length is a 32-bit number.
const FAT_FILE_LIMIT: Bytes = Bytes(u32::MAX as u64);
/// What is free where nobody limited it.
const ROOM: Bytes = Bytes(1 << 40);

/// The device and what the system keeps of it in memory.
#[derive(Debug)]
struct Disk {
    world: World,
    /// The world when recording began.
    start: World,
    /// Calls since then that did something, and when by the clock.
    log: Vec<Call>,
    times: Vec<usize>,
    /// Goes on with every call; folders that are used together may share one.
    clock: Arc<AtomicUsize>,
    /// Calls since then, failed ones included.
    count: usize,
    failing: Option<Failing>,
    capacity: Option<Bytes>,
    next_id: Id,
    /// Reads of this byte's sector fail.
    broken: Vec<(Id, u64)>,
}

/// Which calls fail.
#[derive(Debug, Clone, Copy)]
struct Failing {
    call: usize,
    /// All that follow, too.
    rest: bool,
    error: io::ErrorKind,
}

/// A folder in memory. Clones are the same folder.
#[derive(Debug, Clone)]
pub struct FaultFolder {
    disk: Arc<Mutex<Disk>>,
}

/// A file in such a folder. Stays open when its name is gone.
#[derive(Debug, Clone)]
pub struct FaultFile {
    disk: Arc<Mutex<Disk>>,
    file: Id,
    access: Access,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
    /// What the device has, not what is in memory.
    Uncached,
}

impl FaultFolder {
    /// An empty folder.
    pub fn new(rules: Rules) -> FaultFolder {
        FaultFolder::of(World::new(rules))
    }

    fn of(world: World) -> FaultFolder {
        let next_id = world.nodes.keys().last().map_or(1, |last| last + 1);
        let disk = Disk {
            start: world.clone(),
            world,
            log: Vec::new(),
            times: Vec::new(),
            clock: Arc::default(),
            count: 0,
            failing: None,
            capacity: None,
            next_id,
            broken: Vec::new(),
        };
        FaultFolder {
            disk: Arc::new(Mutex::new(disk)),
        }
    }

    /// A folder of its own with what this one holds, all of it durable.
    pub fn copy(&self) -> FaultFolder {
        FaultFolder::of(lock(&self.disk).world.crash(1))
    }

    /// Forgets the calls so far, so that traces and counts begin here.
    /// What is not durable by then may still be lost in a cut.
    pub fn record(&self) {
        let mut disk = lock(&self.disk);
        disk.start = disk.world.clone();
        disk.log.clear();
        disk.times.clear();
        disk.count = 0;
        disk.failing = None;
    }

    /// All calls since recording began, to be cut.
    pub fn trace(&self) -> Trace {
        let disk = lock(&self.disk);
        Trace::new(disk.start.clone(), disk.log.clone(), disk.times.clone())
    }

    /// Shares the clock of `other`, so that [`Trace::until`] finds the same instant in both.
    pub fn keep_time_with(&self, other: &FaultFolder) {
        let clock = Arc::clone(&lock(&other.disk).clock);
        lock(&self.disk).clock = clock;
    }

    /// Changing calls since recording began, failed ones included.
    pub fn calls(&self) -> usize {
        lock(&self.disk).count
    }

    /// Makes changing call number `call` since recording began fail, once. It does nothing then; but what a
    /// sync was to make durable is taken for durable afterwards, and is not.
    pub fn fail_call(&self, call: usize, error: io::ErrorKind) {
        lock(&self.disk).failing = Some(Failing {
            call,
            rest: false,
            error,
        });
    }

    /// Makes changing calls fail from number `call` on.
    pub fn fail_from(&self, call: usize, error: io::ErrorKind) {
        lock(&self.disk).failing = Some(Failing {
            call,
            rest: true,
            error,
        });
    }

    /// Makes the device hold this much in files, and no more.
    pub fn set_capacity(&self, capacity: Bytes) {
        lock(&self.disk).capacity = Some(capacity);
    }

    /// Changes the bits `mask` of a byte on the device alone: whoever reads the file through
    /// memory does not see it, [`Folder::open_uncached`] and a cut do.
    pub fn flip(&self, name: &str, offset: u64, mask: u8) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        let file = disk.world.find(name)?;
        let durable = &mut disk.world.node(file)?.durable;
        let mut byte = [0];
        durable.read(&mut byte, offset)?;
        durable.write(&[byte[0] ^ mask], offset);
        Ok(())
    }

    /// Makes reads that touch this byte fail.
    pub fn break_reads(&self, name: &str, offset: u64) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        let file = disk.world.find(name)?;
        disk.broken.push((file, offset));
        Ok(())
    }

    /// All of a file's bytes, as memory has them.
    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let file = self.open(name)?;
        let mut bytes = vec![0; file.size()?.0 as usize];
        file.read_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Puts a file there, durable with its name, whatever the name stood for.
    pub fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if lock(&self.disk).world.find(name).is_ok() {
            self.remove(name)?;
        }
        self.create(name)?.write_at(bytes, 0)?;
        self.sync()
    }

    fn file(&self, name: &str, access: Access) -> io::Result<FaultFile> {
        single(name)?;
        let file = lock(&self.disk).world.find(name)?;
        Ok(FaultFile {
            disk: Arc::clone(&self.disk),
            file,
            access,
        })
    }

    fn perform(&self, call: Call) -> io::Result<()> {
        lock(&self.disk).perform(call)
    }
}

impl Disk {
    /// Does a changing call, or fails it as was asked for.
    fn perform(&mut self, call: Call) -> io::Result<()> {
        let number = self.count;
        self.count += 1;
        if let Some(failing) = self.failing
            && (number == failing.call || failing.rest && number > failing.call)
        {
            match call {
                Call::Sync { file } => self.go_on(Call::LoseSync { file })?,
                Call::SyncFolder => self.go_on(Call::LoseSyncFolder)?,
                _ => {}
            }
            return Err(failing.error.into());
        }
        self.make_room(&call)?;
        self.go_on(call)
    }

    fn go_on(&mut self, call: Call) -> io::Result<()> {
        self.world.apply(&call)?;
        self.log.push(call);
        self.times.push(self.clock.fetch_add(1, Ordering::Relaxed));
        Ok(())
    }

    /// `StorageFull` where a call would take more than is free.
    fn make_room(&mut self, call: &Call) -> io::Result<()> {
        let Some(capacity) = self.capacity else {
            return Ok(());
        };
        let before = self.used();
        let (file, mut after) = match call {
            Call::Write { file, .. } | Call::SetLength { file, .. } => {
                (*file, self.world.node(*file)?.memory.clone())
            }
            _ => return Ok(()),
        };
        let old = self.charge(&after);
        match call {
            Call::Write { data, offset, .. } => after.write(data, *offset),
            Call::SetLength { length, .. } => after.set_length(*length),
            _ => {}
        }
        let named = self.world.names.values().any(|&id| id == file);
        let more = self.charge(&after).saturating_sub(old);
        if named && more > 0 && before + more > capacity.0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    /// What a file takes: FAT has no holes.
    fn charge(&self, content: &content::Content) -> u64 {
        match self.world.rules {
            Rules::Ext4 => content.allocated(),
            Rules::Fat => content.length().next_multiple_of(4096),
        }
    }

    /// What all files that have a name take.
    fn used(&self) -> u64 {
        let mut files: Vec<Id> = self.world.names.values().copied().collect();
        files.sort_unstable();
        files.dedup();
        let nodes = files.iter().filter_map(|id| self.world.nodes.get(id));
        nodes.map(|node| self.charge(&node.memory)).sum()
    }
}

/// A test's thread that panicked leaves a disk that is good enough to read.
fn lock(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl FaultFile {
    fn perform(&self, call: Call) -> io::Result<()> {
        if self.access != Access::Write {
            return Err(io::Error::from_raw_os_error(
                rustix::io::Errno::BADF.raw_os_error(),
            ));
        }
        lock(&self.disk).perform(call)
    }
}

impl ReadAt for FaultFile {
    fn size(&self) -> io::Result<Bytes> {
        let mut disk = lock(&self.disk);
        let node = disk.world.node(self.file)?;
        Ok(Bytes(match self.access {
            Access::Uncached => node.durable.length(),
            _ => node.memory.length(),
        }))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        let range = offset..offset.saturating_add(buffer.len() as u64);
        let mut broken = disk.broken.iter();
        if broken.any(|(file, at)| *file == self.file && range.contains(at)) {
            let errno = rustix::io::Errno::IO.raw_os_error();
            return Err(io::Error::from_raw_os_error(errno));
        }
        let node = disk.world.node(self.file)?;
        match self.access {
            Access::Uncached => node.durable.read(buffer, offset),
            _ => node.memory.read(buffer, offset),
        }
    }
}

impl Storage for FaultFile {
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.perform(Call::Write {
            file: self.file,
            offset,
            data: data.into(),
        })
    }

    fn set_len(&self, length: Bytes) -> io::Result<()> {
        self.perform(Call::SetLength {
            file: self.file,
            length: length.0,
        })
    }

    fn uncached(&self) -> io::Result<Box<dyn ReadAt + '_>> {
        Ok(Box::new(FaultFile {
            access: Access::Uncached,
            ..self.clone()
        }))
    }

    fn sync(&self) -> io::Result<()> {
        // A descriptor that may only be read can be synced, too.
        lock(&self.disk).perform(Call::Sync { file: self.file })
    }
}

impl Folder for FaultFolder {
    type File = FaultFile;

    fn entries(&self) -> io::Result<Vec<Entry>> {
        let disk = lock(&self.disk);
        let names = disk.world.names.iter().enumerate();
        Ok(names
            .map(|(place, (name, id))| Entry {
                name: name.clone(),
                kind: EntryKind::File,
                bytes: Bytes(disk.world.nodes[id].memory.length()),
                // FAT numbers its files by where their names are.
                id: match disk.world.rules {
                    Rules::Ext4 => (1, *id),
                    Rules::Fat => (1, 1000 + place as u64),
                },
            })
            .collect())
    }

    fn open(&self, name: &str) -> io::Result<FaultFile> {
        self.file(name, Access::Read)
    }

    fn open_writable(&self, name: &str) -> io::Result<FaultFile> {
        self.file(name, Access::Write)
    }

    fn open_uncached(&self, name: &str) -> io::Result<FaultFile> {
        self.file(name, Access::Uncached)
    }

    fn create(&self, name: &str) -> io::Result<FaultFile> {
        single(name)?;
        let file = {
            let mut disk = lock(&self.disk);
            disk.next_id += 1;
            disk.next_id
        };
        self.perform(Call::Create {
            name: name.to_owned(),
            file,
        })?;
        self.file(name, Access::Write)
    }

    /// Nobody owns anything here.
    fn permit(&self, _: &str, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn exchange(&self, one: &str, other: &str) -> io::Result<()> {
        single(one)?;
        single(other)?;
        self.perform(Call::Exchange {
            one: one.to_owned(),
            other: other.to_owned(),
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        single(from)?;
        single(to)?;
        self.perform(Call::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        single(name)?;
        self.perform(Call::Remove {
            name: name.to_owned(),
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.perform(Call::SyncFolder)
    }

    fn forget(&self) -> io::Result<()> {
        lock(&self.disk).go_on(Call::Forget)
    }

    fn taken(&self, name: &str) -> io::Result<Bytes> {
        let disk = lock(&self.disk);
        let file = disk.world.find(name)?;
        let node = disk.world.nodes.get(&file);
        let node = node.ok_or(io::ErrorKind::NotFound)?;
        Ok(Bytes(disk.charge(&node.memory)))
    }

    fn shortens_at_once(&self) -> io::Result<bool> {
        Ok(lock(&self.disk).world.rules == Rules::Ext4)
    }

    fn lasts(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn free(&self) -> io::Result<Bytes> {
        let disk = lock(&self.disk);
        let capacity = disk.capacity.unwrap_or(ROOM);
        Ok(capacity.saturating_sub(Bytes(disk.used())))
    }

    fn file_limit(&self) -> io::Result<Option<Bytes>> {
        let rules = lock(&self.disk).world.rules;
        Ok((rules == Rules::Fat).then_some(FAT_FILE_LIMIT))
    }
}

#[cfg(test)]
mod tests;
