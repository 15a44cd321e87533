//! A cluster of real daemons on this machine, and everything that can be done to it.
//!
//! Invariant: nothing that this folder starts outlives the harness (see [`guard`]); nodes reach each other
//! only through the [`Network`], which can cut them off; clients reach every node directly.

mod address;
mod clock;
mod effects;
mod form;
mod gate;
pub mod guard;
mod life;
mod link;
mod namespaces;
mod network;
mod obituary;
pub mod power;
pub mod probe;
mod process;
mod proxy;
mod slow_disk;
mod stall;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use noraftd::prng::Prng;
use tokio::time::{Instant, sleep};

pub use clock::TestClock;
pub use form::{Form, Forms};
pub use gate::Gate;
pub use life::Life;
pub use link::{CutId, Link, LinkStats, Policy};
pub use namespaces::{TRIAL_VERB, try_out};
pub use network::Network;
pub use obituary::{Crash, last_lines};
pub use probe::{Health, NodeView, Times, answers, health, times, view};
pub use process::{Launch, Process, ProcessError, process_state};
pub use proxy::Proxies;
pub use slow_disk::SlowDisk;
pub use stall::{Stall, StallError};

use crate::plan::{KindName, Plan, PowerTier};
use power::{Ground, NotPossible, private_mounts};

/// The programs that a cluster is made of.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The `harness` program (see [`guard`]).
    pub harness: PathBuf,
    /// The daemon.
    pub noraftd: PathBuf,
    /// An older daemon, for a plan that rolls the cluster over.
    pub noraftd_old: Option<PathBuf>,
}

/// Gives this process what clusters of `plan` take of the system, as far as that is possible; what is refused shows when one is
/// started. Call it before any other thread is started. `harness` is the program.
pub fn prepare(plan: &Plan, harness: &Path) {
    if plan.power_tier() == Some(PowerTier::Ext4) {
        // Refused, the mounts are refused too, and the run says so.
        let _ = private_mounts();
    }
    network::prepare(plan, harness);
}

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    network: Network,
    start_max: Duration,
    power_refused: Option<NotPossible>,
    /// What every node is, or is becoming.
    form: Mutex<Form>,
    /// By node, the first divergence that it has reported.
    divergences: Mutex<BTreeMap<u64, String>>,
}

/// One node.
#[derive(Debug)]
pub struct Node {
    /// Its number, from 1.
    pub id: u64,
    /// Where clients reach it.
    pub address: SocketAddr,
    /// Its process. Start it with [`Cluster::launch`].
    pub process: Process,
    /// What its data directory is on.
    pub ground: Ground,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// Its clocks, where the plan sets them.
    pub clock: Option<TestClock>,
}

/// The cluster could not be brought up: trouble of the harness or the machine, not a verdict.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A file, directory or socket.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A process could not be started.
    #[error("node n{node}: {source}")]
    Process {
        /// Which.
        node: u64,
        /// Why.
        source: ProcessError,
    },
    /// A data directory is not there.
    #[error("node n{node}: its data directory cannot be mounted: {why}")]
    Ground {
        /// Which.
        node: u64,
        /// Why.
        why: String,
    },
    /// A process does not answer.
    #[error("node n{node} does not answer within {within:?} of its start; {state}\n{log}")]
    Silent {
        /// Which.
        node: u64,
        /// How long it had.
        within: Duration,
        /// What became of it.
        state: String,
        /// The end of its log.
        log: String,
    },
}

impl Cluster {
    /// Lays out the folders `folder/nK`, starts the network and every node, and waits until all answer.
    ///
    /// # Errors
    ///
    /// When anything does not come up.
    pub async fn start(
        plan: &Plan,
        seed: u64,
        programs: &Programs,
        folder: &Path,
    ) -> Result<Self, ClusterError> {
        let io_error = |what: &str| {
            let what = what.to_owned();
            move |source| ClusterError::Io { what, source }
        };
        let ids: Vec<u64> = (1..=plan.cluster.nodes as u64).collect();
        let network = Network::lay(plan, &ids)
            .await
            .map_err(io_error("the network between the nodes"))?;
        let (form, forms) =
            forms(plan, seed, programs, folder).map_err(io_error("the secret of the nodes"))?;
        let mut power = plan.power_tier();
        let mut power_refused = None;
        let mut nodes = Vec::new();
        for id in &ids {
            let home = folder.join(format!("n{id}"));
            std::fs::create_dir_all(&home).map_err(io_error(&home.display().to_string()))?;
            let ground = Ground::lay(power, &home).unwrap_or_else(|refusal| {
                power = None;
                power_refused = Some(refusal);
                Ground::Plain
            });
            let data_dir = ground.data_dir(&home);
            let clock_path = home.join("clock");
            let clock = plan
                .has(KindName::Clock)
                .then(|| TestClock::make(&clock_path))
                .transpose();
            let clock = clock.map_err(io_error("the clock of a node"))?;
            let layout = Layout {
                id: *id,
                ids: &ids,
                network: &network,
                data_dir: &data_dir,
                shadow_seed: matches!(ground, Ground::Shadow).then_some(seed),
                clock: clock.is_some().then_some(&clock_path),
            };
            let launch = Launch {
                guard: programs.harness.clone(),
                namespace: network.namespace(*id),
                forms: forms.clone(),
                arguments: layout.arguments(plan),
                log: home.join("log"),
            };
            nodes.push(Node {
                id: *id,
                address: network.client(*id),
                process: Process::new(launch, form),
                ground,
                data_dir,
                clock,
            });
        }
        let cluster = Self {
            nodes,
            network,
            start_max: plan.limits.start.as_duration(),
            power_refused,
            form: Mutex::new(form),
            divergences: Mutex::default(),
        };
        cluster.start_all().await?;
        Ok(cluster)
    }

    async fn start_all(&self) -> Result<(), ClusterError> {
        for node in &self.nodes {
            self.launch(node)?;
        }
        for node in &self.nodes {
            self.await_answer(node).await?;
        }
        Ok(())
    }

    /// Every node.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node numbered `id`.
    pub fn node(&self, id: u64) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// The links between the nodes.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Starts a node that is down, and waits until it answers.
    ///
    /// # Errors
    ///
    /// When it runs already, or does not answer.
    pub async fn restart(&self, node: &Node) -> Result<(), ClusterError> {
        self.launch(node)?;
        self.await_answer(node).await
    }

    /// Starts a node that is down, its power back if it was cut, without waiting for it.
    ///
    /// # Errors
    ///
    /// When it runs already, or its data directory is not there.
    pub fn launch(&self, node: &Node) -> Result<(), ClusterError> {
        let id = node.id;
        node.ground
            .restore()
            .map_err(|why| ClusterError::Ground { node: id, why })?;
        node.process
            .start()
            .map_err(|source| ClusterError::Process { node: id, source })
    }

    /// What the nodes become in the next roll; `None` in a cluster that is not rolled.
    pub fn next_form(&self) -> Option<Form> {
        let mut form = self.form.lock().unwrap_or_else(PoisonError::into_inner);
        *form = form.next()?;
        Some(*form)
    }

    /// Why power cuts are not possible, when the plan wants them and they are not.
    pub fn power_refused(&self) -> Option<&NotPossible> {
        self.power_refused.as_ref()
    }

    /// Waits until a started node answers `PING`.
    ///
    /// # Errors
    ///
    /// When it does not, or ends instead.
    pub async fn await_answer(&self, node: &Node) -> Result<(), ClusterError> {
        let deadline = Instant::now() + self.start_max;
        while Instant::now() < deadline && node.process.pid().is_some() {
            if answers(node.address, PROBE_MAX).await {
                return Ok(());
            }
            sleep(PROBE_STEP).await;
        }
        Err(ClusterError::Silent {
            node: node.id,
            within: self.start_max,
            state: match node.process.life() {
                Life::Up { .. } => "it is still running".to_owned(),
                Life::Down => "it was killed".to_owned(),
                Life::Crashed => node
                    .process
                    .crashes()
                    .pop()
                    .map_or_else(String::new, |crash| format!("it {}", crash.how)),
            },
            log: last_lines(node.process.log(), LOG_LINES_SHOWN).join("\n"),
        })
    }

    /// The leader, as the nodes see it: of those that claim to lead, the one with the highest term.
    pub async fn leader(&self) -> Option<u64> {
        let views = self.views().await;
        let leading = views
            .into_iter()
            .filter_map(|(id, view)| Some((id, view?)))
            .filter(|(_, view)| view.leads);
        leading.max_by_key(|(_, view)| view.term).map(|(id, _)| id)
    }

    /// What every node says about itself, asked at the same time.
    pub async fn views(&self) -> Vec<(u64, Option<NodeView>)> {
        let mut asked = tokio::task::JoinSet::new();
        for node in &self.nodes {
            let (id, address) = (node.id, node.address);
            asked.spawn(async move { (id, view(address, PROBE_MAX).await) });
        }
        let mut views = asked.join_all().await;
        views.sort_by_key(|(id, _)| *id);
        self.note_divergences(&views);
        views
    }

    /// A node that differs from the others forgets it when it is killed, so it is noted whenever a node is asked.
    fn note_divergences(&self, views: &[(u64, Option<NodeView>)]) {
        let reported = views
            .iter()
            .filter_map(|(id, view)| Some((*id, view.as_ref()?.divergence.clone()?)));
        let mut divergences = self.divergences.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, divergence) in reported {
            divergences.entry(id).or_insert(divergence);
        }
    }

    /// Every divergence that was reported so far, by the node that reported it.
    pub fn divergences(&self) -> BTreeMap<u64, String> {
        let divergences = self.divergences.lock();
        divergences.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every crash so far, by node.
    pub fn crashes(&self) -> Vec<(u64, Crash)> {
        let of = |node: &Node| {
            let id = node.id;
            node.process.crashes().into_iter().map(move |crash| (id, crash))
        };
        self.nodes.iter().flat_map(of).collect()
    }

    /// Kills every process.
    pub async fn stop(&self) {
        for node in &self.nodes {
            // Down already is as good; one that survives SIGKILL is ended by the guard at our end.
            let _ = node.process.kill().await;
            node.ground.leave();
        }
    }
}

/// The form that the nodes begin in, and what each form is started with.
fn forms(plan: &Plan, seed: u64, programs: &Programs, folder: &Path) -> io::Result<(Form, Forms)> {
    let forms = Forms {
        program: programs.noraftd.clone(),
        old: programs.noraftd_old.clone(),
        secret: folder.join("peer-secret"),
    };
    if !plan.is_rolled() {
        return Ok((Form::Present, forms));
    }
    write_secret(&forms.secret, seed)?;
    Ok((Form::Old, forms))
}

/// A secret for one run: what it is depends on the seed alone, and it protects nothing.
fn write_secret(path: &Path, seed: u64) -> io::Result<()> {
    let mut prng = Prng::new(seed).fork(FORK_SECRET);
    let secret: String = (0..4).map(|_| format!("{:016x}", prng.next_u64())).collect();
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{secret}")
}

struct Layout<'a> {
    id: u64,
    ids: &'a [u64],
    network: &'a Network,
    data_dir: &'a Path,
    shadow_seed: Option<u64>,
    clock: Option<&'a Path>,
}

impl Layout<'_> {
    fn arguments(&self, plan: &Plan) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["serve".into()];
        if self.network.namespace(self.id).is_some() {
            // Its addresses are not of loopback, and yet no stranger reaches them.
            arguments.push("--insecure-peers".into());
        }
        let mut flag = |name: &str, value: OsString| {
            arguments.push(name.into());
            arguments.push(value);
        };
        flag("--id", self.id.to_string().into());
        flag("--cluster", CLUSTER_NAME.into());
        flag("--data-dir", self.data_dir.into());
        flag("--listen", self.network.client(self.id).to_string().into());
        flag("--peer-listen", self.network.peer(self.id).to_string().into());
        for peer in self.ids.iter().filter(|peer| **peer != self.id) {
            flag(
                "--peer",
                format!("{peer}={}", self.network.address(self.id, *peer)).into(),
            );
        }
        let cluster = &plan.cluster;
        flag("--heartbeat", cluster.heartbeat.to_string().into());
        flag("--election-timeout", cluster.election.to_string().into());
        flag("--segment-bytes", format!("{}KiB", cluster.segment_kib).into());
        if let Some(seed) = self.shadow_seed {
            let own = Prng::new(seed).fork(self.id).next_u64();
            flag("--shadow-disk", format!("seed={own}").into());
        }
        if let Some(clock) = self.clock {
            flag("--test-clock", clock.into());
        }
        arguments
    }
}

/// Separates the secret from the other random numbers.
const FORK_SECRET: u64 = 0x0000_7365_6372_6574;
const CLUSTER_NAME: &str = "under-test";
/// A node that is up answers within a millisecond; a stopped one never does.
const PROBE_MAX: Duration = Duration::from_millis(400);
const PROBE_STEP: Duration = Duration::from_millis(20);
const LOG_LINES_SHOWN: usize = 20;
