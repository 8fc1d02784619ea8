//! The stick: found, opened, locked, and never written outside its folder LiveOS.
//!
//! [`Stick::open`] takes whatever a person calls a stick; [`Stick::folder`] is
//! then LiveOS, held open; [`Stick::layout`] says what lies in it, and which
//! overlay a boot would use. Before the exchange and before the exception
//! list's first write, [`Stick::check_again`].

pub mod boot;
pub mod find;
mod host;
mod in_use;
mod kernels;
mod known;
pub mod layout;
mod lock;
mod loops;
mod mount;
mod mounts;
pub mod note;
mod open;
mod port;
mod reach;
pub mod superblock;
pub mod table;

pub use host::{Device, Host};
pub use in_use::InUse;
pub use layout::{ImageContent, Layout, Overlay};
pub use loops::Held;
pub(crate) use loops::{Loop, Window};
pub use mount::Access;
pub(crate) use mount::{Detached, squashfs};
pub use mounts::Mount;
pub use open::{FINISH_WISH, Stick};
pub use reach::Caller;
pub use superblock::Left;
