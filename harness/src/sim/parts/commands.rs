//! Clients that ask for anything: every command about keys, with arguments at their edges.
//!
//! Invariant: what each is answered, and what it leaves behind, is what the second implementation says
//! (`semantics.rs`). Their keys are of no workload.

use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use noraftd::level::Level;
use noraftd::prng::Prng;
use noraftd::protocol::command::Request;
use noraftd::replica::event::RequestId;
use noraftd::time::Stamp;

use super::checks::body_hash;
use super::semantics::Semantics;
use crate::keyspace::Request as Asked;
use crate::keyspace::draw::{Vocabulary, about_keys};
use crate::plan::Plan;

/// All of them, and what they are to be answered.
#[derive(Debug)]
pub(crate) struct Commands {
    pub(crate) list: Vec<Commander>,
    pub(crate) semantics: Semantics,
    vocabulary: Vocabulary,
    connections: u64,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Commander {
    pub(crate) node: usize,
    /// The process of the node that it is connected to.
    pub(crate) life: Option<u64>,
    pub(crate) connection: u64,
    pub(crate) prng: Prng,
    /// Requests so far.
    number: u64,
    /// Those without an answer.
    pub(crate) open: BTreeMap<u64, OpenCommand>,
}

/// A request without an answer.
#[derive(Debug)]
pub(crate) struct OpenCommand {
    pub(crate) words: Vec<Bytes>,
    pub(crate) request: Rc<Asked>,
    /// Names the command.
    pub(crate) body: u64,
    /// The last index that was committed anywhere when it was asked.
    pub(crate) since: u64,
}

impl Commands {
    pub(crate) fn new(plan: &Plan, prng: &Prng) -> Self {
        let list = (0..plan.clients.commands as u64).map(|slot| Commander {
            node: 0,
            life: None,
            connection: 0,
            prng: prng.fork(slot),
            number: 0,
            open: BTreeMap::new(),
        });
        Self {
            list: list.collect(),
            semantics: Semantics::new(of_leaders()),
            vocabulary: Vocabulary {
                has_expiry: plan.clients.expiry,
                ..Vocabulary::new(KEY_PREFIX)
            },
            connections: 0,
        }
    }

    /// True when somebody wants to know what commands mean.
    pub(crate) fn are_checked(&self) -> bool {
        !self.list.is_empty()
    }

    /// The client takes another connection, to a node of `nodes`; what it waited for it waits for no more.
    pub(crate) fn reconnect(&mut self, at: usize, nodes: u64) {
        self.connections += 1;
        let commander = &mut self.list[at];
        commander.connection = CONNECTIONS | self.connections;
        commander.node = commander.prng.below(nodes) as usize;
        commander.open.clear();
    }

    /// The next command of a client, when the wall clocks of right nodes show `wall`.
    pub(crate) fn draw(&mut self, at: usize, wall: Stamp) -> Vec<Bytes> {
        self.vocabulary.now = wall.as_millis();
        about_keys(&mut self.list[at].prng, &self.vocabulary)
    }
}

impl Commander {
    /// Notes a request that is on its way; gives its name.
    pub(crate) fn note(&mut self, at: usize, command: OpenCommand) -> u64 {
        self.number += 1;
        self.open.insert(self.number, command);
        DRAWN | (at as u64) << NUMBER_BITS | self.number
    }
}

/// The commands that leaders append by themselves, by the hashes of their bodies: the clock goes on, the level rises.
pub(crate) fn of_leaders() -> [u64; 2] {
    let (clock, raise) = (Request::for_clock(), Request::to_raise(Level::SUPPORTED));
    [body_hash(&clock.body), body_hash(&raise.body)]
}

/// The client and the number of the request, when it is one of ours.
pub(crate) fn drawn(id: RequestId) -> Option<(usize, u64)> {
    let is_ours = id.0 & DRAWN != 0;
    is_ours.then_some((((id.0 & !DRAWN) >> NUMBER_BITS) as usize, id.0 & NUMBER_MASK))
}

/// Distinguishes these requests from others.
const DRAWN: u64 = 1 << 61;
/// Distinguishes these connections from others.
const CONNECTIONS: u64 = 1 << 61;
/// A [`RequestId`] names a client and the number of its request.
const NUMBER_BITS: u32 = 40;
const NUMBER_MASK: u64 = (1 << NUMBER_BITS) - 1;
/// Of keys that are of no workload.
const KEY_PREFIX: &str = "commands:";
