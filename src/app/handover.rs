//! `sugar-cellar COMMAND …` is the helper's command line.

use crate::config;
use std::env;
use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::{self, Command};

/// The helper's commands, as a person types them.
const COMMANDS: &[&str] = &[
    "list",
    "status",
    "watch",
    "explain",
    "plan",
    "refresh",
    "tidy",
    "enlarge",
    "check",
    "practice",
    "finish",
    "completions",
    "man",
    "help",
];

/// Whether the first argument names a command of the helper. A stick of that name in the
/// current folder is written `./refresh`, as everywhere.
fn is_command(first: Option<&OsStr>) -> bool {
    first
        .and_then(OsStr::to_str)
        .is_some_and(|first| COMMANDS.contains(&first))
}

/// Becomes the helper where a command was typed; otherwise returns.
pub fn to_helper() {
    if !is_command(env::args_os().nth(1).as_deref()) {
        return;
    }
    let helper = config::helper();
    let error = Command::new(&helper).args(env::args_os().skip(1)).exec();
    eprintln!("sugar-cellar: {}: {error}", helper.display());
    process::exit(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_go_to_the_helper_and_sticks_do_not() {
        for command in COMMANDS {
            assert!(is_command(Some(OsStr::new(command))), "{command}");
        }
        for stick in [
            "/media/me/STICK",
            "live",
            "./refresh",
            "stick.img",
            "--version",
            "",
        ] {
            assert!(!is_command(Some(OsStr::new(stick))), "{stick}");
        }
        assert!(!is_command(None));
    }
}
