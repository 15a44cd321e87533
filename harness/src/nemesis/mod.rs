//! The nemesis: carries out the schedule on a running cluster, and shows that it did something.
//!
//! Invariant: a fault has evidence only when its effect was observed from outside (a process was reaped or
//! was stopped, a link kept something from passing). Whatever was broken is healed before a lane ends.

mod clock;
mod crashes;
mod damage;
mod directories;
mod disk;
mod elsewhere;
mod ledger;
mod links;
mod members;
mod process;
mod quiet;
mod race;
mod recorded;
mod schedule;
mod snapshot;
mod starve;
mod target;
mod transfer;
mod unprovoked;
mod voters;

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use noraftd::prng::Prng;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

pub use recorded::{Schedule, ScheduleError, ScheduleLine, Scheduled, Sequence};
pub use schedule::{Decision, Lane};
pub(crate) use snapshot::takers;
pub use target::{Circumstances, Targets, choose};
use voters::Voting;
pub use voters::restore_voters;

use crate::cluster::{Cluster, Node, ProcessError, Standing, TestClock};
use crate::damage::atlas::Atlas;
use crate::generator::Silence;
use crate::op::EventKind;
use crate::plan::{FaultKind, Plan, Scarce};
use crate::recorder::Recorder;
use crate::results::{FaultResult, Lost};
use directories::Directories;
pub(crate) use ledger::{Claim, FaultLedger, describe, step};

/// Acts on one cluster for the length of a run.
#[derive(Debug)]
pub struct Nemesis {
    cluster: Arc<Cluster>,
    recorder: Arc<Recorder>,
    ledger: FaultLedger,
    /// What was damaged on which disk.
    atlas: Mutex<Atlas>,
    /// What a node did that it had promised not to do.
    violations: Mutex<Vec<String>>,
    /// What lets the clients rest.
    rest: Silence,
    /// Held by who changes the voters, or damages what voters have to repair.
    voting: tokio::sync::Mutex<Voting>,
    directories: Mutex<Directories>,
    schedule: Mutex<Written>,
    bite_max: Duration,
    /// Whether more may be damaged than the nodes can repair.
    damages_beyond: bool,
}

/// The schedule as it is written; the first failure is kept for [`Nemesis::finish`].
#[derive(Debug)]
struct Written {
    file: File,
    failure: Option<io::Error>,
}

/// What was observed of a fault; or why nothing was, and then it proves nothing.
type Evidence = Result<String, String>;

/// What a fault came to.
#[derive(Debug)]
struct Effect {
    evidence: Evidence,
    /// What it took, for a power cut.
    lost: Option<Lost>,
    /// Whether another fault stood in its way, so that it was not tried.
    is_prevented: bool,
}

impl Effect {
    /// Of a fault that another one kept from being tried.
    fn prevented(why: &str) -> Self {
        Self {
            evidence: Err(why.to_owned()),
            lost: None,
            is_prevented: true,
        }
    }
}

impl From<Evidence> for Effect {
    fn from(evidence: Evidence) -> Self {
        Self {
            evidence,
            lost: None,
            is_prevented: false,
        }
    }
}

/// A fault that is being carried out.
struct Injection<'a> {
    decision: &'a Decision,
    claim: &'a Claim,
    /// Says true when the run ends.
    stop: &'a mut watch::Receiver<bool>,
}

impl Injection<'_> {
    /// How long it lasts.
    fn duration(&self) -> Duration {
        self.decision.duration.as_duration()
    }

    /// Waits as long as it lasts, or until the run ends.
    async fn rest(&mut self) {
        rest(self.duration(), self.stop).await;
    }
}

/// All that was observed, or, when nothing was, what prevented it.
fn evidence_of(seen: Vec<String>, against: Vec<String>) -> Evidence {
    if seen.is_empty() {
        Err(against.join(", "))
    } else {
        Ok(seen.join(", "))
    }
}

impl Nemesis {
    /// A nemesis that acts as `plan` says and writes its decisions to the new file `schedule`.
    ///
    /// # Errors
    ///
    /// When the file cannot be made.
    pub fn new(
        plan: &Plan,
        cluster: Arc<Cluster>,
        recorder: Arc<Recorder>,
        rest: Silence,
        schedule: &Path,
    ) -> io::Result<Self> {
        Ok(Self {
            ledger: FaultLedger::new(plan.nemesis.impaired_max.unwrap_or(plan.machines())),
            atlas: Mutex::new(Atlas::new(plan.machines(), Prng::new(0))),
            violations: Mutex::default(),
            cluster,
            recorder,
            rest,
            voting: tokio::sync::Mutex::default(),
            directories: Mutex::default(),
            schedule: Mutex::new(Written {
                file: File::create_new(schedule)?,
                failure: None,
            }),
            bite_max: plan.limits.bite.as_duration(),
            damages_beyond: plan.nemesis.damage_beyond,
        })
    }

    /// Carries out one lane until `stop` says true; the fault in force then is still healed.
    pub async fn run(&self, lane: Sequence, mut stop: watch::Receiver<bool>) {
        match lane {
            Sequence::Drawn(lane) => self.run_drawn(lane, &mut stop).await,
            Sequence::Recorded(faults) => self.run_again(faults, &mut stop).await,
        }
    }

    async fn run_drawn(&self, mut lane: Lane, stop: &mut watch::Receiver<bool>) {
        while let Some(decision) = lane.next() {
            if rest(decision.calm.as_duration(), stop).await {
                break;
            }
            let has_to_make = lane.has_to_make(&decision);
            // Once: a fault that never finds a target must not keep all others back.
            let claimed = if has_to_make && !lane.are_put_off().contains(&decision) {
                self.claim_in_time(&decision, stop).await
            } else {
                self.claim(&decision).await
            };
            match claimed {
                Some((claim, leader)) => {
                    lane.note_made(&decision);
                    self.carry_out(&decision, claim, leader, stop).await;
                }
                None if has_to_make => lane.put_off(decision),
                None => self.skip(&decision),
            }
        }
        lane.are_put_off().iter().for_each(|decision| self.skip(decision));
    }

    /// Each fault as late as it was, once its targets are free.
    async fn run_again(&self, faults: Vec<Scheduled>, stop: &mut watch::Receiver<bool>) {
        for scheduled in faults {
            let at = Duration::from_nanos(scheduled.at_ns);
            if rest(at.saturating_sub(self.recorder.elapsed()), stop).await {
                return;
            }
            let claimed = tokio::select! {
                claimed = timeout(FREE_MAX, self.claim_again(&scheduled)) => claimed,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            match claimed {
                Ok((claim, leader)) => self.carry_out(&scheduled.decision, claim, leader, stop).await,
                Err(_) => self.skip(&scheduled.decision),
            }
        }
    }

    /// The faults in force, with their targets.
    pub fn in_force(&self) -> Vec<String> {
        self.ledger.in_force()
    }

    /// How many faults are over, and how many of them had an effect.
    pub fn tally(&self) -> (usize, usize) {
        let results = self.ledger.results();
        (
            results.len(),
            results.iter().filter(|result| result.evidence.is_some()).count(),
        )
    }

    /// What nodes did that they had promised not to do.
    pub fn violations(&self) -> Vec<String> {
        let violations = self.violations.lock();
        violations.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// True when more was damaged than the nodes can repair, so that they may stop serving.
    pub fn went_beyond(&self) -> bool {
        self.atlas().went_beyond()
    }

    /// What became of every fault, and how many decisions could not be carried out.
    ///
    /// # Errors
    ///
    /// When a decision could not be written down.
    pub fn finish(&self) -> io::Result<(Vec<FaultResult>, u64)> {
        let mut written = self.schedule.lock().unwrap_or_else(PoisonError::into_inner);
        match written.failure.take() {
            Some(failure) => Err(failure),
            None => {
                let mut results = self.ledger.results();
                results.sort_by_key(|result| result.from_ns);
                Ok((results, self.ledger.skipped()))
            }
        }
    }

    fn write_down(&self, line: &ScheduleLine) {
        let mut written = self.schedule.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = written.file.write_all(line.to_text().as_bytes()) {
            written.failure.get_or_insert(error);
        }
    }

    fn skip(&self, decision: &Decision) {
        self.ledger.skip();
        let at_ns = u64::try_from(self.recorder.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.write_down(&ScheduleLine::Skip {
            decision: decision.clone(),
            at_ns: Some(at_ns),
        });
    }

    /// The right to carry a decision out, and who leads.
    async fn claim(&self, decision: &Decision) -> Option<(Claim, Option<u64>)> {
        let leader = self.cluster.leader().await;
        let there = self.cluster.nodes().iter().filter(|node| node.has_part());
        let nodes: Vec<u64> = there.map(|node| node.id).collect();
        let (fault, roll) = (decision.fault, decision.roll);
        let claim = self.ledger.claim(fault, roll, &self.running(), &nodes, leader)?;
        Some((claim, leader))
    }

    /// As [`Nemesis::claim`]; waits a while until there are targets.
    async fn claim_in_time(
        &self,
        decision: &Decision,
        stop: &mut watch::Receiver<bool>,
    ) -> Option<(Claim, Option<u64>)> {
        let claim = async {
            loop {
                match self.claim(decision).await {
                    Some(claimed) => return claimed,
                    None => sleep(BITE_STEP).await,
                }
            }
        };
        tokio::select! {
            claimed = timeout(FREE_MAX, claim) => claimed.ok(),
            _ = stop.wait_for(|stop| *stop) => None,
        }
    }

    /// As [`Nemesis::claim`], for a fault of an earlier run; waits until its targets are free.
    async fn claim_again(&self, scheduled: &Scheduled) -> (Claim, Option<u64>) {
        loop {
            let leader = self.cluster.leader().await;
            let targets = scheduled.targets_under(leader);
            let claim = self
                .ledger
                .claim_again(scheduled.decision.fault, targets, &self.running());
            match claim {
                Some(claim) => return (claim, leader),
                None => sleep(BITE_STEP).await,
            }
        }
    }

    /// One that was removed ends by itself, at any moment: no other fault takes it.
    fn running(&self) -> Vec<u64> {
        let nodes = self.cluster.nodes().iter();
        let stays = |node: &&Node| !matches!(node.standing(), Standing::Spare | Standing::Leaving(_));
        let running = nodes.filter(|node| stays(node) && node.process.is_up());
        running.map(|node| node.id).collect()
    }

    async fn carry_out(
        &self,
        decision: &Decision,
        claim: Claim,
        leader: Option<u64>,
        stop: &mut watch::Receiver<bool>,
    ) {
        let fault = &mut Injection {
            decision,
            claim: &claim,
            stop,
        };
        let from_ns = self.record(EventKind::FaultBegin, fault, None);
        self.write_down(&ScheduleLine::Begin(Scheduled {
            decision: decision.clone(),
            at_ns: from_ns,
            targets: claim.targets.clone(),
            leader,
        }));
        let Effect {
            evidence,
            lost,
            is_prevented,
        } = self.inject(fault).await;
        let (evidence, why) = match evidence {
            Ok(evidence) => (Some(evidence), None),
            Err(why) => (None, Some(why)),
        };
        let to_ns = self.record(EventKind::FaultEnd, fault, evidence.as_deref());
        self.write_down(&ScheduleLine::End {
            lane: decision.lane,
            k: decision.k,
            at_ns: to_ns,
        });
        if evidence.is_none() && (is_prevented || may_be_prevented(decision.fault)) {
            self.ledger.give_up(&claim);
            return;
        }
        let fault = describe(&claim.name, &claim.targets);
        self.ledger.release(
            &claim,
            FaultResult {
                fault,
                kind: decision.fault.kind().name().to_owned(),
                from_ns,
                to_ns: Some(to_ns),
                evidence,
                why,
                lost,
            },
        );
    }

    async fn inject(&self, fault: &mut Injection<'_>) -> Effect {
        match fault.decision.fault {
            FaultKind::Kill(_) => self.kill(fault).await.into(),
            FaultKind::Pause(_) => self.pause(fault).await.into(),
            FaultKind::Restart(_) => self.restart(fault).await.into(),
            FaultKind::Roll => self.roll(fault).await.into(),
            FaultKind::Voters => self.change_voters(fault).await,
            FaultKind::Member => self.change_members(fault).await,
            FaultKind::Transfer => self.transfer(fault).await.into(),
            FaultKind::Partition(_, mode) => self.partition(fault, mode).await.into(),
            FaultKind::Flap(_, mode) => self.flap(fault, mode).await.into(),
            FaultKind::Link(_, effect) => self.trouble_links(fault, effect).await.into(),
            FaultKind::Coup(mode) => self.coup(fault, mode).await.into(),
            FaultKind::Damage(_, how) => self.damage(fault, how).await.into(),
            FaultKind::Clock(..) if self.cluster.is_elsewhere() => self.set_clocks(fault).await.into(),
            FaultKind::Disk(_, trouble) if self.cluster.is_elsewhere() => {
                self.trouble_disks(fault, trouble).await.into()
            }
            FaultKind::Disk(_, trouble) => self.disk_trouble(fault, trouble).await.into(),
            FaultKind::DiskStall(_) => self.disk_stall(fault).await.into(),
            FaultKind::Clock(_, change) => self.disturb_clocks(fault, change).await.into(),
            FaultKind::StallKill => self.stall_kill(fault).await.into(),
            FaultKind::VoteRace => self.race(fault).await.into(),
            FaultKind::Power(_) => self.power(fault).await,
            FaultKind::CrashLoop(_) => self.crash_loop(fault).await.into(),
            FaultKind::CrashStorm(_) => self.crash_storm(fault).await.into(),
            FaultKind::Starve(_, scarce) => self.starve(fault, scarce).await.into(),
            FaultKind::Quiet => self.quiet(fault).await.into(),
            FaultKind::Snapshot => self.take_snapshots(fault).await.into(),
            FaultKind::Wipe(_) => self.wipe(fault).await,
            FaultKind::Mistake(_) => self.mistake(fault).await,
            FaultKind::MistakeForeign(_) => self.swap(fault).await.into(),
            // A plan with one of these is refused for real processes; without evidence it proves nothing.
            FaultKind::MistakeClone(_)
            | FaultKind::CrashAt(..)
            | FaultKind::DiskAt(..)
            | FaultKind::Upgrade(_) => Effect::from(Err("only a simulation can do it".to_owned())),
        }
    }

    fn targets(&self, claim: &Claim) -> impl Iterator<Item = &Node> {
        claim.targets.nodes.iter().filter_map(|id| self.cluster.node(*id))
    }

    /// Records a step of a fault; gives its time.
    fn record(&self, kind: EventKind, fault: &Injection<'_>, evidence: Option<&str>) -> u64 {
        let Injection { decision, claim, .. } = fault;
        self.recorder.fault(&step(kind, decision, claim, evidence))
    }
}

/// Undoes every fault, however it was made: opens links, resumes and restarts processes. Returns what could not
/// be undone.
pub async fn heal_all(cluster: &Cluster) -> Vec<String> {
    let mut troubles = Vec::new();
    if let Err(error) = cluster.network().heal_all().await {
        troubles.push(format!("links are still cut: {error}"));
    }
    for node in cluster.nodes().iter().filter(|node| node.has_part()) {
        if let Some(Err(error)) = node.clock.as_ref().map(TestClock::calm) {
            troubles.push(format!("the clock of n{}: {error}", node.id));
        }
        let mut healed = Ok(());
        if node.process.is_still() {
            healed = match node.process.resume().await {
                // It ended between the look and the signal: a crash, reported as such.
                Ok(_) | Err(ProcessError::NotRunning) => Ok(()),
                Err(error) => Err(error.to_string()),
            };
        }
        if !node.process.is_up() {
            healed = cluster.launch(node).map_err(|error| error.to_string());
        }
        match healed {
            Ok(()) => {}
            Err(error) => troubles.push(format!("n{}: {error}", node.id)),
        }
    }
    troubles
}

/// Some systems do not allow tracing a thread or mounting a disk, no disk may be damaged before others are whole, a process may not ask
/// for memory, and members come and go only while most can be reached: then nothing was disturbed, and nothing is claimed.
fn may_be_prevented(fault: FaultKind) -> bool {
    matches!(
        fault,
        FaultKind::DiskStall(_)
            | FaultKind::Power(_)
            | FaultKind::Damage(..)
            | FaultKind::Member
            | FaultKind::Starve(_, Scarce::Memory)
    )
}

/// Waits; true when `stop` came first.
async fn rest(duration: Duration, stop: &mut watch::Receiver<bool>) -> bool {
    // An error of `wait_for` means that no sender is left that could say stop: as good as stop.
    timeout(duration, stop.wait_for(|stop| *stop)).await.is_ok()
}

fn round(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// How long a fault of an earlier run, or one that every run has to have, waits for its targets: longer than a node takes to start.
const FREE_MAX: Duration = Duration::from_secs(5);
/// Heartbeats are tens of milliseconds apart.
const BITE_STEP: Duration = Duration::from_millis(5);
