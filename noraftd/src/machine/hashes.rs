//! Commands on hashes.

use bytes::Bytes;

use super::hash::Hash;
use super::keys::Keys;
use super::reply::{Budget, TooLarge, length, scanned, within_budget};
use crate::prng::Prng;
use crate::protocol::command::{Args, HashCommand};
use crate::protocol::resp::number::{decimal_bytes, parse_i64};
use crate::protocol::resp::{Decimal, Reply};

/// Carries out a command on the hash at `key`; `seed` is where what is drawn comes from.
pub(super) fn execute(keys: &mut Keys, key: &[u8], command: HashCommand<'_>, seed: u64) -> Reply {
    let changed = match command {
        HashCommand::Set { pairs, counts } => keys.change(key, |hash| set(hash, pairs, counts)),
        HashCommand::SetMissing { field, value } => keys.change(key, |hash: &mut Hash| {
            let is_missing = hash.get(field).is_none();
            if is_missing {
                hash.set(field, Bytes::copy_from_slice(value));
            }
            Reply::Integer(i64::from(is_missing))
        }),
        HashCommand::Delete { fields } => keys.change(key, |hash: &mut Hash| {
            length(fields.iter().filter(|field| hash.remove(field)).count())
        }),
        HashCommand::Add { field, delta } => keys.change(key, |hash| add(hash, field, delta)),
        HashCommand::AddDecimal { field, delta } => keys.change(key, |hash| add_decimal(hash, field, delta)),
        HashCommand::Get { .. }
        | HashCommand::GetMany { .. }
        | HashCommand::Length
        | HashCommand::ValueLength { .. }
        | HashCommand::Exists { .. }
        | HashCommand::Fields
        | HashCommand::Values
        | HashCommand::Pairs
        | HashCommand::Any
        | HashCommand::Some { .. }
        | HashCommand::Scan(_) => Ok(read(keys, key, command, seed)),
    };
    changed.unwrap_or_else(|reply| reply)
}

fn set(hash: &mut Hash, pairs: Args<'_>, counts: bool) -> Reply {
    let set = |(field, value): (&[u8], &[u8])| hash.set(field, Bytes::copy_from_slice(value));
    let new = pairs.pairs().map(set).filter(|is_new| *is_new).count();
    match counts {
        true => length(new),
        false => Reply::Status("OK"),
    }
}

fn add(hash: &mut Hash, field: &[u8], delta: i64) -> Reply {
    let held = hash.get(field).map_or(Some(0), |held| parse_i64(held));
    let Some(held) = held else {
        return Reply::Error("ERR hash value is not an integer".to_owned());
    };
    let Some(sum) = held.checked_add(delta) else {
        return Reply::Error("ERR increment or decrement would overflow".to_owned());
    };
    hash.set(field, decimal_bytes(sum));
    Reply::Integer(sum)
}

fn add_decimal(hash: &mut Hash, field: &[u8], delta: Decimal) -> Reply {
    let held = hash
        .get(field)
        .map_or(Some(Decimal::ZERO), |held| Decimal::parse(held));
    let Some(held) = held else {
        return Reply::Error("ERR hash value is not a float".to_owned());
    };
    let Some(sum) = held.plus(delta) else {
        return Reply::Error("ERR increment would produce NaN or Infinity".to_owned());
    };
    let sum = sum.to_bytes();
    hash.set(field, sum.clone());
    Reply::Bulk(sum)
}

/// Answers a command that reads.
///
/// # Panics
///
/// For one that writes.
pub(super) fn read(keys: &Keys, key: &[u8], command: HashCommand<'_>, seed: u64) -> Reply {
    let nothing = Hash::default();
    let (hash, is_there) = match keys.held::<Hash>(key) {
        Ok(Some(hash)) => (hash, true),
        Ok(None) => (&nothing, false),
        Err(reply) => return reply,
    };
    let value_of = |field| hash.get(field).cloned().map_or(Reply::Null, Reply::Bulk);
    match command {
        HashCommand::Get { field } => value_of(field),
        HashCommand::GetMany { fields } => within_budget(get_many(hash, fields)),
        HashCommand::Length => length(hash.len()),
        HashCommand::ValueLength { field } => length(hash.get(field).map_or(0, Bytes::len)),
        HashCommand::Exists { field } => Reply::Integer(i64::from(hash.get(field).is_some())),
        HashCommand::Fields => list(hash.iter().map(|(field, _)| field)),
        HashCommand::Values => list(hash.iter().map(|(_, value)| value.clone())),
        HashCommand::Pairs => within_budget(pairs(hash.iter()).map(Reply::Map)),
        HashCommand::Any if !is_there => Reply::Null,
        HashCommand::Any => {
            let any = hash.fields.any(&mut Prng::new(seed));
            any.map_or(Reply::Null, |(field, _)| Reply::Bulk(field))
        }
        HashCommand::Some { count, with_values } => some(hash, count, with_values, seed),
        HashCommand::Scan(asked) => {
            let (next, found) = hash.fields.scan(asked);
            scanned(
                next,
                found
                    .into_iter()
                    .flat_map(|(field, value)| [field, value.clone()]),
            )
        }
        HashCommand::Set { .. }
        | HashCommand::SetMissing { .. }
        | HashCommand::Delete { .. }
        | HashCommand::Add { .. }
        | HashCommand::AddDecimal { .. } => unreachable!("it writes"),
    }
}

fn get_many(hash: &Hash, fields: Args<'_>) -> Result<Reply, TooLarge> {
    let mut budget = Budget::new();
    let values = fields.iter().map(|field| match hash.get(field) {
        Some(value) => budget.bulk(value.clone()),
        None => budget.element(0).map(|()| Reply::Null),
    });
    values.collect::<Result<_, _>>().map(Reply::Array)
}

fn list(items: impl Iterator<Item = Bytes>) -> Reply {
    let mut budget = Budget::new();
    let items: Result<Vec<Reply>, TooLarge> = items.map(|item| budget.bulk(item)).collect();
    within_budget(items.map(Reply::Array))
}

fn pairs<'a>(pairs: impl Iterator<Item = (Bytes, &'a Bytes)>) -> Result<Vec<(Reply, Reply)>, TooLarge> {
    let mut budget = Budget::new();
    let pairs = pairs.map(|(field, value)| Ok((budget.bulk(field)?, budget.bulk(value.clone())?)));
    pairs.collect()
}

fn some(hash: &Hash, count: i64, with_values: bool, seed: u64) -> Reply {
    let mut prng = Prng::new(seed);
    let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let chosen: Box<dyn Iterator<Item = (Bytes, &Bytes)>> = if count >= 0 {
        Box::new(hash.fields.sample(size, &mut prng).into_iter())
    } else {
        hash.fields.several(size, &mut prng)
    };
    match with_values {
        true => within_budget(pairs(chosen).map(Reply::Rows)),
        false => list(chosen.map(|(field, _)| field)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::machine::Machine;
    use crate::machine::asked::{Asked, request, shown};

    #[test]
    fn a_hash_without_fields_is_no_key() {
        let mut asked = Asked::new();
        asked.check(&[
            ("HSET h a 1 b 2", ":2"),
            ("EXPIRE h 100", ":1"),
            ("HDEL h a x", ":1"),
            ("TYPE h", "+hash"),
            ("HDEL h b", ":1"),
            ("EXISTS h", ":0"),
            ("HINCRBY h n x", "-ERR value is not an integer or out of range"),
            ("EXISTS h", ":0"),
            ("HSET h c 3", ":1"),
            ("TTL h", ":-1"),
            ("SET h v", "+OK"),
            (
                "HLEN h",
                "-WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
        ]);
    }

    #[test]
    fn the_version_of_a_hash_changes_when_it_does() {
        let mut asked = Asked::new();
        asked.check(&[
            ("HSET h a 1", ":1"), // entry 2
            ("NORAFT.VERSION h", ":2"),
            ("HSET h a 1", ":0"),
            ("HSETNX h a 2", ":0"),
            ("HDEL h x", ":0"),
            ("NORAFT.VERSION h", ":2"),
            ("HINCRBY h a 1", ":2"), // entry 6
            ("NORAFT.VERSION h", ":6"),
            ("PEXPIRE h 15", ":1"),
            ("SET k v", "+OK"),
            ("SET k v", "+OK"),
            ("HLEN h", ":0"),
            ("HSET h b 1", ":1"), // entry 10
            ("NORAFT.VERSION h", ":10"),
            ("HGETALL h", "%1,$1,b,$1,1"),
        ]);
    }

    #[test]
    fn every_node_draws_the_same_for_an_entry_and_reads_draw_something_else_each_time() {
        let mut asked = Asked::new();
        (0..300).for_each(|n| drop(asked.ask(&format!("HSET h {n} v"))));
        let random = request("HRANDFIELD h 5").expect("it is a command");
        let mut other = asked.restored();
        assert_eq!(asked.apply(&random.body), other.apply(&random.body));
        let drawn = (0..50).map(|number| shown(&asked.0.query_drawing(&random.body, number)));
        assert!(drawn.collect::<BTreeSet<_>>().len() > 45);
        assert_eq!(asked.0.query(&random.body), other.0.query(&random.body));
    }

    #[test]
    fn a_scan_by_its_cursors_meets_every_field_once() {
        let mut asked = Asked::new();
        (0..300).for_each(|n| drop(asked.ask(&format!("HSET h field{n} v"))));
        let (mut cursor, mut met) = ("0".to_owned(), Vec::new());
        loop {
            let answer = asked.ask(&format!("HSCAN h {cursor} COUNT 20 MATCH field?9*"));
            let mut words = answer.split(',').filter(|word| !word.starts_with(['*', '$']));
            cursor = words.next().expect("there is a cursor").to_owned();
            met.extend(words.step_by(2).map(str::to_owned));
            if cursor == "0" {
                break;
            }
        }
        // field19, field29, ... field99, and field190 to field199, field290 to field299.
        assert_eq!((met.len(), met.iter().collect::<BTreeSet<_>>().len()), (29, 29));
    }

    #[test]
    fn below_its_level_an_entry_about_a_hash_changes_nothing() {
        let mut below = Asked(Machine::new());
        let hash = below.0.state_hash();
        for line in ["HSET h a 1", "HGET h a"] {
            assert!(
                below
                    .ask(line)
                    .starts_with("-ERR the command takes a higher level")
            );
        }
        assert_eq!(below.0.state_hash(), hash);
    }
}
