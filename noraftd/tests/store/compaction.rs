//! Snapshots and compaction: what is there after a crash at any operation of a run with both.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use noraft::{LogIndex, LogPosition};
use noraftd::chain::Chain;
use noraftd::prng::Prng;
use noraftd::record::{Append, Base, Batch, BatchId, HardState, Record, SnapshotHead, SnapshotId};
use noraftd::recovered::Recovered;
use noraftd::store::disk::memory::{Fault, MemDisk};
use noraftd::store::{OpenError, Options, Snapshots, Store, StoreError, Verdict};
use noraftd::time::Stamp;

use crate::common::*;

/// Steps of a run: a dozen rolls, snapshots and compactions, and some snapshots of other nodes.
const STEPS: usize = 70;

pub(crate) fn small_segments() -> Options {
    Options {
        segment_bytes: 32 << 10,
        ..options()
    }
}

/// What a node must have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    hard_state: HardState,
    /// From entry 1 on, whether covered or not.
    records: Vec<Record>,
    base: u64,
    snapshots: BTreeSet<LogPosition>,
}

/// Something that is done to a store, and what the node has then.
#[derive(Debug, Clone)]
enum Step {
    Persist(Batch),
    Save(LogPosition),
}

impl Node {
    fn last(&self) -> LogPosition {
        self.position(self.records.len() as u64)
    }

    fn position(&self, index: u64) -> LogPosition {
        match index.checked_sub(1) {
            Some(before) => self.records[before as usize].position,
            None => LogPosition::ZERO,
        }
    }

    fn newest(&self) -> Option<LogPosition> {
        self.snapshots
            .iter()
            .copied()
            .filter(|held| self.holds(*held))
            .max_by_key(|held| held.index)
    }

    fn holds(&self, position: LogPosition) -> bool {
        let index = position.index.get();
        index >= self.base && index <= self.last().index.get() && self.position(index) == position
    }

    fn batch(base: Option<Base>, hard_state: Option<HardState>, append: Option<Append>) -> Step {
        Step::Persist(Batch {
            id: BatchId(1),
            base,
            hard_state,
            append,
        })
    }

    fn next_step(&self, prng: &mut Prng) -> Step {
        let last = self.last();
        match prng.below(12) {
            0 | 1 => self.new_term(prng),
            2 | 3 if self.newest().is_none_or(|newest| newest.index < last.index) && last.index.get() > 0 => {
                Step::Save(last)
            }
            4 => self.compact().unwrap_or_else(|| self.new_term(prng)),
            5 if prng.chance(1, 3) && self.hard_state.term > 0 => self.install(prng),
            _ if last.term.get() > 0 => {
                let first = last.index.get() + 1;
                let records = (first..first + prng.between(1, 4))
                    .map(|index| command(last.term.get(), index, &vec![index as u8 | 1; 1900]))
                    .collect();
                Self::batch(None, None, Some(Append { prev: last, records }))
            }
            _ => self.new_term(prng),
        }
    }

    /// Cuts some of what no snapshot has, and begins a term.
    fn new_term(&self, prng: &mut Prng) -> Step {
        let term = self.hard_state.term + 1;
        let floor = self
            .newest()
            .map_or(0, |newest| newest.index.get())
            .max(self.base);
        let last = self.last().index.get();
        let prev = self.position(last - prng.below((last - floor).min(5) + 1));
        let hard_state = HardState {
            term,
            voted_for: Some(2),
        };
        let records = vec![term_entry(term, prev.index.get() + 1)];
        Self::batch(None, Some(hard_state), Some(Append { prev, records }))
    }

    /// The log begins at the older of two snapshots.
    fn compact(&self) -> Option<Step> {
        let newest = self.newest()?;
        let older = self.snapshots.iter().copied();
        let older = older.filter(|held| held.index < newest.index && self.holds(*held));
        let position = older.max_by_key(|held| held.index)?;
        let base = Base {
            position,
            config: genesis(),
            chain: None,
        };
        (position.index.get() > self.base).then(|| Self::batch(Some(base), None, None))
    }

    /// Another node's snapshot: of entries that this one does not have, or of a later term and before the end of a log that
    /// none of its leaders had.
    fn install(&self, prng: &mut Prng) -> Step {
        let last = self.last().index.get();
        let floor = self
            .newest()
            .map_or(0, |newest| newest.index.get())
            .max(self.base);
        let is_behind = floor + 1 < last && prng.chance(1, 2);
        let (term, index) = if is_behind {
            (self.hard_state.term + 1, prng.between(floor + 1, last - 1))
        } else {
            (self.hard_state.term, last + prng.between(1, 30))
        };
        let hard_state = is_behind.then_some(HardState {
            term,
            voted_for: None,
        });
        let base = Base {
            position: at(term, index),
            config: genesis(),
            chain: Some(prng.next_u64()),
        };
        let append = prng.chance(1, 2).then(|| Append {
            prev: base.position,
            records: vec![command(term, index + 1, b"after the snapshot")],
        });
        Self::batch(Some(base), hard_state, append)
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Save(position) => {
                self.snapshots.insert(*position);
            }
            Step::Persist(batch) => {
                self.hard_state = batch.hard_state.unwrap_or(self.hard_state);
                if let Some(base) = &batch.base {
                    self.rebase(base.position);
                }
                if let Some(append) = &batch.append {
                    self.records.truncate(append.prev.index.get() as usize);
                    self.records.extend_from_slice(&append.records);
                }
            }
        }
    }

    fn rebase(&mut self, position: LogPosition) {
        let index = position.index.get();
        if !self.holds(position) {
            let term = position.term.get();
            self.records = (1..=index)
                .map(|index| command(term, index, b"covered"))
                .collect();
            self.snapshots.insert(position);
        }
        self.base = index;
        self.snapshots.retain(|held| held.index.get() >= index);
    }
}

/// The content of the snapshot at `position`, in a few chunks.
pub(crate) fn content(position: LogPosition) -> Vec<Bytes> {
    let text = format!("the state after {position:?}");
    vec![Bytes::from(text.clone()), Bytes::from(text.repeat(40))]
}

pub(crate) fn head(position: LogPosition) -> SnapshotHead {
    SnapshotHead {
        base: Base {
            position,
            config: genesis(),
            chain: None,
        },
        stamp: Stamp::from_millis(position.index.get()),
    }
}

pub(crate) fn save(snapshots: &Snapshots, position: LogPosition) -> Result<SnapshotId, String> {
    let saved = snapshots.save(&head(position), &mut content(position).into_iter());
    saved.map_err(|error| error.to_string())
}

/// Sends `position`'s snapshot from another directory, in pieces.
pub(crate) fn receive(to: &Snapshots, position: LogPosition) -> Result<(), String> {
    let from = Snapshots::new(Arc::new(MemDisk::new()), owner().cluster_id);
    let id = save(&from, position)?;
    let mut offset = 0;
    while offset < id.bytes {
        let bytes = from
            .read(position, offset, 700)
            .map_err(|error| error.to_string())?;
        to.receive(offset, &bytes).map_err(|error| error.to_string())?;
        offset += bytes.len() as u64;
    }
    let mut taken = Vec::new();
    let finished = to.finish_receiving(id, &mut |chunk| {
        taken.push(Bytes::copy_from_slice(chunk));
        true
    });
    assert!(finished.is_err() || taken == content(position));
    finished.map(drop).map_err(|error| error.to_string())
}

fn do_step(store: &mut Store, node: &Node, step: &Step) -> Result<(), String> {
    match step {
        Step::Save(position) => save(&store.snapshots(), *position).map(drop),
        Step::Persist(batch) => {
            if let Some(base) = batch.base.as_ref().filter(|base| !node.holds(base.position)) {
                receive(&store.snapshots(), base.position)?;
            }
            match store.persist(batch) {
                Ok(_) => Ok(()),
                Err(StoreError::Invalid(why)) => panic!("{step:?} was refused: {why}"),
                Err(error) => Err(error.to_string()),
            }
        }
    }
}

/// What a run had when it was cut short, and what it was doing.
struct Run {
    created: bool,
    node: Node,
    doing: Option<Step>,
    compactions: u64,
    installs: u64,
}

fn run_on(disk: &MemDisk, seed: u64) -> Run {
    let mut run = Run {
        created: false,
        node: Node::default(),
        doing: None,
        compactions: 0,
        installs: 0,
    };
    let created = Store::create(Arc::new(disk.clone()), small_segments(), identity(), &genesis());
    let Ok((mut store, _)) = created else { return run };
    run.created = true;
    let mut prng = Prng::new(seed);
    for _ in 0..STEPS {
        let step = run.node.next_step(&mut prng);
        if do_step(&mut store, &run.node, &step).is_err() {
            run.doing = Some(step);
            return run;
        }
        if let Step::Persist(Batch { base: Some(base), .. }) = &step {
            let holds = run.node.holds(base.position);
            run.compactions += u64::from(holds);
            run.installs += u64::from(!holds);
        }
        run.node.apply(&step);
    }
    run
}

/// What was found in a directory.
fn found(store: &mut Store, recovered: &Recovered) -> Result<Node, String> {
    let restored = store
        .restore(Vec::new, |chunks: &mut Vec<Bytes>, chunk| {
            chunks.push(Bytes::copy_from_slice(chunk));
            true
        })
        .map_err(|error| error.to_string())?;
    let base = recovered.log.snapshot_position();
    let mut snapshots = BTreeSet::new();
    if let Some((found, _, chunks)) = restored {
        if (&found, &chunks) != (&head(found.base.position), &content(found.base.position)) {
            return Err(format!("{found:?} holds something else"));
        }
        snapshots.insert(found.base.position);
    }
    let term = base.term.get();
    let mut records: Vec<Record> = (1..=base.index.get())
        .map(|index| command(term, index, b"covered"))
        .collect();
    let last = recovered.last_position().index;
    while (records.len() as u64) < last.get() {
        let from = LogIndex::new(records.len() as u64 + 1);
        let read = store.reader().read(from, last, usize::MAX);
        records.extend(read.map_err(|error| error.to_string())?);
    }
    check_chain(recovered, &records)?;
    Ok(Node {
        hard_state: recovered.hard_state,
        records,
        base: base.index.get(),
        snapshots,
    })
}

/// The chain that was made of what the opening read is the one of the records that are read back.
fn check_chain(recovered: &Recovered, records: &[Record]) -> Result<(), String> {
    let base = recovered.log.snapshot_position().index;
    let mut chain = recovered.chain.clone();
    let start = chain.at(base).unwrap_or(7);
    chain.adopt(base, start);
    let mut truth = Chain::after(base, Some(start));
    let after_base = records.iter().skip(base.get() as usize);
    after_base.for_each(|record| truth.put(record));
    if chain == truth {
        Ok(())
    } else {
        Err(format!("the chain is {chain:?}, not {truth:?}"))
    }
}

#[test]
fn where_the_log_begins_says_the_chain_up_to_there() {
    let disk = MemDisk::new();
    let (mut store, _) =
        Store::create(Arc::new(disk.clone()), small_segments(), identity(), &genesis()).unwrap();
    let base = Base {
        position: at(3, 50),
        config: genesis(),
        chain: Some(99),
    };
    receive(&store.snapshots(), base.position).unwrap();
    let hard_state = HardState {
        term: 3,
        voted_for: None,
    };
    let append = Append {
        prev: base.position,
        records: vec![command(3, 51, b"after it")],
    };
    let Step::Persist(batch) = Node::batch(Some(base), Some(hard_state), Some(append.clone())) else {
        unreachable!("a batch is persisted")
    };
    store.persist(&batch).unwrap();
    drop(store);
    let (_, recovered) = Store::open(Arc::new(disk), small_segments(), owner()).unwrap();
    let mut truth = Chain::after(LogIndex::new(50), Some(99));
    truth.put(&append.records[0]);
    assert_eq!(recovered.chain, truth);
}

/// True when `found` is what `node` must have; entries of the last append may be missing when it was cut short.
fn is_same(found: &Node, node: &Node, doing: Option<&Batch>) -> bool {
    let base = node.base as usize;
    let after_base = node.records.get(base..).unwrap_or_default();
    let found_after = found.records.get(found.base as usize..).unwrap_or_default();
    let least = match doing.and_then(|batch| batch.append.as_ref()) {
        Some(append) => (append.prev.index.get() as usize).saturating_sub(base),
        None => after_base.len(),
    };
    found.base == node.base
        && after_base.starts_with(found_after)
        && found_after.len() >= least
        && found.position(found.base) == node.position(node.base)
}

impl Run {
    fn check_image(&self, image: &MemDisk) -> Result<(), String> {
        let opened = Store::open(Arc::new(image.clone()), small_segments(), owner());
        let (mut store, recovered) = match opened {
            Ok(opened) => opened,
            Err(OpenError::NoStore { .. }) if !self.created => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        let found = found(&mut store, &recovered)?;
        let old = &self.node;
        let (mut new, batch) = (old.clone(), self.doing.as_ref());
        let batch = match batch {
            Some(step @ Step::Persist(batch)) => {
                new.apply(step);
                Some(batch)
            }
            Some(step @ Step::Save(_)) => {
                new.apply(step);
                None
            }
            None => None,
        };
        if !(is_same(&found, old, None) || is_same(&found, &new, batch)) {
            return Err(format!(
                "found base {} and {} entries; had base {} and {}, doing {:?}",
                found.base,
                found.records.len(),
                old.base,
                old.records.len(),
                self.doing
            ));
        }
        let newest = found.snapshots.first().copied();
        if newest != old.newest().filter(|old| found.holds(*old)) && newest != new.newest() {
            return Err(format!("the state of {newest:?}, saved was {:?}", old.newest()));
        }
        let findings = &store.recovery_report().findings;
        match findings
            .iter()
            .find(|finding| finding.verdict != Verdict::AmbiguousTail)
        {
            Some(finding) => Err(format!("a power cut passes for damage: {finding}")),
            None => self.check_again(image, &found),
        }
    }

    /// What was tidied up leaves the same behind.
    fn check_again(&self, image: &MemDisk, before: &Node) -> Result<(), String> {
        let opened = Store::open(Arc::new(image.after_power_cut(3)), small_segments(), owner());
        let (mut store, recovered) = opened.map_err(|error| format!("again: {error}"))?;
        let again = found(&mut store, &recovered)?;
        (again == *before)
            .then_some(())
            .ok_or_else(|| "another opening finds another state".to_owned())
    }
}

#[test]
fn a_crash_at_any_operation_leaves_a_log_and_the_state_before_it() {
    let (mut compactions, mut installs, mut points) = (0, 0, 0);
    let runs = runs(2);
    for seed in 0..runs {
        let disk = MemDisk::new();
        let whole = run_on(&disk, seed);
        assert!(whole.created && whole.doing.is_none());
        whole.check_image(&disk.after_kill()).unwrap();
        (compactions, installs) = (compactions + whole.compactions, installs + whole.installs);
        for op in 0..disk.operations() {
            let disk = MemDisk::new();
            disk.arm(Some(Fault::PowerAfter { op }));
            let run = run_on(&disk, seed);
            for cut in 0..2 {
                points += 1;
                if let Err(why) = run.check_image(&disk.after_power_cut(op * 3 + cut)) {
                    panic!(
                        "run {seed}, power cut {cut} after operation {op} ({:?}): {why}",
                        disk.operation_log().last()
                    );
                }
            }
            points += 1;
            if let Err(why) = run.check_image(&disk.after_kill()) {
                panic!("run {seed}, killed after operation {op}: {why}");
            }
        }
        show_progress(seed, runs, points);
    }
    assert!(
        compactions >= 3 && installs >= 2 && points > 1000,
        "{compactions} compactions, {installs} installs, {points} points: the test tests too little"
    );
}

#[test]
fn segments_and_snapshots_before_the_beginning_go() {
    let disk = MemDisk::new();
    let (mut segments, mut snapshots) = (0, 0);
    for seed in 3..6 {
        let run = run_on(&disk, seed);
        assert!(run.doing.is_none());
        let names: Vec<String> = disk.files().into_keys().collect();
        let held = names.iter().filter(|name| name.starts_with("snapshot-")).count();
        segments = segments.max(names.iter().filter(|name| name.starts_with("segment-")).count());
        snapshots = snapshots.max(held);
        assert!(names.iter().all(|name| !name.ends_with(".tmp")), "{names:?}");
        disk.files()
            .keys()
            .for_each(|name| noraftd::store::disk::Disk::remove(&disk, name).unwrap());
    }
    assert!(segments <= 14, "{segments} segments");
    assert!((1..=6).contains(&snapshots), "{snapshots} snapshots");
}

#[test]
fn a_damaged_snapshot_gives_way_to_the_one_before() {
    let disk = MemDisk::new();
    let mut run = run_on(&disk, 1);
    let (mut store, _) = Store::open(Arc::new(disk.after_kill()), small_segments(), owner()).unwrap();
    store.restore(|| (), |(), _| true).unwrap();
    drop(store);
    // Two snapshots, the log after the older.
    let image = disk.after_kill();
    let (mut store, _) = Store::open(Arc::new(image.clone()), small_segments(), owner()).unwrap();
    for _ in 0..2 {
        let position = run.node.last();
        let records = vec![command(
            position.term.get(),
            position.index.get() + 1,
            b"one more",
        )];
        let append = Append {
            prev: position,
            records,
        };
        for step in [Step::Save(position), Node::batch(None, None, Some(append))] {
            do_step(&mut store, &run.node, &step).unwrap();
            run.node.apply(&step);
        }
    }
    let step = run.node.compact().unwrap();
    do_step(&mut store, &run.node, &step).unwrap();
    run.node.apply(&step);
    drop(store);
    let newest = run.node.newest().unwrap();
    let name = |position: LogPosition| {
        format!(
            "snapshot-{:016}-{:016}",
            position.index.get(),
            position.term.get()
        )
    };
    let mut files = image.files();
    files.get_mut(&name(newest)).unwrap()[60] ^= 4;
    let damaged = MemDisk::with_files(files.clone());
    let (mut store, recovered) = Store::open(Arc::new(damaged.clone()), small_segments(), owner()).unwrap();
    let after = found(&mut store, &recovered).unwrap();
    assert_eq!(
        after.snapshots.first().map(|held| held.index.get()),
        Some(run.node.base)
    );
    let findings = &store.recovery_report().findings;
    assert!(
        findings
            .iter()
            .any(|finding| finding.verdict == Verdict::SnapshotFromOlder)
    );
    assert!(
        !damaged.files().contains_key(&name(newest)),
        "it is not tried again"
    );
    // Neither is whole: there is no state to go on from.
    files.get_mut(&name(run.node.position(run.node.base))).unwrap()[60] ^= 4;
    let lost = MemDisk::with_files(files);
    let (mut store, _) = Store::open(Arc::new(lost), small_segments(), owner()).unwrap();
    let refused = store.restore(|| (), |(), _| true).unwrap_err();
    assert!(
        matches!(&refused, OpenError::Refused { finding, .. } if finding.verdict == Verdict::SnapshotLost),
        "{refused}"
    );
}

#[test]
fn a_crash_while_a_log_is_replaced_leaves_a_refusal_or_the_new_log() {
    let disk = MemDisk::new();
    let run = run_on(&disk, 1);
    let mut files = disk.files();
    files.retain(|name, _| !name.starts_with("snapshot-"));
    let (term, position) = (run.node.hard_state.term, run.node.last());
    let last_begun = files
        .iter()
        .rfind(|(name, bytes)| name.starts_with("segment-") && bytes[0] != 0);
    let last_segment = last_begun.unwrap().0.clone();
    let replace = |disk: &MemDisk| {
        let chunks = &mut content(position).into_iter();
        Store::replace_log(
            Arc::new(disk.clone()),
            small_segments(),
            owner(),
            &head(position),
            chunks,
        )
    };
    let check = |disk: &MemDisk| -> Result<(), OpenError> {
        // While the end of the old log is there, the snapshot alone mends it.
        let is_replaced = !disk.files().contains_key(&last_segment);
        let (mut store, recovered) = Store::open(Arc::new(disk.clone()), small_segments(), owner())?;
        let found = store.restore(|| (), |(), _| true)?;
        assert_eq!(found.map(|(head, ..)| head.base.position), Some(position));
        assert_eq!(
            recovered.abstain.abstains(),
            is_replaced,
            "what was acknowledged may be gone"
        );
        assert_eq!(recovered.hard_state.term, term);
        assert_eq!(recovered.last_position(), position);
        Ok(())
    };
    assert!(
        check(&MemDisk::with_files(files.clone())).is_err(),
        "there is something to repair"
    );
    let (mut refused, mut op) = (0, 0);
    loop {
        let disk = MemDisk::with_files(files.clone());
        disk.arm(Some(Fault::PowerAfter { op }));
        let finished = replace(&disk).is_ok();
        for image in [disk.after_power_cut(op), disk.after_kill()] {
            if check(&image.after_kill()).is_err() {
                refused += 1;
                replace(&image).unwrap();
                check(&image.after_power_cut(op)).unwrap();
            }
        }
        if finished {
            break;
        }
        op += 1;
    }
    assert!(refused > 10 && op > 10, "{refused} refusals at {op} points");
}

#[test]
fn a_snapshot_below_the_end_of_another_log_leaves_nothing_of_that_log() {
    let disk = MemDisk::new();
    let created = Store::create(Arc::new(disk.clone()), small_segments(), identity(), &genesis());
    let (mut store, _) = created.unwrap();
    let persist = |store: &mut Store, base: Option<LogPosition>, term, prev, records: Vec<Record>| {
        let batch = Batch {
            id: BatchId(1),
            base: base.map(|position| head(position).base),
            hard_state: Some(HardState {
                term,
                voted_for: None,
            }),
            append: Some(Append { prev, records }),
        };
        store.persist(&batch).unwrap();
    };
    let mut old = vec![term_entry(1, 1)];
    old.extend((2..=12).map(|index| command(1, index, b"of the other log")));
    persist(&mut store, None, 1, at(0, 0), old);
    save(&store.snapshots(), at(2, 5)).unwrap();
    let new: Vec<Record> = (6..=7).map(|index| command(2, index, b"of this one")).collect();
    persist(&mut store, Some(at(2, 5)), 2, at(2, 5), new.clone());
    let read = |store: &Store, to| {
        store
            .reader()
            .read(LogIndex::new(6), LogIndex::new(to), usize::MAX)
    };
    assert_eq!(read(&store, 7).unwrap(), new);
    assert!(
        read(&store, 12).map_or(true, |records| records.len() == 2),
        "the log ends at 7"
    );
    drop(store);
    let opened = Store::open(Arc::new(disk.clone()), small_segments(), owner());
    assert_eq!(read(&opened.unwrap().0, 7).unwrap(), new);
}
