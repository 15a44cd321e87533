//! Committed proposals a second: three nodes in one thread and in memory, side by side with peers.
//!
//! Every library does the same work: a proposal's bytes are copied once for each node that stores them,
//! every queued action is executed, every committed entry is read by every node. The libraries take
//! turns; a cell is the median of its turns. What counts is the ratio in one run, not the figure.
//! Driven by `cargo bench -p bench --bench core`.
#![allow(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long one library runs in one turn.
const TURN: Duration = Duration::from_millis(250);
const TURNS: usize = 9;
const PAYLOAD_BYTES: usize = 256;

/// A library under the same load: `round` proposes `count` commands and has them committed.
trait Contender {
    fn round(&mut self, count: usize, payload: &[u8]);
    /// Commands that the leader has applied.
    fn applied(&self) -> u64;
}

/// What a node stores and applies: the bytes of commands, in the order of the log.
#[derive(Default)]
struct Store {
    /// Term and bytes of entries from `first` on; no bytes where the entry is no command.
    entries: VecDeque<(u64, Option<Vec<u8>>)>,
    first: u64,
    /// Of all bytes applied.
    digest: u64,
}

impl Store {
    fn append(&mut self, index: u64, term: u64, payload: Option<Vec<u8>>) {
        if self.entries.is_empty() {
            self.first = index;
        }
        self.entries
            .truncate(usize::try_from(index - self.first).unwrap());
        self.entries.push_back((term, payload));
    }

    fn payload(&self, index: u64) -> Option<Vec<u8>> {
        let at = usize::try_from(index.checked_sub(self.first)?).unwrap();
        self.entries.get(at)?.1.clone()
    }

    fn apply(&mut self, commit_index: u64) {
        while self.first <= commit_index {
            let Some((_, payload)) = self.entries.pop_front() else {
                break;
            };
            self.first += 1;
            if let Some(payload) = payload {
                self.digest = digest(self.digest, &payload);
            }
        }
    }
}

fn digest(before: u64, payload: &[u8]) -> u64 {
    payload
        .chunks(8)
        .fold(before, |sum, chunk| sum.rotate_left(5) ^ u64::from(chunk[0]))
}

/// The same drivers for our crate and for the reference, whose types only share their names.
macro_rules! contender {
    ($module:ident, $library:ident) => {
        mod $module {
            use std::collections::VecDeque;

            use $library::{Action, LogEntries, LogEntry, LogIndex, Message, Node, NodeId};

            use super::{Contender, Store};

            struct Server {
                node: Node,
                store: Store,
                /// Bytes of entries that are in the node's log but not stored yet, with their index.
                arrived: VecDeque<(u64, Option<Vec<u8>>)>,
            }

            /// Nodes that store and apply the bytes of commands.
            pub(crate) struct Cluster {
                servers: Vec<Server>,
                network: VecDeque<(NodeId, Message, Vec<(u64, Option<Vec<u8>>)>)>,
            }

            impl Cluster {
                pub(crate) fn new() -> Self {
                    let ids: Vec<NodeId> = (0..3).map(NodeId::new).collect();
                    let server = |id: &NodeId| Server {
                        node: Node::start(*id),
                        store: Store::default(),
                        arrived: VecDeque::new(),
                    };
                    let mut cluster = Self {
                        servers: ids.iter().map(server).collect(),
                        network: VecDeque::new(),
                    };
                    cluster.servers[0].node.create_cluster(&ids);
                    cluster.execute(0);
                    cluster.deliver_all();
                    assert!(cluster.servers[0].node.role().is_leader());
                    cluster
                }

                fn deliver_all(&mut self) {
                    while let Some((to, message, payloads)) = self.network.pop_front() {
                        let at = usize::try_from(to.get()).unwrap();
                        self.servers[at].arrived.extend(payloads);
                        let _accepted = self.servers[at].node.handle_message(&message);
                        self.execute(at);
                    }
                }

                fn execute(&mut self, at: usize) {
                    let Server {
                        node,
                        store,
                        arrived,
                    } = &mut self.servers[at];
                    let actions = std::mem::take(node.actions_mut());
                    for action in actions {
                        match action {
                            Action::SetElectionTimeout | Action::SaveCurrentTerm | Action::SaveVotedFor => {}
                            Action::AppendLogEntries(entries) => save(store, arrived, &entries),
                            Action::BroadcastMessage(message) => {
                                for peer in node.peers() {
                                    let payloads = payloads_of(store, &message);
                                    self.network.push_back((peer, message.clone(), payloads));
                                }
                            }
                            Action::SendMessage(to, message) => {
                                let payloads = payloads_of(store, &message);
                                self.network.push_back((to, message, payloads));
                            }
                            Action::InstallSnapshot(_) => unreachable!("no log is compacted here"),
                        }
                    }
                    store.apply(node.commit_index().get());
                }
            }

            fn save(store: &mut Store, arrived: &mut VecDeque<(u64, Option<Vec<u8>>)>, entries: &LogEntries) {
                for (position, entry) in entries.iter_with_positions() {
                    let index = position.index.get();
                    while arrived.front().is_some_and(|(at, _)| *at < index) {
                        arrived.pop_front();
                    }
                    let is_next = arrived.front().is_some_and(|(at, _)| *at == index);
                    let next = if is_next { arrived.pop_front() } else { None };
                    let payload = next.and_then(|(_, payload)| payload);
                    assert_eq!(payload.is_some(), matches!(entry, LogEntry::Command));
                    store.append(index, position.term.get(), payload);
                }
            }

            fn payloads_of(store: &Store, message: &Message) -> Vec<(u64, Option<Vec<u8>>)> {
                let Message::AppendEntriesCall { entries, .. } = message else {
                    return Vec::new();
                };
                let first = entries.prev_position().index.get() + 1;
                let last = entries.last_position().index.get();
                (first..=last)
                    .map(|index| (index, store.payload(index)))
                    .collect()
            }

            impl Contender for Cluster {
                fn round(&mut self, count: usize, payload: &[u8]) {
                    let server = &mut self.servers[0];
                    for _ in 0..count {
                        let position = server.node.propose_command();
                        server
                            .arrived
                            .push_back((position.index.get(), Some(payload.to_vec())));
                    }
                    let tail = server.node.log().last_position().index;
                    self.execute(0);
                    self.deliver_all();
                    assert!(self.servers[0].node.commit_index() >= LogIndex::new(tail.get()));
                }

                fn applied(&self) -> u64 {
                    std::hint::black_box(self.servers[0].store.digest);
                    self.servers[0].node.commit_index().get()
                }
            }
        }
    };
}

/// The nodes alone: nothing to store beside the entries, nothing to apply but the commit index.
/// Messages are passed on as they are, and a node's actions are executed when no more messages wait
/// for it, so that the time goes to the library and not to its driver.
macro_rules! bare_contender {
    ($module:ident, $library:ident) => {
        mod $module {
            use std::collections::VecDeque;

            use $library::{Action, LogEntries, LogIndex, Message, Node, NodeId};

            use super::Contender;

            #[derive(Default)]
            pub(crate) struct Cluster {
                nodes: Vec<Node>,
                network: VecDeque<(NodeId, Message)>,
                /// Of all entries stored.
                digest: u64,
            }

            impl Cluster {
                pub(crate) fn new() -> Self {
                    let ids: Vec<NodeId> = (0..3).map(NodeId::new).collect();
                    let mut cluster = Self::default();
                    cluster.nodes.extend(ids.iter().copied().map(Node::start));
                    cluster.nodes[0].create_cluster(&ids);
                    cluster.run();
                    assert!(cluster.nodes[0].role().is_leader());
                    cluster
                }

                fn run(&mut self) {
                    self.execute(0);
                    while let Some((to, message)) = self.network.pop_front() {
                        let at = usize::try_from(to.get()).unwrap();
                        let _accepted = self.nodes[at].handle_message(&message);
                        if self.network.front().is_none_or(|(next, _)| *next != to) {
                            self.execute(at);
                        }
                    }
                }

                fn execute(&mut self, at: usize) {
                    let node = &mut self.nodes[at];
                    while let Some(action) = node.actions_mut().next() {
                        match action {
                            Action::SetElectionTimeout | Action::SaveCurrentTerm | Action::SaveVotedFor => {}
                            Action::AppendLogEntries(entries) => save(&mut self.digest, &entries),
                            Action::BroadcastMessage(message) => {
                                let to_each = node.peers().map(|peer| (peer, message.clone()));
                                self.network.extend(to_each);
                            }
                            Action::SendMessage(to, message) => self.network.push_back((to, message)),
                            Action::InstallSnapshot(_) => unreachable!("no log is compacted here"),
                        }
                    }
                }
            }

            /// Reads every entry, as a store has to that writes them.
            fn save(digest: &mut u64, entries: &LogEntries) {
                for (position, _) in entries.iter_with_positions() {
                    *digest ^= position.term.get().rotate_left(7) ^ position.index.get();
                }
            }

            impl Contender for Cluster {
                fn round(&mut self, count: usize, _payload: &[u8]) {
                    for _ in 0..count {
                        self.nodes[0].propose_command();
                    }
                    let tail = self.nodes[0].log().last_position().index;
                    self.run();
                    assert!(self.nodes[0].commit_index() >= LogIndex::new(tail.get()));
                }

                fn applied(&self) -> u64 {
                    std::hint::black_box(self.digest);
                    self.nodes[0].commit_index().get()
                }
            }
        }
    };
}

bare_contender!(ours_bare, noraft);
bare_contender!(theirs_bare, reference);
contender!(ours, noraft);
contender!(theirs, reference);

/// raft-rs with its own in-memory storage.
mod raft_rs {
    use std::collections::VecDeque;

    use raft::eraftpb::{ConfState, Entry, Message};
    use raft::storage::MemStorage;
    use raft::{Config, RawNode};

    use super::{Contender, digest};

    /// Storage is compacted when it holds that many applied entries.
    const COMPACT_ENTRIES: u64 = 4096;

    struct Server {
        node: RawNode<MemStorage>,
        applied: u64,
        digest: u64,
        compacted: u64,
    }

    pub(crate) struct Cluster {
        servers: Vec<Server>,
        network: VecDeque<Message>,
    }

    impl Cluster {
        pub(crate) fn new(batch_append: bool) -> Self {
            let logger = slog::Logger::root(slog::Discard, slog::o!());
            let server = |id| {
                let storage = MemStorage::new_with_conf_state(ConfState::from((vec![1, 2, 3], vec![])));
                let mut config = Config::new(id);
                config.batch_append = batch_append;
                config.max_size_per_msg = 1 << 30;
                let node = RawNode::new(&config, storage, &logger).unwrap();
                Server {
                    node,
                    applied: 0,
                    digest: 0,
                    compacted: 0,
                }
            };
            let mut cluster = Self {
                servers: (1..=3).map(server).collect(),
                network: VecDeque::new(),
            };
            cluster.servers[0].node.campaign().unwrap();
            cluster.run();
            assert_eq!(cluster.servers[0].node.raft.state, raft::StateRole::Leader);
            cluster
        }

        fn run(&mut self) {
            self.execute(0);
            while let Some(message) = self.network.pop_front() {
                let at = usize::try_from(message.to - 1).unwrap();
                self.servers[at].node.step(message).unwrap();
                // As long as messages wait for this node, they are taken in one go.
                if self.network.front().is_none_or(|next| next.to != (at as u64) + 1) {
                    self.execute(at);
                }
            }
        }

        fn execute(&mut self, at: usize) {
            let server = &mut self.servers[at];
            while server.node.has_ready() {
                let mut ready = server.node.ready();
                let store = server.node.raft.raft_log.store.clone();
                self.network.extend(ready.take_messages());
                server.apply(ready.take_committed_entries());
                if !ready.entries().is_empty() {
                    store.wl().append(ready.entries()).unwrap();
                }
                if let Some(hard_state) = ready.hs() {
                    store.wl().set_hardstate(hard_state.clone());
                }
                self.network.extend(ready.take_persisted_messages());
                let mut light = server.node.advance(ready);
                if let Some(commit) = light.commit_index() {
                    store.wl().mut_hard_state().commit = commit;
                }
                self.network.extend(light.take_messages());
                server.apply(light.take_committed_entries());
                server.node.advance_apply();
            }
            let applied = server.node.raft.raft_log.applied;
            if applied > server.compacted + COMPACT_ENTRIES {
                server.compacted = applied - COMPACT_ENTRIES / 2;
                server
                    .node
                    .raft
                    .raft_log
                    .store
                    .wl()
                    .compact(server.compacted)
                    .unwrap();
            }
        }
    }

    impl Server {
        fn apply(&mut self, entries: Vec<Entry>) {
            for entry in entries.iter().filter(|entry| !entry.context.is_empty()) {
                self.applied += 1;
                self.digest = digest(self.digest, &entry.data);
            }
        }
    }

    impl Contender for Cluster {
        fn round(&mut self, count: usize, payload: &[u8]) {
            for _ in 0..count {
                // The context marks a command, as an empty payload would be taken for a leader's entry.
                self.servers[0].node.propose(vec![1], payload.to_vec()).unwrap();
            }
            self.run();
        }

        fn applied(&self) -> u64 {
            std::hint::black_box(self.servers[0].digest);
            self.servers[0].applied
        }
    }
}

/// Runs rounds for one turn; gives the committed proposals a second.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn turn(contender: &mut dyn Contender, count: usize, payload: &[u8]) -> f64 {
    let before = contender.applied();
    let start = Instant::now();
    let mut rounds = 0u64;
    while start.elapsed() < TURN {
        for _ in 0..32 {
            contender.round(count, payload);
        }
        rounds += 32;
    }
    let seconds = start.elapsed().as_secs_f64();
    let committed = contender.applied() - before;
    assert_eq!(
        committed,
        rounds * count as u64,
        "every proposal of a round is committed and applied in it"
    );
    committed as f64 / seconds
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    println!("committed proposals a second, three nodes in memory, median of {TURNS} interleaved turns");
    println!(
        "{:<28}{:>10}{:>10}{:>14}{:>18}",
        "library", "a round", "payload", "proposals/s", "this / library"
    );
    for (count, bytes) in [(1, 0), (100, 0), (1, PAYLOAD_BYTES), (100, PAYLOAD_BYTES)] {
        let payload = vec![7u8; bytes];
        let (this, reference): (Box<dyn Contender>, Box<dyn Contender>) = match bytes {
            0 => (
                Box::new(ours_bare::Cluster::new()),
                Box::new(theirs_bare::Cluster::new()),
            ),
            _ => (Box::new(ours::Cluster::new()), Box::new(theirs::Cluster::new())),
        };
        let mut contenders: Vec<(&str, Box<dyn Contender>)> = vec![
            ("noraft (this)", this),
            ("noraft 0.7.1", reference),
            ("raft-rs 0.7", Box::new(raft_rs::Cluster::new(false))),
            ("raft-rs 0.7, batch_append", Box::new(raft_rs::Cluster::new(true))),
        ];
        let mut rates: Vec<Vec<f64>> = contenders.iter().map(|_| Vec::new()).collect();
        for _ in 0..TURNS {
            for (rates, (_, contender)) in rates.iter_mut().zip(&mut contenders) {
                rates.push(turn(contender.as_mut(), count, &payload));
            }
        }
        let medians: Vec<f64> = rates.into_iter().map(median).collect();
        for ((name, _), rate) in contenders.iter().zip(&medians) {
            println!(
                "{name:<28}{count:>10}{bytes:>10}{rate:>14.0}{:>18.2}",
                medians[0] / rate
            );
        }
    }
}
