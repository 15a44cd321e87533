//! The simulated world: everything that takes part, and what each event does.
//!
//! Invariant: one thread, virtual time. What happens is a function of the plan and the seed: every draw comes
//! from a generator that belongs to one part, and every collection that is walked has an order.

mod aims;
mod bare;
mod branches;
mod clients;
mod clocks;
mod commands;
mod coups;
mod crossings;
mod damage;
mod drive;
mod ends;
mod faults;
mod getting_on;
mod holds;
mod levels;
mod look;
mod members;
mod outside;
mod pipelines;
mod rejoin;
mod removal;
mod retriers;
mod settle;
mod snapshots;
mod stale_readers;
mod starts;
mod storage;
mod table;
mod transactors;
mod transfers;
mod twins;
mod voters;
mod votes;

use noraftd::prng::Prng;
use noraftd::replica::event::Input;

use crate::damage::atlas::Atlas;
use crate::plan::Plan;
use crate::sim::journal::Journal;
use crate::sim::journal::counters::Counters;
use crate::sim::journal::happening::{Happening, RunHappening};
use crate::sim::journal::history::History;
use crate::sim::journal::samples::Samples;
use crate::sim::journal::trace::{Lines, Trace};
use crate::sim::parts::checks::Checks;
use crate::sim::parts::clients::Clients;
use crate::sim::parts::event::{ClientEvent, Event, LaneEvent, LinkEvent, NodeEvent, RunEvent};
use crate::sim::parts::lanes::SimNemesis;
use crate::sim::parts::levels::Levels;
use crate::sim::parts::members::{Operator, Order};
use crate::sim::parts::network::Network;
use crate::sim::parts::node::{NORMAL, NodeClock, SimNode};
use crate::sim::parts::phase::{Phase, Progress};
use crate::sim::parts::queue::Queue;
use crate::sim::parts::rule::{BrokenRule, Checked, Rule};
use crate::sim::parts::voters::Voters;
use crate::sim::parts::{MICRO, MILLI};

/// Everything that takes part.
pub(crate) struct World {
    pub(super) plan: Plan,
    pub(super) queue: Queue,
    pub(super) nodes: Vec<SimNode>,
    pub(super) network: Network,
    pub(super) clients: Clients,
    pub(super) nemesis: SimNemesis,
    pub(super) voters: Voters,
    pub(super) levels: Levels,
    pub(super) operator: Operator,
    pub(super) atlas: Atlas,
    pub(super) checks: Checks,
    pub(super) progress: Progress,
    pub(super) journal: Journal,
    /// Decides what belongs to no other part: how long things take, where a crash strikes.
    pub(super) prng: Prng,
}

impl World {
    pub(crate) fn new(plan: &Plan, seed: u64, lines: Lines) -> Self {
        let root = Prng::new(seed).fork(FORK_WORLD);
        let mut clocks = root.fork(FORK_CLOCKS);
        let disks = root.fork(FORK_DISKS);
        let count = plan.nodes_max();
        let nodes = (1..=count as u64)
            .map(|id| SimNode::new(id, &disks, clock(plan, &mut clocks), plan))
            .collect();
        Self {
            queue: Queue::default(),
            nodes,
            network: Network::new(count, &plan.sim.network, &root.fork(FORK_NETWORK)),
            clients: Clients::new(
                plan,
                [
                    FORK_CLIENTS,
                    FORK_PIPELINES,
                    FORK_COMMANDS,
                    FORK_STALE,
                    FORK_TRANSACTORS,
                    FORK_RETRIERS,
                ]
                .map(|label| root.fork(label)),
            ),
            nemesis: SimNemesis::new(plan, seed, root.fork(FORK_COUPS)),
            voters: Voters::new(plan),
            operator: Operator::new(plan),
            levels: Levels::new(plan, root.fork(FORK_LEVELS)),
            atlas: Atlas::new(count, root.fork(FORK_ATLAS)),
            checks: Checks::with_room(plan.cluster.nodes, count),
            progress: Progress::default(),
            journal: Journal {
                samples: (!matches!(lines, Lines::None)).then(Samples::default),
                trace: Trace::new(lines),
                history: History::new(plan, seed),
                counters: Counters::default(),
                coverage: None,
            },
            prng: root.fork(FORK_REST),
            plan: plan.clone(),
        }
    }

    /// Lets everything happen, until the run is over or a rule is broken.
    pub(super) fn run(&mut self) {
        self.begin();
        while self.progress.failure.is_none() && self.progress.phase != Phase::Over {
            let Some(event) = self.queue.pop() else {
                self.fail(Rule::Liveness, "nothing is left that could happen".to_owned());
                return;
            };
            self.happen(event);
        }
    }

    fn begin(&mut self) {
        for node in 0..self.plan.cluster.nodes {
            self.schedule_start(node, 0);
        }
        self.begin_members();
        for client in 0..self.plan.clients.count {
            let at = self.prng.below(CLIENTS_START_WITHIN);
            self.queue
                .push(at, Event::client(client, ClientEvent::Next { turn: 0 }));
        }
        self.begin_pipelines();
        self.begin_commands();
        self.begin_stale_readers();
        self.begin_transactors();
        self.begin_retriers();
        self.begin_lanes();
        self.queue.push(COMPARE_EVERY, Event::Run(RunEvent::Compare));
        let time = self.plan.time.as_millis() * MILLI;
        self.queue.push(time, Event::Run(RunEvent::Calm));
        self.begin_branches();
    }

    fn happen(&mut self, event: Event) {
        let touched = self.touched(&event);
        self.act(event);
        self.look(touched);
        self.sample();
    }

    fn act(&mut self, event: Event) {
        if let Some(node) = self.paused_target(&event) {
            self.nodes[node].held.push(event);
            return;
        }
        let held = self.hold_by_disk(event);
        let Some(event) = held.and_then(|event| self.hold_by_rest(event)) else {
            return;
        };
        match event {
            Event::Node { node, life, event } if self.lives(node, life) => self.node_event(node, event),
            Event::Node { .. } => {}
            Event::Link { link, epoch, event } => match event {
                LinkEvent::Deliver(message) => self.deliver(link, epoch, *message),
                LinkEvent::Garbled => self.deliver_garbled(link, epoch),
                LinkEvent::Connect => self.connect(link, epoch),
            },
            Event::Client { client, event } => match event {
                ClientEvent::Next { turn } => self.next_operation(client, turn),
                ClientEvent::Request { turn, life } => self.request_arrives(client, turn, life),
                ClientEvent::Answer { turn, reply } => self.answer_arrives(client, turn, &reply),
                ClientEvent::Lost { turn } => self.connection_lost(client, turn),
                ClientEvent::GiveUp => self.give_up(client),
            },
            Event::Lane { lane, event } => match event {
                LaneEvent::Begin => self.begin_fault(lane),
                LaneEvent::End { decision } => self.end_fault(lane, decision),
                LaneEvent::Flip { decision } => self.flip(lane, decision),
            },
            Event::Run(event) => self.run_event(&event),
        }
    }

    fn node_event(&mut self, node: usize, event: NodeEvent) {
        match event {
            NodeEvent::Round => self.round(node),
            NodeEvent::Wake { at } => self.wake(node, at),
            NodeEvent::Disconnect { peer } => self.notice_end(node, peer),
            NodeEvent::DiskDone | NodeEvent::DiskRetry => self.disk_done(node),
            NodeEvent::SnapshotDone => self.snapshot_done(node),
            NodeEvent::VoteDone => self.vote_done(node),
            NodeEvent::FetchDone { from, to, bytes_max } => self.fetch_done(node, from, to, bytes_max),
            NodeEvent::SnapshotRead {
                position,
                offset,
                bytes_max,
            } => self.snapshot_read(node, position, offset, bytes_max),
            NodeEvent::DiskDue { at } => self.disk_due(node, at),
            NodeEvent::Scrub => self.scrub(node),
            NodeEvent::Stumble => self.stumble(node),
            NodeEvent::Pipelined { connection, requests } => {
                self.pipelined_arrive(node, connection, requests)
            }
            NodeEvent::StaleReads { connection, requests } => {
                self.stale_reads_arrive(node, connection, requests);
            }
        }
    }

    fn run_event(&mut self, event: &RunEvent) {
        match *event {
            RunEvent::Start { node, attempt } => self.start(node, attempt),
            RunEvent::Rejoin { node } => self.rejoin(node),
            RunEvent::TwinCalls { node } => self.twin_calls(node),
            RunEvent::StopRemoved { request } => self.stop_removed(request),
            RunEvent::Return { node } => self.bring_back(node),
            RunEvent::OrderIsLate { request } => self.order_is_late(request),
            RunEvent::Ask { ref order } => self.ask_again(Order::clone(order)),
            RunEvent::Joins { machine, lane } => self.joins(machine, lane),
            RunEvent::Burst { pipeline } => self.burst(pipeline),
            RunEvent::Commands { client } => self.ask_commands(client),
            RunEvent::ReadStale { reader } => self.read_stale(reader),
            RunEvent::Transact { client } => self.transact(client),
            RunEvent::Retry { client } => self.retry(client),
            RunEvent::BeginCoup { node } => self.begin_coup(node),
            RunEvent::EndCoup { node } => self.end_coup(node),
            RunEvent::Branch { seed } => self.branch_off(seed),
            RunEvent::Compare => self.compare(),
            RunEvent::Calm => self.calm(),
            RunEvent::Settle => self.settle(),
            // `run_for` takes it out itself.
            RunEvent::Look => {}
        }
    }

    /// The node that would have to do something now, if it is paused.
    fn paused_target(&self, event: &Event) -> Option<usize> {
        let node = match event {
            Event::Node { node, .. } => *node,
            Event::Link { link, event, .. } => match event {
                LinkEvent::Deliver(_) | LinkEvent::Garbled => link % self.nodes.len(),
                LinkEvent::Connect => link / self.nodes.len() % self.nodes.len(),
            },
            Event::Client { client, event } => match event {
                ClientEvent::Request { .. } => self.clients.node_of(*client),
                ClientEvent::Next { .. }
                | ClientEvent::Answer { .. }
                | ClientEvent::Lost { .. }
                | ClientEvent::GiveUp => return None,
            },
            Event::Lane { .. } | Event::Run(_) => return None,
        };
        self.nodes[node].is_paused.then_some(node)
    }

    fn lives(&self, node: usize, life: u64) -> bool {
        self.nodes[node].process.is_some() && self.nodes[node].life == life
    }

    /// Something arrives at a running node, which gets around to it soon.
    pub(super) fn arrive(&mut self, node: usize, input: Input) {
        let Some(process) = self.nodes[node].process.as_mut() else {
            return;
        };
        if let Input::Client { id, request, .. } = &input {
            self.checks.levels.asked(id.0, request);
        }
        self.checks.disk_news.said(node, &input);
        process.inbox.push(input);
        let life = self.nodes[node].life;
        let loop_us = self.plan.sim.node.loop_us;
        if loop_us == 0 {
            self.round(node);
        } else if !process_is_due(&mut self.nodes[node]) {
            let at = self.queue.now() + self.prng.below(2 * loop_us * MICRO);
            self.queue.push(at, Event::node(node, life, NodeEvent::Round));
        }
    }

    /// A rule is broken: the run ends here.
    pub(super) fn fail(&mut self, rule: Rule, detail: String) {
        self.journal.note(
            self.queue.now(),
            Happening::Run(RunHappening::Fails {
                rule,
                detail: &detail,
            }),
        );
        self.progress.failure.get_or_insert(BrokenRule {
            rule,
            detail,
            at_ns: self.queue.now(),
        });
    }

    /// Notes what a check said.
    pub(super) fn check(&mut self, checked: Checked) {
        if let Err(broken) = checked {
            self.fail(broken.rule, broken.detail);
        }
    }

    /// Nodes that applied the same have the same state.
    pub(super) fn compare(&mut self) {
        let applied: Vec<Option<u64>> = self
            .nodes
            .iter()
            .map(|node| {
                node.process
                    .as_ref()
                    .map(|p| p.replica.machine().applied_index().get())
            })
            .collect();
        for (at, index) in (0..).zip(&applied) {
            let Some(index) = index else { continue };
            let earlier = applied.iter().take(at).position(|other| *other == Some(*index));
            if let Some(other) = earlier {
                self.compare_two(other, at, *index);
            }
        }
        self.compare_with_semantics();
        self.look_for_a_leader();
        self.compare_retried(false);
        if self.progress.phase == Phase::Disturbed {
            self.queue.after(COMPARE_EVERY, Event::Run(RunEvent::Compare));
        }
    }

    fn compare_two(&mut self, one: usize, other: usize, index: u64) {
        let hash = |at: usize| {
            let process = self.nodes[at].process.as_ref();
            process.map(|process| process.replica.machine().read_state_hash())
        };
        if hash(one) != hash(other) {
            self.fail(
                Rule::EqualStates,
                format!("n{} and n{} applied index {index} and differ", one + 1, other + 1),
            );
        }
    }

    /// The node that leads the highest term, by its own account.
    pub(super) fn leader(&self) -> Option<usize> {
        let leads = |node: &SimNode| {
            let process = node.process.as_ref()?;
            let core = process.replica.node();
            core.role().is_leader().then(|| core.current_term())
        };
        let terms = self.nodes.iter().map(leads).enumerate();
        let led = terms.filter_map(|(at, term)| Some((term?, at)));
        led.max().map(|(_, at)| at)
    }
}

/// True when a round is on its way already; else one will be.
fn process_is_due(node: &mut SimNode) -> bool {
    node.process
        .as_mut()
        .is_none_or(|process| std::mem::replace(&mut process.round_is_due, true))
}

fn clock(plan: &Plan, prng: &mut Prng) -> NodeClock {
    let clock = &plan.sim.clock;
    let rate = prng.between(NORMAL - clock.drift_permille, NORMAL + clock.drift_permille);
    let skew = clock.skew.as_millis();
    let offset = prng.below(2 * skew + 1) as i64 - skew as i64;
    NodeClock::new(rate, offset)
}

/// Separates the world's draws from the nemesis's and the swarm's.
const FORK_WORLD: u64 = 0x0077_6f72_6c64;
// The streams of the world, each with a label of its own: parts that shared one would make the same draws.
const FORK_CLOCKS: u64 = 1;
const FORK_DISKS: u64 = 2;
const FORK_NETWORK: u64 = 3;
const FORK_CLIENTS: u64 = 4;
const FORK_REST: u64 = 5;
const FORK_ATLAS: u64 = 6;
const FORK_PIPELINES: u64 = 7;
const FORK_COUPS: u64 = 8;
const FORK_COMMANDS: u64 = 9;
const FORK_LEVELS: u64 = 10;
const FORK_STALE: u64 = 11;
const FORK_TRANSACTORS: u64 = 12;
const FORK_RETRIERS: u64 = 13;
/// Clients do not begin all at once.
const CLIENTS_START_WITHIN: u64 = 50 * MILLI;
/// Hashing a state costs as much as thousands of events.
const COMPARE_EVERY: u64 = 1000 * MILLI;
