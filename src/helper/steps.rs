//! What the steps of an experiment are called.

use super::figures::fill;
use crate::protocol::Step;
use gettextrs::gettext;

/// What is done; `size` is how large what it is about is.
pub fn done(step: Step, size: &str) -> String {
    let text = match step {
        Step::Save => gettext("A new picture of {size} is saved"),
        Step::Delete => gettext("The picture is deleted"),
        Step::SaveAgain => gettext("Another picture of {size} is saved"),
        Step::Rename => gettext("The picture gets another name"),
        Step::Letter => gettext("One letter is changed inside a text of {size}"),
        Step::NewCopy => gettext("The picture is changed, and saved as a new copy of {size}"),
        Step::CopyFolder => gettext("A folder with documents of {size} is copied"),
        Step::Nothing => gettext("Nothing is done for a minute"),
    };
    fill(&text, &[("size", size)])
}
