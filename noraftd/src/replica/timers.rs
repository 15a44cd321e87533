//! Deadlines of the node itself: election, heartbeat, quorum check.
//!
//! Invariant: election timeouts are drawn at random each time the timer is set: between one and two times the
//! configured one (Raft 9.3), or later where an election is on its way that a slow disk holds up (`elections.rs`).

use std::time::Duration;

use crate::prng::Prng;
use crate::time::Instant;

#[derive(Debug)]
pub(super) struct Timers {
    prng: Prng,
    election: Instant,
    heartbeat: Instant,
    quorum_check: Instant,
}

impl Timers {
    /// `prng` decides the election timeouts.
    pub(super) fn new(prng: Prng) -> Self {
        Self {
            prng,
            election: Instant::ZERO,
            heartbeat: Instant::ZERO,
            quorum_check: Instant::ZERO,
        }
    }

    pub(super) fn arm_election(&mut self, now: Instant, timeout: Duration, spread: Duration) {
        let nanos = u64::try_from(spread.as_nanos()).unwrap_or(u64::MAX / 2);
        self.election = now + timeout + Duration::from_nanos(self.prng.below(nanos));
    }

    /// Lets the election come within `spread`, if it was not to come earlier; drawn at random, so that two nodes
    /// that miss the same leader seldom collide.
    pub(super) fn hasten_election(&mut self, now: Instant, spread: Duration) {
        let nanos = u64::try_from(spread.as_nanos()).unwrap_or(u64::MAX / 2);
        self.election = self
            .election
            .min(now + Duration::from_nanos(self.prng.below(nanos)));
    }

    pub(super) fn arm_heartbeat(&mut self, deadline: Instant) {
        self.heartbeat = deadline;
    }

    pub(super) fn arm_quorum_check(&mut self, deadline: Instant) {
        self.quorum_check = deadline;
    }

    pub(super) fn election_due(&self, now: Instant) -> bool {
        now >= self.election
    }

    pub(super) fn heartbeat_due(&self, now: Instant) -> bool {
        now >= self.heartbeat
    }

    pub(super) fn quorum_check_due(&self, now: Instant) -> bool {
        now >= self.quorum_check
    }

    /// The next deadline. While a sync is in flight only heartbeats and requests have one: a campaign or a
    /// step-down would need a sync of its own, and the inbox may hold word from a leader.
    pub(super) fn next(&self, in_flight: bool, leader: bool, request: Option<Instant>) -> Option<Instant> {
        let own = match (leader, in_flight) {
            (true, true) => Some(self.heartbeat),
            (true, false) => Some(self.heartbeat.min(self.quorum_check)),
            (false, true) => None,
            (false, false) => Some(self.election),
        };
        own.into_iter().chain(request).min()
    }
}
