//! The gauge of the booted stick: `watch live` while files are written to a dm-snapshot root.

use crate::harness::{self, Machine};
use crate::sticks::{Disk, Format, KernelStatus, parse_status, written};
use sugar_cellar::protocol::Status;

const SCRIPT: &str = r#"
live_root /dev/vda $OVERLAY
mount /dev/mapper/live-rw /mnt
sugar-cellar-helper watch live --interval 1 --json </dev/null >/run/watched 2>&1 &
watcher=$!

# Until the figures are the kernel's, which has no more to write after the sync.
same() {
    for _ in $(seq 150); do
        set -- $(dmsetup status live-rw)
        tail -n 1 /run/watched | grep -q "\"used_sectors\":${4%/*},.*\"metadata_sectors\":$5," && return 0
        sleep 0.2
    done
    cat /run/watched
    return 1
}

for file in one two three; do
    dd if=/dev/urandom of=/mnt/$file bs=64k count=20 status=none
    sync
    same
    echo "kernel: $(dmsetup status live-rw)"
    echo "watch: $(tail -n 1 /run/watched)"
done
kill $watcher
wait $watcher || true
umount /mnt
live_end
"#;

#[test]
fn the_gauge_follows_what_is_written_to_a_booted_stick() {
    let Some(machine) = Machine::get() else {
        return;
    };
    let folder = tempfile::tempdir_in(harness::folder()).unwrap();
    let stick = written(machine)
        .iter()
        .find(|stick| stick.name == "chunk-16");
    let stick = stick.unwrap();
    let path = folder.path().join("stick");
    let disk = Disk::make(&path, Format::Ext4, 80, &stick.squashfs(), &stick.overlay());
    let said = machine
        .guest("live gauge")
        .disk(&disk.path)
        .script(&format!("OVERLAY={}", disk.overlay()))
        .script(include_str!("guest/live.sh"))
        .script(SCRIPT)
        .run()
        .expect_ok();
    let lines = |start: &'static str| {
        said.lines()
            .filter_map(move |line| line.strip_prefix(start))
    };
    let kernels: Vec<KernelStatus> = lines("kernel: ").map(parse_status).collect();
    let ours: Vec<Status> = lines("watch: ")
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((kernels.len(), ours.len()), (3, 3), "{said}");
    let mut before = 0;
    for (kernel, status) in kernels.iter().zip(&ours) {
        assert!(status.stick.booted);
        let overlay = &status.overlay;
        let [used, total, metadata] = [
            overlay.used_sectors,
            overlay.total_sectors,
            overlay.metadata_sectors,
        ]
        .map(|sectors| sectors.0);
        assert_eq!(*kernel, KernelStatus::Figures(used, total, metadata));
        // 1.25 MiB each time.
        assert!(used >= before + 2560, "{said}");
        before = used;
    }
}
