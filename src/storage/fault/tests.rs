use super::*;
use std::collections::BTreeSet;

fn folder(rules: Rules) -> FaultFolder {
    let folder = FaultFolder::new(rules);
    folder.put("a", &[1; 2048]).unwrap();
    folder.put("b", &[2; 2048]).unwrap();
    folder.record();
    folder
}

/// The first byte of each of `a` and `b`, after each of many cuts at the end.
fn outcomes(folder: &FaultFolder) -> BTreeSet<(Option<u8>, Option<u8>)> {
    let end = folder.trace().cuts().last().unwrap();
    let first = |folder: &FaultFolder, name| folder.read(name).ok().map(|bytes| bytes[0]);
    (0..200)
        .map(|seed| {
            let after = end.crash(seed);
            (first(&after, "a"), first(&after, "b"))
        })
        .collect()
}

#[test]
fn it_behaves_as_a_disk_does() {
    let place = tempfile::tempdir().unwrap();
    let disk = super::super::DiskFolder::open(place.path()).unwrap();
    let fault = FaultFolder::new(Rules::Ext4);
    assert_eq!(script(&disk), script(&fault));
}

/// What a folder answers to all sorts of calls.
fn script(folder: &impl Folder) -> Vec<String> {
    let mut said = Vec::new();
    let mut say = |what: &str, result: io::Result<String>| {
        said.push(match result {
            Ok(value) => format!("{what}: {value}"),
            Err(error) => format!("{what}: {:?}", error.kind()),
        });
    };
    let file = folder.create("a").unwrap();
    say(
        "write",
        file.write_at(&[7; 700], 100).map(|()| String::new()),
    );
    say("size", file.size().map(|size| size.to_string()));
    let mut bytes = [9; 200];
    say(
        "read",
        file.read_at(&mut bytes, 0).map(|()| format!("{bytes:?}")),
    );
    say(
        "past",
        file.read_at(&mut bytes, 700).map(|()| String::new()),
    );
    say("cut", file.set_len(Bytes(150)).map(|()| String::new()));
    say("longer", file.set_len(Bytes(300)).map(|()| String::new()));
    say(
        "read",
        file.read_at(&mut bytes, 0).map(|()| format!("{bytes:?}")),
    );
    say("sync", file.sync().map(|()| String::new()));
    say("again", folder.create("a").map(|_| String::new()));
    say("none", folder.open("c").map(|_| String::new()));
    say("path", folder.open("../a").map(|_| String::new()));
    let read_only = folder.open("a").unwrap();
    say(
        "denied",
        read_only.write_at(&[1], 0).map(|()| String::new()),
    );
    folder.create("b").unwrap();
    say(
        "exchange",
        folder.exchange("a", "b").map(|()| String::new()),
    );
    say(
        "exchange",
        folder.exchange("a", "c").map(|()| String::new()),
    );
    say("rename", folder.rename("a", "b").map(|()| String::new()));
    say("rename", folder.rename("a", "c").map(|()| String::new()));
    say("remove", folder.remove("a").map(|()| String::new()));
    say("remove", folder.remove("c").map(|()| String::new()));
    let names = folder.entries().map(|entries| {
        let entry = |e: &Entry| format!("{} {} {:?}", e.name, e.bytes, e.kind);
        entries.iter().map(entry).collect::<Vec<_>>().join(", ")
    });
    say("entries", names);
    say("sync", folder.sync().map(|()| String::new()));
    let uncached = folder.open_uncached("b").unwrap();
    say(
        "uncached",
        uncached
            .read_at(&mut bytes, 0)
            .map(|()| format!("{bytes:?}")),
    );
    say(
        "uncached",
        uncached.read_at(&mut bytes, 200).map(|()| String::new()),
    );
    say(
        "limit",
        folder.file_limit().map(|limit| format!("{limit:?}")),
    );
    said
}

#[test]
fn a_sync_keeps_what_it_promises() {
    let folder = folder(Rules::Ext4);
    let file = folder.open_writable("a").unwrap();
    file.write_at(&[9; 2048], 0).unwrap();
    let seen = outcomes(&folder);
    assert!(seen.contains(&(Some(1), Some(2))) && seen.contains(&(Some(9), Some(2))));
    file.sync().unwrap();
    assert_eq!(outcomes(&folder), BTreeSet::from([(Some(9), Some(2))]));
}

#[test]
fn writes_tear_between_sectors_only() {
    let folder = folder(Rules::Ext4);
    let file = folder.open_writable("a").unwrap();
    file.write_at(&[9; 1200], 100).unwrap();
    let end = folder.trace().cuts().last().unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let bytes = end.crash(seed).read("a").unwrap();
        let kept: Vec<bool> = [100, 512, 1024].map(|at| bytes[at] == 9).into();
        assert!(bytes[100..512].iter().all(|&b| (b == 9) == kept[0]));
        assert!(bytes[512..1024].iter().all(|&b| (b == 9) == kept[1]));
        assert!(bytes[1024..1300].iter().all(|&b| (b == 9) == kept[2]));
        assert!(bytes[..100].iter().chain(&bytes[1300..]).all(|&b| b == 1));
        seen.insert(kept);
    }
    assert_eq!(seen.len(), 8);
}

#[test]
fn a_sector_is_as_it_was_at_one_instant() {
    let folder = folder(Rules::Ext4);
    let file = folder.open_writable("a").unwrap();
    file.write_at(&[8], 10).unwrap();
    file.write_at(&[9], 20).unwrap();
    let end = folder.trace().cuts().last().unwrap();
    let states: BTreeSet<_> = (0..200)
        .map(|seed| end.crash(seed).read("a").unwrap())
        .map(|bytes| (bytes[10], bytes[20]))
        .collect();
    assert_eq!(states, BTreeSet::from([(1, 1), (8, 1), (8, 9)]));
}

#[test]
fn lengths_are_old_or_new() {
    for rules in [Rules::Ext4, Rules::Fat] {
        let folder = folder(rules);
        let file = folder.open_writable("a").unwrap();
        file.set_len(Bytes(512)).unwrap();
        file.set_len(Bytes(9000)).unwrap();
        let end = folder.trace().cuts().last().unwrap();
        let mut lengths = BTreeSet::new();
        for seed in 0..200 {
            let bytes = end.crash(seed).read("a").unwrap();
            assert!(bytes[..512].iter().all(|&b| b == 1));
            lengths.insert(bytes.len());
        }
        assert_eq!(lengths, BTreeSet::from([512, 2048, 9000]), "{rules}");
        // All survives: then it reads as it did.
        let bytes = end.crash(1).read("a").unwrap();
        assert!(bytes.len() == 9000 && bytes[512..].iter().all(|&b| b == 0));
    }
}

#[test]
fn an_exchange_is_one_step_but_on_fat() {
    let whole = [(Some(1), Some(2)), (Some(2), Some(1))];
    let half = [(Some(1), Some(1)), (Some(2), Some(2))];
    for (rules, states) in [
        (Rules::Ext4, BTreeSet::from(whole)),
        (Rules::Fat, whole.into_iter().chain(half).collect()),
    ] {
        let folder = folder(rules);
        folder.exchange("a", "b").unwrap();
        assert_eq!(outcomes(&folder), states, "{rules}");
        Folder::sync(&folder).unwrap();
        assert_eq!(outcomes(&folder), BTreeSet::from([whole[1]]), "{rules}");
    }
}

#[test]
fn names_keep_their_order_only_with_a_journal() {
    let folder = folder(Rules::Ext4);
    folder.exchange("a", "b").unwrap();
    folder.remove("b").unwrap();
    let ordered = [(Some(1), Some(2)), (Some(2), Some(1)), (Some(2), None)];
    assert_eq!(outcomes(&folder), BTreeSet::from(ordered));
    // On FAT the old image may be gone before the new one has its name.
    let folder = super::tests::folder(Rules::Fat);
    folder.exchange("a", "b").unwrap();
    folder.remove("b").unwrap();
    assert!(outcomes(&folder).contains(&(Some(0xdb), None)));
}

#[test]
fn removing_one_of_two_names_on_fat_spoils_the_other() {
    let folder = folder(Rules::Fat);
    folder.exchange("a", "b").unwrap();
    let end = folder.trace().cuts().last().unwrap();
    let both = (0..200).map(|seed| end.crash(seed));
    let both = both.filter(|f| f.read("a").unwrap() == f.read("b").unwrap());
    let half = both.into_iter().next().unwrap();
    half.remove("b").unwrap();
    assert_eq!(half.read("a").unwrap()[0], 0xdb);
}

#[test]
fn a_new_file_needs_its_folder_synced() {
    let folder = folder(Rules::Ext4);
    let file = folder.create("c").unwrap();
    file.write_at(&[3; 600], 0).unwrap();
    file.sync().unwrap();
    let end = folder.trace().cuts().last().unwrap();
    assert!(end.crash(0).read("c").is_err());
    assert_eq!(end.crash(1).read("c").unwrap(), [3; 600]);
    Folder::sync(&folder).unwrap();
    let end = folder.trace().cuts().last().unwrap();
    assert!(end.is_settled());
    assert_eq!(end.crash(0).read("c").unwrap(), [3; 600]);
}

#[test]
fn every_call_is_a_cut() {
    let folder = folder(Rules::Ext4);
    let file = folder.open_writable("a").unwrap();
    file.write_at(&[9; 512], 0).unwrap();
    file.sync().unwrap();
    folder.exchange("a", "b").unwrap();
    let trace = folder.trace();
    let cuts: Vec<_> = trace.cuts().collect();
    assert_eq!(trace.len(), 3);
    let words: Vec<_> = cuts.iter().map(Cut::last).collect();
    assert_eq!(
        words,
        ["nothing", "write a 0+512", "sync a", "exchange a b"]
    );
    assert!(cuts[2].is_settled() && !cuts[3].is_settled());
}

#[test]
fn calls_fail_as_asked() {
    let folder = folder(Rules::Ext4);
    let file = folder.open_writable("a").unwrap();
    folder.fail_call(1, io::ErrorKind::StorageFull);
    file.write_at(&[9], 0).unwrap();
    let error = file.write_at(&[9], 1).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    file.write_at(&[9], 2).unwrap();
    assert_eq!(&folder.read("a").unwrap()[..3], [9, 1, 9]);
    folder.fail_from(3, io::ErrorKind::Other);
    assert!(file.sync().is_err() && folder.remove("a").is_err());
    folder.break_reads("b", 700).unwrap();
    let file = folder.open("b").unwrap();
    assert!(file.read_at(&mut [0; 512], 0).is_ok());
    assert!(file.read_at(&mut [0; 512], 512).is_err());
}

#[test]
fn room_runs_out() {
    for (rules, hole) in [(Rules::Ext4, true), (Rules::Fat, false)] {
        let folder = folder(rules);
        folder.set_capacity(Bytes(5 * 4096));
        assert_eq!(folder.free().unwrap(), Bytes(3 * 4096));
        let file = folder.create("c").unwrap();
        assert_eq!(file.set_len(Bytes(1 << 20)).is_ok(), hole, "{rules}");
        file.write_at(&[1; 3 * 4096], 0).unwrap();
        let error = file.write_at(&[1], 3 * 4096).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        folder.remove("a").unwrap();
        file.write_at(&[1], 3 * 4096).unwrap();
    }
}

#[test]
fn a_flipped_byte_is_the_devices_alone() {
    let folder = folder(Rules::Ext4);
    folder.flip("a", 5, 0x80).unwrap();
    let read = |file: FaultFile| {
        let mut byte = [0];
        file.read_at(&mut byte, 5).unwrap();
        byte[0]
    };
    assert_eq!(read(folder.open("a").unwrap()), 1);
    assert_eq!(read(folder.open_uncached("a").unwrap()), 0x81);
    // What is not synced is not on the device.
    let file = folder.open_writable("b").unwrap();
    file.write_at(&[7; 9], 0).unwrap();
    assert_eq!(read(folder.open_uncached("b").unwrap()), 2);
    file.sync().unwrap();
    assert_eq!(read(folder.open_uncached("b").unwrap()), 7);
}
