//! A practice stick being made.

use super::turn;
use crate::trouble::{Problem, Trouble};
use adw::subclass::prelude::*;
use gtk::glib;

mod imp {
    use super::*;

    #[derive(Debug, Default, gtk::CompositeTemplate)]
    #[template(resource = "/org/sugarlabs/SugarCellar/ui/practice-page.ui")]
    pub struct PracticePage {
        #[template_child]
        pub views: TemplateChild<gtk::Stack>,
        #[template_child]
        pub bar: TemplateChild<gtk::ProgressBar>,
        #[template_child]
        pub trouble: TemplateChild<Trouble>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for PracticePage {
        const NAME: &'static str = "CellarPracticePage";
        type Type = super::PracticePage;
        type ParentType = adw::Bin;

        fn class_init(class: &mut Self::Class) {
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for PracticePage {
        fn constructed(&self) {
            self.parent_constructed();
            self.obj().making();
        }
    }
    impl WidgetImpl for PracticePage {}
    impl BinImpl for PracticePage {}
}

glib::wrapper! {
    /// The page that shows a practice stick being made.
    pub struct PracticePage(ObjectSubclass<imp::PracticePage>)
        @extends adw::Bin, gtk::Widget,
        @implements gtk::Accessible, gtk::Buildable, gtk::ConstraintTarget;
}

impl PracticePage {
    /// It begins.
    pub fn making(&self) {
        self.imp().bar.set_fraction(0.0);
        turn(&self.imp().views, "making");
    }

    /// How far it is, 0 to 1.
    pub fn progress(&self, part: f64) {
        self.imp().bar.set_fraction(part.clamp(0.0, 1.0));
    }

    /// It went wrong.
    pub fn problem(&self, problem: Problem) {
        self.imp().trouble.show(problem, "win.practice", true);
        turn(&self.imp().views, "trouble");
    }
}
