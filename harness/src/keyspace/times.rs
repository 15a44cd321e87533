//! When keys go, and what requests do about it. Written from what Redis documents; the time is that of the newest entry.

use bytes::Bytes;

use super::Keyspace;
use super::answer::Answer;
use super::number::signed;
use super::words::is;

/// When a key is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Never.
    Never,
    /// As it was.
    AsItWas,
    /// So many milliseconds after the entry.
    In(i64),
    /// At that millisecond.
    At(i64),
}

/// What is asked about when a key goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Time {
    /// `EXPIRE` and its kin; the words behind the time.
    Expire(When, Vec<Only>),
    /// `PERSIST`
    Persist,
    /// `GETEX`
    GetEx(When),
    /// `GETDEL`
    GetDel,
    /// `SETNX`
    SetNx(Bytes),
    /// `TTL` and `PTTL`: in milliseconds?
    Left(bool),
    /// `EXPIRETIME` and `PEXPIRETIME`: in milliseconds?
    Deadline(bool),
}

/// A condition of `EXPIRE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are the words of the command")]
pub enum Only {
    Nx,
    Xx,
    Gt,
    Lt,
}

impl Time {
    pub(super) fn writes(&self) -> bool {
        !matches!(self, Self::Deadline(_))
    }
}

impl When {
    /// The millisecond; `None` for never.
    fn millis(self, now: u64, was: Option<u64>) -> Option<u64> {
        match self {
            Self::Never => None,
            Self::AsItWas => was,
            Self::In(millis) => Some(now.saturating_add_signed(millis)),
            Self::At(millis) => Some(millis.max(0) as u64),
        }
    }
}

impl Keyspace {
    /// The entry of `stamp` is carried out: what is due goes.
    pub fn pass(&mut self, stamp: u64) {
        self.now = self.now.max(stamp);
        let now = self.now;
        let due: Vec<Bytes> = self
            .goes
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(key, _)| key.clone())
            .collect();
        due.iter().for_each(|key| self.remove(key));
    }

    pub(super) fn remove(&mut self, key: &Bytes) {
        self.map.remove(key);
        self.goes.remove(key);
        self.changed.remove(key);
    }

    /// The key goes then.
    pub(super) fn let_go(&mut self, key: &Bytes, when: When) {
        match when.millis(self.now, self.goes.get(key).copied()) {
            None => drop(self.goes.remove(key)),
            Some(at) if at <= self.now => self.remove(key),
            Some(at) => drop(self.goes.insert(key.clone(), at)),
        }
    }

    pub(super) fn about_time(&mut self, key: &Bytes, time: &Time) -> Answer {
        let exists = self.map.contains_key(key);
        match time {
            Time::Expire(when, only) => {
                let wanted = when.millis(self.now, None).unwrap_or(0);
                let was = self.goes.get(key).copied();
                let happens = exists
                    && only.iter().all(|only| match only {
                        Only::Nx => was.is_none(),
                        Only::Xx => was.is_some(),
                        Only::Gt => was.is_some_and(|was| wanted > was),
                        Only::Lt => was.is_none_or(|was| wanted < was),
                    });
                if happens {
                    self.touch(key);
                    self.let_go(key, *when);
                }
                Answer::Integer(i64::from(happens))
            }
            Time::Persist => {
                let went = self.goes.remove(key).is_some();
                if went {
                    self.touch(key);
                }
                Answer::Integer(i64::from(went))
            }
            Time::GetEx(when) => {
                let answer = self.get(key);
                if matches!(answer, Answer::Bulk(_)) {
                    if *when != When::Never || self.goes.contains_key(key) {
                        self.touch(key);
                    }
                    self.let_go(key, *when);
                }
                answer
            }
            Time::GetDel => {
                let answer = self.get(key);
                if matches!(answer, Answer::Bulk(_)) {
                    self.remove(key);
                }
                answer
            }
            Time::SetNx(value) => {
                if !exists {
                    self.map.insert(key.clone(), super::Value::Text(value.clone()));
                    self.touch(key);
                }
                Answer::Integer(i64::from(!exists))
            }
            Time::Left(_) | Time::Deadline(_) => self.time_of(key, time),
        }
    }

    /// How long a key stays, or when it goes.
    pub(super) fn time_of(&self, key: &Bytes, time: &Time) -> Answer {
        let in_unit = |millis: u64, is_millis: bool| if is_millis { millis } else { (millis + 500) / 1000 };
        let number = match (self.goes.get(key), time) {
            (None, _) if self.map.contains_key(key) => return Answer::Integer(-1),
            (None, _) => return Answer::Integer(-2),
            (Some(at), Time::Left(is_millis)) => in_unit(at - self.now, *is_millis),
            (Some(at), Time::Deadline(is_millis)) => in_unit(*at, *is_millis),
            (Some(_), _) => panic!("{time:?} asks for no time"),
        };
        Answer::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// What the words of a command about times mean; the number of words fits. Nothing but a `GET`, where no time is said.
pub(super) fn understand(name: &str, words: &[Bytes]) -> Result<Option<Time>, Answer> {
    Ok(Some(match name {
        "persist" => Time::Persist,
        "getdel" => Time::GetDel,
        "setnx" => Time::SetNx(words[2].clone()),
        "ttl" | "pttl" => Time::Left(name == "pttl"),
        "expiretime" | "pexpiretime" => Time::Deadline(name == "pexpiretime"),
        "getex" => match options(&words[2..], true)? {
            None => return Ok(None),
            Some((word, number)) => Time::GetEx(when(name, word, number)?),
        },
        _ => expire(name, words)?,
    }))
}

fn expire(name: &str, words: &[Bytes]) -> Result<Time, Answer> {
    let mut only = Vec::new();
    for word in &words[3..] {
        let known = [
            ("NX", Only::Nx),
            ("XX", Only::Xx),
            ("GT", Only::Gt),
            ("LT", Only::Lt),
        ];
        let found = known.iter().find(|(name, _)| is(word, name));
        let Some((_, condition)) = found else {
            let shown = String::from_utf8_lossy(&word[..word.len().min(128)]).into_owned();
            return Err(Answer::Error(format!("ERR Unsupported option {shown}")));
        };
        only.push(*condition);
    }
    let has = |condition| only.contains(&condition);
    if has(Only::Nx) && (has(Only::Xx) || has(Only::Gt) || has(Only::Lt)) {
        return Err(Answer::error(
            "ERR NX and XX, GT or LT options at the same time are not compatible",
        ));
    }
    if has(Only::Gt) && has(Only::Lt) {
        return Err(Answer::error(
            "ERR GT and LT options at the same time are not compatible",
        ));
    }
    let number = signed(&words[2]).ok_or_else(Answer::not_an_integer)?;
    let word = match name {
        "expire" => "EX",
        "pexpire" => "PX",
        "expireat" => "EXAT",
        _ => "PXAT",
    };
    let when = time(word, number).ok_or_else(|| invalid(name))?;
    Ok(Time::Expire(when, only))
}

/// The options about time among `words`, which has no others: the last word and its number.
pub(super) fn options(words: &[Bytes], is_getex: bool) -> Result<Option<(&'static str, Bytes)>, Answer> {
    let (mut found, mut at): (Option<(&str, Bytes)>, usize) = (None, 0);
    while let Some(word) = words.get(at) {
        at += 1;
        let names = ["EX", "PX", "EXAT", "PXAT"];
        let alone = if is_getex { "PERSIST" } else { "KEEPTTL" };
        let next = match names.iter().copied().find(|name| is(word, name)) {
            Some(name) => {
                at += 1;
                (name, words.get(at - 1).ok_or_else(Answer::syntax_error)?.clone())
            }
            None if is(word, alone) => (alone, Bytes::new()),
            None => return Err(Answer::syntax_error()),
        };
        if found.is_some_and(|(name, _)| name != next.0) {
            return Err(Answer::syntax_error());
        }
        found = Some(next);
    }
    Ok(found)
}

/// What an option of `SET` or `GETEX` means.
pub(super) fn when(command: &str, word: &'static str, number: Bytes) -> Result<When, Answer> {
    match word {
        "KEEPTTL" => return Ok(When::AsItWas),
        "PERSIST" => return Ok(When::Never),
        _ => {}
    }
    let number = signed(&number).ok_or_else(Answer::not_an_integer)?;
    let found = time(word, number).filter(|_| number > 0);
    found.ok_or_else(|| invalid(command))
}

fn time(word: &str, number: i64) -> Option<When> {
    let millis = i128::from(number) * if word.starts_with('E') { 1000 } else { 1 };
    let (latest, is_absolute) = match word {
        "EX" | "PX" => (i128::from(i64::MAX) - LAST_CENTURY, false),
        _ => (i128::from(i64::MAX), true),
    };
    if millis > latest {
        return None;
    }
    let millis = i64::try_from(millis).ok()?;
    Some(if is_absolute {
        When::At(millis)
    } else {
        When::In(millis)
    })
}

fn invalid(command: &str) -> Answer {
    Answer::Error(format!("ERR invalid expire time in '{command}' command"))
}

/// So many milliseconds are to the year 2100: no clock shows more.
const LAST_CENTURY: i128 = 4_102_444_800_000;
