//! Verifies a witness: an order of operations that claims to explain a history.
//!
//! Deliberately knows nothing of any engine: it replays the order through the model and compares it
//! with real time, in one pass. A `valid` verdict that passes this is a proof.

use crate::model::{Call, Model};
use crate::recording::hash::FastMap;

/// Why an order does not explain the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// An operation is mentioned twice, or is none of the history.
    Stray(u32),
    /// An operation that returned is not in the order.
    Missing(u32),
    /// The model does not allow this operation at its place.
    Refused(u32),
    /// The second operation returned before the first was called, but comes after it.
    RealTime(u32, u32),
}

/// Checks that `order` has every returned operation of `calls` once, respects real time, and is
/// allowed by `model`.
///
/// # Errors
/// The first flaw found.
pub fn verify<M: Model>(model: &M, calls: &[Call<M::Op>], order: &[u32]) -> Result<(), Flaw> {
    let mut by_id: FastMap<u32, &Call<M::Op>> = calls.iter().map(|call| (call.id, call)).collect();
    let mut state = model.init();
    let mut latest: Option<&Call<M::Op>> = None;
    for id in order {
        let call = by_id.remove(id).ok_or(Flaw::Stray(*id))?;
        if let Some(latest) = latest.filter(|latest| call.ret < latest.call) {
            return Err(Flaw::RealTime(latest.id, call.id));
        }
        if latest.is_none_or(|latest| latest.call < call.call) {
            latest = Some(call);
        }
        state = model.step(&state, &call.op).ok_or(Flaw::Refused(*id))?;
    }
    let missing = calls
        .iter()
        .find(|call| !call.is_open() && by_id.contains_key(&call.id));
    missing.map_or(Ok(()), |call| Err(Flaw::Missing(call.id)))
}
