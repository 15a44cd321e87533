//! What several tests need: random bytes and commands, and a text form of replies.

use bytes::{Bytes, BytesMut};
use noraftd::prng::Prng;
use noraftd::protocol::command::{Class, Parsed, Request, parse};
use noraftd::protocol::resp::{Reply, RequestParser, RespVersion, Value, ValueDecoder};

/// A random string of at most `bytes_max` bytes, often one of few.
pub(crate) fn random_bytes(prng: &mut Prng, bytes_max: u64) -> Bytes {
    let length = prng.between(0, bytes_max);
    (0..length).map(|_| prng.next_u64() as u8).collect()
}

/// The command in `line`, written as one types it.
pub(crate) fn typed(line: &str) -> Result<Parsed, Reply> {
    let mut buffer = BytesMut::from(line);
    buffer.extend_from_slice(b"\r\n");
    let args = RequestParser::new()
        .next(&mut buffer)
        .expect("the line parses")
        .expect("the line is whole");
    assert!(buffer.is_empty());
    parse(args)
}

/// The replicated command in `line`.
pub(crate) fn request(line: &str) -> Request {
    match typed(line) {
        Ok(Parsed::Replicated(request)) => request,
        other => panic!("{line} is replicated, but parsed as {other:?}"),
    }
}

/// True for a request that goes through the log.
pub(crate) fn writes(request: &Request) -> bool {
    match request.class {
        Class::Write => true,
        Class::Read => false,
    }
}

/// The reply as a client reads it.
pub(crate) fn as_value(reply: &Reply, version: RespVersion) -> Value {
    let mut buffer = BytesMut::new();
    reply.encode(version, &mut buffer);
    let value = ValueDecoder::new()
        .next(&mut buffer)
        .expect("we write RESP")
        .expect("the reply is whole");
    assert!(buffer.is_empty(), "one reply is one value");
    value
}

/// The reply on one line: `+OK`, `-ERR ...`, `:1`, `"bulk"`, `nil`, `[array]`, `{map}`.
pub(crate) fn show(value: &Value) -> String {
    match value {
        Value::Status(text) => format!("+{text}"),
        Value::Error(text) => format!("-{text}"),
        Value::Integer(n) => format!(":{n}"),
        Value::Bulk(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        Value::Null => "nil".to_owned(),
        Value::Bool(is) => format!("#{is}"),
        Value::Double(n) => format!(",{n}"),
        Value::BigNumber(digits) => format!("({digits}"),
        Value::Array(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" ")),
        Value::Push(items) => format!(">[{}]", items.iter().map(show).collect::<Vec<_>>().join(" ")),
        Value::Map(pairs) => {
            let pairs: Vec<String> = pairs
                .iter()
                .map(|(key, value)| format!("{}: {}", show(key), show(value)))
                .collect();
            format!("{{{}}}", pairs.join(", "))
        }
    }
}

/// A random command of few keys and values, as its arguments.
pub(crate) fn random_args(prng: &mut Prng) -> Vec<Bytes> {
    let key = |prng: &mut Prng| ["k1", "k2", "s1", "s2"][prng.below(4) as usize].to_owned();
    let value = |prng: &mut Prng| prng.between(0, 12).to_string();
    let id = |prng: &mut Prng| format!("{}-{}", prng.between(0, 6), prng.between(0, 3));
    let words: Vec<String> = match prng.below(22) {
        0 => vec!["SET".into(), key(prng), value(prng)],
        1 => vec!["SET".into(), key(prng), value(prng), "NX".into(), "GET".into()],
        2 => vec!["SET".into(), key(prng), value(prng), "XX".into()],
        3 => vec!["SET".into(), key(prng), value(prng), "IFEQ".into(), value(prng)],
        4 => vec!["DEL".into(), key(prng), key(prng)],
        5 => vec!["MSET".into(), key(prng), value(prng), key(prng), value(prng)],
        6 => vec![
            "INCRBY".into(),
            key(prng),
            i64::from(prng.next_u64() as i32).to_string(),
        ],
        7 => vec!["APPEND".into(), key(prng), value(prng)],
        8 => vec!["XADD".into(), key(prng), "*".into(), "f".into(), value(prng)],
        9 | 10 => return stream_args(prng),
        11 => vec!["GET".into(), key(prng)],
        12 => vec!["EXISTS".into(), key(prng), key(prng)],
        13 => vec!["MGET".into(), key(prng), key(prng)],
        14 => vec![
            "XRANGE".into(),
            key(prng),
            id(prng),
            "+".into(),
            "COUNT".into(),
            value(prng),
        ],
        15 => vec![
            "XREVRANGE".into(),
            key(prng),
            "+".into(),
            format!("({}", id(prng)),
        ],
        16 => vec![
            "XREAD".into(),
            "STREAMS".into(),
            key(prng),
            key(prng),
            id(prng),
            "$".into(),
        ],
        17..21 => {
            let key = key(prng);
            return timed_args(prng, &key);
        }
        _ => vec![
            [
                "XLEN",
                "TYPE",
                "STRLEN",
                "INCR",
                "DECR",
                "PTTL",
                "EXPIRETIME",
                "PERSIST",
                "GETDEL",
            ][prng.below(9) as usize]
                .into(),
            key(prng),
        ],
    };
    words.into_iter().map(Bytes::from).collect()
}

/// One about when the key goes.
fn timed_args(prng: &mut Prng, key: &str) -> Vec<Bytes> {
    let number = prng.between(0, 12).to_string();
    let words: &[&str] = match prng.below(4) {
        0 => &["SET", key, "v", "PX", &number],
        1 => &["SET", key, "v", "KEEPTTL"],
        2 => &["PEXPIRE", key, &number, "GT"],
        _ => &["GETEX", key, "PXAT", &number],
    };
    words
        .iter()
        .map(|word| Bytes::copy_from_slice(word.as_bytes()))
        .collect()
}

/// One that adds to a stream, with an id of its own.
fn stream_args(prng: &mut Prng) -> Vec<Bytes> {
    let key = ["k1", "k2", "s1", "s2"][prng.below(4) as usize];
    let id = format!("{}-{}", prng.between(0, 6), prng.between(0, 3));
    let words: &[&str] = match prng.below(2) {
        0 => &["XADD", key, &id, "f", "1", "g", "12"],
        _ => &["XADD", key, "NOMKSTREAM", "3-*", "f", "7"],
    };
    words
        .iter()
        .map(|word| Bytes::copy_from_slice(word.as_bytes()))
        .collect()
}
