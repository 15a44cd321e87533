//! Calls, messages and states in words that both implementations share, and the two translations.
//!
//! Invariant: what is visible of a node is in its [`View`], so that equal views mean agreement.
use std::collections::{BTreeMap, BTreeSet};

pub(crate) type Position = (u64, u64);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Config {
    pub(crate) voters: BTreeSet<u64>,
    pub(crate) new_voters: BTreeSet<u64>,
    pub(crate) non_voters: BTreeSet<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    Term(u64),
    Config(Config),
    Command,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) prev: Position,
    pub(crate) entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Msg {
    VoteCall {
        from: u64,
        term: u64,
        last: Position,
    },
    VoteReply {
        from: u64,
        term: u64,
        granted: bool,
    },
    AppendCall {
        from: u64,
        term: u64,
        commit: u64,
        run: Run,
    },
    AppendReply {
        from: u64,
        term: u64,
        last: Position,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    Timer,
    SaveTerm,
    SaveVote,
    Append(Run),
    Broadcast(Msg),
    Send(u64, Msg),
    Snapshot(u64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Create(Vec<u64>),
    Timeout,
    Propose,
    ProposeConfig(Config),
    Heartbeat,
    Message(Msg),
    Snapshot(Position, Config),
    Status(Position),
    Disruptive(Msg),
    Restart,
}

/// All that can be seen of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) role: String,
    pub(crate) term: u64,
    pub(crate) vote: Option<u64>,
    pub(crate) commit: u64,
    pub(crate) log: Run,
    pub(crate) snapshot_config: Config,
    pub(crate) config: Config,
    pub(crate) peers: Vec<u64>,
    pub(crate) matched: BTreeMap<u64, u64>,
    pub(crate) actions: Vec<Act>,
    /// What the call gave back.
    pub(crate) answer: String,
}

/// One side of a pair, for libraries whose types only share their names.
macro_rules! side {
    ($side:ident, $library:ident, $restart:path, $reply:path) => {
        pub(crate) mod $side {
            use std::collections::BTreeSet;

            use $library::{
                Action, ClusterConfig, LogEntries, LogEntry, LogIndex, LogPosition, Message, Node, NodeId,
                Term,
            };

            use super::{Act, Call, Config, Entry, Msg, Position, Run, View};

            #[derive(Debug, Clone)]
            pub(crate) struct Side(Node);

            impl Side {
                pub(crate) fn start(id: u64) -> Self {
                    Self(Node::start(NodeId::new(id)))
                }

                pub(crate) fn call(&mut self, call: &Call) -> View {
                    let answer = self.answer(call);
                    self.view(answer)
                }

                pub(crate) fn drain(&mut self) {
                    self.0.actions_mut().for_each(drop);
                }

                fn answer(&mut self, call: &Call) -> String {
                    match call {
                        Call::Create(ids) => {
                            let ids: Vec<NodeId> = ids.iter().copied().map(NodeId::new).collect();
                            format!("{:?}", self.0.create_cluster(&ids))
                        }
                        Call::Timeout => format!("{:?}", self.0.handle_election_timeout()),
                        Call::Propose => format!("{:?}", self.0.propose_command()),
                        Call::ProposeConfig(config) => {
                            format!("{:?}", self.0.propose_config(to_config(config)))
                        }
                        Call::Heartbeat => format!("{:?}", self.0.heartbeat()),
                        Call::Message(msg) => format!("{:?}", self.0.handle_message(&to_message(msg))),
                        Call::Snapshot(at, config) => {
                            format!(
                                "{:?}",
                                self.0
                                    .handle_snapshot_installed(to_position(*at), to_config(config))
                            )
                        }
                        Call::Status(at) => format!("{:?}", self.0.get_commit_status(to_position(*at))),
                        Call::Disruptive(msg) => {
                            format!(
                                "{:?}",
                                self.0.could_be_disruptive_request_vote(&to_message(msg))
                            )
                        }
                        Call::Restart => {
                            self.0 = $restart(&self.0);
                            String::new()
                        }
                    }
                }

                fn view(&self, answer: String) -> View {
                    let node = &self.0;
                    let matched = |id: NodeId| Some((id.get(), node.follower_match_index(id)?.get()));
                    View {
                        role: format!("{:?}", node.role()),
                        term: node.current_term().get(),
                        vote: node.voted_for().map(NodeId::get),
                        commit: node.commit_index().get(),
                        log: from_run(node.log().entries()),
                        snapshot_config: from_config(node.log().snapshot_config()),
                        config: from_config(node.config()),
                        peers: node.peers().map(NodeId::get).collect(),
                        matched: (0..8).map(NodeId::new).filter_map(matched).collect(),
                        actions: node.actions().clone().map(from_action).collect(),
                        answer,
                    }
                }
            }

            fn from_action(action: Action) -> Act {
                match action {
                    Action::SetElectionTimeout => Act::Timer,
                    Action::SaveCurrentTerm => Act::SaveTerm,
                    Action::SaveVotedFor => Act::SaveVote,
                    Action::AppendLogEntries(entries) => Act::Append(from_run(&entries)),
                    Action::BroadcastMessage(message) => Act::Broadcast(from_message(&message)),
                    Action::SendMessage(to, message) => Act::Send(to.get(), from_message(&message)),
                    Action::InstallSnapshot(to) => Act::Snapshot(to.get()),
                }
            }

            fn from_message(message: &Message) -> Msg {
                let (from, term) = (message.from().get(), message.term().get());
                match message {
                    Message::RequestVoteCall { last_position, .. } => Msg::VoteCall {
                        from,
                        term,
                        last: from_position(*last_position),
                    },
                    Message::RequestVoteReply { vote_granted, .. } => Msg::VoteReply {
                        from,
                        term,
                        granted: *vote_granted,
                    },
                    Message::AppendEntriesCall {
                        commit_index,
                        entries,
                        ..
                    } => Msg::AppendCall {
                        from,
                        term,
                        commit: commit_index.get(),
                        run: from_run(entries),
                    },
                    Message::AppendEntriesReply { last_position, .. } => Msg::AppendReply {
                        from,
                        term,
                        last: from_position(*last_position),
                    },
                }
            }

            fn to_message(msg: &Msg) -> Message {
                match msg {
                    Msg::VoteCall { from, term, last } => Message::RequestVoteCall {
                        from: NodeId::new(*from),
                        term: Term::new(*term),
                        last_position: to_position(*last),
                    },
                    Msg::VoteReply {
                        from,
                        term,
                        granted,
                    } => Message::RequestVoteReply {
                        from: NodeId::new(*from),
                        term: Term::new(*term),
                        vote_granted: *granted,
                    },
                    Msg::AppendCall {
                        from,
                        term,
                        commit,
                        run,
                    } => Message::AppendEntriesCall {
                        from: NodeId::new(*from),
                        term: Term::new(*term),
                        commit_index: LogIndex::new(*commit),
                        entries: to_run(run),
                    },
                    Msg::AppendReply { from, term, last } => {
                        $reply(NodeId::new(*from), Term::new(*term), to_position(*last))
                    }
                }
            }

            fn from_position(position: LogPosition) -> Position {
                (position.term.get(), position.index.get())
            }

            fn to_position((term, index): Position) -> LogPosition {
                LogPosition {
                    term: Term::new(term),
                    index: LogIndex::new(index),
                }
            }

            fn from_run(entries: &LogEntries) -> Run {
                let entry = |entry| match entry {
                    LogEntry::Term(term) => Entry::Term(term.get()),
                    LogEntry::ClusterConfig(config) => Entry::Config(from_config(&config)),
                    LogEntry::Command => Entry::Command,
                };
                Run {
                    prev: from_position(entries.prev_position()),
                    entries: entries.iter().map(entry).collect(),
                }
            }

            fn to_run(run: &Run) -> LogEntries {
                let entry = |entry: &Entry| match entry {
                    Entry::Term(term) => LogEntry::Term(Term::new(*term)),
                    Entry::Config(config) => LogEntry::ClusterConfig(to_config(config)),
                    Entry::Command => LogEntry::Command,
                };
                LogEntries::from_iter(to_position(run.prev), run.entries.iter().map(entry))
            }

            fn from_config(config: &ClusterConfig) -> Config {
                let ids = |ids: &BTreeSet<NodeId>| ids.iter().map(|id| id.get()).collect();
                Config {
                    voters: ids(&config.voters),
                    new_voters: ids(&config.new_voters),
                    non_voters: ids(&config.non_voters),
                }
            }

            fn to_config(config: &Config) -> ClusterConfig {
                let ids = |ids: &BTreeSet<u64>| ids.iter().map(|id| NodeId::new(*id)).collect();
                ClusterConfig {
                    voters: ids(&config.voters),
                    new_voters: ids(&config.new_voters),
                    non_voters: ids(&config.non_voters),
                }
            }
        }
    };
}

side!(ours, noraft, super::restart_ours, super::reply_ours);
side!(theirs, reference, super::restart_theirs, super::reply_theirs);

fn restart_ours(node: &noraft::Node) -> noraft::Node {
    // No generation is compared: the reference has none.
    noraft::Node::restart(
        node.id(),
        node.generation(),
        node.current_term(),
        node.voted_for(),
        node.log().clone(),
    )
}

fn restart_theirs(node: &reference::Node) -> reference::Node {
    reference::Node::restart(
        node.id(),
        node.current_term(),
        node.voted_for(),
        node.log().clone(),
    )
}

fn reply_ours(
    from: noraft::NodeId,
    term: noraft::Term,
    last_position: noraft::LogPosition,
) -> noraft::Message {
    noraft::Message::AppendEntriesReply {
        from,
        term,
        generation: noraft::NodeGeneration::ZERO,
        last_position,
    }
}

fn reply_theirs(
    from: reference::NodeId,
    term: reference::Term,
    last_position: reference::LogPosition,
) -> reference::Message {
    reference::Message::AppendEntriesReply {
        from,
        term,
        last_position,
    }
}
