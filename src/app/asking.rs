//! Asks polkit beforehand whether a password will be asked for.

use crate::route::Verb;
use gtk::gio;
use gtk::gio::prelude::*;
use gtk::glib::{self, Variant};
use std::collections::HashMap;

pub const POLKIT: &str = "org.freedesktop.PolicyKit1";
pub const AUTHORITY: &str = "/org/freedesktop/PolicyKit1/Authority";
pub const AUTHORITY_INTERFACE: &str = "org.freedesktop.PolicyKit1.Authority";

/// What polkit would say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Yes, without a question.
    Yes,
    /// It will ask for a password.
    Password,
    /// No, whatever is typed.
    No,
    /// It cannot be asked.
    Unknown,
}

/// This process, as polkit names a subject. Its start time, in clock ticks after boot, is the
/// 22nd field of /proc/self/stat (proc(5)); 0 lets polkit look it up.
pub fn subject() -> Variant {
    let details: HashMap<&str, Variant> = HashMap::from([
        ("pid", std::process::id().to_variant()),
        ("start-time", start_time().to_variant()),
    ]);
    ("unix-process", details).to_variant()
}

fn start_time() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name, in parentheses, may hold anything; the third field follows the last of them.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    fields
        .split_whitespace()
        .nth(19)
        .and_then(|field| field.parse().ok())
        .unwrap_or(0)
}

/// What polkit would say to `verb`, without asking the person.
pub async fn answer(verb: Verb) -> Answer {
    check(&verb.action()).await.unwrap_or(Answer::Unknown)
}

async fn check(action: &str) -> Result<Answer, glib::Error> {
    let bus = gio::bus_get_future(gio::BusType::System).await?;
    let nothing: HashMap<String, String> = HashMap::new();
    // Without the flag for interaction (1) nobody is asked.
    let question = Variant::tuple_from_iter([
        subject(),
        action.to_variant(),
        nothing.to_variant(),
        0u32.to_variant(),
        "".to_variant(),
    ]);
    let reply = bus
        .call_future(
            Some(POLKIT),
            AUTHORITY,
            AUTHORITY_INTERFACE,
            "CheckAuthorization",
            Some(&question),
            None,
            gio::DBusCallFlags::NONE,
            5_000,
        )
        .await?;
    let result = reply.child_value(0);
    let said = |index| result.child_value(index).get::<bool>().unwrap_or(false);
    Ok(match (said(0), said(1)) {
        (true, _) => Answer::Yes,
        (false, true) => Answer::Password,
        (false, false) => Answer::No,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_start_time() {
        assert!(start_time() > 0);
        assert_eq!(subject().type_().as_str(), "(sa{sv})");
    }
}
