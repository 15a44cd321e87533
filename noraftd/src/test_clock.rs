//! A testing aid: a node's clocks as a file says them, so that the process that writes the file moves them.
//!
//! Each clock is a straight line over the system's monotonic time (`CLOCK_MONOTONIC`, which all processes of a machine share):
//! what it showed at one moment, and how fast it has run since. The file has both in one line of fixed width, which is
//! rewritten in place:
//!
//! `clocks 1 since NS monotonic NS rate PERMILLE wall NS rate PERMILLE sum CRC32`
//!
//! | word | what follows |
//! |-|-|
//! | `clocks` | the version of the format |
//! | `since` | the moment, in nanoseconds of the system's monotonic time |
//! | `monotonic` | what the node's monotonic clock showed at that moment, in nanoseconds |
//! | `wall` | what its wall clock showed, in nanoseconds since the Unix epoch |
//! | `rate` | how fast the clock before it has run since, in thousandths; a clock of rate 0 stands still |
//! | `sum` | the CRC-32 of all before it, in hexadecimal: a line that is read while it is written is none |
//!
//! Invariant: what is read is what was written as a whole.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use crate::time::Instant;

/// What a node's two clocks show, as a function of the system's monotonic time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// In nanoseconds of the system's monotonic time.
    since: u64,
    /// In nanoseconds from any origin.
    pub monotonic: Dial,
    /// In nanoseconds since the Unix epoch.
    pub wall: Dial,
}

/// One clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dial {
    /// What it showed at the beginning.
    pub shown: u64,
    /// How fast it has run since, in thousandths; below 100,000.
    pub rate: u64,
}

impl Dial {
    /// How fast a clock runs that is not disturbed.
    pub const NORMAL: u64 = 1000;

    /// What it shows when so much of the system's time has passed.
    fn after(self, nanos: u64) -> u64 {
        let passed = u128::from(nanos) * u128::from(self.rate) / u128::from(Self::NORMAL);
        self.shown
            .saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }
}

impl Clocks {
    /// Clocks that show the system's times from now on.
    pub fn right(system: Instant, wall_nanos: u64) -> Self {
        let dial = |shown| Dial {
            shown,
            rate: Dial::NORMAL,
        };
        Self {
            since: system.as_nanos(),
            monotonic: dial(system.as_nanos()),
            wall: dial(wall_nanos),
        }
    }

    /// The same clocks, described as of `system`: changed from here, they begin at what they show then.
    #[must_use]
    pub fn as_of(&self, system: Instant) -> Self {
        let passed = self.passed(system);
        let go_on = |dial: Dial| Dial {
            shown: dial.after(passed),
            ..dial
        };
        Self {
            since: self.since.max(system.as_nanos()),
            monotonic: go_on(self.monotonic),
            wall: go_on(self.wall),
        }
    }

    /// What the monotonic clock shows.
    pub fn monotonic_at(&self, system: Instant) -> Instant {
        Instant::from_nanos(self.monotonic.after(self.passed(system)))
    }

    /// What the wall clock shows, in nanoseconds since the Unix epoch.
    pub fn wall_at(&self, system: Instant) -> u64 {
        self.wall.after(self.passed(system))
    }

    /// How long the system's time runs while the monotonic clock runs for `ahead`; `None` while it stands still.
    pub fn takes(&self, ahead: Duration) -> Option<Duration> {
        let nanos = ahead.as_nanos().saturating_mul(u128::from(Dial::NORMAL));
        let takes = nanos.checked_div(u128::from(self.monotonic.rate))?;
        Some(Duration::from_nanos(u64::try_from(takes).unwrap_or(u64::MAX)))
    }

    fn passed(&self, system: Instant) -> u64 {
        system.as_nanos().saturating_sub(self.since)
    }

    fn to_line(self) -> String {
        let Self {
            since,
            monotonic,
            wall,
        } = self;
        let said = format!(
            "clocks {VERSION} since {since:020} monotonic {:020} rate {:05} wall {:020} rate {:05}",
            monotonic.shown, monotonic.rate, wall.shown, wall.rate
        );
        let sum = crc32fast::hash(said.as_bytes());
        format!("{said} sum {sum:08x}\n")
    }

    fn parse(line: &str) -> Option<Self> {
        let (said, sum) = line.trim_end().rsplit_once(" sum ")?;
        if u32::from_str_radix(sum, 16) != Ok(crc32fast::hash(said.as_bytes())) {
            return None;
        }
        let words: Vec<&str> = said.split(' ').collect();
        let dial = |shown: &str, rate: &str| {
            let (shown, rate) = (shown.parse().ok()?, rate.parse().ok()?);
            Some(Dial { shown, rate })
        };
        match words.as_slice() {
            [
                "clocks",
                VERSION,
                "since",
                since,
                "monotonic",
                monotonic,
                "rate",
                rate,
                "wall",
                wall,
                "rate",
                wall_rate,
            ] => Some(Self {
                since: since.parse().ok()?,
                monotonic: dial(monotonic, rate)?,
                wall: dial(wall, wall_rate)?,
            }),
            _ => None,
        }
    }
}

/// The file that says what a node's clocks show.
#[derive(Debug)]
pub struct ClockFile(File);

impl ClockFile {
    /// Makes the file, or takes the one that is there; what it says is `clocks`.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn create(path: &Path, clocks: &Clocks) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        let file = Self(file);
        file.write(clocks)?;
        Ok(file)
    }

    /// Opens a file that says something.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or says nothing.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = Self(File::open(path)?);
        file.read()?;
        Ok(file)
    }

    /// From now on the clocks are these.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write(&self, clocks: &Clocks) -> io::Result<()> {
        self.0.write_all_at(clocks.to_line().as_bytes(), 0)
    }

    /// What the clocks are.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or says nothing, also when it is asked several times.
    pub fn read(&self) -> io::Result<Clocks> {
        let mut line = [0; LINE_BYTES_MAX];
        for _ in 0..READS_MAX {
            let length = self.0.read_at(&mut line, 0)?;
            let text = line.get(..length).and_then(|line| std::str::from_utf8(line).ok());
            if let Some(clocks) = text.and_then(Clocks::parse) {
                return Ok(clocks);
            }
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it does not say what the clocks show",
        ))
    }
}

const VERSION: &str = "1";
/// A line has 128 bytes.
const LINE_BYTES_MAX: usize = 192;
/// A line is written in less than a microsecond.
const READS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn clocks_run_at_their_rates_from_what_they_showed() {
        let right = Clocks::right(at(100), 5000);
        assert_eq!(
            (right.monotonic_at(at(150)), right.wall_at(at(150))),
            (at(150), 5050)
        );
        let mut odd = right.as_of(at(200));
        (odd.monotonic.rate, odd.wall.rate) = (500, 0);
        odd.wall.shown += 7;
        assert_eq!((odd.monotonic_at(at(300)), odd.wall_at(at(300))), (at(250), 5107));
        assert_eq!(
            odd.takes(Duration::from_nanos(50)),
            Some(Duration::from_nanos(100))
        );
        let later = odd.as_of(at(300));
        assert_eq!(
            (later.monotonic_at(at(400)), later.wall_at(at(400))),
            (at(300), 5107)
        );
        let mut still = odd;
        still.monotonic.rate = 0;
        assert_eq!(still.takes(Duration::from_nanos(1)), None);
        assert_eq!(still.monotonic_at(at(u64::MAX)), at(200));
    }

    #[test]
    fn a_line_is_read_as_it_was_written_or_not_at_all() {
        let mut clocks = Clocks::right(at(u64::MAX - 1), 1_700_000_000_000_000_000);
        clocks.monotonic.rate = 99_999;
        let line = clocks.to_line();
        assert_eq!(Clocks::parse(&line), Some(clocks));
        assert!(line.len() <= LINE_BYTES_MAX);
        let golden = "clocks 1 since 00000000000000000007 monotonic 00000000000000000007 rate 01000 \
                      wall 00000000000000000009 rate 01000 sum dbe8f36f\n";
        assert_eq!(Clocks::right(at(7), 9).to_line(), golden);
        for cut in 0..line.len() - 1 {
            assert_eq!(Clocks::parse(&line[..cut]), None, "{cut}");
            let mut torn = Clocks::right(at(0), 0).to_line();
            torn.replace_range(..cut, &line[..cut]);
            assert!(
                Clocks::parse(&torn).is_none_or(|read| read == clocks || read == Clocks::right(at(0), 0)),
                "{torn}"
            );
        }
    }

    #[test]
    fn a_file_says_what_was_written_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clock");
        std::fs::write(&path, "nothing").unwrap();
        assert!(ClockFile::open(&path).is_err());
        let right = Clocks::right(at(1), 2);
        let writer = ClockFile::create(&path, &right).unwrap();
        let reader = ClockFile::open(&path).unwrap();
        let mut later = right.as_of(at(9));
        later.wall.shown = 0;
        writer.write(&later).unwrap();
        assert_eq!(reader.read().unwrap(), later);
    }
}
