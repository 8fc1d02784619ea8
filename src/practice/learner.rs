//! What a practice stick holds: the system that came with it, and what a learner did since.

use super::content;
use super::disk::{Disk, LEARNER, ROOT};
use super::random::Random;
use crate::error::{Doing, Result};

const DATASTORE: &str = "home/liveuser/.sugar/default/datastore";
/// Where the learner keeps documents, pictures, and what there is of them on every practice stick.
pub const DOCUMENTS: &str = "home/liveuser/Documents";
pub const PICTURES: &str = "home/liveuser/Pictures";
pub const REPORTS: [&str; 3] = ["Report 0.odt", "Report 1.odt", "Report 2.odt"];
/// The largest text that came with the stick.
pub const LARGE: &str = "usr/share/doc/encyclopedia.txt";
/// 2024-09-02, 09:00 UTC: a term begins.
pub const TERM: u64 = 1_725_267_600;
const DAY: u64 = 86_400;

/// Sizes below are for an image of 256 MiB, and grow with it.
#[derive(Debug, Clone, Copy)]
pub struct Scale(u64);

impl Scale {
    /// For an image of `mebibytes`.
    pub fn new(mebibytes: u64) -> Scale {
        Scale(mebibytes)
    }

    /// So much for this image of what is `kibibytes` at 256 MiB, in bytes.
    fn kib(self, kibibytes: u64) -> u64 {
        kibibytes * 1024 * self.0 / 256
    }
}

/// The activities that come with the stick: bundle name and identifier.
const ACTIVITIES: &[(&str, &str)] = &[
    ("Write", "org.laptop.AbiWordActivity"),
    ("Paint", "org.laptop.Oficina"),
    ("Record", "org.laptop.RecordActivity"),
    ("TurtleBlocks", "org.laptop.TurtleArtActivity"),
    ("Memorize", "org.laptop.Memorize"),
    ("Speak", "vu.lux.olpc.Speak"),
    ("Maze", "vu.lux.olpc.Maze"),
];

/// What came with the stick.
pub fn install(disk: &mut Disk, seed: u64, scale: Scale) -> Result<()> {
    let random = |name: &str| Random::new(seed, name);
    for folder in [
        "boot", "dev", "etc", "home", "mnt", "proc", "root", "run", "srv", "sys", "tmp",
    ] {
        disk.folder(folder, ROOT);
    }
    for folder in [
        "usr/bin",
        "usr/lib64",
        "usr/share",
        "var/log",
        "var/cache",
        "var/tmp",
    ] {
        disk.folder(folder, ROOT);
    }
    disk.link("bin", "usr/bin");
    disk.link("lib64", "usr/lib64");
    for (path, content) in [
        ("etc/hostname", "localhost\n"),
        (
            "etc/os-release",
            "NAME=\"Sugar on a Stick\"\nID=practice\nPRETTY_NAME=\"A practice stick\"\n",
        ),
        (
            "etc/passwd",
            "root:x:0:0::/root:/bin/sh\nliveuser:x:1000:1000::/home/liveuser:/bin/sh\n",
        ),
        ("etc/group", "root:x:0:\nliveuser:x:1000:\n"),
        ("etc/fstab", "/dev/root / ext4 defaults,noatime 0 0\n"),
        ("usr/lib/modules/6.1.0-practice/modules.order", ""),
    ] {
        disk.file(path, 0o644, ROOT, content.as_bytes())?;
    }
    let mut made = 0;
    while made < scale.kib(7_000) {
        let name = format!("usr/lib64/libpractice{}.so.1", made / 1024);
        let mut random = random(&name);
        let length = random.between(30_000, 900_000).min(scale.kib(2_000));
        made += length;
        disk.file(
            &name,
            0o755,
            ROOT,
            &content::program(&mut random, length as usize),
        )?;
    }
    for at in 0..40 {
        let name = format!("usr/bin/tool-{at}");
        let mut random = random(&name);
        let length = random.between(4_000, scale.kib(120).max(8_000));
        disk.file(
            &name,
            0o755,
            ROOT,
            &content::program(&mut random, length as usize),
        )?;
    }
    for (name, _) in ACTIVITIES {
        let folder = format!("usr/share/sugar/activities/{name}.activity");
        install_activity(disk, seed, scale, &folder, name)?;
    }
    for language in ["ar", "es", "fr", "ht", "ne", "pt", "rw", "sw"] {
        for part in ["sugar", "gtk", "glib", "journal", "control-panel"] {
            let name = format!("usr/share/locale/{language}/LC_MESSAGES/{part}.mo");
            let mut random = random(&name);
            let length = random.between(8_000, scale.kib(140).max(9_000));
            disk.file(
                &name,
                0o644,
                ROOT,
                &content::text(&mut random, length as usize),
            )?;
        }
    }
    let text = content::text(&mut random(LARGE), scale.kib(3_000) as usize);
    disk.file(LARGE, 0o644, ROOT, &text)?;
    for at in 0..4 {
        let name = format!("usr/share/backgrounds/background-{at}.jpg");
        let photo = content::photo(&mut random(&name), scale.kib(500) as usize);
        disk.file(&name, 0o644, ROOT, &photo)?;
    }
    for folder in [DOCUMENTS, PICTURES, "home/liveuser/.cache"] {
        disk.folder(folder, LEARNER);
    }
    // Layout version 2 (sugar-datastore, layoutmanager.py).
    disk.file(&format!("{DATASTORE}/version"), 0o644, LEARNER, b"2")?;
    disk.file(&format!("{DATASTORE}/index_updated"), 0o644, LEARNER, b"")?;
    disk.folder(&format!("{DATASTORE}/checksums/queue"), LEARNER);
    disk.folder(&format!("{DATASTORE}/index"), LEARNER);
    // Deleted before the image was made: blocks that no file uses, and that are not zero.
    let name = "var/cache/installer.bin";
    let leftover = content::program(&mut random(name), scale.kib(1_200) as usize);
    disk.file(name, 0o644, ROOT, &leftover)?;
    disk.remove(name);
    Ok(())
}

fn install_activity(
    disk: &mut Disk,
    seed: u64,
    scale: Scale,
    folder: &str,
    name: &str,
) -> Result<()> {
    let mut random = Random::new(seed, folder);
    let info =
        format!("[Activity]\nname = {name}\nexec = sugar-activity3 {name}\nlicense = GPLv3+\n");
    disk.file(
        &format!("{folder}/activity/activity.info"),
        0o644,
        ROOT,
        info.as_bytes(),
    )?;
    for at in 0..random.between(4, 12) {
        let length = random.between(2_000, scale.kib(80).max(3_000));
        let source = content::text(&mut random, length as usize);
        disk.file(&format!("{folder}/part_{at}.py"), 0o644, ROOT, &source)?;
    }
    let picture = content::drawing(&mut random, 320, 240).doing("drawing a picture")?;
    disk.file(
        &format!("{folder}/activity/splash.png"),
        0o644,
        ROOT,
        &picture,
    )
}

/// How many school days [`school_day`] tells of.
pub const DAYS: u64 = 3;

/// What the learner and the system do on one day, 0 to [`DAYS`] - 1.
///
/// Together they write about an eighth of the image's size: files that stay,
/// files that are edited, and files that are deleted again.
pub fn school_day(disk: &mut Disk, seed: u64, scale: Scale, day: u64) -> Result<()> {
    disk.set_clock(TERM + (1 + 7 * day) * DAY);
    let mut random = Random::new(seed, &format!("day {day}"));
    match day {
        0 => first_day(disk, scale, &mut random)?,
        1 => second_day(disk, scale, &mut random)?,
        _ => third_day(disk, scale, &mut random)?,
    }
    // The system writes as well, every day, whatever the learner does.
    let log = content::log(&mut random, scale.kib(500) as usize);
    disk.file(&format!("var/log/messages-{day}"), 0o600, ROOT, &log)?;
    let boot = content::log(&mut random, scale.kib(60) as usize);
    disk.file("var/log/boot.log", 0o644, ROOT, &boot)
}

/// Trying everything out: many Journal entries, a folder full of photos.
fn first_day(disk: &mut Disk, scale: Scale, random: &mut Random) -> Result<()> {
    journal_entries(disk, scale, random, 11_000)?;
    photos(disk, scale, random, "first", 6_500)?;
    let index = content::program(random, scale.kib(700) as usize);
    disk.file(
        &format!("{DATASTORE}/index/postlist.glass"),
        0o644,
        LEARNER,
        &index,
    )?;
    let packages = content::photo(random, scale.kib(2_500) as usize);
    disk.file("var/cache/dnf/updates.solvx", 0o644, ROOT, &packages)
}

/// Going on with what was begun: documents are saved anew, one letter changes in a large file.
fn second_day(disk: &mut Disk, scale: Scale, random: &mut Random) -> Result<()> {
    journal_entries(disk, scale, random, 4_000)?;
    for name in REPORTS {
        let name = format!("{DOCUMENTS}/{name}");
        let picture = content::photo(random, scale.kib(300) as usize);
        let text = content::document(random, 40_000, Some(&picture)).doing("writing a document")?;
        disk.file(&name, 0o644, LEARNER, &text)?;
        // Saved, corrected, and saved again.
        let text = content::document(random, 41_000, Some(&picture)).doing("writing a document")?;
        disk.file(&name, 0o644, LEARNER, &text)?;
    }
    disk.change_letter(LARGE, 17, b'Q');
    let index = content::program(random, scale.kib(900) as usize);
    disk.file(
        &format!("{DATASTORE}/index/postlist.glass"),
        0o644,
        LEARNER,
        &index,
    )?;
    disk.file("etc/hostname", 0o644, ROOT, b"class-3-stick-7\n")
}

/// Tidying up: photos, old Journal entries and an activity go; a few new things come.
fn third_day(disk: &mut Disk, scale: Scale, random: &mut Random) -> Result<()> {
    for name in disk.files_below(PICTURES) {
        if random.below(2) == 0 {
            disk.remove(&name);
        }
    }
    let entries: Vec<String> = disk
        .files_below(DATASTORE)
        .into_iter()
        .filter_map(|name| name.strip_suffix("/data").map(str::to_owned))
        .collect();
    for entry in entries.iter().filter(|_| random.below(4) == 0) {
        disk.remove(entry);
    }
    disk.remove("usr/share/sugar/activities/Maze.activity");
    disk.remove("var/cache/dnf");
    journal_entries(disk, scale, random, 5_500)?;
    photos(disk, scale, random, "third", 3_500)
}

fn photos(
    disk: &mut Disk,
    scale: Scale,
    random: &mut Random,
    series: &str,
    kib: u64,
) -> Result<()> {
    let mut made = 0;
    for at in 0.. {
        if made >= scale.kib(kib) {
            break;
        }
        let length = random.between(scale.kib(300), scale.kib(900));
        made += length;
        let photo = content::photo(random, length as usize);
        let name = format!("{PICTURES}/{series} {at}.jpg");
        disk.file(&name, 0o644, LEARNER, &photo)?;
    }
    Ok(())
}

/// Entries of the Sugar Journal, about `kib` of them.
///
/// An entry is a folder `xx/UUID` with the file `data` and a folder `metadata`
/// of one small file a property (sugar-datastore, layoutmanager.py, metadatastore.py).
fn journal_entries(disk: &mut Disk, scale: Scale, random: &mut Random, kib: u64) -> Result<()> {
    let mut made = 0;
    while made < scale.kib(kib) {
        made += journal_entry(disk, scale, random)?;
    }
    Ok(())
}

fn journal_entry(disk: &mut Disk, scale: Scale, random: &mut Random) -> Result<u64> {
    let uid = random.uuid();
    let folder = format!("{DATASTORE}/{}/{uid}", &uid[..2]);
    let (name, activity) = *random.choose(ACTIVITIES);
    let (kind, data) = match name {
        "Write" => {
            let words = random.between(5_000, 60_000) as usize;
            let text = content::document(random, words, None).doing("writing a document")?;
            ("application/vnd.oasis.opendocument.text", text)
        }
        "Record" => {
            let length = random.between(scale.kib(100), scale.kib(600)) as usize;
            ("image/jpeg", content::photo(random, length))
        }
        "Paint" | "TurtleBlocks" => {
            let picture = content::drawing(random, 640, 480).doing("drawing a picture")?;
            ("image/png", picture)
        }
        _ => ("text/plain", {
            let length = random.between(500, 20_000) as usize;
            content::text(random, length)
        }),
    };
    let preview = content::drawing(random, 120, 90).doing("drawing a picture")?;
    let title = String::from_utf8_lossy(&content::text(random, 12))
        .trim()
        .to_owned();
    let created = TERM + random.below(40 * DAY);
    let [size, created, saved] = [data.len() as u64, created, created + 600].map(|n| n.to_string());
    let activity_id = random.uuid().replace('-', "");
    let properties: [(&str, &[u8]); 13] = [
        ("activity", activity.as_bytes()),
        ("activity_id", activity_id.as_bytes()),
        ("creation_time", created.as_bytes()),
        ("filesize", size.as_bytes()),
        ("icon-color", b"#F8E800,#008009"),
        ("keep", b"0"),
        ("mime_type", kind.as_bytes()),
        ("preview", &preview),
        ("share-scope", b"private"),
        ("timestamp", saved.as_bytes()),
        ("title", title.as_bytes()),
        ("title_set_by_user", b"1"),
        ("uid", uid.as_bytes()),
    ];
    for (key, value) in properties {
        disk.file(&format!("{folder}/metadata/{key}"), 0o644, LEARNER, value)?;
    }
    disk.file(&format!("{folder}/data"), 0o644, LEARNER, &data)?;
    // Each small file takes a block of its own.
    let blocks = 3 + properties.len() as u64 + data.len() as u64 / 4096;
    Ok(blocks * 4096)
}
