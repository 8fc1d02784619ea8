//! What went wrong, in a sentence; and the page that says it.

use crate::client::Ended;
use crate::dialogs;
use adw::prelude::*;
use adw::subclass::prelude::*;
use gettextrs::gettext;
use gtk::glib;
use std::cell::RefCell;
use sugar_cellar::error::ErrorKind;

/// Something that went wrong, for a person.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problem {
    pub title: String,
    pub text: String,
    /// For a report; empty where there is nothing more to say.
    pub details: String,
    pub kind: Option<ErrorKind>,
}

impl Problem {
    /// What the helper said of a failure.
    pub fn told(code: ErrorKind, message: &str, hint: &str) -> Problem {
        let title = match code {
            ErrorKind::Cancelled => gettext("Cancelled"),
            ErrorKind::NoSpace => gettext("Not Enough Room"),
            ErrorKind::Damaged => gettext("Something on the Stick Is Damaged"),
            ErrorKind::Busy => gettext("The Stick Is in Use"),
            ErrorKind::Denied => gettext("Not Allowed"),
            ErrorKind::NotFound => gettext("No Stick There"),
            ErrorKind::Unsupported => gettext("This Stick Is of Another Kind"),
            ErrorKind::Refused => gettext("Better Not"),
            ErrorKind::Missing => gettext("A Program Is Missing"),
            ErrorKind::Io => gettext("The Stick Does Not Answer Well"),
            ErrorKind::Interrupted => gettext("The Refresh Was Interrupted"),
        };
        Problem {
            title,
            text: format!("{message} {hint}").trim().to_owned(),
            details: format!("{code:?}: {message}\n{hint}"),
            kind: Some(code),
        }
    }

    /// A helper that ended without having said why.
    ///
    /// `pkexec` ends with 126 where the question was dismissed, with 127 where the answer was no or
    /// nobody could be asked (its manual page).
    pub fn ended(ended: &Ended) -> Problem {
        let (title, text) = match (&ended.not_started, ended.code) {
            (Some(_), _) if ended.asked => (
                gettext("Nobody to Ask"),
                gettext(
                    "This computer has no way to ask for the administrator's password. Start Sugar Cellar as administrator, or ask your teacher.",
                ),
            ),
            (Some(_), _) => (
                gettext("A Part Is Missing"),
                gettext("Sugar Cellar's helper could not be started. Install Sugar Cellar again."),
            ),
            (None, Some(126)) if ended.asked => (
                gettext("Not Allowed"),
                gettext(
                    "The question for the password was closed, so nothing was changed. Try again when somebody who knows it is there.",
                ),
            ),
            (None, Some(127)) if ended.asked => (
                gettext("Not Allowed"),
                gettext(
                    "The administrator's password is needed and was not given, so nothing was changed. Ask your teacher for help.",
                ),
            ),
            _ => (
                gettext("It Stopped All at Once"),
                gettext(
                    "Sugar Cellar's helper stopped without a word. Nothing is lost on the stick. Try again.",
                ),
            ),
        };
        let started = ended.not_started.clone().unwrap_or_default();
        let code = ended
            .code
            .map_or("a signal".to_owned(), |code| code.to_string());
        Problem {
            title,
            text,
            details: format!("exit status: {code}\n{started}\n{}", ended.complaints)
                .trim()
                .to_owned(),
            kind: None,
        }
    }

    /// A stick that only its owner can reach.
    pub fn unreachable() -> Problem {
        Problem {
            title: gettext("Not Allowed"),
            text: gettext(
                "These files belong to somebody else. Plug the stick itself in, or open a copy of your own.",
            ),
            ..Problem::default()
        }
    }
}

mod imp {
    use super::*;

    #[derive(Debug, Default, gtk::CompositeTemplate)]
    #[template(resource = "/org/sugarlabs/SugarCellar/ui/trouble.ui")]
    pub struct Trouble {
        #[template_child]
        pub page: TemplateChild<adw::StatusPage>,
        #[template_child]
        pub again: TemplateChild<gtk::Button>,
        #[template_child]
        pub back: TemplateChild<gtk::Button>,
        #[template_child]
        pub details: TemplateChild<gtk::Button>,
        pub problem: RefCell<Problem>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Trouble {
        const NAME: &'static str = "CellarTrouble";
        type Type = super::Trouble;
        type ParentType = adw::Bin;

        fn class_init(class: &mut Self::Class) {
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for Trouble {
        fn constructed(&self) {
            self.parent_constructed();
            let trouble = self.obj().downgrade();
            self.details.connect_clicked(move |_| {
                if let Some(trouble) = trouble.upgrade() {
                    dialogs::details(&trouble, &trouble.imp().problem.borrow());
                }
            });
        }
    }

    impl WidgetImpl for Trouble {}
    impl adw::subclass::prelude::BinImpl for Trouble {}
}

glib::wrapper! {
    /// The page that says what went wrong.
    pub struct Trouble(ObjectSubclass<imp::Trouble>)
        @extends adw::Bin, gtk::Widget,
        @implements gtk::Accessible, gtk::Buildable, gtk::ConstraintTarget;
}

impl Trouble {
    /// Says `problem`; "Try Again" does `action`; `back` where there is a page to go back to.
    pub fn show(&self, problem: Problem, action: &str, back: bool) {
        let imp = self.imp();
        let cancelled = problem.kind == Some(ErrorKind::Cancelled);
        // What was wished is no alarm.
        imp.page.set_icon_name(Some(if cancelled {
            "cellar-fine-symbolic"
        } else {
            "cellar-broken-symbolic"
        }));
        imp.page.set_title(&problem.title);
        imp.page
            .set_description(Some(&glib::markup_escape_text(&problem.text)));
        // Only a folder that the person names completes it.
        let interrupted = problem.kind == Some(ErrorKind::Interrupted);
        imp.again.set_label(&if interrupted {
            gettext("Choose the Folder…")
        } else {
            gettext("Try Again")
        });
        imp.again
            .set_action_name(Some(if interrupted { "win.complete" } else { action }));
        imp.back.set_visible(back);
        imp.details.set_visible(!problem.details.is_empty());
        imp.problem.replace(problem);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: i32, asked: bool) -> Ended {
        Ended {
            code: Some(code),
            asked,
            complaints: "Error executing command".into(),
            ..Ended::default()
        }
    }

    #[test]
    fn a_no_is_a_sentence() {
        assert!(Problem::ended(&ended(126, true)).text.contains("closed"));
        assert!(Problem::ended(&ended(127, true)).text.contains("password"));
        assert!(
            Problem::ended(&ended(126, false))
                .text
                .contains("without a word")
        );
    }

    #[test]
    fn what_was_complained_of_is_in_the_details_only() {
        let problem = Problem::ended(&ended(1, false));
        assert!(problem.details.contains("Error executing"));
        assert!(!problem.text.contains("Error executing"));
    }
}
