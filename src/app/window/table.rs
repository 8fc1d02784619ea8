//! A table of sticks: all that are there, refreshed one after another.

use super::sticks::access;
use super::{Page, Window};
use crate::client::{Job, Update};
use crate::known::{Kind, Known};
use crate::message::Message;
use crate::receipt::{self, Line};
use crate::route::{self, Verb};
use crate::trouble::Problem;
use crate::words::{self, fill, plain};
use crate::{agent, desktop, dialogs, history, volumes};
use adw::prelude::*;
use adw::subclass::prelude::*;
use gettextrs::gettext;
use gtk::{gio, glib};
use std::cell::Cell;
use std::rc::Rc;
use sugar_cellar::protocol::{Event, ImageKind, OverlayKind, OverlayState, Status};

/// The sticks on the table.
#[derive(Debug, Default)]
pub struct Table {
    sticks: Vec<Known>,
    lines: Vec<Line>,
    work: Option<glib::JoinHandle<()>>,
    stop: Rc<Cell<bool>>,
}

/// How a stick's refresh ended.
type Outcome = Result<(Status, Status, f64), Problem>;

impl Window {
    /// Whether sticks of the table are being refreshed.
    pub(super) fn table_is_active(&self) -> bool {
        self.imp().table.borrow().work.is_some()
    }

    /// Lays all sticks out but the one that this computer runs from.
    pub(super) fn lay_table(&self) {
        if self.table_is_active() {
            self.go(Page::Table);
            return;
        }
        if self.run_is_active() {
            self.toast(&gettext(
                "A stick is being refreshed. One at a time, please.",
            ));
            return;
        }
        let known = self.imp().sticks.borrow().known.clone();
        let sticks: Vec<Known> = known
            .into_iter()
            .filter(|stick| stick.kind != Kind::Booted)
            .collect();
        self.imp().table_page.lay(&sticks);
        self.imp().table.replace(Table {
            sticks: sticks.clone(),
            ..Table::default()
        });
        self.imp().sticks.borrow_mut().watch = None;
        self.go(Page::Table);
        let window = self.downgrade();
        glib::spawn_future_local(async move {
            for (place, stick) in sticks.iter().enumerate() {
                let seen = look_at(stick).await;
                let Some(window) = window.upgrade() else {
                    return;
                };
                window.seen(place, stick, seen);
            }
        });
    }

    fn seen(&self, place: usize, stick: &Known, seen: Result<Status, Problem>) {
        let page = &self.imp().table_page;
        let status = match seen {
            Ok(status) => status,
            Err(problem) => {
                page.tell(place, &problem.text, "cellar-broken-symbolic");
                return;
            }
        };
        let news = {
            let mut sticks = self.imp().sticks.borrow_mut();
            let known = sticks.known.iter_mut().find(|known| known.key == stick.key);
            if let Some(known) = known {
                known.status = Some(status.clone());
            }
            let kept = sticks.histories.of(&history::key(&status));
            kept.note(history::wall(), &status.overlay)
        };
        if news {
            self.keep_histories();
        }
        let stick = Known {
            status: Some(status.clone()),
            ..stick.clone()
        };
        let nested =
            status.overlay.kind == OverlayKind::Snapshot && status.image.kind == ImageKind::Nested;
        let can = nested && status.overlay.state != OverlayState::Empty;
        let mut facts = vec![words::headline(&status)];
        facts.push(stick.about(self.refreshed_words(&stick).as_deref()));
        facts.retain(|fact| !fact.is_empty());
        page.status(place, &status, &facts.join(" · "), can);
    }

    /// Refreshes what is chosen, one after another.
    pub(super) fn start_table(&self) {
        let chosen = self.imp().table_page.chosen();
        let Some(application) = self.application() else {
            return;
        };
        if chosen.is_empty() || self.table_is_active() || self.run_is_active() {
            return;
        }
        self.imp().table_page.at_work(true);
        for place in &chosen {
            let waiting = gettext("waits for its turn");
            let page = &self.imp().table_page;
            page.tell(*place, &waiting, "cellar-waiting-symbolic");
        }
        let awake = desktop::Awake::new(&application, Some(self.upcast_ref()));
        let window = self.downgrade();
        let work = glib::spawn_future_local(async move {
            let _awake = awake;
            let (mut well, all) = (0, chosen.len());
            for place in chosen {
                let Some(window) = window.upgrade() else {
                    return;
                };
                let stopped = window.imp().table.borrow().stop.get();
                if stopped {
                    let left = gettext("left as it was");
                    window
                        .imp()
                        .table_page
                        .tell(place, &left, "cellar-waiting-symbolic");
                    continue;
                }
                let stick = window.imp().table.borrow().sticks.get(place).cloned();
                let Some(stick) = stick else { continue };
                let outcome = window.refresh_one(place, &stick).await;
                let done = outcome.is_ok();
                well += usize::from(done);
                window.told(place, &stick, outcome);
                let mounted = stick
                    .path
                    .clone()
                    .filter(|_| done && stick.kind == Kind::Plugged);
                if let Some(path) = mounted
                    && volumes::release(&path).await == Some(false)
                {
                    let held = gettext(
                        "Refreshed, but another program still uses it. Close that before you pull it out.",
                    );
                    window
                        .imp()
                        .table_page
                        .tell(place, &held, "cellar-filling-symbolic");
                }
            }
            if let Some(window) = window.upgrade() {
                window.imp().table.borrow_mut().work = None;
                window.imp().table_page.finished(well, all);
                window.enable();
            }
        });
        self.imp().table.borrow_mut().work = Some(work);
        self.enable();
    }

    /// Refreshes one, and tells its row how far it is.
    async fn refresh_one(&self, place: usize, stick: &Known) -> Outcome {
        let access = access(stick.path.clone()).await;
        let Some(call) = route::call(Verb::Refresh, stick, access) else {
            return Err(Problem::unreachable());
        };
        if call.asked {
            agent::ensure().await;
        }
        let job = Job::start(call);
        let updates = job.updates();
        let mut outcome = None;
        while let Ok(update) = updates.recv().await {
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
                    ..
                })) => outcome = Some(Ok((*before, *after, seconds))),
                Update::Said(Message::Event(Event::Failed {
                    code,
                    message,
                    hint,
                    ..
                })) => outcome = Some(Err(Problem::told(code, &message, &hint))),
                Update::Ended(ended) => {
                    return outcome.unwrap_or_else(|| Err(Problem::ended(&ended)));
                }
                Update::Said(_) => {}
            }
        }
        outcome.unwrap_or_else(|| Err(Problem::default()))
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
        };
        let page = &self.imp().table_page;
        match outcome {
            Ok((before, after, seconds)) => {
                let (was, is) = (before.overlay.percent, after.overlay.percent);
                let values = [
                    ("before", &*words::percent(was)),
                    ("after", &*words::percent(is)),
                    ("time", &*words::duration(seconds.max(0.0) as u64)),
                ];
                let text = gettext("Refreshed: {before} full before, {after} now. It took {time}.");
                page.status(place, &after, &fill(&text, &values), false);
                page.tell(place, &fill(&text, &values), "cellar-done-symbolic");
                line.done = Some((was, is, seconds));
                line.outcome = gettext("refreshed");
                let mut sticks = self.imp().sticks.borrow_mut();
                let now = now.map_or(0, |now| now.to_unix());
                let kept = sticks.histories.of(&history::key(&after));
                kept.refreshed_by(&before.overlay, &after.overlay, now);
                let known = sticks.known.iter_mut().find(|known| known.key == stick.key);
                if let Some(known) = known {
                    known.status = Some(after);
                }
            }
            Err(problem) => {
                page.tell(place, &problem.text, "cellar-broken-symbolic");
                line.outcome = plain(&problem.text);
            }
        }
        self.imp().table.borrow_mut().lines.push(line);
        self.keep_histories();
        self.fill_rows();
    }

    /// The stick that is being refreshed is finished; the others are left.
    pub(super) fn stop_table(&self) {
        self.imp().table.borrow().stop.set(true);
        self.imp().table_page.stopping();
    }

    /// Keeps the receipt as a page and as a list, where the person says.
    pub(super) fn keep_receipt(&self) {
        let lines = self.imp().table.borrow().lines.clone();
        let window = self.clone();
        glib::spawn_future_local(async move {
            let Some(folder) = dialogs::keep(&window).await else {
                return;
            };
            let day = glib::DateTime::now_local().and_then(|now| now.format("%Y-%m-%d %H.%M"));
            let title = fill(
                &gettext("Refreshed sticks, {day}"),
                &[("day", &day.unwrap_or_default())],
            );
            let title = plain(&title);
            let said = match write(&folder, &title, &lines).await {
                Ok(()) => fill(
                    &gettext("The receipt is in {folder}."),
                    &[("folder", &folder.parse_name())],
                ),
                Err(reason) => fill(
                    &gettext("There is no receipt: {reason}."),
                    &[("reason", &reason)],
                ),
            };
            window.toast(&said);
        });
    }

    /// Back to the stick; sticks at work go on.
    pub(super) fn leave_table(&self) {
        let selected = self.selected();
        let first = || self.imp().sticks.borrow().known.first().cloned();
        match selected.or_else(first) {
            Some(stick) => {
                if !self.table_is_active() {
                    self.select(&stick.key);
                }
                self.go(Page::Stick);
            }
            None => self.go(Page::None),
        }
    }
}

/// A stick's status, looked at once.
async fn look_at(stick: &Known) -> Result<Status, Problem> {
    let access = access(stick.path.clone()).await;
    let call = route::call(Verb::Watch, stick, access).ok_or_else(Problem::unreachable)?;
    if call.asked {
        agent::ensure().await;
    }
    // It would go on; dropped, it ends.
    let job = Job::start(call);
    let updates = job.updates();
    while let Ok(update) = updates.recv().await {
        match update {
            Update::Said(Message::Status(status)) => return Ok(*status),
            Update::Said(Message::Event(Event::Failed {
                code,
                message,
                hint,
                ..
            })) => return Err(Problem::told(code, &message, &hint)),
            Update::Ended(ended) => return Err(Problem::ended(&ended)),
            Update::Said(_) => {}
        }
    }
    Err(Problem::default())
}

async fn write(folder: &gio::File, title: &str, lines: &[Line]) -> Result<(), String> {
    let list = receipt::csv(lines).map_err(|error| error.to_string())?;
    let page = receipt::page(title, lines).into_bytes();
    for (ending, bytes) in [("csv", list), ("html", page)] {
        dialogs::write(&folder.child(format!("{title}.{ending}")), bytes).await?;
    }
    Ok(())
}
