//! A hash.
//!
//! Invariant: a hash that a key holds has fields. `sum` is the sum of what each field and its value contribute to the digest of the state.

use bytes::Bytes;

use super::digest::Digest;
use super::table::{Table, name_digest};

/// Fields with their values.
#[derive(Debug, Clone, Default)]
pub(super) struct Hash {
    pub(super) fields: Table<Bytes>,
    sum: u64,
}

impl Hash {
    pub(super) fn get(&self, field: &[u8]) -> Option<&Bytes> {
        self.fields.get(field)
    }

    /// Sets a field; true for a new one.
    pub(super) fn set(&mut self, field: &[u8], value: Bytes) -> bool {
        self.sum = self.sum.wrapping_add(pair_sum(field, &value));
        let before = self.fields.insert(field, value);
        self.forget(field, before)
    }

    /// Removes a field; true when there was one.
    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        let before = self.fields.remove(field);
        !self.forget(field, before)
    }

    /// The field has this value no more; true when it had none.
    fn forget(&mut self, field: &[u8], before: Option<Bytes>) -> bool {
        let sum = before.as_ref().map_or(0, |before| pair_sum(field, before));
        self.sum = self.sum.wrapping_sub(sum);
        before.is_none()
    }

    /// Every field with its value.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Bytes, &Bytes)> {
        self.fields.iter()
    }

    /// Takes the next field of an image; false when it does not follow.
    pub(super) fn restore(&mut self, field: &[u8], value: &[u8]) -> bool {
        self.sum = self.sum.wrapping_add(pair_sum(field, value));
        self.fields.restore(field, Bytes::copy_from_slice(value))
    }

    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }

    pub(super) fn sum(&self) -> u64 {
        self.sum
    }

    /// The sum, from the elements as they are now.
    pub(super) fn read_sum(&self) -> u64 {
        let sums = self.iter().map(|(field, value)| pair_sum(&field, value));
        sums.fold(0, u64::wrapping_add)
    }
}

fn pair_sum(field: &[u8], value: &[u8]) -> u64 {
    let mut digest = Digest::new();
    digest.number(name_digest(field));
    digest.bytes(value);
    digest.finish()
}
