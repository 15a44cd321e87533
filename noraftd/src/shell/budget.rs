//! What all clients together may make this node hold.
//!
//! Invariant: a budget's `used` is the sum of its charges; a charge that is dropped counts for nothing.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;

/// A number of bytes for many to share.
#[derive(Debug)]
pub(super) struct Budget {
    bytes_max: usize,
    used: Cell<usize>,
    /// How many wait for room.
    waiting: Cell<usize>,
    freed: Notify,
}

impl Budget {
    /// So many bytes, of which none is used.
    pub(super) fn new(bytes_max: usize) -> Rc<Self> {
        Rc::new(Self {
            bytes_max,
            used: Cell::default(),
            waiting: Cell::default(),
            freed: Notify::new(),
        })
    }

    /// Bytes in use.
    pub(super) fn used(&self) -> usize {
        self.used.get()
    }

    /// True when more is used than there is.
    pub(super) fn is_spent(&self) -> bool {
        self.used.get() > self.bytes_max
    }

    /// True while any task waits for room.
    pub(super) fn is_wanted(&self) -> bool {
        self.waiting.get() > 0
    }
}

/// One holder's part of a budget.
#[derive(Debug)]
pub(super) struct Charge {
    budget: Rc<Budget>,
    bytes: Cell<usize>,
}

impl Charge {
    /// Nothing of `budget` yet.
    pub(super) fn new(budget: &Rc<Budget>) -> Self {
        Self {
            budget: Rc::clone(budget),
            bytes: Cell::default(),
        }
    }

    /// What this holder uses.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// True when all together use more than there is.
    pub(super) fn is_budget_spent(&self) -> bool {
        self.budget.is_spent()
    }

    /// This holder uses `bytes` from now on, be there room for them or not.
    pub(super) fn set(&self, bytes: usize) {
        let before = self.bytes.replace(bytes);
        let used = self.budget.used.get() - before + bytes;
        self.budget.used.set(used);
        if bytes < before {
            self.budget.freed.notify_waiters();
        }
    }

    /// Waits until `more` bytes fit, or no other charge uses any.
    pub(super) async fn has_room(&self, more: usize) {
        let fits = || {
            let used = self.budget.used.get();
            used + more <= self.budget.bytes_max || used == self.bytes.get()
        };
        if fits() {
            return;
        }
        let _waiting = Waiting::new(&self.budget);
        loop {
            let freed = self.budget.freed.notified();
            if fits() {
                return;
            }
            freed.await;
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// A task waits, until this is dropped.
struct Waiting<'a>(&'a Budget);

impl<'a> Waiting<'a> {
    fn new(budget: &'a Budget) -> Self {
        budget.waiting.set(budget.waiting.get() + 1);
        Self(budget)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::test_support::run;

    #[test]
    fn who_wants_more_than_there_is_waits_until_another_lets_go() {
        run(async {
            let budget = Budget::new(100);
            let (one, two) = (Charge::new(&budget), Charge::new(&budget));
            one.set(90);
            let waits = tokio::task::spawn_local(async move {
                two.has_room(20).await;
                two.set(20);
                two
            });
            tokio::task::yield_now().await;
            assert!(!waits.is_finished() && budget.is_wanted());
            one.set(80);
            let two = waits.await.expect("no panic");
            assert_eq!((budget.used(), budget.is_wanted()), (100, false));
            drop((one, two));
            assert_eq!(budget.used(), 0);
        });
    }

    #[test]
    fn who_is_alone_gets_what_is_needed() {
        run(async {
            let budget = Budget::new(10);
            let charge = Charge::new(&budget);
            charge.set(8);
            charge.has_room(100).await;
            charge.set(108);
            assert!(budget.is_spent());
        });
    }
}
