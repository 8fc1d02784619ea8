//! Whose turn it is where several sticks are refreshed at once.
//!
//! Sticks behind one port of the computer, by a hub or as partitions of one stick, share that port's
//! line: they take turns. So do those without a port (folders, image files, practice sticks), which
//! mostly lie on one disk. Different ports go side by side, no more of them at once than the computer has
//! processors: each refresh compresses, too.

use std::collections::{BTreeMap, BTreeSet};

/// A port of the computer; none for what is not plugged in.
type Port = Option<String>;

/// The port of the computer itself by which `port` is reached: `1-4` of `1-4.2`.
fn root(port: Option<&str>) -> Port {
    let (root, _) = port.map(|port| port.split_once('.').unwrap_or((port, "")))?;
    Some(root.to_owned())
}

/// Sticks that wait, and those at work.
#[derive(Debug)]
pub struct Lanes {
    /// By their places.
    waiting: BTreeMap<usize, Port>,
    working: BTreeMap<usize, Port>,
    most: usize,
}

impl Lanes {
    /// Of sticks by their places, with their ports; at most `most` of them at once.
    pub fn new<'a>(
        sticks: impl IntoIterator<Item = (usize, Option<&'a str>)>,
        most: usize,
    ) -> Lanes {
        let lane = |(place, port)| (place, root(port));
        Lanes {
            waiting: sticks.into_iter().map(lane).collect(),
            working: BTreeMap::new(),
            most: most.max(1),
        }
    }

    /// How many of those that wait are at work at once, where all goes well.
    pub fn at_once(&self) -> usize {
        let ports: BTreeSet<&Port> = self.waiting.values().collect();
        ports.len().min(self.most)
    }

    /// Whether any waits.
    pub fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Begins with the next whose turn it is; none before another is done.
    pub fn begin(&mut self) -> Option<usize> {
        if self.working.len() >= self.most {
            return None;
        }
        let busy: Vec<&Port> = self.working.values().collect();
        let free = |(_, port): &(&usize, &Port)| !busy.contains(port);
        let place = *self.waiting.iter().find(free)?.0;
        let port = self.waiting.remove(&place)?;
        self.working.insert(place, port);
        Some(place)
    }

    /// The one at `place` is done, well or not.
    pub fn done(&mut self, place: usize) {
        self.working.remove(&place);
    }

    /// Those that wait, who are not to begin any more.
    pub fn stop(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.waiting).into_keys().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(ports: &[Option<&str>], most: usize) -> Lanes {
        Lanes::new(ports.iter().copied().enumerate(), most)
    }

    fn all(lanes: &mut Lanes) -> Vec<usize> {
        std::iter::from_fn(|| lanes.begin()).collect()
    }

    #[test]
    fn a_hubs_sticks_take_turns() {
        let ports = [Some("1-4.2"), Some("1-4.3.1"), Some("1-4"), Some("1-1")];
        let mut lanes = lanes(&ports, 8);
        assert_eq!(all(&mut lanes), [0, 3]);
        lanes.done(3);
        assert_eq!(lanes.begin(), None);
        lanes.done(0);
        assert_eq!(all(&mut lanes), [1]);
        lanes.done(1);
        assert_eq!(all(&mut lanes), [2]);
        lanes.done(2);
        assert_eq!(lanes.begin(), None);
    }

    #[test]
    fn a_port_is_no_other_that_begins_like_it() {
        let ports = [Some("1-1"), Some("1-10"), Some("11-1"), Some("2-1")];
        assert_eq!(all(&mut lanes(&ports, 8)), [0, 1, 2, 3]);
    }

    #[test]
    fn what_is_not_plugged_in_takes_turns() {
        let mut lanes = lanes(&[None, None, Some("1-1")], 8);
        assert_eq!(all(&mut lanes), [0, 2]);
        lanes.done(0);
        assert_eq!(all(&mut lanes), [1]);
    }

    #[test]
    fn no_more_than_processors() {
        let mut lanes = lanes(&[Some("1-1"), Some("1-2"), Some("1-3")], 2);
        assert_eq!(all(&mut lanes), [0, 1]);
        lanes.done(1);
        assert_eq!(all(&mut lanes), [2]);
        let mut one = Lanes::new([(7, Some("1-1")), (3, Some("1-2"))], 0);
        assert_eq!(all(&mut one), [3]);
    }

    #[test]
    fn stopped_nobody_begins() {
        let mut lanes = lanes(&[Some("1-1"), Some("1-1.1"), Some("1-1.2")], 2);
        assert_eq!(all(&mut lanes), [0]);
        assert_eq!(lanes.stop(), [1, 2]);
        lanes.done(0);
        assert_eq!(lanes.begin(), None);
    }

    #[test]
    fn how_many_go_side_by_side() {
        let (one, hub, two) = (Some("1-4.1"), Some("1-4.2"), Some("1-5"));
        let at_once = |ports: &[Option<&str>], most| lanes(ports, most).at_once();
        assert_eq!(at_once(&[one, two, hub, None], 8), 3);
        assert_eq!(at_once(&[one, two, hub, None], 2), 2);
        assert_eq!(at_once(&[one, None], 2), 2);
        assert_eq!(at_once(&[one, hub], 2), 1);
        assert_eq!(at_once(&[None, None], 2), 1);
        assert_eq!(at_once(&[one, two], 1), 1);
        assert_eq!(at_once(&[], 4), 0);
    }
}
