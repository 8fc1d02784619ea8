//! Images of mksquashfs, read and rewritten, with other readers as judges.

mod editing;
mod maker;
mod reading;
mod writing;
