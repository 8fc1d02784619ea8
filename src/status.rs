//! What an open stick holds, and how full its overlay is. Reads little, changes nothing.

use crate::error::{Doing, Error, Part, Result};
use crate::overlay::live::{self, Live};
use crate::overlay::{ExceptionStore, Figures, upper};
use crate::progress::Silent;
use crate::protocol::{self, Home, ImageKind, NotHere, OverlayState, Pending, Status};
use crate::squash::{self, Archive, Contents};
use crate::stick::layout::{LIVE_OS, SECOND_IMAGE};
use crate::stick::note::{self, Found, Note};
use crate::stick::{ImageContent, Layout, Overlay, Stick};
use crate::storage::{DiskFile, Entry, Folder, ReadAt};
use crate::units::{Bytes, Sectors};
use std::sync::Arc;

/// What a program says that cannot read an image's format.
const UNKNOWN: &str = "unknown";

/// A status, and what it was drawn from.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The status.
    pub status: Status,
    /// Which files it speaks of, and which it passes over.
    pub layout: Layout,
}

/// Looks at `stick`.
///
/// A flattened stick's status is told as far as it can be. What a stick has
/// no use for is told as missing (an overlay of another one, of several), not as an error.
///
/// # Errors
/// Whatever cannot be read, or contradicts its format. `Cut` where a cut refresh left a
/// second image, so that the next one may put it right; `Replacing` where the image is half replaced,
/// `Busy` while it is being replaced.
pub fn look(stick: &Stick) -> Result<Seen> {
    draw(stick).map_err(|error| {
        if let Ok(Some(file)) = note::awaited(stick.folder()) {
            let detail = error.to_string();
            return match stick.nobody_writes() {
                Err(busy @ Error::Busy { .. }) => busy,
                _ => Error::Replacing { file, detail },
            };
        }
        let names = stick.folder().entries().unwrap_or_default();
        match names.iter().any(|entry| entry.name == SECOND_IMAGE) {
            true => Error::Cut(Box::new(error)),
            false => error,
        }
    })
}

fn draw(stick: &Stick) -> Result<Seen> {
    let entry = stick.image()?;
    let file = stick
        .folder()
        .open(&entry.name)
        .doing("opening the image")?;
    let image = LookedAt::at(Arc::new(file))?;
    let layout = stick.layout(&image.content)?;
    let overlay = overlay(stick, &layout, image.inner_bytes)?;
    let status = Status {
        stick: stick.describe()?,
        image: protocol::Image {
            kind: layout.kind,
            file: path(&layout.image.name),
            bytes: layout.image.bytes,
            compression: image.compression,
            block_bytes: image.block_bytes,
            inner: layout.inner.clone(),
            inner_bytes: image.inner_bytes,
        },
        overlay,
        home: layout.home.as_ref().map(|home| Home {
            file: path(&home.entry.name),
            bytes: home.entry.bytes,
            used_bytes: home.used,
            encrypted: home.encrypted,
        }),
        pending: pending(stick, &layout),
    };
    Ok(Seen { status, layout })
}

/// An image, as far as a status speaks of it.
struct LookedAt {
    content: ImageContent,
    compression: String,
    block_bytes: Bytes,
    inner_bytes: Option<Bytes>,
}

impl LookedAt {
    fn at(file: Arc<DiskFile>) -> Result<LookedAt> {
        let length = file.size().doing("reading the image")?;
        if squash::is_erofs(&file, length.0)? {
            return Ok(LookedAt {
                content: ImageContent::Flat,
                compression: UNKNOWN.to_owned(),
                block_bytes: Bytes(0),
                inner_bytes: None,
            });
        }
        let archive = Archive::open(file)?;
        let (content, inner_bytes) = match archive.contents()? {
            Contents::Inner(image) => {
                let content = ImageContent::Nested(image.inner_path().to_owned());
                (content, Some(image.inner_bytes()))
            }
            Contents::Flat => (ImageContent::Flat, None),
            Contents::Other => {
                let detail = "the image holds no root file system";
                return Err(Error::not_found(Part::Image, detail));
            }
        };
        Ok(LookedAt {
            content,
            compression: archive.compression().to_string(),
            block_bytes: archive.block_bytes(),
            inner_bytes,
        })
    }
}

fn overlay(stick: &Stick, layout: &Layout, inner: Option<Bytes>) -> Result<protocol::Overlay> {
    let mut seen = protocol::Overlay {
        kind: layout.overlay_kind(),
        not_here: match &layout.overlay {
            Overlay::Elsewhere(place) => Some(NotHere::Elsewhere(place.clone())),
            Overlay::Unclear(why) => Some(NotHere::Unclear(why.clone())),
            _ => None,
        },
        file: layout.overlay_entry().map(|entry| path(&entry.name)),
        state: OverlayState::Active,
        used_sectors: Sectors(0),
        total_sectors: Sectors(0),
        metadata_sectors: Sectors(0),
        chunk_sectors: Sectors(0),
        percent: None,
    };
    match &layout.overlay {
        Overlay::Snapshot(entry) => {
            let (state, figures) = snapshot(stick, entry, inner)?;
            seen.state = state;
            show(&mut seen, figures);
        }
        Overlay::None => {
            seen.state = OverlayState::Empty;
            seen.percent = Some(0.0);
        }
        // While it is mounted, its superblock is behind.
        Overlay::Embedded(entry, used) => match stick.used_now(entry).or(*used) {
            Some(used) => fill(&mut seen, used, entry.bytes),
            None => seen.total_sectors = entry.bytes.sectors(),
        },
        Overlay::Folder(entry) => {
            let size = upper::measure(stick.folder(), &entry.name, &Silent)?;
            let free = stick.folder().free().doing("asking for free space")?;
            fill(&mut seen, size.bytes, size.bytes + free);
        }
        Overlay::Elsewhere(_) | Overlay::Unclear(_) => {}
    }
    Ok(seen)
}

/// How it stands with an exception store.
///
/// Of the running system's the kernel is asked, which knows what is not on the
/// stick yet. Where it may not be asked, the store tells what is.
fn snapshot(stick: &Stick, entry: &Entry, inner: Option<Bytes>) -> Result<(OverlayState, Figures)> {
    let live = if stick.booted() { live() } else { None };
    if let Some(live) = &live
        && let (Some(state), Some(figures)) = (live.state(), live.figures())
    {
        return Ok((state, figures));
    }
    let store = stick
        .folder()
        .open(&entry.name)
        .doing("opening the overlay")?;
    let list = ExceptionStore::read(&store, inner)?;
    // An overflow is written nowhere: only the kernel that met it knows.
    let state = live.and_then(|live| live.state()).unwrap_or(list.state());
    Ok((state, list.figures()))
}

fn live() -> Option<Live> {
    live::root().unwrap_or_else(|error| {
        log::info!("the kernel does not tell of its overlay: {error}");
        None
    })
}

/// The figures of an overlay of files, which is as full as what holds it.
fn fill(seen: &mut protocol::Overlay, used: Bytes, total: Bytes) {
    seen.used_sectors = used.sectors();
    seen.total_sectors = total.sectors();
    seen.percent = Some(share(used.0, total.0));
}

fn show(seen: &mut protocol::Overlay, figures: Figures) {
    seen.used_sectors = figures.used;
    seen.total_sectors = figures.total;
    seen.metadata_sectors = figures.metadata;
    seen.chunk_sectors = figures.chunk.sectors();
    seen.percent = Some(share(figures.used.0, figures.total.0));
}

/// In percent; what has no room is full.
fn share(used: u64, total: u64) -> f64 {
    match total {
        0 => 100.0,
        total => (used as f64 * 100.0 / total as f64).min(100.0),
    }
}

fn pending(stick: &Stick, layout: &Layout) -> Option<Pending> {
    if layout.second.is_some() {
        let waits = stick.booted() && layout.kind == ImageKind::Nested;
        return Some(if waits {
            Pending::Finish
        } else {
            Pending::Cleanup
        });
    }
    if stick.to_be_finished() {
        return Some(Pending::Finish);
    }
    layout.note.as_ref()?;
    Some(match note::read(stick.folder()) {
        // Its image is whole, or nobody would come here.
        Ok(Found::Note(Note::Replacing(_))) => Pending::Cleanup,
        _ => Pending::Borrowed,
    })
}

fn path(name: &str) -> String {
    format!("{LIVE_OS}/{name}")
}
