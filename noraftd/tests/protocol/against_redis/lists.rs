//! Commands on lists.

use noraftd::prng::Prng;

use super::{KEYS, one};

/// A command with arguments.
pub(super) fn draw(prng: &mut Prng) -> Vec<String> {
    let key = |prng: &mut Prng| one(prng, &KEYS).to_owned();
    let element = |prng: &mut Prng| one(prng, &["a", "b", "c", "", "12"]).to_owned();
    let index = |prng: &mut Prng| one(prng, &["0", "1", "-1", "-2", "3", "7", "100", "-100"]).to_owned();
    let count = |prng: &mut Prng| one(prng, &["0", "1", "2", "100"]).to_owned();
    let side = |prng: &mut Prng| one(prng, &["LEFT", "RIGHT", "left"]).to_owned();
    let few = |prng: &mut Prng| (0..prng.between(1, 4)).map(|_| element(prng)).collect::<Vec<_>>();
    let first = key(prng);
    let (name, arguments): (&str, Vec<String>) = match prng.below(18) {
        0..=3 => (
            one(prng, &["LPUSH", "RPUSH", "RPUSH", "LPUSHX", "RPUSHX"]),
            few(prng),
        ),
        4 => (one(prng, &["LPOP", "RPOP"]), vec![]),
        5 => (one(prng, &["LPOP", "RPOP"]), vec![count(prng)]),
        6 => ("LSET", vec![index(prng), element(prng)]),
        7 => (
            "LREM",
            vec![one(prng, &["0", "1", "-1", "2", "-3"]).to_owned(), element(prng)],
        ),
        8 => (
            "LINSERT",
            vec![
                one(prng, &["BEFORE", "after"]).to_owned(),
                element(prng),
                element(prng),
            ],
        ),
        9 => ("LTRIM", vec![index(prng), index(prng)]),
        10 => ("LMOVE", vec![key(prng), side(prng), side(prng)]),
        11 => ("RPOPLPUSH", vec![key(prng)]),
        12 => ("LLEN", vec![]),
        13 => ("LINDEX", vec![index(prng)]),
        14 | 15 => ("LRANGE", vec![index(prng), index(prng)]),
        16 => {
            let mut arguments = vec![element(prng)];
            for (option, values) in [
                ("RANK", ["1", "-1", "2", "-2", "0"]),
                ("COUNT", ["0", "1", "2", "9", "-1"]),
                ("MAXLEN", ["0", "1", "3", "9", "-1"]),
            ] {
                if prng.chance(1, 3) {
                    arguments.extend([option.to_owned(), one(prng, &values).to_owned()]);
                }
            }
            ("LPOS", arguments)
        }
        _ => {
            let keys: Vec<String> = (0..prng.between(1, 3)).map(|_| key(prng)).collect();
            let counted = if prng.chance(1, 2) {
                vec!["COUNT".to_owned(), count(prng)]
            } else {
                vec![]
            };
            return [
                vec!["LMPOP".to_owned(), keys.len().to_string()],
                keys,
                vec![side(prng)],
                counted,
            ]
            .concat();
        }
    };
    [vec![name.to_owned(), first], arguments].concat()
}
