//! Commands on keys, and on parts of strings.

use noraftd::prng::Prng;

use super::{KEYS, one};

/// A command with arguments.
pub(super) fn draw(prng: &mut Prng) -> Vec<String> {
    let key = |prng: &mut Prng| one(prng, &KEYS).to_owned();
    let place = |prng: &mut Prng| one(prng, &["0", "1", "-1", "-2", "3", "100", "-100"]).to_owned();
    let value = |prng: &mut Prng| one(prng, &["", "x", "12", "a longer one", "1.5"]).to_owned();
    let first = key(prng);
    let (name, arguments): (&str, Vec<String>) = match prng.below(10) {
        0 => (one(prng, &["RENAME", "RENAMENX"]), vec![key(prng)]),
        1 => ("COPY", vec![key(prng)]),
        2 => ("COPY", vec![key(prng), "REPLACE".to_owned()]),
        3 => (
            "SETRANGE",
            vec![one(prng, &["0", "1", "5", "-1", "40"]).to_owned(), value(prng)],
        ),
        4 => (
            "INCRBYFLOAT",
            vec![one(prng, &["0.5", "-1.75", "3", "1e1", "0.1", "inf"]).to_owned()],
        ),
        5 => ("MSETNX", vec![value(prng), key(prng), value(prng)]),
        6 => (one(prng, &["GETRANGE", "SUBSTR"]), vec![place(prng), place(prng)]),
        7 => return vec!["DBSIZE".to_owned()],
        8 => (one(prng, &["TOUCH", "UNLINK"]), vec![key(prng)]),
        _ => ("SET", vec![value(prng)]),
    };
    [vec![name.to_owned(), first], arguments].concat()
}
