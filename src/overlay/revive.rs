//! Takes up again a store that the kernel gave up.
//!
//! The kernel marks a store invalid when it runs full and its table has no `O`, or when a write into
//! it fails; it then reads nothing of it any more, and the stick does not start. What it lists is
//! whole all the same. The mark is the header's alone: one sector, written whole or not at all.

use super::exceptions::ExceptionStore;
use super::format::RawHeader;
use crate::error::{Doing, Error, Part, Result};
use crate::storage::Storage;

/// Marks the store valid; `list` is what [`ExceptionStore::read_given_up`] read of it. The kernel
/// then reads it as one that is full but not given up. Gives the list as it reads now.
///
/// A store that is valid is left alone.
///
/// # Errors
/// `Refused` where the list is not `list`; nothing is written then. `Io`.
pub fn revive(store: &dyn Storage, list: &ExceptionStore) -> Result<ExceptionStore> {
    if list.is_valid() {
        return Ok(list.clone());
    }
    if ExceptionStore::read_given_up(store, None)? != *list {
        let detail = "the overlay's exception list changed since it was read";
        return Err(Error::refused(Part::Overlay, detail));
    }
    let doing = "taking up the overlay that the kernel gave up";
    store
        .write_at(&RawHeader::sector(list.chunk_size()), 0)
        .doing(doing)?;
    store.sync().doing(doing)?;
    ExceptionStore::read(store, None)
}
