//! `harness replay`: repeats a recorded run, and says how often it fails again.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use harness::cluster::{Programs, Subject, prepare};
use harness::replay::{Case, Ended, Origin, Rate, Recorded, RecordedProgram, Repeated, Replays, repeat};
use harness::results::{EXIT_USAGE, Outcome};
use harness::run::Interrupt;
use harness::systems::Installed;

use super::run::{on_signals, run_on_one_thread};
use super::subject::daemon;

/// Repeat a recorded run: does it fail again, and how often?
///
/// On real processes, the faults of the run's schedule are carried out again, on the same nodes at
/// the same times, while clients work with the same seed. Where another node leads than then, it
/// and the leader of then change places. What the processes make of it differs from run to run, so
/// the answer is a rate, with the interval that holds the true one with a confidence of 95 %.
///
/// A run of the simulation is the same run again, event by event: its trace is compared with the
/// recorded one, and the first event that differs is shown.
///
/// Examples:
///   harness replay results/runs/latest
///   harness replay results/runs/failed --runs 50
///   harness replay results/runs/failed --noraftd target/debug/noraftd
///
/// With --noraftd, the question is whether another build still fails. Run enough: when none of 20
/// runs fails, the rate may still be 16 %.
///
/// Exit code: 1 when a run failed as the recorded one, 0 when all were valid, else 2. For the
/// simulation: 2 when the trace is another one, else that of the verdict. 64 when the folder is not
/// one of a run.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The folder of the run, such as results/runs/latest, or of one that was made smaller
    run: PathBuf,
    /// How often to run the schedule on real processes
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// The daemon to run; when absent, the one of the recorded run, or, where the folder does not say which, as of `harness run`
    #[arg(long)]
    noraftd: Option<PathBuf>,
    /// Where to put the folders of the replays
    #[arg(long, default_value = OUT)]
    out: PathBuf,
}

/// Where the folders of replays are.
pub(super) const OUT: &str = "results/replays";

/// Runs the verb.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let recorded = match Recorded::load(&args.run) {
        Ok(recorded) => recorded,
        Err(error) => {
            eprintln!("harness: {error}");
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    if let Some(repeated) = repeat(&recorded)? {
        return Ok(report_trace(&recorded, &repeated));
    }
    let Some((replays, case)) = of_processes(&recorded, args.noraftd.clone(), &args.out)? else {
        return Err("a run is of the simulation or of processes".into());
    };
    println!("{}", about(&recorded, &case));
    run_on_one_thread(async {
        let interrupt = on_signals()?;
        let tally = replay(&replays, &case, args.runs, &interrupt).await?;
        println!("{}", tally.text(recorded.rule.as_deref()));
        Ok(ExitCode::from(tally.outcome()))
    })
}

/// What is repeated, in a line.
pub(super) fn about(recorded: &Recorded, case: &Case) -> String {
    let rule = match &recorded.rule {
        Some(rule) => format!("broke \"{rule}\""),
        None => "broke nothing".to_owned(),
    };
    format!(
        "{}: {} faults in {}, {} nodes; seed {}; the recorded run {rule}",
        recorded.folder.display(),
        case.schedule.faults.len(),
        case.plan.time,
        case.plan.cluster.nodes,
        recorded.seed
    )
}

/// What repeats a run on real processes; `None` for one of the simulation.
pub(super) fn of_processes(
    recorded: &Recorded,
    noraftd: Option<PathBuf>,
    out: &Path,
) -> Result<Option<(Replays, Case)>, Box<dyn Error>> {
    let Origin::Processes {
        noraftd: then,
        noraftd_old,
        system,
        schedule,
    } = &recorded.origin
    else {
        return Ok(None);
    };
    let harness = std::env::current_exe()?;
    prepare(&recorded.plan, &harness);
    let subject = match system {
        Some(system) => Subject::System(Box::new(Installed::of((**system).clone(), &harness)?)),
        None => {
            let is_named = noraftd.is_some();
            let program = daemon(
                noraftd.or_else(|| then.as_ref().map(|then| then.path.clone())),
                &harness,
            )?;
            if let Some(then) = then.as_ref().filter(|_| !is_named) {
                warn_of_another(then, &program)?;
            }
            let old = noraftd_old.as_ref().map(|old| old.path.clone());
            Subject::Noraftd { program, old }
        }
    };
    let programs = Programs { harness, subject };
    let replays = Replays {
        seed: recorded.seed,
        rule: recorded.rule.clone(),
        programs,
        root: out.to_owned(),
        argv: std::env::args().collect(),
    };
    let case = Case {
        plan: recorded.plan.clone(),
        schedule: schedule.clone(),
    };
    Ok(Some((replays, case)))
}

fn warn_of_another(then: &RecordedProgram, program: &Path) -> std::io::Result<()> {
    if !then.is(program)? {
        eprintln!(
            "harness: {} was built again since: it is not the program of the recorded run",
            program.display()
        );
    }
    Ok(())
}

/// What replays came to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) rate: Rate,
    valid: u64,
    otherwise: Vec<String>,
    unknown: u64,
}

/// Runs `case` up to `runs` times, a line each.
pub(super) async fn replay(
    replays: &Replays,
    case: &Case,
    runs: u64,
    interrupt: &Interrupt,
) -> Result<Tally, Box<dyn Error>> {
    let mut tally = Tally::default();
    for run in 1..=runs {
        let (ended, folder) = replays.once(case, interrupt, Arc::new(|_| {})).await?;
        if ended == Ended::Interrupted {
            break;
        }
        tally.rate.runs += 1;
        let said = match ended {
            Ended::Same(rule) => {
                tally.rate.failed += 1;
                format!("broke \"{rule}\"")
            }
            Ended::Otherwise(rule) => {
                let said = format!("broke another rule, \"{rule}\"");
                tally.otherwise.push(rule);
                said
            }
            Ended::Valid => {
                tally.valid += 1;
                "valid".to_owned()
            }
            Ended::Unknown(why) => {
                tally.unknown += 1;
                format!("unknown: {why}")
            }
            Ended::Interrupted => "interrupted".to_owned(),
        };
        println!("replay {run} of {runs}: {said}, in {}", folder.path().display());
    }
    Ok(tally)
}

impl Tally {
    fn text(&self, rule: Option<&str>) -> String {
        let mut out = match rule {
            Some(rule) => format!("failed with the same rule, \"{rule}\": {}", self.rate),
            None => format!("failed: {}", self.rate),
        };
        let others = [
            (self.otherwise.len() as u64, "broke another rule"),
            (self.unknown, "came to no verdict"),
            (self.valid, "were valid"),
        ];
        for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
            out.push_str(&format!("; {count} {what}"));
        }
        out
    }

    fn outcome(&self) -> Outcome {
        match (self.rate.failed, self.rate.runs) {
            (1.., _) => Outcome::Invalid,
            (0, runs) if runs > 0 && runs == self.valid => Outcome::Valid,
            (0, _) => Outcome::Unknown,
        }
    }
}

fn report_trace(recorded: &Recorded, repeated: &Repeated) -> ExitCode {
    let run = &repeated.run;
    let now = match run.broken() {
        Some(rule) => format!("it breaks \"{rule}\""),
        None => format!("it is {}", run.verdict()),
    };
    if repeated.is_same {
        println!(
            "the same trace: {} events, hash {:016x}; {now}",
            run.trace.events, run.trace.hash
        );
        return run.verdict().into();
    }
    let Origin::Simulation { trace_hash, events } = &recorded.origin else {
        return Outcome::Unknown.into();
    };
    println!(
        "another trace: {} events, hash {:016x}, where {events} events, hash {trace_hash}, were recorded; {now}",
        run.trace.events, run.trace.hash
    );
    println!("the harness is not the one that recorded it, or its plan was changed");
    match &repeated.difference {
        Some(difference) => {
            let line =
                |line: &Option<String>| line.clone().unwrap_or_else(|| "(the run was over)".to_owned());
            println!(
                "the first recorded event that differs is number {}:",
                difference.event
            );
            println!("  was: {}", line(&difference.was));
            println!("  is:  {}", line(&difference.is));
        }
        None => println!("they part before the last events, whose lines were kept"),
    }
    Outcome::Unknown.into()
}
