//! What is inside the selected stick's overlay, and a tidy of it.

use super::sticks::access;
use super::update::{Purpose, Running};
use super::{Page, Window};
use crate::agent;
use crate::client::Ended;
use crate::inside::Tree;
use crate::known::Known;
use crate::route::{self, Verb};
use crate::trouble::Problem;
use crate::words::{self, fill};
use adw::prelude::*;
use adw::subclass::prelude::*;
use gettextrs::gettext;
use gtk::{gio, glib};
use std::rc::Rc;
use sugar_cellar::protocol::{Explanation, Pending, Status};

/// A helper at work inside a stick.
#[derive(Debug)]
pub struct Work {
    /// The stick's key; another one may be selected meanwhile.
    key: String,
    verb: Verb,
    pub running: Running,
}

impl Window {
    /// The key of the stick that is being tidied.
    pub(super) fn tidied_now(&self) -> Option<String> {
        let work = self.imp().inside.borrow();
        let work = work.as_ref().filter(|work| work.verb == Verb::Tidy);
        work.map(|work| work.key.clone())
    }

    /// Whether nothing else can be looked into for now; says why.
    pub(super) fn waits_for_tidy(&self) -> bool {
        let tidying = self.tidied_now().is_some();
        if tidying {
            self.toast(&gettext(
                "A stick is being tidied up. One at a time, please.",
            ));
        }
        tidying
    }

    /// Looks inside the selected stick.
    pub(super) fn look_inside(&self) {
        let Some(stick) = self.selected() else { return };
        if self.waits_for_tidy() {
            return;
        }
        self.imp().inside_page.looking();
        self.go(Page::Inside);
        self.begin_inside(&stick, Verb::Explain);
    }

    /// Starts the helper for it.
    pub(super) fn begin_inside(&self, stick: &Known, verb: Verb) {
        let (window, stick) = (self.downgrade(), stick.clone());
        glib::spawn_future_local(async move {
            let access = access(stick.path.clone()).await;
            let call = route::call(verb, &stick, access);
            if call.as_ref().is_some_and(|call| call.asked) {
                agent::ensure().await;
            }
            let Some(window) = window.upgrade() else {
                return;
            };
            let purpose = match verb {
                Verb::Tidy => Purpose::Tidy,
                Verb::Clean(_) => Purpose::Clean,
                _ => Purpose::Explain,
            };
            match call {
                Some(call) => {
                    let running = window.start(purpose, call);
                    let key = stick.key.clone();
                    let work = Work { key, verb, running };
                    window.imp().inside.replace(Some(work));
                    if verb == Verb::Tidy {
                        // It is read while it changes, and would be read again and again.
                        window.leave_alone(&stick.key);
                    }
                }
                None => window.inside_failed(Problem::unreachable()),
            }
        });
    }

    /// It is known; the tree is made of it on a thread.
    pub(super) fn explained(&self, explanation: Explanation) {
        self.imp().inside.take();
        if self.imp().page.get() == Page::Space {
            self.show_space(&explanation);
            return;
        }
        let window = self.downgrade();
        glib::spawn_future_local(async move {
            let tree = gio::spawn_blocking(move || Tree::new(&explanation)).await;
            let (Some(window), Ok(tree)) = (window.upgrade(), tree) else {
                return;
            };
            if window.imp().page.get() != Page::Inside {
                return;
            }
            let note = window.selected().and_then(|stick| note(&stick, &tree));
            let page = &window.imp().inside_page;
            page.show_tree(Rc::new(tree), note.as_deref());
        });
    }

    /// Gives back what is deleted but still stored.
    pub(super) fn tidy(&self) {
        let Some(stick) = self.selected() else { return };
        if self.run_is_active() || self.imp().inside.borrow().is_some() {
            return;
        }
        match self.imp().page.get() {
            Page::Space => self.imp().space_page.looking(),
            _ => self.imp().inside_page.looking(),
        }
        self.begin_inside(&stick, Verb::Tidy);
    }

    /// Back to the gauge, which falls.
    pub(super) fn tidied(&self, before: &Status, after: &Status) {
        let Some(work) = self.imp().inside.take() else {
            return;
        };
        let back = before
            .overlay
            .used_sectors
            .saturating_sub(after.overlay.used_sectors);
        let text = match (after.pending, back.0) {
            (Some(Pending::Finish), _) => gettext("The room comes back when the computer restarts"),
            (_, 0) => gettext("There was nothing to give back"),
            _ => fill(
                &gettext("{size} were given back"),
                &[("size", &words::size(back.0.saturating_mul(512)))],
            ),
        };
        self.toast(&text);
        if matches!(self.imp().page.get(), Page::Inside | Page::Space) {
            self.go(Page::Stick);
        }
        self.learned(&work.key, after);
        self.let_be(&work.key);
    }

    pub(super) fn inside_failed(&self, problem: Problem) {
        let work = self.imp().inside.take();
        match self.imp().page.get() {
            Page::Space => self.imp().space_page.problem(problem),
            Page::Inside => self.imp().inside_page.problem(problem),
            _ => self.toast(&problem.title),
        }
        if let Some(work) = work {
            self.let_be(&work.key);
        }
    }

    pub(super) fn inside_ended(&self, ended: &Ended) {
        // Whatever its status: what it was started for did not arrive.
        self.inside_failed(Problem::ended(ended));
    }

    /// One step up; at the top, or from what can go, back to the stick.
    pub(super) fn leave_inside(&self) {
        if self.imp().page.get() == Page::Inside && self.imp().inside_page.up() {
            return;
        }
        {
            let mut inside = self.imp().inside.borrow_mut();
            match inside.as_ref() {
                // Until it has ended, the stick is in its hands.
                Some(work) if work.verb == Verb::Tidy => work.running.job.cancel(),
                _ => *inside = None,
            }
        }
        if self.imp().sticks.borrow().watch.is_none() {
            self.watch();
        }
        self.go(Page::Stick);
    }
}

/// What a tidy may give back, in words; none where there is nothing, or where it cannot be done.
fn note(stick: &Known, tree: &Tree) -> Option<String> {
    let status = stick.status.as_ref()?;
    let waits = status.pending == Some(Pending::Finish);
    let text = gettext(
        "{size} belong to files that are deleted. Deleting alone gives nothing back; tidying up does, and leaves everything else as it is.",
    );
    let size = words::size(tree.deleted.saturating_mul(512));
    (tree.deleted > 0 && !waits).then(|| fill(&text, &[("size", &size)]))
}
