//! Crashes, and troubles of disks, at a chosen moment: aimed at a rare operation of the disk, or at a process that has only just begun.
//!
//! Invariant: what is aimed at a node is void when its fault ends, at the latest.

use std::collections::VecDeque;

use super::World;
use crate::plan::{Cause, CutMode, DiskTrouble, FaultKind, RareOperations};
use crate::sim::journal::happening::{DiskHappening, Happening};
use crate::sim::parts::MILLI;
use crate::sim::parts::aim::Aim;
use crate::sim::parts::crash::Crash;
use crate::sim::parts::event::{Event, LaneEvent, NodeEvent};
use crate::sim::parts::job::Job;
use crate::sim::parts::lanes::CrashLoop;
use crate::sim::parts::node::Process;
use crate::sim::parts::phase::Phase;

impl World {
    /// The nodes of this lane will be gone, each in the middle of one of these operations, or their disks in the trouble that this
    /// `brings`.
    pub(super) fn begin_aims(
        &mut self,
        lane: usize,
        operations: RareOperations,
        brings: Option<DiskTrouble>,
    ) {
        let mut absent = Vec::new();
        for at in self.targets(lane) {
            match self.aim(at, operations, brings).operation.cause() {
                Cause::Load => {}
                Cause::Absence => absent.extend(self.network.of(at)),
                Cause::Damage => self.damage_for_a_patch(at),
            }
        }
        if absent.is_empty() {
            return;
        }
        absent.sort_unstable();
        absent.dedup();
        let mode = self.nemesis.prng.choose(&CutMode::ALL).copied();
        let Some(force) = self.nemesis.lanes[lane].in_force.as_mut() else {
            return;
        };
        force.kept_back_before = self.network.kept_back(&absent);
        force.links = absent;
        let (k, duration) = (force.decision.k, force.decision.duration.as_millis() * MILLI);
        self.cut(lane, mode.unwrap_or(CutMode::Drop));
        self.queue
            .after(duration / 2, Event::lane(lane, LaneEvent::Flip { decision: k }));
    }

    fn aim(&mut self, at: usize, operations: RareOperations, brings: Option<DiskTrouble>) -> Aim {
        let segment_bytes = self.settings(at).0 << 10;
        let aim = Aim::draw(operations, segment_bytes, brings, &mut self.nemesis.prng);
        self.nodes[at].disk.aim(aim);
        self.journal.note(
            self.queue.now(),
            Happening::Disk(DiskHappening::IsAimedAt { node: at, aim }),
        );
        aim
    }

    /// The disk is about to do the first of these jobs: perhaps that is what was aimed at.
    pub(super) fn meet_job(&mut self, at: usize, jobs: impl Fn(&Process) -> &VecDeque<Job>) {
        let node = &self.nodes[at];
        let Some(aim) = node.disk.aimed_at() else { return };
        let job = node
            .process
            .as_ref()
            .and_then(|process| Some((jobs(process).front()?, process.driver.store())));
        if job.is_some_and(|(job, store)| Job::is_met_by(job, &aim, store)) {
            node.disk.meet_aim();
        }
    }

    /// The process is gone if what was aimed at has come; true then.
    pub(super) fn carry_out_aim(&mut self, at: usize) -> bool {
        let Some(operation) = self.nodes[at].disk.hit() else {
            return false;
        };
        if self.nodes[at].process.is_none() {
            return false;
        }
        let how = self.drawn_crash();
        self.nodes[at].is_kept_down = true;
        self.journal.counters.processes.crashes += 1;
        self.journal.counters.processes.aimed[operation as usize] += 1;
        self.interrupt(at);
        self.vanish(at, how, "in the middle of what was aimed at");
        let how = match how {
            Crash::Kill => "is killed",
            Crash::Power => "loses power",
        };
        let said = format!("n{} {how}, aimed at: {}", at + 1, operation.name());
        if let Some(lane) = self.add_node_evidence(at, said) {
            self.end_soon(lane);
        }
        true
    }

    /// What the lane aimed at has come, at all of its nodes: the fault ends before long.
    fn end_soon(&mut self, lane: usize) {
        let is_aimed_at = |at: usize| self.nodes[at].disk.aimed_at().is_some();
        if self.targets(lane).into_iter().any(is_aimed_at) {
            return;
        }
        let force = self.nemesis.lanes[lane].in_force.as_ref();
        let Some(k) = force.map(|force| force.decision.k) else {
            return;
        };
        // Some stay away until the fault would have ended anyway: what the others keep for them has to be given up then.
        if self.nemesis.prng.chance(1, STAYS_AWAY_ONE_IN) {
            return;
        }
        let soon = self.nemesis.prng.between(DOWN_MIN, DOWN_MAX);
        self.queue
            .after(soon, Event::lane(lane, LaneEvent::End { decision: k }));
    }

    /// The fault ends: what has not come by now, will not.
    pub(super) fn end_aim(&mut self, at: usize) {
        let Some(aim) = self.nodes[at].disk.aimed_at() else {
            return;
        };
        self.nodes[at].disk.disarm();
        if aim.brings.is_some() {
            return;
        }
        if self.progress.phase == Phase::Disturbed {
            let how = self.drawn_crash();
            self.crash(at, how);
        }
        let said = format!(
            "n{}: no {} came, so it is gone without",
            at + 1,
            aim.operation.name()
        );
        let _ = self.add_node_evidence(at, said);
    }

    /// The process is gone, and so are the next few, each within milliseconds of its start or in the middle of it.
    pub(super) fn begin_crash_loop(&mut self, at: usize) -> Option<String> {
        let how = self.drawn_crash();
        let seen = self.take_down(at, how)?;
        let crashes = self.nemesis.prng.between(2, 4);
        self.begin_looping(
            at,
            CrashLoop {
                left: Some(crashes),
                lives: LIVES_AT_MOST,
                starts_within: START_WITHIN,
            },
        );
        Some(format!("{seen}, and {crashes} times more"))
    }

    /// The process is gone, and so are all that follow it until the fault ends. Some are seen by the other nodes, or none is.
    pub(super) fn begin_crash_storm(&mut self, at: usize) -> Option<String> {
        let how = self.drawn_crash();
        let seen = self.take_down(at, how)?;
        let lives = self.nemesis.prng.choose(&[LIVES_UNSEEN, LIVES_AT_MOST]).copied();
        self.begin_looping(
            at,
            CrashLoop {
                left: None,
                lives: lives.unwrap_or(LIVES_AT_MOST),
                starts_within: STORM_START_WITHIN,
            },
        );
        Some(format!("{seen}, and so is what follows"))
    }

    fn begin_looping(&mut self, at: usize, crashes: CrashLoop) {
        self.nodes[at].is_kept_down = false;
        self.nemesis.crash_loops.insert(at, crashes);
        let soon = self.nemesis.prng.below(crashes.starts_within);
        self.schedule_start(at, soon);
    }

    /// Whether this start is one that is interrupted.
    pub(super) fn is_interrupted_start(&mut self, at: usize) -> bool {
        self.nemesis.crash_loops.contains_key(&at) && self.nemesis.prng.chance(1, 3)
    }

    /// The process has begun: if it is to be gone at once, it will be.
    pub(super) fn schedule_stumble(&mut self, at: usize) {
        if let Some(crashes) = self.nemesis.crash_loops.get(&at) {
            let life = self.nodes[at].life;
            let soon = self.nemesis.prng.below(crashes.lives);
            self.queue.after(soon, Event::node(at, life, NodeEvent::Stumble));
        }
    }

    pub(super) fn stumble(&mut self, at: usize) {
        let crashes = self.nemesis.crash_loops.get(&at).copied();
        let Some(crashes) = crashes.filter(|_| self.count_down(at)) else {
            return;
        };
        let how = self.drawn_crash();
        self.crash(at, how);
        let soon = self.nemesis.prng.below(crashes.starts_within);
        self.schedule_start(at, soon);
    }

    /// One crash of a loop has happened, or happens now; false when there are no more.
    pub(super) fn count_down(&mut self, at: usize) -> bool {
        let Some(crashes) = self.nemesis.crash_loops.get_mut(&at) else {
            return false;
        };
        let left = crashes.left.as_mut().map(|left| {
            *left -= 1;
            *left
        });
        if left == Some(0) {
            self.nemesis.crash_loops.remove(&at);
        }
        self.journal.counters.processes.stumbles += 1;
        true
    }

    pub(super) fn drawn_crash(&mut self) -> Crash {
        if self.nemesis.prng.chance(1, 2) {
            Crash::Kill
        } else {
            Crash::Power
        }
    }

    /// Something turned out about a crash that was aimed at this node, by the lane that is returned.
    fn add_node_evidence(&mut self, at: usize, said: String) -> Option<usize> {
        let id = self.nodes[at].id.get();
        let mut lanes = self.nemesis.lanes.iter_mut().enumerate();
        let (lane, force) = lanes.find_map(|(number, lane)| {
            let force = lane.in_force.as_mut().filter(|force| {
                matches!(force.decision.fault, FaultKind::CrashAt(..))
                    && force.claim.targets.nodes.contains(&id)
            });
            Some((number, force?))
        })?;
        force.evidence.push(said);
        Some(lane)
    }
}

/// As long as a node is down that was killed in the middle of what was aimed at.
const DOWN_MIN: u64 = 5 * MILLI;
const DOWN_MAX: u64 = 800 * MILLI;
/// Of the nodes that are gone, one in so many is for as long as the fault was to last.
const STAYS_AWAY_ONE_IN: u64 = 4;
/// What watches over a process starts it again at once.
const START_WITHIN: u64 = 20 * MILLI;
/// What watches over it has lost its patience.
const STORM_START_WITHIN: u64 = 8 * MILLI;
/// As long as a process of a loop lives.
const LIVES_AT_MOST: u64 = 10 * MILLI;
/// Too short for a connection.
const LIVES_UNSEEN: u64 = MILLI / 50;
