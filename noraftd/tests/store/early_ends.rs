//! Writes that end early: an append that fails in the middle and is tried again, a large write that becomes durable in part.

use noraftd::store::StoreError;
use noraftd::store::disk::memory::{Fault, MemDisk};

use crate::crash::{operations_of_a_run, run_on, run_with};

#[test]
fn a_power_cut_while_a_failed_append_is_tried_again_loses_nothing_that_was_acknowledged() {
    let mut retried = 0;
    for op in 0..operations_of_a_run(0) {
        for calls in 0..CALLS_OF_A_RETRY {
            let errno = if op % 2 == 0 { ENOSPC } else { ENOMEM };
            let disk = MemDisk::new();
            disk.arm(Some(Fault::Once { op, errno }));
            let mut is_tried = false;
            let run = run_with(&disk, 0, |error| {
                let passes = matches!(error, StoreError::Full { .. } | StoreError::Short { .. });
                let (op, seed) = (disk.operations() + calls, op);
                disk.arm(Some(Fault::PowerWithin { op, seed }));
                is_tried = passes;
                passes
            });
            if !is_tried {
                continue;
            }
            retried += 1;
            let images = (0..CUTS).map(|cut| disk.after_power_cut(op * CUTS + cut));
            for image in images.chain([disk.after_kill()]) {
                if let Err(why) = run.check_image(&image) {
                    panic!("operation {op} failed with {errno}, the power after {calls} more calls: {why}");
                }
            }
        }
    }
    assert!(retried > 200, "only {retried} appends were tried again");
}

#[test]
fn a_large_write_that_is_durable_in_part_is_an_interrupted_one() {
    let (mut interrupted, mut points) = (0, 0);
    for seed in 0..3 {
        let whole = MemDisk::new();
        whole.write_directly_from(DIRECT_BYTES);
        run_on(&whole, seed);
        let operations = whole.operation_log();
        let writes = (0..).zip(&operations);
        for (op, write) in writes.filter(|(_, line)| line.starts_with("write_durably")) {
            for part in 0..PARTS {
                let disk = MemDisk::new();
                disk.write_directly_from(DIRECT_BYTES);
                disk.arm(Some(Fault::PowerWithin { op, seed: part }));
                let run = run_on(&disk, seed);
                // Nothing else is uncertain: whichever process comes next finds the same.
                for image in [disk.after_power_cut(part), disk.after_kill()] {
                    if let Err(why) = run.check_image(&image) {
                        panic!(
                            "run {seed}, the power in the middle of operation {op} ({write}), {part}: {why}"
                        );
                    }
                    let log = image.operation_log();
                    interrupted += u64::from(log.iter().any(|line| line.contains("+72")));
                }
                points += 1;
            }
        }
    }
    assert!(points > 200, "only {points} points");
    assert!(
        interrupted > points / 2,
        "only {interrupted} of {points} left a part"
    );
}

/// Two pages and more: batches are small here.
const DIRECT_BYTES: usize = 8 << 10;
/// Which sectors are there is drawn this often for each write.
const PARTS: u64 = 12;
/// Blanking and appending again, each with its sync.
const CALLS_OF_A_RETRY: u64 = 5;
const CUTS: u64 = 2;
const ENOSPC: i32 = 28;
const ENOMEM: i32 = 12;
