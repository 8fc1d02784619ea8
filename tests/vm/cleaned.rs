//! What may go from a running system goes, and nothing else: in a root that lies on dm-snapshot.

use crate::harness::{self, Machine};
use crate::sticks::Disk;
use sugar_cellar::protocol::{Clutter, Event, Explanation};

const SCRIPT: &str = r#"
live_root /dev/vda $OVERLAY
mount -o noatime /dev/mapper/live-rw /mnt
home=/mnt/home/liveuser
mkdir -p $home/.cache/browser $home/.local/share/Trash/files /mnt/var/crash
for file in $home/.cache/browser/page $home/.local/share/Trash/files/old.jpg /mnt/var/crash/1.crash; do
    head -c 1000000 /dev/urandom >$file
done
echo kept >$home/Documents/kept
ln -s $home/Documents $home/.cache/leads-out
# As the running system's root, with the guest's programs in it.
for folder in dev proc sys run bin sbin lib lib64 usr/bin usr/sbin usr/lib; do
    [ -d /$folder ] || continue
    mkdir -p /mnt/$folder
    mount --rbind /$folder /mnt/$folder
done
live() {
    HOME=/home/liveuser chroot /mnt sugar-cellar-helper "$@" --json </dev/null
}
sync
sleep 1
echo "before: $(live explain live --quick | tail -n 1)"
live clean live caches trash logs crashes packages | grep cleaned | sed 's/^/cleaned: /'
sync
sleep 1
echo "after: $(live explain live --quick | tail -n 1)"
cat $home/Documents/kept
ls $home/Documents | sed 's/^/document: /'
umount -R -l /mnt
"#;

#[test]
fn what_may_go_goes() {
    let Some(machine) = Machine::get() else {
        return;
    };
    let folder = tempfile::tempdir_in(harness::folder()).unwrap();
    let (disk, ..) = Disk::practice(folder.path(), "stick", (96, 3));
    let said = disk
        .guest(machine, "cleaned")
        .script(SCRIPT)
        .run()
        .expect_ok();
    let event = |start: &str| -> Vec<Event> {
        let lines = said.lines().filter_map(|line| line.strip_prefix(start));
        lines
            .map(|line| serde_json::from_str(line).expect(line))
            .collect()
    };
    let explained = |start: &str| -> Explanation {
        match event(start).pop() {
            Some(Event::Explained { explanation, .. }) => *explanation,
            other => panic!("{start}: {other:?}\n{said}"),
        }
    };
    let (before, after) = (explained("before: "), explained("after: "));
    let mut found: Vec<Clutter> = before.clutter.iter().map(|sum| sum.clutter).collect();
    found.sort();
    let expected = [
        Clutter::Caches,
        Clutter::Trash,
        Clutter::Logs,
        Clutter::Crashes,
    ];
    assert_eq!(found, expected);
    assert_eq!(after.clutter, []);
    for event in event("cleaned: ") {
        let Event::Cleaned {
            what, files, bytes, ..
        } = event
        else {
            panic!("{event:?}");
        };
        // What explain says of it is what goes, but for chunks of the image that were never changed.
        let sum = before.clutter.iter().find(|sum| sum.clutter == what);
        let (number, told) = sum.map_or((0, 0), |sum| (sum.number, sum.sectors.0 * 512));
        // The link in the cache owns nothing.
        let links = u64::from(what == Clutter::Caches);
        assert_eq!(files, number + links, "{what:?}");
        assert!(
            bytes.0.abs_diff(told) <= 8192 * number,
            "{what:?}: {bytes} of {told}"
        );
    }
    // Nothing comes back by removing alone.
    assert!(after.used_sectors >= before.used_sectors);
    assert!(after.sums.deleted_sectors.0 >= before.sums.deleted_sectors.0 + 3 * 1900);
    assert!(said.contains("\nkept"), "{said}");
    assert_eq!(said.matches("document: Report").count(), 3, "{said}");
}
