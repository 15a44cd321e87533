//! Scripts that are kept: `EVALSHA` names them.
//!
//! Invariant: a pure function of the entries in order. `order` has every script: first those that `EVAL` brought, then those that were
//! loaded, each as they came; where all together are more than the limit, they go in that order. Bytes are counted from texts. `digest` is
//! the sum of what each script contributes.

use bytes::Bytes;
use imbl::{OrdMap, OrdSet};

use super::digest::Digest;
use super::limits::Limits;
use crate::lua::{self, CHUNK_NAME, SyntaxError};
use crate::protocol::command::{Args, Limit};
use crate::protocol::resp::Reply;

/// The SHA-1 of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name([u8; 20]);

/// All scripts.
#[derive(Debug, Clone, Default)]
pub(super) struct Scripts {
    map: OrdMap<Name, Script>,
    order: OrdSet<(bool, u64, Name)>,
    bytes: u64,
    digest: u64,
}

#[derive(Debug, Clone)]
struct Script {
    text: Bytes,
    /// By `SCRIPT LOAD`.
    was_loaded: bool,
    /// It came after those with lower ones.
    number: u64,
}

impl Name {
    pub(super) fn of(text: &[u8]) -> Self {
        Self(lua::sha1(text))
    }

    /// Reads its digits, in any case.
    pub(super) fn parse(digits: &[u8]) -> Option<Self> {
        let mut name = [0; 20];
        let (pairs, rest) = digits.as_chunks::<2>();
        if pairs.len() != name.len() || !rest.is_empty() {
            return None;
        }
        let digit = |byte: u8| {
            char::from(byte)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        for (byte, [high, low]) in name.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(name))
    }

    pub(super) fn digits(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Scripts {
    pub(super) fn get(&self, name: &Name) -> Option<&Bytes> {
        self.map.get(name).map(|script| &script.text)
    }

    /// `SCRIPT LOAD`
    pub(super) fn load(&mut self, text: &[u8], limits: &Limits) -> Reply {
        if let Err(error) = lua::parse(text) {
            return Reply::Error(not_compiled(&error));
        }
        let name = Name::of(text);
        self.keep(name, text, true, limits);
        Reply::Bulk(Bytes::from(name.digits()))
    }

    /// `SCRIPT EXISTS`
    pub(super) fn exist(&self, names: Args<'_>) -> Reply {
        let is_kept = |digits| Name::parse(digits).is_some_and(|name| self.map.contains_key(&name));
        Reply::Array(
            names
                .iter()
                .map(|digits| Reply::Integer(i64::from(is_kept(digits))))
                .collect(),
        )
    }

    /// `SCRIPT FLUSH`
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Keeps a script from now on.
    pub(super) fn keep(&mut self, name: Name, text: &[u8], was_loaded: bool, limits: &Limits) {
        let held = self.map.get(&name);
        if held.is_some_and(|held| held.was_loaded || !was_loaded) {
            return;
        }
        let text = held.map_or_else(|| Bytes::copy_from_slice(text), |held| held.text.clone());
        self.remove(&name);
        let number = 1 + self.last_number();
        self.put(
            name,
            Script {
                text,
                was_loaded,
                number,
            },
        );
        while self.bytes > limits.get(Limit::ScriptsBytes) {
            let Some((_, _, first)) = self.order.get_min().copied() else {
                return;
            };
            self.remove(&first);
        }
    }

    fn last_number(&self) -> u64 {
        let mut evaluated = self.order.range(..(true, 0, Name([0; 20])));
        let evaluated = evaluated.next_back().map_or(0, |(_, number, _)| *number);
        self.order
            .get_max()
            .map_or(0, |(_, number, _)| (*number).max(evaluated))
    }

    fn put(&mut self, name: Name, script: Script) {
        self.bytes += script.bytes();
        self.digest = self.digest.wrapping_add(script.contribution(name));
        self.order.insert((script.was_loaded, script.number, name));
        self.map.insert(name, script);
    }

    fn remove(&mut self, name: &Name) {
        if let Some(script) = self.map.remove(name) {
            self.bytes -= script.bytes();
            self.digest = self.digest.wrapping_sub(script.contribution(*name));
            self.order.remove(&(script.was_loaded, script.number, *name));
        }
    }

    /// What they contribute to the digest of the state.
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// The same, from what is in memory now.
    pub(super) fn read_digest(&self) -> u64 {
        let sums = self
            .map
            .values()
            .map(|script| script.contribution(Name::of(&script.text)));
        sums.fold(0, u64::wrapping_add)
    }

    /// Every script in the order in which they go: whether it was loaded, its number, and its text.
    pub(super) fn iter(&self) -> impl Iterator<Item = (bool, u64, &Bytes)> {
        self.order.iter().filter_map(|(was_loaded, number, name)| {
            let script = self.map.get(name)?;
            Some((*was_loaded, *number, &script.text))
        })
    }

    /// Takes a script from an image; false when it does not follow the last one.
    pub(super) fn restore(&mut self, was_loaded: bool, number: u64, text: &[u8]) -> bool {
        let name = Name::of(text);
        let place = (was_loaded, number, name);
        let follows = self
            .order
            .get_max()
            .is_none_or(|(last_loaded, last, _)| (*last_loaded, *last) < (was_loaded, number));
        let is_new = number > 0 && follows && !self.map.contains_key(&place.2);
        if is_new {
            let text = Bytes::copy_from_slice(text);
            self.put(
                name,
                Script {
                    text,
                    was_loaded,
                    number,
                },
            );
        }
        is_new
    }
}

impl Script {
    fn bytes(&self) -> u64 {
        SCRIPT_BYTES + self.text.len() as u64
    }

    fn contribution(&self, name: Name) -> u64 {
        let mut digest = Digest::new();
        [SCRIPT_SALT, self.number, u64::from(self.was_loaded)]
            .into_iter()
            .for_each(|part| digest.number(part));
        digest.bytes(&name.0);
        digest.finish()
    }
}

/// What a text is refused with.
pub(super) fn not_compiled(error: &SyntaxError) -> String {
    let SyntaxError { line, text } = error;
    format!("ERR Error compiling script (new function): {CHUNK_NAME}:{line}: {text}")
}

/// What a script counts for beside its text.
const SCRIPT_BYTES: u64 = 128;
/// A number without a pattern, so that a script looks like nothing else.
const SCRIPT_SALT: u64 = 0xa076_1d64_78bd_642f;
