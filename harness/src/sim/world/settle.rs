//! The end of a run: nothing is disturbed any more, so everything has to work, within bounded virtual time.
//!
//! Where voters were changed, all nodes become voters again first.
//!
//! Invariant: every node serves every operation of every workload's finale to a client of its own; then all
//! come to the same applied index and state, and hold the same log.

use super::World;
use crate::sim::journal::happening::{Happening, RunHappening};
use crate::sim::parts::MILLI;
use crate::sim::parts::event::{Event, RunEvent};
use crate::sim::parts::node::Process;
use crate::sim::parts::phase::Phase;
use crate::sim::parts::rule::Rule;
use crate::sim::parts::voters::describe_voters;

impl World {
    /// Looks whether the current phase of the end is over.
    pub(super) fn settle(&mut self) {
        self.look_at_rot();
        self.look_for_a_leader();
        match self.progress.phase {
            Phase::Bare if self.clients.are_idle() => {
                self.progress.phase = Phase::BareFinale;
                self.begin_finale();
            }
            Phase::BareFinale if self.finale_is_over() => self.bring_back_those_away(),
            Phase::Draining if self.clients.are_idle() && !self.voters_are_back() => {
                if self.queue.now() > self.progress.converge_by {
                    let node_summaries = self.node_summaries();
                    self.stand_still(format!(
                        "the nodes do not all become voters again: {node_summaries}"
                    ));
                    return;
                }
                self.ask_for_all_voters();
            }
            Phase::Draining if self.clients.are_idle() => {
                self.progress.phase = Phase::Finale;
                self.begin_finale();
            }
            Phase::Finale if self.finale_is_over() => {
                self.progress.phase = Phase::Converging;
                self.progress.converge_by = self.queue.now() + self.plan.limits.recovery.as_millis() * MILLI;
            }
            Phase::Converging if self.clients.retriers.are_done() && self.has_converged() => {
                return self.finish();
            }
            Phase::Converging if self.queue.now() > self.progress.converge_by => {
                let node_summaries = self.node_summaries();
                let what = match self.clients.retriers.are_done() {
                    true => "the nodes do not come to the same applied index",
                    false => "not all that is asked for again and again is answered",
                };
                self.stand_still(format!("{what}: {node_summaries}"));
                return;
            }
            Phase::Disturbed
            | Phase::Bare
            | Phase::BareFinale
            | Phase::Draining
            | Phase::Finale
            | Phase::Converging
            | Phase::Over => {}
        }
        self.queue.after(LOOK_EVERY, Event::Run(RunEvent::Settle));
    }

    /// Nodes that have to work in the end: all but those that refuse to start, and rightly, and one that lost its directory
    /// and cannot be set up again because another refuses.
    pub(super) fn serving(&self) -> impl '_ + Iterator<Item = usize> {
        let is_stuck = |at: usize| self.nodes[at].loss.is_outcast && self.atlas.has_any_refused();
        let is_away = |at: &usize| self.progress.away.contains(at);
        let serves = move |at: &usize| {
            self.is_member(*at) && !self.atlas.has_refused(*at) && !is_stuck(*at) && !is_away(at)
        };
        (0..self.nodes.len()).filter(serves)
    }

    /// What should be served is not. That breaks a promise, but for three cases: a majority of the disks was damaged; a majority has
    /// lost entries for certain, some of them with their power; or, of a set of voters that has to decide, some are gone for good, and the
    /// others need them.
    pub(super) fn stand_still(&mut self, mut said: String) {
        let away: Vec<String> = self
            .progress
            .away
            .iter()
            .map(|at| format!("n{}", at + 1))
            .collect();
        if !away.is_empty() {
            said.push_str(&format!("; away are {}", away.join(", ")));
        }
        let sets = self.checks.deciding_sets();
        // The operator sets a lost node up again from what the others have committed.
        let is_lost = |at: usize| self.nodes[at].loss.is_outcast || self.misses_what_no_other_has(at);
        let is_excused = self.atlas.excuses(&sets, is_lost, |at| self.is_sure(at))
            || self.atlas.went_beyond()
            || self.has_lost_a_majority();
        if !is_excused {
            return self.fail(Rule::Liveness, said);
        }
        self.journal.counters.stalls += 1;
        self.journal.note(
            self.queue.now(),
            Happening::Run(RunHappening::Stalls { detail: &said }),
        );
        self.progress.phase = Phase::Over;
    }

    /// True when a node finds that a majority of the voters has lost entries for certain, and each node that says so of itself has a
    /// reason: then no leader is elected until a person decides.
    fn has_lost_a_majority(&self) -> bool {
        let running = || {
            self.nodes
                .iter()
                .enumerate()
                .filter_map(|(at, node)| Some((at, node.process.as_ref()?)))
        };
        let finds = |(_, process): (usize, &Process)| process.replica.status().elections.lost_majority;
        let has_reason =
            |(at, process): (usize, &Process)| !process.replica.abstains() || self.atlas.may_have_lost(at);
        running().any(finds) && running().all(has_reason)
    }

    /// True when the node misses an entry that may be committed, for all that nodes can say that abstain: then it elects no one who
    /// lacks it, and no one can give it back.
    fn misses_what_no_other_has(&self, at: usize) -> bool {
        let Some(process) = self.nodes[at].process.as_ref() else {
            return false;
        };
        let committed = self.checks.last_committed().map(|position| position.index);
        let others: Vec<&Process> = (0..self.nodes.len())
            .filter(|other| *other != at)
            .filter_map(|other| self.nodes[other].process.as_ref())
            .collect();
        let mut open = process
            .replica
            .missing()
            .filter(|position| Some(position.index) > committed);
        open.any(|position| {
            let holds = |other: &&Process| other.replica.node().log().entries().contains(position);
            !others.iter().any(holds)
        })
    }

    /// True when the node runs and misses nothing.
    pub(super) fn is_sure(&self, at: usize) -> bool {
        let process = self.nodes[at].process.as_ref();
        process.is_some_and(|process| {
            let status = process.replica.status();
            !status.elections.abstaining && status.damage.holes == 0
        })
    }

    fn has_converged(&self) -> bool {
        if self.has_rot() {
            return false;
        }
        let reached = |at: usize| {
            let Process { replica, driver, .. } = self.nodes[at].process.as_ref()?;
            let (applied, commit) = (replica.machine().applied_index(), replica.node().commit_index());
            let status = replica.status();
            // A snapshot is applied before the log on disk begins behind it.
            let is_on_disk = status.log.base_index <= driver.store().base().index;
            let is_short = !self.checks.short_log.waits(self.nodes[at].id);
            (applied == commit && status.damage.holes == 0 && is_on_disk && is_short).then(|| applied.get())
        };
        let mut reached = self.serving().map(reached);
        let first = reached.next().flatten();
        first.is_some() && reached.all(|other| other == first)
    }

    fn node_summaries(&self) -> String {
        let summary = |at: usize| match self.nodes[at].process.as_ref() {
            Some(process) => {
                let status = process.replica.status();
                format!(
                    "n{} applied {}, voters {}, {} entries damaged{}",
                    at + 1,
                    status.log.applied_index.get(),
                    describe_voters(&status),
                    status.damage.holes,
                    if status.damage.needs_snapshot {
                        ", needs a snapshot"
                    } else {
                        ""
                    }
                )
            }
            None => format!("n{} is down", at + 1),
        };
        let summaries: Vec<String> = (0..self.nodes.len()).map(summary).collect();
        summaries.join(", ")
    }

    fn finish(&mut self) {
        self.compare();
        self.compare_retried(true);
        let serving: Vec<usize> = self.serving().collect();
        for at in serving {
            let applied = self.nodes[at].process.as_ref();
            let applied = applied.map_or(0, |process| process.replica.machine().applied_index().get());
            let checked = self.checks.check_whole_log(at, applied);
            self.check(checked);
        }
        let request_timeout = self.plan.sim.node.request_timeout.as_millis() * MILLI;
        let due = self.queue.now().saturating_sub(ANSWER_TIMEOUTS * request_timeout);
        let checked = self.checks.answers.check(due);
        self.check(checked);
        self.progress.phase = Phase::Over;
    }
}

/// Every request is answered by its deadline; clocks may be slow.
const ANSWER_TIMEOUTS: u64 = 3;

/// Fine enough for a run of seconds.
const LOOK_EVERY: u64 = 20 * MILLI;
