//! The lesson of the experiments: predict, do, look, why; and the notebook that is kept of it.
//!
//! Pure: what is predicted and what came of it. Pages and windows stand on it.

mod notebook;
mod words;

pub use notebook::{Entry, page};
pub use words::{answer, look, question, task, why};

use sugar_cellar::protocol::Step;
use sugar_cellar::units::Sectors;

/// What a learner expects of the gauge, and what it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Falls,
    Stays,
    Rises,
}

impl Outcome {
    /// In the order in which they are offered.
    pub const ALL: [Outcome; 3] = [Outcome::Rises, Outcome::Stays, Outcome::Falls];
}

/// What a step did to the overlay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Result {
    pub step: Step,
    /// How large it is what the step was about; 0 where nobody knows.
    pub bytes: u64,
    /// What the overlay held before and afterwards, and its size.
    pub before: Sectors,
    pub after: Sectors,
    pub total: Sectors,
}

/// Where nobody knows how large it was, more than this is a rise, in bytes: a system that writes
/// its journal takes less.
const A_RISE: u64 = 512 << 10;

impl Result {
    /// What came in, in bytes.
    pub fn more(&self) -> u64 {
        bytes(self.after.saturating_sub(self.before))
    }

    /// What went out, in bytes.
    pub fn less(&self) -> u64 {
        bytes(self.before.saturating_sub(self.after))
    }

    /// What the gauge did: a quarter of the size is no longer "hardly".
    pub fn outcome(&self) -> Outcome {
        let rise = match self.bytes {
            0 => A_RISE,
            bytes => bytes / 4,
        };
        if self.after < self.before {
            Outcome::Falls
        } else if self.more() > rise {
            Outcome::Rises
        } else {
            Outcome::Stays
        }
    }

    /// How full it was, and is, in percent.
    pub fn percent(&self) -> (f64, f64) {
        let of = |sectors: Sectors| 100.0 * sectors.0 as f64 / self.total.0.max(1) as f64;
        (of(self.before), of(self.after))
    }
}

fn bytes(sectors: Sectors) -> u64 {
    sectors.bytes().map_or(u64::MAX, |bytes| bytes.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(bytes: u64, before: u64, after: u64) -> Result {
        Result {
            step: Step::Save,
            bytes,
            before: Sectors(before),
            after: Sectors(after),
            total: Sectors(10_000),
        }
    }

    #[test]
    fn what_the_gauge_did() {
        assert_eq!(result(512_000, 100, 1_100).outcome(), Outcome::Rises);
        assert_eq!(result(512_000, 100, 340).outcome(), Outcome::Stays);
        assert_eq!(result(512_000, 100, 100).outcome(), Outcome::Stays);
        assert_eq!(result(512_000, 100, 92).outcome(), Outcome::Falls);
        assert_eq!(result(0, 100, 1_100).outcome(), Outcome::Stays);
        assert_eq!(result(0, 100, 1_300).outcome(), Outcome::Rises);
        assert_eq!(result(0, 100, 1_100).percent(), (1.0, 11.0));
    }
}
