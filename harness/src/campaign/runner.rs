//! Units run until there are none left, the budget is spent, or somebody interrupts.
//!
//! Invariant: a unit is recorded once, when it has ended; what was going on when the campaign ended is run again.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::CampaignError;
use super::draw::{Draw, Unit};
use super::file::{Entry, Place};
use super::ledger::{About, Ledger};
use super::record::{Record, Verdict};
use super::retention::Room;
use super::work::Works;

/// How a campaign came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All seeds were run.
    Complete,
    /// The budget is spent.
    Budget,
    /// It was interrupted.
    Interrupted,
}

/// How far a campaign is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Units that have ended, in all sittings.
    pub units: u64,
    /// Base units that there are.
    pub base_units: u64,
    /// Units that follow findings, so far.
    pub followers: u64,
    /// Seeds that have been run.
    pub seeds: u64,
    /// Units by verdict, as in [`Verdict::ALL`].
    pub verdicts: [u64; 4],
    /// Time that has passed, in all sittings.
    pub spent: Duration,
    /// Time that may pass.
    pub budget: Option<Duration>,
}

impl Progress {
    fn count(&mut self, record: &Record) {
        self.units += 1;
        self.seeds += record.unit.seeds;
        let at = Verdict::ALL.iter().position(|verdict| *verdict == record.verdict);
        self.verdicts[at.expect("all verdicts are listed")] += 1;
    }

    /// Of a thousand parts, how many are done: of the budget or of the units, whatever ends first.
    pub fn permille(&self) -> u64 {
        let all = (self.base_units + self.followers).max(1);
        let units = self.units * 1000 / all;
        let time = self.budget.map_or(0, |budget| {
            self.spent.as_millis() * 1000 / budget.as_millis().max(1)
        });
        units.max(u64::try_from(time).unwrap_or(1000)).min(1000)
    }
}

pub(super) struct Runner<'a> {
    pub(super) works: &'a Works,
    pub(super) about: &'a About,
    pub(super) ledger: &'a mut Ledger,
    pub(super) room: Room,
    pub(super) jobs: usize,
    pub(super) budget: Option<Duration>,
    pub(super) stop: watch::Receiver<bool>,
}

/// What is left to run.
struct Queue<'a> {
    entries: &'a [Entry],
    draw: Draw<'a>,
    /// What follows findings goes first.
    followers: VecDeque<Unit>,
    done: BTreeSet<u64>,
    /// Drawn, and does not fit beside what is running.
    next: Option<Unit>,
}

impl Runner<'_> {
    pub(super) async fn run(&mut self, show: &mut dyn FnMut(&Progress)) -> Result<End, CampaignError> {
        let before = self.ledger.spent()?;
        let records = self.ledger.records()?;
        let entries = &self.about.campaign.entries;
        let mut queue = Queue::new(self.about, &records);
        let mut progress = Progress {
            base_units: Draw::new(entries, self.about.campaign.seed, self.about.shard).count() as u64,
            spent: before,
            budget: self.budget,
            ..Progress::default()
        };
        for record in &records {
            progress.count(record);
            if record.verdict == Verdict::Invalid {
                progress.followers += record.unit.followers(entries).len() as u64;
            }
        }
        let started = Instant::now();
        let deadline = self.budget.map(|budget| started + budget.saturating_sub(before));
        let mut running: JoinSet<Record> = JoinSet::new();
        let mut used = 0;
        let mut is_over = deadline.is_some_and(|deadline| deadline <= started);
        let mut ticks = tokio::time::interval(SHOW_EVERY);
        loop {
            while !is_over && let Some(unit) = queue.take(self.jobs - used, self.jobs) {
                used += slots(&entries[unit.entry], self.jobs);
                let works = self.works.clone();
                running.spawn(works.run(unit, entries[unit.entry].clone()));
            }
            if running.is_empty() {
                return Ok(if is_over { End::Budget } else { End::Complete });
            }
            tokio::select! {
                ended = running.join_next() => {
                    let record = ended.expect("something is running")?;
                    used -= slots(&entries[record.unit.entry], self.jobs);
                    self.ledger.record(&record, before + started.elapsed())?;
                    progress.count(&record);
                    progress.followers += queue.follow(&record);
                    self.room.keep_within(self.ledger)?;
                }
                _ = self.stop.wait_for(|stop| *stop) => return Ok(End::Interrupted),
                () = at(deadline), if !is_over => is_over = true,
                _ = ticks.tick() => {}
            }
            progress.spent = before + started.elapsed();
            show(&progress);
        }
    }
}

impl<'a> Queue<'a> {
    fn new(about: &'a About, records: &[Record]) -> Self {
        let entries = &about.campaign.entries;
        let mut queue = Self {
            entries,
            draw: Draw::new(entries, about.campaign.seed, about.shard),
            followers: VecDeque::new(),
            done: records.iter().map(|record| record.unit.id).collect(),
            next: None,
        };
        for record in records {
            queue.follow(record);
        }
        queue
    }

    /// Queues what follows `record`, if it found something; how many units those are.
    fn follow(&mut self, record: &Record) -> u64 {
        self.done.insert(record.unit.id);
        if record.verdict != Verdict::Invalid {
            return 0;
        }
        let all = record.unit.followers(self.entries);
        let left: Vec<Unit> = all
            .into_iter()
            .filter(|unit| !self.done.contains(&unit.id))
            .collect();
        self.followers.extend(&left);
        left.len() as u64
    }

    /// The next unit, when it fits into `free` of `jobs` places.
    fn take(&mut self, free: usize, jobs: usize) -> Option<Unit> {
        if self.next.is_none() {
            let done = &self.done;
            self.next = self
                .followers
                .pop_front()
                .or_else(|| self.draw.find(|unit| !done.contains(&unit.id)));
        }
        self.next
            .take_if(|unit| slots(&self.entries[unit.entry], jobs) <= free)
    }
}

/// Real processes have the machine to themselves: what else runs would disturb their time.
fn slots(entry: &Entry, jobs: usize) -> usize {
    match entry.place {
        Place::Simulation => 1,
        Place::Processes => jobs,
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

const SHOW_EVERY: Duration = Duration::from_secs(1);
