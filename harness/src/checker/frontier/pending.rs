//! What is open: operations in slots, by value, and writes that never return.
//!
//! Invariant: an operation that returns has a slot from its invocation on; one that never returns has
//! none and is only listed under its value, in order of invocation.

use crate::checker::bits::Bits;
use crate::checker::hash::FastMap;
use crate::checker::register::RegisterOp;
use crate::model::Call;

/// Open operations.
pub(super) struct Pending<const W: usize> {
    calls: Vec<u32>,
    values: Vec<u32>,
    free: Vec<usize>,
    slots: FastMap<u32, usize>,
    reads: Bits<W>,
    reads_of: Vec<Bits<W>>,
    writes_of: Vec<Bits<W>>,
    unknown_of: Vec<Vec<u32>>,
}

impl<const W: usize> Pending<W> {
    pub(super) fn new(values: usize) -> Self {
        Self {
            calls: Vec::new(),
            values: Vec::new(),
            free: Vec::new(),
            slots: FastMap::default(),
            reads: Bits::EMPTY,
            reads_of: vec![Bits::EMPTY; values],
            writes_of: vec![Bits::EMPTY; values],
            unknown_of: vec![Vec::new(); values],
        }
    }

    fn open(&mut self, call: u32, value: u32) -> usize {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.calls.push(0);
            self.values.push(0);
            self.calls.len() - 1
        });
        self.calls[slot] = call;
        self.values[slot] = value;
        self.slots.insert(call, slot);
        slot
    }

    pub(super) fn open_read(&mut self, call: u32, value: u32) -> usize {
        let slot = self.open(call, value);
        self.reads.set(slot);
        self.reads_of[value as usize].set(slot);
        slot
    }

    pub(super) fn open_write(&mut self, i: u32, value: u32, call: &Call<RegisterOp>) {
        if call.is_open() {
            self.unknown_of[value as usize].push(i);
        } else {
            let slot = self.open(i, value);
            self.writes_of[value as usize].set(slot);
        }
    }

    pub(super) fn close(&mut self, call: u32, slot: usize) {
        let value = self.values[slot] as usize;
        self.slots.remove(&call);
        self.reads.clear(slot);
        self.reads_of[value].clear(slot);
        self.writes_of[value].clear(slot);
        self.free.push(slot);
    }

    pub(super) fn slot_of(&self, call: u32) -> usize {
        self.slots[&call]
    }

    pub(super) fn call_in(&self, slot: usize) -> u32 {
        self.calls[slot]
    }

    pub(super) fn value_in(&self, slot: usize) -> u32 {
        self.values[slot]
    }

    pub(super) fn reads(&self) -> &Bits<W> {
        &self.reads
    }

    pub(super) fn reads_of(&self, value: u32) -> Bits<W> {
        self.reads_of[value as usize]
    }

    pub(super) fn writes_of(&self, value: u32) -> Bits<W> {
        self.writes_of[value as usize]
    }

    /// The write of `value` that never returns and was invoked after `used` others of its kind.
    pub(super) fn unknown(&self, value: u32, used: u32) -> Option<u32> {
        self.unknown_of[value as usize].get(used as usize).copied()
    }

    pub(super) fn bytes(&self) -> usize {
        let unknown: usize = self.unknown_of.iter().map(Vec::capacity).sum();
        self.reads_of.capacity() * (2 * size_of::<Bits<W>>() + size_of::<Vec<u32>>()) + unknown * 4
    }
}

/// How many writes that never return were used, by value: small tables, stored once each.
#[derive(Default)]
pub(super) struct Spent {
    tables: Vec<Box<[(u32, u32)]>>,
    ids: FastMap<Box<[(u32, u32)]>, SpentId>,
    entries: usize,
}

/// Number of a table; 0 is the empty one.
pub(super) type SpentId = u32;

impl Spent {
    /// The empty table.
    pub(super) const NOTHING: SpentId = 0;

    fn table(&self, id: SpentId) -> &[(u32, u32)] {
        id.checked_sub(1).map_or(&[], |at| &self.tables[at as usize])
    }

    pub(super) fn count(&self, id: SpentId, value: u32) -> u32 {
        let table = self.table(id);
        table
            .binary_search_by_key(&value, |(value, _)| *value)
            .map_or(0, |at| table[at].1)
    }

    /// The table with one more of `value`.
    pub(super) fn spend(&mut self, id: SpentId, value: u32) -> SpentId {
        let mut table = self.table(id).to_vec();
        match table.binary_search_by_key(&value, |(value, _)| *value) {
            Ok(at) => table[at].1 += 1,
            Err(at) => table.insert(at, (value, 1)),
        }
        let table: Box<[(u32, u32)]> = table.into();
        if let Some(id) = self.ids.get(&table) {
            return *id;
        }
        self.entries += table.len();
        self.tables.push(table.clone());
        let id = self.tables.len() as SpentId;
        self.ids.insert(table, id);
        id
    }

    /// True when `less` has used no more of any value than `more`.
    pub(super) fn is_at_most(&self, less: SpentId, more: SpentId) -> bool {
        less == more
            || self
                .table(less)
                .iter()
                .all(|(value, count)| *count <= self.count(more, *value))
    }

    pub(super) fn bytes(&self) -> usize {
        self.entries * 2 * 8 + self.tables.capacity() * 64
    }
}
