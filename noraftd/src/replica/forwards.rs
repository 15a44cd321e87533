//! Requests passed on: by a follower to the leader it knows, and accepted by that leader.
//!
//! Invariant: a write is sent on again only after a definite refusal, so it is never appended twice by its own
//! node; and a leader accepts each (node, boot, id) of its own term at most once, so a duplicated or delayed
//! frame is not appended twice either. Replies are matched by id and boot, never by order.

use std::collections::{BTreeMap, BTreeSet};

use noraft::{NodeId, Term};

use crate::protocol::command::{Class, Request};
use crate::protocol::peer::PeerMessage;
use crate::time::Instant;

use super::Replica;
use super::event::{Doubt, Outcome, Refusal};
use super::requests::{Origin, Pending};

/// Ids remembered per follower process. A frame that is delayed behind this many later ones is dropped,
/// which its sender reports as indefinite.
const SEEN_IDS_MAX: usize = 65_536;

#[derive(Debug)]
pub(super) struct Forwards {
    /// Tells this process from earlier ones of the same node.
    boot: u64,
    last_id: u64,
    sent: BTreeMap<u64, Sent>,
    deadlines: BTreeSet<(Instant, u64)>,
    /// The last term this node led, and what it was sent as leader of that term.
    led: Option<Term>,
    seen: BTreeMap<(NodeId, u64), SeenIds>,
}

#[derive(Debug)]
struct Sent {
    leader: NodeId,
    pending: Pending,
}

#[derive(Debug, Default)]
struct SeenIds {
    /// Ids up to this one count as seen.
    floor: u64,
    ids: BTreeSet<u64>,
}

impl SeenIds {
    /// Remembers `id`; false when it was seen before, or is too old to tell.
    fn insert(&mut self, id: u64) -> bool {
        let fresh = id > self.floor && self.ids.insert(id);
        if self.ids.len() > SEEN_IDS_MAX {
            self.floor = self.ids.pop_first().unwrap_or(self.floor);
        }
        fresh
    }
}

impl Forwards {
    pub(super) fn new(boot: u64) -> Self {
        Self {
            boot,
            last_id: 0,
            sent: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            led: None,
            seen: BTreeMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sent.len()
    }

    pub(super) fn earliest_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<Pending> {
        let (_, id) = *self.deadlines.first().filter(|(deadline, _)| *deadline <= now)?;
        self.take(id)
    }

    /// A tenure begins: requests addressed to earlier ones are no longer accepted.
    pub(super) fn start_accepting(&mut self, term: Term) {
        self.led = Some(term);
        self.seen.clear();
    }

    fn take(&mut self, id: u64) -> Option<Pending> {
        self.take_sent(id).map(|sent| sent.pending)
    }

    fn take_sent(&mut self, id: u64) -> Option<Sent> {
        let sent = self.sent.remove(&id)?;
        self.deadlines.remove(&(sent.pending.deadline, id));
        Some(sent)
    }

    fn push(&mut self, leader: NodeId, pending: Pending) -> u64 {
        self.last_id += 1;
        self.deadlines.insert((pending.deadline, self.last_id));
        self.sent.insert(self.last_id, Sent { leader, pending });
        self.last_id
    }

    /// Takes back what went to a node that `stranded` names, if it is of `class`.
    fn take_stranded(
        &mut self,
        class: Class,
        stranded: impl Fn(NodeId) -> bool,
    ) -> std::vec::IntoIter<Pending> {
        let stranded = |sent: &Sent| stranded(sent.leader) && sent.pending.request.class == class;
        let sent = self.sent.iter();
        let ids: Vec<u64> = sent
            .filter(|(_, sent)| stranded(sent))
            .map(|(id, _)| *id)
            .collect();
        let taken: Vec<Pending> = ids.into_iter().filter_map(|id| self.take(id)).collect();
        taken.into_iter()
    }
}

impl Replica {
    /// Passes a client's request to the leader. Without a connection to it the request stays here, where it
    /// can still be refused definitely: a message that nobody can be sent is lost, and a write with it.
    pub(super) fn forward(&mut self, pending: Pending) {
        let Some(leader) = self.reachable_leader() else {
            return self.requests.requeue([pending].into_iter());
        };
        let request = pending.request.clone();
        let id = self.forwards.push(leader, pending);
        let (boot, term) = (self.forwards.boot, self.node.current_term());
        self.send(
            leader,
            PeerMessage::Forward {
                id,
                boot,
                term,
                request,
            },
        );
    }

    /// A leader is known anew: reads that went elsewhere are asked again.
    pub(super) fn redirect_reads(&mut self) {
        if let Some(leader) = self.leader() {
            let reads = self.forwards.take_stranded(Class::Read, |asked| asked != leader);
            self.requests.requeue(reads);
        }
    }

    /// The connection to `peer` ended, and with it, perhaps, what was on its way there: reads are asked again,
    /// of a write nobody can say whether it arrived.
    pub(super) fn give_up_forwards(&mut self, peer: NodeId) {
        for write in self.forwards.take_stranded(Class::Write, |asked| asked == peer) {
            self.answer(write.origin, Outcome::Indefinite(Doubt::ForwardLost));
        }
        let reads = self.forwards.take_stranded(Class::Read, |asked| asked == peer);
        self.requests.requeue(reads);
    }

    /// A follower passes a request to us, whom it believes to lead `term`.
    pub(super) fn accept_forward(&mut self, node: NodeId, id: u64, boot: u64, term: Term, request: Request) {
        // Not a term we remember leading: an earlier copy may have been appended, so say nothing.
        if self.forwards.led != Some(term) {
            return;
        }
        if !self.forwards.seen.entry((node, boot)).or_default().insert(id) {
            return;
        }
        let origin = Origin::Peer { node, boot, id };
        if self.is_leader() && self.node.current_term() == term {
            self.accept_request(origin, request);
        } else {
            self.answer(origin, Outcome::Refused(Refusal::NotLeader));
        }
    }

    /// The leader's answer. A definite refusal for want of leadership sends the request on its way again.
    pub(super) fn on_forwarded(&mut self, id: u64, boot: u64, outcome: Outcome) {
        if boot != self.forwards.boot {
            return;
        }
        let Some(Sent { leader, pending }) = self.forwards.take_sent(id) else {
            return;
        };
        match outcome {
            Outcome::Refused(Refusal::NotLeader | Refusal::NoLeader) => {
                self.leadership.forget_leader(leader);
                self.requests.requeue([pending].into_iter());
            }
            outcome @ (Outcome::Done(_) | Outcome::Refused(_) | Outcome::Indefinite(_)) => {
                self.answer(pending.origin, outcome);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_accepted_once() {
        let mut seen = SeenIds::default();
        assert!(seen.insert(1) && seen.insert(3) && seen.insert(2));
        assert!(!seen.insert(2) && !seen.insert(1));
    }

    #[test]
    fn forgotten_ids_count_as_seen() {
        let mut seen = SeenIds::default();
        for id in 1..=(SEEN_IDS_MAX as u64 + 10) {
            assert!(seen.insert(id));
        }
        assert!(!seen.insert(5));
        assert!(seen.ids.len() <= SEEN_IDS_MAX);
    }
}
