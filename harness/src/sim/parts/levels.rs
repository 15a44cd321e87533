//! Which level the program of each node supports, and how far the operator is who changes them.
//!
//! Invariant: a program goes back only while no raise of the level may have been carried out.

use std::collections::BTreeMap;

use noraftd::level::Level;
use noraftd::prng::Prng;
use noraftd::replica::event::RequestId;

use crate::plan::{KindName, Plan};

/// The programs, and the operator.
#[derive(Debug)]
pub(crate) struct Levels {
    supported: Vec<Level>,
    /// Whether leaders raise the level by themselves.
    pub(crate) raise_themselves: bool,
    wanted: Level,
    /// How often all go back yet.
    returns: u64,
    /// Whether a node has gone back.
    has_returned: bool,
    asked: u64,
    /// By request, the lane that asked.
    open: BTreeMap<u64, usize>,
    /// A raise was done, or may have been.
    is_raised: bool,
    prng: Prng,
}

impl Levels {
    /// The nodes of `plan`: where their programs change they begin with those of the first release.
    pub(crate) fn new(plan: &Plan, mut prng: Prng) -> Self {
        let changes = plan.has(KindName::Upgrade);
        let first = if changes { Level::FIRST } else { Level::SUPPORTED };
        let clients = plan.clients.expiry || plan.clients.transactions > 0 || plan.clients.retries > 0;
        let takes_level = clients || plan.has(KindName::Member);
        let by_themselves = takes_level && (!changes || prng.chance(1, AUTO_ONE_IN));
        let may_return = changes && !by_themselves;
        Self {
            supported: (0..plan.nodes_max())
                .map(|at| {
                    if at < plan.cluster.nodes {
                        first
                    } else {
                        Level::SUPPORTED
                    }
                })
                .collect(),
            raise_themselves: by_themselves,
            wanted: Level::SUPPORTED,
            returns: if may_return {
                prng.below(RETURNS_MAX + 1)
            } else {
                0
            },
            has_returned: false,
            asked: 0,
            open: BTreeMap::new(),
            is_raised: false,
            prng,
        }
    }

    /// The level that the program of a node supports.
    pub(crate) fn of(&self, at: usize) -> Level {
        self.supported[at]
    }

    /// Those whose program is to be another one.
    pub(crate) fn lag(&self, at: usize) -> bool {
        self.supported[at] != self.wanted
    }

    /// The node's program is the one that is wanted from now on; gives the level that it supports.
    pub(crate) fn change(&mut self, at: usize) -> Level {
        let now = self.wanted;
        self.supported[at] = now;
        self.has_returned |= now < Level::SUPPORTED;
        let is_through = self.supported.iter().all(|level| *level == now);
        if now == Level::SUPPORTED {
            if is_through && self.may_return() {
                self.returns -= 1;
                self.wanted = Level::FIRST;
            }
        } else if is_through || self.prng.chance(1, FORWARD_ONE_IN) || !self.may_return() {
            self.wanted = Level::SUPPORTED;
        }
        now
    }

    fn may_return(&self) -> bool {
        self.returns > 0 && !self.may_be_raised()
    }

    /// True when a raise was carried out, or is under way.
    fn may_be_raised(&self) -> bool {
        self.is_raised || !self.open.is_empty()
    }

    /// True when the operator has the level raised now: all support it; or, now and then, some do not yet, which has to be refused.
    pub(crate) fn is_time_to_raise(&mut self) -> bool {
        let all = self.supported.iter().all(|level| *level == Level::SUPPORTED);
        // A leader may not know yet that a node went back.
        let is_early = !self.has_returned && self.prng.chance(1, EARLY_ONE_IN);
        let is_there = all && self.wanted == Level::SUPPORTED;
        is_there || is_early
    }

    /// The lane asks for a raise.
    pub(crate) fn ask(&mut self, lane: usize) -> RequestId {
        self.wanted = Level::SUPPORTED;
        self.asked += 1;
        self.open.insert(self.asked, lane);
        RequestId(RAISE | self.asked)
    }

    /// The request is answered; gives the lane.
    pub(crate) fn answered(&mut self, id: RequestId, is_refused: bool) -> Option<usize> {
        self.is_raised |= !is_refused;
        self.open.remove(&(id.0 & !RAISE))
    }
}

/// True when a request is one of ours, and no client's.
pub(crate) fn is_raise(id: RequestId) -> bool {
    id.0 >> RAISE_BIT == 1
}

/// Marks the requests that are no client's.
const RAISE: u64 = 1 << RAISE_BIT;
const RAISE_BIT: u32 = 55;
/// Of the runs in which keys go at some time, one in so many has leaders raise the level by themselves.
const AUTO_ONE_IN: u64 = 4;
/// All nodes go back so often at most.
const RETURNS_MAX: u64 = 2;
/// Of the nodes that go back, one in so many is the last.
const FORWARD_ONE_IN: u64 = 3;
/// Of the changes, one in so many comes with a raise that is too early.
const EARLY_ONE_IN: u64 = 8;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn levels(seed: u64) -> Levels {
        let text = "version = 1\nname = \"p\"\ntime = \"1s\"\n[[workload]]\nkind = \"register\"\n\
                    [[fault]]\nkind = \"upgrade\"\ntarget = \"one\"\nduration = [\"1ms\", \"2ms\"]\n";
        let plan = Plan::parse(text, Path::new("p.toml")).expect("it is a plan");
        Levels::new(&plan, Prng::new(seed))
    }

    /// Changes the program of a node that lags, if one does.
    fn step(levels: &mut Levels) {
        if let Some(at) = (0..3).find(|at| levels.lag(*at)) {
            levels.change(at);
        }
    }

    #[test]
    fn programs_go_forward_and_back_and_only_forward_once_a_raise_was_asked_for() {
        let (mut went_back, mut is_refused) = (0, true);
        for seed in 0..40 {
            let mut levels = levels(seed);
            assert!((0..3).all(|at| levels.of(at) == Level::FIRST && levels.lag(at)));
            for _ in 0..20 {
                step(&mut levels);
            }
            went_back += u64::from(levels.has_returned);
            assert!((0..3).all(|at| !levels.lag(at)), "seed {seed}");
            assert!(levels.is_time_to_raise());
            levels.returns = 1;
            let id = levels.ask(5);
            assert!(is_raise(id) && levels.may_be_raised());
            assert_eq!(levels.answered(id, is_refused), Some(5));
            assert_eq!(levels.may_be_raised(), !is_refused);
            is_refused = !is_refused;
        }
        assert!((5..40).contains(&went_back), "{went_back}");
    }
}
