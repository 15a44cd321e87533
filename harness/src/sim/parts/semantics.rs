//! The second implementation of the commands beside the nodes: it carries out every committed command, once and in
//! order, and knows what each of them is answered.
//!
//! Invariant: `states` are those after the last indexes that are committed anywhere, without a gap. What is asked may
//! be asked several times with the same bytes, and is then committed at several indexes.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::keyspace::{Answer, Asked, Keyspace, Request, understand};
use crate::recording::hash::FastMap;

use bytes::Bytes;
use noraftd::level::Level;

/// What every command means, in the order in which they were committed.
#[derive(Debug)]
pub(crate) struct Semantics {
    /// By the hash of its body: what a command asks for, and where it was committed.
    commands: FastMap<u64, Known>,
    /// Commands of leaders.
    own: [(u64, Own); 2],
    /// The stamp of the last entry.
    stamp: u64,
    /// The states after `first` and the indexes behind it.
    states: VecDeque<State>,
    first: u64,
    /// Answers that were looked at.
    pub(crate) answers: u64,
    /// States of nodes that were looked at.
    pub(crate) images: u64,
}

/// What a leader appends by itself.
#[derive(Debug, Clone, Copy)]
enum Own {
    /// The log's clock goes on.
    Clock,
    /// A level comes into force.
    Raise,
}

#[derive(Debug)]
struct Known {
    request: Rc<Request>,
    positions: Vec<u64>,
}

#[derive(Debug)]
struct State {
    keyspace: Keyspace,
    /// What the command of this index is answered, where there is one.
    answer: Option<Answer>,
}

/// An entry that was committed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Committed {
    /// The hash of its command's body, where it has a command.
    pub(crate) body: Option<u64>,
    pub(crate) stamp: u64,
}

impl Semantics {
    /// Knows nothing but the commands of leaders, by the hashes of their bodies: that the clock goes on, and that the level rises.
    pub(crate) fn new([clock, raise]: [u64; 2]) -> Self {
        let empty = State {
            keyspace: Keyspace::default(),
            answer: None,
        };
        Self {
            commands: FastMap::default(),
            own: [(clock, Own::Clock), (raise, Own::Raise)],
            stamp: 0,
            states: VecDeque::from([empty]),
            first: 0,
            answers: 0,
            images: 0,
        }
    }

    /// The last index that was carried out.
    pub(crate) fn last(&self) -> u64 {
        self.first + self.states.len() as u64 - 1
    }

    /// A client asks for this, in a request whose body has the hash `body`.
    pub(crate) fn asked(&mut self, body: u64, words: &[Bytes]) -> Result<Rc<Request>, String> {
        if let Some(known) = self.commands.get(&body) {
            return Ok(Rc::clone(&known.request));
        }
        let request = match understand(words) {
            Ok(Asked::Keys(request)) => Rc::new(request),
            other => {
                return Err(format!(
                    "{} is for the state machine; expected was {other:?}",
                    words_shown(words)
                ));
            }
        };
        let known = Known {
            request: Rc::clone(&request),
            positions: Vec::new(),
        };
        self.commands.insert(body, known);
        Ok(request)
    }

    /// Carries out the next committed entry.
    pub(crate) fn commit(&mut self, entry: Committed) -> Result<(), String> {
        let index = self.last() + 1;
        if entry.stamp < self.stamp {
            return Err(format!(
                "the log's clock goes back at entry {index}: from {} to {}",
                self.stamp, entry.stamp
            ));
        }
        self.stamp = entry.stamp;
        let mut keyspace = self
            .states
            .back()
            .map_or_else(Keyspace::default, |state| state.keyspace.clone());
        let mut answer = None;
        keyspace.begin(index);
        keyspace.pass(entry.stamp);
        let own = self.own.iter().find(|(body, _)| entry.body == Some(*body));
        if let Some((_, own)) = own {
            match own {
                Own::Clock => {}
                Own::Raise => keyspace.raise(Level::SUPPORTED.get()),
            }
        } else if let Some(body) = entry.body {
            let Some(known) = self.commands.get_mut(&body) else {
                return Err(format!("entry {index} is a command that no client asked for"));
            };
            known.positions.push(index);
            answer = Some(keyspace.execute(entry.stamp, &known.request));
        }
        self.states.push_back(State { keyspace, answer });
        if self.states.len() > STATES_MAX {
            self.states.pop_front();
            self.first += 1;
        }
        Ok(())
    }

    /// Looks at the answer, in RESP2, to a request that was asked when `since` was the last committed index.
    pub(crate) fn check(
        &mut self,
        request: &Request,
        body: u64,
        since: u64,
        reply: &[u8],
    ) -> Result<(), String> {
        if since < self.first {
            // Those states are gone.
            return Ok(());
        }
        self.answers += 1;
        let expected = if request.writes() {
            let positions = self.commands.get(&body).map_or(&[][..], |known| &known.positions);
            let later = positions.iter().rev().filter(|index| **index > since);
            let answers = later.filter_map(|index| self.states.get((index - self.first) as usize));
            let mut answers = answers
                .filter_map(|state| state.answer.as_ref())
                .map(Answer::to_resp);
            none_is(reply, &mut answers)
        } else {
            let states = self.states.range((since - self.first) as usize..).rev();
            none_is(
                reply,
                &mut states.map(|state| state.keyspace.read(request).to_resp()),
            )
        };
        match expected {
            None => Ok(()),
            Some(expected) => Err(format!(
                "answered {}; expected was {}, from what was committed at index {} or later",
                shown(reply),
                shown(&expected),
                since + 1,
            )),
        }
    }

    /// Looks at the whole state of a node that applied `index`, where that state is still known here.
    pub(crate) fn check_state(&mut self, index: u64, image: impl FnOnce() -> Vec<u8>) -> Result<(), String> {
        let at = index.checked_sub(self.first).map(|at| at as usize);
        let Some(state) = at.and_then(|at| self.states.get(at)) else {
            return Ok(());
        };
        self.images += 1;
        let (image, expected) = (image(), state.keyspace.image());
        if image == expected {
            return Ok(());
        }
        let same = image
            .iter()
            .zip(&expected)
            .take_while(|(one, other)| one == other);
        let from = same.count().saturating_sub(SHOWN_BYTES / 4);
        Err(format!(
            "the state after index {index} differs: it goes on with {}; expected was {}",
            shown(image.get(from..).unwrap_or_default()),
            shown(expected.get(from..).unwrap_or_default())
        ))
    }
}

/// The first of `expected` when `reply` is none of them.
fn none_is(reply: &[u8], expected: &mut dyn Iterator<Item = Vec<u8>>) -> Option<Vec<u8>> {
    let mut first = None;
    for one in expected {
        if one == reply {
            return None;
        }
        first.get_or_insert(one);
    }
    Some(first.unwrap_or_else(|| b"(it is not committed)".to_vec()))
}

/// A request, in words that fit a line.
pub(crate) fn words_shown(words: &[Bytes]) -> String {
    let words: Vec<String> = words.iter().map(|word| shown(word)).collect();
    words.join(" ")
}

fn shown(bytes: &[u8]) -> String {
    let cut = bytes.get(..SHOWN_BYTES).unwrap_or(bytes);
    let dots = if cut.len() < bytes.len() { "..." } else { "" };
    format!("\"{}\"{dots}", cut.escape_ascii())
}

/// More than are committed while a client waits for an answer.
const STATES_MAX: usize = 4096;
const SHOWN_BYTES: usize = 120;
