//! What a chart and the list below it show: of which time, and which of the readings.

use super::forecast::Forecast;
use super::record::{DAY, Reading, Wall, daily, day};

const HOUR: Wall = 3600;
/// A term, and its holidays.
const TERM: Wall = 200 * DAY;
/// The first weeks of a term fill the chart, too.
const SHORTEST: Wall = 28 * DAY;
/// So much of a week is for what is expected.
const SOON: Wall = 4 * DAY;

/// How far back one looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Span {
    Day,
    #[default]
    Week,
    Term,
}

/// What is shown of a history.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct View {
    pub span: Span,
    pub from: Wall,
    pub now: Wall,
    /// The end of today, or later where there is a forecast.
    pub until: Wall,
    /// In order.
    pub readings: Vec<Reading>,
    /// The last one before: the line comes from there.
    pub lead: Option<Reading>,
    /// By how many sectors it grew since then, whatever was given back between.
    pub grown: u64,
    pub forecast: Option<Forecast>,
    /// Whether nothing is known but one look.
    pub first: bool,
}

impl View {
    /// Of all `readings`, in order.
    pub fn new(span: Span, readings: &[Reading], now: Wall, forecast: Option<Forecast>) -> View {
        let forecast = forecast.filter(|_| span != Span::Day);
        let oldest = readings.first().map_or(now, |reading| reading.at);
        let midnight = Wall::from(day(now)) * DAY;
        let from = match span {
            Span::Day => now - DAY,
            Span::Week => midnight - 6 * DAY,
            Span::Term => (midnight - TERM).max(oldest.min(midnight - SHORTEST)),
        };
        let fine = match span {
            Span::Day => from,
            Span::Week | Span::Term => Wall::MAX,
        };
        let before = readings.partition_point(|reading| reading.at < from);
        let lead = before.checked_sub(1);
        let mut shown = daily(readings, fine);
        shown.retain(|reading| reading.at >= from);
        let end = match span {
            Span::Day => now,
            Span::Week | Span::Term => midnight + DAY,
        };
        View {
            span,
            from,
            now,
            until: forecast.map_or(end, |forecast| end + ahead(span, now - from, forecast)),
            readings: shown,
            lead: lead.map(|place| readings[place]),
            grown: grown(&readings[lead.unwrap_or(0)..]),
            forecast,
            first: readings.len() < 2,
        }
    }

    /// Where the time is written below: at each of these times begins a part, so long.
    pub fn ticks(&self) -> (Vec<Wall>, Wall) {
        /// The first Monday of 1970.
        const MONDAY: Wall = 4 * DAY;
        let (step, offset) = match self.span {
            Span::Day => (3 * HOUR, 0),
            Span::Week => (DAY, 0),
            Span::Term => (7 * DAY, MONDAY),
        };
        let first = (self.from - offset).div_euclid(step) * step + offset;
        let at = (0..).map(|number| first + number * step);
        let ticks = at
            .skip_while(|at| *at < self.from)
            .take_while(|at| *at < self.until);
        (ticks.collect(), step)
    }
}

fn grown(readings: &[Reading]) -> u64 {
    let step = |pair: &[Reading]| match pair[1].mark {
        Some(_) => 0,
        None => pair[1].used.saturating_sub(pair[0].used),
    };
    readings.windows(2).map(step).fold(0, u64::saturating_add)
}

/// When so many school days are over: five of them make a week.
pub fn over(now: Wall, school_days: u32) -> Wall {
    now + (Wall::from(school_days) * DAY * 7 / 5).max(DAY / 2)
}

/// How much of what is expected is shown.
fn ahead(span: Span, back: Wall, forecast: Forecast) -> Wall {
    if span != Span::Term {
        return SOON;
    }
    let end = forecast
        .most
        .unwrap_or_else(|| forecast.least.saturating_mul(2));
    (over(0, end) + DAY).clamp(7 * DAY, back.max(7 * DAY))
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{MONDAY, after};
    use super::super::record::{Mark, Reading};
    use super::*;

    fn of(span: Span, seen: &[(Wall, u64)], hours: Wall) -> View {
        let readings = after(seen).readings();
        View::new(span, &readings, MONDAY + hours * HOUR, None)
    }

    fn hours(readings: &[Reading]) -> Vec<Wall> {
        let hours = |reading: &Reading| (reading.at - MONDAY) / HOUR;
        readings.iter().map(hours).collect()
    }

    #[test]
    fn a_day_shows_each_look_and_where_the_line_comes_from() {
        let view = of(Span::Day, &[(8, 10), (32, 20), (40, 30), (50, 40)], 60);
        assert_eq!(hours(&view.readings), [40, 50]);
        assert_eq!(view.lead.map(|lead| lead.used), Some(20));
        assert_eq!(view.grown, 20);
    }

    #[test]
    fn a_week_shows_its_days() {
        let seen = [(8, 10), (9, 20), (32, 30), (33, 40), (170, 50)];
        let view = of(Span::Week, &seen, 171);
        assert_eq!(hours(&view.readings), [33, 170]);
        assert_eq!(view.lead.map(|lead| lead.used), Some(20));
        assert_eq!(view.grown, 30);
        assert_eq!(view.ticks().0.len(), 7);
    }

    #[test]
    fn a_refresh_is_shown_with_what_was_before() {
        let view = of(Span::Week, &[(8, 500), (9, 16), (10, 30)], 11);
        assert_eq!(hours(&view.readings), [8, 9, 10]);
        assert_eq!(view.readings[1].mark, Some(Mark::Room));
        assert_eq!(view.grown, 14);
    }

    #[test]
    fn a_term_is_as_long_as_what_is_known() {
        let view = of(Span::Term, &[(8, 10), (9, 20)], 10);
        assert_eq!(view.from, MONDAY - SHORTEST);
        let days: Vec<(Wall, u64)> = (0..250).map(|day| (day * 24, day as u64)).collect();
        let view = of(Span::Term, &days, 250 * 24);
        assert_eq!(view.from, MONDAY + 50 * DAY);
        assert_eq!(view.readings.len(), 200);
    }

    #[test]
    fn what_is_expected_has_room() {
        let forecast = Forecast {
            least: 5,
            most: Some(10),
        };
        let readings = after(&[(8, 10), (32, 20)]).readings();
        let now = MONDAY + 40 * HOUR;
        let until = |span| View::new(span, &readings, now, Some(forecast)).until;
        assert_eq!(until(Span::Day), now);
        assert_eq!(until(Span::Week), MONDAY + 2 * DAY + SOON);
        assert_eq!(until(Span::Term), MONDAY + 2 * DAY + 15 * DAY);
    }

    #[test]
    fn nothing_known_is_an_empty_chart() {
        let view = View::new(Span::Week, &[], MONDAY, None);
        assert_eq!(
            (view.readings.len(), view.lead, view.first),
            (0, None, true)
        );
        assert_eq!(view.grown, 0);
    }
}
