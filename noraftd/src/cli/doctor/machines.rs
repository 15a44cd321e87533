//! What the machine of a node gives it: time, a disk, room, open files.

use std::time::Duration;

use super::finding::Finding;
use super::known::Known;
use crate::cli::check_disk::SYNCS_PER_TIMEOUT;
use crate::local::readiness::CLOCK_OFFSET_MS_MAX;
use crate::local::vitals::SyncReport;

/// Wall clocks that are off. Of three and more the one in the middle is taken for right; of fewer, the one of this machine.
pub(super) fn clocks(known: &[Known<'_>]) -> Vec<Finding> {
    let said: Vec<&Known<'_>> = known.iter().filter(|node| node.vitals.is_some()).collect();
    let mut offsets: Vec<i64> = said.iter().map(|node| node.clock.0).collect();
    offsets.sort_unstable();
    let (right, of) = match offsets.len() {
        0..=2 => (0, "of this machine"),
        count => (offsets.get(count / 2).copied().unwrap_or(0), "of most nodes"),
    };
    let is_off = |node: &&&Known<'_>| {
        let (offset, doubt) = node.clock;
        offset.abs_diff(right) > CLOCK_OFFSET_MS_MAX.saturating_add(2 * doubt)
    };
    let finding = |node: &&Known<'_>| {
        let offset = node.clock.0.saturating_sub(right);
        let what = format!(
            "node {}: its wall clock is {:+.1} s from the one {of}",
            node.id,
            offset as f64 / 1000.0
        );
        let advice = "let NTP or PTP keep the clock; deadlines of keys follow the leader's clock by a tenth of the time that passes";
        Finding::new("clock", [node.id], what, advice).with_page("clock")
    };
    said.iter().filter(is_off).map(finding).collect()
}

/// A file system that does not answer.
pub(super) fn hanging(node: &Known<'_>) -> Option<Finding> {
    let what = format!(
        "node {} answers, but not when it has to look at its file system: that hangs",
        node.id
    );
    let advice = "look at the disk, and at the kernel's log; a node in this state does not write either";
    node.hangs
        .then(|| Finding::new("disk", [node.id], what, advice).with_page("slow-disk"))
}

/// A disk that syncs too slowly for elections.
pub(super) fn disk(node: &Known<'_>) -> Option<Finding> {
    let vitals = node.vitals?;
    let (syncs, timeout) = (vitals.syncs, Duration::from_millis(vitals.election_timeout_ms));
    // A quantile is up to twice what it stands for: at least half of it is true.
    let needed = Duration::from_micros(syncs.p99_us / 2) * SYNCS_PER_TIMEOUT;
    let is_slow = syncs.count >= SYNCS_MIN && needed > timeout;
    let hangs = Duration::from_micros(syncs.in_flight_us) >= timeout;
    if timeout.is_zero() || !(is_slow || hangs || node.status.health.disk_too_slow) {
        return None;
    }
    let hanging = match hangs {
        true => format!(
            "a batch has been with its disk for {}; ",
            millis(syncs.in_flight_us)
        ),
        false => String::new(),
    };
    let what = format!(
        "node {}: {hanging}its disk syncs too slowly for an election timeout of {} ms: {}",
        node.id,
        vitals.election_timeout_ms,
        distribution(syncs)
    );
    let advice = "measure it with `noraftd check-disk`; use a faster disk, put less on it, or give all nodes a longer --election-timeout";
    Some(Finding::new("disk", [node.id], what, advice).with_page("slow-disk"))
}

fn distribution(syncs: SyncReport) -> String {
    format!(
        "of {} syncs half took up to {}, 99 of 100 up to {}, the slowest {}",
        syncs.count,
        millis(syncs.p50_us),
        millis(syncs.p99_us),
        millis(syncs.slowest_us)
    )
}

fn millis(micros: u64) -> String {
    format!("{:.1} ms", micros as f64 / 1000.0)
}

/// A disk that is full, or nearly.
pub(super) fn room(node: &Known<'_>) -> Option<Finding> {
    let vitals = node.vitals?;
    let (free, total) = (vitals.disk_free_bytes, vitals.disk_total_bytes);
    let is_near = free < vitals.segment_bytes.saturating_mul(SEGMENTS_FREE_MIN)
        || u128::from(free) * 100 < u128::from(total) * ROOM_PERCENT_MIN;
    let is_full = node.status.storage.disk_full;
    if total == 0 || !(is_full || is_near) {
        return None;
    }
    let state = if is_full { "full" } else { "nearly full" };
    let what = format!(
        "node {}: the disk of {} is {state}: {} of {} MiB are free",
        node.id,
        node.status.directory.data_dir,
        free >> 20,
        total >> 20
    );
    let advice = "make room, or move the node to a larger disk; a snapshot (`--snapshot-log-bytes`) lets old segments go";
    Some(Finding::new("room", [node.id], what, advice).with_page("room"))
}

/// A limit of open files that is low, or near.
pub(super) fn files(node: &Known<'_>) -> Option<Finding> {
    let vitals = node.vitals?;
    let (open, most) = (vitals.files_open, vitals.files_max);
    let is_near = u128::from(open) * 100 >= u128::from(most) * FILES_PERCENT_MAX;
    if most == 0 || (most >= FILES_MIN && !is_near) {
        return None;
    }
    let what = format!(
        "node {}: it may have {most} files open, and has {open}: each client takes one",
        node.id
    );
    let advice = "raise the hard limit: LimitNOFILE= in the unit, or ulimit -Hn, then start the node again";
    Some(Finding::new("files", [node.id], what, advice))
}

/// Fewer say little of a distribution.
const SYNCS_MIN: u64 = 10;
/// The next one is made ahead of need, and a snapshot may be as large as several.
const SEGMENTS_FREE_MIN: u64 = 4;
/// On a disk that large, whatever else fills it is about to be done.
const ROOM_PERCENT_MIN: u128 = 5;
/// What is left for clients of fewer is used up by a few pools of connections.
const FILES_MIN: u64 = 1024;
const FILES_PERCENT_MAX: u128 = 80;
