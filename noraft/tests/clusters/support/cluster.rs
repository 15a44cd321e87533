//! A cluster in one thread: servers, the messages between them, and the invariants over both.
//!
//! Invariant: every operation ends with a check of the servers it touched, so a violation is found at
//! the step that caused it.
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use noraft::invariants::{Invariant, Invariants, Violation};
use noraft::{CommitStatus, LogIndex, LogPosition, Message, Node, NodeId, Term};

use super::rng::Rng;
use super::server::{Payload, Server};

/// A seeded fault of the driver, to prove that the checks have teeth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    None,
    /// A restart brings back the term without the vote.
    ForgetVote,
    /// A restart brings back the term before.
    ForgetTerm,
    /// A restart brings back the log without its last entry.
    LoseTail,
    /// Append replies leave before their sync.
    AckBeforeSync,
    /// Vote replies leave before their sync.
    VoteBeforeSync,
    /// Early appends are acknowledged to a leader that has not synced them itself.
    LeaderCountsUnsynced,
    /// A snapshot is taken of the tail instead of the commit index.
    SnapshotUncommitted,
    /// The disk keeps the conflicting suffix behind newly written entries.
    KeepConflicts,
}

/// A message under way.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    pub(crate) due: u64,
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) payload: Payload,
}

/// Loss and delay of the links; a directed pair in `cut` delivers nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Links {
    pub(crate) loss_percent: u64,
    pub(crate) latency_max: u64,
    /// So many append calls carry only some of their entries, as an integrator is free to do.
    pub(crate) shorten_percent: u64,
    pub(crate) cut: BTreeSet<(NodeId, NodeId)>,
}

/// Servers, network and checks.
pub(crate) struct Cluster {
    pub(crate) rng: Rng,
    pub(crate) servers: BTreeMap<NodeId, Server>,
    pub(crate) network: Vec<Envelope>,
    pub(crate) links: Links,
    pub(crate) invariants: Invariants,
    /// Violations of these are passed over, to see whether the others find a fault.
    pub(crate) ignored: Vec<Invariant>,
    pub(crate) bug: Bug,
    /// Leaders send appends before their own sync, and take replies only after it.
    pub(crate) early_appends: bool,
    pub(crate) now: u64,
    pub(crate) steps: u64,
    /// Positions returned by proposals.
    pub(crate) proposals: Vec<LogPosition>,
    /// The last events, for the report of a failure; none unless asked for.
    trace: Option<VecDeque<String>>,
}

pub(crate) type Checked = Result<(), Violation>;

/// How many events a failure shows.
const TRACE_EVENTS: usize = 80;

/// More messages than this under way are dropped, oldest first.
const NETWORK_MESSAGES_MAX: usize = 300;

pub(crate) fn id(number: u64) -> NodeId {
    NodeId::new(number)
}

impl Cluster {
    /// Servers `0..servers`, of which `0..voters` form the cluster; the creation is written already.
    pub(crate) fn new(seed: u64, servers: u64, voters: u64) -> Self {
        let mut cluster = Self::of_servers(seed, (0..servers).map(id));
        let voters: Vec<NodeId> = (0..voters).map(id).collect();
        let created = cluster.on_node(id(0), |node| node.create_cluster(&voters));
        assert!(
            created.is_some_and(|position| !position.is_invalid()),
            "an empty node creates a cluster"
        );
        cluster.sync(id(0)).expect("a first write has an anchor");
        cluster
    }

    /// Servers that know nothing yet.
    pub(crate) fn of_servers(seed: u64, ids: impl Iterator<Item = NodeId>) -> Self {
        Self {
            rng: Rng::new(seed),
            servers: ids.map(|id| (id, Server::new(id))).collect(),
            network: Vec::new(),
            links: Links::default(),
            invariants: Invariants::new(),
            ignored: Vec::new(),
            bug: Bug::None,
            early_appends: false,
            now: 0,
            steps: 0,
            proposals: Vec::new(),
            trace: None,
        }
    }

    pub(crate) fn record_trace(&mut self) {
        self.trace = Some(VecDeque::new());
    }

    pub(crate) fn note(&mut self, event: impl FnOnce() -> String) {
        if let Some(trace) = self.trace.as_mut() {
            trace.push_back(format!("{} {}", self.steps, event()));
            if trace.len() > TRACE_EVENTS {
                trace.pop_front();
            }
        }
    }

    /// The last events and the state of every server, in words.
    pub(crate) fn report(&self) -> String {
        let events = self.trace.iter().flatten().map(|line| format!("  {line}\n"));
        let servers = self.servers.values().map(|server| match server.node.as_ref() {
            None => format!("  {:?} down, on disk {:?}\n", server.id, server.disk),
            Some(node) => format!(
                "  {:?} {:?} {:?} vote {:?} commit {:?} log {:?}\n",
                server.id,
                node.role(),
                node.current_term(),
                node.voted_for(),
                node.commit_index(),
                node.log()
            ),
        });
        events.chain(servers).collect()
    }

    pub(crate) fn ids(&self) -> Vec<NodeId> {
        self.servers.keys().copied().collect()
    }

    pub(crate) fn node(&self, id: NodeId) -> Option<&Node> {
        self.servers.get(&id)?.node.as_ref()
    }

    /// The running leader of the highest term.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        let leaders = self.servers.values().filter_map(|server| server.node.as_ref());
        leaders
            .filter(|node| node.role().is_leader())
            .max_by_key(|node| node.current_term())
            .map(Node::id)
    }

    pub(crate) fn on_node<T>(&mut self, id: NodeId, call: impl FnOnce(&mut Node) -> T) -> Option<T> {
        self.servers.get_mut(&id)?.node.as_mut().map(call)
    }

    /// Calls into a running node, then checks it.
    pub(crate) fn call<T>(
        &mut self,
        id: NodeId,
        call: impl FnOnce(&mut Node) -> T,
    ) -> Result<Option<T>, Violation> {
        let result = self.on_node(id, call);
        self.check(id)?;
        Ok(result)
    }

    pub(crate) fn propose(&mut self, id: NodeId) -> Checked {
        let position = self.call(id, Node::propose_command)?;
        self.proposals
            .extend(position.filter(|position| !position.is_invalid()));
        Ok(())
    }

    /// Takes the queued actions of a server.
    pub(crate) fn drain(&mut self, id: NodeId) -> Checked {
        let (early, bug) = (self.early_appends, self.bug);
        let Some(server) = self.servers.get_mut(&id) else {
            return Ok(());
        };
        let messages = server.drain(early, bug);
        self.send(id, messages)?;
        self.check(id)
    }

    /// Does one write of a server.
    pub(crate) fn write_one(&mut self, id: NodeId) -> Checked {
        let bug = self.bug;
        let Some(server) = self.servers.get_mut(&id) else {
            return Ok(());
        };
        let messages = server.write_one(bug)?;
        // What was written counts before what it set free.
        self.check(id)?;
        self.send(id, messages)
    }

    /// Drains a server and does all its writes.
    pub(crate) fn sync(&mut self, id: NodeId) -> Checked {
        self.drain(id)?;
        while self.servers.get(&id).is_some_and(Server::is_writing) {
            self.write_one(id)?;
        }
        Ok(())
    }

    fn send(&mut self, from: NodeId, messages: Vec<(NodeId, Payload)>) -> Checked {
        for (to, mut payload) in messages {
            self.check_sent(from, to, &payload)?;
            if self.rng.chance(self.links.shorten_percent) {
                self.shorten(&mut payload);
            }
            if self.links.cut.contains(&(from, to)) || self.rng.chance(self.links.loss_percent) {
                continue;
            }
            let due = self.now + 1 + self.rng.below(self.links.latency_max.max(1));
            self.network.push(Envelope {
                due,
                from,
                to,
                payload,
            });
        }
        while self.network.len() > NETWORK_MESSAGES_MAX {
            self.network.remove(0);
        }
        Ok(())
    }

    fn shorten(&mut self, payload: &mut Payload) {
        if let Payload::Raft(Message::AppendEntriesCall { entries, .. }) = payload {
            let kept = self.rng.below(entries.len() as u64 + 1);
            entries.truncate(usize::try_from(kept).expect("below a length"));
        }
    }

    fn check_sent(&mut self, from: NodeId, to: NodeId, payload: &Payload) -> Checked {
        let Some(server) = self.servers.get(&from) else {
            return Ok(());
        };
        let (Some(node), Payload::Raft(message)) = (server.node.as_ref(), payload) else {
            return Ok(());
        };
        let result = self.invariants.sent(to, message, &server.durable(node));
        self.pass(result)
    }

    /// Whether a message may be handed over now; if not, it stays under way.
    pub(crate) fn accepts(&self, envelope: &Envelope) -> bool {
        let Some(server) = self.servers.get(&envelope.to) else {
            return false;
        };
        match &envelope.payload {
            Payload::Snapshot { .. } => !server.is_writing(),
            Payload::Raft(Message::AppendEntriesReply { .. }) => {
                !self.early_appends || self.bug == Bug::LeaderCountsUnsynced || !server.is_writing()
            }
            Payload::Raft(_) => true,
        }
    }

    /// Hands a message to its receiver; a server that is down loses it.
    pub(crate) fn deliver(&mut self, envelope: &Envelope) -> Checked {
        let to = envelope.to;
        let Some(server) = self.servers.get_mut(&to) else {
            return Ok(());
        };
        match (&envelope.payload, server.node.as_mut()) {
            (_, None) => return Ok(()),
            (
                Payload::Snapshot {
                    term,
                    position,
                    config,
                },
                Some(node),
            ) => {
                if node.current_term() <= *term {
                    server.install_snapshot(*position, config);
                }
            }
            (Payload::Raft(message), Some(node)) => {
                if let Err(error) = node.handle_message(message) {
                    let detail = format!("{to:?} refuses {message:?}: {error}");
                    self.pass(Err(Violation {
                        invariant: Invariant::SnapshotBoundary,
                        detail,
                    }))?;
                }
            }
        }
        self.check(to)
    }

    pub(crate) fn crash(&mut self, id: NodeId) {
        if let Some(server) = self.servers.get_mut(&id) {
            server.crash();
        }
    }

    /// Rebuilds a server from its disk, whether it is up or down.
    pub(crate) fn restart(&mut self, id: NodeId) -> Checked {
        let bug = self.bug;
        let Some(server) = self.servers.get_mut(&id) else {
            return Ok(());
        };
        server.restart(bug);
        let result = server
            .node
            .as_ref()
            .map_or(Ok(()), |node| self.invariants.restarted(node));
        self.pass(result)?;
        self.check(id)
    }

    /// Brings a server back with an empty disk, in a new generation.
    pub(crate) fn wipe(&mut self, id: NodeId) -> Checked {
        self.invariants.wiped(id);
        if let Some(server) = self.servers.get_mut(&id) {
            server.wipe();
        }
        self.restart(id)
    }

    /// Takes a snapshot of a server that has nothing half written.
    pub(crate) fn snapshot(&mut self, id: NodeId, index: LogIndex) -> Result<bool, Violation> {
        let taken = match self.servers.get_mut(&id) {
            Some(server) if !server.is_writing() => server.take_snapshot(index),
            Some(_) | None => false,
        };
        self.check(id)?;
        Ok(taken)
    }

    /// Checks a server against all that happened so far.
    pub(crate) fn check(&mut self, id: NodeId) -> Checked {
        let Some(server) = self.servers.get(&id) else {
            return Ok(());
        };
        let Some(node) = server.node.as_ref() else {
            return Ok(());
        };
        let durable = server.durable(node);
        let mirror = server.check_mirror();
        let result = self.invariants.observe(node, &durable);
        let status = self.check_status(node, durable.synced);
        self.pass(result)?;
        self.pass(mirror)?;
        self.pass(status)
    }

    /// The commit status a node gives for some earlier proposal agrees with what was committed.
    fn check_status(&self, node: &Node, synced: LogIndex) -> Checked {
        let count = self.proposals.len() as u64;
        let some = usize::try_from(self.steps % count.max(1)).expect("below a length");
        let Some(position) = self.proposals.get(some).copied() else {
            return Ok(());
        };
        let committed = self.invariants.committed();
        let agrees = match node.get_commit_status(position) {
            CommitStatus::InProgress | CommitStatus::Unknown => true,
            CommitStatus::Committed => position.index > synced || committed.contains(position),
            CommitStatus::Rejected => !committed.contains(position),
        };
        if agrees {
            return Ok(());
        }
        let detail = format!(
            "{:?} calls {position:?} {:?}",
            node.id(),
            node.get_commit_status(position)
        );
        Err(Violation {
            invariant: Invariant::StateMachineSafety,
            detail,
        })
    }

    fn pass(&self, result: Checked) -> Checked {
        result.or_else(|violation| {
            if self.ignored.contains(&violation.invariant) {
                Ok(())
            } else {
                Err(violation)
            }
        })
    }

    /// The highest term of any running node.
    pub(crate) fn term_max(&self) -> Term {
        let nodes = self.servers.values().filter_map(|server| server.node.as_ref());
        nodes.map(Node::current_term).max().unwrap_or(Term::ZERO)
    }
}
