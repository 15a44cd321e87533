//! Answers that come back a term or two too late, and requests that are passed on again.
//!
//! A copy of an answer is kept, and delivered over the same connection when another leader has risen meanwhile: a vote, an
//! acknowledgement or an echo that is still right about its own term, and proves nothing of the later one. Chance hardly ever
//! makes a message that old, for connections are replaced and terms are long.
//!
//! Of requests that are passed on, the last of each connection arrives once more as soon as another leader has risen.
//!
//! And echoes that come back a round too late: the last one of each connection, when its leader continues that was paused.

use std::collections::{BTreeMap, VecDeque};

use noraftd::prng::Prng;
use noraftd::protocol::peer::PeerMessage;

/// Copies of answers.
#[derive(Debug)]
pub(crate) struct Stale {
    kept: VecDeque<Late>,
    /// By link, the last echo that was sent over it, and over which connection.
    echoes: BTreeMap<usize, (u64, PeerMessage)>,
    /// By link, the last request that was passed on over it, and over which connection.
    requests: BTreeMap<usize, (u64, PeerMessage)>,
    /// Requests that a node passes on are kept, too.
    keeps_requests: bool,
    prng: Prng,
}

/// One copy.
#[derive(Debug)]
pub(crate) struct Late {
    pub(crate) link: usize,
    pub(crate) epoch: u64,
    pub(crate) message: PeerMessage,
    /// Leaders that rise until it is delivered.
    leaders: u64,
}

/// An echo, its link and its connection.
pub(crate) type Echo = (usize, u64, PeerMessage);

impl Stale {
    pub(crate) fn new(prng: Prng, keeps_requests: bool) -> Self {
        Self {
            kept: VecDeque::new(),
            echoes: BTreeMap::new(),
            requests: BTreeMap::new(),
            keeps_requests,
            prng,
        }
    }

    /// Draws from `prng` from now on.
    pub(crate) fn branch_off(&mut self, prng: Prng) {
        self.prng = prng;
    }

    /// A message is sent over a link: of a thousand answers, `permille` are kept, too.
    pub(crate) fn note(&mut self, permille: u64, (link, epoch): (usize, u64), message: &PeerMessage) {
        let is_request = matches!(message, PeerMessage::Forward { .. }) && self.keeps_requests;
        if is_request {
            self.requests.insert(link, (epoch, message.clone()));
        }
        let is_kept = is_request || is_answer(message);
        if permille == 0 || !is_kept || !self.prng.chance(permille, 1000) {
            return;
        }
        if self.kept.len() == KEPT_MAX {
            self.kept.pop_front();
        }
        let leaders = self.prng.between(1, 2);
        let message = message.clone();
        self.kept.push_back(Late {
            link,
            epoch,
            message,
            leaders,
        });
    }

    /// A message is sent over a link: it is kept when it is an echo.
    pub(crate) fn note_echo(&mut self, (link, epoch): (usize, u64), message: &PeerMessage) {
        if matches!(message, PeerMessage::Pulsed { .. } | PeerMessage::Appended { .. }) {
            self.echoes.insert(link, (epoch, message.clone()));
        }
    }

    /// The last echoes that were sent over these links, as far as their connections, which `is_epoch` knows, are still there.
    pub(crate) fn last_echoes(&self, links: &[usize], is_epoch: impl Fn(usize, u64) -> bool) -> Vec<Echo> {
        let last = links.iter().filter_map(|link| {
            let (epoch, message) = self.echoes.get(link)?;
            is_epoch(*link, *epoch).then(|| (*link, *epoch, message.clone()))
        });
        last.collect()
    }

    /// Another leader has risen: what is to be delivered now, each after a part of `within`.
    pub(crate) fn leader_rose(&mut self, within: u64) -> Vec<(u64, Late)> {
        let (due, kept) = std::mem::take(&mut self.kept)
            .into_iter()
            .partition(|kept| kept.leaders <= 1);
        self.kept = kept;
        self.kept.iter_mut().for_each(|kept| kept.leaders -= 1);
        let due: VecDeque<Late> = due;
        let mut due: Vec<(u64, Late)> = due
            .into_iter()
            .map(|kept| (self.prng.below(within.max(1)), kept))
            .collect();
        // The leader that they were meant for may be the one that leads no more, and has not answered yet.
        let requests = std::mem::take(&mut self.requests);
        due.extend(requests.into_iter().map(|(link, (epoch, message))| {
            let late = Late {
                link,
                epoch,
                message,
                leaders: 0,
            };
            (0, late)
        }));
        due
    }
}

/// What says something that was right in its own term: that its sender follows, holds, voted, or did.
fn is_answer(message: &PeerMessage) -> bool {
    match message {
        PeerMessage::Vote { .. }
        | PeerMessage::PreVoted { .. }
        | PeerMessage::Appended { .. }
        | PeerMessage::Pulsed { .. }
        | PeerMessage::Forwarded { .. }
        | PeerMessage::SnapshotReply { .. } => true,
        PeerMessage::RequestVote { .. }
        | PeerMessage::PreVote { .. }
        | PeerMessage::Append { .. }
        | PeerMessage::Pulse { .. }
        | PeerMessage::TimeoutNow { .. }
        | PeerMessage::Forward { .. }
        | PeerMessage::RepairRequest { .. }
        | PeerMessage::Repair { .. }
        | PeerMessage::Compare { .. }
        | PeerMessage::Compared { .. }
        | PeerMessage::SnapshotChunk { .. } => false,
    }
}

/// As many as a few busy hundredths of a second have: the oldest are forgotten.
const KEPT_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use noraft::Term;

    use super::*;

    fn pulsed(term: u64) -> PeerMessage {
        let (term, pulse) = (Term::new(term), 1);
        PeerMessage::Pulsed { term, pulse }
    }

    #[test]
    fn answers_come_back_when_one_or_two_leaders_have_risen_and_once() {
        let mut stale = Stale::new(Prng::new(1), false);
        let granted = PeerMessage::RequestVote {
            term: Term::new(1),
            last_position: noraft::LogPosition::ZERO,
            unanimous: false,
        };
        stale.note(1000, (0, 0), &granted);
        for at in 0..20 {
            stale.note(1000, (at, 3), &pulsed(1));
        }
        let (first, second) = (stale.leader_rose(100), stale.leader_rose(100));
        assert!(!first.is_empty() && !second.is_empty(), "each is drawn");
        assert_eq!(first.len() + second.len(), 20, "questions are not kept");
        let all = first.iter().chain(&second);
        for (after, kept) in all {
            assert!(*after < 100 && kept.epoch == 3 && kept.message == pulsed(1));
        }
        assert!(stale.leader_rose(100).is_empty());
    }

    #[test]
    fn the_last_echo_of_a_connection_comes_again_while_that_lasts() {
        let mut stale = Stale::new(Prng::new(1), false);
        stale.note_echo((4, 2), &pulsed(1));
        stale.note_echo((4, 2), &pulsed(2));
        stale.note_echo((5, 7), &pulsed(3));
        let last = stale.last_echoes(&[4, 5, 6], |link, epoch| (link, epoch) == (4, 2));
        assert_eq!(last, [(4, 2, pulsed(2))]);
    }

    #[test]
    fn the_last_request_of_a_connection_comes_again_when_another_leader_has_risen() {
        let forward = |id| PeerMessage::Forward {
            id,
            boot: 1,
            term: Term::new(1),
            request: noraftd::protocol::command::Request::for_clock(),
        };
        for keeps in [false, true] {
            let mut stale = Stale::new(Prng::new(1), keeps);
            (1..=3).for_each(|id| stale.note(0, (4, 2), &forward(id)));
            let again = stale.leader_rose(100);
            let last: Vec<_> = again
                .iter()
                .map(|(_, late)| (late.link, late.epoch, &late.message))
                .collect();
            assert_eq!(last == [(4, 2, &forward(3))], keeps);
            assert!(stale.leader_rose(100).is_empty());
        }
    }

    #[test]
    fn nothing_is_kept_that_the_plan_does_not_ask_for_and_no_more_than_there_is_room_for() {
        let mut stale = Stale::new(Prng::new(1), false);
        stale.note(0, (0, 0), &pulsed(1));
        assert!(stale.kept.is_empty());
        for at in 0..2 * KEPT_MAX {
            stale.note(1000, (at, 0), &pulsed(1));
        }
        assert_eq!((stale.kept.len(), stale.kept[0].link), (KEPT_MAX, KEPT_MAX));
    }
}
