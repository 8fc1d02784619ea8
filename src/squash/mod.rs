//! The compressed image: a SquashFS that holds the root file system of a live system, as an
//! image itself.
//!
//! ```text
//!             format          numbers, superblock, flags
//!        xz  lzo  codec       one block, with each compressor
//!             meta            metadata blocks
//!        inode  tables        what is in them
//!          read  reader       an image, the file inside it
//! ```

mod codec;
pub mod format;
mod inode;
mod lzo;
mod meta;
mod read;
mod reader;
mod tables;
mod xz;

pub use codec::XZ_PRESET;
pub use format::{Compression, SizeWord};
pub use read::{Archive, Block, Contents, Image, Tail};
pub use reader::InnerReader;
