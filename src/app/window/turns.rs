//! The sticks of the table at work: whose turn it is, how far each is, how it ended.

use super::Window;
use super::sticks::access;
use crate::client::{Job, Update};
use crate::known::{Kind, Known};
use crate::message::Message;
use crate::receipt::Line;
use crate::route::{self, Verb};
use crate::trouble::Problem;
use crate::words::{self, fill, plain};
use crate::{agent, desktop, history, volumes};
use adw::prelude::*;
use adw::subclass::prelude::*;
use futures_util::StreamExt;
use futures_util::lock::Mutex;
use futures_util::stream::FuturesUnordered;
use gettextrs::gettext;
use gtk::glib;
use std::num::NonZeroUsize;
use sugar_cellar::lanes::Lanes;
use sugar_cellar::protocol::{Event, Status};

/// A stick's refresh that ended well.
struct Done {
    before: Status,
    after: Status,
    seconds: f64,
    sum: Option<String>,
}

type Outcome = Result<Done, Problem>;

/// How many may be refreshed at once: as many as there are processors.
pub(super) fn most() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

impl Window {
    /// Refreshes what is chosen: one after another, or side by side as the ports allow.
    pub(super) fn start_table(&self) {
        let page = &self.imp().table_page;
        let chosen = page.chosen();
        let Some(application) = self.application() else {
            return;
        };
        if chosen.is_empty() || self.table_is_active() || self.run_is_active() {
            return;
        }
        let most = if page.several() { most() } else { 1 };
        let lanes = {
            let sticks = &self.imp().table.borrow().sticks;
            let port = |place: usize| sticks.get(place).and_then(|stick| stick.port.as_deref());
            Lanes::new(chosen.iter().map(|place| (*place, port(*place))), most)
        };
        page.at_work(true);
        let due = {
            let mut table = self.imp().table.borrow_mut();
            let stick = |place: &usize| table.sticks.get(*place).map(|stick| stick.key.clone());
            let due: Vec<String> = chosen.iter().filter_map(stick).collect();
            table.due.extend(due.iter().cloned());
            due
        };
        due.iter().for_each(|key| self.leave_alone(key));
        for place in &chosen {
            let waiting = gettext("waits for its turn");
            page.tell(*place, &waiting, "cellar-waiting-symbolic");
        }
        let awake = desktop::Awake::new(&application, Some(self.upcast_ref()));
        let window = self.downgrade();
        let work = glib::spawn_future_local(async move {
            let _awake = awake;
            let all = chosen.len();
            let Some(well) = take_turns(&window, lanes).await else {
                return;
            };
            if let Some(window) = window.upgrade() {
                window.imp().table.borrow_mut().work = None;
                window.imp().table_page.finished(well, all);
                window.enable();
            }
        });
        self.imp().table.borrow_mut().work = Some(work);
        self.enable();
    }

    /// Refreshes the one at `place`, tells its row and the receipt of it, and whether it went well.
    async fn refresh_at(&self, place: usize, asking: &Mutex<()>) -> bool {
        let stick = self.imp().table.borrow().sticks.get(place).cloned();
        let Some(stick) = stick else { return false };
        let Some(outcome) = self.refresh_one(place, &stick, asking).await else {
            self.left(place);
            return false;
        };
        let done = outcome.is_ok();
        self.told(place, &stick, outcome);
        let mounted = stick.path.as_ref();
        let mounted = mounted.filter(|_| done && stick.kind == Kind::Plugged);
        if let Some(path) = mounted
            && volumes::release(path).await == Some(false)
        {
            let held = gettext(
                "Refreshed, but another program still uses it. Close that before you pull it out.",
            );
            let page = &self.imp().table_page;
            page.tell(place, &held, "cellar-filling-symbolic");
        }
        self.over_with(place);
        done
    }

    /// It does not begin any more.
    fn left(&self, place: usize) {
        let left = gettext("left as it was");
        let page = &self.imp().table_page;
        page.tell(place, &left, "cellar-waiting-symbolic");
        self.over_with(place);
    }

    /// Nothing is done to it any more: it may be looked at.
    fn over_with(&self, place: usize) {
        let key = {
            let mut table = self.imp().table.borrow_mut();
            let key = table.sticks.get(place).map(|stick| stick.key.clone());
            let key = key.unwrap_or_default();
            table.due.remove(&key);
            key
        };
        self.let_be(&key);
    }

    /// Refreshes one, and tells its row how far it is. None where it was stopped before it began.
    async fn refresh_one(
        &self,
        place: usize,
        stick: &Known,
        asking: &Mutex<()>,
    ) -> Option<Outcome> {
        let access = access(stick.path.clone()).await;
        let Some(call) = route::call(Verb::Refresh, stick, access) else {
            return Some(Err(Problem::unreachable()));
        };
        let mut asks = None;
        if call.asked {
            // One question for a password at a time: the answer to the first is kept for the others.
            asks = Some(asking.lock().await);
            if self.imp().table.borrow().stop {
                return None;
            }
            agent::ensure().await;
        }
        let job = Job::start(call);
        let updates = job.updates();
        let mut outcome = None;
        while let Ok(update) = updates.recv().await {
            // Whatever it says, it has begun: nobody is asked any more.
            asks = None;
            match update {
                Update::Said(Message::Event(Event::Progress {
                    stage, done, total, ..
                })) => {
                    let part = 100.0 * done as f64 / total.max(1) as f64;
                    let values = [
                        ("stage", &*words::stage(stage)),
                        ("percent", &*words::percent(part)),
                    ];
                    // Translators: what is being done, and how far it is
                    let text = fill(&gettext("{stage}: {percent}"), &values);
                    let page = &self.imp().table_page;
                    page.tell(place, &text, "cellar-refresh-symbolic");
                }
                Update::Said(Message::Event(Event::Finished {
                    before,
                    after,
                    seconds,
                    image_sha256,
                    ..
                })) => {
                    outcome = Some(Ok(Done {
                        before: *before,
                        after: *after,
                        seconds,
                        sum: image_sha256,
                    }));
                }
                Update::Said(Message::Event(Event::Failed {
                    code,
                    message,
                    hint,
                    ..
                })) => outcome = Some(Err(Problem::told(code, &message, &hint))),
                Update::Ended(ended) => {
                    return outcome.or_else(|| Some(Err(Problem::ended(&ended))));
                }
                Update::Said(_) => {}
            }
        }
        drop(asks);
        outcome.or_else(|| Some(Err(Problem::default())))
    }

    /// Tells how it ended, and keeps a line for the receipt.
    fn told(&self, place: usize, stick: &Known, outcome: Outcome) {
        let now = glib::DateTime::now_local();
        let when = now.as_ref().ok().and_then(|now| now.format("%x %X").ok());
        let mut line = Line {
            name: stick.name(),
            about: plain(&stick.about(None)),
            when: when.map(String::from).unwrap_or_default(),
            done: None,
            outcome: String::new(),
            sum: None,
        };
        let page = &self.imp().table_page;
        match outcome {
            Ok(done) => {
                let (before, after) = (&done.before.overlay, &done.after.overlay);
                // Of what can be refreshed it is always known.
                let [was, is] = [before, after].map(|overlay| overlay.percent.unwrap_or_default());
                let values = [
                    ("before", &*words::percent(was)),
                    ("after", &*words::percent(is)),
                    ("time", &*words::duration(done.seconds.max(0.0) as u64)),
                ];
                let text = gettext("Refreshed: {before} full before, {after} now. It took {time}.");
                page.status(place, &done.after, &fill(&text, &values), false);
                page.tell(place, &fill(&text, &values), "cellar-done-symbolic");
                line.done = Some((was, is, done.seconds));
                line.outcome = gettext("refreshed");
                line.sum = done.sum;
                let mut sticks = self.imp().sticks.borrow_mut();
                let now = now.map_or(0, |now| now.to_unix());
                let kept = sticks.histories.of(&history::key(&done.after));
                kept.refreshed_by(before, after, now);
                let known = sticks.known.iter_mut().find(|known| known.key == stick.key);
                if let Some(known) = known {
                    known.status = Some(done.after);
                }
            }
            Err(problem) => {
                page.tell(place, &problem.text, "cellar-broken-symbolic");
                line.outcome = plain(&problem.text);
            }
        }
        self.imp().table.borrow_mut().lines.insert(place, line);
        self.keep_histories();
        self.fill_rows();
    }

    /// The sticks that are being refreshed are finished; the others are left.
    pub(super) fn stop_table(&self) {
        self.imp().table.borrow_mut().stop = true;
        self.imp().table_page.stopping();
    }
}

/// Works through the lanes; how many went well, none where the window is gone.
async fn take_turns(window: &glib::WeakRef<Window>, mut lanes: Lanes) -> Option<usize> {
    let asking = Mutex::new(());
    let mut at_work = FuturesUnordered::new();
    let mut well = 0;
    loop {
        let here = window.upgrade()?;
        if here.imp().table.borrow().stop {
            lanes.stop().into_iter().for_each(|place| here.left(place));
        }
        while let Some(place) = lanes.begin() {
            let (window, asking) = (here.clone(), &asking);
            at_work.push(async move { (place, window.refresh_at(place, asking).await) });
        }
        drop(here);
        let Some((place, done)) = at_work.next().await else {
            return Some(well);
        };
        lanes.done(place);
        well += usize::from(done);
    }
}
