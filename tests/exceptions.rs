//! The reader of exception lists against the model of the kernel's: the same stores are
//! taken, with the same figures, and the same chunks are found.

#![allow(clippy::unwrap_used)]

mod model;

use model::encode::{Store, data_chunks};
use model::kernel::{Kernel, Stop};
use proptest::prelude::*;
use std::collections::BTreeMap;
use sugar_cellar::error::Error;
use sugar_cellar::overlay::ExceptionStore;
use sugar_cellar::overlay::write::format;
use sugar_cellar::storage::fault::{FaultFile, FaultFolder, Random, Rules};
use sugar_cellar::storage::{Folder, Storage};
use sugar_cellar::units::{Bytes, ChunkSize, Chunks, Sectors};

/// A store as a file.
fn file(bytes: &[u8]) -> FaultFile {
    let folder = FaultFolder::new(Rules::Ext4);
    folder.put("overlay", bytes).unwrap();
    folder.open_writable("overlay").unwrap()
}

/// Reader and model must agree on a store. True where both take it.
fn agree(bytes: &[u8], image: &[u8]) -> bool {
    let store = file(bytes);
    let read = ExceptionStore::read(&store, Some(Bytes(image.len() as u64)));
    // The model writes a header where there is none: read first.
    let (list, kernel) = match (read, Kernel::open(&store, image)) {
        (Ok(list), Err(Stop::Invalid(_))) => {
            assert!(!list.is_valid());
            return true;
        }
        (Ok(list), Ok(kernel)) => (list, kernel),
        (Err(_), Err(Stop::NotOpened(_))) => return false,
        (read, kernel) => panic!("reader: {read:?}\nmodel: {:?}", kernel.err()),
    };
    let figures = list.figures();
    let told = (figures.used.0, figures.total.0, figures.metadata.0);
    assert_eq!(told, kernel.status());
    assert_eq!(list.listed(), kernel.listed());
    assert_eq!(list.len(), kernel.exceptions());
    for exception in list.iter() {
        let found = kernel.place(exception.old.0);
        assert_eq!(found, Some(exception.new.0));
        assert_eq!(list.lookup(exception.old), Some(exception.new));
    }
    true
}

/// A store of some shape, and its number of listed entries.
fn store(chunk_sectors: u32, chunks: usize, listed: usize, order: u64) -> Store {
    let mut random = Random::new(order);
    let mut news = data_chunks(chunk_sectors, chunks);
    let mut olds: Vec<u64> = (0..chunks as u64 * 2).collect();
    if order > 0 {
        for items in [&mut news, &mut olds] {
            for last in (1..items.len()).rev() {
                items.swap(last, random.below(last as u64 + 1) as usize);
            }
        }
    }
    let mut store = Store::new(chunk_sectors, chunks);
    let fits = data_chunks(chunk_sectors, chunks).len().saturating_sub(1);
    for (old, new) in olds.into_iter().zip(news).take(listed.min(fits)) {
        store.push(old, new);
        if order > 0 && random.below(9) == 0 && order.is_multiple_of(2) && listed < fits / 2 {
            store.push(old, new);
        }
    }
    store
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_right_is_read_as_the_kernel_reads_it(
        shift in 0u32..5, chunks in 8usize..300, listed in 0usize..300, order in 0u64..1000,
    ) {
        let store = store(1 << shift, chunks, listed, order);
        let image = vec![0; (chunks * 2 * 512) << shift];
        prop_assert!(agree(&store.bytes, &image));
    }

    #[test]
    fn what_is_wrong_is_refused_as_the_model_refuses_it(
        shift in 0u32..4, chunks in 2usize..150, listed in 0usize..150, order in 0u64..1000,
        damage in prop::collection::vec((0usize..200, 0usize..16, any::<u8>()), 1..6),
        header in prop::option::weighted(0.3, (0usize..16, any::<u8>())),
        cut in prop::option::weighted(0.3, 0usize..4096),
    ) {
        let mut store = store(1 << shift, chunks, listed, order);
        for (index, byte, value) in damage {
            let place = store.entry_place(index) + byte;
            if let Some(byte) = store.bytes.get_mut(place) {
                *byte = value;
            }
        }
        if let Some((byte, value)) = header {
            store.bytes[byte] = value;
        }
        if let Some(cut) = cut {
            store.bytes.truncate(store.bytes.len() - cut.min(store.bytes.len()));
        }
        let image = vec![0; (chunks * 2 * 512) << shift];
        agree(&store.bytes, &image);
    }

    #[test]
    fn noise_is_never_more_than_refused(noise in prop::collection::vec(any::<u8>(), 0..20_000)) {
        let mut bytes = noise;
        let _ = ExceptionStore::read(&bytes, None);
        if bytes.len() > 16 {
            bytes[..16].copy_from_slice(&Store::new(8, 1).bytes[..16]);
            let _ = ExceptionStore::read(&bytes, None);
        }
    }

    #[test]
    fn a_new_store_holds_what_it_was_given(
        shift in 0u32..5, count in 0u64..140, order in any::<u64>(),
    ) {
        let chunk = ChunkSize::from_sectors(1 << shift).unwrap();
        let length = chunk.bytes().0 as usize;
        let mut random = Random::new(order);
        let content: BTreeMap<u64, Vec<u8>> = (0..count)
            .map(|i| (i * 2 + random.below(2), vec![random.next_number() as u8; length]))
            .collect();
        // Whatever lay there before.
        let store = file(&vec![0x5a; 200 * length]);
        let chunks = content.iter().rev().map(|(old, bytes)| (Chunks(*old), bytes.clone()));
        let list = format(&store, chunk, chunks).unwrap();
        prop_assert_eq!(list.len() as u64, count);
        let image = vec![0; 300 * length];
        let kernel = Kernel::open(&store, &image).unwrap();
        prop_assert!(!kernel.lurks());
        let figures = list.figures();
        prop_assert_eq!((figures.used.0, figures.total.0, figures.metadata.0), kernel.status());
        for (old, bytes) in &content {
            prop_assert_eq!(&kernel.read_chunk(*old).unwrap(), bytes);
        }
    }
}

#[test]
fn a_new_store_must_be_long_enough() {
    let chunks = |count| (0..count).map(|old| (Chunks(old), vec![1; 512]));
    let chunk = ChunkSize::from_sectors(1).unwrap();
    // 31 chunks and their area; 32 chunks need the next area as well.
    for (length, fits) in [(34, 31), (33, 31), (35, 32), (36, 33)] {
        let store = file(&vec![0; length * 512]);
        assert!(
            format(&store, chunk, chunks(fits)).is_ok(),
            "{length}: {fits}"
        );
        let error = format(&store, chunk, chunks(fits + 1)).unwrap_err();
        assert!(matches!(error, Error::NoSpace { .. }), "{length}: {error}");
        // What is left is fresh.
        assert!(ExceptionStore::read(&store, None).unwrap().is_empty());
    }
    let store = file(&vec![0; 50 * 512]);
    let twice = [(Chunks(1), vec![1; 512]), (Chunks(1), vec![2; 512])];
    assert!(format(&store, chunk, twice).is_err());
    assert!(format(&store, chunk, [(Chunks(1), vec![1; 513])]).is_err());
}

/// A 1 GiB store with 250,000 exceptions, from a real file. `cargo test --release` shows the
/// time that counts.
#[test]
fn a_large_list_is_read_fast() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("overlay");
    let store = std::fs::File::create_new(&path).unwrap();
    let store = sugar_cellar::storage::DiskFile::new(store);
    store.set_len(Bytes(1 << 30)).unwrap();
    let mut header = Store::new(8, 1).bytes;
    header.truncate(16);
    store.write_at(&header, 0).unwrap();
    let mut random = Random::new(1);
    let mut olds: Vec<u64> = (0..750_000).collect();
    for at in 0..250_000 {
        olds.swap(at, at + random.below(500_000) as usize);
    }
    for area in 0..250_000u64.div_ceil(256) {
        let first = area as usize * 256;
        let entries = (first..250_000.min(first + 256)).flat_map(|index| {
            let new = 2 + index as u64 + area;
            [olds[index], new].map(u64::to_le_bytes)
        });
        let bytes: Vec<u8> = entries.flatten().collect();
        store.write_at(&bytes, (1 + area * 257) * 4096).unwrap();
    }
    let store = sugar_cellar::storage::DiskFile::new(std::fs::File::open(&path).unwrap());
    let started = std::time::Instant::now();
    let list = ExceptionStore::read(&store, Some(Bytes(3 << 30))).unwrap();
    let took = started.elapsed();
    println!("250,000 exceptions read in {took:?}");
    assert_eq!(list.len(), 250_000);
    assert_eq!(list.figures().used, Sectors((2 + 250_000 + 976) * 8));
    // Twenty times what it takes, for machines that do other things meanwhile.
    assert!(took.as_millis() < 1000, "{took:?}");
}
