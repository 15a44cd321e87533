//! The words of events: the kind that programs look for, and the sentence for people.

use std::fmt;

use noraft::{LogIndex, LogPosition, NodeId, Term};

use super::{Event, LeadReason, MemberEvent, Urgency, lasting};
use crate::replica::counts::EndReason;
use crate::replica::notes::{CampaignReason, LossReason};

/// What programs look for in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Its kind: a word that stays.
    pub kind: &'static str,
    /// How much it should trouble an operator.
    pub urgency: Urgency,
    /// The term that it is about.
    pub term: Option<Term>,
    /// The entry that it is about.
    pub index: Option<LogIndex>,
    /// The other node that it is about.
    pub peer: Option<NodeId>,
    /// Why, where that is a word.
    pub reason: Option<&'static str>,
}

impl Facts {
    fn of(kind: &'static str, urgency: Urgency) -> Self {
        Self {
            kind,
            urgency,
            term: None,
            index: None,
            peer: None,
            reason: None,
        }
    }

    fn with_term(self, term: Term) -> Self {
        Self {
            term: Some(term),
            ..self
        }
    }

    fn at(self, position: LogPosition) -> Self {
        Self {
            index: Some(position.index),
            ..self.with_term(position.term)
        }
    }

    fn about(self, peer: Option<NodeId>) -> Self {
        Self { peer, ..self }
    }

    fn because(self, reason: impl Into<Option<&'static str>>) -> Self {
        Self {
            reason: reason.into(),
            ..self
        }
    }
}

impl Event {
    /// What programs look for.
    pub fn facts(&self) -> Facts {
        use Urgency::{Error, Info, Warn};
        let of = Facts::of;
        match self {
            Self::Started { .. } => of("start", Info),
            Self::Recovered { .. } => of("recovery", Info),
            Self::Campaigns { term, why } => {
                of("election", Info).with_term(*term).because(campaign_word(*why))
            }
            Self::Leads { term, leader, why } => {
                let leads = of("leader", Info).with_term(*term).about(Some(*leader));
                leads.because(why.map(lead_word))
            }
            Self::NoLeader { term, lost } => {
                let none = of("no-leader", Info).with_term(*term);
                let (leader, why) = lost.unzip();
                none.about(leader).because(why.map(loss_word))
            }
            Self::LeadsNoMore { term, why } => {
                let urgency = if why.is_some() { Warn } else { Info };
                of("step-down", urgency).with_term(*term).because(end_word(*why))
            }
            Self::Voters { .. } => of("voters", Info),
            Self::Member { id, change } => of("member", Info).about(Some(*id)).because(member_word(change)),
            Self::Removed { .. } => of("removed", Error),
            Self::Level { .. } => of("level", Info),
            Self::SnapshotTaken(id) => of("snapshot-taken", Info).at(id.position),
            Self::SnapshotInstalled(id) => of("snapshot-installed", Info).at(id.position),
            Self::SnapshotSent { to, id } => of("snapshot-sent", Info).at(id.position).about(Some(*to)),
            Self::Holes { holes: 0, .. } => of("repaired", Info),
            Self::Holes { first, .. } => {
                let damage = of("damage", Warn);
                first.map_or(damage, |first| damage.at(first))
            }
            Self::CaughtUp => of("caught-up", Info),
            Self::Differs(None) => of("divergence", Info),
            Self::Differs(Some(_)) => of("divergence", Error),
            Self::SlowDisk { is_slow } => of("disk", if *is_slow { Warn } else { Info }),
            Self::Room { is_there } => of("room", if *is_there { Info } else { Error }),
            Self::AlarmRaised { kind, .. } => of("alarm", Error).because(kind.name()),
            Self::AlarmOver { kind } => of("alarm-over", Info).because(kind.name()),
            Self::Stops { signal } => of("stop", Info).because(*signal),
        }
    }
}

fn end_word(why: Option<EndReason>) -> &'static str {
    match why {
        Some(EndReason::NoQuorum) => "no-quorum",
        Some(EndReason::Damage) => "damage",
        Some(EndReason::Divergence) => "divergence",
        None => "other-leader",
    }
}

fn member_word(change: &MemberEvent) -> &'static str {
    match change {
        MemberEvent::Added { .. } => "added",
        MemberEvent::Part(_) => "part",
        MemberEvent::Moved(_) => "moved",
        MemberEvent::Removed => "removed",
    }
}

fn lead_word(why: LeadReason) -> &'static str {
    match why {
        LeadReason::Elected(why, _) => campaign_word(why),
        LeadReason::Lost(_, why) => loss_word(why),
    }
}

fn campaign_word(why: CampaignReason) -> &'static str {
    match why {
        CampaignReason::NoLeader(_) => "no-leader",
        CampaignReason::Wanted => "transfer",
    }
}

fn loss_word(why: LossReason) -> &'static str {
    match why {
        LossReason::Silent => "silent",
        LossReason::Disconnected => "disconnected",
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { text } => f.write_str(text),
            Self::Recovered { finding } => f.write_str(finding),
            Self::Campaigns { term, why } => {
                write!(
                    f,
                    "term {}: this node campaigns, for {}",
                    term.get(),
                    said_campaign(*why)
                )
            }
            Self::Leads { term, leader, why } => {
                write!(f, "term {}: node {} leads", term.get(), leader.get())?;
                match why {
                    None => Ok(()),
                    Some(LeadReason::Elected(why, lost)) => {
                        let why = match (why, lost) {
                            (CampaignReason::NoLeader(_), Some((before, why))) => said_loss(*before, *why),
                            (CampaignReason::NoLeader(_) | CampaignReason::Wanted, _) => said_campaign(*why),
                        };
                        write!(f, ", elected by a majority, for {why}")
                    }
                    Some(LeadReason::Lost(before, why)) => write!(f, ", for {}", said_loss(*before, *why)),
                }
            }
            Self::NoLeader { term, lost } => {
                write!(f, "term {}: no leader is known", term.get())?;
                match lost {
                    None => Ok(()),
                    Some((leader, why)) => write!(f, ", for {}", said_loss(*leader, *why)),
                }
            }
            Self::LeadsNoMore { term, why } => {
                let why = match why {
                    Some(EndReason::NoQuorum) => "it has heard no majority for an election timeout",
                    Some(EndReason::Damage) => "entries on its disk are damaged, which others may have",
                    Some(EndReason::Divergence) => "it holds something else than a majority",
                    None => "a later term began, or another node is to lead",
                };
                write!(f, "term {}: this node leads no more, for {why}", term.get())
            }
            Self::Voters { voters, new_voters } => match new_voters.is_empty() {
                true => write!(f, "the voters are {}", list(voters)),
                false => write!(
                    f,
                    "the voters change from {} to {}",
                    list(voters),
                    list(new_voters)
                ),
            },
            Self::Member { id, change } => write_member(f, *id, change),
            Self::Removed { .. }
            | Self::Level { .. }
            | Self::SnapshotTaken(_)
            | Self::SnapshotInstalled(_)
            | Self::SnapshotSent { .. }
            | Self::Holes { .. }
            | Self::CaughtUp
            | Self::Differs(_)
            | Self::SlowDisk { .. }
            | Self::Room { .. }
            | Self::AlarmRaised { .. }
            | Self::AlarmOver { .. }
            | Self::Stops { .. } => self.write_state(f),
        }
    }
}

impl Event {
    /// What is no matter of leaders and members.
    fn write_state(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed { source } => write!(
                f,
                "this node was removed from the cluster ({source} says so): it stops, and does not start again with this directory"
            ),
            Self::Level { level } => write!(f, "the cluster is at level {level}"),
            Self::SnapshotTaken(id) => {
                write!(
                    f,
                    "took a snapshot of entry {}: {} bytes",
                    id.position.index.get(),
                    id.bytes
                )
            }
            Self::SnapshotInstalled(id) => write!(
                f,
                "installed a snapshot of entry {} from another node: {} bytes",
                id.position.index.get(),
                id.bytes
            ),
            Self::SnapshotSent { to, id } => write!(
                f,
                "sent a snapshot of entry {} to node {}: {} bytes",
                id.position.index.get(),
                to.get(),
                id.bytes
            ),
            Self::Holes { holes: 0, .. } => f.write_str("every damaged entry is repaired"),
            Self::Holes { holes, first } => {
                write!(f, "{holes} entries of the log are damaged and not repaired yet")?;
                match first {
                    Some(first) => write!(f, ", the first is {}", first.index.get()),
                    None => Ok(()),
                }
            }
            Self::CaughtUp => f.write_str("caught up with the leader: votes and campaigns again"),
            Self::Differs(None) => f.write_str("the nodes agree again"),
            Self::Differs(Some(divergence)) => write!(f, "{divergence}"),
            Self::SlowDisk { is_slow: true } => {
                f.write_str("the disk syncs too slowly for the election timeout: elections wait for it")
            }
            Self::SlowDisk { is_slow: false } => {
                f.write_str("the disk syncs fast enough for the election timeout again")
            }
            Self::Room { is_there: true } => f.write_str("the disk has room again"),
            Self::Room { is_there: false } => {
                f.write_str("no room on the disk for another segment; writes are refused until there is")
            }
            Self::AlarmRaised { kind, why } => write!(f, "alarm {}: {why}", kind.name()),
            Self::AlarmOver { kind } => {
                write!(f, "alarm {} is over; SIGUSR2 takes it off the list", kind.name())
            }
            Self::Stops { signal } => write!(f, "{signal}: stopping; once more to stop at once"),
            Self::Started { .. }
            | Self::Recovered { .. }
            | Self::Campaigns { .. }
            | Self::Leads { .. }
            | Self::NoLeader { .. }
            | Self::LeadsNoMore { .. }
            | Self::Voters { .. }
            | Self::Member { .. } => unreachable!("these have their words above"),
        }
    }
}

fn write_member(f: &mut fmt::Formatter<'_>, id: NodeId, change: &MemberEvent) -> fmt::Result {
    let id = id.get();
    match change {
        MemberEvent::Added { part, address } => write!(f, "node {id} is a member: {part}, at {address}"),
        MemberEvent::Part(part) => write!(f, "member {id} is a {part} now"),
        MemberEvent::Moved(to) => write!(f, "member {id} is reached at {to} now"),
        MemberEvent::Removed => write!(f, "node {id} is no member any more"),
    }
}

fn said_campaign(why: CampaignReason) -> String {
    match why {
        CampaignReason::NoLeader(Some(silence)) => format!("it has heard no leader for {}", lasting(silence)),
        CampaignReason::NoLeader(None) => "it has heard no leader".to_owned(),
        CampaignReason::Wanted => "the leader wants it to lead".to_owned(),
    }
}

fn said_loss(leader: NodeId, why: LossReason) -> String {
    match why {
        LossReason::Silent => format!("node {} was silent for an election timeout", leader.get()),
        LossReason::Disconnected => format!("the connection to node {} ended", leader.get()),
    }
}

fn list(ids: &[NodeId]) -> String {
    let ids: Vec<String> = ids.iter().map(|id| id.get().to_string()).collect();
    ids.join(", ")
}
