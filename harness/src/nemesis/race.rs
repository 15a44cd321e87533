//! The vote race: two candidates, one voter, one term, and a kill between the two requests.
//!
//! With a pre-vote and random timeouts, two candidates of one term meet a restarting voter once in a very
//! long time; a network that delays what it likes makes it happen in a second. The candidates' vote requests are
//! held until there are two of one term; the first is let go; when it has made a leader, the voter is
//! killed and started again; then the second is let go. A voter that remembers its vote gives no second one. One
//! that forgot makes a second leader of the same term, and clients of the two see different worlds.
//!
//! Of more than three nodes, each candidate has half of the others beside it, which are cut off from the other half and ask for no vote
//! themselves: the voter's vote still decides.
//!
//! Invariant: only delays, losses and kills are used, each of which a real network and a real machine may do.

use std::time::Duration;

use noraftd::protocol::frame;
use tokio::time::{sleep, timeout};

use super::{Evidence, Injection, Nemesis};
use crate::cluster::{Cluster, CutId, Gate, Node, Proxies};
use crate::op::EventKind;
use crate::plan::{CutMode, LANES};

/// Kinds of peer frames (see `noraftd::protocol::peer`).
const REQUEST_VOTE: u8 = 16;
const APPEND: u8 = 18;
/// With the number of the canvass, and from nodes that count none.
const PRE_VOTES: [u8; 2] = [26, 20];
const CHAINED_APPEND: u8 = 28;

/// Who takes part.
pub(super) struct Race<'a> {
    cluster: &'a Cluster,
    proxies: &'a Proxies,
    voter: &'a Node,
    /// The two candidates; the first is let win.
    candidates: [u64; 2],
    /// Those that vote for a candidate, each with it.
    supporters: Vec<(u64, u64)>,
}

impl<'a> Race<'a> {
    /// A race for the vote of `voter`; `None` unless the other nodes are two halves, and proxies are between them.
    pub(super) fn new(cluster: &'a Cluster, voter: u64) -> Option<Self> {
        let others: Vec<u64> = cluster
            .members()
            .map(|node| node.id)
            .filter(|node| *node != voter)
            .collect();
        let (one, other) = halves(&others)?;
        let camps = [one.split_first()?, other.split_first()?];
        let supporters = camps.iter().flat_map(|(candidate, supporters)| {
            let pair = |supporter: &u64| (*supporter, **candidate);
            supporters.iter().map(pair)
        });
        Some(Self {
            cluster,
            proxies: cluster.network().proxies()?,
            voter: cluster.node(voter)?,
            candidates: camps.map(|(candidate, _)| *candidate),
            supporters: supporters.collect(),
        })
    }

    /// Runs the race; reports how far it got. The gates are open again at the end; the candidates are apart
    /// as long as the caller keeps the links between them cut.
    pub(super) async fn run(&self) -> String {
        let mut shown = Vec::new();
        for candidate in self.candidates {
            self.gate_from(candidate)
                .hold(&[REQUEST_VOTE, APPEND, CHAINED_APPEND]);
        }
        let gates = || {
            self.silenced()
                .map(|(from, to)| self.proxies.link(from, to).gate())
        };
        gates().for_each(|gate| gate.hold(&[REQUEST_VOTE, PRE_VOTES[0], PRE_VOTES[1]]));
        let outcome = timeout(RACE_MAX, self.stages(&mut shown)).await;
        if outcome.is_err() {
            shown.push("and there it ended".to_owned());
        }
        for candidate in self.candidates {
            self.gate_from(candidate).open();
        }
        gates().for_each(Gate::open);
        shown.join(", ")
    }

    /// Links over which no vote is asked for: neither the voter nor a supporter is to win.
    fn silenced(&self) -> impl Iterator<Item = (u64, u64)> {
        let voter = self.voter.id;
        let of_voter = self.candidates.iter().map(move |candidate| (voter, *candidate));
        let to_supporters = self
            .supporters
            .iter()
            .map(move |(supporter, _)| (voter, *supporter));
        let of_supporters = self
            .supporters
            .iter()
            .flat_map(move |(supporter, candidate)| [(*supporter, *candidate), (*supporter, voter)]);
        of_voter.chain(to_supporters).chain(of_supporters)
    }

    async fn stages(&self, shown: &mut Vec<String>) {
        let voter = self.voter.id;
        let [first, second] = self.candidates;
        self.restart_voter(shown).await;
        let term = self.until_same_term().await;
        shown.push(format!(
            "n{first} and n{second} both asked n{voter} for its vote in term {term}"
        ));
        self.gate_from(first)
            .release(|request| term_of(request) == Some(term));
        while !self.leads(first, term).await {
            sleep(STEP).await;
        }
        shown.push(format!("n{first} got it and leads"));
        self.restart_voter(shown).await;
        self.gate_from(second)
            .release(|request| term_of(request) == Some(term));
        sleep(VOTE_MAX).await;
        let twice = self.leads(second, term).await;
        let verdict = if twice {
            "leads the same term"
        } else {
            "got no second vote"
        };
        shown.push(format!("n{second}, asking after that, {verdict}"));
    }

    async fn restart_voter(&self, shown: &mut Vec<String>) {
        if let Ok(which) = self.voter.process.kill().await {
            shown.push(format!("n{} ({which}) is gone", self.voter.id));
        }
        // One that does not come back is found missing at the end of the run.
        let _ = self.cluster.restart(self.voter).await;
    }

    /// Waits until both candidates' latest held requests are of one term.
    async fn until_same_term(&self) -> u64 {
        loop {
            let [first, second] = self.candidates.map(|node| self.latest_request(node));
            if let Some(term) = first.filter(|_| first == second) {
                return term;
            }
            sleep(STEP).await;
        }
    }

    fn latest_request(&self, candidate: u64) -> Option<u64> {
        self.gate_from(candidate)
            .held()
            .iter()
            .filter_map(|frame| term_of(frame))
            .max()
    }

    async fn leads(&self, node: u64, term: u64) -> bool {
        let views = self.cluster.views().await;
        let view = views
            .into_iter()
            .find(|(id, _)| *id == node)
            .and_then(|(_, view)| view);
        view.is_some_and(|view| view.leads && view.term == term)
    }

    fn gate_from(&self, candidate: u64) -> &Gate {
        self.proxies.link(candidate, self.voter.id).gate()
    }
}

impl Nemesis {
    /// Two candidates are brought to ask one voter, and are kept apart after it.
    pub(super) async fn race(&self, fault: &mut Injection<'_>) -> Evidence {
        let (network, claim) = (self.cluster.network(), fault.claim);
        network
            .cut(CutId(claim.id), CutMode::Drop, &LANES, &claim.targets.links)
            .await?;
        let evidence = match claim.targets.nodes.first() {
            Some(voter) => self.vote_race(*voter).await,
            None => Err("there is no leader".to_owned()),
        };
        self.record(EventKind::FaultOk, fault, evidence.as_deref().ok());
        fault.rest().await;
        network.heal(CutId(claim.id)).await?;
        evidence
    }

    async fn vote_race(&self, voter: u64) -> Evidence {
        let race = Race::new(&self.cluster, voter)
            .ok_or("a race takes an odd number of nodes, and proxies between them")?;
        let shown = race.run().await;
        if shown.is_empty() {
            return Err("the voter could not be killed".to_owned());
        }
        Ok(shown)
    }
}

/// The two halves of the nodes beside the voter, a candidate first in each; `None` where they are no halves.
pub(super) fn halves(others: &[u64]) -> Option<(&[u64], &[u64])> {
    let is_even = others.len().is_multiple_of(2);
    is_even.then(|| others.split_at(others.len() / 2))
}

/// The term of a vote request; `None` for other frames. Its body begins with it.
fn term_of(bytes: &[u8]) -> Option<u64> {
    let frame = frame::decode(&mut bytes.into()).ok()??;
    let term = frame.body.first_chunk().filter(|_| frame.kind == REQUEST_VOTE)?;
    Some(u64::from_le_bytes(*term))
}

/// A few election timeouts: candidates that have not met by then start over.
const RACE_MAX: Duration = Duration::from_secs(5);

/// A vote takes a round trip and a sync.
const VOTE_MAX: Duration = Duration::from_millis(150);

/// Much shorter than an election timeout.
const STEP: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use noraft::{LogPosition, Term};
    use noraftd::protocol::peer::{Features, PeerMessage};
    use noraftd::record::Abstain;

    use super::*;

    fn bytes_of(message: &PeerMessage) -> BytesMut {
        let mut out = BytesMut::new();
        message.encode(7, Features::SUPPORTED, &mut out);
        out
    }

    #[test]
    fn the_kinds_are_those_of_the_peer_protocol() {
        let (term, last_position) = (Term::new(9), LogPosition::ZERO);
        let request = bytes_of(&PeerMessage::RequestVote {
            term,
            last_position,
            unanimous: false,
        });
        assert_eq!(term_of(&request), Some(9));
        let pre_vote = bytes_of(&PeerMessage::PreVote {
            term,
            last_position,
            canvass: 7,
            abstain: Abstain::No,
        });
        assert_eq!(term_of(&pre_vote), None);
        let kind = frame::decode(&mut pre_vote.clone()).unwrap().unwrap().kind;
        assert!(PRE_VOTES.contains(&kind));
        let append = |chain| PeerMessage::Append {
            term,
            commit_index: noraft::LogIndex::ZERO,
            prev: last_position,
            chain,
            records: Vec::new(),
            round: 1,
            last_index: noraft::LogIndex::ZERO,
        };
        for (chain, kind) in [(None, APPEND), (Some(1), CHAINED_APPEND)] {
            let mut bytes = bytes_of(&append(chain));
            assert_eq!(frame::decode(&mut bytes).unwrap().unwrap().kind, kind);
        }
    }
}
