//! Exception stores from a list of entries, right or wrong, byte by byte.

/// A store as bytes.
pub struct Store {
    pub bytes: Vec<u8>,
    chunk: usize,
    listed: usize,
}

impl Store {
    /// A valid, empty store of so many chunks of so many sectors.
    pub fn new(chunk_sectors: u32, chunks: usize) -> Store {
        let chunk = chunk_sectors as usize * 512;
        let mut bytes = vec![0; chunks * chunk];
        bytes[0..4].copy_from_slice(b"SnAp");
        bytes[4] = 1;
        bytes[8] = 1;
        bytes[12..16].copy_from_slice(&chunk_sectors.to_le_bytes());
        Store {
            bytes,
            chunk,
            listed: 0,
        }
    }

    pub fn per_area(&self) -> usize {
        self.chunk / 16
    }

    /// Where the list's entry number `index` lies.
    pub fn entry_place(&self, index: usize) -> usize {
        let area = 1 + index / self.per_area() * (self.per_area() + 1);
        area * self.chunk + index % self.per_area() * 16
    }

    /// Puts an entry anywhere.
    pub fn set(&mut self, index: usize, old: u64, new: u64) {
        let place = self.entry_place(index);
        self.bytes[place..place + 8].copy_from_slice(&old.to_le_bytes());
        self.bytes[place + 8..place + 16].copy_from_slice(&new.to_le_bytes());
    }

    /// Appends an entry.
    pub fn push(&mut self, old: u64, new: u64) {
        self.set(self.listed, old, new);
        self.listed += 1;
    }

    /// Puts content into a chunk.
    pub fn fill(&mut self, chunk: u64, content: &[u8]) {
        let place = chunk as usize * self.chunk;
        self.bytes[place..place + content.len()].copy_from_slice(content);
    }
}

/// Data chunks of a store, upwards: no header, no areas.
pub fn data_chunks(chunk_sectors: u32, chunks: usize) -> Vec<u64> {
    let stride = chunk_sectors as u64 * 32 + 1;
    (2..chunks as u64)
        .filter(|chunk| chunk % stride != 1)
        .collect()
}
