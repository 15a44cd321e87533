//! Numbers as text, and back: what C's `strtod` and `printf` do, without a C library.
//!
//! Invariant: the same number has the same text on every machine. What is no number has no sign: that is the processor's choice.

use crate::c_format::general;

/// Reads a whole text as a number, with blanks around it, as `tonumber` does.
pub(crate) fn parse(text: &[u8]) -> Option<f64> {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"\x0b").unwrap_or(text).trim_ascii();
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let number = match digits {
        [b'0', b'x' | b'X', digits @ ..] => hexadecimal(digits)?,
        _ => named(digits).or_else(|| decimal(digits))?,
    };
    Some(if is_negative { -number } else { number })
}

fn hexadecimal(digits: &[u8]) -> Option<f64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0.0, |number: f64, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(number * 16.0 + f64::from(digit))
    })
}

fn named(text: &[u8]) -> Option<f64> {
    let is = |name: &str| text.eq_ignore_ascii_case(name.as_bytes());
    if is("inf") || is("infinity") {
        return Some(f64::INFINITY);
    }
    is("nan").then_some(f64::NAN)
}

fn decimal(text: &[u8]) -> Option<f64> {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
    let begins = matches!(text.first(), Some(b'0'..=b'9' | b'.'));
    if !begins || !text.iter().all(is_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Reads digits of another base, as `tonumber` with two arguments does.
pub(crate) fn parse_base(text: &[u8], base: u32) -> Option<f64> {
    let text = text.trim_ascii();
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let digits = match digits {
        [b'0', b'x' | b'X', digits @ ..] if base == 16 => digits,
        digits => digits,
    };
    if digits.is_empty() {
        return None;
    }
    let number = digits.iter().try_fold(0.0, |number: f64, digit| {
        let digit = char::from(*digit).to_digit(base)?;
        Some(number * f64::from(base) + f64::from(digit))
    })?;
    Some(if is_negative { -number } else { number })
}

/// `%.14g`: a number where text is needed.
pub(crate) fn show(number: f64) -> String {
    let is_short = number.fract() == 0.0 && number.abs() < 1e14;
    match not_finite(number) {
        Some(text) => text.to_owned(),
        None if is_short && (number != 0.0 || number.is_sign_positive()) => format!("{number:.0}"),
        None => general(number, 14, false),
    }
}

/// What is infinite, or no number.
pub(crate) fn not_finite(number: f64) -> Option<&'static str> {
    match number {
        _ if number.is_nan() => Some("nan"),
        f64::INFINITY => Some("inf"),
        f64::NEG_INFINITY => Some("-inf"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_c_writes_them() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (10.0, "10"),
            (-2.5, "-2.5"),
            (0.1, "0.1"),
            (1.0 / 3.0, "0.33333333333333"),
            (1e14, "1e+14"),
            (1e15, "1e+15"),
            (123456789012345.0, "1.2345678901234e+14"),
            (1e-5, "1e-05"),
            (f64::INFINITY, "inf"),
            (-f64::NAN, "nan"),
        ] {
            assert_eq!(show(number), text);
        }
    }

    #[test]
    fn only_numbers_are_read() {
        for (text, number) in [
            ("10", 10.0),
            (" -1.5e2\n", -150.0),
            ("0x1F", 31.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("inf", f64::INFINITY),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(number), "{text}");
        }
        for text in ["", " ", "x", "1x", "0x", "e5", "1e", "--1", "1 2", "infinit"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_base(b"zz", 36), Some(1295.0));
        assert_eq!(parse_base(b"12", 2), None);
    }
}
