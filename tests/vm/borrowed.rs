//! A stick without room for two images: the overlay's unused end makes it, and is given back.

use crate::harness::{self, Machine};
use crate::sticks::{Disk, Format, named};

const SCRIPT: &str = r#"
helper() { sugar-cellar-helper "$@" --json </dev/null; }
overlay=/run/stick/LiveOS/$OVERLAY
mkdir -p /run/stick

# All of its room is set aside, and next to nothing is left beside it.
mount /dev/vda /run/stick
fallocate -l 300M "$overlay"
dd if=/dev/zero of=/run/stick/filler bs=64k 2>/dev/null || true
truncate -s -1M /run/stick/filler
sync
before=$(stat -c %s "$overlay")
umount /run/stick
helper plan /dev/vda | grep -o '"mode":"[a-z_]*"'

# Killed as soon as the overlay is shorter.
mount /dev/vda /run/stick
sugar-cellar-helper refresh /run/stick --yes --json </dev/null >/run/said 2>&1 &
helper=$!
while [ "$(stat -c %s "$overlay")" = "$before" ] && kill -0 $helper; do sleep 0.01; done
kill -9 $helper || true
wait $helper || true
echo "killed: $(stat -c %s "$overlay"), $(helper status /run/stick | grep -o '"pending":.*')"
umount /run/stick

helper refresh /dev/vda --yes | grep -o '"event":"finished"'
helper check /dev/vda | tail -n 1 | grep -o '"findings":\[\]'
mount -o ro /dev/vda /run/stick
# All but what the image has grown by, and what ext4 keeps for root, which the filler took.
after=$(stat -c %s "$overlay")
echo "overlay: $before, $after"
[ "$after" -le "$before" ]
[ "$after" -gt $((before - 32000000)) ]
[ ! -e /run/stick/LiveOS/sugar-cellar.json ]
[ ! -e /run/stick/LiveOS/squashfs.new ]
umount /run/stick

goes_on /dev/vda "$OVERLAY"
echo end
"#;

#[test]
fn it_is_given_back() {
    let Some(machine) = Machine::get() else {
        return;
    };
    let folder = tempfile::tempdir_in(harness::folder()).unwrap();
    let stick = named(machine, "typical");
    let path = folder.path().join("stick");
    let disk = Disk::make(
        &path,
        Format::Ext4,
        400,
        &stick.squashfs(),
        &stick.overlay(),
    );
    let said = disk
        .guest(machine, "borrowed")
        .script(SCRIPT)
        .run()
        .expect_ok();
    println!("{said}");
    assert!(said.contains(r#""mode":"shortened_overlay""#), "{said}");
    assert!(said.ends_with("end\n"), "{said}");
}
