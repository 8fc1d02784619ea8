//! How full a stick is.

use super::turn;
use crate::gauge::Gauge;
use crate::history::{self, Forecast};
use crate::known::{Kind, Known};
use crate::trouble::{Problem, Trouble};
use crate::words::{self, Level, fill, size};
use adw::prelude::*;
use adw::subclass::prelude::*;
use gettextrs::gettext;
use gtk::glib;
use std::cell::RefCell;
use sugar_cellar::protocol::{
    ImageKind, NotHere, Overlay, OverlayKind, OverlayState, Pending, Status,
};

mod imp {
    use super::*;

    #[derive(Debug, Default, gtk::CompositeTemplate)]
    #[template(resource = "/org/sugarlabs/SugarCellar/ui/stick-page.ui")]
    pub struct StickPage {
        #[template_child]
        pub views: TemplateChild<gtk::Stack>,
        #[template_child]
        pub note: TemplateChild<gtk::Label>,
        #[template_child]
        pub gauge: TemplateChild<Gauge>,
        #[template_child]
        pub headline: TemplateChild<gtk::Label>,
        #[template_child]
        pub sign: TemplateChild<gtk::Image>,
        #[template_child]
        pub advice: TemplateChild<gtk::Label>,
        #[template_child]
        pub room: TemplateChild<gtk::Label>,
        #[template_child]
        pub forecast: TemplateChild<gtk::Label>,
        #[template_child]
        pub pending: TemplateChild<gtk::Label>,
        #[template_child]
        pub restart: TemplateChild<gtk::Button>,
        #[template_child]
        pub refresh: TemplateChild<gtk::Button>,
        #[template_child]
        pub inside: TemplateChild<adw::ActionRow>,
        #[template_child]
        pub space: TemplateChild<adw::ActionRow>,
        #[template_child]
        pub lesson: TemplateChild<adw::ActionRow>,
        #[template_child]
        pub more: TemplateChild<adw::PreferencesGroup>,
        #[template_child]
        pub history: TemplateChild<adw::ActionRow>,
        #[template_child]
        pub details: TemplateChild<adw::ExpanderRow>,
        #[template_child]
        pub trouble: TemplateChild<Trouble>,
        pub rows: RefCell<Vec<adw::ActionRow>>,
        /// The stick that is shown, so that the ring glides for the same one only.
        pub shown: RefCell<String>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for StickPage {
        const NAME: &'static str = "CellarStickPage";
        type Type = super::StickPage;
        type ParentType = adw::Bin;

        fn class_init(class: &mut Self::Class) {
            Gauge::ensure_type();
            Trouble::ensure_type();
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for StickPage {
        fn constructed(&self) {
            self.parent_constructed();
            self.obj().reading();
        }
    }
    impl WidgetImpl for StickPage {}
    impl BinImpl for StickPage {}
}

glib::wrapper! {
    /// The page of one stick.
    pub struct StickPage(ObjectSubclass<imp::StickPage>)
        @extends adw::Bin, gtk::Widget,
        @implements gtk::Accessible, gtk::Buildable, gtk::ConstraintTarget;
}

impl StickPage {
    /// Nothing is known of it yet.
    pub fn reading(&self) {
        self.imp().shown.take();
        turn(&self.imp().views, "reading");
    }

    /// It cannot be read.
    pub fn problem(&self, problem: Problem) {
        self.imp().shown.take();
        self.imp().trouble.show(problem, "win.again", false);
        turn(&self.imp().views, "trouble");
    }

    /// Whether it could not be read.
    pub fn in_trouble(&self) -> bool {
        self.imp().views.visible_child_name().as_deref() == Some("trouble")
    }

    /// What was read; `forecast`: when it will be full, `refreshing` while a refresh of it runs.
    pub fn status(
        &self,
        stick: &Known,
        status: &Status,
        forecast: Option<Forecast>,
        refreshing: bool,
    ) {
        let imp = self.imp();
        let overlay = &status.overlay;
        let level = Level::of(overlay);
        let keeps = overlay.kind != OverlayKind::None;
        let told = keeps && overlay.percent.is_some();
        let percent = overlay.percent.unwrap_or_default();
        let headline = words::headline(status);
        if imp.shown.replace(stick.key.clone()) == stick.key {
            imp.gauge.show(percent, level, &headline);
        } else {
            imp.gauge.jump(percent, level, &headline);
        }
        imp.gauge.set_visible(told);
        imp.headline.set_label(&headline);
        imp.sign.set_icon_name(Some(level.icon()));
        imp.sign.set_css_classes(&["sign", level.class()]);
        imp.sign.set_visible(told);
        imp.advice.set_label(&if keeps {
            level.advice()
        } else {
            nothing_kept(overlay)
        });
        imp.room.set_label(&words::room(overlay));
        imp.room
            .set_visible(told && !matches!(level, Level::Full | Level::Broken));
        say(&imp.forecast, forecast.map(history::expected));
        say(&imp.note, (stick.kind == Kind::Practice).then(practice));
        say(&imp.pending, status.pending.map(pending));
        self.refresh_button(level, status, refreshing);
        let holds = keeps && overlay.state != OverlayState::Empty;
        let lesson = stick.experiments().is_some();
        imp.inside.set_visible(holds && !refreshing);
        imp.space.set_visible(holds && !refreshing);
        imp.history.set_visible(told);
        imp.lesson.set_visible(lesson && !refreshing);
        imp.more.set_visible(keeps);
        self.facts(stick, status);
        turn(&imp.views, "ready");
    }

    fn refresh_button(&self, level: Level, status: &Status, refreshing: bool) {
        let button = &self.imp().refresh;
        let nested =
            status.overlay.kind == OverlayKind::Snapshot && status.image.kind == ImageKind::Nested;
        let waits = status.pending == Some(Pending::Finish);
        self.imp().restart.set_visible(waits);
        button.set_visible(nested && !waits);
        button.set_label(&if refreshing {
            gettext("Show the Refresh")
        } else {
            gettext("Refresh This Stick…")
        });
        let wanted = level != Level::Fine || refreshing || status.pending.is_some();
        if wanted {
            button.add_css_class("suggested-action");
        } else {
            button.remove_css_class("suggested-action");
        }
    }

    fn facts(&self, stick: &Known, status: &Status) {
        let imp = self.imp();
        let facts = facts(stick, status);
        let mut rows = imp.rows.borrow_mut();
        while rows.len() > facts.len() {
            if let Some(row) = rows.pop() {
                imp.details.remove(&row);
            }
        }
        while rows.len() < facts.len() {
            let row = adw::ActionRow::builder()
                .title_lines(0)
                .subtitle_lines(0)
                .build();
            imp.details.add_row(&row);
            rows.push(row);
        }
        for (row, (name, value)) in rows.iter().zip(facts) {
            row.set_title(&glib::markup_escape_text(&name));
            row.set_subtitle(&glib::markup_escape_text(&value));
        }
    }
}

fn say(label: &gtk::Label, text: Option<String>) {
    label.set_visible(text.is_some());
    label.set_label(&text.unwrap_or_default());
}

fn nothing_kept(overlay: &Overlay) -> String {
    match overlay.not_here {
        None => gettext("It starts the same every time, and so it never fills up."),
        Some(NotHere::Elsewhere(_)) => {
            gettext("Sugar Cellar leaves that place alone, and cannot tell how full it is.")
        }
        Some(NotHere::Unclear(_)) => gettext(
            "Sugar Cellar leaves it as it is. Show the details below to whoever looks after this computer.",
        ),
    }
}

fn practice() -> String {
    gettext(
        "This is a practice stick inside this computer. Nothing can go wrong: refresh it and see what happens.",
    )
}

fn pending(pending: Pending) -> String {
    match pending {
        Pending::Finish => {
            gettext("A refresh is waiting: shut the computer down, and it makes room then.")
        }
        Pending::Cleanup => {
            gettext("A refresh was interrupted. Nothing is lost; refresh it again to tidy up.")
        }
        Pending::Borrowed => gettext(
            "A refresh was interrupted and some room is still borrowed. Nothing is lost; refresh it again to give it back.",
        ),
    }
}

fn facts(stick: &Known, status: &Status) -> Vec<(String, String)> {
    let overlay = &status.overlay;
    let image = &status.image;
    let total = overlay.total_sectors.bytes().map_or(0, |bytes| bytes.0);
    let mut facts = vec![(
        gettext("Where it is"),
        stick
            .device
            .clone()
            .unwrap_or_else(|| status.stick.path.clone()),
    )];
    if overlay.percent.is_some() && overlay.kind != OverlayKind::None {
        facts.push((
            gettext("Used and altogether"),
            fill(
                &gettext("{used} of {total}"),
                &[
                    ("used", &size(words::used_bytes(overlay))),
                    ("total", &size(total)),
                ],
            ),
        ));
        facts.push((
            gettext("In sectors of 512 bytes: used/altogether metadata"),
            words::isolated(&format!(
                "{}/{} {}",
                overlay.used_sectors, overlay.total_sectors, overlay.metadata_sectors
            )),
        ));
    }
    if overlay.kind != OverlayKind::None {
        facts.push((
            gettext("Overlay"),
            overlay_kind(overlay.kind, overlay.state),
        ));
        facts.extend(
            overlay
                .file
                .clone()
                .map(|file| (gettext("Overlay's file"), file)),
        );
    }
    facts.extend(overlay.not_here.as_ref().map(|not_here| {
        let (NotHere::Elsewhere(detail) | NotHere::Unclear(detail)) = not_here;
        (gettext("Overlay"), words::isolated(detail))
    }));
    facts.push((
        gettext("Compressed image"),
        words::isolated(&format!(
            "{} · {} · {}",
            image.file,
            size(image.bytes.0),
            image.compression
        )),
    ));
    facts.push((
        gettext("The stick's own file system"),
        fill(
            &gettext("{kind}, {free} free"),
            &[
                ("kind", &status.stick.file_system),
                ("free", &size(status.stick.free_bytes.0)),
            ],
        ),
    ));
    if let Some(home) = &status.home {
        let used = home.used_bytes.map(|used| size(used.0));
        let text = match used {
            Some(used) => fill(
                &gettext("{used} of {total}"),
                &[("used", &used), ("total", &size(home.bytes.0))],
            ),
            None => fill(
                &gettext("{total}, locked"),
                &[("total", &size(home.bytes.0))],
            ),
        };
        facts.push((gettext("A home of its own"), text));
    }
    facts
}

fn overlay_kind(kind: OverlayKind, state: OverlayState) -> String {
    let kind = match kind {
        OverlayKind::Snapshot => gettext("device-mapper snapshot"),
        OverlayKind::Overlayfs => gettext("OverlayFS folder"),
        OverlayKind::None => gettext("none"),
    };
    let state = match state {
        OverlayState::Empty => gettext("empty"),
        OverlayState::Active => gettext("in use"),
        OverlayState::NearlyFull => gettext("nearly full"),
        OverlayState::Full => gettext("full"),
        OverlayState::Invalid => gettext("invalid"),
    };
    format!("{kind} ({state})")
}
