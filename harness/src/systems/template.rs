//! Texts with placeholders: `{dir}/redis.conf`, `replicaof {first_address} {client_port}`.
//!
//! Invariant: a brace that does not begin a placeholder stands for itself, so that files with braces need no escapes. A
//! placeholder is a name of small letters and underscores in braces.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Template(String);

/// What the placeholders stand for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values(BTreeMap<String, String>);

impl Values {
    /// The same, with one more, or another value for one.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.0.insert(name.to_owned(), value.to_string());
        self
    }

    /// The value of one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl Template {
    /// The text as it was written.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The text with values in the places of the placeholders. A placeholder without a value stays as it is.
    pub fn fill(&self, values: &Values) -> String {
        let mut filled = String::new();
        for piece in pieces(&self.0) {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Place(name) => match values.get(name) {
                    Some(value) => filled.push_str(value),
                    None => filled.push_str(&format!("{{{name}}}")),
                },
            }
        }
        filled
    }

    /// The first placeholder that is not one of `known`.
    pub(super) fn unknown<'a>(&'a self, known: &[String]) -> Option<&'a str> {
        pieces(&self.0).find_map(|piece| match piece {
            Piece::Place(name) if !known.iter().any(|known| known == name) => Some(name),
            Piece::Place(_) | Piece::Text(_) => None,
        })
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Place(&'a str),
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some((name, after)) = placeholder(rest) {
            rest = after;
            return Some(Piece::Place(name));
        }
        let next = rest.char_indices().skip(1).find(|(_, letter)| *letter == '{');
        let (piece, after) = rest.split_at(next.map_or(rest.len(), |(at, _)| at));
        rest = after;
        Some(Piece::Text(piece))
    })
}

/// The placeholder at the beginning of `text`, and what comes after it.
fn placeholder(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.strip_prefix('{')?.split_once('}')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_name.then_some((name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> String {
        let values = Values::default().with("id", 2).with("dir", "/d");
        Template(text.to_owned()).fill(&values)
    }

    #[test]
    fn placeholders_get_their_values_and_other_braces_stay() {
        for (text, expected) in [
            ("{dir}/n{id}.conf", "/d/n2.conf"),
            ("{}", "{}"),
            ("a { b: {id} }", "a { b: 2 }"),
            ("{{id}}", "{2}"),
            ("{id", "{id"),
            ("{peer}", "{peer}"),
            ("", ""),
        ] {
            assert_eq!(filled(text), expected);
        }
    }

    #[test]
    fn a_placeholder_that_nothing_stands_for_is_found() {
        let known = ["id".to_owned()];
        let unknown = |text: &str| Template(text.to_owned()).unknown(&known).map(str::to_owned);
        assert_eq!(unknown("{id} { x } {Id}"), None);
        assert_eq!(unknown("{id}{idd}"), Some("idd".to_owned()));
    }
}
