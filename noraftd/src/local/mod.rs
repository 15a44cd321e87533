//! What a node answers by itself: introspection, settings, the state of a connection.
//!
//! Invariant: nothing here changes the log or the state machine; an answer is made of what it is given.

pub mod alarms;
mod command_docs;
pub mod events;
mod exposition;
pub mod facts;
pub mod figures;
mod info;
pub mod members;
pub mod metrics;
pub mod readiness;
mod render;
pub mod sentinel;
pub mod session;
pub mod status;
pub mod subscriptions;
pub mod transaction;
pub mod vitals;
