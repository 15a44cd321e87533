//! What of the world is looked at where the kinds of states are counted.
//!
//! Invariant: looking draws nothing and changes nothing; where nothing is counted it costs one comparison an event.

use noraft::Role;
use noraftd::protocol::peer::PeerMessage;

use super::World;
use crate::nodes::{NodeSample, Said};
use crate::sim::journal::coverage::state::{Surroundings, state_of};
use crate::sim::journal::coverage::watcher::Watcher;
use crate::sim::parts::MICRO;
use crate::sim::parts::event::{ClientEvent, Event, LinkEvent};
use crate::sim::parts::network::Way;
use crate::sim::parts::node::SimNode;

/// The nodes whose states an event may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Touched {
    Nothing,
    One(usize),
    All,
}

impl World {
    /// Counts the kinds of states from now on.
    pub(crate) fn count_states(&mut self) {
        self.journal.coverage = Some(Watcher::new(self.nodes.len()));
        self.look(Touched::All);
    }

    /// What has to be looked at after `event`; a message that arrives is looked at now.
    pub(super) fn touched(&mut self, event: &Event) -> Touched {
        if self.journal.coverage.is_none() {
            return Touched::Nothing;
        }
        let nodes = self.nodes.len();
        match event {
            Event::Node { node, .. } => Touched::One(*node),
            Event::Link { link, epoch, event } => match event {
                LinkEvent::Deliver(message) => {
                    self.note_message(*link, *epoch, message);
                    Touched::One(link % nodes)
                }
                LinkEvent::Garbled => Touched::One(link % nodes),
                LinkEvent::Connect => Touched::One(link / nodes % nodes),
            },
            Event::Client { client, event } => match event {
                ClientEvent::Request { .. } => Touched::One(self.clients.node_of(*client)),
                ClientEvent::Next { .. }
                | ClientEvent::Answer { .. }
                | ClientEvent::Lost { .. }
                | ClientEvent::GiveUp => Touched::Nothing,
            },
            Event::Lane { .. } | Event::Run(_) => Touched::All,
        }
    }

    /// Notes what each node is, where that is wanted and it is time.
    pub(super) fn sample(&mut self) {
        let time_ns = self.queue.now();
        let Some(samples) = self
            .journal
            .samples
            .as_mut()
            .filter(|samples| samples.are_due(time_ns))
        else {
            return;
        };
        let nodes = self.nodes.iter();
        let taken = nodes.map(|node| NodeSample {
            time_ns,
            node: node.id.get(),
            said: said(node),
        });
        samples.take(time_ns, taken);
    }

    /// Counts the states of the nodes that something happened to.
    pub(super) fn look(&mut self, touched: Touched) {
        let Some(watcher) = self.journal.coverage.as_mut() else {
            return;
        };
        let range = match touched {
            Touched::Nothing => return,
            Touched::One(at) => at..at + 1,
            Touched::All => 0..self.nodes.len(),
        };
        let terms = || self.nodes.iter().filter_map(term_of);
        let greatest = terms().max().unwrap_or(0);
        let around = Surroundings {
            greatest,
            in_greatest: terms().filter(|term| *term == greatest).count(),
            checks: &self.checks,
            cut: self.network.has_cuts().then_some(&self.network),
        };
        for at in range {
            let state = state_of(&self.nodes[at], self.atlas.has_refused(at), &around);
            watcher.saw(at, state);
        }
        watcher.saw_cluster(self.queue.now());
    }

    /// Counts what becomes of a message.
    pub(super) fn look_at_way(&mut self, way: Way) {
        if let Some(watcher) = self.journal.coverage.as_mut() {
            let usual = self.network.conditions.delay_us * MICRO;
            watcher.sent(way, self.queue.now(), usual);
        }
    }

    /// Counts a message that outlived its connection.
    pub(super) fn look_at_crossing(&mut self) {
        if let Some(watcher) = self.journal.coverage.as_mut() {
            watcher.crossed();
        }
    }

    fn note_message(&mut self, link: usize, epoch: u64, message: &PeerMessage) {
        let current = self.network.link(link).epoch;
        let receiver = &self.nodes[link % self.nodes.len()];
        if let (Some(term), Some(watcher)) = (term_of(receiver), self.journal.coverage.as_mut())
            && epoch == current
            && !receiver.is_paused
        {
            watcher.heard(message, term);
        }
    }
}

/// A node that is paused would give no answer.
fn said(node: &SimNode) -> Option<Said> {
    let process = node.process.as_ref().filter(|_| !node.is_paused)?;
    let core = process.replica.node();
    Some(Said {
        leads: core.role() == Role::Leader,
        term: core.current_term().get(),
        commit: core.commit_index().get(),
        applied: process.replica.glance().applied.get(),
    })
}

fn term_of(node: &SimNode) -> Option<u64> {
    let process = node.process.as_ref()?;
    Some(process.replica.node().current_term().get())
}
