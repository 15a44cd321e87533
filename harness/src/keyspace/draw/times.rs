//! Times that keys are to go at: soon, so that they do; long ago; and at the ends of what is a time.

use bytes::Bytes;
use noraftd::prng::Prng;

use super::words::{Vocabulary, integer, option};

/// What a number means as a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ex,
    Px,
    ExAt,
    PxAt,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Ex, Self::Px, Self::ExAt, Self::PxAt];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ex => "EX",
            Self::Px => "PX",
            Self::ExAt => "EXAT",
            Self::PxAt => "PXAT",
        }
    }

    pub(super) fn is_absolute(self) -> bool {
        matches!(self, Self::ExAt | Self::PxAt)
    }

    fn is_in_seconds(self) -> bool {
        matches!(self, Self::Ex | Self::ExAt)
    }
}

/// The number behind such a word.
pub(super) fn time(prng: &mut Prng, with: &Vocabulary, kind: Kind) -> Bytes {
    let millis = match prng.below(16) {
        0 => return integer(prng),
        1 => {
            return option(
                prng,
                &[
                    "0",
                    "-1",
                    "9223372036854775",
                    "9223372036854776",
                    "-9223372036854775",
                    "-9223372036854776",
                    "9223372036854775807",
                    "-9223372036854775808",
                ],
            );
        }
        // Far away, in the same order for all.
        2..4 => FAR_AWAY + 1000 * prng.below(4) + if kind.is_absolute() { with.now } else { 0 },
        _ if kind.is_absolute() && !with.has_clock => FAR_AWAY + with.now + prng.below(4000),
        _ if kind.is_absolute() => with.now + prng.below(SOON),
        _ => prng.below(SOON),
    };
    let number = if kind.is_in_seconds() {
        millis.div_ceil(1000)
    } else {
        millis
    };
    Bytes::from(number.to_string())
}

/// True for words that may be a command about when keys go.
pub(super) fn takes_level(words: &[Bytes]) -> bool {
    let is_one_of =
        |word: &Bytes, of: &[&str]| of.iter().any(|one| word.eq_ignore_ascii_case(one.as_bytes()));
    let options = ["EX", "PX", "EXAT", "PXAT", "KEEPTTL", "PERSIST"];
    let mut words = words.iter();
    words.next().is_some_and(|name| is_one_of(name, &TIMED)) || words.any(|word| is_one_of(word, &options))
}

/// Commands that take a level whatever their options.
const TIMED: [&str; 14] = [
    "EXPIRE",
    "EXPIREAT",
    "EXPIRETIME",
    "GETDEL",
    "PERSIST",
    "PEXPIRE",
    "PEXPIREAT",
    "PEXPIRETIME",
    "PSETEX",
    "PTTL",
    "SETEX",
    "SETNX",
    "TTL",
    "GETEX",
];

/// Milliseconds in which much happens.
const SOON: u64 = 400;
/// Milliseconds in which everything ends.
const FAR_AWAY: u64 = 100_000_000;
