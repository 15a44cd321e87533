//! A reproduction of the simulation: a smaller plan, replayed with its seed.

use std::path::Path;
use std::time::Duration;

use super::{Found, PLAN, Written, put};
use crate::campaign::CampaignError;
use crate::campaign::record::Failed;
use crate::campaign::work::{brief_of, failed};
use crate::plan::Plan;

pub(super) async fn write(found: &Found<'_>) -> Result<Written, CampaignError> {
    let best = &found.group.best;
    let plan = match failed_plan(found).await {
        Ok(plan) => plan,
        Err(trouble) => return Ok(not_repeated(found, trouble)),
    };
    let original = found.named(plan);
    let path = found.folder.join("original.toml");
    put(&path, &original.to_toml())?;
    let smaller = shrunk(found, &path).await;
    let plan = smaller.unwrap_or_else(|| original.clone());
    let seed = plan.seed.unwrap_or(best.seed);
    found.put_plan(&plan)?;
    let mut again = 0;
    for _ in 0..REPLAYS {
        // A replay that gives no verdict did not break the rule again.
        let failures = replay(found, seed).await.unwrap_or_default();
        let is_same = |failure: &Failed| (&failure.rule, &failure.place) == (&best.rule, &best.place);
        again += u64::from(failures.iter().any(is_same));
    }
    Ok(Written {
        replays: REPLAYS,
        again,
        recorded: None,
        faults: [original.faults.len(), plan.faults.len()],
        // The seed is in the plan.
        command: format!("harness sim groups/{}/{PLAN}", found.group.signature()),
        trouble: None,
    })
}

/// The plan that failed: what its seed draws, or, where coverage steered, the mutant that is the run of its number. Its unit is run
/// again up to there, for what a run is depends on those before it.
async fn failed_plan(found: &Found<'_>) -> Result<Plan, String> {
    let number = found.group.best.seed;
    let drawn = || found.entry.plan.drawn(number);
    let Some(first) = found.group.steered_from else {
        return Ok(drawn());
    };
    let child = found.works.programs.command("sim");
    let child = child.arg(found.works.plan(found.entry));
    let child = child.args(["--steer", "--keep-going", "--json", "--seeds"]);
    let child = child.arg(format!("{first}..{}", number + 1));
    let brief = brief_of(&child.output(UNIT_PATIENCE).await?)?;
    let again = brief.failed.into_iter().find(|failure| failure.seed == number);
    let again = again.ok_or_else(|| format!("run {number} did not fail again"))?;
    match again.mutant {
        None => Ok(drawn()),
        Some(text) => Plan::parse(&text, Path::new("mutant.toml")).map_err(|error| error.to_string()),
    }
}

fn not_repeated(found: &Found<'_>, trouble: String) -> Written {
    let faults = found.entry.plan.faults.len();
    Written {
        replays: 0,
        again: 0,
        recorded: None,
        faults: [faults, faults],
        command: found.group.command(),
        trouble: Some(trouble),
    }
}

/// The plan made smaller, as far as there was time for it; none when the harness fails at it.
async fn shrunk(found: &Found<'_>, original: &Path) -> Option<Plan> {
    let out = found.folder.join("shrunk.toml");
    let child = found.works.programs.command("shrink").arg(original);
    let ended = child.arg("--out").arg(&out).output(SHRINK_PATIENCE).await;
    if ended.is_err() {
        // It was ended, perhaps while it wrote.
        std::fs::remove_file(out.with_extension("new")).ok();
    }
    Plan::load(&out).ok()
}

async fn replay(found: &Found<'_>, seed: u64) -> Result<Vec<Failed>, String> {
    let child = found.works.programs.command("sim").arg(found.folder.join(PLAN));
    let child = child.args(["--json", "--jobs", "1", "--seeds"]);
    let output = child
        .arg(format!("{seed}..{}", seed + 1))
        .output(REPLAY_PATIENCE)
        .await?;
    Ok(brief_of(&output)?.failed.into_iter().map(failed).collect())
}

const REPLAYS: u64 = 10;
const UNIT_PATIENCE: Duration = Duration::from_secs(1800);
const REPLAY_PATIENCE: Duration = Duration::from_secs(120);
/// What takes a minute of a processor takes longer on a machine with much other work; the smallest plan by then is written.
const SHRINK_PATIENCE: Duration = Duration::from_secs(900);
