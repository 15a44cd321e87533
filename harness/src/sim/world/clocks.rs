//! Clocks that jump, run at another rate, stop, or do all that in turn.
//!
//! Invariant: a node whose clock has changed waits for its deadline once more.

use super::World;
use crate::plan::ClockChange;
use crate::sim::journal::happening::{Happening, NodeHappening};
use crate::sim::parts::MILLI;
use crate::sim::parts::event::{Event, LaneEvent};
use crate::sim::parts::node::NORMAL;

impl World {
    /// Disturbs the clocks of the lane's nodes.
    pub(super) fn begin_clocks(&mut self, lane: usize, k: u64, change: ClockChange) {
        self.for_each_target(lane, |world, at| world.disturb_clock(at, change));
        if change == ClockChange::Strobe {
            self.flip_clocks_later(lane, k);
        }
    }

    /// Clocks that are strobed do something else.
    pub(super) fn flip_clocks(&mut self, lane: usize, k: u64) {
        for at in self.targets(lane) {
            self.disturb_clock(at, ClockChange::Strobe);
        }
        self.flip_clocks_later(lane, k);
    }

    fn flip_clocks_later(&mut self, lane: usize, k: u64) {
        let after = self.nemesis.prng.between(STROBE_MIN_MS, STROBE_MAX_MS) * MILLI;
        self.queue
            .after(after, Event::lane(lane, LaneEvent::Flip { decision: k }));
    }

    fn disturb_clock(&mut self, at: usize, change: ClockChange) -> Option<String> {
        let (now, prng, clock) = (
            self.queue.now(),
            &mut self.nemesis.prng,
            &mut self.nodes[at].clock,
        );
        let rate = match change {
            ClockChange::Drift | ClockChange::Rate => prng.between(NORMAL / 2, NORMAL * 2),
            ClockChange::Jump => NORMAL,
            ClockChange::Freeze => 0,
            ClockChange::Strobe => *prng.choose(&STROBE_RATES).expect("there are some"),
        };
        let jump = match change {
            ClockChange::Drift | ClockChange::Jump | ClockChange::Strobe => {
                prng.below(2 * JUMP_MS_MAX) as i64 - JUMP_MS_MAX as i64
            }
            ClockChange::Rate | ClockChange::Freeze => 0,
        };
        clock.set_rate(now, rate);
        clock.jump(jump);
        if change == ClockChange::Jump {
            clock.leap(prng.between(1, LEAP_MS_MAX));
        }
        if change == ClockChange::Freeze {
            clock.stop_wall(now);
        }
        self.rearm(at);
        self.journal.note(
            self.queue.now(),
            Happening::Node(NodeHappening::ClockJumps { node: at, rate, jump }),
        );
        Some(format!(
            "the clock of n{} jumped by {jump} ms, rate {rate}/1000",
            at + 1
        ))
    }

    /// The clock runs differently: a deadline comes at another time.
    pub(super) fn rearm(&mut self, at: usize) {
        if let Some(process) = self.nodes[at].process.as_mut() {
            process.wake = None;
        }
        self.schedule_wake(at);
    }
}

/// How far a wall clock jumps at most, either way: half a minute.
const JUMP_MS_MAX: u64 = 30_000;
/// How far a monotonic clock jumps at most: some election timeouts.
const LEAP_MS_MAX: u64 = 2000;
const STROBE_RATES: [u64; 4] = [0, NORMAL / 2, NORMAL * 2, NORMAL * 4];
const STROBE_MIN_MS: u64 = 10;
const STROBE_MAX_MS: u64 = 40;
