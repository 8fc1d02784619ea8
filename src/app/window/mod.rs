//! The window: which page is shown, and what the person asks for.
//!
//! [`sticks`] finds, selects and watches sticks; [`run`] refreshes one; [`practice`] makes a
//! practice stick; [`inside`] shows what fills one, [`space`] what can go, [`prevention`] what lets
//! it fill more slowly, [`history`] what it held earlier; [`lesson`] leads through the experiments;
//! [`table`] lays several side by side, and [`turns`] refreshes them; [`update`] is where
//! everything that a helper says arrives.

mod actions;
mod history;
mod inside;
mod lesson;
mod practice;
mod prevention;
mod rows;
mod run;
mod space;
mod sticks;
mod table;
mod turns;
mod update;

use crate::pages::{
    self, HistoryPage, InsidePage, LessonPage, PracticePage, RefreshPage, SpacePage, StickPage,
    TablePage,
};
use crate::settings;
use crate::volumes::Volumes;
use adw::prelude::*;
use adw::subclass::prelude::*;
use gtk::{gio, glib};
use std::cell::{Cell, OnceCell, RefCell};

/// A page of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Page {
    #[default]
    Looking,
    None,
    Stick,
    Inside,
    Space,
    Lesson,
    History,
    Table,
    Refresh,
    Practice,
}

impl Page {
    fn name(self) -> &'static str {
        match self {
            Page::Looking => "looking",
            Page::None => "none",
            Page::Stick => "stick",
            Page::Inside => "inside",
            Page::Space => "space",
            Page::Lesson => "lesson",
            Page::History => "history",
            Page::Table => "table",
            Page::Refresh => "refresh",
            Page::Practice => "practice",
        }
    }
}

mod imp {
    use super::*;

    #[derive(Debug, Default, gtk::CompositeTemplate)]
    #[template(resource = "/org/sugarlabs/SugarCellar/ui/window.ui")]
    pub struct Window {
        #[template_child]
        pub leaflet: TemplateChild<adw::Leaflet>,
        #[template_child]
        pub sidebar: TemplateChild<gtk::Box>,
        #[template_child]
        pub content: TemplateChild<gtk::Box>,
        #[template_child]
        pub list: TemplateChild<gtk::ListBox>,
        #[template_child]
        pub heading: TemplateChild<adw::WindowTitle>,
        #[template_child]
        pub back: TemplateChild<gtk::Button>,
        #[template_child]
        pub toasts: TemplateChild<adw::ToastOverlay>,
        #[template_child]
        pub pages: TemplateChild<gtk::Stack>,
        #[template_child]
        pub stick_page: TemplateChild<StickPage>,
        #[template_child]
        pub inside_page: TemplateChild<InsidePage>,
        #[template_child]
        pub space_page: TemplateChild<SpacePage>,
        #[template_child]
        pub lesson_page: TemplateChild<LessonPage>,
        #[template_child]
        pub history_page: TemplateChild<HistoryPage>,
        #[template_child]
        pub table_page: TemplateChild<TablePage>,
        #[template_child]
        pub refresh_page: TemplateChild<RefreshPage>,
        #[template_child]
        pub practice_page: TemplateChild<PracticePage>,
        pub page: Cell<Page>,
        pub sticks: RefCell<sticks::Sticks>,
        pub inside: RefCell<Option<inside::Work>>,
        pub lesson: RefCell<lesson::Lesson>,
        pub preventing: RefCell<prevention::Preventing>,
        pub table: RefCell<table::Table>,
        pub run: RefCell<Option<run::Run>>,
        pub making: RefCell<Option<update::Running>>,
        pub volumes: OnceCell<Volumes>,
        /// The number of the helper started last: a late word of an earlier one is none of ours.
        pub started: Cell<u64>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Window {
        const NAME: &'static str = "CellarWindow";
        type Type = super::Window;
        type ParentType = adw::ApplicationWindow;

        fn class_init(class: &mut Self::Class) {
            StickPage::ensure_type();
            InsidePage::ensure_type();
            SpacePage::ensure_type();
            LessonPage::ensure_type();
            HistoryPage::ensure_type();
            TablePage::ensure_type();
            RefreshPage::ensure_type();
            PracticePage::ensure_type();
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for Window {
        fn constructed(&self) {
            self.parent_constructed();
            let window = self.obj();
            settings::remember(&*window);
            window.actions();
            window.rows();
            window.drops();
            window.begin();
        }
    }

    impl WidgetImpl for Window {
        fn realize(&self) {
            self.parent_realize();
            // For who measures how soon it is there.
            if let Some(clock) = self.obj().frame_clock() {
                let told = Cell::new(false);
                clock.connect_after_paint(move |_| {
                    if !told.replace(true) {
                        glib::g_debug!("sugar-cellar", "first frame");
                    }
                });
            }
        }
    }

    impl WindowImpl for Window {
        fn close_request(&self) -> glib::Propagation {
            if self.obj().closing() {
                return glib::Propagation::Stop;
            }
            self.parent_close_request()
        }
    }

    impl ApplicationWindowImpl for Window {}
    impl AdwApplicationWindowImpl for Window {}
}

glib::wrapper! {
    /// The window.
    pub struct Window(ObjectSubclass<imp::Window>)
        @extends adw::ApplicationWindow, gtk::ApplicationWindow, gtk::Window, gtk::Widget,
        @implements gio::ActionMap, gio::ActionGroup, gtk::Accessible, gtk::Buildable,
            gtk::ConstraintTarget, gtk::Native, gtk::Root, gtk::ShortcutManager;
}

impl Window {
    /// A window of the application.
    pub fn new(application: &adw::Application) -> Window {
        let window: Window = glib::Object::builder()
            .property("application", application)
            .build();
        window.set_icon_name(Some(crate::config::APP_ID));
        window
    }

    fn begin(&self) {
        let window = self.downgrade();
        let volumes = Volumes::watch(move || {
            if let Some(window) = window.upgrade() {
                window.look();
            }
        });
        self.imp().volumes.set(volumes).ok();
        let window = self.downgrade();
        self.imp().leaflet.connect_folded_notify(move |_| {
            if let Some(window) = window.upgrade() {
                window.headings();
            }
        });
        self.go(Page::Looking);
        self.remember_histories();
        self.remember_practice();
        self.look();
    }

    /// Shows a page.
    fn go(&self, page: Page) {
        let imp = self.imp();
        imp.page.set(page);
        pages::turn(&imp.pages, page.name());
        if page != Page::Looking {
            imp.leaflet.set_visible_child(&*imp.content);
        }
        self.headings();
    }

    /// The header bar, as it belongs to what is shown.
    fn headings(&self) {
        let imp = self.imp();
        let page = imp.page.get();
        let inner = matches!(
            page,
            Page::Inside
                | Page::Space
                | Page::History
                | Page::Lesson
                | Page::Table
                | Page::Refresh
                | Page::Practice
        );
        let folded = imp.leaflet.is_folded() && imp.sidebar.is_visible();
        imp.back.set_visible(inner || folded);
        let name = match page {
            Page::Stick | Page::Inside | Page::Space | Page::History | Page::Lesson => {
                self.selected().map(|stick| stick.name())
            }
            Page::Refresh => imp.run.borrow().as_ref().map(|run| run.stick.name()),
            _ => None,
        };
        imp.heading
            .set_title(&name.unwrap_or_else(|| gettextrs::gettext("Sugar Cellar")));
        self.enable();
    }

    /// Says something in passing.
    fn toast(&self, text: &str) {
        self.imp()
            .toasts
            .add_toast(adw::Toast::new(&glib::markup_escape_text(text)));
    }
}
