//! Sums of decimal numbers, for `INCRBYFLOAT` and its kin.
//!
//! Redis adds numbers of 80 bits, which not every machine has, and shows 17 places. Here a sum is exact in 17 places, up to 10^21; beyond
//! that one of the 64 bits that every machine adds alike.

use bytes::Bytes;

use super::double::Double;
use crate::c_format::without_zeros;

/// A number to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decimal {
    /// So many units of the last place.
    Exact(i128),
    /// One that has more digits.
    Wide(Double),
}

impl Decimal {
    /// Nothing.
    pub const ZERO: Self = Self::Exact(0);

    /// Reads a number; what is beyond the last place is rounded.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let double = Double::parse(text)?;
        Some(exact(text).map_or(Self::Wide(double), Self::Exact))
    }

    /// True for a number, false for what is infinite.
    pub fn is_finite(self) -> bool {
        self.to_float().is_finite()
    }

    /// The sum, unless it is too large.
    pub fn plus(self, other: Self) -> Option<Self> {
        if let (Self::Exact(one), Self::Exact(other)) = (self, other)
            && let Some(sum) = one.checked_add(other)
        {
            return Some(Self::Exact(sum));
        }
        let sum = self.to_float() + other.to_float();
        Double::new(sum).filter(|_| sum.is_finite()).map(Self::Wide)
    }

    fn to_float(self) -> f64 {
        match self {
            Self::Exact(units) => units as f64 / UNITS as f64,
            Self::Wide(double) => double.get(),
        }
    }

    /// The number, without an exponent and without zeros at the end.
    pub fn to_bytes(self) -> Bytes {
        let text = match self {
            Self::Exact(units) => {
                let sign = if units < 0 { "-" } else { "" };
                let units = units.unsigned_abs();
                format!(
                    "{sign}{}.{:017}",
                    units / UNITS.unsigned_abs(),
                    units % UNITS.unsigned_abs()
                )
            }
            Self::Wide(double) => format!("{:.17}", double.get()),
        };
        Bytes::from(without_zeros(&text).to_owned())
    }
}

/// A number that was read before, in units of the last place; `None` where it has too many digits.
fn exact(text: &[u8]) -> Option<i128> {
    let mantissa_bytes = text
        .iter()
        .position(|byte| matches!(byte, b'e' | b'E'))
        .unwrap_or(text.len());
    let (mantissa, exponent) = text.split_at(mantissa_bytes);
    let exponent: i32 = match exponent.get(1..) {
        Some(digits) => std::str::from_utf8(digits).ok()?.parse().ok()?,
        None => 0,
    };
    let (mut units, mut places, mut is_fraction) = (0_i128, 0_i32, false);
    for byte in mantissa {
        match byte {
            b'+' | b'-' => {}
            b'.' => is_fraction = true,
            b'0'..=b'9' => {
                units = units.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
                places += i32::from(is_fraction);
            }
            _ => return None,
        }
    }
    let shift = exponent.checked_sub(places)?.checked_add(PLACES)?;
    let power = 10_i128.checked_pow(shift.unsigned_abs());
    let units = match (shift >= 0, power) {
        (true, Some(power)) => units.checked_mul(power)?,
        (true, None) => (units == 0).then_some(0)?,
        (false, Some(power)) => rounded(units, power),
        (false, None) => 0,
    };
    Some(if text.first() == Some(&b'-') {
        -units
    } else {
        units
    })
}

/// The quotient, rounded to the nearest, and to an even one between two.
fn rounded(units: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (units / divisor, units % divisor);
    let (half, is_odd) = (divisor / 2, quotient % 2 == 1);
    quotient + i128::from(rest > half || rest == half && is_odd)
}

const PLACES: i32 = 17;
/// Of the last place, in one.
const UNITS: i128 = 100_000_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(one: &str, other: &str) -> Option<String> {
        let of = |text: &str| Decimal::parse(text.as_bytes()).expect("it is a number");
        let sum = of(one).plus(of(other))?.to_bytes();
        Some(String::from_utf8(sum.to_vec()).expect("it is text"))
    }

    #[test]
    fn sums_are_those_of_decimal_numbers() {
        for (one, other, expected) in [
            ("3.0", "1.1", "4.1"),
            ("0", "-0.1", "-0.1"),
            ("1.5", "-1.5", "0"),
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("17179869184", "1.5", "17179869185.5"),
            ("1e-17", "0", "0.00000000000000001"),
            ("25e-19", "0", "0"),
            ("75e-19", "0", "0.00000000000000001"),
            ("1e-18", "0", "0"),
            ("1e-300", "1", "1"),
            ("1e21", "1e21", "2000000000000000000000"),
            ("+.5", "5.", "5.5"),
        ] {
            assert_eq!(sum(one, other).as_deref(), Some(expected), "{one} + {other}");
        }
        let wide = sum("1e30", "1").expect("it is no more than a float holds");
        assert!(
            wide.starts_with("10000000000000000198") && wide.len() == 31,
            "{wide}"
        );
        assert_eq!(sum("1e308", "1e308"), None);
        assert_eq!(sum("inf", "1"), None);
    }
}
