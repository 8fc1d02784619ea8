//! What a stick held earlier, and what is expected of it.

use crate::history::{self, Chart, Forecast, Reading, Span, View, Wall};
use adw::prelude::*;
use adw::subclass::prelude::*;
use gtk::glib;
use std::cell::{Cell, RefCell};

mod imp {
    use super::*;

    #[derive(Debug, Default, gtk::CompositeTemplate)]
    #[template(resource = "/org/sugarlabs/SugarCellar/ui/history-page.ui")]
    pub struct HistoryPage {
        #[template_child]
        pub scrolled: TemplateChild<gtk::ScrolledWindow>,
        #[template_child]
        pub day: TemplateChild<gtk::ToggleButton>,
        #[template_child]
        pub week: TemplateChild<gtk::ToggleButton>,
        #[template_child]
        pub term: TemplateChild<gtk::ToggleButton>,
        #[template_child]
        pub grown: TemplateChild<gtk::Label>,
        #[template_child]
        pub expected: TemplateChild<gtk::Label>,
        #[template_child]
        pub chart: TemplateChild<Chart>,
        #[template_child]
        pub legend: TemplateChild<gtk::Label>,
        #[template_child]
        pub list: TemplateChild<gtk::ListBox>,
        pub rows: RefCell<Vec<adw::ActionRow>>,
        /// How many readings are listed.
        pub count: Cell<usize>,
        /// All that is known, and when that was.
        pub known: RefCell<(Vec<Reading>, Wall, Option<Forecast>)>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for HistoryPage {
        const NAME: &'static str = "CellarHistoryPage";
        type Type = super::HistoryPage;
        type ParentType = adw::Bin;

        fn class_init(class: &mut Self::Class) {
            Chart::ensure_type();
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for HistoryPage {
        fn constructed(&self) {
            self.parent_constructed();
            self.obj().listen();
        }
    }
    impl WidgetImpl for HistoryPage {}
    impl BinImpl for HistoryPage {}
}

glib::wrapper! {
    /// The page of a stick's history.
    pub struct HistoryPage(ObjectSubclass<imp::HistoryPage>)
        @extends adw::Bin, gtk::Widget,
        @implements gtk::Accessible, gtk::Buildable, gtk::ConstraintTarget;
}

impl HistoryPage {
    fn listen(&self) {
        let imp = self.imp();
        for button in [&imp.day, &imp.week, &imp.term] {
            let page = self.downgrade();
            button.connect_toggled(move |button| {
                if let Some(page) = page.upgrade().filter(|_| button.is_active()) {
                    page.update();
                    page.begin();
                }
            });
        }
    }

    /// Begins at the top of the page, with the keyboard there.
    pub fn begin(&self) {
        let imp = self.imp();
        let buttons = [&imp.day, &imp.week, &imp.term];
        if let Some(button) = buttons.iter().find(|button| button.is_active()) {
            button.grab_focus();
        }
        imp.scrolled.vadjustment().set_value(0.0);
    }

    /// Shows what is known now.
    pub fn show_history(&self, readings: Vec<Reading>, now: Wall, forecast: Option<Forecast>) {
        self.imp().known.replace((readings, now, forecast));
        self.update();
    }

    fn span(&self) -> Span {
        let imp = self.imp();
        match (imp.day.is_active(), imp.term.is_active()) {
            (true, _) => Span::Day,
            (_, true) => Span::Term,
            _ => Span::Week,
        }
    }

    fn update(&self) {
        let imp = self.imp();
        let view = {
            let known = imp.known.borrow();
            imp.expected.set_visible(known.2.is_some());
            let text = known.2.map(history::expected);
            imp.expected.set_label(&text.unwrap_or_default());
            View::new(self.span(), &known.0, known.1, known.2)
        };
        imp.grown.set_label(&history::grown(&view));
        let legend = history::legend(&view);
        imp.legend.set_visible(!legend.is_empty());
        imp.legend.set_label(&legend);
        self.list(&view);
        imp.chart.show_view(view);
    }

    /// The same as a list, the newest first. Rows are kept: one of them may have the keyboard.
    fn list(&self, view: &View) {
        let imp = self.imp();
        let mut rows = imp.rows.borrow_mut();
        imp.count.set(view.readings.len());
        imp.list.set_visible(!view.readings.is_empty());
        while rows.len() > view.readings.len() {
            if let Some(row) = rows.pop() {
                imp.list.remove(&row);
            }
        }
        while rows.len() < view.readings.len() {
            let row = self.row(rows.len());
            imp.list.append(&row);
            rows.push(row);
        }
        for (row, reading) in rows.iter().zip(view.readings.iter().rev()) {
            let title = history::moment(view.span, reading.at);
            row.set_title(&glib::markup_escape_text(&title));
            row.set_subtitle(&glib::markup_escape_text(&history::facts(reading)));
        }
    }

    fn row(&self, place: usize) -> adw::ActionRow {
        let row = adw::ActionRow::builder()
            .title_lines(0)
            .subtitle_lines(0)
            .activatable(false)
            .build();
        let focus = gtk::EventControllerFocus::new();
        let page = self.downgrade();
        focus.connect_enter(move |_| {
            if let Some(page) = page.upgrade() {
                let imp = page.imp();
                imp.chart.mark(imp.count.get().checked_sub(place + 1));
            }
        });
        row.add_controller(focus);
        row
    }
}
