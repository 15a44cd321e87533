//! What is known about a request, and the words in which a client learns what is known about its request.
//!
//! The first word of an error decides what a client may conclude. `INDEFINITE` alone leaves it open whether
//! the command takes effect, now or later. After any other error it did not and will not.
//!
//! | outcome | error |
//! |-|-|
//! | refused: no leader | `CLUSTERDOWN` |
//! | refused: not the leader | `NOTLEADER` |
//! | refused: overloaded | `BUSY` |
//! | refused: disk full | `DISKFULL` |
//! | refused: read not confirmed in time | `TRYAGAIN` |
//! | refused: shutting down | `TRYAGAIN` |
//! | refused: the voters are being changed already | `INPROGRESS` |
//! | refused: no such voters | `ERR` |
//! | refused: the nodes hold different things | `DIVERGED` |
//! | refused: the level is too low, or cannot be raised | `ERR` |
//! | refused: leadership is being transferred already | `INPROGRESS` |
//! | refused: no node can take over | `ERR` |
//! | refused: the node that is to take over lacks a part of the log | `TRYAGAIN` |
//! | refused: the members are not written down yet | `TRYAGAIN` |
//! | refused: the members are in the table | `ERR` |
//! | refused: the node has not caught up | `TRYAGAIN` |
//! | refused: too few voters would be left | `ERR` |
//! | in doubt, for any reason | `INDEFINITE` |
//! | done, and the state machine objects | `ERR`, `WRONGTYPE`: a definite answer, nothing was changed |
//!
//! No error of the state machine starts with `INDEFINITE`.

use crate::protocol::resp::Reply;

/// What is known about a request's outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect exactly once (a read: it saw a linearizable state).
    Done(Reply),
    /// Nothing was appended and nothing will be: safe to retry.
    Refused(Refusal),
    /// It may or may not take effect, now or later.
    Indefinite(Doubt),
}

/// Why nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// No leader was known, or there was no connection to it, until the request's deadline.
    NoLeader,
    /// The node that was asked is not the leader (any more).
    NotLeader,
    /// Too many requests are waiting here.
    Overloaded,
    /// The node cannot write to its disk at the moment.
    DiskFull,
    /// The read was not confirmed by a majority in time.
    ReadTimeout,
    /// The node is shutting down.
    ShuttingDown,
    /// Another change of the voters is not over yet.
    ChangeInProgress,
    /// The voters that were asked for are none, or some of them are no nodes of this cluster.
    NotMembers,
    /// The node holds something else than others, and no majority holds the same.
    Divergent,
    /// The command takes a higher level than the one in force.
    LevelTooLow,
    /// Not every member is connected to the leader and supports that level.
    NotSupported,
    /// Leadership is being transferred already.
    TransferInProgress,
    /// No voter that is meant, or none at all, follows the leader and can take over.
    NoSuccessor,
    /// The other node did not get the whole log in time.
    TransferTimeout,
    /// The cluster has no membership table yet.
    NoTable,
    /// The voters are those that the membership table wants.
    HasTable,
    /// The node that is to vote lacks more than a little of the log, or does not follow the leader.
    NotCaughtUp,
    /// Of the voters that there would be, fewer than a quorum follow the leader.
    TooFewVoters,
}

/// Why it is unknown whether it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doubt {
    /// Leadership was lost after the entry had been appended.
    LeadershipLost,
    /// No majority acknowledged the entry in time.
    CommitTimeout,
    /// The leader it was forwarded to did not answer in time.
    ForwardTimeout,
    /// The connection to the leader it was forwarded to ended.
    ForwardLost,
    /// The node stops; the entry may still be committed by the others.
    ShuttingDown,
    /// The node that was to lead was ordered to, and no node is known to lead.
    TransferTimeout,
}

impl Outcome {
    /// The reply for the client. Its first word distinguishes definite errors from `INDEFINITE` ones.
    pub fn to_reply(&self) -> Reply {
        match self {
            Self::Done(reply) => reply.clone(),
            Self::Refused(refusal) => Reply::Error(refusal.text().to_owned()),
            Self::Indefinite(doubt) => Reply::Error(doubt.text().to_owned()),
        }
    }

    /// [`Self::to_reply`] without the copy.
    pub fn into_reply(self) -> Reply {
        match self {
            Self::Done(reply) => reply,
            other @ (Self::Refused(_) | Self::Indefinite(_)) => other.to_reply(),
        }
    }
}

impl Refusal {
    /// Every refusal.
    pub const ALL: [Self; 18] = [
        Self::NoLeader,
        Self::NotLeader,
        Self::Overloaded,
        Self::DiskFull,
        Self::ReadTimeout,
        Self::ShuttingDown,
        Self::ChangeInProgress,
        Self::NotMembers,
        Self::Divergent,
        Self::LevelTooLow,
        Self::NotSupported,
        Self::TransferInProgress,
        Self::NoSuccessor,
        Self::TransferTimeout,
        Self::NoTable,
        Self::HasTable,
        Self::NotCaughtUp,
        Self::TooFewVoters,
    ];

    /// The error's text, its code first.
    pub const fn text(self) -> &'static str {
        match self {
            Self::NoLeader => "CLUSTERDOWN no leader can be reached; nothing was done",
            Self::NotLeader => "NOTLEADER the node that was asked is not the leader; nothing was done",
            Self::Overloaded => "BUSY too many requests are waiting; nothing was done",
            Self::DiskFull => "DISKFULL the node cannot write to its disk; nothing was done",
            Self::ReadTimeout => "TRYAGAIN no majority confirmed the read in time; nothing was read",
            Self::ShuttingDown => "TRYAGAIN the node is shutting down; nothing was done",
            Self::ChangeInProgress => "INPROGRESS another change of the voters is not over; nothing was done",
            Self::NotMembers => {
                "ERR the voters have to be one or more of the cluster's nodes; nothing was done"
            }
            Self::LevelTooLow => {
                "ERR the command takes a higher level of the cluster, see `noraftd upgrade`; nothing was done"
            }
            Self::NotSupported => {
                "ERR not every member is connected and supports the level of the cluster; nothing was done"
            }
            Self::TransferInProgress => {
                "INPROGRESS leadership is being transferred to another node already; nothing was done"
            }
            Self::NoSuccessor => {
                "ERR no voter that is meant can take over: it has to follow the leader; nothing was done"
            }
            Self::TransferTimeout => {
                "TRYAGAIN the other node did not get the whole log in time; nothing was done"
            }
            Self::NoTable => {
                "TRYAGAIN the members are not written down yet, which takes level 1 of the cluster; nothing was done"
            }
            Self::HasTable => {
                "ERR the cluster has a membership table, see `noraftd member`; nothing was done"
            }
            Self::NotCaughtUp => {
                "TRYAGAIN the node that is to vote does not follow the leader, or has not caught up with it; nothing was done"
            }
            Self::TooFewVoters => {
                "ERR fewer than a quorum of the voters that there would be follow the leader; nothing was done"
            }
            Self::Divergent => {
                "DIVERGED this node holds something else than others, and no majority holds the same; nothing was done"
            }
        }
    }
}

impl Doubt {
    /// Every doubt.
    pub const ALL: [Self; 6] = [
        Self::LeadershipLost,
        Self::CommitTimeout,
        Self::ForwardTimeout,
        Self::ShuttingDown,
        Self::ForwardLost,
        Self::TransferTimeout,
    ];

    /// The error's text, its code first.
    pub const fn text(self) -> &'static str {
        match self {
            Self::LeadershipLost => {
                "INDEFINITE leadership was lost after the command was appended; it may or may not take effect"
            }
            Self::CommitTimeout => {
                "INDEFINITE no majority acknowledged the command in time; it may or may not take effect"
            }
            Self::ForwardTimeout => {
                "INDEFINITE the leader did not answer in time; the command may or may not take effect"
            }
            Self::ForwardLost => {
                "INDEFINITE the connection to the leader ended; the command may or may not take effect"
            }
            Self::TransferTimeout => {
                "INDEFINITE the other node was ordered to take over and did not in time; it may or may not take effect"
            }
            Self::ShuttingDown => {
                "INDEFINITE the node stopped before the command was committed; it may or may not take effect"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_word(text: &str) -> &str {
        text.split(' ').next().unwrap()
    }

    #[test]
    fn the_first_word_separates_definite_from_indefinite() {
        for refusal in Refusal::ALL {
            assert_ne!(first_word(refusal.text()), "INDEFINITE");
            assert!(refusal.text().contains("; nothing was "));
        }
        for doubt in Doubt::ALL {
            assert_eq!(first_word(doubt.text()), "INDEFINITE");
            assert!(doubt.text().contains("may or may not take effect"));
        }
        assert_eq!(Outcome::Done(Reply::Integer(1)).to_reply(), Reply::Integer(1));
        let refused = Outcome::Refused(Refusal::NoLeader);
        assert_eq!(refused.to_reply(), refused.into_reply());
    }
}
