//! The stick that the computer runs from, at shutdown: where its root is gone, and it is a stick like any other.
//!
//! systemd ends by going back to /run/initramfs, where it runs `shutdown` with the old root
//! mounted at /oldroot ([bootup(7)], [initrd interface]). So while the system still runs, a copy
//! of the helper is laid there ([`prepare`]); there, it takes down all that is built upon the stick
//! ([`take_down`]), and the stick can be worked on as one that is plugged in. dracut fills the same
//! folder; then its own `shutdown` runs ours as one of its hooks.
//!
//! Nothing depends on it: a stick that was not finished starts, with everything on it, and is
//! finished the next time.
//!
//! [bootup(7)]: https://www.freedesktop.org/software/systemd/man/bootup.html
//! [initrd interface]: https://systemd.io/INITRD_INTERFACE

mod arrange;
mod down;
mod first;
mod prepare;

pub use arrange::arrange;
pub use down::take_down;
pub use first::{Ending, end};
pub use prepare::prepare;

use std::path::Path;

/// Where systemd goes back to.
const RETURN: &str = "/run/initramfs";
/// Our folder in it, which there is at the root.
const OURS: &str = "sugar-cellar";
/// In it: the stick's device number, the helper, and what it is linked with.
const STICK: &str = "stick";
const HELPER: &str = "helper";
const LIBRARIES: &str = "lib";

/// The loader's name in [`LIBRARIES`].
const LOADER: &str = "loader";

/// Whether this is the place that [`prepare`] made.
pub fn is_here() -> bool {
    Path::new("/").join(OURS).join(STICK).exists()
}
