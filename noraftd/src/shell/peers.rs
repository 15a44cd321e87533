//! The way to the other nodes: one connection to each, dialled here and used in this direction only; and a second one
//! for what must not wait behind payloads, to nodes that know of it.
//!
//! Invariant: what is sent may be lost, never altered; how much waits for one peer is bounded, and what
//! exceeds the bound is dropped and counted (Raft repeats what matters). So is what goes to a node of which this one has
//! no address: the log says which nodes vote, and knows nothing of this node's settings. The replica hears of each new
//! connection before any message goes over it. Since each direction has its own connection, a fault in
//! one direction stays in that direction.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use noraft::NodeId;
use tokio::io::AsyncReadExt;
use tokio::sync::Notify;

use super::backoff::Backoff;
use super::clock;
use super::inbox::Inbox;
use super::keyring::Keyring;
use super::peer_line::{Introduction, PeerLine, dial};
use super::rate_limited_warning::RateLimitedWarning;
use super::sockets::ReadHalf;
use crate::endpoint::Endpoint;
use crate::local::status::PeerReport;
use crate::protocol::peer::{Features, Lane, PeerMessage};
use crate::replica::event::Input;

/// Bytes that may wait for one peer: several times what the replica keeps in flight to it.
pub(super) const QUEUE_BYTES_MAX: usize = 64 << 20;

/// The other nodes, as this one reaches them.
#[derive(Debug)]
pub(super) struct Peers {
    links: BTreeMap<NodeId, Lanes>,
    keyring: Rc<Keyring>,
    dirty: RefCell<Vec<Rc<Link>>>,
    /// Voters without an address here, and the messages to each that were dropped.
    unknown: RefCell<BTreeMap<NodeId, u64>>,
}

/// Both connections to one node.
#[derive(Debug)]
struct Lanes {
    first: Rc<Link>,
    urgent: Rc<Link>,
}

/// One connection to one node, established or not.
#[derive(Debug)]
struct Link {
    peer: NodeId,
    lane: Lane,
    address: Endpoint,
    introduction: Introduction,
    line: RefCell<Option<Rc<PeerLine>>>,
    /// A connection has begun.
    opened: Notify,
    is_dirty: Cell<bool>,
    dropped: Cell<u64>,
    error: RefCell<Option<String>>,
    /// Attempts since the last connection.
    failures: Cell<u64>,
    warnings: RateLimitedWarning,
}

impl Peers {
    /// Begins to connect to `members`, for as long as the process lives.
    pub(super) fn connect(
        introduction: &Introduction,
        members: &BTreeMap<NodeId, Endpoint>,
        inbox: &Rc<Inbox>,
    ) -> Rc<Self> {
        let mut links = BTreeMap::new();
        for (peer, address) in members {
            let link = |lane| Rc::new(Link::new(introduction.clone(), *peer, address.clone(), lane));
            let (first, urgent) = (link(Lane::First), link(Lane::Urgent));
            tokio::task::spawn_local(Rc::clone(&first).keep_connected(None, Rc::clone(inbox)));
            let waits_for = Some(Rc::clone(&first));
            tokio::task::spawn_local(Rc::clone(&urgent).keep_connected(waits_for, Rc::clone(inbox)));
            links.insert(*peer, Lanes { first, urgent });
        }
        Rc::new(Self {
            links,
            keyring: Rc::clone(&introduction.keyring),
            dirty: RefCell::default(),
            unknown: RefCell::default(),
        })
    }

    /// Queues a message; it leaves with the next [`Self::flush`], or never.
    pub(super) fn send(&self, to: NodeId, message: &PeerMessage) {
        let Some(lanes) = self.links.get(&to) else {
            if let Some(dropped) = self.unknown.borrow_mut().get_mut(&to) {
                *dropped += 1;
            }
            return;
        };
        for lane in message.lanes(lanes.urgent.is_open()) {
            let link = lanes.link(*lane);
            if link.send(message) && !link.is_dirty.replace(true) {
                self.dirty.borrow_mut().push(Rc::clone(link));
            }
        }
    }

    /// Sends what was queued since the last call: one write for each peer.
    pub(super) fn flush(&self) {
        for link in self.dirty.borrow_mut().drain(..) {
            link.is_dirty.set(false);
            if let Some(line) = link.line.borrow().as_ref() {
                line.outgoing.flush();
            }
        }
    }

    /// Says so when the configuration in force, of which `others` are the other nodes, has one that this node was given
    /// no address of.
    pub(super) fn notice_unknown(&self, others: impl Iterator<Item = NodeId>) {
        let now: BTreeSet<NodeId> = others.filter(|id| !self.links.contains_key(id)).collect();
        let mut unknown = self.unknown.borrow_mut();
        unknown.retain(|id, _| now.contains(id));
        for id in now {
            unknown.entry(id).or_insert_with(|| {
                tracing::warn!("node {} is a voter: {}", id.get(), no_address(id));
                0
            });
        }
    }

    /// Ends the connections that were proven with a secret that is no longer in force; returns how many.
    pub(super) fn drop_outdated(&self) -> usize {
        let links = self
            .links
            .values()
            .flat_map(|lanes| [&lanes.first, &lanes.urgent]);
        let lines = links.filter_map(|link| link.line.borrow().clone());
        let outdated = lines.filter(|line| !line.is_still_good(&self.keyring));
        outdated.map(|line| line.outgoing.close()).count()
    }

    /// Where clients reach a node, if it has said so on the established connection.
    pub(super) fn client_address(&self, id: NodeId) -> Option<String> {
        let line = self.links.get(&id)?.first.line.borrow();
        line.as_ref()?.client_address.clone()
    }

    /// Those that there is a connection to.
    pub(super) fn connected(&self) -> impl Iterator<Item = NodeId> + '_ {
        let open = self.links.iter().filter(|(_, lanes)| lanes.first.is_open());
        open.map(|(id, _)| *id)
    }

    /// How each of them is reached.
    pub(super) fn report(&self) -> Vec<PeerReport> {
        let unknown = self.unknown.borrow();
        let unreachable = unknown.iter().map(|(id, dropped)| PeerReport {
            id: id.get(),
            address: UNKNOWN_ADDRESS.to_owned(),
            connected: false,
            level_supported: None,
            proven: false,
            dropped: *dropped,
            error: Some(no_address(*id)),
        });
        let reachable = self.links.values().map(|lanes| lanes.first.report());
        reachable.chain(unreachable).collect()
    }
}

impl Lanes {
    fn link(&self, lane: Lane) -> &Rc<Link> {
        match lane {
            Lane::First => &self.first,
            Lane::Urgent => &self.urgent,
        }
    }
}

impl Link {
    fn new(introduction: Introduction, peer: NodeId, address: Endpoint, lane: Lane) -> Self {
        Self {
            peer,
            lane,
            address,
            introduction,
            line: RefCell::default(),
            opened: Notify::new(),
            is_dirty: Cell::default(),
            dropped: Cell::default(),
            error: RefCell::default(),
            failures: Cell::default(),
            warnings: RateLimitedWarning::default(),
        }
    }

    /// True when the message is on its way.
    fn send(&self, message: &PeerMessage) -> bool {
        let line = self.line.borrow();
        let open = line
            .as_ref()
            .filter(|line| !line.outgoing.is_closed() && line.outgoing.len() < QUEUE_BYTES_MAX)
            .filter(|line| line.takes(message));
        match open {
            Some(line) => line.append(message),
            None => self.dropped.set(self.dropped.get() + 1),
        }
        open.is_some()
    }

    fn report(&self) -> PeerReport {
        PeerReport {
            id: self.peer.get(),
            address: self.address.to_string(),
            connected: self.line.borrow().is_some(),
            level_supported: self
                .line
                .borrow()
                .as_ref()
                .map(|line| line.features.level().get()),
            proven: self.line.borrow().as_ref().is_some_and(|line| line.is_proven()),
            dropped: self.dropped.get(),
            error: self.error.borrow().clone(),
        }
    }

    fn is_open(&self) -> bool {
        let line = self.line.borrow();
        line.as_ref().is_some_and(|line| !line.outgoing.is_closed())
    }

    /// Waits until there is a connection to a node that knows of a second one.
    async fn may_have_second(&self) {
        let knows = |line: &Rc<PeerLine>| line.features.has(Features::URGENT);
        while !(self.is_open() && self.line.borrow().as_ref().is_some_and(knows)) {
            self.opened.notified().await;
        }
    }

    /// Connects again and again; where this is the second lane, only after the first one.
    async fn keep_connected(self: Rc<Self>, waits_for: Option<Rc<Self>>, inbox: Rc<Inbox>) {
        let mut backoff = Backoff::new(clock::random_seed());
        loop {
            if let Some(first) = &waits_for {
                first.may_have_second().await;
            }
            let dialled = dial(&self.introduction, self.peer, &self.address, self.lane);
            match tokio::time::timeout(DIAL_TIMEOUT, dialled).await {
                Ok(Ok((line, read))) => {
                    backoff.reset();
                    self.stay(Rc::new(line), read, &inbox).await;
                }
                Ok(Err(error)) => self.note_failure(error.to_string(), error.is_mistake()),
                Err(_) => self.note_failure(format!("no answer within {DIAL_TIMEOUT:?}"), false),
            }
            tokio::time::sleep(backoff.next()).await;
        }
    }

    /// Uses the connection until it ends.
    async fn stay(&self, line: Rc<PeerLine>, mut read: ReadHalf, inbox: &Inbox) {
        let how = if line.is_proven() { ", proven" } else { "" };
        self.warnings.mention(&format!(
            "connected to node {} at {}{}{how}",
            self.peer.get(),
            self.address,
            self.lane_name()
        ));
        let since = clock::now();
        self.error.replace(None);
        self.failures.set(0);
        self.line.replace(Some(Rc::clone(&line)));
        let (peer, features) = (self.peer, line.features);
        inbox.push(match self.lane {
            Lane::First => Input::Connected { peer, features },
            Lane::Urgent => Input::UrgentConnected { peer },
        });
        self.opened.notify_one();
        // The other side says nothing more on this connection: whatever comes is its end.
        let _ = read.read_buf(&mut BytesMut::with_capacity(1)).await;
        self.line.replace(None);
        line.outgoing.close();
        inbox.push(match self.lane {
            Lane::First => Input::Disconnected { peer },
            Lane::Urgent => Input::UrgentDisconnected { peer },
        });
        if clock::now() - since >= STEADY {
            self.warnings.forget();
        }
        self.note_failure("the connection ended".to_owned(), true);
    }

    /// A node that starts beside others finds them missing for a moment: only what lasts is worth a line.
    fn note_failure(&self, error: String, at_once: bool) {
        self.failures.set(self.failures.get() + 1);
        if at_once || self.failures.get() >= FAILURES_WORTH_A_LINE {
            self.warnings.warn(&format!(
                "node {} at {}{}: {error}",
                self.peer.get(),
                self.address,
                self.lane_name()
            ));
        }
        self.error.replace(Some(error));
    }

    fn lane_name(&self) -> &'static str {
        match self.lane {
            Lane::First => "",
            Lane::Urgent => " (second connection)",
        }
    }
}

fn no_address(id: NodeId) -> String {
    let id = id.get();
    format!("this node was given no address of it and cannot reach it; start it with --peer {id}=HOST:PORT")
}

const UNKNOWN_ADDRESS: &str = "an unknown address";
/// A connection that lasted for less is not worth a line of its own each time it comes and goes.
const STEADY: Duration = Duration::from_secs(2);
/// With the pauses between attempts, about two seconds.
const FAILURES_WORTH_A_LINE: u64 = 25;
/// A connection and its greeting take at most this long.
const DIAL_TIMEOUT: Duration = Duration::from_secs(1);
