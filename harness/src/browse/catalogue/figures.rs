//! What only the history of a run says: latencies, and how long nothing was completed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::beneath::{Beneath, inside};
use super::Run;
use crate::tally::Tally;

/// Figures of a run's histories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// By workload and function, such as `register read`.
    pub functions: BTreeMap<String, Latencies>,
    /// The longest time without a completed operation, in nanoseconds.
    pub outage_ns: Option<u64>,
    /// Errors by code.
    pub errors: BTreeMap<String, u64>,
}

/// How long successful operations took, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latencies {
    /// How many they are.
    pub ok: u64,
    /// Half of them took no longer.
    pub p50: u64,
    /// 99 of 100 took no longer.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

/// Reads the histories of `run`.
///
/// # Errors
///
/// The reason why there are none, or why they are not read.
pub(super) fn read(beneath: &Beneath, run: &Run) -> Result<Figures, String> {
    let is_history = |name: &str| name.starts_with("history") && name.ends_with(".jsonl");
    let histories: Vec<&(String, u64)> = run.files.iter().filter(|(name, _)| is_history(name)).collect();
    if histories.is_empty() {
        return Err("the run's folder has no history".to_owned());
    }
    let bytes: u64 = histories.iter().map(|(_, bytes)| bytes).sum();
    if bytes > HISTORY_BYTES_MAX {
        return Err(format!(
            "the histories have {} MiB, and at most {} are read for this page",
            bytes >> 20,
            HISTORY_BYTES_MAX >> 20
        ));
    }
    let mut paths: Vec<PathBuf> = Vec::new();
    for (name, _) in histories {
        let file = inside(&run.path, name);
        beneath.open(&file).map_err(|error| format!("{name} {error}"))?;
        paths.push(beneath.path().join(file));
    }
    let tally = Tally::read(&paths, &[]).map_err(|error| format!("a history cannot be read: {error}"))?;
    let mut errors: BTreeMap<String, u64> = BTreeMap::new();
    for ((code, _), count) in &tally.errors {
        *errors.entry(code.clone()).or_default() += count;
    }
    let functions = tally.functions.iter().filter_map(|(name, function)| {
        let latencies = Latencies {
            ok: function.operations.ok,
            p50: function.percentile(50)?,
            p99: function.percentile(99)?,
            max: *function.latencies.last()?,
        };
        Some((name.clone(), latencies))
    });
    Ok(Figures {
        functions: functions.collect(),
        outage_ns: tally
            .series
            .longest_outage()
            .map(|outage| outage.to_ns - outage.from_ns),
        errors,
    })
}

/// Some million operations, which take seconds.
const HISTORY_BYTES_MAX: u64 = 256 << 20;
