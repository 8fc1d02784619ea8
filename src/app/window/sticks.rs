//! Finds sticks, selects one, and watches it.

use super::update::{Purpose, Running, well};
use super::{Page, Window};
use crate::agent;
use crate::client::{Call, Ended};
use crate::desktop;
use crate::history::{self, Histories};
use crate::known::{self, Kind, Known};
use crate::route::{self, Access, Verb};
use crate::trouble::Problem;
use crate::words::fill;
use adw::prelude::*;
use adw::subclass::prelude::*;
use gettextrs::gettext;
use gtk::{gio, glib};
use std::path::{Path, PathBuf};
use sugar_cellar::error::ErrorKind;
use sugar_cellar::protocol::{Listing, Status};

/// What the window knows of sticks.
#[derive(Debug, Default)]
pub struct Sticks {
    pub known: Vec<Known>,
    /// The selected one's key.
    pub selected: Option<String>,
    pub histories: Histories,
    pub listing: Option<Running>,
    pub watch: Option<Running>,
    /// Watched by the administrator's leave, for the files themselves are not readable.
    asked: bool,
    /// Whether the history may be written: it was read.
    remembered: bool,
    /// Whether anything was listed yet.
    listed: bool,
}

impl Sticks {
    /// Whether the histories were read.
    pub fn remembered(&self) -> bool {
        self.remembered
    }

    pub fn find(&self, key: &str) -> Option<&Known> {
        self.known.iter().find(|stick| stick.key == key)
    }
}

impl Window {
    /// The selected stick.
    pub(super) fn selected(&self) -> Option<Known> {
        let sticks = self.imp().sticks.borrow();
        sticks.find(sticks.selected.as_deref()?).cloned()
    }

    /// Looks for sticks.
    pub(super) fn look(&self) {
        let call = Call {
            arguments: vec!["list".into()],
            asked: false,
        };
        let running = self.start(Purpose::Listing, call);
        self.imp().sticks.borrow_mut().listing = Some(running);
    }

    pub(super) fn listed(&self, listing: Listing) {
        let before = self.selected();
        {
            let mut sticks = self.imp().sticks.borrow_mut();
            sticks.listed = true;
            known::merge(&mut sticks.known, listing.sticks);
        }
        self.settle(before);
    }

    pub(super) fn listing_ended(&self, ended: &Ended) {
        let listed = std::mem::replace(&mut self.imp().sticks.borrow_mut().listed, true);
        if !well(ended) && !listed {
            glib::g_info!("sugar-cellar", "list: {}", ended.complaints);
        }
        // A helper that says nothing leaves no stick: the page says what to do.
        self.settle(self.selected());
    }

    /// Adds a folder, a device or an image file, and selects it.
    pub fn open(&self, path: &Path) {
        let practice = practice_folder();
        let kind = if path == practice {
            Kind::Practice
        } else {
            Kind::Opened
        };
        let opened = Known::opened(path, kind);
        let key = {
            let mut sticks = self.imp().sticks.borrow_mut();
            let same =
                |stick: &&Known| stick.path.as_deref() == Some(path) || stick.key == opened.key;
            match sticks.known.iter().find(same) {
                Some(stick) => stick.key.clone(),
                None => {
                    let key = opened.key.clone();
                    known::add(&mut sticks.known, opened);
                    key
                }
            }
        };
        self.fill_rows();
        self.select(&key);
    }

    /// Selects a stick by its key; where it is not known (yet), it is selected when it comes.
    pub fn select(&self, key: &str) {
        let before = self
            .imp()
            .sticks
            .borrow_mut()
            .selected
            .replace(key.to_owned());
        if self.selected().is_none() {
            return;
        }
        if before.as_deref() != Some(key) || self.imp().sticks.borrow().watch.is_none() {
            self.watch();
        }
        self.select_row(key);
        if self.run_is_of(key) {
            self.go(Page::Refresh);
        } else {
            self.go(Page::Stick);
        }
    }

    /// After sticks came or went: the selected one is kept, or another takes its place.
    fn settle(&self, before: Option<Known>) {
        self.fill_rows();
        let imp = self.imp();
        let selected = self.selected();
        if before.is_some() && selected.is_none() {
            imp.sticks.borrow_mut().watch = None;
            self.toast(&gettext("The stick is gone"));
        }
        // They end by themselves, and then show a stick.
        if matches!(imp.page.get(), Page::Refresh | Page::Practice | Page::Table) {
            return;
        }
        if let (Some(before), Some(now)) = (&before, &selected) {
            // What could not be read may be plugged in now.
            let moved =
                (&before.path, &before.device, &before.uuid) != (&now.path, &now.device, &now.uuid);
            if moved || imp.stick_page.in_trouble() {
                self.watch();
            }
            return;
        }
        if selected.is_some() {
            let key = imp.sticks.borrow().selected.clone();
            self.select(&key.unwrap_or_default());
            return;
        }
        let first = imp
            .sticks
            .borrow()
            .known
            .first()
            .map(|stick| stick.key.clone());
        match first {
            Some(key) => self.select(&key),
            None if imp.sticks.borrow().listed => self.go(Page::None),
            None => {}
        }
    }

    /// Whether a command of ours is changing this stick, or is about to. Nobody looks at it
    /// meanwhile: each look at a stick that is not mounted binds it to a loop device.
    fn at_work_on(&self, key: &str) -> bool {
        self.run_is_of(key) || self.table_is_of(key) || self.tidied_now().as_deref() == Some(key)
    }

    /// Stops watching, where it is this stick that is watched: a command sets out to change it.
    pub(super) fn leave_alone(&self, key: &str) {
        let mut sticks = self.imp().sticks.borrow_mut();
        if sticks.selected.as_deref() == Some(key) {
            sticks.watch = None;
        }
    }

    /// The command that changed this stick has ended: it is watched again where it is looked at.
    pub(super) fn let_be(&self, key: &str) {
        let looked_at = !matches!(self.imp().page.get(), Page::Refresh | Page::Table)
            && self.selected().is_some_and(|stick| stick.key == key);
        if looked_at && self.imp().sticks.borrow().watch.is_none() {
            self.watch();
        }
    }

    /// Begins to watch the selected stick.
    pub(super) fn watch(&self) {
        let Some(stick) = self.selected() else { return };
        self.imp().sticks.borrow_mut().watch = None;
        self.imp().sticks.borrow_mut().asked = false;
        match &stick.status {
            Some(status) => self.show_status(&stick, &status.clone()),
            None => self.imp().stick_page.reading(),
        }
        if self.at_work_on(&stick.key) {
            return;
        }
        let window = self.downgrade();
        glib::spawn_future_local(async move {
            let access = access(stick.path.clone()).await;
            let Some(window) = window.upgrade() else {
                return;
            };
            if window.selected().is_some_and(|now| now.key == stick.key) {
                window.watch_with(&stick, access);
            }
        });
    }

    fn watch_with(&self, stick: &Known, access: Access) {
        let Some(call) = route::call(Verb::Watch, stick, access) else {
            self.imp().stick_page.problem(Problem::unreachable());
            return;
        };
        self.imp().sticks.borrow_mut().asked = call.asked;
        let (window, key) = (self.downgrade(), stick.key.clone());
        glib::spawn_future_local(async move {
            if call.asked {
                agent::ensure().await;
            }
            let Some(window) = window.upgrade() else {
                return;
            };
            let wanted = window.selected().is_some_and(|now| now.key == key);
            if wanted && !window.at_work_on(&key) {
                let running = window.start(Purpose::Watch, call);
                window.imp().sticks.borrow_mut().watch = Some(running);
            }
        });
    }

    /// The selected stick's status.
    pub(super) fn watched(&self, status: Status) {
        let selected = self.imp().sticks.borrow().selected.clone();
        self.learned(&selected.unwrap_or_default(), &status);
    }

    /// A stick's status, whether it is selected or not.
    pub(super) fn learned(&self, key: &str, status: &Status) {
        self.note(key, status);
        let stick = {
            let mut sticks = self.imp().sticks.borrow_mut();
            let Some(stick) = sticks.known.iter_mut().find(|stick| stick.key == key) else {
                return;
            };
            stick.status = Some(status.clone());
            stick.clone()
        };
        self.fill_rows();
        if self.selected().is_none_or(|selected| selected.key != key) {
            return;
        }
        self.pace(status);
        self.show_status(&stick, status);
        if let Some(percent) = status.overlay.percent {
            self.follow_lesson(percent);
        }
        match self.imp().page.get() {
            Page::History => self.fill_history(status),
            Page::Space => self.show_paces(),
            _ => {}
        }
        self.headings();
    }

    pub(super) fn show_status(&self, stick: &Known, status: &Status) {
        let forecast = {
            let sticks = self.imp().sticks.borrow();
            let kept = sticks.histories.get(&history::key(status));
            kept.and_then(|kept| kept.forecast(history::wall(), &status.overlay))
        };
        let refreshing = self.run_is_of(&stick.key);
        self.imp()
            .stick_page
            .status(stick, status, forecast, refreshing);
    }

    pub(super) fn watch_failed(&self, problem: Problem) {
        let Some(stick) = self.selected() else { return };
        let asked = self.imp().sticks.borrow().asked;
        if problem.kind == Some(ErrorKind::Denied) && !asked && stick.device.is_some() {
            self.watch_with(&stick, Access::default());
            return;
        }
        self.imp().sticks.borrow_mut().watch = None;
        self.imp().stick_page.problem(problem);
    }

    pub(super) fn watch_ended(&self, ended: &Ended) {
        self.imp().sticks.borrow_mut().watch = None;
        self.imp().stick_page.problem(Problem::ended(ended));
    }

    /// Keeps what a stick holds today, and tells once when it fills up.
    fn note(&self, key: &str, status: &Status) {
        let Some(percent) = status.overlay.percent else {
            return;
        };
        // What is seen before the histories are read is noted when they are.
        if !self.imp().sticks.borrow().remembered {
            return;
        }
        let (news, crossed, name) = {
            let mut sticks = self.imp().sticks.borrow_mut();
            let name = sticks.find(key).map(Known::name).unwrap_or_default();
            let kept = sticks.histories.of(&history::key(status));
            let news = kept.note(history::wall(), &status.overlay);
            let crossed = kept.crossed(percent);
            (news, crossed, name)
        };
        if let (Some(level), Some(application)) = (crossed, self.application()) {
            desktop::crossed(&application, key, &name, level, percent);
        }
        if news || crossed.is_some() {
            self.keep_histories();
        }
    }

    /// When a stick was refreshed last, in words.
    pub(super) fn refreshed_words(&self, stick: &Known) -> Option<String> {
        let sticks = self.imp().sticks.borrow();
        let history = sticks
            .histories
            .get(&history::key(stick.status.as_ref()?))?;
        let date = glib::DateTime::from_unix_local(history.refreshed?)
            .ok()?
            .format("%x")
            .ok()?;
        Some(fill(&gettext("refreshed {date}"), &[("date", &date)]))
    }

    /// Reads the histories, on a thread.
    pub(super) fn remember_histories(&self) {
        let window = self.downgrade();
        glib::spawn_future_local(async move {
            let read = gio::spawn_blocking(|| history::read(&history::file()))
                .await
                .unwrap_or_default();
            let Some(window) = window.upgrade() else {
                return;
            };
            {
                let mut sticks = window.imp().sticks.borrow_mut();
                sticks.histories = read;
                sticks.remembered = true;
            }
            if let Some(status) = window.selected().and_then(|stick| stick.status) {
                window.watched(status);
            }
        });
    }

    /// Writes the histories, on a thread.
    pub(super) fn keep_histories(&self) {
        let sticks = self.imp().sticks.borrow();
        if !sticks.remembered {
            return;
        }
        let histories = sticks.histories.clone();
        gio::spawn_blocking(move || {
            if let Err(error) = history::write(&history::file(), &histories) {
                glib::g_info!("sugar-cellar", "history: {error}");
            }
        });
    }

    /// Knows an earlier practice stick again.
    pub(super) fn remember_practice(&self) {
        let window = self.downgrade();
        glib::spawn_future_local(async move {
            let there = gio::spawn_blocking(|| practice_folder().join("LiveOS").is_dir()).await;
            let Some(window) = window.upgrade() else {
                return;
            };
            if there.unwrap_or(false) {
                window.add(Known::opened(&practice_folder(), Kind::Practice));
            }
        });
    }

    /// Knows one more stick.
    fn add(&self, stick: Known) {
        let before = self.selected();
        {
            let known = &mut self.imp().sticks.borrow_mut().known;
            if known.iter().any(|known| known.key == stick.key) {
                return;
            }
            known::add(known, stick);
        }
        self.settle(before);
    }
}

/// Where the practice stick lies.
pub fn practice_folder() -> PathBuf {
    glib::user_data_dir()
        .join("sugar-cellar")
        .join("practice-stick")
}

/// What the person may do with the files at `path`; looked at on a thread, for a stick may be slow.
pub async fn access(path: Option<PathBuf>) -> Access {
    use rustix::fs::Access as May;
    let look = move || {
        let root = rustix::process::geteuid().is_root();
        let Some(path) = path else {
            return Access {
                root,
                ..Access::default()
            };
        };
        let place = if path.is_dir() {
            path.join("LiveOS")
        } else {
            path
        };
        let may = |mode| rustix::fs::access(&place, mode).is_ok();
        // Where nothing is there, the helper says so better.
        let missing = !place.exists();
        Access {
            read: missing || may(May::READ_OK),
            write: missing || may(May::WRITE_OK),
            root,
        }
    };
    gio::spawn_blocking(look).await.unwrap_or_default()
}
