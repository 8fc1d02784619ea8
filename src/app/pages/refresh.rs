//! A refresh, step by step: the question, the work, and before and after.

use super::turn;
use crate::gauge::Gauge;
use crate::plan_words::Fact;
use crate::trouble::{Problem, Trouble};
use crate::words::{self, Level, fill, size};
use adw::prelude::*;
use adw::subclass::prelude::*;
use gettextrs::gettext;
use gtk::glib;
use std::cell::RefCell;
use sugar_cellar::protocol::{Pending, Stage, Status};

/// What the page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    Checking,
    Confirm,
    Running,
    Done,
    Trouble,
}

impl View {
    fn name(self) -> &'static str {
        match self {
            View::Checking => "checking",
            View::Confirm => "confirm",
            View::Running => "running",
            View::Done => "done",
            View::Trouble => "trouble",
        }
    }
}

mod imp {
    use super::*;

    #[derive(Debug, Default, gtk::CompositeTemplate)]
    #[template(resource = "/org/sugarlabs/SugarCellar/ui/refresh-page.ui")]
    pub struct RefreshPage {
        #[template_child]
        pub views: TemplateChild<gtk::Stack>,
        #[template_child]
        pub question: TemplateChild<gtk::Label>,
        #[template_child]
        pub facts: TemplateChild<gtk::ListBox>,
        #[template_child]
        pub copy: TemplateChild<adw::ActionRow>,
        #[template_child]
        pub copy_button: TemplateChild<adw::ActionRow>,
        #[template_child]
        pub copy_bar: TemplateChild<gtk::ProgressBar>,
        #[template_child]
        pub start: TemplateChild<gtk::Button>,
        #[template_child]
        pub running_title: TemplateChild<gtk::Label>,
        #[template_child]
        pub stages: TemplateChild<gtk::ListBox>,
        #[template_child]
        pub bar: TemplateChild<gtk::ProgressBar>,
        #[template_child]
        pub bytes: TemplateChild<gtk::Label>,
        #[template_child]
        pub left: TemplateChild<gtk::Label>,
        #[template_child]
        pub cancel: TemplateChild<gtk::Button>,
        #[template_child]
        pub done_title: TemplateChild<gtk::Label>,
        #[template_child]
        pub before: TemplateChild<Gauge>,
        #[template_child]
        pub after: TemplateChild<Gauge>,
        #[template_child]
        pub result: TemplateChild<gtk::Label>,
        #[template_child]
        pub pull: TemplateChild<gtk::Label>,
        #[template_child]
        pub gauges: TemplateChild<gtk::FlowBox>,
        #[template_child]
        pub restart: TemplateChild<gtk::Button>,
        #[template_child]
        pub finish: TemplateChild<gtk::Button>,
        #[template_child]
        pub trouble: TemplateChild<Trouble>,
        pub steps: RefCell<Vec<(Stage, adw::ActionRow, gtk::Image)>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for RefreshPage {
        const NAME: &'static str = "CellarRefreshPage";
        type Type = super::RefreshPage;
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

    impl ObjectImpl for RefreshPage {
        fn constructed(&self) {
            self.parent_constructed();
            self.obj().steps();
            self.obj().view(View::Checking);
        }
    }

    impl WidgetImpl for RefreshPage {}
    impl BinImpl for RefreshPage {}
}

glib::wrapper! {
    /// The page of a refresh.
    pub struct RefreshPage(ObjectSubclass<imp::RefreshPage>)
        @extends adw::Bin, gtk::Widget,
        @implements gtk::Accessible, gtk::Buildable, gtk::ConstraintTarget;
}

/// The steps that a person sees, in order.
const STEPS: [Stage; 5] = [
    Stage::Check,
    Stage::Build,
    Stage::Verify,
    Stage::Commit,
    Stage::Drop,
];

impl RefreshPage {
    fn steps(&self) {
        let imp = self.imp();
        for stage in STEPS {
            let sign = gtk::Image::from_icon_name("cellar-waiting-symbolic");
            let row = adw::ActionRow::builder()
                .title(words::stage(stage))
                .title_lines(0)
                .build();
            row.add_prefix(&sign);
            imp.stages.append(&row);
            imp.steps.borrow_mut().push((stage, row, sign));
        }
    }

    /// Goes to a view.
    pub fn view(&self, view: View) {
        turn(&self.imp().views, view.name());
    }

    /// Asks: what will happen to the stick `name`; `password` where one will be asked for.
    pub fn ask(&self, name: &str, facts: &[Fact], password: bool, can_copy: bool) {
        let imp = self.imp();
        imp.question
            .set_label(&fill(&gettext("Refresh “{name}”?"), &[("name", name)]));
        while let Some(row) = imp.facts.first_child() {
            imp.facts.remove(&row);
        }
        for fact in facts {
            imp.facts.append(&row(fact));
        }
        self.copy_ready(can_copy);
        imp.start.set_label(&if password {
            gettext("Refresh Now (Asks for a Password)")
        } else {
            gettext("Refresh Now")
        });
        self.view(View::Confirm);
        imp.start.grab_focus();
    }

    /// A copy may be made, or cannot.
    pub fn copy_ready(&self, can_copy: bool) {
        let imp = self.imp();
        imp.copy_button.set_visible(can_copy);
        imp.copy.set_subtitle(&if can_copy {
            gettext("Afterwards the stick cannot be made as it is now. Whoever may want that keeps a copy first.")
        } else {
            gettext("Afterwards the stick cannot be made as it is now.")
        });
        self.copying(None);
    }

    /// A copy is being made, 0 to 1; or not.
    pub fn copying(&self, part: Option<f64>) {
        let imp = self.imp();
        imp.copy_bar.set_visible(part.is_some());
        imp.copy_bar.set_fraction(part.unwrap_or(0.0));
        imp.start.set_sensitive(part.is_none());
        imp.copy_button.set_sensitive(part.is_none());
    }

    /// A copy was made, or was not; in a sentence.
    pub fn copied(&self, sentence: &str) {
        self.copying(None);
        self.imp()
            .copy
            .set_subtitle(&glib::markup_escape_text(sentence));
    }

    /// The work begins.
    pub fn running(&self, name: &str) {
        let imp = self.imp();
        imp.running_title
            .set_label(&fill(&gettext("Refreshing “{name}”"), &[("name", name)]));
        imp.bar.set_fraction(0.0);
        imp.bytes.set_label("");
        imp.left.set_label(&gettext("Starting…"));
        imp.left.set_visible(true);
        imp.cancel.set_sensitive(true);
        for (_, row, sign) in imp.steps.borrow().iter() {
            mark(row, sign, Mark::Waiting);
        }
        self.view(View::Running);
        imp.cancel.grab_focus();
    }

    /// How far the work is; `left` in seconds, where it is to be told.
    pub fn progress(&self, stage: Stage, done: u64, total: u64, left: Option<u64>) {
        let imp = self.imp();
        let place = |stage| STEPS.iter().position(|step| *step == stage);
        // The kernel's merge is a part of writing.
        let now = place(stage).or_else(|| place(Stage::Build));
        for (step, row, sign) in imp.steps.borrow().iter() {
            let mark_of = match place(*step).cmp(&now) {
                std::cmp::Ordering::Less => Mark::Done,
                std::cmp::Ordering::Equal => Mark::Now,
                std::cmp::Ordering::Greater => Mark::Waiting,
            };
            mark(row, sign, mark_of);
        }
        let part = if total == 0 {
            0.0
        } else {
            done as f64 / total as f64
        };
        imp.bar.set_fraction(part.clamp(0.0, 1.0));
        imp.bytes.set_label(&fill(
            &gettext("{done} of {total}"),
            &[("done", &size(done)), ("total", &size(total))],
        ));
        imp.left
            .set_label(&left.map(words::time_left).unwrap_or_default());
        imp.left.set_visible(left.is_some());
        // Past the exchange there is nothing to cancel: the rest is completed.
        imp.cancel
            .set_sensitive(!matches!(stage, Stage::Commit | Stage::Drop));
    }

    /// It was asked to end.
    pub fn cancelling(&self) {
        self.imp().cancel.set_sensitive(false);
        self.imp().left.set_label(&gettext("Ending it cleanly…"));
        self.imp().left.set_visible(true);
    }

    /// Nothing was heard for a while.
    pub fn silent(&self) {
        self.imp().left.set_label(&gettext(
            "Still waiting for the stick. Some sticks are slow; please leave it in.",
        ));
        self.imp().left.set_visible(true);
    }

    /// Before and after.
    pub fn done(&self, before: &Status, after: &Status, seconds: f64) {
        let imp = self.imp();
        let waits = after.pending == Some(Pending::Finish);
        imp.done_title.set_label(&if waits {
            gettext("Restart, and There Is Room Again")
        } else {
            gettext("Done. There Is Room Again!")
        });
        // Until then the overlay is as full as it was.
        imp.gauges.set_visible(!waits);
        imp.result.set_visible(!waits);
        imp.restart.set_visible(waits);
        if waits {
            imp.finish.remove_css_class("suggested-action");
        } else {
            imp.finish.add_css_class("suggested-action");
        }
        for (gauge, status, words) in [
            (&imp.before, before, gettext("Before: {percent} full")),
            (&imp.after, after, gettext("After: {percent} full")),
        ] {
            let percent = status.overlay.percent.unwrap_or_default();
            let sentence = words.replace("{percent}", &words::percent(percent));
            gauge.jump(percent, Level::of(&status.overlay), &sentence);
        }
        let time = words::duration(seconds.max(0.0) as u64);
        imp.result.set_label(&fill(
            &gettext("{before} were free, now {after} are. It took {time}."),
            &[
                ("before", &size(words::free_bytes(&before.overlay))),
                ("after", &size(words::free_bytes(&after.overlay))),
                ("time", &time),
            ],
        ));
        imp.pull
            .set_label(&gettext("Putting the last bytes in place…"));
        self.view(View::Done);
        if waits {
            imp.restart.grab_focus();
        } else {
            imp.finish.grab_focus();
        }
    }

    /// What to do with the stick now.
    pub fn pull(&self, sentence: &str) {
        self.imp().pull.set_label(sentence);
    }

    /// It went wrong, or was cancelled.
    pub fn problem(&self, problem: Problem) {
        self.imp().trouble.show(problem, "win.refresh-again", true);
        self.view(View::Trouble);
    }
}

fn row(fact: &Fact) -> adw::ActionRow {
    let row = adw::ActionRow::builder()
        .title(glib::markup_escape_text(&fact.title))
        .subtitle(glib::markup_escape_text(&fact.text))
        .title_lines(0)
        .subtitle_lines(0)
        .build();
    let sign = gtk::Image::from_icon_name(fact.icon);
    if fact.warning {
        sign.set_css_classes(&["sign", "filling"]);
    }
    row.add_prefix(&sign);
    row
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Waiting,
    Now,
    Done,
}

fn mark(row: &adw::ActionRow, sign: &gtk::Image, mark: Mark) {
    let (icon, class, told) = match mark {
        Mark::Waiting => (
            "cellar-waiting-symbolic",
            "stage-waiting",
            gettext("to come"),
        ),
        Mark::Now => ("cellar-refresh-symbolic", "stage-now", gettext("now")),
        Mark::Done => ("cellar-done-symbolic", "stage-done", gettext("done")),
    };
    sign.set_icon_name(Some(icon));
    row.set_css_classes(&[class]);
    row.update_property(&[gtk::accessible::Property::Description(&told)]);
}
