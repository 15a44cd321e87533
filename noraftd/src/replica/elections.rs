//! Which nodes may campaign and vote: pre-vote, check-quorum, abstaining.
//!
//! *Pre-vote* (Raft thesis 9.6): a node asks whether it would win before it raises its term, so that a node
//! that was cut off does not depose a working leader. It is granted when the asker's log is up to date and
//! the granter has not heard from a leader for an election timeout. *Check-quorum* (thesis 6.2): a leader
//! that hears no majority for an election timeout steps down, so that clients are not left waiting.
//!
//! *Abstaining*: a node whose log had an ambiguous tail may have lost entries that it once acknowledged. Its vote, and
//! its own candidacy, count only when *every* voter took part: then some intact log with each acknowledged entry was
//! compared. (A candidate votes for itself, so a majority that it needs its own vote for is none.) Otherwise all nodes
//! would wait for each other forever after a power cut. It ends when the node has everything that a leader had when it
//! first heard from it. Where a majority of the voters has lost entries *for certain*, though, an acknowledged one may
//! be in no log at all: then no leader is elected until an operator decides (`noraftd repair`).
//!
//! *Slow disks*: an election takes the syncs of candidate and voters. A node that campaigns or has voted waits for as
//! many as one takes, by the measure of its own disk and within a bound, before it tries again; and each unsuccessful
//! campaign widens the range that the next timeout is drawn from, for the others' disks may be slower.
//!
//! A leader that is to be followed by a certain node tells it to campaign without asking first (`transfer`).
//!
//! Each canvass has a number, which the grants repeat: one that was given to an earlier canvass compared other logs.
//!
//! Invariant: a pre-vote changes nothing at the granter; an abstaining node never tips a mere majority; the grants that
//! are counted were all given after the canvass began (but for those of nodes of the first release, which do not count).

use std::collections::{BTreeMap, BTreeSet};

use noraft::{ClusterConfig, LogIndex, LogPosition, NodeId, Term};

use crate::protocol::peer::{PeerMessage, TERM_END};
use crate::record::Abstain;
use crate::time::Instant;

use super::Replica;
use super::counts::EndReason;
use super::glance::Canvassing;
use super::notes::{CampaignReason, Note};
use super::quorum::{has_quorum, is_majority};

#[derive(Debug)]
pub(super) struct Elections {
    abstain: Abstain,
    /// Everyone granted a pre-vote, but a majority has lost entries for certain.
    lost_majority: bool,
    /// What an abstaining node has to reach: the term of the leader it follows and that leader's last index
    /// when it was first heard from.
    target: Option<(Term, LogIndex)>,
    /// How far the log is known to agree with that leader's.
    verified: LogIndex,
    /// When a leader of the current term was last heard from.
    leader_heard: Option<Instant>,
    /// The number of the last canvass. It begins at one that no other process of this node used.
    canvasses: u64,
    canvass: Option<Canvass>,
    /// The pre-vote was won; campaign as soon as no sync is in flight.
    campaign: Option<Campaign>,
    /// Campaigns since a leader was last known.
    campaigns: u32,
    /// The real vote request that is out was preceded by everyone's grant.
    unanimous: bool,
}

/// A pre-vote round in progress.
#[derive(Debug)]
struct Canvass {
    number: u64,
    term: Term,
    /// Which nodes granted, and whether each abstains.
    granted: BTreeMap<NodeId, Abstain>,
}

#[derive(Debug, Clone, Copy)]
struct Campaign {
    term: Term,
    unanimous: bool,
    /// The leader itself wants it, until then.
    wanted_until: Option<Instant>,
}

impl Elections {
    pub(super) fn new(abstain: Abstain, boot: u64) -> Self {
        Self {
            abstain,
            canvasses: boot,
            lost_majority: false,
            target: None,
            verified: LogIndex::ZERO,
            leader_heard: None,
            canvass: None,
            campaign: None,
            campaigns: 0,
            unanimous: false,
        }
    }

    /// The number of a new canvass; zero says that there is none.
    fn next_canvass(&mut self) -> u64 {
        self.canvasses = self.canvasses.checked_add(1).unwrap_or(1);
        self.canvasses
    }

    pub(super) fn is_abstaining(&self) -> bool {
        self.abstain.abstains()
    }

    pub(super) fn abstain(&self) -> Abstain {
        self.abstain
    }

    /// How far this node is with an election, at a glance.
    pub(super) fn progress(&self, is_leader_known: bool) -> Canvassing {
        match (&self.campaign, &self.canvass) {
            _ if is_leader_known => Canvassing::LeaderKnown,
            (Some(_), _) => Canvassing::Won,
            (None, Some(_)) => Canvassing::Canvass,
            (None, None) => Canvassing::NoLeader,
        }
    }

    /// True when the last canvass found that no node may ever be elected: what was committed is not known.
    pub(super) fn has_lost_majority(&self) -> bool {
        self.lost_majority
    }

    /// This node was elected by everyone's comparison, or did not abstain.
    pub(super) fn stop_abstaining(&mut self) {
        self.abstain = Abstain::No;
        self.campaigns = 0;
    }

    /// This node leads now: what it asked for before, and what it was granted, is over.
    pub(super) fn end_canvass(&mut self) {
        self.canvass = None;
        self.campaign = None;
    }

    /// Whether the vote request being sent may say that everyone granted the pre-vote.
    pub(super) fn is_unanimous(&self) -> bool {
        self.unanimous
    }

    /// The leader of `term` spoke; its log ends at `last_index`, and ours agrees with it up to `verified`.
    pub(super) fn on_leader_heard(
        &mut self,
        now: Instant,
        term: Term,
        last_index: LogIndex,
        verified: Option<LogIndex>,
    ) {
        self.leader_heard = Some(now);
        self.canvass = None;
        self.campaign = self.campaign.filter(|campaign| campaign.wanted_until.is_some());
        self.campaigns = 0;
        if self.target.is_none_or(|(of, _)| of != term) {
            self.target = Some((term, last_index));
            self.verified = LogIndex::ZERO;
        }
        self.verified = self.verified.max(verified.unwrap_or(LogIndex::ZERO));
    }

    /// The leader of `term` wants this node to campaign, at the latest at `until`.
    pub(super) fn campaign_for_leader(&mut self, term: Term, until: Instant) {
        self.end_canvass();
        self.campaign = next_term(term).map(|term| Campaign {
            term,
            unanimous: false,
            wanted_until: Some(until),
        });
    }

    /// This node led and no longer does: it follows no leader.
    pub(super) fn forget_leader(&mut self) {
        self.leader_heard = None;
    }

    /// The log is durable up to `durable`.
    pub(super) fn on_durable(&mut self, durable: LogIndex) {
        let reached = |(_, target): (Term, LogIndex)| durable >= target && self.verified >= target;
        if self.target.is_some_and(reached) {
            self.abstain = Abstain::No;
        }
    }
}

impl Canvass {
    /// What a majority acknowledged may be in none of the logs that are compared. In a joint configuration that is
    /// a majority of the old voters: before it no others acknowledged anything, and since then they did too.
    fn has_lost_majority(&self, config: &ClusterConfig) -> bool {
        is_majority(&config.voters, |id| self.granted.get(&id) == Some(&Abstain::Loss))
    }

    /// Whether `own`, which asked, may campaign. The core counts a candidate's own vote: one that abstains needs
    /// everyone, however many sure nodes granted, for an entry that it forgot may be on its way to one of those.
    fn verdict(&self, own: NodeId, config: &ClusterConfig) -> Option<Campaign> {
        let everyone = config
            .voters
            .union(&config.new_voters)
            .all(|id| self.granted.contains_key(id));
        let sure: BTreeSet<NodeId> = self
            .granted
            .iter()
            .filter(|(_, abstain)| !abstain.abstains())
            .map(|(id, _)| *id)
            .collect();
        let is_sure = sure.contains(&own) && has_quorum(config, |id| sure.contains(&id));
        let won = (everyone && !self.has_lost_majority(config)) || is_sure;
        won.then_some(Campaign {
            term: self.term,
            unanimous: everyone,
            wanted_until: None,
        })
    }
}

impl Replica {
    /// Acts on deadlines that need the core; only while no sync is in flight.
    pub(super) fn check_timers(&mut self) {
        if self.is_leader() {
            self.check_quorum();
            return;
        }
        if let Some(campaign) = self.elections.campaign.take() {
            self.campaign(campaign);
        }
        if self.timers.election_due(self.now) {
            self.arm_election();
            self.canvass();
        }
    }

    pub(super) fn arm_election(&mut self) {
        let timeout = self.config.election_timeout;
        self.timers.arm_election(self.now, timeout, timeout);
    }

    /// Sets the timer again; after a change of term or vote, so that the election has the time that it takes.
    pub(super) fn arm_election_after(&mut self, has_changed: bool) {
        if !has_changed || self.leader().is_some() {
            return self.arm_election();
        }
        let timeout = self.config.election_timeout;
        let takes =
            (self.durability.sync_time(self.now) * SYNCS_PER_ELECTION).min(timeout * ELECTION_TIMEOUTS_MAX);
        let unsuccessful = self.elections.campaigns.saturating_sub(1).min(BACKOFFS_MAX);
        let spread = timeout * (1 << unsuccessful);
        self.timers.arm_election(self.now, takes.max(timeout), spread);
    }

    fn canvass(&mut self) {
        let config = self.node.config();
        let own = self.config.id;
        let Some(term) = next_term(self.node.current_term()) else {
            return;
        };
        if !self.node.may_campaign() || !self.repair.is_whole() {
            return;
        }
        let others: Vec<NodeId> = config
            .voters
            .union(&config.new_voters)
            .copied()
            .filter(|id| *id != own)
            .collect();
        let (abstain, canvass) = (self.elections.abstain, self.elections.next_canvass());
        self.elections.canvass = Some(Canvass {
            number: canvass,
            term,
            granted: BTreeMap::from([(own, abstain)]),
        });
        let last_position = self.node.log().last_position();
        for to in others {
            let message = PeerMessage::PreVote {
                term,
                last_position,
                canvass,
                abstain,
            };
            self.outputs.send(to, message);
        }
        self.count_canvass();
        if let Some(campaign) = self.elections.campaign.take() {
            self.campaign(campaign);
        }
    }

    pub(super) fn on_pre_vote(&mut self, from: NodeId, term: Term, last_position: LogPosition, canvass: u64) {
        let own_term = self.node.current_term();
        let granted = term > own_term
            && last_position >= self.node.log().last_position()
            && !self.is_leader()
            && !self.heard_leader_lately();
        let term = if granted {
            term
        } else {
            self.term_to_teach(term, last_position).max(own_term)
        };
        let abstain = self.elections.abstain;
        self.outputs.send(
            from,
            PeerMessage::PreVoted {
                term,
                granted,
                abstain,
                canvass,
            },
        );
    }

    pub(super) fn on_pre_voted(&mut self, from: NodeId, term: Term, abstain: Abstain, canvass: u64) {
        // A node of the first release repeats no number.
        let is_answer = |asked: &&mut Canvass| asked.term == term && [0, asked.number].contains(&canvass);
        if let Some(canvass) = self.elections.canvass.as_mut().filter(is_answer) {
            canvass.granted.insert(from, abstain);
            self.count_canvass();
        }
    }

    fn count_canvass(&mut self) {
        let Some(canvass) = &self.elections.canvass else {
            return;
        };
        self.elections.lost_majority = canvass.has_lost_majority(self.node.config());
        if let Some(campaign) = canvass.verdict(self.config.id, self.node.config()) {
            self.elections.canvass = None;
            self.elections.campaign = Some(campaign);
        }
    }

    /// Raft 5.2: a new term, a vote for oneself, vote requests; unless the world moved on meanwhile.
    fn campaign(&mut self, campaign: Campaign) {
        let may = match campaign.wanted_until {
            Some(until) => self.now < until,
            None => !self.heard_leader_lately(),
        };
        if may && next_term(self.node.current_term()) == Some(campaign.term) {
            self.elections.unanimous = campaign.unanimous;
            self.elections.campaigns = self.elections.campaigns.saturating_add(1);
            let why = match campaign.wanted_until {
                Some(_) => CampaignReason::Wanted,
                None => CampaignReason::NoLeader(self.leader_heard().map(|heard| self.now - heard)),
            };
            match why {
                CampaignReason::Wanted => self.counts.campaigns_wanted += 1,
                CampaignReason::NoLeader(_) => self.counts.campaigns += 1,
            }
            let term = campaign.term;
            self.notes.push(Note::Campaigns { term, why });
            self.node.handle_election_timeout();
        }
    }

    pub(super) fn leader_heard(&self) -> Option<Instant> {
        self.elections.leader_heard
    }

    fn heard_leader_lately(&self) -> bool {
        let heard = self.elections.leader_heard;
        heard.is_some_and(|heard| self.now - heard < self.config.election_timeout)
    }

    /// Whether this node may answer a vote request at all.
    pub(super) fn may_vote(&self, unanimous: bool) -> bool {
        !self.elections.is_abstaining() || unanimous
    }

    fn check_quorum(&mut self) {
        if !self.timers.quorum_check_due(self.now) {
            return;
        }
        self.timers
            .arm_quorum_check(self.now + self.config.election_timeout);
        let own = self.config.id;
        let heard = |id| id == own || self.follows_me(id);
        if has_quorum(self.node.config(), heard) {
            return;
        }
        self.step_down(EndReason::NoQuorum);
    }

    /// Stops leading, where another node could lead. The term stays: a later one would void the canvasses of the others, and
    /// depose the leader that they elect.
    pub(super) fn step_down(&mut self, reason: EndReason) {
        if self.node.peers().next().is_some() {
            self.node.step_down();
            self.leadership.end_reason = Some(reason);
        }
    }
}

/// One for the candidate's term; at a voter, one that is under way, the vote's, and one more in its way.
pub(super) const SYNCS_PER_ELECTION: u32 = 4;
/// A disk that stalls does not keep a node from trying for longer than this.
const ELECTION_TIMEOUTS_MAX: u32 = 8;
/// Doublings of the range that timeouts are drawn from.
const BACKOFFS_MAX: u32 = 2;

/// The term after `term`, or `None` at the end of terms.
fn next_term(term: Term) -> Option<Term> {
    let next = term.get().checked_add(1).map(Term::new);
    // No node believes a later one.
    next.filter(|next| *next < TERM_END)
}

#[cfg(test)]
mod tests;
