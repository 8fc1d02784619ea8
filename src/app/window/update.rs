//! Where everything arrives that a helper says: one place, one match.

use super::Window;
use crate::client::{Call, Ended, Job, Update};
use crate::message::Message;
use crate::trouble::Problem;
use adw::prelude::*;
use adw::subclass::prelude::*;
use gtk::glib;
use sugar_cellar::protocol::Event;

/// What a helper was started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Listing,
    Watch,
    Explain,
    Tidy,
    Clean,
    Prevent,
    Lesson,
    Plan,
    Refresh,
    Practice,
}

/// A running helper, with its number.
#[derive(Debug)]
pub struct Running {
    pub number: u64,
    pub job: Job,
}

impl Window {
    /// Starts the helper and listens to it.
    pub(super) fn start(&self, purpose: Purpose, call: Call) -> Running {
        let started = &self.imp().started;
        started.set(started.get() + 1);
        let number = started.get();
        let job = Job::start(call);
        let updates = job.updates();
        let window = self.downgrade();
        glib::spawn_future_local(async move {
            while let Ok(update) = updates.recv().await {
                let Some(window) = window.upgrade() else {
                    return;
                };
                if window.listens(purpose, number) {
                    window.update(purpose, update);
                }
            }
        });
        Running { number, job }
    }

    /// Whether the helper `number` is still the one that is listened to.
    fn listens(&self, purpose: Purpose, number: u64) -> bool {
        let imp = self.imp();
        let is = |running: &Option<Running>| {
            running
                .as_ref()
                .is_some_and(|running| running.number == number)
        };
        match purpose {
            Purpose::Listing => is(&imp.sticks.borrow().listing),
            Purpose::Watch => is(&imp.sticks.borrow().watch),
            Purpose::Plan | Purpose::Refresh => {
                imp.run.borrow().as_ref().is_some_and(|run| is(&run.helper))
            }
            Purpose::Explain | Purpose::Tidy | Purpose::Clean => {
                let inside = imp.inside.borrow();
                inside
                    .as_ref()
                    .is_some_and(|work| work.running.number == number)
            }
            Purpose::Prevent => is(&imp.preventing.borrow().running),
            Purpose::Lesson => is(&imp.lesson.borrow().helper),
            Purpose::Practice => is(&imp.making.borrow()),
        }
    }

    fn update(&self, purpose: Purpose, update: Update) {
        match (purpose, update) {
            (
                purpose,
                Update::Said(Message::Event(Event::Failed {
                    code,
                    message,
                    hint,
                    ..
                })),
            ) => self.failed(purpose, Problem::told(code, &message, &hint)),

            (Purpose::Listing, Update::Said(Message::Listing(listing))) => self.listed(listing),
            (Purpose::Listing, Update::Ended(ended)) => self.listing_ended(&ended),

            (Purpose::Watch, Update::Said(Message::Status(status))) => self.watched(*status),
            (Purpose::Watch, Update::Ended(ended)) => self.watch_ended(&ended),

            (Purpose::Explain, Update::Said(Message::Explained(explanation))) => {
                self.explained(*explanation);
            }
            (
                Purpose::Tidy,
                Update::Said(Message::Event(Event::Finished { before, after, .. })),
            ) => self.tidied(&before, &after),
            (Purpose::Clean, Update::Said(Message::Event(event))) => self.cleaned(&event),
            (Purpose::Explain | Purpose::Tidy | Purpose::Clean, Update::Ended(ended)) => {
                self.inside_ended(&ended);
            }

            (Purpose::Prevent, Update::Said(Message::Event(Event::Prevented { measures, .. }))) => {
                self.prevented(&measures);
            }
            (Purpose::Prevent, Update::Ended(ended)) => self.prevention_ended(&ended),

            (Purpose::Lesson, Update::Said(Message::Event(event))) => self.tried(event),
            (Purpose::Lesson, Update::Ended(ended)) => self.lesson_ended(&ended),

            (Purpose::Plan, Update::Said(Message::Plan(plan))) => self.planned(*plan),
            (
                Purpose::Refresh,
                Update::Said(Message::Event(Event::Progress {
                    stage,
                    done,
                    total,
                    eta_seconds,
                    ..
                })),
            ) => {
                self.refreshing(stage, done, total, eta_seconds);
            }
            (
                Purpose::Refresh,
                Update::Said(Message::Event(Event::Finished {
                    before,
                    after,
                    seconds,
                    ..
                })),
            ) => {
                self.refreshed(&before, &after, seconds);
            }
            (Purpose::Plan | Purpose::Refresh, Update::Ended(ended)) => self.run_ended(&ended),

            (
                Purpose::Practice,
                Update::Said(Message::Event(Event::Progress { done, total, .. })),
            ) => {
                self.making(done, total);
            }
            (Purpose::Practice, Update::Said(Message::Event(Event::Made { .. }))) => self.made(),
            (Purpose::Practice, Update::Ended(ended)) => self.making_ended(&ended),

            // Greetings, and what a later helper may add.
            (_, Update::Said(_)) => {}
        }
    }

    fn failed(&self, purpose: Purpose, problem: Problem) {
        match purpose {
            Purpose::Watch => self.watch_failed(problem),
            Purpose::Explain | Purpose::Tidy | Purpose::Clean => self.inside_failed(problem),
            Purpose::Plan | Purpose::Refresh => self.run_failed(problem),
            Purpose::Practice => self.making_failed(problem),
            Purpose::Lesson => self.lesson_failed(problem),
            Purpose::Prevent => self.prevention_failed(&problem),
            // Its end tells.
            Purpose::Listing => {}
        }
    }
}

/// Whether a helper ended as it should.
pub fn well(ended: &Ended) -> bool {
    ended.code == Some(0)
}
