//! What has happened at a node, as it is remembered: who led when and why, members, snapshots, damage and repairs, alarms.
//!
//! An event is a value where something is decided; here are its words, once for the log, `NORAFT.EVENTS` and `noraftd events`.
//!
//! Invariant: the ring has at most [`EVENTS_MAX`] events, each of at most [`TEXT_BYTES_MAX`] bytes of words, and the numbers of
//! those that it has follow each other; the JSON only ever gains fields.

use std::collections::VecDeque;
use std::time::Duration;

use noraft::{LogIndex, LogPosition, NodeId, Term};
use serde::{Deserialize, Serialize};

use super::alarms::AlarmKind;
use crate::record::SnapshotId;
use crate::replica::counts::EndReason;
use crate::replica::event::Divergence;
use crate::replica::notes::{CampaignReason, LossReason};
use crate::time::Stamp;

mod words;

pub use self::words::Facts;

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The node serves, of this version.
    Started {
        /// What it says of that.
        text: String,
    },
    /// The directory was not as an orderly stop leaves it.
    Recovered {
        /// What was found.
        finding: String,
    },
    /// This node campaigns.
    Campaigns {
        /// For this term.
        term: Term,
        /// Why.
        why: CampaignReason,
    },
    /// A node leads.
    Leads {
        /// In this term.
        term: Term,
        /// The node.
        leader: NodeId,
        /// Why not the one before.
        why: Option<LeadReason>,
    },
    /// No leader is known.
    NoLeader {
        /// In this term.
        term: Term,
        /// The one that was, and why it does not count any more.
        lost: Option<(NodeId, LossReason)>,
    },
    /// This node leads no more.
    LeadsNoMore {
        /// In this term it did.
        term: Term,
        /// Why, when it stopped by itself.
        why: Option<EndReason>,
    },
    /// Other nodes vote than before.
    Voters {
        /// Those of the configuration in force.
        voters: Vec<NodeId>,
        /// While they are being changed: those after the change.
        new_voters: Vec<NodeId>,
    },
    /// The membership table changed.
    Member {
        /// The member.
        id: NodeId,
        /// What became of it.
        change: MemberEvent,
    },
    /// This node was removed from the cluster.
    Removed {
        /// What says so.
        source: String,
    },
    /// The level of the cluster has risen.
    Level {
        /// To this.
        level: u8,
    },
    /// A snapshot of this node's state is durable.
    SnapshotTaken(SnapshotId),
    /// The state of another node was installed.
    SnapshotInstalled(SnapshotId),
    /// A snapshot has arrived at another node, whole.
    SnapshotSent {
        /// That node.
        to: NodeId,
        /// The snapshot.
        id: SnapshotId,
    },
    /// So many entries of the log are damaged on the disk and not repaired, more or fewer than before.
    Holes {
        /// How many.
        holes: u64,
        /// The first of them.
        first: Option<LogPosition>,
    },
    /// A node that abstained has caught up.
    CaughtUp,
    /// Where nodes hold different things changed.
    Differs(Option<Divergence>),
    /// The disk syncs too slowly for the election timeout, or no longer.
    SlowDisk {
        /// It does.
        is_slow: bool,
    },
    /// The disk has no room for another segment, or has some again.
    Room {
        /// It has.
        is_there: bool,
    },
    /// An alarm was raised.
    AlarmRaised {
        /// Which.
        kind: AlarmKind,
        /// What is wrong.
        why: String,
    },
    /// The condition of an alarm ended.
    AlarmOver {
        /// Which.
        kind: AlarmKind,
    },
    /// The node is asked to stop.
    Stops {
        /// By this signal.
        signal: &'static str,
    },
}

/// Why a node leads, and not the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeadReason {
    /// This node campaigned, and a majority voted for it; what became of the one before, where that is known.
    Elected(CampaignReason, Option<(NodeId, LossReason)>),
    /// The one before was lost.
    Lost(NodeId, LossReason),
}

/// What became of a row of the membership table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberEvent {
    /// It is new.
    Added {
        /// The part that it has, in words.
        part: &'static str,
        /// Where it is reached.
        address: String,
    },
    /// It has another part.
    Part(&'static str),
    /// It is reached elsewhere.
    Moved(String),
    /// It is gone, permanently.
    Removed,
}

/// How much an event should trouble an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// It is as it should be.
    Info,
    /// It may need a look.
    Warn,
    /// It needs one.
    Error,
}

/// An event as `NORAFT.EVENTS` has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventReport {
    /// Counts up by one from the start of the process.
    pub number: u64,
    /// The wall clock then, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// What kind of event.
    pub kind: String,
    /// The term that it is about; otherwise the one that the node was in.
    pub term: u64,
    /// The entry that it is about; otherwise the last one that the node had applied.
    pub index: u64,
    /// The other node that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<u64>,
    /// Why, where that is a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// All of it in words.
    pub text: String,
}

/// The answer to `NORAFT.EVENTS`, in JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsReport {
    /// The cluster's name.
    pub cluster: String,
    /// The node.
    pub id: u64,
    /// Events of this process before those that are shown.
    pub before: u64,
    /// The events, the oldest first.
    pub events: Vec<EventReport>,
}

/// When an event was noticed, and where the node was then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock.
    pub wall: Stamp,
    /// The term.
    pub term: u64,
    /// The last entry that was applied.
    pub index: u64,
}

/// The last events.
#[derive(Debug, Default)]
pub struct Ring {
    /// How many there ever were.
    count: u64,
    kept: VecDeque<EventReport>,
}

impl Ring {
    /// Remembers an event; returns it as it is remembered. One that only goes on with the last takes its place: ten thousand damaged
    /// entries push nothing else out.
    pub fn push(&mut self, moment: Moment, event: &Event) -> EventReport {
        let last = self.kept.back().map(|last| last.kind.as_str());
        if matches!(event, Event::Holes { holes: 1.., .. }) && last == Some(event.facts().kind) {
            self.kept.pop_back();
            self.count -= 1;
        }
        if self.kept.len() >= EVENTS_MAX {
            self.kept.pop_front();
        }
        self.count += 1;
        let facts = event.facts();
        let report = EventReport {
            number: self.count,
            time_ms: moment.wall.as_millis(),
            kind: facts.kind.to_owned(),
            term: facts.term.map_or(moment.term, Term::get),
            index: facts.index.map_or(moment.index, LogIndex::get),
            peer: facts.peer.map(NodeId::get),
            reason: facts.reason.map(str::to_owned),
            text: short(event.to_string()),
        };
        self.kept.push_back(report.clone());
        report
    }

    /// The newest `most`, the oldest of them first; and how many there were before.
    pub fn newest(&self, most: usize) -> (u64, Vec<EventReport>) {
        let events: Vec<EventReport> = self
            .kept
            .iter()
            .skip(self.kept.len().saturating_sub(most))
            .cloned()
            .collect();
        (self.count - events.len() as u64, events)
    }
}

/// As much of it as is kept.
fn short(mut text: String) -> String {
    let end = (0..=TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at));
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(end.unwrap_or(0));
    }
    text
}

/// How long ago, as people say it.
fn lasting(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// An eventful week; each takes a few hundred bytes.
pub const EVENTS_MAX: usize = 1024;
/// The longest sentence there is has half of it; what a file's name makes longer is cut.
pub const TEXT_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn level(level: u8) -> Event {
        Event::Level { level }
    }

    #[test]
    fn the_ring_keeps_the_newest_and_says_how_many_there_were_before() {
        let mut ring = Ring::default();
        let moment = Moment {
            wall: Stamp::from_millis(7),
            term: 3,
            index: 9,
        };
        for n in 0..EVENTS_MAX + 10 {
            ring.push(moment, &level(n as u8));
        }
        let (before, all) = ring.newest(usize::MAX);
        assert_eq!((before, all.len()), (10, EVENTS_MAX));
        assert!(all.iter().zip(11..).all(|(event, number)| event.number == number));
        let (before, two) = ring.newest(2);
        assert_eq!(
            (before, two.as_slice()),
            (EVENTS_MAX as u64 + 8, &all[EVENTS_MAX - 2..])
        );
        assert_eq!((two[0].time_ms, two[0].term, two[0].index), (7, 3, 9));
        assert_eq!(ring.newest(0), (EVENTS_MAX as u64 + 10, Vec::new()));
    }

    #[test]
    fn an_event_says_its_own_term_and_entry_where_it_has_them() {
        let mut ring = Ring::default();
        let moment = Moment {
            term: 3,
            index: 9,
            ..Moment::default()
        };
        let leads = Event::Leads {
            term: Term::new(5),
            leader: NodeId::new(2),
            why: Some(LeadReason::Lost(NodeId::new(1), LossReason::Disconnected)),
        };
        let report = ring.push(moment, &leads);
        assert_eq!((report.term, report.index, report.peer), (5, 9, Some(2)));
        assert_eq!(report.reason.as_deref(), Some("disconnected"));
        assert_eq!(
            report.text,
            "term 5: node 2 leads, for the connection to node 1 ended"
        );
    }

    #[test]
    fn damage_that_grows_takes_one_place_and_pushes_nothing_out() {
        let mut ring = Ring::default();
        let holes = |holes, index| Event::Holes {
            holes,
            first: Some(LogPosition {
                term: Term::new(2),
                index: LogIndex::new(index),
            }),
        };
        ring.push(Moment::default(), &level(1));
        for n in 1..=2 * EVENTS_MAX as u64 {
            ring.push(Moment::default(), &holes(n, 4));
        }
        ring.push(
            Moment::default(),
            &Event::Holes {
                holes: 0,
                first: None,
            },
        );
        ring.push(Moment::default(), &holes(1, 7));
        let (before, all) = ring.newest(usize::MAX);
        let seen: Vec<_> = all
            .iter()
            .map(|event| (event.number, event.kind.as_str(), event.index))
            .collect();
        assert_eq!(
            (before, seen.as_slice()),
            (
                0,
                &[
                    (1, "level", 0),
                    (2, "damage", 4),
                    (3, "repaired", 0),
                    (4, "damage", 7)
                ][..]
            )
        );
        assert!(all[1].text.starts_with("2048 entries"), "{}", all[1].text);
    }

    #[test]
    fn a_text_of_any_length_is_cut_between_two_characters() {
        let finding = "é".repeat(TEXT_BYTES_MAX);
        let mut ring = Ring::default();
        let report = ring.push(Moment::default(), &Event::Recovered { finding });
        assert!(report.text.len() <= TEXT_BYTES_MAX && report.text.len() >= TEXT_BYTES_MAX - 4);
    }

    #[test]
    fn a_report_survives_json() {
        let mut ring = Ring::default();
        let event = Event::NoLeader {
            term: Term::new(2),
            lost: None,
        };
        let report = EventsReport {
            cluster: "c".to_owned(),
            id: 1,
            before: 0,
            events: vec![ring.push(Moment::default(), &event)],
        };
        let json = serde_json::to_string(&report).expect("plain data");
        assert_eq!(
            json,
            r#"{"cluster":"c","id":1,"before":0,"events":[{"number":1,"time_ms":0,"kind":"no-leader","term":2,"index":0,"#.to_owned()
                + r#""text":"term 2: no leader is known"}]}"#
        );
        assert_eq!(
            serde_json::from_str::<EventsReport>(&json).expect("its own words"),
            report
        );
    }
}
