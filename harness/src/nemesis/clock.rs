//! Clocks that jump, run at another rate, stop, or do all that in turn.
//!
//! Invariant: a clock has evidence only when the node itself showed what was injected, and that was not what right clocks show;
//! and clocks run as fast as others when the fault ends.

use std::time::Duration;

use noraftd::prng::Prng;
use noraftd::test_clock::{Clocks, Dial};
use noraftd::time::Instant as ClockInstant;
use tokio::time::{Instant, sleep};

use super::{Evidence, Injection, Nemesis, evidence_of, rest};
use crate::client::own::{Times, times};
use crate::cluster::{Node, TestClock};
use crate::op::EventKind;
use crate::plan::ClockChange;

impl Nemesis {
    pub(super) async fn disturb_clocks(&self, fault: &mut Injection<'_>, change: ClockChange) -> Evidence {
        let mut prng = Prng::new(fault.decision.roll).fork(FORK_CLOCK);
        let mut against = Vec::new();
        let mut watched = Vec::new();
        for node in self.targets(fault.claim) {
            match Watch::begin(node).await {
                Some(watch) => watched.push(watch),
                None => against.push(format!("n{} does not say its time", node.id)),
            }
        }
        for watch in &watched {
            watch
                .clock
                .change(|clocks| disturb(clocks, change, &mut prng))
                .map_err(|error| error.to_string())?;
        }
        self.watch(fault, change, &mut watched, &mut prng).await?;
        let mut shown = Vec::new();
        for watch in &mut watched {
            watch.look().await;
            watch.clock.calm().map_err(|error| error.to_string())?;
            match watch.evidence() {
                Ok(seen) => shown.push(seen),
                Err(why) => against.push(why),
            }
        }
        evidence_of(shown, against)
    }

    /// Looks at the clocks as long as the fault lasts, and until one of them shows it.
    async fn watch(
        &self,
        fault: &mut Injection<'_>,
        change: ClockChange,
        watched: &mut [Watch<'_>],
        prng: &mut Prng,
    ) -> Result<(), String> {
        let (started, duration) = (Instant::now(), fault.duration());
        let mut is_shown = false;
        loop {
            for watch in &mut *watched {
                watch.look().await;
            }
            if !is_shown && let Some(seen) = watched.iter().find_map(|watch| watch.evidence().ok()) {
                is_shown = true;
                self.record(EventKind::FaultOk, fault, Some(&seen));
            }
            let pause = match change {
                ClockChange::Strobe => Duration::from_millis(prng.between(STROBE_MIN_MS, STROBE_MAX_MS)),
                ClockChange::Drift | ClockChange::Jump | ClockChange::Rate | ClockChange::Freeze => {
                    LOOK_EVERY
                }
            };
            if is_shown {
                let left = duration.saturating_sub(started.elapsed());
                if left.is_zero() || rest(pause.min(left), fault.stop).await {
                    return Ok(());
                }
            } else if started.elapsed() >= duration + self.bite_max {
                return Ok(());
            } else {
                sleep(pause).await;
            }
            if change == ClockChange::Strobe {
                for watch in &*watched {
                    let strobed = watch.clock.change(|clocks| strobe(clocks, prng));
                    strobed.map_err(|error| error.to_string())?;
                }
            }
        }
    }
}

/// What a fault does to clocks at its beginning.
fn disturb(clocks: &mut Clocks, change: ClockChange, prng: &mut Prng) {
    match change {
        ClockChange::Drift => {
            jump(&mut clocks.wall, prng);
            clocks.monotonic.rate = odd_rate(prng);
        }
        ClockChange::Jump => {
            jump(&mut clocks.wall, prng);
            clocks.monotonic.shown += prng.between(LEAP_MIN_MS, LEAP_MAX_MS) * MILLI;
        }
        ClockChange::Rate => {
            clocks.wall.rate = odd_rate(prng);
            clocks.monotonic.rate = odd_rate(prng);
        }
        ClockChange::Freeze => (clocks.wall.rate, clocks.monotonic.rate) = (0, 0),
        ClockChange::Strobe => strobe(clocks, prng),
    }
}

fn strobe(clocks: &mut Clocks, prng: &mut Prng) {
    jump(&mut clocks.wall, prng);
    clocks.monotonic.rate = *prng.choose(&STROBE_RATES).expect("there are some");
}

/// Up to half a minute, forth or back, and not so little that it does not show.
fn jump(wall: &mut Dial, prng: &mut Prng) {
    let by = prng.between(JUMP_MIN_MS, JUMP_MAX_MS) * MILLI;
    wall.shown = if prng.chance(1, 2) {
        wall.shown.saturating_add(by)
    } else {
        wall.shown.saturating_sub(by)
    };
}

/// Between half and double, and not so nearly normal that it does not show.
fn odd_rate(prng: &mut Prng) -> u64 {
    if prng.chance(1, 2) {
        prng.between(Dial::NORMAL / 2, Dial::NORMAL * 8 / 10)
    } else {
        prng.between(Dial::NORMAL * 13 / 10, Dial::NORMAL * 2)
    }
}

/// One node, whose clocks are looked at.
struct Watch<'a> {
    node: &'a Node,
    clock: &'a TestClock,
    seen: Seen,
}

impl<'a> Watch<'a> {
    /// `None` when it does not say its time.
    async fn begin(node: &'a Node) -> Option<Self> {
        let clock = node.clock.as_ref()?;
        let times = times(node.door.address, PATIENCE).await?;
        let seen = Seen::begin(Look::at(clock, &times));
        Some(Self { node, clock, seen })
    }

    async fn look(&mut self) {
        if let Some(times) = times(self.node.door.address, PATIENCE).await {
            self.seen.note(Look::at(self.clock, &times));
        }
    }

    fn evidence(&self) -> Evidence {
        let Self { node, seen, .. } = self;
        match seen.words() {
            Ok(seen) => Ok(format!("n{} {seen}", node.id)),
            Err(why) => Err(format!("n{} {why}", node.id)),
        }
    }
}

/// What a node said of its time, what was injected, and what is right; in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// How inexact it is: the node answered at some moment between question and answer.
    within: i128,
    monotonic: Reading,
    wall: Reading,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    shown: i128,
    injected: i128,
    right: i128,
}

impl Look {
    /// The clock has not been changed since the question.
    fn at(clock: &TestClock, times: &Times) -> Self {
        let clocks = clock.clocks();
        let took = times.answered - times.asked;
        let at = times.asked + took / 2;
        let nanos = |instant: ClockInstant| i128::from(instant.as_nanos());
        Self {
            within: took.as_nanos() as i128,
            monotonic: Reading {
                shown: times.uptime.as_nanos() as i128,
                injected: nanos(clocks.monotonic_at(at)),
                right: nanos(at),
            },
            wall: Reading {
                shown: i128::from(times.wall_micros) * 1000,
                injected: i128::from(clocks.wall_at(at)),
                right: i128::from(clock.right_wall_at(at)),
            },
        }
    }
}

/// What was seen of the clocks of a node.
#[derive(Debug)]
struct Seen {
    first: Look,
    /// How many looks showed what was injected, and how many did not.
    as_injected: u32,
    otherwise: u32,
    /// By how much they went wrong at most since the first look.
    monotonic_off: i128,
    wall_off: i128,
}

impl Seen {
    fn begin(first: Look) -> Self {
        Self {
            first,
            as_injected: 0,
            otherwise: 0,
            monotonic_off: 0,
            wall_off: 0,
        }
    }

    fn note(&mut self, look: Look) {
        let within = SLACK + look.within + self.first.within;
        let passed = |of: fn(&Reading) -> i128, clock: fn(&Look) -> Reading| {
            of(&clock(&look)) - of(&clock(&self.first))
        };
        let follows = |clock: fn(&Look) -> Reading| {
            let differs = passed(|reading| reading.shown, clock) - passed(|reading| reading.injected, clock);
            differs.abs() <= within
        };
        if !(follows(|look| look.monotonic) && follows(|look| look.wall)) {
            self.otherwise += 1;
            return;
        }
        self.as_injected += 1;
        let off = |clock: fn(&Look) -> Reading| {
            passed(|reading| reading.shown, clock) - passed(|reading| reading.right, clock)
        };
        let further = |most: i128, now: i128| {
            if now.abs() > most.abs() && now.abs() > 2 * within {
                now
            } else {
                most
            }
        };
        self.monotonic_off = further(self.monotonic_off, off(|look| look.monotonic));
        self.wall_off = further(self.wall_off, off(|look| look.wall));
    }

    fn words(&self) -> Result<String, String> {
        if self.otherwise > self.as_injected {
            return Err("does not show the times that were injected".to_owned());
        }
        let seconds = |nanos: i128| nanos as f64 / 1e9;
        let clocks = [
            ("wall clock", self.wall_off),
            ("monotonic clock", self.monotonic_off),
        ];
        let wrong: Vec<String> = clocks
            .into_iter()
            .filter(|(_, off)| *off != 0)
            .map(|(clock, off)| format!("its {clock} wrong by {:+.2} s", seconds(off)))
            .collect();
        if wrong.is_empty() {
            return Err("shows times that are right, or nearly so".to_owned());
        }
        Ok(format!("found {}, as injected", wrong.join(" and ")))
    }
}

/// Separates these draws from those of the targets.
const FORK_CLOCK: u64 = 0x0063_6c6f_636b;
const MILLI: u64 = 1_000_000;
const JUMP_MIN_MS: u64 = 1000;
const JUMP_MAX_MS: u64 = 30_000;
/// From less than an election timeout to several.
const LEAP_MIN_MS: u64 = 200;
const LEAP_MAX_MS: u64 = 2000;
const STROBE_RATES: [u64; 4] = [0, Dial::NORMAL / 2, Dial::NORMAL * 2, Dial::NORMAL * 4];
const STROBE_MIN_MS: u64 = 10;
const STROBE_MAX_MS: u64 = 40;
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A node that is up answers within a millisecond.
const PATIENCE: Duration = Duration::from_millis(400);
/// Milliseconds are what a node shows; the rest is for a busy machine.
const SLACK: i128 = 20_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// A look, in milliseconds: what both clocks show, what was injected, and what is right.
    fn look(shown: i128, injected: i128, right: i128) -> Look {
        let reading = Reading {
            shown: shown * 1_000_000,
            injected: injected * 1_000_000,
            right: right * 1_000_000,
        };
        Look {
            within: 1_000_000,
            monotonic: reading,
            wall: reading,
        }
    }

    #[test]
    fn a_clock_has_evidence_when_it_shows_what_was_injected_and_not_what_is_right() {
        let seen = |looks: &[Look]| {
            let mut seen = Seen::begin(look(10, 1000, 1000));
            looks.iter().for_each(|look| seen.note(*look));
            seen.words()
        };
        let half = look(260, 1250, 1500);
        let words =
            "found its wall clock wrong by -0.25 s and its monotonic clock wrong by -0.25 s, as injected";
        assert_eq!(seen(&[half]), Ok(words.to_owned()));
        let right = look(510, 1500, 1500);
        assert!(seen(&[right, right]).is_err_and(|why| why.contains("right")));
        let deaf = look(510, 1250, 1500);
        assert!(seen(&[deaf, deaf, half]).is_err_and(|why| why.contains("does not show")));
        assert!(seen(&[]).is_err());
    }

    #[test]
    fn clocks_are_disturbed_by_as_much_as_shows() {
        let right = Clocks::right(ClockInstant::from_nanos(1 << 40), 1 << 60);
        for seed in 0..200 {
            let mut prng = Prng::new(seed);
            for change in [
                ClockChange::Drift,
                ClockChange::Jump,
                ClockChange::Rate,
                ClockChange::Freeze,
            ] {
                let mut clocks = right;
                disturb(&mut clocks, change, &mut prng);
                assert!(
                    clocks.monotonic.shown >= right.monotonic.shown && clocks.monotonic != right.monotonic
                );
                assert_ne!(clocks.wall, right.wall, "{change:?}");
                assert!(clocks.wall.shown.abs_diff(right.wall.shown) <= JUMP_MAX_MS * MILLI);
            }
        }
    }
}
