//! One server: a node, its disk, and the writes and messages between them.
//!
//! Invariant: a message leaves only after every write of its batch and of the batches before. A crash
//! keeps what was written, loses the node, the rest of the writes and every message not yet sent.
use std::collections::VecDeque;

use noraft::invariants::{Durable, Invariant, Violation};
use noraft::{
    Action, ClusterConfig, Log, LogEntries, LogIndex, LogPosition, Message, Node, NodeGeneration, NodeId,
    Term,
};

use super::cluster::Bug;

/// What survives a crash.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    pub(crate) generation: u64,
    pub(crate) term: Term,
    pub(crate) voted_for: Option<NodeId>,
    pub(crate) log: Log,
}

impl Disk {
    pub(crate) fn empty() -> Self {
        let log = Log::new(ClusterConfig::new(), LogEntries::new(LogPosition::ZERO));
        Self {
            generation: 0,
            term: Term::ZERO,
            voted_for: None,
            log,
        }
    }

    fn compact(&mut self, position: LogPosition, config: ClusterConfig) {
        let kept = self
            .log
            .entries()
            .since(position)
            .unwrap_or_else(|| LogEntries::new(position));
        self.log = Log::new(config, kept);
    }

    /// Leaves what the old log had beyond the new entries, as a store does that never truncates.
    fn keep_beyond(&mut self, written: &LogEntries, old: &LogEntries) {
        let mut entries = self.log.entries().clone();
        let tail = entries.last_position().index;
        if tail == written.last_position().index {
            let beyond = old
                .iter_with_positions()
                .filter(|(position, _)| position.index > tail);
            entries.extend(beyond.map(|(_, entry)| entry));
        }
        self.log = Log::new(self.log.snapshot_config().clone(), entries);
    }

    fn write(&mut self, write: Write, bug: Bug) -> Result<(), Violation> {
        match write {
            Write::Term(term) => self.term = term,
            Write::Vote(vote) => self.voted_for = vote,
            Write::Append(entries) => {
                let old = self.log.entries().clone();
                if !self.log.append_suffix(&entries) {
                    let detail = format!("{entries:?} has no anchor in the log on disk: {:?}", self.log);
                    return Err(Violation {
                        invariant: Invariant::Durability,
                        detail,
                    });
                }
                if bug == Bug::KeepConflicts {
                    self.keep_beyond(&entries, &old);
                }
            }
        }
        Ok(())
    }
}

#[derive(Debug, Clone)]
enum Write {
    Term(Term),
    Vote(Option<NodeId>),
    Append(LogEntries),
}

/// What travels between servers.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    Raft(Message),
    Snapshot {
        term: Term,
        position: LogPosition,
        config: ClusterConfig,
    },
}

/// The actions of one drain, in the order in which they must take effect.
#[derive(Debug, Clone, Default)]
struct Batch {
    writes: VecDeque<Write>,
    messages: Vec<(NodeId, Payload)>,
}

/// A node with its disk.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) id: NodeId,
    /// None while crashed.
    pub(crate) node: Option<Node>,
    pub(crate) disk: Disk,
    batches: VecDeque<Batch>,
    /// The last drain asked for a new timer.
    pub(crate) timer_requested: bool,
}

impl Server {
    pub(crate) fn new(id: NodeId) -> Self {
        let node = Some(Node::start(id));
        Self {
            id,
            node,
            disk: Disk::empty(),
            batches: VecDeque::new(),
            timer_requested: false,
        }
    }

    /// Writes are under way: the durable state is behind what was drained.
    pub(crate) fn is_writing(&self) -> bool {
        !self.batches.is_empty()
    }

    /// Takes the queued actions as one batch; gives back the messages that need not wait for it.
    pub(crate) fn drain(&mut self, early_appends: bool, bug: Bug) -> Vec<(NodeId, Payload)> {
        let Some(node) = self.node.as_mut() else {
            return Vec::new();
        };
        let mut batch = Batch::default();
        let actions: Vec<Action> = node.actions_mut().collect();
        let peers: Vec<NodeId> = node.peers().collect();
        for action in actions {
            match action {
                Action::SetElectionTimeout => self.timer_requested = true,
                Action::SaveCurrentTerm => batch.writes.push_back(Write::Term(node.current_term())),
                Action::SaveVotedFor => batch.writes.push_back(Write::Vote(node.voted_for())),
                Action::AppendLogEntries(entries) => batch.writes.push_back(Write::Append(entries)),
                Action::BroadcastMessage(message) => {
                    batch
                        .messages
                        .extend(peers.iter().map(|peer| (*peer, Payload::Raft(message.clone()))));
                }
                Action::SendMessage(to, message) => batch.messages.push((to, Payload::Raft(message))),
                Action::InstallSnapshot(to) => batch.messages.push((to, snapshot_of(node))),
            }
        }
        let hard_state_written = self
            .batches
            .iter()
            .chain([&batch])
            .flat_map(|batch| &batch.writes)
            .all(Write::is_append);
        let synced = self
            .node
            .as_ref()
            .map_or(LogIndex::ZERO, |node| self.synced(node.log()));
        let leaves_early = |payload: &Payload| match payload {
            // A lone voter commits what it has not synced yet; no other node may hear of that commit before.
            Payload::Raft(Message::AppendEntriesCall { commit_index, .. }) => {
                early_appends
                    && hard_state_written
                    && (*commit_index <= synced || bug == Bug::LeaderCountsUnsynced)
            }
            Payload::Raft(Message::AppendEntriesReply { .. }) => bug == Bug::AckBeforeSync,
            Payload::Raft(Message::RequestVoteReply { .. }) => bug == Bug::VoteBeforeSync,
            Payload::Raft(Message::RequestVoteCall { .. }) | Payload::Snapshot { .. } => false,
        };
        let (early, held) = batch
            .messages
            .into_iter()
            .partition(|(_, payload)| leaves_early(payload));
        batch.messages = held;
        if !batch.writes.is_empty() || !batch.messages.is_empty() {
            self.batches.push_back(batch);
        }
        early
    }

    /// Does the next write; gives back the messages this sets free.
    pub(crate) fn write_one(&mut self, bug: Bug) -> Result<Vec<(NodeId, Payload)>, Violation> {
        let Some(batch) = self.batches.front_mut() else {
            return Ok(Vec::new());
        };
        if let Some(write) = batch.writes.pop_front() {
            self.disk.write(write, bug)?;
        }
        if !batch.writes.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self
            .batches
            .pop_front()
            .map(|batch| batch.messages)
            .unwrap_or_default())
    }

    /// What a crash would leave of the node now.
    pub(crate) fn durable(&self, node: &Node) -> Durable {
        Durable {
            term: self.disk.term,
            voted_for: self.disk.voted_for,
            synced: self.synced(node.log()),
        }
    }

    /// The last index up to which the log in memory is on disk.
    fn synced(&self, log: &Log) -> LogIndex {
        let (memory, disk) = (log.entries(), self.disk.log.entries());
        let end = memory.last_position().index.min(disk.last_position().index).get();
        let same = |index: &LogIndex| {
            memory
                .get_term(*index)
                .is_some_and(|term| disk.get_term(*index) == Some(term))
        };
        (0..=end)
            .rev()
            .map(LogIndex::new)
            .find(same)
            .unwrap_or(LogIndex::ZERO)
    }

    /// With nothing left to write, the disk must hold what memory holds.
    pub(crate) fn check_mirror(&self) -> Result<(), Violation> {
        let Some(node) = self.node.as_ref() else {
            return Ok(());
        };
        if self.is_writing() || node.actions().append_log_entries.is_some() {
            return Ok(());
        }
        let tail = node.log().last_position();
        let boundary = node.log().snapshot_position();
        if self.synced(node.log()) == tail.index && self.disk.log.snapshot_position() == boundary {
            return Ok(());
        }
        let detail = format!(
            "{:?} has {tail:?} in memory, on disk {:?}, nothing to write",
            self.id, self.disk.log
        );
        Err(Violation {
            invariant: Invariant::Durability,
            detail,
        })
    }

    pub(crate) fn crash(&mut self) {
        self.node = None;
        self.batches.clear();
        self.timer_requested = false;
    }

    /// Loses everything but the count of generations, which is the operator's.
    pub(crate) fn wipe(&mut self) {
        self.disk = Disk {
            generation: self.disk.generation,
            ..Disk::empty()
        };
    }

    /// Rebuilds the node from its disk, in a new generation.
    pub(crate) fn restart(&mut self, bug: Bug) {
        self.crash();
        self.disk.generation += 1;
        let Disk {
            generation,
            term,
            voted_for,
            mut log,
        } = self.disk.clone();
        let (mut term, mut vote) = (term, voted_for);
        match bug {
            Bug::ForgetVote => vote = None,
            Bug::ForgetTerm => (term, vote) = (Term::new(term.get().saturating_sub(1)), None),
            Bug::LoseTail => {
                let mut entries = log.entries().clone();
                entries.truncate(entries.len().saturating_sub(1));
                log = Log::new(log.snapshot_config().clone(), entries);
                self.disk.log = log.clone();
            }
            Bug::None
            | Bug::AckBeforeSync
            | Bug::VoteBeforeSync
            | Bug::LeaderCountsUnsynced
            | Bug::SnapshotUncommitted
            | Bug::KeepConflicts => {}
        }
        self.node = Some(restart(self.id, generation, term, vote, log));
    }

    /// Takes a snapshot up to `index`, first on disk, then in the node.
    pub(crate) fn take_snapshot(&mut self, index: LogIndex) -> bool {
        let Some(node) = self.node.as_mut() else {
            return false;
        };
        let Some((position, config)) = node.log().get_position_and_config(index) else {
            return false;
        };
        let config = config.clone();
        let accepted = node.handle_snapshot_installed(position, config.clone());
        if accepted {
            self.disk.compact(position, config);
        }
        accepted
    }

    /// Installs a snapshot received from a leader.
    pub(crate) fn install_snapshot(&mut self, position: LogPosition, config: &ClusterConfig) -> bool {
        let Some(node) = self.node.as_mut() else {
            return false;
        };
        let accepted = node.handle_snapshot_installed(position, config.clone());
        if accepted {
            self.disk.compact(position, config.clone());
        }
        accepted
    }
}

impl Write {
    fn is_append(&self) -> bool {
        matches!(self, Write::Append(_))
    }
}

fn snapshot_of(node: &Node) -> Payload {
    let log = node.log();
    let (position, config) = (log.snapshot_position(), log.snapshot_config().clone());
    Payload::Snapshot {
        term: node.current_term(),
        position,
        config,
    }
}

fn restart(id: NodeId, generation: u64, term: Term, vote: Option<NodeId>, log: Log) -> Node {
    Node::restart(id, NodeGeneration::new(generation), term, vote, log)
}
