//! The harness itself.

use crate::harness::{End, Guest, Machine};
use std::fs;

#[test]
fn a_guest_keeps_what_it_wrote_and_says_how_it_ended() {
    let Some(machine) = Machine::get() else {
        return;
    };
    writes_and_ends(machine.guest("a script"));
    writes_and_ends(machine.guest("a script on a PC").pc());
}

fn writes_and_ends(guest: Guest<'_>) {
    let disk = tempfile::NamedTempFile::new().unwrap();
    disk.as_file().set_len(1 << 20).unwrap();
    let output = guest
        .disk(disk.path())
        .script("echo written | dd of=/dev/vda conv=fsync status=none; dmsetup targets")
        .script("false; echo not reached")
        .run();
    assert_eq!(output.end, End::Exit(1), "{output}");
    assert!(output.stdout.contains("snapshot-merge"), "{output}");
    assert!(!output.stdout.contains("not reached"), "{output}");
    assert!(fs::read(disk.path()).unwrap().starts_with(b"written\n"));
}

#[test]
fn a_guest_loses_its_power() {
    let Some(machine) = Machine::get() else {
        return;
    };
    let cut = machine.guest("cut").script("echo now; sleep 99");
    assert_eq!(cut.cut_at("now").run().expect_cut(), "now\n");
}
