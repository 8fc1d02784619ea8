//! Tests against a real Linux kernel: Debian's own, booted in QEMU or as a process.
//!
//! What only a kernel can judge is judged here: overlays that it wrote itself
//! through device-mapper, and what it reads from sticks that were refreshed.
//!
//! KVM is used where it works. Elsewhere the kernel runs as a process (user-mode Linux), and where
//! that does not work, or a guest has to be a PC, QEMU emulates one. `SUGAR_CELLAR_VM=kvm`, `=user`
//! and `=tcg` insist on one of them, `=off` skips these tests (loudly).

// A panic is how a test's helpers fail.
#![allow(clippy::unwrap_used)]

mod booted;
mod borrowed;
mod cleaned;
mod commands;
mod crafted;
mod cut;
mod engines;
mod experiments;
mod explained;
mod faults;
mod given_up;
mod harness;
#[path = "../explain/judge.rs"]
mod judge;
mod kernel_written;
mod live;
mod machine;
#[path = "../model/mod.rs"]
mod model;
mod moved;
mod opened;
mod prevented;
mod recorded;
mod refreshed;
mod replaced;
mod status;
mod sticks;
