//! Many seeds of one plan, on several threads.
//!
//! Invariant: a seed's run knows nothing of the others; threads only share out the seeds. What is reported of a
//! failure comes from running its seed again. Where coverage steers, a run depends on those before it, so they run one after
//! the other, and what ran is a function of the plan and the first seed.

use std::fs;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Counters, Coverage, Lines, Simulated, Steering, simulate, simulate_counted};
use crate::plan::Plan;
use crate::results::{Counts, Outcome};

/// What to run.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// The plan that the seeds are drawn from.
    pub plan: Plan,
    /// The seeds.
    pub seeds: Range<u64>,
    /// How many run at a time.
    pub jobs: usize,
    /// Whether to go on after a failure.
    pub keep_going: bool,
    /// Begins no seed after this much time of the processors, all threads together.
    pub cpu_max: Option<Duration>,
    /// Whether to count the kinds of states that are reached.
    pub counts_states: bool,
    /// Whether most runs are of plans that are mutated from those that reached new states; a number of a run then takes the
    /// place of its seed.
    pub steers: bool,
}

/// A campaign in a few figures, as one program gives it to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Brief {
    /// Seeds that ran: the first ones, without a gap.
    pub seeds: u64,
    /// Time that the processors spent on them.
    pub cpu_seconds: f64,
    /// Virtual time of all.
    pub virtual_seconds: f64,
    /// How many could not be decided.
    pub unknown: u64,
    /// Those that failed, by seed.
    pub failed: Vec<Failure>,
    /// Operations that took effect.
    pub operations: u64,
    /// Faults that had an effect.
    pub faults: u64,
    /// Every seed that ran.
    pub runs: Vec<SeedRun>,
    /// Why the first of those that could not be decided could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
}

/// One seed, in figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SeedRun {
    /// The seed.
    pub seed: u64,
    /// Its verdict.
    pub verdict: Outcome,
    /// Operations that took effect.
    pub operations: u64,
    /// Faults that had an effect.
    pub faults: u64,
    /// States that were reached, where they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<u64>,
    /// Time of the processors, in microseconds.
    pub cpu_us: u64,
}

/// A seed that failed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The broken rule, in a few words.
    pub rule: String,
    /// What was seen, in a line.
    pub detail: String,
    /// Where: the line of source that panicked, or the checker.
    pub place: String,
    /// How many events it took.
    pub events: u64,
    /// Where coverage steers: the plan that failed, with its seed, if it is a mutant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutant: Option<String>,
}

/// What came of the seeds that ran.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// Seeds that ran.
    pub seeds: u64,
    /// Those that could not be decided.
    pub unknown: Vec<(u64, String)>,
    /// Those that failed, with the broken rule.
    pub failed: Vec<Failure>,
    /// Virtual time of all.
    pub virtual_ns: u64,
    /// Time that the processors spent on them.
    pub cpu_ns: u64,
    /// Events of all.
    pub events: u64,
    /// Operations of all.
    pub operations: Counts,
    /// Faults that had an effect, of all.
    pub faults: u64,
    /// Each of them.
    pub runs: Vec<SeedRun>,
    /// What happened in all of them, in figures.
    pub counters: Counters,
    /// The kinds of states that they reached, where those are counted.
    pub coverage: Option<Coverage>,
}

impl Campaign {
    /// Runs the seeds. `show` gets the state about once a second.
    pub fn run(&self, mut show: impl FnMut(&Totals)) -> Totals {
        let next = AtomicU64::new(self.seeds.start);
        let stop = AtomicBool::new(false);
        let (send, receive) = channel();
        std::thread::scope(|scope| {
            for _ in 0..self.threads() {
                let send = send.clone();
                let (next, stop) = (&next, &stop);
                scope.spawn(move || self.work(next, stop, &send));
            }
            drop(send);
            self.gather(&receive, &stop, &mut show)
        })
    }

    fn threads(&self) -> usize {
        if self.steers { 1 } else { self.jobs.max(1) }
    }

    fn work(&self, next: &AtomicU64, stop: &AtomicBool, send: &Sender<Totals>) {
        let mut before = thread_cpu_ns();
        let mut steering = self.steers.then(|| Steering::new(&self.plan, self.seeds.start));
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.seeds.end {
                return;
            }
            let mut one = match steering.as_mut() {
                None => Totals::of(self.simulate(seed)),
                Some(steering) => self.steered(steering, seed),
            };
            let now = thread_cpu_ns();
            one.cpu_ns = now.saturating_sub(before);
            for run in &mut one.runs {
                run.cpu_us = one.cpu_ns / 1000;
            }
            before = now;
            if send.send(one).is_err() {
                return;
            }
        }
    }

    fn simulate(&self, seed: u64) -> Simulated {
        if self.counts_states {
            simulate_counted(&self.plan, seed)
        } else {
            simulate(&self.plan, seed, Lines::None)
        }
    }

    /// The run of this number, where coverage steers.
    fn steered(&self, steering: &mut Steering, number: u64) -> Totals {
        let trial = steering.next_trial(number);
        let run = simulate_counted(&trial.plan, trial.seed);
        steering.learn(&trial, &run);
        let mut one = Totals::of(run);
        one.runs.iter_mut().for_each(|run| run.seed = number);
        for failure in &mut one.failed {
            failure.seed = number;
            failure.mutant = trial.is_mutant().then(|| trial.plan.to_toml());
        }
        one.unknown.iter_mut().for_each(|(seed, _)| *seed = number);
        if !self.counts_states {
            one.coverage = None;
        }
        one
    }

    fn gather(
        &self,
        receive: &Receiver<Totals>,
        stop: &AtomicBool,
        show: &mut impl FnMut(&Totals),
    ) -> Totals {
        let mut tally = Totals::default();
        loop {
            match receive.recv_timeout(SHOW_EVERY) {
                Ok(one) => {
                    tally.merge(one);
                    let is_spent = |max: Duration| u128::from(tally.cpu_ns) >= max.as_nanos();
                    if !tally.failed.is_empty() && !self.keep_going || self.cpu_max.is_some_and(is_spent) {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            show(&tally);
        }
        tally.failed.sort_unstable();
        tally.unknown.sort_unstable();
        tally.runs.sort_unstable();
        tally
    }
}

impl Totals {
    fn merge(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.unknown.extend(other.unknown);
        self.failed.extend(other.failed);
        self.virtual_ns += other.virtual_ns;
        self.cpu_ns += other.cpu_ns;
        self.events += other.events;
        let (all, more) = (&mut self.operations, other.operations);
        all.invoked += more.invoked;
        all.ok += more.ok;
        all.fail += more.fail;
        all.info += more.info;
        self.faults += other.faults;
        self.runs.extend(other.runs);
        self.counters.add(&other.counters);
        if let Some(coverage) = other.coverage {
            self.coverage.get_or_insert_default().merge(coverage);
        }
    }

    fn of(mut done: Simulated) -> Self {
        let mut tally = Self {
            seeds: 1,
            virtual_ns: done.virtual_ns,
            events: done.trace.events,
            operations: done.results.operations,
            faults: effective(&done),
            runs: vec![SeedRun {
                seed: done.seed,
                verdict: done.verdict(),
                operations: done.results.operations.ok,
                faults: effective(&done),
                coverage: done.coverage.as_ref().map(Coverage::clusters),
                cpu_us: 0,
            }],
            coverage: done.coverage.take(),
            ..Self::default()
        };
        tally.counters.add(&done.counters);
        match done.verdict() {
            Outcome::Valid => {}
            Outcome::Unknown => {
                let checks = done.results.checks.iter();
                let undecided = checks.filter(|check| check.verdict == Outcome::Unknown);
                let why = undecided.filter_map(|check| check.summary.clone());
                let why = done.results.reasons.iter().cloned().chain(why).next();
                tally.unknown.push((done.seed, why.unwrap_or_default()));
            }
            Outcome::Invalid => tally.failed.push(Failure {
                seed: done.seed,
                rule: done.broken().unwrap_or_else(|| "invalid".to_owned()),
                detail: detail_of(&done),
                place: done.place(),
                events: done.trace.events,
                mutant: None,
            }),
        }
        tally
    }

    /// The figures that another program wants.
    pub fn brief(&self) -> Brief {
        Brief {
            seeds: self.seeds,
            cpu_seconds: self.cpu_ns as f64 / 1e9,
            virtual_seconds: self.virtual_ns as f64 / 1e9,
            unknown: self.unknown.len() as u64,
            failed: self.failed.clone(),
            operations: self.operations.ok,
            faults: self.faults,
            runs: self.runs.clone(),
            doubt: self
                .unknown
                .first()
                .map(|(seed, why)| format!("seed {seed}: {why}")),
        }
    }

    /// The worst of all.
    pub fn verdict(&self) -> Outcome {
        match (self.failed.is_empty(), self.unknown.is_empty(), self.seeds) {
            (false, _, _) => Outcome::Invalid,
            (true, true, 1..) => Outcome::Valid,
            (true, _, _) => Outcome::Unknown,
        }
    }

    /// Simulated seconds for each second of a processor.
    pub fn speed(&self) -> f64 {
        self.virtual_ns as f64 / self.cpu_ns.max(1) as f64
    }

    /// The state in a line.
    pub fn line(&self) -> String {
        let seconds = self.virtual_ns as f64 / 1e9;
        format!(
            "{} seeds, {:.0} simulated s in {:.1} CPU s ({:.0} per CPU s), {} operations ok, {} crashes, \
             {} elections, {} ended with a bare majority at first, disks full {} times{} | failed {}, unknown {}",
            self.seeds,
            seconds,
            self.cpu_ns as f64 / 1e9,
            self.speed(),
            self.operations.ok,
            self.counters.processes.crashes,
            self.counters.elections,
            self.counters.bare_majorities,
            self.counters.disks.full,
            self.damage(),
            self.failed.len(),
            self.unknown.len(),
        )
    }
}

impl Totals {
    /// What disks went through, where they went through anything.
    fn damage(&self) -> String {
        match self.counters.disks.damages {
            0 => String::new(),
            damages => format!(
                ", disks damaged {damages} times ({} damaged entries found when read, {} by the scrub; {} nodes rightly refused to \
                 start, {} runs rightly could not go on)",
                self.counters.disks.holes,
                self.counters.disks.scrubbed,
                self.counters.processes.refusals,
                self.counters.stalls
            ),
        }
    }
}

/// What was seen of the first thing that is wrong.
fn detail_of(done: &Simulated) -> String {
    if let Some(violation) = &done.violation {
        return violation.detail.clone();
    }
    let mut checks = done.results.checks.iter();
    let broken = checks.find(|check| check.verdict == Outcome::Invalid);
    broken.and_then(|check| check.summary.clone()).unwrap_or_default()
}

/// How many of its faults had an effect.
fn effective(done: &Simulated) -> u64 {
    let faults = done.results.faults.iter();
    faults.filter(|fault| fault.evidence.is_some()).count() as u64
}

/// What the processors spent on this thread so far; zero where the kernel does not say.
pub fn thread_cpu_ns() -> u64 {
    let said = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = said.split_ascii_whitespace().next();
    first.and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
}

const SHOW_EVERY: Duration = Duration::from_millis(500);
