//! What lets the running system's stick fill more slowly: how it stands, its switches, and what came of it.

use super::sticks::access;
use super::update::{Purpose, Running, well};
use super::{Page, Window};
use crate::agent;
use crate::client::Ended;
use crate::history;
use crate::known::Kind;
use crate::prevention;
use crate::route::{self, Verb};
use crate::trouble::Problem;
use adw::prelude::*;
use adw::subclass::prelude::*;
use gtk::glib;
use std::time::{Duration, Instant};
use sugar_cellar::protocol::{Measure, OverlayKind, Prevention, Status};

/// Seen twice within this is seen once: whole seconds are counted.
const SOON: Duration = Duration::from_secs(10);

/// What is asked of the helper, and how fast the overlay grows.
#[derive(Debug, Default)]
pub struct Preventing {
    pub running: Option<Running>,
    /// What is being switched; none where it is only looked at.
    switching: Option<(Measure, bool)>,
    /// It is being asked for.
    begun: bool,
    /// When the overlay was seen last (a computer that sleeps has no time), and how much it held.
    seen: Option<(String, Instant, u64)>,
}

impl Window {
    /// How the measures stand, where the computer runs from the selected stick.
    pub(super) fn look_for_measures(&self) {
        match self.selected() {
            Some(stick) if stick.kind == Kind::Booted => self.ask_measures(None),
            _ => self.imp().space_page.measures(&[]),
        }
    }

    /// Switches the measure that `word` stands for.
    pub(super) fn prevent(&self, word: &str, on: bool) {
        let measure = Measure::of(word);
        let busy = {
            let preventing = self.imp().preventing.borrow();
            preventing.begun || preventing.running.is_some()
        };
        match measure {
            Some(measure) if !busy => self.ask_measures(Some((measure, on))),
            _ => self.imp().space_page.as_it_stands(),
        }
    }

    fn ask_measures(&self, what: Option<(Measure, bool)>) {
        let Some(stick) = self.selected() else { return };
        self.imp().preventing.borrow_mut().begun = true;
        let window = self.downgrade();
        glib::spawn_future_local(async move {
            let access = access(stick.path.clone()).await;
            let call = route::call(Verb::Prevent(what), &stick, access);
            if call.as_ref().is_some_and(|call| call.asked) {
                agent::ensure().await;
            }
            let Some(window) = window.upgrade() else {
                return;
            };
            let running = call.map(|call| window.start(Purpose::Prevent, call));
            let mut preventing = window.imp().preventing.borrow_mut();
            preventing.begun = false;
            preventing.switching = what;
            preventing.running = running;
        });
    }

    /// It is told how they stand.
    pub(super) fn prevented(&self, measures: &[Prevention]) {
        let switched = self.end_prevention();
        let Some((measure, _)) = switched else {
            self.imp().space_page.measures(measures);
            return;
        };
        if let Some(stands) = measures.iter().find(|stands| stands.measure == measure) {
            self.toast(&prevention::switched(stands));
        }
        self.compare_from_now();
        // The administrator cannot tell of a person's own.
        self.look_for_measures();
    }

    pub(super) fn prevention_failed(&self, problem: &Problem) {
        match self.end_prevention() {
            Some(_) => {
                self.toast(&problem.text);
                self.imp().space_page.as_it_stands();
            }
            None => {
                glib::g_info!("sugar-cellar", "prevent: {}", problem.details);
                self.imp().space_page.measures(&[]);
            }
        }
    }

    pub(super) fn prevention_ended(&self, ended: &Ended) {
        if self.imp().preventing.borrow().running.is_none() {
            return;
        }
        if well(ended) {
            self.end_prevention();
            self.imp().space_page.as_it_stands();
        } else {
            self.prevention_failed(&Problem::ended(ended));
        }
    }

    /// What was being switched.
    fn end_prevention(&self) -> Option<(Measure, bool)> {
        let mut preventing = self.imp().preventing.borrow_mut();
        preventing.running = None;
        preventing.switching.take()
    }

    /// The overlay was seen. By how much it grew since it was seen last, and in how long, counts.
    pub(super) fn pace(&self, status: &Status) {
        let booted = self
            .selected()
            .is_some_and(|stick| stick.kind == Kind::Booted);
        let remembered = self.imp().sticks.borrow().remembered();
        if !booted || !remembered || status.overlay.kind != OverlayKind::Snapshot {
            return;
        }
        let (key, used) = (history::key(status), status.overlay.used_sectors.0);
        let now = Instant::now();
        let mut preventing = self.imp().preventing.borrow_mut();
        if let Some((before, then, held)) = &preventing.seen
            && *before == key
            // One that holds less was tidied: what it grew meanwhile nobody knows.
            && used >= *held
        {
            let passed = now - *then;
            if passed < SOON {
                return;
            }
            let mut sticks = self.imp().sticks.borrow_mut();
            let growth = &mut sticks.histories.of(&key).growth;
            growth.add(passed.as_secs(), used - held);
        }
        preventing.seen = Some((key, now, used));
    }

    /// Says how fast the overlay grows. That it is quiet is no news, but time that passes.
    pub(super) fn show_paces(&self) {
        if self.imp().page.get() != Page::Space {
            return;
        }
        let Some(status) = self.selected().and_then(|stick| stick.status) else {
            return;
        };
        self.pace(&status);
        let paces = {
            let sticks = self.imp().sticks.borrow();
            let kept = sticks.histories.get(&history::key(&status));
            kept.map(|kept| kept.growth.paces())
        };
        let paces = paces.unwrap_or(history::Paces::Unknown);
        self.imp().space_page.paces(&prevention::paces(paces));
    }

    /// Something was switched: what comes is compared with what was.
    fn compare_from_now(&self) {
        let Some(status) = self.selected().and_then(|stick| stick.status) else {
            return;
        };
        self.pace(&status);
        let key = history::key(&status);
        self.imp()
            .sticks
            .borrow_mut()
            .histories
            .of(&key)
            .growth
            .switched();
        self.keep_histories();
        self.show_paces();
    }
}
