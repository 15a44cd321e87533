//! What has changed at the replica since the last round, as events.
//!
//! Invariant: a change is noticed once; looking changes nothing that the replica does.

use noraft::{NodeId, Term};

use crate::level::Level;
use crate::local::events::{Event, LeadReason};
use crate::replica::Replica;
use crate::replica::event::Divergence;
use crate::replica::notes::{CampaignReason, LossReason, Note};

/// What was noticed last.
#[derive(Debug)]
pub(super) struct Notices {
    /// True until the replica has caught up, when it had to abstain at the start.
    is_abstaining: bool,
    is_disk_too_slow: bool,
    /// The level in force.
    level: Level,
    /// Where the nodes differ.
    divergence: Option<Divergence>,
    /// Damaged entries.
    holes: u64,
    /// Term and leader.
    leadership: (Term, Option<NodeId>),
    /// This node's last campaign.
    campaign: Option<(Term, CampaignReason)>,
    /// The last leader that was lost, until another one leads.
    lost: Option<(NodeId, LossReason)>,
}

impl Notices {
    /// Of a replica that has handled nothing yet.
    pub(super) fn new(replica: &Replica) -> Self {
        let status = replica.status();
        Self {
            is_abstaining: status.elections.abstaining,
            is_disk_too_slow: false,
            level: replica.machine().level(),
            divergence: None,
            holes: 0,
            leadership: (Term::ZERO, None),
            campaign: None,
            lost: None,
        }
    }

    /// What has changed since the last call, in the order in which it happened as far as that is known.
    pub(super) fn look(&mut self, replica: &mut Replica) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        for note in replica.take_notes() {
            events.extend(self.take(note));
        }
        let status = replica.status();
        let level = replica.machine().level();
        if std::mem::replace(&mut self.level, level) != level {
            let level = level.get();
            events.push(Event::Level { level });
        }
        let holes = status.damage.holes;
        if std::mem::replace(&mut self.holes, holes) != holes {
            let first = replica.missing().next();
            events.push(Event::Holes { holes, first });
        }
        let divergence = status.damage.divergence;
        if std::mem::replace(&mut self.divergence, divergence) != divergence {
            events.push(Event::Differs(divergence));
        }
        let is_slow = status.elections.disk_too_slow;
        if std::mem::replace(&mut self.is_disk_too_slow, is_slow) != is_slow {
            events.push(Event::SlowDisk { is_slow });
        }
        if self.is_abstaining && !status.elections.abstaining {
            self.is_abstaining = false;
            events.push(Event::CaughtUp);
        }
        events.extend(self.leadership(status.id, (Term::new(status.term), status.leader)));
        events
    }

    fn take(&mut self, note: Note) -> Option<Event> {
        Some(match note {
            Note::Campaigns { term, why } => {
                self.campaign = Some((term, why));
                Event::Campaigns { term, why }
            }
            Note::LeadsNoMore { term, why } => Event::LeadsNoMore { term, why },
            // It is an event once it is known which node leads then, or that none does.
            Note::LeaderLost { leader, term: _, why } => {
                self.lost = Some((leader, why));
                return None;
            }
            Note::SnapshotInstalled(id) => Event::SnapshotInstalled(id),
            Note::SnapshotSent { to, id } => Event::SnapshotSent { to, id },
        })
    }

    fn leadership(&mut self, own: NodeId, now: (Term, Option<NodeId>)) -> Option<Event> {
        if std::mem::replace(&mut self.leadership, now) == now {
            return None;
        }
        let (term, leader) = now;
        let Some(leader) = leader else {
            let lost = self.lost;
            return Some(Event::NoLeader { term, lost });
        };
        let lost = self.lost.take().filter(|(before, _)| *before != leader);
        let campaign = self.campaign.filter(|(of, _)| leader == own && *of == term);
        let why = match (campaign, lost) {
            (Some((_, why)), lost) => Some(LeadReason::Elected(why, lost)),
            (None, Some((before, why))) => Some(LeadReason::Lost(before, why)),
            (None, None) => None,
        };
        Some(Event::Leads { term, leader, why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notices() -> Notices {
        Notices {
            is_abstaining: false,
            is_disk_too_slow: false,
            level: Level::FIRST,
            divergence: None,
            holes: 0,
            leadership: (Term::ZERO, None),
            campaign: None,
            lost: None,
        }
    }

    fn node(id: u64) -> NodeId {
        NodeId::new(id)
    }

    fn said(notices: &mut Notices, term: u64, leader: Option<u64>) -> Option<String> {
        let event = notices.leadership(node(1), (Term::new(term), leader.map(node)));
        event.map(|event| event.to_string())
    }

    #[test]
    fn a_leader_is_said_once_with_what_became_of_the_one_before() {
        let mut notices = notices();
        assert_eq!(
            said(&mut notices, 1, Some(2)),
            Some("term 1: node 2 leads".to_owned())
        );
        assert_eq!(said(&mut notices, 1, Some(2)), None);
        let lost = Note::LeaderLost {
            leader: node(2),
            term: Term::new(1),
            why: LossReason::Silent,
        };
        assert_eq!(notices.take(lost), None);
        let silent = "for node 2 was silent for an election timeout";
        assert_eq!(
            said(&mut notices, 1, None),
            Some(format!("term 1: no leader is known, {silent}"))
        );
        assert_eq!(
            said(&mut notices, 2, Some(3)),
            Some(format!("term 2: node 3 leads, {silent}"))
        );
        assert_eq!(
            said(&mut notices, 3, Some(2)),
            Some("term 3: node 2 leads".to_owned())
        );
    }

    #[test]
    fn a_node_that_was_elected_says_what_became_of_the_one_before() {
        let mut notices = notices();
        for note in [
            Note::LeaderLost {
                leader: node(2),
                term: Term::new(1),
                why: LossReason::Disconnected,
            },
            Note::Campaigns {
                term: Term::new(2),
                why: CampaignReason::NoLeader(None),
            },
        ] {
            notices.take(note);
        }
        let elected = "node 1 leads, elected by a majority, for the connection to node 2 ended";
        assert_eq!(said(&mut notices, 2, Some(1)), Some(format!("term 2: {elected}")));
    }

    #[test]
    fn a_node_that_was_elected_says_why_it_campaigned_for_that_term() {
        let mut notices = notices();
        let wanted = Note::Campaigns {
            term: Term::new(4),
            why: CampaignReason::Wanted,
        };
        assert!(notices.take(wanted).is_some());
        assert_eq!(
            said(&mut notices, 4, None),
            Some("term 4: no leader is known".to_owned())
        );
        let elected = "node 1 leads, elected by a majority, for the leader wants it to lead";
        assert_eq!(said(&mut notices, 4, Some(1)), Some(format!("term 4: {elected}")));
        let campaigns_alone = Note::Campaigns {
            term: Term::new(5),
            why: CampaignReason::NoLeader(None),
        };
        assert!(notices.take(campaigns_alone).is_some());
        assert_eq!(
            said(&mut notices, 5, Some(3)),
            Some("term 5: node 3 leads".to_owned()),
            "another one was elected"
        );
    }
}
