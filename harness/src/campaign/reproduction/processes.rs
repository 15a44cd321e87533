//! A reproduction on real processes: the recorded run, replayed with its rate, and a smaller plan and schedule that fail as often.
//!
//! Invariant: what is written is what was recorded, or what was seen to fail; whatever else goes wrong is said in its record, and
//! the folders of replays are gone in the end.

use std::path::{Path, PathBuf};

use super::{Found, SCHEDULE, Written, at, put, remove};
use crate::campaign::CampaignError;
use crate::campaign::child::no_verdict;
use crate::campaign::work::{folder_of, run_patience};
use crate::nemesis::Schedule;
use crate::plan::Plan;
use crate::replay::{Expected, Origin, Rate, Recorded};
use crate::results::Outcome;
use crate::systems::SYSTEM_FILE;

pub(super) async fn write(found: &Found<'_>) -> Result<Written, CampaignError> {
    let (run, original) = match recorded(found) {
        Ok(recorded) => recorded,
        Err(why) => return Ok(lost(found, why)),
    };
    let shrunk = found.folder.join("shrunk");
    let replays = found.folder.join("replays");
    let smaller = smaller(found, &run, &shrunk, &replays).await;
    remove(&shrunk)?;
    remove(&replays)?;
    let (small, trouble) = match smaller {
        Ok(Some(small)) => (small, None),
        // It did not fail again: it is written as it was recorded, with that rate.
        Ok(None) => (original.clone(), None),
        Err(trouble) => (
            Case {
                expected: None,
                ..original.clone()
            },
            Some(trouble),
        ),
    };
    let written = Written {
        replays: small.expected.as_ref().map_or(0, |expected| expected.runs),
        again: small.expected.as_ref().map_or(0, |expected| expected.failed),
        recorded: small.expected.as_ref().and_then(|expected| expected.recorded),
        faults: [original.schedule.faults.len(), small.schedule.faults.len()],
        command: format!("harness replay groups/{}", found.group.signature()),
        trouble,
    };
    found.put_plan(&found.named(small.plan))?;
    if found.entry.system.is_some() {
        let system = std::fs::read_to_string(run.join(SYSTEM_FILE)).map_err(at(&run))?;
        put(&found.folder.join(SYSTEM_FILE), &system)?;
    }
    put(&found.folder.join(SCHEDULE), &small.schedule.to_text())?;
    if let Some(expected) = small.expected {
        expected.write(&found.folder).map_err(at(&found.folder))?;
    }
    Ok(written)
}

/// What `harness replay` takes.
#[derive(Clone)]
struct Case {
    plan: Plan,
    schedule: Schedule,
    expected: Option<Expected>,
}

/// The run that failed in the campaign, and where its folder is.
fn recorded(found: &Found<'_>) -> Result<(PathBuf, Case), String> {
    let folder = found
        .works
        .folder
        .join(folder_of(found.group.best_unit))
        .join("latest");
    let recorded = Recorded::load(&folder).map_err(|error| error.to_string())?;
    let Origin::Processes { schedule, .. } = recorded.origin else {
        return Err(format!("{}: a run of the simulation", folder.display()));
    };
    let never = Rate {
        failed: 0,
        runs: REPLAYS,
    };
    let mut expected = Expected::broken(&found.group.best.rule, never);
    expected.recorded = Some(never);
    let case = Case {
        plan: recorded.plan.seeded(recorded.seed),
        schedule,
        expected: Some(expected),
    };
    Ok((recorded.folder, case))
}

/// A smaller run; none when the recorded one did not fail again.
async fn smaller(
    found: &Found<'_>,
    run: &Path,
    shrunk: &Path,
    replays: &Path,
) -> Result<Option<Case>, String> {
    let works = found.works;
    let budget = works.shrink_budget;
    let child = works.programs.command("shrink").arg(run);
    let child = child.args(["--runs", &REPLAYS.to_string()]);
    let child = child.args(["--budget", &format!("{}ms", budget.as_millis())]);
    let child = match found.entry.system {
        Some(_) => child,
        None => child.arg("--noraftd").arg(works.programs.noraftd()),
    };
    let child = child.arg("--out").arg(shrunk).arg("--replays").arg(replays);
    // Its replays before and after, and the candidate that is tried when the time is over.
    let runs = 2 * u32::try_from(REPLAYS).unwrap_or(u32::MAX) + 1;
    let output = child.output(budget + run_patience(found.entry) * runs).await?;
    match output.status.code() {
        Some(code) if code == i32::from(Outcome::Invalid.code()) => {}
        Some(code) if code == i32::from(Outcome::Unknown.code()) => return Ok(None),
        Some(_) | None => return Err(no_verdict(&output)),
    }
    Ok(Some(Case {
        plan: Plan::load(&shrunk.join(super::PLAN)).map_err(|error| error.to_string())?,
        schedule: Schedule::load(&shrunk.join(SCHEDULE)).map_err(|error| error.to_string())?,
        expected: Expected::load(shrunk)?,
    }))
}

/// Nothing was recorded: the plan is all there is.
fn lost(found: &Found<'_>, why: String) -> Written {
    let group = found.group;
    Written {
        replays: 0,
        again: 0,
        recorded: None,
        faults: [0, 0],
        command: format!(
            "harness run plans/{}.toml --seed {}{}",
            group.entry,
            group.best.seed,
            found
                .entry
                .system
                .iter()
                .map(|system| format!(" --system {system}"))
                .collect::<String>()
        ),
        trouble: Some(why),
    }
}

/// Each is as long as the run.
const REPLAYS: u64 = 5;
