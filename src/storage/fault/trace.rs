//! All instants at which a recorded run can be cut.

use super::FaultFolder;
use super::world::{Call, World};

/// What a run did, call by call.
#[derive(Debug, Clone)]
pub struct Trace {
    start: World,
    log: Vec<Call>,
    times: Vec<usize>,
}

/// The instant after one call, before the next one is done.
#[derive(Debug, Clone)]
pub struct Cut {
    world: World,
    calls: usize,
    last: String,
}

impl Trace {
    pub(super) fn new(start: World, log: Vec<Call>, times: Vec<usize>) -> Trace {
        Trace { start, log, times }
    }

    /// How many of its calls were done before `time` by the folder's clock: the place in
    /// [`Trace::cuts`] of that instant.
    pub fn until(&self, time: usize) -> usize {
        self.times.partition_point(|&at| at < time)
    }

    /// The clock's time after the last call; 0 where nothing was done.
    pub fn end(&self) -> usize {
        self.times.last().map_or(0, |last| last + 1)
    }

    /// How many calls it is long; there is one cut more.
    pub fn len(&self) -> usize {
        self.log.len()
    }

    /// Whether nothing was done.
    pub fn is_empty(&self) -> bool {
        self.log.is_empty()
    }

    /// Every instant, in order: before the first call, and after each.
    pub fn cuts(&self) -> impl Iterator<Item = Cut> + '_ {
        let first = Cut {
            world: self.start.clone(),
            calls: 0,
            last: "nothing".to_owned(),
        };
        let mut world = self.start.clone();
        let rest = self.log.iter().enumerate().map(move |(number, call)| {
            // It went well when it was recorded, from the same state.
            let done = world.apply(call);
            debug_assert!(done.is_ok(), "{call:?}: {done:?}");
            Cut {
                world: world.clone(),
                calls: number + 1,
                last: world.describe(call),
            }
        });
        std::iter::once(first).chain(rest)
    }
}

impl Cut {
    /// How many calls were done.
    pub fn calls(&self) -> usize {
        self.calls
    }

    /// The last call done, in words.
    pub fn last(&self) -> &str {
        &self.last
    }

    /// Whether all is durable: then every seed gives the same.
    pub fn is_settled(&self) -> bool {
        self.world.settled()
    }

    /// The folder as it may be found after a cut here.
    ///
    /// Seed 0: of what was not synced nothing is there; seed 1: all of it is; any other:
    /// some of it, in any order, torn between sectors. The same seed gives the same.
    pub fn crash(&self, seed: u64) -> FaultFolder {
        FaultFolder::of(self.world.crash(seed))
    }
}
