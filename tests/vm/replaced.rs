//! A stick (FAT32) that holds only one image: it is replaced by way of another disk, killed on the way, completed.

use crate::harness::{self, Machine, run};
use crate::sticks::{Disk, Format, named};
use std::process::Command;

const SCRIPT: &str = r#"
helper() { sugar-cellar-helper "$@" --json </dev/null; }
image=/run/stick/LiveOS/squashfs.img
mkdir -p /run/stick /run/scratch
mount /dev/vda /run/stick
mount /dev/vdb /run/scratch

needed=$(helper plan /run/stick | sed 's/.*"needed_bytes":\([0-9]*\).*/\1/')
free=$(($(stat -f -c '%a * %S' /run/stick)))
dd if=/dev/zero of=/run/stick/filler bs=64k count=$(((free - needed + 500000) / 65536)) 2>/dev/null
sync
helper plan /run/stick | grep -o '"mode":"[a-z_]*"'

# Killed as soon as the stick does not start.
sugar-cellar-helper refresh /run/stick --scratch /run/scratch --replace --yes --json </dev/null >/run/said 2>&1 &
helper=$!
while [ "$(head -c 4 $image | tr -d '\0')" = hsqs ] && kill -0 $helper; do :; done
kill -9 $helper || true
wait $helper || true
umount /run/stick
umount /run/scratch
helper status /dev/vda | grep -o '"code":"[a-z]*"'

mount /dev/vdb /run/scratch
helper refresh /dev/vda --scratch /run/scratch --yes | grep -o '"event":"finished"'
[ -z "$(ls /run/scratch | grep sugar-cellar)" ]
helper check /dev/vda | tail -n 1 | grep -o '"findings":\[\]'
goes_on /dev/vda "$OVERLAY"
echo end
"#;

#[test]
fn it_is_killed_and_completed() {
    let Some(machine) = Machine::get() else {
        return;
    };
    let folder = tempfile::tempdir_in(harness::folder()).unwrap();
    let stick = named(machine, "typical");
    let path = folder.path().join("stick");
    let disk = Disk::make(
        &path,
        Format::Fat32,
        200,
        &stick.squashfs(),
        &stick.overlay(),
    );
    let scratch = folder.path().join("scratch");
    std::fs::File::create(&scratch)
        .unwrap()
        .set_len(200 << 20)
        .unwrap();
    run(Command::new("mke2fs")
        .args(["-q", "-F", "-t", "ext4"])
        .arg(&scratch));
    let said = disk
        .guest(machine, "replaced")
        .disk(&scratch)
        .script(SCRIPT)
        .run()
        .expect_ok();
    println!("{said}");
    assert!(said.contains(r#""mode":"scratch""#), "{said}");
    assert!(said.contains(r#""code":"interrupted""#), "{said}");
    assert!(said.ends_with("end\n"), "{said}");
}
