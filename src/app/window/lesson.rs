//! The experiments: by a model on a practice stick, by the learner on the stick in use.

use super::update::{Purpose, Running, well};
use super::{Page, Window};
use crate::client::{Call, Ended};
use crate::dialogs;
use crate::lesson::{self, Entry, Outcome, Result};
use crate::pages::Asked;
use crate::trouble::Problem;
use crate::words::{fill, plain};
use adw::prelude::*;
use adw::subclass::prelude::*;
use gettextrs::gettext;
use gtk::{gio, glib};
use std::time::Duration;
use sugar_cellar::protocol::{Event, Step};
use sugar_cellar::units::Sectors;

/// After what was saved is written, the gauge is looked at once more in this time.
const SETTLES: Duration = Duration::from_secs(4);

/// A lesson.
#[derive(Debug, Default)]
pub struct Lesson {
    /// Its steps are the learner's own.
    live: bool,
    pub helper: Option<Running>,
    /// What the model found out so far.
    known: Vec<Result>,
    /// What was expected, and what came of it.
    entries: Vec<Entry>,
    /// What the overlay held when the step was asked for.
    before: Sectors,
    /// The answer to a step that is looked at.
    expected: Option<Outcome>,
}

impl Lesson {
    fn steps(&self) -> &'static [Step] {
        match self.live {
            true => &Step::ALL,
            false => &Step::MODELLED,
        }
    }

    /// The step that is asked for, or that was looked at last.
    fn step(&self) -> Option<Step> {
        self.steps().get(self.entries.len()).copied()
    }
}

impl Window {
    /// Begins the lesson on the selected stick.
    pub(super) fn begin_lesson(&self) {
        let Some(stick) = self.selected() else { return };
        let Some(live) = stick.experiments() else {
            return;
        };
        let path = stick.path.as_ref();
        let helper = path.filter(|_| !live).map(|path| {
            let arguments = vec!["experiment".into(), path.to_string_lossy().into_owned()];
            let asked = false;
            self.start(Purpose::Lesson, Call { arguments, asked })
        });
        self.imp().lesson.replace(Lesson {
            live,
            helper,
            ..Lesson::default()
        });
        self.imp().lesson_page.preparing();
        self.go(Page::Lesson);
        self.ask_step();
    }

    /// Asks for the next step, as soon as enough is known of it.
    fn ask_step(&self) {
        if let Some(asked) = self.question() {
            self.imp().lesson_page.ask(&asked);
            self.enable();
        }
    }

    /// The next step, as it is asked about.
    fn question(&self) -> Option<Asked> {
        let mut lesson = self.imp().lesson.borrow_mut();
        let step = lesson.step()?;
        let at = lesson.entries.len();
        let place = (at + 1, lesson.steps().len());
        if lesson.live {
            let overlay = self.selected()?.status?.overlay;
            lesson.before = overlay.used_sectors;
            return Some(Asked {
                place,
                question: lesson::task(step),
                bytes: None,
                percent: overlay.percent?,
            });
        }
        let result = lesson.known.get(at)?;
        Some(Asked {
            place,
            question: lesson::question(step, result.bytes),
            bytes: Some(result.bytes),
            percent: result.percent().0,
        })
    }

    /// The model found something out.
    pub(super) fn tried(&self, event: Event) {
        let Event::Tried {
            step,
            bytes,
            before_sectors,
            after_sectors,
            total_sectors,
            ..
        } = event
        else {
            return;
        };
        let (asking, at) = {
            let mut lesson = self.imp().lesson.borrow_mut();
            lesson.known.push(Result {
                step,
                bytes: bytes.0,
                before: before_sectors,
                after: after_sectors,
                total: total_sectors,
            });
            (lesson.known.len() - 1, lesson.entries.len())
        };
        // It was waited for.
        if asking == at && self.imp().lesson_page.is_preparing() {
            self.ask_step();
        }
    }

    pub(super) fn lesson_failed(&self, problem: Problem) {
        self.imp().lesson.borrow_mut().helper.take();
        self.imp().lesson_page.problem(problem);
    }

    pub(super) fn lesson_ended(&self, ended: &Ended) {
        self.imp().lesson.borrow_mut().helper.take();
        if !well(ended) {
            self.lesson_failed(Problem::ended(ended));
        }
    }

    /// Whether the step can be done: there is an answer, and it was not looked at yet.
    pub(super) fn can_act(&self) -> bool {
        self.imp().lesson.borrow().expected.is_none() && self.imp().lesson_page.chosen().is_some()
    }

    /// It is done: by the model long since, by the learner just now.
    pub(super) fn act(&self) {
        let Some(expected) = self.imp().lesson_page.chosen() else {
            return;
        };
        let (result, live) = {
            let mut lesson = self.imp().lesson.borrow_mut();
            lesson.expected = Some(expected);
            (lesson.known.get(lesson.entries.len()).copied(), lesson.live)
        };
        self.enable();
        if !live {
            if let Some(result) = result {
                self.looked(result);
            }
            return;
        }
        self.imp()
            .lesson_page
            .wait(&gettext("Waiting until all of it is written…"));
        let window = self.downgrade();
        glib::spawn_future_local(async move {
            // What was saved is to be in the overlay when it is looked at.
            let written = gio::spawn_blocking(rustix::fs::sync).await;
            if written.is_err() {
                glib::g_warning!("sugar-cellar", "nothing was written out");
            }
            glib::timeout_future(SETTLES).await;
            if let Some(window) = window.upgrade() {
                window.looked_live();
            }
        });
    }

    fn looked_live(&self) {
        let Some(status) = self.selected().and_then(|stick| stick.status) else {
            return;
        };
        let result = {
            let lesson = self.imp().lesson.borrow();
            let (Some(step), Some(_)) = (lesson.step(), lesson.expected) else {
                return;
            };
            Result {
                step,
                bytes: 0,
                before: lesson.before,
                after: status.overlay.used_sectors,
                total: status.overlay.total_sectors,
            }
        };
        self.looked(result);
    }

    fn looked(&self, result: Result) {
        let (entry, last) = {
            let mut lesson = self.imp().lesson.borrow_mut();
            let Some(expected) = lesson.expected else {
                return;
            };
            let entry = Entry { expected, result };
            lesson.entries.push(entry);
            (entry, lesson.step().is_none())
        };
        self.imp().lesson_page.tell(&entry, last);
    }

    pub(super) fn next_step(&self) {
        let over = {
            let mut lesson = self.imp().lesson.borrow_mut();
            lesson.expected = None;
            lesson.step().is_none()
        };
        if over {
            let entries = self.imp().lesson.borrow().entries.clone();
            self.imp().lesson_page.notebook(&entries);
        } else {
            self.imp().lesson_page.preparing();
            self.ask_step();
        }
    }

    /// The gauge moves while the learner is at it.
    pub(super) fn follow_lesson(&self, percent: f64) {
        let lesson = self.imp().lesson.borrow();
        let told = lesson.expected.is_some() && lesson.step().is_none();
        if self.imp().page.get() == Page::Lesson && lesson.live && !told {
            self.imp().lesson_page.follow(percent);
        }
    }

    /// Keeps the notebook as a page, where the person says.
    pub(super) fn keep_notebook(&self) {
        let entries = self.imp().lesson.borrow().entries.clone();
        let name = self.selected().map(|stick| stick.name());
        let window = self.clone();
        glib::spawn_future_local(async move {
            let now = glib::DateTime::now_local();
            let day = now.and_then(|now| now.format("%Y-%m-%d %H.%M"));
            let title = fill(
                &gettext("Experiments, {day}"),
                &[("day", &day.unwrap_or_default())],
            );
            let title = plain(&title);
            let ask = gettext("Save as a Page");
            let Some(file) = dialogs::save(&window, &ask, &format!("{title}.html")).await else {
                return;
            };
            let page = lesson::page(&title, &name.unwrap_or_default(), &entries);
            let said = match dialogs::write(&file, page.into()).await {
                Ok(()) => fill(
                    &gettext("The notebook is in {file}."),
                    &[("file", &file.parse_name())],
                ),
                Err(reason) => fill(
                    &gettext("The notebook was not saved: {reason}."),
                    &[("reason", &reason)],
                ),
            };
            window.toast(&said);
        });
    }

    pub(super) fn leave_lesson(&self) {
        self.imp().lesson.take();
        self.go(Page::Stick);
    }
}
