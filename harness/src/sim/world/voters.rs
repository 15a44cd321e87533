//! Other voters, now and then, while everything else goes wrong; and all nodes voters again before the end.
//!
//! Invariant: at most one change is asked for by a fault at a time in a lane; the last phase of a run begins when
//! every node's log says that all nodes are voters.

use std::collections::BTreeSet;

use noraft::NodeId;
use noraftd::prng::Prng;
use noraftd::protocol::outcome::Outcome;
use noraftd::replica::event::{Input, RequestId};

use super::World;
use crate::sim::journal::happening::{ClientHappening, Happening};
use crate::sim::parts::MILLI;

impl World {
    /// Asks the leader, mostly, for voters that `roll` decides on.
    pub(super) fn ask_for_voters(&mut self, lane: usize, roll: u64) {
        let prng = &mut Prng::new(roll).fork(FORK_VOTERS);
        let mut nodes: Vec<NodeId> = self.first_nodes().into_iter().collect();
        prng.shuffle(&mut nodes);
        let least = if self.voters.may_be_lone && prng.chance(1, 8) {
            1
        } else {
            2
        };
        nodes.truncate(prng.between(least, nodes.len() as u64) as usize);
        let any = prng.below(self.plan.cluster.nodes as u64) as usize;
        let at = self.leader().filter(|_| prng.chance(7, 8)).unwrap_or(any);
        let mut voters: BTreeSet<NodeId> = nodes.into_iter().collect();
        if !self.may_become_voters(&voters) {
            voters = self.first_nodes();
        }
        let id = self.change_voters(at, voters);
        if let Some((id, voters)) = id {
            self.voters.open.insert(id.0, (lane, voters));
        }
    }

    fn change_voters(
        &mut self,
        at: usize,
        voters: BTreeSet<NodeId>,
    ) -> Option<(RequestId, BTreeSet<NodeId>)> {
        self.nodes[at].process.as_ref()?;
        let id = self.voters.next_id();
        self.journal.note(
            self.queue.now(),
            Happening::Client(ClientHappening::AsksForVoters {
                node: at,
                id,
                voters: &voters,
            }),
        );
        let asked = voters.clone();
        self.checks.asks_for_voters(at, id.0, &voters);
        self.arrive(at, Input::ChangeVoters { id, voters });
        Some((id, asked))
    }

    /// A node says what came of it.
    pub(super) fn voters_answered(&mut self, at: usize, id: RequestId, outcome: &Outcome) {
        let is_done = matches!(outcome, Outcome::Done(_));
        self.journal.note(
            self.queue.now(),
            Happening::Client(ClientHappening::VotersAreAnswered {
                node: at,
                id,
                outcome,
            }),
        );
        if matches!(outcome, Outcome::Refused(_)) {
            let checked = self.checks.voters_refused(id.0);
            self.check(checked);
        }
        let checked = self.checks.voters_answered(at, id.0, is_done);
        self.check(checked);
        let asked = self.voters.open.remove(&id.0);
        if let (Some((_, voters)), Outcome::Done(_) | Outcome::Indefinite(_)) = (&asked, outcome) {
            self.voters.note_decided(voters.clone());
        }
        if !is_done {
            return;
        }
        self.journal.counters.voter_changes += 1;
        if let Some((lane, voters)) = asked {
            self.check_permitted(at, id, &voters);
            let ids: Vec<String> = voters.iter().map(|id| format!("n{}", id.get())).collect();
            self.add_evidence(lane, format!("the voters became {}", ids.join(" ")));
            self.permit_removal(id, voters);
        }
    }

    /// True when every node's log says that all nodes are voters.
    pub(super) fn voters_are_back(&self) -> bool {
        if self.checks.members.has_begun() {
            return self.members_are_settled();
        }
        if !self.voters.are_changed {
            return true;
        }
        let all: Vec<NodeId> = self.first_nodes().into_iter().collect();
        let is_back = |at: usize| {
            let process = self.nodes[at].process.as_ref();
            process.is_some_and(|process| {
                let status = process.replica.status();
                status.voters == all && status.new_voters.is_empty()
            })
        };
        self.serving().all(is_back)
    }

    /// Asks the leader to make all nodes voters, repeatedly.
    pub(super) fn ask_for_all_voters(&mut self) {
        if self.queue.now() < self.voters.ask_again {
            return;
        }
        self.voters.ask_again = self.queue.now() + ASK_AGAIN;
        let all = self.first_nodes();
        if let Some(leader) = self.leader().filter(|_| !self.checks.members.has_begun()) {
            self.change_voters(leader, all);
        }
    }
}

/// Separates the draw of voters from that of targets.
const FORK_VOTERS: u64 = 0x766f_7465_7273;

/// A change takes a few round trips.
const ASK_AGAIN: u64 = 200 * MILLI;
