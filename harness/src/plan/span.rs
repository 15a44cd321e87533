//! Durations as people write them: `250ms`, `2s`, `5m`, `1h`; and ranges of them.
//!
//! Invariant: a span is a whole number of milliseconds, so that it is written the way it was read.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::{PlanError, require};

/// A duration in whole milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(u64);

impl Span {
    /// The span of `millis` milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Its length in milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Its length.
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }

    /// Whether it is no time at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, millis) = UNITS
            .into_iter()
            .find(|(_, millis)| self.0 != 0 && self.0.is_multiple_of(*millis))
            .unwrap_or(("s", 1000));
        write!(f, "{}{unit}", self.0 / millis)
    }
}

/// Not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration: write a whole number and ms, s, m or h, such as 250ms or 2s")]
pub struct SpanParseError(String);

impl FromStr for Span {
    type Err = SpanParseError;

    fn from_str(text: &str) -> Result<Self, SpanParseError> {
        let refuse = || SpanParseError(text.to_owned());
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(refuse)?;
        let (number, unit) = text.split_at(digits);
        let (_, millis) = UNITS
            .into_iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(refuse)?;
        let number: u64 = number.parse().map_err(|_| refuse())?;
        number.checked_mul(millis).map(Self).ok_or_else(refuse)
    }
}

impl TryFrom<String> for Span {
    type Error = SpanParseError;

    fn try_from(text: String) -> Result<Self, SpanParseError> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

/// From a shortest to a longest span, both included. Written `"2s"` or `["1s", "3s"]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(from = "OneOrTwo", into = "OneOrTwo")]
pub struct SpanRange {
    /// The shortest.
    pub low: Span,
    /// The longest.
    pub high: Span,
}

impl SpanRange {
    /// The spans from `low` to `high`.
    pub const fn new(low: Span, high: Span) -> Self {
        Self { low, high }
    }

    pub(super) fn validate(self, key: &str) -> Result<(), PlanError> {
        require(self.low <= self.high, key, || {
            format!("starts at {} beyond its end {}", self.low, self.high)
        })
    }
}

#[derive(Deserialize, Serialize)]
#[serde(
    untagged,
    expecting = "a duration such as \"2s\", or a range of two: [\"1s\", \"3s\"]"
)]
enum OneOrTwo {
    One(Span),
    Two([Span; 2]),
}

impl From<OneOrTwo> for SpanRange {
    fn from(written: OneOrTwo) -> Self {
        match written {
            OneOrTwo::One(span) => Self::new(span, span),
            OneOrTwo::Two([low, high]) => Self::new(low, high),
        }
    }
}

impl From<SpanRange> for OneOrTwo {
    fn from(range: SpanRange) -> Self {
        if range.low == range.high {
            Self::One(range.low)
        } else {
            Self::Two([range.low, range.high])
        }
    }
}

/// Largest first: a span is written in the largest unit that divides it.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_they_are_read() {
        for text in ["250ms", "2s", "5m", "1h", "0s", "1001ms"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("60s".parse::<Span>().unwrap(), "1m".parse().unwrap());
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "5",
            "s",
            "-1s",
            "1.5s",
            "5 s",
            "99999999999999999999s",
            "18446744073709551615h",
            "5d",
        ] {
            assert_eq!(text.parse::<Span>(), Err(SpanParseError(text.to_owned())));
        }
    }
}
