//! How old the state may be that answers a read with a bound: what was committed anywhere when the node's own clock showed so
//! much less is in it.
//!
//! What the node believes is not used: not which node it asked, and not when.

use std::collections::VecDeque;
use std::time::Duration;

use noraftd::time::Instant;

/// What was committed anywhere, by the clock of each node.
#[derive(Debug, Default)]
pub(crate) struct Staleness(Vec<Clock>);

/// One process of a node.
#[derive(Debug, Default)]
struct Clock {
    life: u64,
    /// What the clock showed when the highest committed index was first seen to be this; both rise.
    shown: VecDeque<(Instant, u64)>,
}

impl Staleness {
    /// The process `life` of a node is driven, when `committed` is the highest committed index.
    pub(crate) fn driven(&mut self, node: usize, life: u64, now: Instant, committed: u64) {
        if self.0.len() <= node {
            self.0.resize_with(node + 1, Clock::default);
        }
        let clock = &mut self.0[node];
        if clock.life != life {
            *clock = Clock {
                life,
                shown: VecDeque::new(),
            };
        }
        if clock.shown.back().is_none_or(|(_, last)| *last < committed) {
            clock.shown.push_back((now, committed));
        }
        if clock.shown.len() > SHOWN_MAX {
            clock.shown.pop_front();
        }
    }

    /// The index that a state has to have which is not older than `staleness_max`; 0 when nothing is known of that time.
    pub(crate) fn floor(&self, node: usize, now: Instant, staleness_max: Option<Duration>) -> u64 {
        let Some((max, clock)) = staleness_max.zip(self.0.get(node)) else {
            return 0;
        };
        let is_before = |shown: Instant| now.saturating_since(shown) >= max;
        let before = clock.shown.partition_point(|(shown, _)| is_before(*shown));
        before.checked_sub(1).map_or(0, |at| clock.shown[at].1)
    }
}

/// More entries than are committed within the largest bound.
const SHOWN_MAX: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn a_state_has_what_was_committed_before_its_bound() {
        let mut staleness = Staleness::default();
        for (shown, committed) in [(10, 1), (20, 1), (30, 4), (40, 9)] {
            staleness.driven(1, 3, at(shown), committed);
        }
        let floor = |now, max| staleness.floor(1, at(now), Some(Duration::from_millis(max)));
        assert_eq!(floor(40, 0), 9);
        assert_eq!(floor(45, 5), 9);
        assert_eq!(floor(45, 6), 4);
        assert_eq!(floor(45, 16), 1);
        assert_eq!(floor(45, 36), 0, "nothing is known of that time");
        assert_eq!(staleness.floor(1, at(45), None), 0, "any age will do");
        assert_eq!(staleness.floor(0, at(45), Some(Duration::ZERO)), 0);
        staleness.driven(1, 4, at(50), 10);
        assert_eq!(
            staleness.floor(1, at(60), Some(Duration::from_millis(20))),
            0,
            "the clock of another process"
        );
    }
}
