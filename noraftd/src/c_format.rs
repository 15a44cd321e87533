//! Finite numbers as C's `printf` writes them, without a C library: the same text on every machine.

/// `%g` of a finite number; `keeps_zeros` as with the flag `#`.
pub(crate) fn general(number: f64, precision: usize, keeps_zeros: bool) -> String {
    let precision = precision.max(1);
    let scientific = format!("{number:.*e}", precision - 1);
    let (mantissa, exponent) = split_exponent(&scientific);
    let limit = i32::try_from(precision).unwrap_or(i32::MAX);
    if (-4..limit).contains(&exponent) {
        let places = usize::try_from(limit - 1 - exponent).unwrap_or(0);
        let text = format!("{number:.places$}");
        return if keeps_zeros {
            text
        } else {
            without_zeros(&text).to_owned()
        };
    }
    let mantissa = if keeps_zeros {
        mantissa
    } else {
        without_zeros(mantissa)
    };
    with_exponent(mantissa, exponent)
}

/// `%e` of a finite number.
pub(crate) fn exponential(number: f64, precision: usize) -> String {
    let scientific = format!("{number:.precision$e}");
    let (mantissa, exponent) = split_exponent(&scientific);
    with_exponent(mantissa, exponent)
}

fn split_exponent(scientific: &str) -> (&str, i32) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    (mantissa, exponent.parse().unwrap_or(0))
}

fn with_exponent(mantissa: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// The number without what a fraction does not need.
pub(crate) fn without_zeros(number: &str) -> &str {
    match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_are_those_of_printf() {
        assert_eq!(exponential(12345.678, 2), "1.23e+04");
        assert_eq!(exponential(0.0, 0), "0e+00");
        assert_eq!(general(0.1, 17, false), "0.10000000000000001");
        assert_eq!(general(100.0, 0, false), "1e+02");
        assert_eq!(general(1.5, 4, true), "1.500");
        assert_eq!(general(1e-5, 3, true), "1.00e-05");
    }
}
