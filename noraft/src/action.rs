//! What a node asks its integrator to do, and how work that was not fetched yet is merged.
//!
//! Merging is what makes pipelining work: a node may be driven on while actions are pending, and
//! the pending ones grow or are replaced so that executing them once is enough.

use alloc::collections::btree_map::Entry;
use alloc::collections::{BTreeMap, BTreeSet};

use crate::entries::LogEntries;
use crate::message::Message;
use crate::types::NodeId;

/// One thing to do.
///
/// [`Action::SaveCurrentTerm`], [`Action::SaveVotedFor`] and [`Action::AppendLogEntries`] must be
/// durable before a message that comes after them goes out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Start the election timer again, in place of a running one. A leader's timeout is short, a
    /// follower's longer, a candidate's random; when it expires, call
    /// [`Node::handle_election_timeout`](crate::Node::handle_election_timeout).
    SetElectionTimeout,
    /// Store the present [`Node::current_term`](crate::Node::current_term).
    SaveCurrentTerm,
    /// Store the present [`Node::voted_for`](crate::Node::voted_for).
    SaveVotedFor,
    /// Send the message to each of [`Node::peers`](crate::Node::peers).
    BroadcastMessage(Message),
    /// Store the entries. [`LogEntries::prev_position`] is an overwrite anchor: stored entries after
    /// it are removed, and some of the given entries may be stored already.
    AppendLogEntries(LogEntries),
    /// Send the message to the node.
    SendMessage(NodeId, Message),
    /// Send a snapshot to the node. This is asked again while the node is behind, so an integrator
    /// drops the request while a transfer is under way.
    InstallSnapshot(NodeId),
}

/// The pending actions of a node.
///
/// As an iterator it takes them out one by one, in the order of the fields. An integrator may
/// as well take the fields, or the whole, for itself.
#[derive(Debug, Default, Clone)]
pub struct Actions {
    /// [`Action::SetElectionTimeout`] is pending.
    pub set_election_timeout: bool,
    /// [`Action::SaveCurrentTerm`] is pending.
    pub save_current_term: bool,
    /// [`Action::SaveVotedFor`] is pending.
    pub save_voted_for: bool,
    /// The entries of a pending [`Action::AppendLogEntries`].
    pub append_log_entries: Option<LogEntries>,
    /// The message of a pending [`Action::BroadcastMessage`].
    pub broadcast_message: Option<Message>,
    /// The messages of pending [`Action::SendMessage`]s.
    pub send_messages: BTreeMap<NodeId, Message>,
    /// The nodes of pending [`Action::InstallSnapshot`]s.
    pub install_snapshots: BTreeSet<NodeId>,
}

impl Actions {
    /// Returns whether nothing is pending.
    pub fn is_empty(&self) -> bool {
        !self.set_election_timeout
            && !self.save_current_term
            && !self.save_voted_for
            && self.append_log_entries.is_none()
            && self.broadcast_message.is_none()
            && self.send_messages.is_empty()
            && self.install_snapshots.is_empty()
    }

    /// Merges `run`, which the log has just been overwritten with from its anchor on.
    ///
    /// A pending run that covers the anchor is continued there. Otherwise the anchor lies below the
    /// pending run, all of which the new one overwrites: continuing it would leave a hole in storage.
    pub(crate) fn queue_append(&mut self, run: &LogEntries) {
        let continued = self
            .append_log_entries
            .as_mut()
            .is_some_and(|pending| pending.append_suffix(run));
        if !continued {
            self.append_log_entries = Some(run.clone());
        }
    }

    pub(crate) fn queue_broadcast(&mut self, message: Message) {
        match &mut self.broadcast_message {
            Some(pending) => pending.supersede(message),
            pending => *pending = Some(message),
        }
    }

    pub(crate) fn queue_send(&mut self, to: NodeId, message: Message) {
        match self.send_messages.entry(to) {
            Entry::Occupied(mut pending) => pending.get_mut().supersede(message),
            Entry::Vacant(place) => {
                place.insert(message);
            }
        }
    }

    /// Drops the calls of a term that is over. Replies stay true, and so does what is to be stored.
    pub(crate) fn drop_calls(&mut self) {
        self.broadcast_message.take_if(|message| message.is_call());
        self.send_messages.retain(|_, message| !message.is_call());
    }
}

impl Iterator for Actions {
    type Item = Action;

    #[inline]
    fn next(&mut self) -> Option<Action> {
        if core::mem::take(&mut self.set_election_timeout) {
            return Some(Action::SetElectionTimeout);
        }
        if core::mem::take(&mut self.save_current_term) {
            return Some(Action::SaveCurrentTerm);
        }
        if core::mem::take(&mut self.save_voted_for) {
            return Some(Action::SaveVotedFor);
        }
        if let Some(entries) = self.append_log_entries.take() {
            return Some(Action::AppendLogEntries(entries));
        }
        if let Some(message) = self.broadcast_message.take() {
            return Some(Action::BroadcastMessage(message));
        }
        if let Some((to, message)) = self.send_messages.pop_first() {
            return Some(Action::SendMessage(to, message));
        }
        self.install_snapshots.pop_first().map(Action::InstallSnapshot)
    }
}
