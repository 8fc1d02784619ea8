//! Threads that do jobs side by side, and give the results by the jobs' numbers.

use crate::error::{Doing, Error, Result};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Jobs waiting, and results.
#[derive(Debug)]
pub struct Pool<J, R> {
    state: Mutex<State<J, R>>,
    /// A job came, or the end.
    to_do: Condvar,
    /// A result came, or a thread is gone.
    done: Condvar,
}

#[derive(Debug)]
struct State<J, R> {
    jobs: VecDeque<(u64, J)>,
    results: BTreeMap<u64, Result<R>>,
    given: u64,
    closed: bool,
    broken: bool,
}

impl<J: Send, R: Send> Pool<J, R> {
    /// Runs `body` with a thread for each worker at its side. All have ended when it returns.
    pub fn run<T, W>(workers: Vec<W>, body: impl FnOnce(&Pool<J, R>) -> Result<T>) -> Result<T>
    where
        W: FnMut(J) -> Result<R> + Send,
    {
        let pool = Pool {
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                results: BTreeMap::new(),
                given: 0,
                closed: false,
                broken: false,
            }),
            to_do: Condvar::new(),
            done: Condvar::new(),
        };
        std::thread::scope(|scope| {
            // However `body` ends, the threads are told to.
            let _end = Closing(&pool);
            let pool = &pool;
            for (number, worker) in workers.into_iter().enumerate() {
                let spawned =
                    std::thread::Builder::new().spawn_scoped(scope, move || pool.work(worker));
                match spawned {
                    Ok(_) => {}
                    Err(error) if number == 0 => return Err(error).doing("compressing"),
                    // Without memory for another thread, those that there are do it.
                    Err(error) => {
                        log::info!("no more threads: {error}");
                        break;
                    }
                }
            }
            body(pool)
        })
    }

    fn state(&self) -> MutexGuard<'_, State<J, R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a job, and tells its number.
    pub fn give(&self, job: J) -> u64 {
        let mut state = self.state();
        let number = state.given;
        state.given += 1;
        state.jobs.push_back((number, job));
        self.to_do.notify_one();
        number
    }

    /// Waits for the result of job `number`.
    pub fn take(&self, number: u64) -> Result<R> {
        let mut state = self.state();
        loop {
            if let Some(result) = state.results.remove(&number) {
                return result;
            }
            if state.broken {
                return Err(Error::Io {
                    doing: "compressing".into(),
                    source: std::io::Error::other("a thread ended too early"),
                });
            }
            state = self
                .done
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn work(&self, mut worker: impl FnMut(J) -> Result<R>) {
        let _broken = Breaking(self);
        while let Some((number, job)) = self.next() {
            let result = worker(job);
            self.state().results.insert(number, result);
            self.done.notify_one();
        }
    }

    fn next(&self) -> Option<(u64, J)> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            state = self
                .to_do
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Ends the threads.
struct Closing<'a, J: Send, R: Send>(&'a Pool<J, R>);

impl<J: Send, R: Send> Drop for Closing<'_, J, R> {
    fn drop(&mut self) {
        self.0.state().closed = true;
        self.0.to_do.notify_all();
    }
}

/// Tells whoever waits that a thread panicked, whose result never comes.
struct Breaking<'a, J: Send, R: Send>(&'a Pool<J, R>);

impl<J: Send, R: Send> Drop for Breaking<'_, J, R> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.state().broken = true;
            self.0.done.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_by_number() {
        let workers: Vec<_> = (0..3).map(|_| |job: u64| Ok(job * 2)).collect();
        let sum = Pool::run(workers, |pool| {
            let numbers: Vec<u64> = (0..100).map(|job| pool.give(job)).collect();
            let results = numbers.iter().rev().map(|number| pool.take(*number));
            results.sum::<Result<u64>>()
        });
        assert_eq!(sum.unwrap(), 9900);
    }

    #[test]
    fn errors_come_by_number_and_an_early_end_waits_for_nobody() {
        let fail = |job: u64| match job {
            1 => Err(Error::Cancelled),
            _ => Ok(()),
        };
        let result = Pool::run(vec![fail], |pool| {
            let numbers = [pool.give(0), pool.give(1), pool.give(2)];
            pool.take(numbers[0])?;
            pool.take(numbers[1])
        });
        assert!(matches!(result, Err(Error::Cancelled)));
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_is_not_waited_for() {
        let workers = vec![|_: u64| -> Result<()> { panic!("as planned") }];
        let _ = Pool::run(workers, |pool| pool.take(pool.give(0)));
    }
}
