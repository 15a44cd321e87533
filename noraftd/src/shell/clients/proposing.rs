//! Requests for the state machine, on their way to the replica: in the order of their connection, by what its reads may be answered from.

use std::rc::Rc;

use super::{Clients, Next};
use crate::protocol::command::{Class, Request};
use crate::replica::event::{ConnectionId, Input};
use crate::shell::connection::Connection;

impl Clients {
    /// Hands a request for the state machine to the replica.
    pub(super) async fn propose(&self, connection: &Rc<Connection>, request: Request) -> Next {
        let (class, bytes) = (request.class, request.body.len());
        let (connection_id, reads, may_be_old) = {
            let session = connection.session.borrow();
            // What is read between WATCH and EXEC is what EXEC goes by.
            let may_be_old = session.reads.may_be_old && !session.transaction.watches();
            (ConnectionId(session.id), session.reads, may_be_old)
        };
        let ask = |id| match class {
            Class::Read if may_be_old && !request.asks_for_index() => Input::StaleRead {
                id,
                connection: connection_id,
                request,
                staleness_max: reads.staleness_max,
            },
            Class::Read | Class::Write => Input::Client {
                id,
                connection: connection_id,
                request,
            },
        };
        self.submit(connection, class, bytes, ask).await
    }

    /// Hands the replica a request that is answered by what is true, whatever the connection's reads are answered by.
    pub(super) async fn propose_current(&self, connection: &Rc<Connection>, request: Request) -> Next {
        let (class, bytes) = (request.class, request.body.len());
        let connection_id = ConnectionId(connection.session.borrow().id);
        let ask = |id| Input::Client {
            id,
            connection: connection_id,
            request,
        };
        self.submit(connection, class, bytes, ask).await
    }
}
