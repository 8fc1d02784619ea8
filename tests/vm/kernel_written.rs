//! Overlays that the kernel wrote, read by us.

use crate::harness::Machine;
use crate::sticks::{KernelStatus, written};

#[test]
fn figures_equal_the_kernels() {
    let Some(machine) = Machine::get() else {
        return;
    };
    for stick in written(machine) {
        println!("{} {:?} {:?}", stick.name, stick.live, stick.status);
    }
    panic!();
}
