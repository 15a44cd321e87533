//! The order of requests on one client connection.
//!
//! A client sees the answers of its connection in the order of its requests, and expects them to have taken effect
//! so: a read sees every earlier write of its connection that took effect, and no later one; writes take effect in
//! their order. Without waiting for each answer:
//!
//! - Where this node leads, writes are appended as they come. A read waits until the writes before it have positions;
//!   then its round starts, and it is answered from a state that holds the highest of them. The reads before a write
//!   are answered from the state just before it is applied (`Reads::answer_early`).
//! - Where another node leads, a read waits for the answers of the writes before it, and a write for those of the reads
//!   before it: nothing is known of the order in which the leader handles what it is sent.
//! - A write in doubt may still arrive at the leader that it was sent to. Its connection's reads do not go there until a
//!   later write of this node was done there, or their deadlines come: a leader takes the writes of a node
//!   in their order, or not at all (`Forwards`). A leader of a later term knows: what it has not got is lost.
//!
//! Invariant: a request is held only while an earlier one of its connection is on its way, or there is no leader;
//! `held` has every held request, and each connection's list names its own, both by arrival.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use noraft::{LogIndex, NodeId, Term};

use crate::protocol::command::Class;
use crate::time::Instant;

use super::Replica;
use super::event::ConnectionId;
use super::pending::{Pending, Turn};
use super::queue::{pop_first_when, pop_front_when};

/// The tenure that a request is sent to.
pub(super) type Tenure = (NodeId, Term);

impl Turn {
    /// For what concerns a connection, whatever came over it.
    fn of(connection: ConnectionId) -> Self {
        Self {
            arrival: 0,
            connection: Some(connection),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Order {
    arrivals: u64,
    lines: BTreeMap<ConnectionId, Line>,
    held: BTreeMap<u64, Pending>,
    /// Lines that are kept only until this index is applied.
    uncertain: BTreeSet<(LogIndex, ConnectionId)>,
    /// Lines that are kept until then because of a doubt.
    doubts: BTreeSet<(Instant, ConnectionId)>,
    /// The last forwarded write that was done, and where.
    done: Option<(Tenure, u64)>,
}

/// What is on its way of one connection.
#[derive(Debug, Default)]
struct Line {
    held: VecDeque<u64>,
    /// Forwarded and not answered.
    reads_away: usize,
    writes_away: usize,
    /// Where the last write was sent to.
    writes_to: Option<Tenure>,
    doubt: Option<Uncertain>,
    /// Writes that wait to be proposed here.
    unproposed: usize,
    /// The last write appended in this tenure.
    appended: Option<(LogIndex, u64)>,
    /// Reads here that no later write has forced to be answered.
    reads: VecDeque<(u64, Bytes)>,
}

/// A forwarded write of unknown outcome.
#[derive(Debug, Clone, Copy)]
struct Uncertain {
    tenure: Tenure,
    id: u64,
    until: Instant,
}

impl Line {
    fn is_over(&self, applied: LogIndex, now: Instant) -> bool {
        self.held.is_empty()
            && self.reads.is_empty()
            && self.reads_away + self.writes_away + self.unproposed == 0
            && self.appended.is_none_or(|(index, _)| index <= applied)
            && self.doubt.is_none_or(|doubt| doubt.until <= now)
    }
}

impl Order {
    /// The place of a request that has just come.
    pub(super) fn arrive(&mut self, connection: Option<ConnectionId>) -> Turn {
        self.arrivals += 1;
        Turn {
            arrival: self.arrivals,
            connection,
        }
    }

    /// Requests that wait for earlier ones of their connection.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn earliest_deadline(&self) -> Option<Instant> {
        self.held.first_key_value().map(|(_, pending)| pending.deadline)
    }

    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<Pending> {
        let first = self
            .held
            .first_entry()
            .filter(|first| first.get().deadline <= now)?;
        let pending = first.remove();
        if let Some(line) = self.line(pending.turn) {
            line.held.retain(|arrival| *arrival != pending.turn.arrival);
        }
        Some(pending)
    }

    fn line(&mut self, turn: Turn) -> Option<&mut Line> {
        self.lines.get_mut(&turn.connection?)
    }

    fn line_or_new(&mut self, turn: Turn) -> Option<&mut Line> {
        Some(self.lines.entry(turn.connection?).or_default())
    }

    /// True when a request of `class` may not be sent to `tenure` yet, for the sake of those before it.
    fn is_blocked(&self, turn: Turn, class: Class, (tenure, is_here): (Tenure, bool), now: Instant) -> bool {
        let Some(line) = turn.connection.and_then(|connection| self.lines.get(&connection)) else {
            return false;
        };
        match class {
            Class::Read => {
                let is_done = |doubt: Uncertain| {
                    self.done
                        .is_some_and(|(at, id)| at == doubt.tenure && id > doubt.id)
                };
                let in_doubt =
                    |doubt: Uncertain| doubt.tenure == tenure && now < doubt.until && !is_done(doubt);
                line.writes_away > 0 || line.unproposed > 0 || line.doubt.is_some_and(in_doubt)
            }
            // One that is refused there is sent again, and would come after this one.
            Class::Write => {
                let elsewhere = line.writes_away > 0 && line.writes_to != Some(tenure);
                line.reads_away > 0 || elsewhere || (!is_here && !line.reads.is_empty())
            }
        }
    }

    fn has_held(&self, turn: Turn) -> bool {
        let line = turn.connection.and_then(|connection| self.lines.get(&connection));
        line.is_some_and(|line| !line.held.is_empty())
    }

    fn hold(&mut self, pending: Pending) {
        let turn = pending.turn;
        if let Some(line) = self.line_or_new(turn) {
            let at = line.held.partition_point(|arrival| *arrival < turn.arrival);
            line.held.insert(at, turn.arrival);
        }
        self.held.insert(turn.arrival, pending);
    }

    fn first_held(&self, connection: ConnectionId) -> Option<&Pending> {
        self.held.get(self.lines.get(&connection)?.held.front()?)
    }

    fn pop_held(&mut self, connection: ConnectionId) -> Option<Pending> {
        let first = self.lines.get_mut(&connection)?.held.pop_front()?;
        self.held.remove(&first)
    }

    /// A request was sent to `tenure`.
    pub(super) fn went_away(&mut self, turn: Turn, class: Class, tenure: Tenure) {
        if let Some(line) = self.line_or_new(turn) {
            match class {
                Class::Read => line.reads_away += 1,
                Class::Write => {
                    line.writes_away += 1;
                    line.writes_to = Some(tenure);
                }
            }
        }
    }

    /// A request that was sent away is answered, given up or to be sent again.
    pub(super) fn came_back(&mut self, turn: Turn, class: Class) {
        if let Some(line) = self.line(turn) {
            match class {
                Class::Read => line.reads_away -= 1,
                Class::Write => line.writes_away -= 1,
            }
        }
    }

    /// It is unknown what became of the write that was sent to `tenure` under `id`.
    pub(super) fn doubt(&mut self, turn: Turn, tenure: Tenure, id: u64, until: Instant) {
        if let Some(line) = self.line_or_new(turn) {
            line.doubt = Some(Uncertain { tenure, id, until });
        }
        self.doubts
            .extend(turn.connection.map(|connection| (until, connection)));
    }

    /// The write `id` was done in `tenure`. True when that settles doubts of requests that are held.
    pub(super) fn settle(&mut self, tenure: Tenure, id: u64) -> bool {
        let is_later = self.done.is_none_or(|(at, last)| at != tenure || last < id);
        if is_later {
            self.done = Some((tenure, id));
        }
        is_later
            && self
                .held
                .values()
                .any(|pending| self.waits_for_doubt(pending.turn))
    }

    fn waits_for_doubt(&self, turn: Turn) -> bool {
        let line = turn.connection.and_then(|connection| self.lines.get(&connection));
        line.is_some_and(|line| line.doubt.is_some())
    }

    /// A write waits to be proposed here.
    pub(super) fn will_propose(&mut self, turn: Turn) {
        if let Some(line) = self.line_or_new(turn) {
            line.unproposed += 1;
        }
    }

    /// A write no longer waits to be proposed; it was appended at `index`, if it was.
    pub(super) fn proposed(&mut self, turn: Turn, index: Option<LogIndex>) {
        if let Some(line) = self.line(turn) {
            line.unproposed -= 1;
            if let Some(index) = index {
                line.appended = Some((index, turn.arrival));
            }
        }
    }

    /// It is not known yet what becomes of the entry at `index`, but its connection's reads have to see it.
    pub(super) fn remember(&mut self, turn: Turn, index: LogIndex) {
        if let Some(connection) = turn.connection {
            self.uncertain.insert((index, connection));
        }
    }

    /// A read begins here; it has to see the entry at the index, too.
    pub(super) fn reads_here(&mut self, turn: Turn, body: &Bytes) -> LogIndex {
        let Some(line) = self.line_or_new(turn) else {
            return LogIndex::ZERO;
        };
        line.reads.push_back((turn.arrival, body.clone()));
        line.appended.map_or(LogIndex::ZERO, |(index, _)| index)
    }

    /// A read here is answered or goes elsewhere.
    pub(super) fn read_over(&mut self, turn: Turn) {
        if let Some(line) = self.line(turn)
            && let Some(at) = line
                .reads
                .iter()
                .position(|(arrival, _)| *arrival == turn.arrival)
        {
            line.reads.remove(at);
        }
    }

    /// Takes out the next read that came before the write of `turn`.
    pub(super) fn pop_read_before(&mut self, turn: Turn) -> Option<(u64, Bytes)> {
        let reads = &mut self.line(turn)?.reads;
        pop_front_when(reads, |(arrival, _)| *arrival < turn.arrival)
    }

    /// True when a later write of the connection was appended in this tenure: the next leader may have it.
    pub(super) fn is_overtaken(&self, turn: Turn) -> bool {
        let line = turn.connection.and_then(|connection| self.lines.get(&connection));
        line.and_then(|line| line.appended)
            .is_some_and(|(_, arrival)| arrival > turn.arrival)
    }

    /// This node no longer leads: positions of this tenure mean nothing to the next.
    pub(super) fn end_tenure(&mut self, applied: LogIndex, now: Instant) {
        self.lines.values_mut().for_each(|line| line.appended = None);
        self.uncertain.clear();
        self.lines.retain(|_, line| !line.is_over(applied, now));
    }

    /// Forgets a connection of which nothing is on its way.
    pub(super) fn tidy(&mut self, turn: Turn, applied: LogIndex, now: Instant) {
        if let Some(connection) = turn.connection
            && self
                .lines
                .get(&connection)
                .is_some_and(|line| line.is_over(applied, now))
        {
            self.lines.remove(&connection);
        }
    }

    /// Forgets the connections that were kept only until `applied` was.
    pub(super) fn tidy_applied(&mut self, applied: LogIndex, now: Instant) {
        while let Some((_, connection)) = pop_first_when(&mut self.uncertain, |(index, _)| *index <= applied)
        {
            self.tidy(Turn::of(connection), applied, now);
        }
    }

    /// Forgets the connections that were kept only for a doubt that is too old.
    pub(super) fn expire_doubts(&mut self, applied: LogIndex, now: Instant) {
        while let Some((_, connection)) = pop_first_when(&mut self.doubts, |(until, _)| *until <= now) {
            self.tidy(Turn::of(connection), applied, now);
        }
    }
}

impl Replica {
    /// True when `pending` has to wait for earlier requests of its connection, and is kept for that.
    pub(super) fn hold_back(&mut self, pending: Pending) -> Option<Pending> {
        let (turn, class) = (pending.turn, pending.request.class);
        if self.waiting.order.has_held(turn) || self.is_blocked(turn, class) {
            self.waiting.order.hold(pending);
            return None;
        }
        Some(pending)
    }

    fn is_blocked(&self, turn: Turn, class: Class) -> bool {
        let leader = self.leader().unwrap_or(self.config.id);
        let tenure = (leader, self.node.current_term());
        self.waiting
            .order
            .is_blocked(turn, class, (tenure, self.is_leader()), self.now)
    }

    /// True when nothing of the connection is on its way.
    pub(super) fn is_quiet(&self, connection: ConnectionId) -> bool {
        let line = self.waiting.order.lines.get(&connection);
        line.is_none_or(|line| line.is_over(self.applied.index(), self.now))
    }

    /// Something of the connection is no longer on its way: what waited for it goes on.
    pub(super) fn go_on(&mut self, turn: Turn) {
        let Some(connection) = turn.connection else { return };
        // What lost its way came before what is held behind it.
        self.route_requests();
        while let Some(first) = self.waiting.order.first_held(connection) {
            // Without a way it waits here as well as anywhere.
            if !self.has_way() || self.is_blocked(first.turn, first.request.class) {
                return;
            }
            if let Some(pending) = self.waiting.order.pop_held(connection) {
                self.route(pending);
            }
        }
        let applied = self.applied.index();
        self.waiting.order.tidy(turn, applied, self.now);
    }

    /// Another node leads, or a doubt is settled: looks at everything that is held.
    pub(super) fn go_on_all(&mut self) {
        let connections: BTreeSet<ConnectionId> = self
            .waiting
            .order
            .held
            .values()
            .filter_map(|pending| pending.turn.connection)
            .collect();
        for connection in connections {
            self.go_on(Turn::of(connection));
        }
    }
}
