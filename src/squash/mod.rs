//! The compressed image: a SquashFS that holds the root file system of a live system, as an
//! image itself.
//!
//! ```text
//!             format          numbers, superblock, flags
//!        xz  lzo  codec       one block, with each compressor
//!             meta            metadata blocks
//!        inode  tables        what is in them
//!          read  reader       an image, the file inside it
//!    table  survey            whole tables, to be changed
//! pool  recode  write         a new image
//!          compare            two images
//! ```

mod codec;
mod compare;
pub mod format;
mod inode;
mod lzo;
mod meta;
mod pool;
mod read;
mod reader;
mod recode;
mod survey;
mod table;
mod tables;
mod write;
mod xz;

pub use codec::XZ_PRESET;
pub use compare::{Blocks, same_block, same_but_inner};
pub use format::{Compression, SizeWord};
pub use read::{Archive, Block, Contents, Image, Tail, is_erofs};
pub use reader::InnerReader;
pub use write::{Changes, Fate, Forecast, Options, Written, forecast, rewrite};
