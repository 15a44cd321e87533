//! The same cluster in ticks: messages arrive when due, timers fire, writes take no time.
//!
//! For claims about progress, which need timers that are faster on a leader than on its followers.
use noraft::{CommitStatus, LogIndex, LogPosition, Node, NodeId, Role};

use super::cluster::{Checked, Cluster};

/// When the timer of each server fires, and how long a tick lasts for it.
#[derive(Debug, Clone)]
pub(crate) struct Timers {
    pub(crate) heartbeat: u64,
    pub(crate) election: u64,
    deadlines: std::collections::BTreeMap<NodeId, u64>,
}

impl Timers {
    /// Timers fit for a latency of the links.
    pub(crate) fn for_latency(latency_max: u64) -> Self {
        let heartbeat = 10 + 2 * latency_max;
        Self {
            heartbeat,
            election: heartbeat * 8,
            deadlines: std::collections::BTreeMap::new(),
        }
    }
}

impl Cluster {
    /// Lets time pass to the next event, at most `limit` ticks.
    pub(crate) fn tick(&mut self, timers: &mut Timers, limit: u64) -> Checked {
        self.ids()
            .into_iter()
            .try_for_each(|id| self.sync_and_arm(id, timers))?;
        let due = self.network.iter().map(|envelope| envelope.due);
        let next = due
            .chain(timers.deadlines.values().copied())
            .min()
            .unwrap_or(u64::MAX);
        let now = next.clamp(self.now + 1, self.now + limit.max(1));
        self.now = now;
        self.steps += 1;
        let (due, later) = std::mem::take(&mut self.network)
            .into_iter()
            .partition(|envelope| envelope.due <= now);
        self.network = later;
        let due: Vec<_> = due;
        for envelope in due {
            self.note(|| format!("deliver {envelope:?}"));
            self.deliver(&envelope)?;
            self.sync_and_arm(envelope.to, timers)?;
        }
        for id in self.ids() {
            if timers.deadlines.get(&id).is_some_and(|deadline| *deadline <= now) {
                timers.deadlines.remove(&id);
                self.note(|| format!("timeout {}", id.get()));
                self.call(id, Node::handle_election_timeout)?;
            }
            self.sync_and_arm(id, timers)?;
        }
        Ok(())
    }

    fn sync_and_arm(&mut self, id: NodeId, timers: &mut Timers) -> Checked {
        if self.node(id).is_some_and(|node| !node.actions().is_empty()) {
            self.sync(id)?;
        }
        let Some(server) = self.servers.get_mut(&id) else {
            return Ok(());
        };
        let Some(node) = server.node.as_ref() else {
            timers.deadlines.remove(&id);
            return Ok(());
        };
        if std::mem::take(&mut server.timer_requested) {
            let length = match node.role() {
                Role::Leader => timers.heartbeat,
                Role::Follower => timers.election + self.rng.below(timers.election),
                Role::Candidate => timers.election / 2 + self.rng.below(timers.election),
            };
            timers.deadlines.insert(id, self.now + length);
        }
        Ok(())
    }

    /// Lets ticks pass until `done`, at most `limit`; returns whether it came to that.
    pub(crate) fn run_until(
        &mut self,
        timers: &mut Timers,
        limit: u64,
        done: impl Fn(&Cluster) -> bool,
    ) -> Result<bool, String> {
        let end = self.now + limit;
        while self.now < end {
            if done(self) {
                return Ok(true);
            }
            self.tick(timers, end - self.now)
                .map_err(|violation| format!("{violation}\n{}", self.report()))?;
        }
        Ok(done(self))
    }

    /// Every running member of the leader's configuration knows what the leader knows.
    pub(crate) fn is_settled(&self) -> bool {
        let Some(leader) = self.leader().and_then(|id| self.node(id)) else {
            return false;
        };
        let tail = leader.log().last_position();
        let knows_all = |node: &Node| node.log().last_position() == tail && node.commit_index() == tail.index;
        leader
            .config()
            .unique_nodes()
            .all(|id| self.node(id).is_some_and(knows_all))
    }

    /// The commit status of a position as the leader has it.
    pub(crate) fn status_at_leader(&self, position: LogPosition) -> Option<CommitStatus> {
        self.leader()
            .and_then(|id| self.node(id))
            .map(|node| node.get_commit_status(position))
    }

    /// The commit index of a running node.
    pub(crate) fn commit_index(&self, id: NodeId) -> Option<LogIndex> {
        self.node(id).map(Node::commit_index)
    }
}
