//! Sizes, shares and times, as people write them where they live.
//!
//! Sizes are in powers of ten (1 GB = 1,000,000,000 bytes), as on the stick's
//! package and in the desktop's file manager.

use crate::system;
use crate::units::{Bytes, Sectors};
use gettextrs::{gettext, ngettext};

/// Puts `value` in the place of `{name}`, for each pair, [`shown`].
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    values
        .iter()
        .fold(template.to_owned(), |text, (name, value)| {
            text.replace(&format!("{{{name}}}"), &shown(value))
        })
}

/// Names and labels come from sticks: what a terminal would take for a command, or for another
/// line, is replaced by U+FFFD.
pub fn shown(value: &str) -> String {
    let good = |letter: char| match commands(letter) {
        true => char::REPLACEMENT_CHARACTER,
        false => letter,
    };
    value.chars().map(good).collect()
}

/// A line of JSON in which every such letter is escaped. JSON itself has only those below U+0020
/// escaped, and programs' lines are read by people, too. None of them can lie outside a string.
pub fn escaped(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    for letter in json.chars() {
        match commands(letter) {
            // All of them are below U+10000.
            true => line.push_str(&format!("\\u{:04x}", u32::from(letter))),
            false => line.push(letter),
        }
    }
    line
}

/// Whether a terminal does something at this letter, or turns the text around it about.
fn commands(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// "1.5 GB"
pub fn size(bytes: Bytes) -> String {
    const STEP: f64 = 1000.0;
    let mut value = bytes.0 as f64;
    let mut unit = 0;
    // From 999.5 on it would be written as 1000.
    while value >= STEP - 0.5 && unit < 4 {
        value /= STEP;
        unit += 1;
    }
    let template = match unit {
        0 => gettext("{number} bytes"),
        1 => gettext("{number} kB"),
        2 => gettext("{number} MB"),
        3 => gettext("{number} GB"),
        _ => gettext("{number} TB"),
    };
    let places = usize::from(unit > 0 && value < 9.95);
    fill(&template, &[("number", &decimal(value, places))])
}

/// The size of so many sectors.
pub fn sectors(sectors: Sectors) -> String {
    size(sectors.bytes().unwrap_or(Bytes(u64::MAX)))
}

/// "41 %"
pub fn percent(percent: f64) -> String {
    // Translators: a share of a whole
    fill(&gettext("{number} %"), &[("number", &decimal(percent, 0))])
}

/// "12 MB/s"
pub fn rate(bytes_per_second: f64) -> String {
    let size = size(Bytes(bytes_per_second.max(0.0) as u64));
    // Translators: so much in a second
    fill(&gettext("{size}/s"), &[("size", &size)])
}

/// "3 minutes": rounded as people do.
pub fn duration(seconds: u64) -> String {
    let (template, number) = match seconds {
        0..=90 => (
            ngettext("{number} second", "{number} seconds", clamp(seconds)),
            seconds,
        ),
        91..=5400 => {
            let minutes = (seconds + 30) / 60;
            (
                ngettext("{number} minute", "{number} minutes", clamp(minutes)),
                minutes,
            )
        }
        _ => {
            let hours = (seconds + 1800) / 3600;
            (
                ngettext("{number} hour", "{number} hours", clamp(hours)),
                hours,
            )
        }
    };
    fill(&template, &[("number", &number.to_string())])
}

/// A number with the locale's decimal mark.
pub fn decimal(value: f64, places: usize) -> String {
    format!("{value:.places$}").replacen('.', &system::decimal_mark(), 1)
}

fn clamp(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1000, "1.0 kB"),
            (9_949, "9.9 kB"),
            (9_951, "10 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (67_108_864, "67 MB"),
            (4_294_967_296, "4.3 GB"),
            (32_000_000_000, "32 GB"),
            (u64::MAX, "18446744 TB"),
        ] {
            assert_eq!(size(Bytes(bytes)), text);
        }
        assert_eq!(sectors(Sectors(u64::MAX)), "18446744 TB");
    }

    #[test]
    fn times_are_rounded_as_people_do() {
        for (seconds, text) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (90, "90 seconds"),
            (91, "2 minutes"),
            (3600, "60 minutes"),
            (6000, "2 hours"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn a_name_is_no_command_to_the_terminal() {
        assert_eq!(
            fill("{a}!", &[("a", "\u{1b}[2Jx\ny")]),
            "\u{fffd}[2Jx\u{fffd}y!"
        );
    }

    #[test]
    fn nor_is_one_in_json() {
        let name = "\u{1b}\u{7f}\u{9b}2J\u{202e}\u{2069}é\n";
        let line = escaped(&serde_json::to_string(name).unwrap());
        assert_eq!(line, r#""\u001b\u007f\u009b2J\u202e\u2069é\n""#);
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), name);
    }

    #[test]
    fn shares_and_rates() {
        assert_eq!(percent(60.47), "60 %");
        assert_eq!(rate(12_345_678.0), "12 MB/s");
        assert_eq!(fill("{a} of {b}", &[("a", "1"), ("b", "2")]), "1 of 2");
    }
}
