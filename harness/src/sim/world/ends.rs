//! How processes end: killed, without power, stopped in good order, or because of their disks.
//!
//! Invariant: when a process is killed while its disk is busy, the job is done up to one of its operations, drawn
//! from all of them: so every point of a roll, a truncation or a change of the hard state is a point of crash.

use noraftd::storage::WriteJob;

use super::World;
use crate::sim::journal::happening::{DiskHappening, Happening, NodeHappening};
use crate::sim::parts::MILLI;
use crate::sim::parts::crash::Crash;
use crate::sim::parts::event::{Event, NodeEvent};
use crate::sim::parts::job::{Job, Ran};
use crate::sim::parts::network::delay;
use crate::sim::parts::node::Process;
use crate::sim::parts::rule::Rule;

impl World {
    /// The daemon ends itself when its disk fails, and somebody starts it again.
    pub(super) fn end_by_disk(&mut self, at: usize) {
        if self.nodes[at].disk.errors() == 0 {
            self.fail(
                Rule::Store,
                format!(
                    "n{} ends because of its disk, which did not fail but {} times had no room",
                    at + 1,
                    self.nodes[at].disk.failures()
                ),
            );
            return;
        }
        self.interrupt(at);
        self.end_process(at, "its disk failed");
        let again = self.prng.between(20, 500) * MILLI;
        self.schedule_start(at, again);
    }

    /// Cuts the process down, and whatever its disk is doing with it.
    pub(super) fn crash(&mut self, at: usize, how: Crash) {
        if self.nodes[at].process.is_some() {
            self.journal.counters.processes.crashes += 1;
            let is_orderly = how == Crash::Kill && self.stop_in_order(at);
            if !is_orderly {
                let share = self.plan.sim.disk.caught_permille;
                let is_caught = how == Crash::Power && share > 0 && self.prng.chance(share, 1000);
                self.run_into_crash(at, is_caught);
            }
            let why = match how {
                Crash::Kill if is_orderly => "stopped in good order",
                Crash::Kill => "killed",
                Crash::Power => "without power",
            };
            self.vanish(at, how, why);
        } else if how == Crash::Power {
            self.lose_power(at);
        }
    }

    /// The process is gone, as it is.
    pub(super) fn vanish(&mut self, at: usize, how: Crash, why: &'static str) {
        if how == Crash::Kill {
            self.notify_peers(at);
        }
        self.end_process(at, why);
        if how == Crash::Power {
            self.lose_power(at);
        }
    }

    fn lose_power(&mut self, at: usize) {
        let lost = self.cut_power(at);
        self.journal.counters.disks.sectors_lost += lost;
        self.journal.note(
            self.queue.now(),
            Happening::Disk(DiskHappening::LosesPower { node: at, lost }),
        );
    }

    /// Gives how much was lost.
    pub(super) fn cut_power(&mut self, at: usize) -> u64 {
        let torn_permille = self.plan.sim.disk.torn_permille;
        let lost = self.nodes[at].disk.cut_power(torn_permille);
        if lost > 0 && torn_permille > 0 {
            self.atlas.note_torn(at);
        }
        lost
    }

    /// Some are asked to stop, and mark the log; those whose disk is busy are killed meanwhile.
    fn stop_in_order(&mut self, at: usize) -> bool {
        let wanted = self.prng.chance(1, 3);
        let node = &mut self.nodes[at];
        let now = node.clock.instant(self.queue.now());
        let process = node.process.as_mut();
        let is_idle = |process: &&mut Process| process.has_idle_disk();
        let Some(process) = process.filter(is_idle).filter(|_| wanted) else {
            return false;
        };
        let mark = Job::Write(WriteJob::MarkCleanStop);
        matches!(mark.run(now, &mut process.driver), Ran::Done { missed: None, .. })
    }

    /// A kernel closes the connections of a process that is gone; when the power is, none does.
    fn notify_peers(&mut self, at: usize) {
        for node in 0..self.nodes.len() {
            let link = self.network.between(node, at);
            if node == at || !self.network.link(link).is_open || self.network.link(link).cut_mode().is_some()
            {
                continue;
            }
            let life = self.nodes[node].life;
            let takes = delay(&mut self.prng, DISCONNECT_US);
            let shown = Event::node(node, life, NodeEvent::Disconnect { peer: at });
            self.queue.after(takes, shown);
        }
    }

    /// Does a part of the job in hand.
    fn run_into_crash(&mut self, at: usize, is_caught: bool) {
        self.interrupt(at);
        let operations = self.drawn_operations();
        let node = &mut self.nodes[at];
        let now = node.clock.instant(self.queue.now());
        let Some(process) = node.process.as_mut() else {
            return;
        };
        if process.has_idle_disk() {
            return;
        }
        let votes = process.votes.len();
        if is_caught {
            node.disk.crash_at_sync();
        } else {
            node.disk.crash_after(operations);
        }
        // Three threads of the daemon: any may be the first, and any the last.
        let is_snapshot_first = operations.is_multiple_of(3);
        if is_snapshot_first {
            process.run_snapshot(now);
        }
        let are_votes_first = operations.is_multiple_of(2);
        if are_votes_first {
            process.run_votes();
        }
        // No process is left that could use the result.
        let job = process.jobs.front();
        let _ = job.map(|job| job.run(now, &mut process.driver));
        if !are_votes_first {
            process.run_votes();
        }
        if !is_snapshot_first {
            process.run_snapshot(now);
        }
        self.journal.note(
            self.queue.now(),
            Happening::Disk(DiskHappening::IsInterrupted {
                node: at,
                job: process.jobs.front().or(process.snapshots.front()),
                votes,
                operations,
            }),
        );
    }

    /// Most jobs take a few operations, a roll about twenty.
    fn drawn_operations(&mut self) -> u64 {
        let most = if self.prng.chance(1, 2) { 4 } else { 24 };
        self.prng.below(most)
    }

    /// Of what the job in hand replaces nothing is certain any more.
    pub(super) fn interrupt(&mut self, at: usize) {
        let process = self.nodes[at].process.as_ref();
        let Some(batch) = process.and_then(|process| process.jobs.front()?.batch()) else {
            return;
        };
        self.checks.interrupted(at, batch);
    }

    fn end_process(&mut self, at: usize, why: &'static str) {
        let node = &mut self.nodes[at];
        self.checks.answers.ended(node.id);
        self.checks.led.ended(node.id);
        self.checks.sending.forget(node.id);
        self.checks.short_log.ended(node.id);
        node.process = None;
        node.life += 1;
        node.is_paused = false;
        node.held.clear();
        node.stalled.iter_mut().for_each(Vec::clear);
        node.disk.release();
        self.journal.counters.disks.writes.note(node.disk.take_writes());
        self.journal.note(
            self.queue.now(),
            Happening::Node(NodeHappening::Ends { node: at, why }),
        );
        for link in self.network.of(at) {
            let sends = self.network.link(link).from == at;
            // What the kernel has accepted may still arrive.
            if sends && self.prng.chance(1, 2) {
                self.network.link(link).is_open = false;
            } else {
                self.network.link(link).close();
            }
        }
        self.lose_clients(at);
    }
}

/// Until a closed connection is noticed.
const DISCONNECT_US: u64 = 200;
