//! A cluster of real daemons on this machine, and everything that can be done to it.
//!
//! Invariant: nothing that this folder starts outlives the harness (see [`guard`]); nodes reach each other
//! only through the [`Network`], which can cut them off; clients reach every node directly.

mod address;
mod clock;
pub mod cut;
mod effects;
mod elsewhere;
mod error;
mod foreign;
mod form;
mod gate;
pub mod guard;
mod kernel;
mod life;
mod link;
mod namespaces;
mod network;
mod node;
mod node_process;
mod obituary;
mod own;
pub mod power;
mod process;
mod programs;
mod proxy;
mod remote;
mod seat;
mod slow_disk;
mod stall;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

pub use clock::TestClock;
pub use elsewhere::Elsewhere;
use elsewhere::answers_soon;
pub use error::ClusterError;
pub use form::{Form, Forms};
pub use gate::Gate;
pub use life::Life;
pub use link::{CutId, Link, LinkStats, Policy};
pub use namespaces::{TRIAL_VERB, try_out};
pub use network::{Network, can_have_namespaces};
pub use node::Node;
pub use node_process::NodeProcess;
pub use obituary::{Crash, SIGNALLED, last_lines};
pub use process::{Launch, Process, ProcessError, process_state};
pub use programs::{Programs, Subject};
pub use proxy::Proxies;
pub use seat::Standing;
pub use slow_disk::SlowDisk;
pub use stall::{Stall, StallError};

use crate::client::{Door, NodeView, Protocol};
use crate::plan::{KindName, Plan, PowerTier};
use crate::systems::{External, Installed, Links, Stop, Values};
use address::Ports;
use error::io_error;
use foreign::Crew;
use own::{Layout, forms};
use power::{Ground, NotPossible, private_mounts};

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
    protocol: Protocol,
    network: Network,
    start_max: Duration,
    power_refused: Option<NotPossible>,
    /// What every node is, or is becoming.
    form: Mutex<Form>,
    /// By node, the first divergence that it has reported.
    divergences: Mutex<BTreeMap<u64, String>>,
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
        let ids: Vec<u64> = (1..=plan.machines() as u64).collect();
        let ports = Ports::of(&programs.subject);
        if let Subject::System(installed) = &programs.subject
            && let Some(external) = &installed.system.external
        {
            return Self::join(plan, installed, external, ports, folder).await;
        }
        let (protocol, links) = match &programs.subject {
            Subject::Noraftd { .. } => (Protocol::Noraftd, Links::Proxies),
            Subject::System(installed) => (installed.system.client, installed.system.links),
        };
        let network = Network::lay(plan, &ids, ports, links)
            .await
            .map_err(io_error("the network between the nodes"))?;
        let base = Base {
            plan,
            seed,
            programs,
            folder,
            ids: &ids,
        };
        let (nodes, form, power_refused) = base.nodes(&network)?;
        let cluster = Self {
            nodes,
            protocol,
            network,
            start_max: plan.limits.start.as_duration(),
            power_refused,
            form: Mutex::new(form),
            divergences: Mutex::default(),
        };
        cluster.start_all().await?;
        Ok(cluster)
    }

    /// Joins a cluster that runs elsewhere; starts those of its nodes that stay silent for a while.
    async fn join(
        plan: &Plan,
        installed: &Installed,
        external: &External,
        ports: Ports,
        folder: &Path,
    ) -> Result<Self, ClusterError> {
        let protocol = installed.system.client;
        let mut elsewhere = Vec::new();
        for (id, address) in (1..).zip(&external.addresses) {
            let home = home(folder, id)?;
            let values = Values::default().with("id", id).with("address", address);
            let door = ports.door(id, *address);
            let is_up = answers_soon(protocol, door).await;
            let node = Elsewhere::new(external.clone(), values, home.join("log"), is_up);
            elsewhere.push((id, *address, Arc::new(node)));
        }
        let nodes = elsewhere.iter().map(|(id, address, node)| Node {
            id: *id,
            door: ports.door(*id, *address),
            process: NodeProcess::Elsewhere(Arc::clone(node)),
            ground: Ground::Plain,
            data_dir: folder.join(format!("n{id}/data")),
            clock: None,
            secrets: None,
            seat: None,
        });
        let cluster = Self {
            nodes: nodes.collect(),
            protocol,
            network: Network::elsewhere(elsewhere, ports),
            start_max: plan.limits.start.as_duration(),
            power_refused: None,
            form: Mutex::new(Form::Present),
            divergences: Mutex::default(),
        };
        cluster.start_all().await?;
        Ok(cluster)
    }

    async fn start_all(&self) -> Result<(), ClusterError> {
        for node in self.members().filter(|node| !node.process.is_up()) {
            self.launch(node)?;
        }
        for node in self.members() {
            self.await_answer(node).await?;
        }
        let doors: Vec<Door> = self.members().map(|node| node.door).collect();
        let prepared = self.protocol.prepare(&doors, self.start_max).await;
        prepared.map_err(ClusterError::Unprepared)
    }

    /// Every node, and every machine that may become one.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The nodes that are members.
    pub fn members(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.is_member())
    }

    /// Whether a machine is about to become a member, or to hear that it is none any more.
    pub fn is_changing(&self) -> bool {
        let changes = |node: &Node| match node.standing() {
            Standing::Spare | Standing::Member(_) => false,
            Standing::Joining => true,
            Standing::Leaving(_) => !node.is_gone(),
        };
        self.nodes.iter().any(changes)
    }

    /// The node that is the member of this id.
    pub fn member(&self, id: u64) -> Option<&Node> {
        self.members()
            .find(|node| node.standing() == Standing::Member(id))
    }

    /// The node numbered `id`.
    pub fn node(&self, id: u64) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// What clients speak.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether it was there before this run, and goes on after it.
    pub fn is_elsewhere(&self) -> bool {
        self.nodes.iter().any(|node| node.process.elsewhere().is_some())
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
            .map_err(|source| ClusterError::Process { node: id, source })?;
        if let Some(seat) = &node.seat {
            seat.note_started();
        }
        Ok(())
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

    /// Waits until a started node answers.
    ///
    /// # Errors
    ///
    /// When it does not, or ends instead.
    pub async fn await_answer(&self, node: &Node) -> Result<(), ClusterError> {
        let deadline = Instant::now() + self.start_max;
        while Instant::now() < deadline && node.process.is_up() {
            if self.protocol.answers(node.door, PROBE_MAX).await {
                return Ok(());
            }
            sleep(PROBE_STEP).await;
        }
        Err(ClusterError::Silent {
            node: node.id,
            within: self.start_max,
            state: node.process.describe(),
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

    /// What a node says about itself.
    pub async fn view(&self, node: &Node, patience: Duration) -> Option<NodeView> {
        self.protocol.view(node.door, patience).await
    }

    /// What every node says about itself, asked at the same time.
    pub async fn views(&self) -> Vec<(u64, Option<NodeView>)> {
        let mut asked = tokio::task::JoinSet::new();
        for node in &self.nodes {
            let (id, door, protocol) = (node.id, node.door, self.protocol);
            asked.spawn(async move { (id, protocol.view(door, PROBE_MAX).await) });
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

    /// Kills every process of ours.
    pub async fn stop(&self) {
        for node in self
            .nodes
            .iter()
            .filter(|node| node.process.elsewhere().is_none())
        {
            // Down already is as good; one that survives SIGKILL is ended by the guard at our end.
            let _ = node.process.kill().await;
            node.ground.leave();
        }
    }
}

/// From what the nodes of a cluster are made.
struct Base<'a> {
    plan: &'a Plan,
    seed: u64,
    programs: &'a Programs,
    folder: &'a Path,
    ids: &'a [u64],
}

impl Base<'_> {
    /// The nodes, none of them started; the form that they begin in; and why they cannot lose power, where they were to.
    fn nodes(&self, network: &Network) -> Result<(Vec<Node>, Form, Option<NotPossible>), ClusterError> {
        let mut power = self.plan.power_tier();
        let mut power_refused = None;
        let mut nodes = Vec::new();
        let (form, forms, secrets) = match &self.programs.subject {
            Subject::Noraftd { program, old } => {
                let programs = (program.as_path(), old.as_deref());
                let has_namespaces = self.ids.iter().any(|id| network.namespace(*id).is_some());
                let (form, forms, secrets) =
                    forms(self.plan, self.seed, programs, self.folder, has_namespaces)
                        .map_err(io_error("the secret of the nodes"))?;
                (form, Some(forms), secrets.map(Arc::new))
            }
            Subject::System(_) => (Form::Present, None, None),
        };
        for id in self.ids {
            let home = home(self.folder, *id)?;
            let ground = Ground::lay(power, &home).unwrap_or_else(|refusal| {
                power = None;
                power_refused = Some(refusal);
                Ground::Plain
            });
            let data_dir = ground.data_dir(&home);
            let log = home.join("log");
            let clock_path = home.join("clock");
            let clock = self.clock(&clock_path)?;
            let mut seat = None;
            let processes = match &self.programs.subject {
                Subject::Noraftd { .. } => {
                    let forms = forms.clone().expect("noraftd has forms");
                    let shadow_seed = matches!(ground, Ground::Shadow).then_some(self.seed);
                    let layout = Layout {
                        id: *id,
                        ids: self.ids,
                        network,
                        data_dir: &data_dir,
                        shadow_seed,
                        clock: clock.is_some().then_some(&clock_path),
                    };
                    let taken = seat.insert(layout.seat(self.plan));
                    let namespace = network.namespace(*id);
                    vec![self.own(namespace, taken.arguments(), forms, log)]
                }
                Subject::System(installed) => {
                    let crew = Crew {
                        installed,
                        network,
                        ids: self.ids,
                        guard: &self.programs.harness,
                    };
                    let made = crew.node(*id, &data_dir, &log);
                    made.map_err(io_error("the files of a node"))?
                }
            };
            let process = NodeProcess::Here(processes);
            process.become_form(form);
            nodes.push(Node {
                id: *id,
                door: network.door(*id),
                process,
                ground,
                data_dir,
                clock,
                secrets: secrets.clone(),
                seat,
            });
        }
        Ok((nodes, form, power_refused))
    }

    /// A process of this project's own daemon.
    fn own(
        &self,
        namespace: Option<PathBuf>,
        arguments: Vec<OsString>,
        forms: Forms,
        log: PathBuf,
    ) -> Process {
        Process::new(Launch {
            guard: self.programs.harness.clone(),
            namespace,
            forms,
            arguments,
            log,
            stop: Stop::default(),
        })
    }

    fn clock(&self, path: &Path) -> Result<Option<TestClock>, ClusterError> {
        let made = self.has_clocks().then(|| TestClock::make(path)).transpose();
        made.map_err(io_error("the clock of a node"))
    }

    /// Whether nodes have clocks that can be set: only this project's own daemon takes one.
    fn has_clocks(&self) -> bool {
        matches!(self.programs.subject, Subject::Noraftd { .. }) && self.plan.has(KindName::Clock)
    }
}

fn home(folder: &Path, id: u64) -> Result<PathBuf, ClusterError> {
    let home = folder.join(format!("n{id}"));
    std::fs::create_dir_all(&home).map_err(io_error(&home.display().to_string()))?;
    Ok(home)
}

/// A node that is up answers within a millisecond; a stopped one never does.
const PROBE_MAX: Duration = Duration::from_millis(400);
const PROBE_STEP: Duration = Duration::from_millis(20);
const LOG_LINES_SHOWN: usize = 20;
