//! Decimal numbers as Redis reads and writes them.
//!
//! Invariant: what [`parse_i64`] accepts is exactly what [`write_i64`] would write: no sign `+`, no
//! leading zeros, no blanks, no `-0`. A value stored by one is therefore equal, byte for byte, to itself.

use bytes::{Bytes, BytesMut};

/// Reads a number in its only decimal form; `None` for anything else.
pub(crate) fn parse_i64(text: &[u8]) -> Option<i64> {
    match text.split_first()? {
        (b'-', digits) => {
            let magnitude = parse_u64(digits).filter(|&n| n != 0)?;
            0_i64.checked_sub_unsigned(magnitude)
        }
        _ => i64::try_from(parse_u64(text)?).ok(),
    }
}

/// Reads an unsigned number in its only decimal form; `None` for anything else.
pub(crate) fn parse_u64(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || (digits.len() > 1 && digits.first() == Some(&b'0')) {
        return None;
    }
    digits.iter().try_fold(0_u64, |n, &digit| {
        let digit = digit.checked_sub(b'0').filter(|&digit| digit <= 9)?;
        n.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Appends `n` in decimal.
pub(crate) fn write_i64(n: i64, out: &mut BytesMut) {
    let mut digits = [0; DIGITS_MAX];
    out.extend_from_slice(decimal(n, &mut digits));
}

/// `n` in decimal.
pub(crate) fn decimal_bytes(n: i64) -> Bytes {
    let mut digits = [0; DIGITS_MAX];
    Bytes::copy_from_slice(decimal(n, &mut digits))
}

fn decimal(n: i64, digits: &mut [u8; DIGITS_MAX]) -> &[u8] {
    let mut rest = n.unsigned_abs();
    let mut at = DIGITS_MAX;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if n < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    &digits[at..]
}

/// Length of the longest one, `-9223372036854775808`.
const DIGITS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_form() {
        for n in [0, 1, -1, 9, 10, -10, 1234567890, i64::MAX, i64::MIN] {
            let text = decimal_bytes(n);
            assert_eq!(text, n.to_string());
            assert_eq!(parse_i64(&text), Some(n));
        }
        let others = [
            "",
            "-",
            "+1",
            "01",
            "-0",
            "-01",
            " 1",
            "1 ",
            "1.0",
            "0x1",
            "9223372036854775808",
        ];
        for text in others {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse_i64(b"-9223372036854775809"), None);
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
    }
}
