//! Several sticks side by side, to be refreshed one after another or at once.

use crate::known::Known;
use crate::words::{Level, fill};
use adw::prelude::*;
use adw::subclass::prelude::*;
use gettextrs::{gettext, ngettext};
use gtk::glib;
use std::cell::{Cell, RefCell};
use sugar_cellar::protocol::Status;

/// A stick's row.
#[derive(Debug)]
struct Row {
    row: adw::ActionRow,
    check: gtk::CheckButton,
    bar: gtk::LevelBar,
    sign: gtk::Image,
}

mod imp {
    use super::*;

    #[derive(Debug, Default, gtk::CompositeTemplate)]
    #[template(resource = "/org/sugarlabs/SugarCellar/ui/table-page.ui")]
    pub struct TablePage {
        #[template_child]
        pub title: TemplateChild<gtk::Label>,
        #[template_child]
        pub sentence: TemplateChild<gtk::Label>,
        #[template_child]
        pub list: TemplateChild<gtk::ListBox>,
        #[template_child]
        pub manner: TemplateChild<gtk::ListBox>,
        #[template_child]
        pub several: TemplateChild<gtk::Switch>,
        #[template_child]
        pub start: TemplateChild<gtk::Button>,
        #[template_child]
        pub stop: TemplateChild<gtk::Button>,
        #[template_child]
        pub receipt: TemplateChild<gtk::Button>,
        /// Whether some may be refreshed at once.
        pub(super) apart: Cell<bool>,
        pub(super) rows: RefCell<Vec<Row>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for TablePage {
        const NAME: &'static str = "CellarTablePage";
        type Type = super::TablePage;
        type ParentType = adw::Bin;

        fn class_init(class: &mut Self::Class) {
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for TablePage {}
    impl WidgetImpl for TablePage {}
    impl BinImpl for TablePage {}
}

glib::wrapper! {
    /// The page of a table of sticks.
    pub struct TablePage(ObjectSubclass<imp::TablePage>)
        @extends adw::Bin, gtk::Widget,
        @implements gtk::Accessible, gtk::Buildable, gtk::ConstraintTarget;
}

impl TablePage {
    /// Lays these sticks out; nothing is known of them yet. `apart` where some may be refreshed at once.
    pub fn lay(&self, sticks: &[Known], apart: bool) {
        let imp = self.imp();
        imp.apart.set(apart);
        imp.several.set_active(true);
        for row in imp.rows.take() {
            imp.list.remove(&row.row);
        }
        for stick in sticks {
            let row = self.row(stick);
            imp.list.append(&row.row);
            imp.rows.borrow_mut().push(row);
        }
        imp.title.set_label(&gettext("All Sticks at Once"));
        imp.sentence.set_label(&gettext(
            "Choose which to refresh. If one fails, the others are done all the same.",
        ));
        imp.receipt.set_visible(false);
        self.at_work(false);
    }

    fn row(&self, stick: &Known) -> Row {
        let name = stick.name();
        let check = gtk::CheckButton::builder()
            .valign(gtk::Align::Center)
            .sensitive(false)
            .build();
        check.update_property(&[gtk::accessible::Property::Label(&name)]);
        let page = self.downgrade();
        check.connect_toggled(move |_| {
            if let Some(page) = page.upgrade() {
                page.count();
            }
        });
        let bar = gtk::LevelBar::for_interval(0.0, 100.0);
        bar.set_valign(gtk::Align::Center);
        bar.set_size_request(72, -1);
        bar.set_accessible_role(gtk::AccessibleRole::Presentation);
        let sign = gtk::Image::from_icon_name("cellar-waiting-symbolic");
        let row = adw::ActionRow::builder()
            .title(glib::markup_escape_text(&name))
            .subtitle(glib::markup_escape_text(&gettext("Looking…")))
            .title_lines(0)
            .subtitle_lines(0)
            .activatable_widget(&check)
            .build();
        row.add_prefix(&check);
        row.add_suffix(&bar);
        row.add_suffix(&sign);
        Row {
            row,
            check,
            bar,
            sign,
        }
    }

    /// What was read of the stick at `place`: how it stands, in words; `can` where it may be chosen.
    pub fn status(&self, place: usize, status: &Status, words: &str, can: bool) {
        let level = Level::of(&status.overlay);
        self.tell(place, words, level.icon());
        if let Some(row) = self.imp().rows.borrow().get(place) {
            let percent = status.overlay.percent;
            row.bar
                .set_value(percent.unwrap_or_default().clamp(0.0, 100.0));
            row.bar.set_visible(percent.is_some());
            row.sign.set_css_classes(&["sign", level.class()]);
            row.check.set_sensitive(can);
            // What needs it is chosen already.
            row.check.set_active(can && level != Level::Fine);
        }
        self.count();
    }

    /// How it stands with the stick at `place`, in words.
    pub fn tell(&self, place: usize, words: &str, icon: &str) {
        if let Some(row) = self.imp().rows.borrow().get(place) {
            row.row.set_subtitle(&glib::markup_escape_text(words));
            row.sign.set_icon_name(Some(icon));
        }
    }

    /// The places of the sticks that are chosen.
    pub fn chosen(&self) -> Vec<usize> {
        let rows = self.imp().rows.borrow();
        let places = rows.iter().enumerate();
        let chosen = places.filter(|(_, row)| row.check.is_active() && row.check.is_sensitive());
        chosen.map(|(place, _)| place).collect()
    }

    /// Whether several are to be refreshed at once, as far as their ports allow it.
    pub fn several(&self) -> bool {
        self.imp().apart.get() && self.imp().several.is_active()
    }

    /// Whether sticks are being refreshed: nothing is chosen meanwhile.
    pub fn at_work(&self, working: bool) {
        let imp = self.imp();
        imp.start.set_visible(!working);
        imp.manner.set_visible(imp.apart.get() && !working);
        imp.stop.set_visible(working);
        imp.stop.set_sensitive(true);
        imp.stop.set_label(&match self.several() {
            true => gettext("Stop After These Sticks"),
            false => gettext("Stop After This Stick"),
        });
        if working {
            for row in imp.rows.borrow().iter() {
                row.check.set_sensitive(false);
            }
            imp.receipt.set_visible(false);
        }
        self.count();
    }

    /// It ends after what is at work.
    pub fn stopping(&self) {
        self.imp().stop.set_sensitive(false);
    }

    /// All that was chosen is done: `well` of `all`.
    pub fn finished(&self, well: usize, all: usize) {
        let imp = self.imp();
        self.at_work(false);
        imp.title.set_label(&match well == all {
            true => gettext("All Done"),
            false => gettext("Not All Are Done"),
        });
        let plural = u32::try_from(all).unwrap_or(u32::MAX);
        let text = ngettext(
            "{well} of {all} stick is refreshed. You can pull out what is done.",
            "{well} of {all} sticks are refreshed. You can pull out what is done.",
            plural,
        );
        let values = [("well", &*well.to_string()), ("all", &*all.to_string())];
        imp.sentence.set_label(&fill(&text, &values));
        imp.start.set_visible(false);
        imp.manner.set_visible(false);
        imp.receipt.set_visible(true);
        imp.receipt.grab_focus();
    }

    fn count(&self) {
        let many = self.chosen().len();
        let text = ngettext(
            "Refresh {number} Stick",
            "Refresh {number} Sticks",
            u32::try_from(many).unwrap_or(u32::MAX),
        );
        let start = &self.imp().start;
        start.set_label(&fill(&text, &[("number", &many.to_string())]));
        start.set_sensitive(many > 0);
    }
}
