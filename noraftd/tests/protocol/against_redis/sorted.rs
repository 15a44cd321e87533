//! Commands on sorted sets.

use noraftd::prng::Prng;

use super::{KEYS, one};

/// Its members all have the score 0, so that they have an order by name.
pub(super) const ONE_SCORE: &str = "names";

const MEMBERS: [&str; 7] = ["a", "b", "bb", "c", "d", "", "1"];

/// A command with arguments.
pub(super) fn draw(prng: &mut Prng) -> Vec<String> {
    if prng.chance(1, 6) {
        return by_name(prng);
    }
    let key = one(prng, &KEYS).to_owned();
    let (name, arguments): (&str, Vec<String>) = match prng.below(20) {
        0..=4 => {
            let options = one(
                prng,
                &[
                    "", "", "", "NX", "XX", "GT", "LT", "CH", "XX GT CH", "INCR", "GT INCR", "NX XX",
                    "NX GT", "GT LT",
                ],
            );
            let options = options
                .split(' ')
                .filter(|word| !word.is_empty())
                .map(str::to_owned);
            let pairs = several(prng).into_iter().flat_map(|member| [score(prng), member]);
            ("ZADD", options.chain(pairs).collect())
        }
        5 => ("ZINCRBY", vec![score(prng), member(prng)]),
        6 => (one(prng, &["ZREM", "ZMSCORE"]), several(prng)),
        7 => (one(prng, &["ZSCORE", "ZRANK", "ZREVRANK"]), vec![member(prng)]),
        8 => (
            one(prng, &["ZCOUNT", "ZREMRANGEBYSCORE"]),
            vec![end(prng), end(prng)],
        ),
        9 => ("ZREMRANGEBYRANK", vec![rank(prng), rank(prng)]),
        10 => (
            one(prng, &["ZPOPMIN", "ZPOPMAX"]),
            if prng.chance(1, 2) {
                vec![]
            } else {
                vec![count(prng)]
            },
        ),
        kind @ 11..=16 => ranges(prng, kind),
        _ => return of_several(prng, &key),
    };
    [vec![name.to_owned(), key], arguments].concat()
}

fn ranges(prng: &mut Prng, kind: u64) -> (&'static str, Vec<String>) {
    match kind {
        11 => {
            let scores = with_scores(prng);
            (
                one(prng, &["ZRANGE", "ZREVRANGE"]),
                [vec![rank(prng), rank(prng)], scores].concat(),
            )
        }
        12 => {
            let mut arguments = vec![end(prng), end(prng)];
            if prng.chance(1, 2) {
                arguments.push("WITHSCORES".to_owned());
            }
            if prng.chance(1, 2) {
                arguments.extend(["LIMIT".to_owned(), rank(prng), rank(prng)]);
            }
            (one(prng, &["ZRANGEBYSCORE", "ZREVRANGEBYSCORE"]), arguments)
        }
        13 => {
            let mut arguments = vec![end(prng), end(prng), "BYSCORE".to_owned()];
            if prng.chance(1, 2) {
                arguments.insert(2, "REV".to_owned());
            }
            if prng.chance(1, 2) {
                arguments.extend(["LIMIT".to_owned(), rank(prng), rank(prng)]);
            }
            let source = if prng.chance(1, 2) {
                Some(one(prng, &KEYS).to_owned())
            } else {
                None
            };
            let name = if source.is_some() { "ZRANGESTORE" } else { "ZRANGE" };
            arguments.splice(0..0, source);
            (name, arguments)
        }
        14 => (
            "ZRANGESTORE",
            vec![one(prng, &KEYS).to_owned(), rank(prng), rank(prng)],
        ),
        15 => (one(prng, &["ZCARD", "ZRANDMEMBER"]), vec![]),
        _ => {
            let scores = with_scores(prng);
            let count = one(prng, &["0", "2", "100", "-5"]).to_owned();
            ("ZRANDMEMBER", [vec![count], scores].concat())
        }
    }
}

fn with_scores(prng: &mut Prng) -> Vec<String> {
    let has = prng.chance(1, 2);
    has.then(|| "WITHSCORES".to_owned()).into_iter().collect()
}

fn of_several(prng: &mut Prng, key: &str) -> Vec<String> {
    let keys: Vec<String> = (0..prng.between(1, 3))
        .map(|_| one(prng, &KEYS).to_owned())
        .collect();
    let counted = [vec![keys.len().to_string()], keys.clone()].concat();
    let mut options = Vec::new();
    let (name, is_stored) = match prng.below(5) {
        0 => {
            options.push(one(prng, &["MIN", "MAX"]).to_owned());
            if prng.chance(1, 2) {
                options.extend(["COUNT".to_owned(), one(prng, &["1", "2", "100"]).to_owned()]);
            }
            ("ZMPOP", false)
        }
        1 => {
            if prng.chance(1, 2) {
                options.extend(["LIMIT".to_owned(), one(prng, &["0", "1", "2"]).to_owned()]);
            }
            ("ZINTERCARD", false)
        }
        kind => {
            let is_stored = kind == 2;
            let names = if is_stored {
                ["ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"]
            } else {
                ["ZUNION", "ZINTER", "ZDIFF"]
            };
            let name = one(prng, &names);
            if prng.chance(1, 3) && !name.contains("DIFF") {
                options.push("WEIGHTS".to_owned());
                options.extend(
                    keys.iter()
                        .map(|_| one(prng, &["2", "0", "-1", "0.5"]).to_owned()),
                );
            }
            if prng.chance(1, 2) && !name.contains("DIFF") {
                options.extend([
                    "AGGREGATE".to_owned(),
                    one(prng, &["SUM", "min", "MAX"]).to_owned(),
                ]);
            }
            if prng.chance(1, 2) && !is_stored {
                options.push("WITHSCORES".to_owned());
            }
            (name, is_stored)
        }
    };
    let stored = is_stored.then(|| key.to_owned());
    [
        vec![name.to_owned()],
        stored.into_iter().collect(),
        counted,
        options,
    ]
    .concat()
}

fn member(prng: &mut Prng) -> String {
    one(prng, &MEMBERS).to_owned()
}

fn several(prng: &mut Prng) -> Vec<String> {
    (0..prng.between(1, 3)).map(|_| member(prng)).collect()
}

fn score(prng: &mut Prng) -> String {
    let scores = ["1", "2", "-3", "0.5", "3.14", "1e3", "inf", "-inf", "-0", "0"];
    one(prng, &scores).to_owned()
}

fn end(prng: &mut Prng) -> String {
    one(prng, &["-inf", "+inf", "0", "(1", "2", "(2", "-3", "3.2", ""]).to_owned()
}

fn rank(prng: &mut Prng) -> String {
    one(prng, &["0", "1", "-1", "-2", "3", "100", "-100"]).to_owned()
}

fn count(prng: &mut Prng) -> String {
    one(prng, &["0", "1", "2", "100"]).to_owned()
}

fn by_name(prng: &mut Prng) -> Vec<String> {
    let end = |prng: &mut Prng| one(prng, &["-", "+", "[b", "(b", "[bb", "(c", "[", "(", "x"]).to_owned();
    let mut words = vec![String::new(), ONE_SCORE.to_owned(), end(prng), end(prng)];
    words[0] = match prng.below(8) {
        0..=2 => {
            words.truncate(2);
            words.extend(["0".to_owned(), one(prng, &MEMBERS).to_owned()]);
            "ZADD"
        }
        3 => one(prng, &["ZLEXCOUNT", "ZREMRANGEBYLEX"]),
        4 => {
            words.push("BYLEX".to_owned());
            if prng.chance(1, 2) {
                words.push("REV".to_owned());
            }
            "ZRANGE"
        }
        _ => {
            if prng.chance(1, 2) {
                words.extend([
                    "LIMIT".to_owned(),
                    one(prng, &["0", "1", "-1"]).to_owned(),
                    one(prng, &["0", "2", "-1"]).to_owned(),
                ]);
            }
            one(prng, &["ZRANGEBYLEX", "ZREVRANGEBYLEX"])
        }
    }
    .to_owned();
    words
}
