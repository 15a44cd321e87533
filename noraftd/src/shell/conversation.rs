//! The order of requests and replies on one client connection.
//!
//! Invariant: replies leave in the order of their requests, whatever order they become known in. (That requests also
//! take effect in their order is the replica's work.)

use std::collections::VecDeque;

use crate::protocol::resp::Reply;

/// Requests of one connection that may be under way at once; more stay in the socket, whose buffer then
/// slows the client down.
pub(super) const PIPELINE_DEPTH_MAX: usize = 1024;

/// What one client has asked and has no answer to yet.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    /// A slot for each request without a sent reply, oldest first; filled when the reply is known.
    slots: VecDeque<Option<Reply>>,
    /// The sequence number of the first slot.
    first: u64,
    /// Requests whose reply is not known.
    under_way: usize,
}

impl Conversation {
    /// True when a request may begin now.
    pub(super) fn may_begin(&self) -> bool {
        self.slots.len() < PIPELINE_DEPTH_MAX
    }

    /// Requests without a sent reply.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// True when every request's reply is known.
    #[cfg(test)]
    pub(super) fn is_settled(&self) -> bool {
        self.under_way == 0
    }

    /// Begins a request; the number names it in [`Self::answer`].
    pub(super) fn begin(&mut self) -> u64 {
        assert!(self.may_begin(), "the caller waits until it may begin");
        self.under_way += 1;
        self.slots.push_back(None);
        self.first + (self.slots.len() as u64 - 1)
    }

    /// Makes the reply to request `sequence` known.
    pub(super) fn answer(&mut self, sequence: u64, reply: Reply) {
        let at = sequence
            .checked_sub(self.first)
            .and_then(|at| usize::try_from(at).ok());
        let slot = at
            .and_then(|at| self.slots.get_mut(at))
            .expect("a request is answered after it began");
        assert!(slot.is_none(), "a request is answered once");
        *slot = Some(reply);
        self.under_way -= 1;
    }

    /// Asks and answers at once, in order.
    pub(super) fn answer_now(&mut self, reply: Reply) {
        self.slots.push_back(Some(reply));
    }

    /// The next reply to send, when it is known.
    pub(super) fn next_reply(&mut self) -> Option<Reply> {
        self.slots.front()?.as_ref()?;
        self.first += 1;
        self.slots.pop_front()?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prng::Prng;

    #[test]
    fn replies_leave_in_the_order_of_requests() {
        for seed in 0..200 {
            let mut prng = Prng::new(seed);
            let mut conversation = Conversation::default();
            let (mut open, mut asked, mut sent) = (Vec::new(), 0, Vec::new());
            for _ in 0..100 {
                match prng.below(3) {
                    0 if conversation.may_begin() => {
                        open.push((conversation.begin(), asked));
                        asked += 1;
                    }
                    1 => {
                        conversation.answer_now(Reply::Integer(asked));
                        asked += 1;
                    }
                    _ if !open.is_empty() => {
                        let (sequence, number) = open.swap_remove(prng.below(open.len() as u64) as usize);
                        conversation.answer(sequence, Reply::Integer(number));
                    }
                    _ => {}
                }
                sent.extend(std::iter::from_fn(|| conversation.next_reply()));
            }
            for (sequence, number) in open {
                conversation.answer(sequence, Reply::Integer(number));
            }
            sent.extend(std::iter::from_fn(|| conversation.next_reply()));
            assert_eq!(
                sent,
                (0..asked).map(Reply::Integer).collect::<Vec<_>>(),
                "seed {seed}"
            );
            assert!(conversation.is_settled());
        }
    }

    #[test]
    fn the_pipeline_is_bounded() {
        let mut conversation = Conversation::default();
        for _ in 0..PIPELINE_DEPTH_MAX {
            conversation.begin();
        }
        assert!(!conversation.may_begin());
        conversation.answer(0, Reply::Null);
        assert!(!conversation.may_begin(), "its reply has not left yet");
        conversation.next_reply();
        assert!(conversation.may_begin());
    }
}
