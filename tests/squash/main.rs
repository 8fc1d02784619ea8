//! Images of mksquashfs, read and rewritten, with other readers as judges.

mod maker;
mod reading;
