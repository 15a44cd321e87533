//! The Raft algorithm with no I/O and no dependencies.
//!
//! A [`Node`] takes inputs and queues [`Actions`]; it never sends, stores, waits or reads a clock.
//! Sections cited in this crate are those of the extended Raft paper (Ongaro and Ousterhout, "In Search
//! of an Understandable Consensus Algorithm").
//!
//! # The integrator's duties
//!
//! Everything outside the algorithm belongs to the integrator. The promises below hold only if it does this:
//!
//! 1. **Storage.** Term, vote and entries are durable before a message that comes after them in the actions
//!    leaves. After a crash the node restarts ([`Node::restart`]) with all of it, and with a higher
//!    [`NodeGeneration`].
//! 2. **Transport.** Messages reach the node they are addressed to, unaltered, from a node of the same cluster.
//!    They may be lost, delayed, duplicated and reordered.
//! 3. **Timers.** One timer, started again at [`Action::SetElectionTimeout`]; when it expires,
//!    [`Node::handle_election_timeout`]. A leader's timeout is a heartbeat interval, a follower's is several times
//!    longer, a candidate's is random.
//! 4. **Commands.** The core knows that there is a command at a position, not its bytes. The integrator keeps the
//!    bytes by [`LogPosition`], and sends them along with the entries.
//! 5. **State machine.** Entries up to [`Node::commit_index`] are applied in order, each once.
//! 6. **Snapshots.** The integrator takes, sends and installs them ([`Action::InstallSnapshot`],
//!    [`Node::handle_snapshot_installed`]); the log can then start after one.
//!
//! `examples/three_nodes.rs` is a whole integrator in one file.
//!
//! # The loop
//!
//! 1. Feed one input: [`Node::handle_message`], [`Node::handle_election_timeout`], a proposal
//!    ([`Node::propose_command`], [`Node::propose_config`]) or [`Node::handle_snapshot_installed`].
//! 2. Take the pending [`Node::actions_mut`] in their order and execute them. What is to be saved
//!    must be durable before a message that comes after it leaves. Several inputs may be fed before
//!    the actions are taken: they merge, which is how batching and pipelining work.
//! 3. Apply the entries up to [`Node::commit_index`] to the state machine. A leader that wants its
//!    followers to learn of a commit at once calls [`Node::heartbeat`].
//!
//! ```no_run
//! use noraft::{Action, Message, Node, NodeId};
//!
//! fn message_to_node_0() -> Option<Message> {
//!     // ...
//!     # None
//! }
//! fn is_timer_expired() -> bool {
//!     // ...
//!     # false
//! }
//!
//! let mut node = Node::start(NodeId::new(0));
//! let commit_position = node.create_cluster(&[NodeId::new(0), NodeId::new(1), NodeId::new(2)]);
//!
//! while node.get_commit_status(commit_position).is_in_progress() {
//!     for action in node.actions_mut() {
//!         match action {
//!             Action::SetElectionTimeout => { /* start the timer again */ }
//!             Action::SaveCurrentTerm => { /* store node.current_term() */ }
//!             Action::SaveVotedFor => { /* store node.voted_for() */ }
//!             Action::BroadcastMessage(_) => { /* send to node.peers() */ }
//!             Action::AppendLogEntries(_) => { /* store the entries */ }
//!             Action::SendMessage(_, _) => { /* send to one node */ }
//!             Action::InstallSnapshot(_) => { /* send a snapshot to one node */ }
//!         }
//!     }
//!     if is_timer_expired() {
//!         node.handle_election_timeout();
//!     }
//!     while let Some(message) = message_to_node_0() {
//!         node.handle_message(&message);
//!     }
//! }
//!
//! let commit_position = node.propose_command();
//! ```
//!
//! # Promises
//!
//! - No input makes a node panic, wrap a number or loop, in any build.
//! - Nothing at or below the commit index is ever removed or overwritten.
//! - Memory grows with the terms and configuration changes in the log, not with its commands.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod action;
mod config;
mod election;
mod entries;
mod error;
pub mod invariants;
mod log;
mod membership;
mod message;
mod metrics;
mod node;
mod quorum;
mod replication;
mod role;
mod snapshot;
mod types;

pub use action::{Action, Actions};
pub use config::ClusterConfig;
pub use entries::{LogEntries, LogEntry};
pub use error::Error;
pub use log::Log;
pub use message::Message;
pub use metrics::NodeMetrics;
pub use node::Node;
pub use role::{CommitStatus, Role};
pub use types::{LogIndex, LogPosition, NodeGeneration, NodeId, Term};
