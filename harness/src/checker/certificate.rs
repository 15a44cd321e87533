//! The daemon's own order, replayed: every reply carries the index at which it took effect.
//!
//! Operations sorted by index (at the same index what changes the state before what only reads it) are
//! replayed through the model and compared with real time. Linear after sorting, for any model. It
//! proves *valid*; or it shows that the order the daemon claims is wrong, which is a stronger claim
//! than that no order exists, and is reported as such. It never decides what clients can see.

use super::witness::{self, Flaw};
use crate::model::{Call, Model};
use crate::recording::hash::FastMap;

/// What the indexes came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// The order of the indexes explains the history.
    Proven,
    /// It does not.
    Contradicted(Flaw),
    /// Not every operation that returned has an index, so nothing can be said.
    Absent,
}

/// Replays `calls` in the order of `index_of`, their indexes by id. Operations of unknown outcome take
/// part where they have an index.
pub fn check<M: Model>(model: &M, calls: &[Call<M::Op>], index_of: &FastMap<u32, u64>) -> Certificate {
    let mut order = Vec::with_capacity(calls.len());
    for call in calls {
        match index_of.get(&call.id) {
            Some(index) => order.push((*index, model.is_read(&call.op), call.call, call.id)),
            None if call.is_open() => {}
            None => return Certificate::Absent,
        }
    }
    order.sort_unstable();
    let order: Vec<u32> = order.into_iter().map(|(_, _, _, id)| id).collect();
    match witness::verify(model, calls, &order) {
        Ok(()) => Certificate::Proven,
        Err(flaw) => Certificate::Contradicted(flaw),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::register::{Register, RegisterOp};
    use crate::recording::datum::Datum;

    fn datum(value: i64) -> Datum {
        Datum::int(value).expect("small")
    }

    fn calls() -> Vec<Call<RegisterOp>> {
        vec![
            Call {
                id: 0,
                call: 0,
                ret: 3,
                op: RegisterOp::Write(datum(1)),
            },
            Call {
                id: 1,
                call: 1,
                ret: 2,
                op: RegisterOp::Read(datum(1)),
            },
        ]
    }

    #[test]
    fn an_order_that_replays_is_a_proof_and_another_is_shown_wrong() {
        let register = Register { initial: datum(0) };
        let index = |pairs: [(u32, u64); 2]| pairs.into_iter().collect::<FastMap<_, _>>();
        assert_eq!(
            check(&register, &calls(), &index([(0, 7), (1, 7)])),
            Certificate::Proven
        );
        let wrong = check(&register, &calls(), &index([(0, 8), (1, 7)]));
        assert_eq!(wrong, Certificate::Contradicted(Flaw::Refused(1)));
    }

    #[test]
    fn without_all_indexes_nothing_is_said() {
        let index = [(0, 1)].into_iter().collect();
        assert_eq!(
            check(&Register { initial: datum(0) }, &calls(), &index),
            Certificate::Absent
        );
    }
}
