//! What has not been placed: a list of calls and returns in order of time, and, apart from it, the
//! operations that never return.
//!
//! Invariant: events are put back in the reverse order in which they were taken, so the links an event
//! keeps while it is out are those it needs to come back.

use crate::model::Call;
use crate::recording::hash::FastMap;

/// Something the search can look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The invocation of an operation that returns.
    Call(u32),
    /// The return of one that has not been placed.
    Return(u32),
    /// An operation that never returns.
    Unknown(u32),
}

const NONE: u32 = u32::MAX;

pub(super) struct Remaining {
    /// Links of call i at 2i, of its return at 2i + 1, of the head at 2n.
    next: Vec<u32>,
    previous: Vec<u32>,
    head: usize,
    /// Times of invocations and returns, and whether each is placed.
    calls: Vec<u32>,
    rets: Vec<u32>,
    placed: Vec<bool>,
    returning_left: usize,
    /// Operations that never return, in order of invocation.
    unknown: Vec<u32>,
    /// Position in `unknown`, and the equal one before it, by call.
    unknown_at: FastMap<u32, (u32, u32)>,
    /// Placed ones among `unknown`, sorted.
    unknown_placed: Vec<u32>,
    /// Rank by return of each call that returns.
    rank: Vec<u32>,
    /// Placed ranks.
    ranks: Vec<u64>,
    /// The first rank that is not placed, and one past the last that is, with those it had before.
    base: u32,
    top: u32,
    tops: Vec<u32>,
}

impl Remaining {
    pub(super) fn bytes_needed(calls: usize) -> usize {
        calls * (2 * 2 * 4 + 2 * 4 + 1 + 3 * 4 + 1 + 8 + 16)
    }

    pub(super) fn new<O: Eq + std::hash::Hash>(calls: &[Call<O>]) -> Self {
        let mut events: Vec<(u32, u32)> = Vec::with_capacity(2 * calls.len());
        let mut by_return: Vec<u32> = Vec::new();
        let mut unknown = Vec::new();
        for (i, call) in (0_u32..).zip(calls) {
            if call.is_open() {
                unknown.push(i);
            } else {
                events.extend([(call.call, 2 * i), (call.ret, 2 * i + 1)]);
                by_return.push(i);
            }
        }
        events.sort_unstable();
        by_return.sort_unstable_by_key(|i| calls[*i as usize].ret);
        let head = 2 * calls.len();
        let mut next = vec![NONE; head + 1];
        let mut previous = vec![NONE; head + 1];
        let mut last = head;
        for (_, event) in events {
            next[last] = event;
            previous[event as usize] = last as u32;
            last = event as usize;
        }
        let mut rank = vec![NONE; calls.len()];
        for (at, call) in (0..).zip(&by_return) {
            rank[*call as usize] = at;
        }
        let mut remaining = Self {
            next,
            previous,
            head,
            calls: calls.iter().map(|call| call.call).collect(),
            rets: calls.iter().map(|call| call.ret).collect(),
            placed: vec![false; calls.len()],
            returning_left: by_return.len(),
            unknown,
            unknown_at: FastMap::default(),
            unknown_placed: Vec::new(),
            rank,
            ranks: vec![0; by_return.len() / 64 + 1],
            base: 0,
            top: 0,
            tops: Vec::with_capacity(by_return.len()),
        };
        remaining.chain_equals(calls);
        remaining
    }

    fn chain_equals<O: Eq + std::hash::Hash>(&mut self, calls: &[Call<O>]) {
        let mut latest: FastMap<&O, u32> = FastMap::default();
        for (at, call) in (0_u32..).zip(&self.unknown) {
            let before = latest.insert(&calls[*call as usize].op, *call).unwrap_or(NONE);
            self.unknown_at.insert(*call, (at, before));
        }
    }

    /// True when every operation that returned is placed.
    pub(super) fn is_empty(&self) -> bool {
        self.returning_left == 0
    }

    /// The first event in the list. Only asked while something remains.
    pub(super) fn first(&self) -> Event {
        self.listed(self.head).unwrap_or(Event::Return(0))
    }

    fn listed(&self, after: usize) -> Option<Event> {
        let event = self.next[after];
        if event == NONE {
            None
        } else if event.is_multiple_of(2) {
            Some(Event::Call(event / 2))
        } else {
            Some(Event::Return(event / 2))
        }
    }

    /// The event behind this one that could be tried instead of it.
    pub(super) fn after(&self, event: Event) -> Option<Event> {
        match event {
            Event::Call(call) => self.listed(2 * call as usize),
            Event::Return(_) => None,
            Event::Unknown(call) => self.unknown_from(self.unknown_at[&call].0 as usize + 1),
        }
    }

    /// The first operation that never returns and can be placed now.
    pub(super) fn first_unknown(&self) -> Option<Event> {
        self.unknown_from(0)
    }

    fn unknown_from(&self, at: usize) -> Option<Event> {
        let deadline = self.first_return_time();
        let candidates = self.unknown[at.min(self.unknown.len())..].iter();
        let mut called = candidates.take_while(|call| self.calls[**call as usize] < deadline);
        let usable = called.find(|call| {
            let (_, before) = self.unknown_at[*call];
            !self.placed[**call as usize] && (before == NONE || self.placed[before as usize])
        });
        usable.map(|call| Event::Unknown(*call))
    }

    /// When the first operation that has not been placed returns.
    fn first_return_time(&self) -> u32 {
        let mut at = self.next[self.head];
        while at != NONE && at.is_multiple_of(2) {
            at = self.next[at as usize];
        }
        if at == NONE {
            NONE
        } else {
            self.rets[at as usize / 2]
        }
    }

    pub(super) fn event_of(&self, call: u32) -> Event {
        if self.rank[call as usize] == NONE {
            Event::Unknown(call)
        } else {
            Event::Call(call)
        }
    }

    pub(super) fn take(&mut self, event: Event) {
        match event {
            Event::Call(call) => {
                self.unlink(2 * call as usize);
                self.unlink(2 * call as usize + 1);
                self.placed[call as usize] = true;
                self.returning_left -= 1;
                self.take_rank(self.rank[call as usize]);
            }
            Event::Unknown(call) => {
                self.placed[call as usize] = true;
                let position = self.unknown_at[&call].0;
                let at = self.unknown_placed.partition_point(|other| *other < position);
                self.unknown_placed.insert(at, position);
            }
            Event::Return(_) => {}
        }
    }

    pub(super) fn put_back(&mut self, event: Event) {
        match event {
            Event::Call(call) => {
                self.link(2 * call as usize + 1);
                self.link(2 * call as usize);
                self.placed[call as usize] = false;
                self.returning_left += 1;
                let rank = self.rank[call as usize];
                self.ranks[rank as usize / 64] &= !(1 << (rank % 64));
                self.base = self.base.min(rank);
                self.top = self.tops.pop().expect("what is put back was taken");
            }
            Event::Unknown(call) => {
                self.placed[call as usize] = false;
                let position = self.unknown_at[&call].0;
                self.unknown_placed.retain(|other| *other != position);
            }
            Event::Return(_) => {}
        }
    }

    fn take_rank(&mut self, rank: u32) {
        self.ranks[rank as usize / 64] |= 1 << (rank % 64);
        while self.ranks[self.base as usize / 64] >> (self.base % 64) & 1 == 1 {
            self.base += 1;
        }
        self.tops.push(self.top);
        self.top = self.top.max(rank + 1);
    }

    /// What is placed, and `state`, as one exact key: where the unplaced begin, the ranks from there to
    /// the last placed one, and the placed operations that never return.
    pub(super) fn key(&self, state: u32) -> Box<[u64]> {
        let first = self.base as usize / 64;
        let end = (self.top as usize).div_ceil(64).max(first);
        let window = &self.ranks[first..end];
        let mut key = Vec::with_capacity(2 + window.len() + self.unknown_placed.len());
        key.push(u64::from(state) << 32 | first as u64);
        key.extend_from_slice(window);
        key.extend(self.unknown_placed.iter().map(|position| u64::from(*position)));
        // The length of the window shows where the positions begin.
        key.push(window.len() as u64);
        key.into()
    }

    fn unlink(&mut self, event: usize) {
        let (before, after) = (self.previous[event], self.next[event]);
        self.next[before as usize] = after;
        if after != NONE {
            self.previous[after as usize] = before;
        }
    }

    fn link(&mut self, event: usize) {
        let (before, after) = (self.previous[event], self.next[event]);
        self.next[before as usize] = event as u32;
        if after != NONE {
            self.previous[after as usize] = event as u32;
        }
    }
}
