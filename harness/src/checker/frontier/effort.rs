//! How hard one stage of the frontier tries, and how it ends.

use crate::checker::violation::Stuck;
use crate::recording::budget::Limit;

/// What a stage allows itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// Configurations kept.
    pub(super) width: usize,
    /// Operations of unknown outcome may be used more than once.
    pub(super) unlimited: bool,
    /// Share of the steps that it may take.
    pub(super) steps_divisor: u64,
}

impl Effort {
    pub(super) const PATIENT: Self = Self {
        width: WIDTH,
        unlimited: false,
        steps_divisor: 1,
    };
    /// See the module.
    pub(super) const UNLIMITED: Self = Self {
        width: usize::MAX,
        unlimited: true,
        steps_divisor: 4,
    };
    pub(super) const WIDE: Self = Self {
        width: 4096,
        unlimited: false,
        steps_divisor: 4,
    };
    /// See the module.
    pub(super) const FULL: Self = Self {
        width: usize::MAX,
        unlimited: false,
        steps_divisor: 1,
    };

    /// True when configurations may be given up.
    pub(super) fn is_bounded(self) -> bool {
        self.width != usize::MAX
    }
}

/// How a stage ended.
pub(super) enum StageEnd {
    /// With an order of the operations.
    Order(Vec<u32>),
    /// Without any configuration, nothing having been given up.
    Stuck(Stuck),
    /// There is no order, but this operation need not be the first that fits nowhere.
    Later(Stuck),
    /// Without any configuration, after some had been given up.
    GaveUp,
    /// What ran out, and after how many returns.
    Limit(Limit, u32),
}

/// Configurations at the beginning.
pub(super) const WIDTH: usize = 1;
