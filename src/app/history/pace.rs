//! How fast an overlay grows while it is watched, before measures against that were switched, and since.

use serde::{Deserialize, Serialize};

/// Less than this is no pace.
const ENOUGH: u64 = 3600;

/// By how much it grew, in how long.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Pace {
    seconds: u64,
    sectors: u64,
}

impl Pace {
    fn an_hour(self) -> Option<u64> {
        let sectors = u128::from(self.sectors) * 3600 / u128::from(self.seconds.max(1));
        let sectors = u64::try_from(sectors).unwrap_or(u64::MAX);
        (self.seconds >= ENOUGH).then_some(sectors)
    }
}

/// Before measures were switched last, and since.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Growth {
    before: Pace,
    since: Pace,
}

/// Sectors an hour, as far as they are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paces {
    Unknown,
    /// Nothing was switched yet.
    Now(u64),
    /// It was switched less than an hour ago.
    Before(u64),
    /// Before and since.
    Both(u64, u64),
}

impl Growth {
    /// It grew by so many sectors while it was watched for so long.
    pub fn add(&mut self, seconds: u64, sectors: u64) {
        let pace = &mut self.since;
        pace.seconds = pace.seconds.saturating_add(seconds);
        pace.sectors = pace.sectors.saturating_add(sectors);
    }

    /// Measures are switched now. What was between is compared with what comes, where it was long
    /// enough: several switches in a row are one.
    pub fn switched(&mut self) {
        let since = std::mem::take(&mut self.since);
        if since.an_hour().is_some() {
            self.before = since;
        }
    }

    pub fn paces(&self) -> Paces {
        match (self.before.an_hour(), self.since.an_hour()) {
            (Some(before), Some(since)) => Paces::Both(before, since),
            (Some(before), None) => Paces::Before(before),
            (None, Some(now)) => Paces::Now(now),
            (None, None) => Paces::Unknown,
        }
    }

    pub fn is_unknown(&self) -> bool {
        *self == Growth::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_on_both_sides_is_compared() {
        let mut growth = Growth::default();
        assert_eq!(growth.paces(), Paces::Unknown);
        growth.add(1800, 100);
        assert_eq!(growth.paces(), Paces::Unknown);
        growth.add(5400, 300);
        assert_eq!(growth.paces(), Paces::Now(200));
        growth.switched();
        assert_eq!(growth.paces(), Paces::Before(200));
        growth.add(60, 50);
        // The next of several: what is known from before them stays.
        growth.switched();
        growth.add(3600, 70);
        assert_eq!(growth.paces(), Paces::Both(200, 70));
        growth.switched();
        growth.add(7200, 0);
        assert_eq!(growth.paces(), Paces::Both(70, 0));
        growth.add(u64::MAX, u64::MAX);
        growth.paces();
    }

    #[test]
    fn too_short_a_time_is_no_pace() {
        let mut growth = Growth::default();
        growth.add(3599, 1_000_000);
        growth.switched();
        growth.add(3600, 10);
        assert_eq!(growth.paces(), Paces::Now(10));
    }
}
