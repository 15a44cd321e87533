//! What makes a value longer, so that states become large and batches long.
//!
//! Invariant: it follows from the value's number, byte by byte, so that one that comes back otherwise is noticed.

use noraftd::prng::Prng;

/// The padding of `number`, all one letter: of two numbers, one has up to `max` bytes; of four, one has up to a sixteenth of that, and
/// one has none.
pub(super) fn padding(number: i64, max: u64) -> String {
    let mut prng = Prng::new(number.unsigned_abs());
    let max = match prng.below(4) {
        0 | 1 => max,
        2 => max / SHORTER,
        _ => 0,
    };
    let letter = char::from(b'a' + prng.below(26) as u8);
    letter.to_string().repeat(prng.between(0, max) as usize)
}

/// By how much a padding of the shorter kind is shorter.
const SHORTER: u64 = 16;
