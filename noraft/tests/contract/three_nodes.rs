//! The example of an integrator does what it says.

#[path = "../../examples/three_nodes.rs"]
mod example;

#[test]
fn all_three_nodes_apply_the_same_commands_the_one_that_crashed_as_well() {
    let all = ["set x 1", "set y 2", "set x 3"];
    assert_eq!(example::run(), [all, all, all]);
}
