//! The JSON texts that people script against, and that the window reads.
//!
//! A change here breaks somebody's script: add, do not rename.

#![allow(clippy::unwrap_used)]

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use sugar_cellar::error::{ErrorKind, Part};
use sugar_cellar::protocol::*;
use sugar_cellar::units::{Bytes, Sectors};

/// `value` is written as `text`, on one line, and read back from it.
fn pinned<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, text: &str) {
    let text: String = text.lines().map(str::trim_start).collect();
    assert_eq!(serde_json::to_string(value).unwrap(), text);
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), value);
}

fn stick() -> Stick {
    Stick {
        path: "/dev/sdb1".into(),
        label: Some("SOAS".into()),
        uuid: Some("12AB-34CD".into()),
        file_system: "vfat".into(),
        free_bytes: Bytes(1_000_000_000),
        booted: false,
    }
}

fn status() -> Status {
    Status {
        stick: stick(),
        image: Image {
            kind: ImageKind::Nested,
            file: "LiveOS/squashfs.img".into(),
            bytes: Bytes(700_000_000),
            compression: "xz".into(),
            block_bytes: Bytes(131_072),
            inner: Some("LiveOS/rootfs.img".into()),
            inner_bytes: Some(Bytes(4_294_967_296)),
        },
        overlay: Overlay {
            kind: OverlayKind::Snapshot,
            not_here: None,
            file: Some("LiveOS/overlay-SOAS-1234-ABCD".into()),
            state: OverlayState::Active,
            used_sectors: Sectors(98_936),
            total_sectors: Sectors(163_840),
            metadata_sectors: Sectors(400),
            chunk_sectors: Sectors(8),
            percent: Some(60.5),
        },
        home: None,
        pending: None,
    }
}

const STATUS: &str = r#"{"stick":{"path":"/dev/sdb1","label":"SOAS","uuid":"12AB-34CD","file_system":"vfat","free_bytes":1000000000,"booted":false},
    "image":{"kind":"nested","file":"LiveOS/squashfs.img","bytes":700000000,"compression":"xz","block_bytes":131072,
    "inner":"LiveOS/rootfs.img","inner_bytes":4294967296},
    "overlay":{"kind":"snapshot","not_here":null,"file":"LiveOS/overlay-SOAS-1234-ABCD","state":"active","used_sectors":98936,
    "total_sectors":163840,"metadata_sectors":400,"chunk_sectors":8,"percent":60.5},"home":null,"pending":null}"#;

#[test]
fn a_status() {
    pinned(&status(), STATUS);
}

#[test]
fn a_status_of_another_kind() {
    let flat = Status {
        stick: Stick {
            path: "live".into(),
            label: None,
            uuid: None,
            file_system: "ext4".into(),
            free_bytes: Bytes(0),
            booted: true,
        },
        image: Image {
            kind: ImageKind::Flat,
            file: "LiveOS/squashfs.img".into(),
            bytes: Bytes(5),
            compression: "zstd".into(),
            block_bytes: Bytes(1_048_576),
            inner: None,
            inner_bytes: None,
        },
        overlay: Overlay {
            kind: OverlayKind::None,
            not_here: Some(NotHere::Elsewhere("LABEL=DATA".into())),
            file: None,
            state: OverlayState::Empty,
            used_sectors: Sectors(0),
            total_sectors: Sectors(0),
            metadata_sectors: Sectors(0),
            chunk_sectors: Sectors(0),
            percent: None,
        },
        home: Some(Home {
            file: "LiveOS/home.img".into(),
            bytes: Bytes(9),
            used_bytes: None,
            encrypted: true,
        }),
        pending: Some(Pending::Cleanup),
    };
    pinned(
        &flat,
        r#"{"stick":{"path":"live","label":null,"uuid":null,"file_system":"ext4","free_bytes":0,"booted":true},
        "image":{"kind":"flat","file":"LiveOS/squashfs.img","bytes":5,"compression":"zstd","block_bytes":1048576,
        "inner":null,"inner_bytes":null},
        "overlay":{"kind":"none","not_here":{"reason":"elsewhere","detail":"LABEL=DATA"},"file":null,"state":"empty","used_sectors":0,"total_sectors":0,"metadata_sectors":0,
        "chunk_sectors":0,"percent":null},
        "home":{"file":"LiveOS/home.img","bytes":9,"used_bytes":null,"encrypted":true},"pending":"cleanup"}"#,
    );
}

#[test]
fn a_listing() {
    let listing = Listing {
        sticks: vec![Found {
            path: "/dev/sdb1".into(),
            device: Some("/dev/sdb1".into()),
            mounted: None,
            label: Some("SOAS".into()),
            uuid: Some("12AB-34CD".into()),
            file_system: "vfat".into(),
            bytes: Bytes(8_000_000_000),
            booted: false,
            model: Some("SanDisk Cruzer".into()),
            port: Some("1-4.2".into()),
        }],
    };
    pinned(
        &listing,
        r#"{"sticks":[{"path":"/dev/sdb1","device":"/dev/sdb1","mounted":null,"label":"SOAS","uuid":"12AB-34CD","file_system":"vfat",
        "bytes":8000000000,"booted":false,"model":"SanDisk Cruzer","port":"1-4.2"}]}"#,
    );
    pinned(&Listing { sticks: vec![] }, r#"{"sticks":[]}"#);
}

#[test]
fn a_plan() {
    let plan = Plan {
        stick: stick(),
        image: PlannedImage {
            bytes: Bytes(700),
            estimated_bytes: Bytes(710),
            largest_bytes: Bytes(800),
        },
        overlay: PlannedOverlay {
            used_sectors: Sectors(98_936),
            after_sectors: Sectors(16),
            total_sectors: Sectors(163_840),
        },
        blocks: PlannedBlocks {
            block_bytes: Bytes(131_072),
            total: 32_768,
            changed: 500,
            freed: 40,
        },
        space: PlannedSpace {
            mode: SpaceMode::None,
            needed_bytes: Bytes(800),
            available_bytes: Bytes(100),
            file_limit_bytes: Some(Bytes(4_294_967_295)),
            scratch_bytes: None,
        },
        free_blocks: FreeBlocks {
            trusted: false,
            reason: Some(Distrust::NotClean),
            detail: Some("the journal needs recovery".into()),
        },
        seconds: Some(12),
        refusals: vec![Refusal {
            code: ErrorKind::NoSpace,
            message: "There is not enough room.".into(),
            hint: "Delete something.".into(),
            detail: "800 > 100".into(),
        }],
        kernels: vec![Kernel {
            version: "6.8.5-301.fc40.x86_64".into(),
            modules: true,
        }],
    };
    pinned(
        &plan,
        r#"{"stick":{"path":"/dev/sdb1","label":"SOAS","uuid":"12AB-34CD","file_system":"vfat","free_bytes":1000000000,"booted":false},
        "image":{"bytes":700,"estimated_bytes":710,"largest_bytes":800},
        "overlay":{"used_sectors":98936,"after_sectors":16,"total_sectors":163840},
        "blocks":{"block_bytes":131072,"total":32768,"changed":500,"freed":40},
        "space":{"mode":"none","needed_bytes":800,"available_bytes":100,"file_limit_bytes":4294967295,
        "scratch_bytes":null},
        "free_blocks":{"trusted":false,"reason":"not_clean","detail":"the journal needs recovery"},
        "seconds":12,
        "refusals":[{"code":"no_space","message":"There is not enough room.","hint":"Delete something.",
        "detail":"800 > 100"}],
        "kernels":[{"version":"6.8.5-301.fc40.x86_64","modules":true}]}"#,
    );
}

#[test]
fn room_that_only_a_scratch_folder_makes() {
    let space = PlannedSpace {
        mode: SpaceMode::Scratch,
        needed_bytes: Bytes(800),
        available_bytes: Bytes(300),
        file_limit_bytes: None,
        scratch_bytes: Some(Bytes(800)),
    };
    pinned(
        &space,
        r#"{"mode":"scratch","needed_bytes":800,"available_bytes":300,"file_limit_bytes":null,"scratch_bytes":800}"#,
    );
    // As an older helper says it.
    let older = r#"{"mode":"beside","needed_bytes":8,"available_bytes":9,"file_limit_bytes":null}"#;
    let older: PlannedSpace = serde_json::from_str(older).unwrap();
    assert_eq!(older.scratch_bytes, None);
}

#[test]
fn events() {
    pinned(
        &Event::Hello { version: VERSION },
        r#"{"event":"hello","version":1}"#,
    );
    let progress = |eta_seconds| Event::Progress {
        stick: "live".into(),
        stage: Stage::Build,
        done: 5,
        total: 10,
        eta_seconds,
    };
    pinned(
        &progress(None),
        r#"{"event":"progress","stick":"live","stage":"build","done":5,"total":10,"eta_seconds":null}"#,
    );
    pinned(
        &progress(Some(7)),
        r#"{"event":"progress","stick":"live","stage":"build","done":5,"total":10,"eta_seconds":7}"#,
    );
    let finished = |sum: Option<&str>| Event::Finished {
        stick: "/dev/sdb1".into(),
        seconds: 1.5,
        before: Box::new(status()),
        after: Box::new(status()),
        image_sha256: sum.map(str::to_owned),
    };
    let text = format!(
        r#"{{"event":"finished","stick":"/dev/sdb1","seconds":1.5,"before":{STATUS},"after":{STATUS}"#
    );
    let sum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    pinned(
        &finished(Some(sum)),
        &format!(r#"{text},"image_sha256":"{sum}"}}"#),
    );
    pinned(&finished(None), &format!(r#"{text},"image_sha256":null}}"#));
    let before = format!("{text}}}");
    assert_eq!(
        serde_json::from_str::<Event>(&before).unwrap(),
        finished(None)
    );
    let made = Event::Made {
        stick: "practice".into(),
        seconds: 2.0,
        status: Box::new(status()),
    };
    pinned(
        &made,
        &format!(r#"{{"event":"made","stick":"practice","seconds":2.0,"status":{STATUS}}}"#),
    );
    let failed = Event::Failed {
        stick: "/dev/sdb1".into(),
        code: ErrorKind::Busy,
        message: "It is in use.".into(),
        hint: "Close what uses it.".into(),
        detail: "loop0".into(),
    };
    pinned(
        &failed,
        r#"{"event":"failed","stick":"/dev/sdb1","code":"busy","message":"It is in use.","hint":"Close what uses it.","detail":"loop0"}"#,
    );
    let checked = Event::Checked {
        stick: "/dev/sdb1".into(),
        seconds: 3.0,
        findings: vec![Finding {
            part: Part::Overlay,
            weight: Weight::Damage,
            detail: "area 3 lies outside".into(),
        }],
    };
    pinned(
        &checked,
        r#"{"event":"checked","stick":"/dev/sdb1","seconds":3.0,
        "findings":[{"part":"overlay","weight":"damage","detail":"area 3 lies outside"}]}"#,
    );
}

#[test]
fn what_fills_an_overlay() {
    let explained = Event::Explained {
        stick: "live".into(),
        seconds: 0.5,
        explanation: Box::new(Explanation {
            used_sectors: Sectors(64),
            total_sectors: Sectors(1024),
            chunk_sectors: Sectors(8),
            sums: Sums {
                file_sectors: Sectors(8),
                folder_sectors: Sectors(8),
                record_sectors: Sectors(8),
                journal_sectors: Sectors(8),
                deleted_sectors: Sectors(8),
                list_sectors: Sectors(16),
                unused_sectors: Sectors(8),
            },
            equal_sectors: None,
            kinds: vec![KindSum {
                kind: EntryKind::Picture,
                number: 1,
                sectors: Sectors(8),
            }],
            clutter: vec![ClutterSum {
                clutter: Clutter::Logs,
                number: 3,
                sectors: Sectors(8),
            }],
            journal_entries: vec![JournalEntry {
                path: "home/ana/.sugar/default/datastore/4f/4f1c".into(),
                title: Some("A cat".into()),
                sectors: Sectors(8),
            }],
            unclear: 0,
            entries: vec![Entry {
                path: "home/ana/cat.jpg".into(),
                kind: EntryKind::Picture,
                sectors: Sectors(8),
                equal_sectors: Sectors(0),
            }],
        }),
    };
    pinned(
        &explained,
        r#"{"event":"explained","stick":"live","seconds":0.5,"explanation":{
        "used_sectors":64,"total_sectors":1024,"chunk_sectors":8,
        "sums":{"file_sectors":8,"folder_sectors":8,"record_sectors":8,"journal_sectors":8,
        "deleted_sectors":8,"list_sectors":16,"unused_sectors":8},"equal_sectors":null,
        "kinds":[{"kind":"picture","number":1,"sectors":8}],
        "clutter":[{"clutter":"logs","number":3,"sectors":8}],
        "journal_entries":[{"path":"home/ana/.sugar/default/datastore/4f/4f1c","title":"A cat","sectors":8}],"unclear":0,
        "entries":[{"path":"home/ana/cat.jpg","kind":"picture","sectors":8,"equal_sectors":0}]}}"#,
    );
}

#[test]
fn what_lets_it_fill_more_slowly() {
    let measure = |measure, state, effective| Prevention {
        measure,
        state,
        effective,
        obstacle: None,
        detail: String::new(),
    };
    let prevented = Event::Prevented {
        stick: "live".into(),
        measures: vec![
            measure(Measure::Cache, MeasureState::Off, true),
            measure(Measure::Tmp, MeasureState::On, false),
            measure(Measure::Journal, MeasureState::Already, true),
            measure(Measure::Noatime, MeasureState::On, true),
            Prevention {
                obstacle: Some(Obstacle::OtherLogger),
                detail: "/run/rsyslogd.pid".into(),
                ..measure(Measure::Logs, MeasureState::Impossible, true)
            },
        ],
    };
    pinned(
        &prevented,
        r#"{"event":"prevented","stick":"live","measures":[
        {"measure":"cache","state":"off","effective":true,"obstacle":null,"detail":""},
        {"measure":"tmp","state":"on","effective":false,"obstacle":null,"detail":""},
        {"measure":"journal","state":"already","effective":true,"obstacle":null,"detail":""},
        {"measure":"noatime","state":"on","effective":true,"obstacle":null,"detail":""},
        {"measure":"logs","state":"impossible","effective":true,"obstacle":"other_logger","detail":"/run/rsyslogd.pid"}]}"#,
    );
    let obstacles = [
        Obstacle::NoSystemd,
        Obstacle::NoHome,
        Obstacle::Elsewhere,
        Obstacle::Taken,
        Obstacle::OtherLogger,
    ];
    assert_eq!(
        serde_json::to_string(&obstacles).unwrap(),
        r#"["no_systemd","no_home","elsewhere","taken","other_logger"]"#
    );
}

#[test]
fn what_was_removed() {
    let cleaned = Event::Cleaned {
        stick: "live".into(),
        seconds: 0.5,
        what: Clutter::Packages,
        files: 12,
        bytes: Bytes(4096),
    };
    pinned(
        &cleaned,
        r#"{"event":"cleaned","stick":"live","seconds":0.5,"what":"packages","files":12,"bytes":4096}"#,
    );
}

#[test]
fn what_a_step_cost() {
    let tried = Event::Tried {
        stick: "/home/me/practice".into(),
        step: Step::NewCopy,
        bytes: Bytes(8_388_608),
        before_sectors: Sectors(74_504),
        after_sectors: Sectors(90_952),
        total_sectors: Sectors(131_072),
    };
    pinned(
        &tried,
        r#"{"event":"tried","stick":"/home/me/practice","step":"new_copy","bytes":8388608,
        "before_sectors":74504,"after_sectors":90952,"total_sectors":131072}"#,
    );
}

/// All words that stand for a value, each in the one form that readers compare with.
#[test]
fn words() {
    fn word<T: Serialize>(value: T) -> String {
        let text = serde_json::to_string(&value).unwrap();
        text.trim_matches('"').to_owned()
    }
    let all = |words: &[String]| words.join(" ");
    for clutter in Clutter::ALL {
        assert_eq!(word(clutter), clutter.word());
        assert_eq!(Clutter::of(clutter.word()), Some(clutter));
    }
    for measure in Measure::ALL {
        assert_eq!(word(measure), measure.word());
        assert_eq!(Measure::of(measure.word()), Some(measure));
    }
    assert_eq!(Clutter::of("everything"), None);
    use OverlayState as State;
    let states = [
        State::Empty,
        State::Active,
        State::NearlyFull,
        State::Full,
        State::Invalid,
    ];
    assert_eq!(
        all(&states.map(word)),
        "empty active nearly_full full invalid"
    );
    let kinds = [
        OverlayKind::Snapshot,
        OverlayKind::Overlayfs,
        OverlayKind::None,
    ];
    assert_eq!(all(&kinds.map(word)), "snapshot overlayfs none");
    let pending = [Pending::Finish, Pending::Cleanup, Pending::Borrowed];
    assert_eq!(all(&pending.map(word)), "finish cleanup borrowed");
    let stages = [
        Stage::Check,
        Stage::Merge,
        Stage::Build,
        Stage::Verify,
        Stage::Commit,
        Stage::Drop,
    ];
    assert_eq!(
        all(&stages.map(word)),
        "check merge build verify commit drop"
    );
    let modes = [
        SpaceMode::Beside,
        SpaceMode::ShortenedOverlay,
        SpaceMode::Scratch,
        SpaceMode::None,
    ];
    assert_eq!(
        all(&modes.map(word)),
        "beside shortened_overlay scratch none"
    );
    use Distrust::{Errors, Live, NotClean, NotWanted, Unsupported};
    let distrust = [NotWanted, Live, NotClean, Errors, Unsupported];
    assert_eq!(
        all(&distrust.map(word)),
        "not_wanted live not_clean errors unsupported"
    );
    assert_eq!(
        all(&[Weight::Note, Weight::Damage].map(word)),
        "note damage"
    );
    let codes = [
        ErrorKind::NotFound,
        ErrorKind::NoSpace,
        ErrorKind::Unsupported,
        ErrorKind::Damaged,
        ErrorKind::Busy,
        ErrorKind::Cancelled,
        ErrorKind::Io,
        ErrorKind::Denied,
        ErrorKind::Refused,
        ErrorKind::Missing,
        ErrorKind::Interrupted,
    ];
    assert_eq!(
        all(&codes.map(word)),
        "not_found no_space unsupported damaged busy cancelled io denied refused missing interrupted"
    );
    use EntryKind as Kind;
    let kinds = [
        Kind::Document,
        Kind::Picture,
        Kind::Media,
        Kind::Journal,
        Kind::Archive,
        Kind::Program,
        Kind::Settings,
        Kind::Log,
        Kind::Cache,
        Kind::Trash,
        Kind::Other,
        Kind::Nameless,
        Kind::Folder,
    ];
    assert_eq!(
        all(&kinds.map(word)),
        "document picture media journal archive program settings log cache trash other nameless folder"
    );
    use Part::{Disk, Ext4, Image as ImagePart, NewImage, Overlay as OverlayPart, Scratch};
    let parts = [
        Part::Stick,
        Disk,
        ImagePart,
        NewImage,
        OverlayPart,
        Ext4,
        Scratch,
    ];
    assert_eq!(
        all(&parts.map(word)),
        "stick disk image new_image overlay ext4 scratch"
    );
}

#[test]
fn a_newer_helper_may_say_more() {
    let more = r#"{"event":"hello","version":1,"since":"tomorrow"}"#;
    let hello: Event = serde_json::from_str(more).unwrap();
    assert_eq!(hello, Event::Hello { version: 1 });
}
