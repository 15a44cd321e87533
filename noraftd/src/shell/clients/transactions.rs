//! `MULTI`, `EXEC` and `WATCH`: what a connection does as one (`local::transaction`).
//!
//! Invariant: what all connections keep for `EXEC` has a limit together. `WATCH` is answered before the next command of its
//! connection is looked at.

use std::rc::Rc;

use bytes::Bytes;

use super::{Clients, Next};
use crate::level::Level;
use crate::local::session::Session;
use crate::protocol::command::{Class, Local, Parsed, TransactionCommand};
use crate::protocol::gate::is_about_transactions;
use crate::protocol::resp::Reply;
use crate::shell::connection::Connection;

impl Clients {
    /// What the gate makes of the next command: nothing, where the level in force has what it would refuse.
    pub(super) fn refused_by_gate(&self, session: &mut Session, args: &[Bytes]) -> Option<Reply> {
        let has_blocks = || self.node.replica.borrow().machine().level() >= Level::BLOCK;
        let is_known = session.transaction.is_open() || (is_about_transactions(args) && has_blocks());
        if is_known && session.gate.is_open() {
            return None;
        }
        session.gate.refuse(args)
    }

    /// Keeps a command for `EXEC` if its connection has begun with `MULTI`, and gives the reply; gives back all else.
    pub(super) fn keep_for_exec(
        &self,
        connection: &Connection,
        parsed: Result<Parsed, Reply>,
    ) -> Result<Reply, Result<Parsed, Reply>> {
        let mut session = connection.session.borrow_mut();
        let transaction = &mut session.transaction;
        if matches!(parsed, Ok(Parsed::Local(Local::Reset))) {
            connection.kept.set(0);
        }
        if !transaction.is_open() {
            return Err(parsed);
        }
        let reply = match parsed {
            Ok(Parsed::Transaction(_) | Parsed::Local(Local::Reset | Local::Quit)) => return Err(parsed),
            Ok(Parsed::Replicated(request)) if !request.may_be_in_block() => {
                transaction.spoil();
                Reply::Error(NOT_ALLOWED.to_owned())
            }
            Ok(Parsed::Replicated(_)) if self.kept.is_spent() => {
                transaction.spoil();
                Reply::Error(NO_ROOM.to_owned())
            }
            Ok(Parsed::Replicated(request)) => transaction.queue(&request),
            Ok(Parsed::Local(_) | Parsed::Own(_)) => {
                transaction.spoil();
                Reply::Error(NOT_ALLOWED.to_owned())
            }
            Err(reply) => {
                transaction.spoil();
                reply
            }
        };
        connection.kept.set(transaction.bytes());
        Ok(reply)
    }

    /// Carries out a command about a transaction.
    pub(super) async fn carry_out_transaction(
        &self,
        connection: &Rc<Connection>,
        command: TransactionCommand,
    ) -> Next {
        let reply = match command {
            TransactionCommand::Multi => connection.session.borrow_mut().transaction.begin(),
            TransactionCommand::Discard => connection.session.borrow_mut().transaction.discard(),
            TransactionCommand::Unwatch => connection.session.borrow_mut().transaction.unwatch(),
            TransactionCommand::Watch(keys) => self.watch(connection, keys).await,
            TransactionCommand::Exec(numbered) => {
                let ended = connection.session.borrow_mut().transaction.end();
                connection.kept.set(0);
                let ended = ended.and_then(|block| match numbered {
                    Some(numbered) => block.once(numbered),
                    None => Ok(block),
                });
                let whole = ended.and_then(|request| self.node.check_size(&request).map(|()| request));
                match whole {
                    Ok(request) => return self.propose_current(connection, request).await,
                    Err(reply) => reply,
                }
            }
        };
        connection
            .kept
            .set(connection.session.borrow().transaction.bytes());
        self.answer_in_turn(connection, reply, Next::Command).await
    }

    /// Asks when the keys were last changed, and keeps the answer.
    async fn watch(&self, connection: &Rc<Connection>, keys: Vec<Bytes>) -> Reply {
        let asked = connection.session.borrow_mut().transaction.watch(&keys);
        let request = match asked {
            Ok(request) => request,
            Err(reply) => return reply,
        };
        debug_assert_eq!(request.class, Class::Read);
        let outcome = self.ask(connection, request).await;
        let mut session = connection.session.borrow_mut();
        session.transaction.watched(keys, outcome.into_reply())
    }
}

/// What all connections may keep for `EXEC`: sixteen of the largest blocks.
pub(super) const KEPT_BYTES_MAX: usize = 256 << 20;

const NOT_ALLOWED: &str = "ERR the command is not allowed inside MULTI; EXEC will carry out nothing";
const NO_ROOM: &str = "ERR all clients together keep too much for EXEC; EXEC will carry out nothing";
