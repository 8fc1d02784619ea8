//! One line of the helper, understood.

use serde::de::DeserializeOwned;
use serde_json::Value;
use sugar_cellar::protocol::{Event, Listing, Plan, Status};

/// What a line says.
#[derive(Debug)]
pub enum Message {
    /// An event of a long command.
    Event(Event),
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
        let value: Value = serde_json::from_slice(line).ok()?;
        if value.get("event").is_some() {
            return read(value).map(Message::Event);
        }
        if value.get("sticks").is_some() {
            return read(value).map(Message::Listing);
        }
        if value.get("refusals").is_some() {
            return read(value).map(|plan| Message::Plan(Box::new(plan)));
        }
        read(value).map(|status| Message::Status(Box::new(status)))
    }
}

fn read<T: DeserializeOwned>(value: Value) -> Option<T> {
    serde_json::from_value(value).ok()
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
