//! When a key is to go, as commands say it.
//!
//! Encoded: a kind (u8: 0 never, 1 keep, 2 after, 3 at) and, for the last two, milliseconds (i64, little-endian). A condition of
//! `EXPIRE` is a set of flags (u8: 1 NX, 2 XX, 4 GT, 8 LT).
//!
//! Invariant: one value has one encoding, and what decodes is what a parser could have made.

use bytes::{BufMut, BytesMut};

use crate::protocol::read::Reader;
use crate::time::Stamp;

/// When a key is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Not by itself.
    Never,
    /// As it was before.
    Keep,
    /// So many milliseconds after the stamp of the entry.
    After(i64),
    /// At this time, in milliseconds since the Unix epoch.
    At(i64),
}

impl Expiry {
    /// The time, for an entry with the stamp `now`, if there is one. One in the past may be anywhere in the past.
    pub fn deadline(self, now: Stamp) -> Option<Stamp> {
        let millis = match self {
            Self::Never | Self::Keep => return None,
            Self::After(millis) => now.as_millis().saturating_add_signed(millis),
            Self::At(millis) => u64::try_from(millis).unwrap_or(0),
        };
        Some(Stamp::from_millis(millis))
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(match reader.u8()? {
            0 => Self::Never,
            1 => Self::Keep,
            2 => Self::After(reader.i64()?),
            3 => Self::At(reader.i64()?),
            _ => return None,
        })
    }

    pub(super) fn write(self, out: &mut BytesMut) {
        let (kind, millis) = match self {
            Self::Never => (0, None),
            Self::Keep => (1, None),
            Self::After(millis) => (2, Some(millis)),
            Self::At(millis) => (3, Some(millis)),
        };
        out.put_u8(kind);
        millis.into_iter().for_each(|millis| out.put_i64_le(millis));
    }
}

/// What `EXPIRE` depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExpiryCondition(u8);

impl ExpiryCondition {
    /// `NX`: the key does not go so far.
    pub const MISSING: Self = Self(1);
    /// `XX`: it does.
    pub const EXISTS: Self = Self(2);
    /// `GT`: it goes later than so far.
    pub const LATER: Self = Self(4);
    /// `LT`: it goes earlier.
    pub const EARLIER: Self = Self(8);

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// True when `other` is among them.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// True for those that do not exclude each other.
    pub fn is_possible(self) -> bool {
        let excludes = |one: Self, other: Self| self.has(one) && self.has(other);
        let excluded_by_missing = [Self::EXISTS, Self::LATER, Self::EARLIER];
        self.0 < 16
            && !excludes(Self::LATER, Self::EARLIER)
            && !excluded_by_missing
                .iter()
                .any(|other| excludes(Self::MISSING, *other))
    }

    /// True when a key that goes at `held` is to go at `wanted` instead. One that never goes counts as the last.
    pub fn admits(self, held: Option<Stamp>, wanted: Stamp) -> bool {
        let is_no_later = held.is_none_or(|held| wanted <= held);
        let is_no_earlier = held.is_some_and(|held| wanted >= held);
        !(self.has(Self::MISSING) && held.is_some()
            || self.has(Self::EXISTS) && held.is_none()
            || self.has(Self::LATER) && is_no_later
            || self.has(Self::EARLIER) && is_no_earlier)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self(reader.u8()?)).filter(|condition| condition.is_possible())
    }

    pub(super) fn write(self, out: &mut BytesMut) {
        out.put_u8(self.0);
    }
}

/// In what a time is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
}

impl TimeUnit {
    /// Milliseconds in this unit, rounded to the nearest.
    pub fn rounded(self, millis: u64) -> u64 {
        match self {
            Self::Seconds => millis.saturating_add(500) / 1000,
            Self::Millis => millis,
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(if reader.bool()? {
            Self::Millis
        } else {
            Self::Seconds
        })
    }

    pub(super) fn write(self, out: &mut BytesMut) {
        out.put_u8(u8::from(self == Self::Millis));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_exclude_each_other_as_in_redis() {
        let all = (0..=u8::MAX).map(ExpiryCondition);
        let possible: Vec<u8> = all
            .filter(|condition| condition.is_possible())
            .map(|condition| condition.0)
            .collect();
        // None, NX, XX, GT, XX with GT, LT, XX with LT.
        assert_eq!(possible, [0, 1, 2, 4, 6, 8, 10]);
    }
}
