//! Figures and states in plain words, in the person's language.

use gettextrs::{gettext, ngettext};
use sugar_cellar::protocol::{NotHere, Overlay, OverlayKind, OverlayState, Stage, Status};

/// How full it is, as the window tells it: three levels, and two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Below 70 %.
    Fine,
    /// From 70 %.
    Filling,
    /// From 90 %.
    NearlyFull,
    /// Nothing more fits.
    Full,
    /// It cannot be told.
    Unknown,
    /// The kernel gave the overlay up: the stick does not start.
    Broken,
}

/// From here on the window warns.
pub const FILLING: f64 = 70.0;
/// From here on the window warns loudly.
pub const NEARLY_FULL: f64 = 90.0;

impl Level {
    /// Of an overlay.
    pub fn of(overlay: &Overlay) -> Level {
        match overlay.state {
            OverlayState::Invalid => Level::Broken,
            OverlayState::Full => Level::Full,
            OverlayState::NearlyFull => Level::NearlyFull,
            _ => overlay.percent.map_or(Level::Unknown, Level::of_percent),
        }
    }

    /// Of an overlay of which only that is known.
    pub fn of_percent(percent: f64) -> Level {
        match percent {
            p if p >= NEARLY_FULL => Level::NearlyFull,
            p if p >= FILLING => Level::Filling,
            _ => Level::Fine,
        }
    }

    /// The style class that colours it.
    pub fn class(self) -> &'static str {
        match self {
            Level::Fine => "fine",
            Level::Filling => "filling",
            Level::Unknown => "unknown",
            _ => "nearly-full",
        }
    }

    /// The icon that tells it apart without colour.
    pub fn icon(self) -> &'static str {
        match self {
            Level::Fine => "cellar-fine-symbolic",
            Level::Filling => "cellar-filling-symbolic",
            Level::NearlyFull | Level::Full => "cellar-full-symbolic",
            Level::Broken => "cellar-broken-symbolic",
            Level::Unknown => "cellar-stick-symbolic",
        }
    }

    /// What to do now, in a sentence.
    pub fn advice(self) -> String {
        match self {
            Level::Fine => gettext("There is plenty of room. Carry on!"),
            Level::Filling => gettext("It is filling up. A refresh soon makes room again."),
            Level::NearlyFull => {
                gettext("There is little room left. Refresh it today, before it is full.")
            }
            Level::Full => gettext("Nothing more fits. Refresh it before you use it again."),
            Level::Unknown => gettext(
                "What you save is kept in a file system that Sugar Cellar cannot look into.",
            ),
            Level::Broken => gettext(
                "It ran full. What was saved is still there: refresh it, and it starts again.",
            ),
        }
    }
}

/// Puts values into the places of a translated text: `{name}`.
///
/// Each value is isolated, so that "41 %" stays in order in a right-to-left sentence.
pub fn fill(text: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("{{{name}}}"), &isolated(value))
    })
}

/// Kept together and in its own direction (Unicode's first strong isolate).
pub fn isolated(text: &str) -> String {
    format!("\u{2068}{text}\u{2069}")
}

/// Without the marks that keep parts in their direction: for files.
pub fn plain(text: &str) -> String {
    text.replace(['\u{2066}', '\u{2068}', '\u{2069}'], "")
}

/// A whole percentage, never 100 before it is full.
pub fn whole_percent(percent: f64) -> u32 {
    let bounded = percent.clamp(0.0, 100.0);
    if bounded < 100.0 {
        bounded.min(99.0).round() as u32
    } else {
        100
    }
}

/// "41 %", kept from left to right.
pub fn percent(percent: f64) -> String {
    // Translators: a percentage; {number} is a whole number.
    let text = gettext("{number} %").replace("{number}", &whole_percent(percent).to_string());
    // Never the number on one line and the sign on the next.
    let text = text.replace(' ', "\u{a0}");
    format!("\u{2066}{text}\u{2069}")
}

/// A size in everyday units ("1.4 GB").
pub fn size(bytes: u64) -> String {
    gtk::glib::format_size(bytes).to_string()
}

/// The sentence of the first page.
pub fn headline(status: &Status) -> String {
    let overlay = &status.overlay;
    match &overlay.not_here {
        Some(NotHere::Elsewhere(_)) => {
            return gettext("This stick keeps what you save in another place");
        }
        Some(NotHere::Unclear(_)) => {
            return gettext("Nobody can tell where this stick keeps what you save");
        }
        None => {}
    }
    match (overlay.kind, overlay.state) {
        (OverlayKind::None, _) => gettext("This stick keeps nothing that you save"),
        (_, OverlayState::Empty) => gettext("Your stick is as good as new"),
        (_, OverlayState::Full) => gettext("Your stick is full"),
        (_, OverlayState::Invalid) => gettext("Your stick no longer starts"),
        _ => match overlay.percent {
            Some(full) => {
                gettext("Your stick is {percent} full").replace("{percent}", &percent(full))
            }
            None => gettext("Nobody can tell how full your stick is"),
        },
    }
}

/// Free bytes of an overlay.
pub fn free_bytes(overlay: &Overlay) -> u64 {
    let free = overlay.total_sectors.saturating_sub(overlay.used_sectors);
    free.bytes().map_or(u64::MAX, |bytes| bytes.0)
}

/// Used bytes of an overlay.
pub fn used_bytes(overlay: &Overlay) -> u64 {
    overlay
        .used_sectors
        .bytes()
        .map_or(u64::MAX, |bytes| bytes.0)
}

/// A photo of a learner's camera, roughly.
const PHOTO: u64 = 3_000_000;

/// How much still fits, in everyday units.
pub fn room(overlay: &Overlay) -> String {
    let free = free_bytes(overlay);
    let photos = rounded(free / PHOTO);
    if photos == 0 {
        return fill(&gettext("Only {size} left"), &[("size", &size(free))]);
    }
    let text = ngettext(
        "About {photos} more photo fits ({size})",
        "About {photos} more photos fit ({size})",
        u32::try_from(photos).unwrap_or(u32::MAX),
    );
    fill(
        &text,
        &[("photos", &photos.to_string()), ("size", &size(free))],
    )
}

/// Rounded down to what a person would say: 47 is 40, 1234 is 1200.
fn rounded(number: u64) -> u64 {
    match number {
        0..=19 => number,
        20..=99 => number / 10 * 10,
        _ => {
            let step = 10u64.pow(number.ilog10().saturating_sub(1));
            number / step * step
        }
    }
}

/// A length of time in words, rounded up so that nobody waits longer than was said.
pub fn duration(seconds: u64) -> String {
    let say = |text: String, number: u64| fill(&text, &[("number", &number.to_string())]);
    let plural = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    match seconds {
        0..=9 => gettext("a few seconds"),
        10..=59 => {
            let number = seconds.div_ceil(10) * 10;
            say(
                ngettext("{number} second", "{number} seconds", plural(number)),
                number,
            )
        }
        60..=5399 => {
            let number = seconds.div_ceil(60);
            say(
                ngettext("{number} minute", "{number} minutes", plural(number)),
                number,
            )
        }
        _ => {
            let number = seconds.div_ceil(3600);
            say(
                ngettext("{number} hour", "{number} hours", plural(number)),
                number,
            )
        }
    }
}

/// About so long.
pub fn about(seconds: u64) -> String {
    match seconds {
        0..=9 => gettext("A few seconds"),
        _ => fill(&gettext("About {time}"), &[("time", &duration(seconds))]),
    }
}

/// What is left of it.
pub fn time_left(seconds: u64) -> String {
    match seconds {
        0..=9 => gettext("A few seconds left"),
        _ => fill(
            &gettext("About {time} left"),
            &[("time", &duration(seconds))],
        ),
    }
}

/// What is being done, in words.
pub fn stage(stage: Stage) -> String {
    match stage {
        Stage::Check => gettext("Looking at what is on the stick"),
        Stage::Merge => gettext("Putting the pieces together"),
        Stage::Build => gettext("Writing everything in its new place"),
        Stage::Verify => gettext("Reading it back, to be sure"),
        Stage::Commit => gettext("Swapping old for new"),
        Stage::Drop => gettext("Making room"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sugar_cellar::units::Sectors;

    fn overlay(used: u64, state: OverlayState) -> Overlay {
        Overlay {
            kind: OverlayKind::Snapshot,
            not_here: None,
            file: None,
            state,
            used_sectors: Sectors(used),
            total_sectors: Sectors(1000),
            metadata_sectors: Sectors(16),
            chunk_sectors: Sectors(8),
            percent: Some(used as f64 / 10.0),
        }
    }

    #[test]
    fn levels_change_at_70_and_90() {
        let level = |used| Level::of(&overlay(used, OverlayState::Active));
        assert_eq!(level(699), Level::Fine);
        assert_eq!(level(700), Level::Filling);
        assert_eq!(level(899), Level::Filling);
        assert_eq!(level(900), Level::NearlyFull);
        assert_eq!(Level::of(&overlay(1000, OverlayState::Full)), Level::Full);
        let unknown = Overlay {
            percent: None,
            ..overlay(0, OverlayState::Active)
        };
        assert_eq!(Level::of(&unknown), Level::Unknown);
        assert_eq!(
            Level::of(&overlay(10, OverlayState::Invalid)),
            Level::Broken
        );
    }

    #[test]
    fn a_percentage_is_whole_and_never_100_too_early() {
        assert_eq!(whole_percent(41.4), 41);
        assert_eq!(whole_percent(99.9), 99);
        assert_eq!(whole_percent(100.0), 100);
        assert_eq!(whole_percent(-3.0), 0);
        assert_eq!(whole_percent(f64::NAN), 100);
    }

    #[test]
    fn numbers_are_said_as_a_person_would() {
        for (number, said) in [
            (0, 0),
            (7, 7),
            (19, 19),
            (47, 40),
            (99, 90),
            (123, 120),
            (1234, 1200),
        ] {
            assert_eq!(rounded(number), said, "{number}");
        }
    }

    #[test]
    fn values_are_isolated() {
        assert_eq!(fill("a {b} c", &[("b", "4 %")]), "a \u{2068}4 %\u{2069} c");
        assert!(percent(41.0).starts_with('\u{2066}'));
    }

    #[test]
    fn durations_round_up() {
        assert_eq!(duration(3), "a few seconds");
        assert_eq!(duration(11), "\u{2068}20\u{2069} seconds");
        assert_eq!(duration(61), "\u{2068}2\u{2069} minutes");
        assert_eq!(duration(5400), "\u{2068}2\u{2069} hours");
    }
}
