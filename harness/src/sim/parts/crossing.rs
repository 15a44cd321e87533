//! Messages that outlive the connection that they were sent on.
//!
//! A connection ends, another one is made, and what was still in some buffer of the first arrives over the second: now, or some
//! elections later. And answers to requests that a node passed on: one that is meant for an earlier process of the node
//! arrives when a later one has just asked with the same number, for numbers begin again with each process.
//!
//! Invariant: nothing outlives the data directory of its sender or receiver: what is believed of a directory ends with
//! it, and no operator is so fast. What a leader says of its log never reaches a process that begins later and abstains:
//! such a process takes it for the end of the leader's log now, as it may, for frames are bound to their connection.

use std::collections::{BTreeMap, VecDeque};

use noraftd::prng::Prng;
use noraftd::protocol::peer::PeerMessage;

/// What is still on its way without a connection.
#[derive(Debug)]
pub(crate) struct Crossing {
    /// By link.
    waiting: BTreeMap<usize, VecDeque<PeerMessage>>,
    /// By link, the first connection of which something may be left.
    since: BTreeMap<usize, u64>,
    /// By link, the first connection to a process that began abstaining.
    abstaining_since: BTreeMap<usize, u64>,
    /// Answers to requests that were passed on, by the link that they take, the oldest first.
    answers: BTreeMap<usize, VecDeque<Answer>>,
    prng: Prng,
}

/// An answer to a request that was passed on.
#[derive(Debug)]
struct Answer {
    id: u64,
    /// The process, counted, that it was sent to.
    life: u64,
    message: PeerMessage,
}

/// What becomes of a message whose connection is gone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is lost with it.
    Lost,
    /// It arrives now, over the next one.
    Arrives(PeerMessage),
    /// It arrives some time after the next one was made.
    Waits,
}

impl Crossing {
    pub(crate) fn new(prng: Prng) -> Self {
        Self {
            waiting: BTreeMap::new(),
            since: BTreeMap::new(),
            abstaining_since: BTreeMap::new(),
            answers: BTreeMap::new(),
            prng,
        }
    }

    /// Draws from `prng` from now on.
    pub(crate) fn branch_off(&mut self, prng: Prng) {
        self.prng = prng;
    }

    /// A message arrives that was sent over the connection of that number, which is gone: of a thousand `permille` are not
    /// lost. `is_open` says whether there is another one.
    pub(crate) fn outlives(
        &mut self,
        permille: u64,
        (link, epoch): (usize, u64),
        message: PeerMessage,
        is_open: bool,
    ) -> Fate {
        let is_before = |since: Option<&u64>| since.is_some_and(|since| epoch < *since);
        let is_void = is_before(self.since.get(&link))
            || says_where_log_ends(&message) && is_before(self.abstaining_since.get(&link));
        if permille == 0 || is_void || !self.prng.chance(permille, 1000) {
            return Fate::Lost;
        }
        if is_open {
            return Fate::Arrives(message);
        }
        let waiting = self.waiting.entry(link).or_default();
        if waiting.len() == KEPT_MAX {
            waiting.pop_front();
        }
        waiting.push_back(message);
        Fate::Waits
    }

    /// A connection was made: what arrives over it of the one before, each after a part of `within`.
    pub(crate) fn connected(&mut self, link: usize, within: u64) -> Vec<(u64, PeerMessage)> {
        let waiting = self.waiting.remove(&link).unwrap_or_default();
        let late = waiting.into_iter();
        late.map(|message| (self.prng.below(within.max(1)), message))
            .collect()
    }

    /// A directory at one end of this link is another one now: nothing arrives that was sent before the connection of that
    /// number.
    pub(crate) fn forget(&mut self, link: usize, epoch: u64) {
        self.waiting.remove(&link);
        self.answers.remove(&link);
        self.since.insert(link, epoch);
    }

    /// A process begins at the end of this link, and abstains: what leaders said before the connection of that number of
    /// where their logs end does not arrive.
    pub(crate) fn forget_log_ends(&mut self, link: usize, epoch: u64) {
        if let Some(waiting) = self.waiting.get_mut(&link) {
            waiting.retain(|message| !says_where_log_ends(message));
        }
        self.abstaining_since.insert(link, epoch);
    }

    /// An answer to a request that was passed on is sent over a link, to a node whose processes are counted by `life`.
    pub(crate) fn note_answer(&mut self, link: usize, life: u64, message: &PeerMessage) {
        let PeerMessage::Forwarded { id, .. } = message else {
            return;
        };
        let answers = self.answers.entry(link).or_default();
        if answers.len() == ANSWERS_MAX {
            answers.pop_front();
        }
        answers.push_back(Answer {
            id: *id,
            life,
            message: message.clone(),
        });
    }

    /// A node whose processes are counted by `life` passes a request on, with this number: of a thousand `permille` meet the
    /// answer that an earlier process was sent over the link in the other direction.
    pub(crate) fn answer_to_earlier(
        &mut self,
        permille: u64,
        link: usize,
        (life, id): (u64, u64),
    ) -> Option<PeerMessage> {
        if permille == 0 {
            return None;
        }
        let mut answers = self.answers.get(&link)?.iter();
        let earlier = answers.find(|answer| answer.id == id && answer.life < life)?;
        let is_met = self.prng.chance(permille, 1000);
        is_met.then(|| earlier.message.clone())
    }
}

/// True for what an abstaining node compares its own log with.
fn says_where_log_ends(message: &PeerMessage) -> bool {
    matches!(message, PeerMessage::Append { .. } | PeerMessage::Pulse { .. })
}

/// What one buffer holds of small messages: the oldest are forgotten.
const KEPT_MAX: usize = 16;
/// Numbers begin again with each process, so that the first few come again most often.
const ANSWERS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use noraft::{LogIndex, Term};
    use noraftd::protocol::outcome::{Outcome, Refusal};

    use super::*;

    fn pulse(pulse: u64) -> PeerMessage {
        let term = Term::new(1);
        PeerMessage::Pulsed { term, pulse }
    }

    fn answer(id: u64, boot: u64) -> PeerMessage {
        let outcome = Outcome::Refused(Refusal::NotLeader);
        PeerMessage::Forwarded { id, boot, outcome }
    }

    #[test]
    fn what_outlives_its_connection_arrives_over_the_next_one_and_once() {
        let mut crossing = Crossing::new(Prng::new(1));
        assert_eq!(crossing.outlives(0, (4, 0), pulse(1), true), Fate::Lost);
        assert_eq!(
            crossing.outlives(1000, (4, 0), pulse(2), true),
            Fate::Arrives(pulse(2))
        );
        assert_eq!(crossing.outlives(1000, (4, 0), pulse(3), false), Fate::Waits);
        assert_eq!(crossing.outlives(1000, (5, 0), pulse(4), false), Fate::Waits);
        let late = crossing.connected(4, 100);
        assert!(matches!(&late[..], [(after, message)] if *after < 100 && *message == pulse(3)));
        assert_eq!(crossing.connected(4, 100), []);
        for number in 0..3 * KEPT_MAX as u64 {
            crossing.outlives(1000, (6, 0), pulse(number), false);
        }
        assert_eq!(crossing.connected(6, 100).len(), KEPT_MAX);
    }

    #[test]
    fn nothing_outlives_a_directory() {
        let mut crossing = Crossing::new(Prng::new(1));
        crossing.outlives(1000, (4, 6), pulse(1), false);
        crossing.note_answer(4, 1, &answer(7, 1));
        crossing.forget(4, 7);
        assert_eq!(crossing.connected(4, 100), []);
        assert_eq!(crossing.answer_to_earlier(1000, 4, (2, 7)), None);
        assert_eq!(crossing.outlives(1000, (4, 6), pulse(2), true), Fate::Lost);
        assert_eq!(
            crossing.outlives(1000, (4, 7), pulse(3), true),
            Fate::Arrives(pulse(3))
        );
    }

    #[test]
    fn a_process_that_abstains_hears_no_leader_of_before_it_and_all_else() {
        let said = || PeerMessage::Pulse {
            term: Term::new(1),
            pulse: 2,
            last_index: LogIndex::new(3),
        };
        let mut crossing = Crossing::new(Prng::new(1));
        crossing.outlives(1000, (4, 6), said(), false);
        crossing.outlives(1000, (4, 6), pulse(1), false);
        crossing.forget_log_ends(4, 7);
        assert!(matches!(&crossing.connected(4, 100)[..], [(_, message)] if *message == pulse(1)));
        assert_eq!(crossing.outlives(1000, (4, 6), said(), true), Fate::Lost);
        for (of, message) in [((4, 6), pulse(2)), ((4, 7), said()), ((5, 6), said())] {
            let fate = crossing.outlives(1000, of, message.clone(), true);
            assert_eq!(fate, Fate::Arrives(message));
        }
    }

    #[test]
    fn an_answer_to_an_earlier_process_meets_the_same_number_of_a_later_one() {
        let mut crossing = Crossing::new(Prng::new(1));
        crossing.note_answer(4, 1, &answer(7, 1));
        crossing.note_answer(4, 1, &pulse(7));
        assert_eq!(crossing.answer_to_earlier(1000, 4, (1, 7)), None, "it is its own");
        assert_eq!(
            crossing.answer_to_earlier(1000, 4, (2, 8)),
            None,
            "another number"
        );
        assert_eq!(
            crossing.answer_to_earlier(0, 4, (2, 7)),
            None,
            "the plan does not ask for it"
        );
        assert_eq!(crossing.answer_to_earlier(1000, 4, (2, 7)), Some(answer(7, 1)));
        for id in 0..2 * ANSWERS_MAX as u64 {
            crossing.note_answer(5, 1, &answer(id, 1));
        }
        assert_eq!(crossing.answers[&5].len(), ANSWERS_MAX);
    }
}
