//! The ext4 module against e2fsprogs: what it calls free, and what it does not believe.

// `unwrap` is allowed in tests; these modules help tests and hold them.
#![allow(clippy::unwrap_used)]

mod changed;
mod combinations;
mod damage;
mod endless;
mod identity;
mod journal;
mod make;
mod random;
