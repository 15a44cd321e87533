//! Transactions that append to lists and read them: strict serializability. Exact when every element
//! is appended once; O(V + E).
//!
//! A read shows the whole order of appends so far, so all reads of a list must be prefixes of the
//! longest. That order and the reads say which transaction precedes which:
//! - ww: appended the element before; wr: appended the last element that was read;
//! - rw: read the list without an element that the other one appended;
//! - realtime: returned before the other was called.
//!
//! An append that was never seen comes behind everything that was seen of its list. Hence each of these edges
//! holds in every order, and an acyclic graph sorted by them is an order: the decision is exact.
//! (Adya, Liskov, O'Neil 2000 for the names; Kingsbury & Alvaro, Elle, 2020 for the inference.)

use super::precedence::{self, Graph, Kind};
use super::txn::Micro;
use super::verdict::{Exhausted, Verdict};
use super::violation::{Explained, Violation, mention};
use crate::model::Call;
use crate::recording::budget::Budget;
use crate::recording::datum::{Datum, Pool};
use crate::recording::hash::FastMap;

mod internal;
mod words;

/// Decides `calls` on lists that begin with `initial`; `aborted` are appends of transactions that certainly had no effect.
///
/// # Errors
/// When an element is appended twice: the operation, and what was expected.
pub fn decide(
    pool: &Pool,
    initial: &[Datum],
    calls: &[Call<Vec<Micro>>],
    aborted: &FastMap<(Datum, Datum), u32>,
    budget: &Budget,
) -> Result<Verdict, (u32, &'static str)> {
    let mut meter = budget.meter();
    let micros: usize = calls.iter().map(|call| call.op.len()).sum();
    if let Err(limit) = meter
        .hold(micros * 160 + calls.len() * 200)
        .and_then(|()| budget.check_cancelled())
    {
        return Ok(Verdict::Unknown(Exhausted {
            limit,
            decided: 0,
            total: calls.len() as u32,
        }));
    }
    let lists = Lists::collect(pool, initial, calls, aborted)?;
    let invalid = |explained| Verdict::Invalid(Violation::Explained(explained));
    let checked = lists.begin().and_then(|()| lists.check_reads());
    let checked = checked.and_then(|()| internal::check(&lists));
    Ok(
        match checked.and_then(|()| precedence::order(&lists, &lists.graph())) {
            Ok(order) => Verdict::Valid(order.into_iter().map(|txn| lists.id(txn)).collect()),
            Err(violation) => invalid(violation),
        },
    )
}

/// Who appended an element, as which of its appends to that list, and where the element is.
#[derive(Clone, Copy)]
struct Append {
    txn: u32,
    /// How many appends to the same list follow in the same transaction.
    followed_by: u32,
    /// Position in the list; `None` when it was never seen.
    position: Option<u32>,
}

/// A list and what is known of it.
struct List {
    key: Datum,
    /// Elements of the longest read, and the transaction that read them.
    elements: Vec<Datum>,
    longest: Option<u32>,
    /// Appends in order of transactions.
    appended: Vec<Datum>,
}

/// Everything the transactions say about the lists.
struct Lists<'a> {
    pool: &'a Pool,
    /// What every list has at its beginning; not repeated in what follows.
    initial: &'a [Datum],
    calls: &'a [Call<Vec<Micro>>],
    aborted: &'a FastMap<(Datum, Datum), u32>,
    of_key: FastMap<Datum, u32>,
    all: Vec<List>,
    appends: FastMap<(Datum, Datum), Append>,
}

impl<'a> Lists<'a> {
    fn collect(
        pool: &'a Pool,
        initial: &'a [Datum],
        calls: &'a [Call<Vec<Micro>>],
        aborted: &'a FastMap<(Datum, Datum), u32>,
    ) -> Result<Self, (u32, &'static str)> {
        let mut lists = Self {
            pool,
            initial,
            calls,
            aborted,
            of_key: FastMap::default(),
            all: Vec::new(),
            appends: FastMap::default(),
        };
        for (txn, call) in (0_u32..).zip(calls) {
            // Backwards, so that it is known how many appends to the same list follow.
            let mut later: FastMap<Datum, u32> = FastMap::default();
            for micro in call.op.iter().rev() {
                match *micro {
                    Micro::Append { key, value } => {
                        let count = later.entry(key).or_default();
                        let append = Append {
                            txn,
                            followed_by: *count,
                            position: None,
                        };
                        *count += 1;
                        if lists.appends.insert((key, value), append).is_some() {
                            return Err((call.id, "expected elements that are appended once to a list"));
                        }
                        lists.list(key).appended.push(value);
                    }
                    Micro::Read { key, value } => lists.longer(txn, key, value),
                    Micro::Write { .. } => return Err((call.id, "expected appends and reads only")),
                }
            }
        }
        lists.place();
        Ok(lists)
    }

    fn list(&mut self, key: Datum) -> &mut List {
        let at = *self.of_key.entry(key).or_insert_with(|| {
            self.all.push(List {
                key,
                elements: Vec::new(),
                longest: None,
                appended: Vec::new(),
            });
            self.all.len() as u32 - 1
        });
        &mut self.all[at as usize]
    }

    fn longer(&mut self, txn: u32, key: Datum, value: Datum) {
        let elements = self.read(value);
        let list = self.list(key);
        if elements.len() > list.elements.len() || list.longest.is_none() {
            list.elements = elements.to_vec();
            list.longest = Some(txn);
        }
    }

    fn place(&mut self) {
        for list in &self.all {
            for (position, element) in (0_u32..).zip(&list.elements) {
                if let Some(append) = self.appends.get_mut(&(list.key, *element)) {
                    append.position = Some(position);
                }
            }
        }
    }

    /// What a read saw behind what every list begins with.
    fn read(&self, value: Datum) -> &'a [Datum] {
        let all = self.pool.as_list(value).unwrap_or_default();
        all.strip_prefix(self.initial).unwrap_or_default()
    }

    /// Every read saw what every list begins with.
    fn begin(&self) -> Result<(), Explained> {
        for (txn, call) in (0_u32..).zip(self.calls) {
            for micro in &call.op {
                if let Micro::Read { key, value } = *micro
                    && !self
                        .pool
                        .as_list(value)
                        .unwrap_or_default()
                        .starts_with(self.initial)
                {
                    let (id, list) = (self.id(txn), self.pool.show(key));
                    return Err(Explained {
                        title: format!("list {list} lacks its initial elements"),
                        operations: vec![id],
                        why: vec![format!(
                            "{} read list {list}, and did not see what every list begins with.",
                            mention(id)
                        )],
                    });
                }
            }
        }
        Ok(())
    }

    /// Elements were appended by someone, once, and every read is a prefix of the longest.
    fn check_reads(&self) -> Result<(), Explained> {
        for list in &self.all {
            for (position, element) in (0_u32..).zip(&list.elements) {
                let reader = self.id(list.longest.expect("elements come from a read"));
                let shown = self.pool.show(*element);
                match self.appends.get(&(list.key, *element)) {
                    Some(append) if append.position == Some(position) => {}
                    Some(_) => return Err(self.duplicate(reader, list.key, &shown)),
                    None => return Err(self.garbage(reader, list.key, *element)),
                }
            }
        }
        for (txn, call) in (0_u32..).zip(self.calls) {
            for micro in &call.op {
                if let Micro::Read { key, value } = *micro {
                    let list = &self.all[self.of_key[&key] as usize];
                    if !list.elements.starts_with(self.read(value)) {
                        return Err(self.fork(txn, list));
                    }
                }
            }
        }
        Ok(())
    }

    fn id(&self, txn: u32) -> u32 {
        self.calls[txn as usize].id
    }

    fn garbage(&self, reader: u32, key: Datum, element: Datum) -> Explained {
        let (shown, list) = (self.pool.show(element), self.pool.show(key));
        match self.aborted.get(&(key, element)) {
            Some(aborted) => Explained {
                title: format!("aborted read (G1a): {shown} in list {list}"),
                operations: vec![*aborted, reader],
                why: vec![format!(
                    "{} failed, yet {} saw what it appended.",
                    mention(*aborted),
                    mention(reader)
                )],
            },
            None => Explained {
                title: format!("garbage: {shown} in list {list}"),
                operations: vec![reader],
                why: vec![format!(
                    "{} saw {shown} in list {list}, which was never appended.",
                    mention(reader)
                )],
            },
        }
    }

    fn duplicate(&self, reader: u32, key: Datum, shown: &str) -> Explained {
        Explained {
            title: format!("duplicate: {shown} in list {}", self.pool.show(key)),
            operations: vec![reader],
            why: vec![format!(
                "{} saw {shown} twice; it was appended once.",
                mention(reader)
            )],
        }
    }

    fn fork(&self, reader: u32, list: &List) -> Explained {
        let longest = self.id(list.longest.expect("elements come from a read"));
        let reader = self.id(reader);
        Explained {
            title: format!(
                "incompatible order: two reads of list {}",
                self.pool.show(list.key)
            ),
            operations: vec![reader, longest],
            why: vec![format!(
                "A list only grows at its end, but what {} read is not a beginning of what {} read.",
                mention(reader),
                mention(longest)
            )],
        }
    }

    /// True when the transaction certainly took effect.
    fn happened(&self) -> Vec<bool> {
        let mut happened: Vec<bool> = self.calls.iter().map(|call| !call.is_open()).collect();
        for list in &self.all {
            for element in &list.elements {
                happened[self.appends[&(list.key, *element)].txn as usize] = true;
            }
        }
        happened
    }

    /// The node at the end of a list, reached by all that was seen of it.
    fn end(&self, list: u32) -> u32 {
        (self.calls.len() + list as usize) as u32
    }

    /// The node behind that, before appends that were never seen.
    fn beyond(&self, list: u32) -> u32 {
        self.end(list) + self.all.len() as u32
    }

    fn graph(&self) -> Graph {
        let happened = self.happened();
        let mut graph = Graph::new(self.calls.len(), 2 * self.all.len(), happened);
        for (at, list) in (0_u32..).zip(&self.all) {
            let writer = |position: usize| self.appends[&(list.key, list.elements[position])].txn;
            for position in 1..list.elements.len() {
                graph.add(
                    writer(position - 1),
                    writer(position),
                    Kind::Ww,
                    (at, position as u32),
                );
            }
            let (end, beyond) = (self.end(at), self.beyond(at));
            graph.add(end, beyond, Kind::Free, (at, list.elements.len() as u32));
            if let Some(last) = list.elements.len().checked_sub(1) {
                graph.add(writer(last), end, Kind::Ww, (at, last as u32));
            }
            self.add_unseen(&mut graph, at, list);
        }
        self.add_reads(&mut graph);
        graph.add_realtime(self.calls);
        graph
    }

    /// Appends that was never seen come behind the end. Of those whose transaction read the list to its end
    /// there can be only one, and it is the first.
    fn add_unseen(&self, graph: &mut Graph, at: u32, list: &List) {
        let about = (at, list.elements.len() as u32);
        let last_writer = list
            .elements
            .last()
            .map(|last| self.appends[&(list.key, *last)].txn);
        let mut first: Option<u32> = None;
        for element in &list.appended {
            let append = self.appends[&(list.key, *element)];
            if append.position.is_some() || !graph.happened[append.txn as usize] {
                continue;
            }
            // Only its own transaction saw the list so far, in the middle of its appends.
            if last_writer == Some(append.txn) {
                continue;
            }
            if !self.reads_to_end(append.txn, list) {
                graph.add(self.beyond(at), append.txn, Kind::Free, about);
                continue;
            }
            graph.add(self.end(at), append.txn, Kind::Free, about);
            graph.add(append.txn, self.beyond(at), Kind::Rw, about);
            if let Some(other) = first.replace(append.txn) {
                graph.add(other, append.txn, Kind::Rw, about);
                graph.add(append.txn, other, Kind::Rw, about);
            }
        }
    }

    fn reads_to_end(&self, txn: u32, list: &List) -> bool {
        self.calls[txn as usize].op.iter().any(|micro| match *micro {
            Micro::Read { key, value } if key == list.key => {
                let read = self.read(value);
                let own = |element: &&Datum| {
                    self.appends
                        .get(&(key, **element))
                        .is_some_and(|append| append.txn == txn)
                };
                read.iter().filter(|element| !own(element)).count() == list.elements.len()
            }
            Micro::Read { .. } | Micro::Append { .. } | Micro::Write { .. } => false,
        })
    }

    fn add_reads(&self, graph: &mut Graph) {
        for (txn, call) in (0_u32..).zip(self.calls) {
            let mut seen: Vec<Datum> = Vec::new();
            for micro in &call.op {
                let Micro::Read { key, value } = *micro else {
                    continue;
                };
                if seen.contains(&key) {
                    continue;
                }
                seen.push(key);
                let at = self.of_key[&key];
                let list = &self.all[at as usize];
                let read = self.read(value);
                let foreign = read
                    .iter()
                    .rposition(|element| self.appends[&(key, *element)].txn != txn);
                let length = foreign.map_or(0, |last| last + 1);
                if let Some(last) = foreign {
                    let writer = self.appends[&(key, list.elements[last])].txn;
                    graph.add(writer, txn, Kind::Wr, (at, last as u32));
                }
                // Behind what was seen come the reader's own appends, and then the next one's.
                let next = (length..list.elements.len())
                    .find(|position| self.appends[&(key, list.elements[*position])].txn != txn);
                let to = match next {
                    Some(position) => self.appends[&(key, list.elements[position])].txn,
                    None if self.appends_unseen(call, key) => continue,
                    None => self.end(at),
                };
                graph.add(
                    txn,
                    to,
                    Kind::Rw,
                    (at, next.unwrap_or(list.elements.len()) as u32),
                );
            }
        }
    }

    fn appends_unseen(&self, call: &Call<Vec<Micro>>, list: Datum) -> bool {
        call.op.iter().any(|micro| match *micro {
            Micro::Append { key, value } => key == list && self.appends[&(key, value)].position.is_none(),
            Micro::Read { .. } | Micro::Write { .. } => false,
        })
    }
}
