//! Damaged files for every parser of what a stick holds. See docs/fuzzing.md.

#![allow(clippy::unwrap_used)]

#[path = "../model/alone.rs"]
mod alone;
mod edits;
mod ext4;
mod memory;
mod overlay;
mod runner;
mod seeds;
mod small;
mod squashfs;
mod sticks;
mod verdict;

use peak_alloc::PeakAlloc;
use runner::{Target, nothing};

#[global_allocator]
static PEAK: PeakAlloc = PeakAlloc;

/// Among so many targets the time of a long run is shared out.
const TARGETS: u64 = 6;

#[test]
fn exception_store() {
    let target = Target {
        name: "exception_store",
        seeds: seeds::stores,
        run: overlay::run,
        repair: nothing,
        executions: 6000,
    };
    target.fuzz(TARGETS);
}

#[test]
fn squashfs_image() {
    let target = Target {
        name: "squashfs_image",
        seeds: seeds::images,
        run: squashfs::run,
        repair: nothing,
        executions: 4000,
    };
    target.fuzz(TARGETS);
}

#[test]
fn ext4_file_system() {
    let target = Target {
        name: "ext4_file_system",
        seeds: seeds::file_systems,
        run: ext4::run,
        repair: seeds::repair_ext4,
        executions: 3000,
    };
    target.fuzz(TARGETS);
}

#[test]
fn whole_stick() {
    let target = Target {
        name: "whole_stick",
        seeds: seeds::sticks,
        run: sticks::run,
        repair: nothing,
        executions: 1500,
    };
    target.fuzz(TARGETS);
}

#[test]
fn disk() {
    let target = Target {
        name: "disk",
        seeds: seeds::disks,
        run: small::disk,
        repair: nothing,
        executions: 10_000,
    };
    target.fuzz(TARGETS);
}

#[test]
fn text() {
    let target = Target {
        name: "text",
        seeds: seeds::texts,
        run: small::text,
        repair: nothing,
        executions: 10_000,
    };
    target.fuzz(TARGETS);
}
