//! Clients: which are connected, what they ask, and what they are answered.
//!
//! Invariant: every command of a connection is answered once, in order, until the connection ends; one
//! that cannot be accepted is refused with a definite error. Bytes that are no RESP end the connection,
//! after an error that says so. Per connection the input buffer holds at most one command, which the parser
//! bounds, and what one read brought; all buffers together have a budget, and so have the replies that have not left.
//! A client that takes more than that is disconnected by `house`.

mod house;
mod observed;
mod own;
mod proposing;
mod switches;
mod transactions;
mod wait;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;

use super::alarms;
use super::budget::{Budget, Charge};
use super::clock;
use super::connection::Connection;
use super::descriptors::{OPERATORS, Seat, Seats};
use super::door::{Door, Entrance};
use super::inbox::Inbox;
use super::node_info::{ClientCounts, NodeInfo};
use super::outgoing::Outgoing;
use super::rate_limited_warning::RateLimitedWarning;
use super::read_buffer::ReadBuffer;
use super::requests::{Asker, Requests, Waiter};
use super::resources::{self, Looks};
use super::sockets::{Listener, ReadHalf, Stream};
use crate::local::session::Session;
use crate::protocol::command::{Class, ClientCommand, Local, Parsed, parse, parse_flush};
use crate::protocol::http::is_http;
use crate::protocol::outcome::{Doubt, Outcome, Refusal};
use crate::protocol::resp::{Reply, RequestParser};
use crate::replica::event::{Input, RequestId};
use observed::{CommandDurations, name_of};
use switches::Leaders;

/// All clients of this node.
pub(super) struct Clients {
    inbox: Rc<Inbox>,
    node: Rc<NodeInfo>,
    requests: RefCell<Requests>,
    connections: RefCell<BTreeMap<u64, Rc<Connection>>>,
    /// Connections with replies that the event loop has to flush.
    dirty: RefCell<Vec<Rc<Connection>>>,
    seats: Seats,
    /// Of connections to `admin.sock`, which are no clients.
    operators: Seats,
    /// What clients have sent and is not a whole request yet.
    input: Rc<Budget>,
    /// Replies that clients have not read.
    output: Rc<Budget>,
    /// What clients have sent since `MULTI`.
    kept: Rc<Budget>,
    warnings: RateLimitedWarning,
    accepted: Cell<u64>,
    answered: Cell<u64>,
    commands: CommandDurations,
    is_stopping: Cell<bool>,
    leaders: RefCell<Leaders>,
    http: RateLimitedWarning,
    looks: Looks,
}

impl Clients {
    /// No client yet.
    pub(super) fn new(inbox: Rc<Inbox>, node: Rc<NodeInfo>) -> Rc<Self> {
        let clients = Rc::new(Self {
            inbox,
            node,
            requests: RefCell::default(),
            connections: RefCell::default(),
            dirty: RefCell::default(),
            seats: Seats::default(),
            operators: Seats::default(),
            input: Budget::new(INPUT_BYTES_MAX),
            output: Budget::new(OUTPUT_BYTES_MAX),
            kept: Budget::new(transactions::KEPT_BYTES_MAX),
            warnings: RateLimitedWarning::default(),
            accepted: Cell::default(),
            answered: Cell::default(),
            commands: CommandDurations::default(),
            is_stopping: Cell::default(),
            leaders: RefCell::default(),
            http: RateLimitedWarning::default(),
            looks: Looks::default(),
        });
        tokio::task::spawn_local(Rc::clone(&clients).keep_house());
        tokio::task::spawn_local(alarms::watch(Rc::clone(&clients.node)));
        clients
    }

    /// Accepts clients until it is dropped.
    pub(super) async fn accept(self: Rc<Self>, listener: Listener, entrance: Option<Entrance>) {
        loop {
            match listener.accept().await {
                Ok(stream) => {
                    let (seats, most) = self.seats_at(entrance);
                    if seats.taken() >= most {
                        self.turn_away(stream, entrance, most);
                        continue;
                    }
                    let seat = seats.take();
                    let session = self.new_session(&stream);
                    let door = Door::new(entrance.unwrap_or(Entrance::of(&stream)));
                    tokio::task::spawn_local(Rc::clone(&self).converse(stream, session, door, seat));
                }
                Err(error) => {
                    self.warnings.warn(&format!("cannot accept a client: {error}"));
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Answers the client that waits for `id`.
    pub(super) fn answer(&self, id: RequestId, outcome: &Outcome) {
        let waiter = self.requests.borrow_mut().remove(id);
        // No client waits any more when the node stops and has answered all of them itself.
        if let Some(waiter) = waiter {
            self.answer_waiter(waiter, outcome);
        }
    }

    /// Sends what has become known since the last call: one write for each connection.
    pub(super) fn flush(&self) {
        let mut dirty = self.dirty.take();
        for connection in dirty.drain(..) {
            connection.flush();
        }
        // Keeps the allocation, unless a flush has already begun a new list.
        let mut current = self.dirty.borrow_mut();
        if current.is_empty() {
            *current = dirty;
        }
    }

    /// What the node says about itself.
    pub(super) fn node(&self) -> &NodeInfo {
        &self.node
    }

    /// The answer to `NORAFT.STATUS`.
    pub(super) fn status_json(&self) -> String {
        self.node.status_json(self.counts())
    }

    /// Refuses new requests from now on.
    pub(super) fn stop(&self) {
        self.is_stopping.set(true);
    }

    /// Requests under way.
    pub(super) fn under_way(&self) -> usize {
        self.requests.borrow().len()
    }

    /// Answers all clients that still wait: a read was not done, a write may be, by the others.
    pub(super) fn give_up_all(&self) {
        let waiters = self.requests.borrow_mut().remove_all();
        for waiter in waiters {
            let outcome = match waiter.class {
                Class::Read => Outcome::Refused(Refusal::ShuttingDown),
                Class::Write => Outcome::Indefinite(Doubt::ShuttingDown),
            };
            self.answer_waiter(waiter, &outcome);
        }
    }

    fn counts(&self) -> ClientCounts {
        ClientCounts {
            connected: self.connections.borrow().len() as u64,
            accepted: self.accepted.get(),
            answered: self.answered.get(),
            under_way: self.under_way() as u64,
        }
    }

    fn answer_waiter(&self, waiter: Waiter, outcome: &Outcome) {
        self.commands.note(waiter.command, clock::now() - waiter.since);
        let (connection, sequence) = match waiter.asker {
            Asker::Client(connection, sequence) => (connection, sequence),
            // A task whose client has left waits no more.
            Asker::Task(task) => return drop(task.send(outcome.clone())),
        };
        if connection.answer(sequence, outcome.to_reply()) {
            self.dirty.borrow_mut().push(connection);
        }
        self.answered.set(self.answered.get() + 1);
    }

    fn answer_now(&self, connection: &Rc<Connection>, reply: Reply) {
        if connection.answer_now(reply) {
            self.dirty.borrow_mut().push(Rc::clone(connection));
        }
        self.answered.set(self.answered.get() + 1);
        self.inbox.wake();
    }

    /// The seats for connections through this entrance, and how many there are. Clients take none from operators.
    fn seats_at(&self, entrance: Option<Entrance>) -> (&Seats, u64) {
        match entrance {
            Some(Entrance::Admin) => (&self.operators, OPERATORS),
            Some(Entrance::Local | Entrance::Remote) | None => (&self.seats, self.node.clients_max),
        }
    }

    /// Says to a client that there is no room for it.
    fn turn_away(&self, stream: Stream, entrance: Option<Entrance>, most: u64) {
        let to = match entrance {
            Some(Entrance::Admin) => " to admin.sock",
            Some(Entrance::Local | Entrance::Remote) | None => "",
        };
        self.warnings.warn(&format!(
            "{most} clients are connected{to}, which is the most that there may be: another one is refused"
        ));
        let (_, write) = stream.into_split();
        // A new socket takes a line; when it does not, its end says the same.
        let _ = write.try_write(b"-ERR max number of clients reached\r\n");
    }

    fn new_session(&self, stream: &Stream) -> Session {
        self.accepted.set(self.accepted.get() + 1);
        Session::new(self.accepted.get(), stream.peer_name())
    }

    /// One client's connection, from its first byte to its last.
    async fn converse(self: Rc<Self>, stream: Stream, session: Session, door: Door, seat: Seat) {
        let id = session.id;
        let entered = match self.node.tls.take_client(stream).await {
            Ok(entered) => entered,
            Err(reason) => {
                let text = format!("client {} is turned away: {reason}", session.peer);
                return self.warnings.warn_about(&reason.to_string(), &text);
            }
        };
        door.shows_node(entered.is_node);
        let (mut read, write) = (entered.read, entered.write);
        let connection = Connection::new(
            session,
            door,
            Outgoing::new(write),
            seat,
            [&self.output, &self.kept],
        );
        self.connections.borrow_mut().insert(id, Rc::clone(&connection));
        let peer = connection.session.borrow().peer.clone();
        tracing::debug!(
            client = id,
            address = peer,
            "client {id} has connected from {peer}"
        );
        self.carry_out_all(&connection, &mut read).await;
        // A client may have ended only its own direction: what it asked is still answered.
        if linger(&connection).await {
            connection.end_output();
            // Closing with unread bytes would reset the connection and destroy the last reply on its way.
            let _ = tokio::time::timeout(DISCARD, discard(&mut read)).await;
        }
        connection.close();
        tracing::debug!(client = id, "client {id} is gone");
        self.connections.borrow_mut().remove(&id);
    }

    /// Carries out commands until the client ends, leaves, or does not speak RESP.
    async fn carry_out_all(self: &Rc<Self>, connection: &Rc<Connection>, read: &mut ReadHalf) {
        let mut parser = RequestParser::new();
        let mut input = ReadBuffer::charged(Charge::new(&self.input));
        loop {
            let mut is_new = false;
            loop {
                match parser.next(&mut input.bytes) {
                    Ok(Some(args)) => match self.carry_out(connection, args).await {
                        Next::Command => is_new = true,
                        Next::End => return,
                    },
                    Ok(None) => break,
                    Err(error) => {
                        if !connection.may_answer().await {
                            return;
                        }
                        connection.session.borrow_mut().transaction.spoil();
                        self.answer_now(connection, error.to_reply());
                        if !error.is_skipped() {
                            return;
                        }
                        is_new = true;
                    }
                }
            }
            connection.intake.note(input.bytes.len(), is_new, clock::now());
            connection.intake.hold_up(clock::now());
            input.until_room().await;
            connection.intake.go_on(clock::now());
            let came = tokio::select! {
                came = input.read(read) => came,
                () = connection.expired() => {
                    let late = "ERR the rest of a request did not arrive in time";
                    self.answer_now(connection, Reply::Error(late.to_owned()));
                    return;
                }
            };
            match came {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    async fn carry_out(self: &Rc<Self>, connection: &Rc<Connection>, args: Vec<Bytes>) -> Next {
        if is_http(&args) {
            self.warn_of_http(connection);
            return Next::End;
        }
        connection.command.set(name_of(&args));
        // Its arguments may be secrets.
        let (client, command) = (connection.session.borrow().id, connection.command.get());
        tracing::trace!(client, command, "client {client} asks for {command}");
        let refused = {
            let mut session = connection.session.borrow_mut();
            let listens = session.subscriptions.refuse(&args, session.version);
            listens.or_else(|| self.refused_by_gate(&mut session, &args))
        };
        if let Some(reply) = refused {
            return self.answer_in_turn(connection, reply, Next::Command).await;
        }
        let flush = parse_flush(&args).filter(|_| self.node.config.clients.allow_flush);
        let parsed = flush.map_or_else(|| parse(args), |flush| Ok(Parsed::Replicated(flush)));
        let parsed = match self.keep_for_exec(connection, parsed) {
            Ok(reply) => return self.answer_in_turn(connection, reply, Next::Command).await,
            Err(parsed) => parsed,
        };
        let (reply, next) = match parsed {
            Ok(Parsed::Replicated(request)) => match self.node.check_size(&request) {
                Ok(()) => return self.propose(connection, request).await,
                Err(reply) => (reply, Next::Command),
            },
            Ok(Parsed::Local(local)) => {
                let Some((reply, next)) = self.answer_locally(connection, local).await else {
                    return Next::End;
                };
                (reply, next)
            }
            Ok(Parsed::Transaction(command)) => return self.carry_out_transaction(connection, command).await,
            Ok(Parsed::Own(own)) => return self.carry_out_own(connection, own).await,
            Err(reply) => (reply, Next::Command),
        };
        self.answer_in_turn(connection, reply, next).await
    }

    async fn answer_in_turn(&self, connection: &Rc<Connection>, reply: Reply, next: Next) -> Next {
        if !connection.may_answer().await {
            return Next::End;
        }
        self.answer_now(connection, reply);
        next
    }

    /// Hands the replica what the loop answers later.
    async fn submit(
        &self,
        connection: &Rc<Connection>,
        class: Class,
        bytes: usize,
        ask: impl FnOnce(RequestId) -> Input,
    ) -> Next {
        if !connection.may_begin().await {
            return Next::End;
        }
        self.hand_over(
            Waiter {
                asker: Asker::Client(Rc::clone(connection), connection.begin()),
                class,
                bytes,
                command: connection.command.get(),
                since: clock::now(),
            },
            ask,
        );
        Next::Command
    }

    fn hand_over(&self, waiter: Waiter, ask: impl FnOnce(RequestId) -> Input) {
        if let Some(refusal) = self.refusal_of(waiter.class) {
            return self.refuse(waiter, refusal);
        }
        let inserted = self.requests.borrow_mut().insert(waiter);
        match inserted {
            Ok(id) => self.inbox.push(ask(id)),
            Err(waiter) => self.refuse(waiter, Refusal::Overloaded),
        }
    }

    /// Why a request of `class` need not even be tried.
    fn refusal_of(&self, class: Class) -> Option<Refusal> {
        if self.is_stopping.get() {
            return Some(Refusal::ShuttingDown);
        }
        let is_stuck = class == Class::Write && self.node.is_stuck_leader();
        is_stuck.then_some(Refusal::DiskFull)
    }

    fn refuse(&self, waiter: Waiter, refusal: Refusal) {
        self.answer_waiter(waiter, &Outcome::Refused(refusal));
        self.inbox.wake();
    }

    /// Lets the session answer; `None` when the connection has ended.
    async fn answer_locally(&self, connection: &Rc<Connection>, local: Local) -> Option<(Reply, Next)> {
        // What changes how replies are written waits until the earlier ones are.
        let is_turn = match &local {
            Local::Hello(_) | Local::Reset | Local::Quit | Local::Subscribe(_) => {
                connection.is_settled().await
            }
            Local::Wait | Local::WaitAof => {
                if !connection.is_settled().await {
                    return None;
                }
                if let Err(reply) = self.catch_up(connection).await {
                    return Some((reply, Next::Command));
                }
                true
            }
            Local::Ping(_) | Local::Echo(_) | Local::Select | Local::Client(_) | Local::Command(_) => true,
            Local::ReadOnly | Local::ReadWrite => true,
            Local::ConfigGet(_) | Local::Info(_) | Local::Role | Local::Sentinel(_) | Local::Time => true,
        };
        if !is_turn {
            return None;
        }
        let others = match &local {
            Local::Client(ClientCommand::List) => self.other_sessions(connection),
            _ => Vec::new(),
        };
        let (status, mut facts) = self.node.facts(self.counts());
        if let Local::Info(_) = &local {
            facts.resources = Some(resources::used());
        }
        let answer = connection
            .session
            .borrow_mut()
            .answer(local, &status, &facts, &others);
        Some((answer.reply, if answer.close { Next::End } else { Next::Command }))
    }

    fn other_sessions(&self, connection: &Rc<Connection>) -> Vec<String> {
        let connections = self.connections.borrow();
        let others = connections
            .values()
            .filter(|other| !Rc::ptr_eq(other, connection));
        others.map(|other| other.session.borrow().line()).collect()
    }
}

/// What follows a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The next one.
    Command,
    /// The end of the connection, once its replies have left.
    End,
}

/// Waits until every reply has left, for as long as some do; false when the connection has ended before.
async fn linger(connection: &Connection) -> bool {
    loop {
        let before = connection.written();
        match tokio::time::timeout(LINGER, connection.is_drained()).await {
            Ok(is_drained) => return is_drained,
            Err(_) if connection.written() > before => {}
            Err(_) => return false,
        }
    }
}

/// Reads until the end and keeps nothing.
async fn discard(read: &mut ReadHalf) {
    let mut bytes = BytesMut::with_capacity(DISCARD_BYTES);
    while let Ok(1..) = read.read_buf(&mut bytes).await {
        bytes.clear();
    }
}

/// When no file descriptor is left, one may be free again after this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Sixteen of the largest commands. A connection that needs more waits until others have finished theirs.
const INPUT_BYTES_MAX: usize = 256 << 20;
/// Replies that wait for clients to read them; most are values of the state, which takes them anyway.
const OUTPUT_BYTES_MAX: usize = 512 << 20;
/// How long an ended conversation may last after a client has read some of its last replies.
const LINGER: Duration = Duration::from_secs(10);
/// How long a client may go on sending after its conversation was ended.
const DISCARD: Duration = Duration::from_secs(1);
/// What is read at once only to be thrown away.
const DISCARD_BYTES: usize = 64 << 10;
