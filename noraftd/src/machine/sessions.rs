//! Sessions: which commands of a client were carried out, and what they were answered.
//!
//! A session keeps the replies of its highest [`KEPT_MAX`] numbers, but those that its client has acknowledged. A number that it does not
//! keep and that is not older than these is new, whatever the order in which numbers come.
//!
//! Invariant: a pure function of the entries in order. `order` has every session by the stamp of its last use, then by its id, and they end
//! in that order: when they have rested for too long, or when there are too many of them or of the bytes that they keep. Bytes are
//! counted from values. `digest` is the sum of what each session contributes.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use noraft::LogIndex;

use super::digest::Digest;
use super::limits::Limits;
use crate::protocol::command::{Limit, Numbered};
use crate::protocol::resp::Reply;
use crate::time::Stamp;

/// All sessions.
#[derive(Debug, Clone, Default)]
pub(super) struct Sessions {
    map: OrdMap<u64, Arc<Session>>,
    order: OrdSet<(Stamp, u64)>,
    /// Of the replies that are kept.
    bytes: u64,
    digest: u64,
}

/// What is known of one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    /// The stamp of its last command.
    used: Stamp,
    /// Numbers up to this one are older than what is kept.
    oldest: u64,
    /// In rising order of the numbers.
    kept: Vec<KeptReply>,
    /// What the replies count for.
    bytes: u64,
    /// What the replies contribute to the digest.
    sum: u64,
}

/// A command that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeptReply {
    pub(super) number: u64,
    /// Of what was asked.
    pub(super) print: u64,
    pub(super) reply: Reply,
}

/// What a session says of a numbered command.
#[derive(Debug)]
pub(super) enum Known {
    /// It has to be carried out.
    New,
    /// It was carried out, with this reply; or it must not be.
    Answered(Reply),
}

impl Sessions {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// True when there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// A new session, which is named by the index of its entry.
    pub(super) fn open(&mut self, index: LogIndex, now: Stamp, limits: &Limits) -> Reply {
        let id = index.get();
        self.put(id, Session::new(now, 0));
        self.trim(now, limits, Some(id));
        Reply::Integer(i64::try_from(id).unwrap_or(i64::MAX))
    }

    /// Uses the session, and looks whether it knows this command; `print` is that of what is asked.
    pub(super) fn look(&mut self, numbered: Numbered, print: u64, now: Stamp, limits: &Limits) -> Known {
        let id = numbered.session;
        let found = self
            .map
            .get(&id)
            .filter(|session| !session.has_ended(now, limits));
        if found.is_none() {
            return Known::Answered(Reply::Error(EXPIRED.to_owned()));
        }
        let known = self.change(id, |session| {
            session.used = now;
            session.forget(id, numbered.acknowledged);
            session.look(numbered.number, print)
        });
        known.unwrap_or(Known::New)
    }

    /// Keeps the reply of a command that was new.
    pub(super) fn keep(
        &mut self,
        numbered: Numbered,
        print: u64,
        reply: &Reply,
        now: Stamp,
        limits: &Limits,
    ) {
        let id = numbered.session;
        self.change(id, |session| {
            session.keep(
                id,
                KeptReply {
                    number: numbered.number,
                    print,
                    reply: reply.clone(),
                },
            );
        });
        self.trim(now, limits, Some(id));
    }

    /// Ends sessions that have rested for too long, or that there is no room for, but not `in_use`. Of many, a part.
    pub(super) fn trim(&mut self, now: Stamp, limits: &Limits, in_use: Option<u64>) {
        for _ in 0..ENDED_MAX {
            let is_over = self.map.len() as u64 > limits.get(Limit::Sessions)
                || self.bytes > limits.get(Limit::SessionBytes);
            let first = self.order.get_min().filter(|(_, id)| Some(*id) != in_use);
            let oldest = first.or_else(|| self.order.iter().nth(1));
            match oldest {
                Some(&(used, id)) if is_over || has_ended(used, now, limits) => self.remove(id),
                None if is_over => return self.shorten(in_use, limits),
                Some(_) | None => return,
            }
        }
    }

    /// The only session keeps more than all may: it keeps less of the past.
    fn shorten(&mut self, id: Option<u64>, limits: &Limits) {
        let (Some(id), most) = (id, limits.get(Limit::SessionBytes)) else {
            return;
        };
        while self.bytes > most {
            let first = self.map.get(&id).and_then(|session| session.kept.first());
            let Some(number) = first.map(|kept| kept.number) else {
                return;
            };
            self.change(id, |session| session.forget(id, number));
        }
    }

    fn put(&mut self, id: u64, session: Session) {
        self.bytes += session.bytes;
        self.digest = self.digest.wrapping_add(session.contribution(id));
        self.order.insert((session.used, id));
        self.map.insert(id, Arc::new(session));
    }

    fn remove(&mut self, id: u64) {
        if let Some(session) = self.map.remove(&id) {
            self.order.remove(&(session.used, id));
            self.bytes -= session.bytes;
            self.digest = self.digest.wrapping_sub(session.contribution(id));
        }
    }

    /// Lets `change` have the session, if there is one.
    fn change<T>(&mut self, id: u64, change: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let session = Arc::make_mut(self.map.get_mut(&id)?);
        let (used, bytes) = (session.used, session.bytes);
        let before = session.contribution(id);
        let changed = change(session);
        let after = session.contribution(id);
        self.bytes = self.bytes - bytes + session.bytes;
        self.digest = self.digest.wrapping_sub(before).wrapping_add(after);
        if session.used != used {
            self.order.remove(&(used, id));
            self.order.insert((session.used, id));
        }
        Some(changed)
    }

    /// What they contribute to the digest of the state.
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// The same, from what is in memory now.
    pub(super) fn read_digest(&self) -> u64 {
        let sums = self.map.iter().map(|(id, session)| {
            let kept = session.kept.iter().map(|kept| kept.sum(*id));
            let sum = kept.fold(0, u64::wrapping_add);
            contribution(*id, session.used, session.oldest, sum)
        });
        sums.fold(0, u64::wrapping_add)
    }

    /// Every session, in the order of the ids: its id, its last use, the newest number that is too old, and what it keeps.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, Stamp, u64, &[KeptReply])> {
        self.map
            .iter()
            .map(|(id, session)| (*id, session.used, session.oldest, &session.kept[..]))
    }

    /// Takes a session from an image, without replies; false when it does not follow the last one.
    pub(super) fn restore(&mut self, id: u64, used: Stamp, oldest: u64) -> bool {
        let follows = id > 0 && self.map.get_max().is_none_or(|(last, _)| *last < id);
        if follows {
            self.put(id, Session::new(used, oldest));
        }
        follows
    }

    /// Takes a reply of the last session from an image; false when it cannot be there.
    pub(super) fn restore_kept(&mut self, kept: KeptReply) -> bool {
        let Some((id, session)) = self.map.get_max() else {
            return false;
        };
        let (id, last) = (
            *id,
            session.kept.last().map_or(session.oldest, |kept| kept.number),
        );
        let fits = kept.number > last && kept.number <= session.oldest.saturating_add(KEPT_MAX);
        if fits {
            self.change(id, |session| session.keep(id, kept));
        }
        fits
    }
}

impl Session {
    fn new(used: Stamp, oldest: u64) -> Self {
        Self {
            used,
            oldest,
            kept: Vec::new(),
            bytes: 0,
            sum: 0,
        }
    }

    fn has_ended(&self, now: Stamp, limits: &Limits) -> bool {
        has_ended(self.used, now, limits)
    }

    fn look(&self, number: u64, print: u64) -> Known {
        match self.kept.binary_search_by_key(&number, |kept| kept.number) {
            Ok(at) => Known::Answered(match self.kept.get(at) {
                Some(kept) if kept.print == print => kept.reply.clone(),
                Some(_) | None => Reply::Error(OTHER.to_owned()),
            }),
            Err(_) if number <= self.oldest => Known::Answered(Reply::Error(OLD.to_owned())),
            Err(_) => Known::New,
        }
    }

    fn keep(&mut self, id: u64, kept: KeptReply) {
        self.sum = self.sum.wrapping_add(kept.sum(id));
        self.bytes += kept.bytes();
        let at = self.kept.partition_point(|other| other.number < kept.number);
        self.kept.insert(at, kept);
        let newest = self.kept.last().map_or(0, |kept| kept.number);
        self.forget(id, newest.saturating_sub(KEPT_MAX));
    }

    /// Keeps nothing up to this number.
    fn forget(&mut self, id: u64, number: u64) {
        if number > self.oldest {
            self.oldest = number;
            let count = self.kept.partition_point(|kept| kept.number <= number);
            for kept in self.kept.drain(..count) {
                self.sum = self.sum.wrapping_sub(kept.sum(id));
                self.bytes -= kept.bytes();
            }
        }
    }

    fn contribution(&self, id: u64) -> u64 {
        contribution(id, self.used, self.oldest, self.sum)
    }
}

impl KeptReply {
    fn bytes(&self) -> u64 {
        KEPT_BYTES + bytes_of(&self.reply)
    }

    fn sum(&self, id: u64) -> u64 {
        let mut digest = Digest::new();
        [id, self.number, self.print]
            .into_iter()
            .for_each(|part| digest.number(part));
        digest_reply(&self.reply, &mut digest);
        digest.finish()
    }
}

/// The print of what is asked: equal commands have the same.
pub(super) fn print_of<'a>(bodies: impl Iterator<Item = &'a [u8]>) -> u64 {
    let mut digest = Digest::new();
    bodies.for_each(|body| digest.bytes(body));
    digest.finish()
}

fn has_ended(used: Stamp, now: Stamp, limits: &Limits) -> bool {
    let rests = now.as_millis().saturating_sub(used.as_millis());
    rests >= limits.get(Limit::SessionIdle)
}

fn contribution(id: u64, used: Stamp, oldest: u64, kept: u64) -> u64 {
    let mut digest = Digest::new();
    [SESSION_SALT, id, used.as_millis(), oldest, kept]
        .into_iter()
        .for_each(|part| digest.number(part));
    digest.finish()
}

/// What a reply counts for, whatever it takes in memory.
fn bytes_of(reply: &Reply) -> u64 {
    let all = |items: &[Reply]| items.iter().map(bytes_of).sum::<u64>();
    let pairs = |pairs: &[(Reply, Reply)]| {
        let of_both = pairs.iter().map(|(key, value)| bytes_of(key) + bytes_of(value));
        of_both.sum::<u64>()
    };
    ELEMENT_BYTES
        + match reply {
            Reply::Status(_) | Reply::Integer(_) | Reply::Double(_) | Reply::Null | Reply::NullArray => 0,
            Reply::Error(text) | Reply::Line(text) => text.len() as u64,
            Reply::Bulk(bytes) => bytes.len() as u64,
            Reply::Array(items) | Reply::Set(items) | Reply::Push(items) | Reply::Several(items) => {
                all(items)
            }
            Reply::Map(items) | Reply::Pairs(items) | Reply::Rows(items) => pairs(items),
        }
}

fn digest_reply(reply: &Reply, digest: &mut Digest) {
    let mut several = |tag: u64, items: &mut dyn Iterator<Item = &Reply>, count: usize| {
        digest.number(tag);
        digest.number(count as u64);
        items.for_each(|item| digest_reply(item, digest));
    };
    match reply {
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) | Reply::Several(items) => {
            several(7, &mut items.iter(), items.len());
        }
        Reply::Map(pairs) | Reply::Pairs(pairs) | Reply::Rows(pairs) => {
            several(
                8,
                &mut pairs.iter().flat_map(|(key, value)| [key, value]),
                pairs.len(),
            );
        }
        Reply::Status(text) => {
            digest.number(1);
            digest.bytes(text.as_bytes());
        }
        Reply::Error(text) => {
            digest.number(2);
            digest.bytes(text.as_bytes());
        }
        Reply::Line(text) => {
            digest.number(10);
            digest.bytes(text.as_bytes());
        }
        Reply::Integer(n) => {
            digest.number(3);
            digest.number(*n as u64);
        }
        Reply::Bulk(bytes) => {
            digest.number(4);
            digest.bytes(bytes);
        }
        Reply::Double(number) => {
            digest.number(9);
            digest.number(number.get().to_bits());
        }
        Reply::Null => digest.number(5),
        Reply::NullArray => digest.number(6),
    }
}

/// A session keeps the replies of so many numbers.
const KEPT_MAX: u64 = 32;
/// So many sessions end by one entry. It decides what a state holds, so it belongs to the level.
const ENDED_MAX: usize = 1000;
/// What a reply that is kept counts for, whatever it is.
const KEPT_BYTES: u64 = 16;
/// What each of its parts counts for.
const ELEMENT_BYTES: u64 = 48;
/// A number without a pattern, so that a session looks like nothing else.
const SESSION_SALT: u64 = 0x8ebc_6af0_9c88_c6e3;

const EXPIRED: &str = "SESSIONEXPIRED the session is not known, or not any more; nothing was done";
const OLD: &str =
    "SESSIONOLD the number is older than those whose replies the session keeps; nothing was done";
const OTHER: &str = "SESSIONOTHER another command was carried out with this number; nothing was done";

#[cfg(test)]
mod tests;
