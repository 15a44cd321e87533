//! `NORAFT.*`: commands for this project's own tools.

use std::collections::BTreeSet;

use bytes::Bytes;
use noraft::{LogIndex, LogPosition, NodeId, Term};

use crate::record::MEMBERS_MAX;

/// A command for this project's own tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnCommand {
    /// `NORAFT.STATUS`: everything about the node, in JSON.
    Status,
    /// `NORAFT.INDEX`: the index that covers every write acknowledged before; refused without a leader.
    Index,
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
    /// `NORAFT.TRANSFER [id]`: this voter, or any other, is to lead. Returns the leader of then.
    Transfer(Option<NodeId>),
    /// `NORAFT.UPGRADE`: the level that this node's version supports comes into force. Answered with the level when that
    /// is committed.
    Upgrade,
    /// `NORAFT.AUTH`: gives the challenge that the next one answers.
    Challenge,
    /// `NORAFT.AUTH answer`: the other side knows the peer secret.
    Prove(String),
}

impl OwnCommand {
    /// True for what takes more rights than reaching the port.
    pub fn is_order(&self) -> bool {
        match self {
            Self::Status | Self::Challenge | Self::Prove(_) => false,
            Self::Snapshot
            | Self::ReadSnapshot { .. }
            | Self::Readmit { .. }
            | Self::Voters(_)
            | Self::Upgrade
            | Self::Transfer(_)
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
            ["NORAFT.AUTH"] => Some(Self::Challenge),
            ["NORAFT.AUTH", answer] => Some(Self::Prove(answer.to_owned())),
            ["NORAFT.INDEX"] => Some(Self::Index),
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
    fn arguments_that_a_command_does_not_take_make_it_unknown() {
        assert_eq!(parsed("noraft.status"), Some(OwnCommand::Status));
        for line in [
            "NORAFT.STATUS now",
            "NORAFT.SNAPSHOT READ 1 2",
            "NORAFT.SNAPSHOT READ 1 2 x",
            "NORAFT.READMIT 1 g",
            "NORAFT.VOTERS 1 two",
            "NORAFT.TRANSFER two",
            "NORAFT.TRANSFER 1 2",
            "NORAFT",
            "STATUS",
        ] {
            assert_eq!(parsed(line), None, "{line}");
        }
    }
}
