//! Makes a practice stick in the person's data folder.

use super::sticks::practice_folder;
use super::update::Purpose;
use super::{Page, Window};
use crate::client::{Call, Ended};
use crate::trouble::Problem;
use adw::prelude::*;
use adw::subclass::prelude::*;
use gettextrs::gettext;
use gtk::{gio, glib};
use std::io;
use std::path::Path;

impl Window {
    /// One click: away with an earlier practice stick, and a new one.
    pub(super) fn practise(&self) {
        self.imp().practice_page.making();
        self.go(Page::Practice);
        // The earlier one is not watched while it goes away.
        let folder = practice_folder();
        {
            let mut sticks = self.imp().sticks.borrow_mut();
            if sticks.selected.as_deref() == folder.to_str() {
                sticks.watch = None;
            }
            sticks
                .known
                .retain(|stick| stick.path.as_deref() != Some(&folder));
        }
        let window = self.downgrade();
        glib::spawn_future_local(async move {
            let cleared = gio::spawn_blocking(|| clear(&practice_folder())).await;
            let Some(window) = window.upgrade() else {
                return;
            };
            if let Ok(Err(error)) = cleared {
                window.making_failed(Problem {
                    title: gettext("No Practice Stick"),
                    text: gettext("There is no room for it, or its folder cannot be written."),
                    details: error.to_string(),
                    kind: None,
                });
                return;
            }
            let arguments = vec!["practice".into(), folder.to_string_lossy().into_owned()];
            let running = window.start(
                Purpose::Practice,
                Call {
                    arguments,
                    asked: false,
                },
            );
            window.imp().making.replace(Some(running));
        });
    }

    pub(super) fn making(&self, done: u64, total: u64) {
        let part = if total == 0 {
            0.0
        } else {
            done as f64 / total as f64
        };
        self.imp().practice_page.progress(part);
    }

    pub(super) fn made(&self) {
        self.imp().making.take();
        self.open(&practice_folder());
    }

    pub(super) fn making_failed(&self, problem: Problem) {
        self.imp().making.take();
        self.imp().practice_page.problem(problem);
    }

    pub(super) fn making_ended(&self, ended: &Ended) {
        self.making_failed(Problem::ended(ended));
    }

    /// Cancels it, and goes back to where the person was.
    pub(super) fn leave_practice(&self) {
        self.imp().making.take();
        let selected = self
            .selected()
            .or_else(|| self.imp().sticks.borrow().known.first().cloned());
        match selected {
            Some(stick) => self.select(&stick.key),
            None => self.go(Page::None),
        }
    }
}

/// Removes an earlier practice stick and makes the folder above it.
fn clear(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    folder.parent().map_or(Ok(()), std::fs::create_dir_all)
}
