//! The salts of segments to come.
//!
//! Invariant: a header that is written again, because the disk was full in the middle of it, is the same header. Else a loss of
//! power could leave a page of each, and that would look like damage.

use crate::prng::Prng;

pub(super) struct Salts {
    prng: Prng,
    /// The segment that a salt was drawn for last, and that salt.
    drawn: Option<(u64, u64)>,
}

impl Salts {
    pub(super) fn new(prng: Prng) -> Self {
        Self { prng, drawn: None }
    }

    /// The salt of segment `number`, each time that it is asked for until another one is.
    pub(super) fn of(&mut self, number: u64) -> u64 {
        match self.drawn {
            Some((drawn_for, salt)) if drawn_for == number => salt,
            Some(_) | None => {
                let salt = self.prng.next_u64();
                self.drawn = Some((number, salt));
                salt
            }
        }
    }
}
