//! Log replication: Raft 5.3, with the commit rule of 5.4.2.
//!
//! A follower answers every call with the last position of its log. The leader either finds that
//! position in its own log, which makes it the match point in one step however far the follower is
//! behind, or it sends an empty call (a probe) anchored where the logs contradict each other, on
//! which the follower cuts its log back.

use crate::entries::{LogEntries, LogEntry};
use crate::error::Error;
use crate::message::Message;
use crate::metrics::count;
use crate::node::Node;
use crate::quorum::Sender;
use crate::role::State;
use crate::types::{LogIndex, LogPosition, NodeGeneration, NodeId, Term};

/// How a leader's run of entries relates to a follower's log.
enum Relation {
    /// The log has the last of the entries already.
    Known,
    /// The log has the anchor: what follows the common position is to be overwritten.
    Continues { common: LogPosition },
    /// The anchor's index holds an entry of another term: cut back to here.
    Contradicts { cut: LogIndex },
    /// The anchor lies beyond the log, or below its snapshot.
    Apart,
}

impl Node {
    /// Appends `entry` as leader, and replicates it. Returns the last position of the log, which is
    /// beyond the entry if appending it committed a joint configuration at once.
    pub(crate) fn propose(&mut self, entry: LogEntry) -> LogPosition {
        let reconfigures = matches!(entry, LogEntry::ClusterConfig(_));
        let mut entries = LogEntries::new(self.log.last_position());
        entries.push(entry);
        self.append(&entries);
        self.actions.set_election_timeout = true;
        let State::Leader(leadership) = &mut self.state else {
            return self.log.last_position();
        };
        if reconfigures {
            leadership.reconfigure(self.id, self.log.latest_config());
        }
        let solo = leadership.is_solo();
        let has_followers = leadership.has_followers();
        if solo {
            self.commit_index = self.log.last_position().index;
        }
        if has_followers {
            self.broadcast_entries(entries);
        }
        if solo {
            self.settle_config();
        }
        self.log.last_position()
    }

    pub(crate) fn broadcast_entries(&mut self, entries: LogEntries) {
        let call = self.append_entries_call(entries);
        self.actions.queue_broadcast(call);
    }

    fn append_entries_call(&self, entries: LogEntries) -> Message {
        Message::AppendEntriesCall {
            from: self.id,
            term: self.current_term,
            commit_index: self.commit_index,
            entries,
        }
    }

    /// Handles a leader's call as a follower (Raft figure 2, AppendEntries).
    pub(crate) fn handle_append_entries_call(
        &mut self,
        from: NodeId,
        term: Term,
        leader_commit: LogIndex,
        entries: &LogEntries,
    ) -> Result<(), Error> {
        if term < self.current_term {
            count(&mut self.metrics.append_entries_calls_rejected_by_old_term);
            self.reply_to_leader(from);
            return Ok(());
        }
        if self.role().is_leader() {
            count(&mut self.metrics.same_term_append_entries_calls_received_by_leader);
            return Ok(());
        }
        if !entries.has_rising_terms_up_to(term) {
            return Err(Error::MalformedEntries);
        }
        let relation = self.relate(entries)?;
        if self.role().is_candidate() {
            // Raft 5.2: a candidate that hears from a leader of its term has lost.
            self.state = State::Follower;
        }
        self.vote_for(from);
        self.take_entries(relation, entries, leader_commit);
        self.reply_to_leader(from);
        self.actions.set_election_timeout = true;
        Ok(())
    }

    fn reply_to_leader(&mut self, to: NodeId) {
        let reply = Message::AppendEntriesReply {
            from: self.id,
            term: self.current_term,
            generation: self.generation,
            last_position: self.log.last_position(),
        };
        self.actions.queue_send(to, reply);
    }

    /// Compares a leader's entries with the log, refusing what would undo a commit.
    fn relate(&self, entries: &LogEntries) -> Result<Relation, Error> {
        let own = self.log.entries();
        let anchor = entries.prev_position();
        if anchor == own.last_position() && !entries.is_empty() {
            return Ok(Relation::Continues { common: anchor });
        }
        if own.contains(entries.last_position()) {
            return Ok(Relation::Known);
        }
        if own.contains(anchor) {
            let common = own.common_until(entries, anchor);
            if common.index < self.commit_index {
                return Err(Error::CommittedEntryMismatch);
            }
            return Ok(Relation::Continues { common });
        }
        let snapshot = own.prev_position();
        if entries
            .get_term(snapshot.index)
            .is_some_and(|term| term != snapshot.term)
        {
            return Err(Error::LocalSnapshotMismatch);
        }
        if !own.contains_index(anchor.index) {
            return Ok(Relation::Apart);
        }
        if anchor.index <= self.commit_index {
            return Err(Error::CommittedEntryMismatch);
        }
        Ok(Relation::Contradicts {
            cut: self.cut_before(anchor),
        })
    }

    /// The last index that can survive a contradiction at `anchor`, an index above the commit index.
    ///
    /// Terms rise along the leader's log, so up to the anchor it has no entry of a higher term than
    /// the anchor's. Whatever the local log has of such terms goes, not just the one entry.
    fn cut_before(&self, anchor: LogPosition) -> LogIndex {
        let before = anchor
            .index
            .checked_sub(LogIndex::new(1))
            .unwrap_or(LogIndex::ZERO);
        let kept = self.log.entries().last_index_within(before, anchor.term);
        kept.unwrap_or(self.commit_index).max(self.commit_index)
    }

    fn take_entries(&mut self, relation: Relation, entries: &LogEntries, leader_commit: LogIndex) {
        match relation {
            Relation::Known => {
                if self.log.last_position() == entries.last_position() {
                    self.follow_commit(leader_commit);
                }
            }
            Relation::Continues { common } => {
                if common == entries.prev_position() {
                    self.append(entries);
                } else if let Some(rest) = entries.since(common) {
                    self.append(&rest);
                }
                self.follow_commit(leader_commit);
            }
            Relation::Contradicts { cut } => {
                count(&mut self.metrics.log_divergences_detected_by_follower);
                self.log.truncate_to(cut);
            }
            Relation::Apart => {}
        }
    }

    /// Raft figure 2: the commit index follows the leader's, as far as the log goes, which at this
    /// point is the leader's log.
    fn follow_commit(&mut self, leader_commit: LogIndex) {
        let known = leader_commit.min(self.log.last_position().index);
        self.commit_index = self.commit_index.max(known);
    }

    /// Handles a follower's report of where its log ends.
    pub(crate) fn handle_append_entries_reply(
        &mut self,
        from: NodeId,
        term: Term,
        generation: NodeGeneration,
        reported: LogPosition,
    ) {
        if term < self.current_term {
            count(&mut self.metrics.append_entries_replies_ignored_from_old_terms);
            return;
        }
        let State::Leader(leadership) = &mut self.state else {
            count(&mut self.metrics.append_entries_replies_ignored_while_not_leader);
            return;
        };
        match leadership.receive(from, generation, reported.index) {
            Sender::Unknown => count(&mut self.metrics.append_entries_replies_ignored_from_unknown_nodes),
            Sender::Delayed => count(&mut self.metrics.append_entries_replies_ignored_behind_match_index),
            Sender::Current(slot) if self.log.entries().contains(reported) => {
                self.handle_match(from, slot, reported);
            }
            Sender::Current(_) => self.handle_mismatch(from, reported),
        }
    }

    /// The follower's log ends in a position of ours: both logs are the same up to it.
    fn handle_match(&mut self, from: NodeId, slot: usize, reported: LogPosition) {
        let tail = self.log.last_position();
        if let State::Leader(leadership) = &mut self.state
            && leadership.advance(slot, reported.index)
        {
            self.advance_commit();
        }
        if reported != tail {
            self.send_suffix(from, reported);
        }
    }

    /// The follower's log ends where ours cannot vouch for it.
    fn handle_mismatch(&mut self, from: NodeId, reported: LogPosition) {
        let entries = self.log.entries();
        if reported.index > entries.last_position().index {
            count(&mut self.metrics.append_entries_replies_ahead_of_leader);
            return;
        }
        if reported.index < entries.prev_position().index {
            self.actions.install_snapshots.insert(from);
            return;
        }
        let probe = self.probe(reported);
        count(&mut self.metrics.log_divergences_detected_by_leader);
        match probe {
            Some(position) => {
                let call = self.append_entries_call(LogEntries::new(position));
                self.actions.queue_send(from, call);
            }
            None => {
                self.actions.install_snapshots.insert(from);
            }
        }
    }

    /// Where to contradict a follower whose log ends at `reported`, an index of ours with another term.
    ///
    /// Up to there the follower has no entry of a higher term than the reported one, so the logs
    /// differ at the first of our entries that has one; contradicting the follower there makes it
    /// cut in one step all that cannot match. `None` if the snapshot already is of a higher term.
    fn probe(&self, reported: LogPosition) -> Option<LogPosition> {
        let entries = self.log.entries();
        let shared = entries.last_index_within(reported.index, reported.term)?;
        let index = shared.checked_next()?.min(reported.index);
        entries.get_term(index).map(|term| LogPosition::new(term, index))
    }

    /// Sends all entries after `position` to a node, unless the very reply has decided its removal.
    ///
    /// A leader that the reply has put out of office sends them still: its log is the leader's log of
    /// this term, and the members learn that their configuration is committed.
    fn send_suffix(&mut self, to: NodeId, position: LogPosition) {
        if !self.config().contains(to) {
            return;
        }
        if let Some(entries) = self.log.entries().since(position) {
            let call = self.append_entries_call(entries);
            self.actions.queue_send(to, call);
        }
    }

    /// Raft 5.4.2: what a majority has is committed, if it is an entry of the current term.
    fn advance_commit(&mut self) {
        let State::Leader(leadership) = &self.state else {
            return;
        };
        let agreed = leadership.agreed_index(self.log.last_position().index);
        if agreed > self.commit_index && self.log.entries().get_term(agreed) == Some(self.current_term) {
            self.commit_index = agreed;
            self.settle_config();
        }
    }
}
