//! What lets a stick fill more slowly, in words: what it costs, what it is about, and what it came to.

use crate::history::Paces;
use crate::words::{fill, size};
use gettextrs::gettext;
use sugar_cellar::helper::kinds;
use sugar_cellar::protocol::{Explanation, Measure, MeasureState, Prevention};
use sugar_cellar::units::Sectors;

/// What it costs.
pub fn cost(measure: Measure) -> String {
    match measure {
        Measure::Cache => {
            gettext("They take memory, and programs are slower again after each start.")
        }
        Measure::Tmp => gettext("They take memory, and are gone after a restart."),
        Measure::Journal => {
            gettext("It is gone after a restart, for whoever looks for a fault then.")
        }
        Measure::Noatime => {
            gettext("When a file was read last is no longer noted; hardly any program asks.")
        }
        Measure::Logs => gettext("Everyday messages are not kept; warnings and errors are."),
    }
}

/// What the overlay holds of it now; none for what is no file of its own. `home` is the caller's.
pub fn held(measure: Measure, explanation: &Explanation, home: &str) -> Option<Sectors> {
    let folder = match measure {
        Measure::Cache => format!("{}/.cache/", home.trim_matches('/')),
        Measure::Tmp => "tmp/".to_owned(),
        Measure::Journal => "var/log/journal/".to_owned(),
        Measure::Noatime | Measure::Logs => return None,
    };
    let entries = explanation.entries.iter();
    let inside = entries.filter(|entry| entry.path.starts_with(&folder));
    Some(Sectors(inside.map(|entry| entry.sectors.0).sum()))
}

/// What is said below its name: what it costs, what of it lies in the overlay, and from when on.
pub fn sentence(stands: &Prevention, held: Option<Sectors>) -> String {
    let mut parts = vec![cost(stands.measure)];
    if let Some(held) = held.filter(|held| held.0 > 0) {
        let values = [("size", &*size(held.0.saturating_mul(512)))];
        parts.push(fill(
            &gettext("{size} of the overlay were spent on it."),
            &values,
        ));
    }
    match stands.state {
        MeasureState::Impossible | MeasureState::Already => {
            parts.push(kinds::stands(stands));
        }
        MeasureState::On | MeasureState::Off if !stands.effective => {
            parts.push(gettext("It takes effect at the next start."));
        }
        MeasureState::On | MeasureState::Off => {}
    }
    parts.join(" ")
}

/// What was switched, in passing.
pub fn switched(stands: &Prevention) -> String {
    let values = [
        ("what", &*kinds::measure(stands.measure)),
        ("state", &*kinds::stands(stands)),
    ];
    fill(&gettext("{what}: {state}"), &values)
}

/// How fast the overlay grew before and since.
pub fn paces(paces: Paces) -> String {
    let hour = |sectors: u64| size(sectors.saturating_mul(512));
    match paces {
        Paces::Unknown => gettext(
            "Once this window was open for an hour, it says here how fast the overlay grows.",
        ),
        Paces::Now(now) => fill(
            &gettext(
                "While this window was open, the overlay grew by about {size} an hour. An hour after you switch something here, this is compared.",
            ),
            &[("size", &hour(now))],
        ),
        Paces::Before(before) => fill(
            &gettext(
                "Before you switched something here, the overlay grew by about {size} an hour. An hour from then on, this is compared.",
            ),
            &[("size", &hour(before))],
        ),
        Paces::Both(before, since) => fill(
            &gettext(
                "Before you switched something here, the overlay grew by about {before} an hour; since then by about {since} an hour, with all that was done while this window was open.",
            ),
            &[("before", &hour(before)), ("since", &hour(since))],
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_says_what_it_costs_holds_and_from_when_on() {
        let mut stands = Prevention {
            measure: Measure::Tmp,
            state: MeasureState::On,
            effective: false,
            obstacle: None,
            detail: String::new(),
        };
        let text = sentence(&stands, Some(Sectors(2000)));
        assert!(text.contains(&size(1_024_000)), "{text}");
        assert!(
            text.ends_with("It takes effect at the next start."),
            "{text}"
        );
        stands.effective = true;
        assert_eq!(sentence(&stands, Some(Sectors(0))), cost(Measure::Tmp));
        stands.state = MeasureState::Already;
        let text = sentence(&stands, None);
        assert!(text.ends_with("The system does so by itself."), "{text}");
    }
}
