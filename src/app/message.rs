//! One line of the helper, understood.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::borrow::Cow;
use sugar_cellar::protocol::{Event, Explanation, Listing, Plan, Status};

/// What a line says.
#[derive(Debug)]
pub enum Message {
    /// An event of a long command.
    Event(Event),
    /// What an overlay's space is spent on; an event, too.
    Explained(Box<Explanation>),
    /// A stick's status.
    Status(Box<Status>),
    /// What a refresh would do.
    Plan(Box<Plan>),
    /// The sticks that were found.
    Listing(Listing),
}

impl Message {
    /// Of one line; none for what is not understood: a later helper may say more.
    pub fn parse(line: &[u8]) -> Option<Message> {
        let told: Told = serde_json::from_slice(line).ok()?;
        match told.event.as_deref() {
            // Many megabytes, which an enum told apart by a field of its own would hold twice.
            Some("explained") => {
                read(line).map(|Explained { explanation }| Message::Explained(explanation))
            }
            Some(_) => read(line).map(Message::Event),
            None if told.sticks.is_some() => read(line).map(Message::Listing),
            None if told.refusals.is_some() => read(line).map(|plan| Message::Plan(Box::new(plan))),
            None => read(line).map(|status| Message::Status(Box::new(status))),
        }
    }
}

/// What tells lines apart.
#[derive(Deserialize)]
struct Told<'l> {
    #[serde(borrow)]
    event: Option<Cow<'l, str>>,
    sticks: Option<IgnoredAny>,
    refusals: Option<IgnoredAny>,
}

/// What is of use in an explanation's event.
#[derive(Deserialize)]
struct Explained {
    explanation: Box<Explanation>,
}

fn read<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    serde_json::from_slice(line).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart_by_their_names() {
        let parsed = |line: &str| Message::parse(line.as_bytes());
        assert!(matches!(
            parsed(r#"{"event":"hello","version":1}"#),
            Some(Message::Event(Event::Hello { version: 1 }))
        ));
        assert!(matches!(
            parsed(r#"{"sticks":[]}"#),
            Some(Message::Listing(_))
        ));
        let sums = r#"{"file_sectors":0,"folder_sectors":0,"record_sectors":0,"journal_sectors":0,
            "deleted_sectors":8,"list_sectors":16,"unused_sectors":0}"#;
        let explained = format!(
            r#"{{"event":"explained","stick":"live","seconds":0.1,"explanation":{{"used_sectors":24,
            "total_sectors":64,"chunk_sectors":8,"sums":{sums},"equal_sectors":null,"kinds":[],
            "unclear":0,"entries":[]}}}}"#
        );
        let Some(Message::Explained(explanation)) = parsed(&explained) else {
            panic!("{explained}");
        };
        assert_eq!(explanation.sums.deleted_sectors.0, 8);
    }

    #[test]
    fn what_is_not_understood_is_passed_over() {
        for line in [
            "",
            "{",
            "[]",
            "7",
            r#"{"event":"new"}"#,
            r#"{"sticks":7}"#,
            "\u{0}",
        ] {
            assert!(Message::parse(line.as_bytes()).is_none(), "{line}");
        }
    }
}
