//! A history in words.

use super::forecast::Forecast;
use super::record::{DAY, Mark, Reading, Wall};
use super::view::{Span, View};
use crate::words::{self, fill};
use gettextrs::{gettext, ngettext};
use gtk::glib::DateTime;

const HOUR: Wall = 3600;

/// What it is on the wall, in one of GLib's formats.
fn format(at: Wall, format: &str) -> String {
    let time = DateTime::from_unix_utc(at).and_then(|at| at.format(format));
    time.map(String::from).unwrap_or_default()
}

/// For programs.
pub fn stamp(at: Wall) -> String {
    format(at, "%Y-%m-%d %H:%M")
}

/// When it was seen, for the list.
pub fn moment(span: Span, at: Wall) -> String {
    match span {
        Span::Day => format(at, "%A %R"),
        Span::Week | Span::Term => format(at, "%A %x"),
    }
}

/// Below the chart, short.
pub fn tick(span: Span, at: Wall) -> String {
    match span {
        Span::Day => format(at, "%R"),
        Span::Week => format(at, "%a"),
        // Translators: a day, short, as g_date_time_format() writes it: "28 Nov"
        Span::Term => format(at, &gettext("%-d %b")),
    }
}

/// Why there is room again.
pub fn mark(mark: Mark) -> String {
    match mark {
        Mark::Refresh => gettext("refreshed"),
        Mark::Room => gettext("room was made"),
    }
}

/// What it held.
pub fn facts(reading: &Reading) -> String {
    let mut facts = vec![
        words::percent(reading.percent()),
        words::isolated(&words::size(reading.bytes().0)),
    ];
    facts.extend(reading.mark.map(mark));
    facts.join(" · ")
}

/// By how much it grew.
pub fn grown(view: &View) -> String {
    if view.first {
        return gettext(
            "It was looked at for the first time. Look again on other days, and a line grows here.",
        );
    }
    let since = view.lead.or_else(|| view.readings.first().copied());
    let since = since.map_or(view.from, |reading| reading.at);
    // Nobody knows when it grew between two looks.
    let near = match view.span {
        Span::Day => HOUR,
        Span::Week => DAY,
        Span::Term => 0,
    };
    let whole = (since - view.from).abs() < near;
    let grown = view.grown.saturating_mul(512);
    let text = match (view.span, grown) {
        (Span::Day, 0) if whole => gettext("Nothing was added in the last 24 hours."),
        (Span::Day, _) if whole => gettext("{size} were added in the last 24 hours."),
        (Span::Week, 0) if whole => gettext("Nothing was added in the last seven days."),
        (Span::Week, _) if whole => gettext("{size} were added in the last seven days."),
        (_, 0) => gettext("Nothing has been added since {date}."),
        _ => gettext("{size} have been added since {date}."),
    };
    let date = moment(view.span, since);
    fill(&text, &[("size", &words::size(grown)), ("date", &date)])
}

/// What the chart's signs mean, those that it has.
pub fn legend(view: &View) -> String {
    let mut parts = Vec::new();
    if view.readings.iter().any(|reading| reading.mark.is_some()) {
        parts.push(gettext("At a triangle it was refreshed, or tidied up."));
    }
    if view.forecast.is_some() {
        parts.push(gettext("What may come is dashed."));
    }
    parts.join(" ")
}

/// When it will be full.
pub fn expected(forecast: Forecast) -> String {
    let Forecast { least, most } = forecast;
    match most {
        Some(0) => gettext("If it goes on like this, it is full within a day"),
        Some(most) if most == least => {
            let text = ngettext(
                "If it goes on like this, it is full in about {days} school day",
                "If it goes on like this, it is full in about {days} school days",
                most,
            );
            fill(&text, &[("days", &most.to_string())])
        }
        Some(most) if least == 0 => {
            let text = ngettext(
                "If it goes on like this, it is full within {days} school day",
                "If it goes on like this, it is full within {days} school days",
                most,
            );
            fill(&text, &[("days", &most.to_string())])
        }
        Some(most) => {
            // Translators: a range; the plural is that of {most}.
            let text = ngettext(
                "If it goes on like this, it is full in {least} to {most} school day",
                "If it goes on like this, it is full in {least} to {most} school days",
                most,
            );
            let (least, most) = (least.to_string(), most.to_string());
            fill(&text, &[("least", &least), ("most", &most)])
        }
        None if least == 0 => gettext("It may be full within a day"),
        None => {
            let text = ngettext(
                "It may be full in {days} school day, or only much later",
                "It may be full in {days} school days, or only much later",
                least,
            );
            fill(&text, &[("days", &least.to_string())])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{MONDAY, after};
    use super::*;

    fn said(least: u32, most: Option<u32>) -> String {
        let text = expected(Forecast { least, most });
        text.replace(['\u{2068}', '\u{2069}'], "")
    }

    #[test]
    fn a_range_is_said_as_people_would() {
        assert!(said(6, Some(14)).ends_with("full in 6 to 14 school days"));
        assert!(said(6, Some(6)).ends_with("in about 6 school days"));
        assert!(said(1, Some(1)).ends_with("in about 1 school day"));
        assert!(said(0, Some(0)).ends_with("within a day"));
        assert!(said(0, Some(3)).ends_with("within 3 school days"));
        assert!(said(6, None).contains("in 6 school days, or only much later"));
    }

    #[test]
    fn times_are_those_on_the_wall() {
        let at = MONDAY + 3600 * 13 + 5 * 60;
        assert_eq!(stamp(at), "2025-12-01 13:05");
        assert_eq!(stamp(Wall::MAX), "");
        assert_eq!(tick(Span::Day, at), "13:05");
    }

    #[test]
    fn growth_is_a_sentence() {
        let text = |span, hours| {
            let readings = after(&[(8, 100), (32, 300)]).readings();
            let now = MONDAY + hours * HOUR;
            grown(&View::new(span, &readings, now, None))
        };
        let size = "\u{2068}102.4\u{a0}kB\u{2069}";
        let last = format!("{size} were added in the last seven days.");
        assert_eq!(text(Span::Week, 7 * 24 + 8), last);
        assert_eq!(text(Span::Day, 32), last.replace("seven days", "24 hours"));
        let since = format!("{size} have been added since \u{2068}Monday ");
        assert!(text(Span::Week, 33).starts_with(&since));
        assert!(text(Span::Day, 80).starts_with("Nothing has been added since"));
        assert!(
            grown(&View {
                first: true,
                ..View::default()
            })
            .starts_with("It was looked at")
        );
    }
}
