//! A world that is driven from outside, step by step: no nemesis, no workload, no end of its own.
//!
//! Invariant: what the driver does happens between two events, at the time of the earlier one.

use bytes::Bytes;
use noraft::{LogPosition, Node};
use noraftd::protocol::command::{Parsed, parse};
use noraftd::protocol::outcome::Outcome;
use noraftd::protocol::peer::Lane;
use noraftd::replica::event::{ConnectionId, Input, RequestId};

use super::World;
use crate::plan::CutMode;
use crate::sim::journal::happening::{ClientHappening, Happening, LinkHappening, Probe};
use crate::sim::parts::checks::body_hash;
use crate::sim::parts::event::{Event, NodeEvent, RunEvent};
use crate::sim::parts::network::LANES;
use crate::sim::parts::rule::BrokenRule;

impl World {
    /// Starts the nodes, and nothing else.
    pub(in crate::sim) fn begin_quietly(&mut self) {
        for node in 0..self.nodes.len() {
            self.schedule_start(node, 0);
        }
    }

    /// Lets everything happen for so long; false when a rule is broken.
    pub(in crate::sim) fn run_for(&mut self, ns: u64) -> bool {
        self.queue.after(ns, Event::Run(RunEvent::Look));
        while self.progress.failure.is_none() {
            match self.queue.pop() {
                Some(Event::Run(RunEvent::Look)) => return true,
                Some(event) => self.happen(event),
                None => unreachable!("the look that was scheduled is still to come"),
            }
        }
        false
    }

    pub(in crate::sim) fn now(&self) -> u64 {
        self.queue.now()
    }

    pub(in crate::sim) fn broken(&self) -> Option<&BrokenRule> {
        self.progress.failure.as_ref()
    }

    pub(in crate::sim) fn trace_hash(&self) -> u64 {
        self.journal.trace.hash()
    }

    /// Opens a link between two nodes, or cuts it in this way. A sender learns of a connection that is reset.
    pub(in crate::sim) fn set_link(&mut self, from: usize, to: usize, cut: Option<CutMode>) {
        for lane in LANES {
            let at = self.network.lane_between(from, to, lane);
            let link = self.network.link(at);
            if link.cut_mode() == cut {
                continue;
            }
            link.heal(OUTSIDE);
            if let Some(mode) = cut {
                link.cut(OUTSIDE, mode);
            } else if !link.is_open {
                self.dial(at);
            }
            let happening = LinkHappening::IsSet {
                link: at,
                from,
                to,
                lane,
                cut,
            };
            self.journal.note(self.queue.now(), Happening::Link(happening));
            if cut == Some(CutMode::Reset) && lane == Lane::First {
                let life = self.nodes[from].life;
                self.queue
                    .after(0, Event::node(from, life, NodeEvent::Disconnect { peer: to }));
            }
        }
    }

    /// Asks a node to write something that was never written; gives the number of the request.
    pub(in crate::sim) fn ask_to_write(&mut self, node: usize) -> u64 {
        let (number, id) = self.clients.probes.next_id();
        let words = ["SET".to_owned(), "probe".to_owned(), number.to_string()];
        let Ok(Parsed::Replicated(request)) = parse(words.map(Bytes::from).into()) else {
            unreachable!("SET is a command for the state machine");
        };
        self.note_probe(node, number, None);
        self.clients.probes.asked(number, body_hash(&request.body));
        let connection = ConnectionId(number);
        self.arrive(
            node,
            Input::Client {
                id,
                connection,
                request,
            },
        );
        number
    }

    pub(super) fn probe_answered(&mut self, node: usize, id: RequestId, outcome: &Outcome) {
        let (number, written) = self.clients.probes.answered(id, outcome, self.queue.now());
        self.note_probe(node, number, Some(outcome));
        if let Some(body) = written {
            let checked = self.checks.acknowledged(body);
            self.check(checked);
        }
    }

    fn note_probe(&mut self, node: usize, number: u64, outcome: Option<&Outcome>) {
        let probe = ClientHappening::Probes(Probe {
            node,
            number,
            outcome,
        });
        self.journal.note(self.queue.now(), Happening::Client(probe));
    }

    /// When the request was answered, and whether the write succeeded.
    pub(in crate::sim) fn answer_to(&self, number: u64) -> Option<(u64, bool)> {
        self.clients.probes.answer_to(number)
    }

    /// The node that leads, once every node has its log and knows that all of it is committed.
    pub(in crate::sim) fn leader_of_equals(&self) -> Option<usize> {
        let leader = self.leader()?;
        let last = self.last_position(leader);
        let has_all = |at: usize| {
            self.core(at)
                .is_some_and(|core| core.log().last_position() == last && core.commit_index() == last.index)
        };
        (0..self.nodes.len()).all(has_all).then_some(leader)
    }

    pub(in crate::sim) fn leads(&self, at: usize) -> bool {
        self.core(at).is_some_and(|core| core.role().is_leader())
    }

    /// The highest term that a node has.
    pub(in crate::sim) fn highest_term(&self) -> u64 {
        let terms = (0..self.nodes.len()).filter_map(|at| Some(self.core(at)?.current_term().get()));
        terms.max().unwrap_or(0)
    }

    /// Where a node's log ends.
    pub(in crate::sim) fn last_position(&self, at: usize) -> LogPosition {
        let core = self.core(at);
        core.map_or(LogPosition::ZERO, |core| core.log().last_position())
    }

    fn core(&self, at: usize) -> Option<&Node> {
        let process = self.nodes[at].process.as_ref()?;
        Some(process.replica.node())
    }
}

/// The lane of the cuts from outside; there is no nemesis.
const OUTSIDE: usize = 0;
