//! A file's bytes in shared blocks: copying a whole file copies pointers.

use std::io;
use std::sync::Arc;

/// Bytes shared as one.
const BLOCK: usize = 4096;

type Block = [u8; BLOCK];

/// Bytes of a file. A block that is missing is a hole and reads as zeros.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    blocks: Vec<Option<Arc<Block>>>,
    length: u64,
}

impl Content {
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Bytes in blocks that are no holes.
    pub(super) fn allocated(&self) -> u64 {
        self.blocks.iter().flatten().count() as u64 * BLOCK as u64
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut at = offset as usize;
        let mut rest = buffer;
        while !rest.is_empty() {
            let inside = at % BLOCK;
            let (piece, behind) = rest.split_at_mut(rest.len().min(BLOCK - inside));
            match &self.blocks[at / BLOCK] {
                Some(block) => piece.copy_from_slice(&block[inside..inside + piece.len()]),
                None => piece.fill(0),
            }
            at += piece.len();
            rest = behind;
        }
        Ok(())
    }

    /// Writes, and grows where `data` ends behind the end.
    pub(super) fn write(&mut self, data: &[u8], offset: u64) {
        let end = offset + data.len() as u64;
        if end > self.length && !data.is_empty() {
            self.set_length(end);
        }
        let mut at = offset as usize;
        let mut rest = data;
        while !rest.is_empty() {
            let inside = at % BLOCK;
            let (piece, behind) = rest.split_at(rest.len().min(BLOCK - inside));
            let block = self.blocks[at / BLOCK].get_or_insert_with(|| Arc::new([0; BLOCK]));
            Arc::make_mut(block)[inside..inside + piece.len()].copy_from_slice(piece);
            at += piece.len();
            rest = behind;
        }
    }

    /// Cuts or extends; what is new reads as zeros.
    pub(super) fn set_length(&mut self, length: u64) {
        self.blocks.resize((length as usize).div_ceil(BLOCK), None);
        let inside = length as usize % BLOCK;
        if length < self.length
            && inside != 0
            && let Some(Some(block)) = self.blocks.last_mut()
        {
            Arc::make_mut(block)[inside..].fill(0);
        }
        self.length = length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_keeps_its_bytes() {
        let mut one = Content::default();
        one.write(&[7; 10_000], 100);
        let other = one.clone();
        one.write(&[9; 10], 4090);
        one.set_length(200);
        one.set_length(20_000);
        let mut bytes = vec![1; 20_000];
        one.read(&mut bytes, 0).unwrap();
        assert!(bytes[100..200].iter().all(|&byte| byte == 7));
        assert!(bytes[200..].iter().all(|&byte| byte == 0));
        let mut bytes = vec![1; 10_100];
        other.read(&mut bytes, 0).unwrap();
        assert!(bytes[..100].iter().all(|&byte| byte == 0));
        assert!(bytes[100..].iter().all(|&byte| byte == 7));
        assert!(other.read(&mut bytes, 1).is_err());
        assert!(other.read(&mut [0], u64::MAX).is_err());
    }
}
