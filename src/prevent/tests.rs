use super::*;
use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};

const HOME: &str = "home/ana";
const SYSTEM: [Measure; 4] = [
    Measure::Tmp,
    Measure::Journal,
    Measure::Noatime,
    Measure::Logs,
];

/// A root with systemd, and what a person wrote.
fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("run/systemd/system")).unwrap();
    for (path, text) in [
        ("home/ana/.config/environment.d/10-mine.conf", "EDITOR=vi\n"),
        ("etc/systemd/journald.conf", "[Journal]\n"),
        ("etc/systemd/system/mine.service", "[Service]\n"),
        ("etc/fstab", "# /dev/sda1 /tmp\nproc /proc proc\n"),
        ("proc/self/mountinfo", MOUNTS),
    ] {
        put(root.path(), path, text);
    }
    root
}

const MOUNTS: &str = "\
20 1 254:0 / / rw,relatime shared:1 - ext4 /dev/mapper/live-rw rw
21 20 0:5 / /dev rw,nosuid - devtmpfs devtmpfs rw
";

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Every file and link, with what is in it.
fn everything(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                found.insert(path, target.to_string_lossy().into_owned());
            } else if path.is_dir() {
                open.push(path);
            } else {
                let text = fs::read_to_string(&path).unwrap();
                found.insert(path, text);
            }
        }
    }
    found
}

fn system(root: &Path) -> System {
    System::at(root, "/home/ana", None).unwrap()
}

fn state(root: &Path, measure: Measure) -> (MeasureState, bool, Option<Obstacle>) {
    let told = system(root).look(measure).unwrap();
    (told.state, told.effective, told.obstacle)
}

#[test]
fn each_comes_and_goes_without_a_trace() {
    let root = root();
    let before = everything(root.path());
    for measure in Measure::ALL {
        let system = system(root.path());
        assert_eq!(state(root.path(), measure).0, MeasureState::Off);
        for _ in 0..2 {
            system.switch(measure, true).unwrap();
            assert_eq!(state(root.path(), measure).0, MeasureState::On);
        }
        let with = everything(root.path());
        let fresh: Vec<_> = with
            .iter()
            .filter(|(p, _)| !before.contains_key(*p))
            .collect();
        let expected = files::of(measure);
        assert_eq!(fresh.len(), expected.len(), "{fresh:?}");
        for (path, text) in fresh {
            assert!(text.starts_with("# Written by Sugar Cellar."), "{text}");
            let word = serde_json::to_value(measure).unwrap();
            let off = format!("prevent live {} off\n", word.as_str().unwrap());
            assert!(text.lines().next().unwrap().ends_with(off.trim()), "{text}");
            let mode = path.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o644, "{path:?}");
        }
        for _ in 0..2 {
            system.switch(measure, false).unwrap();
        }
        assert_eq!(everything(root.path()), before);
    }
    let config = root.path().join(HOME).join(".config");
    assert!(config.join("environment.d").is_dir());
}

#[test]
fn folders_are_made_for_who_is_to_read_them() {
    let root = root();
    fs::remove_dir_all(root.path().join("home/ana/.config")).unwrap();
    system(root.path()).switch(Measure::Cache, true).unwrap();
    system(root.path()).switch(Measure::Journal, true).unwrap();
    let mode = |path: &str| {
        let data = root.path().join(path).metadata().unwrap();
        data.permissions().mode() & 0o7777
    };
    assert_eq!(mode("home/ana/.config"), 0o700);
    assert_eq!(mode("etc/systemd/journald.conf.d"), 0o755);
}

#[test]
fn what_a_person_wrote_stays() {
    for measure in Measure::ALL {
        for file in files::of(measure) {
            let root = root();
            let path = format!("{}/{}", file.place(HOME), file.name);
            let mut texts = vec!["".to_owned(), "theirs\n".to_owned()];
            // Ours, but changed.
            texts.push(format!("{}more\n", file.text));
            texts.push(file.text[..file.text.len() - 1].to_owned());
            for text in texts {
                put(root.path(), &path, &text);
                let before = everything(root.path());
                let told = state(root.path(), measure);
                let taken = (MeasureState::Impossible, true, Some(Obstacle::Taken));
                assert_eq!(told, taken, "{path}");
                let detail = system(root.path()).look(measure).unwrap().detail;
                assert_eq!(detail, format!("/{path}"));
                for on in [true, false] {
                    let error = system(root.path()).switch(measure, on).unwrap_err();
                    assert!(matches!(error, Error::Refused { .. }), "{error}");
                }
                assert_eq!(everything(root.path()), before);
            }
        }
    }
}

#[test]
fn links_lead_nowhere() {
    let outside = tempfile::tempdir().unwrap();
    for measure in Measure::ALL {
        for (number, file) in files::of(measure).iter().enumerate() {
            let root = root();
            let place = root.path().join(file.place(HOME));
            let path = place.join(file.name);
            fs::create_dir_all(&place).unwrap();
            // The file itself, even where what it leads to is word for word ours,
            let target = outside.path().join(format!("target{number}"));
            fs::write(&target, file.text).unwrap();
            symlink(&target, &path).unwrap();
            let refused = || {
                let before = everything(root.path());
                for on in [true, false] {
                    system(root.path()).switch(measure, on).unwrap_err();
                }
                assert_eq!(everything(root.path()), before);
            };
            refused();
            assert_eq!(fs::read_to_string(&target).unwrap(), file.text);
            fs::remove_file(&target).unwrap();
            refused();
            assert!(!target.exists());
            // and each folder above it.
            fs::remove_dir_all(&place).unwrap();
            let empty = outside.path().join("empty");
            fs::create_dir_all(&empty).unwrap();
            symlink(&empty, &place).unwrap();
            refused();
            assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
        }
    }
}

#[test]
fn what_was_cut_is_completed_or_taken_back() {
    for measure in Measure::ALL {
        let files = files::of(measure);
        for on in [true, false] {
            let root = root();
            let before = everything(root.path());
            // The first is there, the last is not, and one was half written.
            if files.len() > 1 {
                let first = &files[0];
                put(
                    root.path(),
                    &format!("{}/{}", first.place(HOME), first.name),
                    first.text,
                );
            }
            let last = &files[files.len() - 1];
            let half = format!("{}/.{}.new", last.place(HOME), last.name);
            put(root.path(), &half, "hal");
            assert_eq!(state(root.path(), measure).0, MeasureState::Off);
            system(root.path()).switch(measure, on).unwrap();
            if on {
                assert_eq!(state(root.path(), measure).0, MeasureState::On);
                assert!(!root.path().join(&half).exists());
            } else {
                let mut left = everything(root.path());
                left.remove(&root.path().join(&half));
                assert_eq!(left, before);
            }
        }
    }
}

#[test]
fn nothing_without_systemd() {
    let root = root();
    fs::remove_dir_all(root.path().join("run/systemd")).unwrap();
    for measure in Measure::ALL {
        let told = (MeasureState::Impossible, true, Some(Obstacle::NoSystemd));
        assert_eq!(state(root.path(), measure), told);
        system(root.path()).switch(measure, true).unwrap_err();
    }
}

#[test]
fn whose_home_is_not_there_has_no_cache() {
    let root = root();
    for home in ["", "/", "/home/bo", "/home/../home/ana/../bo"] {
        let system = System::at(root.path(), home, None).unwrap();
        let told = system.look(Measure::Cache).unwrap();
        assert_eq!(told.obstacle, Some(Obstacle::NoHome), "{home}");
        system.switch(Measure::Cache, true).unwrap_err();
    }
    assert!(!root.path().join("home/bo").exists());
}

#[test]
fn what_the_system_does_by_itself_is_not_ours_to_switch() {
    let root = root();
    let mounts = MOUNTS.replace("rw,relatime", "rw,noatime")
        + "30 20 0:31 / /tmp rw,nosuid - tmpfs tmpfs rw\n";
    put(root.path(), "proc/self/mountinfo", &mounts);
    put(root.path(), "run/log/journal/5eed/system.journal", "");
    put(root.path(), "usr/lib/systemd/system/tmp.mount", "[Mount]\n");
    let wants = "usr/lib/systemd/system/local-fs.target.wants/tmp.mount";
    put(root.path(), wants, "");
    let before = everything(root.path());
    for measure in [Measure::Tmp, Measure::Journal, Measure::Noatime] {
        let already = (MeasureState::Already, true, None);
        assert_eq!(state(root.path(), measure), already, "{measure:?}");
        system(root.path()).switch(measure, true).unwrap();
        system(root.path()).switch(measure, false).unwrap_err();
    }
    let session = System::at(root.path(), HOME, Some("/run/user/1000/mine")).unwrap();
    let told = session.look(Measure::Cache).unwrap();
    assert_eq!(told.state, MeasureState::Already);
    assert_eq!(everything(root.path()), before);
}

#[test]
fn what_runs_is_told_apart_from_what_is_switched() {
    let root = root();
    let ours = "/run/user/1000/sugar-cellar-cache";
    let cache = |cache: Option<&str>| {
        let system = System::at(root.path(), HOME, cache).unwrap();
        let told = system.look(Measure::Cache).unwrap();
        (told.state, told.effective)
    };
    assert_eq!(cache(None), (MeasureState::Off, true));
    system(root.path()).switch(Measure::Cache, true).unwrap();
    assert_eq!(cache(None), (MeasureState::On, false));
    assert_eq!(cache(Some(ours)), (MeasureState::On, true));
    system(root.path()).switch(Measure::Cache, false).unwrap();
    assert_eq!(cache(Some(ours)), (MeasureState::Off, false));

    for measure in SYSTEM {
        system(root.path()).switch(measure, true).unwrap();
        let seen_at_once = measure == Measure::Logs;
        let told = (MeasureState::On, seen_at_once, None);
        assert_eq!(state(root.path(), measure), told, "{measure:?}");
    }
    let mounts = MOUNTS.replace("rw,relatime", "rw,noatime")
        + "30 20 0:31 / /tmp rw,nosuid - tmpfs tmpfs rw\n";
    put(root.path(), "proc/self/mountinfo", &mounts);
    put(root.path(), "run/log/journal/5eed/system.journal", "");
    for measure in SYSTEM {
        let told = (MeasureState::On, true, None);
        assert_eq!(state(root.path(), measure), told, "{measure:?}");
    }
    // /tmp stays in memory as long as this system runs.
    system(root.path()).switch(Measure::Tmp, false).unwrap();
    assert_eq!(
        state(root.path(), Measure::Tmp),
        (MeasureState::Off, false, None)
    );
}

#[test]
fn a_unit_of_the_systems_own_is_taken() {
    let root = root();
    put(root.path(), "usr/lib/systemd/system/tmp.mount", "[Mount]\n");
    let before = everything(root.path()).len();
    system(root.path()).switch(Measure::Tmp, true).unwrap();
    assert_eq!(everything(root.path()).len(), before + 1);
    assert!(!root.path().join("etc/systemd/system/tmp.mount").exists());
    system(root.path()).switch(Measure::Tmp, false).unwrap();
    // Masked, by a person who does not want it.
    let mask = root.path().join("etc/systemd/system/tmp.mount");
    symlink("/dev/null", &mask).unwrap();
    assert_eq!(state(root.path(), Measure::Tmp).2, Some(Obstacle::Taken));
}

#[test]
fn other_arrangements_are_left() {
    let root = root();
    put(
        root.path(),
        "etc/fstab",
        "/dev/sdb1 /tmp ext4 defaults 0 0\n",
    );
    put(root.path(), "run/rsyslogd.pid", "7\n");
    let told = |measure| {
        let told = system(root.path()).look(measure).unwrap();
        (told.obstacle, told.detail)
    };
    let fstab = (Some(Obstacle::Taken), "/etc/fstab".to_owned());
    assert_eq!(told(Measure::Tmp), fstab);
    let rsyslog = (Some(Obstacle::OtherLogger), "/run/rsyslogd.pid".to_owned());
    assert_eq!(told(Measure::Logs), rsyslog);
    // What is on can be switched off whatever came later.
    fs::remove_file(root.path().join("run/rsyslogd.pid")).unwrap();
    system(root.path()).switch(Measure::Logs, true).unwrap();
    put(root.path(), "run/rsyslogd.pid", "7\n");
    assert_eq!(state(root.path(), Measure::Logs).0, MeasureState::On);
    system(root.path()).switch(Measure::Logs, false).unwrap();
}

#[test]
fn the_last_mount_covers_those_before() {
    let text = "\
1 0 8:1 / / rw,relatime - ext4 /dev/sda1 rw
2 1 0:3 / /tmp rw - ext4 /dev/sdb rw
3 1 0:4 / /tmp rw,nosuid shared:7 master:2 - tmpfs tmp rw
4 1 0:4 / /tmp/x rw - ext4 /dev/sdc rw
nonsense";
    let root = root();
    put(root.path(), "proc/self/mountinfo", text);
    let tmp = system(root.path()).mounted("/tmp").unwrap();
    let told = (&*tmp.options, &*tmp.file_system);
    assert_eq!(told, ("rw,nosuid", "tmpfs"));
    assert!(tmp.has("nosuid") && !tmp.has("suid"));
    assert!(system(root.path()).mounted("/home").is_none());
}
