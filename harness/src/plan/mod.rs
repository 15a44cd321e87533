//! Plans: what a run does, declared in TOML. No code in a plan, no plan in the code.
//!
//! Invariant: a [`Plan`] that exists is valid. Unknown keys are refused, and every refusal names its key.
//!
//! | table          | what it says                                                        |
//! |-|-|
//! | (top)          | `version` (1), `name`, `about`, `time`, `seed`                      |
//! | `[cluster]`    | `nodes`, `heartbeat`, `election`, `segment_kib`, `power`, `network` |
//! | `[clients]`    | `count`, `readers`, `pipelines`, `elsewhere_permille`, `commands`, `stale`, `transactions`, `retries`, `expiry`, `rate`, `timeout`, `pause_after_error` |
//! | `[[workload]]` | `kind` register or log, its keys and mix; several share the clients |
//! | `[nemesis]`    | `warmup`, `calm`, `lanes`, `impaired_max`                           |
//! | `[[fault]]`    | `kind`, its target or shape, `weight`, `duration`                   |
//! | `[limits]`     | deadlines, and the least a run must do to prove something           |
//! | `[sim]`        | the simulated world: `network`, `disk`, `clock`, `node`, `branch`   |
//! | `[swarm]`      | what each seed draws for itself                                     |

mod cluster;
mod error;
mod fault;
mod fitted;
mod locate;
mod network;
mod power;
mod sim;
mod span;
mod swarm;
mod workload;

use std::path::Path;

use serde::{Deserialize, Serialize};

use error::require;

pub use cluster::{ClientsPlan, ClusterPlan};
pub use error::PlanError;
pub use fault::{
    Cause, ClockChange, CutMode, DiskTrouble, FaultKind, FaultPlan, FileDamage, KindName, LANES, LinkEffect,
    RareOperation, RareOperations, Scarce, Shape, Target, Worlds,
};
pub use fitted::Fitted;
pub(crate) use locate::locate;
pub use network::PeerNetwork;
pub use power::PowerTier;
pub use sim::{BranchPlan, ClockPlan, DiskPlan, NetworkPlan, NodePlan, SimPlan};
pub use span::{Span, SpanParseError, SpanRange};
pub use swarm::SwarmPlan;
pub use workload::{LogPlan, ObjectPlan, RegisterPlan, WorkloadPlan};

/// The plan format that this harness reads.
pub const PLAN_VERSION: u32 = 1;

/// One run, declared.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The format's version: [`PLAN_VERSION`].
    version: u32,
    /// Names the plan and the folder of its runs.
    pub name: String,
    /// What the plan is for, in a sentence.
    #[serde(default)]
    pub about: String,
    /// How long clients and faults run, without start and final phase.
    pub time: Span,
    /// The seed of every decision; drawn at the start when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The processes under test.
    #[serde(default)]
    pub cluster: ClusterPlan,
    /// The clients of these processes.
    #[serde(default)]
    pub clients: ClientsPlan,
    /// What the clients do.
    #[serde(rename = "workload")]
    pub workloads: Vec<WorkloadPlan>,
    /// When faults happen.
    #[serde(default)]
    pub nemesis: NemesisPlan,
    /// Which faults happen.
    #[serde(default, rename = "fault")]
    pub faults: Vec<FaultPlan>,
    /// Deadlines, and the least that a run must do to prove something.
    #[serde(default)]
    pub limits: LimitsPlan,
    /// The simulated world.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sim: SimPlan,
    /// What each seed draws for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarm: Option<SwarmPlan>,
}

fn is_default(sim: &SimPlan) -> bool {
    *sim == SimPlan::default()
}

/// When faults happen.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct NemesisPlan {
    /// Undisturbed time at the start.
    pub warmup: Span,
    /// Undisturbed time between two faults of one lane.
    pub calm: SpanRange,
    /// How many faults may overlap: each lane has one at a time.
    pub lanes: usize,
    /// How many nodes may be down, paused or cut off at a time; all of them when absent.
    pub impaired_max: Option<usize>,
    /// The lanes together have a fault of every kind, then every other fault once, in an order that the seed says, before they draw by weight: for runs that are too short for
    /// chance, and prove nothing when a kind of fault never came. Of real processes alone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub each_once: bool,
    /// `damage` asks for no majority of whole disks: it hits whatever it draws, and what no other node gives back. Nodes may refuse to
    /// start and stop serving then, but what is served has to be right. Of real processes alone; a simulation has `sim.disk.damage_beyond`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub damage_beyond: bool,
}

impl Default for NemesisPlan {
    fn default() -> Self {
        Self {
            warmup: Span::from_millis(2000),
            calm: SpanRange::new(Span::from_millis(500), Span::from_millis(2000)),
            lanes: 1,
            impaired_max: None,
            each_once: false,
            damage_beyond: false,
        }
    }
}

/// Deadlines, and the least that a run must do to prove something.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsPlan {
    /// Time within which a started process must answer.
    pub start: Span,
    /// Time after the last heal within which every node must serve every key, and all must have applied the same log.
    pub recovery: Span,
    /// How long a fault without an observed effect is kept up beyond its duration.
    pub bite: Span,
    /// Fewer completed operations than this make the verdict unknown.
    pub operations_min: u64,
    /// Fewer faults with an observed effect than this make the verdict unknown.
    pub faults_min: u64,
    /// Time for checking the history; when it runs out, the verdict is unknown.
    pub check: Span,
    /// Kinds of faults that a run may do without: any other kind that is never injected makes the verdict unknown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub optional: Vec<String>,
}

impl Default for LimitsPlan {
    fn default() -> Self {
        Self {
            start: Span::from_millis(10_000),
            recovery: Span::from_millis(20_000),
            bite: Span::from_millis(5_000),
            operations_min: 1,
            faults_min: 0,
            check: Span::from_millis(120_000),
            optional: Vec::new(),
        }
    }
}

impl Plan {
    /// Reads and validates the plan at `path`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is no plan, or says something impossible.
    pub fn load(path: &Path) -> Result<Self, PlanError> {
        let text = std::fs::read_to_string(path).map_err(|source| PlanError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Parses and validates `text`; `path` is only for messages.
    ///
    /// # Errors
    ///
    /// As [`Plan::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, PlanError> {
        let plan: Self = toml::from_str(text).map_err(|source| PlanError::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        plan.validate().map_err(|error| error.in_file(text, path))?;
        Ok(plan)
    }

    /// Checks what the types cannot say. Call it again after changing a plan by hand.
    ///
    /// # Errors
    ///
    /// The first key whose value makes no sense.
    pub fn validate(&self) -> Result<(), PlanError> {
        require(self.version == PLAN_VERSION, "version", || {
            format!("must be {PLAN_VERSION}")
        })?;
        require(name_is_plain(&self.name), "name", || {
            "must be 1 to 40 of a-z, 0-9 and -".to_owned()
        })?;
        require(!self.time.is_zero(), "time", || "must not be zero".to_owned())?;
        require(self.time <= TIME_MAX, "time", || {
            format!("must be at most {TIME_MAX}")
        })?;
        self.cluster.validate()?;
        self.clients.validate()?;
        require(!self.workloads.is_empty(), "workload", || {
            "must be given at least once".to_owned()
        })?;
        for (at, workload) in self.workloads.iter().enumerate() {
            workload.validate(&format!("workload[{at}]"))?;
        }
        self.nemesis.validate(self.cluster.nodes)?;
        for (at, fault) in self.faults.iter().enumerate() {
            fault.validate(&format!("fault[{at}]"), self.cluster.nodes)?;
        }
        self.validate_network()?;
        self.sim.validate()?;
        self.swarm.iter().try_for_each(SwarmPlan::validate)?;
        for kind in &self.limits.optional {
            require(
                KindName::ALL.iter().any(|known| known.name() == kind),
                "limits.optional",
                || {
                    format!(
                        "names `{kind}`, which is not one of the kinds {}",
                        KindName::names()
                    )
                },
            )?;
        }
        self.limits.validate()
    }

    /// Whether a fault of this kind may come.
    pub fn has(&self, kind: KindName) -> bool {
        self.faults.iter().any(|fault| fault.kind() == kind)
    }

    /// Whether the cluster begins with an older program and is rolled over to the present one.
    pub fn is_rolled(&self) -> bool {
        self.has(KindName::Roll)
    }

    /// Parts of snapshots have at least two to the power of this many bytes: of a large state, or where each part waits for a slow disk,
    /// smaller ones take longer than a run has time.
    pub(crate) fn chunk_bits_min(&self) -> u64 {
        let is_padded = self.workloads.iter().any(|workload| workload.padding() > 0);
        // What is asked for in sessions is never removed.
        if is_padded || self.clients.retries > 0 {
            CHUNK_BITS_MIN_PADDED
        } else if self.sim.disk.sync_us >= SLOW_SYNC_US {
            CHUNK_BITS_MIN_SLOW
        } else {
            CHUNK_BITS_MIN
        }
    }

    /// How many nodes there may be in a run, those among them that join.
    pub fn nodes_max(&self) -> usize {
        let joining = if self.has(KindName::Member) {
            JOINING_MAX
        } else {
            0
        };
        self.cluster.nodes + joining
    }

    /// How many machines a run on real processes has, those among them that are no member at first.
    pub fn machines(&self) -> usize {
        let spare = if self.has(KindName::Member) { SPARE } else { 0 };
        self.cluster.nodes + spare
    }

    /// Whether nodes lose their data directories.
    pub fn loses_directories(&self) -> bool {
        let loses = |fault: &FaultPlan| {
            matches!(
                fault.kind(),
                KindName::Wipe | KindName::Mistake | KindName::MistakeClone
            )
        };
        self.faults.iter().any(loses) || self.sim.node.remove_permille > 0
    }

    /// How power cuts are made; `None` when the plan has none, nor disks in trouble, and does not ask for a tier.
    pub fn power_tier(&self) -> Option<PowerTier> {
        let wanted = self.has(KindName::Power) || self.has(KindName::Disk);
        self.cluster.power.or(wanted.then_some(PowerTier::Shadow))
    }

    /// The same plan for another time: what it demands at least shrinks or grows in proportion.
    #[must_use]
    pub fn lasting(mut self, time: Span) -> Self {
        let scale = |min: u64| {
            let scaled =
                u128::from(min) * u128::from(time.as_millis()) / u128::from(self.time.as_millis().max(1));
            u64::try_from(scaled).unwrap_or(u64::MAX)
        };
        self.limits.operations_min = scale(self.limits.operations_min).max(1);
        self.limits.faults_min = scale(self.limits.faults_min);
        self.time = time;
        self
    }

    /// The same plan for another number of nodes. A seed of a swarm leaves out the faults that need more, whatever else it draws.
    #[must_use]
    pub fn of_nodes(mut self, nodes: usize) -> Self {
        self.cluster.nodes = nodes;
        if self.swarm.is_some() {
            self.faults.retain(|fault| fault.fits(nodes));
        }
        self
    }

    /// The same plan, of which no run does too little: what it demands at least was meant for the plan before it was made smaller.
    #[must_use]
    pub fn demanding_nothing(mut self) -> Self {
        self.limits.operations_min = 0;
        self.limits.faults_min = 0;
        self
    }

    /// The same plan with a seed.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The plan as TOML, complete: what a run's folder keeps.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("every field has a TOML form")
    }
}

impl NemesisPlan {
    fn validate(&self, nodes: usize) -> Result<(), PlanError> {
        self.calm.validate("nemesis.calm")?;
        require((1..=LANES_MAX).contains(&self.lanes), "nemesis.lanes", || {
            format!("must be 1 to {LANES_MAX}, not {}", self.lanes)
        })?;
        require(
            self.impaired_max.is_none_or(|max| (1..=nodes).contains(&max)),
            "nemesis.impaired_max",
            || format!("must be 1 to {nodes}, the number of nodes"),
        )
    }
}

impl LimitsPlan {
    fn validate(&self) -> Result<(), PlanError> {
        for (key, span) in [("limits.start", self.start), ("limits.recovery", self.recovery)] {
            require(!span.is_zero(), key, || "must not be zero".to_owned())?;
        }
        Ok(())
    }
}

fn name_is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=40).contains(&name.len()) && name.bytes().all(plain)
}

/// A day: longer runs want several plans.
const TIME_MAX: Span = Span::from_millis(24 * 60 * 60 * 1000);
/// More faults at once than this leave nothing running.
const LANES_MAX: usize = 4;

/// Machines that join, at most.
const JOINING_MAX: usize = 6;
/// Of real machines, those that are no member at first: one joins while another one has not heard yet that it was removed.
const SPARE: usize = 2;

/// Of parts of snapshots.
const CHUNK_BITS_MIN: u64 = 6;
const CHUNK_BITS_MIN_PADDED: u64 = 11;
const CHUNK_BITS_MIN_SLOW: u64 = 9;
/// A disk with such syncs writes a hundred parts a second at most.
const SLOW_SYNC_US: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
        version = 1
        name = "small"
        time = "5s"
        [[workload]]
        kind = "register"
    "#;

    fn refusal(text: &str) -> String {
        match Plan::parse(text, Path::new("test.toml")) {
            Ok(plan) => panic!("accepted: {plan:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_small_plan_has_defaults() {
        let plan = Plan::parse(SMALL, Path::new("small.toml")).unwrap();
        assert_eq!(plan.cluster, ClusterPlan::default());
        assert_eq!(plan.workloads, [WorkloadPlan::Register(RegisterPlan::default())]);
        assert!(plan.faults.is_empty());
    }

    #[test]
    fn a_plan_survives_being_written_out() {
        let text = format!(
            "{SMALL}\n[[workload]]\nkind = \"log\"\n[[fault]]\nkind = \"kill\"\ntarget = \"leader\"\n\
             duration = [\"1s\", \"2s\"]\n[[fault]]\nkind = \"partition\"\nshape = \"halves\"\nduration = \"1s\"\n"
        );
        let plan = Plan::parse(&text, Path::new("small.toml")).unwrap();
        assert_eq!(
            Plan::parse(&plan.to_toml(), Path::new("again.toml")).unwrap(),
            plan
        );
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        assert!(refusal(&SMALL.replace("time", "tiem")).contains("tiem"));
        assert!(refusal(&format!("{SMALL}\nkeyz = 4")).contains("keyz"));
        assert!(refusal(&format!("{SMALL}\n[cluster]\nnode = 3")).contains("node"));
        let fault = "[[fault]]\nkind = \"kill\"\ntarget = \"one\"\nduration = \"1s\"\nshape = \"halves\"";
        assert!(refusal(&format!("{SMALL}\n{fault}")).contains("shape"));
    }

    #[test]
    fn a_senseless_value_is_refused_with_its_key() {
        let cases = [
            ("[cluster]\nnodes = 0", "cluster.nodes"),
            (
                "[cluster]\nheartbeat = \"1s\"\nelection = \"1s\"",
                "cluster.election",
            ),
            ("[cluster]\nsegment_kib = 4", "cluster.segment_kib"),
            ("[clients]\ncount = 0", "clients.count"),
            ("[clients]\ncount = 4\nreaders = 4", "clients.readers"),
            ("[nemesis]\nlanes = 9", "nemesis.lanes"),
            ("[nemesis]\nimpaired_max = 4", "nemesis.impaired_max"),
            ("[nemesis]\ncalm = [\"2s\", \"1s\"]", "nemesis.calm"),
            ("[limits]\nrecovery = \"0s\"", "limits.recovery"),
            (
                "[[fault]]\nkind = \"kill\"\ntarget = \"one\"\nduration = \"1s\"\nweight = 0",
                "fault[0].weight",
            ),
            (
                "[[fault]]\nkind = \"partition\"\nshape = \"halves\"\nduration = \"0s\"",
                "fault[0].duration",
            ),
        ];
        for (addition, key) in cases {
            let said = refusal(&format!("{SMALL}\n{addition}"));
            assert!(said.contains(key), "{addition}: {said}");
        }
        assert!(refusal(&SMALL.replace("small", "Not Plain")).contains("name"));
        assert!(refusal(&SMALL.replace("\"5s\"", "\"5 parsecs\"")).contains("parsecs"));
    }

    #[test]
    fn a_partition_needs_two_nodes() {
        let one =
            "[cluster]\nnodes = 1\n[[fault]]\nkind = \"partition\"\nshape = \"halves\"\nduration = \"1s\"";
        assert!(refusal(&format!("{SMALL}\n{one}")).contains("fault[0].shape"));
    }
}
