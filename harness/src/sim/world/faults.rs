//! Faults of the simulated world: how each begins, what it does, and how it ends.
//!
//! Invariant: whatever a lane broke is healed when its fault ends, and at the end of the disturbed part all
//! is healed. Evidence is what the world itself counted.

use super::World;
use crate::nemesis::{Decision, describe, step};
use crate::op::EventKind;
use crate::plan::{CutMode, DiskTrouble, FaultKind};
use crate::results::FaultResult;
use crate::sim::journal::happening::{DiskHappening, FaultHappening, Happening, NodeHappening};
use crate::sim::parts::MILLI;
use crate::sim::parts::crash::Crash;
use crate::sim::parts::event::{Event, LaneEvent, LinkEvent, RunEvent};
use crate::sim::parts::lanes::InForce;
use crate::sim::parts::node::Standing;
use crate::sim::parts::phase::Phase;

impl World {
    pub(super) fn begin_lanes(&mut self) {
        let warmup = self
            .plan
            .nemesis
            .warmup
            .as_millis()
            .min(self.plan.time.as_millis());
        for lane in 0..self.nemesis.lanes.len() {
            self.decide(lane, warmup * MILLI);
        }
    }

    /// Makes the lane's next decision and schedules it.
    fn decide(&mut self, lane: usize, after: u64) {
        let state = &mut self.nemesis.lanes[lane];
        let Some(decision) = state.lane.next() else { return };
        let calm = decision.calm.as_millis() * MILLI;
        if !state.lane.are_put_off().contains(&decision) {
            self.nemesis.schedule.push(decision.clone());
        }
        state.next = Some(decision);
        self.queue
            .after(after + calm, Event::lane(lane, LaneEvent::Begin));
    }

    pub(super) fn begin_fault(&mut self, lane: usize) {
        if self.progress.phase != Phase::Disturbed {
            return;
        }
        let Some(decision) = self.nemesis.lanes[lane].next.take() else {
            return;
        };
        let there = self.nodes.iter().filter(|node| node.standing == Standing::There);
        let ids: Vec<u64> = there.map(|node| node.id.get()).collect();
        let is_up = |id: &u64| self.nodes[*id as usize - 1].process.is_some();
        let mut running: Vec<u64> = ids.iter().copied().filter(is_up).collect();
        if let FaultKind::Upgrade(_) = decision.fault {
            self.prefer_laggards(&mut running);
        }
        let leader = self.leader().map(|at| at as u64 + 1);
        let claim = self
            .nemesis
            .ledger
            .claim(decision.fault, decision.roll, &running, &ids, leader);
        let Some(claim) = claim else {
            self.nemesis.find_no_target(lane, decision);
            return self.decide(lane, 0);
        };
        self.nemesis.lanes[lane].lane.note_made(&decision);
        let links = claim.targets.links.iter();
        let links: Vec<usize> = links
            .map(|(from, to)| (*from as usize - 1, *to as usize - 1))
            .flat_map(|(from, to)| {
                let lanes = decision.fault.lanes().iter();
                lanes.map(move |lane| (from, to, *lane))
            })
            .map(|(from, to, lane)| self.network.lane_between(from, to, lane))
            .collect();
        let duration = decision.duration.as_millis() * MILLI;
        let k = decision.k;
        let in_force = InForce {
            kept_back_before: self.network.kept_back(&links),
            decision,
            claim,
            links,
            from_ns: self.queue.now(),
            evidence: Vec::new(),
            failures_before: 0,
            is_cut: false,
        };
        self.record(&in_force, EventKind::FaultBegin);
        self.nemesis.lanes[lane].in_force = Some(in_force);
        let failures = self.failures(lane);
        if let Some(force) = self.nemesis.lanes[lane].in_force.as_mut() {
            force.failures_before = failures;
        }
        self.begin_effect(lane);
        self.look_for_a_leader();
        self.queue
            .after(duration, Event::lane(lane, LaneEvent::End { decision: k }));
    }

    /// Does what the lane's fault does at its beginning.
    fn begin_effect(&mut self, lane: usize) {
        let Some(force) = self.nemesis.lanes[lane].in_force.as_ref() else {
            return;
        };
        let Decision { fault, k, roll, .. } = force.decision;
        match fault {
            FaultKind::Kill(_) => self.for_each_target(lane, |world, at| world.take_down(at, Crash::Kill)),
            FaultKind::Power(_) => self.for_each_target(lane, |world, at| world.take_down(at, Crash::Power)),
            FaultKind::Pause(_) => self.for_each_target(lane, Self::pause),
            FaultKind::Disk(_, trouble) => {
                self.for_each_target(lane, |world, at| world.trouble(at, trouble));
                self.restart_in_trouble(lane, trouble);
            }
            FaultKind::Clock(_, change) => self.begin_clocks(lane, k, change),
            FaultKind::Partition(_, mode) => self.cut(lane, mode),
            FaultKind::Flap(..) => self.flip(lane, k),
            FaultKind::Coup(mode) => self.begin_coup_of_lane(lane, k, mode),
            FaultKind::Voters => self.ask_for_voters(lane, roll),
            FaultKind::Transfer => self.begin_transfer(lane, k, roll),
            FaultKind::Wipe(_) => self.for_each_target(lane, Self::wipe),
            FaultKind::Mistake(_) => self.for_each_target(lane, Self::mistake),
            FaultKind::MistakeClone(_) => self.for_each_target(lane, Self::start_twin),
            FaultKind::MistakeForeign(_) => self.for_each_target(lane, Self::start_with_foreign),
            FaultKind::CrashAt(_, operations) => self.begin_aims(lane, operations, None),
            FaultKind::DiskAt(_, trouble, operations) => self.begin_aims(lane, operations, Some(trouble)),
            FaultKind::CrashLoop(_) => self.for_each_target(lane, Self::begin_crash_loop),
            FaultKind::CrashStorm(_) => self.for_each_target(lane, Self::begin_crash_storm),
            FaultKind::DiskStall(_) => self.for_each_target(lane, Self::stall),
            FaultKind::Quiet => self.begin_rest(roll),
            FaultKind::Snapshot => self.ask_for_snapshots(lane, k),
            FaultKind::Upgrade(_) => self.upgrade(lane),
            FaultKind::Member => self.change_members(lane, roll),
            // A plan is stripped of these before it is simulated.
            FaultKind::StallKill
            | FaultKind::VoteRace
            | FaultKind::Restart(_)
            | FaultKind::Roll
            | FaultKind::Damage(..)
            | FaultKind::Starve(..)
            | FaultKind::Link(..) => {}
        }
    }

    /// Does it to each of the fault's nodes, and keeps what was seen.
    pub(super) fn for_each_target(
        &mut self,
        lane: usize,
        begin_effect: impl Fn(&mut Self, usize) -> Option<String>,
    ) {
        for at in self.targets(lane) {
            let seen = begin_effect(self, at);
            if let Some(force) = self.nemesis.lanes[lane].in_force.as_mut() {
                force.evidence.extend(seen);
            }
        }
    }

    /// What a lane's fault did turns out while it lasts.
    pub(super) fn add_evidence(&mut self, lane: usize, said: String) {
        let force = self.nemesis.lanes[lane].in_force.as_mut();
        let is_late = |force: &InForce| {
            let fault = force.decision.fault;
            matches!(
                fault,
                FaultKind::Voters
                    | FaultKind::Transfer
                    | FaultKind::Snapshot
                    | FaultKind::Upgrade(_)
                    | FaultKind::Member
            )
        };
        if let Some(force) = force.filter(|force| is_late(force)) {
            force.evidence.push(said);
        }
    }

    pub(super) fn targets(&self, lane: usize) -> Vec<usize> {
        let force = self.nemesis.lanes[lane].in_force.as_ref();
        let nodes = force.map_or(&[][..], |force| &force.claim.targets.nodes);
        nodes.iter().map(|id| *id as usize - 1).collect()
    }

    pub(super) fn take_down(&mut self, at: usize, how: Crash) -> Option<String> {
        let was_up = self.nodes[at].process.is_some();
        self.nodes[at].is_kept_down = true;
        self.crash(at, how);
        was_up.then(|| format!("n{} is gone", at + 1))
    }

    fn pause(&mut self, at: usize) -> Option<String> {
        let node = &mut self.nodes[at];
        node.is_paused = node.process.is_some();
        let said = node.is_paused.then(|| format!("n{} was stopped", at + 1));
        self.journal.note(
            self.queue.now(),
            Happening::Node(NodeHappening::Pauses { node: at }),
        );
        said
    }

    fn resume(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if !std::mem::replace(&mut node.is_paused, false) {
            return;
        }
        self.journal.note(
            self.queue.now(),
            Happening::Node(NodeHappening::Resumes { node: at }),
        );
        for event in std::mem::take(&mut node.held) {
            self.queue.after(0, event);
        }
    }

    fn trouble(&mut self, at: usize, trouble: DiskTrouble) -> Option<String> {
        self.nodes[at].disk.set_trouble(Some(trouble));
        self.journal.note(
            self.queue.now(),
            Happening::Disk(DiskHappening::HasTrouble { node: at, trouble }),
        );
        let (name, failed) = (trouble.name(), self.nodes[at].disk.failures());
        let shows_at_the_end = match trouble {
            DiskTrouble::FullOverwrite | DiskTrouble::ShortWrite => true,
            DiskTrouble::Slow | DiskTrouble::Error | DiskTrouble::Full => false,
        };
        let said = format!(
            "the disk of n{} is in trouble: {name} ({failed} failures before)",
            at + 1
        );
        (!shows_at_the_end).then_some(said)
    }

    /// Some processes without room end, and are started again while there is still none.
    fn restart_in_trouble(&mut self, lane: usize, trouble: DiskTrouble) {
        let is_full = matches!(trouble, DiskTrouble::Full | DiskTrouble::FullOverwrite);
        if !is_full || !self.nemesis.prng.chance(1, RESTARTS_ONE_IN) {
            return;
        }
        let Some(force) = self.nemesis.lanes[lane].in_force.as_ref() else {
            return;
        };
        let (k, duration) = (force.decision.k, force.decision.duration.as_millis() * MILLI);
        let after = self.nemesis.prng.below(duration.max(1));
        self.queue
            .after(after, Event::lane(lane, LaneEvent::Flip { decision: k }));
    }

    pub(super) fn cut(&mut self, lane: usize, mode: CutMode) {
        let Some(force) = self.nemesis.lanes[lane].in_force.as_mut() else {
            return;
        };
        force.is_cut = true;
        let links = force.links.clone();
        for link in &links {
            self.network.link(*link).cut(lane, mode);
        }
        self.journal.note(
            self.queue.now(),
            Happening::Fault(FaultHappening::Cuts {
                lane,
                links: links.len(),
                mode,
            }),
        );
        self.look_for_a_leader();
    }

    /// The leader is stopped and cut off at once; it goes on halfway, still cut off.
    fn begin_coup_of_lane(&mut self, lane: usize, k: u64, mode: CutMode) {
        self.for_each_target(lane, Self::pause);
        self.cut(lane, mode);
        let duration = self.nemesis.lanes[lane].in_force.as_ref();
        let duration = duration.map_or(0, |force| force.decision.duration.as_millis() * MILLI);
        self.queue
            .after(duration / 2, Event::lane(lane, LaneEvent::Flip { decision: k }));
    }

    /// Opens what the lane has cut.
    fn heal_links(&mut self, lane: usize) {
        let Some(force) = self.nemesis.lanes[lane].in_force.as_mut() else {
            return;
        };
        if !std::mem::replace(&mut force.is_cut, false) {
            return;
        }
        let links = force.links.clone();
        self.look_for_a_leader();
        for at in links {
            self.heal_link(lane, at);
        }
        self.journal
            .note(self.queue.now(), Happening::Fault(FaultHappening::Heals { lane }));
    }

    pub(super) fn heal_link(&mut self, lane: usize, at: usize) {
        let link = self.network.link(at);
        if !link.heal(lane) || link.cut_mode().is_some() {
            return;
        }
        if !link.is_open {
            return self.dial(at);
        }
        let (held, epoch) = (std::mem::take(&mut link.held), link.epoch);
        for message in held {
            let message = Box::new(message);
            let arrives = self.queue.now() + self.nemesis.prng.between(1, 2 * MILLI);
            self.queue
                .push(arrives, Event::link(at, epoch, LinkEvent::Deliver(message)));
        }
        // A connection that was silent for long is often replaced.
        if self.nemesis.prng.chance(1, 3) {
            self.network.link(at).close();
            self.dial(at);
        }
    }

    /// What a fault does in its middle. Links that flap are cut when they are open, and healed when they are cut.
    pub(super) fn flip(&mut self, lane: usize, k: u64) {
        let Some(force) = self.nemesis.lanes[lane].in_force.as_ref() else {
            return;
        };
        let (fault, is_current) = (force.decision.fault, force.decision.k == k);
        if let (FaultKind::Coup(_), true) = (fault, is_current) {
            for at in self.targets(lane) {
                self.resume(at);
                self.return_echoes(at);
            }
            return;
        }
        if let (FaultKind::Transfer, true) = (fault, is_current) {
            return self.leave(lane);
        }
        if let (FaultKind::Snapshot, true) = (fault, is_current) {
            return self.ask_for_snapshots(lane, k);
        }
        if let (FaultKind::CrashAt(..) | FaultKind::DiskAt(..), true) = (fault, is_current) {
            return self.heal_links(lane);
        }
        if let (FaultKind::Disk(..), true) = (fault, is_current) {
            for at in self.targets(lane) {
                let how = self.drawn_crash();
                self.crash(at, how);
                self.schedule_start(at, 0);
            }
            return;
        }
        if let (FaultKind::Clock(..), true) = (fault, is_current) {
            return self.flip_clocks(lane, k);
        }
        let (FaultKind::Flap(_, mode), true) = (fault, is_current) else {
            return;
        };
        if force.is_cut {
            self.heal_links(lane);
        } else {
            self.cut(lane, mode);
        }
        let election = self.plan.cluster.election.as_millis();
        let stays = self.nemesis.prng.between(1, election * 2) * MILLI;
        self.queue
            .after(stays, Event::lane(lane, LaneEvent::Flip { decision: k }));
    }

    pub(super) fn end_fault(&mut self, lane: usize, k: u64) {
        let force = self.nemesis.lanes[lane].in_force.as_ref();
        if force.is_none_or(|force| force.decision.k != k) {
            return;
        }
        self.look_for_a_leader();
        self.heal_links(lane);
        self.count_short_writes(lane);
        for at in self.targets(lane) {
            self.end_aim(at);
            let seen = self.end_stall(at);
            if let Some(force) = self.nemesis.lanes[lane].in_force.as_mut() {
                force.evidence.extend(seen);
            }
            self.nemesis.crash_loops.remove(&at);
            self.heal_node(at);
        }
        let Some(mut force) = self.nemesis.lanes[lane].in_force.take() else {
            return;
        };
        if force.decision.fault == FaultKind::Quiet {
            force.evidence.extend(self.end_rest(force.decision.roll));
        }
        let kept = self.network.kept_back(&force.links) - force.kept_back_before;
        if kept > 0 {
            force.evidence.push(format!("{kept} messages did not pass"));
        }
        self.record(&force, EventKind::FaultEnd);
        let result = FaultResult {
            fault: describe(&force.claim.name, &force.claim.targets),
            from_ns: force.from_ns,
            to_ns: Some(self.queue.now()),
            kind: force.decision.fault.kind().name().to_owned(),
            evidence: (!force.evidence.is_empty()).then(|| force.evidence.join(", ")),
            why: None,
            lost: None,
        };
        self.nemesis.ledger.release(&force.claim, result);
        if self.progress.phase == Phase::Disturbed {
            self.decide(lane, 0);
        }
    }

    /// Whether writes found no room, or ended in the middle, shows when the fault ends.
    fn count_short_writes(&mut self, lane: usize) {
        for at in self.targets(lane) {
            let writes = self.nodes[at].disk.take_writes();
            self.journal.counters.disks.writes.note(writes);
        }
        let failures = self.failures(lane);
        let Some(force) = self.nemesis.lanes[lane].in_force.as_mut() else {
            return;
        };
        let failed = failures - force.failures_before;
        let (FaultKind::Disk(_, trouble @ (DiskTrouble::FullOverwrite | DiskTrouble::ShortWrite))
        | FaultKind::DiskAt(_, trouble, _)) = force.decision.fault
        else {
            return;
        };
        if failed > 0 {
            let said = format!("{failed} calls of the disk failed: {}", trouble.name());
            force.evidence.push(said);
        }
    }

    /// Calls that failed by now on the disks of a lane's nodes.
    fn failures(&self, lane: usize) -> u64 {
        let targets = self.targets(lane).into_iter();
        targets.map(|at| self.nodes[at].disk.failures()).sum()
    }

    /// Undoes what any fault of a node did.
    pub(super) fn heal_node(&mut self, at: usize) {
        self.resume(at);
        let node = &mut self.nodes[at];
        node.disk.set_trouble(None);
        node.clock.calm(self.queue.now());
        node.is_kept_down = false;
        if node.loss.is_outcast {
            self.schedule_rejoin(at);
        } else if node.process.is_none() {
            self.schedule_start(at, 0);
        } else {
            self.rearm(at);
        }
    }

    /// The disturbed part is over: everything is healed, and clients end what they do.
    pub(super) fn calm(&mut self) {
        self.begin_draining("recovery");
        for lane in 0..self.nemesis.lanes.len() {
            let k = self.nemesis.lanes[lane]
                .in_force
                .as_ref()
                .map(|force| force.decision.k);
            k.into_iter().for_each(|k| self.end_fault(lane, k));
        }
        self.network.calm();
        (self.plan.sim.disk.slow_permille, self.plan.sim.disk.torn_permille) = (0, 0);
        for at in 0..self.nodes.len() {
            self.nodes[at].loss.is_stopped = false;
            self.heal_node(at);
            self.end_coup(at);
        }
        self.leave_a_bare_majority();
        self.journal
            .note(self.queue.now(), Happening::Fault(FaultHappening::HealsAll));
        self.queue.after(0, Event::Run(RunEvent::Settle));
    }

    /// Records a step of a fault.
    fn record(&mut self, force: &InForce, kind: EventKind) {
        let InForce {
            decision,
            claim,
            evidence,
            ..
        } = force;
        self.journal.note(
            self.queue.now(),
            Happening::Fault(FaultHappening::Steps {
                step: kind,
                decision: decision.k,
                name: &claim.name,
                targets: &claim.targets,
            }),
        );
        let evidence = (!evidence.is_empty()).then(|| evidence.join(", "));
        let event = step(kind, decision, claim, evidence.as_deref());
        self.journal.history.fault(self.queue.now(), &event);
    }
}

/// Of the nodes whose disk is full, one in so many is started again meanwhile.
const RESTARTS_ONE_IN: u64 = 3;
