//! Which operations are under way: found by a number that its completion repeats.

use crate::recording::hash::FastMap;

/// Places in the direct part: many more than clients work at once.
const PLACES: usize = 4096;

/// Operations by token. Most histories count their operations or their processes, so the low bits of a
/// token nearly always find a place of their own; the others go to a table.
pub(super) struct Open {
    places: Vec<Option<(u64, u32)>>,
    others: FastMap<u64, u32>,
}

impl Open {
    pub(super) fn new() -> Self {
        Self {
            places: vec![None; PLACES],
            others: FastMap::default(),
        }
    }

    /// Adds an operation; gives back the one that had its token.
    pub(super) fn insert(&mut self, token: u64, id: u32) -> Option<u32> {
        let place = &mut self.places[token as usize % PLACES];
        match place {
            Some((known, old)) if *known == token => Some(std::mem::replace(old, id)),
            Some(_) => self.others.insert(token, id),
            None => {
                *place = Some((token, id));
                // It may have come when the place was taken.
                if self.others.is_empty() {
                    None
                } else {
                    self.others.remove(&token)
                }
            }
        }
    }

    /// Takes the operation with `token` out.
    pub(super) fn remove(&mut self, token: u64) -> Option<u32> {
        let place = &mut self.places[token as usize % PLACES];
        match place {
            Some((known, id)) if *known == token => {
                let id = *id;
                *place = None;
                Some(id)
            }
            Some(_) | None => self.others.remove(&token),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.places.capacity() * size_of::<Option<(u64, u32)>>() + self.others.capacity() * 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_share_a_place_are_kept_apart() {
        let mut open = Open::new();
        let (one, two) = (5, 5 + PLACES as u64);
        assert_eq!((open.insert(one, 1), open.insert(two, 2)), (None, None));
        assert_eq!(open.insert(two, 3), Some(2));
        assert_eq!(open.remove(one), Some(1));
        assert_eq!(open.insert(two, 4), Some(3));
        assert_eq!((open.remove(two), open.remove(two)), (Some(4), None));
    }
}
