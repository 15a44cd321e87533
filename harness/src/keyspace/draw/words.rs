//! The words that commands are made of.

use bytes::Bytes;
use noraftd::prng::Prng;

/// What words there are.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    /// The keys.
    pub keys: Vec<Bytes>,
    /// Ids of entries may come from a clock.
    pub has_clock: bool,
    /// There may be `IFEQ`, which Redis 7 does not know.
    pub has_ifeq: bool,
    /// There may be options that Redis has and the daemon refuses.
    pub has_refusals: bool,
    /// Keys may go at some time, which takes a level.
    pub has_expiry: bool,
    /// About what clocks show, in milliseconds.
    pub now: u64,
    /// Most bytes of a large value.
    pub value_bytes_max: u64,
}

impl Vocabulary {
    /// Every word, and keys with this prefix: a few for everything, one without bytes, one of bytes that are no text, a
    /// long one.
    pub fn new(prefix: &str) -> Self {
        let named = |end: &[u8]| Bytes::from([prefix.as_bytes(), end].concat());
        let numbered = (0..KEYS).map(|at| named(at.to_string().as_bytes()));
        let mut keys = vec![named(b""), named(&[b'k'; LONG_KEY_BYTES])];
        keys.extend(numbered);
        keys.push(named(b"\0\xff\r\n"));
        Self {
            keys,
            has_clock: true,
            has_ifeq: true,
            has_refusals: true,
            has_expiry: true,
            now: 0,
            value_bytes_max: 8 << 10,
        }
    }
}

pub(super) fn key(prng: &mut Prng, with: &Vocabulary) -> Bytes {
    prng.choose(&with.keys).cloned().unwrap_or_default()
}

/// A key for a command on strings: mostly one of the first half.
pub(super) fn text_key(prng: &mut Prng, with: &Vocabulary) -> Bytes {
    let (texts, _) = with.keys.split_at(with.keys.len() / 2);
    of_kind(prng, with, texts)
}

/// A key for a command on streams: mostly one of the second half.
pub(super) fn stream_key(prng: &mut Prng, with: &Vocabulary) -> Bytes {
    let (_, streams) = with.keys.split_at(with.keys.len() / 2);
    of_kind(prng, with, streams)
}

fn of_kind(prng: &mut Prng, with: &Vocabulary, mostly: &[Bytes]) -> Bytes {
    if prng.chance(1, OTHER_KIND_ONE_IN) {
        return key(prng, with);
    }
    prng.choose(mostly).cloned().unwrap_or_default()
}

/// A value: often a number, often at the end of what is one.
pub(super) fn value(prng: &mut Prng, with: &Vocabulary) -> Bytes {
    match prng.below(20) {
        0..8 => integer(prng),
        8..12 => option(prng, &["a", "b", "", "value"]),
        12..14 => bytes(prng),
        14 if prng.chance(1, 4) => {
            let length = prng.between(1, with.value_bytes_max.max(1));
            Bytes::from(vec![prng.below(256) as u8; length as usize])
        }
        _ => Bytes::from(prng.below(1_000_000).to_string()),
    }
}

pub(super) fn integer(prng: &mut Prng) -> Bytes {
    match prng.below(8) {
        0..4 => Bytes::from((prng.below(21) as i64 - 10).to_string()),
        4 | 5 => option(
            prng,
            &[
                "9223372036854775807",
                "-9223372036854775808",
                "9223372036854775806",
                "-9223372036854775807",
                "4611686018427387904",
                "-4611686018427387905",
            ],
        ),
        6 => option(
            prng,
            &[
                "9223372036854775808",
                "-9223372036854775809",
                "18446744073709551616",
                "-0",
                "00",
                "01",
                "+1",
                " 1",
                "1 ",
                "1.0",
                "1e3",
                "0x10",
                "",
                "-",
                "one",
            ],
        ),
        _ => Bytes::from((prng.next_u64() as i64).to_string()),
    }
}

/// Any bytes, a few of them.
pub(super) fn bytes(prng: &mut Prng) -> Bytes {
    let length = prng.below(40);
    (0..length).map(|_| prng.below(256) as u8).collect()
}

pub(super) fn name(prng: &mut Prng) -> Bytes {
    match prng.below(6) {
        0 => bytes(prng),
        _ => option(prng, &["field", "f", "g", ""]),
    }
}

/// An end of a range, or where to read on.
pub(super) fn id(prng: &mut Prng) -> Bytes {
    let plain = plain_id(prng);
    match prng.below(12) {
        0..3 => option(prng, &["-", "+", "-", "+", "*", "(", "(-", "(+"]),
        3..6 => Bytes::from(format!("({plain}")),
        6 => odd_id(prng),
        _ => Bytes::from(plain),
    }
}

pub(super) fn id_for_add(prng: &mut Prng, with: &Vocabulary) -> Bytes {
    match prng.below(16) {
        // After one of these a stream takes nothing else until it is deleted.
        0 if with.has_clock => Bytes::from_static(b"*"),
        3 | 4 if prng.chance(1, 8) => Bytes::from(format!("{}-{}", prng.below(IDS), u64::MAX)),
        5..8 => Bytes::from(format!("{}-*", prng.below(IDS))),
        8 if prng.chance(1, 4) => option(
            prng,
            &[
                "18446744073709551615-18446744073709551615",
                "18446744073709551615-18446744073709551614",
                "18446744073709551615-*",
            ],
        ),
        9 => odd_id(prng),
        _ => Bytes::from(plain_id(prng)),
    }
}

/// Few enough that equal ones meet, mostly.
fn plain_id(prng: &mut Prng) -> String {
    let ms = prng.below(IDS);
    match prng.below(6) {
        0 => ms.to_string(),
        1 => format!("0{ms}-00{}", prng.below(4)),
        _ => format!("{ms}-{}", prng.below(4)),
    }
}

fn odd_id(prng: &mut Prng) -> Bytes {
    option(
        prng,
        &[
            "0",
            "0-0",
            "0-1",
            "0-18446744073709551615",
            "18446744073709551615",
            "18446744073709551615-18446744073709551615",
            "18446744073709551616",
            "1-18446744073709551616",
            "5-",
            "-5",
            "1-2-3",
            "x-1",
            "1-x",
            "",
            "**",
            "1-**",
            "x-*",
            "-",
            "+",
        ],
    )
}

/// One of these words, in any case.
pub(super) fn option(prng: &mut Prng, words: &[&str]) -> Bytes {
    let word = prng.choose(words).copied().unwrap_or_default();
    any_case(prng, word)
}

/// As given, in capitals, or in small letters.
pub(super) fn any_case(prng: &mut Prng, word: &str) -> Bytes {
    Bytes::from(match prng.below(3) {
        0 => word.to_owned(),
        1 => word.to_ascii_uppercase(),
        _ => word.to_ascii_lowercase(),
    })
}

/// Few enough that each has many values.
const KEYS: u64 = 6;
/// So often a key may hold a value of the other type.
const OTHER_KIND_ONE_IN: u64 = 10;
const LONG_KEY_BYTES: usize = 600;
/// Milliseconds of ids.
const IDS: u64 = 12;
