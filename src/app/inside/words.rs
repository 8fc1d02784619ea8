//! What the parts of an overlay are called.

use super::tree::{Item, Tree, What};
use crate::words::{self, fill};
use gettextrs::{gettext, ngettext};
use sugar_cellar::helper::kinds;
use sugar_cellar::protocol::EntryKind;

/// A name, short enough for a title.
pub fn title(tree: &Tree, item: Item) -> String {
    let index = match item {
        Item::Part(index) => index,
        Item::Smaller { count, .. } => {
            let number = u32::try_from(count).unwrap_or(u32::MAX);
            let template = ngettext("{number} smaller one", "{number} smaller ones", number);
            return fill(&template, &[("number", &count.to_string())]);
        }
    };
    match tree.what(index) {
        What::All => gettext("Everything"),
        What::Folder => tree.name(index).to_owned(),
        What::File(EntryKind::Folder) => match tree.folder(index) {
            Some(folder) if !folder.is_empty() => folder,
            _ => "/".to_owned(),
        },
        What::File(_) => tree.name(index).to_owned(),
        What::Own => gettext("The folder itself"),
        What::Kind(kind) => kinds::name(kind),
        What::Deleted => gettext("Deleted, but still stored"),
        What::Records => gettext("The file system's records"),
        What::List => gettext("The overlay's own list"),
    }
}

/// Size and share, and what more there is to say.
pub fn subtitle(tree: &Tree, item: Item) -> String {
    let sectors = tree.size(item);
    let mut facts = vec![
        words::size(sectors.saturating_mul(512)),
        words::percent(tree.share(sectors)),
    ];
    if let Item::Part(index) = item {
        facts.extend(more(tree, index));
    }
    let facts: Vec<String> = facts.iter().map(|fact| words::isolated(fact)).collect();
    // Translators: between facts
    facts.join(&gettext(", "))
}

fn more(tree: &Tree, index: usize) -> Option<String> {
    match tree.what(index) {
        What::Deleted => Some(gettext("a refresh gives it back")),
        What::Records => Some(gettext("where everything lies")),
        What::List => Some(gettext("which places are in use")),
        What::File(EntryKind::Folder) => None,
        // By kind, it is to be told where it lies.
        What::File(kind) => tree.folder(index).or_else(|| Some(kinds::name(kind))),
        _ => None,
    }
}
