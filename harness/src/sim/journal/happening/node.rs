//! What happens to nodes: their processes, their clocks, and their disks.

use std::fmt::{self, Display};
use std::hash::{Hash, Hasher};

use noraftd::recovered::Recovered;
use noraftd::replica::Replica;
use noraftd::storage::VoteJob;
use noraftd::store::{PersistStats, Store};

use super::write_all;
use crate::damage::corruption::Corruption;
use crate::plan::DiskTrouble;
use crate::sim::parts::aim::Aim;
use crate::sim::parts::job::{Job, Ran};

/// Something that happened to a node or its process.
pub(crate) enum NodeHappening<'a> {
    /// It handled what had arrived.
    Round { node: usize, replica: &'a Replica },
    /// It opened its directory.
    Starts {
        node: usize,
        recovered: &'a Recovered,
        store: &'a Store,
    },
    /// It refuses to start.
    Refuses { node: usize, error: &'a dyn Display },
    /// Its process is gone.
    Ends { node: usize, why: &'static str },
    /// Its process is stopped for a while.
    Pauses { node: usize },
    /// And goes on.
    Resumes { node: usize },
    /// Its clocks run at another rate, in thousandths, and the wall clock jumps, in milliseconds.
    ClockJumps { node: usize, rate: u64, jump: i64 },
}

/// Something that happened to a node's disk.
#[derive(Debug)]
pub(crate) enum DiskHappening<'a> {
    /// It has done a job.
    Done {
        node: usize,
        job: &'a Job,
        stats: PersistStats,
    },
    /// It could not.
    Fails {
        node: usize,
        job: &'a Job,
        error: String,
    },
    /// It has written a vote beside its jobs, or could not.
    DoneVote {
        node: usize,
        job: VoteJob,
        /// Why it could not.
        error: Option<String>,
    },
    /// The process was killed in the middle of a job, and of as many for its votes.
    IsInterrupted {
        node: usize,
        job: Option<&'a Job>,
        votes: usize,
        operations: u64,
    },
    /// The power failed.
    LosesPower { node: usize, lost: u64 },
    /// The process was killed, or lost power, while it read its directory.
    IsInterruptedInRecovery { node: usize, lost: u64 },
    /// The whole directory is gone.
    IsLost { node: usize },
    /// The operator has set it up again, or could not.
    IsSetUp { node: usize, outcome: &'a str },
    /// Bytes are not what was written; so many corruptions there were in the run.
    IsCorrupted {
        node: usize,
        count: u64,
        corruption: &'a Corruption,
    },
    /// A crash is aimed at it.
    IsAimedAt { node: usize, aim: Aim },
    /// It is slow, full, or fails.
    HasTrouble { node: usize, trouble: DiskTrouble },
    /// It takes what it is given, and does not answer for a while.
    Stalls { node: usize },
}

impl fmt::Debug for NodeHappening<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl Hash for NodeHappening<'_> {
    fn hash<H: Hasher>(&self, to: &mut H) {
        match self {
            Self::Round { node, replica } => {
                let core = replica.node();
                let (term, commit) = (core.current_term().get(), core.commit_index().get());
                let last = core.log().last_position().index.get();
                let leads = u64::from(core.role().is_leader());
                write_all(to, &[*node as u64, term, commit, last, leads]);
            }
            Self::Starts { node, recovered, .. } => {
                let last = recovered.last_position().index.get();
                write_all(to, &[0xe4, *node as u64, recovered.hard_state.term, last]);
            }
            Self::Refuses { node, .. } => write_all(to, &[0xe5, *node as u64]),
            Self::Ends { node, .. } => write_all(to, &[0xe2, *node as u64]),
            Self::Pauses { node } => write_all(to, &[0xf0, *node as u64]),
            Self::Resumes { node } => write_all(to, &[0xf1, *node as u64]),
            Self::ClockJumps { node, rate, jump } => {
                write_all(to, &[0xf3, *node as u64, *rate, *jump as u64]);
            }
        }
    }
}

impl Display for NodeHappening<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Round { node, replica } => {
                let core = replica.node();
                write!(
                    f,
                    "n{} {:?} in term {}: last index {}, commit index {}, applied {}",
                    node + 1,
                    core.role(),
                    core.current_term().get(),
                    core.log().last_position().index.get(),
                    core.commit_index().get(),
                    replica.machine().applied_index().get()
                )
            }
            Self::Starts {
                node,
                recovered,
                store,
            } => {
                write!(
                    f,
                    "n{} starts in term {}, vote {:?}, last index {}, {} holes",
                    node + 1,
                    recovered.hard_state.term,
                    recovered.hard_state.voted_for,
                    recovered.last_position().index.get(),
                    recovered.holes.len(),
                )?;
                if recovered.abstain.abstains() {
                    f.write_str(", abstaining")?;
                }
                // What the opening of a directory found, beside whole batches.
                for found in &store.recovery_report().findings {
                    write!(
                        f,
                        "; {} byte {}: {}",
                        found.file,
                        found.offset,
                        found.verdict.name()
                    )?;
                }
                Ok(())
            }
            Self::Refuses { node, error } => write!(f, "n{} refuses to start: {error}", node + 1),
            Self::Ends { node, why } => write!(f, "n{} ended: {why}", node + 1),
            Self::Pauses { node } => write!(f, "n{} is paused", node + 1),
            Self::Resumes { node } => write!(f, "n{} goes on", node + 1),
            Self::ClockJumps { node, rate, jump } => write!(
                f,
                "the clock of n{} jumps by {jump} ms and runs at {rate}/1000",
                node + 1
            ),
        }
    }
}

impl<'a> DiskHappening<'a> {
    /// What came of a job of the log, or of a snapshot.
    pub(crate) fn of_run(node: usize, job: &'a Job, ran: &Ran) -> Self {
        let error = match ran {
            Ran::Done { stats, .. } => {
                let stats = *stats;
                return Self::Done { node, job, stats };
            }
            Ran::Retry { why, .. } => why.to_string(),
            Ran::Wrong(error) | Ran::Failed(error) => error.clone(),
        };
        Self::Fails { node, job, error }
    }
}

impl Hash for DiskHappening<'_> {
    fn hash<H: Hasher>(&self, to: &mut H) {
        match self {
            Self::Done { node, stats, .. } => write_all(to, &[0xd0, *node as u64, stats.bytes]),
            Self::Fails { node, .. } => write_all(to, &[0xd0, *node as u64, u64::MAX]),
            Self::DoneVote { node, job, error } => {
                let is_saved = u64::from(matches!(job, VoteJob::Save(_)));
                write_all(to, &[0xd1, *node as u64, is_saved, u64::from(error.is_none())]);
            }
            Self::IsInterrupted {
                node,
                votes,
                operations,
                ..
            } => write_all(to, &[0xe0, *node as u64, *votes as u64, *operations]),
            Self::LosesPower { node, lost } => write_all(to, &[0xe1, *node as u64, *lost]),
            Self::IsLost { node } => write_all(to, &[0xdb, *node as u64]),
            Self::IsSetUp { node, .. } => write_all(to, &[0xdc, *node as u64]),
            Self::IsInterruptedInRecovery { node, lost } => write_all(to, &[0xe3, *node as u64, *lost]),
            Self::IsCorrupted { node, count, .. } => write_all(to, &[0xda, *node as u64, *count]),
            Self::IsAimedAt { node, aim } => {
                let Aim {
                    operation,
                    left,
                    calls,
                    ..
                } = *aim;
                write_all(to, &[0xe6, *node as u64, operation as u64, left, calls]);
            }
            Self::HasTrouble { node, trouble } => write_all(to, &[0xf2, *node as u64, *trouble as u64]),
            Self::Stalls { node } => write_all(to, &[0xf3, *node as u64]),
        }
    }
}

impl Display for DiskHappening<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done { node, job, stats } => write!(
                f,
                "n{} synced {} in {} bytes and {} syncs",
                node + 1,
                job,
                stats.bytes,
                stats.syncs
            ),
            Self::Fails { node, job, error } => {
                write!(f, "n{} could not sync {}: {error}", node + 1, job)
            }
            Self::DoneVote {
                node,
                job,
                error: None,
            } => write!(f, "n{} wrote its vote: {job:?}", node + 1),
            Self::DoneVote {
                node,
                job,
                error: Some(error),
            } => write!(f, "n{} could not write its vote, {job:?}: {error}", node + 1),
            Self::IsInterrupted {
                node,
                job,
                votes,
                operations,
            } => write!(
                f,
                "n{} is killed {operations} disk operations into {} and {votes} writes of votes",
                node + 1,
                job.map_or_else(|| "nothing".to_owned(), Job::to_string)
            ),
            Self::LosesPower { node, lost } => {
                write!(f, "n{} lost {lost} unsynced sectors and names", node + 1)
            }
            Self::IsLost { node } => write!(f, "n{} loses its data directory", node + 1),
            Self::IsSetUp { node, outcome } => {
                write!(f, "the operator sets n{} up again: {outcome}", node + 1)
            }
            Self::IsInterruptedInRecovery { node, lost } => write!(
                f,
                "n{} is killed while it reads its disk; {lost} sectors and names lost",
                node + 1
            ),
            Self::IsCorrupted { node, corruption, .. } => write!(
                f,
                "the disk of n{}: {}: {}",
                node + 1,
                corruption.file,
                corruption.words
            ),
            Self::IsAimedAt { node, aim } => write!(
                f,
                "a crash is aimed at n{}: {} more of kind {} go by, and then {} calls of the disk",
                node + 1,
                aim.left,
                aim.operation.name(),
                aim.calls
            ),
            Self::HasTrouble { node, trouble } => {
                write!(f, "the disk of n{}: {}", node + 1, trouble.name())
            }
            Self::Stalls { node } => write!(f, "the disk of n{} does not answer", node + 1),
        }
    }
}
