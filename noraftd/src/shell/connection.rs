//! One client connection: its session, the order of its replies, and its bytes on the way out.
//!
//! Invariant: a reply is encoded when its turn has come and there is room for it, in the version that the session
//! then speaks. So a client that reads gets everything, however much, and one that does not costs little memory and
//! no time. While encoded bytes are there, a flush is due or a task is sending them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::sync::Notify;

use super::budget::{Budget, Charge};
use super::clock;
use super::conversation::{Conversation, PIPELINE_DEPTH_MAX};
use super::descriptors::Seat;
#[cfg(test)]
use super::descriptors::Seats;
use super::door::Door;
#[cfg(test)]
use super::door::Entrance;
use super::intake::Intake;
use super::outgoing::{Outgoing, Progress};
use crate::local::session::Session;
use crate::protocol::resp::Reply;
use crate::time::Instant;

/// Replies that a client has not read before its next command waits: a client that reads slowly is slowed
/// down, not served into memory.
const OUTPUT_BYTES_PAUSE: usize = 1 << 20;

/// Encoded replies that wait for the socket, but for the last of them. What goes beyond stays as it is in the state:
/// a large value that a thousand commands ask for is one value.
const ENCODED_BYTES: usize = 256 << 10;

/// Commands that may be under way however large their replies are.
const DEPTH_MIN: usize = 4;

/// How large the first reply of a connection is taken to be.
const FIRST_REPLY_BYTES: usize = 4 << 10;

/// A client connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) session: RefCell<Session>,
    /// Whether the other side may give orders.
    pub(super) door: Door,
    conversation: RefCell<Conversation>,
    outgoing: Rc<Outgoing>,
    is_dirty: Cell<bool>,
    /// A task is at work that sends what is there.
    is_sending: Cell<bool>,
    /// What the replies take that are known and not encoded yet.
    held_bytes: Cell<usize>,
    /// How large replies have been lately; the next are expected to be.
    usual_bytes: Cell<usize>,
    /// The part of the budget of all clients that replies not yet sent take.
    unsent: Charge,
    /// The part of the budget of all clients that it keeps for `EXEC`.
    pub(super) kept: Charge,
    /// When bytes last left, and how many had left then; for [`Self::stalled_since`].
    sent: Cell<(Instant, u64)>,
    pub(super) intake: Intake,
    /// The name of the command that is being carried out.
    pub(super) command: Cell<&'static str>,
    /// Wakes the task that reads: the request that is arriving has had its time.
    expired: Notify,
    /// Wakes the task that reads from the connection: an answer came.
    answered: Notify,
    /// Taken until the last waiter for an answer lets go of the socket.
    _seat: Seat,
}

impl Connection {
    /// A connection that was just accepted.
    pub(super) fn new(
        session: Session,
        door: Door,
        outgoing: Rc<Outgoing>,
        seat: Seat,
        [unsent, kept]: [&Rc<Budget>; 2],
    ) -> Rc<Self> {
        Rc::new(Self {
            session: RefCell::new(session),
            door,
            conversation: RefCell::default(),
            outgoing,
            is_dirty: Cell::default(),
            is_sending: Cell::default(),
            held_bytes: Cell::default(),
            usual_bytes: Cell::new(FIRST_REPLY_BYTES),
            unsent: Charge::new(unsent),
            kept: Charge::new(kept),
            sent: Cell::new((clock::now(), 0)),
            intake: Intake::default(),
            command: Cell::new(""),
            expired: Notify::new(),
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
            [&Budget::new(usize::MAX), &Budget::new(usize::MAX)],
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

    /// Waits until every request is answered and every reply encoded; false when the connection has ended.
    pub(super) async fn is_settled(&self) -> bool {
        self.until(|this| this.conversation.borrow().len() == 0).await
    }

    /// Waits until every reply has left; false when the connection has ended.
    pub(super) async fn is_drained(&self) -> bool {
        self.until(|this| this.conversation.borrow().len() == 0 && this.outgoing.len() == 0)
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

    /// Room for another reply: in the pause that a slow reader causes there is none, nor for more commands
    /// than would fill it, if their replies are as the last ones were.
    pub(super) fn has_room(&self) -> bool {
        let depth = OUTPUT_BYTES_PAUSE / self.usual_bytes.get().max(1);
        let depth = depth.clamp(DEPTH_MIN, PIPELINE_DEPTH_MAX);
        self.unsent_bytes() < OUTPUT_BYTES_PAUSE
            && self.conversation.borrow().len() < depth
            && !(self.unsent.bytes() > 0 && self.unsent.is_budget_spent())
    }

    fn unsent_bytes(&self) -> usize {
        self.outgoing.len() + self.held_bytes.get()
    }

    /// Looks whether there is room again.
    pub(super) fn look_again(&self) {
        self.answered.notify_one();
    }

    /// Bytes of replies that have not left, and since when none has, as far as `now` shows.
    pub(super) fn stalled_since(&self, now: Instant) -> (usize, Instant) {
        let written = self.outgoing.written();
        let (_, before) = self.sent.get();
        if written != before || self.unsent.bytes() == 0 {
            self.sent.set((now, written));
        }
        (self.unsent.bytes(), self.sent.get().0)
    }

    /// Bytes that have left since the connection began.
    pub(super) fn written(&self) -> u64 {
        self.outgoing.written()
    }

    /// The request that is arriving has had its time.
    pub(super) fn expire(&self) {
        self.expired.notify_one();
    }

    /// Waits until the request that is arriving has had its time.
    pub(super) async fn expired(&self) {
        self.expired.notified().await;
    }

    /// Begins a request; the number names it in [`Self::answer`].
    pub(super) fn begin(&self) -> u64 {
        self.conversation.borrow_mut().begin()
    }

    /// Makes the reply to a request known. True when [`Self::flush`] has to be called.
    pub(super) fn answer(&self, sequence: u64, reply: Reply) -> bool {
        self.hold(&reply);
        self.conversation.borrow_mut().answer(sequence, reply);
        self.answered.notify_one();
        self.encode_known()
    }

    /// Answers in the order of requests, at once. True when [`Self::flush`] has to be called.
    pub(super) fn answer_now(&self, reply: Reply) -> bool {
        self.hold(&reply);
        self.conversation.borrow_mut().answer_now(reply);
        self.encode_known()
    }

    fn hold(&self, reply: &Reply) {
        let bytes = reply.weight();
        self.held_bytes.set(self.held_bytes.get() + bytes);
        let usual = self.usual_bytes.get();
        let faded = usual - usual / 8 + bytes / 8;
        self.usual_bytes
            .set(bytes.max(faded).min(OUTPUT_BYTES_PAUSE / DEPTH_MIN));
    }

    /// Encodes the replies whose turn has come, as far as there is room for them.
    fn encode_known(&self) -> bool {
        let mut conversation = self.conversation.borrow_mut();
        let version = self.session.borrow().version;
        let mut encoded = false;
        while self.outgoing.len() < ENCODED_BYTES
            && let Some(reply) = conversation.next_reply()
        {
            self.held_bytes.set(self.held_bytes.get() - reply.weight());
            self.outgoing.append(|out| reply.encode(version, out));
            encoded = true;
        }
        self.unsent.set(self.unsent_bytes());
        encoded && !self.is_dirty.replace(true)
    }

    /// Sends the replies whose turn has come, what the socket takes at once; a task sends the rest.
    pub(super) fn flush(self: &Rc<Self>) {
        self.is_dirty.set(false);
        if !self.is_sending.get() && self.send_some() != Progress::Done {
            self.is_sending.set(true);
            tokio::task::spawn_local(Rc::clone(self).send_rest());
        }
    }

    async fn send_rest(self: Rc<Self>) {
        loop {
            match self.send_some() {
                Progress::Done => break,
                progress => self.outgoing.wait(progress).await,
            }
        }
        self.is_sending.set(false);
    }

    /// Encodes and writes; done when nothing is left of either.
    fn send_some(&self) -> Progress {
        let progress = self.outgoing.write_some();
        self.encode_known();
        self.is_dirty.set(false);
        self.answered.notify_one();
        match progress {
            Progress::Done if self.outgoing.len() > 0 => Progress::More,
            progress => progress,
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
    use crate::shell::sockets::Stream;
    use crate::shell::test_support::run;
    use tokio::io::AsyncReadExt;

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
    fn a_client_that_does_not_read_costs_no_more_than_its_first_replies_encoded() {
        run(async {
            let (here, mut there) = tokio::net::UnixStream::pair().expect("a pair");
            let (_read, write) = Stream::Unix(here).into_split();
            let budget = Budget::new(usize::MAX);
            let session = Session::new(1, String::new());
            let connection = Connection::new(
                session,
                Door::new(Entrance::Local),
                Outgoing::new(write),
                Seats::default().take(),
                [&budget, &Budget::new(usize::MAX)],
            );
            let value = bytes::Bytes::from(vec![7; 1 << 20]);
            for _ in 0..300 {
                connection.answer_now(Reply::Bulk(value.clone()));
            }
            connection.flush();
            assert!(connection.outgoing.len() < 2 << 20, "one reply and its head");
            assert!(budget.used() > 298 << 20, "the rest is known, and charged");
            assert!(!connection.has_room());
            let mut received = vec![0; 300 * ((1 << 20) + "$1048576\r\n\r\n".len())];
            there.read_exact(&mut received).await.expect("everything arrives");
            assert!(connection.is_drained().await);
            assert_eq!(budget.used(), 0);
        });
    }

    #[test]
    fn large_replies_let_fewer_commands_be_under_way() {
        let connection = Connection::detached();
        let begins = || {
            let mut begun = Vec::new();
            while connection.has_room() {
                begun.push(connection.begin());
            }
            begun
        };
        let first = begins();
        assert_eq!(first.len(), OUTPUT_BYTES_PAUSE / FIRST_REPLY_BYTES);
        for sequence in first {
            connection.answer(sequence, Reply::Integer(1));
            connection.flush();
        }
        let small = begins();
        assert_eq!(small.len(), PIPELINE_DEPTH_MAX, "small replies");
        let large = Reply::Bulk(vec![0; OUTPUT_BYTES_PAUSE / 8].into());
        for sequence in small {
            connection.answer(sequence, large.clone());
        }
        assert!(!connection.has_room());
    }

    #[test]
    fn a_request_beyond_the_pipelines_depth_waits_for_a_reply_to_leave() {
        run(async {
            let connection = Connection::detached();
            // Its replies have been small so far.
            connection.usual_bytes.set(1);
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
