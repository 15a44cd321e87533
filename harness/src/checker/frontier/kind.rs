//! Operations by kind, with the values of the register as dense numbers.
//!
//! Invariant: equal values have one number, and every value that an operation names has one.

use crate::checker::register::RegisterOp;
use crate::model::Call;
use crate::recording::datum::Datum;
use crate::recording::hash::FastMap;

/// An operation on the register, its values numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Saw this value.
    Read(u32),
    /// Saw another value than this.
    Differs(u32),
    /// Wrote this value.
    Write(u32),
    /// Replaced the first value by the second.
    Cas(u32, u32),
}

/// Numbers of the values; 0 is the initial one.
pub(super) struct Values {
    numbers: FastMap<Datum, u32>,
}

impl Values {
    /// Without `initial`, number 0 is a value that no operation knows.
    pub(super) fn new(initial: Option<Datum>, calls: &[Call<RegisterOp>]) -> Self {
        let mut values = Self {
            numbers: FastMap::default(),
        };
        values.number(initial.unwrap_or(Datum::UNUSED));
        for call in calls {
            match call.op {
                RegisterOp::Read(value) | RegisterOp::Write(value) | RegisterOp::Differs(value) => {
                    values.number(value);
                }
                RegisterOp::Cas(from, to) => {
                    values.number(from);
                    values.number(to);
                }
            }
        }
        values
    }

    fn number(&mut self, value: Datum) {
        let next = self.numbers.len() as u32;
        self.numbers.entry(value).or_insert(next);
    }

    pub(super) fn kind(&self, op: RegisterOp) -> Kind {
        match op {
            RegisterOp::Read(value) => Kind::Read(self.numbers[&value]),
            RegisterOp::Differs(value) => Kind::Differs(self.numbers[&value]),
            RegisterOp::Write(value) => Kind::Write(self.numbers[&value]),
            RegisterOp::Cas(from, to) => Kind::Cas(self.numbers[&from], self.numbers[&to]),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.numbers.capacity() * 24
    }
}

/// An open operation that can be placed; without a slot it never returns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) call: u32,
    pub(super) slot: Option<usize>,
    pub(super) kind: Kind,
}

impl Choice {
    /// The value after it.
    pub(super) fn value(&self) -> u32 {
        match self.kind {
            Kind::Read(value) | Kind::Differs(value) | Kind::Write(value) | Kind::Cas(_, value) => value,
        }
    }
}
