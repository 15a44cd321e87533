//! Connections that have not shown yet what they are.
//!
//! Invariant: there are at most so many at once. One more ends the oldest: those that mean it are done soon, and those that
//! do not must not keep them out.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::Notify;

/// All of them, the oldest first.
#[derive(Debug)]
pub(super) struct Unfinished {
    most: usize,
    waiting: RefCell<VecDeque<Rc<Notify>>>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Beginning {
    all: Rc<Unfinished>,
    ends: Rc<Notify>,
}

impl Unfinished {
    pub(super) fn new(most: usize) -> Rc<Self> {
        Rc::new(Self {
            most,
            waiting: RefCell::default(),
        })
    }

    /// Another one; true when the oldest had to go for it.
    pub(super) fn begin(self: &Rc<Self>) -> (Beginning, bool) {
        let ends = Rc::new(Notify::new());
        let mut waiting = self.waiting.borrow_mut();
        waiting.push_back(Rc::clone(&ends));
        let oldest = (waiting.len() > self.most).then(|| waiting.pop_front()).flatten();
        if let Some(oldest) = &oldest {
            oldest.notify_one();
        }
        let all = Rc::clone(self);
        (Beginning { all, ends }, oldest.is_some())
    }
}

impl Beginning {
    /// Waits until it has to go.
    pub(super) async fn is_over(&self) {
        self.ends.notified().await;
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        let mut waiting = self.all.waiting.borrow_mut();
        waiting.retain(|other| !Rc::ptr_eq(other, &self.ends));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::test_support::run;

    #[test]
    fn one_too_many_ends_the_oldest_and_no_other() {
        run(async {
            let all = Unfinished::new(2);
            let (first, second) = (all.begin(), all.begin());
            drop(second);
            let (second, third) = (all.begin(), all.begin());
            assert_eq!([first.1, second.1, third.1], [false, false, true]);
            first.0.is_over().await;
            drop(first);
            drop(third);
            assert!(!all.begin().1, "its place is free again");
            tokio::select! {
                biased;
                () = second.0.is_over() => panic!("it was not the oldest"),
                () = std::future::ready(()) => {}
            }
        });
    }
}
