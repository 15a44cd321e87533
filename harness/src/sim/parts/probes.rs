//! Writes that a driver from outside asks for, and what became of them.
//!
//! Invariant: a request of ours has a number that no client's has, and no two have the same.

use std::collections::BTreeMap;

use noraftd::protocol::outcome::Outcome;
use noraftd::replica::event::RequestId;

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    last: u64,
    /// Names each write's command, and says when it was answered and whether it succeeded.
    list: BTreeMap<u64, (u64, Option<(u64, bool)>)>,
}

impl Probes {
    pub(crate) fn next_id(&mut self) -> (u64, RequestId) {
        self.last += 1;
        (self.last, RequestId(PROBE | self.last))
    }

    pub(crate) fn asked(&mut self, number: u64, body: u64) {
        self.list.insert(number, (body, None));
    }

    /// A node answers; gives the number of the request, and the body of the write where it succeeded.
    pub(crate) fn answered(&mut self, id: RequestId, outcome: &Outcome, now: u64) -> (u64, Option<u64>) {
        let number = id.0 & !PROBE;
        let succeeded = matches!(outcome, Outcome::Done(_));
        let asked = self.list.get_mut(&number);
        let body = asked.map(|(body, answer)| {
            *answer = Some((now, succeeded));
            *body
        });
        (number, body.filter(|_| succeeded))
    }

    pub(crate) fn answer_to(&self, number: u64) -> Option<(u64, bool)> {
        self.list.get(&number)?.1
    }
}

/// True when a request is one of ours.
pub(crate) fn is_probe(id: RequestId) -> bool {
    id.0 & PROBE != 0
}

/// Marks these requests: a client's number and its turn are less, and all others have bits of their own.
const PROBE: u64 = 1 << 60;
