//! What became of a table of sticks, to print and to count: a page and a list. No GTK here.

use csv::Writer;
use gettextrs::gettext;
use gtk::glib::markup_escape_text;

/// One stick's line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What it is called, and what tells it from another of the same name.
    pub name: String,
    pub about: String,
    /// When it was done, as people write it.
    pub when: String,
    /// In percent, and in seconds.
    pub done: Option<(f64, f64, f64)>,
    /// In words.
    pub outcome: String,
    /// The new image's SHA-256, as `sha256sum` writes it.
    pub sum: Option<String>,
}

impl Line {
    fn cells(&self) -> [String; 8] {
        let number =
            |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.1}"));
        [
            self.name.clone(),
            self.about.clone(),
            self.when.clone(),
            number(self.done.map(|done| done.0)),
            number(self.done.map(|done| done.1)),
            number(self.done.map(|done| done.2)),
            self.outcome.clone(),
            self.sum.clone().unwrap_or_default(),
        ]
    }
}

fn heads() -> [String; 8] {
    [
        gettext("Stick"),
        gettext("Which one"),
        gettext("When"),
        gettext("Full before, %"),
        gettext("Full after, %"),
        gettext("Seconds"),
        gettext("Outcome"),
        // Translators: a column of a table; SHA-256 is the name of a checksum.
        gettext("SHA-256 of the image"),
    ]
}

/// For a spreadsheet (RFC 4180).
pub fn csv(lines: &[Line]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = Writer::from_writer(Vec::new());
    writer.write_record(heads())?;
    for line in lines {
        writer.write_record(line.cells().map(|cell| harmless(&cell)))?;
    }
    writer
        .into_inner()
        .map_err(|error| error.into_error().into())
}

/// A stick's name is no formula.
fn harmless(cell: &str) -> String {
    match cell.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{cell}"),
        _ => cell.to_owned(),
    }
}

/// A page to print.
pub fn page(title: &str, lines: &[Line]) -> String {
    let row = |tag: &str, cells: [String; 8]| {
        let cells = cells.map(|cell| format!("<{tag}>{}</{tag}>", markup_escape_text(&cell)));
        format!("<tr>{}</tr>\n", cells.concat())
    };
    let rows: String = lines.iter().map(|line| row("td", line.cells())).collect();
    document(
        title,
        &format!("<table>\n{}{rows}</table>", row("th", heads())),
    )
}

/// A whole page with this heading and, below it, what is HTML already.
pub fn document(title: &str, body: &str) -> String {
    let title = markup_escape_text(title);
    let style = "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}\
        th,td{border:1px solid #999;padding:.4em .8em;text-align:start}\
        td:last-child{font-family:monospace;font-size:smaller;min-width:16ch;overflow-wrap:anywhere}\
        @page{size:landscape}";
    format!(
        "<!DOCTYPE html>\n<html dir=\"auto\"><head><meta charset=\"utf-8\"><title>{title}</title>\
        <style>{style}</style></head>\n<body><h1>{title}</h1>\n{body}</body></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Vec<Line> {
        let line = |name: &str, done, outcome: &str| Line {
            name: name.into(),
            about: "/dev/sdb1, 8 GB".into(),
            when: "today".into(),
            done,
            outcome: outcome.into(),
            sum: done.map(|_| "e3b0c442".to_owned()),
        };
        vec![
            line("=SUM(A1)", Some((45.25, 0.01, 28.0)), "refreshed"),
            line("<b>\"Ana\"", None, "It is damaged."),
        ]
    }

    #[test]
    fn a_list_is_for_spreadsheets_and_no_formula() {
        let text = String::from_utf8(csv(&lines()).unwrap()).unwrap();
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows.len(), 3);
        assert_eq!(
            rows[1],
            "'=SUM(A1),\"/dev/sdb1, 8 GB\",today,45.2,0.0,28.0,refreshed,e3b0c442"
        );
        assert!(rows[2].starts_with("\"<b>\"\"Ana\"\"\","), "{text}");
        assert!(rows[2].ends_with(",,,,It is damaged.,"), "{text}");
    }

    #[test]
    fn a_page_holds_names_as_text() {
        let page = page("Sticks & more", &lines());
        assert!(page.contains("<h1>Sticks &amp; more</h1>"));
        assert!(page.contains("<td>&lt;b&gt;&quot;Ana&quot;</td>"), "{page}");
        assert_eq!(page.matches("<tr>").count(), 3);
    }
}
