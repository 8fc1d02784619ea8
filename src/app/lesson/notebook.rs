//! The notebook of one lesson, as a page to show in class.

use super::{Outcome, Result, words};
use gettextrs::gettext;
use gtk::glib::markup_escape_text;
use sugar_cellar::helper::steps;

/// One step: what was expected, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub expected: Outcome,
    pub result: Result,
}

impl Entry {
    /// What was done, what was expected, what came of it, whether that was expected, and why.
    pub fn cells(&self) -> [String; 5] {
        let result = &self.result;
        let size = crate::words::size(result.bytes);
        let known = (result.bytes > 0).then_some(result.bytes);
        let done = match known {
            Some(_) => steps::done(result.step, &size),
            None => words::task(result.step),
        };
        [
            done,
            words::answer(self.expected, known),
            words::look(result),
            words::verdict(self.expected, result),
            words::why(result.step),
        ]
    }
}

fn heads() -> [String; 5] {
    [
        gettext("What was done"),
        gettext("What I expected"),
        gettext("What happened"),
        gettext("As expected?"),
        gettext("Why?"),
    ]
}

/// A page to print and to show; `about` says on which stick, and when.
pub fn page(title: &str, about: &str, entries: &[Entry]) -> String {
    let row = |tag: &str, cells: [String; 5]| {
        let cells = cells.map(|cell| format!("<{tag}>{}</{tag}>", markup_escape_text(&cell)));
        format!("<tr>{}</tr>\n", cells.concat())
    };
    let rows: String = entries
        .iter()
        .map(|entry| row("td", entry.cells()))
        .collect();
    crate::receipt::document(
        title,
        &format!(
            "<p>{}</p>\n<table>\n{}{rows}</table>",
            markup_escape_text(about),
            row("th", heads())
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use sugar_cellar::protocol::Step;
    use sugar_cellar::units::Sectors;

    #[test]
    fn a_page_tells_what_was_expected_and_what_happened() {
        let result = Result {
            step: Step::Delete,
            bytes: 4_000_000,
            before: Sectors(8_000),
            after: Sectors(8_000),
            total: Sectors(20_000),
        };
        let expected = Outcome::Falls;
        let page = page("My <notes>", "Practice", &[Entry { expected, result }]);
        assert!(page.contains("<h1>My &lt;notes&gt;</h1>"), "{page}");
        for text in [
            "The picture is deleted",
            "It empties a little",
            "The overlay did not change at all.",
            "A surprise!",
            "never lets go of a place",
        ] {
            assert!(page.contains(text), "{text}: {page}");
        }
        assert_eq!(page.matches("<tr>").count(), 2);
    }
}
