//! What kinds of files and measures are called, at the terminal and in the window.

use super::figures::fill;
use crate::protocol::{Clutter, EntryKind, Measure, MeasureState, Obstacle, Prevention};
use gettextrs::gettext;

/// What a kind is called.
pub fn name(kind: EntryKind) -> String {
    match kind {
        EntryKind::Document => gettext("Documents"),
        EntryKind::Picture => gettext("Pictures"),
        EntryKind::Media => gettext("Sound and video"),
        EntryKind::Journal => gettext("Journal entries"),
        EntryKind::Archive => gettext("Packed files"),
        EntryKind::Program => gettext("Programs"),
        EntryKind::Settings => gettext("Settings"),
        EntryKind::Log => gettext("Logs"),
        EntryKind::Cache => gettext("Caches"),
        EntryKind::Trash => gettext("Trash"),
        EntryKind::Other => gettext("Other files"),
        EntryKind::Nameless => gettext("Deleted, but still open"),
        EntryKind::Folder => gettext("Folders"),
    }
}

/// What may go is called.
pub fn clutter(clutter: Clutter) -> String {
    match clutter {
        Clutter::Caches => gettext("Caches"),
        Clutter::Thumbnails => gettext("Thumbnails"),
        Clutter::Trash => gettext("Trash"),
        Clutter::Logs => gettext("Old logs"),
        Clutter::Crashes => gettext("Crash dumps"),
        Clutter::Packages => gettext("Downloaded packages"),
    }
}

/// What a measure is called.
pub fn measure(measure: Measure) -> String {
    match measure {
        Measure::Cache => gettext("Caches in memory"),
        Measure::Tmp => gettext("Temporary files in memory"),
        Measure::Journal => gettext("The system's log in memory"),
        Measure::Noatime => gettext("No access times"),
        Measure::Logs => gettext("Fewer logs"),
    }
}

/// How a measure stands.
pub fn stands(prevention: &Prevention) -> String {
    match (prevention.state, prevention.effective) {
        (MeasureState::On, true) => gettext("on"),
        (MeasureState::On, false) => gettext("on, from the next start on"),
        (MeasureState::Off, true) => gettext("off"),
        (MeasureState::Off, false) => gettext("off, from the next start on"),
        (MeasureState::Already, _) => gettext("The system does so by itself."),
        (MeasureState::Impossible, _) => obstacle(prevention),
    }
}

/// Why a measure is impossible; empty where it is not.
pub fn obstacle(prevention: &Prevention) -> String {
    let text = match prevention.obstacle {
        Some(Obstacle::NoSystemd) => gettext("Not possible here: systemd does not run."),
        Some(Obstacle::NoHome) => {
            gettext("Not possible here: you have no home folder of your own.")
        }
        Some(Obstacle::Elsewhere) => gettext("Not needed here: {file} lies outside the overlay."),
        Some(Obstacle::Taken) => {
            gettext("Not possible here: somebody arranged it otherwise, in {file}.")
        }
        Some(Obstacle::OtherLogger) => {
            gettext("Not possible here: another program keeps the logs.")
        }
        None => String::new(),
    };
    fill(&text, &[("file", &prevention.detail)])
}
