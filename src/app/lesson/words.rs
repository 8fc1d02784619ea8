//! What is asked and what is told.

use super::{Outcome, Result};
use crate::words::{fill, size};
use gettextrs::gettext;
use sugar_cellar::helper::steps;
use sugar_cellar::protocol::Step;

/// What happens in a step on a practice stick; `bytes` is how large it is.
pub fn question(step: Step, bytes: u64) -> String {
    let text = gettext("{step}. What will the overlay do?");
    fill(&text, &[("step", &steps::done(step, &size(bytes)))])
}

/// What the learner is to do on the stick that the computer was started from.
pub fn task(step: Step) -> String {
    match step {
        Step::Save => gettext(
            "Save something new and large: record a short video, or download a picture. What will the overlay do?",
        ),
        Step::Delete => gettext(
            "Delete what you just saved, from the trash or the Journal as well. What will the overlay do?",
        ),
        Step::SaveAgain => {
            gettext("Save another thing, about as large as the first. What will the overlay do?")
        }
        Step::Rename => gettext("Give it another name. What will the overlay do?"),
        Step::Letter => {
            gettext("Change one letter of a long text, and save it. What will the overlay do?")
        }
        Step::NewCopy => gettext(
            "Change a large picture a little in a drawing program, and save it. What will the overlay do?",
        ),
        Step::CopyFolder => {
            gettext("Copy a folder with some large files in it. What will the overlay do?")
        }
        Step::Nothing => gettext(
            "Do nothing for a minute: hands off, and look at the gauge. What will the overlay do?",
        ),
    }
}

/// One of the answers that are offered; without a size nobody knows how large it will be.
pub fn answer(outcome: Outcome, bytes: Option<u64>) -> String {
    match (outcome, bytes) {
        (Outcome::Rises, Some(bytes)) => fill(
            &gettext("It fills by about {size}"),
            &[("size", &size(bytes))],
        ),
        (Outcome::Rises, None) => gettext("It fills"),
        (Outcome::Stays, _) => gettext("It hardly changes"),
        (Outcome::Falls, _) => gettext("It empties a little"),
    }
}

/// What is to be seen.
pub fn look(result: &Result) -> String {
    let (was, is) = (super::bytes(result.before), super::bytes(result.after));
    let (was, is) = (size(was), size(is));
    let values = [("before", was.as_str()), ("after", is.as_str())];
    if result.after == result.before {
        return gettext("The overlay did not change at all.");
    }
    if result.after < result.before {
        let less = size(result.less());
        let text = gettext("The overlay went from {before} to {after}: {less} less.");
        return fill(&text, &[values[0], values[1], ("less", &less)]);
    }
    let more = size(result.more());
    let text = gettext("The overlay went from {before} to {after}: {more} more.");
    fill(&text, &[values[0], values[1], ("more", &more)])
}

/// Whether it was as expected.
pub fn verdict(expected: Outcome, result: &Result) -> String {
    if expected == result.outcome() {
        gettext("Just as you thought!")
    } else {
        gettext("A surprise! That is how one learns.")
    }
}

/// Why it is so.
pub fn why(step: Step) -> String {
    match step {
        Step::Save => gettext(
            "The image on the stick is never changed. What you save goes into the overlay, piece by piece, and each new piece takes a place there.",
        ),
        Step::Delete => gettext(
            "The overlay never lets go of a place. Deleting only notes that the file's places may be written again; what it held still lies there. A tidy or a refresh gives the room back.",
        ),
        Step::SaveAgain => gettext(
            "The system may write the new file into the places that the deleted one left: they are in the overlay already, and then it costs next to nothing. Or it goes on to fresh places, and it costs as much as the first. Nobody can count on it; a tidy or a refresh gives the room back for sure.",
        ),
        Step::Rename => {
            gettext("A name is a short note in a folder. The file itself stays where it is.")
        }
        Step::Letter => gettext(
            "A program that changes a file in its place writes only the piece with that letter, 4 kB. Many programs save a whole new file instead: see the next step.",
        ),
        Step::NewCopy => gettext(
            "Most programs save a whole new file and then remove the old one, so that nothing is lost if the power fails. For a moment there are two, and the second one needs places of its own. Save large files when you are done, not after every small change.",
        ),
        Step::CopyFolder => gettext(
            "A copy is new data: every file in it needs places again, fresh ones or those of deleted files. Moving a folder costs next to nothing, as a new name does.",
        ),
        Step::Nothing => gettext(
            "The system itself writes: logs, caches, and its journal of what it is about to change. It is little at a time, but it never stops. Shut the computer down when you are not using it.",
        ),
    }
}
