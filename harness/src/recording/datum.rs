//! Values of a history, one machine word each: the one type for what EDN and JSON can say.
//!
//! Invariant: two [`Datum`]s of the same [`Pool`] are equal iff the values are, as EDN defines it: 5 is 5N but
//! neither 5.0 nor "5", `:a` is not `":a"`, a list is a vector but not its text, and maps and sets have no order.
//! Every value is stored once, in one form. Integers of up to 61 bits need no memory in the pool.
//!
//! A value of which it cannot be known what it equals (`##NaN`, a literal of another language, a set that has an
//! element twice) is *odd*, and so is every value that holds one: no checker may compare it.
//! Source: github.com/edn-format/edn, "equality".

use std::hash::Hasher;

use hashbrown::HashTable;

use crate::recording::hash::{FastSet, FoldHasher};

/// A value: nil, boolean, number, text, name, list, set, map or tagged value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Datum(u64);

const TAG_BITS: u32 = 3;
const TAG_INT: u64 = 1;
const TAG_TEXT: u64 = 2;
const TAG_LIST: u64 = 3;
const TAG_MAP: u64 = 4;
const TAG_SET: u64 = 5;
const TAG_ATOM: u64 = 6;
const TAG_TAGGED: u64 = 7;
const INT_MAX: i64 = (1 << (63 - TAG_BITS)) - 1;

/// Integers up to this are given out for arithmetic: as many as a history has events add up within 128 bits.
pub const EXACT_MAX: i128 = 1 << 95;

/// What a [`Datum`] represents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View<'a> {
    /// Absent, `nil`, `null`.
    Nil,
    /// A boolean.
    Bool(bool),
    /// An integer of at most 61 bits.
    Int(i64),
    /// A string.
    Text(&'a str),
    /// Any other scalar, in its one form.
    Atom(Kind, &'a str),
    /// Elements in order.
    List(&'a [Datum]),
    /// Elements, in the order of the pool.
    Set(&'a [Datum]),
    /// Keys and values, alternating, in the order of the pool.
    Map(&'a [Datum]),
    /// The name of a tag, and the value behind it.
    Tagged(Datum, Datum),
}

/// Kinds of scalars that are stored as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// `:name`, without the colon.
    Keyword,
    /// `name`.
    Symbol,
    /// `\c`, the character itself.
    Character,
    /// An integer of more than 61 bits.
    Integer,
    /// An exact decimal number (`1.5M`).
    Decimal,
    /// A number of 64 bits with a binary point.
    Float,
    /// A string that is not UTF-8; what is not has the form `\xFF`.
    Bytes,
    /// Something that equals nothing for certain, as it was written.
    Odd,
}

impl Datum {
    /// `nil`, `null`.
    pub const NIL: Self = Self(0);
    /// No value was given, not even nil.
    pub const ABSENT: Self = Self(4 << TAG_BITS);
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

    /// True for nil, and where no value was given.
    #[inline]
    pub fn is_nil(self) -> bool {
        self == Self::NIL || self == Self::ABSENT
    }

    /// True where no value was given.
    #[inline]
    pub fn is_absent(self) -> bool {
        self == Self::ABSENT
    }

    /// The value, nil where none was given.
    #[must_use]
    pub fn or_nil(self) -> Self {
        if self.is_absent() { Self::NIL } else { self }
    }

    /// The integer, if it is one of at most 61 bits.
    #[inline]
    pub fn as_int(self) -> Option<i64> {
        (self.tag() == TAG_INT).then_some((self.0 as i64) >> TAG_BITS)
    }

    fn tag(self) -> u64 {
        self.0 & ((1 << TAG_BITS) - 1)
    }

    fn payload(self) -> usize {
        (self.0 >> TAG_BITS) as usize
    }
}

/// A scalar that is stored as text.
#[derive(Debug)]
struct Atom {
    kind: Kind,
    text: Box<str>,
}

/// Holds the values of one history, each once.
#[derive(Debug, Default)]
pub struct Pool {
    atoms: Vec<Atom>,
    atom_ids: HashTable<u32>,
    /// Runs of a head (length and tag) followed by that many elements.
    runs: Vec<Datum>,
    /// Where runs start.
    run_ids: HashTable<u32>,
    text_bytes: usize,
    odd: FastSet<Datum>,
}

fn hash_atom(kind: Kind, text: &str) -> u64 {
    let mut hasher = FoldHasher::default();
    hasher.write_u8(kind as u8);
    hasher.write(text.as_bytes());
    hasher.finish()
}

fn hash_run(head: Datum, elements: &[Datum]) -> u64 {
    let mut hasher = FoldHasher::default();
    hasher.write_u64(head.0);
    elements.iter().for_each(|element| hasher.write_u64(element.0));
    hasher.finish()
}

/// The run that starts at `start`, with its head.
fn run_at(runs: &[Datum], start: u32) -> (Datum, &[Datum]) {
    let start = start as usize;
    let head = runs[start];
    (head, &runs[start + 1..start + 1 + head.payload()])
}

impl Pool {
    /// An integer.
    pub fn int(&mut self, value: i64) -> Datum {
        Datum::int(value).unwrap_or_else(|| self.atom(Kind::Integer, &value.to_string()))
    }

    /// A text.
    pub fn text(&mut self, text: &str) -> Datum {
        self.atom(Kind::Text, text)
    }

    /// A scalar of this kind; `text` is its one form.
    pub fn atom(&mut self, kind: Kind, text: &str) -> Datum {
        let hash = hash_atom(kind, text);
        let same = |id: &u32| {
            let atom = &self.atoms[*id as usize];
            atom.kind == kind && &*atom.text == text
        };
        let id = match self.atom_ids.find(hash, same) {
            Some(id) => *id,
            None => self.add_atom(kind, text, hash),
        };
        let tag = if kind == Kind::Text { TAG_TEXT } else { TAG_ATOM };
        let datum = Datum((u64::from(id) << TAG_BITS) | tag);
        if kind == Kind::Odd {
            self.odd.insert(datum);
        }
        datum
    }

    fn add_atom(&mut self, kind: Kind, text: &str, hash: u64) -> u32 {
        let id = u32::try_from(self.atoms.len()).expect("a history has fewer than 2^32 events");
        self.text_bytes += text.len();
        self.atoms.push(Atom {
            kind,
            text: text.into(),
        });
        let atoms = &self.atoms;
        self.atom_ids.insert_unique(hash, id, |id| {
            let atom = &atoms[*id as usize];
            hash_atom(atom.kind, &atom.text)
        });
        id
    }

    /// A list.
    pub fn list(&mut self, elements: &[Datum]) -> Datum {
        self.run(elements, TAG_LIST)
    }

    /// A set; odd when it has an element twice.
    pub fn set(&mut self, elements: &[Datum]) -> Datum {
        let mut elements = elements.to_vec();
        elements.sort_unstable_by_key(|element| order(*element));
        let twice = elements.windows(2).any(|pair| pair[0] == pair[1]);
        self.unless_odd(twice, &elements, TAG_SET)
    }

    /// A map given as alternating keys and values; odd when it has a key twice.
    pub fn map(&mut self, pairs: &[Datum]) -> Datum {
        let (pairs, _) = pairs.as_chunks::<2>();
        let mut pairs = pairs.to_vec();
        pairs.sort_unstable_by_key(|[key, _]| order(*key));
        let twice = pairs.windows(2).any(|two| two[0][0] == two[1][0]);
        self.unless_odd(twice, pairs.as_flattened(), TAG_MAP)
    }

    /// A value behind a tag.
    pub fn tagged(&mut self, tag: &str, value: Datum) -> Datum {
        let tag = self.atom(Kind::Symbol, tag);
        self.run(&[tag, value], TAG_TAGGED)
    }

    fn unless_odd(&mut self, is_odd: bool, elements: &[Datum], tag: u64) -> Datum {
        let datum = self.run(elements, tag);
        if is_odd {
            self.odd.insert(datum);
        }
        datum
    }

    fn run(&mut self, elements: &[Datum], tag: u64) -> Datum {
        let head = Datum(((elements.len() as u64) << TAG_BITS) | tag);
        let hash = hash_run(head, elements);
        let runs = &self.runs;
        let same = |start: &u32| run_at(runs, *start) == (head, elements);
        let start = match self.run_ids.find(hash, same) {
            Some(start) => *start,
            None => self.add_run(head, elements, hash),
        };
        Datum((u64::from(start) << TAG_BITS) | tag)
    }

    fn add_run(&mut self, head: Datum, elements: &[Datum], hash: u64) -> u32 {
        let start = u32::try_from(self.runs.len()).expect("a memory budget holds fewer than 2^32 elements");
        self.runs.push(head);
        self.runs.extend_from_slice(elements);
        let runs = &self.runs;
        self.run_ids.insert_unique(hash, start, |start| {
            let (head, elements) = run_at(runs, *start);
            hash_run(head, elements)
        });
        if elements.iter().any(|element| self.is_odd(*element)) {
            self.odd
                .insert(Datum((u64::from(start) << TAG_BITS) | head.tag()));
        }
        start
    }

    /// True when it cannot be known what the value equals.
    #[inline]
    pub fn is_odd(&self, datum: Datum) -> bool {
        !self.odd.is_empty() && self.odd.contains(&datum)
    }

    /// Looks into a value.
    pub fn view(&self, datum: Datum) -> View<'_> {
        match datum.tag() {
            TAG_INT => View::Int((datum.0 as i64) >> TAG_BITS),
            TAG_TEXT => View::Text(&self.atoms[datum.payload()].text),
            TAG_ATOM => {
                let atom = &self.atoms[datum.payload()];
                View::Atom(atom.kind, &atom.text)
            }
            TAG_LIST => View::List(self.elements(datum)),
            TAG_SET => View::Set(self.elements(datum)),
            TAG_MAP => View::Map(self.elements(datum)),
            TAG_TAGGED => {
                let elements = self.elements(datum);
                View::Tagged(elements[0], elements[1])
            }
            _ if datum == Datum::TRUE => View::Bool(true),
            _ if datum == Datum::FALSE => View::Bool(false),
            _ => View::Nil,
        }
    }

    /// The elements of a list.
    pub fn as_list(&self, datum: Datum) -> Option<&[Datum]> {
        (datum.tag() == TAG_LIST).then(|| self.elements(datum))
    }

    /// The two elements of a list that has two.
    pub fn as_pair(&self, datum: Datum) -> Option<[Datum; 2]> {
        self.as_list(datum)?.try_into().ok()
    }

    /// The elements of a list or set.
    pub fn as_elements(&self, datum: Datum) -> Option<&[Datum]> {
        matches!(datum.tag(), TAG_LIST | TAG_SET).then(|| self.elements(datum))
    }

    /// The value under `name` of a map, a text or keyword.
    pub fn field(&self, map: Datum, name: &str) -> Option<Datum> {
        let View::Map(pairs) = self.view(map) else {
            return None;
        };
        pairs
            .chunks_exact(2)
            .find(|pair| self.as_name(pair[0]) == Some(name))
            .map(|pair| pair[1])
    }

    /// The text, if it is one.
    pub fn as_text(&self, datum: Datum) -> Option<&str> {
        (datum.tag() == TAG_TEXT).then(|| &*self.atoms[datum.payload()].text)
    }

    /// The name, if it is a keyword, a symbol or a text: in JSON a keyword is a text, with or without colon.
    pub fn as_name(&self, datum: Datum) -> Option<&str> {
        match self.view(datum) {
            View::Text(text) => Some(text.strip_prefix(':').unwrap_or(text)),
            View::Atom(Kind::Keyword | Kind::Symbol, text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if it is one of at most [`EXACT_MAX`] either way.
    pub fn as_integer(&self, datum: Datum) -> Option<i128> {
        match self.view(datum) {
            View::Int(number) => Some(i128::from(number)),
            View::Atom(Kind::Integer, digits) => {
                let number: i128 = digits.parse().ok()?;
                (-EXACT_MAX..=EXACT_MAX).contains(&number).then_some(number)
            }
            _ => None,
        }
    }

    fn elements(&self, datum: Datum) -> &[Datum] {
        let start = datum.payload();
        &self.runs[start + 1..start + 1 + self.runs[start].payload()]
    }

    /// Bytes held, for the memory budget.
    pub fn bytes(&self) -> usize {
        // Each text with the rounding of its allocation.
        self.text_bytes
            + self.atoms.len() * 16
            + self.atoms.capacity() * size_of::<Atom>()
            + self.runs.capacity() * size_of::<Datum>()
            + (self.atom_ids.capacity() + self.run_ids.capacity()) * TABLE_BYTES_EACH
            + self.odd.capacity() * 16
    }

    /// Bytes held while values are added: what is nearly full holds itself three times over when it doubles.
    pub(crate) fn growing_bytes(&self) -> usize {
        let runs = if self.runs.len() + 65_536 > self.runs.capacity() && self.runs.len() > 65_536 {
            2 * self.runs.capacity() * size_of::<Datum>()
        } else {
            0
        };
        let table = |table: &HashTable<u32>| match table.len() + 2048 > table.capacity() {
            true => 2 * table.capacity() * TABLE_BYTES_EACH,
            false => 0,
        };
        let atoms = if self.atoms.len() + 2048 > self.atoms.capacity() {
            2 * self.atoms.capacity() * size_of::<Atom>()
        } else {
            0
        };
        self.bytes() + runs + atoms + table(&self.atom_ids) + table(&self.run_ids)
    }
}

/// An entry of a table and its control byte, with the room that is left free.
const TABLE_BYTES_EACH: usize = 6;

/// The order of elements of sets and maps: numbers as numbers, the rest as it came.
fn order(datum: Datum) -> (bool, i64, u64) {
    match datum.as_int() {
        Some(number) => (false, number, 0),
        None => (true, 0, datum.0),
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
        let map = pool.map(&[text, list]);
        assert_eq!(pool.show(map), "{\"x y\" [nil \"x y\" true]}");
        assert_eq!(pool.field(map, "x y"), Some(list));
        assert_eq!(pool.field(map, "z"), None);
        for value in [0, -1, 5, INT_MAX, -INT_MAX] {
            let datum = pool.int(value);
            assert_eq!(pool.view(datum), View::Int(value));
            assert_eq!(datum.as_int(), Some(value));
        }
        let big = pool.int(i64::MIN);
        assert_eq!(pool.view(big), View::Atom(Kind::Integer, "-9223372036854775808"));
        assert_eq!(pool.as_integer(big), Some(i128::from(i64::MIN)));
    }

    #[test]
    fn equal_values_are_one_word_and_others_are_not() {
        let mut pool = Pool::default();
        let [one, two] = [1, 2].map(|number| Datum::int(number).unwrap());
        assert_eq!(pool.list(&[one, two]), pool.list(&[one, two]));
        assert_eq!(pool.set(&[one, two]), pool.set(&[two, one]));
        let (a, b) = (pool.text("a"), pool.atom(Kind::Keyword, "a"));
        assert_ne!(a, b);
        assert_eq!(pool.map(&[a, one, b, two]), pool.map(&[b, two, a, one]));
        let same_run = [
            pool.list(&[one, two]),
            pool.set(&[one, two]),
            pool.map(&[one, two]),
        ];
        assert!(same_run[0] != same_run[1] && same_run[1] != same_run[2] && same_run[0] != same_run[2]);
        assert_ne!(pool.tagged("inst", a), a);
    }

    #[test]
    fn what_equals_nothing_makes_what_holds_it_odd() {
        let mut pool = Pool::default();
        let (one, nan) = (Datum::int(1).unwrap(), pool.atom(Kind::Odd, "##NaN"));
        let inside = pool.list(&[one, nan]);
        let outside = pool.map(&[one, inside]);
        assert!(pool.is_odd(nan) && pool.is_odd(inside) && pool.is_odd(outside));
        let (plain, twice) = (pool.set(&[one]), pool.set(&[one, one]));
        assert!(!pool.is_odd(plain) && pool.is_odd(twice));
        let twice = pool.map(&[one, one, one, nan]);
        assert!(pool.is_odd(twice));
    }
}
