//! Shrinking: a smaller plan that still breaks the same rule.
//!
//! Invariant: every step keeps a plan that was seen to fail, with the seed that it failed with. A changed
//! plan is another run, so each candidate is tried with several seeds.
