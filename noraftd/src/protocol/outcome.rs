//! The words in which a client learns what is known about its request.

use crate::protocol::resp::Reply;
use crate::replica::event::Outcome;

impl Outcome {
    /// The reply for the client. Its first word tells definite errors from `INDEFINITE` ones.
    pub fn to_reply(&self) -> Reply {
        todo!()
    }
}
