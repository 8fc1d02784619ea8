//! Whether the helper is started directly or through `pkexec`, and what it is given as STICK.

use crate::client::Call;
use crate::known::{Kind, Known};
use std::path::Path;
use sugar_cellar::protocol::{Clutter, Measure};

/// What the window asks of the helper about one stick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Watch,
    Explain,
    Tidy,
    Clean(Clutter),
    /// How measures stand, or one of them switched.
    Prevent(Option<(Measure, bool)>),
    Plan,
    Refresh,
}

impl Verb {
    /// As a person types it.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Watch => "watch",
            Verb::Explain => "explain",
            Verb::Tidy => "tidy",
            Verb::Clean(_) => "clean",
            Verb::Prevent(_) => "prevent",
            Verb::Plan => "plan",
            Verb::Refresh => "refresh",
        }
    }

    /// Whether it changes the stick.
    pub fn changes(self) -> bool {
        matches!(
            self,
            Verb::Tidy | Verb::Clean(_) | Verb::Prevent(Some(_)) | Verb::Refresh
        )
    }

    /// Its polkit action.
    pub fn action(self) -> String {
        format!("{}.{}", crate::config::APP_ID.to_lowercase(), self.name())
    }
}

/// What the person may do with the stick's files directly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Access {
    pub read: bool,
    pub write: bool,
    /// The window itself runs as administrator.
    pub root: bool,
}

/// How the helper is started; none where the stick can only be reached by mounting it as somebody else.
///
/// Under `pkexec` the helper takes only a block device or `live`, never a path of the caller's.
pub fn call(verb: Verb, stick: &Known, access: Access) -> Option<Call> {
    let enough = access.root
        || if verb.changes() {
            access.write
        } else {
            access.read
        };
    let (named, asked) = match (stick.kind, &stick.path, &stick.device) {
        (Kind::Booted, ..) => {
            // A person's own are that person's; and how measures stand, all may see.
            let own = match verb {
                Verb::Clean(clutter) => clutter.is_own(),
                Verb::Prevent(what) => what.is_none_or(|(measure, _)| measure.is_own()),
                _ => false,
            };
            ("live".to_owned(), !access.root && !own)
        }
        (_, Some(path), _) if enough => (path.to_string_lossy().into_owned(), false),
        (_, _, Some(device)) => (device.clone(), !access.root),
        _ => return None,
    };
    let mut arguments = vec![verb.name().to_owned(), named];
    match verb {
        Verb::Refresh => {
            arguments.push("--yes".into());
            arguments.extend(expected(stick));
        }
        Verb::Tidy => arguments.extend(expected(stick)),
        // All that an overlay holds may take minutes to read.
        Verb::Explain => arguments.push("--quick".into()),
        Verb::Clean(clutter) => arguments.push(clutter.word().into()),
        Verb::Prevent(Some((measure, on))) => {
            let switch = if on { "on" } else { "off" };
            arguments.extend([measure.word().into(), switch.into()]);
        }
        _ => {}
    }
    Some(Call { arguments, asked })
}

/// That no other stick is meant, which may have been plugged in at its place since. None can take the
/// place of the one that the computer runs from.
fn expected(stick: &Known) -> Vec<String> {
    let uuid = stick.identity().filter(|_| stick.kind != Kind::Booted);
    uuid.map_or(vec![], |uuid| vec!["--expect".into(), uuid.into()])
}

/// The same with a folder on another disk, from which the old image is replaced (`agreed`), or a cut
/// replacement completed; none where the helper would run for another user, and follows no path.
pub fn by_way_of(mut call: Call, folder: &Path, agreed: bool) -> Option<Call> {
    if call.asked {
        return None;
    }
    let folder = folder.to_str()?.to_owned();
    call.arguments.extend(["--scratch".to_owned(), folder]);
    if agreed {
        call.arguments.push("--replace".to_owned());
    }
    Some(call)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    const ALL: Access = Access {
        read: true,
        write: true,
        root: false,
    };
    const READ: Access = Access {
        read: true,
        write: false,
        root: false,
    };
    const ROOT: Access = Access {
        read: false,
        write: false,
        root: true,
    };

    fn stick(kind: Kind, path: Option<&str>, device: Option<&str>) -> Known {
        Known {
            path: path.map(PathBuf::from),
            device: device.map(str::to_owned),
            ..Known::opened("x".as_ref(), kind)
        }
    }

    #[test]
    fn what_a_person_may_write_needs_no_password() {
        let fat = stick(Kind::Plugged, Some("/media/me/S"), Some("/dev/sdb1"));
        let call = call(Verb::Refresh, &fat, ALL).unwrap();
        assert_eq!(call.arguments, ["refresh", "/media/me/S", "--yes"]);
        assert!(!call.asked);
    }

    #[test]
    fn what_changes_a_stick_names_it() {
        let known = Known {
            uuid: Some("12AB-34CD".into()),
            ..stick(Kind::Plugged, None, Some("/dev/sdb1"))
        };
        let arguments = |verb| call(verb, &known, READ).unwrap().arguments;
        let wanted = ["refresh", "/dev/sdb1", "--yes", "--expect", "12AB-34CD"];
        assert_eq!(arguments(Verb::Refresh), wanted);
        let wanted = ["tidy", "/dev/sdb1", "--expect", "12AB-34CD"];
        assert_eq!(arguments(Verb::Tidy), wanted);
        assert_eq!(arguments(Verb::Watch), ["watch", "/dev/sdb1"]);
    }

    #[test]
    fn what_only_root_may_write_goes_by_its_device() {
        let ext4 = stick(Kind::Plugged, Some("/media/me/S"), Some("/dev/sdb1"));
        let refresh = call(Verb::Refresh, &ext4, READ).unwrap();
        assert_eq!(
            (refresh.arguments[1].as_str(), refresh.asked),
            ("/dev/sdb1", true)
        );
        let watch = call(Verb::Watch, &ext4, READ).unwrap();
        assert_eq!(
            (watch.arguments[1].as_str(), watch.asked),
            ("/media/me/S", false)
        );
    }

    #[test]
    fn the_booted_stick_is_live_whatever_is_mounted() {
        let booted = stick(Kind::Booted, Some("/run/initramfs/live"), Some("/dev/sda1"));
        let call = call(Verb::Plan, &booted, ALL).unwrap();
        assert_eq!((call.arguments[1].as_str(), call.asked), ("live", true));
    }

    #[test]
    fn whoever_removes_their_own_files_is_not_asked() {
        let booted = stick(Kind::Booted, Some("/run/initramfs/live"), None);
        let asked = |clutter| {
            let call = call(Verb::Clean(clutter), &booted, READ).unwrap();
            assert_eq!(call.arguments, ["clean", "live", clutter.word()]);
            call.asked
        };
        assert!(!asked(Clutter::Trash));
        assert!(asked(Clutter::Logs));
    }

    #[test]
    fn a_folder_is_named_only_where_it_is_followed() {
        let fat = stick(Kind::Plugged, Some("/media/me/S"), Some("/dev/sdb1"));
        let folder = Path::new("/home/me/x");
        let direct = call(Verb::Refresh, &fat, ALL).unwrap();
        let replaced = by_way_of(direct.clone(), folder, true).unwrap();
        let wanted = ["--yes", "--scratch", "/home/me/x", "--replace"];
        assert_eq!(replaced.arguments[2..], wanted);
        let completed = by_way_of(direct, folder, false).unwrap();
        assert_eq!(completed.arguments[2..], wanted[..3]);
        let asked = call(Verb::Refresh, &fat, READ).unwrap();
        assert_eq!(by_way_of(asked, folder, true), None);
    }

    #[test]
    fn who_switches_their_own_or_only_looks_is_not_asked() {
        let booted = stick(Kind::Booted, Some("/run/initramfs/live"), None);
        let call = |what| call(Verb::Prevent(what), &booted, READ).unwrap();
        let looks = call(None);
        assert_eq!(looks.arguments, ["prevent", "live"]);
        assert!(!looks.asked);
        let own = call(Some((Measure::Cache, true)));
        assert_eq!(own.arguments, ["prevent", "live", "cache", "on"]);
        assert!(!own.asked);
        let system = call(Some((Measure::Journal, false)));
        assert_eq!(system.arguments, ["prevent", "live", "journal", "off"]);
        assert!(system.asked);
    }

    #[test]
    fn root_is_never_asked() {
        let device = stick(Kind::Plugged, None, Some("/dev/sdb1"));
        assert!(!call(Verb::Refresh, &device, ROOT).unwrap().asked);
    }

    #[test]
    fn a_folder_of_somebody_else_cannot_go_through_pkexec() {
        assert_eq!(
            call(
                Verb::Refresh,
                &stick(Kind::Opened, Some("/srv/s"), None),
                READ
            ),
            None
        );
    }
}
