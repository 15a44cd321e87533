//! When something ran.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::run::utc;

/// A moment as folders are named by it, `20261129T131100Z`, and where it is from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct When {
    stamp: String,
    /// Whether it is only the time at which the file was written.
    is_of_file: bool,
}

impl When {
    /// The moment that `text` begins with, such as the name of a run's folder.
    pub fn of_name(text: &str) -> Option<Self> {
        let stamp = text.get(..SHAPE.len())?;
        let fits = stamp.bytes().zip(SHAPE.bytes()).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            _ => byte == shape,
        });
        fits.then(|| Self {
            stamp: stamp.to_owned(),
            is_of_file: false,
        })
    }

    /// When a file was written, for what has no better time.
    pub fn of_file(written: SystemTime) -> Self {
        let since = written.duration_since(UNIX_EPOCH);
        Self {
            stamp: utc(since.map_or(0, |since| since.as_secs())),
            is_of_file: true,
        }
    }

    /// The day, `2026-11-29`.
    pub fn day(&self) -> String {
        format!("{}-{}-{}", &self.stamp[..4], &self.stamp[4..6], &self.stamp[6..8])
    }

    /// Whether it is only the time at which the file was written.
    pub fn is_of_file(&self) -> bool {
        self.is_of_file
    }
}

impl fmt::Display for When {
    /// `2026-11-29 13:11:00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = &self.stamp[9..15];
        write!(f, "{} {}:{}:{}", self.day(), &time[..2], &time[2..4], &time[4..])
    }
}

/// Whether `text` is a day, `2026-11-29`.
pub fn is_day(text: &str) -> bool {
    let shape = b"0000-00-00";
    let fits = |(byte, shape): (u8, &u8)| match shape {
        b'0' => byte.is_ascii_digit(),
        _ => byte == *shape,
    };
    text.len() == shape.len() && text.bytes().zip(shape).all(fits)
}

/// How folders are named: a digit for each zero.
const SHAPE: &str = "00000000T000000Z";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_folder_says_when_in_its_name() {
        let when = When::of_name("20261129T131100Z-7").unwrap();
        assert_eq!(when.to_string(), "2026-11-29 13:11:00");
        assert_eq!(when.day(), "2026-11-29");
        for name in [
            "",
            "latest",
            "20261129T131100",
            "2026é129T131100Z",
            "20261129t131100Z",
        ] {
            assert_eq!(When::of_name(name), None, "{name}");
        }
        let written = When::of_file(UNIX_EPOCH + Duration::from_secs(86_400));
        assert_eq!(written.to_string(), "1970-01-02 00:00:00");
        assert!(written.is_of_file() && !when.is_of_file());
    }

    #[test]
    fn a_day_has_digits_and_two_lines() {
        assert!(is_day("2026-11-29"));
        assert!(!is_day("2026-11-2") && !is_day("2026/11/29") && !is_day("tomorrow"));
    }
}
