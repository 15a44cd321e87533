//! Commands on sets.

use noraftd::prng::Prng;

use super::{KEYS, one};

/// A command with arguments.
pub(super) fn draw(prng: &mut Prng) -> Vec<String> {
    let key = |prng: &mut Prng| one(prng, &KEYS).to_owned();
    let member = |prng: &mut Prng| one(prng, &["a", "b", "c", "1", "-2", "", "a longer one"]).to_owned();
    let few = |prng: &mut Prng| (0..prng.between(1, 3)).map(|_| member(prng)).collect::<Vec<_>>();
    let keys = |prng: &mut Prng| (0..prng.between(1, 3)).map(|_| key(prng)).collect::<Vec<_>>();
    let count = |prng: &mut Prng| one(prng, &["0", "1", "3", "100"]).to_owned();
    let first = key(prng);
    let (name, arguments): (&str, Vec<String>) = match prng.below(16) {
        0..=3 => ("SADD", [vec![first], few(prng)].concat()),
        4 => ("SREM", [vec![first], few(prng)].concat()),
        5 => (one(prng, &["SPOP", "SRANDMEMBER"]), vec![first]),
        6 => (one(prng, &["SPOP", "SRANDMEMBER"]), vec![first, count(prng)]),
        7 => ("SRANDMEMBER", vec![first, format!("-{}", count(prng))]),
        8 => ("SMOVE", vec![first, key(prng), member(prng)]),
        9 => ("SMEMBERS", vec![first]),
        10 => ("SISMEMBER", vec![first, member(prng)]),
        11 => ("SMISMEMBER", [vec![first], few(prng)].concat()),
        12 => ("SCARD", vec![first]),
        13 => (one(prng, &["SINTER", "SUNION", "SDIFF"]), keys(prng)),
        14 => (
            one(prng, &["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"]),
            [vec![first], keys(prng)].concat(),
        ),
        _ => {
            let keys = keys(prng);
            let limit = if prng.chance(1, 2) {
                vec!["LIMIT".to_owned(), count(prng)]
            } else {
                vec![]
            };
            ("SINTERCARD", [vec![keys.len().to_string()], keys, limit].concat())
        }
    };
    [vec![name.to_owned()], arguments].concat()
}
