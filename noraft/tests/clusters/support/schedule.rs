//! Random schedules: at each step one thing happens somewhere, chosen by weights drawn from the seed.
//!
//! Nothing has a time here: any message may come next, be lost or doubled, any timer may fire, any write
//! may be the last one before a crash. That is every behaviour an asynchronous system can show.
use std::collections::BTreeSet;

use noraft::{LogIndex, Node, NodeId};

use super::cluster::{Bug, Checked, Cluster};
use super::rng::Rng;

/// How often each kind of event happens, relative to the others.
#[derive(Debug, Clone)]
pub(crate) struct Weights {
    events: Vec<(Event, u64)>,
    drop_percent: u64,
    duplicate_percent: u64,
    in_order_percent: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Deliver,
    Drain,
    Write,
    Sync,
    Timeout,
    Propose,
    Heartbeat,
    Crash,
    Restart,
    Snapshot,
    ChangeVoters,
    ChangeLearners,
}

impl Weights {
    /// Draws a mix: each run leaves some events out and does others often.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let often = |rng: &mut Rng, usual: u64| usual * rng.within(1, 4) / 2;
        let rare = |rng: &mut Rng, usual: u64| {
            if rng.chance(25) {
                0
            } else {
                usual * rng.within(1, 6) / 2
            }
        };
        let events = vec![
            (Event::Deliver, often(rng, 160)),
            (Event::Drain, often(rng, 60)),
            (Event::Write, often(rng, 60)),
            (Event::Sync, often(rng, 80)),
            (Event::Timeout, often(rng, 8)),
            (Event::Propose, often(rng, 24)),
            (Event::Heartbeat, often(rng, 12)),
            (Event::Crash, rare(rng, 4)),
            (Event::Restart, often(rng, 10)),
            (Event::Snapshot, rare(rng, 4)),
            (Event::ChangeVoters, rare(rng, 8)),
            (Event::ChangeLearners, rare(rng, 3)),
        ];
        let drop_percent = rng.below(4) * 10;
        let duplicate_percent = rng.below(3) * 10;
        let in_order_percent = rng.within(2, 9) * 10;
        Self {
            events,
            drop_percent,
            duplicate_percent,
            in_order_percent,
        }
    }

    /// Elections, crashes and restarts in quick succession.
    pub(crate) fn of_elections() -> Self {
        let events = vec![
            (Event::Deliver, 160),
            (Event::Drain, 20),
            (Event::Write, 20),
            (Event::Sync, 140),
            (Event::Timeout, 24),
            (Event::Propose, 8),
            (Event::Heartbeat, 4),
            (Event::Crash, 24),
            (Event::Restart, 80),
        ];
        Self {
            events,
            drop_percent: 5,
            duplicate_percent: 5,
            in_order_percent: 10,
        }
    }

    /// Votes given and lost again: crashes between the drain and the write, and rivals in one term.
    pub(crate) fn of_lost_votes() -> Self {
        let events = vec![
            (Event::Deliver, 160),
            (Event::Drain, 80),
            (Event::Write, 20),
            (Event::Sync, 20),
            (Event::Timeout, 30),
            (Event::Crash, 40),
            (Event::Restart, 90),
        ];
        Self {
            events,
            drop_percent: 0,
            duplicate_percent: 0,
            in_order_percent: 10,
        }
    }

    /// Servers that crash with writes under way, and soon find another leader.
    pub(crate) fn of_lost_writes() -> Self {
        let events = vec![
            (Event::Deliver, 240),
            (Event::Drain, 80),
            (Event::Write, 40),
            (Event::Sync, 30),
            (Event::Timeout, 16),
            (Event::Propose, 24),
            (Event::Heartbeat, 12),
            (Event::Crash, 12),
            (Event::Restart, 60),
        ];
        Self {
            events,
            drop_percent: 0,
            duplicate_percent: 0,
            in_order_percent: 60,
        }
    }

    fn pick(&self, rng: &mut Rng) -> Event {
        let mut rest = rng.below(self.events.iter().map(|(_, weight)| weight).sum());
        for (event, weight) in &self.events {
            if rest < *weight {
                return *event;
            }
            rest -= weight;
        }
        unreachable!("a number below the sum falls into one of the parts")
    }
}

impl Cluster {
    /// Lets one thing happen.
    pub(crate) fn step(&mut self, weights: &Weights) -> Checked {
        self.steps += 1;
        let event = weights.pick(&mut self.rng);
        let id = self.some_server();
        match event {
            Event::Deliver => self.deliver_some(weights),
            Event::Drain => self.noted("drain", id, |cluster| cluster.drain(id)),
            Event::Write => self.noted("write", id, |cluster| cluster.write_one(id)),
            Event::Sync => self.noted("sync", id, |cluster| cluster.sync(id)),
            Event::Timeout => self.noted("timeout", id, |cluster| {
                cluster.call(id, Node::handle_election_timeout).map(|_| ())
            }),
            Event::Propose => self.at_leader("propose", Cluster::propose),
            Event::Heartbeat => self.at_leader("heartbeat", |cluster, id| {
                cluster.call(id, Node::heartbeat).map(|_| ())
            }),
            Event::Crash => self.noted("crash", id, |cluster| {
                cluster.crash(id);
                Ok(())
            }),
            Event::Restart => self.restart_a_crashed(),
            Event::Snapshot => self.snapshot_some(id),
            Event::ChangeVoters => self.at_leader("change voters", Cluster::change_voters),
            Event::ChangeLearners => self.at_leader("change learners", Cluster::change_learners),
        }
    }

    fn some_server(&mut self) -> NodeId {
        let ids = self.ids();
        self.rng.pick(&ids).expect("a cluster has servers")
    }

    fn noted(&mut self, what: &str, id: NodeId, act: impl FnOnce(&mut Self) -> Checked) -> Checked {
        self.note(|| format!("{what} {}", id.get()));
        act(self)
    }

    fn deliver_some(&mut self, weights: &Weights) -> Checked {
        let Some(last) = (self.network.len() as u64).checked_sub(1) else {
            return Ok(());
        };
        // Mostly the oldest, so that there is progress; sometimes any.
        let index = if self.rng.chance(weights.in_order_percent) {
            0
        } else {
            self.rng.within(0, last)
        };
        let index = usize::try_from(index).expect("below a length");
        if self.rng.chance(weights.drop_percent) {
            let lost = self.network.remove(index);
            self.note(|| format!("lose {lost:?}"));
            return Ok(());
        }
        if !self.accepts(&self.network[index]) {
            return Ok(());
        }
        let envelope = if self.rng.chance(weights.duplicate_percent) {
            self.network[index].clone()
        } else {
            self.network.remove(index)
        };
        self.note(|| format!("deliver {envelope:?}"));
        self.deliver(&envelope)
    }

    /// Acts at a random leader; a deposed one may still believe in itself.
    fn at_leader(&mut self, what: &str, act: impl FnOnce(&mut Self, NodeId) -> Checked) -> Checked {
        let leads = |id: &NodeId| self.node(*id).is_some_and(|node| node.role().is_leader());
        let leaders: Vec<NodeId> = self.ids().into_iter().filter(leads).collect();
        match self.rng.pick(&leaders) {
            Some(id) => self.noted(what, id, |cluster| act(cluster, id)),
            None => Ok(()),
        }
    }

    fn restart_a_crashed(&mut self) -> Checked {
        let down: Vec<NodeId> = self
            .servers
            .values()
            .filter(|server| server.node.is_none())
            .map(|s| s.id)
            .collect();
        match self.rng.pick(&down) {
            Some(id) => self.noted("restart", id, |cluster| cluster.restart(id)),
            None => Ok(()),
        }
    }

    fn snapshot_some(&mut self, id: NodeId) -> Checked {
        let Some(node) = self.node(id) else { return Ok(()) };
        let first = node.log().snapshot_position().index.get();
        let last = match self.bug {
            Bug::SnapshotUncommitted => node.log().last_position().index.get(),
            _ => node.commit_index().get(),
        };
        let index = self.rng.within(first, last);
        self.noted("snapshot", id, |cluster| {
            cluster.snapshot(id, LogIndex::new(index)).map(|_| ())
        })
    }

    fn change_voters(&mut self, leader: NodeId) -> Checked {
        let (adding, removing) = (self.some_server(), self.some_server());
        let adding: Vec<NodeId> = Some(adding).into_iter().filter(|_| self.rng.chance(60)).collect();
        let removing: Vec<NodeId> = Some(removing)
            .into_iter()
            .filter(|_| self.rng.chance(60))
            .collect();
        let Some(node) = self.node(leader) else {
            return Ok(());
        };
        let config = node.config().to_joint_consensus(&adding, &removing);
        if config.new_voters.is_empty() {
            return Ok(());
        }
        self.note(|| format!("propose {config:?}"));
        self.call(leader, |node| node.propose_config(config)).map(|_| ())
    }

    fn change_learners(&mut self, leader: NodeId) -> Checked {
        let changed = self.some_server();
        let Some(node) = self.node(leader) else {
            return Ok(());
        };
        let mut config = node.config().clone();
        // A leader on its way out that makes itself a learner may not be elected again,
        // though no other node has its log: no error, but the end of this cluster.
        if changed == leader {
            return Ok(());
        }
        if !config.non_voters.remove(&changed) && !config.voters.contains(&changed) {
            config.non_voters.insert(changed);
        }
        self.note(|| format!("propose {config:?}"));
        self.call(leader, |node| node.propose_config(config)).map(|_| ())
    }

    /// The positions seen committed, for a check that a run did something.
    pub(crate) fn committed_count(&self) -> u64 {
        self.invariants.committed().last_position().index.get()
    }

    /// Servers that lead now.
    pub(crate) fn leaders(&self) -> BTreeSet<NodeId> {
        let nodes = self.servers.values().filter_map(|server| server.node.as_ref());
        nodes
            .filter(|node| node.role().is_leader())
            .map(Node::id)
            .collect()
    }
}
