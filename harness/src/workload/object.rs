//! A kind of object: which commands read and change it, and what their replies mean. What all kinds share is in
//! [`objects`](super::objects).

use std::fmt::Debug;

use serde_json::Value;

use super::keys::Turn;
use super::{Completion, Operation};
use crate::client::Reply;

/// A kind of object: how it is read and changed, and what the replies mean.
pub(super) trait Object: Debug + Send + Sync {
    /// The name in plans and histories, which decides the checker. Keys begin with it.
    const NAME: &'static str;
    /// The change that the final phase makes to every object.
    const LAST: Self::Change;
    /// Whether a key wears out in the final phase as well.
    const WEARS_AT_LAST: bool = true;
    /// The kinds of changes.
    type Change: Copy + Debug + Send + Sync;
    /// What replies have shown of one object.
    type Known: Default + Debug + Send;

    /// Reads the object.
    fn read(&self, on: &Turn<'_, Self::Known>) -> Operation;

    /// Changes the object. `number` is of this change alone.
    fn change(&self, change: Self::Change, on: &Turn<'_, Self::Known>, number: i64) -> Operation;

    /// What a reply means; `None` for one that the command cannot have.
    fn completion(&self, operation: &Operation, reply: &Reply) -> Option<Completion>;

    /// Remembers what an operation showed of its object.
    fn learn(&self, known: &mut Self::Known, operation: &Operation, completion: &Completion) {
        let _ = (known, operation, completion);
    }

    /// What every object is before the first operation, where the checker has to know that.
    fn initial(&self) -> Option<Value> {
        None
    }
}
