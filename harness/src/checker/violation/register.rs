//! What can be wrong with a register of unique values: two values, hence at most four operations.

/// Why operations on a register of unique values have no order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterViolation {
    /// What excludes what.
    pub contradiction: Contradiction,
    /// For each operation of unknown outcome that it names: the operation that shows that it took effect.
    pub effects: Vec<Effect>,
}

/// An operation of unknown outcome took effect, because another one saw its value or a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The operation of unknown outcome.
    pub op: u32,
    /// Who saw it.
    pub seen_by: u32,
}

/// What excludes what; ids of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contradiction {
    /// `read` saw a value that was never written.
    Garbage {
        /// The operation that saw it.
        read: u32,
    },
    /// `read` saw a value before anyone began to write it.
    Future {
        /// The operation that saw it.
        read: u32,
        /// The operation that wrote it, later.
        writer: u32,
    },
    /// Two compare-and-sets replaced the same value.
    LostUpdate {
        /// One of them.
        one: u32,
        /// The other.
        other: u32,
    },
    /// Compare-and-sets that each need the other's result first.
    Cycle {
        /// One of them.
        one: u32,
        /// The one whose value it expects.
        other: u32,
    },
    /// `later` saw or made a value that replaced an earlier one, yet returned before `earlier`, which
    /// still saw the replaced value, was called.
    PathOrder {
        /// Involved with the earlier value.
        earlier: u32,
        /// Involved with the later value.
        later: u32,
    },
    /// Two values were both current at the same time.
    Overlap {
        /// One value.
        one: Zone,
        /// The other.
        other: Zone,
    },
    /// A value was current only while another one was.
    Inside {
        /// The value that was current throughout.
        outer: Zone,
        /// The value that had to be current within that time.
        inner: Zone,
    },
}

/// The two operations that bound the time of a path of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone {
    /// The operation that returned first; `None` when it is the initial value.
    pub first: Option<u32>,
    /// The operation that was called last.
    pub last: Option<u32>,
}

impl RegisterViolation {
    /// The operations named: at most four, and those that show that the ones of unknown outcome took effect.
    pub fn operations(&self) -> Vec<u32> {
        let mut ids = self.contradiction.operations();
        ids.extend(self.effects.iter().map(|effect| effect.seen_by));
        ids
    }
}

impl Contradiction {
    pub(crate) fn operations(&self) -> Vec<u32> {
        match *self {
            Self::Garbage { read } => vec![read],
            Self::Future { read, writer } => vec![read, writer],
            Self::LostUpdate { one, other } | Self::Cycle { one, other } => vec![one, other],
            Self::PathOrder { earlier, later } => vec![earlier, later],
            Self::Overlap { one, other }
            | Self::Inside {
                outer: one,
                inner: other,
            } => [one.first, one.last, other.first, other.last]
                .into_iter()
                .flatten()
                .collect(),
        }
    }
}
