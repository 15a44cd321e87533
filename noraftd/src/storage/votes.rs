//! Votes: written beside the batch that is under way, in the file of term and vote.
//!
//! Invariant: a vote counts when one slot holds it durably; the other slot follows after that, and before the next vote. A
//! full disk, or a shortage of the system, is no failure: the slot is written again after a while, and until then there is no
//! vote.

use std::time::Duration;

use super::driver::{FULL_PAUSE, Stop};
use crate::record::HardState;
use crate::replica::event::Input;
use crate::store::{StoreError, VoteFile};

/// One write of one slot.
#[derive(Debug, Clone, Copy)]
pub enum VoteJob {
    /// Makes term and vote durable.
    Save(HardState),
    /// Writes what is durable to the other slot.
    Repeat,
}

/// What came of it.
#[derive(Debug)]
pub struct VoteStep {
    /// What the replica has to know.
    pub input: Option<Input>,
    /// What has to follow, before the next vote.
    pub next: Option<VoteJob>,
    /// Why that has to wait for [`VOTE_PAUSE`]: the slot was not written.
    pub waits: Option<StoreError>,
}

impl VoteJob {
    /// Does it.
    ///
    /// # Errors
    ///
    /// When the disk fails: the process has to end.
    pub fn run(&self, votes: &VoteFile) -> Result<VoteStep, Stop> {
        let (written, doing, input, next) = match self {
            Self::Save(hard_state) => (
                votes.save(*hard_state),
                "make a vote durable",
                Some(Input::VoteSynced),
                Some(Self::Repeat),
            ),
            Self::Repeat => (votes.repeat(), "write a vote a second time", None, None),
        };
        match written {
            Ok(()) => Ok(VoteStep {
                input,
                next,
                waits: None,
            }),
            Err(why @ (StoreError::Full { .. } | StoreError::Short { .. })) => Ok(VoteStep {
                input: None,
                next: Some(*self),
                waits: Some(why),
            }),
            Err(why @ (StoreError::Invalid(_) | StoreError::Failed { .. })) => Err(Stop {
                doing: doing.to_owned(),
                why,
            }),
        }
    }
}

/// How often a vote without room is tried again.
pub const VOTE_PAUSE: Duration = FULL_PAUSE;
