//! Histories that the frontier once misjudged, or would if one of its conditions were missing.

use harness::checker::register::{Register, RegisterOp};
use harness::checker::{Budget, NEVER, Verdict, frontier, witness};
use harness::model::Call;
use harness::recording::datum::Datum;

fn datum(value: i64) -> Datum {
    Datum::int(value).expect("small")
}

fn read(value: i64) -> RegisterOp {
    RegisterOp::Read(datum(value))
}

fn write(value: i64) -> RegisterOp {
    RegisterOp::Write(datum(value))
}

fn cas(expected: i64, new: i64) -> RegisterOp {
    RegisterOp::Cas(datum(expected), datum(new))
}

/// The operations `(call, return, what)` of a register that is 0 at first have an order.
fn has_an_order(operations: &[(u32, u32, RegisterOp)]) {
    let calls: Vec<Call<RegisterOp>> = (0..)
        .zip(operations)
        .map(|(id, &(call, ret, op))| Call { id, call, ret, op })
        .collect();
    match frontier::check(datum(0), &calls, &Budget::default()) {
        Verdict::Valid(order) => {
            let register = Register { initial: datum(0) };
            assert_eq!(witness::verify(&register, &calls, &order), Ok(()), "{order:?}");
        }
        other @ (Verdict::Invalid(_) | Verdict::Unknown(_)) => panic!("{other:?}"),
    }
}

// The compare-and-set takes effect before the write overwrites what it expects. A narrow frontier does
// not think of it when the write returns; without any configuration at the read's return, that is no proof.
#[test]
fn being_stuck_after_unknown_operations_were_given_up_proves_nothing() {
    has_an_order(&[(0, 5, write(1)), (2, NEVER, cas(0, 2)), (3, 7, read(2))]);
}

// The read waits for a write that is invoked only after the other one returned.
#[test]
fn a_write_of_unknown_outcome_is_not_used_before_its_invocation() {
    has_an_order(&[(0, 6, read(4)), (1, 4, write(0)), (5, NEVER, write(4))]);
}

// Hiding the write of 2 would be free, but the read of 2 needs it: no other write of 2 is there.
#[test]
fn a_write_is_hidden_for_nothing_only_if_its_value_is_not_wanted() {
    has_an_order(&[
        (0, NEVER, write(1)),
        (1, 10, read(2)),
        (2, 9, write(2)),
        (4, 8, read(1)),
    ]);
}
