//! Everything that is read from and written to a stick goes through these traits.
//!
//! [`Storage`] is one file or device, [`Folder`] the folder LiveOS. They are
//! small on purpose: a test writes its own disk, and cuts, tears, reorders or
//! fails any call ([`fault`]).

pub mod beneath;
mod confined;
mod disk;
pub mod fault;

pub use confined::confined;
pub use disk::{DiskFile, DiskFolder};

use crate::units::Bytes;
use std::io;
use std::os::fd::BorrowedFd;

/// Something that can be read at any place, from several threads.
pub trait ReadAt: Send + Sync {
    /// Its length.
    fn size(&self) -> io::Result<Bytes>;

    /// Fills `buffer` from byte `offset` on; `UnexpectedEof` where less is there.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

/// Something that can be written.
///
/// Nothing is durable before [`Storage::sync`] returns; until then any part of
/// what was written, in any order, may survive a power cut, in whole sectors.
pub trait Storage: ReadAt {
    /// Writes all of `data` at byte `offset`; grows it where `data` ends behind its end.
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts or extends it; what is new reads as zeros.
    fn set_len(&self, length: Bytes) -> io::Result<()>;

    /// Extends it to `length` with room set aside, so that later writes into it find some.
    /// Where the file system cannot do that, it is as [`Storage::set_len`].
    fn allocate(&self, length: Bytes) -> io::Result<()> {
        self.set_len(length)
    }

    /// Makes all that was written, and the length, durable.
    fn sync(&self) -> io::Result<()>;

    /// The same, so that reads come from the device, not from memory: after a sync that failed, the two
    /// may differ for good, and later syncs go well.
    fn uncached(&self) -> io::Result<Box<dyn ReadAt + '_>>;

    /// Begins to bring written bytes to the device, without waiting, so that a later
    /// [`Storage::sync`] has less to do. A hint: nothing is promised, nothing can fail.
    fn start_writing(&self, _offset: u64, _length: u64) {}

    /// The open file, for what only the kernel can do with one (a loop device, another program).
    /// None where it is no real file.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// What a name in a [`Folder`] stands for. Links are never followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A link, a device, a pipe or a socket: nothing that we open.
    Other,
}

/// One name in a [`Folder`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name, without a slash. Names that are not UTF-8 are not listed.
    pub name: String,
    /// What it stands for.
    pub kind: EntryKind,
    /// A file's length; 0 for anything else.
    pub bytes: Bytes,
    /// Device and inode number: who holds it is found by these, not by its name.
    pub id: (u64, u64),
}

/// The stick's folder LiveOS. Names are single components.
pub trait Folder: Send + Sync {
    /// What is opened in it.
    type File: Storage + std::fmt::Debug + 'static;

    /// All names, sorted.
    fn entries(&self) -> io::Result<Vec<Entry>>;

    /// Opens an existing regular file to read; a link is an error.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Opens an existing regular file to read and write; a link is an error.
    fn open_writable(&self, name: &str) -> io::Result<Self::File>;

    /// Opens an existing regular file so that reads come from the device, not from memory.
    fn open_uncached(&self, name: &str) -> io::Result<Self::File>;

    /// Creates a file that must not exist.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Gives the file `name` the permissions and the owner of the file `like`, as far as the file
    /// system knows such, and we may. Who may read and write it must not hang on how we were started.
    fn permit(&self, name: &str, like: &str) -> io::Result<()>;

    /// Exchanges what two names stand for, in one step (renameat2, RENAME_EXCHANGE).
    fn exchange(&self, one: &str, other: &str) -> io::Result<()>;

    /// Gives a file a name that must not exist (renameat2, RENAME_NOREPLACE).
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file's name.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the whole file system durable, names included (syncfs).
    fn sync(&self) -> io::Result<()>;

    /// Forgets what is kept in memory of names, so that they are read anew from the device.
    /// Does what it can without privilege.
    fn forget(&self) -> io::Result<()>;

    /// Free bytes for whoever writes.
    fn free(&self) -> io::Result<Bytes>;

    /// Free bytes for a file that had them before: to root, also of what a file system keeps for root.
    /// Everything else leaves that alone.
    fn free_again(&self) -> io::Result<Bytes> {
        self.free()
    }

    /// What a file takes on the device: less than its length where it has holes.
    fn taken(&self, name: &str) -> io::Result<Bytes>;

    /// Whether a file becomes shorter in one step, its length and what it takes together. On FAT, and
    /// on ext4 without a journal, they lie apart.
    fn shortens_at_once(&self) -> io::Result<bool>;

    /// Whether what it holds is there when the computer was switched off: not in memory.
    fn lasts(&self) -> io::Result<bool>;

    /// The longest file that the file system can hold; none where that is no concern.
    fn file_limit(&self) -> io::Result<Option<Bytes>>;
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn size(&self) -> io::Result<Bytes> {
        (**self).size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_at(buffer, offset)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for std::sync::Arc<T> {
    fn size(&self) -> io::Result<Bytes> {
        (**self).size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_at(buffer, offset)
    }
}

/// Bytes in memory, to read: tests and small tables.
impl ReadAt for Vec<u8> {
    fn size(&self) -> io::Result<Bytes> {
        Ok(Bytes(self.len() as u64))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start
            .checked_add(buffer.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        let bytes = self.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}
