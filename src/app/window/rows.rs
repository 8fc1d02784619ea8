//! The list of sticks beside the page.

use super::Window;
use crate::known::{Kind, Known};
use crate::words;
use adw::prelude::*;
use adw::subclass::prelude::*;
use gtk::pango;

/// A row without words; [`write`] finds its places in the order in which they stand here.
fn row(stick: &Known) -> gtk::ListBoxRow {
    let sign = gtk::Image::from_icon_name(match stick.kind {
        Kind::Practice => "cellar-practice-symbolic",
        _ => "cellar-stick-symbolic",
    });
    let name = gtk::Label::builder()
        .xalign(0.0)
        .ellipsize(pango::EllipsizeMode::End)
        .build();
    let about = gtk::Label::builder()
        .xalign(0.0)
        .wrap(true)
        .wrap_mode(pango::WrapMode::WordChar)
        .natural_wrap_mode(gtk::NaturalWrapMode::None)
        .css_classes(["caption"])
        .build();
    let words = gtk::Box::builder()
        .orientation(gtk::Orientation::Vertical)
        .hexpand(true)
        .spacing(3)
        .build();
    words.append(&name);
    words.append(&about);
    let percent = gtk::Label::builder().css_classes(["numeric"]).build();
    let all = gtk::Box::builder()
        .spacing(12)
        .margin_top(9)
        .margin_bottom(9)
        .build();
    all.append(&sign);
    all.append(&words);
    all.append(&percent);
    gtk::ListBoxRow::builder()
        .child(&all)
        .name(&stick.key)
        .build()
}

/// Writes what is known of the stick into its row.
fn write(row: &gtk::ListBoxRow, stick: &Known, refreshed: Option<&str>) {
    let Some(all) = row.child() else { return };
    let words = all.first_child().and_then(|sign| sign.next_sibling());
    let percent = words
        .as_ref()
        .and_then(|words| words.next_sibling())
        .and_downcast::<gtk::Label>();
    let name = words
        .as_ref()
        .and_then(|words| words.first_child())
        .and_downcast::<gtk::Label>();
    let about = name
        .as_ref()
        .and_then(|name| name.next_sibling())
        .and_downcast::<gtk::Label>();
    let (Some(name), Some(about), Some(percent)) = (name, about, percent) else {
        return;
    };
    let said = stick.name();
    let more = stick.about(refreshed);
    let full = stick
        .status
        .as_ref()
        .and_then(|status| status.overlay.percent.map(words::percent))
        .unwrap_or_default();
    let told: Vec<&str> = [said.as_str(), &full, &more]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    row.update_property(&[gtk::accessible::Property::Label(&told.join(", "))]);
    name.set_label(&said);
    about.set_label(&more);
    about.set_visible(!more.is_empty());
    percent.set_label(&full);
}

impl Window {
    pub(super) fn rows(&self) {
        let window = self.downgrade();
        self.imp().list.connect_row_activated(move |_, row| {
            if let Some(window) = window.upgrade() {
                window.select(&row.widget_name());
            }
        });
    }

    /// Brings the rows up to date; the list is there from two sticks on.
    pub(super) fn fill_rows(&self) {
        let imp = self.imp();
        let known = imp.sticks.borrow().known.clone();
        let mut same = true;
        let (kept, gone): (Vec<_>, Vec<_>) = self
            .list_rows()
            .into_iter()
            .partition(|row| known.iter().any(|stick| row.widget_name() == stick.key));
        for row in gone {
            imp.list.remove(&row);
            same = false;
        }
        // Rows of sticks that stay are left where they are: one of them may have the keyboard.
        for (index, stick) in (0..).zip(&known) {
            let row = match kept.iter().find(|row| row.widget_name() == stick.key) {
                Some(there) if there.index() == index => continue,
                Some(there) => {
                    imp.list.remove(there);
                    there.clone()
                }
                None => row(stick),
            };
            imp.list.insert(&row, index);
            same = false;
        }
        for (row, stick) in self.list_rows().iter().zip(&known) {
            write(row, stick, self.refreshed_words(stick).as_deref());
        }
        imp.sidebar.set_visible(known.len() > 1);
        if !same {
            let selected = imp.sticks.borrow().selected.clone();
            self.select_row(&selected.unwrap_or_default());
            self.headings();
        }
    }

    fn list_rows(&self) -> Vec<gtk::ListBoxRow> {
        let mut rows = Vec::new();
        while let Some(row) = i32::try_from(rows.len())
            .ok()
            .and_then(|index| self.imp().list.row_at_index(index))
        {
            rows.push(row);
        }
        rows
    }

    pub(super) fn select_row(&self, key: &str) {
        let row = self
            .list_rows()
            .into_iter()
            .find(|row| row.widget_name() == key);
        self.imp().list.select_row(row.as_ref());
    }

    /// Files and folders are dropped onto the window.
    pub(super) fn drops(&self) {
        let target = gtk::DropTarget::new(
            gtk::gdk::FileList::static_type(),
            gtk::gdk::DragAction::COPY,
        );
        let window = self.downgrade();
        target.connect_drop(move |_, value, _, _| {
            let (Some(window), Ok(files)) = (window.upgrade(), value.get::<gtk::gdk::FileList>())
            else {
                return false;
            };
            let paths: Vec<_> = files
                .files()
                .iter()
                .filter_map(|file| file.path())
                .collect();
            for path in &paths {
                window.open(path);
            }
            !paths.is_empty()
        });
        self.add_controller(target);
    }
}
