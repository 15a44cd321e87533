//! Clients that rest: what nodes have to do by themselves must not wait for the next request.
//!
//! Invariant: all clients go on before the fault ends.

use super::{Evidence, Injection, Nemesis};
use crate::op::EventKind;

impl Nemesis {
    /// Lets the clients rest, or every other time all but those that only read.
    pub(super) async fn quiet(&self, fault: &mut Injection<'_>) -> Evidence {
        let readers_go_on = fault.decision.roll.is_multiple_of(2);
        let quiet = self.rest.begin(readers_go_on);
        self.record(EventKind::FaultOk, fault, Some("clients begin nothing new"));
        fault.rest().await;
        match (quiet.waited(), readers_go_on) {
            (0, _) => Err("no client had anything to begin".to_owned()),
            (clients, true) => Ok(format!(
                "{clients} clients rested, and those that only read went on"
            )),
            (clients, false) => Ok(format!("{clients} clients rested")),
        }
    }
}
