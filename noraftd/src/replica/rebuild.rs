//! The core's log, built again from where it begins, when a snapshot proves that its configurations are wrong.
//!
//! A damaged entry of which only the place is known counts as a command in the core. If it is a configuration, the
//! core's account of which nodes vote is wrong from there on, and it refuses the very snapshot that would correct it: a
//! snapshot at or below the commit index has to agree with the log (Raft 7). The sender has no other one, so it would
//! be sent again and again. The entries themselves are not in doubt, and nothing that lies after the snapshot is lost:
//! the core starts once more from the same log, as after a restart, takes the snapshot, and keeps the commit index.
//!
//! Invariant: only a log with such a hole at or below the snapshot is built again; term, vote, and what the core
//! wants written or sent stay what they were.

use noraft::{LogEntries, LogEntry, LogPosition, Message, Node, NodeId};

use crate::record::Base;

use super::Replica;

/// What became of a snapshot that another node sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The log begins there.
    Yes,
    /// The log contradicts it.
    Refused,
    /// It will be taken when a leader of this term is known.
    Later,
}

impl Replica {
    /// Lets the core's log begin at a snapshot of another node.
    pub(super) fn begin_log_at(&mut self, base: &Base) -> Taken {
        if self.begins_at(base) {
            return Taken::Yes;
        }
        if self.is_leader() || !self.may_hide_a_config(base.position) {
            return Taken::Refused;
        }
        // The leader vouches for the commit index a second time.
        let Some(leader) = self.leader() else {
            return Taken::Later;
        };
        self.start_core_again(leader, base)
    }

    fn begins_at(&mut self, base: &Base) -> bool {
        self.node
            .handle_snapshot_installed(base.position, base.config.clone())
    }

    /// True when a damaged entry up to `position` may be a configuration that the core takes for a command.
    fn may_hide_a_config(&self, position: LogPosition) -> bool {
        let entries = self.node.log().entries();
        let takes_for_command = |index| entries.get_entry(index) == Some(LogEntry::Command);
        entries.contains(position) && self.repair.may_be_configs(position.index).any(takes_for_command)
    }

    fn start_core_again(&mut self, leader: NodeId, base: &Base) -> Taken {
        let before = &self.node;
        let commit_index = before.commit_index();
        let mut node = Node::restart(
            before.id(),
            before.generation(),
            before.current_term(),
            before.voted_for(),
            before.log().clone(),
        );
        *node.actions_mut() = before.actions().clone();
        let previous = std::mem::replace(&mut self.node, node);
        if !self.begins_at(base) {
            self.node = previous;
            return Taken::Refused;
        }
        let entries = LogEntries::new(self.node.log().last_position());
        let term = self.node.current_term();
        self.feed(&Message::AppendEntriesCall {
            from: leader,
            term,
            commit_index,
            entries,
        });
        Taken::Yes
    }
}
