//! What may go, and which entries of the Journal are the largest.

use super::summed;
use crate::clutter;
use crate::error::{Error, Result};
use crate::ext4::FileSystem;
use crate::progress::Progress;
use crate::protocol::{ClutterSum, Entry, EntryKind, JournalEntry};

/// All that may go, by kind, the largest sum first.
pub fn clutter(entries: &[Entry]) -> Vec<ClutterSum> {
    let file = |entry: &Entry| entry.kind != EntryKind::Folder;
    let of = |entry: &Entry| clutter::of(&entry.path).filter(|_| file(entry));
    let sum = |(clutter, number, sectors)| ClutterSum {
        clutter,
        number,
        sectors,
    };
    summed(entries, of).into_iter().map(sum).collect()
}

/// The largest entries of Sugar's Journal, with their titles where `title` finds them.
pub fn journal(
    entries: &[Entry],
    mut title: impl FnMut(&str) -> Result<Option<String>>,
) -> Result<Vec<JournalEntry>> {
    let mut largest = summed(entries, |entry| journal_entry(&entry.path));
    largest.truncate(JournalEntry::MOST);
    let told = largest.into_iter().map(|(path, _, sectors)| {
        let title = match title(path) {
            // As all that is damaged in the file system, it is passed over.
            Err(Error::Damaged { .. }) => None,
            other => other?,
        };
        Ok(JournalEntry {
            path: path.to_owned(),
            title: title.filter(|title| !title.trim().is_empty()),
            sectors,
        })
    });
    told.collect()
}

/// The folder of the Journal's entry that a file or folder belongs to (sugar-datastore, layout version
/// 2: `datastore/xx/UUID`).
fn journal_entry(path: &str) -> Option<&str> {
    let store = "/.sugar/default/datastore/";
    let start = path.find(store)? + store.len();
    let mut parts = path[start..].splitn(3, '/');
    let (half, uid) = (parts.next()?, parts.next()?);
    let known = half.len() == 2 && uid.len() == 36 && uid.starts_with(half);
    known.then(|| &path[..start + half.len() + 1 + uid.len()])
}

/// The title of the entry in the folder `path`; none where there is none that can be read. One
/// block of it at the most.
pub fn title(fs: &FileSystem, path: &str, progress: &dyn Progress) -> Result<Option<String>> {
    let mut names: Vec<&str> = path.split('/').collect();
    names.extend(["metadata", "title"]);
    let Some(file) = fs.find(&names, progress)? else {
        return Ok(None);
    };
    let bytes = fs.beginning(&file)?;
    Ok(bytes.map(|bytes| super::names::readable(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Part;
    use crate::protocol::Clutter;
    use crate::units::Sectors;

    const UID: &str = "4f1c0000-0000-4000-8000-000000000000";

    fn entry(path: &str, sectors: u64) -> Entry {
        Entry {
            path: path.into(),
            kind: super::super::kind::of(path),
            sectors: Sectors(sectors),
            equal_sectors: Sectors(0),
        }
    }

    #[test]
    fn what_may_go_is_summed() {
        let entries = [
            entry("home/ana/.cache/a", 8),
            entry("home/bo/.cache/b", 16),
            entry("var/log/syslog.1", 40),
            entry("var/log/syslog", 80),
        ];
        let sums: Vec<_> = clutter(&entries)
            .iter()
            .map(|sum| (sum.clutter, sum.number, sum.sectors.0))
            .collect();
        assert_eq!(sums, [(Clutter::Logs, 1, 40), (Clutter::Caches, 2, 24)]);
    }

    #[test]
    fn an_entry_of_the_journal_is_all_its_files() {
        let folder = format!("home/ana/.sugar/default/datastore/4f/{UID}");
        let entries = [
            entry(&format!("{folder}/data"), 80),
            entry(&format!("{folder}/metadata/title"), 8),
            entry("home/ana/.sugar/default/datastore/index/x", 800),
            entry("home/ana/.sugar/default/datastore/4f", 8),
        ];
        let found = journal(&entries, |path| Ok(Some(path.len().to_string()))).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].path.as_str(), found[0].sectors.0), (&*folder, 88));
        assert_eq!(found[0].title, Some(folder.len().to_string()));
        // Whose title is damaged is an entry all the same.
        let damaged = |_: &str| Err(Error::damaged(Part::Ext4, "a folder"));
        assert_eq!(journal(&entries, damaged).unwrap()[0].title, None);
        assert!(journal(&entries, |_| Err(Error::Cancelled)).is_err());
    }
}
