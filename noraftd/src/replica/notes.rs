//! What a replica has decided that an operator wants to know of, in order, until it is fetched.
//!
//! Invariant: nothing that a replica does depends on it; a bounded number waits, and the oldest go first.

use std::collections::VecDeque;
use std::time::Duration;

use noraft::{NodeId, Term};

use crate::record::SnapshotId;

use super::Replica;
use super::counts::EndReason;

/// Something that a replica has decided, or noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// It campaigns, in this term.
    Campaigns {
        /// The term.
        term: Term,
        /// Why.
        why: CampaignReason,
    },
    /// It leads no more; it led in this term.
    LeadsNoMore {
        /// The term.
        term: Term,
        /// Why, when it stopped by itself; otherwise a later term began, or another node was to lead.
        why: Option<EndReason>,
    },
    /// It does not count on this leader of `term` any more.
    LeaderLost {
        /// The leader.
        leader: NodeId,
        /// The term.
        term: Term,
        /// Why.
        why: LossReason,
    },
    /// The state of another node was installed.
    SnapshotInstalled(SnapshotId),
    /// A snapshot has arrived at another node, whole.
    SnapshotSent {
        /// That node.
        to: NodeId,
        /// The snapshot.
        id: SnapshotId,
    },
}

/// Why a node campaigns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CampaignReason {
    /// It has heard no leader for so long, or never.
    NoLeader(Option<Duration>),
    /// The leader wants it to lead.
    Wanted,
}

/// Why a node does not count on a leader any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossReason {
    /// It said nothing for an election timeout.
    Silent,
    /// The connection to it ended.
    Disconnected,
}

/// What was not fetched yet.
#[derive(Debug, Default)]
pub(super) struct Notes(VecDeque<Note>);

impl Notes {
    pub(super) fn push(&mut self, note: Note) {
        if self.0.len() >= NOTES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(note);
    }
}

impl Replica {
    /// What it has decided since the last call.
    pub fn take_notes(&mut self) -> impl Iterator<Item = Note> + use<> {
        std::mem::take(&mut self.notes.0).into_iter()
    }
}

/// A driver that fetches them does so after each round, in which there are a few. The simulation fetches none.
const NOTES_MAX: usize = 64;
