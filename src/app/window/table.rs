//! A table of sticks: all that are there, side by side; how they stand, and the receipt in the end.

use super::sticks::access;
use super::{Page, Window, turns};
use crate::client::{Job, Update};
use crate::known::{Kind, Known};
use crate::message::Message;
use crate::receipt::{self, Line};
use crate::route::{self, Verb};
use crate::trouble::Problem;
use crate::words::{self, fill, plain};
use crate::{agent, dialogs, history};
use adw::prelude::*;
use adw::subclass::prelude::*;
use gettextrs::gettext;
use gtk::{gio, glib};
use std::collections::{BTreeMap, BTreeSet};
use sugar_cellar::lanes::Lanes;
use sugar_cellar::protocol::{Event, ImageKind, OverlayKind, OverlayState, Status};

/// The sticks on the table.
#[derive(Debug, Default)]
pub struct Table {
    pub(super) sticks: Vec<Known>,
    /// What became of each, by its place.
    pub(super) lines: BTreeMap<usize, Line>,
    pub(super) work: Option<glib::JoinHandle<()>>,
    /// The keys of those that are being refreshed, or wait for their turn.
    pub(super) due: BTreeSet<String>,
    /// Whether no further one is to begin.
    pub(super) stop: bool,
}

impl Window {
    /// Whether sticks of the table are being refreshed.
    pub(super) fn table_is_active(&self) -> bool {
        self.imp().table.borrow().work.is_some()
    }

    /// Whether this stick of the table is being refreshed, or waits for its turn.
    pub(super) fn table_is_of(&self, key: &str) -> bool {
        self.imp().table.borrow().due.contains(key)
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
        let ports = sticks.iter().map(|stick| stick.port.as_deref());
        let apart = Lanes::new(ports.enumerate(), turns::most()).at_once() > 1;
        self.imp().table_page.lay(&sticks, apart);
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
        // It is to be the same one that is refreshed.
        if let Some(laid) = self.imp().table.borrow_mut().sticks.get_mut(place) {
            laid.clone_from(&stick);
        }
        let nested =
            status.overlay.kind == OverlayKind::Snapshot && status.image.kind == ImageKind::Nested;
        let can = nested && status.overlay.state != OverlayState::Empty;
        let mut facts = vec![words::headline(&status)];
        facts.push(stick.about(self.refreshed_words(&stick).as_deref()));
        facts.retain(|fact| !fact.is_empty());
        page.status(place, &status, &facts.join(" · "), can);
    }

    /// Keeps the receipt as a page and as a list, where the person says.
    pub(super) fn keep_receipt(&self) {
        let lines: Vec<Line> = self.imp().table.borrow().lines.values().cloned().collect();
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
            Some(stick) => self.select(&stick.key),
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
