//! Files with holes: read without touching the holes, copied without filling them.

use rustix::fs::SeekFrom;
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};

/// What a hole is made of, at the least, in bytes.
const GRAIN: usize = 4096;
/// Copied at once, in bytes.
const PIECE: usize = 1 << 20;

/// Where the next byte lies that is not in a hole, from `at` on; none behind the last one.
pub fn next_data(file: &File, at: u64) -> io::Result<Option<u64>> {
    match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(start) => Ok(Some(start)),
        Err(Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Copies `from` to the empty file `to`; zeros become holes.
pub fn copy(from: &File, to: &File) -> io::Result<()> {
    let length = from.metadata()?.len();
    to.set_len(length)?;
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while let Some(start) = next_data(from, at)? {
        // Back to the grain, so that pieces and grains meet.
        at = start - start % GRAIN as u64;
        let part = PIECE.min((length - at) as usize);
        from.read_exact_at(&mut piece[..part], at)?;
        for (index, grain) in piece[..part].chunks(GRAIN).enumerate() {
            if grain.iter().any(|byte| *byte != 0) {
                to.write_all_at(grain, at + (index * GRAIN) as u64)?;
            }
        }
        at += part as u64;
    }
    Ok(())
}

/// Reads a file from its start, holes as zeros that are not fetched.
#[derive(Debug)]
pub struct SparseReader<'a> {
    file: &'a File,
    length: u64,
    at: u64,
    /// Where data begins next; behind `at` while in a hole.
    data: u64,
    fetched: u64,
}

impl SparseReader<'_> {
    /// Of an open file, whose own position is not kept.
    pub fn new(file: &File) -> io::Result<SparseReader<'_>> {
        let length = file.metadata()?.len();
        Ok(SparseReader {
            file,
            length,
            at: 0,
            data: 0,
            fetched: 0,
        })
    }

    /// The file's length.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// How far it is: bytes fetched, and bytes there to fetch. Holes do not count, for whoever
    /// compresses passes over them in no time.
    pub fn progress(&self) -> io::Result<(u64, u64)> {
        let stored = self.file.metadata()?.blocks() * 512;
        let done = if self.at == self.length {
            stored
        } else {
            self.fetched
        };
        Ok((done.min(stored), stored))
    }
}

impl Read for SparseReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.length || buffer.is_empty() {
            return Ok(0);
        }
        if self.at >= self.data {
            self.data = next_data(self.file, self.at)?.unwrap_or(self.length);
        }
        let got = if self.at < self.data {
            let zeros = buffer.len().min((self.data - self.at) as usize);
            buffer[..zeros].fill(0);
            zeros
        } else {
            let got = self.file.read_at(buffer, self.at)?;
            self.fetched += got as u64;
            got
        };
        self.at += got as u64;
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_read_as_zeros_and_stay_holes() {
        let length = 40 << 20;
        let file = tempfile::tempfile().unwrap();
        file.set_len(length).unwrap();
        let places = [0, 5_000_000, (20 << 20) - 3, length - 7];
        for at in places {
            file.write_all_at(b"content", at).unwrap();
        }
        let mut want = vec![0; length as usize];
        file.read_exact_at(&mut want, 0).unwrap();

        let mut got = Vec::new();
        SparseReader::new(&file)
            .unwrap()
            .read_to_end(&mut got)
            .unwrap();
        assert!(got == want);

        let other = tempfile::tempfile().unwrap();
        copy(&file, &other).unwrap();
        got.clear();
        SparseReader::new(&other)
            .unwrap()
            .read_to_end(&mut got)
            .unwrap();
        assert!(got == want);
        assert_eq!(
            next_data(&other, 10_000_000).unwrap().map(|at| at >> 20),
            Some(19)
        );
    }
}
