//! What lies in LiveOS, and which of it dracut would use. Pure: names in, decision out.

use super::boot::{self, Asked};
use crate::error::{Error, Part, Result};
use crate::protocol::{ImageKind, OverlayKind};
use crate::storage::{Entry, EntryKind};
use crate::units::Bytes;
use std::collections::BTreeSet;

/// The folder on the stick that holds everything.
pub const LIVE_OS: &str = "LiveOS";
/// The compressed image that dracut looks for.
pub const IMAGE: &str = "squashfs.img";
/// A refresh's new image, and after the exchange its old one.
pub const SECOND_IMAGE: &str = "squashfs.new";
/// What a writing command has to remember over a power cut.
pub const NOTE: &str = "sugar-cellar.json";
/// The separate home file system.
pub const HOME: &str = "home.img";
/// What every overlay that dracut names by itself begins with.
const OVERLAY: &str = "overlay-";
/// Beside an OverlayFS upper folder lies its work folder.
const WORK: &str = "ovlwork";
/// Root images that lie on the stick uncompressed.
const UNCOMPRESSED: [&str; 2] = ["ext3fs.img", "rootfs.img"];

/// What the image holds; whoever can read images says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageContent {
    /// One ext4 image: its path inside (`LiveOS/rootfs.img` or `LiveOS/ext3fs.img`).
    Nested(String),
    /// The root file system itself.
    Flat,
}

/// What a file's first bytes say that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// A persistent exception store, or zeros where the kernel would begin one.
    Snapshot,
    /// A file system; for an ext4, the bytes used in it.
    FileSystem {
        /// Used bytes, where its superblock tells.
        used: Option<Bytes>,
    },
    /// A LUKS container.
    Encrypted,
    /// None of these.
    Other,
}

/// Which overlay the running system uses, where the stick is the booted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveOverlay {
    /// The file with this device and inode number.
    File((u64, u64)),
    /// One in memory: nothing is kept.
    Temporary,
}

/// What is known of the stick beside the names in LiveOS.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Whether LiveOS lies at the root of a file system whose label and UUID were looked for;
    /// false for a folder anywhere, which dracut would not find as it stands.
    pub at_root: bool,
    /// The file system's label, as blkid gives it.
    pub label: Option<String>,
    /// The file system's UUID, as blkid gives it.
    pub uuid: Option<String>,
    /// Whether names that differ only in case are the same (FAT).
    pub folds_case: bool,
    /// What the boot configuration asks for: [`boot::asked`] of all its texts.
    pub asked: Vec<Asked>,
    /// What the running system uses; none where it was not started from this stick.
    pub live: Option<LiveOverlay>,
}

/// The overlay that a boot would use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Overlay {
    /// None: what is saved is lost at shutdown.
    None,
    /// A file: a device-mapper snapshot's exception store.
    Snapshot(Entry),
    /// A file with a file system in it that holds the OverlayFS upper folder;
    /// the bytes used in it, where its superblock tells.
    Embedded(Entry, Option<Bytes>),
    /// An OverlayFS upper folder.
    Folder(Entry),
    /// On another file system, or outside LiveOS: not ours to touch.
    Elsewhere(String),
    /// Which one cannot be told for sure; why not, in English.
    Unclear(String),
}

/// A separate home on the stick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// Its file.
    pub entry: Entry,
    /// Used bytes, where they can be known.
    pub used: Option<Bytes>,
    /// Whether it is encrypted.
    pub encrypted: bool,
}

/// What lies in LiveOS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The image's file.
    pub image: Entry,
    /// How the root lies in it.
    pub kind: ImageKind,
    /// The inner image's path; none when flat.
    pub inner: Option<String>,
    /// The second image of a refresh that is under way, was cut, or waits for the shutdown.
    pub second: Option<Entry>,
    /// What an earlier command noted down ([`NOTE`]).
    pub note: Option<Entry>,
    /// The overlay that a boot would use.
    pub overlay: Overlay,
    /// Other overlays, which no boot uses.
    pub unused: Vec<String>,
    /// The separate home.
    pub home: Option<Home>,
}

impl Layout {
    /// The exception store's file, for what changes it.
    ///
    /// `Unsupported` for every other kind of overlay and for a flat image,
    /// `Refused` where the overlay cannot be told for sure, `NotFound` without one.
    pub fn snapshot(&self) -> Result<&Entry> {
        if self.kind == ImageKind::Flat {
            let detail = "the image is the root file system itself (flattened layout)";
            return Err(Error::unsupported(Part::Image, detail));
        }
        match &self.overlay {
            Overlay::Snapshot(entry) => Ok(entry),
            Overlay::None => Err(Error::not_found(
                Part::Overlay,
                "the stick has no overlay that a boot would use",
            )),
            Overlay::Embedded(entry, _) | Overlay::Folder(entry) => Err(Error::unsupported(
                Part::Overlay,
                format!("{} is an OverlayFS overlay", entry.name),
            )),
            Overlay::Elsewhere(place) => Err(Error::unsupported(
                Part::Overlay,
                format!("the overlay does not lie in LiveOS on this file system, but at {place}"),
            )),
            Overlay::Unclear(why) => Err(Error::refused(Part::Overlay, why.clone())),
        }
    }

    /// The overlay's kind, for a status.
    pub fn overlay_kind(&self) -> OverlayKind {
        match self.overlay {
            Overlay::Snapshot(_) => OverlayKind::Snapshot,
            Overlay::Embedded(..) | Overlay::Folder(_) => OverlayKind::Overlayfs,
            Overlay::None | Overlay::Elsewhere(_) | Overlay::Unclear(_) => OverlayKind::None,
        }
    }

    /// The overlay's entry, whatever its kind.
    pub fn overlay_entry(&self) -> Option<&Entry> {
        match &self.overlay {
            Overlay::Snapshot(entry) | Overlay::Embedded(entry, _) | Overlay::Folder(entry) => {
                Some(entry)
            }
            Overlay::None | Overlay::Elsewhere(_) | Overlay::Unclear(_) => None,
        }
    }
}

/// The image's entry: an error says what lies there instead.
pub fn image(entries: &[Entry], folds_case: bool) -> Result<&Entry> {
    let names = Names {
        entries,
        folds_case,
    };
    for name in UNCOMPRESSED {
        // Older dracuts prefer it to squashfs.img, newer ones do not.
        if names.find(name).is_some() {
            let detail = format!("the root lies uncompressed on the stick ({LIVE_OS}/{name})");
            return Err(Error::unsupported(Part::Stick, detail));
        }
    }
    let Some(image) = names.find(IMAGE) else {
        let detail = format!("no {LIVE_OS}/{IMAGE}");
        return Err(Error::not_found(Part::Stick, detail));
    };
    file(image)
}

/// Decides from names, from what is known of the stick, and from the image's content.
///
/// `head` looks into a file; it is asked for the chosen overlay and for the
/// home, at most once each, and only for regular files.
pub fn decide(
    entries: &[Entry],
    known: &Known,
    content: &ImageContent,
    head: &mut dyn FnMut(&Entry) -> Result<Head>,
) -> Result<Layout> {
    let names = Names {
        entries,
        folds_case: known.folds_case,
    };
    let image = image(entries, known.folds_case)?.clone();
    let overlay = match chosen(&names, known) {
        Choice::None => Overlay::None,
        Choice::Elsewhere(place) => Overlay::Elsewhere(place),
        Choice::Unclear(why) => Overlay::Unclear(why),
        Choice::Entry(entry) => kind(&names, entry, head)?,
    };
    let taken = match &overlay {
        Overlay::Snapshot(entry) | Overlay::Embedded(entry, _) | Overlay::Folder(entry) => {
            Some(entry.name.clone())
        }
        Overlay::None | Overlay::Elsewhere(_) | Overlay::Unclear(_) => None,
    };
    let unused = names
        .overlays()
        .map(|entry| entry.name.clone())
        .filter(|name| taken.as_ref() != Some(name))
        .collect();
    let (kind, inner) = match content {
        ImageContent::Nested(path) => (ImageKind::Nested, Some(path.clone())),
        ImageContent::Flat => (ImageKind::Flat, None),
    };
    Ok(Layout {
        image,
        kind,
        inner,
        second: names.find(SECOND_IMAGE).map(file).transpose()?.cloned(),
        note: names.find(NOTE).map(file).transpose()?.cloned(),
        overlay,
        unused,
        home: home(&names, head)?,
    })
}

/// The names in LiveOS, compared as the stick's file system does.
struct Names<'a> {
    entries: &'a [Entry],
    folds_case: bool,
}

impl<'a> Names<'a> {
    fn same(&self, one: &str, other: &str) -> bool {
        one == other || self.folds_case && one.eq_ignore_ascii_case(other)
    }

    fn find(&self, name: &str) -> Option<&'a Entry> {
        self.entries
            .iter()
            .find(|entry| self.same(&entry.name, name))
    }

    fn overlays(&self) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(|entry| {
            let start = entry.name.get(..OVERLAY.len());
            start.is_some_and(|start| self.same(start, OVERLAY))
        })
    }
}

/// The entry, if it is a regular file; what it is instead is an error.
fn file(entry: &Entry) -> Result<&Entry> {
    if entry.kind != EntryKind::File {
        let detail = format!("{LIVE_OS}/{} is not a regular file", entry.name);
        return Err(Error::refused(Part::Stick, detail));
    }
    Ok(entry)
}

enum Choice<'a> {
    None,
    Entry(&'a Entry),
    Elsewhere(String),
    Unclear(String),
}

/// What one boot entry's request leads to on this stick.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    /// A name in LiveOS.
    Here(String),
    /// The only overlay there is: the file system's name is not known.
    OnlyOne,
    Elsewhere(String),
    Unclear(String),
}

fn chosen<'a>(names: &Names<'a>, known: &Known) -> Choice<'a> {
    match known.live {
        Some(LiveOverlay::Temporary) => return Choice::None,
        Some(LiveOverlay::File(id)) => {
            return match names.entries.iter().find(|entry| entry.id == id) {
                Some(entry) => Choice::Entry(entry),
                None => Choice::Elsewhere("the running system's overlay".to_owned()),
            };
        }
        None => {}
    }
    if known.asked.is_empty() {
        return unasked(names, known);
    }
    let targets: BTreeSet<Target> = known
        .asked
        .iter()
        .filter_map(|asked| target(names, known, asked))
        .collect();
    let mut found: Vec<Choice<'a>> = Vec::new();
    let mut missing = None;
    for target in targets {
        match target {
            Target::Here(name) => match names.find(&name) {
                Some(entry) => found.push(Choice::Entry(entry)),
                None => missing = Some(name),
            },
            Target::OnlyOne => match only_one(names) {
                Choice::None => missing = Some(format!("{OVERLAY}…")),
                other => found.push(other),
            },
            Target::Elsewhere(place) => found.push(Choice::Elsewhere(place)),
            Target::Unclear(why) => found.push(Choice::Unclear(why)),
        }
    }
    if found.len() > 1 {
        let unclear = found
            .iter()
            .position(|one| matches!(one, Choice::Unclear(_)));
        return match unclear {
            Some(at) => found.swap_remove(at),
            None => Choice::Unclear("the boot entries ask for different overlays".to_owned()),
        };
    }
    match (found.pop(), missing) {
        (Some(choice), _) => choice,
        (None, Some(name)) => Choice::Unclear(format!(
            "the boot configuration asks for the overlay {name}, which is not there"
        )),
        (None, None) => Choice::None,
    }
}

/// No boot entry says anything: the one that dracut would name by itself, if there is any.
fn unasked<'a>(names: &Names<'a>, known: &Known) -> Choice<'a> {
    let Some(name) = own_name(known) else {
        return only_one(names);
    };
    match names.find(&name) {
        Some(entry) => Choice::Entry(entry),
        None if names.overlays().next().is_none() => Choice::None,
        None => Choice::Unclear(format!(
            "no overlay here is named after this file system ({name})"
        )),
    }
}

fn only_one<'a>(names: &Names<'a>) -> Choice<'a> {
    let mut overlays = names.overlays();
    match (overlays.next(), overlays.next()) {
        (None, _) => Choice::None,
        (Some(entry), None) => Choice::Entry(entry),
        (Some(_), Some(_)) => Choice::Unclear(
            "there are several overlays, and nothing tells which one a boot would use".to_owned(),
        ),
    }
}

/// `overlay-LABEL-UUID`; a file system without one of them has an empty one.
fn own_name(known: &Known) -> Option<String> {
    if !known.at_root || known.label.is_none() && known.uuid.is_none() {
        return None;
    }
    let label = known.label.as_deref().unwrap_or_default();
    let uuid = known.uuid.as_deref().unwrap_or_default();
    Some(format!("{OVERLAY}{label}-{uuid}"))
}

fn target(names: &Names<'_>, known: &Known, asked: &Asked) -> Option<Target> {
    let elsewhere = |place: &boot::Place| {
        let here = place.is(known.label.as_deref(), known.uuid.as_deref());
        known.at_root && here == Some(false)
    };
    match asked {
        Asked::Nothing => None,
        Asked::Unclear(spec) => Some(Target::Unclear(format!(
            "the boot configuration names the overlay by a variable ({spec})"
        ))),
        Asked::OtherImage(image) => Some(Target::Unclear(format!(
            "the boot configuration uses an overlay with another image ({image})"
        ))),
        Asked::Automatic(place) | Asked::Named(place, _) if elsewhere(place) => {
            Some(Target::Elsewhere(place.to_string()))
        }
        Asked::Automatic(_) => Some(own_name(known).map_or(Target::OnlyOne, Target::Here)),
        Asked::Named(_, path) => Some(match inside(names, path) {
            Some(name) => Target::Here(name.to_owned()),
            None => Target::Elsewhere(path.clone()),
        }),
    }
}

/// The name in LiveOS that an absolute path means; none where it leads elsewhere.
fn inside<'a>(names: &Names<'_>, path: &'a str) -> Option<&'a str> {
    let (folder, name) = path.trim_start_matches('/').split_once('/')?;
    let plain = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
    (names.same(folder, LIVE_OS) && plain).then_some(name)
}

fn kind(
    names: &Names<'_>,
    entry: &Entry,
    head: &mut dyn FnMut(&Entry) -> Result<Head>,
) -> Result<Overlay> {
    Ok(match entry.kind {
        EntryKind::Folder if names.find(WORK).is_some() => Overlay::Folder(entry.clone()),
        // dracut takes such a folder only with the work folder beside it.
        EntryKind::Folder => Overlay::Unclear(format!(
            "the overlay folder {} has no {WORK} beside it",
            entry.name
        )),
        EntryKind::Other => {
            Overlay::Unclear(format!("the overlay {} is not a regular file", entry.name))
        }
        EntryKind::File => match head(entry)? {
            // What is neither is for the exception list's reader to judge.
            Head::Snapshot | Head::Other => Overlay::Snapshot(entry.clone()),
            Head::FileSystem { used } => Overlay::Embedded(entry.clone(), used),
            Head::Encrypted => Overlay::Unclear(format!("the overlay {} is encrypted", entry.name)),
        },
    })
}

fn home(names: &Names<'_>, head: &mut dyn FnMut(&Entry) -> Result<Head>) -> Result<Option<Home>> {
    let Some(entry) = names.find(HOME).filter(|e| e.kind == EntryKind::File) else {
        return Ok(None);
    };
    let head = head(entry)?;
    let used = match head {
        Head::FileSystem { used } => used,
        Head::Snapshot | Head::Encrypted | Head::Other => None,
    };
    Ok(Some(Home {
        entry: entry.clone(),
        used,
        encrypted: head == Head::Encrypted,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn entry(name: &str, kind: EntryKind, inode: u64) -> Entry {
        Entry {
            name: name.to_owned(),
            kind,
            bytes: Bytes(4096),
            id: (1, inode),
        }
    }

    /// Files by these names, with inode numbers 1, 2, 3, …; `/` at the end makes a folder,
    /// `@` something that is neither.
    fn entries(names: &[&str]) -> Vec<Entry> {
        let one = |(at, name): (usize, &&str)| {
            let inode = at as u64 + 1;
            match (name.strip_suffix('/'), name.strip_suffix('@')) {
                (Some(name), _) => entry(name, EntryKind::Folder, inode),
                (_, Some(name)) => entry(name, EntryKind::Other, inode),
                _ => entry(name, EntryKind::File, inode),
            }
        };
        names.iter().enumerate().map(one).collect()
    }

    fn stick(label: &str, uuid: &str, boot: &[&str]) -> Known {
        let line = |options: &&str| boot::asked(&format!("append rd.live.image {options}"));
        Known {
            at_root: true,
            label: Some(label.to_owned()),
            uuid: Some(uuid.to_owned()),
            asked: boot.iter().flat_map(line).collect(),
            ..Known::default()
        }
    }

    fn nested() -> ImageContent {
        ImageContent::Nested("LiveOS/rootfs.img".to_owned())
    }

    fn layout(names: &[&str], known: &Known) -> Result<Layout> {
        decide(&entries(names), known, &nested(), &mut |_| {
            Ok(Head::Snapshot)
        })
    }

    /// The chosen name, `none`, `elsewhere` or `unclear`.
    fn overlay(names: &[&str], known: &Known) -> String {
        let mut all = vec![IMAGE];
        all.extend(names);
        match layout(&all, known).unwrap().overlay {
            Overlay::Snapshot(entry) | Overlay::Folder(entry) | Overlay::Embedded(entry, _) => {
                entry.name
            }
            Overlay::None => "none".to_owned(),
            Overlay::Elsewhere(_) => "elsewhere".to_owned(),
            Overlay::Unclear(_) => "unclear".to_owned(),
        }
    }

    #[test]
    fn the_overlay_is_the_one_that_dracut_would_take() {
        let own = "overlay-SOAS-12AB-34CD";
        let both = &[own, "overlay-OLD-0000-0000"][..];
        let auto = "rd.live.overlay=UUID=12AB-34CD";
        for (names, boot, expected) in [
            (both, &[auto][..], own),
            (both, &[], own),
            (both, &[auto, auto, "rd.live.check"], own),
            (both, &["rd.live.overlay=LABEL=SOAS:auto"], own),
            (both, &["rd.live.overlay=/dev/sdb1"], own),
            (
                both,
                &["rd.live.overlay=UUID=12AB-34CD:/LiveOS/overlay-OLD-0000-0000"],
                "overlay-OLD-0000-0000",
            ),
            (
                &["mine"],
                &["rd.live.overlay=UUID=12AB-34CD:/LiveOS/mine"],
                "mine",
            ),
            // Entries that keep nothing beside one that does.
            (both, &["", "rd.live.overlay=none", auto], own),
            // Nobody asks: nothing is kept, though files lie there.
            (both, &[""], "none"),
            (&[], &[], "none"),
            (&[], &["rd.live.overlay=none"], "none"),
            // Asked for, and not there.
            (&[], &[auto], "unclear"),
            (&["overlay-OLD-0000-0000"], &[auto], "unclear"),
            (&["overlay-OLD-0000-0000"], &[], "unclear"),
            // Somewhere else.
            (both, &["rd.live.overlay=UUID=0000-0000"], "elsewhere"),
            (both, &["rd.live.overlay=LABEL=DATA"], "elsewhere"),
            (both, &["rd.live.overlay=UUID=12AB-34CD:/mine"], "elsewhere"),
            (
                both,
                &["rd.live.overlay=UUID=12AB-34CD:/LiveOS/a/b"],
                "elsewhere",
            ),
            (
                both,
                &["rd.live.overlay=UUID=12AB-34CD:/LiveOS/.."],
                "elsewhere",
            ),
            // Entries that disagree, or that only the loader understands.
            (both, &[auto, "rd.live.overlay=UUID=0000-0000"], "unclear"),
            (
                both,
                &[
                    auto,
                    "rd.live.overlay=UUID=12AB-34CD:/LiveOS/overlay-OLD-0000-0000",
                ],
                "unclear",
            ),
            (both, &[auto, "rd.live.overlay=$x"], "unclear"),
            (
                both,
                &[auto, "rd.live.squashimg=a.img rd.live.overlay=UUID=1"],
                "unclear",
            ),
        ] {
            let known = stick("SOAS", "12AB-34CD", boot);
            assert_eq!(overlay(names, &known), expected, "{names:?} {boot:?}");
        }
    }

    #[test]
    fn a_file_system_without_label_leaves_its_place_empty() {
        let known = Known {
            label: None,
            ..stick("", "12AB-34CD", &[])
        };
        assert_eq!(
            overlay(&["overlay--12AB-34CD"], &known),
            "overlay--12AB-34CD"
        );
    }

    #[test]
    fn a_bare_folder_must_leave_no_choice() {
        let bare = Known::default();
        assert_eq!(overlay(&[], &bare), "none");
        assert_eq!(overlay(&["overlay-A-1"], &bare), "overlay-A-1");
        assert_eq!(overlay(&["overlay-A-1", "overlay-B-2"], &bare), "unclear");
        let asked = Known {
            asked: boot::asked("rd.live.image rd.live.overlay=UUID=2"),
            ..Known::default()
        };
        assert_eq!(overlay(&["overlay-A-1"], &asked), "overlay-A-1");
        assert_eq!(overlay(&["overlay-A-1", "overlay-B-2"], &asked), "unclear");
        assert_eq!(overlay(&[], &asked), "unclear");
    }

    #[test]
    fn the_running_system_knows_its_own() {
        let known = |live| Known {
            live: Some(live),
            ..stick("SOAS", "1", &["rd.live.overlay=UUID=1"])
        };
        let names = &["overlay-SOAS-1", "overlay-B-2"];
        // The image has inode 1, the overlays 2 and 3.
        let second = known(LiveOverlay::File((1, 3)));
        assert_eq!(overlay(names, &second), "overlay-B-2");
        assert_eq!(overlay(names, &known(LiveOverlay::Temporary)), "none");
        let other = known(LiveOverlay::File((2, 3)));
        assert_eq!(overlay(names, &other), "elsewhere");
    }

    #[test]
    fn fat_folds_case() {
        let known = Known {
            folds_case: true,
            ..stick("SOAS", "12AB-34CD", &[])
        };
        let names = &["SQUASHFS.IMG", "OVERLAY-SOAS-12AB-34CD", "Home.img"];
        let found = layout(names, &known).unwrap();
        assert_eq!(found.image.name, "SQUASHFS.IMG");
        assert_eq!(found.snapshot().unwrap().name, "OVERLAY-SOAS-12AB-34CD");
        assert!(found.home.is_some());
        let strict = stick("SOAS", "12AB-34CD", &[]);
        assert!(layout(names, &strict).is_err());
    }

    #[test]
    fn only_a_regular_compressed_image_is_taken() {
        let known = stick("A", "1", &[]);
        for (names, kind) in [
            (&["home.img"][..], ErrorKind::NotFound),
            (&[], ErrorKind::NotFound),
            (&["squashfs.img@"], ErrorKind::Refused),
            (&["squashfs.img/"], ErrorKind::Refused),
            (&["rootfs.img"], ErrorKind::Unsupported),
            (&["squashfs.img", "ext3fs.img"], ErrorKind::Unsupported),
            (&["squashfs.img", "squashfs.new@"], ErrorKind::Refused),
            (&["squashfs.img", "sugar-cellar.json/"], ErrorKind::Refused),
        ] {
            let error = layout(names, &known).unwrap_err();
            assert_eq!(error.kind(), kind, "{names:?}: {error}");
        }
    }

    #[test]
    fn overlays_of_other_kinds_are_told_apart() {
        let known = stick("A", "1", &[]);
        let with = |names: &[&str], head| {
            decide(&entries(names), &known, &nested(), &mut |_| Ok(head)).unwrap()
        };
        let upper = with(&[IMAGE, "overlay-A-1/", "ovlwork/"], Head::Other);
        assert!(matches!(upper.overlay, Overlay::Folder(_)));
        assert_eq!(upper.overlay_kind(), OverlayKind::Overlayfs);
        assert_eq!(upper.snapshot().unwrap_err().kind(), ErrorKind::Unsupported);
        let alone = with(&[IMAGE, "overlay-A-1/"], Head::Other);
        assert!(matches!(alone.overlay, Overlay::Unclear(_)));
        let used = Head::FileSystem { used: None };
        let embedded = with(&[IMAGE, "overlay-A-1"], used);
        assert!(matches!(embedded.overlay, Overlay::Embedded(..)));
        let pipe = with(&[IMAGE, "overlay-A-1@"], Head::Snapshot);
        assert_eq!(pipe.snapshot().unwrap_err().kind(), ErrorKind::Refused);
        assert_eq!(pipe.unused, ["overlay-A-1"]);
    }

    #[test]
    fn the_rest_is_named() {
        let known = stick("A", "1", &[]);
        let names = &[
            IMAGE,
            SECOND_IMAGE,
            NOTE,
            HOME,
            "overlay-A-1",
            "overlay-B-2",
            "osmin.img",
        ];
        let used = Some(Bytes(77));
        let heads = &mut |entry: &Entry| match entry.name.as_str() {
            HOME => Ok(Head::FileSystem { used }),
            _ => Ok(Head::Snapshot),
        };
        let found = decide(&entries(names), &known, &nested(), heads).unwrap();
        assert_eq!(found.second.unwrap().name, SECOND_IMAGE);
        assert_eq!(found.note.unwrap().name, NOTE);
        assert_eq!(found.unused, ["overlay-B-2"]);
        let home = found.home.unwrap();
        assert_eq!((home.used, home.encrypted), (used, false));
        let flat = decide(&entries(names), &known, &ImageContent::Flat, &mut |_| {
            Ok(Head::Encrypted)
        });
        let flat = flat.unwrap();
        assert_eq!(flat.kind, ImageKind::Flat);
        assert!(flat.home.as_ref().unwrap().encrypted);
        assert_eq!(flat.snapshot().unwrap_err().kind(), ErrorKind::Unsupported);
    }
}
