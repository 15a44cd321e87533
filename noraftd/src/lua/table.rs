//! Tables.
//!
//! Invariant: the order of a table is defined: the elements 1 to n, then all others as they were first set. Nothing is hashed. `array`
//! does not end with nil, and a key is in one of both parts only.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::value::{Function, Native, TableId, Value};

#[derive(Debug, Default)]
pub(super) struct Table {
    /// The elements 1 to n.
    array: Vec<Value>,
    /// Where the others are in `entries`.
    places: BTreeMap<Key, usize>,
    /// In the order in which they were first set; what was removed stays as nil.
    entries: Vec<(Key, Value)>,
    pub(super) meta: Option<TableId>,
    pub(super) is_readonly: bool,
}

/// What a value is looked for by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Bool(bool),
    /// The bits of a number.
    Number(u64),
    Text(Bytes),
    Table(TableId),
    Closure(usize),
    Native(Native),
    Null,
}

/// There is no such key.
#[derive(Debug)]
pub(super) struct NoKey;

impl Key {
    /// `None` for nil and for what is no number.
    fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Bool(is) => Self::Bool(*is),
            Value::Number(number) if number.is_nan() => return None,
            Value::Number(number) => Self::Number((number + 0.0).to_bits()),
            Value::Text(text) => Self::Text(text.clone()),
            Value::Table(table) => Self::Table(*table),
            Value::Function(Function::Closure(at)) => Self::Closure(*at),
            Value::Function(Function::Native(native)) => Self::Native(*native),
            Value::Null => Self::Null,
            Value::Nil | Value::Shared(_) => return None,
        })
    }
}

/// The place of an element in an array of any length.
fn place_of(key: &Value) -> Option<usize> {
    match key {
        Value::Number(number) if *number >= 1.0 && *number < PLACES_MAX && number.fract() == 0.0 => {
            Some(*number as usize - 1)
        }
        _ => None,
    }
}

impl Table {
    pub(super) fn get(&self, key: &Value) -> Value {
        let in_array = place_of(key).and_then(|place| self.array.get(place));
        if let Some(found) = in_array {
            return found.clone();
        }
        self.in_entries(key).unwrap_or(Value::Nil)
    }

    pub(super) fn get_text(&self, key: &'static str) -> Value {
        let key = Key::Text(Bytes::from_static(key.as_bytes()));
        self.entry(&key).unwrap_or(Value::Nil)
    }

    fn in_entries(&self, key: &Value) -> Option<Value> {
        if self.places.is_empty() {
            return None;
        }
        self.entry(&Key::of(key)?)
    }

    fn entry(&self, key: &Key) -> Option<Value> {
        let at = self.places.get(key)?;
        self.entries.get(*at).map(|(_, value)| value.clone())
    }

    /// Sets a key, which is neither nil nor no number; true when there is one more.
    pub(super) fn set(&mut self, key: &Value, value: Value) -> bool {
        if let Some(place) = place_of(key) {
            if let Some(held) = self.array.get_mut(place) {
                *held = value;
                self.trim();
                return false;
            }
            if place == self.array.len() && !value.is_nil() {
                self.forget(key);
                self.array.push(value);
                self.gather();
                return true;
            }
        }
        let Some(key) = Key::of(key) else { return false };
        match self.places.get(&key) {
            Some(at) => {
                if let Some((_, held)) = self.entries.get_mut(*at) {
                    *held = value;
                }
                false
            }
            None if value.is_nil() => false,
            None => {
                self.places.insert(key.clone(), self.entries.len());
                self.entries.push((key, value));
                true
            }
        }
    }

    fn trim(&mut self) {
        while self.array.pop_if(|last| last.is_nil()).is_some() {}
    }

    fn forget(&mut self, key: &Value) -> Option<Value> {
        if self.places.is_empty() {
            return None;
        }
        let at = *self.places.get(&Key::of(key)?)?;
        let (_, held) = self.entries.get_mut(at)?;
        Some(std::mem::replace(held, Value::Nil))
    }

    /// Takes what follows the array into it.
    fn gather(&mut self) {
        while !self.places.is_empty() {
            let next = Value::Number((self.array.len() + 1) as f64);
            match self.forget(&next) {
                Some(value) if !value.is_nil() => self.array.push(value),
                Some(_) | None => return,
            }
        }
    }

    /// How many elements there are, from 1 on: `#`.
    pub(super) fn length(&self) -> usize {
        self.array.len()
    }

    /// The elements 1 to n.
    pub(super) fn array(&self) -> &[Value] {
        &self.array
    }

    /// Takes the first elements, in the order of their names.
    pub(super) fn begin(&mut self, elements: impl Iterator<Item = (&'static str, Value)>) {
        let keyed =
            |(name, value): (&'static str, Value)| (Key::Text(Bytes::from_static(name.as_bytes())), value);
        self.entries = elements.map(keyed).collect();
        let keys = self.entries.iter().map(|(key, _)| key.clone());
        self.places = keys.zip(0..).collect();
    }

    /// Sets the elements from 1 on, of which some may be there; nil is a hole.
    pub(super) fn fill(&mut self, items: Vec<Value>) {
        for place in 0..items.len() {
            self.forget(&Value::Number((place + 1) as f64));
        }
        let count = items.len().min(self.array.len());
        let mut items = items;
        items.extend(self.array.drain(..).skip(count));
        self.array = items;
        self.trim();
        self.gather();
    }

    /// Puts a value that is not nil before the element at this place, which there is.
    pub(super) fn insert_at(&mut self, place: usize, value: Value) {
        self.array.insert(place, value);
        self.gather();
    }

    /// Takes out the element at this place, which there is.
    pub(super) fn remove_at(&mut self, place: usize) -> Value {
        let value = self.array.remove(place);
        self.trim();
        value
    }

    /// The element behind `key` in the order of the table, and how many places were looked at; nil is before the first.
    pub(super) fn next(&self, key: &Value) -> Result<(Option<(Value, Value)>, usize), NoKey> {
        let start = match key {
            Value::Nil => 0,
            key => self.place_behind(key)?,
        };
        let mut seen = 0;
        for (at, value) in self.array.iter().enumerate().skip(start) {
            seen += 1;
            if !value.is_nil() {
                return Ok((Some((Value::Number((at + 1) as f64), value.clone())), seen));
            }
        }
        let start = start.saturating_sub(self.array.len());
        for (key, value) in self.entries.iter().skip(start) {
            seen += 1;
            if !value.is_nil() {
                return Ok((Some((key.value(), value.clone())), seen));
            }
        }
        Ok((None, seen))
    }

    /// The number of places up to `key`, which was in the table.
    fn place_behind(&self, key: &Value) -> Result<usize, NoKey> {
        let in_entries = Key::of(key).and_then(|key| self.places.get(&key));
        match (place_of(key), in_entries) {
            (Some(place), _) if place < self.array.len() => Ok(place + 1),
            (_, Some(at)) => Ok(self.array.len() + at + 1),
            // It was the last of the array, and was removed since.
            (Some(_), None) => Ok(self.array.len()),
            (None, None) => Err(NoKey),
        }
    }
}

impl Key {
    fn value(&self) -> Value {
        match self {
            Self::Bool(is) => Value::Bool(*is),
            Self::Number(bits) => Value::Number(f64::from_bits(*bits)),
            Self::Text(text) => Value::Text(text.clone()),
            Self::Table(table) => Value::Table(*table),
            Self::Closure(at) => Value::Function(Function::Closure(*at)),
            Self::Native(native) => Value::Function(Function::Native(*native)),
            Self::Null => Value::Null,
        }
    }
}

/// Every whole number below is exact.
const PLACES_MAX: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: usize) -> Value {
        Value::Number(n as f64)
    }

    fn order(table: &Table) -> Vec<String> {
        let mut key = Value::Nil;
        let mut all = Vec::new();
        while let Ok((Some((next, _)), _)) = table.next(&key) {
            all.push(match &next {
                Value::Number(n) => n.to_string(),
                Value::Text(text) => String::from_utf8_lossy(text).into_owned(),
                other => panic!("{other:?}"),
            });
            key = next;
        }
        all
    }

    #[test]
    fn the_order_is_that_of_places_then_of_the_first_setting() {
        let mut table = Table::default();
        for key in ["z", "a", "m"] {
            table.set(&Value::text(key), Value::Bool(true));
        }
        for at in [3, 2, 1, 5] {
            table.set(&number(at), Value::Bool(true));
        }
        assert_eq!(table.length(), 3);
        assert_eq!(order(&table), ["1", "2", "3", "z", "a", "m", "5"]);
        table.set(&number(4), Value::Bool(true));
        assert_eq!(table.length(), 5);
        table.set(&Value::text("a"), Value::Nil);
        table.set(&Value::text("a"), Value::Bool(false));
        assert_eq!(order(&table), ["1", "2", "3", "4", "5", "z", "a", "m"]);
    }

    #[test]
    fn what_is_removed_on_the_way_does_not_stop_a_walk() {
        let mut table = Table::default();
        (1..=4).for_each(|at| _ = table.set(&number(at), Value::Bool(true)));
        table.set(&Value::text("k"), Value::Bool(true));
        let mut key = Value::Nil;
        let mut seen = 0;
        while let Ok((Some((next, _)), _)) = table.next(&key) {
            table.set(&next, Value::Nil);
            seen += 1;
            key = next;
        }
        assert_eq!((seen, table.length()), (5, 0));
        assert!(table.next(&Value::text("none")).is_err());
    }
}
