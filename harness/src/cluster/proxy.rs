//! Proxies between the nodes: one, in this process, for every directed pair.
//!
//! Node i reaches node j only through the proxy (i, j). Bytes from i to j obey the link i -> j; bytes that
//! come back on the same connection obey the link j -> i, so that one-way cuts are one-way whatever
//! direction a connection was opened in.
//!
//! Invariant: a byte stream is never delivered with a hole. Once a cut has swallowed bytes of a
//! connection, the heal closes that connection.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use noraftd::protocol::peer::{Lane, PeerFrame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::effects::{Departure, Transit};
use super::gate::Cutter;
use super::link::{Carried, CutId, Link, LinkStats, Policy};
use crate::plan::{CutMode, LANES, LinkEffect};

/// Every directed link of a cluster, and the proxies that carry them.
#[derive(Debug)]
pub struct Proxies {
    links: BTreeMap<(u64, u64), Arc<Link>>,
    /// By the node that connects and the place where it wants to: the node there, and where its proxy listens.
    ways: BTreeMap<(u64, SocketAddr), (u64, SocketAddr)>,
    /// Dropping it ends every proxy and every connection.
    _proxies: JoinSet<()>,
}

impl Proxies {
    /// Starts a proxy on `host` for every ordered pair of `nodes`, given as (id, peer address). A node that may be at several places is named
    /// with each of them, and has a proxy for each; they share its links.
    ///
    /// # Errors
    ///
    /// When a listener cannot be bound.
    pub async fn start(host: IpAddr, nodes: &[(u64, SocketAddr)]) -> io::Result<Self> {
        let ids: BTreeSet<u64> = nodes.iter().map(|(id, _)| *id).collect();
        let places = |from: u64| nodes.iter().filter(move |(to, _)| *to != from);
        let pairs = || {
            ids.iter()
                .flat_map(|from| places(*from).map(move |to| (*from, to)))
        };
        let links: BTreeMap<_, _> = pairs()
            .map(|(from, (to, _))| ((from, *to), Arc::new(Link::new(from, *to))))
            .collect();
        let mut ways = BTreeMap::new();
        let mut proxies = JoinSet::new();
        for (from, (to, place)) in pairs() {
            let listener = TcpListener::bind((host, 0)).await?;
            ways.insert((from, *place), (*to, listener.local_addr()?));
            let route = Route {
                target: *place,
                there: Arc::clone(&links[&(from, *to)]),
                back: Arc::clone(&links[&(*to, from)]),
            };
            proxies.spawn(serve(listener, route));
        }
        Ok(Self {
            links,
            ways,
            _proxies: proxies,
        })
    }

    /// Where `from` finds `to`, at the first of its places.
    ///
    /// # Panics
    ///
    /// When there is no such pair of nodes.
    pub fn address(&self, from: u64, to: u64) -> SocketAddr {
        let mut there = self.ways.iter().filter(|(key, way)| key.0 == from && way.0 == to);
        let (_, (_, listens)) = there.next().expect("a pair of nodes");
        *listens
    }

    /// For each place of the other nodes, where `from` finds it.
    pub fn ways(&self, from: u64) -> impl Iterator<Item = (SocketAddr, SocketAddr)> {
        let own = self.ways.iter().filter(move |((by, _), _)| *by == from);
        own.map(|((_, place), (_, listens))| (*place, *listens))
    }

    /// Cuts every link of `pairs`, under one name.
    pub fn cut(&self, id: CutId, mode: CutMode, pairs: &[(u64, u64)]) {
        self.cut_lanes(id, mode, &LANES, pairs);
    }

    /// The same, for connections of these lanes only.
    pub fn cut_lanes(&self, id: CutId, mode: CutMode, lanes: &'static [Lane], pairs: &[(u64, u64)]) {
        self.each(pairs).for_each(|link| link.cut(id, mode, lanes));
    }

    /// Puts every link of `pairs` into trouble, under one name, for connections of these lanes; what it does is drawn by `seed`.
    pub fn trouble(
        &self,
        id: CutId,
        (effect, seed): (LinkEffect, u64),
        lanes: &'static [Lane],
        pairs: &[(u64, u64)],
    ) {
        self.each(pairs)
            .for_each(|link| link.trouble(id, effect, seed, lanes));
    }

    /// Ends the cut or trouble `id` on every link.
    pub fn heal(&self, id: CutId) {
        self.links.values().for_each(|link| link.heal(id));
    }

    /// Ends every cut on every link.
    pub fn heal_all(&self) {
        self.links.values().for_each(|link| link.heal_all());
    }

    /// Whether no link is cut.
    pub fn is_open(&self) -> bool {
        self.links.values().all(|link| link.is_open())
    }

    /// The sum of what the links of `pairs` did.
    pub fn stats(&self, pairs: &[(u64, u64)]) -> LinkStats {
        self.each(pairs)
            .fold(LinkStats::default(), |sum, link| sum + link.stats())
    }

    /// The link from `from` to `to`.
    ///
    /// # Panics
    ///
    /// When there is no such pair of nodes.
    pub fn link(&self, from: u64, to: u64) -> &Link {
        &self.links[&(from, to)]
    }

    fn each<'a>(&'a self, pairs: &'a [(u64, u64)]) -> impl Iterator<Item = &'a Arc<Link>> {
        pairs.iter().filter_map(|pair| self.links.get(pair))
    }
}

#[derive(Debug, Clone)]
struct Route {
    target: SocketAddr,
    there: Arc<Link>,
    back: Arc<Link>,
}

async fn serve(listener: TcpListener, route: Route) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((near, _)) => {
                    connections.spawn(connection(near, route.clone()));
                }
                // Out of descriptors, or the caller is already gone: the next accept shows it.
                Err(_) => tokio::task::yield_now().await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(near: TcpStream, route: Route) {
    let Some(near) = admit(near, &route, None).await else {
        return;
    };
    let lane = lane_of(&near).await;
    let Some(near) = admit(near, &route, Some(lane)).await else {
        return;
    };
    // A refused dial closes the near side: the caller sees its peer as down.
    let Ok(far) = TcpStream::connect(route.target).await else {
        return;
    };
    for stream in [&near, &far] {
        // Fails only on a socket that is already dead, which the first read notices.
        let _ = stream.set_nodelay(true);
    }
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    tokio::select! {
        () = pump(near_read, far_write, (&route.there, lane), Some(Cutter::default())) => {}
        () = pump(far_read, near_write, (&route.back, lane), None) => {}
    }
}

/// What a new connection is for, as its greeting says. A process that greets otherwise than a node uses the first lane.
async fn lane_of(near: &TcpStream) -> Lane {
    let read = async {
        let mut greeting = vec![0; GREETING_BYTES_MAX];
        loop {
            let read = near.peek(&mut greeting).await.unwrap_or(0);
            let mut bytes = BytesMut::from(greeting.get(..read).unwrap_or_default());
            let cluster_id = bytes
                .get(8..16)
                .and_then(|id| Some(u64::from_le_bytes(id.try_into().ok()?)));
            match PeerFrame::decode(cluster_id.unwrap_or_default(), &mut bytes) {
                Ok(Some(PeerFrame::Hello(hello))) => return hello.extensions.lane,
                Ok(None) if read > 0 => tokio::time::sleep(GREETING_PAUSE).await,
                Ok(_) | Err(_) => return Lane::First,
            }
        }
    };
    timeout(GREETING_MAX, read).await.unwrap_or(Lane::First)
}

/// Lets a new connection through when both directions are open; `None` when a cut ends it.
async fn admit(near: TcpStream, route: &Route, lane: Option<Lane>) -> Option<TcpStream> {
    let (mut there, mut back) = (route.there.watch(lane), route.back.watch(lane));
    let mut met = None;
    loop {
        let cut = [
            (*there.borrow_and_update(), &route.there),
            (*back.borrow_and_update(), &route.back),
        ]
        .into_iter()
        .find_map(|(policy, link)| match policy {
            Policy::Open => None,
            Policy::Cut(mode) => Some((mode, link)),
        });
        let Some((mode, link)) = cut else { break };
        if met != Some(mode) {
            met = Some(mode);
            link.count(Carried::Refused);
        }
        if mode == CutMode::Reset {
            abort_on_close(&near);
            return None;
        }
        tokio::select! {
            changed = there.changed() => changed.ok()?,
            changed = back.changed() => changed.ok()?,
        }
    }
    // What the caller said into a dropping link is lost, and its connection with it.
    (met != Some(CutMode::Drop)).then_some(near)
}

/// Carries one direction of a connection until it ends, or a cut ends it.
/// `cutter` cuts the frames of the direction in which a node says something; the other carries only consent.
async fn pump(
    mut read: OwnedReadHalf,
    mut write: OwnedWriteHalf,
    (link, lane): (&Link, Lane),
    cutter: Option<Cutter>,
) {
    if carry(&mut read, &mut write, (link, lane), cutter).await == End::Severed {
        link.count(Carried::Severed);
        abort_on_close(read.as_ref());
        abort_on_close(write.as_ref());
    }
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    /// One of the two ends hung up.
    HungUp,
    /// A cut, or the heal of a lossy one, closes the connection.
    Severed,
}

async fn carry(
    read: &mut OwnedReadHalf,
    write: &mut OwnedWriteHalf,
    (link, lane): (&Link, Lane),
    mut cutter: Option<Cutter>,
) -> End {
    let mut policy = link.watch(Some(lane));
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut lossy = false;
    let mut transit = Transit::default();
    loop {
        let due = transit.due();
        let greeted = cutter.as_ref().is_some_and(Cutter::is_greeted);
        let chunk = tokio::select! {
            read = read.read(&mut buffer), if transit.has_room() => buffer.get(..read.unwrap_or(0)).unwrap_or_default(),
            frame = link.gate().next_leaving(), if greeted => {
                if write.write_all(&frame).await.is_err() {
                    return End::HungUp;
                }
                continue;
            }
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                tokio::select! {
                    end = leave(&mut transit, write, link) => if let Some(end) = end { return end },
                    // A receiver that does not read must not keep a cut from closing the connection.
                    () = until_severed(&mut policy, lossy) => return End::Severed,
                }
                continue;
            }
            () = until_severed(&mut policy, lossy) => return End::Severed,
        };
        if chunk.is_empty() {
            return until_end_may_show(&mut policy).await;
        }
        match until_decided(&mut policy, link, chunk.len()).await {
            Policy::Open if lossy => return End::Severed,
            Policy::Open => {
                let passed = cutter.as_mut().map(|cutter| cutter.cut(chunk, link.gate()));
                let passed = passed.as_deref().unwrap_or(chunk);
                // Only in this direction are there frames.
                let trouble = cutter.as_ref().and_then(|_| link.trouble_of(lane));
                if transit.is_half_closed() && trouble.is_none() {
                    return End::Severed;
                }
                if cutter.is_some() {
                    let ends = (link.from, link.to);
                    let next = || link.next_frame();
                    let changed = transit.send(passed, Instant::now(), ends, trouble.as_ref(), next);
                    link.count(Carried::Troubled(changed as usize));
                    continue;
                }
                tokio::select! {
                    written = write.write_all(passed) => if written.is_err() { return End::HungUp },
                    // A receiver that does not read must not keep a cut from closing the connection.
                    () = until_severed(&mut policy, lossy) => return End::Severed,
                }
                link.count(Carried::Delivered(passed.len()));
            }
            Policy::Cut(CutMode::Drop) => {
                lossy = true;
                link.count(Carried::Dropped(chunk.len()));
            }
            Policy::Cut(CutMode::Reset | CutMode::Stall) => return End::Severed,
        }
    }
}

/// Delivers what leaves next; how the connection ends, if it does.
async fn leave(transit: &mut Transit, write: &mut OwnedWriteHalf, link: &Link) -> Option<End> {
    match transit.pop()? {
        Departure::Bytes(_) if transit.is_half_closed() => None,
        Departure::Bytes(bytes) => {
            link.count(Carried::Delivered(bytes.len()));
            write.write_all(&bytes).await.is_err().then_some(End::HungUp)
        }
        Departure::Reset => Some(End::Severed),
        Departure::HalfClose => write.shutdown().await.is_err().then_some(End::HungUp),
    }
}

/// Returns when the connection must be closed: reset now, or healed after it lost bytes.
async fn until_severed(policy: &mut watch::Receiver<Policy>, lossy: bool) {
    let severing = |policy: &Policy| match policy {
        Policy::Cut(CutMode::Reset) => true,
        Policy::Open => lossy,
        Policy::Cut(CutMode::Drop | CutMode::Stall) => false,
    };
    // An error means that the run is over, and the connection with it.
    let _ = policy.wait_for(severing).await;
}

/// What to do with bytes available; waits while the link stalls.
async fn until_decided(policy: &mut watch::Receiver<Policy>, link: &Link, length: usize) -> Policy {
    let stalled = |policy: &Policy| *policy == Policy::Cut(CutMode::Stall);
    if stalled(&policy.borrow()) {
        link.count(Carried::Held(length));
    }
    match policy.wait_for(|policy| !stalled(policy)).await {
        Ok(decided) => *decided,
        Err(_) => Policy::Cut(CutMode::Reset),
    }
}

/// Keeps the far side from hearing that the near side hung up, until the link opens: the end of a stream
/// is a message too.
async fn until_end_may_show(policy: &mut watch::Receiver<Policy>) -> End {
    let shows = |policy: &Policy| matches!(policy, Policy::Open | Policy::Cut(CutMode::Reset));
    match policy.wait_for(shows).await {
        Ok(decided) if *decided == Policy::Open => End::HungUp,
        Ok(_) | Err(_) => End::Severed,
    }
}

/// Closes with a reset instead of an orderly end, as a broken path does.
fn abort_on_close(stream: &TcpStream) {
    // Fails only on a socket that is already dead: then there is nothing left to reset.
    let _ = stream.set_zero_linger();
}

/// A greeting comes at once, or it is none.
const GREETING_MAX: Duration = Duration::from_millis(500);
/// Between two looks at one that arrives in pieces.
const GREETING_PAUSE: Duration = Duration::from_millis(1);
/// A greeting is small.
const GREETING_BYTES_MAX: usize = 4 << 10;

/// One read: large enough that a busy link costs few system calls.
const CHUNK_BYTES: usize = 64 << 10;
