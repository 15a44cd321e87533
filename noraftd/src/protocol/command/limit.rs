//! Limits that decide what an entry does, and are therefore a part of the replicated state: `NORAFT.LIMIT`.
//!
//! Invariant: a number and a name mean the same in every version; a value that is read is one that the limit may have.

use crate::protocol::read::Reader;
use crate::record::PAYLOAD_BYTES_MAX;

/// A limit of the replicated state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// How many sessions there are; the one that rests for the longest time ends first.
    Sessions,
    /// Bytes of all replies that sessions keep.
    SessionBytes,
    /// Milliseconds for which a session rests before it ends.
    SessionIdle,
    /// Steps that a script may take.
    ScriptSteps,
    /// Bytes of all that a script makes.
    ScriptBytes,
    /// Bytes of all scripts that are kept.
    ScriptsBytes,
}

impl Limit {
    /// Every limit; its place is its number.
    pub const ALL: [Self; 6] = [
        Self::Sessions,
        Self::SessionBytes,
        Self::SessionIdle,
        Self::ScriptSteps,
        Self::ScriptBytes,
        Self::ScriptsBytes,
    ];

    /// As commands call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::SessionBytes => "session-bytes",
            Self::SessionIdle => "session-idle",
            Self::ScriptSteps => "script-steps",
            Self::ScriptBytes => "script-bytes",
            Self::ScriptsBytes => "scripts-bytes",
        }
    }

    /// What it is until it is set.
    pub const fn first(self) -> u64 {
        match self {
            Self::Sessions => 100_000,
            Self::SessionBytes => 256 << 20,
            Self::SessionIdle => 3_600_000,
            Self::ScriptSteps => 1_000_000,
            Self::ScriptBytes => 64 << 20,
            Self::ScriptsBytes => 16 << 20,
        }
    }

    /// The least and the most that it may be.
    pub const fn bounds(self) -> (u64, u64) {
        match self {
            Self::Sessions => (1, 10_000_000),
            // The largest reply has to fit.
            Self::SessionBytes => (2 * PAYLOAD_BYTES_MAX as u64, 1 << 40),
            Self::SessionIdle => (1000, 1 << 40),
            Self::ScriptSteps => (1000, 1 << 30),
            Self::ScriptBytes => (1 << 20, 1 << 30),
            // The longest script has to fit.
            Self::ScriptsBytes => (1 << 20, 1 << 30),
        }
    }

    /// Its place in [`Self::ALL`].
    pub fn number(self) -> usize {
        self as usize
    }

    /// True for a value that it may have.
    pub fn admits(self, value: u64) -> bool {
        let (least, most) = self.bounds();
        (least..=most).contains(&value)
    }

    /// The limit and its value, as [`Self::put`] writes them.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<(Self, u64)> {
        let limit = *Self::ALL.get(usize::from(reader.u8()?))?;
        let value = reader.u64()?;
        limit.admits(value).then_some((limit, value))
    }

    /// Its number (u8) and `value` (u64, little-endian).
    pub(crate) fn put(self, value: u64) -> [u8; 9] {
        let mut bytes = [0; 9];
        let (number, rest) = bytes.split_at_mut(1);
        number.fill(u8::try_from(self.number()).expect("there are few limits"));
        rest.copy_from_slice(&value.to_le_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_read_as_it_was_written_and_never_beyond_its_bounds() {
        for (at, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit.number(), at);
            let (least, most) = limit.bounds();
            for value in [least, limit.first(), most] {
                let bytes = limit.put(value);
                assert_eq!(Limit::read(&mut Reader::new(&bytes)), Some((limit, value)));
            }
            for value in [least - 1, most + 1] {
                assert_eq!(Limit::read(&mut Reader::new(&limit.put(value))), None);
            }
        }
        assert_eq!(Limit::read(&mut Reader::new(&[200; 9])), None);
    }
}
