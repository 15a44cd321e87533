//! Clients: who is connected, what they ask, and what they are told.
//!
//! Invariant: every command of a connection is answered once, in order, until the connection ends; one
//! that cannot be accepted is refused with a definite error. Bytes that are no RESP end the connection,
//! after an error that says so. Per connection the input buffer holds at most one command, which the parser
//! bounds, and what one read brought; all buffers together have a budget, and so have the replies that have not left.
//! Who takes more than that is ended by `house`.

mod house;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use noraft::{LogIndex, LogPosition, NodeId, Term};
use tokio::io::AsyncReadExt;

use super::board::Board;
use super::budget::{Budget, Charge};
use super::clock;
use super::complaints::Complaints;
use super::connection::Connection;
use super::descriptors::{Seat, Seats};
use super::door::{Door, Entrance};
use super::inbox::Inbox;
use super::outgoing::Outgoing;
use super::read_buffer::ReadBuffer;
use super::requests::{Requests, Waiter};
use super::resources;
use super::sockets::{Listener, ReadHalf, Stream};
use crate::local::session::Session;
use crate::protocol::command::{Class, ClientCommand, Local, Parsed, Request, parse, parse_flush};
use crate::protocol::http::is_http;
use crate::protocol::outcome::{Doubt, Outcome, Refusal};
use crate::protocol::resp::{Reply, RequestParser};
use crate::replica::event::{ConnectionId, Input, RequestId};
use crate::store::Snapshots;
use crate::store::disk::RealDisk;

/// All clients of this node.
pub(super) struct Clients {
    inbox: Rc<Inbox>,
    board: Rc<Board>,
    requests: RefCell<Requests>,
    connections: RefCell<BTreeMap<u64, Rc<Connection>>>,
    /// Connections with replies that the event loop has to flush.
    dirty: RefCell<Vec<Rc<Connection>>>,
    seats: Seats,
    /// What clients have sent and is not a whole request yet.
    input: Rc<Budget>,
    /// Replies that clients have not read.
    output: Rc<Budget>,
    complaints: Complaints,
    accepted: Cell<u64>,
    answered: Cell<u64>,
    is_stopping: Cell<bool>,
    http: Complaints,
}

impl Clients {
    /// No client yet.
    pub(super) fn new(inbox: Rc<Inbox>, board: Rc<Board>) -> Rc<Self> {
        let clients = Rc::new(Self {
            inbox,
            board,
            requests: RefCell::default(),
            connections: RefCell::default(),
            dirty: RefCell::default(),
            seats: Seats::default(),
            input: Budget::new(INPUT_BYTES_MAX),
            output: Budget::new(OUTPUT_BYTES_MAX),
            complaints: Complaints::default(),
            accepted: Cell::default(),
            answered: Cell::default(),
            is_stopping: Cell::default(),
            http: Complaints::default(),
        });
        tokio::task::spawn_local(Rc::clone(&clients).keep_house());
        clients
    }

    /// Accepts clients, for ever.
    pub(super) async fn accept(self: Rc<Self>, listener: Listener, entrance: Option<Entrance>) {
        loop {
            match listener.accept().await {
                // Whoever may give orders is let in however many clients there are.
                Ok(stream) if entrance.is_some() || self.has_room() => {
                    let session = self.new_session(&stream);
                    let door = Door::new(entrance.unwrap_or(Entrance::of(&stream)));
                    let seat = self.seats.take();
                    tokio::task::spawn_local(Rc::clone(&self).converse(stream, session, door, seat));
                }
                Ok(stream) => self.turn_away(stream),
                Err(error) => {
                    self.complaints
                        .complain(&format!("cannot accept a client: {error}"));
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Tells whoever waits for `id` what is known.
    pub(super) fn answer(&self, id: RequestId, outcome: &Outcome) {
        let waiter = self.requests.borrow_mut().remove(id);
        // Nobody waits any more when the node stops and has answered everybody itself.
        if let Some(waiter) = waiter {
            self.answer_waiter(&waiter, outcome);
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

    /// What the node tells about itself.
    pub(super) fn board(&self) -> &Board {
        &self.board
    }

    /// The answer to `NORAFT.STATUS`.
    pub(super) fn status_json(&self) -> String {
        self.board.status_json(self)
    }

    /// Refuses new requests from now on.
    pub(super) fn stop(&self) {
        self.is_stopping.set(true);
    }

    /// Requests under way.
    pub(super) fn under_way(&self) -> usize {
        self.requests.borrow().len()
    }

    /// Answers everybody who still waits: a read was not done, a write may be, by the others.
    pub(super) fn give_up_all(&self) {
        let waiters = self.requests.borrow_mut().remove_all();
        for waiter in waiters {
            let outcome = match waiter.class {
                Class::Read => Outcome::Refused(Refusal::ShuttingDown),
                Class::Write => Outcome::Indefinite(Doubt::ShuttingDown),
            };
            self.answer_waiter(&waiter, &outcome);
        }
    }

    /// Connections, those accepted since the start, and commands answered since the start.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        (
            self.connections.borrow().len() as u64,
            self.accepted.get(),
            self.answered.get(),
        )
    }

    fn answer_waiter(&self, waiter: &Waiter, outcome: &Outcome) {
        let reply = outcome.to_reply();
        if waiter.connection.answer(waiter.sequence, reply) {
            self.dirty.borrow_mut().push(Rc::clone(&waiter.connection));
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

    fn has_room(&self) -> bool {
        self.seats.taken() < self.board.clients_max
    }

    /// Says to a client that there is no room for it.
    fn turn_away(&self, stream: Stream) {
        let most = self.board.clients_max;
        self.complaints.complain(&format!(
            "{most} clients are connected, which is the most that there may be: another one is refused"
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
        let (mut read, write) = stream.into_split();
        let connection = Connection::new(session, door, Outgoing::new(write), seat, &self.output);
        self.connections.borrow_mut().insert(id, Rc::clone(&connection));
        self.carry_out_all(&connection, &mut read).await;
        // A client may have ended only its own direction: what it asked is still answered.
        if linger(&connection).await {
            connection.end_output();
            // Closing with unread bytes would reset the connection and destroy the last reply on its way.
            let _ = tokio::time::timeout(DISCARD, discard(&mut read)).await;
        }
        connection.close();
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
            self.complain_of_http(connection);
            return Next::End;
        }
        let refused = connection.session.borrow_mut().gate.refuse(&args);
        if let Some(reply) = refused {
            return self.answer_in_turn(connection, reply, Next::Command).await;
        }
        let own = OwnCommand::parse(&args);
        let is_order = own.as_ref().is_some_and(OwnCommand::is_order);
        if is_order && let Some(refusal) = connection.door.refusal(&self.board.keyring) {
            return self.answer_in_turn(connection, refusal, Next::Command).await;
        }
        if let Some(OwnCommand::Voters(voters)) = own {
            let ask = |id| Input::ChangeVoters { id, voters };
            return self.submit(connection, Class::Write, 0, ask).await;
        }
        if own == Some(OwnCommand::Index) {
            let request = Request::for_index();
            let connection_id = ConnectionId(connection.session.borrow().id);
            let ask = |id| Input::Client {
                id,
                connection: connection_id,
                request,
            };
            return self.submit(connection, Class::Read, 0, ask).await;
        }
        let flush = parse_flush(&args).filter(|_| self.board.config.allow_flush);
        let (reply, next) = match flush.map_or_else(|| parse(args), |flush| Ok(Parsed::Replicated(flush))) {
            Ok(Parsed::Replicated(request)) => match self.board.check_size(&request) {
                Ok(()) => {
                    let (class, bytes) = (request.class, request.body.len());
                    let connection_id = ConnectionId(connection.session.borrow().id);
                    let ask = |id| Input::Client {
                        id,
                        connection: connection_id,
                        request,
                    };
                    return self.submit(connection, class, bytes, ask).await;
                }
                Err(reply) => (reply, Next::Command),
            },
            Ok(Parsed::Local(local)) => {
                let Some((reply, next)) = self.answer_locally(connection, local).await else {
                    return Next::End;
                };
                (reply, next)
            }
            Err(reply) => {
                let reply = match own {
                    Some(own) => self.answer_own(&connection.door, own).await,
                    None => reply,
                };
                (reply, Next::Command)
            }
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

    /// Whoever sends HTTP here is a browser that somebody misuses, or a probe with a wrong port.
    fn complain_of_http(&self, connection: &Connection) {
        let peer = connection.session.borrow().peer.clone();
        self.http.complain_about(
            "HTTP",
            &format!(
                "client {peer} speaks HTTP: closed, before anything of it was read as a command (a web page can make a browser \
                 do this to attack the server)"
            ),
        );
    }

    async fn answer_own(&self, door: &Door, command: OwnCommand) -> Reply {
        match command {
            OwnCommand::Challenge if self.board.keyring.has_secret() => door.challenge(),
            OwnCommand::Challenge => Reply::Error("ERR this node has no peer secret to ask for".to_owned()),
            OwnCommand::Prove(answer) => door.prove(&self.board.keyring, &answer),
            OwnCommand::Status => Reply::Bulk(self.status_json().into()),
            OwnCommand::Snapshot => {
                self.inbox.push(Input::TakeSnapshot);
                Reply::Status("OK")
            }
            OwnCommand::ReadSnapshot { position, offset } => self.read_snapshot(position, offset).await,
            OwnCommand::Readmit { node, incarnation } => self.readmit(node, incarnation),
            OwnCommand::Voters(_) | OwnCommand::Index => {
                unreachable!("handed to the replica when it was read")
            }
        }
    }

    /// A part of a snapshot, from another thread: the loop does not wait for the disk.
    async fn read_snapshot(&self, position: LogPosition, offset: u64) -> Reply {
        let (path, cluster_id) = (self.board.config.data_dir.clone(), self.board.config.cluster_id);
        let read = move || {
            let disk = RealDisk::open(&path).map_err(|error| error.to_string())?;
            let snapshots = Snapshots::new(Arc::new(disk), cluster_id);
            let read = snapshots.read(position, offset, SNAPSHOT_PART_BYTES);
            read.map_err(|error| error.to_string())
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(Ok(bytes)) => Reply::Bulk(bytes),
            Ok(Err(error)) => Reply::Error(format!("ERR {error}")),
            Err(error) => Reply::Error(format!("ERR {error}")),
        }
    }

    fn readmit(&self, node: NodeId, incarnation: u64) -> Reply {
        match self.board.from_peers.readmit(node, incarnation) {
            Ok(()) => Reply::Bulk(self.board.replica.borrow().status().term.to_string().into()),
            Err(error) => Reply::Error(format!("ERR {error}")),
        }
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
        let waiter = Waiter {
            connection: Rc::clone(connection),
            sequence: connection.begin(),
            class,
            bytes,
        };
        if let Some(refusal) = self.refusal_of(class) {
            self.refuse(&waiter, refusal);
            return Next::Command;
        }
        let inserted = self.requests.borrow_mut().insert(waiter);
        match inserted {
            Ok(id) => self.inbox.push(ask(id)),
            Err(waiter) => self.refuse(&waiter, Refusal::Overloaded),
        }
        Next::Command
    }

    /// Why a request of `class` need not even be tried.
    fn refusal_of(&self, class: Class) -> Option<Refusal> {
        if self.is_stopping.get() {
            return Some(Refusal::ShuttingDown);
        }
        let is_stuck = class == Class::Write && self.board.is_stuck_leader();
        is_stuck.then_some(Refusal::DiskFull)
    }

    fn refuse(&self, waiter: &Waiter, refusal: Refusal) {
        self.answer_waiter(waiter, &Outcome::Refused(refusal));
        self.inbox.wake();
    }

    /// Lets the session answer; `None` when the connection has ended.
    async fn answer_locally(&self, connection: &Rc<Connection>, local: Local) -> Option<(Reply, Next)> {
        // What changes how replies are written waits until the earlier ones are.
        let is_turn = match &local {
            Local::Hello(_) | Local::Reset | Local::Quit => connection.is_settled().await,
            Local::Ping(_) | Local::Echo(_) | Local::Select | Local::Client(_) | Local::Command(_) => true,
            Local::ConfigGet(_) | Local::Info(_) | Local::Role | Local::Time => true,
        };
        if !is_turn {
            return None;
        }
        let others = match &local {
            Local::Client(ClientCommand::List) => self.other_sessions(connection),
            _ => Vec::new(),
        };
        let (status, mut facts) = self.board.facts(self);
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

/// A command for this project's own tools.
#[derive(Debug, Clone, PartialEq, Eq)]
enum OwnCommand {
    /// `NORAFT.STATUS`: everything about the node, in JSON.
    Status,
    /// `NORAFT.INDEX`: the index that covers every write acknowledged before; refused without a leader.
    Index,
    /// `NORAFT.SNAPSHOT`: take a snapshot now; the status tells when it is there.
    Snapshot,
    /// `NORAFT.SNAPSHOT READ index term offset`: a part of that snapshot's file; empty at its end.
    ReadSnapshot { position: LogPosition, offset: u64 },
    /// `NORAFT.READMIT node incarnation`: that member has that data directory from now on. Tells this node's term.
    Readmit { node: NodeId, incarnation: u64 },
    /// `NORAFT.VOTERS id...`: these nodes are the voters from now on. Answered when that is committed.
    Voters(BTreeSet<NodeId>),
    /// `NORAFT.AUTH`: gives the challenge that the next one answers.
    Challenge,
    /// `NORAFT.AUTH answer`: the other side knows the peer secret.
    Prove(String),
}

impl OwnCommand {
    /// True for what not everybody who reaches the port may do.
    fn is_order(&self) -> bool {
        match self {
            Self::Status | Self::Challenge | Self::Prove(_) => false,
            Self::Snapshot
            | Self::ReadSnapshot { .. }
            | Self::Readmit { .. }
            | Self::Voters(_)
            | Self::Index => true,
        }
    }

    fn parse(args: &[Bytes]) -> Option<Self> {
        if !args.first()?.get(..PREFIX.len())?.eq_ignore_ascii_case(PREFIX) {
            return None;
        }
        let words: Vec<String> = args
            .iter()
            .take(WORDS_MAX + 1)
            .map(|word| String::from_utf8_lossy(word).to_ascii_uppercase())
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match *words {
            ["NORAFT.STATUS"] => Some(Self::Status),
            ["NORAFT.AUTH"] => Some(Self::Challenge),
            ["NORAFT.AUTH", answer] => Some(Self::Prove(answer.to_owned())),
            ["NORAFT.INDEX"] => Some(Self::Index),
            ["NORAFT.SNAPSHOT"] => Some(Self::Snapshot),
            ["NORAFT.SNAPSHOT", "READ", index, term, offset] => Some(Self::ReadSnapshot {
                position: LogPosition {
                    index: LogIndex::new(index.parse().ok()?),
                    term: Term::new(term.parse().ok()?),
                },
                offset: offset.parse().ok()?,
            }),
            ["NORAFT.READMIT", node, incarnation] => Some(Self::Readmit {
                node: NodeId::new(node.parse().ok()?),
                incarnation: u64::from_str_radix(incarnation, 16).ok()?,
            }),
            ["NORAFT.VOTERS", ref ids @ ..] if (1..WORDS_MAX).contains(&ids.len()) => {
                let ids = ids.iter().map(|id| id.parse().ok().map(NodeId::new));
                ids.collect::<Option<_>>().map(Self::Voters)
            }
            _ => None,
        }
    }
}

const PREFIX: &[u8] = b"NORAFT.";
/// The longest of our own commands: one that names more voters than any cluster has nodes.
const WORDS_MAX: usize = 32;
/// Bytes of a snapshot in one answer.
const SNAPSHOT_PART_BYTES: usize = 1 << 20;

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
