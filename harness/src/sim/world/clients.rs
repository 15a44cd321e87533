//! What clients do: ask, wait, give up, and go through the finale.
//!
//! Invariant: a client talks to one process of one node; when that process is gone, what the client asked of it is
//! lost, and its outcome unknown.

use noraftd::prng::Prng;
use noraftd::protocol::command::Class;
use noraftd::protocol::outcome::Outcome;
use noraftd::protocol::resp::Reply;
use noraftd::replica::event::{ConnectionId, Input, RequestId};

use super::World;
use crate::client::CallError;
use crate::interpreter::{ROAM_ONE_IN, completion_event, invocation};
use crate::sim::journal::happening::{ClientHappening, Happening};
use crate::sim::parts::MILLI;
use crate::sim::parts::checks::body_hash;
use crate::sim::parts::checks::reads::{Answerer, AsLeader, Asker};
use crate::sim::parts::clients::{Finale, Open, read_reply, request_of, words_of};
use crate::sim::parts::commands::drawn;
use crate::sim::parts::event::{ClientEvent, Event};
use crate::sim::parts::levels::is_raise;
use crate::sim::parts::members::{is_member, is_not_answered};
use crate::sim::parts::network::delay;
use crate::sim::parts::phase::Phase;
use crate::sim::parts::pipelines::is_pipelined;
use crate::sim::parts::probes::is_probe;
use crate::sim::parts::retriers::retried;
use crate::sim::parts::rule::Rule;
use crate::sim::parts::stale_readers::stale_read;
use crate::sim::parts::transactors::transacted;
use crate::sim::parts::transfers::is_transfer;
use crate::sim::parts::voters::is_change;
use crate::workload::{Completion, Operation};

impl World {
    /// A client begins its next operation.
    pub(super) fn next_operation(&mut self, at: usize, turn: u64) {
        let clients = &mut self.clients;
        let client = &mut clients.list[at];
        if client.turn != turn || client.open.is_some() {
            return;
        }
        if client.finale.is_some() {
            self.next_of_finale(at);
        } else if self.progress.phase == Phase::Disturbed {
            let track = *clients.mix.choose(&mut client.prng);
            let operation = clients.workloads[track].next(client.part, &mut client.prng);
            self.begin_operation(at, track, operation);
        }
    }

    fn begin_operation(&mut self, at: usize, track: usize, operation: Operation) {
        let client = &mut self.clients.list[at];
        client.turn += 1;
        let (process, node) = (client.process, client.node);
        let event = self.journal.history.invoke(track, self.queue.now(), |id| {
            invocation(process, id, node as u64 + 1, &operation)
        });
        self.journal.note(
            self.queue.now(),
            Happening::Client(ClientHappening::Asks {
                client: at,
                turn: client.turn,
                node,
                operation: &operation,
            }),
        );
        let request = match request_of(&operation) {
            Ok(request) => request,
            Err(problem) => return self.fail(Rule::Commands, problem),
        };
        self.note_meaning(&request, &words_of(&operation));
        let body = (request.class == Class::Write).then(|| body_hash(&request.body));
        if let Some(body) = body {
            // Some commands, such as INCR, have the bytes of others.
            self.checks.may_be_committed(body);
        }
        let client = &mut self.clients.list[at];
        client.open = Some(Open {
            track,
            operation,
            invocation: event,
            request,
            body,
        });
        let target = &self.nodes[node];
        if target.process.is_none() {
            client.life = None;
            let refused = CallError::Unreachable("no process is listening".to_owned());
            return self.finish_operation(at, Err(refused));
        }
        if client.life.is_some_and(|life| life != target.life) {
            client.life = None;
            let lost = CallError::Lost("the process is another one".to_owned());
            return self.finish_operation(at, Err(lost));
        }
        if client.life.is_none() {
            self.clients.connections += 1;
            client.connection = self.clients.connections;
        }
        client.life = Some(target.life);
        let (life, turn) = (target.life, client.turn);
        let (arrives, gives_up) = (
            self.queue.now() + self.client_delay(),
            self.queue.now() + self.clients.timeout,
        );
        self.queue
            .push(arrives, Event::client(at, ClientEvent::Request { turn, life }));
        let client = &mut self.clients.list[at];
        client.gives_up = gives_up;
        if !std::mem::replace(&mut client.is_timed, true) {
            self.queue.push(gives_up, Event::client(at, ClientEvent::GiveUp));
        }
    }

    fn client_delay(&mut self) -> u64 {
        delay(&mut self.prng, CLIENT_DELAY_US)
    }

    pub(super) fn request_arrives(&mut self, at: usize, turn: u64, life: u64) {
        let client = &self.clients.list[at];
        let Some(open) = client.open.as_ref().filter(|_| client.turn == turn) else {
            // The client is gone, but what it sent is not.
            return;
        };
        let node = client.node;
        let target = &self.nodes[node];
        if target.process.is_none() || target.life != life {
            return self.connection_lost(at, turn);
        }
        let request = open.request.clone();
        let id = RequestId((at as u64) << TURN_BITS | turn);
        if request.class == Class::Read {
            let (now, came_to, log_end) = (self.queue.now(), self.as_leader(node), self.log_end(node));
            self.checks
                .reads
                .came(now, (Asker::Client(at), id.0), &request.body, came_to, log_end);
        }
        let connection = ConnectionId(self.clients.list[at].connection);
        self.checks
            .answers
            .asked(self.queue.now(), self.nodes[node].id, id);
        let input = Input::Client {
            id,
            connection,
            request,
        };
        self.arrive(node, input);
    }

    /// A node answers.
    pub(super) fn reply(&mut self, node: usize, id: RequestId, outcome: Outcome) {
        self.checks.answers.answered(self.nodes[node].id, id);
        let checked = self.checks.levels.answered(id.0, &outcome);
        self.check(checked);
        if is_not_answered(id) {
            return;
        }
        if is_member(id) {
            return self.order_answered(node, id, &outcome);
        }
        if is_raise(id) {
            return self.raise_answered(node, id, &outcome);
        }
        if is_change(id) {
            return self.voters_answered(node, id, &outcome);
        }
        if is_transfer(id) {
            return self.transfer_answered(node, id, &outcome);
        }
        if is_pipelined(id) {
            return self.pipeline_answered(node, id, outcome);
        }
        if let Some((client, number)) = drawn(id) {
            return self.command_answered(client, number, &outcome);
        }
        if let Some(request) = transacted(id) {
            return self.transact_answered(node, request, &outcome);
        }
        if let Some(request) = retried(id) {
            return self.retry_answered(node, request, &outcome);
        }
        if let Some(read) = stale_read(id) {
            return self.stale_answered(read, outcome);
        }
        if is_probe(id) {
            return self.probe_answered(node, id, &outcome);
        }
        let (at, turn) = ((id.0 >> TURN_BITS) as usize, id.0 & TURN_MASK);
        let client = &self.clients.list[at];
        let current = client.open.as_ref().filter(|_| client.turn == turn);
        let body = current.and_then(|open| open.body);
        self.journal.note(
            self.queue.now(),
            Happening::Client(ClientHappening::IsAnswered {
                client: at,
                turn,
                node,
                outcome: &outcome,
            }),
        );
        if let Some(body) = body {
            self.check_written(body, &outcome);
        }
        if let Outcome::Done(reply) = &outcome {
            let (asker, by) = (Asker::Client(at), self.answerer(node));
            let checked = self.checks.reads.answered(asker, id.0, reply, &by);
            self.check(checked);
            self.check_confirmed(asker, id, by.is);
        }
        let arrives = self.queue.now() + self.client_delay();
        let reply = Box::new(outcome.into_reply());
        self.queue
            .push(arrives, Event::client(at, ClientEvent::Answer { turn, reply }));
    }

    /// A client learns what became of its write.
    pub(super) fn check_written(&mut self, body: u64, outcome: &Outcome) {
        let checked = match outcome {
            Outcome::Done(_) => self.checks.acknowledged(body),
            Outcome::Refused(_) => self.checks.refused(body),
            Outcome::Indefinite(_) => Ok(()),
        };
        self.check(checked);
    }

    /// A leader answers: if it is a read that came to it, a majority has confirmed it since.
    pub(super) fn check_confirmed(&mut self, asker: Asker, id: RequestId, by: AsLeader) {
        if let Some(since) = self.checks.reads.came_to_leader(asker, id.0, by) {
            let checked = self.checks.confirmed.check(self.nodes[by.node].id, since);
            self.check(checked);
            let process = self.nodes[by.node].process.as_ref();
            let checked = process.map_or(Ok(()), |process| {
                self.checks.handing_over.answers_read(&process.replica)
            });
            self.check(checked);
        }
    }

    /// The node, and the term that it leads.
    /// Where the log of a node ends.
    pub(super) fn log_end(&self, node: usize) -> u64 {
        let process = self.nodes[node].process.as_ref();
        process.map_or(0, |process| {
            process.replica.node().log().last_position().index.get()
        })
    }

    pub(super) fn as_leader(&self, node: usize) -> AsLeader {
        let process = self.nodes[node].process.as_ref();
        let core = process.map(|process| process.replica.node());
        let core = core.filter(|core| core.role().is_leader());
        let term = core.map(|core| core.current_term().get());
        AsLeader { node, term }
    }

    pub(super) fn answerer(&self, node: usize) -> Answerer {
        let process = self.nodes[node].process.as_ref();
        let applied = process.map(|process| process.replica.machine().applied_index().get());
        Answerer {
            is: self.as_leader(node),
            applied: applied.unwrap_or(0),
        }
    }

    pub(super) fn answer_arrives(&mut self, at: usize, turn: u64, reply: &Reply) {
        let client = &self.clients.list[at];
        let Some(open) = client.open.as_ref().filter(|_| client.turn == turn) else {
            return;
        };
        let workload = &self.clients.workloads[open.track];
        let result = read_reply(workload.as_ref(), &open.operation, reply);
        self.finish_operation(at, result);
    }

    pub(super) fn connection_lost(&mut self, at: usize, turn: u64) {
        if self.clients.list[at].turn == turn {
            self.finish_operation(at, Err(CallError::Lost("the node is gone".to_owned())));
        }
    }

    pub(super) fn give_up(&mut self, at: usize) {
        let client = &mut self.clients.list[at];
        client.is_timed = client.open.is_some() && client.gives_up > self.queue.now();
        if client.is_timed {
            self.queue
                .push(client.gives_up, Event::client(at, ClientEvent::GiveUp));
        } else {
            let patience = std::time::Duration::from_nanos(self.clients.timeout);
            self.finish_operation(at, Err(CallError::Timeout(patience)));
        }
    }

    /// The process that these clients talk to is gone.
    pub(super) fn lose_clients(&mut self, node: usize) {
        self.lose_pipelines(node);
        for at in 0..self.clients.list.len() {
            let client = &self.clients.list[at];
            if client.node == node && client.open.is_some() {
                let turn = client.turn;
                let notices = self.queue.now() + self.client_delay();
                self.queue
                    .push(notices, Event::client(at, ClientEvent::Lost { turn }));
            }
            if self.clients.list[at].node == node {
                self.clients.list[at].life = None;
            }
        }
    }

    fn finish_operation(&mut self, at: usize, result: Result<Completion, CallError>) {
        let client = &mut self.clients.list[at];
        let Some(open) = client.open.take() else { return };
        self.checks.reads.over(Asker::Client(at));
        let client = &mut self.clients.list[at];
        let event = completion_event(&open.invocation, &result);
        self.journal.note(
            self.queue.now(),
            Happening::Client(ClientHappening::Completes {
                client: at,
                turn: client.turn,
                kind: event.kind,
                result: &result,
            }),
        );
        self.journal.history.complete(open.track, self.queue.now(), event);
        if let Err(error) = &result {
            if !error.is_definite() {
                self.clients.list[at].process = self.clients.fresh_process();
            }
            if !error.keeps_connection() {
                self.clients.list[at].life = None;
            }
        }
        if self.clients.list[at].finale.is_some() {
            self.finale_finished(at, open.track, result);
        } else {
            self.go_on(at, result.is_ok());
        }
    }

    /// Chooses where to go, and when, as the interpreter's clients do.
    fn go_on(&mut self, at: usize, succeeded: bool) {
        let nodes = self.doors();
        let client = &mut self.clients.list[at];
        let turn = client.turn;
        let others = nodes - 1;
        let mut door = None;
        if succeeded {
            if client.prng.chance(1, ROAM_ONE_IN) {
                door = Some(client.prng.below(nodes));
                client.life = None;
            }
        } else if client.life.is_none() && others > 0 {
            door = Some((client.node as u64 + 1 + client.prng.below(others)) % nodes);
        } else if client.prng.chance(1, 2) {
            door = Some(client.prng.below(nodes));
            client.life = None;
        }
        if let Some(door) = door {
            self.clients.list[at].node = self.door(door);
        }
        let pause = if succeeded { 0 } else { self.clients.pause };
        let begins = self.clients.reserve(self.queue.now() + pause + LOOK_AT_REPLY);
        self.queue
            .push(begins, Event::client(at, ClientEvent::Next { turn }));
    }

    /// Every node gets a client of its own, which goes through the finale of every workload.
    pub(super) fn begin_finale(&mut self) {
        let serving: Vec<usize> = self.serving().collect();
        for node in serving {
            let finale = Finale {
                track: 0,
                done: Vec::new(),
                since: self.queue.now(),
                is_over: false,
            };
            let prng = Prng::new(node as u64);
            let client = self.clients.add(node, prng, Some(finale));
            self.queue
                .after(0, Event::client(client, ClientEvent::Next { turn: 0 }));
        }
    }

    /// True when every node has served everything.
    pub(super) fn finale_is_over(&self) -> bool {
        let finales = self
            .clients
            .list
            .iter()
            .filter_map(|client| client.finale.as_ref());
        finales.into_iter().all(|finale| finale.is_over)
    }

    fn next_of_finale(&mut self, at: usize) {
        let clients = &mut self.clients;
        let Some(finale) = clients.list[at].finale.as_mut() else {
            return;
        };
        let Some(workload) = clients.workloads.get(finale.track) else {
            finale.is_over = true;
            return;
        };
        let track = finale.track;
        match workload.finale(&finale.done) {
            Some(operation) => self.begin_operation(at, track, operation),
            None => {
                finale.track += 1;
                finale.done.clear();
                self.next_of_finale(at);
            }
        }
    }

    fn finale_finished(&mut self, at: usize, track: usize, result: Result<Completion, CallError>) {
        let patience = self.plan.limits.recovery;
        let now = self.queue.now();
        // An order whose outcome nothing is known of may be done as late as this.
        let was_removed = !self.is_member(self.clients.list[at].node);
        let client = &mut self.clients.list[at];
        let (turn, node) = (client.turn, client.node);
        let Some(finale) = client.finale.as_mut() else {
            return;
        };
        match result {
            Ok(completion) => {
                finale.done.push(completion);
                finale.since = now;
                self.queue
                    .push(now + LOOK_AT_REPLY, Event::client(at, ClientEvent::Next { turn }));
            }
            Err(_) if was_removed => finale.is_over = true,
            Err(error) if now - finale.since > patience.as_millis() * MILLI => {
                let name = self.clients.workloads[track].name();
                self.stand_still(format!(
                    "n{} did not serve the {name} workload within {patience} of the last heal: {error}",
                    node + 1
                ));
            }
            Err(_) => self
                .queue
                .push(now + RETRY_PAUSE, Event::client(at, ClientEvent::Next { turn })),
        }
    }
}

/// A [`RequestId`] names a client and one of its turns.
const TURN_BITS: u32 = 40;

const TURN_MASK: u64 = (1 << TURN_BITS) - 1;

/// Clients are near their nodes.
const CLIENT_DELAY_US: u64 = 30;

/// Between a reply and the next request.
const LOOK_AT_REPLY: u64 = 10_000;

/// Between two tries of the finale.
const RETRY_PAUSE: u64 = 50 * MILLI;
