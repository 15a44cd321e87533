//! The ways in which a plan is changed.
//!
//! Invariant: a change stays within what the plan that is steered could draw, but for how often a fault is drawn and for
//! branches: what holds for every seed of that plan holds for its mutants.

use std::fmt;

use noraftd::prng::Prng;

use crate::plan::{BranchPlan, FaultPlan, Plan, SimPlan, Span, SpanRange};

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mutation {
    /// The same run up to a moment, and other draws from there on.
    Branch(BranchPlan),
    /// The same plan with other draws from the beginning.
    Seed(u64),
    /// A fault less.
    Without(FaultPlan),
    /// A fault more.
    With(FaultPlan),
    /// A fault is drawn four times as often.
    Often(FaultPlan),
    /// A fault lasts another time.
    Lasts(FaultPlan, SpanRange),
    /// A share of messages, batches, sectors or starts is another one.
    Share(usize, u64),
    /// A limit of the nodes is another one.
    Limit(usize, u32),
    /// Operations a second of all clients together.
    Rate(u64),
    /// The longest time between two faults of one lane.
    Calm(Span),
    /// How many faults may overlap.
    Lanes(usize),
}

impl Mutation {
    /// A change of `plan`, which is a mutant of `base`; `None` when chance named none that makes a difference.
    pub(super) fn draw(plan: &Plan, base: &Plan, prng: &mut Prng) -> Option<Self> {
        let drawn = (0..DRAWS_MAX).filter_map(|_| Self::any(plan, base, prng));
        let makes_a_difference = |mutation: &Self| {
            let changed = mutation.apply(plan);
            changed != *plan && changed.validate().is_ok()
        };
        drawn.into_iter().find(makes_a_difference)
    }

    fn any(plan: &Plan, base: &Plan, prng: &mut Prng) -> Option<Self> {
        Some(match prng.below(10) {
            0 | 1 => Self::With(absent(plan, base, prng)?),
            2 => Self::Without(prng.choose(&plan.faults)?.clone()),
            3 | 4 => Self::Often(prng.choose(&plan.faults)?.clone()),
            5 => lasts(plan, base, prng)?,
            6 | 7 => share(plan, base, prng)?,
            8 => limit(base, prng)?,
            _ => match prng.below(3) {
                0 => {
                    let [low, high] = base.swarm.as_ref()?.rate;
                    Self::Rate(prng.between(low, high))
                }
                1 => {
                    let calm = base.nemesis.calm;
                    Self::Calm(Span::from_millis(
                        prng.between(calm.low.as_millis(), calm.high.as_millis()),
                    ))
                }
                _ => Self::Lanes(prng.between(1, base.nemesis.lanes as u64) as usize),
            },
        })
    }

    /// The changed plan.
    pub(super) fn apply(&self, plan: &Plan) -> Plan {
        let mut plan = plan.clone();
        match self {
            Self::Branch(branch) => {
                let branches = &mut plan.sim.branches;
                branches.retain(|earlier| earlier.at_us < branch.at_us);
                branches.push(branch.clone());
            }
            Self::Seed(seed) => {
                plan.sim.branches.clear();
                plan.seed = Some(*seed);
            }
            Self::Without(fault) => plan.faults.retain(|other| other != fault),
            Self::With(fault) => plan.faults.push(fault.clone()),
            Self::Often(fault) => {
                change(&mut plan, fault, |fault| {
                    fault.weight = (fault.weight * OFTEN).min(WEIGHT_MAX);
                });
            }
            Self::Lasts(fault, range) => change(&mut plan, fault, |fault| fault.duration = *range),
            Self::Share(at, value) => {
                *(SHARES[*at].of)(&mut plan.sim) = *value;
                let disk = &mut plan.sim.disk;
                if (disk.damage_permille, disk.rot_permille) == (0, 0) {
                    // There is nothing to find.
                    disk.scrub = Span::from_millis(0);
                }
            }
            Self::Limit(at, exponent) => (LIMITS[*at].set)(&mut plan.sim, 1 << exponent),
            Self::Rate(rate) => plan.clients.rate = *rate,
            Self::Calm(high) => plan.nemesis.calm.high = *high,
            Self::Lanes(lanes) => plan.nemesis.lanes = *lanes,
        }
        plan
    }
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Branch(branch) => write!(f, "other draws from {} us on", branch.at_us),
            Self::Seed(seed) => write!(f, "seed {seed}"),
            Self::Without(fault) => write!(f, "without {}", fault.name()),
            Self::With(fault) => write!(f, "with {}", fault.name()),
            Self::Often(fault) => write!(f, "{} {OFTEN} times as often", fault.name()),
            Self::Lasts(fault, range) => {
                write!(f, "{} lasts {} to {}", fault.name(), range.low, range.high)
            }
            Self::Share(at, value) => write!(f, "{} {value}", SHARES[*at].key),
            Self::Limit(at, exponent) => write!(f, "{} {}", LIMITS[*at].key, 1_u64 << exponent),
            Self::Rate(rate) => write!(f, "{rate} operations a second"),
            Self::Calm(high) => write!(f, "at most {high} between faults"),
            Self::Lanes(lanes) => write!(f, "{lanes} lanes"),
        }
    }
}

fn change(plan: &mut Plan, fault: &FaultPlan, how: impl FnOnce(&mut FaultPlan)) {
    if let Some(fault) = plan.faults.iter_mut().find(|other| *other == fault) {
        how(fault);
    }
}

/// A fault that the seed left out.
fn absent(plan: &Plan, base: &Plan, prng: &mut Prng) -> Option<FaultPlan> {
    let is_there = |fault: &FaultPlan| plan.faults.iter().any(|other| other.name() == fault.name());
    let fits = |fault: &&FaultPlan| fault.fits(plan.cluster.nodes) && !is_there(fault);
    let absent: Vec<&FaultPlan> = base.faults.iter().filter(fits).collect();
    prng.choose(&absent).map(|fault| (*fault).clone())
}

/// A fault lasts an eighth of the time, or as long as the plan says.
fn lasts(plan: &Plan, base: &Plan, prng: &mut Prng) -> Option<Mutation> {
    let fault = prng.choose(&plan.faults)?;
    let usual = base
        .faults
        .iter()
        .find(|other| other.name() == fault.name())?
        .duration;
    let (low, high) = (usual.low.as_millis(), usual.high.as_millis());
    let short = SpanRange::new(usual.low, Span::from_millis(low + (high - low) / 8));
    let other = if fault.duration == usual { short } else { usual };
    Some(Mutation::Lasts(fault.clone(), other))
}

/// A share that the plan has: none of it, or up to what the plan says.
fn share(plan: &Plan, base: &Plan, prng: &mut Prng) -> Option<Mutation> {
    let at = prng.below(SHARES.len() as u64) as usize;
    let share = &SHARES[at];
    let most = *(share.of)(&mut base.sim.clone());
    if most == 0 || (share.needs_peers && plan.cluster.nodes == 1) {
        return None;
    }
    let value = if prng.chance(1, 4) {
        0
    } else {
        prng.between(1, most)
    };
    Some(Mutation::Share(at, value))
}

/// A limit that each seed of a swarm draws.
fn limit(base: &Plan, prng: &mut Prng) -> Option<Mutation> {
    base.swarm.as_ref()?;
    let at = prng.below(LIMITS.len() as u64) as usize;
    let (low, high) = LIMITS[at].exponents;
    let exponent = prng.between(u64::from(low), u64::from(high));
    Some(Mutation::Limit(at, exponent as u32))
}

/// A share of something, of a thousand.
struct Share {
    key: &'static str,
    of: fn(&mut SimPlan) -> &mut u64,
    /// A lone node cannot repair what it breaks.
    needs_peers: bool,
}

macro_rules! shares {
    (@peers) => { false };
    (@peers peers) => { true };
    ($($table:ident . $key:ident $(($needs_peers:ident))?,)+) => {
        [$(Share {
            key: stringify!($key),
            of: |sim| &mut sim.$table.$key,
            needs_peers: shares!(@peers $($needs_peers)?),
        },)+]
    };
}

static SHARES: [Share; 19] = shares![
    network.late_permille,
    network.loss_permille,
    network.duplicate_permille,
    network.reorder_permille,
    network.corrupt_permille,
    network.coup_permille,
    network.stale_permille,
    network.late_round_permille,
    network.cross_permille,
    network.repeat_permille,
    network.rotten_permille,
    disk.slow_permille,
    disk.torn_permille(peers),
    disk.damage_permille(peers),
    disk.rot_permille(peers),
    disk.snapshot_damage_permille(peers),
    disk.recovery_crash_permille,
    node.resettings_permille,
    node.alike_permille,
];

/// A limit of the nodes, a power of two.
struct Limit {
    key: &'static str,
    exponents: (u32, u32),
    set: fn(&mut SimPlan, usize),
}

static LIMITS: [Limit; 5] = [
    Limit {
        key: "batch_bytes_max",
        exponents: (6, 16),
        set: |sim, value| sim.node.batch_bytes_max = value,
    },
    Limit {
        key: "in_flight_messages_max",
        exponents: (0, 6),
        set: |sim, value| sim.node.in_flight_messages_max = value,
    },
    Limit {
        key: "cache_bytes_max",
        exponents: (8, 18),
        set: |sim, value| sim.node.cache_bytes_max = value,
    },
    Limit {
        key: "snapshot_log_bytes",
        exponents: (10, 20),
        set: |sim, value| sim.node.snapshot_log_bytes = value as u64,
    },
    Limit {
        key: "snapshot_chunk_bytes",
        exponents: (6, 16),
        set: |sim, value| sim.node.snapshot_chunk_bytes = value,
    },
];

/// Changes that make no difference are drawn again, so often.
const DRAWS_MAX: usize = 8;
const OFTEN: u32 = 4;
/// As plans have it.
const WEIGHT_MAX: u32 = 1000;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn load(name: &str) -> Plan {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../workloads")
            .join(name);
        Plan::load(&path).unwrap().for_simulation()
    }

    /// The name of a kind of change.
    fn kind(mutation: &Mutation) -> String {
        let text = format!("{mutation:?}");
        text.chars().take_while(char::is_ascii_alphabetic).collect()
    }

    #[test]
    fn every_change_is_another_valid_plan_that_is_read_back_as_it_was_written() {
        for name in [
            "swarm.toml",
            "damage.toml",
            "voters.toml",
            "everything.toml",
            "set.toml",
        ] {
            let base = load(name);
            let mut seen = BTreeSet::new();
            for seed in 1..=60 {
                let prng = &mut Prng::new(seed);
                let mut plan = base.drawn(seed);
                for _ in 0..5 {
                    let Some(mutation) = Mutation::draw(&plan, &base, prng) else {
                        continue;
                    };
                    let changed = mutation.apply(&plan);
                    assert_ne!(changed, plan, "{mutation}");
                    let text = changed.to_toml();
                    let read = Plan::parse(&text, Path::new("mutant.toml"))
                        .unwrap_or_else(|error| panic!("{name}, {mutation}: {error}\n{text}"));
                    assert_eq!(read, changed, "{name}, {mutation}");
                    seen.insert(kind(&mutation));
                    plan = changed;
                }
            }
            let all = "Calm Lanes Lasts Limit Often Rate Share With Without";
            let seen: Vec<String> = seen.into_iter().collect();
            if base.swarm.is_some() {
                assert_eq!(seen.join(" "), all, "{name}");
            }
        }
    }

    #[test]
    fn a_branch_replaces_those_that_come_after_it() {
        let branch = |at_us, seed| Mutation::Branch(BranchPlan { at_us, seed });
        let plan = load("swarm.toml").drawn(1);
        let two = branch(900, 2).apply(&branch(500, 1).apply(&plan));
        assert_eq!(two.sim.branches.len(), 2);
        let read = Plan::parse(&two.to_toml(), Path::new("two.toml")).unwrap();
        assert_eq!(read, two);
        let earlier = branch(400, 3).apply(&two);
        assert_eq!(earlier.sim.branches, [BranchPlan { at_us: 400, seed: 3 }]);
        assert!(Mutation::Seed(4).apply(&two).sim.branches.is_empty());
    }

    #[test]
    fn changes_have_names_that_people_understand() {
        let plan = load("swarm.toml");
        let kill = plan.faults[1].clone();
        let range = SpanRange::new(Span::from_millis(5), Span::from_millis(100));
        let said = [
            Mutation::Branch(BranchPlan { at_us: 17, seed: 1 }),
            Mutation::Often(kill.clone()),
            Mutation::Lasts(kill, range),
            Mutation::Share(1, 20),
            Mutation::Limit(3, 12),
        ];
        assert_eq!(
            said.map(|mutation| mutation.to_string()),
            [
                "other draws from 17 us on",
                "kill-leader 4 times as often",
                "kill-leader lasts 5ms to 100ms",
                "loss_permille 20",
                "snapshot_log_bytes 4096",
            ]
        );
    }

    #[test]
    fn a_lone_node_breaks_nothing_that_only_others_repair() {
        let base = load("damage.toml");
        let mut alone = base.drawn(1);
        alone.cluster.nodes = 1;
        alone.sim.disk.torn_permille = 0;
        alone.faults.retain(|fault| fault.fits(1));
        alone.nemesis.impaired_max = None;
        for seed in 1..300 {
            if let Some(mutation) = Mutation::draw(&alone, &base, &mut Prng::new(seed)) {
                assert_eq!(mutation.apply(&alone).sim.disk.torn_permille, 0, "{mutation}");
            }
        }
    }
}
