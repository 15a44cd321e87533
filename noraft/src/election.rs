//! Leader election: Raft 5.2, with the election restriction of 5.4.1.

use alloc::collections::BTreeSet;

use crate::entries::LogEntry;
use crate::message::Message;
use crate::metrics::count;
use crate::node::Node;
use crate::quorum::Leadership;
use crate::role::State;
use crate::types::{LogPosition, NodeId, Term};

impl Node {
    /// Handles the expiry of the timer that [`Action::SetElectionTimeout`](crate::Action) asked for.
    ///
    /// A leader sends a heartbeat. Another voter campaigns in the next term, and so does a node whose
    /// own removal is not known to be committed. Any other node does nothing, and does not set its
    /// timer again.
    pub fn handle_election_timeout(&mut self) {
        if self.heartbeat() || !self.may_campaign() || self.log_is_full() {
            return;
        }
        if let Some(term) = self.current_term.checked_next() {
            self.campaign(term);
        }
    }

    /// Stops leading or campaigning, in the same term.
    ///
    /// A leader that hears no quorum does so (Raft thesis 6.2): the term has no other leader, and a node that raised its
    /// term would later depose whichever leader was elected meanwhile.
    ///
    /// Returns `false`, with nothing done, if this node is a follower.
    pub fn step_down(&mut self) -> bool {
        if self.role().is_follower() {
            return false;
        }
        self.state = State::Follower;
        self.actions.set_election_timeout = true;
        self.actions.drop_calls();
        true
    }

    /// Returns whether this node campaigns when its timer expires (unless it leads, or follows for good).
    ///
    /// Voters do. So does a node that does not know whether its own removal is committed: a leader that
    /// appended it and lost office may be the only node whose log is complete. It goes on being elected,
    /// without a vote of its own, until the removal is committed (Raft 6). An integrator that runs a
    /// pre-vote asks this before it does.
    pub fn may_campaign(&self) -> bool {
        let latest = self.config();
        if latest.contains(self.id) {
            return latest.is_voter(self.id);
        }
        let mut undecided = self.log.configs_from(self.commit_index);
        undecided.any(|config| config.is_voter(self.id))
    }

    /// Returns whether `msg` is a vote request that could depose a leader this node follows.
    ///
    /// That is a request of a higher term, from another node than the one this node's vote went to,
    /// while this node is no candidate. An integrator may drop such requests as long as it hears
    /// from the leader (Raft 6). It should not when it runs a pre-vote, and must not once the
    /// followers' timers have expired: then no node would ever be elected.
    pub fn could_be_disruptive_request_vote(&self, msg: &Message) -> bool {
        let Message::RequestVoteCall { from, term, .. } = msg else {
            return false;
        };
        let follows_another = self.voted_for.is_some_and(|id| id != *from);
        *term > self.current_term && !self.role().is_candidate() && follows_another
    }

    /// Raft 5.2: increment the term, vote for oneself, ask all others.
    fn campaign(&mut self, term: Term) {
        count(&mut self.metrics.elections_started);
        self.current_term = term;
        self.voted_for = Some(self.id);
        self.actions.save_current_term = true;
        self.actions.save_voted_for = true;
        self.actions.set_election_timeout = true;
        let granted = BTreeSet::from([self.id]);
        if self.config().is_quorum(|id| granted.contains(&id)) {
            self.become_leader();
            return;
        }
        self.state = State::Candidate { granted };
        let last_position = self.log.last_position();
        self.actions.queue_broadcast(Message::RequestVoteCall {
            from: self.id,
            term,
            last_position,
        });
    }

    /// Answers a candidate. A denial for the log or an earlier vote is silent: the candidate could
    /// do nothing with it.
    pub(crate) fn handle_request_vote_call(&mut self, from: NodeId, term: Term, last_position: LogPosition) {
        if term < self.current_term {
            count(&mut self.metrics.request_vote_calls_rejected_by_old_term);
            self.reply_to_candidate(from, false);
            return;
        }
        if self.log.last_position() > last_position {
            count(&mut self.metrics.request_vote_calls_rejected_by_log);
            return;
        }
        if self.voted_for.is_some_and(|id| id != from) {
            count(&mut self.metrics.request_vote_calls_rejected_by_existing_vote);
            return;
        }
        self.vote_for(from);
        self.reply_to_candidate(from, true);
        self.actions.set_election_timeout = true;
    }

    fn reply_to_candidate(&mut self, to: NodeId, vote_granted: bool) {
        let reply = Message::RequestVoteReply {
            from: self.id,
            term: self.current_term,
            vote_granted,
        };
        self.actions.queue_send(to, reply);
    }

    /// Counts a vote (Raft 5.2). Only voters are remembered, so strangers cost no memory.
    pub(crate) fn handle_request_vote_reply(&mut self, from: NodeId, term: Term, vote_granted: bool) {
        let State::Candidate { granted } = &mut self.state else {
            count(&mut self.metrics.request_vote_replies_ignored_while_not_candidate);
            return;
        };
        if term < self.current_term {
            count(&mut self.metrics.request_vote_replies_ignored_from_old_terms);
            return;
        }
        let config = self.log.latest_config();
        if vote_granted && config.is_voter(from) {
            granted.insert(from);
            if config.is_quorum(|id| granted.contains(&id)) && !self.log_is_full() {
                self.become_leader();
            }
        }
    }

    /// Raft 5.3 and 8: nothing is known of the followers, and an entry of the new term is appended,
    /// because only with it can earlier entries be committed (5.4.2).
    fn become_leader(&mut self) {
        count(&mut self.metrics.leaderships_started);
        self.state = State::Leader(Leadership::new(self.id, self.log.latest_config()));
        self.propose(LogEntry::Term(self.current_term));
    }
}
