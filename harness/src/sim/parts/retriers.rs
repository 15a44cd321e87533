//! Clients that ask for each thing until it is answered, by way of any node, after any error: in a session, where the same number is the
//! same command (`NORAFT.ONCE`).
//!
//! Invariant: what was answered was done once, and the answer is that of this one time: the true state says so. What is asked for again
//! is answered alike. In some runs sessions may end early; then what was asked last was done at most once.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use noraftd::prng::Prng;
use noraftd::protocol::command::{Limit, Numbered, Parsed, Request, parse};
use noraftd::protocol::outcome::Outcome;
use noraftd::protocol::resp::Reply;
use noraftd::replica::event::RequestId;

use super::checks::body_hash;
use crate::plan::Plan;

/// All of them.
#[derive(Debug)]
pub(crate) struct Retriers {
    pub(crate) list: Vec<Retrier>,
    connections: u64,
    /// Sessions may end before their clients do.
    limit: Option<(Limit, u64)>,
    /// What was answered, by its token.
    finished: BTreeMap<String, Reply>,
    /// What was asked last in sessions that ended.
    unknown: BTreeSet<String>,
    /// Requests that were sent.
    pub(crate) requests: u64,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Retrier {
    pub(crate) node: usize,
    /// The process of the node that it is connected to.
    pub(crate) life: Option<u64>,
    pub(crate) connection: u64,
    pub(crate) prng: Prng,
    /// The number of its last request.
    number: u64,
    /// Its last request may still be answered.
    waits: bool,
    session: Option<u64>,
    /// The number of its last command in that session.
    commands: u64,
    /// How many things it has begun.
    begun: u64,
    asked: Option<Asked>,
    /// What it asked before, and the answer.
    before: Option<(Asked, Reply)>,
}

/// Something that a client asks for until it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    what: What,
    request: Request,
    /// The numbers of the first and the last request for it.
    first: u64,
    last: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Session,
    Limit,
    /// The token that it leaves in the state.
    Command(String),
}

impl Retriers {
    pub(crate) fn new(plan: &Plan, prng: &Prng) -> Self {
        let count = plan.clients.retries as u64;
        let list = (0..count).map(|slot| Retrier::new(prng.fork(slot)));
        let mut prng = prng.fork(count);
        let limits = [
            (Limit::Sessions, count.saturating_sub(1).max(1)),
            (Limit::SessionIdle, prng.between(1000, 3000)),
        ];
        let limit = limits[prng.below(2) as usize];
        Self {
            list: list.collect(),
            connections: 0,
            limit: prng.chance(1, ENDING_ONE_IN).then_some(limit),
            finished: BTreeMap::new(),
            unknown: BTreeSet::new(),
            requests: 0,
        }
    }

    /// How many things were answered, and how many may have been done in sessions that ended.
    pub(crate) fn ended(&self) -> (u64, u64) {
        (self.finished.len() as u64, self.unknown.len() as u64)
    }

    /// True when none of them waits for anything.
    pub(crate) fn are_done(&self) -> bool {
        self.list.iter().all(|client| client.asked.is_none())
    }

    /// The client takes another connection, to a node of `nodes`.
    pub(crate) fn reconnect(&mut self, at: usize, nodes: u64) {
        self.connections += 1;
        let client = &mut self.list[at];
        client.connection = CONNECTIONS | self.connections;
        client.node = client.prng.below(nodes) as usize;
        client.waits = false;
    }

    /// What the client sends now, under this name; `None` while it waits. Begins nothing new unless it may.
    pub(crate) fn next(&mut self, at: usize, may_begin: bool) -> Option<(u64, Request)> {
        let limit = self.limit.filter(|_| at == 0);
        let client = &mut self.list[at];
        if client.waits {
            return None;
        }
        if client.asked.is_none() && may_begin {
            client.begin(at, limit);
        }
        let asked = client.asked.as_mut()?;
        client.number += 1;
        client.waits = true;
        if asked.first == 0 {
            asked.first = client.number;
        }
        asked.last = client.number;
        self.requests += 1;
        Some((name(at, client.number), asked.request.clone()))
    }

    /// The command of a client's request, if it is one of the last two.
    pub(crate) fn body(&self, at: usize, number: u64) -> Option<u64> {
        let client = &self.list[at];
        let before = client.before.as_ref().map(|(asked, _)| asked);
        let mut known = client.asked.iter().chain(before);
        let found = known.find(|asked| asked.has(number));
        found.map(|asked| body_hash(&asked.request.body))
    }

    /// Looks at an answer to the request `number` of a client.
    ///
    /// # Errors
    ///
    /// With what is wrong about it.
    pub(crate) fn answered(&mut self, at: usize, number: u64, outcome: &Outcome) -> Result<(), String> {
        let client = &mut self.list[at];
        client.waits &= number != client.number;
        let Outcome::Done(reply) = outcome else {
            return Ok(());
        };
        if let Some((asked, held)) = &client.before
            && asked.has(number)
        {
            // Answers may overtake each other: of an earlier request, that of a later one which the session did not live to see.
            let may = is_over(reply) || is_over(held) || asked.what == What::Session;
            return if may || reply == held {
                Ok(())
            } else {
                Err(format!(
                    "{:?} was answered {held:?}, and then {reply:?}",
                    asked.what
                ))
            };
        }
        let Some(asked) = client.asked.take_if(|asked| asked.has(number)) else {
            return Ok(());
        };
        client.waits = false;
        match (&asked.what, reply) {
            (What::Session, Reply::Integer(id)) => {
                (client.session, client.commands) = (Some(id.unsigned_abs()), 0);
            }
            (What::Limit, Reply::Status(_)) => {}
            (What::Command(token), Reply::Error(text)) => {
                if self.limit.is_none() || !text.starts_with(EXPIRED) {
                    return Err(format!("{token} was answered {text:?}"));
                }
                self.unknown.insert(token.clone());
                client.session = None;
            }
            (What::Command(token), reply) => {
                self.finished.insert(token.clone(), reply.clone());
            }
            (what, reply) => return Err(format!("{what:?} was answered {reply:?}")),
        }
        client.before = Some((asked, reply.clone()));
        Ok(())
    }

    /// Compares what was answered with a true state: what [`true_state`] asks for, in its order. One that is not the last of all may
    /// lack what was answered.
    ///
    /// # Errors
    ///
    /// With what is wrong.
    pub(crate) fn compare(&self, [log, text, count]: [&Reply; 3], is_last: bool) -> Result<(), String> {
        let mut held = InState::read(log, text)?;
        held.count = match count {
            Reply::Null => 0,
            Reply::Bulk(digits) => std::str::from_utf8(digits)
                .ok()
                .and_then(|digits| digits.parse().ok())
                .ok_or_else(|| format!("the counter holds {digits:?}"))?,
            other => return Err(format!("the counter holds {other:?}")),
        };
        let both = held.entries.keys().filter(|token| token.starts_with('b')).count() as u64;
        if both != held.count {
            return Err(format!(
                "{both} blocks left entries, and the counter holds {}",
                held.count
            ));
        }
        for (token, reply) in &self.finished {
            let found = held.answer_of(token);
            let may_lack = found.is_none() && !is_last;
            if !may_lack && found.as_ref() != Some(reply) {
                return Err(format!(
                    "{token} was answered {reply:?}; the state says {found:?}"
                ));
            }
        }
        Ok(())
    }
}

/// What the commands of all clients left in the state.
#[derive(Debug, Default)]
struct InState {
    /// By token, the id of its entry, and how many blocks there are up to it.
    entries: BTreeMap<String, (Bytes, i64)>,
    /// By token, where it ends in the text.
    texts: BTreeMap<String, i64>,
    count: u64,
}

impl InState {
    fn read(log: &Reply, text: &Reply) -> Result<Self, String> {
        let mut held = Self::default();
        let mut blocks = 0;
        let Reply::Array(entries) = log else {
            return Err(format!("the log is {log:?}"));
        };
        for entry in entries {
            let Some((id, token)) = entry_of(entry) else {
                return Err(format!("the log has {entry:?}"));
            };
            blocks += i64::from(token.starts_with('b'));
            if held.entries.insert(token.clone(), (id, blocks)).is_some() {
                return Err(format!("{token} was done twice"));
            }
        }
        let text = match text {
            Reply::Null => "",
            Reply::Bulk(bytes) => std::str::from_utf8(bytes).map_err(|error| error.to_string())?,
            other => return Err(format!("the text is {other:?}")),
        };
        let mut end = 0;
        for token in text.split_terminator(';') {
            end += token.len() as i64 + 1;
            if held.texts.insert(token.to_owned(), end).is_some() {
                return Err(format!("{token} was done twice"));
            }
        }
        Ok(held)
    }

    /// What the one time that the command was done has to have answered.
    fn answer_of(&self, token: &str) -> Option<Reply> {
        if token.starts_with('t') {
            return self.texts.get(token).map(|end| Reply::Integer(*end));
        }
        let (id, blocks) = self.entries.get(token)?;
        let id = Reply::Bulk(id.clone());
        Some(match token.starts_with('b') {
            true => Reply::Array(vec![Reply::Integer(*blocks), id]),
            false => id,
        })
    }
}

impl Retrier {
    fn new(prng: Prng) -> Self {
        Self {
            node: 0,
            life: None,
            connection: 0,
            prng,
            number: 0,
            waits: false,
            session: None,
            commands: 0,
            begun: 0,
            asked: None,
            before: None,
        }
    }

    fn begin(&mut self, at: usize, limit: Option<(Limit, u64)>) {
        let limit = limit.filter(|_| self.begun == 0);
        let (what, request) = match (self.session, limit) {
            (_, Some((limit, value))) => (What::Limit, Request::to_set_limit(limit, value)),
            (None, None) => (What::Session, Request::to_open_session()),
            (Some(session), None) => self.command(at, session),
        };
        self.begun += 1;
        self.asked = Some(Asked {
            what,
            request,
            first: 0,
            last: 0,
        });
    }

    fn command(&mut self, at: usize, session: u64) -> (What, Request) {
        self.commands += 1;
        let acknowledges = self.prng.chance(1, 2);
        let numbered = Numbered {
            session,
            number: self.commands,
            acknowledged: if acknowledges { self.commands - 1 } else { 0 },
        };
        let kind = ["e", "t", "b"][self.prng.below(3) as usize];
        let token = format!("{kind}{at}-{}", self.begun);
        let entry = parsed(&["XADD", LOG, "*", "t", &token]);
        let request = match kind {
            "e" => entry,
            "t" => parsed(&["APPEND", TEXT, &format!("{token};")]),
            _ => {
                let bodies = [parsed(&["INCR", COUNT]).body, entry.body];
                Request::to_run_block(&BTreeMap::new(), &bodies).expect("it is small")
            }
        };
        let request = request.once(numbered).expect("it is small, and about keys");
        (What::Command(token), request)
    }
}

impl Asked {
    fn has(&self, number: u64) -> bool {
        self.first > 0 && (self.first..=self.last).contains(&number)
    }
}

/// What [`Retriers::compare`] looks at.
pub(crate) fn true_state() -> [Request; 3] {
    [
        parsed(&["XRANGE", LOG, "-", "+"]),
        parsed(&["GET", TEXT]),
        parsed(&["GET", COUNT]),
    ]
}

/// True for what a session answers that keeps a reply no more.
fn is_over(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(text) if text.starts_with(EXPIRED) || text.starts_with(OLD))
}

/// The id of an entry of the log, and the token in it.
fn entry_of(entry: &Reply) -> Option<(Bytes, String)> {
    let Reply::Array(parts) = entry else { return None };
    let [Reply::Bulk(id), Reply::Array(fields)] = &parts[..] else {
        return None;
    };
    let [_, Reply::Bulk(token)] = &fields[..] else {
        return None;
    };
    let token = String::from_utf8(token.to_vec()).ok()?;
    Some((id.clone(), token))
}

fn parsed(words: &[&str]) -> Request {
    let words = words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes()));
    match parse(words.collect()) {
        Ok(Parsed::Replicated(request)) => request,
        other => unreachable!("{other:?}: it is for the state machine"),
    }
}

fn name(client: usize, number: u64) -> u64 {
    RETRIED | (client as u64) << NUMBER_BITS | number
}

/// The client and the number of the request, when it is one of ours.
pub(crate) fn retried(id: RequestId) -> Option<(usize, u64)> {
    let is_ours = id.0 >> RETRIED.trailing_zeros() == 1;
    is_ours.then_some((((id.0 & !RETRIED) >> NUMBER_BITS) as usize, id.0 & NUMBER_MASK))
}

/// Marks these requests: all others that are no client's have a higher bit.
const RETRIED: u64 = 1 << 52;
/// Distinguishes these connections from others.
const CONNECTIONS: u64 = 1 << 52;
/// A [`RequestId`] names a client and the number of its request.
const NUMBER_BITS: u32 = 40;
const NUMBER_MASK: u64 = (1 << NUMBER_BITS) - 1;
/// In one of so many runs sessions may end early.
const ENDING_ONE_IN: u64 = 4;
const LOG: &str = "once:log";
const TEXT: &str = "once:text";
const COUNT: &str = "once:count";
const EXPIRED: &str = "SESSIONEXPIRED";
const OLD: &str = "SESSIONOLD";

#[cfg(test)]
mod tests;
