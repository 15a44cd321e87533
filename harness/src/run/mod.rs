//! One run of a plan on real processes, from the first process to the verdict.
//!
//! Invariant: trouble of the harness or the machine is a [`RunError`], never a verdict; and whatever was
//! recorded before it stays in the run's folder.

mod again;
mod check;
mod faults;
mod folder;
mod pipelines;
mod progress;
mod recovery;
mod retention;
mod sampler;
mod tested;
mod verdict;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use noraftd::prng::Prng;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

pub use again::{AgainError, report_again};
pub use folder::{FolderError, RunFolder, utc, utc_now};
use pipelines::Pipelines;
pub use retention::retain;
use tested::Tested;

use crate::client::Access;
use crate::cluster::{Cluster, ClusterError, Programs};
use crate::generator::Mix;
use crate::history::HistoryError;
use crate::interpreter::{Interpreter, Track};
use crate::jepsen::results_edn;
use crate::nemesis::{Lane, Nemesis, Schedule, Sequence};
use crate::nodes::NODES_FILE;
use crate::plan::Plan;
use crate::recorder::Recorder;
use crate::report::{self, text::text_report};
use crate::results::{CheckResult, Outcome, Results};
use crate::tally::{Phase, Tally};
use crate::workload::{self, Part};

/// What to run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The plan, with whatever the command line changed in it.
    pub plan: Plan,
    /// What was left out of it for the system under test, in sentences.
    pub left_out: Vec<String>,
    /// Decides everything that is random.
    pub seed: u64,
    /// The faults of an earlier run, in place of those that the seed draws.
    pub schedule: Option<Schedule>,
    /// Where the folders of runs are.
    pub root: PathBuf,
    /// The programs.
    pub programs: Programs,
    /// The command line, for `run.json`.
    pub argv: Vec<String>,
}

/// Ends a run early.
#[derive(Debug, Clone)]
pub struct Interrupt {
    /// Says true: end in order, with a verdict on what was recorded.
    pub stop: watch::Receiver<bool>,
    /// Says true: do not even wait for the final phase and the checkers.
    pub abort: watch::Receiver<bool>,
}

/// A finished run.
#[derive(Debug)]
pub struct Finished {
    /// Where everything is.
    pub folder: RunFolder,
    /// The verdict and what led to it.
    pub results: Results,
    /// The report; its last line is the verdict.
    pub report: String,
}

/// Why a run has no verdict.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The run's folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The processes.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A history or the schedule could not be written.
    #[error("cannot record the run: {0}")]
    Record(#[from] io::Error),
    /// What was written could not be read back.
    #[error("cannot read the history back: {0}")]
    History(#[from] HistoryError),
    /// A checker could not read the history, or failed.
    #[error("cannot check the history: {0}")]
    Check(String),
}

/// Prints a line of progress.
pub type Print = Arc<dyn Fn(String) + Send + Sync>;

/// Runs a plan. `print` gets a line a second.
///
/// # Errors
///
/// When the harness or the machine fails; what the system under test does wrong is in the results.
pub async fn run(options: RunOptions, interrupt: Interrupt, print: Print) -> Result<Finished, RunError> {
    let RunOptions {
        plan,
        left_out,
        seed,
        schedule,
        root,
        programs,
        argv,
    } = options;
    let folder = RunFolder::create(&root, &plan, seed)?;
    folder.describe(&plan, seed, &programs, &argv)?;
    let tested = Tested::new(&programs, left_out);
    tested.lines().for_each(|line| print(line));
    print(format!(
        "plan {}, seed {seed}, folder {}",
        plan.name,
        folder.path().display()
    ));
    let finished = match Stage::set(&plan, seed, &programs, &folder).await {
        Ok(stage) => {
            print(format!("between the nodes: {}", stage.cluster.network().about()));
            let lanes = lanes(&plan, seed, schedule);
            stage.play(lanes, tested, interrupt, print).await
        }
        Err(error) => Err(error),
    };
    if !finished
        .as_ref()
        .is_ok_and(|results| results.0.verdict == Outcome::Valid)
    {
        folder.mark_failed()?;
    }
    let (results, tally) = finished?;
    for (name, text) in report::files(&plan, seed, folder.path(), &results, &tally) {
        folder.write(&name, &text)?;
    }
    folder.write("results.edn", &results_edn(&results))?;
    let report = text_report(&plan, seed, folder.path(), &results, &tally);
    if results.verdict == Outcome::Valid {
        folder.remove_data(plan.machines())?;
    }
    Ok(Finished {
        folder,
        results,
        report,
    })
}

/// Everything that takes part in one run.
struct Stage<'a> {
    plan: &'a Plan,
    seed: u64,
    histories: Vec<PathBuf>,
    cluster: Arc<Cluster>,
    recorder: Arc<Recorder>,
    interpreter: Arc<Interpreter>,
    nemesis: Arc<Nemesis>,
    pipelines: Arc<Pipelines>,
    /// Where the nodes' samples go.
    nodes: PathBuf,
}

impl<'a> Stage<'a> {
    /// Starts the cluster, and opens histories and schedule.
    async fn set(
        plan: &'a Plan,
        seed: u64,
        programs: &Programs,
        folder: &RunFolder,
    ) -> Result<Self, RunError> {
        let cluster = Cluster::start(plan, seed, programs, &folder.nodes()).await?;
        await_leader(&cluster, plan.limits.start.as_duration()).await;
        let cluster = Arc::new(cluster);
        let recorder = Arc::new(Recorder::start());
        let mut histories = Vec::new();
        let mut tracks = Vec::new();
        for workload in &plan.workloads {
            let weight = workload.weight();
            let workload = workload::from_plan(workload);
            let header = workload::header(plan, workload.as_ref(), seed);
            let path = folder.file(&history_name(plan, workload.name()));
            let history = recorder.open(&path, &header)?;
            histories.push(path);
            tracks.push((weight, Track { workload, history }));
        }
        let tracks = Mix::new(tracks).expect("a valid plan has a workload, and each has a weight");
        let access = Access {
            protocol: cluster.protocol(),
            doors: cluster.nodes().iter().map(|node| node.door).collect(),
            space: folder.key_space(&cluster),
        };
        let interpreter = Interpreter::new(&plan.clients, tracks, access, Arc::clone(&recorder));
        let schedule = folder.file("schedule.jsonl");
        let rest = interpreter.rest();
        let nemesis = Nemesis::new(plan, Arc::clone(&cluster), Arc::clone(&recorder), rest, &schedule)?;
        Ok(Self {
            plan,
            seed,
            histories,
            cluster,
            recorder,
            interpreter: Arc::new(interpreter),
            nemesis: Arc::new(nemesis),
            pipelines: Arc::new(Pipelines::default()),
            nodes: folder.file(NODES_FILE),
        })
    }

    async fn play(
        self,
        lanes: Vec<Sequence>,
        tested: Tested,
        interrupt: Interrupt,
        print: Print,
    ) -> Result<(Results, Tally), RunError> {
        let progress = progress::show(
            Arc::clone(&self.recorder),
            Arc::clone(&self.cluster),
            Arc::clone(&self.nemesis),
            move |line| print(line),
        );
        let samples = sampler::record(&self.cluster, &self.recorder, &self.nodes);
        let acts = async {
            let (phases, cut_short) = self.disturb(lanes, interrupt.stop.clone()).await;
            let (phases, liveness) = self.recover(phases, interrupt.abort.clone()).await;
            (phases, cut_short, liveness)
        };
        let (mut phases, cut_short, liveness) = tokio::select! {
            done = acts => done,
            () = progress => unreachable!("progress is shown until the run is over"),
            error = self.keep_writing() => return Err(error.into()),
            error = samples => return Err(error.into()),
        };
        self.cluster.stop().await;
        self.recorder.flush()?;
        let (faults, skipped) = self.nemesis.finish()?;
        let mut checks = check::check_all(&self.histories, self.plan.limits.check, interrupt.abort).await?;
        if self.plan.clients.pipelines > 0 {
            checks.push(self.pipelines.result(self.recorder.elapsed().as_secs_f64()));
        }
        checks.push(liveness);
        // The last event may be as late as the end of the last phase.
        phases.iter_mut().next_back().expect("recovery is a phase").to_ns = u64::MAX;
        let mut tally = Tally::read(&self.histories, &phases)?;
        if let Some(last) = tally.phases.last_mut() {
            last.to_ns = nanos(self.recorder.elapsed()).max(last.from_ns);
        }
        tally.decisions_skipped = skipped;
        let findings = verdict::Findings {
            checks,
            tally: tally.clone(),
            faults,
            crashes: self.cluster.crashes(),
            divergences: self.cluster.divergences(),
            violations: [self.nemesis.violations(), self.nemesis.unprovoked_damage()].concat(),
            cut_short,
            tested,
            network: self.cluster.network().about(),
            power_refused: self.cluster.power_refused().map(ToString::to_string),
            went_beyond: self.nemesis.went_beyond(),
        };
        Ok((verdict::judge(self.plan, findings), tally))
    }

    /// Clients and faults, for the plan's time or until interrupted.
    async fn disturb(
        &self,
        sequences: Vec<Sequence>,
        mut interrupted: watch::Receiver<bool>,
    ) -> (Vec<Phase>, Option<String>) {
        let (stop_faults, faults_stopped) = watch::channel(false);
        let (stop_clients, clients_stopped) = watch::channel(false);
        let root = Prng::new(self.seed).fork(FORK_CLIENTS);
        let mut clients = JoinSet::new();
        for slot in 0..self.plan.clients.count as u64 {
            let (interpreter, stop) = (Arc::clone(&self.interpreter), clients_stopped.clone());
            let prng = root.fork(slot);
            let reads = slot < self.plan.clients.readers as u64;
            let part = if reads { Part::Reader } else { Part::All };
            clients.spawn(async move { interpreter.run(part, prng, stop).await });
        }
        self.begin_pipelines(&mut clients, &root, &clients_stopped);
        let start = Instant::now();
        let time = self.plan.time.as_duration();
        let warmup = self.plan.nemesis.warmup.as_duration().min(time);
        let end = |interrupted: bool| {
            interrupted.then(|| {
                format!(
                    "the run was interrupted after {:.1} s",
                    start.elapsed().as_secs_f64()
                )
            })
        };
        let mut cut_short = end(rest(warmup, &mut interrupted).await);
        let warm = nanos(self.recorder.elapsed());
        let mut lanes = JoinSet::new();
        for lane in sequences {
            let (nemesis, stop) = (Arc::clone(&self.nemesis), faults_stopped.clone());
            lanes.spawn(async move { nemesis.run(lane, stop).await });
        }
        if cut_short.is_none() {
            cut_short = end(rest(time.saturating_sub(start.elapsed()), &mut interrupted).await);
        }
        stop_faults.send_replace(true);
        lanes.join_all().await;
        let healed = nanos(self.recorder.elapsed());
        stop_clients.send_replace(true);
        clients.join_all().await;
        let name = if self.plan.faults.is_empty() {
            "steady"
        } else {
            "faults"
        };
        let phases = vec![
            Phase {
                name: "warmup",
                from_ns: 0,
                to_ns: warm,
            },
            Phase {
                name,
                from_ns: warm,
                to_ns: healed,
            },
        ];
        (
            phases
                .into_iter()
                .filter(|phase| phase.to_ns > phase.from_ns)
                .collect(),
            cut_short,
        )
    }

    /// Clients that do not wait for answers, beside the others.
    fn begin_pipelines(&self, clients: &mut JoinSet<()>, root: &Prng, stop: &watch::Receiver<bool>) {
        let nodes: Arc<[_]> = self
            .cluster
            .nodes()
            .iter()
            .map(|node| (node.id, node.door.address))
            .collect();
        for slot in 0..self.plan.clients.pipelines as u64 {
            let (pipelines, nodes, stop) = (Arc::clone(&self.pipelines), Arc::clone(&nodes), stop.clone());
            let prng = root.fork(FORK_PIPELINES + slot);
            clients.spawn(async move { pipelines.run(&nodes, prng, stop).await });
        }
    }

    async fn recover(
        &self,
        mut phases: Vec<Phase>,
        abort: watch::Receiver<bool>,
    ) -> (Vec<Phase>, CheckResult) {
        let from_ns = nanos(self.recorder.elapsed());
        let patience = self.plan.limits.recovery.as_duration();
        let liveness =
            recovery::recover(&self.cluster, (&self.interpreter, &self.nemesis), patience, abort).await;
        phases.push(Phase {
            name: RECOVERY,
            from_ns,
            to_ns: nanos(self.recorder.elapsed()),
        });
        (phases, liveness)
    }

    /// Writes out what is buffered, until that fails.
    async fn keep_writing(&self) -> io::Error {
        let mut ticks = interval(FLUSH_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            if let Err(error) = self.recorder.flush() {
                return error;
            }
        }
    }
}

/// What the lanes of the nemesis carry out.
fn lanes(plan: &Plan, seed: u64, schedule: Option<Schedule>) -> Vec<Sequence> {
    match schedule {
        Some(schedule) => schedule.lanes().into_iter().map(Sequence::Recorded).collect(),
        None => Lane::all(plan, seed).into_iter().map(Sequence::Drawn).collect(),
    }
}

/// A plan with one workload has one `history.jsonl`; several have one each, `history-<workload>.jsonl`.
pub(crate) fn history_name(plan: &Plan, workload: &str) -> String {
    if plan.workloads.len() == 1 {
        "history.jsonl".to_owned()
    } else {
        format!("history-{workload}.jsonl")
    }
}

/// Waits for the first leader. When there is none the run goes on: its final phase says so.
async fn await_leader(cluster: &Cluster, patience: Duration) {
    let elected = async {
        while cluster.leader().await.is_none() {
            sleep(LEADER_POLL).await;
        }
    };
    // Either way it is time to begin.
    let _ = timeout(patience, elected).await;
}

/// Waits; true when interrupted.
async fn rest(duration: Duration, interrupted: &mut watch::Receiver<bool>) -> bool {
    match timeout(duration, interrupted.wait_for(|interrupted| *interrupted)).await {
        Ok(Ok(_)) => true,
        Err(_) => false,
        // No interruption is possible any more: the whole time has to pass.
        Ok(Err(_)) => {
            sleep(duration).await;
            false
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The phase in which nothing is disturbed any more.
const RECOVERY: &str = "recovery";
/// Separates the clients' random numbers from the nemesis's.
const FORK_CLIENTS: u64 = 0x0063_6c69_656e_7473;
/// Separates the pipelines' random numbers from those of the other clients.
const FORK_PIPELINES: u64 = 1 << 32;
const FLUSH_EVERY: Duration = Duration::from_millis(200);
const LEADER_POLL: Duration = Duration::from_millis(50);
