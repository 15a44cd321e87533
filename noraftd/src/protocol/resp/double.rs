//! Numbers with a fraction, as Redis reads and writes them: 64 bits, and the text of C's `%.17g`.
//!
//! Invariant: one is never "not a number", so they have an order; zero is zero, whatever its sign.

use std::cmp::Ordering;

use bytes::Bytes;

use crate::c_format::general;

/// A number of 64 bits, which may be infinite.
#[derive(Debug, Clone, Copy)]
pub struct Double(f64);

impl Double {
    /// The number, if it is one.
    pub fn new(number: f64) -> Option<Self> {
        (!number.is_nan()).then_some(Self(number))
    }

    /// Reads a number as C's `strtod` does, without blanks and hexadecimal digits; `None` for what is none, or too large or too small.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let number = text.parse::<f64>().ok()?;
        let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
        let names_infinity = text.bytes().any(|byte| byte.eq_ignore_ascii_case(&b'n'));
        let is_lost = number == 0.0 && mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
        let is_beyond = number.is_infinite() && !names_infinity;
        Self::new(number).filter(|_| !is_lost && !is_beyond)
    }

    /// As a float.
    pub const fn get(self) -> f64 {
        self.0
    }

    /// In 17 significant digits.
    pub fn to_bytes(self) -> Bytes {
        Bytes::from(significant(self.0))
    }
}

impl PartialEq for Double {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Double {}

impl PartialOrd for Double {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Double {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0
            .partial_cmp(&other.0)
            .expect("what is no number is not made")
    }
}

/// `%.17g`: as many digits as tell it from every other number, without zeros at the end.
fn significant(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    general(number, 17, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_c_writes_them() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (2.2, "2.2000000000000002"),
            (0.1, "0.10000000000000001"),
            (0.0001, "0.0001"),
            (0.00001, "1.0000000000000001e-05"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (123456789012345680000.0, "1.2345678901234568e+20"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            let double = Double::new(number).expect("it is a number");
            assert_eq!(double.to_bytes(), text);
            let back = Double::parse(text.as_bytes()).expect("it was written");
            assert_eq!(back.get().to_bits(), number.to_bits());
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "", " 1", "1 ", "nan", "-nan", "x", "1e400", "-1e400", "1e-400", "1,5",
        ] {
            assert_eq!(Double::parse(text.as_bytes()), None, "{text:?}");
        }
        for (text, number) in [
            ("+1", 1.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("-Infinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(Double::parse(text.as_bytes()), Double::new(number), "{text:?}");
        }
    }

    #[test]
    fn both_zeros_are_one_place() {
        assert_eq!(Double::new(0.0), Double::new(-0.0));
        assert!(Double::new(-0.1) < Double::new(0.0));
    }
}
