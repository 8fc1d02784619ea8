//! The harness itself.

use crate::harness::{End, Machine};
use std::fs;

#[test]
fn a_guest_runs_a_script_and_keeps_what_it_wrote() {
    let Some(machine) = Machine::get() else {
        return;
    };
    let disk = tempfile::NamedTempFile::new().unwrap();
    disk.as_file().set_len(1 << 20).unwrap();
    let output = machine
        .guest("a script")
        .disk(disk.path())
        .script("echo written | dd of=/dev/vda conv=fsync status=none; echo $((2 + 2)); dmsetup targets")
        .run()
        .expect_ok();
    assert!(output.starts_with("4\n"), "{output}");
    assert!(output.contains("snapshot-merge"), "{output}");
    assert!(fs::read(disk.path()).unwrap().starts_with(b"written\n"));
}

#[test]
fn a_failing_script_is_told_from_a_power_cut() {
    let Some(machine) = Machine::get() else {
        return;
    };
    let failed = machine
        .guest("failing")
        .script("false; echo not reached")
        .run();
    assert_eq!(failed.end, End::Exit(1), "{failed}");
    assert_eq!(failed.stdout, "");
    let cut = machine
        .guest("cut inside")
        .script("echo on; power_cut; echo off");
    assert_eq!(cut.run().expect_cut(), "on\n");
    let cut = machine
        .guest("cut outside")
        .script("echo now; sleep 99")
        .cut_at("now");
    assert_eq!(cut.run().expect_cut(), "now\n");
}
