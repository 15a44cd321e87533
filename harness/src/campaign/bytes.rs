//! Sizes as people write them: `512MiB`, `10GiB`.
//!
//! Invariant: a size is a whole number of bytes, so that it is written the way it was read.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bytes(u64);

impl Bytes {
    /// So many bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// How many they are.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// Not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a size: write a whole number and B, KiB, MiB, GiB or TiB, such as 10GiB")]
pub struct BytesParseError(String);

impl FromStr for Bytes {
    type Err = BytesParseError;

    fn from_str(text: &str) -> Result<Self, BytesParseError> {
        let refuse = || BytesParseError(text.to_owned());
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(refuse)?;
        let (number, unit) = text.split_at(digits);
        let (_, factor) = UNITS
            .into_iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(refuse)?;
        let number: u64 = number.parse().map_err(|_| refuse())?;
        number.checked_mul(factor).map(Self).ok_or_else(refuse)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = UNITS
            .into_iter()
            .find(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor))
            .unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl TryFrom<String> for Bytes {
    type Error = BytesParseError;

    fn try_from(text: String) -> Result<Self, BytesParseError> {
        text.parse()
    }
}

impl From<Bytes> for String {
    fn from(bytes: Bytes) -> Self {
        bytes.to_string()
    }
}

/// Largest first: a size is written in the largest unit that divides it.
const UNITS: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_they_are_read() {
        for text in ["10GiB", "1TiB", "3KiB", "17B", "0B"] {
            assert_eq!(text.parse::<Bytes>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "10", "GiB", "10GB", "-1B", "1.5GiB", "99999999TiB"] {
            assert_eq!(text.parse::<Bytes>(), Err(BytesParseError(text.to_owned())));
        }
    }
}
