//! What has arrived for the replica since the event loop last looked.
//!
//! Invariant: one thread. Inputs keep the order of their arrival, and pushing one wakes the loop. Bounded
//! by its producers: each connection hands over at most what one read brought before it yields, and
//! clients have at most [`super::requests::REQUESTS_MAX`] requests under way.

use std::cell::RefCell;

use tokio::sync::Notify;

use crate::replica::event::Input;

/// Handled before anything is written: a millisecond or two.
const INPUTS_PER_ROUND: usize = 4096;

/// The inputs that wait for the event loop.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    inputs: RefCell<Vec<Input>>,
    wake: Notify,
}

impl Inbox {
    /// Adds an input and wakes the loop.
    pub(super) fn push(&self, input: Input) {
        self.inputs.borrow_mut().push(input);
        self.wake.notify_one();
    }

    /// Wakes the loop without an input: something else has to be done.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits until the loop was woken since the last call.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Moves what is there to the end of `inputs`, one round's worth of it; true when more is left.
    pub(super) fn take(&self, inputs: &mut Vec<Input>) -> bool {
        let mut waiting = self.inputs.borrow_mut();
        if waiting.len() <= INPUTS_PER_ROUND {
            inputs.append(&mut waiting);
            return false;
        }
        inputs.extend(waiting.drain(..INPUTS_PER_ROUND));
        self.wake.notify_one();
        true
    }
}
