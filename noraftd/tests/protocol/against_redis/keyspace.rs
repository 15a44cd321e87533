//! Commands on keys, and on parts of strings.

use noraftd::prng::Prng;
use noraftd::protocol::resp::RespVersion;

use super::{Both, KEYS, one, text, words};

/// A command with arguments.
pub(super) fn draw(prng: &mut Prng) -> Vec<String> {
    let key = |prng: &mut Prng| one(prng, &KEYS).to_owned();
    let place = |prng: &mut Prng| one(prng, &["0", "1", "-1", "-2", "3", "100", "-100"]).to_owned();
    let value = |prng: &mut Prng| one(prng, &["", "x", "12", "a longer one", "1.5"]).to_owned();
    let first = key(prng);
    let (name, arguments): (&str, Vec<String>) = match prng.below(14) {
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
        7 => return vec![one(prng, &["DBSIZE", "RANDOMKEY"]).to_owned()],
        8 => {
            let pattern = one(
                prng,
                &[
                    "*", "k*", "k?", "k1", "k[12]", "k[^1]", "str*", "\\k1", "none*", "k3?",
                ],
            );
            return vec!["KEYS".to_owned(), pattern.to_owned()];
        }
        9 => {
            let query = one(prng, &["FREQ", "freq", "nosuch"]);
            return vec!["OBJECT".to_owned(), query.to_owned(), first];
        }
        10 => {
            let pair = vec!["LCS".to_owned(), first, key(prng)];
            return [pair, common_options(prng)].concat();
        }
        11 => ("SET", vec![letters(prng)]),
        12 => (one(prng, &["TOUCH", "UNLINK"]), vec![key(prng)]),
        _ => ("SET", vec![value(prng)]),
    };
    [vec![name.to_owned(), first], arguments].concat()
}

fn common_options(prng: &mut Prng) -> Vec<String> {
    let options: &[&str] = match prng.below(8) {
        0 => &[],
        1 => &["LEN"],
        2 => &["IDX"],
        3 => &["IDX", "WITHMATCHLEN"],
        4 => &["IDX", "MINMATCHLEN", "2"],
        5 => &["MINMATCHLEN", "-3", "WITHMATCHLEN", "IDX"],
        6 => &["IDX", "LEN"],
        _ => &["WITHMATCHLEN"],
    };
    options.iter().map(|option| (*option).to_owned()).collect()
}

/// A few letters, so that two such texts have much in common, in several ways.
fn letters(prng: &mut Prng) -> String {
    let count = prng.below(40);
    (0..count).map(|_| one(prng, &["a", "b", "c", "dd"])).collect()
}

#[test]
fn what_two_texts_have_in_common_is_what_redis_finds() {
    let Some(mut both) = Both::start(RespVersion::V3) else {
        eprintln!("skipped: no redis-server is installed");
        return;
    };
    let mut prng = Prng::new(1);
    for _ in 0..1000 {
        for key in ["k1", "k2"] {
            both.ask(&words(&["SET", key, &letters(&mut prng)]))
                .expect("a string is set");
        }
        let options = common_options(&mut prng);
        let options = options.iter().map(String::as_str);
        let asked: Vec<&str> = ["LCS", "k1", "k2"].into_iter().chain(options).collect();
        let asked = words(&asked);
        both.ask(&asked)
            .unwrap_or_else(|differs| panic!("{}: {differs}", text(&asked)));
    }
}
