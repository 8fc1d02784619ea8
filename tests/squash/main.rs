//! Images of mksquashfs, read and rewritten, with other readers as judges.

#![allow(clippy::unwrap_used)]

mod editing;
mod furnished;
mod hostile;
mod maker;
mod reading;
mod writing;
