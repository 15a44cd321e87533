//! Power cuts and failing operations at every point of a run, and of an opening.

use std::sync::Arc;

use noraftd::prng::Prng;
use noraftd::record::{Batch, HardState};
use noraftd::recovered::Recovered;
use noraftd::store::disk::memory::{Fault, MemDisk};
use noraftd::store::{OpenError, Options, Store, StoreError, Verdict};

use crate::common::*;

/// Batches of a run: a few rolls, truncations, elections.
const BATCHES: usize = 45;
/// What is lost is drawn this often for each point.
const CUTS: u64 = 3;

pub(crate) fn small_segments() -> Options {
    Options {
        segment_bytes: 40 << 10,
        ..options()
    }
}

/// What a run had when it ended: what was acknowledged, and the batch that was not.
pub(crate) struct Run {
    created: bool,
    acknowledged: Model,
    in_flight: Option<Batch>,
    error: Option<StoreError>,
}

/// Runs until an error or the end.
pub(crate) fn run_on(disk: &MemDisk, seed: u64) -> Run {
    run_with(disk, seed, |_| false)
}

/// The same, but what failed is tried once more when `tries_again`.
pub(crate) fn run_with(disk: &MemDisk, seed: u64, mut tries_again: impl FnMut(&StoreError) -> bool) -> Run {
    let mut run = Run {
        created: false,
        acknowledged: Model::default(),
        in_flight: None,
        error: None,
    };
    let Ok((mut store, _)) = Store::create(Arc::new(disk.clone()), small_segments(), identity(), &genesis())
    else {
        return run;
    };
    run.created = true;
    let mut prng = Prng::new(seed);
    for number in 0..BATCHES {
        let batch = run.acknowledged.next_batch(&mut prng);
        let mut written = store.persist(&batch);
        if written.as_ref().is_err_and(&mut tries_again) {
            written = store.persist(&batch);
        }
        if let Err(error) = written {
            (run.in_flight, run.error) = (Some(batch), Some(error));
            return run;
        }
        run.acknowledged.apply(&batch);
        if number % 11 == 5
            && let Err(error) = store.mark_idle()
        {
            run.error = Some(error);
            return run;
        }
    }
    run
}

impl Run {
    /// Checks that everything acknowledged is there, and nothing that was never asked for.
    pub(crate) fn check(&self, store: &Store, recovered: &Recovered) -> Result<(), String> {
        let found = read_all(&store.reader(), recovered.log.entries().len());
        let old = &self.acknowledged;
        let mut new = old.clone();
        let mut kept = found.len();
        if let Some(batch) = &self.in_flight {
            new.apply(batch);
            kept = batch
                .append
                .as_ref()
                .map_or(new.records.len(), |append| append.prev.index.get() as usize);
        }
        let is_old = found == old.records;
        let is_part_of_new = found.len() >= kept && new.records.starts_with(&found);
        if !(is_old || is_part_of_new) {
            return Err(format!(
                "{} entries, acknowledged {}",
                found.len(),
                old.records.len()
            ));
        }
        if ![old.hard_state, new.hard_state].contains(&recovered.hard_state) {
            return Err(format!(
                "{:?}, acknowledged {:?}",
                recovered.hard_state, old.hard_state
            ));
        }
        Ok(())
    }

    /// Opens what a crash left, checks it, and goes on with it.
    pub(crate) fn check_image(&self, image: &MemDisk) -> Result<(), String> {
        let (mut store, recovered) = match Store::open(Arc::new(image.clone()), small_segments(), owner()) {
            Ok(opened) => opened,
            Err(OpenError::NoStore { .. }) if !self.created => {
                let again = Store::create(Arc::new(image.clone()), small_segments(), identity(), &genesis());
                again.map_err(|error| format!("an interrupted creation cannot be repeated: {error}"))?
            }
            Err(error) => return Err(error.to_string()),
        };
        self.check(&store, &recovered)?;
        let report = store.recovery_report();
        if report.tail_damaged
            || report
                .findings
                .iter()
                .any(|found| found.verdict != Verdict::AmbiguousTail)
        {
            return Err(format!("a power cut passes for damage: {:?}", report.findings));
        }
        if recovered.abstain.abstains() == report.findings.is_empty() {
            return Err(format!(
                "abstain: {}, findings: {:?}",
                recovered.abstain.abstains(),
                report.findings
            ));
        }
        self.go_on(&mut store, recovered, image)
    }

    fn go_on(&self, store: &mut Store, recovered: Recovered, image: &MemDisk) -> Result<(), String> {
        let mut model = Model {
            hard_state: recovered.hard_state,
            records: read_all(&store.reader(), recovered.log.entries().len()),
            batches: 0,
        };
        let batch = model.next_batch(&mut Prng::new(1));
        store.persist(&batch).map_err(|error| error.to_string())?;
        model.apply(&batch);
        let (reopened, found) = Store::open(Arc::new(image.after_kill()), small_segments(), owner())
            .map_err(|error| format!("after one more batch: {error}"))?;
        model.check(&found, &reopened.reader());
        (found.abstain.abstains() == recovered.abstain.abstains())
            .then_some(())
            .ok_or_else(|| "forgot to abstain".to_owned())
    }
}

pub(crate) fn operations_of_a_run(seed: u64) -> u64 {
    let disk = MemDisk::new();
    let run = run_on(&disk, seed);
    assert!(run.created && run.error.is_none());
    disk.operations()
}

#[test]
fn a_power_cut_after_any_operation_loses_nothing_that_was_acknowledged() {
    let (mut ambiguous, mut points, runs) = (0, 0, runs(2));
    for seed in 0..runs {
        for op in 0..operations_of_a_run(seed) {
            let disk = MemDisk::new();
            disk.arm(Some(Fault::PowerAfter { op }));
            let run = run_on(&disk, seed);
            for cut in 0..CUTS {
                let image = disk.after_power_cut(op * CUTS + cut);
                if let Err(why) = run.check_image(&image) {
                    panic!(
                        "run {seed}, power cut {cut} after operation {op} ({:?}): {why}",
                        disk.operation_log().last()
                    );
                }
                ambiguous += u64::from(image.operation_log().iter().any(|line| line.contains("+72")));
            }
            if let Err(why) = run.check_image(&disk.after_kill()) {
                panic!("run {seed}, killed after operation {op}: {why}");
            }
            points += CUTS + 1;
        }
        show_progress(seed, runs, points);
    }
    assert!(
        ambiguous > 20,
        "only {ambiguous} cuts tore a batch: the test tests nothing"
    );
}

#[test]
fn a_power_cut_while_a_torn_tail_is_cut_never_makes_the_node_forget_to_abstain() {
    let mut opened_again = 0;
    for seed in 0..400 {
        let Some((image, run)) = torn_image(seed) else {
            continue;
        };
        for op in 0.. {
            let disk = image.after_kill();
            disk.arm(Some(Fault::PowerAfter { op }));
            let finished = Store::open(Arc::new(disk.clone()), small_segments(), owner()).is_ok();
            if finished {
                break;
            }
            let again = disk.after_power_cut(seed + op);
            let (store, recovered) = Store::open(Arc::new(again), small_segments(), owner()).unwrap();
            assert!(
                recovered.abstain.abstains(),
                "seed {seed}, power cut after operation {op} of the opening"
            );
            run.check(&store, &recovered).unwrap();
            opened_again += 1;
        }
    }
    assert!(opened_again > 100, "only {opened_again} points were reached");
}

/// The image of a run that ended with a torn batch, if `seed` gives one.
pub(crate) fn torn_image(seed: u64) -> Option<(MemDisk, Run)> {
    let disk = MemDisk::new();
    disk.arm(Some(Fault::PowerAfter { op: 40 + seed % 60 }));
    let run = run_on(&disk, seed % 3);
    let image = disk.after_power_cut(seed);
    let (_, recovered) = Store::open(Arc::new(image.after_kill()), small_segments(), owner()).ok()?;
    recovered.abstain.abstains().then_some((image, run))
}

#[test]
fn abstaining_ends_when_the_node_has_caught_up_and_not_before() {
    let (image, _) = (0..).find_map(torn_image).unwrap();
    let open = |image: &MemDisk| Store::open(Arc::new(image.clone()), small_segments(), owner()).unwrap();
    let (mut store, recovered) = open(&image);
    assert!(recovered.abstain.abstains() && store.abstains());
    let mut model = Model {
        hard_state: recovered.hard_state,
        records: read_all(&store.reader(), recovered.log.entries().len()),
        batches: 0,
    };
    let mut prng = Prng::new(9);
    for _ in 0..40 {
        let batch = model.next_batch(&mut prng);
        store.persist(&batch).unwrap();
        model.apply(&batch);
    }
    drop(store);
    let (mut store, recovered) = open(&image);
    assert!(
        recovered.abstain.abstains(),
        "after batches and rolls, it has still not caught up"
    );
    store.mark_caught_up().unwrap();
    assert!(!store.abstains());
    drop(store);
    let (store, recovered) = open(&image);
    assert!(!recovered.abstain.abstains());
    model.check(&recovered, &store.reader());
}

#[test]
fn a_full_disk_at_any_write_is_reported_and_passes() {
    check_that_it_passes(ENOSPC, |error| matches!(error, StoreError::Full { .. }));
}

#[test]
fn a_shortage_of_descriptors_or_memory_at_any_operation_is_reported_and_passes() {
    for errno in [EMFILE, ENFILE, ENOMEM] {
        check_that_it_passes(errno, |error| matches!(error, StoreError::Short { .. }));
    }
}

/// Every operation in turn fails once with `errno`: the batch that met it fails as `expected`, and goes through the
/// second time.
fn check_that_it_passes(errno: i32, expected: impl Fn(&StoreError) -> bool) {
    let mut failed = 0;
    for op in 0..operations_of_a_run(0) {
        let disk = MemDisk::new();
        disk.arm(Some(Fault::Once { op, errno }));
        let Ok((mut store, _)) =
            Store::create(Arc::new(disk.clone()), small_segments(), identity(), &genesis())
        else {
            let again = Store::create(Arc::new(disk.clone()), small_segments(), identity(), &genesis());
            again
                .or_else(|_| Store::open(Arc::new(disk.clone()), small_segments(), owner()))
                .unwrap();
            continue;
        };
        let (mut model, mut prng) = (Model::default(), Prng::new(0));
        for _ in 0..BATCHES {
            let batch = model.next_batch(&mut prng);
            match store.persist(&batch) {
                Ok(_) => {}
                Err(error) if expected(&error) => {
                    failed += 1;
                    store.persist(&batch).unwrap();
                }
                Err(StoreError::Failed { doing, .. }) => {
                    assert_eq!(doing, "syncing", "operation {op}: only a sync may end the store");
                    break;
                }
                Err(
                    error @ (StoreError::Full { .. } | StoreError::Short { .. } | StoreError::Invalid(_)),
                ) => {
                    panic!("operation {op}: {error}")
                }
            }
            model.apply(&batch);
        }
        if store
            .persist(&Batch {
                id: noraftd::record::BatchId(0),
                base: None,
                hard_state: None,
                append: None,
            })
            .is_ok()
        {
            drop(store);
            let (store, recovered) =
                Store::open(Arc::new(disk.after_power_cut(op)), small_segments(), owner()).unwrap();
            model.check(&recovered, &store.reader());
            assert!(!recovered.abstain.abstains());
        }
    }
    assert!(failed > 30, "only {failed} writes failed");
}

#[test]
fn after_a_failed_operation_nothing_is_acknowledged_and_nothing_acknowledged_is_lost() {
    let mut failed = 0;
    for op in 0..operations_of_a_run(1) {
        let disk = MemDisk::new();
        disk.arm(Some(Fault::Once { op, errno: EIO }));
        let run = run_on(&disk, 1);
        failed += u64::from(matches!(run.error, Some(StoreError::Failed { .. })));
        for cut in 0..2 {
            if let Err(why) = run.check_image(&disk.after_power_cut(op + cut)) {
                panic!(
                    "operation {op} failed ({}): {why}",
                    disk.operation_log()[op as usize]
                );
            }
        }
    }
    assert!(failed > 50, "only {failed} runs failed");
}

#[test]
fn a_store_that_failed_refuses_everything() {
    let disk = MemDisk::new();
    let (mut store, _) = create(&disk).unwrap();
    let mut model = Model::default();
    let mut prng = Prng::new(4);
    for _ in 0..5 {
        let batch = model.next_batch(&mut prng);
        store.persist(&batch).unwrap();
        model.apply(&batch);
    }
    let sync = disk.operations() + 1;
    disk.arm(Some(Fault::Once { op: sync, errno: EIO }));
    let batch = loop {
        let batch = model.next_batch(&mut prng);
        if batch.hard_state.is_none() {
            break batch;
        }
    };
    let error = store.persist(&batch).unwrap_err();
    assert!(
        matches!(error, StoreError::Failed { doing: "syncing", .. }),
        "{error}"
    );
    let operations = disk.operations();
    assert!(matches!(store.persist(&batch), Err(StoreError::Failed { .. })));
    assert!(matches!(store.mark_idle(), Err(StoreError::Failed { .. })));
    assert!(matches!(store.mark_clean_stop(), Err(StoreError::Failed { .. })));
    assert_eq!(disk.operations(), operations, "a failed sync is never retried");
    model.check_reader(&store.reader());
}

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;
const ENOMEM: i32 = 12;

/// When a vote that does not wait for the batch in flight is written.
#[derive(Debug, Clone, Copy)]
enum Order {
    /// Both slots before the batch.
    Before,
    /// One slot before the batch, the other behind it.
    Around,
    /// Behind the batch.
    Behind,
}

/// Term and vote that were promised last, and those that were being written.
#[derive(Debug, Clone, Copy, Default)]
struct Promise {
    kept: HardState,
    asked: HardState,
}

/// Votes beside batches, each of which the next batch carries again, until an error or the end.
fn vote_beside_batches(disk: &MemDisk, order: Order) -> Promise {
    let mut promise = Promise::default();
    let Ok((mut store, _)) = Store::create(Arc::new(disk.clone()), small_segments(), identity(), &genesis())
    else {
        return promise;
    };
    let (votes, mut model, mut prng) = (store.votes(), Model::default(), Prng::new(7));
    for round in 0..5u64 {
        let mut batch = model.next_batch(&mut prng);
        // The batch under way still carries the state from before the vote.
        batch.hard_state = batch
            .hard_state
            .or(Some(promise.kept))
            .filter(|state| state.term > 0);
        let before = batch.hard_state.unwrap_or(promise.kept);
        let vote = HardState {
            term: before.term + round % 2,
            voted_for: Some(1 + round % 3),
        };
        let vote = if before.voted_for.is_some() && vote.term == before.term {
            HardState {
                term: vote.term + 1,
                ..vote
            }
        } else {
            vote
        };
        let save = |promise: &mut Promise| {
            promise.asked = vote;
            votes.save(vote).map(|()| promise.kept = vote)
        };
        let done = match order {
            Order::Before => save(&mut promise)
                .and_then(|()| votes.repeat())
                .and_then(|()| store.persist(&batch).map(drop)),
            Order::Around => save(&mut promise)
                .and_then(|()| store.persist(&batch).map(drop))
                .and_then(|()| votes.repeat()),
            Order::Behind => store
                .persist(&batch)
                .map(drop)
                .and_then(|()| save(&mut promise))
                .and_then(|()| votes.repeat()),
        };
        if done.is_err() {
            return promise;
        }
        model.apply(&batch);
        model.hard_state = vote;
        let again = Batch {
            id: batch.id,
            base: None,
            hard_state: (round % 2 == 0).then_some(vote),
            append: None,
        };
        if store.persist(&again).is_err() {
            return promise;
        }
    }
    promise
}

#[test]
fn a_vote_beside_a_batch_survives_a_power_cut_after_any_operation_in_any_order() {
    for order in [Order::Before, Order::Around, Order::Behind] {
        let whole = MemDisk::new();
        let last = vote_beside_batches(&whole, order);
        assert_eq!((last.kept, last.kept.term > 2), (last.asked, true));
        for op in 0..whole.operations() {
            let disk = MemDisk::new();
            disk.arm(Some(Fault::PowerAfter { op }));
            let promise = vote_beside_batches(&disk, order);
            for cut in 0..CUTS {
                let image = disk.after_power_cut(op * CUTS + cut);
                let Ok((store, recovered)) = open(&image) else {
                    assert_eq!(promise.kept, HardState::default(), "{order:?}, operation {op}");
                    continue;
                };
                let found = recovered.hard_state;
                let progress = |state: HardState| (state.term, state.voted_for.is_some());
                let is_kept = found == promise.kept || progress(found) > progress(promise.kept);
                assert!(is_kept, "{order:?}, operation {op}: {found:?} after {promise:?}");
                assert_eq!(store.hard_state(), found);
                // What was in one place is in two after an opening: either slot may be lost.
                drop(store);
                assert_eq!(open(&image).expect("it opened before").1.hard_state, found);
            }
        }
    }
}
