//! What `WAIT` waits for: that this node's log has every write that its client was answered.
//!
//! Invariant: the voters of a log that has a write say on how many disks it is, or fewer. A write that went on to another
//! node may be answered before this node's log has it, and the voters may have changed in between.

use std::rc::Rc;
use std::time::Duration;

use noraft::LogIndex;
use tokio::sync::oneshot;

use super::Clients;
use crate::protocol::command::{Class, Request};
use crate::protocol::outcome::{Outcome, Refusal};
use crate::protocol::resp::Reply;
use crate::replica::event::{ConnectionId, Input};
use crate::shell::clock;
use crate::shell::connection::Connection;
use crate::shell::requests::{Asker, Waiter};

impl Clients {
    /// Waits until this node has applied whatever was answered before.
    ///
    /// # Errors
    ///
    /// With the reply to give when that takes too long, or is not known.
    pub(super) async fn catch_up(&self, connection: &Rc<Connection>) -> Result<(), Reply> {
        let index = match self.index(connection).await {
            Outcome::Done(Reply::Integer(index)) => LogIndex::new(index.unsigned_abs()),
            other => return Err(other.into_reply()),
        };
        let reached = async {
            while self.node.replica.borrow().machine().applied_index() < index {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let patience = self.node.config.time.request_timeout;
        let waited = tokio::time::timeout(patience, reached).await;
        waited.map_err(|_| Outcome::Refused(Refusal::ReadTimeout).into_reply())
    }

    /// The index that covers every write that was answered before.
    async fn index(&self, connection: &Rc<Connection>) -> Outcome {
        self.ask(connection, Request::for_index()).await
    }

    /// The outcome of a read in the order of this connection.
    pub(super) async fn ask(&self, connection: &Rc<Connection>, request: Request) -> Outcome {
        let command = connection.command.get();
        let connection = ConnectionId(connection.session.borrow().id);
        let (task, answer) = oneshot::channel();
        let waiter = Waiter {
            asker: Asker::Task(task),
            class: Class::Read,
            bytes: 0,
            command,
            since: clock::now(),
        };
        self.hand_over(waiter, |id| Input::Client {
            id,
            connection,
            request,
        });
        answer.await.unwrap_or(Outcome::Refused(Refusal::ShuttingDown))
    }
}

/// A follower hears what is committed with the next message of its leader.
const LOOK_EVERY: Duration = Duration::from_millis(2);
