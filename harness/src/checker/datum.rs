//! Values of a history, one machine word each.
//!
//! Invariant: two scalar [`Datum`]s of the same [`Pool`] are equal iff the values are; lists and maps
//! are compared through [`Pool::canonical`]. Integers of up to 61 bits need no memory in the pool.

use crate::checker::hash::FastMap;

/// A value: nil, boolean, integer, text, list or map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Datum(u64);

const TAG_BITS: u32 = 3;
const TAG_INT: u64 = 1;
const TAG_TEXT: u64 = 2;
const TAG_LIST: u64 = 3;
const TAG_MAP: u64 = 4;
const INT_MAX: i64 = (1 << (63 - TAG_BITS)) - 1;

/// What a [`Datum`] stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View<'a> {
    /// Absent, `nil`, `null`.
    Nil,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A string, keyword or any number that is no small integer.
    Text(&'a str),
    /// Elements in order.
    List(&'a [Datum]),
    /// Keys and values, alternating.
    Map(&'a [Datum]),
}

impl Datum {
    /// The absent value.
    pub const NIL: Self = Self(0);
    /// Equal to no value of any history.
    pub(crate) const UNUSED: Self = Self(3 << TAG_BITS);
    const FALSE: Self = Self(1 << TAG_BITS);
    const TRUE: Self = Self(2 << TAG_BITS);

    /// A boolean.
    pub fn bool(value: bool) -> Self {
        if value { Self::TRUE } else { Self::FALSE }
    }

    /// An integer, unless it needs more than 61 bits.
    #[inline]
    pub fn int(value: i64) -> Option<Self> {
        (-INT_MAX..=INT_MAX)
            .contains(&value)
            .then_some(Self(((value as u64) << TAG_BITS) | TAG_INT))
    }

    /// True for nil.
    #[inline]
    pub fn is_nil(self) -> bool {
        self == Self::NIL
    }

    /// The integer, if it is one.
    #[inline]
    pub fn as_int(self) -> Option<i64> {
        (self.tag() == TAG_INT).then_some((self.0 as i64) >> TAG_BITS)
    }

    /// True for lists and maps, whose equality needs [`Pool::canonical`].
    pub fn is_compound(self) -> bool {
        self.tag() == TAG_LIST || self.tag() == TAG_MAP
    }

    fn tag(self) -> u64 {
        self.0 & ((1 << TAG_BITS) - 1)
    }

    fn payload(self) -> usize {
        (self.0 >> TAG_BITS) as usize
    }
}

/// Holds the texts, lists and maps of one history.
#[derive(Debug, Default)]
pub struct Pool {
    texts: Vec<Box<str>>,
    ids: FastMap<Box<str>, u32>,
    /// Runs of a length followed by that many elements.
    lists: Vec<Datum>,
    text_bytes: usize,
}

impl Pool {
    /// An integer of any size.
    pub fn int(&mut self, value: i64) -> Datum {
        Datum::int(value).unwrap_or_else(|| self.text(&value.to_string()))
    }

    /// A text, stored once.
    pub fn text(&mut self, text: &str) -> Datum {
        let id = match self.ids.get(text) {
            Some(id) => *id,
            None => self.add_text(text),
        };
        Datum((u64::from(id) << TAG_BITS) | TAG_TEXT)
    }

    fn add_text(&mut self, text: &str) -> u32 {
        let id = u32::try_from(self.texts.len()).expect("a history has fewer than 2^32 events");
        self.text_bytes += text.len();
        self.texts.push(text.into());
        self.ids.insert(text.into(), id);
        id
    }

    /// The text, if it occurs in the history.
    pub fn find_text(&self, text: &str) -> Option<Datum> {
        self.ids
            .get(text)
            .map(|id| Datum((u64::from(*id) << TAG_BITS) | TAG_TEXT))
    }

    /// A list.
    pub fn list(&mut self, elements: &[Datum]) -> Datum {
        self.run(elements, TAG_LIST)
    }

    /// A map given as alternating keys and values.
    pub fn map(&mut self, pairs: &[Datum]) -> Datum {
        self.run(pairs, TAG_MAP)
    }

    fn run(&mut self, elements: &[Datum], tag: u64) -> Datum {
        let start = self.lists.len() as u64;
        self.lists.push(Datum(elements.len() as u64));
        self.lists.extend_from_slice(elements);
        Datum((start << TAG_BITS) | tag)
    }

    /// Looks into a value.
    pub fn view(&self, datum: Datum) -> View<'_> {
        match datum.tag() {
            TAG_INT => View::Int((datum.0 as i64) >> TAG_BITS),
            TAG_TEXT => View::Text(&self.texts[datum.payload()]),
            TAG_LIST => View::List(self.elements(datum)),
            TAG_MAP => View::Map(self.elements(datum)),
            _ if datum == Datum::TRUE => View::Bool(true),
            _ if datum == Datum::FALSE => View::Bool(false),
            _ => View::Nil,
        }
    }

    /// The elements of a list.
    pub fn as_list(&self, datum: Datum) -> Option<&[Datum]> {
        (datum.tag() == TAG_LIST).then(|| self.elements(datum))
    }

    /// The value under the text `name` of a map.
    pub fn field(&self, map: Datum, name: &str) -> Option<Datum> {
        let View::Map(pairs) = self.view(map) else {
            return None;
        };
        let name = self.find_text(name)?;
        pairs
            .chunks_exact(2)
            .find(|pair| pair[0] == name)
            .map(|pair| pair[1])
    }

    /// The text, if it is one.
    pub fn as_text(&self, datum: Datum) -> Option<&str> {
        (datum.tag() == TAG_TEXT).then(|| &*self.texts[datum.payload()])
    }

    fn elements(&self, datum: Datum) -> &[Datum] {
        let start = datum.payload();
        let length = self.lists[start].0 as usize;
        &self.lists[start + 1..start + 1 + length]
    }

    /// A scalar that is equal for equal values, whatever their kind.
    pub fn canonical(&mut self, datum: Datum) -> Datum {
        if datum.is_compound() {
            self.text(&self.show(datum))
        } else {
            datum
        }
    }

    /// A list whose elements are canonical; anything else unchanged.
    pub fn canonical_inside(&mut self, datum: Datum) -> Datum {
        match self.as_list(datum) {
            Some(elements) if elements.iter().any(|element| element.is_compound()) => {
                let elements = elements.to_vec();
                let elements: Vec<Datum> = elements.into_iter().map(|one| self.canonical(one)).collect();
                self.list(&elements)
            }
            _ => datum,
        }
    }

    /// The value as a person reads it.
    pub fn show(&self, datum: Datum) -> String {
        let mut out = String::new();
        self.write(datum, &mut out);
        out
    }

    fn write(&self, datum: Datum, out: &mut String) {
        match self.view(datum) {
            View::Nil => out.push_str("nil"),
            View::Bool(value) => out.push_str(if value { "true" } else { "false" }),
            View::Int(value) => out.push_str(&value.to_string()),
            View::Text(text) if text.starts_with(':') => out.push_str(text),
            View::Text(text) => out.push_str(&format!("{text:?}")),
            View::List(elements) => self.write_run(elements, ('[', ']'), out),
            View::Map(pairs) => self.write_run(pairs, ('{', '}'), out),
        }
    }

    fn write_run(&self, elements: &[Datum], (open, close): (char, char), out: &mut String) {
        out.push(open);
        for (i, element) in elements.iter().enumerate() {
            if i > 0 {
                out.push(' ');
            }
            self.write(*element, out);
        }
        out.push(close);
    }

    /// Bytes held, for the memory budget.
    pub fn bytes(&self) -> usize {
        // Each text is held twice, with the rounding of its allocations.
        let texts = 2 * self.text_bytes + self.texts.len() * 32;
        texts
            + self.texts.capacity() * 16
            + self.ids.capacity() * 28
            + self.lists.capacity() * size_of::<Datum>()
    }

    /// Bytes held while values are added.
    pub(crate) fn growing_bytes(&self) -> usize {
        let nearly_full = self.lists.len() + 65_536 > self.lists.capacity() && self.lists.len() > 65_536;
        let lists = if nearly_full {
            2 * self.lists.capacity() * size_of::<Datum>()
        } else {
            0
        };
        let ids = if self.ids.len() + 2048 > self.ids.capacity() {
            2 * self.ids.capacity() * 28
        } else {
            0
        };
        self.bytes() + lists + ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_comes_back() {
        let mut pool = Pool::default();
        let text = pool.text("x y");
        let list = pool.list(&[Datum::NIL, text, Datum::bool(true)]);
        let map = pool.map(&[pool.find_text("x y").unwrap(), list]);
        assert_eq!(pool.show(map), "{\"x y\" [nil \"x y\" true]}");
        assert_eq!(pool.field(map, "x y"), Some(list));
        assert_eq!(pool.field(map, "z"), None);
        for value in [0, -1, 5, INT_MAX, -INT_MAX] {
            let datum = pool.int(value);
            assert_eq!(pool.view(datum), View::Int(value));
            assert_eq!(datum.as_int(), Some(value));
        }
        let big = pool.int(i64::MIN);
        assert_eq!(pool.view(big), View::Text("-9223372036854775808"));
    }

    #[test]
    fn equal_lists_are_equal_once_canonical() {
        let mut pool = Pool::default();
        let one = pool.list(&[Datum::NIL]);
        let two = pool.list(&[Datum::NIL]);
        assert_ne!(one, two);
        assert_eq!(pool.canonical(one), pool.canonical(two));
    }
}
