//! What each machine is in a cluster whose members come and go, and how its process is started then.
//!
//! A machine has a number, which the whole harness knows it by, for the length of a run. Ids are the cluster's: the machine that begins
//! with an id of its own number gets another one when it joins again.
//!
//! Invariant: a machine is one member at a time, and what it is to leave as is known until its process has ended.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use noraftd::exit::Exit;

use super::node_process::NodeProcess;

/// What a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has no part in the cluster.
    Spare,
    /// It asks to become a member, or is one that does not vote yet.
    Joining,
    /// The voter of this id.
    Member(u64),
    /// It was this member, and is to hear that it was removed, or about to be.
    Leaving(u64),
}

/// A machine's seat.
#[derive(Debug)]
pub(super) struct Seat {
    /// What it is started with whatever it is.
    common: Vec<OsString>,
    /// What it is started with besides as one of those that begin the cluster.
    founding: Vec<OsString>,
    /// Where it listens for other nodes: at one of these at a time.
    places: Vec<SocketAddr>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    standing: Standing,
    /// Which of its places it is at.
    place: usize,
    /// It has moved, and was not started again since.
    has_to_start: bool,
    /// The settings name the others: it begins the cluster.
    is_founder: bool,
    /// The nodes that it asks to be taken in, and whether it then waits to be made a voter.
    joins: Option<(Vec<SocketAddr>, bool)>,
}

impl Seat {
    /// The seat of one of those that begin the cluster, or of a machine that has no part in it yet.
    pub(super) fn new(
        standing: Standing,
        common: Vec<OsString>,
        founding: Vec<OsString>,
        places: Vec<SocketAddr>,
    ) -> Self {
        let state = State {
            standing,
            place: 0,
            has_to_start: false,
            is_founder: standing != Standing::Spare,
            joins: None,
        };
        Self {
            common,
            founding,
            places,
            state: Mutex::new(state),
        }
    }

    pub(super) fn standing(&self) -> Standing {
        self.lock().standing
    }

    /// Where other nodes find it, or will after its next start.
    pub(super) fn place(&self) -> Option<SocketAddr> {
        self.places.get(self.lock().place).copied()
    }

    pub(super) fn has_to_start(&self) -> bool {
        self.lock().has_to_start
    }

    pub(super) fn note_started(&self) {
        self.lock().has_to_start = false;
    }

    /// Makes it something else, which shows at its next start.
    pub(super) fn become_one(&self, process: &NodeProcess, standing: Standing) {
        let mut state = self.lock();
        state.standing = standing;
        state.is_founder &= standing != Standing::Spare;
        self.seat(process, &state);
    }

    /// It is to join by way of `others`; where it `waits`, as one that is made a voter on an order only.
    pub(super) fn join(&self, process: &NodeProcess, others: Vec<SocketAddr>, waits: bool) {
        let mut state = self.lock();
        state.standing = Standing::Joining;
        state.is_founder = false;
        state.joins = Some((others, waits));
        self.seat(process, &state);
    }

    /// Whether it is started as one of those that begin the cluster: with an empty directory it waits for the others then. Any other one
    /// would begin a cluster of its own.
    pub(super) fn is_founder(&self) -> bool {
        self.lock().is_founder
    }

    /// It listens at its next place from the next start on.
    pub(super) fn move_on(&self, process: &NodeProcess) {
        let mut state = self.lock();
        state.place = (state.place + 1) % self.places.len().max(1);
        state.has_to_start = true;
        self.seat(process, &state);
    }

    fn seat(&self, process: &NodeProcess, state: &State) {
        let ends: &'static [i32] = match state.standing {
            Standing::Spare | Standing::Member(_) => &[],
            // Of a cluster without a leader it cannot become a member, and says so after a while.
            Standing::Joining => &[Exit::Failed as i32, Exit::Unavailable as i32],
            Standing::Leaving(_) => &[REMOVED],
        };
        process.take_seat(&self.arguments_of(state), ends);
    }

    pub(super) fn arguments(&self) -> Vec<OsString> {
        self.arguments_of(&self.lock())
    }

    fn arguments_of(&self, state: &State) -> Vec<OsString> {
        let mut arguments = self.common.clone();
        let mut flag = |name: &str, value: String| arguments.extend([name.into(), value.into()]);
        if let Some(place) = self.places.get(state.place) {
            flag("--peer-listen", place.to_string());
        }
        match (state.standing, &state.joins) {
            (Standing::Member(id) | Standing::Leaving(id), _) => flag("--id", id.to_string()),
            (Standing::Joining, Some((others, waits))) => {
                let others: Vec<String> = others.iter().map(ToString::to_string).collect();
                flag("--join", others.join(","));
                if *waits {
                    arguments.push("--learner".into());
                }
            }
            (Standing::Joining, None) | (Standing::Spare, _) => {}
        }
        if state.is_founder {
            arguments.extend_from_slice(&self.founding);
        }
        arguments
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole after every statement that changes it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The exit code of a node that was removed.
pub(super) const REMOVED: i32 = Exit::Removed as i32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_started_as_what_it_is() {
        let words = |text: &str| -> Vec<OsString> { text.split(' ').map(OsString::from).collect() };
        let places = ["127.0.0.1:1", "127.0.0.1:2"].map(|place| place.parse().unwrap());
        let seat = Seat::new(
            Standing::Member(3),
            words("serve --x"),
            words("--peer 1=a"),
            places.to_vec(),
        );
        let process = NodeProcess::Here(Vec::new());
        let is_started_with = |expected: &str| assert_eq!(seat.arguments(), words(expected));
        is_started_with("serve --x --peer-listen 127.0.0.1:1 --id 3 --peer 1=a");
        seat.move_on(&process);
        assert!(seat.has_to_start() && seat.is_founder());
        assert_eq!(seat.place(), Some(places[1]));
        seat.become_one(&process, Standing::Leaving(3));
        is_started_with("serve --x --peer-listen 127.0.0.1:2 --id 3 --peer 1=a");
        seat.join(&process, vec![places[0], places[1]], true);
        is_started_with("serve --x --peer-listen 127.0.0.1:2 --join 127.0.0.1:1,127.0.0.1:2 --learner");
        seat.become_one(&process, Standing::Member(7));
        is_started_with("serve --x --peer-listen 127.0.0.1:2 --id 7");
        assert!(!seat.is_founder());
    }
}
