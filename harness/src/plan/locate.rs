//! Where a key is in a file of TOML, so that a message about its value can say so.
//!
//! Invariant: a key that is not written is reported where its table begins; nothing here refuses anything.

use toml::de::{DeTable, DeValue};

/// Line and column, from 1, of a key such as `fault[3].shape` in `text`, or of the nearest table around it.
pub(crate) fn locate(text: &str, key: &str) -> (usize, usize) {
    let Ok(document) = DeTable::parse(text) else {
        return (1, 1);
    };
    let mut at = 0;
    let mut table = Some(document.get_ref());
    for part in key.split('.') {
        let (name, index) = indexed(part);
        let Some((written, value)) = table.and_then(|table| table.get_key_value(name)) else {
            break;
        };
        let (mut span, mut value) = (written.span(), value.get_ref());
        if let (Some(index), DeValue::Array(values)) = (index, value) {
            let Some(element) = values.get(index) else { break };
            (span, value) = (element.span(), element.get_ref());
        }
        at = span.start;
        table = match value {
            DeValue::Table(table) => Some(table),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => None,
        };
    }
    position(text, at)
}

/// `fault[3]` as its name and its index.
fn indexed(part: &str) -> (&str, Option<usize>) {
    match part.split_once('[') {
        Some((name, index)) => (name, index.trim_end_matches(']').parse().ok()),
        None => (part, None),
    }
}

fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (line, before[start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::locate;

    const TEXT: &str = "version = 1\ntime = \"0s\"\n[limits]\n  start = 3\n[[fault]]\nkind = \"a\"\n[[fault]]\nkind = \"b\"\nrow = [1, 2]\n";

    #[test]
    fn a_key_is_found_where_it_is_written_and_else_its_table() {
        for (key, wanted) in [
            ("version", (1, 1)),
            ("time", (2, 1)),
            ("limits.start", (4, 3)),
            ("limits.check", (3, 2)),
            ("fault[1].kind", (8, 1)),
            ("fault[1].row[1]", (9, 11)),
            ("fault[1].shape", (7, 1)),
            ("fault[7].shape", (1, 1)),
            ("swarm.nodes", (1, 1)),
        ] {
            assert_eq!(locate(TEXT, key), wanted, "{key}");
        }
        assert_eq!(locate("no = toml = at all", "no"), (1, 1));
    }
}
