//! Commands with arguments at their edges, drawn from a seed.
//!
//! Invariant: every command of the daemon's table has its line in `arguments`; a test compares the two. What is
//! drawn is mostly meant to succeed: a store of nothing but errors shows nothing.

mod times;
mod words;

use bytes::Bytes;
use noraftd::prng::Prng;

use self::times::{Kind, time};
pub use self::words::Vocabulary;
use self::words::{any_case, bytes, id, id_for_add, integer, key, name, option, stream_key, text_key, value};

/// The commands about keys, each as often as it is named.
pub const ABOUT_KEYS: [&str; 46] = [
    "append",
    "append",
    "decr",
    "decrby",
    "del",
    "del",
    "exists",
    "expire",
    "expireat",
    "expiretime",
    "get",
    "get",
    "getdel",
    "getex",
    "getset",
    "incr",
    "incr",
    "incrby",
    "incrby",
    "mget",
    "mset",
    "mset",
    "persist",
    "pexpire",
    "pexpireat",
    "pexpiretime",
    "psetex",
    "pttl",
    "set",
    "set",
    "set",
    "set",
    "setex",
    "setnx",
    "strlen",
    "ttl",
    "type",
    "xadd",
    "xadd",
    "xadd",
    "xadd",
    "xlen",
    "xrange",
    "xrange",
    "xread",
    "xrevrange",
];

/// The commands about the connection and the server.
pub const ABOUT_THE_SERVER: [&str; 27] = [
    "client",
    "command",
    "config",
    "discard",
    "echo",
    "exec",
    "hello",
    "info",
    "multi",
    "ping",
    "psubscribe",
    "punsubscribe",
    "quit",
    "readonly",
    "readwrite",
    "reset",
    "role",
    "select",
    "sentinel",
    "subscribe",
    "time",
    "unsubscribe",
    "unwatch",
    "wait",
    "waitaof",
    "watch",
    "nosuch",
];

/// A command about keys.
pub fn about_keys(prng: &mut Prng, vocabulary: &Vocabulary) -> Vec<Bytes> {
    loop {
        let name = *prng.choose(&ABOUT_KEYS).expect("there are some");
        let words = draw(prng, vocabulary, name).expect("each of them can be drawn");
        if vocabulary.has_expiry || !times::takes_level(&words) {
            return words;
        }
    }
}

/// A command of any kind.
pub fn any(prng: &mut Prng, vocabulary: &Vocabulary) -> Vec<Bytes> {
    if prng.chance(7, 8) {
        return about_keys(prng, vocabulary);
    }
    let name = *prng.choose(&ABOUT_THE_SERVER).expect("there are some");
    draw(prng, vocabulary, name).expect("each of them can be drawn")
}

/// The command `name` with arguments; `None` when it is not known here.
pub fn draw(prng: &mut Prng, vocabulary: &Vocabulary, name: &str) -> Option<Vec<Bytes>> {
    let mut words = vec![any_case(prng, name)];
    arguments(prng, vocabulary, name, &mut words)?;
    if prng.chance(1, WRONG_NUMBER_ONE_IN) {
        if prng.chance(1, 2) && words.len() > 1 {
            words.pop();
        } else {
            words.push(value(prng, vocabulary));
        }
    }
    Some(words)
}

/// Appends what the command takes.
fn arguments(prng: &mut Prng, with: &Vocabulary, name: &str, words: &mut Vec<Bytes>) -> Option<()> {
    match name {
        "type" => words.push(key(prng, with)),
        "xlen" => words.push(stream_key(prng, with)),
        "persist" | "ttl" | "pttl" | "expiretime" | "pexpiretime" => words.push(key(prng, with)),
        "expire" | "pexpire" | "expireat" | "pexpireat" => expire(prng, with, name, words),
        "getex" => getex(prng, with, words),
        "getset" | "setnx" => words.extend([text_key(prng, with), value(prng, with)]),
        "setex" | "psetex" => {
            let kind = if name == "setex" { Kind::Ex } else { Kind::Px };
            words.extend([text_key(prng, with), time(prng, with, kind), value(prng, with)]);
        }
        "get" | "getdel" | "strlen" | "incr" | "decr" => words.push(text_key(prng, with)),
        "append" => words.extend([text_key(prng, with), value(prng, with)]),
        "incrby" | "decrby" => words.extend([text_key(prng, with), integer(prng)]),
        "del" => {
            for _ in 0..prng.between(1, 2) {
                words.push(key(prng, with));
            }
        }
        "exists" | "mget" => {
            for _ in 0..prng.between(1, 4) {
                words.push(key(prng, with));
            }
        }
        "mset" => {
            for _ in 0..prng.between(1, 4) {
                words.extend([text_key(prng, with), value(prng, with)]);
            }
        }
        "set" => set(prng, with, words),
        "xadd" => xadd(prng, with, words),
        "xrange" | "xrevrange" => range(prng, with, words),
        "xread" => xread(prng, with, words),
        _ => return about_the_server(prng, name, words),
    }
    Some(())
}

/// The same, for a command about the connection or the server.
fn about_the_server(prng: &mut Prng, name: &str, words: &mut Vec<Bytes>) -> Option<()> {
    match name {
        "client" => client(prng, words),
        "command" => command(prng, words),
        "config" => {
            words.push(option(prng, &["GET", "GET", "GET", "SET", "REWRITE"]));
            words.push(option(prng, &["*", "max*", "save", "nosuch", "[a-m]*"]));
        }
        "echo" => words.push(bytes(prng)),
        "hello" => {
            if prng.chance(2, 3) {
                words.push(option(prng, &["2", "3", "2", "4", "x", "-1", "", "02"]));
                if prng.chance(1, 2) {
                    words.extend([option(prng, &["SETNAME", "AUTH", "NAME"]), name_of_client(prng)]);
                }
            }
        }
        "info" => {
            for _ in 0..prng.below(3) {
                words.push(option(prng, &["server", "raft", "all", "keyspace", "nosuch", ""]));
            }
        }
        "ping" => {
            if prng.chance(1, 2) {
                words.push(bytes(prng));
            }
        }
        "subscribe" | "psubscribe" => {
            for _ in 0..prng.between(1, 3) {
                words.push(channel(prng));
            }
        }
        "unsubscribe" | "punsubscribe" => {
            for _ in 0..prng.below(3) {
                words.push(channel(prng));
            }
        }
        "sentinel" => sentinel(prng, words),
        "wait" => words.extend([count(prng), count(prng)]),
        "waitaof" => words.extend([
            option(prng, &["0", "1", "0", "1", "2", "x"]),
            count(prng),
            count(prng),
        ]),
        "select" => words.push(option(prng, &["0", "0", "1", "-1", "x", "00", ""])),
        "discard" | "exec" | "multi" | "unwatch" => {}
        "watch" => {
            for _ in 0..prng.between(1, 3) {
                words.push(bytes(prng));
            }
        }
        "quit" | "readonly" | "readwrite" | "reset" | "role" | "time" => {}
        "nosuch" => {
            for _ in 0..prng.below(5) {
                words.push(bytes(prng));
            }
        }
        _ => return None,
    }
    Some(())
}

fn set(prng: &mut Prng, with: &Vocabulary, words: &mut Vec<Bytes>) {
    words.extend([text_key(prng, with), value(prng, with)]);
    // Mostly one condition or none; now and then several, in any order, or one that is refused.
    for _ in 0..[0, 0, 0, 1, 1, 1, 2, 3][prng.below(8) as usize] {
        if prng.chance(1, 3) {
            expiry(prng, with, words, "KEEPTTL");
            continue;
        }
        match prng.below(12) {
            0..3 => words.push(any_case(prng, "NX")),
            3..6 => words.push(any_case(prng, "XX")),
            6..9 => words.push(any_case(prng, "GET")),
            9..11 if with.has_ifeq => words.extend([any_case(prng, "IFEQ"), value(prng, with)]),
            _ if with.has_refusals => {
                words.push(option(prng, &["EX", "px", "PERSIST", "IFNE", "IFEQ", "NXX", ""]));
            }
            _ => words.push(any_case(prng, "GET")),
        }
    }
}

/// An option about when the key goes; `alone` is the one without a number.
fn expiry(prng: &mut Prng, with: &Vocabulary, words: &mut Vec<Bytes>, alone: &str) {
    let kind = *prng.choose(&Kind::ALL).expect("there are some");
    if prng.chance(1, 4) {
        words.push(any_case(prng, alone));
    } else if with.has_clock || kind.is_absolute() {
        words.extend([any_case(prng, kind.word()), time(prng, with, kind)]);
    }
}

fn getex(prng: &mut Prng, with: &Vocabulary, words: &mut Vec<Bytes>) {
    words.push(text_key(prng, with));
    for _ in 0..[0, 1, 1, 1, 1, 2][prng.below(6) as usize] {
        expiry(prng, with, words, "PERSIST");
    }
}

fn expire(prng: &mut Prng, with: &Vocabulary, name: &str, words: &mut Vec<Bytes>) {
    let kind = match name {
        "expire" => Kind::Ex,
        "pexpire" => Kind::Px,
        "expireat" => Kind::ExAt,
        _ => Kind::PxAt,
    };
    words.extend([key(prng, with), time(prng, with, kind)]);
    for _ in 0..[0, 0, 1, 1, 1, 2][prng.below(6) as usize] {
        words.push(option(prng, &["NX", "XX", "GT", "LT", "GT", "LT", "EX"]));
    }
}

fn xadd(prng: &mut Prng, with: &Vocabulary, words: &mut Vec<Bytes>) {
    words.push(stream_key(prng, with));
    if prng.chance(1, 6) {
        words.push(any_case(prng, "NOMKSTREAM"));
    } else if with.has_refusals && prng.chance(1, 40) {
        words.push(option(prng, &["MAXLEN", "MINID", "LIMIT"]));
    }
    words.push(id_for_add(prng, with));
    for _ in 0..prng.between(1, 3) {
        words.extend([name(prng), value(prng, with)]);
    }
}

fn range(prng: &mut Prng, with: &Vocabulary, words: &mut Vec<Bytes>) {
    words.extend([stream_key(prng, with), id(prng), id(prng)]);
    if prng.chance(1, 2) {
        words.extend([any_case(prng, "COUNT"), count(prng)]);
    }
    if prng.chance(1, 20) {
        words.extend([option(prng, &["COUNT", "LIMIT"]), count(prng)]);
    }
}

fn xread(prng: &mut Prng, with: &Vocabulary, words: &mut Vec<Bytes>) {
    if prng.chance(1, 2) {
        words.extend([any_case(prng, "COUNT"), count(prng)]);
    }
    if with.has_refusals && prng.chance(1, 30) {
        words.extend([option(prng, &["BLOCK", "NOACK"]), count(prng)]);
    }
    words.push(any_case(prng, "STREAMS"));
    let streams = prng.between(1, 3);
    for _ in 0..streams {
        words.push(stream_key(prng, with));
    }
    for _ in 0..streams {
        let odd = prng.chance(1, 8);
        words.push(if odd {
            option(prng, &["$", "$", ">"])
        } else {
            id(prng)
        });
    }
}

fn client(prng: &mut Prng, words: &mut Vec<Bytes>) {
    let sub = option(
        prng,
        &[
            "ID", "GETNAME", "INFO", "LIST", "SETNAME", "SETNAME", "SETINFO", "NO-EVICT", "NO-TOUCH", "KILL",
        ],
    );
    let upper = sub.to_ascii_uppercase();
    words.push(sub);
    match &upper[..] {
        b"SETNAME" => words.push(name_of_client(prng)),
        b"SETINFO" => {
            words.extend([
                option(prng, &["LIB-NAME", "LIB-VER", "LIB"]),
                name_of_client(prng),
            ]);
        }
        b"NO-EVICT" | b"NO-TOUCH" => words.push(option(prng, &["ON", "OFF", "MAYBE"])),
        _ => {}
    }
}

fn sentinel(prng: &mut Prng, words: &mut Vec<Bytes>) {
    let sub = option(
        prng,
        &[
            "MYID",
            "MASTERS",
            "MASTER",
            "REPLICAS",
            "SLAVES",
            "SENTINELS",
            "GET-MASTER-ADDR-BY-NAME",
            "CKQUORUM",
            "FAILOVER",
        ],
    );
    let alone = ["MYID", "MASTERS"]
        .iter()
        .any(|word| sub.eq_ignore_ascii_case(word.as_bytes()));
    words.push(sub);
    if !alone {
        words.push(option(prng, &["", "", "noraft", "x"]));
    }
}

/// Few enough that a connection listens to what it no longer wants to.
fn channel(prng: &mut Prng) -> Bytes {
    option(prng, &["+switch-master", "a", "[ab]*", ""])
}

fn command(prng: &mut Prng, words: &mut Vec<Bytes>) {
    if prng.chance(1, 6) {
        return;
    }
    let sub = option(prng, &["COUNT", "INFO", "DOCS", "LIST", "GETKEYS"]);
    let upper = sub.to_ascii_uppercase();
    words.push(sub);
    match &upper[..] {
        b"INFO" | b"DOCS" => {
            for _ in 0..prng.below(3) {
                words.push(option(prng, &["get", "xadd", "nosuch"]));
            }
        }
        b"LIST" if prng.chance(1, 2) => words.extend([
            any_case(prng, "FILTERBY"),
            option(prng, &["PATTERN", "MODULE", "ACLCAT", "NAME"]),
            option(prng, &["x*", "*", "get"]),
        ]),
        _ => {}
    }
}

fn count(prng: &mut Prng) -> Bytes {
    option(
        prng,
        &[
            "1",
            "1",
            "2",
            "2",
            "3",
            "10",
            "0",
            "-1",
            "9223372036854775807",
            "01",
            "x",
            "",
        ],
    )
}

fn name_of_client(prng: &mut Prng) -> Bytes {
    match prng.below(5) {
        0 => bytes(prng),
        1 => Bytes::from(vec![b'n'; prng.between(255, 258) as usize]),
        _ => option(prng, &["me", "you", "a b", "n-1", ""]),
    }
}

/// So often there is a word too many, or one is missing.
const WRONG_NUMBER_ONE_IN: u64 = 60;
