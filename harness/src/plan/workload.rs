//! What clients do, as a plan says it.
//!
//! Invariant: parameters only; what the operations mean is in `crate::workload`.

use serde::{Deserialize, Serialize};

use super::error::{PlanError, require};

/// One workload and its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum WorkloadPlan {
    /// Registers: read, write, compare-and-set.
    Register(RegisterPlan),
    /// Append-only logs: append, read a range, ask for the tail.
    Log(LogPlan),
    /// Sets that only grow: add an element, read them all.
    Set(ObjectPlan),
    /// Counters: add one, read.
    Counter(ObjectPlan),
    /// Lists: append an element, read one list or all of them at once.
    ListAppend(ObjectPlan),
    /// Accounts: transfers by compare-and-set, reads of all balances.
    Bank(ObjectPlan),
}

/// Parameters of the register workload.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegisterPlan {
    /// How often clients choose this workload, relative to the plan's other ones.
    pub weight: u32,
    /// How many keys are in use at a time.
    pub keys: usize,
    /// After so many operations a key is retired and a fresh one takes its place; 0 is never.
    pub operations_per_key: u64,
    /// Every other value is made longer by up to so many bytes, every fourth one by up to a sixteenth of that; 0: none is.
    pub padding_bytes_max: u64,
    /// Share of reads.
    pub read: u32,
    /// Share of writes.
    pub write: u32,
    /// Share of compare-and-sets.
    pub cas: u32,
}

impl Default for RegisterPlan {
    fn default() -> Self {
        Self {
            weight: 1,
            keys: 5,
            operations_per_key: 2000,
            padding_bytes_max: 0,
            read: 45,
            write: 35,
            cas: 20,
        }
    }
}

/// Parameters of the log workload.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogPlan {
    /// How often clients choose this workload, relative to the plan's other ones.
    pub weight: u32,
    /// How many logs.
    pub keys: usize,
    /// The most records that a read asks for.
    pub read_count_max: u64,
    /// Every other record is made longer by up to so many bytes, every fourth one by up to a sixteenth of that; 0: none is. So states
    /// become large, and batches long.
    pub padding_bytes_max: u64,
    /// Share of appends.
    pub append: u32,
    /// Share of range reads.
    pub read: u32,
    /// Share of questions for the tail.
    pub tail: u32,
}

impl Default for LogPlan {
    fn default() -> Self {
        Self {
            weight: 1,
            keys: 1,
            read_count_max: 20,
            padding_bytes_max: 0,
            append: 50,
            read: 35,
            tail: 15,
        }
    }
}

/// Parameters of the workloads on sets, counters, lists and banks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectPlan {
    /// How often clients choose this workload, relative to the plan's other ones.
    pub weight: u32,
    /// How many objects are in use at a time.
    pub keys: usize,
    /// After so many operations an object is retired and a fresh one takes its place; at most 1000.
    pub operations_per_key: u64,
    /// Share of reads.
    pub read: u32,
    /// Share of adds, appends or transfers.
    pub write: u32,
}

impl Default for ObjectPlan {
    fn default() -> Self {
        Self {
            weight: 1,
            keys: 3,
            operations_per_key: 100,
            read: 50,
            write: 50,
        }
    }
}

impl WorkloadPlan {
    /// How often clients choose this workload, relative to the plan's other ones.
    pub fn weight(&self) -> u32 {
        match self {
            Self::Register(plan) => plan.weight,
            Self::Log(plan) => plan.weight,
            Self::Set(plan) | Self::Counter(plan) | Self::ListAppend(plan) | Self::Bank(plan) => plan.weight,
        }
    }

    /// The name used in plans and histories.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Register(_) => "register",
            Self::Log(_) => "log",
            Self::Set(_) => "set",
            Self::Counter(_) => "counter",
            Self::ListAppend(_) => "list-append",
            Self::Bank(_) => "bank",
        }
    }

    /// How many keys are in use at a time.
    pub fn keys(&self) -> usize {
        match self {
            Self::Register(plan) => plan.keys,
            Self::Log(plan) => plan.keys,
            Self::Set(plan) | Self::Counter(plan) | Self::ListAppend(plan) | Self::Bank(plan) => plan.keys,
        }
    }

    /// How much longer records are at most, in bytes.
    pub(super) fn padding(&self) -> u64 {
        match self {
            Self::Register(plan) => plan.padding_bytes_max,
            Self::Log(plan) => plan.padding_bytes_max,
            Self::Set(_) | Self::Counter(_) | Self::ListAppend(_) | Self::Bank(_) => 0,
        }
    }

    /// How much longer records are at most, where a workload has any that may be longer; to be changed.
    pub(super) fn padding_mut(&mut self) -> Option<&mut u64> {
        match self {
            Self::Register(plan) => Some(&mut plan.padding_bytes_max),
            Self::Log(plan) => Some(&mut plan.padding_bytes_max),
            Self::Set(_) | Self::Counter(_) | Self::ListAppend(_) | Self::Bank(_) => None,
        }
    }

    /// The same, to be changed.
    pub(crate) fn keys_mut(&mut self) -> &mut usize {
        match self {
            Self::Register(plan) => &mut plan.keys,
            Self::Log(plan) => &mut plan.keys,
            Self::Set(plan) | Self::Counter(plan) | Self::ListAppend(plan) | Self::Bank(plan) => {
                &mut plan.keys
            }
        }
    }

    pub(super) fn validate(&self, table: &str) -> Result<(), PlanError> {
        let key = |name: &str| format!("{table}.{name}");
        let shares = match self {
            Self::Register(plan) => vec![plan.read, plan.write, plan.cas],
            Self::Log(plan) => {
                require(
                    (1..=READ_COUNT_MAX).contains(&plan.read_count_max),
                    &key("read_count_max"),
                    || format!("must be 1 to {READ_COUNT_MAX}"),
                )?;
                vec![plan.append, plan.read, plan.tail]
            }
            Self::Set(plan) | Self::Counter(plan) | Self::ListAppend(plan) | Self::Bank(plan) => {
                require(
                    (1..=OBJECT_OPERATIONS_MAX).contains(&plan.operations_per_key),
                    &key("operations_per_key"),
                    || format!("must be 1 to {OBJECT_OPERATIONS_MAX}"),
                )?;
                vec![plan.read, plan.write]
            }
        };
        let padding_max = match self {
            Self::Log(_) => RECORD_PADDING_BYTES_MAX,
            Self::Register(_) | Self::Set(_) | Self::Counter(_) | Self::ListAppend(_) | Self::Bank(_) => {
                VALUE_PADDING_BYTES_MAX
            }
        };
        require(self.padding() <= padding_max, &key("padding_bytes_max"), || {
            format!("must be at most {padding_max}")
        })?;
        require((1..=KEYS_MAX).contains(&self.keys()), &key("keys"), || {
            format!("must be 1 to {KEYS_MAX}")
        })?;
        require((1..=SHARE_MAX).contains(&self.weight()), &key("weight"), || {
            format!("must be 1 to {SHARE_MAX}")
        })?;
        require(shares.iter().all(|share| *share <= SHARE_MAX), table, || {
            format!("has a share of operations beyond {SHARE_MAX}")
        })?;
        require(shares.iter().any(|share| *share > 0), table, || {
            "has no operation with a share".to_owned()
        })
    }
}

/// One reply with so many records is still far below any frame limit.
const READ_COUNT_MAX: u64 = 10_000;
/// A page of the final scan holds a thousand records.
const RECORD_PADDING_BYTES_MAX: u64 = 64 << 10;
/// More than what an answer or a message has room for elsewhere.
const VALUE_PADDING_BYTES_MAX: u64 = 4 << 20;
/// A read shows a whole object.
const OBJECT_OPERATIONS_MAX: u64 = 1000;
/// The final phase reads every key from every node.
const KEYS_MAX: usize = 1000;
/// Enough for any proportion; sums stay far from overflow.
const SHARE_MAX: u32 = 1000;
