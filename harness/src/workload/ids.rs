//! Ids that replies have shown, where reads of a log can begin.
//!
//! Invariant: their number is bounded, and the newest ones are among them.

use noraftd::prng::Prng;

/// Ids of one log.
#[derive(Debug, Default)]
pub(super) struct Ids {
    /// Spread over the whole log.
    anywhere: Vec<String>,
    /// The newest ones, in a ring.
    recent: Vec<String>,
    seen: u64,
}

impl Ids {
    /// One more.
    pub(super) fn learn(&mut self, id: &str) {
        let at = self.seen as usize;
        self.seen += 1;
        replace(&mut self.recent, at % RECENT, id);
        if self.anywhere.len() < ANYWHERE_MAX {
            self.anywhere.push(id.to_owned());
        } else if at.is_multiple_of(ANYWHERE_STRIDE) {
            replace(&mut self.anywhere, (at / ANYWHERE_STRIDE) % ANYWHERE_MAX, id);
        }
    }

    /// One of the newest, or one from anywhere.
    pub(super) fn choose(&self, prng: &mut Prng) -> Option<String> {
        let from = if prng.chance(1, 2) {
            &self.recent
        } else {
            &self.anywhere
        };
        prng.choose(from).cloned()
    }
}

/// Puts `id` at `at`, or at the end of a list that is still shorter.
fn replace(list: &mut Vec<String>, at: usize, id: &str) {
    match list.get_mut(at) {
        Some(place) => id.clone_into(place),
        None => list.push(id.to_owned()),
    }
}

/// Reads that begin near the end are the ones that can be stale.
const RECENT: usize = 16;
/// Bounds memory; old ids are replaced slowly.
const ANYWHERE_MAX: usize = 4096;
const ANYWHERE_STRIDE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_and_keeps_the_newest() {
        let mut known = Ids::default();
        (0..100_000).for_each(|id| known.learn(&id.to_string()));
        assert_eq!((known.anywhere.len(), known.recent.len()), (ANYWHERE_MAX, RECENT));
        assert!(known.recent.contains(&"99999".to_owned()));
    }
}
