//! What a stick's boot configuration asks of the overlay, as dracut would read it.
//!
//! dracut takes a persistent overlay only where the kernel's command line asks
//! for one: `rd.live.overlay=DEVICE[:PATH]` (or `rd.overlay=`, or `overlay=` in
//! the oldest ones). Without a path, or with `auto`, the path is
//! `/LiveOS/overlay-LABEL-UUID` with the *live* device's label and UUID, spelled
//! as blkid gives them. (dracut, modules.d/90dmsquash-live/dmsquash-live-root.sh,
//! `do_live_overlay`; overlayfs-lib.sh, `get_rd_overlay`; livecd-tools'
//! livecd-iso-to-disk writes the entries.)
//!
//! Everything here is pure: texts in, requests out.

use std::fmt;

/// The places below a stick's root where boot loaders keep their menus.
/// A last component with `*` stands for every name that begins and ends so.
pub const CONFIGURATIONS: &[&str] = &[
    "syslinux/syslinux.cfg",
    "syslinux/extlinux.conf",
    "syslinux/isolinux.cfg",
    "syslinux.cfg",
    "isolinux/isolinux.cfg",
    "extlinux/extlinux.conf",
    "boot/syslinux/syslinux.cfg",
    "boot/extlinux/extlinux.conf",
    "boot/isolinux/isolinux.cfg",
    "EFI/BOOT/grub.cfg",
    "EFI/BOOT/BOOT*.conf",
    "EFI/fedora/grub.cfg",
    "boot/grub/grub.cfg",
    "boot/grub2/grub.cfg",
    "loader/entries/*.conf",
];

/// A boot configuration longer than this, in bytes, is not read.
pub const LONGEST: u64 = 1 << 20;

/// Where an entry says that the overlay lies: the part before the colon.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The file system with this label.
    Label(String),
    /// The file system with this UUID.
    Uuid(String),
    /// A device named otherwise; which one, only the booting machine knows.
    Device(String),
}

/// What one boot entry asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// No persistent overlay.
    Nothing,
    /// The file `overlay-LABEL-UUID`, named after the live device.
    Automatic(Place),
    /// The file at this path, counted from that file system's root.
    Named(Place, String),
    /// An overlay for another image file than `squashfs.img`.
    OtherImage(String),
    /// Something with a variable in it, which only the boot loader can resolve.
    Unclear(String),
}

/// What the boot entries in `text` for the folder LiveOS ask for, in their order.
///
/// Works on every loader's menu, and on a kernel command line, alike: an entry
/// is a line with `rd.live.image`, `liveimg` or `root=live:…` among its words.
pub fn asked(text: &str) -> Vec<Asked> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| entry(&words(line)))
        .collect()
}

impl Place {
    /// From `LABEL=…`, `UUID=…`, `PARTUUID=…`, `PARTLABEL=…` or a path in /dev;
    /// `None` for what names no device (dracut's mount then fails, and nothing is kept).
    fn parse(spec: &str) -> Option<Place> {
        if let Some(label) = spec.strip_prefix("LABEL=") {
            return Some(Place::Label(label.to_owned()));
        }
        if let Some(uuid) = spec.strip_prefix("UUID=") {
            return Some(Place::Uuid(uuid.to_owned()));
        }
        if let Some(name) = spec.strip_prefix("/dev/disk/by-label/") {
            return Some(Place::Label(unescape(name)));
        }
        if let Some(name) = spec.strip_prefix("/dev/disk/by-uuid/") {
            return Some(Place::Uuid(unescape(name)));
        }
        let device = spec.starts_with("PARTUUID=")
            || spec.starts_with("PARTLABEL=")
            || spec.starts_with("/dev/");
        device.then(|| Place::Device(spec.to_owned()))
    }

    /// Whether it is the file system with this label and UUID; `None` where nobody can tell.
    pub fn is(&self, label: Option<&str>, uuid: Option<&str>) -> Option<bool> {
        match self {
            Place::Label(asked) => label.map(|label| label == asked),
            // FAT's are upper case, the others' lower case; nobody has both.
            Place::Uuid(asked) => uuid.map(|uuid| uuid.eq_ignore_ascii_case(asked)),
            Place::Device(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Label(label) => write!(f, "LABEL={label}"),
            Place::Uuid(uuid) => write!(f, "UUID={uuid}"),
            Place::Device(device) => f.write_str(device),
        }
    }
}

/// Undoes udev's `\x20` in names of links (libblkid, `blkid_encode_string`).
pub(super) fn unescape(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = rest
            .strip_prefix(b"\\x")
            .and_then(|hex| hex.get(..2))
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[4..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The words of a line. Quotes keep blanks together, and are taken off.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (Some(_), _) => word.push(letter),
            (None, '"' | '\'') => quote = Some(letter),
            (None, _) if letter.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            (None, _) => word.push(letter),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// The value of `name=value`, the last one winning; a bare `name` counts as `1`.
fn value<'a>(words: &'a [String], name: &str) -> Option<&'a str> {
    words.iter().rev().find_map(|word| {
        let rest = word.strip_prefix(name)?;
        match rest.strip_prefix('=') {
            Some(value) => Some(value),
            None => rest.is_empty().then_some("1"),
        }
    })
}

/// dracut's reading of a switch that is off unless given.
fn switch(words: &[String], name: &str) -> bool {
    value(words, name).is_some_and(|value| !matches!(value, "0" | "no" | "off" | "false"))
}

fn entry(words: &[String]) -> Option<Asked> {
    let live = switch(words, "rd.live.image")
        || switch(words, "liveimg")
        || value(words, "root").is_some_and(|root| root.starts_with("live:"));
    if !live {
        return None;
    }
    let folder = value(words, "rd.live.dir").or_else(|| value(words, "live_dir"));
    if folder.is_some_and(|folder| !folder.trim_matches('/').eq_ignore_ascii_case("LiveOS")) {
        return None;
    }
    let request = request(words);
    match value(words, "rd.live.squashimg") {
        Some(image) if !image.eq_ignore_ascii_case("squashfs.img") => match request {
            Asked::Nothing => None,
            _ => Some(Asked::OtherImage(image.to_owned())),
        },
        _ => Some(request),
    }
}

fn request(words: &[String]) -> Asked {
    // A thin pool or an unpacked image takes no overlay from the stick.
    if switch(words, "rd.live.overlay.thin") || switch(words, "rd.writable.fsimg") {
        return Asked::Nothing;
    }
    // `rd.overlay` alone is a switch, not a place; then the older names count.
    let newer =
        value(words, "rd.overlay").filter(|value| !matches!(*value, "" | "0" | "1" | "no" | "off"));
    let spec = newer
        .or_else(|| value(words, "rd.live.overlay"))
        .or_else(|| value(words, "overlay"))
        .unwrap_or_default();
    if spec.contains('$') {
        return Asked::Unclear(spec.to_owned());
    }
    // The device ends at the first colon, the path begins behind the last one.
    let device = spec.split(':').next().unwrap_or_default();
    let path = spec
        .contains(':')
        .then(|| spec.rsplit(':').next())
        .flatten();
    let Some(place) = Place::parse(device) else {
        return Asked::Nothing;
    };
    match path {
        None | Some("" | "auto") => Asked::Automatic(place),
        Some(path) => Asked::Named(place, path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uuid(uuid: &str) -> Place {
        Place::Uuid(uuid.to_owned())
    }

    #[test]
    fn entries_of_every_loader_are_found() {
        let syslinux = "default vesamenu.c32\n\
            label linux\n  kernel vmlinuz\n\
            append initrd=initrd.img root=live:UUID=1A2B-3C4D rootfstype=vfat rw rd.live.image \
            rd.live.overlay=UUID=1A2B-3C4D quiet\n\
            # append rd.live.image rd.live.overlay=UUID=other\n\
            label check\n append root=live:UUID=1A2B-3C4D rd.live.image rd.live.check\n";
        let both = [Asked::Automatic(uuid("1A2B-3C4D")), Asked::Nothing];
        assert_eq!(asked(syslinux), both);
        let grub = "menuentry 'Sugar' --class fedora {\n\
            linuxefi /images/pxeboot/vmlinuz root=live:LABEL=SOAS rd.live.image \
            'rd.live.overlay=LABEL=SOAS:/LiveOS/mine'\n}\n";
        let named = Asked::Named(Place::Label("SOAS".into()), "/LiveOS/mine".into());
        assert_eq!(asked(grub), [named]);
        let old = "append root=live:LABEL=OLPC liveimg overlay=LABEL=OLPC rw";
        let automatic = Asked::Automatic(Place::Label("OLPC".into()));
        assert_eq!(asked(old), [automatic]);
        assert_eq!(asked("linux /vmlinuz root=/dev/sda1 overlay=LABEL=x"), []);
    }

    #[test]
    fn what_dracut_takes_from_one_command_line() {
        let auto = || Asked::Automatic(uuid("1"));
        for (options, expected) in [
            ("", Asked::Nothing),
            ("rd.live.overlay", Asked::Nothing),
            ("rd.live.overlay=none", Asked::Nothing),
            ("rd.live.overlay=auto", Asked::Nothing),
            ("rd.overlay=tmpfs:size=4G", Asked::Nothing),
            ("rd.live.overlay=UUID=1", auto()),
            ("rd.live.overlay=UUID=1:auto", auto()),
            ("rd.live.overlay=UUID=2 rd.live.overlay=UUID=1", auto()),
            ("rd.overlay=UUID=1 rd.live.overlay=UUID=2", auto()),
            ("rd.overlay rd.live.overlay=UUID=1", auto()),
            ("rd.overlay=1 rd.live.overlay=UUID=1", auto()),
            ("overlay=UUID=2 rd.live.overlay=UUID=1", auto()),
            (
                "rd.live.overlay=UUID=1 rd.live.overlay.thin",
                Asked::Nothing,
            ),
            ("rd.live.overlay=UUID=1 rd.live.overlay.thin=0", auto()),
            ("rd.live.overlay=UUID=1 rd.writable.fsimg=1", Asked::Nothing),
            (
                "rd.live.overlay=/dev/sdb1:/o:/p",
                Asked::Named(Place::Device("/dev/sdb1".into()), "/p".into()),
            ),
            (
                "rd.live.overlay=/dev/disk/by-label/MY\\x20STICK",
                Asked::Automatic(Place::Label("MY STICK".into())),
            ),
            (
                "\"rd.live.overlay=LABEL=MY STICK:/a b\"",
                Asked::Named(Place::Label("MY STICK".into()), "/a b".into()),
            ),
            ("rd.live.overlay=UUID=1 rd.live.dir=/LiveOS/", auto()),
            (
                "rd.live.overlay=UUID=1 rd.live.squashimg=other.img",
                Asked::OtherImage("other.img".into()),
            ),
            (
                "rd.live.overlay=UUID=${stick}",
                Asked::Unclear("UUID=${stick}".into()),
            ),
        ] {
            let line = format!("BOOT_IMAGE=/x root=live:UUID=1 rd.live.image {options} rw");
            assert_eq!(asked(&line), [expected], "{options}");
        }
        let others = "root=live:UUID=1 rd.live.image rd.live.dir=Second rd.live.overlay=UUID=1";
        assert_eq!(asked(others), []);
    }

    #[test]
    fn a_place_is_compared_only_with_what_is_known() {
        assert_eq!(uuid("ab-cd").is(None, Some("AB-CD")), Some(true));
        assert_eq!(uuid("ab-cd").is(Some("x"), None), None);
        assert_eq!(Place::Label("A".into()).is(Some("a"), None), Some(false));
        assert_eq!(Place::Device("/dev/sda1".into()).is(Some("a"), None), None);
    }

    #[test]
    fn escapes_end_where_they_are_broken() {
        assert_eq!(unescape("a\\x2fb\\x"), "a/b\\x");
        assert_eq!(unescape("\\xzz\\x4"), "\\xzz\\x4");
    }
}
