//! What the person may ask of the window.

use super::{Page, Window};
use crate::desktop;
use crate::dialogs::{self, Closing};
use crate::known::{Kind, Known};
use adw::prelude::*;
use adw::subclass::prelude::*;
use gtk::{gio, glib};
use sugar_cellar::protocol::Pending;

impl Window {
    pub(super) fn actions(&self) {
        let entry = |name: &str, act: fn(&Window)| {
            gio::ActionEntry::builder(name)
                .activate(move |window: &Window, _, _| act(window))
                .build()
        };
        self.add_action_entries([
            entry("look", Window::look),
            entry("again", Window::watch),
            entry("practice", Window::practise),
            entry("open", Window::choose),
            entry("back", Window::step_back),
            entry("inside", Window::look_inside),
            entry("space", Window::look_for_space),
            entry("history", Window::look_back),
            entry("history-save", Window::save_history),
            entry("tidy", Window::tidy),
            entry("lesson", Window::begin_lesson),
            entry("lesson-chosen", Window::enable),
            entry("lesson-act", Window::act),
            entry("lesson-next", Window::next_step),
            entry("lesson-keep", Window::keep_notebook),
            entry("table", Window::lay_table),
            entry("table-start", Window::start_table),
            entry("table-stop", Window::stop_table),
            entry("receipt", Window::keep_receipt),
            entry("refresh", Window::ask_refresh),
            entry("refresh-again", Window::ask_refresh_again),
            entry("start", Window::start_refresh),
            entry("complete", Window::complete_refresh),
            entry("cancel", Window::cancel_refresh),
            entry("copy", Window::keep_copy),
            entry("restart", Window::restart),
        ]);
        let image = gio::ActionEntry::builder("open-image")
            .activate(|window: &Window, _, _| window.choose_image())
            .build();
        let clean = gio::ActionEntry::builder("clean")
            .parameter_type(Some(glib::VariantTy::STRING))
            .activate(|window: &Window, _, what| {
                window.clean(what.and_then(glib::Variant::str).unwrap_or_default());
            })
            .build();
        let prevent = gio::ActionEntry::builder("prevent")
            .parameter_type(Some(&*<(String, bool)>::static_variant_type()))
            .activate(|window: &Window, _, what| {
                if let Some((word, on)) = what.and_then(glib::Variant::get::<(String, bool)>) {
                    window.prevent(&word, on);
                }
            })
            .build();
        self.add_action_entries([image, clean, prevent]);
    }

    /// Only what makes sense on this page can be done.
    pub(super) fn enable(&self) {
        let imp = self.imp();
        let page = imp.page.get();
        let on = |name: &str, enabled| {
            if let Some(action) = self.lookup_action(name).and_downcast::<gio::SimpleAction>() {
                action.set_enabled(enabled);
            }
        };
        let selected = self.selected();
        let can_be = selected
            .as_ref()
            .and_then(|stick| stick.status.as_ref())
            .is_some_and(|status| status.pending != Some(Pending::Finish));
        let table = self.table_is_active();
        let others = {
            let known = &imp.sticks.borrow().known;
            known.iter().any(|stick| stick.kind != Kind::Booted)
        };
        on("table", others && page != Page::Practice);
        on("table-stop", table);
        on("refresh", page == Page::Stick && can_be && !table);
        on("inside", selected.is_some());
        on("space", selected.is_some());
        let seen = selected
            .as_ref()
            .is_some_and(|stick| stick.status.is_some());
        on("history", page == Page::Stick && seen);
        on("history-save", page == Page::History);
        let from = matches!(page, Page::Inside | Page::Space);
        on("tidy", from && can_be && !table);
        on(
            "lesson",
            matches!(page, Page::Stick | Page::Lesson)
                && selected.as_ref().and_then(Known::experiments).is_some(),
        );
        on("lesson-act", self.can_act());
        on("back", imp.back.is_visible());
        on(
            "practice",
            imp.making.borrow().is_none() && !self.run_is_active() && !table,
        );
    }

    fn choose(&self) {
        let window = self.clone();
        glib::spawn_future_local(async move {
            if let Some(path) = dialogs::open(&window).await.and_then(|file| file.path()) {
                window.open(&path);
            }
        });
    }

    fn choose_image(&self) {
        let window = self.clone();
        glib::spawn_future_local(async move {
            if let Some(path) = dialogs::open_image(&window)
                .await
                .and_then(|file| file.path())
            {
                window.open(&path);
            }
        });
    }

    /// Restarts the computer; whoever shuts the session down asks first, or we do.
    fn restart(&self) {
        let window = self.clone();
        glib::spawn_future_local(async move {
            if !desktop::restart_session().await && dialogs::restart(&window).await {
                desktop::restart_computer().await;
            }
        });
    }

    fn step_back(&self) {
        match self.imp().page.get() {
            Page::Practice => self.leave_practice(),
            Page::Refresh => self.leave_refresh(),
            Page::Inside | Page::Space => self.leave_inside(),
            Page::Lesson => self.leave_lesson(),
            Page::History => self.leave_history(),
            Page::Table => self.leave_table(),
            Page::Stick | Page::Looking | Page::None => {
                self.imp().leaflet.set_visible_child(&*self.imp().sidebar)
            }
        }
    }

    /// The person closes the window; tells whether it stays for now.
    pub(super) fn closing(&self) -> bool {
        if self.table_is_active() {
            // The sticks are done all the same; the window comes back with the next start.
            self.set_visible(false);
            return true;
        }
        if !self.run_is_active() {
            return false;
        }
        let window = self.clone();
        glib::spawn_future_local(async move {
            match dialogs::closing(&window).await {
                Closing::Background if window.run_is_active() => window.set_visible(false),
                Closing::Background => window.close(),
                Closing::Cancel => window.cancel_refresh(),
                Closing::Stay => {}
            }
        });
        true
    }
}
