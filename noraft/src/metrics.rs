//! Counters of what a node ignored, refused or began.
//!
//! Each counter saturates, belongs to one `Node` value, is copied when the node is cloned, and is
//! not reset when the role changes.

/// Counters of one node since it was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeMetrics {
    /// Messages that carried this node's own id.
    pub self_messages_ignored: u64,
    /// Messages that moved this node to a higher term.
    pub term_advances_from_messages: u64,
    /// Vote requests of an older term.
    pub request_vote_calls_rejected_by_old_term: u64,
    /// Vote requests of a candidate whose log is behind (Raft 5.4.1).
    pub request_vote_calls_rejected_by_log: u64,
    /// Vote requests in a term in which another node has the vote.
    pub request_vote_calls_rejected_by_existing_vote: u64,
    /// Vote replies of an older term that reached a candidate.
    pub request_vote_replies_ignored_from_old_terms: u64,
    /// Vote replies that reached a node that is not a candidate.
    pub request_vote_replies_ignored_while_not_candidate: u64,
    /// Append calls of an older term.
    pub append_entries_calls_rejected_by_old_term: u64,
    /// Append calls of its own term that reached a leader.
    pub same_term_append_entries_calls_received_by_leader: u64,
    /// Append calls whose previous position contradicts the local log.
    pub log_divergences_detected_by_follower: u64,
    /// Append replies of an older term.
    pub append_entries_replies_ignored_from_old_terms: u64,
    /// Append replies that reached a node that is not the leader.
    pub append_entries_replies_ignored_while_not_leader: u64,
    /// Append replies of nodes that the leader does not replicate to.
    pub append_entries_replies_ignored_from_unknown_nodes: u64,
    /// Append replies that report less than is known to match (delayed or duplicated).
    pub append_entries_replies_ignored_behind_match_index: u64,
    /// Append replies that report an index beyond the leader's log.
    pub append_entries_replies_ahead_of_leader: u64,
    /// Append replies whose position contradicts the leader's log.
    pub log_divergences_detected_by_leader: u64,
    /// Elections this node began.
    pub elections_started: u64,
    /// Elections this node won.
    pub leaderships_started: u64,
}

/// Counts one event.
pub(crate) fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
