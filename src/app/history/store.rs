//! Where histories are kept: the user's data folder, by the overlay's name, which holds the
//! stick's label and UUID. Reading and writing is for a thread.

use super::record::Histories;
use std::io;
use std::path::{Path, PathBuf};
use sugar_cellar::protocol::Status;

/// A larger file than this is not one of ours.
pub const FILE_LIMIT: u64 = 4 << 20;

/// A stick's name in the history: its overlay's, or its label.
pub fn key(status: &Status) -> String {
    let overlay = status.overlay.file.as_deref();
    let name = overlay
        .and_then(|file| Path::new(file).file_name())
        .and_then(|name| name.to_str());
    match name {
        // dracut's overlays carry label and UUID; other names are only unique on one stick.
        Some(name) if name.starts_with("overlay-") => {
            format!("{name}@{}", status.image.inner_bytes.unwrap_or_default())
        }
        _ => format!(
            "{}@{}",
            status.stick.label.as_deref().unwrap_or_default(),
            status.stick.path
        ),
    }
}

/// Where it is kept.
pub fn file() -> PathBuf {
    gtk::glib::user_data_dir()
        .join("sugar-cellar")
        .join("history.json")
}

/// Reads it; a missing or damaged file is an empty one.
pub fn read(path: &Path) -> Histories {
    let small = std::fs::metadata(path).is_ok_and(|data| data.len() <= FILE_LIMIT);
    let bytes = if small {
        std::fs::read(path).unwrap_or_default()
    } else {
        Vec::new()
    };
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// Writes it, whole or not at all.
pub fn write(path: &Path, histories: &Histories) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer(&mut file, histories)?;
    file.as_file().sync_data()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{filled, overlay};
    use super::*;

    #[test]
    fn it_is_kept_and_a_damaged_file_is_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/history.json");
        let mut histories = Histories::default();
        histories.of("x").note(1_764_000_000, &overlay(5));
        write(&path, &histories).unwrap();
        assert_eq!(read(&path), histories);
        std::fs::write(&path, b"{").unwrap();
        assert_eq!(read(&path), Histories::default());
    }

    #[test]
    fn the_fullest_history_can_be_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.json");
        let histories = filled();
        write(&path, &histories).unwrap();
        assert_eq!(read(&path), histories);
    }
}
