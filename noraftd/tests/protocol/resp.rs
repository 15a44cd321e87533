//! RESP: requests and replies, whole, cut anywhere, too large, and made of noise.

use bytes::{Bytes, BytesMut};
use noraftd::prng::Prng;
use noraftd::protocol::resp::{
    ARGS_MAX, BULK_BYTES_MAX, Double, INLINE_BYTES_MAX, ProtocolError, Reply, RequestParser, RespVersion,
    SKIPPED_BYTES_MAX, TooLarge, VALUE_DEPTH_MAX, Value, ValueDecoder, ValueError,
};

use super::support::{as_value, random_bytes};

type Commands = Vec<Vec<Bytes>>;

/// Feeds `bytes` in `chunks` and gives the commands, or the error that ended them.
fn feed<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Commands, Option<ProtocolError>) {
    let (mut parser, mut buffer, mut commands) = (RequestParser::new(), BytesMut::new(), Vec::new());
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        loop {
            match parser.next(&mut buffer) {
                Ok(Some(command)) => commands.push(command),
                Ok(None) => break,
                Err(error) => return (commands, Some(error)),
            }
        }
    }
    (commands, None)
}

fn words(words: &[&'static str]) -> Vec<Bytes> {
    words
        .iter()
        .map(|word| Bytes::from_static(word.as_bytes()))
        .collect()
}

#[test]
fn requests_are_the_same_wherever_they_are_cut() {
    let bytes =
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\na\r\nb\r\n*0\r\n*-1\r\nGET  'k'\r\n\r\nPING\n*1\r\n$0\r\n\r\n";
    let expected = vec![
        words(&["SET", "k", "a\r\nb"]),
        words(&["GET", "k"]),
        words(&["PING"]),
        words(&[""]),
    ];
    assert_eq!(feed([&bytes[..]]), (expected.clone(), None));
    assert_eq!(feed(bytes.chunks(1)), (expected.clone(), None));
    for cut in 0..bytes.len() {
        let (one, two) = bytes.split_at(cut);
        assert_eq!(feed([one, two]), (expected.clone(), None), "cut at {cut}");
    }
}

#[test]
fn each_protocol_error_has_its_text() {
    let cases: [(&[u8], &str); 12] = [
        (b"*x\r\n", "invalid multibulk length"),
        (b"*1048577\r\n", "invalid multibulk length"),
        (b"*9999999999999999999999\r\n", "too big count string"),
        (b"*1\rx", "expected a line end (CR LF)"),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"*1\r\n\n", "expected '$', got '\\n'"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"*1\r\n$abc\r\n", "invalid bulk length"),
        (b"*1\r\n$1111111111111111111111\r\n", "too big count string"),
        (b"*1\r\n$1\r\nabc", "expected a line end (CR LF)"),
        (b"GET \"k\r\n", "unbalanced quotes in request"),
    ];
    for (bytes, text) in cases {
        for chunk_bytes in [1, bytes.len()] {
            let (commands, error) = feed(bytes.chunks(chunk_bytes));
            assert_eq!(commands, Commands::new());
            let reply = error.unwrap_or_else(|| panic!("{text}")).to_reply();
            assert_eq!(reply, Reply::Error(format!("ERR Protocol error: {text}")));
        }
    }
}

#[test]
fn sizes_are_limited() {
    let line = vec![b'a'; INLINE_BYTES_MAX + 1];
    assert_eq!(feed([&line[..]]).1, Some(ProtocolError::InlineTooBig));
    assert_eq!(feed([&line[1..], b"\n"]).1, None);

    let widest = format!("*{ARGS_MAX}\r\n{}", "$0\r\n\r\n".repeat(ARGS_MAX));
    assert_eq!(feed([widest.as_bytes()]).0[0].len(), ARGS_MAX);
}

/// A command of these arguments, as sent.
fn command(args: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        out.extend(format!("${}\r\n", arg.len()).into_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[test]
fn a_command_that_is_too_large_is_skipped_and_the_next_one_is_understood() {
    let (most, one_more) = (vec![b'v'; BULK_BYTES_MAX], vec![b'\n'; BULK_BYTES_MAX + 1]);
    let wide = vec![&b"*1\r\n"[..]; ARGS_MAX + 1];
    for (bytes, limit) in [
        (command(&[b"SET", b"k", &one_more]), TooLarge::Argument),
        (command(&[&one_more]), TooLarge::Argument),
        (command(&[b"SET", &one_more, b"v"]), TooLarge::Argument),
        (command(&[b"MSET", b"a", &most, b"b", &most]), TooLarge::Command),
        (command(&wide), TooLarge::Arguments),
    ] {
        let bytes = [bytes, command(&[b"PING"])].concat();
        for chunk_bytes in [bytes.len(), 65_536, 65_537] {
            let (mut parser, mut buffer) = (RequestParser::new(), BytesMut::new());
            let mut seen = Vec::new();
            for chunk in bytes.chunks(chunk_bytes) {
                buffer.extend_from_slice(chunk);
                while let Some(next) = parser.next(&mut buffer).transpose() {
                    seen.push(next);
                }
            }
            let expected = vec![Err(ProtocolError::Skipped(limit)), Ok(words(&["PING"]))];
            assert_eq!(seen, expected, "{limit} in chunks of {chunk_bytes}");
            assert!(buffer.is_empty());
        }
    }
    let reply = ProtocolError::Skipped(TooLarge::Argument).to_reply();
    let text = "ERR an argument may have at most 16777216 bytes; nothing was done";
    assert_eq!(reply, Reply::Error(text.to_owned()));
}

#[test]
fn what_is_skipped_is_not_kept_and_has_an_end() {
    let (mut parser, mut buffer) = (RequestParser::new(), BytesMut::new());
    buffer.extend_from_slice(format!("*2\r\n${}\r\n", SKIPPED_BYTES_MAX).as_bytes());
    for _ in 0..SKIPPED_BYTES_MAX / 65_536 {
        buffer.extend_from_slice(&[b'x'; 65_536]);
        assert_eq!(parser.next(&mut buffer), Ok(None));
        assert!(buffer.is_empty());
    }
    buffer.extend_from_slice(b"\r\n$1\r\n");
    assert_eq!(parser.next(&mut buffer), Err(ProtocolError::Endless));
}

#[test]
fn noise_never_panics_a_parser() {
    for seed in 0..3_000 {
        let mut prng = Prng::new(seed);
        let alphabet = b"*$+-:_%~>|=!#,(0123456789\r\n\r\n\"'\\x ab";
        let length = prng.between(0, 60);
        let bytes: Vec<u8> = (0..length).map(|_| *prng.choose(alphabet).unwrap()).collect();
        let whole = feed([&bytes[..]]);
        let single = feed(bytes.chunks(1));
        assert_eq!(
            whole,
            single,
            "seed {seed}, {:?}",
            bytes.escape_ascii().to_string()
        );
        assert_eq!(
            values(&bytes, 1),
            values(&bytes, 64),
            "seed {seed}, {:?}",
            bytes.escape_ascii().to_string()
        );
    }
}

/// The replies in `bytes`, fed in chunks, as text because of NaN.
fn values(bytes: &[u8], chunk_bytes: usize) -> (Vec<String>, Option<ValueError>) {
    let (mut decoder, mut buffer, mut values) = (ValueDecoder::new(), BytesMut::new(), Vec::new());
    for chunk in bytes.chunks(chunk_bytes) {
        buffer.extend_from_slice(chunk);
        loop {
            match decoder.next(&mut buffer) {
                Ok(Some(value)) => values.push(format!("{value:?}")),
                Ok(None) => break,
                Err(error) => return (values, Some(error)),
            }
        }
    }
    (values, None)
}

#[test]
fn every_type_of_reply_is_read() {
    let read = |bytes: &str| {
        let mut buffer = BytesMut::from(bytes);
        let value = ValueDecoder::new().next(&mut buffer).map(|value| value.unwrap());
        assert!(value.is_err() || buffer.is_empty());
        value
    };
    let bulk = |text: &'static str| Value::Bulk(Bytes::from_static(text.as_bytes()));
    assert_eq!(read("+OK\r\n"), Ok(Value::Status("OK".into())));
    assert_eq!(read("-ERR x\r\n"), Ok(Value::Error("ERR x".into())));
    assert_eq!(read("!5\r\nERR x\r\n"), Ok(Value::Error("ERR x".into())));
    assert_eq!(read("=7\r\ntxt:abc\r\n"), Ok(bulk("abc")));
    assert_eq!(read("#t\r\n"), Ok(Value::Bool(true)));
    assert_eq!(read(",-1.5\r\n"), Ok(Value::Double(-1.5)));
    assert_eq!(
        read("(123456789012345678901\r\n"),
        Ok(Value::BigNumber("123456789012345678901".into()))
    );
    assert_eq!(read("$-1\r\n"), Ok(Value::Null));
    assert_eq!(read("*-1\r\n"), Ok(Value::Null));
    assert_eq!(read("_\r\n"), Ok(Value::Null));
    assert_eq!(read("*0\r\n"), Ok(Value::Array(vec![])));
    assert_eq!(
        read("~1\r\n*1\r\n:1\r\n"),
        Ok(Value::Array(vec![Value::Array(vec![Value::Integer(1)])]))
    );
    assert_eq!(
        read("%1\r\n+k\r\n$1\r\nv\r\n"),
        Ok(Value::Map(vec![(Value::Status("k".into()), bulk("v"))]))
    );
    assert_eq!(read(">1\r\n:1\r\n"), Ok(Value::Push(vec![Value::Integer(1)])));
    assert_eq!(
        read("*1\r\n|1\r\n+a\r\n:1\r\n:2\r\n"),
        Ok(Value::Array(vec![Value::Integer(2)]))
    );
    assert_eq!(read("|0\r\n:2\r\n"), Ok(Value::Integer(2)));

    assert_eq!(read("?\r\n"), Err(ValueError::UnknownType(b'?')));
    assert_eq!(read(":x\r\n"), Err(ValueError::Malformed(b':')));
    assert_eq!(read("$1\r\nabc"), Err(ValueError::ExpectedLineEnd));
    assert_eq!(read("*99999999\r\n"), Err(ValueError::TooManyElements));
    assert_eq!(read("$99999999\r\n"), Err(ValueError::BulkTooLong));
    assert_eq!(
        read(&"*1\r\n".repeat(VALUE_DEPTH_MAX + 1)),
        Err(ValueError::TooDeep)
    );
}

fn random_reply(prng: &mut Prng, depth: u64) -> Reply {
    match prng.below(if depth == 0 { 6 } else { 14 }) {
        0 => Reply::Status("OK"),
        1 => Reply::Error(format!("ERR {}", prng.below(100))),
        2 => Reply::Integer(prng.next_u64() as i64),
        3 => Reply::Bulk(random_bytes(prng, 20)),
        4 => Reply::Null,
        5 => Reply::NullArray,
        6 => Reply::Array(
            (0..prng.below(4))
                .map(|_| random_reply(prng, depth - 1))
                .collect(),
        ),
        7 => Reply::Map(random_pairs(prng, depth - 1)),
        8 => Reply::Push(vec![random_reply(prng, depth - 1)]),
        10 => Reply::Double(Double::new(prng.below(1000) as f64 / 8.0).expect("it is a number")),
        9 => Reply::Set(vec![random_reply(prng, depth - 1)]),
        11 => Reply::Rows(random_pairs(prng, depth - 1)),
        12 => Reply::Line("a status".to_owned()),
        _ => Reply::Pairs(random_pairs(prng, depth - 1)),
    }
}

fn random_pairs(prng: &mut Prng, depth: u64) -> Vec<(Reply, Reply)> {
    (0..prng.below(3))
        .map(|_| (random_reply(prng, depth), random_reply(prng, depth)))
        .collect()
}

/// What a client should see.
fn expected(reply: &Reply, version: RespVersion) -> Value {
    let inner = |reply: &Reply| expected(reply, version);
    let pair = |(key, value): &(Reply, Reply)| (inner(key), inner(value));
    match (reply, version) {
        (Reply::Status(text), _) => Value::Status((*text).to_owned()),
        (Reply::Error(text), _) => Value::Error(text.clone()),
        (Reply::Line(text), _) => Value::Status(text.clone()),
        (Reply::Double(number), RespVersion::V2) => Value::Bulk(number.to_bytes()),
        (Reply::Double(number), RespVersion::V3) => Value::Double(number.get()),
        (Reply::Integer(n), _) => Value::Integer(*n),
        (Reply::Bulk(bytes), _) => Value::Bulk(bytes.clone()),
        (Reply::Null | Reply::NullArray, _) => Value::Null,
        (Reply::Array(items) | Reply::Set(items), _) => Value::Array(items.iter().map(inner).collect()),
        (Reply::Push(items), RespVersion::V2) => Value::Array(items.iter().map(inner).collect()),
        (Reply::Push(items), RespVersion::V3) => Value::Push(items.iter().map(inner).collect()),
        (Reply::Several(_), _) => unreachable!("it is more than one value, and none is drawn"),
        (Reply::Map(pairs) | Reply::Pairs(pairs), RespVersion::V3) => {
            Value::Map(pairs.iter().map(pair).collect())
        }
        (Reply::Map(pairs) | Reply::Rows(pairs), RespVersion::V2) => Value::Array(
            pairs
                .iter()
                .flat_map(|(key, value)| [inner(key), inner(value)])
                .collect(),
        ),
        (Reply::Pairs(pairs), RespVersion::V2) | (Reply::Rows(pairs), RespVersion::V3) => Value::Array(
            pairs
                .iter()
                .map(|(key, value)| Value::Array(vec![inner(key), inner(value)]))
                .collect(),
        ),
    }
}

#[test]
fn replies_are_read_as_they_were_written() {
    for seed in 0..500 {
        let mut prng = Prng::new(seed);
        let reply = random_reply(&mut prng, 4);
        for version in [RespVersion::V2, RespVersion::V3] {
            assert_eq!(
                as_value(&reply, version),
                expected(&reply, version),
                "seed {seed}"
            );
            let mut bytes = BytesMut::new();
            reply.encode(version, &mut bytes);
            assert_eq!(values(&bytes, 1), values(&bytes, usize::MAX), "seed {seed}");
        }
    }
}
