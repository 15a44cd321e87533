//! What is in flight to one peer, so that an entry is sent once.
//!
//! The core answers every reply of a lagging follower with the whole missing suffix. Here each AppendEntries
//! carries a round, the follower echoes the highest one it handled, and entries are taken as lost only
//! when an echoed round shows that the follower should have had them.
//!
//! Invariant: everything at or before `next` has been sent or is known to be there; `next` is a position of
//! the leader's log; `flight` is ordered by round.

use std::collections::VecDeque;

use noraft::{LogIndex, LogPosition};

use crate::time::Instant;

#[derive(Debug)]
pub(super) struct Progress {
    next: LogPosition,
    /// True while the follower's log is known to differ at `next`: only empty messages go out.
    probing: bool,
    flight: VecDeque<Flight>,
    flight_bytes: usize,
    /// The highest round that the follower echoed in this term.
    echo: u64,
    /// The last round that was sent to it.
    sent_round: u64,
    /// An empty message is wanted at once (after a divergence was found).
    nudge: bool,
    /// The highest commit index that was sent to it over this connection.
    shown: LogIndex,
    last_heard: Instant,
    /// How often sending began again at an earlier entry.
    resent: u64,
}

#[derive(Debug)]
struct Flight {
    round: u64,
    prev: LogPosition,
    bytes: usize,
}

impl Progress {
    /// A peer about which nothing is known; it is assumed to have everything up to `next`.
    pub(super) fn new(next: LogPosition, now: Instant) -> Self {
        Self {
            next,
            probing: false,
            flight: VecDeque::new(),
            flight_bytes: 0,
            echo: 0,
            sent_round: 0,
            nudge: false,
            shown: LogIndex::ZERO,
            last_heard: now,
            resent: 0,
        }
    }

    pub(super) fn next(&self) -> LogPosition {
        self.next
    }

    pub(super) fn echo(&self) -> u64 {
        self.echo
    }

    pub(super) fn last_heard(&self) -> Instant {
        self.last_heard
    }

    /// How often sending began again at an earlier entry.
    pub(super) fn resent(&self) -> u64 {
        self.resent
    }

    /// True when entries may be sent: the window is open and the follower's log agrees at `next`.
    pub(super) fn may_send(&self, bytes_max: usize, messages_max: usize) -> bool {
        !self.probing && self.flight.len() < messages_max && self.flight_bytes < bytes_max
    }

    /// True when an empty message is due: something was found that only the follower can resolve, or no
    /// message since `round_wanted` went out.
    pub(super) fn wants_empty(&self, round_wanted: u64) -> bool {
        self.nudge || self.sent_round < round_wanted
    }

    /// A message with this commit index goes out.
    pub(super) fn on_shown(&mut self, commit_index: LogIndex) {
        self.shown = self.shown.max(commit_index);
    }

    /// The peer waits to hear that entries up to `index` are committed.
    pub(super) fn want_shown(&mut self, index: LogIndex) {
        self.nudge |= self.shown < index;
    }

    /// Entries after `next` up to `last` go out in `round`.
    pub(super) fn on_sent(&mut self, round: u64, last: LogPosition, bytes: usize) {
        self.flight.push_back(Flight {
            round,
            prev: self.next,
            bytes,
        });
        self.flight_bytes += bytes;
        self.next = last;
        self.sent_round = round;
        self.nudge = false;
    }

    /// An empty message at `next` goes out in `round`.
    pub(super) fn on_sent_empty(&mut self, round: u64) {
        self.sent_round = round;
        self.nudge = false;
    }

    /// The follower is there and has handled `round` in this term.
    pub(super) fn on_heard(&mut self, now: Instant, round: u64) {
        self.last_heard = now;
        self.echo = self.echo.max(round);
    }

    /// The follower's tail is `tail`, which the leader's log contains, after it had handled `round`.
    pub(super) fn on_match(&mut self, tail: LogPosition, round: u64) {
        if round < self.echo {
            return;
        }
        while self.flight.front().is_some_and(|sent| sent.round <= round) {
            let sent = self.flight.pop_front().expect("the loop condition saw it");
            self.flight_bytes -= sent.bytes;
        }
        let expected = self.flight.front().map_or(self.next, |sent| sent.prev);
        if self.probing || tail.index < expected.index || tail.index > self.next.index {
            self.resume_after(tail);
        }
    }

    /// The follower's log differs; ask again at `anchor`, a position of the leader's log.
    pub(super) fn on_divergence(&mut self, anchor: LogPosition) {
        self.resume_after(anchor);
        self.probing = true;
        self.nudge = true;
    }

    /// The follower needs a snapshot first; until it has one, only empty messages go out, at `base`.
    pub(super) fn on_snapshot(&mut self, base: LogPosition) {
        self.resume_after(base);
        self.probing = true;
    }

    /// Ask the follower at once where its log ends.
    pub(super) fn ask(&mut self) {
        self.nudge = true;
    }

    /// The connection is new: what was in flight may be lost, `matched` is certain.
    pub(super) fn on_connected(&mut self, matched: LogPosition) {
        if !self.flight.is_empty() {
            self.resume_after(matched);
        }
        self.shown = LogIndex::ZERO;
        self.nudge = true;
    }

    fn resume_after(&mut self, position: LogPosition) {
        self.resent += u64::from(position.index < self.next.index);
        self.next = position;
        self.probing = false;
        self.flight.clear();
        self.flight_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use noraft::Term;

    use super::*;

    fn at(index: u64) -> LogPosition {
        LogPosition {
            term: Term::new(1),
            index: LogIndex::new(index),
        }
    }

    /// Three messages of ten entries are in flight, in rounds 1 to 3.
    fn three_in_flight() -> Progress {
        let mut progress = Progress::new(at(0), Instant::ZERO);
        (1..=3).for_each(|round| progress.on_sent(round, at(round * 10), 100));
        progress
    }

    fn reply(progress: &mut Progress, round: u64, tail: u64) {
        progress.on_heard(Instant::ZERO, round);
        progress.on_match(at(tail), round);
    }

    #[test]
    fn replies_in_order_resend_nothing() {
        let mut progress = three_in_flight();
        for round in 1..=3 {
            reply(&mut progress, round, round * 10);
            assert_eq!(progress.next(), at(30));
        }
        assert_eq!(progress.flight_bytes, 0);
    }

    #[test]
    fn an_empty_message_is_due_until_one_of_the_wanted_round_went_out() {
        let mut progress = three_in_flight();
        assert!(!progress.wants_empty(3));
        assert!(progress.wants_empty(4));
        progress.on_sent_empty(4);
        assert!(!progress.wants_empty(4));
    }

    #[test]
    fn who_waits_for_a_commit_index_is_sent_it_once_over_each_connection() {
        let mut progress = three_in_flight();
        progress.on_shown(LogIndex::new(20));
        progress.want_shown(LogIndex::new(20));
        assert!(!progress.wants_empty(3), "it was sent before");
        progress.want_shown(LogIndex::new(21));
        assert!(progress.wants_empty(3));
        progress.on_sent_empty(4);
        progress.on_shown(LogIndex::new(21));
        assert!(!progress.wants_empty(4));
        progress.on_connected(at(0));
        progress.on_sent_empty(5);
        progress.want_shown(LogIndex::new(21));
        assert!(progress.wants_empty(5), "it may be lost");
    }

    #[test]
    fn one_reply_for_several_messages_is_enough() {
        let mut progress = three_in_flight();
        reply(&mut progress, 3, 30);
        assert_eq!((progress.next(), progress.flight.len()), (at(30), 0));
    }

    #[test]
    fn a_lost_message_is_resent_once() {
        let mut progress = three_in_flight();
        reply(&mut progress, 2, 0); // round 1 was lost, round 2 did not fit
        assert_eq!(progress.next(), at(0));
        progress.on_sent(4, at(30), 300);
        reply(&mut progress, 3, 0); // round 3 did not fit either; round 4 is on its way
        assert_eq!(progress.next(), at(30));
        reply(&mut progress, 4, 30);
        assert_eq!((progress.next(), progress.flight.len()), (at(30), 0));
        assert_eq!(progress.resent(), 1, "once for all that was lost");
    }

    #[test]
    fn a_late_reply_of_an_earlier_round_changes_nothing() {
        let mut progress = three_in_flight();
        reply(&mut progress, 2, 20);
        reply(&mut progress, 1, 10);
        assert_eq!(progress.next(), at(30));
    }

    #[test]
    fn a_follower_that_lost_its_tail_is_served_from_there() {
        let mut progress = three_in_flight();
        reply(&mut progress, 3, 30);
        reply(&mut progress, 4, 25);
        assert_eq!(progress.next(), at(25));
    }

    #[test]
    fn a_follower_that_has_more_than_was_sent_is_served_from_there() {
        let mut progress = three_in_flight();
        reply(&mut progress, 3, 40);
        assert_eq!((progress.next(), progress.flight_bytes), (at(40), 0));
    }

    #[test]
    fn divergence_stops_entries_until_a_match() {
        let mut progress = three_in_flight();
        progress.on_divergence(at(5));
        assert!(!progress.may_send(1000, 10) && progress.wants_empty(0));
        progress.on_sent_empty(4);
        reply(&mut progress, 4, 4);
        assert!(progress.may_send(1000, 10));
        assert_eq!(progress.next(), at(4));
    }

    #[test]
    fn the_window_closes_at_either_limit() {
        let progress = three_in_flight();
        assert!(progress.may_send(301, 4));
        assert!(!progress.may_send(300, 4) && !progress.may_send(301, 3));
    }
}
