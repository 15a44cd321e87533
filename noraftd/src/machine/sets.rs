//! Commands on sets.

use bytes::Bytes;

use super::keys::Keys;
use super::reply::{Budget, TooLarge, length, scanned, within_budget};
use super::set::Set;
use crate::prng::Prng;
use crate::protocol::command::{Args, Combine, SetCommand, SetsCommand};
use crate::protocol::resp::Reply;

/// Carries out a command on the set at `key`; `seed` is where what is drawn comes from.
pub(super) fn execute(keys: &mut Keys, key: &[u8], command: SetCommand<'_>, seed: u64) -> Reply {
    let changed = match command {
        SetCommand::Add { members } => keys.change(key, |set: &mut Set| {
            length(members.iter().filter(|member| set.add(member)).count())
        }),
        SetCommand::Remove { members } => keys.change(key, |set: &mut Set| {
            length(members.iter().filter(|member| set.remove(member)).count())
        }),
        SetCommand::Pop => keys.change(key, |set: &mut Set| {
            let popped = set.any(&mut Prng::new(seed));
            if let Some(member) = &popped {
                set.remove(member);
            }
            popped.map_or(Reply::Null, Reply::Bulk)
        }),
        SetCommand::PopSome { count } => keys.change(key, |set| pop(set, count, seed)),
        SetCommand::Move { to, member } => move_member(keys, key, to, member),
        SetCommand::Store { combine, others } => store(keys, key, combine, others),
        SetCommand::Members
        | SetCommand::Has { .. }
        | SetCommand::HasMany { .. }
        | SetCommand::Length
        | SetCommand::Any
        | SetCommand::Some { .. }
        | SetCommand::Scan(_) => Ok(read(keys, key, command, seed)),
    };
    changed.unwrap_or_else(|reply| reply)
}

/// A reply that is too large is one of a set that stays as it is.
fn pop(set: &mut Set, count: usize, seed: u64) -> Reply {
    let popped = set.sample(count, &mut Prng::new(seed));
    let reply = members(popped.iter().cloned());
    if !matches!(reply, Reply::Error(_)) {
        for member in &popped {
            set.remove(member);
        }
    }
    reply
}

fn move_member(keys: &mut Keys, from: &[u8], to: &[u8], member: &[u8]) -> Result<Reply, Reply> {
    let Some(set) = keys.held::<Set>(from)? else {
        return Ok(Reply::Integer(0));
    };
    let has = set.has(member);
    keys.held::<Set>(to)?;
    if has && from != to {
        keys.change(from, |set: &mut Set| set.remove(member))?;
        keys.change(to, |set: &mut Set| set.add(member))?;
    }
    Ok(Reply::Integer(i64::from(has)))
}

fn store(keys: &mut Keys, key: &[u8], combine: Combine, others: Args<'_>) -> Result<Reply, Reply> {
    let made = combined(keys, combine, others)?;
    let count = made.len();
    keys.put(key, made);
    Ok(length(count))
}

/// Answers a command that reads.
///
/// # Panics
///
/// For one that writes.
pub(super) fn read(keys: &Keys, key: &[u8], command: SetCommand<'_>, seed: u64) -> Reply {
    let nothing = Set::default();
    let set = match keys.held::<Set>(key) {
        Ok(held) => held.unwrap_or(&nothing),
        Err(reply) => return reply,
    };
    let has = |member| Reply::Integer(i64::from(set.has(member)));
    match command {
        SetCommand::Members => members(set.iter()),
        SetCommand::Has { member } => has(member),
        SetCommand::HasMany { members } => Reply::Array(members.iter().map(has).collect()),
        SetCommand::Length => length(set.len()),
        SetCommand::Any => set.any(&mut Prng::new(seed)).map_or(Reply::Null, Reply::Bulk),
        SetCommand::Some { count } => some(set, count, seed),
        SetCommand::Scan(asked) => {
            let (next, found) = set.members.scan(asked);
            scanned(next, found.into_iter().map(|(member, ())| member))
        }
        SetCommand::Add { .. }
        | SetCommand::Remove { .. }
        | SetCommand::Pop
        | SetCommand::PopSome { .. }
        | SetCommand::Move { .. }
        | SetCommand::Store { .. } => unreachable!("it writes"),
    }
}

fn some(set: &Set, count: i64, seed: u64) -> Reply {
    let mut prng = Prng::new(seed);
    let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let chosen: Box<dyn Iterator<Item = Bytes>> = if count >= 0 {
        Box::new(set.sample(size, &mut prng).into_iter())
    } else {
        Box::new(set.members.several(size, &mut prng).map(|(member, ())| member))
    };
    let mut budget = Budget::new();
    let items: Result<Vec<Reply>, TooLarge> = chosen.map(|member| budget.bulk(member)).collect();
    within_budget(items.map(Reply::Array))
}

/// Answers a command on several sets.
pub(super) fn of_several(keys: &Keys, command: SetsCommand<'_>) -> Reply {
    match command {
        SetsCommand::Combined(combine, names) => match combined(keys, combine, names) {
            Ok(set) => members(set.iter()),
            Err(reply) => reply,
        },
        SetsCommand::CountCommon(names, limit) => match several(keys, names) {
            Ok(sets) => length(common(&sets).take(limit).count()),
            Err(reply) => reply,
        },
    }
}

/// What is in all of the sets, the smallest of which is looked through.
fn common<'a>(sets: &'a [Option<&'a Set>]) -> impl Iterator<Item = Bytes> + 'a {
    let is_any_empty = sets.iter().any(Option::is_none);
    let smallest = sets.iter().flatten().min_by_key(|set| set.len());
    let smallest = smallest.filter(|_| !is_any_empty).into_iter();
    let members = smallest.flat_map(|set| set.iter());
    members.filter(|member| sets.iter().flatten().all(|set| set.has(member)))
}

fn combined(keys: &Keys, combine: Combine, names: Args<'_>) -> Result<Set, Reply> {
    let sets = several(keys, names)?;
    let (mut made, rest) = match (combine, sets.split_first()) {
        (Combine::Inter, _) | (_, None) => {
            let mut made = Set::default();
            for member in common(&sets) {
                made.add(&member);
            }
            return Ok(made);
        }
        (Combine::Union | Combine::Diff, Some((first, rest))) => (first.cloned().unwrap_or_default(), rest),
    };
    for set in rest.iter().flatten() {
        for member in set.iter() {
            match combine {
                Combine::Inter | Combine::Union => made.add(&member),
                Combine::Diff => made.remove(&member),
            };
        }
    }
    Ok(made)
}

fn several<'a>(keys: &'a Keys, names: Args<'_>) -> Result<Vec<Option<&'a Set>>, Reply> {
    names.iter().map(|name| keys.held::<Set>(name)).collect()
}

fn members(members: impl Iterator<Item = Bytes>) -> Reply {
    let mut budget = Budget::new();
    let items: Result<Vec<Reply>, TooLarge> = members.map(|member| budget.bulk(member)).collect();
    within_budget(items.map(Reply::Set))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::machine::asked::{Asked, request};

    #[test]
    fn a_set_without_members_is_no_key() {
        let mut asked = Asked::new();
        asked.check(&[
            ("SADD s a b a", ":2"),
            ("EXPIRE s 100", ":1"),
            ("SREM s a x", ":1"),
            ("TYPE s", "+set"),
            ("SMOVE s t b", ":1"),
            ("EXISTS s t", ":1"),
            ("TTL t", ":-1"),
            ("SPOP t", "$1,b"),
            ("EXISTS t", ":0"),
            ("SPOP t", "_"),
            ("SPOP t 1", "~0"),
            ("SADD s c", ":1"),
            ("TTL s", ":-1"),
            ("SINTERSTORE s s t", ":0"),
            ("EXISTS s", ":0"),
        ]);
    }

    #[test]
    fn a_set_that_is_stored_takes_the_place_of_anything() {
        let mut asked = Asked::new();
        asked.check(&[
            ("SADD a 1 2 3", ":3"),
            ("SADD b 2 3 4", ":3"),
            ("SET to v EX 100", "+OK"),
            ("SUNIONSTORE to a b", ":4"),
            ("TTL to", ":-1"),
            ("SDIFFSTORE a a b", ":1"),
            ("SMEMBERS a", "~1,$1,1"),
            ("SINTERCARD 2 to b LIMIT 2", ":2"),
            ("SINTERCARD 2 to b", ":3"),
            ("SINTERCARD 3 to b none", ":0"),
            ("SET k v", "+OK"),
            (
                "SINTER none k",
                "-WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
        ]);
    }

    #[test]
    fn what_an_entry_pops_is_the_same_on_every_node_and_differs_from_entry_to_entry() {
        let mut asked = Asked::new();
        (0..100).for_each(|n| drop(asked.ask(&format!("SADD s {n}"))));
        let mut other = asked.restored();
        let pop = request("SPOP s").expect("it is a command");
        let mut gone = BTreeSet::new();
        for _ in 0..100 {
            let popped = asked.apply(&pop.body);
            assert_eq!(popped, other.apply(&pop.body));
            assert_eq!(asked.0.state_hash(), other.0.state_hash());
            gone.insert(format!("{popped:?}"));
        }
        assert_eq!(gone.len(), 100);
        assert_eq!(asked.ask("EXISTS s"), ":0");
    }
}
