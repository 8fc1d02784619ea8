//! The selected stick's history, and a file of it.

use super::{Page, Window};
use crate::words::{fill, plain};
use crate::{dialogs, history};
use adw::prelude::*;
use adw::subclass::prelude::*;
use gettextrs::gettext;
use gtk::{gio, glib};
use sugar_cellar::protocol::Status;

impl Window {
    /// Shows what the selected stick held earlier.
    pub(super) fn look_back(&self) {
        let Some(status) = self.selected().and_then(|stick| stick.status) else {
            return;
        };
        self.fill_history(&status);
        self.go(Page::History);
        self.imp().history_page.begin();
    }

    /// Shows it as it is known now.
    pub(super) fn fill_history(&self, status: &Status) {
        let now = history::wall();
        let (readings, forecast) = {
            let sticks = self.imp().sticks.borrow();
            match sticks.histories.get(&history::key(status)) {
                Some(kept) => (kept.readings(), kept.forecast(now, &status.overlay)),
                None => (Vec::new(), None),
            }
        };
        self.imp()
            .history_page
            .show_history(readings, now, forecast);
    }

    /// Keeps it for a spreadsheet, where the person says.
    pub(super) fn save_history(&self) {
        let Some(stick) = self.selected() else { return };
        let Some(status) = &stick.status else { return };
        let readings = {
            let sticks = self.imp().sticks.borrow();
            let kept = sticks.histories.get(&history::key(status));
            kept.map(history::History::readings).unwrap_or_default()
        };
        // Translators: the name of a file; {stick} is a stick's name
        let name = fill(&gettext("History of {stick}"), &[("stick", &stick.name())]);
        let name = format!("{}.csv", plain(&name).replace('/', "-"));
        let window = self.clone();
        glib::spawn_future_local(async move {
            let Some(file) = dialogs::save(&window, &gettext("Save as CSV"), &name).await else {
                return;
            };
            let said = match write(&file, &readings).await {
                Ok(()) => fill(
                    &gettext("The history is in {file}."),
                    &[("file", &file.parse_name())],
                ),
                Err(reason) => fill(
                    &gettext("The history was not saved: {reason}."),
                    &[("reason", &reason)],
                ),
            };
            window.toast(&said);
        });
    }

    /// Back to the stick.
    pub(super) fn leave_history(&self) {
        self.go(Page::Stick);
    }
}

async fn write(file: &gio::File, readings: &[history::Reading]) -> Result<(), String> {
    let list = history::csv(readings).map_err(|error| error.to_string())?;
    dialogs::write(file, list).await
}
