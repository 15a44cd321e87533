//! A leader and its followers, for the rule that who is heard gets on.
//!
//! Invariant: looking draws nothing and changes nothing but the rule's own notes.

use noraft::{LogIndex, Node, NodeId};
use noraftd::replica::event::Room;

use super::World;
use crate::sim::parts::checks::getting_on::{Following, Leading};
use crate::sim::parts::node::SimNode;

impl World {
    /// A node was driven: if it leads, and it is time, looks whether it and its followers take steps.
    pub(super) fn look_at_steps(&mut self, at: usize) {
        let (now, timeout) = (self.queue.now(), self.plan.cluster.election.as_duration());
        let node = &self.nodes[at];
        let rule = &mut self.checks.getting_on;
        let core = node.process.as_ref().map(|process| process.replica.node());
        let Some(core) = core.filter(|core| core.role().is_leader()) else {
            return rule.leads_not(node.id);
        };
        if !rule.is_due(now, node.id, timeout) {
            return;
        }
        let leader = Leading {
            id: node.id,
            term: core.current_term().get(),
            commit: core.commit_index().get(),
            last: core.log().last_position().index.get(),
            is_able: node.disk.trouble().is_none(),
            misses_committed: misses_committed(node),
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
        let followers: Vec<Following> = peers.map(|node| following(core, node)).collect();
        let checked = rule.look(now, timeout, &leader, &followers, &sets);
        self.check(checked);
    }
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
        let is_idle = process.jobs.is_empty() && process.votes.is_empty();
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
