//! Where the bench keeps its things, and how large it is to be.

use super::measure::Outcome;
use std::path::{Path, PathBuf};

/// Files to go into the corpus, in MiB, where they come from this machine's own /usr.
const OWN_MIB: u64 = 1300;
/// Set to a number, it asks for a corpus of so many MiB from this machine's own /usr.
const MIB: &str = "SUGAR_CELLAR_BENCH_MIB";

/// What is asked for, and where it goes.
#[derive(Debug, Clone)]
pub struct Places {
    /// Everything is made here, and stays.
    pub work: PathBuf,
    /// So many MiB of this machine's own files; none for a whole Debian.
    pub own_mib: Option<u64>,
}

impl Places {
    pub fn find() -> Outcome<Places> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("target"),
            PathBuf::from,
        );
        let asked = match std::env::var(MIB) {
            Ok(text) => Some(text.parse().map_err(|_| format!("{MIB}={text}"))?),
            Err(_) => None,
        };
        let mut places = Places {
            work: target.join("bench"),
            own_mib: asked,
        };
        if asked.is_none()
            && !places.work.join("debian").exists()
            && !rustix::process::geteuid().is_root()
        {
            println!("not root, so no debootstrap: this machine's own /usr is the corpus");
            places.own_mib = Some(OWN_MIB);
        }
        if let Some(mib) = places.own_mib {
            places.work.push(format!("usr-{mib}"));
        } else {
            places.work.push("debian");
        }
        std::fs::create_dir_all(&places.work)?;
        Ok(places)
    }

    /// Falls back to this machine's own files, because of `why`.
    pub fn fall_back(&self, why: &str) -> Outcome<Places> {
        println!("no debootstrap here ({why}): this machine's own /usr is the corpus");
        let parent = self.work.parent().ok_or("no place to work")?;
        let work = parent.join(format!("usr-{OWN_MIB}"));
        std::fs::create_dir_all(&work)?;
        Ok(Places {
            work,
            own_mib: Some(OWN_MIB),
        })
    }
}
