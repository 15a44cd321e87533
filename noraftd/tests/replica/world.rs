//! A small deterministic world for replicas: virtual time, a network with faults, disks that remember what was
//! synced. One seed, one trace.

mod network;
mod snapshots;

use bytes::Bytes;
use noraft::{LogIndex, NodeId};
use noraftd::level::Level;
use noraftd::prng::Prng;
use noraftd::protocol::command::{self, Parsed, Request};
use noraftd::protocol::outcome::Outcome;
use noraftd::protocol::peer::{Lane, PeerMessage};
use noraftd::record::{Batch, BatchId, HardState, Record, RecordKind};
use noraftd::replica::event::{ConnectionId, Input, Output, RequestId, Room};
use noraftd::replica::{Replica, ReplicaConfig};
use noraftd::time::{Instant, Stamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::snapshots::SnapshotWork;
use super::disk::Disk;

/// What the network and the disks do, in a world.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    /// Messages lost, duplicated: per thousand.
    pub(crate) loss: u64,
    pub(crate) duplicate: u64,
    /// Whether messages on one link overtake each other.
    pub(crate) reorder: bool,
    /// Slowest message and slowest sync, in microseconds; slow enough ones overtake each other.
    pub(crate) delay_max: u64,
    pub(crate) sync_max: u64,
    /// Whether nodes take snapshots all the time.
    pub(crate) compact: bool,
}

impl Faults {
    pub(crate) const NONE: Self = Self {
        loss: 0,
        duplicate: 0,
        reorder: false,
        delay_max: 200,
        sync_max: 200,
        compact: false,
    };

    /// No faults, but snapshots all the time.
    pub(crate) const COMPACTING: Self = Self {
        compact: true,
        ..Self::NONE
    };
}

#[derive(Debug)]
enum Event {
    Deliver {
        to: u64,
        from: u64,
        message: PeerMessage,
    },
    Synced {
        node: u64,
        life: u64,
        batch: Batch,
    },
    VoteSynced {
        node: u64,
        life: u64,
        hard_state: HardState,
    },
    Patched {
        node: u64,
        life: u64,
        id: BatchId,
        records: Vec<Record>,
    },
    Fetched {
        node: u64,
        life: u64,
        from: LogIndex,
        to: LogIndex,
    },
    /// The disk has done something with a snapshot.
    SnapshotDone {
        node: u64,
        life: u64,
        work: SnapshotWork,
    },
    Wake {
        node: u64,
        life: u64,
    },
}

/// One finished request.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    pub(crate) id: u64,
    pub(crate) outcome: Outcome,
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) prng: Prng,
    pub(crate) faults: Faults,
    pub(crate) size: u64,
    /// The nodes that the cluster began with: from 1 up to this one.
    begun: u64,
    config: ReplicaConfig,
    events: BTreeMap<(u64, u64), Event>,
    scheduled: u64,
    replicas: BTreeMap<u64, Replica>,
    disks: BTreeMap<u64, Disk>,
    lives: BTreeMap<u64, u64>,
    cut: BTreeSet<(u64, u64)>,
    /// Nodes whose version supports less than this one does.
    old: BTreeMap<u64, Level>,
    /// By how many milliseconds the wall clocks of nodes are ahead.
    pub(crate) walls_ahead: BTreeMap<u64, i64>,
    /// Nodes whose every sync takes this many microseconds.
    slow: BTreeMap<u64, u64>,
    /// What a message of the first lane takes besides.
    first_lane_delay: Duration,
    second_lane_is_dead: bool,
    /// Wake-ups since time last went on.
    wakes_now: u32,
    /// When the last message on each link arrives.
    last_arrival: BTreeMap<(u64, u64, Lane), u64>,
    /// The one wake-up of each node that counts.
    wakes: BTreeMap<u64, u64>,
    pub(crate) done: Vec<Done>,
    pub(crate) sent_records: u64,
    /// Requests, and questions for the index, that nodes passed on.
    pub(crate) forwards: u64,
    /// Batches given to disks.
    pub(crate) batches: u64,
    /// Snapshots that a node received whole.
    pub(crate) installs: u64,
}

impl World {
    pub(crate) fn new(seed: u64, size: u64, faults: Faults) -> Self {
        Self::with_election(seed, size, faults, Duration::from_millis(500))
    }

    /// A world whose elections time out after `election`: the shorter, the more of them collide.
    pub(crate) fn with_election(seed: u64, size: u64, faults: Faults, election: Duration) -> Self {
        let mut config = ReplicaConfig::new(NodeId::new(0));
        (config.election_timeout, config.heartbeat_interval) = (election, election / 10);
        config.limits.payload_cache_bytes_max = 2000;
        if faults.compact {
            (config.snapshots.log_bytes, config.snapshots.chunk_bytes) = (1000, 300);
        }
        let mut world = Self {
            now: 0,
            prng: Prng::new(seed),
            faults,
            size,
            begun: size,
            config,
            events: BTreeMap::new(),
            scheduled: 0,
            replicas: BTreeMap::new(),
            disks: BTreeMap::new(),
            lives: BTreeMap::new(),
            cut: BTreeSet::new(),
            old: BTreeMap::new(),
            walls_ahead: BTreeMap::new(),
            slow: BTreeMap::new(),
            first_lane_delay: Duration::ZERO,
            second_lane_is_dead: false,
            wakes_now: 0,
            last_arrival: BTreeMap::new(),
            wakes: BTreeMap::new(),
            done: Vec::new(),
            sent_records: 0,
            forwards: 0,
            batches: 0,
            installs: 0,
        };
        (1..=size).for_each(|node| world.start(node));
        world
    }

    pub(crate) fn start(&mut self, node: u64) {
        let disk = self.disks.entry(node).or_default().clone();
        let mut config = self.config.clone();
        config.id = NodeId::new(node);
        config.members = (1..=self.size).map(NodeId::new).collect();
        config.level = self.level_of(node);
        let life = self.lives.entry(node).or_default();
        *life += 1;
        let seed = self.prng.next_u64();
        let (recovered, snapshot) = disk.recover(self.begun);
        self.replicas
            .insert(node, Replica::recover(&config, seed, recovered, snapshot));
        self.input(node, Input::Deadline);
        let others: Vec<u64> = self.up().into_iter().filter(|peer| *peer != node).collect();
        for peer in others {
            self.connect(peer, node);
            self.connect(node, peer);
        }
    }

    /// Another node begins, with an empty log.
    pub(crate) fn grow(&mut self) {
        self.size += 1;
        self.start(self.size);
    }

    /// The level that `node` supports.
    fn level_of(&self, node: u64) -> Level {
        self.old.get(&node).copied().unwrap_or(Level::SUPPORTED)
    }

    /// Starts `node` again, in a version that supports `level`.
    pub(crate) fn start_at(&mut self, node: u64, level: Level) {
        self.kill(node);
        self.old.insert(node, level);
        self.start(node);
    }

    /// Every leader raises the level by itself.
    pub(crate) fn raise_by_itself(&mut self) {
        self.config.raises_level = true;
        self.up()
            .into_iter()
            .for_each(|node| self.start_at(node, self.level_of(node)));
    }

    /// Kills the process; a batch whose sync had not returned is on disk or not.
    pub(crate) fn kill(&mut self, node: u64) {
        self.replicas.remove(&node);
        let life = self.lives[&node];
        let in_flight = self.events.iter().find_map(|(key, event)| match event {
            Event::Synced {
                node: of,
                life: in_life,
                ..
            } if *of == node && *in_life == life => Some(*key),
            _ => None,
        });
        if let Some(Event::Synced { batch, .. }) = in_flight.and_then(|key| self.events.remove(&key))
            && self.prng.chance(1, 2)
        {
            self.disks
                .get_mut(&node)
                .expect("a node has a disk")
                .write(&batch);
        }
        let vote = self.events.iter().find_map(|(key, event)| match event {
            Event::VoteSynced {
                node: of,
                life: in_life,
                hard_state,
            } if *of == node && *in_life == life => Some((*key, *hard_state)),
            _ => None,
        });
        if let Some((key, hard_state)) = vote {
            self.events.remove(&key);
            if self.prng.chance(1, 2) {
                self.disks
                    .get_mut(&node)
                    .expect("a node has a disk")
                    .vote(hard_state);
            }
        }
        for peer in self.up() {
            self.input(
                peer,
                Input::Disconnected {
                    peer: NodeId::new(node),
                },
            );
        }
    }

    /// Damages entries on a node's disk; a running node finds out when it reads them.
    pub(crate) fn damage(&mut self, node: u64, indexes: impl IntoIterator<Item = u64>) {
        let disk = self.disks.get_mut(&node).expect("a node has a disk");
        let held: BTreeSet<u64> = disk.indexes().collect();
        disk.damaged
            .extend(indexes.into_iter().filter(|index| held.contains(index)));
    }

    /// Every sync of `node` takes this long from now on.
    pub(crate) fn slow_disk(&mut self, node: u64, sync: Duration) {
        self.slow.insert(node, sync.as_micros() as u64);
    }

    /// How much room the disk of `node` has changes.
    pub(crate) fn room(&mut self, node: u64, room: Room) {
        self.input(node, Input::Room(room));
    }

    fn sync_time(&mut self, node: u64) -> u64 {
        let drawn = self.prng.between(50, self.faults.sync_max.max(51));
        self.slow.get(&node).copied().unwrap_or(drawn)
    }

    /// Asks `node` for a snapshot.
    pub(crate) fn take_snapshot(&mut self, node: u64) {
        self.input(node, Input::TakeSnapshot);
    }

    /// Asks `node` for other voters.
    pub(crate) fn change_voters(&mut self, node: u64, id: u64, voters: &[u64]) {
        let voters = voters.iter().copied().map(NodeId::new).collect();
        let id = RequestId(id);
        self.input(node, Input::ChangeVoters { id, voters });
    }

    /// Asks `node` to hand over.
    pub(crate) fn hand_over(&mut self, node: u64, id: Option<u64>, to: Option<u64>) {
        let (id, to) = (id.map(RequestId), to.map(NodeId::new));
        self.input(node, Input::Transfer { id, to });
    }

    /// The voters that `node` knows, and the new ones while they are being changed.
    pub(crate) fn voters(&self, node: u64) -> (Vec<u64>, Vec<u64>) {
        let status = self.replicas[&node].status();
        let ids = |nodes: Vec<NodeId>| nodes.into_iter().map(NodeId::get).collect();
        (ids(status.voters), ids(status.new_voters))
    }

    /// None of the snapshots that `node` has can be read from now on.
    pub(crate) fn rot_snapshots(&mut self, node: u64) {
        let disk = self.disks.get_mut(&node).expect("a node has a disk");
        let held = disk.snapshots.iter().map(|(id, _)| id.position.index.get());
        disk.rotten.extend(held);
    }

    /// Puts another record in place of the one at `index` on the disk of a node that is down.
    pub(crate) fn rewrite(&mut self, node: u64, index: u64, by: impl FnOnce(&Record) -> Record) {
        let disk = self.disks.get_mut(&node).expect("a node has a disk");
        let held = disk
            .records
            .iter_mut()
            .find(|record| record.position.index.get() == index);
        let held = held.expect("the log holds the entry");
        *held = by(held);
    }

    /// Nothing is known of the chain of the log on a node's disk, as if an earlier version had written it.
    pub(crate) fn forget_chain(&mut self, node: u64) {
        self.disks
            .get_mut(&node)
            .expect("a node has a disk")
            .chain_is_lost = true;
    }

    /// Entries on a node's disk that cannot be read.
    pub(crate) fn damaged(&self, node: u64) -> usize {
        self.disks[&node].damaged.len()
    }

    /// The indexes of the entries on a node's disk.
    pub(crate) fn on_disk(&self, node: u64) -> Vec<u64> {
        self.disks[&node].indexes().collect()
    }

    /// The indexes of the configurations on a node's disk.
    pub(crate) fn configs_on_disk(&self, node: u64) -> Vec<u64> {
        let records = self.disks[&node].records.iter();
        let configs = records.filter(|record| record.kind == RecordKind::Config);
        configs.map(|record| record.position.index.get()).collect()
    }

    /// The term on a node's disk.
    pub(crate) fn term_on_disk(&self, node: u64) -> u64 {
        self.disks[&node].hard_state.term
    }

    pub(crate) fn up(&self) -> Vec<u64> {
        self.replicas.keys().copied().collect()
    }

    pub(crate) fn replica(&self, node: u64) -> Option<&Replica> {
        self.replicas.get(&node)
    }

    pub(crate) fn leader(&self) -> Option<u64> {
        let leaders = self
            .replicas
            .iter()
            .filter(|(_, replica)| replica.node().role().is_leader());
        leaders
            .max_by_key(|(_, replica)| replica.node().current_term())
            .map(|(node, _)| *node)
    }

    pub(crate) fn heal(&mut self) {
        self.reconnect();
        self.faults = Faults::NONE;
        let down: Vec<u64> = (1..=self.size)
            .filter(|node| !self.replicas.contains_key(node))
            .collect();
        down.into_iter().for_each(|node| self.start(node));
    }

    /// Each request over a connection of its own.
    pub(crate) fn request(&mut self, node: u64, id: u64, words: &[&str]) {
        self.request_on(node, CONNECTIONS + id, id, words);
    }

    /// A request over this connection, which numbers below [`CONNECTIONS`] name.
    pub(crate) fn request_on(&mut self, node: u64, connection: u64, id: u64, words: &[&str]) {
        self.raw_request(node, connection, id, request_of(words));
    }

    /// A read over this connection, which the node's own state may answer that is no older than `staleness_max`.
    pub(crate) fn stale_read(
        &mut self,
        node: u64,
        connection: u64,
        id: u64,
        words: &[&str],
        staleness_max: Option<Duration>,
    ) {
        let stale_read = Input::StaleRead {
            id: RequestId(id),
            connection: ConnectionId(connection),
            request: request_of(words),
            staleness_max,
        };
        self.input(node, stale_read);
    }

    pub(crate) fn raw_request(&mut self, node: u64, connection: u64, id: u64, request: Request) {
        let connection = ConnectionId(connection);
        self.input(
            node,
            Input::Client {
                id: RequestId(id),
                connection,
                request,
            },
        );
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time.as_nanos() as u64;
        while let Some((key, event)) = self.events.pop_first() {
            if key.0 > end {
                self.events.insert(key, event);
                break;
            }
            if self.now != key.0 {
                (self.now, self.wakes_now) = (key.0, 0);
            }
            self.happen(event);
        }
        self.now = end;
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver { to, from, message } => {
                self.input(
                    to,
                    Input::Peer {
                        from: NodeId::new(from),
                        message,
                    },
                );
            }
            Event::Synced { node, life, batch } if self.lives[&node] == life => {
                self.disks
                    .get_mut(&node)
                    .expect("a node has a disk")
                    .write(&batch);
                self.input(node, Input::Synced(batch.id));
            }
            Event::VoteSynced {
                node,
                life,
                hard_state,
            } if self.lives[&node] == life => {
                let disk = self.disks.get_mut(&node).expect("a node has a disk");
                disk.vote(hard_state);
                self.input(node, Input::VoteSynced);
            }
            Event::Fetched { node, life, from, to } if self.lives[&node] == life => {
                let disk = &self.disks[&node];
                let input = if disk.damaged.contains(&from.get()) {
                    Input::FetchFailed { from }
                } else {
                    let records = disk.read(from, to);
                    Input::Fetched { from, records }
                };
                self.input(node, input);
            }
            Event::Patched {
                node,
                life,
                id,
                records,
            } if self.lives[&node] == life => {
                let disk = self.disks.get_mut(&node).expect("a node has a disk");
                disk.patch(&records);
                self.input(node, Input::Synced(id));
            }
            Event::SnapshotDone { node, life, work } if self.lives[&node] == life => {
                self.snapshot_done(node, work);
            }
            Event::Wake { node, life } if self.lives[&node] == life && self.wakes[&node] == self.now => {
                self.wakes_now += 1;
                assert!(self.wakes_now < SPIN, "a deadline of node {node} stays due");
                self.input(node, Input::Deadline);
            }
            Event::Synced { .. }
            | Event::VoteSynced { .. }
            | Event::Patched { .. }
            | Event::Fetched { .. }
            | Event::SnapshotDone { .. }
            | Event::Wake { .. } => {}
        }
    }

    fn input(&mut self, node: u64, input: Input) {
        let Some(replica) = self.replicas.get_mut(&node) else {
            return;
        };
        let now = Instant::from_nanos(self.now);
        let ahead = self.walls_ahead.get(&node).copied().unwrap_or_default();
        let wall = (EPOCH_MS + self.now / 1_000_000).saturating_add_signed(ahead);
        replica.handle(now, Stamp::from_millis(wall), input);
        let mut outputs = Vec::new();
        while let Some(output) = replica.poll() {
            outputs.push(output);
        }
        let deadline = replica.deadline();
        outputs.into_iter().for_each(|output| self.output(node, output));
        if let Some(deadline) = deadline {
            let (life, at) = (self.lives[&node], deadline.as_nanos().max(self.now));
            if self.wakes.insert(node, at) != Some(at) || at == self.now {
                self.schedule_at(at, Event::Wake { node, life });
            }
        }
    }

    fn output(&mut self, node: u64, output: Output) {
        let life = self.lives[&node];
        match output {
            Output::Persist(batch) => {
                self.batches += 1;
                let delay = self.sync_time(node);
                self.schedule(delay, Event::Synced { node, life, batch });
            }
            Output::PersistVote(hard_state) => {
                let delay = self.sync_time(node);
                let synced = Event::VoteSynced {
                    node,
                    life,
                    hard_state,
                };
                self.schedule(delay, synced);
            }
            Output::Patch { id, records } => {
                let delay = self.sync_time(node);
                let patched = Event::Patched {
                    node,
                    life,
                    id,
                    records,
                };
                self.schedule(delay, patched);
            }
            Output::Fetch { from, to, .. } => self.schedule(30, Event::Fetched { node, life, from, to }),
            Output::SaveSnapshot(snapshot) => self.begin_snapshot(node, SnapshotWork::Save(snapshot)),
            Output::ReadSnapshot {
                position,
                offset,
                bytes_max,
            } => self.begin_snapshot(
                node,
                SnapshotWork::Read {
                    position,
                    offset,
                    bytes_max,
                },
            ),
            Output::ReceiveSnapshot { id, offset, bytes } => {
                let next = offset + bytes.len() as u64;
                self.begin_snapshot(node, SnapshotWork::Receive { id, next });
            }
            Output::Send { to, message } => self.transmit(node, to.get(), message),
            Output::Reply { id, outcome } => self.done.push(Done { id: id.0, outcome }),
        }
    }

    fn schedule(&mut self, micros: u64, event: Event) {
        self.schedule_at(self.now + micros * 1000, event);
    }

    fn schedule_at(&mut self, at: u64, event: Event) {
        self.scheduled += 1;
        self.events.insert((at, self.scheduled), event);
    }
}

pub(crate) fn request_of(words: &[&str]) -> Request {
    let args = words
        .iter()
        .map(|word| Bytes::copy_from_slice(word.as_bytes()))
        .collect();
    let Ok(Parsed::Replicated(request)) = command::parse(args) else {
        panic!("{words:?} is replicated")
    };
    request
}

/// Wake-ups at one instant; a node needs a few.
const SPIN: u32 = 10_000;

/// Connections above this number have one request each.
const CONNECTIONS: u64 = 1 << 32;

/// What a right wall clock shows in the beginning.
pub(crate) const EPOCH_MS: u64 = 1_700_000_000_000;
