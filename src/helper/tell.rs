//! A stick's status for people: plain words first, the technical ones below.

use super::figures::{fill, percent, sectors, size};
use crate::protocol::{Image, ImageKind, Overlay, OverlayKind, OverlayState, Pending, Status};
use crate::stick::{self, Layout};
use gettextrs::gettext;

/// The whole of it, several lines.
pub fn status(status: &Status, layout: &Layout) -> String {
    let mut lines = headline(status, layout);
    lines.extend(status.pending.map(pending));
    lines.push(String::new());
    lines.extend(facts(status, layout));
    lines.join("\n")
}

/// One sentence how it stands, and one what to do where there is something to do.
fn headline(status: &Status, layout: &Layout) -> Vec<String> {
    let overlay = &status.overlay;
    match &layout.overlay {
        stick::Overlay::Unclear(why) => {
            return vec![
                gettext("Which overlay this stick would use cannot be told for sure."),
                fill(&gettext("(Details: {detail})"), &[("detail", why)]),
            ];
        }
        stick::Overlay::Elsewhere(place) => {
            return vec![fill(
                &gettext("This stick keeps what is saved in another place: {place}."),
                &[("place", place)],
            )];
        }
        _ => {}
    }
    match overlay.kind {
        OverlayKind::None => {
            vec![gettext(
                "This stick keeps nothing that is saved on it: it has no overlay.",
            )]
        }
        OverlayKind::Overlayfs => vec![fill(
            &gettext("This stick keeps what is saved as ordinary files; {free} are free."),
            &[("free", &size(status.stick.free_bytes))],
        )],
        OverlayKind::Snapshot => snapshot(overlay, &status.stick.path),
    }
}

fn snapshot(overlay: &Overlay, path: &str) -> Vec<String> {
    let values = [
        ("percent", &*percent(overlay.percent.floor())),
        (
            "free",
            &*sectors(overlay.total_sectors.saturating_sub(overlay.used_sectors)),
        ),
        ("command", &*format!("sugar-cellar-helper refresh {path}")),
    ];
    let lines = match overlay.state {
        OverlayState::Empty => vec![
            gettext("This stick is empty: nothing was saved on it since it was made or refreshed."),
            gettext("There is room for {free}."),
        ],
        OverlayState::Active => vec![
            gettext("This stick is {percent} full."),
            gettext("There is room for {free} more."),
        ],
        OverlayState::NearlyFull => vec![
            gettext("This stick is nearly full: {percent}."),
            gettext("There is room for {free} more; refresh it soon: {command}"),
        ],
        OverlayState::Full => vec![
            gettext("This stick is full: nothing more can be saved on it."),
            gettext("Refresh it before you use it again: {command}"),
        ],
        OverlayState::Invalid => vec![
            gettext("This stick no longer starts: it ran full, and Linux gave its overlay up."),
            gettext("Keep a copy of the stick before you try anything else."),
        ],
    };
    lines.iter().map(|line| fill(line, &values)).collect()
}

fn pending(pending: Pending) -> String {
    match pending {
        Pending::Finish => {
            gettext("A refresh of this stick will be finished when the computer shuts down.")
        }
        Pending::Cleanup => gettext(
            "A refresh of this stick was cut off; nothing is lost, and the next refresh puts it right.",
        ),
        Pending::Borrowed => gettext(
            "A part of the overlay's room was lent to a refresh; the next command that writes gives it back.",
        ),
    }
}

fn facts(status: &Status, layout: &Layout) -> Vec<String> {
    let stick = &status.stick;
    let label = stick.label.as_deref().unwrap_or_default();
    let values = [
        ("path", &*stick.path),
        ("label", label),
        ("file_system", &*stick.file_system),
        ("free", &*size(stick.free_bytes)),
    ];
    let template = match label {
        "" => gettext("Stick: {path} ({file_system}, {free} free)"),
        _ => gettext("Stick: {path} (“{label}”, {file_system}, {free} free)"),
    };
    let mut lines = vec![fill(&template, &values), image(&status.image)];
    if let Some(file) = &status.overlay.file {
        lines.push(overlay(&status.overlay, file));
    }
    if let Some(home) = &status.home {
        let template = match (home.encrypted, home.used_bytes) {
            (true, _) => gettext("Home: {file}, {size}, encrypted"),
            (false, Some(_)) => gettext("Home: {file}, {used} of {size} used"),
            (false, None) => gettext("Home: {file}, {size}"),
        };
        let used = home.used_bytes.map(size).unwrap_or_default();
        let values = [
            ("file", &*home.file),
            ("size", &*size(home.bytes)),
            ("used", &*used),
        ];
        lines.push(fill(&template, &values));
    }
    for name in &layout.unused {
        let file = format!("LiveOS/{name}");
        lines.push(fill(&gettext("Not used: {file}"), &[("file", &file)]));
    }
    lines
}

fn image(image: &Image) -> String {
    let inner_bytes = image.inner_bytes.map(size).unwrap_or_default();
    let values = [
        ("file", &*image.file),
        ("size", &*size(image.bytes)),
        ("compression", &*image.compression),
        ("inner", image.inner.as_deref().unwrap_or_default()),
        ("inner_size", &*inner_bytes),
    ];
    let template = match image.kind {
        ImageKind::Nested => {
            gettext("Image: {file}, {size}, compression {compression}; in it {inner}, {inner_size}")
        }
        ImageKind::Flat => gettext(
            "Image: {file}, {size}, compression {compression}; it is the root file system itself",
        ),
    };
    fill(&template, &values)
}

fn overlay(overlay: &Overlay, file: &str) -> String {
    if overlay.kind != OverlayKind::Snapshot {
        return fill(&gettext("Overlay: {file}"), &[("file", file)]);
    }
    let figures = format!(
        "{}/{} {}",
        overlay.used_sectors, overlay.total_sectors, overlay.metadata_sectors
    );
    let values = [
        ("file", file),
        ("used", &*sectors(overlay.used_sectors)),
        ("total", &*sectors(overlay.total_sectors)),
        // As “dmsetup status” writes it.
        ("figures", &*figures),
        ("chunk", &*overlay.chunk_sectors.to_string()),
    ];
    fill(
        &gettext("Overlay: {file}, {used} of {total} used ({figures} sectors, chunks of {chunk})"),
        &values,
    )
}
