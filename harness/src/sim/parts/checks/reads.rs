//! A read sees a state between two moments: when it came to a node, and when it is answered.
//!
//! The states are those of one machine, to which each entry is applied as soon as a node has committed it anywhere. How
//! far that had come when the read arrived is the first index that its answer may be of. Where the node that was asked
//! answers as the leader that it was when the read came, it must have applied as much itself, whatever the answer.
//!
//! A client that does not wait for answers (`parts/pipelines`) has many reads open at once, over one connection, between
//! writes. The same holds for each of them, counted from its own arrival; what their order asks for beside that is the
//! business of `checker::session`.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use noraftd::machine::Machine;
use noraftd::protocol::resp::Reply;
use noraftd::record::{Record, RecordKind};

use crate::sim::parts::rule::{Checked, Rule, ensure};

/// Reads that are not answered, and the states that they may see.
#[derive(Default)]
pub(crate) struct Reads {
    /// Entries that were written and that are not known to be committed, by index and term.
    written: BTreeMap<(u64, u64), Record>,
    /// After each committed entry, from the first one on that a read may see; the last is that of now.
    states: VecDeque<Machine>,
    open: BTreeMap<Asker, OpenRead>,
    /// So many more are kept for reads that may be old.
    kept: u64,
    /// How many reads of clients that do not wait were answered.
    pipelined: u64,
}

/// Who waits for the answer of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asker {
    /// A client, for one at a time.
    Client(usize),
    /// One that does not wait, by the number of the request.
    Pipelined(u64),
}

struct OpenRead {
    request: u64,
    body: Bytes,
    /// What was committed when it came.
    since: u64,
    came_ns: u64,
    came_to: AsLeader,
    /// Where the log of the node ended then.
    log_end: u64,
}

/// A node, and the term that it leads, if it leads one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AsLeader {
    pub(crate) node: usize,
    pub(crate) term: Option<u64>,
}

/// Who answers, and how far its own state is.
pub(crate) struct Answerer {
    pub(crate) is: AsLeader,
    pub(crate) applied: u64,
}

impl Reads {
    pub(super) fn written(&mut self, record: &Record) {
        let position = (record.position.index.get(), record.position.term.get());
        if position.0 > self.committed_index() {
            self.written.entry(position).or_insert_with(|| record.clone());
        }
    }

    /// Reads that may be old are looked at, too.
    pub(crate) fn keep_states(&mut self) {
        self.kept = KEPT_STATES;
    }

    /// The first index from `from` on whose state gives this answer; `from` where that state is known no more.
    pub(crate) fn first_state(&self, from: u64, body: &[u8], reply: &Reply) -> Option<u64> {
        let index_of = |state: &Machine| state.applied_index().get();
        if self.states.front().is_none_or(|first| index_of(first) > from) {
            return Some(from);
        }
        let states = self.states.iter().skip_while(|state| index_of(state) < from);
        states
            .into_iter()
            .find(|state| state.query(body) == *reply)
            .map(index_of)
    }

    /// The highest index that is committed anywhere.
    pub(crate) fn committed_index(&self) -> u64 {
        self.states.back().map_or(0, |state| state.applied_index().get())
    }

    /// The entry after all that are committed is so now, too.
    pub(super) fn committed(&mut self, index: u64, term: u64) {
        let mut state = self.states.back().cloned().unwrap_or_default();
        if let Some(record) = self.written.remove(&(index, term)) {
            match record.kind {
                RecordKind::Command => {
                    state.apply(record.position.index, record.stamp, &record.payload);
                }
                RecordKind::Term | RecordKind::Config => state.advance(record.position.index, record.stamp),
            }
        }
        self.states.push_back(state);
        let is_void = |first: &(u64, u64)| first.0 <= index;
        while self
            .written
            .first_key_value()
            .is_some_and(|(first, _)| is_void(first))
        {
            self.written.pop_first();
        }
        let needed = self.open.values().map(|read| read.since).min();
        let needed = needed.unwrap_or(index).min(index.saturating_sub(self.kept));
        while self.states.len() > 1 && self.states[0].applied_index().get() < needed {
            self.states.pop_front();
        }
    }

    /// A client's read comes to a node, whose log ends at `log_end`.
    pub(crate) fn came(
        &mut self,
        now: u64,
        (asker, request): (Asker, u64),
        body: &Bytes,
        came_to: AsLeader,
        log_end: u64,
    ) {
        let since = self.committed_index();
        let body = body.clone();
        if self.states.is_empty() {
            self.states.push_back(Machine::new());
        }
        self.open.insert(
            asker,
            OpenRead {
                request,
                body,
                since,
                came_ns: now,
                came_to,
                log_end,
            },
        );
    }

    /// When the first of the reads came that wait for this leader, which has committed up to `commit`, and for nothing else: one in a pipeline
    /// waits for what its client asked before, too, and any for a write of its connection that was in the log when it came.
    pub(crate) fn wait_since(&self, leader: AsLeader, commit: u64) -> Option<u64> {
        let waits = |asker: &Asker, read: &OpenRead| {
            matches!(asker, Asker::Client(_)) && read.came_to == leader && read.log_end <= commit
        };
        let waiting = self.open.iter().filter(|(asker, read)| waits(asker, read));
        waiting.map(|(_, read)| read.came_ns).min()
    }

    /// A client waits no more.
    pub(crate) fn over(&mut self, asker: Asker) {
        self.open.remove(&asker);
    }

    /// The connection is gone, over which these were asked for.
    pub(crate) fn lost(&mut self, requests: std::ops::Range<u64>) {
        let asked = Asker::Pipelined(requests.start)..Asker::Pipelined(requests.end);
        let lost: Vec<Asker> = self.open.range(asked).map(|(asker, _)| *asker).collect();
        lost.iter().for_each(|asker| self.over(*asker));
    }

    /// When a read came, if the leader that it came to answers it itself.
    pub(crate) fn came_to_leader(&self, asker: Asker, request: u64, by: AsLeader) -> Option<u64> {
        let read = self.open.get(&asker).filter(|read| read.request == request)?;
        (by.term.is_some() && by == read.came_to).then_some(read.came_ns)
    }

    /// A client that does not wait is answered.
    pub(crate) fn pipelined(&mut self, request: u64, reply: Option<&Reply>, by: &Answerer) -> Checked {
        let asker = Asker::Pipelined(request);
        let is_read = self.open.contains_key(&asker);
        self.pipelined += u64::from(is_read && reply.is_some());
        let checked = reply.map_or(Ok(()), |reply| self.answered(asker, request, reply, by));
        self.over(asker);
        checked
    }

    /// A node answers a request; no rule is about it unless it is a read that a client waits for.
    pub(crate) fn answered(&self, asker: Asker, request: u64, reply: &Reply, by: &Answerer) -> Checked {
        let Some(read) = self.open.get(&asker).filter(|read| read.request == request) else {
            return Ok(());
        };
        let is_own = by.is.term.is_some() && by.is == read.came_to;
        ensure(!is_own || by.applied >= read.since, Rule::ReadsAreCurrent, || {
            format!(
                "n{} answers a read from its state of index {}; {} was committed when the read came",
                by.is.node + 1,
                by.applied,
                read.since
            )
        })?;
        let may_see = self
            .states
            .iter()
            .rev()
            .take_while(|state| state.applied_index().get() >= read.since);
        let is_seen = may_see.into_iter().any(|state| state.query(&read.body) == *reply);
        ensure(is_seen, Rule::ReadsAreCurrent, || {
            format!(
                "n{} answers a read with {reply:?}, which is the state of no index from {} to {}",
                by.is.node + 1,
                read.since,
                self.committed_index()
            )
        })
    }
}

/// More than most nodes are behind, and a state shares what it has with the next one.
const KEPT_STATES: u64 = 4096;

#[cfg(test)]
mod tests {
    use noraft::{LogIndex, LogPosition, Term};
    use noraftd::protocol::command::{Parsed, parse};
    use noraftd::time::Stamp;

    use super::*;

    const LEADER: AsLeader = AsLeader {
        node: 0,
        term: Some(1),
    };

    const SEVEN: Asker = Asker::Client(7);

    fn body(words: &[&'static str]) -> Bytes {
        let words = words.iter().map(|word| Bytes::from_static(word.as_bytes()));
        match parse(words.collect()) {
            Ok(Parsed::Replicated(request)) => request.body,
            other => panic!("{other:?}"),
        }
    }

    fn record(index: u64, term: u64, value: &'static str) -> Record {
        let (term, index) = (Term::new(term), LogIndex::new(index));
        let position = LogPosition { term, index };
        let payload = body(&["SET", "key", value]);
        Record::new(position, RecordKind::Command, Stamp::from_millis(1), payload)
    }

    fn text(value: &'static str) -> Reply {
        Reply::Bulk(Bytes::from_static(value.as_bytes()))
    }

    fn by(applied: u64) -> Answerer {
        Answerer { is: LEADER, applied }
    }

    /// Entries 1 to 3 set the key to their numbers; entry 2 of an earlier term was replaced.
    fn written() -> Reads {
        let mut reads = Reads::default();
        reads.written(&record(1, 1, "1"));
        reads.written(&record(2, 1, "lost"));
        reads.written(&record(2, 2, "2"));
        reads.written(&record(3, 2, "3"));
        reads
    }

    #[test]
    fn an_answer_is_that_of_a_state_between_arrival_and_answer() {
        let mut reads = written();
        reads.committed(1, 1);
        reads.came(0, (SEVEN, 70), &body(&["GET", "key"]), LEADER, 0);
        reads.committed(2, 2);
        for value in ["1", "2"] {
            reads
                .answered(SEVEN, 70, &text(value), &by(2))
                .expect("it may see both");
        }
        for value in ["lost", "3"] {
            let broken = reads.answered(SEVEN, 70, &text(value), &by(2)).unwrap_err();
            assert_eq!(broken.rule, Rule::ReadsAreCurrent, "{value}");
        }
        reads.came(0, (SEVEN, 71), &body(&["GET", "key"]), LEADER, 0);
        reads.answered(SEVEN, 71, &text("1"), &by(2)).unwrap_err();
        reads
            .answered(SEVEN, 71, &text("2"), &by(2))
            .expect("it is the state of now");
        reads.committed(3, 2);
        reads.over(SEVEN);
        reads
            .answered(SEVEN, 71, &text("1"), &by(2))
            .expect("no client waits for it");
    }

    /// The value is right by chance: nothing that was committed since has changed it.
    #[test]
    fn a_leader_that_answers_has_applied_what_was_committed_before() {
        let mut reads = written();
        reads.committed(1, 1);
        reads.came(0, (SEVEN, 70), &body(&["GET", "other"]), LEADER, 0);
        let nothing = Machine::new().query(&body(&["GET", "other"]));
        reads.answered(SEVEN, 70, &nothing, &by(0)).unwrap_err();
        reads
            .answered(SEVEN, 70, &nothing, &by(1))
            .expect("it has applied entry 1");
        let later = AsLeader {
            term: Some(2),
            ..LEADER
        };
        let other = Answerer {
            is: later,
            applied: 0,
        };
        reads
            .answered(SEVEN, 70, &nothing, &other)
            .expect("another leader may have been asked");
    }

    #[test]
    fn each_read_of_a_pipeline_counts_from_its_own_arrival() {
        let mut reads = written();
        let get = body(&["GET", "key"]);
        reads.committed(1, 1);
        reads.came(0, (Asker::Pipelined(70), 70), &get, LEADER, 0);
        reads.committed(2, 2);
        reads.came(0, (Asker::Pipelined(71), 71), &get, LEADER, 0);
        reads.came(0, (Asker::Pipelined(72), 72), &get, LEADER, 0);
        let mut answered =
            |request, reply: Option<Reply>, applied| reads.pipelined(request, reply.as_ref(), &by(applied));
        answered(70, Some(text("1")), 1).expect("it came before the second entry");
        let broken = answered(71, Some(text("1")), 2).unwrap_err();
        assert_eq!(broken.rule, Rule::ReadsAreCurrent);
        answered(72, None, 0).expect("no answer is no state");
        answered(72, Some(text("1")), 0).expect("it was given up");
        assert_eq!(reads.pipelined, 2);

        reads.came(0, (Asker::Pipelined(80), 80), &get, LEADER, 0);
        reads.came(0, (Asker::Pipelined(90), 90), &get, LEADER, 0);
        reads.lost(80..90);
        reads
            .pipelined(80, Some(&text("1")), &by(0))
            .expect("its connection is gone");
        reads.pipelined(90, Some(&text("1")), &by(0)).unwrap_err();
    }

    #[test]
    fn an_old_answer_is_that_of_the_first_state_that_gives_it() {
        let (mut reads, get) = (written(), body(&["GET", "key"]));
        reads.keep_states();
        reads.committed(1, 1);
        reads.committed(2, 2);
        reads.committed(3, 2);
        assert_eq!(reads.first_state(1, &get, &text("1")), Some(1));
        assert_eq!(reads.first_state(1, &get, &text("3")), Some(3));
        assert_eq!(reads.first_state(2, &get, &text("1")), None, "it is too old");
        assert_eq!(reads.first_state(1, &get, &text("lost")), None, "it never was");
        assert_eq!(
            reads.first_state(0, &get, &text("lost")),
            Some(0),
            "that is not known"
        );
    }

    #[test]
    fn states_that_no_read_may_see_are_forgotten() {
        let mut reads = written();
        reads.committed(1, 1);
        reads.committed(2, 2);
        assert_eq!((reads.states.len(), reads.written.len()), (1, 1));
        reads.came(0, (SEVEN, 70), &body(&["GET", "key"]), LEADER, 0);
        reads.committed(3, 2);
        assert_eq!((reads.states.len(), reads.written.len()), (2, 0));
    }
}
