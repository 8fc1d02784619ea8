//! How overlays come about: what is done in a guest, through the real dm-snapshot.

use super::content::{Base, MODERN, OLD, ZSTD};
use std::path::Path;

/// One overlay's life.
#[derive(Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub base: Base,
    /// The overlay file's length, as truncate takes it.
    bytes: &'static str,
    /// What happens (guest/write.sh); `$pad` is the first chunk of a file whose chunks follow each other.
    steps: &'static str,
    /// Whether the power is cut at the end.
    pub cut: bool,
    /// Whether the kernel lists the files in it, too: that takes time.
    pub closely: bool,
}

const fn scenario(
    name: &'static str,
    base: Base,
    bytes: &'static str,
    steps: &'static str,
) -> Scenario {
    Scenario {
        name,
        base,
        bytes,
        steps,
        cut: false,
        closely: false,
    }
}

impl Scenario {
    /// The guest's script for it, without the judging.
    pub fn script(&self, images: &Path) -> String {
        let Scenario {
            name, bytes, steps, ..
        } = self;
        let base = self.base.name;
        let mut script = format!("begin {name} {base} {bytes}\n{steps}\n");
        if steps.contains("pad") {
            script = format!("pad={}\n{script}", self.base.pad_start(images));
        }
        script
    }

    /// The guest's script that judges it.
    pub fn judge(&self) -> &'static str {
        if self.closely {
            "judge closely\n"
        } else {
            "judge\n"
        }
    }
}

/// All of them. An area of 8-sector chunks holds 256 exceptions.
pub const SCENARIOS: &[Scenario] = &[
    scenario("empty", MODERN, "8M", "open_root PO 8; close_root"),
    scenario("empty-p", OLD, "8M", "open_root P 8; close_root"),
    // Nothing more than a boot and a shutdown.
    scenario(
        "booted",
        MODERN,
        "8M",
        "open_root PO 8; mount_root; umount /mnt; close_root",
    ),
    Scenario {
        closely: true,
        ..scenario(
            "typical",
            MODERN,
            "48M",
            "for day in 1 2 3; do
                open_root PO 8; mount_root; learn $day; umount /mnt; close_root
            done",
        )
    },
    scenario(
        "old-image",
        OLD,
        "32M",
        "open_root P 8; mount_root; learn 1; learn 2; umount /mnt; close_root",
    ),
    // Of what was saved, most is gone again.
    scenario(
        "deletions",
        MODERN,
        "32M",
        "open_root PO 8; mount_root; learn 1; learn 2
        rm -r /mnt/home/learner/day* /mnt/usr/share/books; umount /mnt; close_root",
    ),
    // The store's own chunk size wins over the one that it is opened with later.
    scenario(
        "chunk-16",
        ZSTD,
        "32M",
        "open_root P 16; mount_root; learn 1; umount /mnt; close_root
        open_root P 8; mount_root; learn 2; umount /mnt; close_root",
    ),
    scenario(
        "chunk-32",
        MODERN,
        "32M",
        "open_root PO 32; mount_root; learn 1; umount /mnt; close_root",
    ),
    scenario(
        "chunk-1024",
        MODERN,
        "48M",
        "open_root PO 1024; mount_root; learn 1; umount /mnt; close_root",
    ),
    scenario("area-less-one", MODERN, "8M", "open_root PO 8; touch_chunks $pad 255; close_root"),
    scenario("area-exact", MODERN, "8M", "open_root PO 8; touch_chunks $pad 256; close_root"),
    scenario("area-and-one", MODERN, "8M", "open_root PO 8; touch_chunks $pad 257; close_root"),
    // Backwards in pieces, so that old and new chunks do not run side by side.
    scenario(
        "two-areas-exact",
        ZSTD,
        "8M",
        "open_root P 8
        for piece in 7 6 5 4 3 2 1 0; do touch_chunks $((pad + 64 * piece)) 64; done
        close_root",
    ),
    // 303 chunks: header, two areas, 300 exceptions. Full, and clean.
    scenario(
        "exactly-full",
        MODERN,
        "1212K",
        "open_root PO 8; touch_chunks $pad 300; close_root",
    ),
    // 258 chunks: the area fills with the last chunk, and the next area would lie outside.
    scenario(
        "no-next-area",
        MODERN,
        "1032K",
        "open_root PO 8; touch_chunks $pad 256 || true; close_root",
    ),
    scenario(
        "overflow-p",
        MODERN,
        "4M",
        "open_root P 8; mount_root; learn 1 || true; umount /mnt; close_root",
    ),
    scenario(
        "overflow-po",
        MODERN,
        "4M",
        "open_root PO 8; mount_root; learn 1 || true; umount /mnt; close_root",
    ),
    // Areas and data of its first life lie behind the list's end.
    scenario(
        "reset",
        MODERN,
        "32M",
        "open_root PO 8; mount_root; learn 1; learn 2; umount /mnt; close_root
        reset_overlay
        open_root PO 8; mount_root; cp -r /data/saved/journal /mnt/home/learner; umount /mnt; close_root",
    ),
    // Made longer while it is in use.
    scenario(
        "grown",
        MODERN,
        "16M",
        "open_root PO 8; mount_root; learn 1
        truncate -s 24M $overlay; losetup -c $store; learn 2; umount /mnt; close_root",
    ),
    Scenario {
        cut: true,
        closely: true,
        ..scenario(
            "power-cut",
            MODERN,
            "48M",
            "open_root PO 8; mount_root; learn 1; sync; learn 2; sync
            rm /mnt/usr/share/books/1.txt; sleep 6; cp -r /data/saved/pictures /mnt/root",
        )
    },
];
