//! How many operations of unknown outcome a configuration has used, by kind: small tables, stored once
//! each.

use crate::recording::hash::FastMap;

/// The tables.
#[derive(Default)]
pub(super) struct Spent {
    tables: Vec<Box<[(u32, u32)]>>,
    ids: FastMap<Box<[(u32, u32)]>, SpentId>,
    totals: Vec<u32>,
    entries: usize,
    /// Tables there were after the last collection.
    alive: usize,
}

const COLLECT_AT: usize = 1 << 14;

/// Number of a table; 0 is the empty one.
pub(super) type SpentId = u32;

impl Spent {
    /// The empty table.
    pub(super) const NOTHING: SpentId = 0;

    fn table(&self, id: SpentId) -> &[(u32, u32)] {
        id.checked_sub(1).map_or(&[], |at| &self.tables[at as usize])
    }

    pub(super) fn count(&self, id: SpentId, kind: u32) -> u32 {
        let table = self.table(id);
        table
            .binary_search_by_key(&kind, |(kind, _)| *kind)
            .map_or(0, |at| table[at].1)
    }

    /// How many were used of all kinds together.
    pub(super) fn total(&self, id: SpentId) -> u32 {
        id.checked_sub(1).map_or(0, |at| self.totals[at as usize])
    }

    /// The table with one more of `kind`.
    pub(super) fn spend(&mut self, id: SpentId, kind: u32) -> SpentId {
        let mut table = self.table(id).to_vec();
        match table.binary_search_by_key(&kind, |(kind, _)| *kind) {
            Ok(at) => table[at].1 += 1,
            Err(at) => table.insert(at, (kind, 1)),
        }
        let table: Box<[(u32, u32)]> = table.into();
        if let Some(id) = self.ids.get(&table) {
            return *id;
        }
        self.add(table, self.total(id) + 1)
    }

    fn add(&mut self, table: Box<[(u32, u32)]>, total: u32) -> SpentId {
        self.entries += table.len();
        self.totals.push(total);
        self.tables.push(table.clone());
        let id = self.tables.len() as SpentId;
        self.ids.insert(table, id);
        id
    }

    /// True when `less` has used no more of any kind than `more`.
    pub(super) fn is_at_most(&self, less: SpentId, more: SpentId) -> bool {
        less == more
            || self
                .table(less)
                .iter()
                .all(|(kind, count)| *count <= self.count(more, *kind))
    }

    /// True when tables that are not needed may be the larger part.
    pub(super) fn wants_collection(&self) -> bool {
        self.tables.len() >= COLLECT_AT.max(2 * self.alive)
    }

    /// Forgets the tables that none of `roots` names; moves the roots.
    pub(super) fn collect<'a>(&mut self, roots: impl Iterator<Item = &'a mut SpentId>) {
        let old = std::mem::take(self);
        for root in roots.filter(|root| **root != Self::NOTHING) {
            let table = &old.tables[*root as usize - 1];
            *root = match self.ids.get(table) {
                Some(id) => *id,
                None => self.add(table.clone(), old.total(*root)),
            };
        }
        self.alive = self.tables.len();
    }

    pub(super) fn bytes(&self) -> usize {
        self.entries * 2 * 8 + self.tables.capacity() * 68
    }
}
