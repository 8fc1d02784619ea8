//! A file in memory that counts what is written to it.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use sugar_cellar::storage::{ReadAt, Storage};
use sugar_cellar::units::Bytes;

/// No target has reason to write a longer one.
const LONGEST: u64 = 128 << 20;

#[derive(Default)]
pub struct Memory {
    bytes: Mutex<Vec<u8>>,
    changes: AtomicUsize,
}

impl Memory {
    pub fn new(bytes: Vec<u8>) -> Memory {
        Memory {
            bytes: Mutex::new(bytes),
            changes: AtomicUsize::new(0),
        }
    }

    /// How often it was written to, cut or extended.
    pub fn changes(&self) -> usize {
        self.changes.load(Ordering::Relaxed)
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes.into_inner().unwrap()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadAt for Memory {
    fn size(&self) -> io::Result<Bytes> {
        self.lock().size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.lock().read_at(buffer, offset)
    }
}

impl Storage for Memory {
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.changes.fetch_add(1, Ordering::Relaxed);
        let end = offset.saturating_add(data.len() as u64);
        if end > LONGEST {
            return Err(io::Error::other(format!("a write up to {end}")));
        }
        let mut bytes = self.lock();
        if bytes.len() < end as usize {
            bytes.resize(end as usize, 0);
        }
        bytes[offset as usize..end as usize].copy_from_slice(data);
        Ok(())
    }

    fn set_len(&self, length: Bytes) -> io::Result<()> {
        self.changes.fetch_add(1, Ordering::Relaxed);
        if length.0 > LONGEST {
            return Err(io::Error::other(format!("a length of {length}")));
        }
        self.lock().resize(length.0 as usize, 0);
        Ok(())
    }

    fn uncached(&self) -> io::Result<Box<dyn ReadAt + '_>> {
        Ok(Box::new(self))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
