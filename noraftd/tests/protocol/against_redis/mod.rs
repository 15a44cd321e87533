//! Commands on values that are made of elements, drawn from a seed, against a Redis 7 that runs beside the test.
//!
//! Replies are the same, errors too, in both versions of the protocol. What Redis gives in an order of its own is compared without
//! one, and of what is drawn only how much it is. A command that is refused before the state is looked at may be answered by Redis
//! after that, with what it says of a key that holds nothing, or another type.

mod hashes;
mod keyspace;
mod lists;
mod redis;
mod scripts;
mod sets;
mod sorted;

use bytes::Bytes;
use noraft::LogIndex;
use noraftd::level::Level;
use noraftd::machine::{Machine, Restoring};
use noraftd::prng::Prng;
use noraftd::protocol::command::{Parsed, Request, parse};
use noraftd::protocol::resp::{RespVersion, Value};
use noraftd::time::Stamp;

use self::redis::Redis;
use super::support::{as_value, show, writes};

/// The state machine, asked as a client asks a node.
struct Node {
    machine: Machine,
    index: u64,
}

/// What the node says, and whether it looked at the state.
struct Answer {
    value: Value,
    is_refused_unread: bool,
}

impl Node {
    fn new() -> Self {
        let mut node = Self {
            machine: Machine::new(),
            index: 0,
        };
        node.apply(&Request::to_raise(Level::SUPPORTED).body, RespVersion::V2);
        node
    }

    fn apply(&mut self, body: &[u8], version: RespVersion) -> Value {
        self.index += 1;
        let reply = self
            .machine
            .apply(LogIndex::new(self.index), Stamp::from_millis(1), body);
        as_value(&reply, version)
    }

    fn ask(&mut self, words: &[Bytes], version: RespVersion) -> Answer {
        let value = match parse(words.to_vec()) {
            Ok(Parsed::Replicated(request)) if writes(&request) => self.apply(&request.body, version),
            Ok(Parsed::Replicated(request)) => {
                self.index += 1;
                as_value(&self.machine.query_drawing(&request.body, self.index), version)
            }
            Ok(other) => panic!("{words:?} is {other:?}"),
            Err(reply) => {
                return Answer {
                    value: as_value(&reply, version),
                    is_refused_unread: true,
                };
            }
        };
        Answer {
            value,
            is_refused_unread: false,
        }
    }

    /// The state is the same after a snapshot, and its digest is what its parts say.
    fn check(&self) {
        assert_eq!(self.machine.state_hash(), self.machine.read_state_hash());
        let mut restoring = Restoring::default();
        assert!(self.machine.chunks().all(|chunk| restoring.take(&chunk)));
        let restored = restoring.finish(self.machine.applied_index(), self.machine.clock());
        assert_eq!(restored.state_hash(), self.machine.state_hash());
        assert_eq!(restored.read_state_hash(), self.machine.state_hash());
        let bytes = |machine: &Machine| machine.chunks().collect::<Vec<_>>().concat();
        assert!(bytes(&restored) == bytes(&self.machine));
    }
}

/// Both, asked the same.
struct Both {
    node: Node,
    redis: Redis,
    version: RespVersion,
    /// What the node answered last.
    popped: Vec<Bytes>,
}

impl Both {
    /// Both without a key; `None` when there is no Redis to start.
    fn start(version: RespVersion) -> Option<Self> {
        let mut redis = Redis::start()?;
        if version == RespVersion::V3 {
            redis.ask(&words(&["HELLO", "3"]));
        }
        Some(Self {
            node: Node::new(),
            redis,
            version,
            popped: Vec::new(),
        })
    }

    fn ask(&mut self, words: &[Bytes]) -> Result<(), String> {
        if self.has_many_digits(words) {
            return Ok(());
        }
        let shape = Shape::of(words);
        let answer = self.node.ask(words, self.version);
        let said = self.redis.ask(words);
        self.popped = match &answer.value {
            Value::Bulk(member) => vec![member.clone()],
            Value::Array(items) => items.iter().filter_map(bulk).collect(),
            _ => Vec::new(),
        };
        self.settle(words, &said);
        let (ours, theirs) = (shape.of_reply(&answer.value), shape.of_reply(&said));
        let is_excused = answer.is_refused_unread && is_about_the_key(&said);
        if ours == theirs || is_excused {
            Ok(())
        } else {
            Err(format!("answered {}, Redis {}", show(&answer.value), show(&said)))
        }
    }

    /// What Redis has drawn and removed is gone here, too.
    fn settle(&mut self, words: &[Bytes], said: &Value) {
        let gone = match said {
            Value::Bulk(member) => vec![member.clone()],
            Value::Array(items) => items.iter().filter_map(bulk).collect(),
            _ => return,
        };
        if !words[0].eq_ignore_ascii_case(b"SPOP") || gone.is_empty() {
            return;
        }
        // Both have drawn as many: what is gone here comes back, and what is gone there goes.
        let all = |name: &'static str, members: Vec<Bytes>| {
            [vec![Bytes::from(name), words[1].clone()], members].concat()
        };
        let back = self.popped.drain(..).collect();
        self.node.ask(&all("SADD", back), self.version);
        self.node.ask(&all("SREM", gone), self.version);
    }

    /// A sum of fractions that Redis rounds, and the node does not.
    fn has_many_digits(&mut self, words: &[Bytes]) -> bool {
        let [name, key, field, _] = words else {
            return false;
        };
        let held = [Bytes::from_static(b"HGET"), key.clone(), field.clone()];
        let is_sum = name.eq_ignore_ascii_case(b"HINCRBYFLOAT");
        is_sum && matches!(self.redis.ask(&held), Value::Bulk(held) if held.len() > 12)
    }

    /// Both hold nothing.
    fn forget(&mut self) {
        let all = KEYS.into_iter().chain([sorted::ONE_SCORE]);
        let asked = words(&["DEL"].into_iter().chain(all).collect::<Vec<_>>());
        self.node.ask(&asked, self.version);
        self.redis.ask(&asked);
    }

    /// What all keys hold is the same.
    fn compare_states(&mut self) {
        self.node.check();
        for key in KEYS.into_iter().chain([sorted::ONE_SCORE]) {
            let kind = match self.redis.ask(&words(&["TYPE", key])) {
                Value::Status(kind) => kind,
                other => panic!("{key} is {other:?}"),
            };
            let held: &[&str] = match &kind[..] {
                "none" => &["EXISTS", key],
                "string" => &["GET", key],
                "set" => &["SMEMBERS", key],
                "list" => &["LRANGE", key, "0", "-1"],
                "zset" => &["ZRANGE", key, "0", "-1", "WITHSCORES"],
                "hash" => &["HGETALL", key],
                other => panic!("{key} is a {other}"),
            };
            for asked in [&["TYPE", key], held] {
                let asked = words(asked);
                self.ask(&asked)
                    .unwrap_or_else(|differs| panic!("{}: {differs}", text(&asked)));
            }
        }
    }
}

/// Redis says this of a key that holds nothing, or something else, whatever the other words are.
fn is_about_the_key(reply: &Value) -> bool {
    match reply {
        Value::Error(text) => {
            text.starts_with("WRONGTYPE")
                || text == "ERR no such key"
                || text == "ERR The specified keys must contain string values"
        }
        Value::Null | Value::Integer(0) => true,
        // Of a scan.
        Value::Array(items) => items
            .iter()
            .all(|item| *item == Value::Bulk("0".into()) || is_about_the_key(item)),
        Value::Map(pairs) => pairs.is_empty(),
        Value::Status(_)
        | Value::Integer(_)
        | Value::Bulk(_)
        | Value::Bool(_)
        | Value::Double(_)
        | Value::BigNumber(_)
        | Value::Push(_) => false,
    }
}

/// What of a reply is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    All,
    /// Without an order.
    Elements,
    /// Pairs, flat, without an order.
    FlatPairs,
    /// How many.
    Length,
}

impl Shape {
    fn of(words: &[Bytes]) -> Self {
        let name = words[0].to_ascii_uppercase();
        match &name[..] {
            b"HKEYS" | b"HVALS" | b"SMEMBERS" | b"SINTER" | b"SUNION" | b"SDIFF" | b"KEYS" => Self::Elements,
            b"HGETALL" => Self::FlatPairs,
            b"HRANDFIELD" | b"ZRANDMEMBER" | b"SRANDMEMBER" | b"SPOP" | b"RANDOMKEY" => Self::Length,
            _ => Self::All,
        }
    }

    fn of_reply(self, reply: &Value) -> String {
        let reply = &without_signs_of_zero(reply);
        match (self, reply) {
            (Self::Elements, Value::Array(items)) => sorted(items.iter().map(show)),
            (Self::FlatPairs, Value::Array(items)) => sorted(items.chunks(2).map(|pair| format!("{pair:?}"))),
            (Self::FlatPairs, Value::Map(pairs)) => sorted(pairs.iter().map(|pair| format!("{pair:?}"))),
            (Self::Length, Value::Array(items)) => items.len().to_string(),
            (Self::Length, Value::Bulk(_)) => "one".to_owned(),
            (_, reply) => show(reply),
        }
    }
}

/// A small sorted set of Redis does not keep the sign of a zero, and a large one does.
fn without_signs_of_zero(value: &Value) -> Value {
    match value {
        Value::Bulk(text) if text == "-0" => Value::Bulk("0".into()),
        Value::Double(number) => Value::Double(number + 0.0),
        Value::Array(items) => Value::Array(items.iter().map(without_signs_of_zero).collect()),
        other => other.clone(),
    }
}

fn bulk(value: &Value) -> Option<Bytes> {
    match value {
        Value::Bulk(bytes) => Some(bytes.clone()),
        _ => None,
    }
}

fn sorted(items: impl Iterator<Item = String>) -> String {
    let mut items: Vec<String> = items.collect();
    items.sort();
    items.join(" ")
}

fn words(words: &[&str]) -> Vec<Bytes> {
    words
        .iter()
        .map(|word| Bytes::copy_from_slice(word.as_bytes()))
        .collect()
}

fn text(words: &[Bytes]) -> String {
    let words = words.iter().map(|word| format!("\"{}\"", word.escape_ascii()));
    words.collect::<Vec<_>>().join(" ")
}

/// One of these.
fn one<'a>(prng: &mut Prng, of: &[&'a str]) -> &'a str {
    prng.choose(of).expect("there is one")
}

/// A command, of which a part is sometimes missing, wrong or too much.
fn draw(prng: &mut Prng) -> Vec<Bytes> {
    let mut drawn = match prng.below(18) {
        0 => vec!["DEL".to_owned(), one(prng, &KEYS).to_owned()],
        1 => vec!["SET".to_owned(), "string".to_owned(), "v".to_owned()],
        2 => vec![
            one(prng, &["TYPE", "EXISTS", "PERSIST"]).to_owned(),
            one(prng, &KEYS).to_owned(),
        ],
        3 => vec![
            one(prng, &["GET", "STRLEN", "INCR", "XLEN", "GETDEL"]).to_owned(),
            one(prng, &KEYS).to_owned(),
        ],
        4..=6 => sets::draw(prng),
        7..=9 => sorted::draw(prng),
        10..=12 => lists::draw(prng),
        13 | 14 => keyspace::draw(prng),
        _ => hashes::draw(prng),
    };
    if prng.chance(1, 12) {
        let at = prng.between(1, drawn.len() as u64) as usize;
        let odd = one(prng, &ODD).to_owned();
        match drawn.get_mut(at) {
            Some(word) if prng.chance(1, 2) => *word = odd,
            Some(_) if prng.chance(1, 2) => drawn.truncate(at),
            Some(_) | None => drawn.insert(at, odd),
        }
    }
    drawn.into_iter().map(Bytes::from).collect()
}

const KEYS: [&str; 4] = ["k1", "k2", "k3", "string"];
const ODD: [&str; 22] = [
    "",
    "x",
    "1.5",
    "-1",
    "0",
    "99999999999999999999",
    "-9223372036854775808",
    "nan",
    "inf",
    "COUNT",
    "MATCH",
    "WITHVALUES",
    "LIMIT",
    "REPLACE",
    "DB",
    "RANK",
    "LEFT",
    "BYSCORE",
    "BYLEX",
    "REV",
    "WITHSCORES",
    "(1",
];

#[test]
fn redis_answers_the_same() {
    for seed in 1..=SEEDS {
        let version = if seed % 2 == 0 {
            RespVersion::V2
        } else {
            RespVersion::V3
        };
        let Some(mut both) = Both::start(version) else {
            eprintln!("skipped: no redis-server is installed");
            return;
        };
        let mut prng = Prng::new(seed);
        let mut differences = Vec::new();
        for number in 0..COMMANDS {
            let drawn = draw(&mut prng);
            if let Err(differs) = both.ask(&drawn) {
                differences.push(format!("command {number}: {}: {differs}", text(&drawn)));
                both.forget();
            }
        }
        let first = &differences[..differences.len().min(20)];
        assert!(first.is_empty(), "seed {seed}\n{}", first.join("\n"));
        both.compare_states();
    }
}

const SEEDS: u64 = 10;
const COMMANDS: u64 = 2000;
