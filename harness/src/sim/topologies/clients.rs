//! The clients of a trial: one at each node, which writes, waits, and writes again.
//!
//! Invariant: each write is another one, over a connection of its own; what a client has given up counts for nothing.

use super::limits::TIMEOUT;
use crate::sim::world::World;

/// All clients, by the names of the nodes that they talk to.
#[derive(Debug)]
pub(super) struct Clients {
    list: Vec<Client>,
}

#[derive(Debug, Clone, Default)]
struct Client {
    /// The node of the world.
    node: usize,
    /// What was asked last, and when.
    open: Option<(u64, u64)>,
    /// When it asks next.
    next: u64,
    first_success: Option<u64>,
    last_success: Option<u64>,
}

impl Clients {
    pub(super) fn new(nodes: usize) -> Self {
        Self {
            list: vec![Client::default(); nodes],
        }
    }

    /// The nodes have names now.
    pub(super) fn begin(&mut self, nodes: &[usize]) {
        for (client, node) in self.list.iter_mut().zip(nodes) {
            client.node = *node;
        }
    }

    /// A write that is not waited for.
    pub(super) fn write(&self, world: &mut World, name: usize) {
        world.ask_to_write(self.list[name].node);
    }

    /// What was written before the cut is no proof.
    pub(super) fn forget_all(&mut self) {
        for client in &mut self.list {
            client.open = None;
        }
    }

    pub(super) fn first_success(&self, name: usize) -> Option<u64> {
        self.list[name].first_success
    }

    pub(super) fn last_success(&self, name: usize) -> Option<u64> {
        self.list[name].last_success
    }

    /// Looks at the answers, and asks again where it is time.
    pub(super) fn look(&mut self, world: &mut World) {
        for client in &mut self.list {
            client.look(world);
        }
    }
}

impl Client {
    fn look(&mut self, world: &mut World) {
        if let Some((number, since)) = self.open {
            let answer = world.answer_to(number);
            if let Some((at, true)) = answer {
                self.first_success.get_or_insert(at);
                self.last_success = Some(at);
            }
            if answer.is_none() && world.now() - since < PATIENCE {
                return;
            }
            let succeeded = answer.is_some_and(|(_, succeeded)| succeeded);
            self.next = world.now() + if succeeded { TIMEOUT } else { PAUSE };
            self.open = None;
        }
        if world.now() >= self.next {
            self.open = Some((world.ask_to_write(self.node), world.now()));
        }
    }
}

/// Longer than the daemon's own limit.
const PATIENCE: u64 = TIMEOUT * 5 / 2;
/// After a failure.
const PAUSE: u64 = TIMEOUT / 4;
