//! The ext4 module against e2fsprogs: what it calls free, and what it does not believe.

mod combinations;
mod identity;
mod make;
