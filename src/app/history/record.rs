//! What each stick held, and which warnings were given.
//!
//! Of the last day a point every quarter of an hour; of a term the last of each day, and the one
//! before a refresh. A refresh throws nothing away: it leaves a mark.

use super::forecast::{Forecast, forecast};
use super::pace::Growth;
use gtk::glib;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use sugar_cellar::protocol::{Overlay, OverlayKind};

/// Sticks that are kept: a school's, and more.
const STICKS: usize = 500;
/// Points that are kept of a stick: 200 days, and the quarters of an hour of one.
const POINTS: usize = 300;
/// Marks that are kept of a stick.
const MARKS: usize = 60;

const QUARTER: Wall = 15 * 60;
/// A day, in seconds.
pub const DAY: Wall = 86_400;
/// So long the quarters of an hour are kept.
const FINE: Wall = DAY;
/// Earlier, nobody had this program: a computer's clock that stands there was never set.
const NEVER_SET: Wall = 1_704_067_200;
/// Later, no calendar goes.
const LATEST: Wall = 253_402_300_799;

/// A time as the clock on the wall shows it, in seconds since 1970: days are people's days, and
/// what was seen in one time zone stays where it was in another.
pub type Wall = i64;

/// The time on the wall now.
pub fn wall() -> Wall {
    glib::DateTime::now_local().map_or(0, |now| now.to_unix() + now.utc_offset().as_seconds())
}

/// The number of the day since 1970 that a time lies in.
pub fn day(at: Wall) -> u32 {
    u32::try_from(at.div_euclid(DAY)).unwrap_or(0)
}

/// What is known of every stick.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Histories(BTreeMap<String, History>);

/// What is known of one stick.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, from = "Stored")]
pub struct History {
    /// Used sectors, by when that was seen.
    points: BTreeMap<Wall, u64>,
    /// All its sectors, from when on it was so large.
    totals: BTreeMap<Wall, u64>,
    /// At these points it held less than before.
    marks: BTreeMap<Wall, Mark>,
    /// The highest level (70, 90) that was notified since the last refresh.
    warned: u8,
    /// When it was refreshed last, in seconds since 1970.
    pub refreshed: Option<i64>,
    /// A refresh was done, and the next look will find less.
    awaited: bool,
    /// How fast it grew while it was watched.
    #[serde(skip_serializing_if = "Growth::is_unknown")]
    pub growth: Growth,
}

/// Why a stick held less than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// This window refreshed it.
    Refresh,
    /// It was tidied, or refreshed elsewhere.
    Room,
}

/// What a stick held at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    pub at: Wall,
    /// In sectors.
    pub used: u64,
    pub total: u64,
    pub mark: Option<Mark>,
}

impl Reading {
    /// How full it was.
    pub fn percent(&self) -> f64 {
        match self.total {
            0 => 0.0,
            total => (100.0 * self.used as f64 / total as f64).clamp(0.0, 100.0),
        }
    }

    /// In bytes.
    pub fn bytes(&self) -> (u64, u64) {
        (
            self.used.saturating_mul(512),
            self.total.saturating_mul(512),
        )
    }
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
        let last = |history: &History| history.points.keys().next_back().copied();
        let oldest = self.0.iter().min_by_key(|(_, history)| last(history));
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            self.0.remove(&key);
        }
    }
}

impl History {
    /// Notes what it holds now. One that holds less than before was refreshed, tidied or reset.
    /// Tells whether that is worth being kept at once: more than once in a quarter of an hour, only
    /// a mark is. (Where the history lies on the stick itself, keeping it takes room, too.)
    pub fn note(&mut self, now: Wall, overlay: &Overlay) -> bool {
        let told = overlay.kind != OverlayKind::None && overlay.percent.is_some();
        if !told || !(NEVER_SET..LATEST).contains(&now) {
            return false;
        }
        let used = overlay.used_sectors.0;
        let (now, last) = self.in_order(now);
        if last.is_none() || self.total(now) != overlay.total_sectors.0 {
            self.totals.insert(now, overlay.total_sectors.0);
        }
        let mark = last.and_then(|(_, before)| self.fell(before, used, overlay.kind));
        let mut news = true;
        match (mark, last) {
            (Some(mark), _) => drop(self.marks.insert(now, mark)),
            (None, Some((at, before))) if same_quarter(at, now) => {
                if before == used {
                    return false;
                }
                if !self.marks.contains_key(&at) && !self.first_of_all(at) {
                    self.points.remove(&at);
                    news = false;
                }
            }
            _ => {}
        }
        self.points.insert(now, used);
        self.thin(now);
        news
    }

    /// A refresh of it was done, at a time in seconds since 1970; on a stick that runs, the room comes
    /// back later.
    pub fn refreshed_at(&mut self, time: i64) {
        self.refreshed = Some(time);
        self.awaited = true;
    }

    /// A refresh of it was done now: what it held before and after.
    pub fn refreshed_by(&mut self, before: &Overlay, after: &Overlay, time: i64) {
        self.note(wall(), before);
        self.refreshed_at(time);
        self.note(wall(), after);
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

    /// All that is kept of it, in order.
    pub fn readings(&self) -> Vec<Reading> {
        let reading = |(at, used): (&Wall, &u64)| Reading {
            at: *at,
            used: *used,
            total: self.total(*at),
            mark: self.marks.get(at).copied(),
        };
        self.points.iter().map(reading).collect()
    }

    /// When it will be full; none while too little is known. What was before the last mark says
    /// nothing of it.
    pub fn forecast(&self, now: Wall, overlay: &Overlay) -> Option<Forecast> {
        overlay.percent?;
        let since = self.marks.keys().next_back().copied().unwrap_or(Wall::MIN);
        let mut days = BTreeMap::new();
        for (at, used) in self.points.range(since..) {
            days.insert(day(*at), *used);
        }
        let days: Vec<(u32, u64)> = days.into_iter().collect();
        let left = overlay.total_sectors.saturating_sub(overlay.used_sectors).0;
        forecast(&days, day(now), left)
    }

    /// How large it was: as large as when it was first seen, for what is older.
    fn total(&self, at: Wall) -> u64 {
        let last = self.totals.range(..=at).next_back();
        let known = last.or_else(|| self.totals.iter().next());
        known.map_or(0, |(_, total)| *total)
    }

    fn first_of_all(&self, at: Wall) -> bool {
        self.points.keys().next() == Some(&at)
    }

    /// Time never runs backwards here: a clock that was set back a little is taken for the last
    /// point's, and what was seen by one that was far ahead is forgotten.
    fn in_order(&mut self, now: Wall) -> (Wall, Option<(Wall, u64)>) {
        let ahead = self.points.split_off(&(now.saturating_add(DAY)));
        if !ahead.is_empty() {
            self.marks.retain(|at, _| *at < now + DAY);
            let total = self.totals.values().next_back().copied();
            self.totals.retain(|at, _| *at < now + DAY);
            if self.totals.is_empty() {
                self.totals.extend(total.map(|total| (now, total)));
            }
        }
        let last = self.points.last_key_value().map(|(at, used)| (*at, *used));
        let now = last.map_or(now, |(at, _)| now.max(at + 1));
        (now, last)
    }

    fn fell(&mut self, before: u64, used: u64, kind: OverlayKind) -> Option<Mark> {
        let least = match kind {
            // A folder gives back what is deleted in it: that happens every day.
            OverlayKind::Overlayfs => before / 2,
            _ => 1,
        };
        if before.saturating_sub(used) < least.max(1) {
            return None;
        }
        match std::mem::take(&mut self.awaited) {
            true => Some(Mark::Refresh),
            false => Some(Mark::Room),
        }
    }

    /// Forgets what is finer than it is kept. (What is old goes by number, not by age: a clock that
    /// is years ahead for a day would take all with it.)
    fn thin(&mut self, now: Wall) {
        let ends = daily(&self.readings(), now - FINE);
        self.points = ends.iter().map(|end| (end.at, end.used)).collect();
        self.bound();
    }

    /// Keeps its numbers within bounds.
    fn bound(&mut self) {
        while self.points.len() > POINTS {
            self.points.pop_first();
        }
        while self.marks.len() > MARKS {
            self.marks.pop_first();
        }
        let first = self.points.keys().next().copied().unwrap_or(Wall::MAX);
        self.marks.retain(|at, _| *at >= first);
        while self.totals.len() > MARKS
            || self.totals.keys().nth(1).is_some_and(|next| *next <= first)
        {
            self.totals.pop_first();
        }
    }
}

fn same_quarter(one: Wall, other: Wall) -> bool {
    one.div_euclid(QUARTER) == other.div_euclid(QUARTER)
}

/// Of each day that ended before `fine`, the last reading, and those around a mark; and the very
/// first: from there it grew.
pub fn daily(readings: &[Reading], fine: Wall) -> Vec<Reading> {
    let kept = |(place, reading): (usize, &Reading)| {
        let next = readings.get(place + 1);
        let ends = next.is_none_or(|next| next.mark.is_some() || day(next.at) != day(reading.at));
        (ends || place == 0 || reading.mark.is_some() || reading.at >= fine).then_some(*reading)
    };
    readings.iter().enumerate().filter_map(kept).collect()
}

/// As it lies in the file, today's or an older version's.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stored {
    /// At first only the last of each day was kept, by its number.
    days: BTreeMap<u32, u64>,
    points: BTreeMap<Wall, u64>,
    totals: BTreeMap<Wall, u64>,
    marks: BTreeMap<Wall, Mark>,
    warned: u8,
    refreshed: Option<i64>,
    awaited: bool,
    growth: Growth,
}

impl From<Stored> for History {
    fn from(stored: Stored) -> History {
        const NOON: Wall = DAY / 2;
        let mut points = stored.points;
        for (day, used) in stored.days {
            points.entry(Wall::from(day) * DAY + NOON).or_insert(used);
        }
        points.retain(|at, _| (0..LATEST).contains(at));
        let mut history = History {
            points,
            totals: stored.totals,
            marks: stored.marks,
            warned: stored.warned,
            refreshed: stored.refreshed,
            awaited: stored.awaited,
            growth: stored.growth,
        };
        history
            .marks
            .retain(|at, _| history.points.contains_key(at));
        history.bound();
        history
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use sugar_cellar::protocol::OverlayState;
    use sugar_cellar::units::Sectors;

    /// A Monday, at midnight.
    pub const MONDAY: Wall = 20_423 * DAY;
    const HOUR: Wall = 3600;

    pub fn overlay(used: u64) -> Overlay {
        Overlay {
            kind: OverlayKind::Snapshot,
            not_here: None,
            file: None,
            state: OverlayState::Active,
            used_sectors: Sectors(used),
            total_sectors: Sectors(1000),
            metadata_sectors: Sectors(16),
            chunk_sectors: Sectors(8),
            percent: Some(used as f64 / 10.0),
        }
    }

    /// Seen at these hours after Monday.
    pub fn after(seen: &[(Wall, u64)]) -> History {
        let mut history = History::default();
        for (hours, used) in seen {
            history.note(MONDAY + hours * HOUR, &overlay(*used));
        }
        history
    }

    /// As many sticks with as many points as are kept.
    pub fn filled() -> Histories {
        let mut history = History::default();
        let mut at = MONDAY;
        for place in 0..POINTS as u64 * 2 {
            at += if place < POINTS as u64 { DAY } else { QUARTER };
            let mut seen = overlay(10_000_000_000 + place);
            seen.total_sectors = Sectors(20_000_000_000);
            history.note(at, &seen);
        }
        assert!(history.points.len() > 290, "{}", history.points.len());
        let name = |number| format!("overlay-A-LABEL-OF-A-STICK-0123-4567-{number}@6442450944");
        Histories(
            (0..STICKS)
                .map(|number| (name(number), history.clone()))
                .collect(),
        )
    }

    fn seen(history: &History) -> Vec<(Wall, u64)> {
        let hours = |at| (at - MONDAY) / HOUR;
        let readings = history.readings().into_iter();
        readings
            .map(|reading| (hours(reading.at), reading.used))
            .collect()
    }

    #[test]
    fn a_quarter_of_an_hour_is_one_point() {
        let mut history = History::default();
        let at = |minute: Wall| MONDAY + minute * 60;
        assert!(history.note(at(0), &overlay(100)));
        assert!(!history.note(at(1), &overlay(100)), "the same once more");
        // The very first stays: from there it grew.
        assert!(history.note(at(2), &overlay(110)));
        assert!(!history.note(at(5), &overlay(120)));
        assert!(!history.note(at(9), &overlay(130)));
        assert!(history.note(at(16), &overlay(130)));
        let used: Vec<u64> = history.points.values().copied().collect();
        assert_eq!(used, [100, 130, 130]);
    }

    #[test]
    fn after_a_day_its_last_point_is_left() {
        let history = after(&[(8, 10), (9, 20), (15, 30), (32, 40), (33, 50), (57, 60)]);
        assert_eq!(seen(&history), [(8, 10), (15, 30), (33, 50), (57, 60)]);
    }

    #[test]
    fn a_refresh_is_a_mark_and_the_past_stays() {
        let mut history = after(&[(8, 100), (32, 200), (56, 900)]);
        history.refreshed_at(0);
        history.note(MONDAY + 57 * HOUR, &overlay(16));
        history.note(MONDAY + 58 * HOUR, &overlay(30));
        history.note(MONDAY + 200 * HOUR, &overlay(40));
        assert_eq!(
            seen(&history),
            [
                (8, 100),
                (32, 200),
                (56, 900),
                (57, 16),
                (58, 30),
                (200, 40)
            ]
        );
        let marks: Vec<_> = history.readings().iter().map(|at| at.mark).collect();
        assert_eq!(marks[3], Some(Mark::Refresh));
        assert_eq!(marks.iter().flatten().count(), 1);
    }

    #[test]
    fn what_fell_unasked_was_made_room_elsewhere() {
        let history = after(&[(8, 100), (9, 90)]);
        assert_eq!(history.readings()[1].mark, Some(Mark::Room));
    }

    #[test]
    fn a_folder_gives_back_what_is_deleted_and_that_is_no_mark() {
        let mut history = History::default();
        let mut folder = overlay(100);
        folder.kind = OverlayKind::Overlayfs;
        history.note(MONDAY, &folder);
        folder.used_sectors = Sectors(90);
        history.note(MONDAY + HOUR, &folder);
        assert!(history.marks.is_empty());
        folder.used_sectors = Sectors(10);
        history.note(MONDAY + 2 * HOUR, &folder);
        assert_eq!(history.marks.len(), 1);
    }

    #[test]
    fn the_forecast_begins_anew_after_a_mark() {
        let mut history = after(&[(8, 100), (32, 200), (56, 300)]);
        let thursday = MONDAY + 80 * HOUR;
        let range = history.forecast(thursday, &overlay(300));
        assert_eq!(range.map(|range| range.least), Some(7));
        history.note(thursday, &overlay(16));
        assert_eq!(history.forecast(thursday + DAY, &overlay(16)), None);
    }

    #[test]
    fn a_clock_that_was_never_set_says_nothing() {
        let mut history = after(&[(8, 100)]);
        assert!(!history.note(3600, &overlay(50)));
        assert_eq!(history, after(&[(8, 100)]));
    }

    #[test]
    fn time_does_not_run_backwards() {
        // An hour back in autumn.
        let history = after(&[(8, 100), (7, 110)]);
        let used: Vec<u64> = history.points.values().copied().collect();
        assert_eq!(used, [100, 110]);
        // A clock that was years ahead, and was set right.
        let history = after(&[(8, 100), (90_000, 400), (9, 110), (10, 120)]);
        assert_eq!(seen(&history), [(8, 100), (9, 110), (10, 120)]);
        assert_eq!(history.readings()[0].total, 1000);
    }

    #[test]
    fn it_knows_how_large_the_stick_was() {
        let mut history = after(&[(8, 100), (32, 200)]);
        let mut larger = overlay(200);
        larger.total_sectors = Sectors(2000);
        history.note(MONDAY + 33 * HOUR, &larger);
        let percents: Vec<f64> = history.readings().iter().map(Reading::percent).collect();
        assert_eq!(percents, [10.0, 20.0, 10.0]);
    }

    #[test]
    fn it_stays_small() {
        let mut history = History::default();
        for quarter in 0..40_000 {
            let used = if quarter % 7 == 0 {
                10
            } else {
                10 + quarter % 400
            };
            history.note(MONDAY + quarter * QUARTER, &overlay(used as u64));
        }
        assert!(history.points.len() <= POINTS);
        assert!(history.marks.len() <= MARKS);
    }

    #[test]
    fn an_older_file_is_read() {
        let text = r#"{"overlay-X@5": {"days": {"20000": 100, "20001": 200}, "warned": 70, "refreshed": 7}}"#;
        let histories: Histories = serde_json::from_str(text).unwrap();
        let history = histories.get("overlay-X@5").unwrap();
        let noon = |day: Wall| day * DAY + DAY / 2;
        let points: Vec<_> = history.points.clone().into_iter().collect();
        assert_eq!(points, [(noon(20_000), 100), (noon(20_001), 200)]);
        assert_eq!((history.warned, history.refreshed), (70, Some(7)));
    }

    #[test]
    fn damaged_figures_are_left_out() {
        let text = r#"{"x": {"points": {"-5": 1, "9223372036854775807": 2, "20": 18446744073709551615},
            "marks": {"21": "room"}}}"#;
        let mut histories: Histories = serde_json::from_str(text).unwrap();
        let history = histories.of("x");
        assert_eq!(history.points.len(), 1);
        assert_eq!(history.readings()[0].percent(), 0.0);
        assert_eq!(history.readings()[0].bytes(), (u64::MAX, 0));
        assert!(history.marks.is_empty());
        history.note(MONDAY, &overlay(5));
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
    fn the_oldest_stick_makes_room() {
        let mut histories = Histories::default();
        for number in 0..STICKS + 1 {
            let history = histories.of(&number.to_string());
            history.note(MONDAY + number as Wall * DAY, &overlay(1));
        }
        assert_eq!(histories.0.len(), STICKS);
        assert!(histories.get("0").is_none());
    }
}
