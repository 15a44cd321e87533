//! Log compaction: Raft 7.
//!
//! Taking a snapshot and receiving one are the same event here: from now on the log starts at a
//! later position. What is queued is moved along, because the integrator may no longer have the
//! entries below.

use crate::action::Actions;
use crate::config::ClusterConfig;
use crate::entries::LogEntries;
use crate::log::Log;
use crate::message::Message;
use crate::node::Node;
use crate::types::LogPosition;

impl Node {
    /// Starts the log at a snapshot that was taken here or received from the leader.
    ///
    /// Entries after the snapshot are kept if the log contains its position, else dropped; the
    /// commit index rises to it. To take a snapshot, use the position and the configuration of
    /// [`Log::get_position_and_config`].
    ///
    /// Returns `false`, with nothing done, if the snapshot cannot be right: its term is higher than
    /// the current one; or it lies at or below the commit index and the log says otherwise; or it lies
    /// above and this node is the leader, whose log is complete by itself.
    ///
    /// ```
    /// use noraft::{Node, NodeId};
    ///
    /// let mut node = Node::start(NodeId::new(0));
    /// node.create_cluster(&[node.id()]);
    /// let (position, config) = node.log().get_position_and_config(node.commit_index()).expect("within the log");
    /// let config = config.clone();
    /// // Here the state machine is stored, with the position and the configuration.
    /// assert!(node.handle_snapshot_installed(position, config));
    /// assert_eq!(node.log().snapshot_position(), position);
    /// ```
    pub fn handle_snapshot_installed(
        &mut self,
        last_included_position: LogPosition,
        last_included_config: ClusterConfig,
    ) -> bool {
        let boundary = last_included_position;
        if !self.accepts_snapshot(boundary, &last_included_config) {
            return false;
        }
        let kept = self.log.entries().since(boundary);
        let entries = kept.unwrap_or_else(|| LogEntries::new(boundary));
        self.actions.start_log_at(&entries);
        self.log = Log::new(last_included_config, entries);
        self.commit_index = self.commit_index.max(boundary.index);
        true
    }

    fn accepts_snapshot(&self, boundary: LogPosition, config: &ClusterConfig) -> bool {
        if boundary.term > self.current_term {
            return false;
        }
        if boundary.index > self.commit_index {
            return !self.role().is_leader();
        }
        self.log.get_position_and_config(boundary.index) == Some((boundary, config))
    }
}

impl Actions {
    /// Moves what is queued to a log of `entries` after a snapshot.
    fn start_log_at(&mut self, entries: &LogEntries) {
        let boundary = entries.prev_position();
        if let Some(pending) = self.append_log_entries.take() {
            self.append_log_entries = rebase_append(pending, entries);
        }
        self.broadcast_message
            .take_if(|message| !rebase(message, boundary));
        self.send_messages.retain(|_, message| rebase(message, boundary));
    }
}

/// The part of `pending` still to be stored: all of it if it lies after the boundary, what comes
/// after the boundary if it spans it, nothing if it belongs to a log that has been given up.
fn rebase_append(pending: LogEntries, entries: &LogEntries) -> Option<LogEntries> {
    let boundary = entries.prev_position();
    if pending.contains(boundary) {
        return Some(entries.clone()).filter(|rest| !rest.is_empty());
    }
    let after = pending.prev_position().index > boundary.index;
    (after && entries.contains(pending.prev_position())).then_some(pending)
}

/// Lifts positions below the boundary to it. Returns `false` for a call that would contradict
/// itself, being of an older term than the boundary.
fn rebase(message: &mut Message, boundary: LogPosition) -> bool {
    match message {
        Message::RequestVoteReply { .. } => true,
        Message::AppendEntriesReply { last_position, .. } => {
            lift(last_position, boundary);
            true
        }
        Message::RequestVoteCall {
            term, last_position, ..
        } => {
            lift(last_position, boundary);
            boundary.term <= *term
        }
        Message::AppendEntriesCall { term, entries, .. } => {
            if entries.prev_position().index < boundary.index {
                *entries = entries
                    .since(boundary)
                    .unwrap_or_else(|| LogEntries::new(boundary));
            }
            boundary.term <= *term
        }
    }
}

fn lift(position: &mut LogPosition, boundary: LogPosition) {
    if position.index < boundary.index {
        *position = boundary;
    }
}
