//! What a link in trouble does with the frames that it carries: late, never, twice, in another order, damaged, a byte at a time.
//!
//! Invariants: what becomes of frame k of a link follows from the seed of the fault, the link and k alone, so that two runs of one
//! schedule are comparable; and the first frame of a connection, its greeting, passes as it is.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use noraftd::prng::Prng;
use noraftd::protocol::frame::{FRAME_BODY_BYTES_MAX, HEADER_BYTES, VERSION};
use tokio::time::Instant;

use crate::plan::LinkEffect;

/// The trouble of a link, and how bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) effect: LinkEffect,
    seed: u64,
    /// Frames that it concerns, of a thousand.
    permille: u64,
    delay_max: Duration,
    bytes_per_second: u64,
}

impl Trouble {
    /// What `seed` draws.
    pub(super) fn draw(effect: LinkEffect, seed: u64) -> Self {
        let mut prng = Prng::new(seed).fork(FORK_TROUBLE);
        Self {
            effect,
            seed,
            permille: prng.between(PERMILLE_MIN, PERMILLE_MAX),
            delay_max: Duration::from_millis(prng.between(DELAY_MIN_MS, DELAY_MAX_MS)),
            bytes_per_second: prng.between(RATE_MIN, RATE_MAX),
        }
    }

    /// The draws for frame `k` of a link.
    fn decision(&self, link: (u64, u64), k: u64) -> Prng {
        Prng::new(self.seed).fork(link.0 << 32 | link.1).fork(k)
    }
}

/// Something that leaves at its time.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Departure {
    /// Bytes to deliver.
    Bytes(Bytes),
    /// The connection ends here.
    Reset,
    /// Nothing more is said over it, and the receiver learns that; the other direction goes on.
    HalfClose,
}

/// What is on its way over one connection.
#[derive(Debug, Default)]
pub(super) struct Transit {
    frames: Frames,
    queue: VecDeque<(Instant, Departure)>,
    queued_bytes: usize,
    last: Option<Instant>,
    /// A frame that the next one overtakes.
    overtaken: Option<Bytes>,
    is_half_closed: bool,
}

impl Transit {
    /// Takes in what was sent. `next` numbers the frames of the link that the trouble concerns; gives how many it changed.
    pub(super) fn send(
        &mut self,
        bytes: &[u8],
        now: Instant,
        link: (u64, u64),
        trouble: Option<&Trouble>,
        mut next: impl FnMut() -> u64,
    ) -> u64 {
        let Some(trouble) = trouble else {
            self.let_go(now);
            let mut passed = BytesMut::with_capacity(bytes.len());
            for Part::Frame(part) | Part::Rest(part) in self.frames.cut(bytes, false) {
                passed.extend_from_slice(&part);
            }
            self.push(now, Departure::Bytes(passed.freeze()));
            return 0;
        };
        let mut changed = 0;
        for part in self.frames.cut(bytes, true) {
            match part {
                Part::Frame(frame) => {
                    let prng = trouble.decision(link, next());
                    changed += u64::from(self.disturb(frame, now, trouble, prng));
                }
                Part::Rest(bytes) => self.push(now, Departure::Bytes(bytes)),
            }
        }
        changed
    }

    /// When the next thing leaves.
    pub(super) fn due(&self) -> Option<Instant> {
        self.queue.front().map(|(due, _)| *due)
    }

    /// What leaves next.
    pub(super) fn pop(&mut self) -> Option<Departure> {
        let (_, departure) = self.queue.pop_front()?;
        if let Departure::Bytes(bytes) = &departure {
            self.queued_bytes -= bytes.len();
        }
        self.is_half_closed |= departure == Departure::HalfClose;
        Some(departure)
    }

    /// False while so much is on its way that the sender has to wait.
    pub(super) fn has_room(&self) -> bool {
        self.queued_bytes < QUEUED_BYTES_MAX
    }

    /// True once the receiver knows that nothing more comes.
    pub(super) fn is_half_closed(&self) -> bool {
        self.is_half_closed
    }

    /// The trouble is over: what is on its way arrives, in its order.
    fn let_go(&mut self, now: Instant) {
        if let Some(frame) = self.overtaken.take() {
            self.push(now, Departure::Bytes(frame));
        }
        for (due, _) in &mut self.queue {
            *due = now;
        }
        self.last = None;
    }

    fn push(&mut self, due: Instant, departure: Departure) {
        let due = self.last.map_or(due, |last| last.max(due));
        self.last = Some(due);
        if let Departure::Bytes(bytes) = &departure {
            self.queued_bytes += bytes.len();
        }
        self.queue.push_back((due, departure));
    }

    /// Sends a frame in this trouble; true when it does not just pass.
    fn disturb(&mut self, frame: Bytes, now: Instant, trouble: &Trouble, mut prng: Prng) -> bool {
        let is_hit = prng.chance(trouble.permille, 1000);
        let pass = |transit: &mut Self, frame| transit.push(now, Departure::Bytes(frame));
        match trouble.effect {
            LinkEffect::Delay => {
                let late = prng.below(trouble.delay_max.as_micros() as u64 + 1);
                self.push(now + Duration::from_micros(late), Departure::Bytes(frame));
                return true;
            }
            LinkEffect::Narrow => {
                let takes =
                    Duration::from_secs(1).mul_f64(frame.len() as f64 / trouble.bytes_per_second as f64);
                let from = self.last.map_or(now, |last| last.max(now));
                self.push(from + takes, Departure::Bytes(frame));
                return true;
            }
            LinkEffect::Slice => {
                let (mut rest, mut due) = (frame, now);
                for _ in 0..SLICES_MAX {
                    let length = prng.between(1, SLICE_BYTES_MAX).min(rest.len() as u64) as usize;
                    self.push(due, Departure::Bytes(rest.split_to(length)));
                    due += SLICE_PAUSE;
                }
                if !rest.is_empty() {
                    self.push(due, Departure::Bytes(rest));
                }
                return true;
            }
            LinkEffect::HalfClose => {
                if !self.is_half_closed && self.queue.iter().all(|(_, left)| *left != Departure::HalfClose) {
                    self.push(now, Departure::HalfClose);
                }
                return true;
            }
            LinkEffect::Reorder => match self.overtaken.take() {
                Some(overtaken) => {
                    pass(self, frame);
                    pass(self, overtaken);
                }
                None if is_hit => self.overtaken = Some(frame),
                None => pass(self, frame),
            },
            LinkEffect::Loss if is_hit => {}
            LinkEffect::Duplicate if is_hit => {
                pass(self, frame.clone());
                pass(self, frame);
            }
            LinkEffect::Corrupt if is_hit && prng.chance(1, ENDS_ONE_IN) => {
                let mut frame = BytesMut::from(&frame[..]);
                let at = prng.below(frame.len() as u64) as usize;
                frame[at] ^= 1 << prng.below(8);
                pass(self, frame.freeze());
                return true;
            }
            LinkEffect::Tear if is_hit && prng.chance(1, ENDS_ONE_IN) => {
                let length = prng.between(1, frame.len() as u64 - 1) as usize;
                pass(self, frame.slice(..length));
                self.push(now, Departure::Reset);
                return true;
            }
            LinkEffect::Corrupt | LinkEffect::Tear => {
                pass(self, frame);
                return false;
            }
            LinkEffect::Loss | LinkEffect::Duplicate => pass(self, frame),
        }
        is_hit
    }
}

/// Cuts the byte stream of one connection into frames.
#[derive(Debug, Default)]
struct Frames {
    /// The first bytes of the frame in hand, up to what says its length.
    head: Vec<u8>,
    /// How much of it is still to come, once the head is known.
    left: usize,
    /// Bytes of it that have not passed.
    kept: BytesMut,
    /// Some of it has passed: then the rest has to follow.
    is_begun: bool,
    /// The greeting has passed.
    is_greeted: bool,
    /// Something came that is no frame: from then on bytes are bytes.
    is_raw: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// A whole frame.
    Frame(Bytes),
    /// Bytes that have to pass as they are.
    Rest(Bytes),
}

impl Frames {
    /// What may pass of these bytes: as they come, or, where they are wanted `whole`, in whole frames.
    fn cut(&mut self, bytes: &[u8], whole: bool) -> Vec<Part> {
        let (mut rest, mut parts) = (bytes, Vec::new());
        while !rest.is_empty() {
            let wanted = if self.is_raw {
                rest.len()
            } else if self.head.len() < HEAD_BYTES {
                HEAD_BYTES - self.head.len()
            } else {
                self.left
            };
            let (taken, after) = rest.split_at(wanted.min(rest.len()));
            rest = after;
            self.kept.extend_from_slice(taken);
            if !self.is_raw {
                self.follow(taken);
            }
            if !whole || self.is_begun || !self.is_greeted || self.is_raw {
                parts.push(Part::Rest(self.kept.split().freeze()));
                self.is_begun = true;
            }
            if !self.is_raw && self.head.len() == HEAD_BYTES && self.left == 0 {
                if !self.kept.is_empty() {
                    parts.push(Part::Frame(self.kept.split().freeze()));
                }
                (self.is_begun, self.is_greeted) = (false, true);
                self.head.clear();
            }
        }
        parts
    }

    fn follow(&mut self, taken: &[u8]) {
        if self.head.len() == HEAD_BYTES {
            self.left -= taken.len();
            return;
        }
        self.head.extend_from_slice(taken);
        let Some((length, [version])) = self.head.split_first_chunk::<4>() else {
            return;
        };
        let length = u32::from_le_bytes(*length) as usize;
        self.is_raw = *version != VERSION || length > FRAME_BODY_BYTES_MAX;
        self.left = HEADER_BYTES - HEAD_BYTES + length;
    }
}

/// A frame begins with its length and version, in every version (see `noraftd::protocol::frame`).
const HEAD_BYTES: usize = 5;
/// Separates how bad a trouble is from what becomes of each frame.
const FORK_TROUBLE: u64 = 0x006c_696e_6b73;
/// Frames that are hit, of a thousand.
const PERMILLE_MIN: u64 = 50;
const PERMILLE_MAX: u64 = 400;
/// Of the frames that are hit, one in so many is where that ends the connection.
const ENDS_ONE_IN: u64 = 8;
/// Up to a few heartbeats, or most of an election timeout.
const DELAY_MIN_MS: u64 = 10;
const DELAY_MAX_MS: u64 = 300;
/// Bytes a second: from a few pulses to a few entries.
const RATE_MIN: u64 = 2_000;
const RATE_MAX: u64 = 400_000;
/// The first bytes of a frame come one after the other.
const SLICES_MAX: u32 = 24;
const SLICE_BYTES_MAX: u64 = 3;
const SLICE_PAUSE: Duration = Duration::from_micros(200);
/// As much as a socket takes.
const QUEUED_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use noraftd::protocol::frame;

    use super::*;

    const LINK: (u64, u64) = (1, 2);

    fn frames(count: u8) -> Vec<Vec<u8>> {
        let frame_of = |kind: u8| {
            let mut out = BytesMut::new();
            frame::encode(kind, 1, &mut out, |out| out.extend_from_slice(&[kind; 40]));
            out.to_vec()
        };
        (1..=count).map(frame_of).collect()
    }

    /// Sends a greeting, and then frames in trouble, in pieces of `step` bytes; gives what leaves, with its time, and how many were changed.
    fn sent(trouble: &Trouble, sent: &[Vec<u8>], step: usize) -> (Vec<(Duration, Departure)>, u64) {
        let (mut transit, now, mut k) = (Transit::default(), Instant::now(), 0);
        let mut changed = 0;
        for piece in sent.concat().chunks(step) {
            changed += transit.send(piece, now, LINK, Some(trouble), || {
                k += 1;
                k
            });
        }
        transit.let_go_of_order();
        let mut out = Vec::new();
        while let Some(due) = transit.due() {
            out.extend(transit.pop().map(|departure| (due - now, departure)));
        }
        (out, changed)
    }

    impl Transit {
        fn let_go_of_order(&mut self) {
            if let Some(frame) = self.overtaken.take() {
                let due = self.last.unwrap_or_else(Instant::now);
                self.push(due, Departure::Bytes(frame));
            }
        }
    }

    fn bytes(departures: &[(Duration, Departure)]) -> Vec<u8> {
        let bytes = departures.iter().filter_map(|(_, departure)| match departure {
            Departure::Bytes(bytes) => Some(bytes.to_vec()),
            Departure::Reset | Departure::HalfClose => None,
        });
        bytes.collect::<Vec<_>>().concat()
    }

    fn trouble(effect: LinkEffect) -> Trouble {
        Trouble {
            permille: 300,
            ..Trouble::draw(effect, 7)
        }
    }

    #[test]
    fn what_becomes_of_a_frame_follows_from_the_seed_and_not_from_how_its_bytes_come() {
        let frames = frames(60);
        for effect in LinkEffect::ALL {
            let trouble = trouble(effect);
            let (out, changed) = sent(&trouble, &frames, usize::MAX);
            assert!(changed > 0, "{effect:?}");
            for step in [1, 7, 61] {
                let (again, as_many) = sent(&trouble, &frames, step);
                assert_eq!(
                    (bytes(&again), as_many),
                    (bytes(&out), changed),
                    "{effect:?}, {step}"
                );
            }
            let other = Trouble { seed: 8, ..trouble };
            let (differs, _) = sent(&other, &frames, usize::MAX);
            assert!(
                out != differs || effect == LinkEffect::Narrow || effect == LinkEffect::HalfClose,
                "{effect:?}"
            );
            assert!(
                bytes(&out).starts_with(&frames[0]),
                "the greeting passes: {effect:?}"
            );
        }
    }

    #[test]
    fn frames_come_late_but_whole_and_in_their_order() {
        let frames = frames(40);
        for effect in [LinkEffect::Delay, LinkEffect::Narrow, LinkEffect::Slice] {
            let (out, changed) = sent(&trouble(effect), &frames, 100);
            assert_eq!((bytes(&out), changed), (frames.concat(), 39), "{effect:?}");
            assert!(out.is_sorted_by_key(|(due, _)| *due) && out.last().unwrap().0 > Duration::ZERO);
        }
    }

    #[test]
    fn frames_are_lost_repeated_overtaken_or_damaged_one_by_one() {
        let frames = frames(60);
        let whole = frames.concat().len();
        let (lost, count) = sent(&trouble(LinkEffect::Loss), &frames, 100);
        assert_eq!(bytes(&lost).len(), whole - count as usize * frames[0].len());
        let (repeated, count) = sent(&trouble(LinkEffect::Duplicate), &frames, 100);
        assert_eq!(bytes(&repeated).len(), whole + count as usize * frames[0].len());
        let (overtaken, _) = sent(&trouble(LinkEffect::Reorder), &frames, 100);
        let overtaken = bytes(&overtaken);
        assert!(overtaken.len() == whole && overtaken != frames.concat());
        let mut sorted: Vec<&[u8]> = overtaken.chunks(frames[0].len()).collect();
        sorted.sort_by_key(|frame| frame[HEADER_BYTES]);
        assert_eq!(sorted.concat(), frames.concat());
        let (damaged, count) = sent(&trouble(LinkEffect::Corrupt), &frames, 100);
        let differ = bytes(&damaged)
            .iter()
            .zip(frames.concat())
            .filter(|(one, other)| **one != *other)
            .count();
        assert_eq!(differ as u64, count);
    }

    #[test]
    fn a_connection_ends_within_a_frame_or_in_one_direction() {
        let frames = frames(60);
        let (torn, count) = sent(&trouble(LinkEffect::Tear), &frames, 100);
        let resets = torn
            .iter()
            .filter(|(_, departure)| *departure == Departure::Reset)
            .count();
        assert_eq!(resets as u64, count);
        assert!(bytes(&torn).len() < frames.concat().len());
        let (closed, count) = sent(&trouble(LinkEffect::HalfClose), &frames, 100);
        assert_eq!(bytes(&closed), frames[0]);
        assert_eq!(
            (closed.last().map(|(_, last)| last), count),
            (Some(&Departure::HalfClose), 59)
        );
    }

    #[tokio::test]
    async fn what_is_on_its_way_arrives_when_the_trouble_is_over() {
        let (frames, now) = (frames(3), Instant::now());
        let mut transit = Transit::default();
        let slow = trouble(LinkEffect::Delay);
        transit.send(&frames[..2].concat(), now, LINK, Some(&slow), || 1);
        let later = now + Duration::from_millis(1);
        assert_eq!(
            transit.send(&frames[2], later, LINK, None, || unreachable!("it passes")),
            0
        );
        let mut out = Vec::new();
        while let Some(due) = transit.due() {
            assert!(due <= later);
            out.extend(transit.pop().map(|departure| (Duration::ZERO, departure)));
        }
        assert_eq!(bytes(&out), frames.concat());
    }

    #[test]
    fn what_is_no_frame_passes_as_it_is() {
        let noise = vec![b"this is no frame, and it is longer than the head of one".to_vec(); 3];
        let (out, changed) = sent(&trouble(LinkEffect::Loss), &noise, 9);
        assert_eq!((bytes(&out), changed), (noise.concat(), 0));
    }
}
