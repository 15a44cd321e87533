//! A Jepsen-style tester for noraftd.
