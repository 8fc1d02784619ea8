//! One refresh, from the question to "You can pull it out now".

use super::sticks::access;
use super::update::{Purpose, Running};
use super::{Page, Window};
use crate::asking::{self, Answer};
use crate::client::{Call, Ended};
use crate::known::{Kind, Known};
use crate::pages::RefreshView;
use crate::plan_words::{self, Fact};
use crate::route::{self, Access, Verb};
use crate::trouble::Problem;
use crate::words::{self, fill};
use crate::{agent, copy, desktop, dialogs, history, volumes};
use adw::prelude::*;
use adw::subclass::prelude::*;
use gettextrs::gettext;
use gtk::{gio, glib};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use sugar_cellar::protocol::{Pending, Plan, SpaceMode, Stage, Status};

/// Nobody can tell the time left so early.
const EARLY: Duration = Duration::from_secs(10);
/// After this the person is told that nothing was heard.
const SILENCE: Duration = Duration::from_secs(30);

/// How far a refresh is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Asking,
    Working,
    Cancelling,
    Over,
}

/// A refresh.
#[derive(Debug)]
pub struct Run {
    /// The stick, as it was when it was asked about: it may be gone before the end.
    pub stick: Known,
    phase: Phase,
    pub helper: Option<Running>,
    access: Access,
    /// A folder by way of which the old image is to be replaced.
    scratch: Option<PathBuf>,
    copy: Option<glib::JoinHandle<()>>,
    began: Instant,
    heard: Instant,
    _awake: Option<desktop::Awake>,
}

impl Run {
    fn of(stick: &Known) -> Run {
        let now = Instant::now();
        Run {
            stick: stick.clone(),
            phase: Phase::Asking,
            helper: None,
            access: Access::default(),
            scratch: None,
            copy: None,
            began: now,
            heard: now,
            _awake: None,
        }
    }
}

impl Window {
    /// Whether a refresh of this stick is asked about or under way.
    pub(super) fn run_is_of(&self, key: &str) -> bool {
        let run = self.imp().run.borrow();
        run.as_ref().is_some_and(|run| {
            run.stick.key == key && matches!(run.phase, Phase::Working | Phase::Cancelling)
        })
    }

    /// Whether a refresh is at work.
    pub(super) fn run_is_active(&self) -> bool {
        let run = self.imp().run.borrow();
        run.as_ref()
            .is_some_and(|run| matches!(run.phase, Phase::Working | Phase::Cancelling))
    }

    /// The stick that the run is of, as it is known now; where it is gone, or another one is in its
    /// place, as it was.
    fn run_stick(&self) -> Option<Known> {
        let asked = self.imp().run.borrow().as_ref()?.stick.clone();
        let now = self.imp().sticks.borrow().find(&asked.key).cloned();
        Some(now.filter(|now| now.uuid == asked.uuid).unwrap_or(asked))
    }

    /// Asks whether to refresh the selected stick; shows the refresh that runs already.
    pub(super) fn ask_refresh(&self) {
        let Some(stick) = self.selected() else { return };
        if self.run_is_of(&stick.key) {
            self.go(Page::Refresh);
            return;
        }
        if self.run_is_active() {
            self.toast(&gettext(
                "Another stick is being refreshed. One at a time, please.",
            ));
            return;
        }
        self.imp().run.replace(Some(Run::of(&stick)));
        self.imp().refresh_page.view(RefreshView::Checking);
        self.go(Page::Refresh);
        let window = self.downgrade();
        glib::spawn_future_local(async move {
            let access = access(stick.path.clone()).await;
            if let Some(window) = window.upgrade() {
                window.plan(&stick, access);
            }
        });
    }

    pub(super) fn ask_refresh_again(&self) {
        self.imp().run.take();
        self.ask_refresh();
    }

    fn plan(&self, stick: &Known, access: Access) {
        let Some(call) = self.run_call(Verb::Plan, stick, access) else {
            self.run_failed(Problem::unreachable());
            return;
        };
        if let Some(run) = self.imp().run.borrow_mut().as_mut() {
            run.access = access;
        }
        let window = self.downgrade();
        glib::spawn_future_local(async move {
            if call.asked {
                agent::ensure().await;
            }
            let Some(window) = window.upgrade() else {
                return;
            };
            let running = window.start(Purpose::Plan, call);
            if let Some(run) = window.imp().run.borrow_mut().as_mut() {
                run.helper = Some(running);
            }
        });
    }

    /// How the helper is started for this run.
    fn run_call(&self, verb: Verb, stick: &Known, access: Access) -> Option<Call> {
        let call = route::call(verb, stick, access)?;
        let run = self.imp().run.borrow();
        match run.as_ref().and_then(|run| run.scratch.as_ref()) {
            Some(folder) => route::by_way_of(call, folder, true),
            None => Some(call),
        }
    }

    /// The stick holds only one image: asks for a folder that makes room, or says why it is refused.
    fn offer_folder(&self, stick: Known, access: Access, plan: &Plan, problem: Problem) {
        let size = words::size(plan.space.needed_bytes.0);
        if let Some(run) = self.imp().run.borrow_mut().as_mut() {
            run.helper = None;
        }
        let window = self.clone();
        glib::spawn_future_local(async move {
            let chosen = match dialogs::one_image(&window, &size).await {
                true => dialogs::scratch(&window).await,
                false => None,
            };
            let Some(folder) = chosen.and_then(|file| file.path()) else {
                window.run_failed(problem);
                return;
            };
            match window.imp().run.borrow_mut().as_mut() {
                Some(run) if run.stick.key == stick.key => run.scratch = Some(folder),
                _ => return,
            }
            window.plan(&stick, access);
        });
    }

    /// Completes a replacement that was cut, from the folder that the person names.
    pub(super) fn complete_refresh(&self) {
        let stick = match self.imp().page.get() {
            Page::Refresh => self.run_stick(),
            _ => self.selected(),
        };
        let Some(stick) = stick else { return };
        if self.run_is_active() {
            return;
        }
        let window = self.clone();
        glib::spawn_future_local(async move {
            let access = access(stick.path.clone()).await;
            let Some(call) = route::call(Verb::Refresh, &stick, access).filter(|call| !call.asked)
            else {
                window.toast(&gettext(
                    "Whoever looks after this computer can complete it at a terminal.",
                ));
                return;
            };
            let chosen = dialogs::scratch(&window).await;
            let Some(folder) = chosen.and_then(|file| file.path()) else {
                return;
            };
            let Some(call) = route::by_way_of(call, &folder, false) else {
                return;
            };
            // Chosen twice, or while another one began: one at a time.
            if window.run_is_active() {
                return;
            }
            window.imp().run.replace(Some(Run {
                access,
                ..Run::of(&stick)
            }));
            window.go(Page::Refresh);
            window.set_out(&stick, call);
        });
    }

    /// The plan is there: it is refused, or the person is asked.
    pub(super) fn planned(&self, plan: Plan) {
        if plan.space.mode == SpaceMode::Scratch
            && let Some(refusal) = plan.refusals.first()
            && let Some(stick) = self.run_stick()
            && let Some(access) = self.may_replace(&stick)
        {
            let problem = Problem::told(refusal.code, &refusal.message, &refusal.hint);
            self.offer_folder(stick, access, &plan, problem);
            return;
        }
        if let Some(refusal) = plan.refusals.first() {
            self.run_failed(Problem::told(refusal.code, &refusal.message, &refusal.hint));
            return;
        }
        let Some(stick) = self.run_stick() else {
            return;
        };
        let access = match self.imp().run.borrow_mut().as_mut() {
            Some(run) => {
                run.helper = None;
                run.access
            }
            None => return,
        };
        let window = self.downgrade();
        glib::spawn_future_local(async move {
            let asked = route::call(Verb::Refresh, &stick, access).is_some_and(|call| call.asked);
            let password = asked && asking::answer(Verb::Refresh).await != Answer::Yes;
            let battery = desktop::low_battery().await;
            let Some(window) = window.upgrade() else {
                return;
            };
            let mut facts = plan_words::facts(&plan);
            facts.extend(battery.map(low_battery));
            let can_copy = stick.path.is_some() && access.read;
            window
                .imp()
                .refresh_page
                .ask(&stick.name(), &facts, password, can_copy);
        });
    }

    /// The person said yes.
    pub(super) fn start_refresh(&self) {
        let Some(stick) = self.run_stick() else {
            return;
        };
        let access = match self.imp().run.borrow().as_ref() {
            Some(run) if run.phase == Phase::Asking && run.copy.is_none() => run.access,
            _ => return,
        };
        let Some(call) = self.run_call(Verb::Refresh, &stick, access) else {
            self.run_failed(Problem::unreachable());
            return;
        };
        let run = self.imp().run.borrow();
        let replaces = run.as_ref().is_some_and(|run| run.scratch.is_some());
        drop(run);
        if !replaces {
            self.set_out(&stick, call);
            return;
        }
        let window = self.clone();
        glib::spawn_future_local(async move {
            if dialogs::replace(&window).await {
                window.set_out(&stick, call);
            }
        });
    }

    fn set_out(&self, stick: &Known, call: Call) {
        self.imp().refresh_page.running(&stick.name());
        let window = self.downgrade();
        glib::spawn_future_local(async move {
            if call.asked {
                agent::ensure().await;
            }
            if let Some(window) = window.upgrade() {
                window.work(call);
            }
        });
    }

    /// Whether a folder can be offered: none was yet, and the helper is started directly.
    fn may_replace(&self, stick: &Known) -> Option<Access> {
        let run = self.imp().run.borrow();
        let run = run.as_ref().filter(|run| run.scratch.is_none())?;
        let call = route::call(Verb::Refresh, stick, run.access)?;
        (!call.asked).then_some(run.access)
    }

    fn work(&self, call: Call) {
        let Some(application) = self.application() else {
            return;
        };
        let running = self.start(Purpose::Refresh, call);
        let mut key = String::new();
        if let Some(run) = self.imp().run.borrow_mut().as_mut() {
            key.clone_from(&run.stick.key);
            run.helper = Some(running);
            run.phase = Phase::Working;
            run.began = Instant::now();
            run.heard = run.began;
            run._awake = Some(desktop::Awake::new(&application, Some(self.upcast_ref())));
        }
        // The refresh tells more, and asks for one password only.
        self.leave_alone(&key);
        self.listen_for_silence();
        self.enable();
    }

    fn listen_for_silence(&self) {
        let window = self.downgrade();
        glib::timeout_add_seconds_local(5, move || {
            let Some(window) = window.upgrade() else {
                return glib::ControlFlow::Break;
            };
            let silent = match window.imp().run.borrow().as_ref() {
                Some(run) if run.phase == Phase::Working => run.heard.elapsed() > SILENCE,
                _ => return glib::ControlFlow::Break,
            };
            if silent {
                window.imp().refresh_page.silent();
            }
            glib::ControlFlow::Continue
        });
    }

    pub(super) fn refreshing(&self, stage: Stage, done: u64, total: u64, left: Option<u64>) {
        let (early, cancelling) = match self.imp().run.borrow_mut().as_mut() {
            Some(run) => {
                run.heard = Instant::now();
                (run.began.elapsed() < EARLY, run.phase == Phase::Cancelling)
            }
            None => return,
        };
        let page = &self.imp().refresh_page;
        page.progress(stage, done, total, left.filter(|_| !early));
        if cancelling {
            page.cancelling();
        }
    }

    pub(super) fn cancel_refresh(&self) {
        if let Some(run) = self
            .imp()
            .run
            .borrow_mut()
            .as_mut()
            .filter(|run| run.phase == Phase::Working)
        {
            run.phase = Phase::Cancelling;
            if let Some(helper) = &run.helper {
                helper.job.cancel();
            }
            self.imp().refresh_page.cancelling();
        }
    }

    /// The stick is refreshed; it is taken off the desktop, where that has it.
    pub(super) fn refreshed(&self, before: &Status, after: &Status, seconds: f64) {
        self.over();
        let Some(stick) = self.run_stick() else {
            return;
        };
        {
            let mut sticks = self.imp().sticks.borrow_mut();
            let now = glib::DateTime::now_local().map_or(0, |now| now.to_unix());
            let kept = sticks.histories.of(&history::key(after));
            kept.refreshed_by(&before.overlay, &after.overlay, now);
            if let Some(known) = sticks.known.iter_mut().find(|known| known.key == stick.key) {
                known.status = Some(after.clone());
            }
        }
        self.keep_histories();
        self.fill_rows();
        self.imp().refresh_page.done(before, after, seconds);
        self.tell(&gettext("The refresh is done"), &words::headline(after));
        let pending = after.pending;
        let window = self.downgrade();
        glib::spawn_future_local(async move {
            let released = match (&stick.path, stick.kind) {
                (Some(path), Kind::Plugged | Kind::Opened) => volumes::release(path).await,
                _ => None,
            };
            if let Some(window) = window.upgrade() {
                window
                    .imp()
                    .refresh_page
                    .pull(&pull(&stick, released, pending));
                window.let_be(&stick.key);
            }
        });
    }

    pub(super) fn run_failed(&self, problem: Problem) {
        self.over();
        self.tell(&problem.title.clone(), &problem.text);
        self.imp().refresh_page.problem(problem);
        if let Some(stick) = self.run_stick() {
            self.let_be(&stick.key);
        }
    }

    pub(super) fn run_ended(&self, ended: &Ended) {
        let expected = match self.imp().run.borrow().as_ref() {
            Some(run) => run.phase == Phase::Over || run.helper.is_none(),
            None => true,
        };
        if !expected {
            self.run_failed(Problem::ended(ended));
        }
    }

    fn over(&self) {
        if let Some(run) = self.imp().run.borrow_mut().as_mut() {
            run.phase = Phase::Over;
            run._awake = None;
            if let Some(copy) = run.copy.take() {
                copy.abort();
            }
        }
        self.enable();
    }

    /// Tells the desktop how it ended, where nobody looks at the window; a hidden one is done with.
    fn tell(&self, title: &str, body: &str) {
        if let Some(application) = self.application().filter(|_| !self.is_active()) {
            desktop::ended(&application, title, body);
        }
    }

    /// Back to the stick; a refresh at work goes on.
    pub(super) fn leave_refresh(&self) {
        let run = self.imp().run.borrow();
        let key = run.as_ref().map(|run| run.stick.key.clone());
        drop(run);
        let active = self.run_is_active();
        if !active {
            self.over();
            self.imp().run.take();
        }
        let there = self
            .selected()
            .filter(|stick| Some(&stick.key) == key.as_ref());
        if let Some(stick) = there {
            if let Some(status) = &stick.status {
                self.show_status(&stick, status);
            }
            if !active && self.imp().sticks.borrow().watch.is_none() {
                self.watch();
            }
            self.go(Page::Stick);
        } else {
            self.leave_practice();
        }
    }

    /// Keeps a copy of image and overlay where the person says.
    pub(super) fn keep_copy(&self) {
        let Some(stick) = self.run_stick() else {
            return;
        };
        let (Some(path), Some(status)) = (stick.path.clone(), stick.status.clone()) else {
            return;
        };
        let window = self.clone();
        let work = glib::spawn_future_local(async move {
            let Some(place) = dialogs::keep(&window).await else {
                window.copy_over();
                return;
            };
            let page = window.imp().refresh_page.clone();
            page.copying(Some(0.0));
            let files = gio::spawn_blocking(move || copy::files(&path, &status))
                .await
                .unwrap_or_default();
            let name = fill(&gettext("Copy of {name}"), &[("name", &stick.name())])
                .replace(['\u{2068}', '\u{2069}', '/'], "");
            let step = page.clone();
            let sentence =
                match copy::keep(&files, &place, &name, move |part| step.copying(Some(part))).await
                {
                    Ok(folder) => fill(
                        &gettext("A copy is in {folder}."),
                        &[("folder", &folder.parse_name())],
                    ),
                    Err(error) => fill(
                        &gettext("There is no copy: {reason}."),
                        &[("reason", error.message())],
                    ),
                };
            window.copy_over();
            page.copied(&sentence);
        });
        if let Some(run) = self.imp().run.borrow_mut().as_mut() {
            run.copy = Some(work);
        }
    }

    fn copy_over(&self) {
        if let Some(run) = self.imp().run.borrow_mut().as_mut() {
            run.copy = None;
        }
    }
}

fn low_battery(percent: f64) -> Fact {
    Fact::warning(
        gettext("The battery is low"),
        gettext("It is {percent} full. Better plug the computer in first.")
            .replace("{percent}", &words::percent(percent)),
    )
}

/// What to do with a refreshed stick.
fn pull(stick: &Known, released: Option<bool>, pending: Option<Pending>) -> String {
    match (stick.kind, released) {
        (Kind::Booted, _) => match pending {
            Some(_) => gettext("Shut the computer down as always; it makes the room then."),
            None => gettext("Carry on!"),
        },
        (Kind::Practice, _) => gettext("On a real stick it goes just like this."),
        (Kind::Opened, None) => gettext("Everything is written."),
        (Kind::Plugged | Kind::Opened, Some(false)) => gettext(
            "Everything is written, but another program still uses the stick. Close it, then pull the stick out.",
        ),
        (Kind::Plugged | Kind::Opened, _) => gettext("You can pull it out now"),
    }
}
