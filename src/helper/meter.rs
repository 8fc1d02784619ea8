//! How far a job of several stages is, how fast, and how long it still takes. No clock, no output.

use crate::protocol::Stage;
use std::time::Duration;

/// A stage, and its usual share of the whole.
pub type Share = (Stage, u32);

/// Early guesses are wrong, and a wrong guess is worse than none.
const NO_GUESS_BEFORE: Duration = Duration::from_secs(4);
/// Nor is a guess made of less than this part of the whole.
const NO_GUESS_BELOW: f64 = 0.03;

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// The stage it is in.
    pub stage: Stage,
    /// Bytes of the stage behind us.
    pub done: u64,
    /// Bytes of the stage.
    pub total: u64,
    /// Bytes a second in this stage; none in its first moment.
    pub rate: Option<f64>,
    /// Seconds left of the whole; none while nobody can know.
    pub eta_seconds: Option<u64>,
}

/// Follows one job.
#[derive(Debug)]
pub struct Meter {
    shares: Vec<Share>,
    stage: Option<(Stage, Duration)>,
}

impl Meter {
    /// Of a job that goes through `shares` in this order.
    pub fn new(shares: &[Share]) -> Meter {
        Meter {
            shares: shares.to_vec(),
            stage: None,
        }
    }

    /// Takes note of a step at `now`, counted from the job's start.
    pub fn read(&mut self, now: Duration, stage: Stage, done: u64, total: u64) -> Reading {
        let since = match self.stage {
            Some((before, since)) if before == stage => since,
            _ => now,
        };
        self.stage = Some((stage, since));
        let done = done.min(total);
        let spent = (now.saturating_sub(since)).as_secs_f64();
        Reading {
            stage,
            done,
            total,
            rate: (spent >= 0.5).then(|| done as f64 / spent),
            eta_seconds: self.eta(now, stage, done, total),
        }
    }

    fn eta(&self, now: Duration, stage: Stage, done: u64, total: u64) -> Option<u64> {
        let place = self.shares.iter().position(|(one, _)| *one == stage)?;
        let share = |(_, share): &Share| f64::from(*share);
        let whole: f64 = self.shares.iter().map(share).sum();
        let before: f64 = self.shares[..place].iter().map(share).sum();
        let within = if total == 0 {
            0.0
        } else {
            done as f64 / total as f64
        };
        let behind = (before + within * share(&self.shares[place])) / whole;
        if now < NO_GUESS_BEFORE || behind < NO_GUESS_BELOW {
            return None;
        }
        Some((now.as_secs_f64() * (1.0 - behind) / behind).round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARES: &[Share] = &[(Stage::Build, 75), (Stage::Verify, 25)];

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn no_guess_in_the_first_seconds() {
        let mut meter = Meter::new(SHARES);
        assert_eq!(meter.read(at(0), Stage::Build, 0, 100).eta_seconds, None);
        assert_eq!(meter.read(at(2), Stage::Build, 50, 100).eta_seconds, None);
        assert_eq!(meter.read(at(60), Stage::Build, 1, 100).eta_seconds, None);
    }

    #[test]
    fn the_rest_takes_as_long_as_its_share() {
        let mut meter = Meter::new(SHARES);
        meter.read(at(0), Stage::Build, 0, 1000);
        let half = meter.read(at(10), Stage::Build, 1000, 1000);
        // 75 of 100 in 10 s: 25 are left.
        assert_eq!(half.eta_seconds, Some(3));
        assert_eq!(half.rate, Some(100.0));
        let verify = meter.read(at(11), Stage::Verify, 0, 40);
        assert_eq!(verify.rate, None);
        let end = meter.read(at(14), Stage::Verify, 40, 40);
        assert_eq!(end.eta_seconds, Some(0));
    }

    #[test]
    fn odd_steps_do_no_harm() {
        let mut meter = Meter::new(SHARES);
        let odd = meter.read(at(9), Stage::Merge, 5, 0);
        assert_eq!((odd.done, odd.eta_seconds), (0, None));
        assert_eq!(meter.read(at(9), Stage::Build, 0, 0).eta_seconds, None);
    }
}
