//! Clients: what each of them does at the moment, and how requests and replies are read.
//!
//! Invariant: as in `crate::interpreter`: a process has at most one operation open, and does nothing after one whose
//! outcome is unknown. Requests are parsed by the daemon's own parser, replies by the real client's.

use bytes::{Bytes, BytesMut};
use noraftd::prng::Prng;
use noraftd::protocol::command::{Parsed, Request, parse};
use noraftd::protocol::resp::{Reply, RespVersion};

use super::MILLI;
use super::commands::Commands;
use super::event::Event;
use super::pipelines::Pipelines;
use super::probes::Probes;
use super::retriers::Retriers;
use super::stale_readers::StaleReaders;
use super::transactors::Transactors;
use crate::client::{CallError, parse as parse_reply};
use crate::generator::Mix;
use crate::op::HistoryEvent;
use crate::plan::Plan;
use crate::workload::{Completion, Operation, Part, Workload, from_plan};

/// All clients.
pub(crate) struct Clients {
    /// Those that do not wait for answers.
    pub(crate) pipelines: Pipelines,
    /// Those that ask for anything.
    pub(crate) commands: Commands,
    /// Those of `READONLY`.
    pub(crate) stale_readers: StaleReaders,
    /// Those that move amounts between accounts.
    pub(crate) transactors: Transactors,
    /// Those that ask for each thing until it is answered.
    pub(crate) retriers: Retriers,
    /// Writes that a driver from outside asks for.
    pub(crate) probes: Probes,
    pub(crate) list: Vec<SimClient>,
    pub(crate) rest: Resting,
    pub(crate) workloads: Vec<Box<dyn Workload>>,
    pub(crate) mix: Mix<usize>,
    pub(crate) next_process: u64,
    /// Connections made so far.
    pub(crate) connections: u64,
    /// When the next turn of the common pace is.
    pub(crate) next_turn: u64,
    pub(crate) interval: u64,
    pub(crate) timeout: u64,
    pub(crate) pause: u64,
}

/// Clients that ask for nothing new for a while.
#[derive(Debug, Default)]
pub(crate) struct Resting {
    /// Of the nemesis, those that want it so.
    pub(crate) lanes: usize,
    /// Those of them in which clients that only read go on.
    pub(crate) reading_lanes: usize,
    /// What they would have begun.
    pub(crate) held: Vec<Event>,
}

/// One client.
pub(crate) struct SimClient {
    pub(crate) part: Part,
    pub(crate) process: u64,
    /// Each connection has a number of its own.
    pub(crate) connection: u64,
    pub(crate) node: usize,
    /// The process of the node that it is connected to.
    pub(crate) life: Option<u64>,
    pub(crate) prng: Prng,
    /// Counts what it does: whatever belongs to an earlier turn is too late.
    pub(crate) turn: u64,
    pub(crate) open: Option<Open>,
    /// How long it waits for what is open.
    pub(crate) gives_up: u64,
    /// An event will come that looks whether it has waited long enough.
    pub(crate) is_timed: bool,
    pub(crate) finale: Option<Finale>,
}

/// An operation under way.
pub(crate) struct Open {
    pub(crate) track: usize,
    pub(crate) operation: Operation,
    pub(crate) invocation: HistoryEvent,
    pub(crate) request: Request,
    /// Names the command, when it writes.
    pub(crate) body: Option<u64>,
}

/// What a client of the final phase has done.
pub(crate) struct Finale {
    pub(crate) track: usize,
    pub(crate) done: Vec<Completion>,
    /// When it last succeeded.
    pub(crate) since: u64,
    pub(crate) is_over: bool,
}

impl Clients {
    pub(crate) fn new(
        plan: &Plan,
        [prng, pipelines, commands, stale, transactors, retriers]: [Prng; 6],
    ) -> Self {
        let weights = plan.workloads.iter().map(|workload| workload.weight()).zip(0..);
        let interval = 1_000_000_000_u64.checked_div(plan.clients.rate).unwrap_or(0);
        let mut clients = Self {
            pipelines: Pipelines::new(plan, &pipelines),
            commands: Commands::new(plan, &commands),
            stale_readers: StaleReaders::new(plan, &stale),
            transactors: Transactors::new(plan, &transactors),
            retriers: Retriers::new(plan, &retriers),
            probes: Probes::default(),
            list: Vec::new(),
            rest: Resting::default(),
            workloads: plan.workloads.iter().map(from_plan).collect(),
            mix: Mix::new(weights).expect("a valid plan has a workload, and each has a weight"),
            next_process: 0,
            connections: 0,
            next_turn: 0,
            interval,
            timeout: plan.clients.timeout.as_millis() * MILLI,
            pause: plan.clients.pause_after_error.as_millis() * MILLI,
        };
        for slot in 0..plan.clients.count as u64 {
            let mut prng = prng.fork(slot);
            let node = prng.below(plan.cluster.nodes as u64) as usize;
            let at = clients.add(node, prng, None);
            if slot < plan.clients.readers as u64 {
                clients.list[at].part = Part::Reader;
            }
        }
        clients
    }

    /// Draws from `root` from now on.
    pub(crate) fn branch_off(&mut self, root: &Prng) {
        let clients = self.list.iter_mut().map(|client| &mut client.prng);
        let pipelines = self.pipelines.list.iter_mut().map(|pipeline| &mut pipeline.prng);
        let commands = self.commands.list.iter_mut().map(|commander| &mut commander.prng);
        let readers = self.stale_readers.list.iter_mut().map(|reader| &mut reader.prng);
        let transactors = self.transactors.list.iter_mut().map(|client| &mut client.prng);
        let retriers = self.retriers.list.iter_mut().map(|client| &mut client.prng);
        let all = clients.chain(pipelines).chain(commands).chain(readers);
        for (at, prng) in (0..).zip(all.chain(transactors).chain(retriers)) {
            *prng = root.fork(at);
        }
    }

    pub(crate) fn add(&mut self, node: usize, prng: Prng, finale: Option<Finale>) -> usize {
        let process = self.fresh_process();
        self.list.push(SimClient {
            process,
            connection: 0,
            node,
            life: None,
            part: Part::All,
            prng,
            turn: 0,
            open: None,
            gives_up: 0,
            is_timed: false,
            finale,
        });
        self.list.len() - 1
    }

    pub(crate) fn fresh_process(&mut self) -> u64 {
        self.next_process += 1;
        self.next_process
    }

    /// The node that a client talks to.
    pub(crate) fn node_of(&self, client: usize) -> usize {
        self.list[client].node
    }

    /// True when no client waits for anything.
    pub(crate) fn are_idle(&self) -> bool {
        self.list.iter().all(|client| client.open.is_none())
    }

    /// The next time at which a client may begin an operation, `earliest` or later.
    pub(crate) fn reserve(&mut self, earliest: u64) -> u64 {
        let at = self.next_turn.max(earliest);
        self.next_turn = at + self.interval;
        at
    }
}

/// The words of an operation's command.
pub(crate) fn words_of(operation: &Operation) -> Vec<Bytes> {
    let words = operation.request.iter();
    words
        .map(|word| Bytes::copy_from_slice(word.as_bytes()))
        .collect()
}

/// The command, as the daemon's own parser understands it.
pub(crate) fn request_of(operation: &Operation) -> Result<Request, String> {
    match parse(words_of(operation)) {
        Ok(Parsed::Replicated(request)) => Ok(request),
        other => Err(format!(
            "`{}` is understood as {other:?}",
            operation.request.join(" ")
        )),
    }
}

/// The reply as it comes over the wire, read by the harness's own parser.
pub(crate) fn read_reply(
    workload: &dyn Workload,
    operation: &Operation,
    reply: &Reply,
) -> Result<Completion, CallError> {
    let mut bytes = BytesMut::new();
    reply.encode(RespVersion::V2, &mut bytes);
    let malformed = |problem: String| CallError::Malformed(problem);
    let parsed = parse_reply(&bytes).map_err(|error| malformed(error.to_string()))?;
    match parsed {
        Some((crate::client::Reply::Error(said), _)) => Err(CallError::from_error_reply(said)),
        Some((reply, length)) if length == bytes.len() => workload
            .complete(operation, &reply)
            .map_err(|error| malformed(error.to_string())),
        Some(_) | None => Err(malformed("not one whole reply".to_owned())),
    }
}

pub(crate) fn completion_words(completion: &Completion) -> String {
    let parts = [
        completion.value.as_ref().map(|value| format!("value {value}")),
        completion.saw.as_ref().map(|saw| format!("found {saw}")),
        completion.at.as_ref().map(|at| format!("at {at}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        "done".to_owned()
    } else {
        parts.join(", ")
    }
}
