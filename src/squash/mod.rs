//! The compressed image: a SquashFS that holds the root file system of a live system, as an
//! image itself.
//!
//! ```text
//! format                          numbers, superblock, flags
//! codec  xz lzo                   one block, with each compressor
//! meta  inode  tables             metadata blocks, and what is in them
//! read  reader                    an image, the file inside it
//! survey  table                   all tables at once
//! changes  items  recode  pool    what changes, what is done with each part, by several threads
//! renew  write  forecast          a new image, and its size beforehand
//! compare                         two images
//! maker                           how mksquashfs would make such an image
//! ```

mod changes;
mod codec;
mod compare;
mod forecast;
pub mod format;
mod inode;
mod items;
mod lzo;
mod maker;
mod meta;
mod pool;
mod read;
mod reader;
mod recode;
mod renew;
mod survey;
mod table;
mod tables;
mod write;
mod xz;

pub use changes::{Changes, Fate, Options};
pub use codec::XZ_PRESET;
pub use compare::{Blocks, same_block, same_but_inner};
pub use forecast::{Forecast, Sample, forecast, sample};
pub use format::{Compression, SizeWord};
pub use maker::options as mksquashfs_options;
pub use read::{Archive, Block, Contents, Image, Tail, is_erofs};
pub use reader::InnerReader;
pub use write::{Written, rewrite};
