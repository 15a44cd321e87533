//! A leader that answers a read has heard, since the read came, from a majority of its voters that they follow it (Raft thesis
//! 6.4). Until then another leader may have committed what the answer lacks.
//!
//! The answer itself is mostly right all the same, for most nodes that lose an election learn of it at once. So this is looked at
//! on what was said and heard, and not on what was answered: it needs no second leader to be noticed.
//!
//! Invariant: an echo counts from the moment at which its sender first said it, whenever and however often it arrives.

use std::collections::{BTreeSet, VecDeque};

use noraft::{ClusterConfig, NodeId};
use noraftd::protocol::command::Class;
use noraftd::protocol::outcome::Outcome;
use noraftd::protocol::peer::PeerMessage;

use crate::recording::hash::FastMap;
use crate::sim::parts::rule::{Checked, Rule, ensure};

/// What each leader has heard.
#[derive(Debug, Default)]
pub(crate) struct Confirmed {
    /// When each echo was first said.
    said: FastMap<Echo, u64>,
    /// By node, and by the node that it heard: when the latest echo was said that has arrived.
    heard: FastMap<(u64, u64), u64>,
    /// When each read was passed on, by the node and process that did it, and its id.
    passed_on: FastMap<(u64, u64, u64), u64>,
    /// By node, the configurations that it went by, and since when; the last is in force.
    configs: FastMap<u64, VecDeque<(u64, Voters)>>,
}

/// That a node follows, in answer to a message of its leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Echo {
    from: u64,
    to: u64,
    term: u64,
    number: u64,
    is_pulse: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Voters {
    voters: BTreeSet<NodeId>,
    new_voters: BTreeSet<NodeId>,
}

impl Voters {
    fn of(config: &ClusterConfig) -> Self {
        Self {
            voters: config.voters.clone(),
            new_voters: config.new_voters.clone(),
        }
    }

    /// True when majorities, both of a joint configuration, are among those that `counts` names.
    fn decided(&self, counts: impl Fn(NodeId) -> bool) -> bool {
        [&self.voters, &self.new_voters].into_iter().all(|voters| {
            let count = voters.iter().filter(|id| counts(**id)).count();
            voters.is_empty() || count > voters.len() / 2
        })
    }
}

impl Confirmed {
    /// A message leaves.
    pub(crate) fn sent(&mut self, now: u64, from: NodeId, to: NodeId, message: &PeerMessage) -> Checked {
        if let Some(echo) = echo(from, to, message) {
            self.said.entry(echo).or_insert(now);
        }
        match message {
            PeerMessage::Forward {
                id, boot, request, ..
            } if request.class == Class::Read => {
                self.passed_on.entry((from.get(), *boot, *id)).or_insert(now);
                Ok(())
            }
            PeerMessage::Forwarded {
                id,
                boot,
                outcome: Outcome::Done(_),
            } => match self.passed_on.get(&(to.get(), *boot, *id)) {
                Some(since) => self.check(from, *since),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// A message arrives at a process.
    pub(crate) fn arrived(&mut self, from: NodeId, to: NodeId, message: &PeerMessage) {
        let echo = echo(from, to, message);
        let said = echo.and_then(|echo| self.said.get(&echo).copied());
        if let Some(said) = said {
            let heard = self.heard.entry((to.get(), from.get())).or_insert(said);
            *heard = said.max(*heard);
        }
    }

    /// A node goes by `config`.
    pub(crate) fn goes_by(&mut self, now: u64, id: NodeId, config: &ClusterConfig) {
        let configs = self.configs.entry(id.get()).or_default();
        let is_same = |last: &Voters| last.voters == config.voters && last.new_voters == config.new_voters;
        if configs.back().is_some_and(|(_, last)| is_same(last)) {
            return;
        }
        configs.push_back((now, Voters::of(config)));
        if configs.len() > CONFIGS_MAX {
            configs.pop_front();
        }
    }

    /// A leader answers a read that came at `since`.
    pub(crate) fn check(&self, id: NodeId, since: u64) -> Checked {
        let counts = |other: NodeId| {
            let heard = self.heard.get(&(id.get(), other.get()));
            other == id || heard.is_some_and(|heard| *heard >= since)
        };
        let Some(configs) = self.configs.get(&id.get()) else {
            return Ok(());
        };
        // Any that was in force since then may be the one that was asked.
        let until = configs
            .iter()
            .skip(1)
            .map(|(begins, _)| *begins)
            .chain([u64::MAX]);
        let in_force = configs.iter().zip(until).filter(|(_, until)| *until >= since);
        let is_forgotten =
            configs.len() == CONFIGS_MAX && configs.front().is_some_and(|(begins, _)| *begins > since);
        let is_confirmed = is_forgotten
            || in_force
                .into_iter()
                .any(|((_, voters), _)| voters.decided(counts));
        ensure(is_confirmed, Rule::ReadsAreConfirmed, || {
            let last = configs.back().map(|(_, voters)| voters);
            let heard: Vec<u64> = (1..=NODES_SHOWN)
                .filter(|other| counts(NodeId::new(*other)))
                .collect();
            format!(
                "n{} answers a read, and since that came has heard an echo only from {heard:?} of {last:?}",
                id.get()
            )
        })
    }
}

fn echo(from: NodeId, to: NodeId, message: &PeerMessage) -> Option<Echo> {
    let (term, number, is_pulse) = match message {
        PeerMessage::Appended { term, round, .. } => (term, *round, false),
        PeerMessage::Pulsed { term, pulse } => (term, *pulse, true),
        _ => return None,
    };
    // Zero answers no message of this term.
    (number > 0).then_some(Echo {
        from: from.get(),
        to: to.get(),
        term: term.get(),
        number,
        is_pulse,
    })
}

/// A node goes by no more configurations than these while one read waits; if it does, nothing is said of that read.
const CONFIGS_MAX: usize = 32;
/// Nodes that a message looks for.
const NODES_SHOWN: u64 = 16;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use noraft::Term;
    use noraftd::protocol::command::{Parsed, Request, parse};
    use noraftd::protocol::resp::Reply;

    use super::*;

    fn id(node: u64) -> NodeId {
        NodeId::new(node)
    }

    fn config(voters: &[u64], new_voters: &[u64]) -> ClusterConfig {
        let ids = |ids: &[u64]| ids.iter().map(|node| id(*node)).collect();
        ClusterConfig {
            voters: ids(voters),
            new_voters: ids(new_voters),
            ..ClusterConfig::default()
        }
    }

    fn pulsed(pulse: u64) -> PeerMessage {
        PeerMessage::Pulsed {
            term: Term::new(1),
            pulse,
        }
    }

    fn get() -> Request {
        let words = ["GET", "key"].map(|word| Bytes::from_static(word.as_bytes()));
        match parse(words.to_vec()) {
            Ok(Parsed::Replicated(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    /// Node 1 leads `voters`; `from` say at `at` that they follow it, and that arrives.
    fn heard(voters: &ClusterConfig, from: &[(u64, u64)]) -> Confirmed {
        let mut confirmed = Confirmed::default();
        confirmed.goes_by(0, id(1), voters);
        for (node, at) in from {
            let checked = confirmed.sent(*at, id(*node), id(1), &pulsed(*at));
            checked.expect("an echo answers no read");
            confirmed.arrived(id(*node), id(1), &pulsed(*at));
        }
        confirmed
    }

    #[test]
    fn a_read_is_answered_once_a_majority_has_said_since_that_it_follows() {
        let five = config(&[1, 2, 3, 4, 5], &[]);
        let late = heard(&five, &[(2, 20), (3, 9), (4, 5)]);
        assert!(late.check(id(1), 9).is_ok());
        let broken = late.check(id(1), 10).unwrap_err();
        assert_eq!(broken.rule, Rule::ReadsAreConfirmed);
    }

    #[test]
    fn an_echo_that_comes_again_proves_nothing_of_later_reads() {
        let three = config(&[1, 2, 3], &[]);
        let mut confirmed = heard(&three, &[(2, 5)]);
        confirmed.sent(30, id(2), id(1), &pulsed(5)).expect("said again");
        confirmed.arrived(id(2), id(1), &pulsed(5));
        assert!(confirmed.check(id(1), 6).is_err());
        assert!(confirmed.check(id(1), 5).is_ok());
    }

    #[test]
    fn a_joint_configuration_needs_both_majorities_and_one_that_was_in_force_since_is_enough() {
        let mut confirmed = heard(&config(&[1, 2, 3], &[]), &[(4, 20), (5, 20)]);
        confirmed.goes_by(8, id(1), &config(&[1, 2, 3], &[1, 4, 5]));
        assert!(confirmed.check(id(1), 10).is_err(), "the old half is not asked");
        confirmed.goes_by(12, id(1), &config(&[1, 4, 5], &[]));
        assert!(confirmed.check(id(1), 10).is_ok());
    }

    #[test]
    fn a_read_that_was_passed_on_counts_from_there() {
        let mut confirmed = heard(&config(&[1, 2, 3, 4, 5], &[]), &[(2, 5), (3, 9)]);
        let (boot, term) = (7, Term::new(1));
        let mut pass_on = |number, at| {
            let forward = PeerMessage::Forward {
                id: number,
                boot,
                term,
                request: get(),
            };
            confirmed.sent(at, id(2), id(1), &forward).expect("no answer yet");
            let outcome = Outcome::Done(Reply::Null);
            let forwarded = PeerMessage::Forwarded {
                id: number,
                boot,
                outcome,
            };
            confirmed.sent(30, id(1), id(2), &forwarded)
        };
        assert!(pass_on(1, 5).is_ok());
        assert!(pass_on(2, 6).is_err(), "one echo of five is not enough");
    }
}
