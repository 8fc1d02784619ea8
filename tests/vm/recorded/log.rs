//! What dm-log-writes recorded: every write and flush in the order in which they were done.
//!
//! The format is that of drivers/md/dm-log-writes.c: a superblock in the first sector, then
//! entries of one sector, each followed by its data. Writes are logged with the flush that
//! follows them, so that between two flushes their order means nothing.

use std::ops::Range;

const MAGIC: u64 = 0x006a_7366_7773_6872;
const VERSION: u64 = 1;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;
const MARK: u64 = 8;
pub const SECTOR: usize = 512;

/// One request of the file system to its device.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where it writes, in bytes.
    pub at: usize,
    /// Where its data is in the log; empty for a mere flush.
    pub data: Range<usize>,
    /// All that was done before it is on the device once it is done.
    pub flush: bool,
    /// It is itself.
    pub durable: bool,
}

/// All requests, in their order.
///
/// # Panics
/// Where it is no such log, or holds what no stick of these tests is asked to do.
pub fn requests(log: &[u8]) -> Vec<Request> {
    let number = |at: usize| u64::from_le_bytes(log[at..at + 8].try_into().unwrap());
    assert_eq!((number(0), number(8)), (MAGIC, VERSION));
    assert_eq!(log[24..28], (SECTOR as u32).to_le_bytes());
    let mut all = Vec::new();
    let mut next = SECTOR;
    for _ in 0..number(16) {
        let [sector, sectors, flags, told] = [0, 8, 16, 24].map(|at| number(next + at));
        next += SECTOR;
        assert_eq!(flags & DISCARD, 0, "a discard");
        if flags & MARK != 0 {
            assert!(told as usize <= SECTOR - 32);
            continue;
        }
        let data = next..next + sectors as usize * SECTOR;
        next = data.end;
        all.push(Request {
            at: sector as usize * SECTOR,
            data,
            flush: flags & FLUSH != 0,
            durable: flags & FUA != 0,
        });
    }
    all
}
