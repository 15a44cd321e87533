//! The operator who changes the members, the machines that join, and what was asked for.
//!
//! Invariant: a machine is one member, however often it asks; a node is to move to one place at a time.

use std::collections::{BTreeMap, BTreeSet};

use noraft::NodeId;
use noraftd::protocol::command::MemberChange;
use noraftd::replica::event::RequestId;

use crate::plan::{KindName, Plan};

/// What is known of it all.
#[derive(Debug)]
pub(crate) struct Operator {
    /// Whether the plan changes members at all.
    pub(crate) is_there: bool,
    /// The machines that are to join, in the order in which they came.
    pub(crate) machines: Vec<Machine>,
    asked: u64,
    open: BTreeMap<u64, Order>,
    /// Nodes that are to move.
    pub(crate) moving: BTreeSet<NodeId>,
    /// How many places were given so far.
    places: u64,
}

/// A machine that is to join.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// Names its directory.
    pub(crate) incarnation: u64,
    pub(crate) place: String,
    pub(crate) stays: bool,
    /// How many ids may be given for it: one that was reserved, and nothing was heard of it, is not given again.
    pub(crate) ids_max: usize,
    /// The id that it is to ask for.
    pub(crate) reserved: Option<NodeId>,
    /// Which member it is.
    pub(crate) id: Option<NodeId>,
    /// Its directory has the state, or never will.
    pub(crate) is_over: bool,
}

/// Something that was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// The lane whose fault it is.
    pub(crate) lane: usize,
    pub(crate) change: MemberChange,
    /// The machine that joins by it.
    pub(crate) machine: Option<usize>,
    /// It may have been done, so it is asked for until that is certain.
    pub(crate) is_insisted: bool,
}

impl Operator {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            is_there: plan.has(KindName::Member),
            machines: Vec::new(),
            asked: 0,
            open: BTreeMap::new(),
            moving: BTreeSet::new(),
            places: 0,
        }
    }

    /// The order is given; its request's name.
    pub(crate) fn ask(&mut self, order: Order) -> RequestId {
        self.asked += 1;
        self.open.insert(self.asked, order);
        RequestId(MEMBER | self.asked)
    }

    /// The request is answered, or will not be.
    pub(crate) fn take(&mut self, id: RequestId) -> Option<Order> {
        self.open.remove(&(id.0 & !MEMBER))
    }

    /// What was asked for and is not answered.
    pub(crate) fn asked_for(&self) -> impl Iterator<Item = &MemberChange> {
        self.open.values().map(|order| &order.change)
    }

    /// True when nothing is asked for, and no machine is about to join.
    pub(crate) fn is_idle(&self) -> bool {
        self.open.is_empty() && self.moving.is_empty() && self.joining() == 0
    }

    /// Machines that have not joined yet.
    pub(crate) fn joining(&self) -> usize {
        self.machines.iter().filter(|machine| !machine.is_over).count()
    }

    /// Ids that may be given to machines that have not joined yet.
    pub(crate) fn ids_to_come(&self) -> usize {
        let joining = self.machines.iter().filter(|machine| !machine.is_over);
        joining.map(|machine| machine.ids_max).sum()
    }

    /// A place where no node is or was.
    pub(crate) fn new_place(&mut self) -> String {
        self.places += 1;
        format!("place{}:7701", self.places)
    }
}

/// Where the node of this number is reached at first.
pub(crate) fn first_place(id: NodeId) -> String {
    format!("node{}:7701", id.get())
}

/// True when a request is one of ours, and no client's.
pub(crate) fn is_member(id: RequestId) -> bool {
    id.0 >> MEMBER_BIT == 1
}

/// The name of requests of nodes themselves, which nothing waits for.
pub(crate) const NOT_ANSWERED: RequestId = RequestId(1 << 56);

/// True when nothing waits for the answer.
pub(crate) fn is_not_answered(id: RequestId) -> bool {
    id == NOT_ANSWERED
}

/// Marks the requests that are no client's.
const MEMBER: u64 = 1 << MEMBER_BIT;
const MEMBER_BIT: u32 = 57;
