//! What kinds of files are called, at the terminal and in the window.

use crate::protocol::{Clutter, EntryKind};
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
