//! One step of the lesson after another, and the notebook behind the last one.

use super::turn;
use crate::gauge::Gauge;
use crate::lesson::{self, Entry, Outcome};
use crate::trouble::{Problem, Trouble};
use crate::words::{Level, fill};
use adw::prelude::*;
use adw::subclass::prelude::*;
use gettextrs::gettext;
use gtk::glib;
use std::cell::{Cell, RefCell};

mod imp {
    use super::*;

    #[derive(Debug, Default, gtk::CompositeTemplate)]
    #[template(resource = "/org/sugarlabs/SugarCellar/ui/lesson-page.ui")]
    pub struct LessonPage {
        #[template_child]
        pub views: TemplateChild<gtk::Stack>,
        #[template_child]
        pub scrolled: TemplateChild<gtk::ScrolledWindow>,
        #[template_child]
        pub place: TemplateChild<gtk::Label>,
        #[template_child]
        pub question: TemplateChild<gtk::Label>,
        #[template_child]
        pub gauge: TemplateChild<Gauge>,
        #[template_child]
        pub answers: TemplateChild<gtk::Box>,
        #[template_child]
        pub act: TemplateChild<gtk::Button>,
        #[template_child]
        pub waiting: TemplateChild<gtk::Label>,
        #[template_child]
        pub result: TemplateChild<gtk::Box>,
        #[template_child]
        pub look: TemplateChild<gtk::Label>,
        #[template_child]
        pub verdict: TemplateChild<gtk::Label>,
        #[template_child]
        pub why: TemplateChild<gtk::Label>,
        #[template_child]
        pub next: TemplateChild<gtk::Button>,
        #[template_child]
        pub model: TemplateChild<gtk::Label>,
        #[template_child]
        pub sum: TemplateChild<gtk::Label>,
        #[template_child]
        pub entries: TemplateChild<gtk::ListBox>,
        #[template_child]
        pub trouble: TemplateChild<Trouble>,
        pub buttons: RefCell<Vec<gtk::CheckButton>>,
        pub chosen: Cell<Option<Outcome>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for LessonPage {
        const NAME: &'static str = "CellarLessonPage";
        type Type = super::LessonPage;
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

    impl ObjectImpl for LessonPage {}
    impl WidgetImpl for LessonPage {}
    impl BinImpl for LessonPage {}
}

glib::wrapper! {
    /// The page of the experiments.
    pub struct LessonPage(ObjectSubclass<imp::LessonPage>)
        @extends adw::Bin, gtk::Widget,
        @implements gtk::Accessible, gtk::Buildable, gtk::ConstraintTarget;
}

/// A step, as it is asked about.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Which one it is, and of how many.
    pub place: (usize, usize),
    pub question: String,
    /// How large it is what it is about; none where the learner does it, on the stick in use.
    pub bytes: Option<u64>,
    /// How full the overlay is, in percent.
    pub percent: f64,
}

impl LessonPage {
    /// The next step is not known yet.
    pub fn preparing(&self) {
        turn(&self.imp().views, "preparing");
    }

    /// Whether the next step is waited for.
    pub fn is_preparing(&self) -> bool {
        self.imp().views.visible_child_name().as_deref() == Some("preparing")
    }

    /// Asks what the next step will do.
    pub fn ask(&self, asked: &Asked) {
        let imp = self.imp();
        let live = asked.bytes.is_none();
        let (at, of) = asked.place;
        let text = gettext("Step {number} of {count}");
        let (at, of) = (at.to_string(), of.to_string());
        imp.place
            .set_label(&fill(&text, &[("number", &at), ("count", &of)]));
        imp.question.set_label(&asked.question);
        imp.gauge
            .jump(asked.percent, Level::of_percent(asked.percent), "");
        self.offer(asked.bytes);
        imp.act.set_label(&if live {
            gettext("I Have Done It")
        } else {
            gettext("Try It")
        });
        imp.act.set_visible(true);
        imp.waiting.set_visible(false);
        imp.result.set_visible(false);
        imp.model.set_label(&if live {
            gettext("The gauge shows your own stick. What other programs write meanwhile is in it, too.")
        } else {
            gettext("This is a model on the practice stick, which itself stays as it is. A real system writes a little more: its journal.")
        });
        imp.scrolled.vadjustment().set_value(0.0);
        turn(&imp.views, "step");
        if let Some(first) = imp.buttons.borrow().first() {
            first.grab_focus();
        }
    }

    fn offer(&self, bytes: Option<u64>) {
        let imp = self.imp();
        imp.chosen.set(None);
        for button in imp.buttons.take() {
            imp.answers.remove(&button);
        }
        let mut buttons: Vec<gtk::CheckButton> = Vec::new();
        for outcome in Outcome::ALL {
            let title = lesson::answer(outcome, bytes);
            let label = gtk::Label::builder()
                .label(&title)
                .wrap(true)
                .xalign(0.0)
                .build();
            let button = gtk::CheckButton::new();
            button.set_child(Some(&label));
            button.update_property(&[gtk::accessible::Property::Label(&title)]);
            button.set_group(buttons.first());
            let page = self.downgrade();
            button.connect_toggled(move |button| {
                if let Some(page) = page.upgrade().filter(|_| button.is_active()) {
                    page.imp().chosen.set(Some(outcome));
                    let _ = page.activate_action("win.lesson-chosen", None);
                }
            });
            imp.answers.append(&button);
            buttons.push(button);
        }
        imp.answers.set_sensitive(true);
        imp.answers.set_visible(true);
        imp.buttons.replace(buttons);
    }

    /// What the learner expects; none while nothing is chosen.
    pub fn chosen(&self) -> Option<Outcome> {
        self.imp().chosen.get()
    }

    /// It is being done, and no longer to be guessed.
    pub fn wait(&self, text: &str) {
        let imp = self.imp();
        imp.answers.set_sensitive(false);
        imp.act.set_visible(false);
        imp.waiting.set_label(text);
        imp.waiting.set_visible(true);
    }

    /// The gauge of the stick that is used, while the learner does it.
    pub fn follow(&self, percent: f64) {
        self.imp()
            .gauge
            .show(percent, Level::of_percent(percent), "");
    }

    /// What came of it.
    pub fn tell(&self, entry: &Entry, last: bool) {
        let imp = self.imp();
        let look = lesson::look(&entry.result);
        let percent = entry.result.percent().1;
        imp.gauge.show(percent, Level::of_percent(percent), &look);
        imp.waiting.set_visible(false);
        imp.act.set_visible(false);
        imp.answers.set_visible(false);
        imp.look.set_label(&look);
        let [_, expected, _, verdict, _] = entry.cells();
        let text = gettext("You thought: {answer}. {verdict}");
        let values = [("answer", &*expected), ("verdict", &*verdict)];
        imp.verdict.set_label(&fill(&text, &values));
        imp.why.set_label(&lesson::why(entry.result.step));
        imp.next.set_label(&if last {
            gettext("Show My Notebook")
        } else {
            gettext("Next Step")
        });
        imp.result.set_visible(true);
        imp.next.grab_focus();
    }

    /// All that was found out.
    pub fn notebook(&self, entries: &[Entry]) {
        let imp = self.imp();
        let right = entries
            .iter()
            .filter(|entry| entry.expected == entry.result.outcome());
        let values = [
            ("right", &*right.count().to_string()),
            ("count", &*entries.len().to_string()),
        ];
        imp.sum.set_label(&fill(
            &gettext("{right} of {count} as you expected. The others taught you something."),
            &values,
        ));
        while let Some(row) = imp.entries.first_child() {
            imp.entries.remove(&row);
        }
        for entry in entries {
            let [done, expected, look, ..] = entry.cells();
            let text = gettext("You thought: {answer}. {look}");
            let text = fill(&text, &[("answer", &expected), ("look", &look)]);
            let row = adw::ActionRow::builder()
                .title(glib::markup_escape_text(&done))
                .subtitle(glib::markup_escape_text(&text))
                .title_lines(0)
                .subtitle_lines(0)
                .build();
            imp.entries.append(&row);
        }
        turn(&imp.views, "notebook");
    }

    /// It cannot be tried.
    pub fn problem(&self, problem: Problem) {
        self.imp().trouble.show(problem, "win.lesson", true);
        turn(&self.imp().views, "trouble");
    }
}
