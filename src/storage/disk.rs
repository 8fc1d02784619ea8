//! The real thing: a file, and a folder that is held open.
//!
//! Names are opened beneath the held folder and never through a link
//! (openat2), so that nobody can move what is written elsewhere meanwhile.

use super::{Entry, EntryKind, Folder, ReadAt, Storage, beneath};
use crate::units::Bytes;
use rustix::fs::{
    AtFlags, Dir, FallocateFlags, FileType, Gid, Mode, OFlags, RenameFlags, StatVfsMountFlags, Uid,
};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What direct reads are aligned to, in bytes: the largest logical block met on sticks and disks.
const DIRECT_ALIGN: u64 = 4096;
/// A direct read takes at most this at once.
const DIRECT_CHUNK: usize = 1 << 20;
/// `statfs` type of FAT (linux/magic.h, MSDOS_SUPER_MAGIC).
const MSDOS_MAGIC: i64 = 0x4d44;
/// `statfs` type of ext2, ext3 and ext4 (linux/magic.h, EXT4_SUPER_MAGIC).
const EXT4_MAGIC: i64 = 0xef53;
/// Where ext4's superblock holds the features that nobody need know (fs/ext4/ext4.h,
/// s_feature_compat), and the one that says that there is a journal (EXT4_FEATURE_COMPAT_HAS_JOURNAL).
const EXT4_COMPATIBLE: u64 = 1024 + 0x5c;
const EXT4_HAS_JOURNAL: u32 = 0x4;
/// Blocks that ext4 keeps for itself, from root too: a fiftieth of all, and no more than these
/// (fs/ext4/super.c, ext4_calculate_resv_clusters).
const EXT4_KEPT: u64 = 4096;
/// `statfs` type of exFAT (linux/magic.h, EXFAT_SUPER_MAGIC).
const EXFAT_MAGIC: i64 = 0x2011_bab0;
/// `statfs` types of file systems in memory (linux/magic.h, TMPFS_MAGIC, RAMFS_MAGIC).
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];
/// Where root asks the kernel to forget what it keeps in memory (Documentation/admin-guide/sysctl/vm.rst).
pub(super) const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";
/// A FAT file's length is a 32-bit number.
const FAT_FILE_LIMIT: Bytes = Bytes(u32::MAX as u64);

/// A regular file or a block device.
#[derive(Debug)]
pub struct DiskFile {
    file: File,
    direct: bool,
}

impl DiskFile {
    /// Of an open file; reads come through the page cache.
    pub fn new(file: File) -> DiskFile {
        DiskFile {
            file,
            direct: false,
        }
    }

    /// The open file, for calls that only a real file knows (locks, loop devices).
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Of what `open` opens with these flags besides its own, so that reads come from the device.
    fn direct(open: impl Fn(OFlags) -> io::Result<DiskFile>) -> io::Result<DiskFile> {
        match open(OFlags::DIRECT) {
            Ok(file) => Ok(DiskFile {
                direct: true,
                ..file
            }),
            // No direct reads here (tmpfs, some network and user-space file systems):
            // drop what is kept in memory of the file, which is clean after a sync.
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
                let file = open(OFlags::empty())?;
                rustix::fs::fadvise(&file.file, 0, None, rustix::fs::Advice::DontNeed)?;
                Ok(file)
            }
            Err(error) => Err(error),
        }
    }

    /// An aligned read around the wanted bytes, past the page cache.
    fn read_direct(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let align = DIRECT_ALIGN as usize;
        let room = (buffer.len() + align)
            .next_multiple_of(align)
            .min(DIRECT_CHUNK);
        let mut bounce = vec![0; room + align];
        let shift = bounce.as_ptr().align_offset(align);
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let start = at / DIRECT_ALIGN * DIRECT_ALIGN;
            let skip = (at - start) as usize;
            let want = (buffer.len() - done).min(room - skip);
            let length = (skip + want).next_multiple_of(align);
            let window = &mut bounce[shift..shift + length];
            // The last block of a file comes short; that is no error.
            let got = self.file.read_at(window, start)?;
            let usable = got.saturating_sub(skip).min(want);
            if usable == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            buffer[done..done + usable].copy_from_slice(&window[skip..skip + usable]);
            done += usable;
        }
        Ok(())
    }
}

impl ReadAt for DiskFile {
    fn size(&self) -> io::Result<Bytes> {
        let metadata = self.file.metadata()?;
        if metadata.is_file() {
            return Ok(Bytes(metadata.len()));
        }
        // A block device: its end is where seeking to the end leads.
        let end = rustix::fs::seek(&self.file, rustix::fs::SeekFrom::End(0))?;
        Ok(Bytes(end))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if self.direct {
            self.read_direct(buffer, offset)
        } else {
            self.file.read_exact_at(buffer, offset)
        }
    }
}

impl Storage for DiskFile {
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }

    /// Growing takes the room at once where the file system can, so that a full stick is
    /// found now, and not by the kernel's snapshot at some later write.
    fn set_len(&self, length: Bytes) -> io::Result<()> {
        let now = self.size()?;
        if length > now {
            let more = length.0 - now.0;
            match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), now.0, more) {
                Ok(()) => return Ok(()),
                Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
                Err(error) => {
                    // What was taken before the room ran out is given back.
                    self.file.set_len(now.0)?;
                    return Err(error.into());
                }
            }
        }
        self.file.set_len(length.0)
    }

    fn allocate(&self, length: Bytes) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        let old = self.size()?.0;
        let more = length.0.saturating_sub(old);
        if more == 0 {
            return Ok(());
        }
        // What a growth that was cut left behind the end: FAT cannot grow past it.
        self.set_len(Bytes(old))?;
        // FAT keeps clusters and length in different places. Of a length without clusters, all that
        // is written there later would be lost: so clusters come first, and are on the device.
        match fallocate(&self.file, FallocateFlags::KEEP_SIZE, old, more) {
            Ok(()) => self.sync()?,
            Err(Errno::OPNOTSUPP) => {}
            Err(other) => return Err(other.into()),
        }
        match fallocate(&self.file, FallocateFlags::empty(), old, more) {
            Err(Errno::OPNOTSUPP) => self.set_len(length),
            other => Ok(other?),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn uncached(&self) -> io::Result<Box<dyn ReadAt + '_>> {
        // A description of its own: the flag is the description's.
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let open = |flags| {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | flags;
            let file = rustix::fs::open(&*path, flags, Mode::empty())?;
            Ok(DiskFile::new(File::from(file)))
        };
        Ok(Box::new(DiskFile::direct(open)?))
    }

    /// Telling Linux that pages are not needed makes it begin to write them
    /// (mm/fadvise.c); once written they may go, which is right for what is only read back
    /// past the cache.
    fn start_writing(&self, offset: u64, length: u64) {
        let Some(length) = NonZeroU64::new(length) else {
            return;
        };
        let advice = rustix::fs::Advice::DontNeed;
        if let Err(error) = rustix::fs::fadvise(&self.file, offset, Some(length), advice) {
            log::debug!("advising the kernel to write: {error}");
        }
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }
}

/// A folder held open.
#[derive(Debug)]
pub struct DiskFolder {
    folder: OwnedFd,
    /// Who may do what with a file that is created.
    mode: Mode,
}

/// As files on a stick are: everybody reads, the owner writes.
const SHARED: Mode = Mode::from_raw_mode(0o644);

impl DiskFolder {
    /// Opens the folder at `path`, which may be reached through links (the caller chose it).
    pub fn open(path: &Path) -> io::Result<DiskFolder> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
    }

    /// As [`DiskFolder::open`]; what is created in it is for its owner alone.
    pub fn private(path: &Path) -> io::Result<DiskFolder> {
        Ok(DiskFolder {
            mode: Mode::RUSR | Mode::WUSR,
            ..DiskFolder::open(path)?
        })
    }

    /// Opens the folder `name` right below this one; a link is an error.
    pub fn below(&self, name: &str) -> io::Result<DiskFolder> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        Ok(self.open_beneath(name, flags, Mode::empty())?.into())
    }

    /// The held folder, for locks and for asking what it lies on.
    pub fn handle(&self) -> &OwnedFd {
        &self.folder
    }

    fn open_beneath(&self, name: &str, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        single(name)?;
        // Not to hang on a pipe that lies there; regular files do not care.
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let fd = beneath::open(&self.folder, name, flags, mode)?;
        Ok(fd)
    }

    fn open_file(&self, name: &str, flags: OFlags) -> io::Result<DiskFile> {
        let file = File::from(self.open_beneath(name, flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            let message = format!("{name} is not a regular file");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Ok(DiskFile::new(file))
    }

    fn is_fat(&self) -> io::Result<bool> {
        Ok(rustix::fs::fstatfs(&self.folder)?.f_type as i64 == MSDOS_MAGIC)
    }

    /// Whether names, a file's length and what it takes change together, in one step: by a journal.
    fn in_steps(&self) -> io::Result<bool> {
        Ok(match rustix::fs::fstatfs(&self.folder)?.f_type as i64 {
            MSDOS_MAGIC | EXFAT_MAGIC => false,
            EXT4_MAGIC => self.has_journal()?,
            _ => true,
        })
    }

    /// Whether an ext4 has a journal; ext2, which has the same `statfs` type, has none.
    ///
    /// The driver tells what it does (fs/ext4/sysfs.c, journal_task_show; Linux 5.1), and ext2's driver
    /// tells nothing there. But mounted to look only, a journal that there is may not be loaded.
    fn has_journal(&self) -> io::Result<bool> {
        let device = rustix::fs::fstat(&self.folder)?.st_dev;
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let Ok(block) = std::fs::read_link(format!("/sys/dev/block/{major}:{minor}")) else {
            return Ok(false);
        };
        let name = block.file_name().unwrap_or_default();
        let task = Path::new("/sys/fs/ext4").join(name).join("journal_task");
        match std::fs::read_to_string(task) {
            Ok(task) if task.trim() != "<none>" => return Ok(true),
            Ok(_) => {}
            Err(_) => return Ok(false),
        }
        let flags = rustix::fs::fstatvfs(&self.folder)?.f_flag;
        if !flags.contains(StatVfsMountFlags::RDONLY) {
            return Ok(false);
        }
        let node = Path::new("/dev").join(name.to_string_lossy().replace('!', "/"));
        let node = match File::open(node) {
            Ok(node) if rustix::fs::fstat(&node)?.st_rdev == device => node,
            _ => return Ok(false),
        };
        let mut compatible = [0; 4];
        node.read_exact_at(&mut compatible, EXT4_COMPATIBLE)?;
        Ok(u32::from_le_bytes(compatible) & EXT4_HAS_JOURNAL != 0)
    }
}

impl AsFd for DiskFolder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

impl From<OwnedFd> for DiskFolder {
    /// Of a folder that is open already, for reading.
    fn from(folder: OwnedFd) -> DiskFolder {
        DiskFolder {
            folder,
            mode: SHARED,
        }
    }
}

/// A name must be one component: what comes from a stick or a caller never leads elsewhere.
pub(super) fn single(name: &str) -> io::Result<()> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        let message = format!("{name:?} is not a plain file name");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(())
}

impl Folder for DiskFolder {
    type File = DiskFile;

    fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(self.folder.as_fd())? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            if name == "." || name == ".." {
                continue;
            }
            let stat = rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
            let (kind, bytes) = match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => (EntryKind::File, stat.st_size as u64),
                FileType::Directory => (EntryKind::Folder, 0),
                _ => (EntryKind::Other, 0),
            };
            entries.push(Entry {
                name: name.to_owned(),
                kind,
                bytes: Bytes(bytes),
                id: (stat.st_dev, stat.st_ino),
            });
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    fn open(&self, name: &str) -> io::Result<DiskFile> {
        self.open_file(name, OFlags::RDONLY)
    }

    fn open_writable(&self, name: &str) -> io::Result<DiskFile> {
        self.open_file(name, OFlags::RDWR)
    }

    fn open_uncached(&self, name: &str) -> io::Result<DiskFile> {
        DiskFile::direct(|flags| self.open_file(name, OFlags::RDONLY | flags))
    }

    fn create(&self, name: &str) -> io::Result<DiskFile> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let file = self.open_beneath(name, flags, self.mode)?;
        Ok(DiskFile::new(File::from(file)))
    }

    fn permit(&self, name: &str, like: &str) -> io::Result<()> {
        let file = self.open_beneath(name, OFlags::RDWR, Mode::empty())?;
        let like = self.open_beneath(like, OFlags::RDONLY, Mode::empty())?;
        let (ours, like) = (rustix::fs::fstat(&file)?, rustix::fs::fstat(&like)?);
        let known = |done: rustix::io::Result<()>| match done {
            // FAT has one owner and few permissions for all, and others' files are not ours to give.
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::INVAL) => Ok(()),
            other => other,
        };
        if (ours.st_uid, ours.st_gid) != (like.st_uid, like.st_gid) {
            let (user, group) = (Uid::from_raw(like.st_uid), Gid::from_raw(like.st_gid));
            known(rustix::fs::fchown(&file, Some(user), Some(group)))?;
        }
        // Permissions alone: never the bits that lend a user's rights.
        let mode = Mode::from_raw_mode(like.st_mode & 0o777);
        Ok(known(rustix::fs::fchmod(&file, mode))?)
    }

    fn exchange(&self, one: &str, other: &str) -> io::Result<()> {
        self.rename_with(one, other, RenameFlags::EXCHANGE)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.rename_with(from, to, RenameFlags::NOREPLACE)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        single(name)?;
        Ok(rustix::fs::unlinkat(&self.folder, name, AtFlags::empty())?)
    }

    fn sync(&self) -> io::Result<()> {
        rustix::fs::syncfs(&self.folder)?;
        // Of FAT, that brings all to the device, and nothing from the device's own memory to its medium:
        // only a file's or a folder's sync flushes that (fs/fat/file.c, fat_file_fsync).
        match rustix::fs::fsync(&self.folder) {
            // Some network and user-space file systems know no sync of a folder.
            Err(Errno::INVAL) => Ok(()),
            other => Ok(other?),
        }
    }

    fn forget(&self) -> io::Result<()> {
        // FAT keeps its directories in the block device's cache, which only root can drop, and so does
        // ext4; but there the exchange is one transaction of the journal, which needs no second look.
        if self.in_steps()? {
            return Ok(());
        }
        match std::fs::write(DROP_CACHES, "3") {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            other => other,
        }
    }

    fn taken(&self, name: &str) -> io::Result<Bytes> {
        single(name)?;
        let stat = rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
        Ok(Bytes(blocks.saturating_mul(512)))
    }

    fn shortens_at_once(&self) -> io::Result<bool> {
        self.in_steps()
    }

    fn lasts(&self) -> io::Result<bool> {
        let kind = rustix::fs::fstatfs(&self.folder)?.f_type as i64;
        Ok(!IN_MEMORY.contains(&kind))
    }

    fn free(&self) -> io::Result<Bytes> {
        let space = rustix::fs::fstatvfs(&self.folder)?;
        Ok(Bytes(space.f_bavail.saturating_mul(space.f_frsize)))
    }

    fn free_again(&self) -> io::Result<Bytes> {
        let free = self.free()?;
        let space = rustix::fs::fstatfs(&self.folder)?;
        if space.f_type as i64 != EXT4_MAGIC || !rustix::process::geteuid().is_root() {
            return Ok(free);
        }
        // A fiftieth of all is meant, and these are all but the file system's own records.
        let kept = (space.f_blocks / 40).min(EXT4_KEPT);
        let blocks = space.f_bfree.saturating_sub(kept);
        Ok(free.max(Bytes(blocks.saturating_mul(space.f_bsize as u64))))
    }

    fn file_limit(&self) -> io::Result<Option<Bytes>> {
        Ok(self.is_fat()?.then_some(FAT_FILE_LIMIT))
    }
}

impl DiskFolder {
    fn rename_with(&self, from: &str, to: &str, flags: RenameFlags) -> io::Result<()> {
        single(from)?;
        single(to)?;
        Ok(rustix::fs::renameat_with(
            &self.folder,
            from,
            &self.folder,
            to,
            flags,
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, DiskFolder) {
        let place = tempfile::tempdir().unwrap();
        let folder = DiskFolder::open(place.path()).unwrap();
        (place, folder)
    }

    #[test]
    fn uncached_reads_give_the_same_bytes_at_any_place() {
        let (_place, folder) = folder();
        let bytes: Vec<u8> = (0..3_000_017u32).map(|i| (i % 251) as u8).collect();
        let file = folder.create("a").unwrap();
        file.write_at(&bytes, 0).unwrap();
        file.sync().unwrap();
        let uncached = folder.open_uncached("a").unwrap();
        for (offset, length) in [(0, 10), (4095, 2), (511, 1_200_000), (2_999_990, 27)] {
            let mut got = vec![0; length];
            uncached.read_at(&mut got, offset as u64).unwrap();
            assert_eq!(got, bytes[offset..offset + length]);
        }
        let past = uncached.read_at(&mut [0; 2], 3_000_016);
        assert_eq!(past.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn allocated_room_reads_as_zeros() {
        use std::os::unix::fs::MetadataExt;
        let (_place, folder) = folder();
        let file = folder.create("a").unwrap();
        file.write_at(&[1; 100], 0).unwrap();
        file.allocate(Bytes(1 << 20)).unwrap();
        file.allocate(Bytes(50)).unwrap();
        assert_eq!(file.size().unwrap(), Bytes(1 << 20));
        let mut end = [9; 100];
        file.read_at(&mut end, (1 << 20) - 100).unwrap();
        assert_eq!(end, [0; 100]);
        assert!(file.file().metadata().unwrap().blocks() >= 2048);
    }

    #[test]
    fn what_is_private_is_for_its_owner_alone() {
        use std::os::unix::fs::MetadataExt;
        let place = tempfile::tempdir().unwrap();
        let folder = DiskFolder::private(place.path()).unwrap();
        let file = folder.create("a").unwrap();
        assert_eq!(file.file().metadata().unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn links_and_paths_are_refused() {
        let (place, folder) = folder();
        std::fs::write(place.path().join("real"), "x").unwrap();
        std::os::unix::fs::symlink("real", place.path().join("link")).unwrap();
        std::fs::create_dir(place.path().join("sub")).unwrap();
        assert!(folder.open("real").is_ok());
        for name in ["link", "sub", "../real", "sub/../real", "", ".", ".."] {
            assert!(folder.open(name).is_err(), "{name:?}");
            assert!(folder.create(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn exchange_swaps_and_rename_never_replaces() {
        let (place, folder) = folder();
        std::fs::write(place.path().join("a"), "1").unwrap();
        std::fs::write(place.path().join("b"), "2").unwrap();
        folder.exchange("a", "b").unwrap();
        assert_eq!(std::fs::read(place.path().join("a")).unwrap(), b"2");
        assert!(folder.rename("a", "b").is_err());
        folder.rename("a", "c").unwrap();
        folder.remove("b").unwrap();
        folder.sync().unwrap();
        let names: Vec<_> = folder.entries().unwrap();
        assert_eq!(names.len(), 1);
        assert_eq!((names[0].name.as_str(), names[0].bytes), ("c", Bytes(1)));
    }
}
