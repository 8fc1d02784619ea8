//! The gauge of the booted stick: `watch live` while files are written to a dm-snapshot root.

use crate::harness::{self, Machine};
use crate::sticks::{Disk, Format, KernelStatus, named, parse_status};
use sugar_cellar::protocol::{Event, Status};

const SCRIPT: &str = r#"
live_root /dev/vda $OVERLAY
# It writes by itself otherwise, whenever it likes.
mount -o noinit_itable /dev/mapper/live-rw /mnt
sugar-cellar-helper watch live --interval 1 --json </dev/null >/run/watched 2>&1 &
watcher=$!

# Until the figures are the kernel's, which has no more to write after the sync.
same() {
    for _ in $(seq 150); do
        kernel=$(dmsetup status live-rw)
        watch=$(tail -n 1 /run/watched)
        set -- $kernel
        echo "$watch" | grep -q "\"used_sectors\":${4%/*},.*\"metadata_sectors\":$5," && return 0
        sleep 0.2
    done
    cat /run/watched
    return 1
}

for file in one two three; do
    dd if=/dev/urandom of=/mnt/$file bs=64k count=20 status=none
    sync
    same
    echo "kernel: $kernel"
    echo "watch: $watch"
done
# What fills it, while it is in use and after one of them was deleted.
rm /mnt/two
sync
echo "kernel at last: $(dmsetup status live-rw)"
echo "explained: $(sugar-cellar-helper explain live --json </dev/null | tail -n 1)"
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
    let stick = named(machine, "chunk-16");
    let path = folder.path().join("stick");
    let disk = Disk::make(&path, Format::Ext4, 80, &stick.squashfs(), &stick.overlay());
    let said = disk
        .guest(machine, "live gauge")
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
    let explained = lines("explained: ").next().unwrap();
    let Event::Explained { explanation, .. } = serde_json::from_str(explained).unwrap() else {
        panic!("{explained}");
    };
    let kernel = parse_status(lines("kernel at last: ").next().unwrap());
    let KernelStatus::Figures(used, ..) = kernel else {
        panic!("{kernel:?}");
    };
    let (all, sums) = (explanation.used_sectors.0, &explanation.sums);
    // Looking writes nothing; what the kernel still commits may come in between.
    assert!((used..used + 512).contains(&all), "{all} of {kernel:?}");
    let entry = |path: &str| explanation.entries.iter().find(|entry| entry.path == path);
    for path in ["one", "three"] {
        let sectors = entry(path).expect(path).sectors.0;
        // A chunk at either end may be shared.
        assert!(
            (2560 - 32..=2560 + 32).contains(&sectors),
            "{path}: {sectors}"
        );
    }
    assert!(entry("two").is_none(), "{explanation:?}");
    assert!(sums.deleted_sectors.0 >= 2560 - 32, "{sums:?}");
    assert_eq!(explanation.unclear, 0);
}
