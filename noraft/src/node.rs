//! The node: its state, its public face, and the one rule every message obeys first (Raft 5.1: a
//! higher term makes a follower).
//!
//! Invariants: `snapshot index <= commit_index <= last index`; the latest configuration is what the
//! log says, so cutting the log takes a configuration back with it.

use crate::action::Actions;
use crate::config::ClusterConfig;
use crate::entries::{LogEntries, LogEntry};
use crate::error::Error;
use crate::log::Log;
use crate::message::Message;
use crate::metrics::{NodeMetrics, count};
use crate::role::{CommitStatus, Role, State};
use crate::types::{LogIndex, LogPosition, NodeGeneration, NodeId, Term};

/// A member of a Raft cluster.
///
/// See the [crate documentation](crate) for how a node is driven.
#[derive(Debug, Clone)]
pub struct Node {
    pub(crate) id: NodeId,
    pub(crate) generation: NodeGeneration,
    /// Saved by `SaveCurrentTerm`; never falls.
    pub(crate) current_term: Term,
    /// Saved by `SaveVotedFor`; the leader of the term once it is known.
    pub(crate) voted_for: Option<NodeId>,
    pub(crate) log: Log,
    /// Never falls; never below the snapshot.
    pub(crate) commit_index: LogIndex,
    pub(crate) state: State,
    pub(crate) actions: Actions,
    pub(crate) metrics: NodeMetrics,
}

impl Node {
    /// Starts a new node, which knows nothing and has no actions.
    ///
    /// It joins a cluster by [`Node::create_cluster`], or when a leader that has it in its
    /// configuration sends it the log.
    pub fn start(id: NodeId) -> Self {
        let log = Log::new(ClusterConfig::new(), LogEntries::new(LogPosition::ZERO));
        Self::with_state(id, NodeGeneration::ZERO, Term::ZERO, None, log)
    }

    /// Starts a node again from what it had saved, as a follower whose timer is to be set.
    ///
    /// `generation` must be higher than at any earlier start of this node. What is committed is not
    /// stored: it is the snapshot at first, and learned again from the leader.
    pub fn restart(
        id: NodeId,
        generation: NodeGeneration,
        current_term: Term,
        voted_for: Option<NodeId>,
        log: Log,
    ) -> Self {
        let mut node = Self::with_state(id, generation, current_term, voted_for, log);
        node.actions.set_election_timeout = true;
        node
    }

    /// Keeps what is known to be committed, at most the whole log, for a node that starts again within its process from the
    /// same log. Not part of Raft's state on disk: after a restart of the process a leader teaches it (Raft 5.3).
    #[must_use]
    pub fn with_commit_index(mut self, commit_index: LogIndex) -> Self {
        let known = commit_index.min(self.log.last_position().index);
        self.commit_index = self.commit_index.max(known);
        self
    }

    fn with_state(
        id: NodeId,
        generation: NodeGeneration,
        current_term: Term,
        voted_for: Option<NodeId>,
        log: Log,
    ) -> Self {
        Self {
            id,
            generation,
            current_term,
            voted_for,
            commit_index: log.snapshot_position().index,
            log,
            state: State::Follower,
            actions: Actions::default(),
            metrics: NodeMetrics::default(),
        }
    }

    /// Returns this node's id.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Returns this node's generation.
    pub fn generation(&self) -> NodeGeneration {
        self.generation
    }

    /// Returns the present role.
    pub fn role(&self) -> Role {
        self.state.role()
    }

    /// Returns the current term.
    pub fn current_term(&self) -> Term {
        self.current_term
    }

    /// Returns the node that has this node's vote in the current term.
    ///
    /// A follower that hears from the leader of its term names that leader here, so this doubles as
    /// a hint where to send clients.
    pub fn voted_for(&self) -> Option<NodeId> {
        self.voted_for
    }

    /// Returns the log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Returns the index of the last entry known to be committed.
    pub fn commit_index(&self) -> LogIndex {
        self.commit_index
    }

    /// Returns the configuration in force: the last one in the log, committed or not.
    pub fn config(&self) -> &ClusterConfig {
        self.log.latest_config()
    }

    /// Iterates over the other members of the configuration in force, by rising id.
    pub fn peers(&self) -> impl '_ + Iterator<Item = NodeId> {
        self.config().unique_nodes().filter(|id| *id != self.id)
    }

    /// Returns the pending actions.
    pub fn actions(&self) -> &Actions {
        &self.actions
    }

    /// Returns the pending actions, to be taken out and executed.
    pub fn actions_mut(&mut self) -> &mut Actions {
        &mut self.actions
    }

    /// Returns the counters of what this node ignored, refused or began.
    pub fn metrics(&self) -> &NodeMetrics {
        &self.metrics
    }

    /// Returns the last index up to which `id`'s log is known to match this leader's.
    ///
    /// `None` unless this node is the leader and `id` is another member. Zero until the follower has
    /// reported a position that is in the leader's log; rising while the leader's term lasts and the
    /// follower stays a member, except when the follower comes back with a new generation.
    pub fn follower_match_index(&self, id: NodeId) -> Option<LogIndex> {
        match &self.state {
            State::Leader(leadership) => leadership.match_index(id),
            State::Follower | State::Candidate { .. } => None,
        }
    }

    /// Founds a cluster of `initial_voters` with this empty node, and campaigns if it is one of them.
    ///
    /// Exactly one node of a cluster does this; the others are just started. Returns the position to
    /// wait for with [`Node::get_commit_status`], or [`LogPosition::INVALID`] if this node already
    /// has a log or a configuration, or if there are no voters.
    ///
    /// ```
    /// use noraft::{Node, NodeId};
    ///
    /// let mut node = Node::start(NodeId::new(0));
    /// let founded = node.create_cluster(&[node.id()]);
    /// assert!(node.role().is_leader() && node.get_commit_status(founded).is_committed());
    /// assert!(node.create_cluster(&[node.id()]).is_invalid());
    /// ```
    pub fn create_cluster(&mut self, initial_voters: &[NodeId]) -> LogPosition {
        let fresh = self.log.last_position() == LogPosition::ZERO && self.config().voters.is_empty();
        if !fresh || initial_voters.is_empty() {
            return LogPosition::INVALID;
        }
        let mut config = ClusterConfig::new();
        config.voters.extend(initial_voters);
        let entries = LogEntries::from_iter(LogPosition::ZERO, [LogEntry::ClusterConfig(config)]);
        self.append(&entries);
        self.handle_election_timeout();
        self.log.last_position()
    }

    /// Proposes a command and returns its position.
    ///
    /// The command is committed when [`Node::get_commit_status`] says so. Returns
    /// [`LogPosition::INVALID`], with nothing done, if this node is not the leader.
    pub fn propose_command(&mut self) -> LogPosition {
        if !self.role().is_leader() || self.log_is_full() {
            return LogPosition::INVALID;
        }
        self.propose(LogEntry::Command)
    }

    /// Lets all followers know that this leader is alive, and how far the log is committed.
    ///
    /// Returns `false`, with nothing done, if this node is not the leader.
    pub fn heartbeat(&mut self) -> bool {
        let State::Leader(leadership) = &self.state else {
            return false;
        };
        if leadership.has_followers() {
            let entries = LogEntries::new(self.log.last_position());
            self.broadcast_entries(entries);
        }
        self.actions.set_election_timeout = true;
        true
    }

    /// Returns what became of the proposal at `position`. Any node may be asked, at any time.
    pub fn get_commit_status(&self, position: LogPosition) -> CommitStatus {
        let entries = self.log.entries();
        if position.index < entries.prev_position().index {
            return CommitStatus::Unknown;
        }
        if position.index <= self.commit_index {
            let there = entries.contains(position);
            return if there {
                CommitStatus::Committed
            } else {
                CommitStatus::Rejected
            };
        }
        match entries.get_term(self.commit_index) {
            Some(committed) if position.term < committed => CommitStatus::Rejected,
            Some(_) | None => CommitStatus::InProgress,
        }
    }

    /// Handles a message that another node sent to this one.
    ///
    /// # Errors
    ///
    /// Says why a leader's entries were refused: see [`Error`]. The message then changed nothing,
    /// but for the term and vote it may have advanced.
    pub fn handle_message(&mut self, msg: &Message) -> Result<(), Error> {
        if msg.from() == self.id {
            count(&mut self.metrics.self_messages_ignored);
            return Ok(());
        }
        if msg.term() > self.current_term {
            count(&mut self.metrics.term_advances_from_messages);
            self.advance_term(msg.term());
        }
        match msg {
            Message::RequestVoteCall {
                from,
                term,
                last_position,
            } => {
                self.handle_request_vote_call(*from, *term, *last_position);
            }
            Message::RequestVoteReply {
                from,
                term,
                vote_granted,
            } => {
                self.handle_request_vote_reply(*from, *term, *vote_granted);
            }
            Message::AppendEntriesCall {
                from,
                term,
                commit_index,
                entries,
            } => {
                return self.handle_append_entries_call(*from, *term, *commit_index, entries);
            }
            Message::AppendEntriesReply {
                from,
                term,
                generation,
                last_position,
            } => {
                self.handle_append_entries_reply(*from, *term, *generation, *last_position);
            }
        }
        Ok(())
    }

    /// Raft 5.1: a node that sees a higher term becomes a follower in it.
    ///
    /// A mere follower does not start its timer again: only a leader's call or a granted vote do
    /// that (Raft figure 2), or a candidate that cannot win would hold up the others.
    fn advance_term(&mut self, term: Term) {
        if !self.role().is_follower() {
            self.actions.set_election_timeout = true;
        }
        self.state = State::Follower;
        self.current_term = term;
        self.voted_for = None;
        self.actions.save_current_term = true;
        self.actions.save_voted_for = true;
        self.actions.drop_calls();
    }

    /// Gives the vote of the current term to `id`.
    pub(crate) fn vote_for(&mut self, id: NodeId) {
        if self.voted_for != Some(id) {
            self.voted_for = Some(id);
            self.actions.save_voted_for = true;
        }
    }

    /// Overwrites the log after the anchor of `entries`, which the log contains.
    pub(crate) fn append(&mut self, entries: &LogEntries) {
        if self.log.append_suffix(entries) {
            self.actions.queue_append(entries);
        }
    }

    /// Cuts the log after `last`, of a follower that knows by other means that nothing behind it was committed with its
    /// acknowledgement: of damage, say, that no other member has a copy for. The cut is to be stored like any append.
    ///
    /// Returns `false`, with nothing done, if this node is no follower, the log does not go beyond `last`, or `last` lies
    /// below the commit index.
    pub fn give_up_after(&mut self, last: LogIndex) -> bool {
        let is_open = self.commit_index <= last && last < self.log.last_position().index;
        let term = self.log.entries().get_term(last);
        let Some(term) = term.filter(|_| is_open && self.role().is_follower()) else {
            return false;
        };
        self.append(&LogEntries::new(LogPosition::new(term, last)));
        true
    }

    /// Returns whether the log has reached the last index there is.
    pub(crate) fn log_is_full(&self) -> bool {
        self.log.last_position().checked_next().is_none()
    }
}
