//! The sticks that the window knows of.

use crate::words;
use gettextrs::gettext;
use gtk::glib;
use std::path::{Path, PathBuf};
use sugar_cellar::protocol::{Found, OverlayKind, Status};

/// Where a stick came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The running system was started from it.
    Booted,
    /// Plugged in.
    Plugged,
    /// A folder or an image that was opened.
    Opened,
    /// A practice stick of this window.
    Practice,
}

/// A stick.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// Tells it from the others, as long as the window lives.
    pub key: String,
    pub kind: Kind,
    pub label: Option<String>,
    /// Its file system's UUID, by which it is told from another at the same place.
    pub uuid: Option<String>,
    /// A folder that holds it, or an image file.
    pub path: Option<PathBuf>,
    /// Its block device.
    pub device: Option<String>,
    pub bytes: Option<u64>,
    /// Maker and model.
    pub model: Option<String>,
    /// Where it is plugged in, as the system names it.
    pub port: Option<String>,
    /// What was read last.
    pub status: Option<Status>,
}

impl Known {
    /// One that the helper found.
    pub fn found(found: Found) -> Known {
        let kind = if found.booted {
            Kind::Booted
        } else {
            Kind::Plugged
        };
        Known {
            key: if found.booted {
                "live".into()
            } else {
                found.path
            },
            kind,
            label: found.label,
            uuid: found.uuid,
            path: found.mounted.map(PathBuf::from),
            device: found.device,
            bytes: Some(found.bytes.0),
            model: found.model,
            port: found.port,
            status: None,
        }
    }

    /// A folder, a device or an image file that a person named.
    pub fn opened(path: &Path, kind: Kind) -> Known {
        let device = path
            .starts_with("/dev")
            .then(|| path.to_string_lossy().into_owned());
        Known {
            key: path.to_string_lossy().into_owned(),
            kind,
            label: None,
            uuid: None,
            path: device.is_none().then(|| path.to_owned()),
            device,
            bytes: None,
            model: None,
            port: None,
            status: None,
        }
    }

    /// Its file system's UUID, as the list or else its status tells it.
    pub fn identity(&self) -> Option<&str> {
        let status = || self.status.as_ref()?.stick.uuid.as_deref();
        self.uuid.as_deref().or_else(status)
    }

    /// Whether it was made to practise on, by this window or by somebody else.
    pub fn is_practice(&self) -> bool {
        let overlay = || self.status.as_ref()?.overlay.file.as_deref();
        self.kind == Kind::Practice
            || overlay().is_some_and(|file| file.contains("/overlay-PRACTICE-"))
    }

    /// Whether there are experiments for it, and whether the learner does them.
    pub fn experiments(&self) -> Option<bool> {
        let overlay = &self.status.as_ref()?.overlay;
        // An overlay that is a folder gives back what is deleted: the lesson would not be so.
        let snapshot = overlay.kind == OverlayKind::Snapshot;
        let live = self.kind == Kind::Booted;
        (snapshot && (live || self.is_practice())).then_some(live)
    }

    fn file_name(&self) -> Option<String> {
        let name = self.path.as_ref()?.file_name()?;
        Some(name.to_string_lossy().into_owned())
    }

    /// What a person calls it.
    pub fn name(&self) -> String {
        let label = self
            .label
            .clone()
            .or_else(|| self.status.as_ref()?.stick.label.clone());
        match self.kind {
            Kind::Practice => gettext("Practice Stick"),
            _ => label
                .filter(|label| !label.is_empty())
                .or_else(|| self.file_name())
                .unwrap_or_else(|| gettext("Stick without a Name")),
        }
    }

    /// What tells it from another of the same name.
    pub fn about(&self, refreshed: Option<&str>) -> String {
        let mut parts = Vec::new();
        match self.kind {
            Kind::Booted => parts.push(gettext("this computer runs from it")),
            Kind::Practice => parts.push(gettext("nothing can go wrong here")),
            Kind::Opened => parts.extend(self.path.as_ref().map(|path| path.display().to_string())),
            Kind::Plugged => {}
        }
        parts.extend(self.bytes.map(words::size));
        parts.extend(self.model.clone());
        // Translators: where a stick is plugged in, as the system counts ports: "port 1-4.2".
        let port = |port: &String| gettext("port {port}").replace("{port}", port);
        parts.extend(self.port.as_ref().map(port));
        parts.extend(refreshed.map(str::to_owned));
        parts
            .iter()
            .map(|part| words::isolated(part))
            .collect::<Vec<_>>()
            .join(" · ")
    }
}

/// Takes what was found now: plugged ones come and go, opened ones stay, statuses are kept.
pub fn merge(known: &mut Vec<Known>, found: Vec<Found>) {
    let mut fresh: Vec<Known> = found.into_iter().map(Known::found).collect();
    for stick in &mut fresh {
        let same = |before: &&Known| before.key == stick.key && before.uuid == stick.uuid;
        if let Some(before) = known.iter().find(same) {
            stick.status.clone_from(&before.status);
        }
    }
    let listed = |stick: &Known| {
        fresh
            .iter()
            .any(|new| new.key == stick.key || new.path == stick.path && stick.path.is_some())
    };
    let kept = known
        .iter()
        .filter(|stick| stick.kind >= Kind::Opened && !listed(stick))
        .cloned();
    let mut all: Vec<Known> = kept.collect();
    all.extend(fresh);
    order(&mut all);
    *known = all;
}

/// Takes one more stick.
pub fn add(known: &mut Vec<Known>, opened: Known) {
    known.push(opened);
    order(known);
}

/// The order of the rows: by what is known of a stick from the start, so that none jumps under a pointer.
fn order(known: &mut [Known]) {
    known.sort_by_cached_key(|stick| {
        let name = stick.label.clone().or_else(|| stick.file_name());
        let name = glib::CollationKey::from(name.unwrap_or_default());
        (stick.kind, name, stick.key.clone())
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use sugar_cellar::units::Bytes;

    fn found(device: &str, booted: bool) -> Found {
        Found {
            path: device.into(),
            device: Some(device.into()),
            mounted: None,
            label: Some("STICK".into()),
            uuid: Some("12AB-34CD".into()),
            file_system: "vfat".into(),
            bytes: Bytes(4_000_000_000),
            booted,
            model: None,
            port: Some("1-4.2".into()),
        }
    }

    #[test]
    fn the_booted_stick_is_first_and_pulled_ones_go() {
        let mut known = Vec::new();
        merge(
            &mut known,
            vec![found("/dev/sdb1", false), found("/dev/sda1", true)],
        );
        let keys = |known: &[Known]| {
            known
                .iter()
                .map(|stick| stick.key.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(keys(&known), ["live", "/dev/sdb1"]);
        merge(&mut known, vec![found("/dev/sda1", true)]);
        assert_eq!(keys(&known), ["live"]);
    }

    const STATUS: &str = r#"{"stick":{"path":"/dev/sdb1","label":"STICK","file_system":"vfat","free_bytes":1,
        "booted":false},"image":{"kind":"flat","file":"LiveOS/squashfs.img","bytes":1,"compression":"xz",
        "block_bytes":1,"inner":null,"inner_bytes":null},"overlay":{"kind":"none","file":null,"state":"empty",
        "used_sectors":0,"total_sectors":0,"metadata_sectors":0,"chunk_sectors":0,"percent":0},"home":null,
        "pending":null}"#;

    #[test]
    fn another_stick_in_the_same_place_inherits_nothing() {
        let status: Status = serde_json::from_str(STATUS).unwrap();
        let mut known = vec![Known::found(found("/dev/sdb1", false))];
        known[0].status = Some(status.clone());
        merge(&mut known, vec![found("/dev/sdb1", false)]);
        assert_eq!(known[0].status, Some(status));
        let other = Found {
            uuid: Some("56EF-78AB".into()),
            ..found("/dev/sdb1", false)
        };
        merge(&mut known, vec![other]);
        assert_eq!(known[0].status, None);
        assert_eq!(known[0].identity(), Some("56EF-78AB"));
    }

    #[test]
    fn opened_sticks_stay() {
        let mut known = vec![Known::opened(Path::new("/tmp/stick"), Kind::Opened)];
        merge(&mut known, vec![found("/dev/sdb1", false)]);
        assert_eq!(known.len(), 2);
        assert_eq!(known[1].name(), "stick");
    }

    #[test]
    fn rows_do_not_jump_when_sticks_are_listed() {
        let mut known = Vec::new();
        add(&mut known, Known::opened(Path::new("/a/bo"), Kind::Opened));
        add(&mut known, Known::opened(Path::new("/b/ana"), Kind::Opened));
        let before = known.clone();
        merge(&mut known, Vec::new());
        assert_eq!(known, before);
        assert_eq!(known[0].name(), "ana");
    }

    #[test]
    fn a_device_is_no_path() {
        let stick = Known::opened(Path::new("/dev/sdb1"), Kind::Opened);
        assert_eq!(
            (stick.path, stick.device.as_deref()),
            (None, Some("/dev/sdb1"))
        );
    }

    #[test]
    fn two_of_one_name_are_told_apart() {
        let one = Known::found(found("/dev/sdb1", false));
        assert!(one.about(Some("refreshed today")).contains("1-4.2"));
    }
}
