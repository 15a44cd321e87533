//! Leaders that are cut off as they rise: what a cluster is like that cannot agree on one for long.
//!
//! The dangerous states of Raft are several terms whose entries lie side by side, each on a minority (Raft figure
//! 8). A leader has to fall between its first message and the second for that, and random faults hardly ever
//! hit that moment three times in a row. So it is made.
//!
//! Invariant: a node that was cut off is healed after a few election timeouts, or when the disturbed part ends.

use super::World;
use crate::plan::CutMode;
use crate::sim::journal::happening::{FaultHappening, Happening};
use crate::sim::parts::event::{Event, LinkEvent, RunEvent};
use crate::sim::parts::phase::Phase;
use crate::sim::parts::{MICRO, MILLI};

impl World {
    /// A node has just won an election; nothing that it says as a leader has left yet.
    pub(super) fn leader_rose(&mut self, at: usize) {
        let share = self.network.conditions.coup_permille;
        if share == 0 || self.progress.phase != Phase::Disturbed || !self.nemesis.coups.chance(share, 1000) {
            return;
        }
        if self.nemesis.coups.chance(1, 2) {
            self.begin_coup(at);
        } else {
            let within = 2 * MESSAGES * self.network.conditions.delay_us * MICRO;
            let begins = self.queue.now() + self.nemesis.coups.below(within.max(1));
            self.queue
                .push(begins, Event::Run(RunEvent::BeginCoup { node: at }));
        }
    }

    /// Answers to earlier leaders come now, as far as their connections are still there.
    pub(super) fn return_stale(&mut self) {
        let election = self.plan.cluster.election.as_millis() * MILLI;
        for (after, kept) in self.network.stale.leader_rose(election) {
            let message = Box::new(kept.message);
            let delivered = Event::link(kept.link, kept.epoch, LinkEvent::Deliver(message));
            self.queue.after(after, delivered);
        }
    }

    /// A leader continues that was paused: the last echoes that it was sent arrive again, behind what has waited for it.
    pub(super) fn return_echoes(&mut self, at: usize) {
        let share = self.network.conditions.late_round_permille;
        if share == 0 || !self.nemesis.coups.chance(share, 1000) {
            return;
        }
        let links = self.network.of(at);
        let to: Vec<usize> = links
            .into_iter()
            .filter(|link| self.network.link(*link).to == at)
            .collect();
        for (link, epoch, message) in self.network.last_echoes(&to) {
            let message = Box::new(message);
            let delivered = Event::link(link, epoch, LinkEvent::Deliver(message));
            self.queue.after(0, delivered);
        }
    }

    pub(super) fn begin_coup(&mut self, at: usize) {
        if self.progress.phase != Phase::Disturbed {
            return;
        }
        let way = self.nemesis.coups.below(4);
        let mode = self
            .nemesis
            .coups
            .choose(&CutMode::ALL)
            .copied()
            .unwrap_or(CutMode::Drop);
        for link in self.network.of(at) {
            let sends = self.network.link(link).from == at;
            let is_cut = match way {
                0 => sends,
                1 => !sends,
                _ => true,
            };
            if is_cut {
                self.network.link(link).cut(lane_of(at), mode);
            }
        }
        self.journal.note(
            self.queue.now(),
            Happening::Fault(FaultHappening::CutsLeader { node: at, way, mode }),
        );
        self.look_for_a_leader();
        let election = self.plan.cluster.election.as_millis();
        let ends = self.queue.now() + self.nemesis.coups.between(1, TIMEOUTS_MAX * election) * MILLI;
        self.queue.push(ends, Event::Run(RunEvent::EndCoup { node: at }));
    }

    pub(super) fn end_coup(&mut self, at: usize) {
        self.look_for_a_leader();
        for link in self.network.of(at) {
            self.heal_link(lane_of(at), link);
        }
    }
}

/// Lanes of the nemesis count from zero.
fn lane_of(node: usize) -> usize {
    usize::MAX - node
}

/// A leader may say so much before it is cut off.
const MESSAGES: u64 = 4;
/// How long it stays cut off, in election timeouts.
const TIMEOUTS_MAX: u64 = 4;
