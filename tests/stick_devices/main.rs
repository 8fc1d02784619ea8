//! Sticks as disk images and devices, on this machine's own kernel. For root; skipped, loudly,
//! for anybody else, and where a program or a file system is missing. (FAT and device-mapper
//! are tried in the virtual machine.)

#![allow(clippy::unwrap_used)]

macro_rules! root_only {
    ($($program:literal),*) => {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: needs root");
            return;
        }
        if !std::path::Path::new("/dev/loop-control").exists() {
            eprintln!("SKIPPED: there are no loop devices here");
            return;
        }
        $(if !$crate::made::installed($program) {
            eprintln!("SKIPPED: {} is not installed", $program);
            return;
        })*
        let _alone = $crate::made::alone();
    };
}

mod devices;
mod images;
mod journals;
mod made;
mod processes;
