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
use super::peer_line::{DialError, Introduction, PeerLine, dial};
use super::rate_limited_warning::RateLimitedWarning;
use super::sockets::ReadHalf;
use crate::endpoint::Endpoint;
use crate::local::figures::SentFigures;
use crate::local::status::PeerReport;
use crate::protocol::peer::{Features, Lane, PeerMessage};
use crate::replica::event::Input;

/// Bytes that may wait for one peer: several times what the replica keeps in flight to it.
pub(super) const QUEUE_BYTES_MAX: usize = 64 << 20;

/// The other nodes, as this one reaches them.
#[derive(Debug)]
pub(super) struct Peers {
    links: RefCell<BTreeMap<NodeId, Lanes>>,
    introduction: Introduction,
    inbox: Rc<Inbox>,
    dirty: RefCell<Vec<Rc<Link>>>,
    /// Where clients reach nodes, as the membership table says.
    written: RefCell<BTreeMap<NodeId, String>>,
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
    /// Where the node is to be reached.
    address: RefCell<Endpoint>,
    /// The address has changed, or the node is none any more.
    changed: Notify,
    is_over: Cell<bool>,
    introduction: Introduction,
    line: RefCell<Option<Rc<PeerLine>>>,
    /// A connection has begun.
    opened: Notify,
    is_dirty: Cell<bool>,
    dropped: Cell<u64>,
    /// Bytes that left over earlier connections.
    sent_before: Cell<u64>,
    error: RefCell<Option<String>>,
    /// Attempts since the last connection.
    failures: Cell<u64>,
    warnings: RateLimitedWarning,
}

impl Peers {
    /// Begins to connect to `members`.
    pub(super) fn connect(
        introduction: &Introduction,
        members: &BTreeMap<NodeId, Endpoint>,
        inbox: &Rc<Inbox>,
    ) -> Rc<Self> {
        let peers = Self {
            links: RefCell::default(),
            introduction: introduction.clone(),
            inbox: Rc::clone(inbox),
            dirty: RefCell::default(),
            written: RefCell::default(),
            unknown: RefCell::default(),
        };
        peers.follow(members);
        Rc::new(peers)
    }

    /// From now on these nodes are reached, and no others, at these addresses.
    pub(super) fn follow(&self, members: &BTreeMap<NodeId, Endpoint>) {
        let mut links = self.links.borrow_mut();
        links.retain(|peer, lanes| {
            let stays = members.contains_key(peer);
            if !stays {
                lanes.end();
            }
            stays
        });
        for (peer, address) in members {
            match links.get(peer) {
                Some(lanes) => lanes.move_to(address),
                None => {
                    links.insert(*peer, self.reach(*peer, address));
                }
            }
        }
    }

    fn reach(&self, peer: NodeId, address: &Endpoint) -> Lanes {
        let link = |lane| Rc::new(Link::new(self.introduction.clone(), peer, address.clone(), lane));
        let (first, urgent) = (link(Lane::First), link(Lane::Urgent));
        tokio::task::spawn_local(Rc::clone(&first).keep_connected(None, Rc::clone(&self.inbox)));
        let waits_for = Some(Rc::clone(&first));
        tokio::task::spawn_local(Rc::clone(&urgent).keep_connected(waits_for, Rc::clone(&self.inbox)));
        Lanes { first, urgent }
    }

    /// Queues a message; it leaves with the next [`Self::flush`], or never.
    pub(super) fn send(&self, to: NodeId, message: &PeerMessage) {
        let links = self.links.borrow();
        let Some(lanes) = links.get(&to) else {
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
        let now: BTreeSet<NodeId> = others
            .filter(|id| !self.links.borrow().contains_key(id))
            .collect();
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
        let all = self.links.borrow();
        let links = all.values().flat_map(|lanes| [&lanes.first, &lanes.urgent]);
        let lines = links.filter_map(|link| link.line.borrow().clone());
        let outdated = lines.filter(|line| !line.is_still_good(&self.introduction.keyring));
        outdated.map(|line| line.outgoing.close()).count()
    }

    /// Where clients reach a node, if it has said so on the established connection, or the membership table says it.
    pub(super) fn client_address(&self, id: NodeId) -> Option<String> {
        let links = self.links.borrow();
        let said = links.get(&id).and_then(|lanes| {
            let line = lanes.first.line.borrow();
            line.as_ref()?.client_address.clone()
        });
        said.or_else(|| self.written.borrow().get(&id).cloned())
    }

    /// The membership table says that clients reach nodes there.
    pub(super) fn note_client_addresses(&self, written: BTreeMap<NodeId, String>) {
        self.written.replace(written);
    }

    /// Those that there is a connection to.
    pub(super) fn connected(&self) -> BTreeSet<NodeId> {
        let links = self.links.borrow();
        let open = links.iter().filter(|(_, lanes)| lanes.first.is_open());
        open.map(|(id, _)| *id).collect()
    }

    /// The versions of those that have said so on the established connections.
    pub(super) fn versions(&self) -> BTreeMap<NodeId, String> {
        let version = |link: &Link| link.line.borrow().as_ref()?.version.clone();
        let links = self.links.borrow();
        let known = links.iter();
        known
            .filter_map(|(id, lanes)| Some((*id, version(&lanes.first)?)))
            .collect()
    }

    /// What was sent to each of them, over both connections.
    pub(super) fn sent(&self) -> Vec<SentFigures> {
        let links = self.links.borrow();
        let figures = links.iter().map(|(id, lanes)| {
            let [(sent, waits), (urgent, urgent_waits)] = [lanes.first.sent(), lanes.urgent.sent()];
            SentFigures {
                id: id.get(),
                sent_bytes: sent + urgent,
                waiting_bytes: waits + urgent_waits,
            }
        });
        figures.collect()
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
            encrypted: false,
            dropped: *dropped,
            error: Some(no_address(*id)),
        });
        let links = self.links.borrow();
        let reachable = links.values().map(|lanes| lanes.first.report());
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

    fn move_to(&self, address: &Endpoint) {
        for link in [&self.first, &self.urgent] {
            if link.address.replace(address.clone()) != *address {
                link.begin_again();
            }
        }
    }

    fn end(&self) {
        for link in [&self.first, &self.urgent] {
            link.is_over.set(true);
            link.begin_again();
            link.opened.notify_one();
        }
        // The second one waits for the first.
        self.first.opened.notify_one();
    }
}

impl Link {
    fn new(introduction: Introduction, peer: NodeId, address: Endpoint, lane: Lane) -> Self {
        Self {
            peer,
            lane,
            address: RefCell::new(address),
            changed: Notify::new(),
            is_over: Cell::default(),
            introduction,
            line: RefCell::default(),
            opened: Notify::new(),
            is_dirty: Cell::default(),
            dropped: Cell::default(),
            sent_before: Cell::default(),
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
            address: self.address.borrow().to_string(),
            connected: self.line.borrow().is_some(),
            level_supported: self
                .line
                .borrow()
                .as_ref()
                .map(|line| line.features.level().get()),
            encrypted: self.line.borrow().as_ref().is_some_and(|line| line.is_encrypted),
            proven: self.line.borrow().as_ref().is_some_and(|line| line.is_proven()),
            dropped: self.dropped.get(),
            error: self.error.borrow().clone(),
        }
    }

    /// Bytes that have left, and bytes that wait.
    fn sent(&self) -> (u64, u64) {
        let line = self.line.borrow();
        let (written, waiting) = line.as_ref().map_or((0, 0), |line| {
            (line.outgoing.written(), line.outgoing.len() as u64)
        });
        (self.sent_before.get() + written, waiting)
    }

    fn is_open(&self) -> bool {
        let line = self.line.borrow();
        line.as_ref().is_some_and(|line| !line.outgoing.is_closed())
    }

    /// Waits until there is a connection to a node that knows of a second one.
    async fn may_have_second(&self) {
        let knows = |line: &Rc<PeerLine>| line.features.has(Features::URGENT);
        let may = || self.is_open() && self.line.borrow().as_ref().is_some_and(knows);
        while !self.is_over.get() && !may() {
            self.opened.notified().await;
        }
    }

    /// Ends the connection that there is.
    fn begin_again(&self) {
        if self.line.borrow().is_some() {
            self.changed.notify_one();
        }
    }

    /// The address to try: that of the table or the settings, and in turn the one that the node itself has said.
    fn next_address(&self) -> Endpoint {
        let address = self.address.borrow().clone();
        let said = self.introduction.places.heard(self.peer);
        match said {
            Some(said) if self.failures.get() % 2 == 1 => said,
            Some(_) | None => address,
        }
    }

    fn may_be_at(&self, address: &Endpoint) -> bool {
        *self.address.borrow() == *address
            || self.introduction.places.heard(self.peer).as_ref() == Some(address)
    }

    /// Connects again and again; where this is the second lane, only after the first one.
    async fn keep_connected(self: Rc<Self>, waits_for: Option<Rc<Self>>, inbox: Rc<Inbox>) {
        let mut backoff = Backoff::new(clock::random_seed());
        loop {
            if let Some(first) = &waits_for {
                first.may_have_second().await;
            }
            if self.is_over.get() {
                return;
            }
            let address = self.next_address();
            let way = self.introduction.places.way_to(&address);
            let dialled = dial(&self.introduction, self.peer, &way, self.lane);
            match tokio::time::timeout(DIAL_TIMEOUT, dialled).await {
                // It may have moved meanwhile.
                Ok(Ok(_)) if self.is_over.get() || !self.may_be_at(&address) => {}
                Ok(Ok((line, read))) => {
                    backoff.reset();
                    self.stay(Rc::new(line), read, &address, &inbox).await;
                }
                Ok(Err(error)) => {
                    if matches!(error, DialError::Removed) {
                        self.introduction.places.note_removed(self.peer);
                        inbox.wake();
                    }
                    self.note_failure(&address, error.to_string(), error.is_mistake());
                }
                Err(_) => self.note_failure(&address, format!("no answer within {DIAL_TIMEOUT:?}"), false),
            }
            tokio::time::sleep(backoff.next()).await;
        }
    }

    /// Uses the connection until it ends.
    async fn stay(&self, line: Rc<PeerLine>, mut read: ReadHalf, address: &Endpoint, inbox: &Inbox) {
        let proven = if line.is_proven() { ", proven" } else { "" };
        let encrypted = if line.is_encrypted { ", encrypted" } else { "" };
        self.warnings.mention(&format!(
            "connected to node {} at {}{}{proven}{encrypted}",
            self.peer.get(),
            address,
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
        let mut rest = BytesMut::with_capacity(1);
        tokio::select! {
            // The other side says nothing more on this connection: whatever comes is its end.
            _ = read.read_buf(&mut rest) => {}
            () = self.changed.notified() => {}
        }
        self.line.replace(None);
        line.outgoing.close();
        self.sent_before
            .set(self.sent_before.get() + line.outgoing.written());
        inbox.push(match self.lane {
            Lane::First => Input::Disconnected { peer },
            Lane::Urgent => Input::UrgentDisconnected { peer },
        });
        if clock::now() - since >= STEADY {
            self.warnings.forget();
        }
        if !self.is_over.get() {
            self.note_failure(address, "the connection ended".to_owned(), true);
        }
    }

    /// A node that starts beside others finds them missing for a moment: only what lasts is worth a line.
    fn note_failure(&self, address: &Endpoint, error: String, at_once: bool) {
        self.failures.set(self.failures.get() + 1);
        tracing::debug!(
            peer = self.peer.get(),
            failures = self.failures.get(),
            "node {} at {address}: {error}",
            self.peer.get()
        );
        if at_once || self.failures.get() >= FAILURES_WORTH_A_LINE {
            self.warnings.warn(&format!(
                "node {} at {}{}: {error}",
                self.peer.get(),
                address,
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
