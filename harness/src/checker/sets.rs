//! Sets that only grow: add an element, read the whole set. Exact when each element is added once;
//! O(n log n) in the total size of the reads.
//!
//! All reads of a growing set form a chain by inclusion. An element is added behind the last read
//! without it and before the first read with it. The operations in that order must not contradict
//! real time. Adds of unknown outcome whose element was never seen are dropped.

use super::usage::{Left, NO_FUNCTION, NilReads, Taken, changed, seen};
use super::verdict::{Exhausted, Verdict};
use super::violation::{Explained, Violation, mention};
use crate::model::Call;
use crate::recording::budget::Budget;
use crate::recording::datum::{Datum, Pool};
use crate::recording::hash::FastMap;
use crate::recording::{Operation, Recording};

/// An operation on a set, with its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SetOp {
    /// This element was added.
    Add(Datum),
    /// The set was this list.
    Read(Datum),
}

pub(crate) struct Converter<'a> {
    pool: &'a Pool,
    add: Option<u16>,
    read: Option<u16>,
    nil_reads: NilReads,
}

impl<'a> Converter<'a> {
    pub(crate) fn new(recording: &'a Recording, nil_reads: Option<NilReads>) -> Self {
        Self {
            pool: &recording.pool,
            add: recording.function_id("add"),
            read: recording.function_id("read"),
            nil_reads: nil_reads.unwrap_or(NilReads::Value),
        }
    }

    pub(crate) fn convert(&self, operation: &Operation) -> Taken<SetOp> {
        let function = Some(operation.function);
        if function == self.add {
            let (element, ret) = changed(self.pool, operation)?;
            match element.is_nil() {
                true => Err(Left::change(operation, "no element")),
                false => Ok((SetOp::Add(element), ret)),
            }
        } else if function == self.read {
            let (elements, ret) = seen(self.pool, operation, self.nil_reads)?;
            match self.pool.as_elements(elements) {
                Some(_) => Ok((SetOp::Read(elements), ret)),
                None => Err(Left::look(operation, "no set or list of elements")),
            }
        } else {
            Err(Left::change(operation, NO_FUNCTION))
        }
    }
}

/// Decides `calls`, all of one set that has the elements `initial` from the beginning.
///
/// # Errors
/// When an element is added twice, or a read is no list: the operation, and what was expected.
pub fn check(
    pool: &Pool,
    initial: &[Datum],
    calls: &[Call<SetOp>],
    budget: &Budget,
) -> Result<Verdict, (u32, &'static str)> {
    let mut meter = budget.meter();
    if let Err(limit) = meter
        .hold(calls.len() * 96)
        .and_then(|()| budget.check_cancelled())
    {
        return Ok(Verdict::Unknown(Exhausted {
            limit,
            decided: 0,
            total: calls.len() as u32,
        }));
    }
    let mut adds: FastMap<Datum, u32> = FastMap::default();
    let mut reads = Vec::new();
    for (i, call) in (0_u32..).zip(calls) {
        match call.op {
            SetOp::Add(element) => {
                if initial.contains(&element) || adds.insert(element, i).is_some() {
                    return Err((call.id, "expected elements that are added once"));
                }
            }
            SetOp::Read(list) => {
                let elements = pool
                    .as_elements(list)
                    .ok_or((call.id, "expected a list of elements"))?;
                reads.push((elements.len(), call.call, i));
            }
        }
    }
    reads.sort_unstable();
    let chain = Chain {
        pool,
        calls,
        initial,
        adds,
        reads: reads.into_iter().map(|(_, _, i)| i).collect(),
    };
    Ok(match chain.decide() {
        Ok(witness) => Verdict::Valid(witness),
        Err(explained) => Verdict::Invalid(Violation::Explained(explained)),
    })
}

struct Chain<'a> {
    pool: &'a Pool,
    calls: &'a [Call<SetOp>],
    initial: &'a [Datum],
    adds: FastMap<Datum, u32>,
    /// Reads by size, then by call.
    reads: Vec<u32>,
}

/// Not seen by any read.
const UNSEEN: u32 = u32::MAX;

impl Chain<'_> {
    fn decide(&self) -> Result<Vec<u32>, Explained> {
        let first_seen = self.include()?;
        let mut order: Vec<(u32, bool, u32, u32)> = Vec::with_capacity(self.calls.len());
        for (i, call) in (0_u32..).zip(self.calls) {
            let seen = first_seen[i as usize];
            if matches!(call.op, SetOp::Add(_)) && !(seen == UNSEEN && call.is_open()) {
                order.push((seen, false, call.call, i));
            }
        }
        order.extend(
            (0..)
                .zip(&self.reads)
                .map(|(k, i)| (k, true, self.calls[*i as usize].call, *i)),
        );
        order.sort_unstable();
        self.real_time(&order)?;
        Ok(order
            .into_iter()
            .map(|(_, _, _, i)| self.calls[i as usize].id)
            .collect())
    }

    /// Each read contains the one before it. Returns for each add the first read that has its element.
    fn include(&self) -> Result<Vec<u32>, Explained> {
        let mut first_seen = vec![UNSEEN; self.calls.len()];
        let mut last_seen = vec![UNSEEN; self.calls.len()];
        let mut size_before = 0;
        for (k, read) in (0_u32..).zip(&self.reads) {
            let SetOp::Read(list) = self.calls[*read as usize].op else {
                continue;
            };
            let elements = self.pool.as_elements(list).unwrap_or_default();
            let mut known = self.initially(*read, elements)?;
            for element in elements.iter().filter(|element| !self.initial.contains(element)) {
                let Some(add) = self.adds.get(element).map(|add| *add as usize) else {
                    return Err(self.garbage(*read, *element));
                };
                if last_seen[add] == k {
                    return Err(self.doubled(*read, *element));
                }
                last_seen[add] = k;
                if first_seen[add] == UNSEEN {
                    first_seen[add] = k;
                } else {
                    known += 1;
                }
            }
            if known < size_before {
                return Err(self.missing(k, &first_seen, &last_seen));
            }
            size_before = elements.len();
        }
        Ok(first_seen)
    }

    /// Every read has all elements that were there from the beginning, once. Returns how many those are.
    fn initially(&self, read: u32, elements: &[Datum]) -> Result<usize, Explained> {
        for initial in self.initial {
            match elements.iter().filter(|element| *element == initial).count() {
                0 => return Err(self.vanished(read, *initial)),
                1 => {}
                _ => return Err(self.doubled(read, *initial)),
            }
        }
        Ok(self.initial.len())
    }

    fn real_time(&self, order: &[(u32, bool, u32, u32)]) -> Result<(), Explained> {
        let mut latest: Option<(u32, u32)> = None;
        for (k, _, call, i) in order {
            let one = &self.calls[*i as usize];
            if let Some((group, earlier)) = latest
                && one.ret < self.calls[earlier as usize].call
            {
                return Err(self.out_of_time(group, earlier, *i));
            }
            if latest.is_none_or(|(_, latest)| self.calls[latest as usize].call < *call) {
                latest = Some((*k, *i));
            }
        }
        Ok(())
    }

    fn id(&self, i: u32) -> u32 {
        self.calls[i as usize].id
    }

    fn garbage(&self, read: u32, element: Datum) -> Explained {
        let (read, element) = (self.id(read), self.pool.show(element));
        Explained {
            title: format!("a read saw {element}, which was never added"),
            operations: vec![read],
            why: vec![format!(
                "{} saw {element}, but no add of this history that could have taken effect has it.",
                mention(read)
            )],
        }
    }

    fn vanished(&self, read: u32, element: Datum) -> Explained {
        let (read, element) = (self.id(read), self.pool.show(element));
        Explained {
            title: format!("an element disappeared: {element}"),
            operations: vec![read],
            why: vec![format!(
                "The set had {element} from the beginning, and {} did not see it.",
                mention(read)
            )],
        }
    }

    fn doubled(&self, read: u32, element: Datum) -> Explained {
        let (read, element) = (self.id(read), self.pool.show(element));
        Explained {
            title: format!("a read saw {element} twice"),
            operations: vec![read],
            why: vec![format!(
                "{} has {element} more than once; a set has an element at most once.",
                mention(read)
            )],
        }
    }

    /// Read `k` lacks an element of the read before it in the chain.
    fn missing(&self, k: u32, first_seen: &[u32], last_seen: &[u32]) -> Explained {
        let lacks = |i: &usize| first_seen[*i] < k && last_seen[*i] != k;
        let add = (0..self.calls.len())
            .find(lacks)
            .expect("the read before has an element that this one lacks");
        let holder = self.id(self.reads[first_seen[add] as usize]);
        let (lacking, add) = (self.id(self.reads[k as usize]), self.id(add as u32));
        Explained {
            title: "an element disappeared".to_owned(),
            operations: vec![add, holder, lacking],
            why: vec![format!(
                "{} saw the element that {} added. {} did not, although it saw at least as many elements. A set \
                 that only grows is seen as a chain, each read containing all smaller ones.",
                mention(holder),
                mention(add),
                mention(lacking)
            )],
        }
    }

    /// `later` returned before `earlier` was called, though `group` puts it behind.
    fn out_of_time(&self, group: u32, earlier: u32, later: u32) -> Explained {
        let (first, second) = (mention(self.id(earlier)), mention(self.id(later)));
        let mut operations = vec![self.id(earlier), self.id(later)];
        let is_read = |i: u32| matches!(self.calls[i as usize].op, SetOp::Read(_));
        let why = match (is_read(earlier), is_read(later)) {
            (true, false) => format!("{first} does not see the element of {second}, so it comes before it."),
            (false, true) => format!("{second} sees the element of {first}, so it comes after it."),
            (true, true) => format!("{second} sees more than {first}, so it comes after it."),
            (false, false) => {
                let read = self.id(self.reads[group as usize]);
                operations.push(read);
                format!(
                    "{} sees the element of {first} but not that of {second}, so {first} was added before it.",
                    mention(read)
                )
            }
        };
        let title = match (is_read(earlier), is_read(later)) {
            (true, false) => "lost: a read does not see an acknowledged add",
            (false, true) => "a read saw an element before its add began",
            (true, true) => "stale: a read saw less than an earlier one",
            (false, false) => "adds took effect against the order of time",
        };
        let time = format!("But {second} returned before {first} was called.");
        Explained {
            title: title.to_owned(),
            operations,
            why: vec![why, time],
        }
    }
}
