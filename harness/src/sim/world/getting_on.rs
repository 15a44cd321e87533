//! A leader and its followers, for the rules that who is heard gets on, that a majority has a leader, and that a log stays short.
//!
//! Invariant: looking draws nothing and changes nothing but the rule's own notes.

use noraft::{LogIndex, Node, NodeId};
use noraftd::replica::event::Room;

use super::World;
use crate::sim::parts::checks::getting_on::{Following, Leading};
use crate::sim::parts::checks::short_log::Logged;
use crate::sim::parts::node::{NORMAL, SimNode};

impl World {
    /// A node was driven: if it leads, and it is time, looks whether it and its followers take steps.
    pub(super) fn look_at_steps(&mut self, at: usize) {
        let (now, timeout) = (self.queue.now(), self.plan.cluster.election.as_duration());
        let (leads, has_slow_write) = (self.as_leader(at), self.has_slow_write(at));
        let node = &self.nodes[at];
        let saves_later = self.checks.short_log.saves_later(now, node.id);
        let rule = &mut self.checks.getting_on;
        let core = node.process.as_ref().map(|process| process.replica.node());
        let Some(core) = core.filter(|core| core.role().is_leader()) else {
            return rule.leads_not(node.id);
        };
        self.checks.led.is_led(now);
        if !rule.is_due(now, node.id, timeout) {
            return;
        }
        let has_slow_disk = self.plan.sim.disk.slow_sync(node.id.get()).is_some();
        // Before it has committed an entry of its term, a leader answers no read (Raft 8); whether it gets there is looked at by itself.
        let may_read = !has_slow_disk && has_committed_in_term(core);
        let waits = may_read.then(|| self.checks.reads.wait_since(leads, core.commit_index().get()));
        let counters = &self.journal.counters;
        let leader = Leading {
            id: node.id,
            term: core.current_term().get(),
            commit: core.commit_index().get(),
            last: core.log().last_position().index.get(),
            is_able: node.disk.trouble().is_none() && node.stalled.is_none() && !has_slow_write,
            misses_committed: misses_committed(node),
            reads_wait_since: waits.flatten(),
            damages: counters.links.rotten_parts + counters.disks.damages,
        };
        let config = core.config();
        let sets: Vec<Vec<NodeId>> = [&config.voters, &config.new_voters]
            .into_iter()
            .filter(|voters| !voters.is_empty())
            .map(|voters| voters.iter().copied().collect())
            .collect();
        let peers = core
            .peers()
            .filter_map(|id| self.nodes.get(id.get() as usize - 1));
        // What it can send to one that lags this far is a snapshot, and it may have to take that first.
        let base = core.log().snapshot_position().index.get();
        let with_leader = |follower: Following| Following {
            is_able: follower.is_able && !(saves_later && follower.has < base),
            ..follower
        };
        let followers: Vec<Following> = peers.map(|node| with_leader(following(core, node))).collect();
        let checked = rule.look(now, timeout, &leader, &followers, &sets);
        self.check(checked);
    }
}

impl World {
    /// A node was driven: if it is time, looks how long its log is.
    pub(super) fn look_at_log(&mut self, at: usize) {
        let (now, timeout) = (self.queue.now(), self.plan.cluster.election.as_duration());
        let node = &self.nodes[at];
        let Some(process) = node.process.as_ref() else {
            return;
        };
        if !self.checks.short_log.is_due(now, node.id, timeout) {
            return;
        }
        let log = process.replica.status().log;
        let has_usual_disk = self.plan.sim.disk.slow_sync(node.id.get()).is_none();
        let is_free = node.disk.trouble().is_none() && node.stalled.is_none();
        let logged = Logged {
            id: node.id,
            base: log.base_index.get(),
            applied: log.applied_index.get(),
            snapshot: log.snapshot,
            log_bytes: process.snapshot_log_bytes,
            is_able: is_free
                && has_usual_disk
                && has_usual_clock(node)
                && process.driver.room() == Room::Plenty,
        };
        let checked = self.checks.short_log.look(now, timeout, &logged);
        self.check(checked);
    }
}

impl World {
    /// Its disk has not answered for so long that it keeps silent.
    fn has_slow_write(&self, at: usize) -> bool {
        let node = &self.nodes[at];
        let since = node.process.as_ref().and_then(|process| process.writes_since);
        let now = node.clock.instant(self.queue.now());
        since.is_some_and(|since| now - since >= self.plan.cluster.election.as_duration())
    }

    /// Looks whether the nodes that lack nothing have a leader among them, if they are a majority of all voters that they go by and
    /// hear each other. To be called whenever a fault changes which nodes those are.
    pub(super) fn look_for_a_leader(&mut self) {
        let (now, timeout) = (self.queue.now(), self.plan.cluster.election.as_duration());
        let lacks_nothing = |node: &&SimNode| {
            let has_usual_disk = self.plan.sim.disk.slow_sync(node.id.get()).is_none();
            has_usual_clock(node) && has_usual_disk && is_electable(node)
        };
        let able: Vec<&SimNode> = self.nodes.iter().filter(lacks_nothing).collect();
        let cores = able
            .iter()
            .filter_map(|node| Some(node.process.as_ref()?.replica.node()));
        let is_majority = cores.clone().all(|core| {
            let config = core.config();
            [&config.voters, &config.new_voters].into_iter().all(|voters| {
                let count = able.iter().filter(|node| voters.contains(&node.id)).count();
                voters.is_empty() || count > voters.len() / 2
            })
        });
        // Another one may lead them, with a slow disk.
        let mut running = self.nodes.iter().filter(|node| !node.is_paused);
        let is_led = running.any(|node| {
            let process = node.process.as_ref();
            process.is_some_and(|process| process.replica.node().role().is_leader())
        });
        let able: Vec<(NodeId, u64)> = able.iter().map(|node| (node.id, node.life)).collect();
        let excused = is_led || !is_majority || able.is_empty() || self.network.has_cuts();
        let checked = self.checks.led.look(now, timeout, able, excused);
        self.check(checked);
    }
}

/// It runs at the speed of the others, or nearly so.
fn has_usual_clock(node: &SimNode) -> bool {
    node.clock.rate().abs_diff(NORMAL) <= NORMAL / 10
}

/// It could be elected, and elect: it runs, its disk answers, it has all that it ever had, and its vote counts.
fn is_electable(node: &SimNode) -> bool {
    node.process.as_ref().is_some_and(|process| {
        let is_whole = process.replica.missing().next().is_none() && !process.replica.abstains();
        let has_disk = node.disk.trouble().is_none() && node.stalled.is_none();
        is_whole
            && has_disk
            && !node.loss.is_outcast
            && !node.is_paused
            && process.driver.room() == Room::Plenty
    })
}

fn has_committed_in_term(leader: &Node) -> bool {
    let committed = leader.log().get_position_and_config(leader.commit_index());
    committed.is_some_and(|(position, _)| position.term == leader.current_term())
}

fn following(leader: &Node, node: &SimNode) -> Following {
    let durable = node
        .process
        .as_ref()
        .map_or(0, |process| process.replica.durable_index().get());
    // A node that misses an entry acknowledges none behind it.
    let acknowledged = leader.follower_match_index(node.id).map_or(0, LogIndex::get);
    Following {
        id: node.id,
        life: node.life,
        has: durable.min(acknowledged),
        is_able: is_able(node),
    }
}

/// Nothing holds it up: it runs, its vote counts, and its disk has room and nothing to do.
fn is_able(node: &SimNode) -> bool {
    node.process.as_ref().is_some_and(|process| {
        let is_idle = process.has_idle_disk();
        let is_sure = !process.replica.abstains() && !node.loss.is_outcast;
        is_idle && is_sure && !node.is_paused && process.driver.room() == Room::Plenty
    })
}

/// A leader gives no entry that it misses, and waits for another node's.
fn misses_committed(node: &SimNode) -> bool {
    node.process.as_ref().is_some_and(|process| {
        let commit = process.replica.node().commit_index();
        process.replica.missing().any(|position| position.index <= commit)
    })
}
