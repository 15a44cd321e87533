//! Votes: written beside the batch that is under way, in the file of term and vote.
//!
//! Invariant: a vote counts when one slot holds it durably; the other slot follows after that, and before the next vote.

use super::driver::Stop;
use crate::record::HardState;
use crate::replica::event::Input;
use crate::store::VoteFile;

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
}

impl VoteJob {
    /// Does it.
    ///
    /// # Errors
    ///
    /// When the disk fails: the process has to end.
    pub fn run(&self, votes: &VoteFile) -> Result<VoteStep, Stop> {
        match self {
            Self::Save(hard_state) => match votes.save(*hard_state) {
                Ok(()) => Ok(VoteStep {
                    input: Some(Input::VoteSynced),
                    next: Some(Self::Repeat),
                }),
                Err(why) => Err(stop("make a vote durable", why)),
            },
            Self::Repeat => match votes.repeat() {
                Ok(()) => Ok(VoteStep {
                    input: None,
                    next: None,
                }),
                Err(why) => Err(stop("write a vote a second time", why)),
            },
        }
    }
}

fn stop(doing: &str, why: crate::store::StoreError) -> Stop {
    Stop {
        doing: doing.to_owned(),
        why,
    }
}
