//! What clients ask for is committed once, or not at all where the answer says so.
//!
//! Invariant: a command is known by its bytes. Where several were asked for with the same bytes, as many may be committed.

use crate::recording::hash::FastMap;
use crate::sim::parts::rule::{Checked, Rule, ensure};

/// The commands of a run.
#[derive(Debug, Default)]
pub(super) struct Once {
    /// Where each committed command is.
    committed: FastMap<u64, u64>,
    /// Commands that are asked for several times: how many of them are not committed.
    asked: FastMap<u64, u64>,
    /// How often each was refused.
    refused: FastMap<u64, u64>,
}

impl Once {
    /// A client asks for a command that may have the bytes of another one.
    pub(super) fn ask(&mut self, body: u64) {
        *self.asked.entry(body).or_insert(0) += 1;
    }

    /// A command that no client asks for may be committed any number of times.
    pub(super) fn allow(&mut self, body: u64) {
        self.asked.insert(body, u64::MAX);
    }

    /// An entry with this command is committed at `index`.
    pub(super) fn commit(&mut self, body: u64, index: u64) -> Checked {
        let first = self.committed.insert(body, index);
        let is_due = match self.asked.get_mut(&body) {
            Some(asked) => asked.checked_sub(1).map(|left| *asked = left).is_some(),
            None => first.is_none() && !self.refused.contains_key(&body),
        };
        if is_due {
            return Ok(());
        }
        ensure(!self.refused.contains_key(&body), Rule::RefusedIsNotDone, || {
            format!("a command that was refused is committed at index {index}")
        })?;
        ensure(false, Rule::WrittenOnce, || {
            format!(
                "one command is committed at index {} and again at {index}",
                first.unwrap_or(0)
            )
        })
    }

    /// A client gets the acknowledgement of its write.
    pub(super) fn acknowledge(&self, body: u64) -> Checked {
        ensure(self.committed.contains_key(&body), Rule::Acknowledged, || {
            "a client gets the acknowledgement of a write that is not committed".to_owned()
        })
    }

    /// A client learns that its write was not done and never will be.
    pub(super) fn refuse(&mut self, body: u64) -> Checked {
        *self.refused.entry(body).or_insert(0) += 1;
        let may_be_so = match self.asked.get_mut(&body) {
            Some(asked) => asked.checked_sub(1).map(|left| *asked = left).is_some(),
            None => !self.committed.contains_key(&body),
        };
        ensure(may_be_so, Rule::RefusedIsNotDone, || {
            format!(
                "a write is refused that is committed at index {}",
                self.committed.get(&body).unwrap_or(&0)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_committed_as_were_asked_for() {
        let mut once = Once::default();
        once.ask(7);
        once.ask(7);
        assert!(once.commit(7, 1).is_ok() && once.commit(7, 2).is_ok());
        assert_eq!(once.commit(7, 3).unwrap_err().rule, Rule::WrittenOnce);
        assert!(once.commit(8, 4).is_ok(), "nothing is known of its client");
        assert_eq!(once.commit(8, 5).unwrap_err().rule, Rule::WrittenOnce);
    }

    #[test]
    fn what_was_refused_was_not_done_and_never_is() {
        for asks in [true, false] {
            let mut once = Once::default();
            let ask = |once: &mut Once, body| {
                if asks {
                    once.ask(body);
                }
            };
            ask(&mut once, 7);
            assert!(once.refuse(7).is_ok());
            assert_eq!(once.commit(7, 1).unwrap_err().rule, Rule::RefusedIsNotDone);
            ask(&mut once, 8);
            assert!(once.commit(8, 2).is_ok());
            assert_eq!(once.refuse(8).unwrap_err().rule, Rule::RefusedIsNotDone);
        }
    }

    #[test]
    fn of_two_with_the_same_bytes_one_may_be_refused() {
        let mut once = Once::default();
        once.ask(7);
        once.ask(7);
        assert!(once.refuse(7).is_ok() && once.commit(7, 1).is_ok());
        assert!(once.acknowledge(7).is_ok());
        assert!(once.commit(7, 2).is_err());
    }
}
