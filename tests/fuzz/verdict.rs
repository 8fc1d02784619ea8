//! What may come of a damaged file, and what may not.

use std::io;
use sugar_cellar::error::{Error, ErrorKind};

/// A target's end. `Ok` and `Refused` name, roughly, how far it came: an input that comes to a
/// new end is kept and damaged further.
pub type Verdict = Result<String, Ended>;

#[derive(Debug)]
pub enum Ended {
    /// As it should be: a clear error.
    Refused(String),
    /// A property does not hold.
    Wrong(String),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Ended {
        let text = error.to_string();
        // The bytes are all there, so nothing but their meaning can be wrong.
        if matches!(error.kind(), ErrorKind::Io) {
            return Ended::Wrong(format!("damage ends as an input or output error: {text}"));
        }
        Ended::Refused(roughly(&text))
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Ended {
        match error.downcast::<Error>() {
            Ok(error) => error.into(),
            Err(error) => Ended::Wrong(format!("damage ends as {error}")),
        }
    }
}

/// Without what differs from file to file: numbers, and what stands in quotes.
pub fn roughly(text: &str) -> String {
    let mut rough = String::new();
    for c in text.chars() {
        let c = if c.is_ascii_hexdigit() && !c.is_ascii_lowercase() {
            '#'
        } else {
            c
        };
        if !(c == '#' && rough.ends_with('#')) && c.is_ascii() && rough.len() < 120 {
            rough.push(c);
        }
    }
    rough
}

/// Ends a target as wrong unless something holds.
#[macro_export]
macro_rules! ensure {
    ($holds:expr, $($text:tt)*) => {
        if !$holds {
            return Err($crate::verdict::Ended::Wrong(format!($($text)*)));
        }
    };
}
