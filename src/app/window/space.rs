//! What can go from the selected stick, and its removal.

use super::{Page, Window};
use crate::dialogs;
use crate::known::Kind;
use crate::route::Verb;
use crate::words::{self, fill};
use adw::subclass::prelude::*;
use gettextrs::gettext;
use gtk::glib;
use sugar_cellar::protocol::{Clutter, Event, Explanation, OverlayKind};

impl Window {
    /// Looks for what can go.
    pub(super) fn look_for_space(&self) {
        let Some(stick) = self.selected() else { return };
        if self.waits_for_tidy() {
            return;
        }
        self.imp().space_page.looking();
        self.go(Page::Space);
        self.begin_inside(&stick, Verb::Explain);
        self.look_for_measures();
    }

    pub(super) fn show_space(&self, explanation: &Explanation) {
        let live = self
            .selected()
            .is_some_and(|stick| stick.kind == Kind::Booted);
        self.imp().space_page.found(explanation, live);
        self.show_paces();
    }

    /// Removes what `word` stands for, once the person said so.
    pub(super) fn clean(&self, word: &str) {
        let Some(what) = Clutter::of(word) else {
            return;
        };
        let Some(stick) = self.selected() else { return };
        if self.imp().inside.borrow().is_some() {
            return;
        }
        let window = self.clone();
        glib::spawn_future_local(async move {
            if dialogs::clean(&window, what).await {
                window.imp().space_page.looking();
                window.begin_inside(&stick, Verb::Clean(what));
            }
        });
    }

    /// It is removed: what is left is looked at again.
    pub(super) fn cleaned(&self, event: &Event) {
        let Event::Cleaned { bytes, .. } = event else {
            return;
        };
        self.imp().inside.take();
        let tidied = self.selected().and_then(|stick| stick.status);
        let tidied = tidied.is_some_and(|status| status.overlay.kind == OverlayKind::Snapshot);
        let text = match tidied {
            true => gettext("{size} were removed. The room comes back with a tidy"),
            false => gettext("{size} were removed"),
        };
        self.toast(&fill(&text, &[("size", &words::size(bytes.0))]));
        self.look_for_space();
    }
}
