//! When a stick will be full, as a range.
//!
//! From one look to the next it grew by so much, in so many school days. The half of these steps,
//! side by side, in which it grew fastest says how soon it may be full; the half in which it grew
//! slowest, how late. A stick that grows evenly has a range of one number, and the more it varies,
//! the wider the range is. Days of a pair of halves, not single days: one busy afternoon is
//! no pace, and busy and quiet weeks come in stretches.

/// One step is no trend.
const ENOUGH: usize = 2;
/// So many steps back: about a month of school.
const RECENT: usize = 20;
/// Nobody plans beyond a school year.
const HORIZON: u64 = 200;
/// Nor sees ahead more than so many times as far as they looked back.
const FAR: u64 = 10;

/// In how many school days a stick will be full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// At its fastest.
    pub least: u32,
    /// At its slowest; none where that is beyond what can be said.
    pub most: Option<u32>,
}

/// From what it held at the end of each day (its number since 1970, and a size) on which it was
/// seen, in order, and from the room that is `left`. `today` is not over, and does not count.
/// None while too little is known.
pub fn forecast(days: &[(u32, u64)], today: u32, left: u64) -> Option<Forecast> {
    let over = days.partition_point(|(day, _)| *day < today);
    let steps: Vec<(u64, u64)> = days[..over]
        .windows(2)
        .map(|pair| {
            let ((from, before), (to, after)) = (pair[0], pair[1]);
            (after.saturating_sub(before), school_days(from, to))
        })
        .collect();
    let steps = &steps[steps.len().saturating_sub(RECENT)..];
    if steps.len() < ENOUGH || left == 0 {
        return None;
    }
    let looked: u64 = steps.iter().map(|(_, days)| days).sum();
    let horizon = HORIZON.min(looked.saturating_mul(FAR));
    let stretches = steps.windows(steps.len().div_ceil(2));
    let ends: Vec<Option<u32>> = stretches.map(|steps| end(steps, left, horizon)).collect();
    let least = ends.iter().flatten().min().copied()?;
    let all: Option<Vec<u32>> = ends.into_iter().collect();
    Some(Forecast {
        least,
        most: all.and_then(|ends| ends.into_iter().max()),
    })
}

/// When what is left is used up at the pace of these steps; none beyond the horizon.
fn end(steps: &[(u64, u64)], left: u64, horizon: u64) -> Option<u32> {
    let sum = |part: fn(&(u64, u64)) -> u64| -> u128 {
        steps.iter().map(|step| u128::from(part(step))).sum()
    };
    let (grown, days) = (sum(|step| step.0), sum(|step| step.1));
    let end = (u128::from(left) * days).checked_div(grown)?;
    let end = u64::try_from(end).ok().filter(|end| *end <= horizon)?;
    u32::try_from(end).ok()
}

/// School days after `from`, up to and with `to`: Monday to Friday, and one at the least. (Where
/// the weekend lies elsewhere, the sum of a week is the same.)
fn school_days(from: u32, to: u32) -> u64 {
    /// The first day of 1970 was a Thursday; Sunday is 0.
    const THURSDAY: u32 = 4;
    let (weeks, rest) = (to.saturating_sub(from) / 7, to.saturating_sub(from) % 7);
    let weekday = |back: &u32| !matches!((to - back + THURSDAY) % 7, 0 | 6);
    let odd = (0..rest).filter(weekday).count();
    (u64::from(weeks) * 5 + odd as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Monday.
    const MONDAY: u32 = 20_003;

    fn of(days: &[(u32, u64)], left: u64) -> Option<(u32, Option<u32>)> {
        let days: Vec<(u32, u64)> = days.iter().map(|(day, at)| (MONDAY + day, *at)).collect();
        let today = days.last().map_or(MONDAY, |(day, _)| day + 1);
        forecast(&days, today, left).map(|range| (range.least, range.most))
    }

    #[test]
    fn an_even_pace_is_one_number() {
        let days = [(0, 100), (1, 200), (2, 300), (3, 400)];
        assert_eq!(of(&days, 600), Some((6, Some(6))));
    }

    #[test]
    fn an_uneven_pace_is_a_range() {
        // Halves of two: 100 + 100, 100 + 200, 200 + 200.
        let days = [(0, 0), (1, 100), (2, 200), (3, 400), (4, 600)];
        assert_eq!(of(&days, 1200), Some((6, Some(12))));
    }

    #[test]
    fn one_step_is_no_trend() {
        assert_eq!(of(&[(0, 100), (1, 200)], 100), None);
        assert_eq!(of(&[], 100), None);
    }

    #[test]
    fn a_stick_that_does_not_grow_has_none() {
        assert_eq!(of(&[(0, 100), (1, 100), (2, 100), (3, 100)], 900), None);
    }

    #[test]
    fn one_that_grew_in_places_only_has_no_latest_end() {
        let days = [(0, 0), (1, 100), (2, 200), (3, 200), (4, 200)];
        assert_eq!(of(&days, 1000), Some((10, None)));
    }

    #[test]
    fn weekends_do_not_count_and_days_nobody_looked_do() {
        // Friday to Monday is one school day; Monday to Monday are five.
        let days = [(3, 100), (4, 200), (7, 300)];
        assert_eq!(of(&days, 500), Some((5, Some(5))));
        let days = [(0, 100), (7, 200), (14, 300)];
        assert_eq!(of(&days, 500), Some((25, Some(25))));
    }

    #[test]
    fn today_is_not_over() {
        let days = [(1, 100), (2, 200), (3, 300), (4, 301)].map(|(day, at)| (MONDAY + day, at));
        let range = forecast(&days, MONDAY + 4, 400);
        let even = Forecast {
            least: 4,
            most: Some(4),
        };
        assert_eq!(range, Some(even));
    }

    #[test]
    fn nobody_sees_further_than_they_looked() {
        let slow = |days: u64| -> Vec<(u32, u64)> {
            (0..=days).map(|day| (day as u32, day * 10)).collect()
        };
        // 60 school days ahead, after 3 and after 6 days.
        assert_eq!(of(&slow(3), 600), None);
        assert!(of(&slow(8), 600).is_some());
        assert_eq!(of(&slow(40), 10_000_000), None);
    }

    #[test]
    fn what_is_full_is_not_foretold() {
        assert_eq!(of(&[(0, 100), (1, 200), (2, 300)], 0), None);
        assert_eq!(of(&[(0, 100), (1, 200), (2, 300)], 50), Some((0, Some(0))));
    }

    #[test]
    fn absurd_figures_do_no_harm() {
        let days = [
            (0, 0),
            (1, u64::MAX),
            (2, 0),
            (2, u64::MAX),
            (u32::MAX - 1, 7),
        ];
        let range = forecast(&days, u32::MAX, u64::MAX);
        assert!(range.is_none_or(|range| u64::from(range.least) <= HORIZON));
    }

    #[test]
    fn school_days_are_counted() {
        for (from, to, counted) in [
            (0, 1, 1),
            (0, 4, 4),
            (0, 7, 5),
            (4, 5, 1),
            (4, 7, 1),
            (4, 8, 2),
            (0, 70, 50),
            (2, 15, 9),
            (3, 3, 1),
        ] {
            let days = school_days(MONDAY + from, MONDAY + to);
            assert_eq!(days, counted, "{from} to {to}");
        }
    }
}
