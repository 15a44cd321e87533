//! One measurement, in a process of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use harness::checker::register::{Register, RegisterOp, drop_unseen};
use harness::checker::{self, Budget, NEVER, Options};
use harness::formats;
use harness::model::{Call, Model};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use serde_json::json;

use super::Failure;

#[path = "../../../harness/tests/checks/common/peer.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests")]
mod peer;

/// Measures in this process and prints a JSON object.
pub(super) fn one(who: &str, file: &Path) -> Result<(), Failure> {
    let (begin, start) = (cpu_seconds()?, now());
    let mut recording = formats::read_path_within(file, &Budget::new(6 << 30, u64::MAX))?;
    let read = cpu_seconds()?;
    let (verdict, begun, start) = if who == "ours" {
        let budget = Budget::new(6 << 30, u64::MAX);
        let report = checker::check(&mut recording, &Options::default(), &budget);
        (report.outcome().name().to_owned(), begin, start)
    } else {
        let parts = peer_parts(&recording)?;
        drop(recording);
        // From here on the peak counts again.
        std::fs::write("/proc/self/clear_refs", "5")?;
        let (begun, start) = (cpu_seconds()?, now());
        let valid = parts
            .iter()
            .map(|part| peer::decide(part, Duration::from_secs(3600)))
            .collect::<Vec<_>>();
        let verdict = match (valid.contains(&Some(false)), valid.contains(&None)) {
            (true, _) => "invalid",
            (false, true) => "unknown",
            (false, false) => "valid",
        };
        (verdict.to_owned(), begun, start)
    };
    let end = cpu_seconds()?;
    let check = if who == "ours" { end - read } else { end - begun };
    println!(
        "{}",
        json!({
            "verdict": verdict, "check": check, "all": end - begun,
            "wall": start.elapsed().as_secs_f64(), "bytes": peak_bytes()?,
        })
    );
    Ok(())
}

type PeerPart = Vec<porcupine_rs::Operation<peer::PeerRegister>>;

fn peer_parts(recording: &harness::recording::Recording) -> Result<Vec<PeerPart>, Failure> {
    let mut by_key: std::collections::BTreeMap<harness::recording::datum::Datum, Vec<Call<RegisterOp>>> =
        Default::default();
    for (id, operation) in recording.effective() {
        let known = operation.ret != NEVER;
        let pair = recording.pool.as_list(operation.input);
        let op = match (recording.function(operation), pair) {
            ("read", _) if known => RegisterOp::Read(operation.output),
            ("read", _) => continue,
            ("write", _) => RegisterOp::Write(operation.input),
            ("cas", Some(&[expected, _])) if known && operation.output != expected => {
                RegisterOp::Read(operation.output)
            }
            ("cas", Some(&[expected, new])) => RegisterOp::Cas(expected, new),
            (other, _) => return Err(format!("a register has no {other}").into()),
        };
        let call = Call {
            id,
            call: operation.call,
            ret: operation.ret,
            op,
        };
        by_key.entry(operation.key).or_default().push(call);
    }
    let initial = Register {
        initial: harness::recording::datum::Datum::NIL,
    }
    .init();
    let parts = by_key.into_values().map(|mut calls| {
        // The peer gets the same help: writes that no client saw are dropped.
        drop_unseen(&mut calls);
        peer::translate(initial, &calls)
    });
    Ok(parts.collect())
}

/// Reads and checks every history in `folder`, and prints a JSON object.
pub(super) fn all_of(folder: &Path) -> Result<(), Failure> {
    let (begin, start) = (cpu_seconds()?, now());
    let mut files = 0;
    for entry in std::fs::read_dir(folder)? {
        let budget = Budget::new(6 << 30, u64::MAX);
        let mut recording = formats::read_path_within(&entry?.path(), &budget)?;
        checker::check(&mut recording, &Options::default(), &budget);
        files += 1;
    }
    println!(
        "{}",
        json!({
            "files": files, "all": cpu_seconds()? - begin, "wall": start.elapsed().as_secs_f64(),
            "bytes": peak_bytes()?,
        })
    );
    Ok(())
}

/// User and system time of this process.
fn cpu_seconds() -> Result<f64, Failure> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds = |time: TimeVal| time.num_microseconds() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the clock on the wall is asked for as well"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}

fn peak_bytes() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .ok_or("no peak in status")?;
    let kilobytes: u64 = line
        .split_whitespace()
        .nth(1)
        .ok_or("no peak in status")?
        .parse()?;
    Ok(kilobytes << 10)
}
