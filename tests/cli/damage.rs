//! Sticks that are not as they should be: said clearly, never a panic, never a change.

use super::contracts::taking;
use super::helper::{Place, everything, run};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A way to damage a stick; the part that is to be named.
type Damage = (&'static str, fn(&Place));

fn write(path: &Path, offset: u64, bytes: &[u8]) {
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(bytes, offset).unwrap();
}

fn cut(path: &Path, length: u64) {
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(length)
        .unwrap();
}

const ALL: &[Damage] = &[
    ("an empty image", |place| cut(&place.image(), 0)),
    ("an image of one sector", |place| cut(&place.image(), 512)),
    ("an image cut in its tables", |place| {
        let length = fs::metadata(place.image()).unwrap().len();
        cut(&place.image(), length / 2);
    }),
    ("no image magic", |place| write(&place.image(), 0, b"nope")),
    ("an absurd block size", |place| {
        write(&place.image(), 12, &[0xff; 4])
    }),
    ("an unknown compressor", |place| {
        write(&place.image(), 20, &[9, 0])
    }),
    ("tables outside the image", |place| {
        write(&place.image(), 48, &[0xfe; 48])
    }),
    ("a root inode outside the image", |place| {
        write(&place.image(), 32, &[0x7f; 8])
    }),
    ("noise for an image", |place| {
        let noise: Vec<u8> = (0..100_000_u32)
            .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        fs::write(place.image(), noise).unwrap();
    }),
    ("the image is a link", |place| {
        let real = place.path().join("real");
        fs::rename(place.image(), &real).unwrap();
        std::os::unix::fs::symlink(&real, place.image()).unwrap();
    }),
    ("the image is a folder", |place| {
        fs::remove_file(place.image()).unwrap();
        fs::create_dir(place.image()).unwrap();
    }),
    ("an overlay version from the future", |place| {
        write(&place.overlay(), 8, &[2])
    }),
    ("a chunk size that is no power of two", |place| {
        write(&place.overlay(), 12, &[3])
    }),
    ("a chunk size of 0", |place| {
        write(&place.overlay(), 12, &[0; 4])
    }),
    ("an absurd chunk size", |place| {
        write(&place.overlay(), 12, &[0, 0, 0, 0x80])
    }),
    ("an exception outside the store", |place| {
        write(&place.overlay(), 4096 + 8, &[0xff; 8])
    }),
    ("an exception outside the image", |place| {
        write(&place.overlay(), 4096, &[0x7f; 8])
    }),
    ("an exception into the list itself", |place| {
        write(&place.overlay(), 4096 + 8, &[1, 0, 0, 0, 0, 0, 0, 0])
    }),
    ("one chunk at two places", |place| {
        let first = read_entry(&place.overlay(), 0);
        write(&place.overlay(), 4096 + 16, &first[..8]);
    }),
    ("two chunks at one place", |place| {
        let first = read_entry(&place.overlay(), 0);
        write(&place.overlay(), 4096 + 16 + 8, &first[8..]);
    }),
    ("an overlay cut in its list", |place| {
        cut(&place.overlay(), 4096 + 100)
    }),
    ("an overlay cut in its header", |place| {
        cut(&place.overlay(), 7)
    }),
    ("no LiveOS", |place| {
        fs::remove_dir_all(place.stick().join("LiveOS")).unwrap()
    }),
    ("LiveOS is a link", |place| {
        let real = place.path().join("real");
        fs::rename(place.stick().join("LiveOS"), &real).unwrap();
        std::os::unix::fs::symlink(&real, place.stick().join("LiveOS")).unwrap();
    }),
];

fn read_entry(path: &Path, index: u64) -> [u8; 16] {
    let mut entry = [0; 16];
    File::open(path)
        .unwrap()
        .read_exact_at(&mut entry, 4096 + index * 16)
        .unwrap();
    entry
}

/// Damage that nothing shows but reading all there is.
const DEEP: &[Damage] = &[("a flipped byte in a block", |place| {
    let length = fs::metadata(place.image()).unwrap().len();
    let mut byte = [0];
    let at = length / 2;
    File::open(place.image())
        .unwrap()
        .read_exact_at(&mut byte, at)
        .unwrap();
    write(&place.image(), at, &[!byte[0]]);
})];

#[test]
fn damage_is_said_and_nothing_is_changed() {
    for (name, damage) in ALL {
        let place = Place::new();
        damage(&place);
        let before = everything(place.path());
        for contract in taking() {
            for json in [false, true] {
                let ran = contract.on(place.stick(), json);
                let what = format!("{}: {name}: {ran:?}", contract.verb);
                assert!([1, 3, 5].contains(&ran.code), "{what}");
                assert!(!ran.err.contains("panicked"), "{what}");
                if json {
                    let last = ran.json().pop().expect(&what);
                    let event = last["event"].as_str();
                    let found = ran.code == 5 && event == Some("checked");
                    assert!(found || event == Some("failed"), "{what}");
                } else if ran.code != 5 {
                    assert_eq!(
                        (ran.out.as_str(), ran.err.lines().count()),
                        ("", 3),
                        "{what}"
                    );
                }
            }
        }
        assert!(everything(place.path()) == before, "{name}");
    }
}

#[test]
fn hidden_damage_is_found_by_check() {
    for (name, damage) in DEEP {
        let place = Place::new();
        damage(&place);
        let before = everything(place.path());
        for json in [false, true] {
            let ran = super::contracts::find("check").on(place.stick(), json);
            assert_eq!(ran.code, 5, "{name}: {ran:?}");
            if json {
                let checked = ran.json().pop().unwrap();
                assert_eq!(checked["findings"][0]["part"], "image");
                assert_eq!(checked["findings"][0]["weight"], "damage");
            } else {
                assert!(ran.out.starts_with("1 damage was found."), "{}", ran.out);
            }
        }
        assert!(everything(place.path()) == before, "{name}");
    }
}

#[test]
fn an_overlay_that_the_kernel_gave_up_is_a_state() {
    let place = Place::new();
    write(&place.overlay(), 4, &[0]);
    let status = super::helper::run([
        "status".into(),
        place.stick().into_os_string(),
        "--json".into(),
    ]);
    assert_eq!(status.code, 0, "{}", status.err);
    assert_eq!(status.json()[0]["overlay"]["state"], "invalid");
}

#[test]
fn a_cut_refresh_is_named_and_the_next_one_completes_it() {
    let place = Place::new();
    let stick = place.stick();
    let second = place.image().with_file_name("squashfs.new");
    // The image is gone but for its name, and the other one is whole.
    fs::copy(place.image(), &second).unwrap();
    write(&place.image(), 0, &[0; 4096]);
    let before = everything(&stick);
    for verb in ["status", "plan"] {
        let ran = run([verb.as_ref(), stick.as_os_str()]);
        assert_eq!(ran.code, 1, "{verb}: {}", ran.err);
        assert!(ran.err.contains("interrupted"), "{verb}: {}", ran.err);
    }
    assert_eq!(everything(&stick), before);
    let ran = run(["refresh".as_ref(), stick.as_os_str(), "--yes".as_ref()]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(!second.exists());
    let ran = run(["check".as_ref(), stick.as_os_str()]);
    assert_eq!(ran.code, 0, "{}", ran.err);
}
