//! A key whose texts say which operations made them: decided by the engine for registers of unique values.
//!
//! A put is a write. An append that some get shows has one text before and one after it, so it is a
//! compare-and-set. An append that no get shows changed the text to one that was never read, whatever the text was
//! before: a write of a value that nothing reads. Where an operation's text is not its own, or a text can be taken
//! apart in two ways, the search decides.

use super::texts::{Parts, Tokens};
use super::{Kv, KvOp};
use crate::checker::register::RegisterOp;
use crate::checker::unique;
use crate::checker::verdict::Verdict;
use crate::checker::violation::{Contradiction, RegisterViolation, Zone};
use crate::checker::violation::{Explained, Violation, mention};
use crate::model::Call;
use crate::recording::budget::Budget;
use crate::recording::datum::Datum;
use crate::recording::hash::FastMap;

/// Work beyond which the search is not worse: bytes of all texts, times lengths that occur.
const WORK_MAX: usize = 2_000_000_000;
/// Characters before the place where two texts part that are shown.
const CONTEXT_CHARS: usize = 24;
/// Characters of a text that are shown behind that.
const SHOWN_CHARS: usize = 40;

/// Decides `calls` of one key, if their texts say enough.
pub(super) fn check(kv: &Kv<'_>, calls: &[Call<KvOp>], budget: &Budget) -> Option<Verdict> {
    // A key that begins with a text of its own is left to the search.
    if kv.initial.is_some() {
        return None;
    }
    // A get of unknown outcome saw nothing.
    let says_something = |call: &&Call<KvOp>| !(call.is_open() && matches!(call.op, KvOp::Get(_)));
    let calls: Vec<Call<KvOp>> = calls.iter().filter(says_something).copied().collect();
    let calls = &calls[..];
    let mut states = States::new(kv, calls);
    let appends = calls.iter().any(|call| matches!(call.op, KvOp::Append(_)));
    let (initial, register) = match appends {
        false => (Datum::NIL, values(kv, calls)),
        true => {
            if let Err(explained) = states.read_gets()? {
                return Some(Verdict::Invalid(Violation::Explained(explained)));
            }
            let convert = |(at, call)| states.convert(at, call);
            (state(INITIAL), (0..).zip(calls).map(convert).collect())
        }
    };
    Some(match unique::check(initial, &register, budget)? {
        Verdict::Invalid(Violation::Register(violation)) => {
            Verdict::Invalid(Violation::Explained(states.explain(&violation)))
        }
        other @ (Verdict::Valid(_) | Verdict::Unknown(_) | Verdict::Invalid(_)) => other,
    })
}

/// Puts and gets alone are writes and reads, whatever the values.
fn values(kv: &Kv<'_>, calls: &[Call<KvOp>]) -> Vec<Call<RegisterOp>> {
    let value = |datum| match kv.as_text(datum) {
        Some("") => Datum::NIL,
        Some(_) | None => datum,
    };
    let convert = |call: &Call<KvOp>| Call {
        id: call.id,
        call: call.call,
        ret: call.ret,
        op: match call.op {
            KvOp::Get(seen) => RegisterOp::Read(value(seen)),
            KvOp::Put(new) | KvOp::Append(new) => RegisterOp::Write(value(new)),
        },
    };
    calls.iter().map(convert).collect()
}

/// The empty text at the beginning.
const INITIAL: u32 = 0;

fn state(id: u32) -> Datum {
    Datum::int(i64::from(id)).expect("states are few")
}

/// Texts that the key had, by number: each is a put, or an append to another.
struct States<'a> {
    kv: &'a Kv<'a>,
    calls: &'a [Call<KvOp>],
    /// The state behind a state and an append, or a put.
    after: FastMap<(u32, u32), u32>,
    /// By append: the state before it and behind it, and the get that showed it.
    shown: FastMap<u32, (u32, u32, u32)>,
    /// By get.
    read: FastMap<u32, u32>,
    count: u32,
}

impl<'a> States<'a> {
    fn new(kv: &'a Kv<'a>, calls: &'a [Call<KvOp>]) -> Self {
        Self {
            kv,
            calls,
            after: FastMap::default(),
            shown: FastMap::default(),
            read: FastMap::default(),
            count: INITIAL + 1,
        }
    }

    /// Takes every get apart; `None` when one of them can be read in two ways, or two operations write the same.
    fn read_gets(&mut self) -> Option<Result<(), Explained>> {
        let (kv, calls) = (self.kv, self.calls);
        let written = (0..).zip(calls).filter_map(|(at, call)| match call.op {
            KvOp::Get(_) => None,
            KvOp::Put(text) => Some((kv.as_text(text)?, at, true)),
            KvOp::Append(text) => Some((kv.as_text(text)?, at, false)),
        });
        let writes = calls
            .iter()
            .filter(|call| !matches!(call.op, KvOp::Get(_)))
            .count();
        let written: Vec<_> = written.collect();
        if written.len() < writes {
            return None;
        }
        let tokens = Tokens::collect(written.into_iter())?;
        let mut known: FastMap<Datum, u32> = FastMap::default();
        let mut work = 0;
        for (at, call) in (0..).zip(calls) {
            let KvOp::Get(text) = call.op else {
                continue;
            };
            if let Some(state) = known.get(&text) {
                self.read.insert(at, *state);
                continue;
            }
            let shown = kv.as_text(text)?;
            work += shown.len() * tokens.lengths();
            if work > WORK_MAX {
                return None;
            }
            match tokens.take_apart(shown) {
                Parts::Several => return None,
                Parts::None { explained } => return Some(Err(self.garbage(at, shown, explained))),
                Parts::One(put, appends) => match self.follow(at, put, &appends) {
                    Ok(state) => {
                        known.insert(text, state);
                        self.read.insert(at, state);
                    }
                    Err(explained) => return Some(Err(explained)),
                },
            }
        }
        Some(Ok(()))
    }

    fn behind(&mut self, before: u32, write: u32) -> u32 {
        *self.after.entry((before, write)).or_insert_with(|| {
            self.count += 1;
            self.count - 1
        })
    }

    fn follow(&mut self, get: u32, put: Option<u32>, appends: &[u32]) -> Result<u32, Explained> {
        let mut at = put.map_or(INITIAL, |put| self.behind(INITIAL, put));
        for append in appends {
            let next = self.behind(at, *append);
            let (before, _, other) = *self.shown.entry(*append).or_insert((at, next, get));
            if before != at {
                return Err(self.two_places(*append, get, other));
            }
            at = next;
        }
        Ok(at)
    }

    /// The same as an operation on a register of states.
    fn convert(&mut self, at: u32, call: &Call<KvOp>) -> Call<RegisterOp> {
        let op = match call.op {
            KvOp::Get(_) => RegisterOp::Read(state(self.read[&at])),
            KvOp::Put(_) => RegisterOp::Write(state(self.behind(INITIAL, at))),
            KvOp::Append(_) => match self.shown.get(&at) {
                Some((before, after, _)) => RegisterOp::Cas(state(*before), state(*after)),
                None => {
                    self.count += 1;
                    RegisterOp::Write(state(self.count - 1))
                }
            },
        };
        Call {
            id: call.id,
            call: call.call,
            ret: call.ret,
            op,
        }
    }

    fn id(&self, at: u32) -> u32 {
        self.calls[at as usize].id
    }

    fn garbage(&self, get: u32, text: &str, explained: usize) -> Explained {
        let id = self.id(get);
        let (known, rest) = text.split_at(explained);
        let why = match known.is_empty() {
            true => format!(
                "{} saw a text that begins with {:?}; no put or append of this history, whatever its outcome, wrote that.",
                mention(id),
                shorten(rest)
            ),
            false => format!(
                "{} saw a text whose first {} characters were written. What follows is {:?}, after {:?}; no append wrote \
                 that.",
                mention(id),
                known.chars().count(),
                shorten(rest),
                last_of(known)
            ),
        };
        Explained {
            title: "a get saw a text that no operations make".to_owned(),
            operations: vec![id],
            why: vec![why],
        }
    }

    fn two_places(&self, append: u32, one: u32, other: u32) -> Explained {
        let (append, one, other) = (self.id(append), self.id(one), self.id(other));
        let why = match one == other {
            true => format!(
                "{} shows twice what {} appended once.",
                mention(one),
                mention(append)
            ),
            false => format!(
                "{} and {} show what {} appended behind different texts. {} It was appended once.",
                mention(other),
                mention(one),
                mention(append),
                self.parting(other, one)
            ),
        };
        Explained {
            title: "an append is in two places".to_owned(),
            operations: vec![append, one, other],
            why: vec![why],
        }
    }

    fn text_of(&self, id: u32) -> Option<&'a str> {
        let call = self.calls.iter().find(|call| call.id == id)?;
        match call.op {
            KvOp::Get(text) => self.kv.as_text(text),
            KvOp::Put(_) | KvOp::Append(_) => None,
        }
    }

    /// Where the texts of two gets part.
    fn parting(&self, one: u32, other: u32) -> String {
        let (Some(a), Some(b)) = (self.text_of(one), self.text_of(other)) else {
            return String::new();
        };
        let same = a
            .chars()
            .zip(b.chars())
            .take_while(|(a, b)| a == b)
            .map(|(a, _)| a.len_utf8())
            .sum();
        let (known, rest_a) = a.split_at(same);
        let rest_b = &b[same..];
        let common = match known.is_empty() {
            true => "Their texts differ from the first character on".to_owned(),
            false => format!(
                "Their texts have the first {} characters in common, up to {:?}, and then part",
                known.chars().count(),
                last_of(known)
            ),
        };
        format!(
            "{common}: {} has {} and {} has {}.",
            mention(one),
            rest_of(rest_a),
            mention(other),
            rest_of(rest_b)
        )
    }

    fn explain(&self, violation: &RegisterViolation) -> Explained {
        let mut why = sentences(&violation.contradiction);
        why.extend(self.parting_of(violation));
        for effect in &violation.effects {
            why.push(format!(
                "The outcome of {} is unknown, but it took effect: {} saw its text, or one made from it.",
                mention(effect.op),
                mention(effect.seen_by)
            ));
        }
        let mut operations = violation.operations();
        operations.sort_unstable();
        operations.dedup();
        Explained {
            title: title(&violation.contradiction).to_owned(),
            operations,
            why,
        }
    }

    /// Where the texts of the first two gets that are named part.
    fn parting_of(&self, violation: &RegisterViolation) -> Option<String> {
        let mut gets: Vec<u32> = violation.operations();
        gets.retain(|id| self.text_of(*id).is_some());
        gets.dedup();
        let &[one, other, ..] = &gets[..] else {
            return None;
        };
        Some(self.parting(one, other))
    }
}

fn title(contradiction: &Contradiction) -> &'static str {
    match contradiction {
        Contradiction::Garbage { .. } => "a get saw a text that no operations make",
        Contradiction::Future { .. } => "a get saw a text before it was written",
        Contradiction::LostUpdate { .. } => "two appends to the same text",
        Contradiction::Cycle { .. } => "appends that each need another one first",
        Contradiction::PathOrder { .. } => "stale: a get saw a text that had been appended to",
        Contradiction::Overlap { .. } => "two texts at the same time",
        Contradiction::Inside { .. } => "stale: a get saw a text that had been replaced",
    }
}

fn sentences(contradiction: &Contradiction) -> Vec<String> {
    let name = |id: &u32| mention(*id);
    match contradiction {
        Contradiction::Garbage { read } => {
            vec![format!(
                "No order of puts and appends makes what {} saw.",
                name(read)
            )]
        }
        Contradiction::Future { read, writer } => vec![format!(
            "{} saw what only {} writes, but it returned before {} was called.",
            name(read),
            name(writer),
            name(writer)
        )],
        Contradiction::LostUpdate { one, other } => vec![format!(
            "Gets show what {} appended, and what {} appended, directly behind the same text. Once one of them has been \
             appended, the other cannot be.",
            name(one),
            name(other)
        )],
        Contradiction::Cycle { one, other } => vec![format!(
            "{} was appended behind {}, and following that leads back to {}.",
            name(one),
            name(other),
            name(one)
        )],
        Contradiction::PathOrder { earlier, later } => vec![format!(
            "{} saw or made a text that continues the one of {}, so {} has to come before {}. But {} returned before {} was \
             called.",
            name(later),
            name(earlier),
            name(earlier),
            name(later),
            name(later),
            name(earlier)
        )],
        Contradiction::Overlap { one, other } => vec![
            held(*one),
            held(*other),
            "These times overlap, and each text was written once, so neither can come back.".to_owned(),
        ],
        Contradiction::Inside { outer, inner } => vec![held(*outer), inside(*inner)],
    }
}

fn held(zone: Zone) -> String {
    match (zone.first, zone.last) {
        (Some(first), Some(last)) if first == last => {
            format!(
                "{} needs its text, or one made from it, while it ran.",
                mention(first)
            )
        }
        (Some(first), Some(last)) => format!(
            "From the return of {} until the call of {} the key held one text, or that text with more appended: {} had made \
             or seen it, and {} still did.",
            mention(first),
            mention(last),
            mention(first),
            mention(last)
        ),
        (None, Some(last)) => format!(
            "From the beginning until {} was called the key held the empty text, or what was appended to it: {} still saw \
             that.",
            mention(last),
            mention(last)
        ),
        (_, None) => "The key was empty at the beginning.".to_owned(),
    }
}

fn inside(zone: Zone) -> String {
    let names: Vec<String> = [zone.first, zone.last]
        .into_iter()
        .flatten()
        .map(mention)
        .collect();
    match &names[..] {
        [one, other] if one != other => {
            format!(
                "But {one} and {other}, wholly inside that time, are about another text, which has to be there then."
            )
        }
        [one, ..] => {
            format!("But {one}, wholly inside that time, is about another text, which has to be there then.")
        }
        [] => "But the empty text would have to be there in between.".to_owned(),
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

fn last_of(text: &str) -> String {
    let skip = text.chars().count().saturating_sub(CONTEXT_CHARS);
    let tail: String = text.chars().skip(skip).collect();
    if skip == 0 { tail } else { format!("...{tail}") }
}

fn rest_of(text: &str) -> String {
    if text.is_empty() {
        "its end".to_owned()
    } else {
        format!("{:?}", shorten(text))
    }
}
