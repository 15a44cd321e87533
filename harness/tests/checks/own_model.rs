//! The example of a model that is not one of ours is decided, in both directions.

#[path = "../../examples/own_model.rs"]
mod example;

use harness::checker::{Verdict, Violation};

#[test]
fn a_queue_of_ones_own_is_valid_where_pushes_overlap() {
    // The operation of unknown outcome need not have happened.
    assert_eq!(
        example::check(&example::valid()),
        Ok(Verdict::Valid(vec![1, 0, 3, 4, 5]))
    );
}

#[test]
fn a_queue_of_ones_own_is_invalid_where_they_do_not() {
    let verdict = example::check(&example::invalid());
    assert!(
        matches!(verdict, Ok(Verdict::Invalid(Violation::Stuck(_)))),
        "{verdict:?}"
    );
}
