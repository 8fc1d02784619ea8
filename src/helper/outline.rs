//! What an overlay's space is spent on, as an outline of folders for the terminal.

use super::figures::{fill, percent, sectors, shown, size};
use super::kinds;
use crate::protocol::{Entry, EntryKind, Explanation};
use crate::units::{Bytes, Sectors};
use gettextrs::{gettext, ngettext};
use std::collections::BTreeMap;

/// Folders and files that own at least `from` percent of what is used; then all by kind.
pub fn explanation(explanation: &Explanation, from: f64) -> String {
    let used = explanation.used_sectors;
    let mut lines = vec![headline(explanation), String::new()];
    let mut rows = vec![Row {
        depth: 0,
        name: gettext("Everything"),
        sectors: used,
    }];
    rows.extend(tree(&explanation.entries).rows(used, from));
    rows.extend(rest(explanation));
    rows.retain(|row| row.sectors.0 > 0);
    lines.extend(table(&rows, used));
    lines.push(String::new());
    lines.push(gettext("By kind:"));
    let kinds: Vec<Row> = explanation
        .kinds
        .iter()
        .map(|one| {
            let number = u32::try_from(one.number).unwrap_or(u32::MAX);
            let template = ngettext("{kind} ({number} file)", "{kind} ({number} files)", number);
            let values = [
                ("kind", &*kinds::name(one.kind)),
                ("number", &*one.number.to_string()),
            ];
            Row {
                depth: 0,
                name: match one.kind {
                    EntryKind::Folder => kinds::name(one.kind),
                    _ => fill(&template, &values),
                },
                sectors: one.sectors,
            }
        })
        .collect();
    lines.extend(table(&kinds, used));
    lines.extend(hints(explanation));
    lines.join("\n")
}

fn headline(explanation: &Explanation) -> String {
    let total = explanation.total_sectors.0.max(1);
    let share = 100.0 * explanation.used_sectors.0 as f64 / total as f64;
    let values = [
        ("percent", &*percent(share.floor())),
        ("used", &*sectors(explanation.used_sectors)),
        ("total", &*sectors(explanation.total_sectors)),
    ];
    fill(
        &gettext("The overlay is {percent} full: {used} of {total}."),
        &values,
    )
}

/// What is in use and is no file.
fn rest(explanation: &Explanation) -> Vec<Row> {
    let sums = &explanation.sums;
    [
        (gettext("(deleted, but still stored)"), sums.deleted_sectors),
        (gettext("(the file system's records)"), sums.record_sectors),
        (gettext("(the file system's journal)"), sums.journal_sectors),
        (gettext("(the overlay's own list)"), sums.list_sectors),
        (gettext("(unused places between)"), sums.unused_sectors),
    ]
    .into_iter()
    .map(|(name, sectors)| Row {
        depth: 1,
        name,
        sectors,
    })
    .collect()
}

/// What one can do about it.
fn hints(explanation: &Explanation) -> Vec<String> {
    let equal = explanation.equal_sectors.unwrap_or_default();
    let deleted = explanation.sums.deleted_sectors;
    let mut lines = Vec::new();
    if deleted.0 > 0 {
        let template = gettext(
            "What was deleted comes back with “tidy” once the system was shut down properly: {size}.",
        );
        lines.push(fill(&template, &[("size", &*sectors(deleted))]));
    }
    if equal.0 > 0 {
        let template =
            gettext("What equals the image already comes back with “tidy” as well: {size}.");
        lines.push(fill(&template, &[("size", &*sectors(equal))]));
    }
    if explanation.unclear > 0 {
        lines.push(gettext(
            "Some of the file system could not be made out: “check” tells more.",
        ));
    }
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines
}

/// A line of the outline.
struct Row {
    depth: usize,
    name: String,
    sectors: Sectors,
}

fn table(rows: &[Row], used: Sectors) -> Vec<String> {
    let sizes: Vec<String> = rows.iter().map(|row| sectors(row.sectors)).collect();
    let width = sizes.iter().map(|size| size.chars().count()).max();
    let width = width.unwrap_or(0).max(size(Bytes(0)).chars().count());
    let line = |(row, size): (&Row, &String)| {
        let share = 100.0 * row.sectors.0 as f64 / used.0.max(1) as f64;
        let indent = "  ".repeat(row.depth);
        format!(
            "{size:>width$}  {:>5}  {indent}{}",
            percent(share),
            row.name
        )
    };
    rows.iter().zip(&sizes).map(line).collect()
}

/// A folder, with all that is below it.
#[derive(Default)]
struct Node<'e> {
    sectors: Sectors,
    below: BTreeMap<&'e str, Node<'e>>,
}

fn tree(entries: &[Entry]) -> Node<'_> {
    let mut root = Node::default();
    for entry in entries {
        root.sectors += entry.sectors;
        let mut at = &mut root;
        for part in entry.path.split('/').filter(|part| !part.is_empty()) {
            at = at.below.entry(part).or_default();
            at.sectors += entry.sectors;
        }
    }
    root
}

impl Node<'_> {
    /// All rows below it, the largest first, that own at least `from` percent of `used`.
    fn rows(&self, used: Sectors, from: f64) -> Vec<Row> {
        let mut rows = Vec::new();
        // Not by recursion: how deep folders go is the stick's choice.
        let mut open = vec![self.sorted()];
        while let Some(level) = open.last_mut() {
            let Some((name, node)) = level.pop() else {
                open.pop();
                continue;
            };
            if 100.0 * node.sectors.0 as f64 / (used.0.max(1) as f64) < from {
                continue;
            }
            // A folder in which all lies in one other is told together with that.
            let (mut name, mut node) = (name.to_owned(), node);
            while let Some((inner, below)) = node.only() {
                name = format!("{name}/{inner}");
                node = below;
            }
            if !node.below.is_empty() {
                name.push('/');
            }
            rows.push(Row {
                depth: open.len(),
                name: shown(&name),
                sectors: node.sectors,
            });
            open.push(node.sorted());
        }
        rows
    }

    /// The one that is in it, where that has all of it.
    fn only(&self) -> Option<(&str, &Self)> {
        let (name, node) = self.below.first_key_value()?;
        (self.below.len() == 1 && node.sectors == self.sectors).then_some((name, node))
    }

    /// What is directly below it, the largest last.
    fn sorted(&self) -> Vec<(&str, &Node<'_>)> {
        let mut below: Vec<_> = self
            .below
            .iter()
            .map(|(name, node)| (*name, node))
            .collect();
        below.sort_by(|a, b| a.1.sectors.cmp(&b.1.sectors).then(b.0.cmp(a.0)));
        below
    }
}
