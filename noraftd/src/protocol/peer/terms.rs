//! Terms that another node names: which are believable.
//!
//! A term grows by one an election, and an election takes an election timeout: a cluster needs decades for 2^32 of
//! them. A message that is further ahead than that is an attack or a fault, and to adopt its term would bring every
//! later election nearer to the end of the number space, for good.
//!
//! Invariant: no node ever has a term of [`TERM_END`] or more from another one.

use noraft::{LogPosition, Term};

use super::PeerMessage;
use crate::record::Record;

/// Terms from here on are never adopted: half of the number space stays out of reach.
pub const TERM_END: Term = Term::new(1 << 63);

/// A term further above one's own is not believed.
pub const TERM_LEAP_MAX: u64 = 1 << 32;

/// A term that is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a message names term {found}, but this node is in term {own}: no elections lead from one to the other"
)]
pub struct TermFault {
    found: u64,
    own: u64,
}

impl PeerMessage {
    /// Looks whether a node in term `own` may believe every term that the message names.
    ///
    /// # Errors
    ///
    /// When it may not: then the message must have no effect.
    pub fn check_terms(&self, own: Term) -> Result<(), TermFault> {
        let (found, own) = (self.highest_term().get(), own.get());
        let is_believable = found < TERM_END.get() && found.saturating_sub(own) <= TERM_LEAP_MAX;
        is_believable.then_some(()).ok_or(TermFault { found, own })
    }

    fn highest_term(&self) -> Term {
        match self {
            Self::RequestVote {
                term, last_position, ..
            }
            | Self::PreVote {
                term, last_position, ..
            }
            | Self::Appended {
                term, last_position, ..
            } => (*term).max(last_position.term),
            Self::Vote { term, .. }
            | Self::PreVoted { term, .. }
            | Self::Forward { term, .. }
            | Self::Pulse { term, .. }
            | Self::Pulsed { term, .. } => *term,
            Self::Append {
                term, prev, records, ..
            } => highest(records).max(*term).max(prev.term),
            Self::Forwarded { .. } => Term::ZERO,
            Self::RepairRequest { positions } => highest_of(positions.iter().copied()),
            Self::Repair { records, .. } => highest(records),
            Self::Compare { prints, .. } | Self::Compared { prints } => {
                highest_of(prints.iter().map(|print| print.position))
            }
            Self::SnapshotChunk { term, snapshot, .. } => (*term).max(snapshot.position.term),
            Self::SnapshotReply { term, position, .. } => (*term).max(position.term),
            Self::TimeoutNow { term, last_position } => (*term).max(last_position.term),
        }
    }
}

fn highest(records: &[Record]) -> Term {
    highest_of(records.iter().map(|record| record.position))
}

fn highest_of(positions: impl Iterator<Item = LogPosition>) -> Term {
    positions
        .map(|position| position.term)
        .max()
        .unwrap_or(Term::ZERO)
}

#[cfg(test)]
mod tests {
    use noraft::LogIndex;

    use super::*;

    fn at(term: u64) -> LogPosition {
        LogPosition {
            term: Term::new(term),
            index: LogIndex::new(1),
        }
    }

    /// Messages that name `term` in each of their places.
    fn naming(term: u64) -> Vec<PeerMessage> {
        let record = Record::new(
            at(term),
            crate::record::RecordKind::Term,
            crate::time::Stamp::default(),
            bytes::Bytes::new(),
        );
        let append = |term, prev, records| PeerMessage::Append {
            term: Term::new(term),
            commit_index: LogIndex::ZERO,
            prev,
            chain: None,
            records,
            round: 0,
            last_index: LogIndex::ZERO,
        };
        let (granted, unanimous) = (false, false);
        vec![
            PeerMessage::RequestVote {
                term: Term::new(term),
                last_position: at(1),
                unanimous,
            },
            PeerMessage::PreVote {
                term: Term::new(1),
                last_position: at(term),
                canvass: 0,
                abstain: crate::record::Abstain::No,
            },
            PeerMessage::Vote {
                term: Term::new(term),
                granted,
            },
            PeerMessage::Pulse {
                term: Term::new(term),
                pulse: 1,
                last_index: LogIndex::ZERO,
            },
            append(term, at(1), vec![]),
            append(1, at(term), vec![]),
            append(1, at(1), vec![record]),
            PeerMessage::RepairRequest {
                positions: vec![at(1), at(term)],
            },
        ]
    }

    #[test]
    fn a_leap_is_not_believed() {
        let own = Term::new(7);
        for message in naming(7 + TERM_LEAP_MAX) {
            assert_eq!(message.check_terms(own), Ok(()), "{message:?}");
        }
        for message in naming(8 + TERM_LEAP_MAX) {
            assert!(message.check_terms(own).is_err(), "{message:?}");
        }
    }

    #[test]
    fn no_term_at_the_end_is_believed_however_near_it_is() {
        let own = Term::new(TERM_END.get() - 1);
        for term in [TERM_END.get(), u64::MAX] {
            for message in naming(term) {
                assert!(message.check_terms(own).is_err(), "{message:?}");
            }
        }
        for message in naming(own.get()) {
            assert_eq!(message.check_terms(own), Ok(()), "{message:?}");
        }
    }
}
