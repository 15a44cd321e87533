//! One part of many: `I/N`, as command lines and files write it.
//!
//! Invariant: a part that was read is one of those that there are, so its number is from 1 to their count.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Part `index` of `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    /// Which one, from 1.
    pub(crate) index: u64,
    /// Of how many.
    pub(crate) count: u64,
}

impl Shard {
    /// All there is.
    pub const WHOLE: Self = Self { index: 1, count: 1 };

    /// Which part it is, from 1.
    pub fn index(self) -> u64 {
        self.index
    }

    /// How many parts there are.
    pub fn count(self) -> u64 {
        self.count
    }

    /// Whether the thing with this number belongs to this part. Neighbours, which are alike, go to different ones.
    pub fn has(self, number: u64) -> bool {
        number % self.count == self.index - 1
    }

    /// Those of the same number of parts that are not among `there`.
    pub(crate) fn missing(there: &[Self]) -> Vec<Self> {
        let count = there.iter().map(|shard| shard.count).max().unwrap_or(0);
        let all = (1..=count).map(|index| Self { index, count });
        all.filter(|shard| !there.contains(shard)).collect()
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl TryFrom<String> for Shard {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || format!("`{text}` is no part: write I/N with I from 1 to N, such as 2/8");
        let (index, count) = text.split_once('/').ok_or_else(wanted)?;
        let number = |text: &str| text.parse().map_err(|_: ParseIntError| wanted());
        let (index, count) = (number(index)?, number(count)?);
        if (1..=count).contains(&index) {
            Ok(Self { index, count })
        } else {
            Err(wanted())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_belongs_to_one_part() {
        let parts: Vec<Shard> = (1..=7).map(|index| Shard { index, count: 7 }).collect();
        for number in 0..100 {
            assert_eq!(parts.iter().filter(|part| part.has(number)).count(), 1);
        }
        assert!((0..100).all(|number| Shard::WHOLE.has(number)));
        assert_eq!(Shard::missing(&parts[..6]), parts[6..]);
    }

    #[test]
    fn only_a_part_that_there_is_can_be_read() {
        let part: Shard = "2/8".parse().unwrap();
        assert_eq!(
            (part.index(), part.count(), part.to_string()),
            (2, 8, "2/8".to_owned())
        );
        for text in ["", "1", "0/3", "4/3", "1/0", "-1/3", "1/3/5", "a/b", "1 / 3"] {
            let error = text.parse::<Shard>().unwrap_err();
            assert!(error.starts_with(&format!("`{text}` is no part")), "{error}");
        }
    }
}
