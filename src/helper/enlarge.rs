//! `enlarge`: a larger overlay.

use super::console::{Console, Exit};
use super::job::Jobs;
use super::opened::{Expect, Opened};
use super::{STICK, named, tell};
use crate::error::{Doing, Error, Part, Result};
use crate::overlay::{self, ExceptionStore, size};
use crate::progress::Silent;
use crate::protocol::OverlayState;
use crate::refresh;
use crate::sources::{Sources, Use};
use crate::stick::{Access, Device, Host};
use crate::storage::{Folder, ReadAt};
use crate::units::Bytes;
use gettextrs::gettext;
use loopdev::LoopDevice;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Instant;

/// Make a stick's overlay larger
///
/// More can be saved on it then, and less room is left beside it: a refresh
/// needs room for a second image. Nothing is lost, whenever it ends. The stick
/// that the computer was started from (“live”) can be enlarged while it runs.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[arg(value_name = "STICK", help = STICK)]
    stick: PathBuf,
    /// How large, or (with “+”) by how much: 512M, 2G, +256M; or “max”
    ///
    /// K, M and G are 1024, 1024² and 1024³ bytes. “max” takes what is free on
    /// the stick, and leaves room for a refresh.
    #[arg(value_name = "SIZE")]
    size: Size,
    #[command(flatten)]
    expect: Expect,
}

const EXAMPLES: &str = "\
Examples:
  sugar-cellar-helper enlarge /media/me/SOAS +512M
  sugar-cellar-helper enlarge /dev/sdb1 max";

/// What is wanted of the overlay's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    To(Bytes),
    By(Bytes),
    Max,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Size, String> {
        if text == "max" {
            return Ok(Size::Max);
        }
        let (by, text) = match text.strip_prefix('+') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
        let unit: u64 = match &text[digits.len()..] {
            "" => 1,
            "K" | "k" => 1 << 10,
            "M" | "m" => 1 << 20,
            "G" | "g" => 1 << 30,
            _ => return Err("the unit is one of K, M, G".to_owned()),
        };
        let number: u64 = digits.parse().map_err(|_| "not a size".to_owned())?;
        let bytes = number.checked_mul(unit).ok_or("too large")?;
        if bytes == 0 {
            return Err("0 is no size".to_owned());
        }
        Ok(match by {
            true => Size::By(Bytes(bytes)),
            false => Size::To(Bytes(bytes)),
        })
    }
}

pub fn run(args: &Args, console: &Console) -> Exit {
    let name = named(&args.stick);
    console.end(&name, enlarge(args, &name, console))
}

fn enlarge(args: &Args, name: &str, console: &Console) -> Result<Exit> {
    let start = Instant::now();
    let jobs = Jobs::begin(console)?;
    let opened = Opened::new(&args.stick, Access::Write, &args.expect)?;
    opened.stick().lets_files_grow()?;
    let target = opened.target();
    // What the running kernel holds is left alone: it gave up or lent nothing that could come back now.
    if opened.used() == Use::AtRest {
        if opened.before.status.overlay.state == OverlayState::Invalid {
            Sources::open(target, Use::AtRest, false, &Silent)?.take_up(target, opened.stick())?;
        }
        // The second image that a cut refresh left has the room that was lent.
        refresh::settle(target.folder, super::threads(), opened.stick(), &Silent)?;
        refresh::give_back(target, opened.stick())?;
    }
    let store = target
        .folder
        .open_writable(target.overlay)
        .doing("opening the overlay")?;
    // What an earlier run took up is perhaps not on the device.
    if opened.used() == Use::AtRest {
        overlay::settle(&store)?;
    }
    let inner = opened.before.status.image.inner_bytes;
    let list = ExceptionStore::read(&store, inner)?;
    let room = Room {
        now: store.size().doing("reading the overlay's size")?,
        free: target.folder.free().doing("asking for the free space")?,
        limit: target
            .folder
            .file_limit()
            .doing("asking for the file size limit")?,
        image: opened.before.status.image.bytes,
    };
    let length = room.length(args.size)?;
    if jobs.cancelled() {
        return Err(Error::Cancelled);
    }
    opened.stick().check_again()?;
    size::grow(&store, &list, length)?;
    let told = match opened.stick().booted() {
        true => tell_the_kernel(&opened),
        false => Ok(()),
    };
    let before = opened.before.status.clone();
    let after = opened.look()?.status;
    drop(store);
    drop(opened);
    console.say(&tell::enlarged(&before, &after));
    if let Err(error) = told {
        log::warn!("{error}");
        console.say(&gettext(
            "The running system sees the new room only when it is started again.",
        ));
    }
    console.finished(name, start.elapsed().as_secs_f64(), before, after);
    Ok(Exit::Done)
}

/// Has the running system's loop device look at the overlay's length anew; its snapshot follows.
///
/// Where it fails, the room is there all the same, from the next start on.
fn tell_the_kernel(opened: &Opened) -> Result<()> {
    let doing = "telling the running system of the larger overlay";
    let entry = opened.before.layout.snapshot()?;
    let overlay = (Device::from_raw(entry.id.0), entry.id.1);
    for bound in Host::default().loops().doing(doing)? {
        if bound
            .held
            .is_some_and(|held| (held.on, held.inode) == overlay)
        {
            let device = LoopDevice::open(Path::new("/dev").join(&bound.name)).doing(doing)?;
            device.set_capacity().doing(doing)?;
        }
    }
    Ok(())
}

/// What there is to grow into.
#[derive(Debug, Clone, Copy)]
struct Room {
    now: Bytes,
    free: Bytes,
    limit: Option<Bytes>,
    image: Bytes,
}

impl Room {
    /// The overlay's new length.
    fn length(self, size: Size) -> Result<Bytes> {
        let refused = |detail: &str| Err(Error::refused(Part::Overlay, detail));
        let length = match size {
            Size::To(length) => length,
            Size::By(more) => match self.now.checked_add(more) {
                Some(length) => length,
                None => return refused("no overlay is that large"),
            },
            Size::Max => self.largest(),
        };
        if length < self.now {
            return refused("the overlay is larger already; it can only grow");
        }
        if let Some(limit) = self.limit.filter(|limit| length > *limit) {
            return Err(Error::FileLimit {
                needed: length,
                limit,
            });
        }
        let more = length.saturating_sub(self.now);
        if more > self.free {
            return Err(Error::NoSpace {
                part: Part::Stick,
                needed: more,
                available: self.free,
            });
        }
        Ok(length)
    }

    /// With room left for a refresh: a second image, and a quarter of one more for what it grows by.
    fn largest(self) -> Bytes {
        let kept = Bytes(self.image.0 + self.image.0 / 4);
        let length = self.now + self.free.saturating_sub(kept);
        length.min(self.limit.unwrap_or(Bytes(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        assert_eq!("512M".parse(), Ok(Size::To(Bytes(512 << 20))));
        assert_eq!("+1g".parse(), Ok(Size::By(Bytes(1 << 30))));
        assert_eq!("+7".parse(), Ok(Size::By(Bytes(7))));
        assert_eq!("max".parse(), Ok(Size::Max));
        for bad in [
            "",
            "+",
            "M",
            "-1M",
            "1.5G",
            "12Q",
            "1MB",
            "0",
            "+0M",
            "99999999999G",
            "9".repeat(30).as_str(),
        ] {
            assert!(bad.parse::<Size>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn it_grows_into_what_is_there() {
        let room = Room {
            now: Bytes(1000),
            free: Bytes(900),
            limit: Some(Bytes(1600)),
            image: Bytes(400),
        };
        let length = |size| room.length(size).map_err(|error| error.to_string());
        assert_eq!(length(Size::By(Bytes(100))), Ok(Bytes(1100)));
        assert_eq!(length(Size::To(Bytes(1000))), Ok(Bytes(1000)));
        assert_eq!(length(Size::Max), Ok(Bytes(1400)));
        assert!(length(Size::To(Bytes(999))).is_err());
        assert!(length(Size::To(Bytes(1700))).is_err());
        assert!(length(Size::By(Bytes(u64::MAX))).is_err());
        let full = Room {
            free: Bytes(10),
            limit: None,
            ..room
        };
        assert!(full.length(Size::By(Bytes(11))).is_err());
        assert_eq!(
            full.length(Size::Max).map_err(|error| error.to_string()),
            Ok(Bytes(1000))
        );
    }
}
