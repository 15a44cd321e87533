//! Numbers of EDN and JSON, each in the one form that a [`Pool`] compares.
//!
//! An integer is an integer of any size, with or without the `N` of Clojure. A number with a point or an exponent has
//! 64 bits, with an `M` it is exact. What is spelled in no such way (octal, a ratio) is odd: it may equal something,
//! but what is not known here.

use crate::recording::datum::{Datum, Kind, Pool};

/// Reads `token`, which begins as a number does.
pub(super) fn read(token: &str, pool: &mut Pool) -> Datum {
    parse(token, pool).unwrap_or_else(|| pool.atom(Kind::Odd, token))
}

/// True when a token that begins like this is a number.
pub(super) fn begins(token: &[u8]) -> bool {
    match token {
        [b'-' | b'+', digit, ..] | [digit, ..] => digit.is_ascii_digit(),
        [] => false,
    }
}

fn parse(token: &str, pool: &mut Pool) -> Option<Datum> {
    let unsigned = token.strip_prefix(['-', '+']).unwrap_or(token);
    let is_negative = token.starts_with('-');
    let number = Number::split(unsigned)?;
    if !number.has_point && number.suffix != "M" {
        return Some(integer(number.whole, is_negative, pool));
    }
    if number.suffix == "M" {
        return decimal(&number, is_negative, pool);
    }
    let value: f64 = unsigned.parse().ok()?;
    let value = if is_negative && value != 0.0 {
        -value
    } else {
        value
    };
    // One that is too large equals every other one that is too large.
    value
        .is_finite()
        .then(|| pool.atom(Kind::Float, &format!("{value:?}")))
}

/// The parts of a number without its sign.
struct Number<'a> {
    whole: &'a str,
    fraction: &'a str,
    exponent: i32,
    has_point: bool,
    suffix: &'a str,
}

impl<'a> Number<'a> {
    /// `None` when it is spelled in another way.
    fn split(text: &'a str) -> Option<Self> {
        let (body, suffix) = match text.strip_suffix(['N', 'M']) {
            Some(body) => (body, &text[body.len()..]),
            None => (text, ""),
        };
        let (mantissa, exponent) = match body.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (body, None),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (mantissa, None),
        };
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let has_point = fraction.is_some() || exponent.is_some();
        let leads_with_zero = whole.len() > 1 && whole.starts_with('0');
        let is_plain = !whole.is_empty() && !leads_with_zero && digits(whole) && fraction.is_none_or(digits);
        if !is_plain || (has_point && suffix == "N") {
            return None;
        }
        Some(Self {
            whole,
            fraction: fraction.unwrap_or_default(),
            exponent: exponent.map_or(Some(0), |exponent| exponent.parse().ok())?,
            has_point,
            suffix,
        })
    }
}

fn integer(digits: &str, is_negative: bool, pool: &mut Pool) -> Datum {
    let sign = if is_negative { "-" } else { "" };
    let text = format!("{sign}{digits}");
    match text.parse() {
        Ok(number) => pool.int(number),
        Err(_) => pool.atom(Kind::Integer, &text),
    }
}

/// Digits without zeros at their end, and where the point is: 1.50 is 1.5.
fn decimal(number: &Number<'_>, is_negative: bool, pool: &mut Pool) -> Option<Datum> {
    let digits = format!("{}{}", number.whole, number.fraction);
    let kept = digits.trim_start_matches('0').trim_end_matches('0');
    if kept.is_empty() {
        return Some(pool.atom(Kind::Decimal, "0"));
    }
    let dropped = digits.len() - digits.trim_end_matches('0').len();
    let point = i64::from(number.exponent) - number.fraction.len() as i64 + dropped as i64;
    let sign = if is_negative { "-" } else { "" };
    let text = match usize::try_from(-point) {
        Ok(0) => kept.to_owned(),
        Ok(behind) if behind < kept.len() => {
            let (before, behind) = kept.split_at(kept.len() - behind);
            format!("{before}.{behind}")
        }
        Ok(_) | Err(_) => format!("{kept}E{point}"),
    };
    Some(pool.atom(Kind::Decimal, &format!("{sign}{text}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(pool: &mut Pool, spelled: &[&str]) -> Datum {
        let read: Vec<Datum> = spelled.iter().map(|text| read(text, pool)).collect();
        assert!(read.iter().all(|one| *one == read[0]), "{spelled:?}");
        assert!(!pool.is_odd(read[0]), "{spelled:?}");
        read[0]
    }

    #[test]
    fn one_number_is_one_value_however_it_is_spelled() {
        let mut pool = Pool::default();
        let numbers = [
            same(&mut pool, &["5", "5N", "+5"]),
            same(&mut pool, &["0", "-0", "0N"]),
            same(&mut pool, &["5.0", "5.00", "5e0", "0.5e1", "50E-1"]),
            same(&mut pool, &["5M", "5.0M", "5.00M", "50e-1M", "0.5e1M"]),
            same(&mut pool, &["-0.0", "0.0", "0e9"]),
            same(&mut pool, &["0M", "0.00M", "-0M"]),
            same(&mut pool, &["500M", "5e2M", "500.0M"]),
            same(&mut pool, &["0.005M", "5e-3M"]),
            same(&mut pool, &["1.25M", "1.250M", "125e-2M", "12.5e-1M"]),
            same(&mut pool, &["9223372036854775808", "9223372036854775808N"]),
            same(&mut pool, &["1152921504606846976", "1152921504606846976N"]),
            same(&mut pool, &["-9223372036854775808", "-9223372036854775808N"]),
        ];
        for (at, one) in numbers.iter().enumerate() {
            assert!(!numbers[..at].contains(one), "number {at} equals another one");
        }
    }

    #[test]
    fn what_is_spelled_in_another_way_is_odd() {
        let mut pool = Pool::default();
        for text in [
            "010",
            "0x10",
            "1/2",
            "5NM",
            "1e999",
            "1.5N",
            "1.2.3",
            "5e",
            "1e99999999999M",
            "12ab",
        ] {
            let datum = read(text, &mut pool);
            assert!(pool.is_odd(datum), "{text} is {}", pool.show(datum));
            assert_eq!(pool.show(datum), text);
        }
    }
}
