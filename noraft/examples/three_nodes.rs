//! Three nodes in one thread: what an integrator does, in the shortest form that is right.
//!
//! `cargo run -p noraft@0.1.0 --example three_nodes` founds a cluster, commits two commands, takes the leader away, commits a
//! third with another leader, and brings the first one back from what it had stored.
//!
//! The integrator's duties, and where they are below:
//!
//! 1. Store term, vote and entries before any message that comes after them leaves: [`Server::act`].
//! 2. Carry messages, which may be lost, delayed, doubled and reordered: [`Cluster::deliver`].
//! 3. Run one timer, and say when it has expired: [`Cluster::expire`].
//! 4. Keep the bytes of commands, by position: the core knows only that there is one. [`Disk::commands`].
//! 5. Apply what is committed, in order, once: [`Server::apply`].

use std::collections::{BTreeMap, VecDeque};

use noraft::{
    Action, ClusterConfig, Log, LogEntries, LogEntry, LogIndex, LogPosition, Message, Node, NodeGeneration,
    NodeId, Term,
};

/// Bytes of commands, by their place in the log.
type Commands = BTreeMap<LogPosition, String>;

/// What a node has stored: all that is left of it after a crash.
struct Disk {
    generation: u64,
    term: Term,
    voted_for: Option<NodeId>,
    log: Log,
    commands: Commands,
}

struct Server {
    node: Node,
    disk: Disk,
    applied_index: LogIndex,
    applied: Vec<String>,
}

/// A message on its way, with the commands of the entries in it.
struct Envelope {
    to: NodeId,
    message: Message,
    commands: Commands,
}

impl Server {
    fn start(id: NodeId) -> Self {
        let log = Log::new(ClusterConfig::new(), LogEntries::new(LogPosition::ZERO));
        Self {
            node: Node::start(id),
            disk: Disk {
                generation: 0,
                term: Term::ZERO,
                voted_for: None,
                log,
                commands: Commands::new(),
            },
            applied_index: LogIndex::ZERO,
            applied: Vec::new(),
        }
    }

    /// A crash, and a start from the disk.
    fn restart(self) -> Self {
        let mut disk = self.disk;
        disk.generation += 1;
        let generation = NodeGeneration::new(disk.generation);
        let log = disk.log.clone();
        Self {
            node: Node::restart(self.node.id(), generation, disk.term, disk.voted_for, log),
            disk,
            applied_index: LogIndex::ZERO,
            applied: Vec::new(),
        }
    }

    /// Executes the pending actions in their order. Storing comes first, so a message never promises what is not
    /// stored.
    fn act(&mut self, network: &mut VecDeque<Envelope>) {
        let actions: Vec<Action> = self.node.actions_mut().collect();
        for action in actions {
            match action {
                // A real node starts a timer; here `Cluster::expire` decides when one has expired.
                Action::SetElectionTimeout => {}
                Action::SaveCurrentTerm => self.disk.term = self.node.current_term(),
                Action::SaveVotedFor => self.disk.voted_for = self.node.voted_for(),
                Action::AppendLogEntries(entries) => {
                    let appended = self.disk.log.append_suffix(&entries);
                    assert!(appended, "the core only appends to what it has");
                }
                Action::BroadcastMessage(message) => {
                    let peers: Vec<NodeId> = self.node.peers().collect();
                    for to in peers {
                        network.push_back(self.envelope(to, message.clone()));
                    }
                }
                Action::SendMessage(to, message) => network.push_back(self.envelope(to, message)),
                Action::InstallSnapshot(_) => unreachable!("no log here was ever compacted"),
            }
        }
        self.apply();
    }

    /// A message travels with the bytes of the commands that it brings.
    fn envelope(&self, to: NodeId, message: Message) -> Envelope {
        let mut commands = Commands::new();
        if let Message::AppendEntriesCall { entries, .. } = &message {
            for (position, entry) in entries.iter_with_positions() {
                if let (LogEntry::Command, Some(bytes)) = (entry, self.disk.commands.get(&position)) {
                    commands.insert(position, bytes.clone());
                }
            }
        }
        Envelope {
            to,
            message,
            commands,
        }
    }

    fn receive(&mut self, envelope: Envelope) {
        self.disk.commands.extend(envelope.commands);
        // An error means that the sender's log contradicts a committed entry: not a correct node, or not of this cluster.
        if let Err(error) = self.node.handle_message(&envelope.message) {
            panic!("{}: {error}", self.node.id().get());
        }
    }

    /// Proposes a command; its bytes are stored under the position that it got.
    fn propose(&mut self, command: &str) -> LogPosition {
        let position = self.node.propose_command();
        if !position.is_invalid() {
            self.disk.commands.insert(position, command.to_owned());
        }
        position
    }

    /// Applies what is committed here: in order, each entry once.
    fn apply(&mut self) {
        let entries = self.node.log().entries();
        for (position, entry) in entries.iter_with_positions() {
            let is_due = position.index > self.applied_index && position.index <= self.node.commit_index();
            if is_due && matches!(entry, LogEntry::Command) {
                self.applied.push(self.disk.commands[&position].clone());
            }
        }
        self.applied_index = self.node.commit_index();
    }
}

struct Cluster {
    servers: BTreeMap<NodeId, Server>,
    network: VecDeque<Envelope>,
}

impl Cluster {
    /// Delivers messages until there are none; those to a node that is not there are lost.
    fn deliver(&mut self) {
        loop {
            for server in self.servers.values_mut() {
                server.act(&mut self.network);
            }
            let Some(envelope) = self.network.pop_front() else {
                return;
            };
            if let Some(server) = self.servers.get_mut(&envelope.to) {
                server.receive(envelope);
            }
        }
    }

    /// The timer of a node has expired: a follower campaigns, a leader sends heartbeats.
    fn expire(&mut self, id: NodeId) {
        self.server(id).node.handle_election_timeout();
        self.deliver();
    }

    fn server(&mut self, id: NodeId) -> &mut Server {
        self.servers.get_mut(&id).expect("the node runs")
    }

    /// Has the leader commit a command, and the followers learn of it.
    fn commit(&mut self, leader: NodeId, command: &str) {
        let position = self.server(leader).propose(command);
        assert!(!position.is_invalid(), "only a leader takes proposals");
        self.deliver();
        let status = self.server(leader).node.get_commit_status(position);
        assert!(status.is_committed(), "{command}: {status:?}");
        self.expire(leader);
    }
}

/// What `main` shows: the commands that each node has applied.
pub(crate) fn run() -> Vec<Vec<String>> {
    let ids = [1, 2, 3].map(NodeId::new);
    let servers = ids.map(|id| (id, Server::start(id)));
    let mut cluster = Cluster {
        servers: servers.into_iter().collect(),
        network: VecDeque::new(),
    };

    cluster.server(ids[0]).node.create_cluster(&ids);
    cluster.deliver();
    cluster.commit(ids[0], "set x 1");
    cluster.commit(ids[0], "set y 2");

    let crashed = cluster.servers.remove(&ids[0]).expect("the leader runs");
    cluster.expire(ids[1]);
    cluster.commit(ids[1], "set x 3");

    cluster.servers.insert(ids[0], crashed.restart());
    // Two heartbeats: what the node that is back misses is sent after its first reply, its commit index with the next.
    cluster.expire(ids[1]);
    cluster.expire(ids[1]);
    cluster
        .servers
        .into_values()
        .map(|server| server.applied)
        .collect()
}

#[allow(dead_code, reason = "a test runs this file as a module")]
fn main() {
    for (at, applied) in run().iter().enumerate() {
        println!("node {} applied: {}", at + 1, applied.join(", "));
    }
}
