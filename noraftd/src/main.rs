//! The `noraftd` command.

fn main() {}
