//! Commands on hashes.

use noraftd::prng::Prng;

use super::{KEYS, one};

/// A command with arguments.
pub(super) fn draw(prng: &mut Prng) -> Vec<String> {
    let key = one(prng, &KEYS).to_owned();
    let field = |prng: &mut Prng| one(prng, &["a", "b", "c", "d", "e", ""]).to_owned();
    let value =
        |prng: &mut Prng| one(prng, &["", "x", "7", "-3", "1.25", "9223372036854775807", "0.1"]).to_owned();
    let integer = |prng: &mut Prng| one(prng, &["1", "-1", "0", "100", "9223372036854775807"]).to_owned();
    let number = |prng: &mut Prng| one(prng, &["0.5", "-1.75", "3", "1e1", "0.1"]).to_owned();
    let few = |prng: &mut Prng| (0..prng.between(1, 3)).map(|_| field(prng)).collect::<Vec<_>>();
    let (name, arguments): (&str, Vec<String>) = match prng.below(15) {
        0 | 1 => {
            let pairs = few(prng).into_iter().flat_map(|field| [field, value(prng)]);
            ("HSET", pairs.collect())
        }
        2 => ("HMSET", vec![field(prng), value(prng), field(prng), value(prng)]),
        3 => ("HSETNX", vec![field(prng), value(prng)]),
        4 => ("HDEL", few(prng)),
        5 => ("HINCRBY", vec![field(prng), integer(prng)]),
        6 => ("HINCRBYFLOAT", vec![field(prng), number(prng)]),
        7 => ("HGET", vec![field(prng)]),
        8 => ("HMGET", few(prng)),
        9 => ("HLEN", vec![]),
        10 => ("HSTRLEN", vec![field(prng)]),
        11 => ("HEXISTS", vec![field(prng)]),
        12 => (one(prng, &["HKEYS", "HVALS"]), vec![]),
        13 => ("HGETALL", vec![]),
        _ => {
            let count = one(prng, &["0", "1", "3", "100", "-1", "-7"]).to_owned();
            let random = [vec![], vec![count.clone()], vec![count, "WITHVALUES".to_owned()]];
            (
                "HRANDFIELD",
                prng.choose(&random).expect("there are three").clone(),
            )
        }
    };
    [vec![name.to_owned(), key], arguments].concat()
}
