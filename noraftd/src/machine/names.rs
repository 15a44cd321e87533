//! Which keys there are: `KEYS` and `RANDOMKEY`.
//!
//! Invariant: neither looks at more than a number of names, however many there are.

use bytes::Bytes;

use super::keys::Keys;
use super::reply::{Budget, TooLarge, within_budget};
use crate::prng::Prng;
use crate::protocol::glob::{Case, matches};
use crate::protocol::resp::Reply;

/// `KEYS`: in the order of the names.
pub(super) fn matching(keys: &Keys, pattern: &[u8]) -> Reply {
    let beginning = literal_beginning(pattern);
    if beginning.len() == pattern.len() {
        let held = keys.get(pattern).map(|_| Bytes::copy_from_slice(pattern));
        return Reply::Array(held.map(Reply::Bulk).into_iter().collect());
    }
    let (mut budget, mut found) = (Budget::new(), Vec::new());
    let names = keys
        .names_from(beginning)
        .take_while(|(name, _)| name.starts_with(beginning));
    for (at, (name, exists)) in names.enumerate() {
        if at == NAMES_MAX {
            return Reply::Error(format!(
                "ERR KEYS looks at {NAMES_MAX} keys at most; begin the pattern with more of their names"
            ));
        }
        if exists && matches(pattern, name, Case::Matters) {
            match budget.bulk(name.clone()) {
                Ok(item) => found.push(item),
                Err(TooLarge) => return within_budget(Err(TooLarge)),
            }
        }
    }
    Reply::Array(found)
}

/// What every name that matches begins with, as far as the pattern says it without a sign of its own.
fn literal_beginning(pattern: &[u8]) -> &[u8] {
    let end = pattern.iter().position(|byte| b"*?[\\".contains(byte));
    pattern.get(..end.unwrap_or(pattern.len())).unwrap_or(pattern)
}

/// `RANDOMKEY`: of a few keys, each is as likely as any other.
pub(super) fn any(keys: &Keys, seed: u64) -> Reply {
    let mut prng = Prng::new(seed);
    let count = keys.count();
    if count == 0 {
        return Reply::Null;
    }
    let first = if keys.len() <= FEW {
        Bytes::new()
    } else {
        walk(keys, &mut prng)
    };
    let skipped = prng.below(count.min(FEW) as u64) as usize;
    let around = keys.names_from(&first).chain(keys.names_from(&[]));
    let found = around.take(NAMES_MAX).filter(|(_, exists)| *exists).nth(skipped);
    found.map_or_else(
        || Reply::Error("ERR too many keys that are gone are not removed yet; ask again".to_owned()),
        |(name, _)| Reply::Bulk(name.clone()),
    )
}

/// A name that is held, found byte by byte: each byte is drawn between the least and the greatest that is next.
fn walk(keys: &Keys, prng: &mut Prng) -> Bytes {
    let first = keys.names_from(&[]).next().map(|(name, _)| name);
    let (Some(mut low), Some(mut high)) = (first, keys.last_name(&[])) else {
        return Bytes::new();
    };
    while low != high {
        let shared = low
            .iter()
            .zip(high.iter())
            .take_while(|(one, other)| one == other);
        let shared = shared.count();
        // A name that ends here comes before those that go on.
        let place = |name: &Bytes| name.get(shared).map_or(0, |byte| u64::from(*byte) + 1);
        let drawn = prng.between(place(low), place(high));
        if drawn <= place(low) && low.len() == shared {
            break;
        }
        let mut beginning = low.slice(..shared).to_vec();
        beginning.push(u8::try_from(drawn - 1).unwrap_or(u8::MAX));
        let Some((next, _)) = keys.names_from(&beginning).next() else {
            break;
        };
        low = next;
        let beginning = next.get(..=shared).unwrap_or(next);
        high = keys.last_name(beginning).unwrap_or(next);
    }
    low.clone()
}

/// So many names are looked at in a few tens of milliseconds. A different number would be another answer in a block:
/// it is that of level 1.
const NAMES_MAX: usize = 100_000;

/// Of so many keys, one is drawn by counting.
const FEW: usize = 128;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::machine::asked::{Asked, request};

    #[test]
    fn keys_are_those_that_exist_and_match_in_their_order() {
        let mut asked = Asked::new();
        asked.check(&[
            ("KEYS *", "*0"),
            ("MSET a:1 x a:2 x a x b x a*c x", "+OK"),
            ("KEYS a:*", "*2,$3,a:1,$3,a:2"),
            ("KEYS a", "*1,$1,a"),
            ("KEYS a:3", "*0"),
            ("KEYS a\\*c", "*1,$3,a*c"),
            ("KEYS ?", "*2,$1,a,$1,b"),
            ("KEYS [b-z]", "*1,$1,b"),
            ("SET b x PX 15", "+OK"),
            ("KEYS b*", "*1,$1,b"),
            ("SET c x", "+OK"),
            ("SET c x", "+OK"),
            ("KEYS b*", "*0"),
            ("KEYS b", "*0"),
        ]);
    }

    #[test]
    fn a_pattern_that_may_match_too_many_keys_is_refused_and_a_narrower_one_is_not() {
        let mut asked = Asked::new();
        for thousand in 0..=NAMES_MAX / 1000 {
            let pairs = (0..1000).map(|n| format!("k{thousand}:{n} x"));
            let line = format!("MSET {}", pairs.collect::<Vec<_>>().join(" "));
            assert_eq!(asked.ask(&line), "+OK");
        }
        let refused = "-ERR KEYS looks at 100000 keys at most; begin the pattern with more of their names";
        assert_eq!(asked.ask("KEYS *"), refused);
        assert_eq!(asked.ask("KEYS k*:999x"), refused);
        assert_eq!(asked.ask("KEYS k7:99?"), {
            let names = (0..10).map(|n| format!(",$6,k7:99{n}"));
            format!("*10{}", names.collect::<String>())
        });
    }

    #[test]
    fn a_key_is_drawn_that_exists_and_each_one_is() {
        let mut asked = Asked::new();
        assert_eq!(asked.ask("RANDOMKEY"), "_");
        for count in [3, 600] {
            for n in 0..count {
                // One is the beginning of another, and most share theirs.
                asked.ask(&format!("SET user:{n} x"));
            }
            let body = request("RANDOMKEY").expect("it is a command").body;
            let mut times: BTreeMap<Bytes, u32> = BTreeMap::new();
            for number in 0..count * 200 {
                match asked.0.query_drawing(&body, number) {
                    Reply::Bulk(name) => *times.entry(name).or_default() += 1,
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(times.len() as u64, count, "of {count} keys");
            assert_eq!(
                asked.0.query_drawing(&body, 7),
                asked.0.query_drawing(&body, 7),
                "one number draws one key"
            );
        }
        for n in 1..600 {
            asked.ask(&format!("PEXPIREAT user:{n} 30000"));
        }
        while asked.0.clock().as_millis() < 30_000 {
            asked.ask("SET user:0 x");
        }
        assert_eq!(asked.ask("RANDOMKEY"), "$6,user:0");
    }
}
