//! How processes start: a directory is opened, or refused, or the process is killed in the middle of it.
//!
//! Invariant: what an opening found is what was done to the directory.

use std::io;
use std::sync::Arc;

use noraft::LogIndex;
use noraftd::prng::Prng;
use noraftd::record::{Record, SnapshotId, genesis_config};
use noraftd::recovered::Recovered;
use noraftd::replica::event::{Input, Snapshot};
use noraftd::replica::{Ahead, Replica, ReplicaConfig};
use noraftd::snapshot;
use noraftd::storage::{Driver, ReadDriver};
use noraftd::store::{Identity, LogReader, OpenError, Options, Owner, ReadError, SpareBy, Store};
use noraftd::time::Instant;

use super::World;
use crate::plan::{DiskTrouble, NodePlan};
use crate::sim::journal::happening::{DiskHappening, Happening, NodeHappening};
use crate::sim::parts::MILLI;
use crate::sim::parts::connections::Connections;
use crate::sim::parts::event::{Event, NodeEvent, RunEvent};
use crate::sim::parts::hello::{Card, Greeter};
use crate::sim::parts::node::{CLUSTER_ID, Process, Standing, Unfinished, other_settings, replica_config};
use crate::sim::parts::phase::Phase;
use crate::sim::parts::rule::Rule;
use crate::sim::parts::table::Table;

/// A directory that was opened.
struct Opened {
    store: Store,
    recovered: Recovered,
    snapshot: Option<(SnapshotId, Snapshot)>,
    /// What the log says of the members behind that.
    ahead: Ahead,
    /// Entries beyond those that were certain.
    tail: Vec<Record>,
    greeter: Greeter,
}

impl World {
    /// Starts the process in `delay` nanoseconds; an earlier plan to start it is void.
    pub(super) fn schedule_start(&mut self, at: usize, delay: u64) {
        self.nodes[at].attempt += 1;
        let attempt = self.nodes[at].attempt;
        self.queue
            .after(delay, Event::Run(RunEvent::Start { node: at, attempt }));
    }

    pub(super) fn start(&mut self, at: usize, attempt: u64) {
        let node = &self.nodes[at];
        let is_over = node.process.is_some() || self.atlas.has_refused(at);
        let is_none = node.standing != Standing::There;
        if node.attempt != attempt || is_over || is_none || node.is_kept_down || node.loss.is_stopped {
            return;
        }
        self.damage_in_common(at);
        self.damage_at_rest(at);
        self.damage_snapshots(at);
        let share = self.plan.sim.disk.recovery_crash_permille;
        let is_interrupted = self.is_interrupted_start(at);
        if self.progress.phase == Phase::Disturbed && (self.prng.chance(share, 1000) || is_interrupted) {
            let operations = self.prng.below(RECOVERY_OPERATIONS);
            self.nodes[at].disk.crash_after(operations);
        }
        let opened = self.open_store(at);
        if self.nodes[at].disk.is_crashed() {
            self.count_down(at);
            drop(opened);
            self.crash_in_recovery(at);
            return;
        }
        self.nodes[at].disk.disarm();
        match opened {
            Ok(opened) => self.begin_process(at, opened),
            Err(error) => self.start_failed(at, &error),
        }
    }

    /// The size of segments, in KiB, and the limits that a node has in this life.
    pub(super) fn settings(&self, at: usize) -> (u64, NodePlan) {
        let (disk, limits) = (&self.plan.sim.disk, &self.plan.sim.node);
        let label = FORK_SETTINGS ^ ((at as u64) << 32) ^ self.nodes[at].life;
        let prng = &mut Prng::new(self.plan.seed.unwrap_or_default()).fork(label);
        if self.progress.phase == Phase::Disturbed && prng.chance(limits.resettings_permille, 1000) {
            other_settings(limits, self.plan.chunk_bits_min(), prng)
        } else {
            (disk.segment_kib, limits.clone())
        }
    }

    fn open_store(&mut self, at: usize) -> Result<Opened, NotOpened> {
        let disk = self.nodes[at].disk.open();
        let options = Options {
            segment_bytes: self.settings(at).0 << 10,
            spare: SpareBy::Caller,
            clock: || Instant::ZERO,
            salt_seed: self.prng.next_u64(),
        };
        let owner = Owner {
            cluster_id: CLUSTER_ID,
            node_id: self.nodes[at].id,
        };
        let opened = match Store::open(disk.clone(), options, owner) {
            Err(OpenError::NoStore { .. }) => {
                let incarnation = self.draw_incarnation(at);
                let genesis = genesis_config(self.first_nodes());
                Store::create(disk, options, Identity { owner, incarnation }, &genesis)
            }
            opened => opened,
        };
        let (mut store, recovered) = opened.map_err(NotOpened::Open)?;
        let snapshot = snapshot::restore(&mut store).map_err(NotOpened::Open)?;
        let base = recovered.log.snapshot_position().index.get();
        let known = self.checks.first_unsure(at, &recovered).max(base);
        let tail = read_after(&store.reader(), known, &recovered).map_err(NotOpened::Read)?;
        let applied = snapshot
            .as_ref()
            .map_or(LogIndex::ZERO, |(_, snapshot)| snapshot.head.base.position.index);
        let last = recovered.last_position().index;
        let ahead = snapshot::read_ahead(&store.reader(), applied, last);
        let greeter = self.greeter(at, &store).map_err(NotOpened::Met)?;
        Ok(Opened {
            greeter,
            store,
            recovered,
            snapshot,
            ahead,
            tail,
        })
    }

    /// How the process introduces itself. Nodes that are started with other segments than the plan says do not say so: it
    /// would keep them apart.
    fn greeter(&self, at: usize, store: &Store) -> io::Result<Greeter> {
        let nodes = self.first_nodes();
        let is_same = self.plan.sim.node.resettings_permille == 0;
        let payload_bytes_max = is_same.then_some(store.payload_bytes_max() as u64);
        let disk = Arc::clone(&self.nodes[at].met);
        // Not drawn: another draw would be another trace.
        let mark = self.nodes[at].life as u32;
        let card = Card {
            identity: store.identity(),
            payload_bytes_max,
            level: self.levels.of(at),
        };
        card.greeter(disk, &nodes, mark)
    }

    fn crash_in_recovery(&mut self, at: usize) {
        self.journal.counters.processes.recovery_crashes += 1;
        let power = self.prng.chance(1, 2);
        let lost = if power {
            self.cut_power(at)
        } else {
            self.nodes[at].disk.release();
            0
        };
        self.journal.counters.disks.sectors_lost += lost;
        self.journal.note(
            self.queue.now(),
            Happening::Disk(DiskHappening::IsInterruptedInRecovery { node: at, lost }),
        );
        let again = self.prng.between(1, 100) * MILLI;
        self.schedule_start(at, again);
    }

    fn start_failed(&mut self, at: usize, error: &NotOpened) {
        self.nodes[at].disk.release();
        let refused = matches!(error, NotOpened::Open(OpenError::Refused { .. }));
        if refused && self.atlas.may_refuse(at) {
            self.journal.counters.processes.refusals += 1;
            self.atlas.note_refused(at);
            self.journal.note(
                self.queue.now(),
                Happening::Node(NodeHappening::Refuses { node: at, error }),
            );
            return;
        }
        // A start needs no room, except to set up an empty directory and to write a slot of its vote again; counting it can wait.
        let is_excused = match self.nodes[at].disk.trouble() {
            None => false,
            Some(DiskTrouble::Full) => !self.nodes[at].disk.has_log(),
            Some(DiskTrouble::FullOverwrite) => !matches!(error, NotOpened::Met(_)),
            Some(DiskTrouble::Slow | DiskTrouble::Error | DiskTrouble::ShortWrite) => true,
        };
        if !is_excused {
            let said = format!("n{} does not start: {error}", at + 1);
            self.fail(Rule::StartsAgain, said);
            return;
        }
        let again = self.prng.between(50, 500) * MILLI;
        self.schedule_start(at, again);
    }

    fn config_of(&self, at: usize) -> ReplicaConfig {
        ReplicaConfig {
            level: self.levels.of(at),
            raises_level: self.levels.raise_themselves,
            ..replica_config(&self.plan, &self.settings(at).1, self.nodes[at].id)
        }
    }

    fn begin_process(&mut self, at: usize, opened: Opened) {
        let Opened {
            store,
            recovered,
            snapshot,
            ahead,
            tail,
            greeter,
        } = opened;
        self.journal.counters.processes.starts += 1;
        self.atlas.note_started(at);
        self.checks.disk_news.started(at);
        self.checks.granting.started(self.nodes[at].id);
        if let Some((_, snapshot)) = &snapshot {
            self.note_state(at, snapshot);
        }
        let config = self.config_of(at);
        let seed = self.draw_seed(at);
        let shape = recovered.clone();
        let is_abstaining = recovered.abstain.abstains();
        if is_abstaining {
            self.forget_log_ends(at);
        }
        self.check_verdict(at, &store, &recovered);
        let mut replica = Replica::recover(&config, seed, recovered, snapshot);
        replica.look_ahead(ahead);
        let is_damaged = self.atlas.is_damaged(at);
        let checked = self.checks.restarted(at, &replica, &shape, &tail, is_damaged);
        self.journal.note(
            self.queue.now(),
            Happening::Node(NodeHappening::Starts {
                node: at,
                recovered: &shape,
                store: &store,
            }),
        );
        let (reader, base) = (store.reader(), store.base());
        let scrub = self.plan.sim.disk.scrub.as_millis() * MILLI;
        if scrub > 0 {
            let life = self.nodes[at].life;
            self.queue.after(scrub, Event::node(at, life, NodeEvent::Scrub));
        }
        let incarnation = greeter.incarnation();
        let table = Table::new(self.nodes[at].id, incarnation, &self.first_nodes());
        self.nodes[at].process = Some(Process {
            table,
            writes_since: None,
            replica,
            driver: Driver::new(store, self.nodes[at].clock.instant(self.queue.now())),
            reading: ReadDriver::new(reader, SCRUB_BYTES),
            greeter,
            jobs: std::collections::VecDeque::new(),
            snapshots: std::collections::VecDeque::new(),
            votes: std::collections::VecDeque::new(),
            disk_due: None,
            inbox: vec![Input::Deadline],
            connections: Connections::default(),
            round_is_due: false,
            wake: None,
            is_abstaining,
            snapshot_log_bytes: config.snapshots.log_bytes,
            unfinished: Unfinished::default(),
        });
        self.check(checked);
        self.check_beginnings(at, base);
        self.schedule_disk(at);
        self.schedule_stumble(at);
        self.round(at);
        self.network.of(at).into_iter().for_each(|link| self.dial(link));
    }

    /// What the opening of a directory found must be what was done to it.
    fn check_verdict(&mut self, at: usize, store: &Store, recovered: &Recovered) {
        self.journal.counters.disks.holes += recovered.holes.len() as u64;
        let indexes = recovered.holes.iter().map(|hole| hole.position.index.get());
        let undamaged = indexes
            .into_iter()
            .find(|index| !self.atlas.has_damaged(at, *index));
        if let Some(index) = undamaged {
            let findings: Vec<String> = store
                .recovery_report()
                .findings
                .iter()
                .map(ToString::to_string)
                .collect();
            let said = format!(
                "n{} calls entry {index} damaged, which is not: {findings:?}",
                at + 1
            );
            self.fail(Rule::DamageRecognized, said);
        }
        if self.atlas.must_refuse(at) {
            let said = format!("n{} starts although both copies of its vote are damaged", at + 1);
            self.fail(Rule::DamageRefused, said);
        }
    }
}

/// Why a directory was not opened.
#[derive(Debug, thiserror::Error)]
enum NotOpened {
    #[error(transparent)]
    Open(OpenError),
    #[error(transparent)]
    Read(ReadError),
    #[error("which nodes it has met: {0}")]
    Met(io::Error),
}

/// All entries after `known` that can be read.
fn read_after(reader: &LogReader, known: u64, recovered: &Recovered) -> Result<Vec<Record>, ReadError> {
    let (mut records, last) = (Vec::new(), recovered.last_position().index);
    let is_hole = |index: u64| {
        let holes = &recovered.holes;
        holes
            .binary_search_by_key(&index, |hole| hole.position.index.get())
            .is_ok()
    };
    let mut next = known + 1;
    while next <= last.get() {
        if is_hole(next) {
            next += 1;
            continue;
        }
        let read = reader.read(LogIndex::new(next), last, usize::MAX)?;
        next += read.len() as u64;
        records.extend(read);
    }
    Ok(records)
}

/// The scrub reads a few entries at once, so that a pass takes several steps.
const SCRUB_BYTES: usize = 4 << 10;
/// Separates the draws of settings from others.
const FORK_SETTINGS: u64 = 0x7365_7474;
/// Opening takes about so many operations.
const RECOVERY_OPERATIONS: u64 = 30;
