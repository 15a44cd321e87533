//! A gate on one directed link: holds back whole frames of chosen kinds, and lets go of those that are chosen.
//!
//! A network may delay any message for any time. Random delays hardly ever hit the few microseconds that
//! matter; a gate hits them by looking at what passes.
//!
//! Invariant: frames are held, passed or dropped whole; a frame is let go at most once, into a connection that
//! has been greeted (its first frame has passed).

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use noraftd::protocol::frame::{FRAME_BODY_BYTES_MAX, HEADER_BYTES, VERSION};
use tokio::sync::Notify;

/// The gate of one link. Open by default.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    let_go: Notify,
}

#[derive(Debug, Default)]
struct State {
    kinds: Vec<u8>,
    held: Vec<Bytes>,
    leaving: VecDeque<Bytes>,
}

impl Gate {
    /// Holds back frames of `kinds` from now on.
    pub fn hold(&self, kinds: &[u8]) {
        self.lock().kinds = kinds.to_vec();
    }

    /// Lets every frame pass from now on; what is held is lost.
    pub fn open(&self) {
        *self.lock() = State::default();
    }

    /// The frames that are held, oldest first.
    pub fn held(&self) -> Vec<Bytes> {
        self.lock().held.clone()
    }

    /// Lets go of the held frames that `chosen` accepts; true when there was one.
    pub fn release(&self, chosen: impl Fn(&[u8]) -> bool) -> bool {
        let mut state = self.lock();
        let (leaving, held): (Vec<Bytes>, Vec<Bytes>) = state.held.drain(..).partition(|frame| chosen(frame));
        let any = !leaving.is_empty();
        state.held = held;
        state.leaving.extend(leaving);
        self.let_go.notify_one();
        any
    }

    fn holds(&self, kind: u8) -> bool {
        self.lock().kinds.contains(&kind)
    }

    fn is_open(&self) -> bool {
        self.lock().kinds.is_empty()
    }

    /// Holds a whole frame; one too many is lost.
    fn keep(&self, frame: Bytes) {
        let mut state = self.lock();
        if state.held.len() < HELD_MAX {
            state.held.push(frame);
        }
    }

    /// Waits for a frame that was let go.
    pub(super) async fn next_leaving(&self) -> Bytes {
        loop {
            if let Some(frame) = self.lock().leaving.pop_front() {
                return frame;
            }
            self.let_go.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every statement leaves the state whole, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cuts the byte stream of one connection into frames. While the gate is open, bytes pass as they come.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    /// The first bytes of the frame being read, up to the one that says its kind.
    head: Vec<u8>,
    /// How much of that frame is still to come, once the head is known.
    left: Option<usize>,
    /// Bytes of that frame that have not been delivered.
    kept: BytesMut,
    /// Whether some of that frame has been delivered already: then the rest has to follow.
    begun: bool,
    holding: bool,
    /// True once something came that is no frame: from then on bytes are bytes.
    raw: bool,
    greeted: bool,
}

impl Cutter {
    /// Takes in what was read and gives what may be delivered.
    pub(super) fn cut(&mut self, chunk: &[u8], gate: &Gate) -> BytesMut {
        let (mut rest, mut out) = (chunk, BytesMut::new());
        while !rest.is_empty() {
            if self.raw {
                out.extend_from_slice(rest);
                break;
            }
            let wanted = self.left.unwrap_or(HEAD_BYTES - self.head.len());
            let (taken, after) = rest.split_at(wanted.min(rest.len()));
            rest = after;
            self.kept.extend_from_slice(taken);
            match self.left {
                Some(left) => self.left = Some(left - taken.len()),
                None => self.read_head(taken, gate),
            }
            if !self.holding && (self.left.is_some() || self.raw || gate.is_open()) {
                self.begun = true;
                out.unsplit(self.kept.split());
            }
            if self.left == Some(0) {
                self.end_frame(gate);
            }
        }
        out
    }

    /// Whether the connection's first frame has passed.
    pub(super) fn is_greeted(&self) -> bool {
        self.greeted
    }

    fn read_head(&mut self, taken: &[u8], gate: &Gate) {
        self.head.extend_from_slice(taken);
        let Some((length, [version, kind])) = self.head.split_first_chunk::<4>() else {
            return;
        };
        let length = u32::from_le_bytes(*length) as usize;
        if *version != VERSION || length > FRAME_BODY_BYTES_MAX {
            self.raw = true;
            return;
        }
        self.left = Some(HEADER_BYTES - HEAD_BYTES + length);
        self.holding = self.greeted && !self.begun && gate.holds(*kind);
    }

    fn end_frame(&mut self, gate: &Gate) {
        if self.holding {
            gate.keep(self.kept.split().freeze());
        }
        (self.greeted, self.holding, self.begun) = (true, false, false);
        self.left = None;
        self.head.clear();
    }
}

/// A frame begins with its length, version and kind, in every version (see `noraftd::protocol::frame`).
const HEAD_BYTES: usize = 6;

/// Frames held at once; later ones are lost. A race is over after a handful.
const HELD_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use noraftd::protocol::frame;

    use super::*;

    fn frame_of(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut out = BytesMut::new();
        frame::encode(kind, 1, &mut out, |out| out.extend_from_slice(body));
        out.to_vec()
    }

    #[test]
    fn frames_pass_whole_however_the_bytes_arrive() {
        let (gate, bytes) = (
            Gate::default(),
            [frame_of(1, b"hello"), frame_of(16, b"vote")].concat(),
        );
        for at in 0..bytes.len() {
            let mut cutter = Cutter::default();
            let (first, second) = bytes.split_at(at);
            let passed = [cutter.cut(first, &gate), cutter.cut(second, &gate)].concat();
            assert_eq!(passed, bytes, "split at {at}");
        }
    }

    #[test]
    fn chosen_kinds_are_held_and_let_go_once() {
        let gate = Gate::default();
        gate.hold(&[16]);
        let mut cutter = Cutter::default();
        let (hello, vote, other) = (
            frame_of(1, b"hello"),
            frame_of(16, b"vote"),
            frame_of(17, b"other"),
        );
        let passed = cutter.cut(&[hello.clone(), vote.clone(), other.clone()].concat(), &gate);
        assert_eq!(passed, [hello, other].concat());
        assert_eq!(gate.held(), [Bytes::from(vote.clone())]);
        assert!(gate.release(|frame| frame == vote.as_slice()));
        assert!(!gate.release(|_| true));
        assert_eq!(gate.lock().leaving.pop_front(), Some(Bytes::from(vote)));
    }

    #[test]
    fn what_is_no_frame_passes_as_it_is() {
        let gate = Gate::default();
        let mut cutter = Cutter::default();
        let noise = b"this is not a frame, and it is longer than a header";
        assert_eq!(&cutter.cut(noise, &gate)[..], noise);
        assert_eq!(&cutter.cut(b"nor is this", &gate)[..], b"nor is this");
    }

    #[test]
    fn bytes_wait_for_nothing_while_the_gate_is_open() {
        let (gate, mut cutter) = (Gate::default(), Cutter::default());
        assert_eq!(&cutter.cut(b"abc", &gate)[..], b"abc");
    }
}
