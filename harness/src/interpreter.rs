//! Clients: each takes an operation, sends it to a node, and records what is known about it.
//!
//! Invariant: a process has at most one operation open, and does nothing after one whose outcome is
//! unknown: the client goes on as a new process. `fail` is recorded only for what certainly had no effect.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use noraftd::prng::Prng;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::client::{Access, CallError, Door, Session};
use crate::generator::{Mix, Pace, Silence};
use crate::op::{EventKind, HistoryEvent};
use crate::plan::ClientsPlan;
use crate::recorder::{HistoryId, Recorder};
use crate::workload::{Completion, Operation, Part, Workload};

/// A workload and the history that it is recorded in.
#[derive(Debug)]
pub struct Track {
    /// What is done.
    pub workload: Box<dyn Workload>,
    /// Where it is recorded.
    pub history: HistoryId,
}

/// What all clients of a run share.
#[derive(Debug)]
pub struct Interpreter {
    recorder: Arc<Recorder>,
    tracks: Mix<Track>,
    access: Access,
    pace: Pace,
    rest: Silence,
    timeout: Duration,
    pause_after_error: Duration,
    next_process: AtomicU64,
}

impl Interpreter {
    /// Clients of the nodes of `access` that do what is in `tracks` as `plan` says.
    pub fn new(plan: &ClientsPlan, tracks: Mix<Track>, access: Access, recorder: Arc<Recorder>) -> Self {
        Self {
            recorder,
            tracks,
            access,
            pace: Pace::new(plan.rate),
            rest: Silence::default(),
            timeout: plan.timeout.as_duration(),
            pause_after_error: plan.pause_after_error.as_duration(),
            next_process: AtomicU64::new(0),
        }
    }

    /// What lets the clients rest.
    pub fn rest(&self) -> Silence {
        self.rest.clone()
    }

    /// The workloads, each with all that it has seen.
    pub fn tracks(&self) -> impl Iterator<Item = &Track> {
        self.tracks.values()
    }

    /// Runs one client until `stop` says true. An operation that is under way then is still completed.
    pub async fn run(&self, part: Part, mut prng: Prng, mut stop: watch::Receiver<bool>) {
        let mut slot = self.slot(prng.next_u64());
        while !*stop.borrow() {
            tokio::select! {
                () = self.turn(part) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            let track = self.tracks.choose(&mut prng);
            let operation = track.workload.next(part, &mut prng);
            if self.perform(&mut slot, track, &operation).await.is_err() {
                tokio::select! {
                    () = sleep(self.pause_after_error) => {}
                    _ = stop.wait_for(|stop| *stop) => return,
                }
                self.move_on(&mut slot, &mut prng);
            } else if prng.chance(1, ROAM_ONE_IN) {
                slot.go_to(prng.next_u64());
            }
        }
    }

    async fn turn(&self, part: Part) {
        self.rest.over(part == Part::Reader).await;
        self.pace.turn().await;
    }

    /// A client that starts at a node chosen by `roll`.
    pub fn slot(&self, roll: u64) -> ClientSlot {
        ClientSlot {
            process: self.fresh_process(),
            at: roll,
            session: None,
        }
    }

    /// Does one operation and records it.
    ///
    /// # Errors
    ///
    /// Why it did not succeed; recorded already.
    pub async fn perform(
        &self,
        slot: &mut ClientSlot,
        track: &Track,
        operation: &Operation,
    ) -> Result<Completion, CallError> {
        let door = self.door(slot);
        let invocation = self.invoke(track.history, slot.process, door.node, operation);
        let outcome = self.call(slot, door, track.workload.as_ref(), operation).await;
        self.recorder
            .complete(track.history, completion_event(&invocation, &outcome));
        if let Err(error) = &outcome {
            if !error.is_definite() {
                slot.process = self.fresh_process();
            }
            if !error.keeps_connection() {
                slot.session = None;
            }
        }
        outcome
    }

    async fn call(
        &self,
        slot: &mut ClientSlot,
        door: Door,
        workload: &dyn Workload,
        operation: &Operation,
    ) -> Result<Completion, CallError> {
        let session = match &mut slot.session {
            Some(session) => session,
            empty => empty.insert(self.access.protocol.connect(door, self.timeout).await?),
        };
        let request = self.access.in_space(&operation.request);
        let reply = session.call(&request, self.timeout).await?;
        workload
            .complete(operation, &reply)
            .map_err(|error| CallError::Malformed(error.to_string()))
    }

    fn invoke(&self, history: HistoryId, process: u64, node: u64, operation: &Operation) -> HistoryEvent {
        self.recorder
            .invoke(history, |id| invocation(process, id, node, operation))
    }

    /// After a failure, a client without a connection goes to another node; one that was refused may stay,
    /// for a node that refuses has to be watched too.
    fn move_on(&self, slot: &mut ClientSlot, prng: &mut Prng) {
        if slot.session.is_none() {
            let others = (self.access.doors.len() as u64).saturating_sub(1);
            slot.go_to(slot.at + 1 + prng.below(others));
        } else if prng.chance(1, 2) {
            slot.go_to(prng.next_u64());
        }
    }

    fn door(&self, slot: &ClientSlot) -> Door {
        let at = (slot.at % self.access.doors.len() as u64) as usize;
        *self
            .access
            .doors
            .get(at)
            .expect("the remainder is below the number of nodes")
    }

    fn fresh_process(&self) -> u64 {
        self.next_process.fetch_add(1, Ordering::Relaxed)
    }
}

/// One client's place: who it is at the moment, and which node it talks to.
#[derive(Debug)]
pub struct ClientSlot {
    process: u64,
    /// The node's place in the list, modulo its length.
    at: u64,
    session: Option<Session>,
}

impl ClientSlot {
    /// Leaves the node for the one at `at`.
    pub fn go_to(&mut self, at: u64) {
        // Kept small, so that counting on from it never overflows.
        self.at = at % u64::from(u32::MAX);
        self.session = None;
    }
}

/// The event with which `process` asks `node` for `operation`, under the name `id`.
pub(crate) fn invocation(process: u64, id: u64, node: u64, operation: &Operation) -> HistoryEvent {
    let event = HistoryEvent::invoke(process, id, operation.function)
        .key(operation.key.clone())
        .node(format!("n{node}"));
    match &operation.value {
        Some(value) => event.value(value.clone()),
        None => event,
    }
}

/// The event that `outcome` makes of `invocation`.
pub(crate) fn completion_event(
    invocation: &HistoryEvent,
    outcome: &Result<Completion, CallError>,
) -> HistoryEvent {
    match outcome {
        Ok(completion) => {
            let mut event = HistoryEvent::complete(invocation, EventKind::Ok);
            event.value = completion.value.clone().or(event.value);
            event.saw = completion.saw.clone();
            event.at = completion.at.clone();
            event.end = completion.end;
            event
        }
        Err(error) => {
            let kind = if error.is_definite() {
                EventKind::Fail
            } else {
                EventKind::Info
            };
            HistoryEvent::complete(invocation, kind).error(error.code().to_owned(), error.is_definite())
        }
    }
}

/// Now and then a client changes its node without a reason, or all would gather where nothing ever fails.
pub(crate) const ROAM_ONE_IN: u64 = 500;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(outcome: Result<Completion, CallError>) -> HistoryEvent {
        let invocation = HistoryEvent::invoke(1, 2, "write").key("k").value(5).node("n1");
        completion_event(&invocation, &outcome)
    }

    #[test]
    fn only_what_certainly_had_no_effect_is_a_fail() {
        let fail = event(Err(CallError::Unreachable("refused".into())));
        assert_eq!((fail.kind, fail.error.unwrap().definite), (EventKind::Fail, true));
        let fail = event(Err(CallError::Refused("NOLEADER wait".into())));
        assert_eq!(
            (fail.kind, fail.error.unwrap().code.as_ref()),
            (EventKind::Fail, "NOLEADER")
        );
        for open in [
            CallError::Timeout(Duration::ZERO),
            CallError::Lost("reset".into()),
            CallError::Indefinite("INDEFINITE".into()),
            CallError::Malformed("?".into()),
        ] {
            let info = event(Err(open));
            assert_eq!(
                (info.kind, info.value),
                (EventKind::Info, Some(json!(5))),
                "the value is kept"
            );
            assert!(!info.error.unwrap().definite);
        }
    }

    #[test]
    fn a_result_replaces_the_input_only_where_there_is_one() {
        let cas = event(Ok(Completion {
            saw: Some(json!(null)),
            ..Completion::default()
        }));
        assert_eq!(
            (cas.kind, cas.value, cas.saw),
            (EventKind::Ok, Some(json!(5)), Some(json!(null)))
        );
        let read = event(Ok(Completion {
            value: Some(json!(null)),
            ..Completion::default()
        }));
        assert_eq!(read.value, Some(json!(null)));
    }
}
