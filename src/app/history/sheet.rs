//! A history for a spreadsheet (RFC 4180), with figures as a program wants them.

use super::record::Reading;
use super::words;
use csv::Writer;
use gettextrs::gettext;

/// One line a reading, the oldest first. No cell holds what a person typed.
pub fn csv(readings: &[Reading]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = Writer::from_writer(Vec::new());
    writer.write_record([
        gettext("When"),
        gettext("Used bytes"),
        gettext("Bytes altogether"),
        gettext("Full, %"),
        gettext("Event"),
    ])?;
    for reading in readings {
        let (used, total) = reading.bytes();
        writer.write_record([
            words::stamp(reading.at),
            used.to_string(),
            total.to_string(),
            format!("{:.1}", reading.percent()),
            reading.mark.map(words::mark).unwrap_or_default(),
        ])?;
    }
    writer
        .into_inner()
        .map_err(|error| error.into_error().into())
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::after;
    use super::*;

    #[test]
    fn a_line_a_reading_in_bytes_and_iso_dates() {
        let mut history = after(&[(8, 455), (9, 900)]);
        history.refreshed_at(0);
        history.note(
            super::super::record::tests::MONDAY + 10 * 3600,
            &super::super::record::tests::overlay(16),
        );
        let text = String::from_utf8(csv(&history.readings()).unwrap()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "When,Used bytes,Bytes altogether,\"Full, %\",Event",
                "2025-12-01 08:00,232960,512000,45.5,",
                "2025-12-01 09:00,460800,512000,90.0,",
                "2025-12-01 10:00,8192,512000,1.6,refreshed",
            ]
        );
    }
}
