//! `NORAFT.*`: what this project's own tools ask of a node.
//!
//! Invariant: an order is carried out only for a client that may give it (`door`).

use std::rc::Rc;
use std::sync::Arc;

use noraft::{LogPosition, NodeId};
use tracing::level_filters::LevelFilter;

use super::{Clients, Next};
use crate::level::Level;
use crate::log;
use crate::protocol::command::{Class, MemberChange, OwnCommand, Request};
use crate::protocol::resp::Reply;
use crate::replica::event::Input;
use crate::shell::clock;
use crate::shell::connection::Connection;
use crate::store::Snapshots;
use crate::store::disk::RealDisk;

impl Clients {
    /// Carries out a command of the project's own tools.
    pub(super) async fn carry_out_own(&self, connection: &Rc<Connection>, command: OwnCommand) -> Next {
        if command.is_order()
            && let Some(refusal) = connection.door.refusal(&self.node.keyring)
        {
            return self.answer_in_turn(connection, refusal, Next::Command).await;
        }
        let door = &connection.door;
        let reply = match command {
            OwnCommand::Challenge if self.node.keyring.has_secret() => door.challenge(),
            OwnCommand::Challenge => Reply::Error("ERR this node has no peer secret to ask for".to_owned()),
            OwnCommand::Prove(answer) => door.prove(&self.node.keyring, &answer),
            OwnCommand::Status => Reply::Bulk(self.status_json().into()),
            OwnCommand::Vitals => {
                let process = self.looks.look(&self.node.config.data_dir, 0).await;
                Reply::Bulk(self.node.vitals_json(&process).into())
            }
            OwnCommand::Events(most) => {
                let json = self.node.events_json(most.unwrap_or(usize::MAX));
                Reply::Bulk(json.into())
            }
            OwnCommand::Staleness(None) => self.staleness(),
            OwnCommand::Staleness(limit) => {
                connection.session.borrow_mut().reads.staleness_max = limit;
                Reply::Status("OK")
            }
            OwnCommand::Snapshot => {
                self.inbox.push(Input::TakeSnapshot);
                Reply::Status("OK")
            }
            OwnCommand::ReadSnapshot { position, offset } => self.read_snapshot(position, offset).await,
            OwnCommand::Readmit { node, incarnation } => self.readmit(node, incarnation),
            OwnCommand::Voters(voters) => {
                let ask = |id| Input::ChangeVoters { id, voters };
                return self.submit(connection, Class::Write, 0, ask).await;
            }
            OwnCommand::Members => Reply::Bulk(self.node.members_json().into()),
            OwnCommand::Member { change, level } => match self.refusal_of_joiner(&change, level) {
                Some(refusal) => refusal,
                None => {
                    let request = Request::to_change_members(&change);
                    return self.propose(connection, request).await;
                }
            },
            OwnCommand::Transfer(to) => {
                let ask = |id| Input::Transfer { id: Some(id), to };
                return self.submit(connection, Class::Write, 0, ask).await;
            }
            OwnCommand::Upgrade => {
                return self
                    .propose(connection, Request::to_raise(Level::SUPPORTED))
                    .await;
            }
            OwnCommand::Limit(None) => return self.propose(connection, Request::for_limits()).await,
            OwnCommand::Limit(Some((limit, value))) => {
                let request = Request::to_set_limit(limit, value);
                return self.propose(connection, request).await;
            }
            OwnCommand::SetLogLevel(level) => set_log_level(level),
            OwnCommand::Index => return self.propose(connection, Request::for_index()).await,
        };
        self.answer_in_turn(connection, reply, Next::Command).await
    }

    /// How old this node's state may be, in milliseconds, rounded up.
    fn staleness(&self) -> Reply {
        let age = self.node.replica.borrow().staleness(clock::now());
        age.map_or(Reply::Null, |age| {
            let millis = age.as_nanos().div_ceil(1_000_000);
            Reply::Integer(i64::try_from(millis).unwrap_or(i64::MAX))
        })
    }

    /// Why a node that asks to join cannot.
    fn refusal_of_joiner(&self, change: &MemberChange, level: Option<Level>) -> Option<Reply> {
        if !matches!(change, MemberChange::Join { .. }) {
            return None;
        }
        if self.node.config.peers.listen.is_empty() {
            let text =
                "ERR this node listens for no other nodes: start it with --peer-listen; nothing was done";
            return Some(Reply::Error(text.to_owned()));
        }
        let (level, in_force) = (level?, self.node.replica.borrow().machine().level());
        (level < in_force).then(|| {
            Reply::Error(format!(
                "ERR the cluster is at level {in_force}, which the version of the node that joins does not support; nothing was done"
            ))
        })
    }

    /// A part of a snapshot, from another thread: the loop does not wait for the disk.
    async fn read_snapshot(&self, position: LogPosition, offset: u64) -> Reply {
        let (path, cluster_id) = (self.node.config.data_dir.clone(), self.node.config.cluster_id);
        let read = move || {
            let disk = RealDisk::open(&path).map_err(|error| error.to_string())?;
            let snapshots = Snapshots::new(Arc::new(disk), cluster_id);
            let read = snapshots.read(position, offset, SNAPSHOT_PART_BYTES);
            read.map_err(|error| error.to_string())
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(Ok(bytes)) => Reply::Bulk(bytes),
            Ok(Err(error)) => Reply::Error(format!("ERR {error}")),
            Err(error) => Reply::Error(format!("ERR {error}")),
        }
    }

    fn readmit(&self, node: NodeId, incarnation: u64) -> Reply {
        match self.node.from_peers.readmit(node, incarnation) {
            Ok(()) => Reply::Bulk(self.node.replica.borrow().status().term.to_string().into()),
            Err(error) => Reply::Error(format!("ERR {error}")),
        }
    }
}

/// The line is written at the level before or the one after, whichever says more: that a log falls silent is the last that it says.
fn set_log_level(level: LevelFilter) -> Reply {
    let before = log::level();
    let say = || tracing::info!(from = %before, to = %level, "CONFIG SET: the log level changes from {before} to {level}");
    if before > level {
        say();
    }
    if let Err(error) = log::set_level(level) {
        return Reply::Error(format!("ERR {error}"));
    }
    if before <= level {
        say();
    }
    Reply::Status("OK")
}

/// Bytes of a snapshot in one answer.
const SNAPSHOT_PART_BYTES: usize = 1 << 20;
