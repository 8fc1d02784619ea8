//! Several sticks side by side, each on a thread, as their lanes allow.

use crate::lanes::Lanes;
use crate::parallel::on_threads;
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Does `work` for each place of `lanes`, none before its turn; gives what came of each.
pub fn take<R: Send>(lanes: Lanes, work: impl Fn(usize) -> R + Sync) -> BTreeMap<usize, R> {
    let threads = lanes.at_once();
    let queue = Queue {
        lanes: Mutex::new(lanes),
        freed: Condvar::new(),
    };
    let results = Mutex::new(BTreeMap::new());
    let one_thread = || {
        while let Some(turn) = queue.next() {
            let result = work(turn.place);
            lock(&results).insert(turn.place, result);
        }
    };
    on_threads(threads, one_thread);
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Those that wait, as threads share them.
struct Queue {
    lanes: Mutex<Lanes>,
    /// Told whenever a turn is over.
    freed: Condvar,
}

impl Queue {
    /// Waits for the next turn; none where nobody waits any more.
    fn next(&self) -> Option<Turn<'_>> {
        let mut lanes = lock(&self.lanes);
        loop {
            if let Some(place) = lanes.begin() {
                return Some(Turn { queue: self, place });
            }
            if !lanes.waits() {
                return None;
            }
            lanes = self
                .freed
                .wait(lanes)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A turn, over when it is dropped: also where its work panics, for others wait for it.
struct Turn<'a> {
    queue: &'a Queue,
    place: usize,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        lock(&self.queue.lanes).done(self.place);
        self.queue.freed.notify_all();
    }
}

/// Nothing panics while it holds one of these.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;
    use std::thread;

    fn lanes(ports: &[Option<&str>], most: usize) -> Lanes {
        Lanes::new(ports.iter().copied().enumerate(), most)
    }

    #[test]
    fn different_ports_are_at_work_at_once() {
        // Each waits until all have begun: one after another, this would not end.
        let all = Barrier::new(3);
        let ports = [Some("1-1"), Some("1-2"), None];
        let done = take(lanes(&ports, 3), |place| {
            all.wait();
            place * 10
        });
        assert_eq!(done, BTreeMap::from([(0, 0), (1, 10), (2, 20)]));
    }

    #[test]
    fn a_ports_sticks_take_turns() {
        let ports = [Some("1-1.1"), Some("1-2"), None, Some("1-1.2"), None];
        let lines = ["1-1", "1-2", "none", "1-1", "none"];
        let at_work = Mutex::new(Vec::new());
        let done = take(lanes(&ports, 2), |place| {
            let line = lines[place];
            {
                let mut at_work = at_work.lock().unwrap();
                assert!(!at_work.contains(&line) && at_work.len() < 2, "{at_work:?}");
                at_work.push(line);
            }
            thread::yield_now();
            at_work.lock().unwrap().retain(|other| *other != line);
        });
        assert_eq!(done.into_keys().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn turns_alone_need_no_other_thread() {
        let here = thread::current().id();
        let order = Mutex::new(Vec::new());
        take(lanes(&[None, None, None], 8), |place| {
            assert_eq!(thread::current().id(), here);
            order.lock().unwrap().push(place);
        });
        assert_eq!(order.into_inner().unwrap(), [0, 1, 2]);
        assert!(take(lanes(&[], 8), |place| place).is_empty());
    }

    #[test]
    fn a_panic_keeps_nobody_waiting() {
        let done = Mutex::new(Vec::new());
        let ports = [Some("1-1"), Some("1-2"), Some("1-2"), Some("1-1")];
        let taken = catch_unwind(AssertUnwindSafe(|| {
            take(lanes(&ports, 2), |place| {
                assert_ne!(place, 0, "as it should");
                done.lock().unwrap().push(place);
            })
        }));
        assert!(taken.is_err());
        let mut done = done.into_inner().unwrap();
        done.sort_unstable();
        assert_eq!(done, [1, 2, 3]);
    }
}
