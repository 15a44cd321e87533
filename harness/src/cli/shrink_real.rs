//! `harness shrink` for a run of real processes: a smaller plan and schedule that fail as often.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use harness::plan::Span;
use harness::replay::{Case, Ended, Expected, Origin, Rate, Recorded, Replays, Trial, shrink};
use harness::results::Outcome;
use harness::run::Interrupt;
use harness::systems::SYSTEM_FILE;

use super::replay::{about, of_processes, replay};
use super::run::{on_signals, run_on_one_thread};

/// What to shrink, and how hard to try.
pub(super) struct Wanted<'a> {
    pub(super) recorded: &'a Recorded,
    /// How often the run is replayed before and after.
    pub(super) runs: u64,
    pub(super) budget: Span,
    pub(super) noraftd: Option<PathBuf>,
    /// The folder to write.
    pub(super) out: &'a Path,
    /// Where the folders of the replays are.
    pub(super) replays: &'a Path,
}

/// Shrinks; 1 when a smaller run was written.
pub(super) fn run(wanted: &Wanted<'_>) -> Result<ExitCode, Box<dyn Error>> {
    let recorded = wanted.recorded;
    let Some((replays, case)) = of_processes(recorded, wanted.noraftd.clone(), wanted.replays)? else {
        return Err("a run of the simulation is shrunk in the simulation".into());
    };
    let Some(rule) = recorded.rule.clone() else {
        println!("{}: there is nothing to shrink", about(recorded, &case));
        return Ok(Outcome::Unknown.into());
    };
    println!("{}", about(recorded, &case));
    if let Some(parent) = wanted.out.parent() {
        std::fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
    }
    std::fs::create_dir(wanted.out).map_err(|error| format!("{}: {error}", wanted.out.display()))?;
    run_on_one_thread(async {
        let interrupt = on_signals()?;
        let before = replay(&replays, &case, wanted.runs, &interrupt).await?.rate;
        println!("the run fails again in {before}");
        if before.failed == 0 {
            println!(
                "it did not fail again, so no smaller one would: try more --runs, or the plan with --sim"
            );
            return Ok(Outcome::Unknown.into());
        }
        let mut trials = Trials {
            replays: &replays,
            interrupt: &interrupt,
            rate: before,
            until: now() + wanted.budget.as_duration(),
        };
        let small = shrink(case.clone(), async |what: &str, candidate: &Case| {
            trials.of(what, candidate).await
        })
        .await?;
        let after = replay(&replays, &small, wanted.runs, &interrupt).await?.rate;
        let mut expected = Expected::broken(&rule, after);
        expected.recorded = Some(before);
        write(wanted, &small, &expected)?;
        report(&case, &small, after);
        println!("again:   harness replay {}", wanted.out.display());
        Ok(Outcome::Invalid.into())
    })
}

/// Tries candidates.
struct Trials<'a> {
    replays: &'a Replays,
    interrupt: &'a Interrupt,
    /// Of the run as it was recorded.
    rate: Rate,
    until: Instant,
}

impl Trials<'_> {
    /// Runs `candidate` until it has failed often enough, or no longer can.
    async fn of(&mut self, what: &str, candidate: &Case) -> Result<Trial, Box<dyn Error>> {
        let (tries, needed) = self.rate.trials();
        let (mut failed, mut run) = (0, 0);
        while failed < needed && failed + (tries - run) >= needed {
            if now() > self.until || *self.interrupt.stop.borrow() {
                return Ok(Trial::Over);
            }
            let (ended, _) = self
                .replays
                .once(candidate, self.interrupt, Arc::new(|_| {}))
                .await?;
            run += 1;
            match ended {
                Ended::Same(_) => failed += 1,
                Ended::Otherwise(_) | Ended::Valid | Ended::Unknown(_) => {}
                Ended::Interrupted => return Ok(Trial::Over),
            }
        }
        let trial = if failed >= needed {
            Trial::Fails
        } else {
            Trial::Passes
        };
        let said = if trial == Trial::Fails {
            "still fails"
        } else {
            "does not fail"
        };
        println!("{said} {what}: {failed} of {run}");
        Ok(trial)
    }
}

/// The folder of the smaller run is one that `harness replay` takes.
fn write(wanted: &Wanted<'_>, small: &Case, expected: &Expected) -> Result<(), Box<dyn Error>> {
    let at = |error: std::io::Error| format!("{}: {error}", wanted.out.display());
    let file = |name: &str| wanted.out.join(name);
    let recorded = wanted.recorded;
    let head = format!(
        "# Breaks \"{}\" with the schedule beside it, in {} of {} replays; expected verdict until it is mended: invalid.\n",
        expected.rule, expected.failed, expected.runs
    );
    let plan = small.plan.clone().seeded(recorded.seed);
    std::fs::write(file("plan.toml"), head + &plan.to_toml()).map_err(at)?;
    std::fs::write(file("schedule.jsonl"), small.schedule.to_text()).map_err(at)?;
    std::fs::copy(recorded.folder.join("run.json"), file("run.json")).map_err(at)?;
    if let Origin::Processes { system: Some(_), .. } = recorded.origin {
        std::fs::copy(recorded.folder.join(SYSTEM_FILE), file(SYSTEM_FILE)).map_err(at)?;
    }
    expected.write(wanted.out).map_err(at)?;
    Ok(())
}

fn report(case: &Case, small: &Case, rate: Rate) {
    let brief = |case: &Case| {
        format!(
            "{} faults, {} nodes, {} clients, {} workloads, {}",
            case.schedule.faults.len(),
            case.plan.cluster.nodes,
            case.plan.clients.count,
            case.plan.workloads.len(),
            case.plan.time
        )
    };
    println!("before:   {}", brief(case));
    println!("smallest: {}; it fails in {rate}", brief(small));
}

#[expect(
    clippy::disallowed_methods,
    reason = "a budget of time is one of a person's time"
)]
fn now() -> Instant {
    Instant::now()
}
