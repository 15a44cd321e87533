//! Words for the tests: short constructors, nodes in known states, a line of text for a list of
//! actions, and a network that delivers everything at once.

#![allow(dead_code, reason = "each test file uses its own part of the kit")]

use noraft::{
    Action, ClusterConfig, Log, LogEntries, LogEntry, LogIndex, LogPosition, Message, Node, NodeGeneration,
    NodeId, Term,
};

pub(crate) const C: LogEntry = LogEntry::Command;

pub(crate) fn id(n: u64) -> NodeId {
    NodeId::new(n)
}

pub(crate) fn ids<const N: usize>(numbers: [u64; N]) -> [NodeId; N] {
    numbers.map(NodeId::new)
}

pub(crate) fn term(n: u64) -> Term {
    Term::new(n)
}

pub(crate) fn index(n: u64) -> LogIndex {
    LogIndex::new(n)
}

pub(crate) fn pos(term: u64, index: u64) -> LogPosition {
    LogPosition::new(Term::new(term), LogIndex::new(index))
}

/// The entry that begins term `n`.
pub(crate) fn t(n: u64) -> LogEntry {
    LogEntry::Term(Term::new(n))
}

pub(crate) fn voters<const N: usize>(numbers: [u64; N]) -> ClusterConfig {
    let mut config = ClusterConfig::new();
    config.voters.extend(ids(numbers));
    config
}

/// The entry of a configuration of voters.
pub(crate) fn cfg<const N: usize>(numbers: [u64; N]) -> LogEntry {
    LogEntry::ClusterConfig(voters(numbers))
}

pub(crate) fn run<const N: usize>(prev: LogPosition, entries: [LogEntry; N]) -> LogEntries {
    LogEntries::from_iter(prev, entries)
}

pub(crate) fn log<const N: usize>(entries: [LogEntry; N]) -> Log {
    Log::new(ClusterConfig::new(), run(LogPosition::ZERO, entries))
}

pub(crate) fn call(from: u64, in_term: u64, commit: u64, entries: LogEntries) -> Message {
    Message::AppendEntriesCall {
        from: id(from),
        term: term(in_term),
        commit_index: index(commit),
        entries,
    }
}

pub(crate) fn reply(from: u64, in_term: u64, last_position: LogPosition) -> Message {
    reply_of_generation(from, in_term, 0, last_position)
}

pub(crate) fn reply_of_generation(
    from: u64,
    in_term: u64,
    generation: u64,
    last_position: LogPosition,
) -> Message {
    let generation = NodeGeneration::new(generation);
    Message::AppendEntriesReply {
        from: id(from),
        term: term(in_term),
        generation,
        last_position,
    }
}

pub(crate) fn vote_call(from: u64, in_term: u64, last_position: LogPosition) -> Message {
    Message::RequestVoteCall {
        from: id(from),
        term: term(in_term),
        last_position,
    }
}

pub(crate) fn vote_reply(from: u64, in_term: u64, vote_granted: bool) -> Message {
    Message::RequestVoteReply {
        from: id(from),
        term: term(in_term),
        vote_granted,
    }
}

/// A node that has just been restarted, its timer action taken.
pub(crate) fn restarted(own: u64, in_term: u64, vote: Option<u64>, log: Log) -> Node {
    let mut node = Node::restart(
        id(own),
        NodeGeneration::ZERO,
        term(in_term),
        vote.map(NodeId::new),
        log,
    );
    assert_eq!(acts(&mut node), "Timer");
    node
}

/// Node 0 of voters 0, 1, 2 as follower of node 1 in term 1, with the log cfg@(0,1) T1@(1,2) C@(1,3).
pub(crate) fn follower() -> Node {
    restarted(0, 1, Some(1), log([cfg([0, 1, 2]), t(1), C]))
}

/// The same node as candidate of term 2.
pub(crate) fn candidate() -> Node {
    let mut node = follower();
    node.handle_election_timeout();
    acts(&mut node);
    node
}

/// The same node as leader of term 2, its log ending at (2,4).
pub(crate) fn leader() -> Node {
    let mut node = candidate();
    hear(&mut node, &vote_reply(1, 2, true));
    acts(&mut node);
    node
}

/// That leader, its log compacted up to (2,4).
pub(crate) fn compacted_leader() -> Node {
    let mut node = leader();
    hear(&mut node, &reply(1, 2, pos(2, 4)));
    assert!(compact(&mut node, 4));
    node
}

/// A leader alone in its cluster, its log ending at (1,2), all of it committed.
pub(crate) fn solo_leader() -> Node {
    let mut node = Node::start(id(0));
    node.create_cluster(&[id(0)]);
    acts(&mut node);
    node
}

/// Hands a message to a node that has to accept it.
pub(crate) fn hear(node: &mut Node, message: &Message) {
    node.handle_message(message)
        .expect("the test sends what a correct node may send");
}

/// Takes the pending actions of a node, as text.
pub(crate) fn acts(node: &mut Node) -> String {
    show(node.actions_mut().collect::<Vec<_>>())
}

/// Hands a message to a node and takes what it then wants done, as text.
pub(crate) fn hears(node: &mut Node, message: &Message) -> String {
    hear(node, message);
    acts(node)
}

pub(crate) fn show(actions: impl IntoIterator<Item = Action>) -> String {
    actions
        .into_iter()
        .map(|action| show_action(&action))
        .collect::<Vec<_>>()
        .join("; ")
}

fn show_action(action: &Action) -> String {
    match action {
        Action::SetElectionTimeout => "Timer".into(),
        Action::SaveCurrentTerm => "SaveTerm".into(),
        Action::SaveVotedFor => "SaveVote".into(),
        Action::BroadcastMessage(message) => format!("Bcast {}", show_message(message)),
        Action::AppendLogEntries(entries) => format!("Append {}", show_entries(entries)),
        Action::SendMessage(to, message) => format!("Send {} {}", to.get(), show_message(message)),
        Action::InstallSnapshot(to) => format!("Snap {}", to.get()),
    }
}

pub(crate) fn show_message(message: &Message) -> String {
    let at = message.term().get();
    match message {
        Message::RequestVoteCall { last_position, .. } => {
            format!("RVCall t{at} {}", show_position(*last_position))
        }
        Message::RequestVoteReply { vote_granted, .. } => format!("RVReply t{at} {vote_granted}"),
        Message::AppendEntriesCall {
            commit_index,
            entries,
            ..
        } => {
            format!("AECall t{at} c{} {}", commit_index.get(), show_entries(entries))
        }
        Message::AppendEntriesReply { last_position, .. } => {
            format!("AEReply t{at} {}", show_position(*last_position))
        }
    }
}

pub(crate) fn show_entries(entries: &LogEntries) -> String {
    let list: Vec<_> = entries.iter().map(|entry| show_entry(&entry)).collect();
    format!("{}+[{}]", show_position(entries.prev_position()), list.join(" "))
}

fn show_entry(entry: &LogEntry) -> String {
    match entry {
        LogEntry::Term(term) => format!("T{}", term.get()),
        LogEntry::Command => "C".into(),
        LogEntry::ClusterConfig(config) => show_config(config),
    }
}

/// `{0,1}` for voters, `{0,1>1,2}` for a joint configuration, `{0|3}` with a non-voter.
pub(crate) fn show_config(config: &ClusterConfig) -> String {
    let list = |set: &std::collections::BTreeSet<NodeId>| {
        set.iter()
            .map(|id| id.get().to_string())
            .collect::<Vec<_>>()
            .join(",")
    };
    let mut text = format!("{{{}", list(&config.voters));
    if config.is_joint_consensus() {
        text += &format!(">{}", list(&config.new_voters));
    }
    if !config.non_voters.is_empty() {
        text += &format!("|{}", list(&config.non_voters));
    }
    text + "}"
}

fn show_position(position: LogPosition) -> String {
    format!("({},{})", position.term.get(), position.index.get())
}

/// The log as text, from its snapshot on.
pub(crate) fn show_log(node: &Node) -> String {
    show_entries(node.log().entries())
}

/// Nodes joined by a network that loses nothing, in the order of their ids from 0.
pub(crate) struct Net {
    pub(crate) nodes: Vec<Node>,
    /// Messages delivered so far.
    pub(crate) delivered: usize,
}

impl Net {
    pub(crate) fn of(nodes: impl IntoIterator<Item = Node>) -> Self {
        Self {
            nodes: nodes.into_iter().collect(),
            delivered: 0,
        }
    }

    /// Nodes 0 to `size - 1`, node 0 leading all of them, everything committed everywhere.
    pub(crate) fn led_by_node_0(size: u64) -> Self {
        let mut net = Self::of((0..size).map(|n| Node::start(id(n))));
        let everyone: Vec<_> = (0..size).map(NodeId::new).collect();
        net.nodes[0].create_cluster(&everyone);
        net.settle();
        net.beat(0);
        assert!(net.nodes[0].role().is_leader());
        net
    }

    /// Sends a leader's heartbeat and lets the answers come in.
    pub(crate) fn beat(&mut self, leader: usize) {
        assert!(self.nodes[leader].heartbeat(), "only a leader has a heartbeat");
        self.settle();
    }

    /// Delivers until no node has anything to say. A snapshot asked for is installed.
    pub(crate) fn settle(&mut self) {
        for _ in 0..10_000 {
            let Some(sender) = self.nodes.iter().position(|node| !node.actions().is_empty()) else {
                return;
            };
            self.execute(sender);
        }
        panic!("the nodes do not come to rest");
    }

    fn execute(&mut self, sender: usize) {
        let actions: Vec<_> = self.nodes[sender].actions_mut().collect();
        for action in actions {
            match action {
                Action::BroadcastMessage(message) => {
                    let peers: Vec<_> = self.nodes[sender].peers().collect();
                    peers.into_iter().for_each(|to| self.deliver(to, &message));
                }
                Action::SendMessage(to, message) => self.deliver(to, &message),
                Action::InstallSnapshot(to) => self.install(sender, to),
                Action::SetElectionTimeout
                | Action::SaveCurrentTerm
                | Action::SaveVotedFor
                | Action::AppendLogEntries(_) => {}
            }
        }
    }

    fn deliver(&mut self, to: NodeId, message: &Message) {
        self.delivered += 1;
        if let Some(node) = self.nodes.iter_mut().find(|node| node.id() == to) {
            node.handle_message(message)
                .expect("correct nodes do not contradict each other");
        }
    }

    fn install(&mut self, sender: usize, to: NodeId) {
        let log = self.nodes[sender].log();
        let (position, config) = (log.snapshot_position(), log.snapshot_config().clone());
        if let Some(node) = self.nodes.iter_mut().find(|node| node.id() == to) {
            assert!(
                node.handle_snapshot_installed(position, config),
                "a leader's snapshot is accepted"
            );
        }
    }
}

/// Takes a snapshot at `at`.
pub(crate) fn compact(node: &mut Node, at: u64) -> bool {
    let found = node
        .log()
        .get_position_and_config(index(at))
        .map(|(position, config)| (position, config.clone()));
    let (position, config) = found.expect("the test compacts within the log");
    node.handle_snapshot_installed(position, config)
}
