//! When a stick will be full, from what it held on earlier days; and which warnings were given.
//!
//! The figures are kept in the user's data folder, by the overlay's name, which holds the
//! stick's label and UUID. Reading and writing is for a thread; what follows from them is pure.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use sugar_cellar::protocol::Overlay;

/// Days that are kept of a stick.
const DAYS: usize = 60;
/// Sticks that are kept: a school's, and more.
const STICKS: usize = 500;
/// A larger file than this is not one of ours.
const FILE_LIMIT: u64 = 4 << 20;

/// What is known of every stick.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Histories(BTreeMap<String, History>);

/// What is known of one stick.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// The last used sectors of each day it was seen, by the day's number since 1970.
    days: BTreeMap<u32, u64>,
    /// The highest level (70, 90) that was notified since the last refresh.
    warned: u8,
    /// When it was refreshed last, in seconds since 1970.
    pub refreshed: Option<i64>,
}

impl Histories {
    /// A stick's, made where there is none.
    pub fn of(&mut self, key: &str) -> &mut History {
        if !self.0.contains_key(key) && self.0.len() >= STICKS {
            self.forget_oldest();
        }
        self.0.entry(key.to_owned()).or_default()
    }

    /// A stick's, where there is one.
    pub fn get(&self, key: &str) -> Option<&History> {
        self.0.get(key)
    }

    fn forget_oldest(&mut self) {
        let last = |history: &History| history.days.keys().next_back().copied();
        let oldest = self.0.iter().min_by_key(|(_, history)| last(history));
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            self.0.remove(&key);
        }
    }
}

impl History {
    /// Notes what it holds on `day`. A stick that holds less than before starts anew: it was
    /// refreshed or reset. Tells whether anything is new.
    pub fn note(&mut self, day: u32, overlay: &Overlay) -> bool {
        let used = overlay.used_sectors.0;
        let before = self.days.values().next_back().copied();
        if before == Some(used) && self.days.contains_key(&day) {
            return false;
        }
        if before.is_some_and(|before| used < before) {
            self.days.clear();
        }
        self.days.insert(day, used);
        while self.days.len() > DAYS {
            self.days.pop_first();
        }
        true
    }

    /// The level that was just crossed and not yet told: 70 or 90.
    pub fn crossed(&mut self, percent: f64) -> Option<u8> {
        let level = match percent {
            p if p >= crate::words::NEARLY_FULL => 90,
            p if p >= crate::words::FILLING => 70,
            _ => 0,
        };
        let news = (level > self.warned).then_some(level);
        self.warned = level;
        news
    }

    /// In how many days of use it will be full; none while too little is known.
    pub fn days_left(&self, overlay: &Overlay) -> Option<u32> {
        /// A day is no trend, nor are two.
        const ENOUGH: usize = 3;
        /// Nobody plans beyond a school year.
        const HORIZON: u64 = 200;
        if self.days.len() < ENOUGH {
            return None;
        }
        let first = *self.days.values().next()?;
        let last = *self.days.values().next_back()?;
        let grown = last.checked_sub(first).filter(|grown| *grown > 0)?;
        let left = overlay.total_sectors.saturating_sub(overlay.used_sectors).0;
        let steps = (self.days.len() - 1) as u64;
        let days = u128::from(left) * u128::from(steps) / u128::from(grown);
        u64::try_from(days)
            .ok()
            .filter(|days| *days <= HORIZON)
            .and_then(|days| u32::try_from(days).ok())
    }
}

/// A stick's name in the history: its overlay's, or its label.
pub fn key(status: &sugar_cellar::protocol::Status) -> String {
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

/// The number of the day since 1970 that `now`, in seconds, lies in.
pub fn day(now: i64) -> u32 {
    u32::try_from(now.div_euclid(86_400)).unwrap_or(0)
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
    use super::*;
    use sugar_cellar::protocol::{OverlayKind, OverlayState};
    use sugar_cellar::units::Sectors;

    fn overlay(used: u64) -> Overlay {
        Overlay {
            kind: OverlayKind::Snapshot,
            file: None,
            state: OverlayState::Active,
            used_sectors: Sectors(used),
            total_sectors: Sectors(1000),
            metadata_sectors: Sectors(16),
            chunk_sectors: Sectors(8),
            percent: used as f64 / 10.0,
        }
    }

    fn after(days: &[(u32, u64)]) -> History {
        let mut history = History::default();
        for (day, used) in days {
            history.note(*day, &overlay(*used));
        }
        history
    }

    #[test]
    fn two_days_are_no_trend_and_three_are() {
        assert_eq!(after(&[(1, 100), (2, 200)]).days_left(&overlay(200)), None);
        assert_eq!(
            after(&[(1, 100), (2, 200), (9, 300)]).days_left(&overlay(300)),
            Some(7)
        );
    }

    #[test]
    fn days_without_use_do_not_count() {
        assert_eq!(
            after(&[(1, 100), (8, 200), (30, 300)]).days_left(&overlay(300)),
            Some(7)
        );
    }

    #[test]
    fn a_stick_that_does_not_grow_has_no_forecast() {
        assert_eq!(
            after(&[(1, 100), (2, 100), (3, 100)]).days_left(&overlay(100)),
            None
        );
    }

    #[test]
    fn a_refresh_starts_anew() {
        let history = after(&[(1, 100), (2, 200), (3, 300), (4, 16)]);
        assert_eq!(history, after(&[(4, 16)]));
    }

    #[test]
    fn each_level_is_told_once_until_a_refresh() {
        let mut history = History::default();
        let told: Vec<_> = [10.0, 71.0, 75.0, 91.0, 95.0, 2.0, 95.0]
            .map(|p| history.crossed(p))
            .to_vec();
        assert_eq!(told, [None, Some(70), None, Some(90), None, None, Some(90)]);
    }

    #[test]
    fn the_same_figure_twice_is_no_news() {
        let mut history = after(&[(1, 100)]);
        assert!(!history.note(1, &overlay(100)));
        assert!(history.note(2, &overlay(100)));
    }

    #[test]
    fn it_is_kept_and_a_damaged_file_is_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/history.json");
        let mut histories = Histories::default();
        histories.of("x").note(3, &overlay(5));
        write(&path, &histories).unwrap();
        assert_eq!(read(&path), histories);
        std::fs::write(&path, b"{").unwrap();
        assert_eq!(read(&path), Histories::default());
    }

    #[test]
    fn the_oldest_stick_makes_room() {
        let mut histories = Histories::default();
        for number in 0..STICKS + 1 {
            histories
                .of(&number.to_string())
                .note(number as u32, &overlay(1));
        }
        assert_eq!(histories.0.len(), STICKS);
        assert!(histories.get("0").is_none());
    }
}
