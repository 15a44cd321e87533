//! What happens to clients, and to those that ask for voters.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::hash::{Hash, Hasher};

use noraft::NodeId;
use noraftd::protocol::outcome::Outcome;
use noraftd::replica::event::RequestId;

use super::write_all;
use crate::client::CallError;
use crate::op::EventKind;
use crate::sim::parts::clients::completion_words;
use crate::workload::{Completion, Operation};

/// Something that happened to a client. A turn is one operation of it.
#[derive(Debug)]
pub(crate) enum ClientHappening<'a> {
    /// It begins an operation.
    Asks {
        client: usize,
        turn: u64,
        node: usize,
        operation: &'a Operation,
    },
    /// A node answers it.
    IsAnswered {
        client: usize,
        turn: u64,
        node: usize,
        outcome: &'a Outcome,
    },
    /// Its operation ends.
    Completes {
        client: usize,
        turn: u64,
        kind: EventKind,
        result: &'a Result<Completion, CallError>,
    },
    /// A client that does not wait for answers sends its next requests.
    Bursts {
        pipeline: usize,
        connection: u64,
        requests: usize,
    },
    /// One of them is answered.
    BurstIsAnswered {
        pipeline: usize,
        number: u64,
        outcome: &'a Outcome,
    },
    /// A client that asks for anything asks for a few things.
    Draws {
        client: usize,
        node: usize,
        requests: usize,
    },
    /// One of them is answered.
    DrawnIsAnswered {
        client: usize,
        number: u64,
        outcome: &'a Outcome,
    },
    /// A client of `READONLY`, or of `MULTI`, asks or is answered.
    Session(SessionHappening<'a>),
    /// A node is asked for other voters.
    AsksForVoters {
        node: usize,
        id: RequestId,
        voters: &'a BTreeSet<NodeId>,
    },
    /// It answers.
    VotersAreAnswered {
        node: usize,
        id: RequestId,
        outcome: &'a Outcome,
    },
    /// A node is asked to hand over, or answers.
    Transfers(TransferHappening<'a>),
    /// A node is asked to write, from outside, or answers.
    Probes(Probe<'a>),
}

/// A node is asked to hand over, or answers.
#[derive(Debug)]
pub(crate) struct TransferHappening<'a> {
    pub(crate) node: usize,
    pub(crate) id: RequestId,
    pub(crate) step: TransferStep<'a>,
}

/// What is said.
#[derive(Debug)]
pub(crate) enum TransferStep<'a> {
    Asks(Option<NodeId>),
    Answers(&'a Outcome),
}

impl Hash for TransferHappening<'_> {
    fn hash<H: Hasher>(&self, to: &mut H) {
        let (kind, what) = match self.step {
            TransferStep::Asks(wanted) => (0xba, wanted.map_or(0, NodeId::get)),
            TransferStep::Answers(outcome) => (0xbb, u64::from(matches!(outcome, Outcome::Done(_)))),
        };
        write_all(to, &[kind, self.node as u64, self.id.0, what]);
    }
}

impl Display for TransferHappening<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.node + 1;
        match self.step {
            TransferStep::Asks(None) => write!(f, "n{node} is asked to hand over"),
            TransferStep::Asks(Some(to)) => write!(f, "n{node} is asked to hand over to n{}", to.get()),
            TransferStep::Answers(outcome) => {
                write!(f, "n{node} answers the request to hand over: {outcome:?}")
            }
        }
    }
}

/// A write that is asked for from outside, and its answer.
#[derive(Debug)]
pub(crate) struct Probe<'a> {
    pub(crate) node: usize,
    pub(crate) number: u64,
    pub(crate) outcome: Option<&'a Outcome>,
}

impl Hash for Probe<'_> {
    fn hash<H: Hasher>(&self, to: &mut H) {
        let outcome = self.outcome.map(|outcome| matches!(outcome, Outcome::Done(_)));
        let code = outcome.map_or(0xb6, |is_done| 0xb7 + u64::from(is_done));
        write_all(to, &[code, self.node as u64, self.number]);
    }
}

impl Display for Probe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (node, number) = (self.node + 1, self.number);
        match self.outcome {
            None => write!(f, "n{node} is asked for write {number}"),
            Some(outcome) => write!(f, "n{node} answers write {number}: {outcome:?}"),
        }
    }
}

impl Hash for ClientHappening<'_> {
    fn hash<H: Hasher>(&self, to: &mut H) {
        match self {
            Self::Asks {
                client, turn, node, ..
            } => write_all(to, &[0xa0, *client as u64, *turn, *node as u64]),
            Self::IsAnswered {
                client, turn, node, ..
            } => write_all(to, &[0xa1, *client as u64, *turn, *node as u64]),
            Self::Completes {
                client, turn, kind, ..
            } => write_all(to, &[0xa2, *client as u64, *turn, *kind as u64]),
            Self::Bursts {
                pipeline,
                connection,
                requests,
            } => write_all(to, &[0xb0, *pipeline as u64, *connection, *requests as u64]),
            Self::BurstIsAnswered { pipeline, number, .. } => {
                write_all(to, &[0xb1, *pipeline as u64, *number]);
            }
            Self::Draws {
                client,
                node,
                requests,
            } => write_all(to, &[0xb4, *client as u64, *node as u64, *requests as u64]),
            Self::DrawnIsAnswered { client, number, .. } => {
                write_all(to, &[0xb5, *client as u64, *number]);
            }
            Self::Session(session) => session.hash(to),
            Self::AsksForVoters { node, id, voters } => {
                let bits = voters.iter().fold(0, |bits, id| bits | 1 << (id.get() % 64));
                write_all(to, &[0xb2, *node as u64, id.0, bits]);
            }
            Self::VotersAreAnswered { node, id, outcome } => {
                let is_done = matches!(outcome, Outcome::Done(_));
                write_all(to, &[0xb3, *node as u64, id.0, u64::from(is_done)]);
            }
            Self::Transfers(transfer) => transfer.hash(to),
            Self::Probes(probe) => probe.hash(to),
        }
    }
}

impl Display for ClientHappening<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asks {
                client,
                node,
                operation,
                ..
            } => {
                let request = operation.request.join(" ");
                write!(f, "client {client} asks n{}: {request}", node + 1)
            }
            Self::IsAnswered {
                client,
                node,
                outcome,
                ..
            } => write!(f, "n{} answers client {client}: {outcome:?}", node + 1),
            Self::Completes {
                client,
                result: Ok(completion),
                ..
            } => write!(
                f,
                "client {client} has its answer: {}",
                completion_words(completion)
            ),
            Self::Completes {
                client,
                result: Err(error),
                ..
            } => write!(f, "client {client} has no answer: {error}"),
            Self::Bursts {
                pipeline,
                connection,
                requests,
            } => write!(
                f,
                "pipeline {pipeline} asks {requests} requests over connection {connection}"
            ),
            Self::BurstIsAnswered {
                pipeline,
                number,
                outcome,
            } => write!(f, "pipeline {pipeline}, request {number}: {outcome:?}"),
            Self::Draws {
                client,
                node,
                requests,
            } => write!(
                f,
                "client {client} of all commands asks n{} {requests} requests",
                node + 1
            ),
            Self::DrawnIsAnswered {
                client,
                number,
                outcome,
            } => write!(
                f,
                "client {client} of all commands, request {number}: {outcome:?}"
            ),
            Self::Session(session) => Display::fmt(session, f),
            Self::AsksForVoters { node, voters, .. } => {
                write!(f, "n{} is asked for the voters {:?}", node + 1, numbers(voters))
            }
            Self::VotersAreAnswered { node, outcome, .. } => {
                write!(f, "n{} answers the request for voters: {outcome:?}", node + 1)
            }
            Self::Transfers(transfer) => Display::fmt(transfer, f),
            Self::Probes(probe) => Display::fmt(probe, f),
        }
    }
}

fn numbers(voters: &BTreeSet<NodeId>) -> Vec<u64> {
    voters.iter().map(|id| id.get()).collect()
}

/// Something that happens to a client of `READONLY`, of `MULTI`, or of a session.
#[derive(Debug)]
pub(crate) enum SessionHappening<'a> {
    /// One reads a few things that may be old.
    Reads {
        reader: usize,
        node: usize,
        requests: usize,
    },
    /// One of these reads is answered.
    IsAnswered {
        reader: usize,
        number: u64,
        outcome: &'a Outcome,
    },
    /// One asks for the next step of a transaction.
    Transacts { client: usize, node: usize },
    /// It is answered.
    TransactIsAnswered {
        client: usize,
        number: u64,
        outcome: &'a Outcome,
    },
    /// One asks for something, perhaps again.
    Retries { client: usize, node: usize },
    /// It is answered.
    RetryIsAnswered {
        client: usize,
        number: u64,
        outcome: &'a Outcome,
    },
}

impl Hash for SessionHappening<'_> {
    fn hash<H: Hasher>(&self, to: &mut H) {
        match self {
            Self::Reads {
                reader,
                node,
                requests,
            } => write_all(to, &[0xbc, *reader as u64, *node as u64, *requests as u64]),
            Self::IsAnswered { reader, number, .. } => {
                write_all(to, &[0xbd, *reader as u64, *number]);
            }
            Self::Transacts { client, node } => {
                write_all(to, &[0xbe, *client as u64, *node as u64]);
            }
            Self::TransactIsAnswered { client, number, .. } => {
                write_all(to, &[0xbf, *client as u64, *number]);
            }
            Self::Retries { client, node } => {
                write_all(to, &[0xd8, *client as u64, *node as u64]);
            }
            Self::RetryIsAnswered { client, number, .. } => {
                write_all(to, &[0xd9, *client as u64, *number]);
            }
        }
    }
}

impl Display for SessionHappening<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reads {
                reader,
                node,
                requests,
            } => write!(
                f,
                "client {reader} of what may be old asks n{} {requests} reads",
                node + 1
            ),
            Self::IsAnswered {
                reader,
                number,
                outcome,
            } => write!(
                f,
                "client {reader} of what may be old, read {number}: {outcome:?}"
            ),
            Self::Transacts { client, node } => {
                write!(f, "client {client} of accounts asks n{}", node + 1)
            }
            Self::TransactIsAnswered {
                client,
                number,
                outcome,
            } => write!(f, "client {client} of accounts, request {number}: {outcome:?}"),
            Self::Retries { client, node } => {
                write!(f, "client {client} that asks again asks n{}", node + 1)
            }
            Self::RetryIsAnswered {
                client,
                number,
                outcome,
            } => write!(
                f,
                "client {client} that asks again, request {number}: {outcome:?}"
            ),
        }
    }
}
