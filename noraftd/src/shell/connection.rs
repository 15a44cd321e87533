//! One client connection: its session, the order of its replies, and its bytes on the way out.
//!
//! Invariant: a reply is encoded when its turn has come, in the version that the session then speaks.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::sync::Notify;

use super::conversation::{Conversation, PIPELINE_DEPTH_MAX};
use super::descriptors::Seat;
#[cfg(test)]
use super::descriptors::Seats;
use super::door::Door;
#[cfg(test)]
use super::door::Entrance;
use super::outgoing::Outgoing;
use crate::protocol::resp::Reply;
use crate::protocol::session::Session;

/// Replies that a client has not read before its next command waits: a client that reads slowly is slowed
/// down, not served into memory.
const OUTPUT_BYTES_PAUSE: usize = 1 << 20;

/// Replies that a client has not read before it is cut off. It can get here only with large replies to
/// commands that were all under way before the pause.
pub(super) const OUTPUT_BYTES_MAX: usize = 128 << 20;

/// A client connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) session: RefCell<Session>,
    /// Whether the other side may give orders.
    pub(super) door: Door,
    conversation: RefCell<Conversation>,
    outgoing: Rc<Outgoing>,
    is_dirty: Cell<bool>,
    /// Wakes the task that reads from the connection: an answer came.
    answered: Notify,
    /// Taken until the last who waits for an answer lets go of the socket.
    _seat: Seat,
}

impl Connection {
    /// A connection that was just accepted.
    pub(super) fn new(session: Session, door: Door, outgoing: Rc<Outgoing>, seat: Seat) -> Rc<Self> {
        Rc::new(Self {
            session: RefCell::new(session),
            door,
            conversation: RefCell::default(),
            outgoing,
            is_dirty: Cell::default(),
            answered: Notify::new(),
            _seat: seat,
        })
    }

    /// A connection to nowhere.
    #[cfg(test)]
    pub(super) fn detached() -> Rc<Self> {
        Self::new(
            Session::new(0, String::new()),
            Door::new(Entrance::Local),
            Outgoing::detached(),
            Seats::default().take(),
        )
    }

    /// Waits until a request may begin; false when the connection has ended.
    pub(super) async fn may_begin(&self) -> bool {
        self.until(|this| this.has_room() && this.conversation.borrow().may_begin())
            .await
    }

    /// Waits until there is room for another reply; false when the connection has ended.
    pub(super) async fn may_answer(&self) -> bool {
        self.until(Self::has_room).await
    }

    /// Waits until every request is answered; false when the connection has ended.
    pub(super) async fn is_settled(&self) -> bool {
        self.until(|this| this.conversation.borrow().is_settled()).await
    }

    /// Waits until every reply has left; false when the connection has ended.
    pub(super) async fn is_drained(&self) -> bool {
        self.until(|this| this.conversation.borrow().is_settled() && this.outgoing.len() == 0)
            .await
    }

    async fn until(&self, holds: impl Fn(&Self) -> bool) -> bool {
        loop {
            if self.outgoing.is_closed() {
                return false;
            }
            if holds(self) {
                return true;
            }
            tokio::select! {
                () = self.answered.notified() => {}
                () = self.outgoing.changed() => {}
            }
        }
    }

    fn has_room(&self) -> bool {
        self.outgoing.len() < OUTPUT_BYTES_PAUSE && self.conversation.borrow().len() < PIPELINE_DEPTH_MAX
    }

    /// Begins a request; the number names it in [`Self::answer`].
    pub(super) fn begin(&self) -> u64 {
        self.conversation.borrow_mut().begin()
    }

    /// Makes the reply to a request known. True when [`Self::flush`] has to be called.
    pub(super) fn answer(&self, sequence: u64, reply: Reply) -> bool {
        self.conversation.borrow_mut().answer(sequence, reply);
        self.answered.notify_one();
        self.encode_known()
    }

    /// Answers in the order of requests, at once. True when [`Self::flush`] has to be called.
    pub(super) fn answer_now(&self, reply: Reply) -> bool {
        self.conversation.borrow_mut().answer_now(reply);
        self.encode_known()
    }

    fn encode_known(&self) -> bool {
        let mut conversation = self.conversation.borrow_mut();
        let version = self.session.borrow().version;
        let mut encoded = false;
        while let Some(reply) = conversation.next_reply() {
            self.outgoing.append(|out| reply.encode(version, out));
            encoded = true;
        }
        if self.outgoing.len() > OUTPUT_BYTES_MAX {
            let session = self.session.borrow();
            tracing::warn!(
                "client {} ({}) does not read its replies: closed",
                session.id,
                session.peer
            );
            self.close();
        }
        encoded && !self.is_dirty.replace(true)
    }

    /// Sends the replies whose turn has come.
    pub(super) fn flush(&self) {
        self.is_dirty.set(false);
        self.outgoing.flush();
        if self.outgoing.len() == 0 {
            self.answered.notify_one();
        }
    }

    /// Ends this side's direction: the client sees the end after the last reply.
    pub(super) fn end_output(&self) {
        self.outgoing.end();
    }

    /// Ends the connection; replies to come are dropped.
    pub(super) fn close(&self) {
        self.outgoing.close();
        self.answered.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::test_support::run;

    #[test]
    fn only_the_first_known_reply_of_a_round_asks_for_a_flush() {
        let connection = Connection::detached();
        let (one, two) = (connection.begin(), connection.begin());
        assert!(
            !connection.answer(two, Reply::Integer(2)),
            "its turn has not come"
        );
        assert!(connection.answer(one, Reply::Integer(1)));
        assert!(!connection.answer_now(Reply::Integer(3)), "already asked");
        connection.flush();
        assert!(connection.answer_now(Reply::Integer(4)));
    }

    #[test]
    fn a_client_that_does_not_read_is_cut_off_and_costs_nothing_more() {
        let connection = Connection::detached();
        let reply = Reply::Bulk(vec![0; OUTPUT_BYTES_MAX / 3].into());
        for _ in 0..3 {
            assert!(!connection.outgoing.is_closed());
            connection.answer_now(reply.clone());
        }
        assert!(connection.outgoing.is_closed());
        assert_eq!(connection.outgoing.len(), 0);
    }

    #[test]
    fn a_request_beyond_the_pipelines_depth_waits_for_a_reply_to_leave() {
        run(async {
            let connection = Connection::detached();
            let first = connection.begin();
            (1..PIPELINE_DEPTH_MAX).for_each(|_| {
                connection.begin();
            });
            let waiting = Rc::clone(&connection);
            let waits = tokio::task::spawn_local(async move { waiting.may_begin().await });
            tokio::task::yield_now().await;
            assert!(!waits.is_finished());
            connection.answer(first, Reply::Null);
            assert!(waits.await.expect("no panic"));
        });
    }

    #[test]
    fn waiting_ends_when_the_connection_does() {
        run(async {
            let connection = Connection::detached();
            (0..PIPELINE_DEPTH_MAX).for_each(|_| {
                connection.begin();
            });
            let waiting = Rc::clone(&connection);
            let waits = tokio::task::spawn_local(async move { waiting.may_begin().await });
            tokio::task::yield_now().await;
            connection.close();
            assert!(!waits.await.expect("no panic"));
        });
    }
}
