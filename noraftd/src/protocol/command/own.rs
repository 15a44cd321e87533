//! `NORAFT.*`: commands for this project's own tools.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use noraft::{LogIndex, LogPosition, NodeId, Term};
use tracing::level_filters::LevelFilter;

use super::limit::Limit;
use super::member::{Addresses, MemberChange, is_address};
use crate::level::Level;
use crate::record::MEMBERS_MAX;

/// A command for this project's own tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnCommand {
    /// `NORAFT.STATUS`: everything about the node, in JSON.
    Status,
    /// `NORAFT.VITALS`: how the node is set, and how its machine, disk and clock fare, in JSON.
    Vitals,
    /// `NORAFT.EVENTS [COUNT n]`: what has happened to the node, in JSON; the newest only.
    Events(Option<usize>),
    /// `NORAFT.INDEX`: the index that covers every write acknowledged before; refused without a leader.
    Index,
    /// `NORAFT.STALENESS [ms]`: how old the state may be that answers this connection's reads after `READONLY`; or, without a
    /// limit to set, how old this node's state is in milliseconds, nil when nothing is known of that.
    Staleness(Option<Duration>),
    /// `NORAFT.SNAPSHOT`: take a snapshot now; the status shows when it exists.
    Snapshot,
    /// `NORAFT.SNAPSHOT READ index term offset`: a part of that snapshot's file; empty at its end.
    ReadSnapshot {
        /// The snapshot.
        position: LogPosition,
        /// The first byte.
        offset: u64,
    },
    /// `NORAFT.READMIT node incarnation`: that member has that data directory from now on. Returns this node's term.
    Readmit {
        /// The member.
        node: NodeId,
        /// Its data directory.
        incarnation: u64,
    },
    /// `NORAFT.VOTERS id...`: these nodes are the voters from now on. Answered when that is committed.
    Voters(BTreeSet<NodeId>),
    /// `NORAFT.MEMBERS`: the members, in JSON.
    Members,
    /// `NORAFT.MEMBER ...`: the membership table changes. Answered when that is committed.
    ///
    /// `ADD peer client stays`, `JOIN id incarnation peer client stays level`, `PROMOTE id force`, `REMOVE id force`,
    /// `REPLACE old new force`, `ADDRESS id peer client`; `-` is an address that is not given, 0 an id that is not.
    Member {
        /// The change.
        change: MemberChange,
        /// The level that a node which joins supports.
        level: Option<Level>,
    },
    /// `NORAFT.LIMIT [name value]`: every limit of the state and its value; or one is set. Answered when that is committed.
    Limit(Option<(Limit, u64)>),
    /// `NORAFT.TRANSFER [id]`: this voter, or any other, is to lead. Returns the leader of then.
    Transfer(Option<NodeId>),
    /// `NORAFT.UPGRADE`: the level that this node's version supports comes into force. Answered with the level when that
    /// is committed.
    Upgrade,
    /// `CONFIG SET loglevel level`: what the node logs from now on.
    SetLogLevel(LevelFilter),
    /// `NORAFT.AUTH`: gives the challenge that the next one answers.
    Challenge,
    /// `NORAFT.AUTH answer`: the other side knows the peer secret.
    Prove(String),
}

impl OwnCommand {
    /// True for what takes more rights than reaching the port.
    pub fn is_order(&self) -> bool {
        match self {
            Self::Status
            | Self::Vitals
            | Self::Events(_)
            | Self::Members
            | Self::Staleness(_)
            | Self::Challenge
            | Self::Prove(_) => false,
            Self::Limit(limit) => limit.is_some(),
            Self::Snapshot
            | Self::ReadSnapshot { .. }
            | Self::Readmit { .. }
            | Self::Voters(_)
            | Self::Member { .. }
            | Self::Upgrade
            | Self::Transfer(_)
            | Self::SetLogLevel(_)
            | Self::Index => true,
        }
    }

    /// The command; `None` when it is none of these, or its arguments are not what it takes.
    pub(super) fn parse(args: &[Bytes]) -> Option<Self> {
        if !args.first()?.get(..PREFIX.len())?.eq_ignore_ascii_case(PREFIX) {
            return None;
        }
        let words: Vec<String> = args
            .iter()
            .take(WORDS_MAX + 1)
            .map(|word| String::from_utf8_lossy(word).to_ascii_uppercase())
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match *words {
            ["NORAFT.STATUS"] => Some(Self::Status),
            ["NORAFT.VITALS"] => Some(Self::Vitals),
            ["NORAFT.EVENTS"] => Some(Self::Events(None)),
            ["NORAFT.EVENTS", "COUNT", most] => Some(Self::Events(Some(most.parse().ok()?))),
            ["NORAFT.MEMBERS"] => Some(Self::Members),
            // An address keeps its case.
            ["NORAFT.MEMBER", verb, ref rest @ ..] => parse_member(verb, rest, args.get(2..)?),
            ["NORAFT.AUTH"] => Some(Self::Challenge),
            ["NORAFT.AUTH", answer] => Some(Self::Prove(answer.to_owned())),
            ["NORAFT.INDEX"] => Some(Self::Index),
            ["NORAFT.STALENESS"] => Some(Self::Staleness(None)),
            ["NORAFT.STALENESS", ms] => {
                let ms = ms.parse().ok();
                ms.map(|ms| Self::Staleness(Some(Duration::from_millis(ms))))
            }
            ["NORAFT.TRANSFER"] => Some(Self::Transfer(None)),
            ["NORAFT.TRANSFER", id] => Some(Self::Transfer(Some(NodeId::new(id.parse().ok()?)))),
            ["NORAFT.UPGRADE"] => Some(Self::Upgrade),
            ["NORAFT.SNAPSHOT"] => Some(Self::Snapshot),
            ["NORAFT.SNAPSHOT", "READ", index, term, offset] => Some(Self::ReadSnapshot {
                position: LogPosition {
                    index: LogIndex::new(index.parse().ok()?),
                    term: Term::new(term.parse().ok()?),
                },
                offset: offset.parse().ok()?,
            }),
            ["NORAFT.READMIT", node, incarnation] => Some(Self::Readmit {
                node: NodeId::new(node.parse().ok()?),
                incarnation: u64::from_str_radix(incarnation, 16).ok()?,
            }),
            ["NORAFT.VOTERS", ref ids @ ..] if (1..=MEMBERS_MAX).contains(&ids.len()) => {
                let ids = ids.iter().map(|id| id.parse().ok().map(NodeId::new));
                ids.collect::<Option<_>>().map(Self::Voters)
            }
            _ => None,
        }
    }
}

/// `upper` are the arguments behind the verb, and `raw` are the same as they came.
fn parse_member(verb: &str, upper: &[&str], raw: &[Bytes]) -> Option<OwnCommand> {
    let id = |at: usize| parse_id(upper.get(at)?);
    let flag = |at: usize| match *upper.get(at)? {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    };
    let addresses = |at: usize| {
        Some(Addresses {
            peer: parse_address(raw.get(at)?)?,
            client: parse_address(raw.get(at + 1)?)?,
        })
    };
    let change = match (verb, upper.len()) {
        ("ADD", 3) => MemberChange::Join {
            id: None,
            incarnation: 0,
            addresses: addresses(0)?,
            stays: flag(2)?,
        },
        ("JOIN", 6) => MemberChange::Join {
            id: Some(upper.first()?.parse().ok()?)
                .filter(|id| *id > 0)
                .map(NodeId::new),
            incarnation: u64::from_str_radix(upper.get(1)?, 16)
                .ok()
                .filter(|found| *found > 0)?,
            addresses: addresses(2)?,
            stays: flag(4)?,
        },
        ("PROMOTE", 2) => MemberChange::Promote {
            id: id(0)?,
            force: flag(1)?,
        },
        ("REMOVE", 2) => MemberChange::Remove {
            id: id(0)?,
            force: flag(1)?,
        },
        ("REPLACE", 3) => MemberChange::Replace {
            old: id(0)?,
            new: id(1)?,
            force: flag(2)?,
        },
        ("ADDRESS", 3) => MemberChange::SetAddress {
            id: id(0)?,
            addresses: addresses(1)?,
        },
        _ => return None,
    };
    let level = match verb {
        "JOIN" => Some(Level::new(upper.get(5)?.parse().ok()?)),
        _ => None,
    };
    Some(OwnCommand::Member { change, level })
}

fn parse_id(text: &str) -> Option<NodeId> {
    let id = text.parse().ok().filter(|id| *id > 0);
    id.map(NodeId::new)
}

fn parse_address(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok().filter(|text| is_address(text))?;
    Some(if text == "-" {
        String::new()
    } else {
        text.to_owned()
    })
}

const PREFIX: &[u8] = b"NORAFT.";
/// The longest of these commands names every member of the largest cluster.
const WORDS_MAX: usize = 1 + MEMBERS_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Option<OwnCommand> {
        let args: Vec<Bytes> = line
            .split(' ')
            .map(|word| Bytes::copy_from_slice(word.as_bytes()))
            .collect();
        OwnCommand::parse(&args)
    }

    #[test]
    fn a_command_names_every_voter_of_the_largest_cluster_and_no_more() {
        let naming = |count: usize| {
            let ids: Vec<String> = (1..=count).map(|id| id.to_string()).collect();
            parsed(&format!("NORAFT.VOTERS {}", ids.join(" ")))
        };
        let all = (1..=MEMBERS_MAX as u64).map(NodeId::new).collect();
        assert_eq!(naming(MEMBERS_MAX), Some(OwnCommand::Voters(all)));
        assert_eq!(naming(MEMBERS_MAX + 1), None);
        assert_eq!(parsed("NORAFT.VOTERS"), None);
    }

    #[test]
    fn a_limit_of_staleness_is_in_milliseconds() {
        let limit = |ms| Some(OwnCommand::Staleness(ms));
        assert_eq!(parsed("noraft.staleness"), limit(None));
        let second = Duration::from_millis(1000);
        assert_eq!(parsed("NORAFT.STALENESS 1000"), limit(Some(second)));
        assert!(
            !OwnCommand::Staleness(None).is_order(),
            "clients set it for themselves"
        );
    }

    #[test]
    fn addresses_keep_their_case() {
        let addresses = Addresses {
            peer: "unix:/Run/p".to_owned(),
            client: String::new(),
        };
        let join = MemberChange::Join {
            id: Some(NodeId::new(4)),
            incarnation: 0xab,
            addresses: addresses.clone(),
            stays: true,
        };
        assert_eq!(
            parsed("noraft.member join 4 ab unix:/Run/p - 1 1"),
            Some(OwnCommand::Member {
                change: join,
                level: Some(Level::new(1))
            })
        );
        let id = NodeId::new(2);
        assert_eq!(
            parsed("NORAFT.MEMBER ADDRESS 2 unix:/Run/p -"),
            Some(OwnCommand::Member {
                change: MemberChange::SetAddress { id, addresses },
                level: None
            })
        );
    }

    #[test]
    fn arguments_that_a_command_does_not_take_make_it_unknown() {
        assert_eq!(parsed("noraft.status"), Some(OwnCommand::Status));
        for line in [
            "NORAFT.STATUS now",
            "NORAFT.VITALS now",
            "NORAFT.EVENTS 3",
            "NORAFT.EVENTS COUNT",
            "NORAFT.EVENTS COUNT -1",
            "NORAFT.SNAPSHOT READ 1 2",
            "NORAFT.SNAPSHOT READ 1 2 x",
            "NORAFT.READMIT 1 g",
            "NORAFT.VOTERS 1 two",
            "NORAFT.MEMBERS 1",
            "NORAFT.MEMBER",
            "NORAFT.MEMBER REMOVE 0 0",
            "NORAFT.MEMBER REMOVE 1",
            "NORAFT.MEMBER REMOVE 1 2",
            "NORAFT.MEMBER JOIN 0 0 - - 0 1",
            "NORAFT.MEMBER JOIN 0 7 - - 0",
            "NORAFT.STALENESS -1",
            "NORAFT.STALENESS 1 2",
            "NORAFT.TRANSFER two",
            "NORAFT.TRANSFER 1 2",
            "NORAFT",
            "STATUS",
        ] {
            assert_eq!(parsed(line), None, "{line}");
        }
    }
}
