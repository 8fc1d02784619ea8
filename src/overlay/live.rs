//! The running system's overlay, in the kernel's own words (`dmsetup status`, `dmsetup table`).
//!
//! The texts are those of drivers/md/dm-snap.c, `snapshot_status`. Asking needs root.

use super::Figures;
use crate::error::{Doing, Error, Part, Result};
use crate::protocol::OverlayState;
use crate::units::{ChunkSize, Sectors};
use devicemapper::{DM, DevId, Device, DmFlags, DmName, DmOptions};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

/// dracut's name for the running system's root.
const ROOT: &str = "live-rw";
/// Where device-mapper is asked.
const CONTROL: &str = "/dev/mapper/control";

/// What the kernel reports of a snapshot (the same for one that is being merged).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reported {
    /// In order: `used/total metadata`.
    Figures {
        /// Allocated, metadata included.
        used: Sectors,
        /// Altogether.
        total: Sectors,
        /// The exception list's.
        metadata: Sectors,
    },
    /// Given up: it reads no more.
    Invalid,
    /// It ran full; what is in it can still be read.
    Overflow,
    /// Merging it met an error.
    MergeFailed,
    /// The store gives no figures.
    Unknown,
}

/// What a snapshot is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// The image's device: major and minor number.
    pub origin: (u32, u32),
    /// The store's device: major and minor number.
    pub store: (u32, u32),
    /// The chunk's size.
    pub chunk: ChunkSize,
}

/// A snapshot that the kernel runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// What it is made of.
    pub table: Table,
    /// What the kernel reports.
    pub reported: Reported,
}

impl Live {
    /// The kernel's figures; none where it reports none (invalid, overflowed, failed).
    pub fn figures(&self) -> Option<Figures> {
        match self.reported {
            Reported::Figures {
                used,
                total,
                metadata,
            } => Some(Figures {
                used,
                total,
                metadata,
                chunk: self.table.chunk,
            }),
            Reported::Invalid | Reported::Overflow | Reported::MergeFailed | Reported::Unknown => {
                None
            }
        }
    }

    /// How it stands; none where the kernel does not say.
    pub fn state(&self) -> Option<OverlayState> {
        let figures = match self.reported {
            Reported::Invalid => return Some(OverlayState::Invalid),
            Reported::Overflow => return Some(OverlayState::Full),
            Reported::MergeFailed | Reported::Unknown => return None,
            Reported::Figures { .. } => self.figures()?,
        };
        let next = figures.used.checked_add(figures.chunk.sectors());
        // Without exceptions, nothing but the list itself is allocated.
        Some(if figures.used <= figures.metadata {
            OverlayState::Empty
        } else if next.is_none_or(|next| next > figures.total) {
            OverlayState::Full
        } else if figures.used.0.saturating_mul(10) >= figures.total.0.saturating_mul(9) {
            OverlayState::NearlyFull
        } else {
            OverlayState::Active
        })
    }
}

/// Reads a status line's parameters.
pub fn parse_status(text: &str) -> Result<Reported> {
    match text.trim() {
        "Invalid" => return Ok(Reported::Invalid),
        "Overflow" => return Ok(Reported::Overflow),
        "Merge failed" => return Ok(Reported::MergeFailed),
        "Unknown" => return Ok(Reported::Unknown),
        _ => {}
    }
    let figures = || {
        let (fill, metadata) = text.trim().split_once(' ')?;
        let (used, total) = fill.split_once('/')?;
        let number = |text: &str| text.parse().ok().map(Sectors);
        Some(Reported::Figures {
            used: number(used)?,
            total: number(total)?,
            metadata: number(metadata)?,
        })
    };
    figures().ok_or_else(|| not_understood("status", text))
}

/// Reads a table line's parameters: `7:1 7:2 PO 8`.
pub fn parse_table(text: &str) -> Result<Table> {
    let table = || {
        let mut words = text.split_whitespace();
        let device = |word: &str| {
            let (major, minor) = word.split_once(':')?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        };
        let (origin, store) = (device(words.next()?)?, device(words.next()?)?);
        // `P`, `PO` or `N`: how it is kept makes no difference here.
        let chunk = words.nth(1)?.parse().ok()?;
        Some(Table {
            origin,
            store,
            chunk: ChunkSize::from_sectors(chunk)?,
        })
    };
    table().ok_or_else(|| not_understood("table", text))
}

fn not_understood(what: &str, text: &str) -> Error {
    let detail = format!("device-mapper's {what} {text:?} is not understood");
    Error::unsupported(Part::Overlay, detail)
}

/// The snapshot that is the running system's root; none where it runs from something else.
///
/// `Denied` where we may not ask.
pub fn root() -> Result<Option<Live>> {
    match File::open(CONTROL) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).doing("asking device-mapper"),
    }
    let dm = DM::new().map_err(failed)?;
    let mounted = std::fs::metadata("/").doing("looking at the root folder")?;
    let mounted = Device::from(mounted.dev());
    let devices = dm.list_devices().map_err(failed)?;
    // An OverlayFS root has no such device; dracut's own name then tells.
    let by_number = devices.iter().find(|(_, device, _)| *device == mounted);
    let by_name = || devices.iter().find(|(name, ..)| name.to_string() == ROOT);
    match by_number.or_else(by_name) {
        Some((name, ..)) => ask(&dm, name),
        None => Ok(None),
    }
}

/// What the kernel says of the device `name`; none where it is no snapshot.
pub fn ask(dm: &DM, name: &DmName) -> Result<Option<Live>> {
    let id = DevId::Name(name);
    // Asked so, the kernel writes nothing before it answers.
    let status = DmOptions::default().set_flags(DmFlags::DM_NOFLUSH);
    let table = DmOptions::default().set_flags(DmFlags::DM_STATUS_TABLE);
    let (_, table) = dm.table_status(&id, table).map_err(failed)?;
    let [(_, _, kind, table)] = &table[..] else {
        return Ok(None);
    };
    if !matches!(&**kind, "snapshot" | "snapshot-merge") {
        return Ok(None);
    }
    let table = parse_table(table)?;
    let (_, status) = dm.table_status(&id, status).map_err(failed)?;
    let Some((.., status)) = status.first() else {
        return Ok(None);
    };
    Ok(Some(Live {
        table,
        reported: parse_status(status)?,
    }))
}

fn failed(error: devicemapper::DmError) -> Error {
    Error::Io {
        doing: "asking device-mapper".to_owned(),
        source: io::Error::other(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(used: u64, total: u64, metadata: u64) -> Reported {
        Reported::Figures {
            used: Sectors(used),
            total: Sectors(total),
            metadata: Sectors(metadata),
        }
    }

    #[test]
    fn the_kernels_words_are_understood() {
        for (text, expected) in [
            ("98936/163840 400", figures(98936, 163840, 400)),
            ("16/196608 16", figures(16, 196608, 16)),
            ("Invalid", Reported::Invalid),
            ("Overflow", Reported::Overflow),
            ("Merge failed", Reported::MergeFailed),
            ("Unknown", Reported::Unknown),
        ] {
            assert_eq!(parse_status(text).unwrap(), expected, "{text}");
        }
        for text in [
            "",
            "1/2",
            "1 2",
            "/ ",
            "1/2 x",
            "-1/2 3",
            "99999999999999999999/1 1",
        ] {
            assert!(parse_status(text).is_err(), "{text}");
        }
        let table = parse_table("7:1 7:2 PO 8").unwrap();
        assert_eq!((table.origin, table.store), ((7, 1), (7, 2)));
        assert_eq!(table.chunk, ChunkSize::LIVE);
        assert_eq!(parse_table("253:0 7:12 P 32").unwrap().store, (7, 12));
        for text in ["", "7:1 7:2", "7:1 7:2 P", "7:1 7:2 P 3", "7:1 x P 8"] {
            assert!(parse_table(text).is_err(), "{text}");
        }
    }

    #[test]
    fn its_state_follows_from_its_words() {
        for (reported, state) in [
            (figures(16, 1000, 16), Some(OverlayState::Empty)),
            (figures(24, 1000, 16), Some(OverlayState::Active)),
            (figures(899, 1000, 16), Some(OverlayState::Active)),
            (figures(900, 1000, 16), Some(OverlayState::NearlyFull)),
            (figures(992, 1000, 16), Some(OverlayState::NearlyFull)),
            (figures(993, 1000, 16), Some(OverlayState::Full)),
            (figures(1000, 1000, 16), Some(OverlayState::Full)),
            (Reported::Overflow, Some(OverlayState::Full)),
            (Reported::Invalid, Some(OverlayState::Invalid)),
            (Reported::Unknown, None),
        ] {
            let live = Live {
                table: parse_table("7:1 7:2 PO 8").unwrap(),
                reported,
            };
            assert_eq!(live.state(), state, "{reported:?}");
            let known = matches!(reported, Reported::Figures { .. });
            assert_eq!(live.figures().is_some(), known);
        }
    }
}
