//! The commands on sorted sets.

use bytes::Bytes;

use super::keys::Keys;
use super::reply::{Budget, TooLarge, length, scanned, within_budget, wrong_type};
use super::set::Set;
use super::sorted::Sorted;
use super::value::Value;
use crate::prng::Prng;
use crate::protocol::command::{
    AddOptions, Aggregate, Args, Combination, Combine, SortedCommand, SortedPart as Part,
    SortedParts as Parts, SortedSetsCommand,
};
use crate::protocol::resp::{Double, Reply};

/// Carries out a command on the sorted set at `key`; `seed` is where what is drawn comes from.
pub(super) fn execute(keys: &mut Keys, key: &[u8], command: SortedCommand<'_>, seed: u64) -> Reply {
    let changed = match command {
        SortedCommand::Add { options, pairs } => keys.change(key, |sorted| add(sorted, options, pairs)),
        SortedCommand::Remove { members } => keys.change(key, |sorted: &mut Sorted| {
            length(members.iter().filter(|member| sorted.remove(member)).count())
        }),
        SortedCommand::RemovePart(part) => keys.change(key, |sorted| remove_part(sorted, part)),
        SortedCommand::Pop { last, count } => keys.change(key, |sorted| pop(sorted, last, count)),
        SortedCommand::StorePart { source, parts } => store_part(keys, key, source, parts),
        SortedCommand::StoreCombined(combination) => combined(keys, combination).map(|made| {
            let count = made.len();
            keys.put(key, made);
            length(count)
        }),
        SortedCommand::Score { .. }
        | SortedCommand::Scores { .. }
        | SortedCommand::Length
        | SortedCommand::Count(_)
        | SortedCommand::Rank { .. }
        | SortedCommand::Range(_)
        | SortedCommand::Any
        | SortedCommand::Some { .. }
        | SortedCommand::Scan(_) => Ok(read(keys, key, command, seed)),
    };
    changed.unwrap_or_else(|reply| reply)
}

fn add(sorted: &mut Sorted, options: AddOptions, pairs: Args<'_>) -> Reply {
    let (mut added, mut updated, mut scored) = (0, 0, Reply::Null);
    for (score, member) in pairs.pairs() {
        let score = Double::parse(score).expect("the parser has read it");
        let held = sorted.score(member);
        let (held, score) = match held {
            Some(_) if options.missing => continue,
            None if options.existing => continue,
            Some(held) if options.increment => match Double::new(held.get() + score.get()) {
                Some(sum) => (Some(held), sum),
                None => return Reply::Error("ERR resulting score is not a number (NaN)".to_owned()),
            },
            held => (held, score),
        };
        let is_kept =
            held.is_some_and(|held| options.less && score >= held || options.greater && score <= held);
        if is_kept {
            continue;
        }
        scored = Reply::Double(score);
        if held != Some(score) {
            sorted.set(member, score);
            added += usize::from(held.is_none());
            updated += usize::from(held.is_some());
        }
    }
    match options {
        AddOptions { increment: true, .. } => scored,
        AddOptions { changed: true, .. } => length(added + updated),
        AddOptions { .. } => length(added),
    }
}

fn remove_part(sorted: &mut Sorted, part: Part<'_>) -> Reply {
    let ranks = sorted.ranks_of(part, false);
    let members: Vec<Bytes> = sorted
        .range(ranks, false)
        .map(|(member, _)| member.clone())
        .collect();
    length(members.iter().filter(|member| sorted.remove(member)).count())
}

/// A reply that is too large is one of a set that stays as it is.
fn pop(sorted: &mut Sorted, last: bool, count: Option<usize>) -> Reply {
    let popped = first_of(sorted, last, count.unwrap_or(1));
    let rows = match rows(popped.iter().cloned()) {
        Ok(rows) => rows,
        Err(too_large) => return within_budget(Err(too_large)),
    };
    for (member, _) in &popped {
        sorted.remove(member);
    }
    match count {
        Some(_) => Reply::Rows(rows),
        None => Reply::Array(
            rows.into_iter()
                .flat_map(|(member, score)| [member, score])
                .collect(),
        ),
    }
}

/// The first ones, or the last, last first.
fn first_of(sorted: &Sorted, last: bool, count: usize) -> Vec<(Bytes, Double)> {
    let found = sorted.range(0..sorted.len(), last).take(count);
    found.map(|(member, score)| (member.clone(), score)).collect()
}

fn store_part(keys: &mut Keys, key: &[u8], source: &[u8], parts: Parts<'_>) -> Result<Reply, Reply> {
    let mut made = Sorted::default();
    if let Some(sorted) = keys.held::<Sorted>(source)? {
        members_of(sorted, parts).for_each(|(member, score)| made.set(&member, score));
    }
    let count = made.len();
    keys.put(key, made);
    Ok(length(count))
}

/// Answers a command that reads.
///
/// # Panics
///
/// For one that writes.
pub(super) fn read(keys: &Keys, key: &[u8], command: SortedCommand<'_>, seed: u64) -> Reply {
    let nothing = Sorted::default();
    let sorted = match keys.held::<Sorted>(key) {
        Ok(held) => held.unwrap_or(&nothing),
        Err(reply) => return reply,
    };
    let score_of = |member| sorted.score(member).map_or(Reply::Null, Reply::Double);
    match command {
        SortedCommand::Score { member } => score_of(member),
        SortedCommand::Scores { members } => Reply::Array(members.iter().map(score_of).collect()),
        SortedCommand::Length => length(sorted.len()),
        SortedCommand::Count(part) => length(sorted.ranks_of(part, false).len()),
        SortedCommand::Rank { member, reverse } => match sorted.rank(member) {
            Some(rank) if reverse => length(sorted.len() - rank - 1),
            Some(rank) => length(rank),
            None => Reply::Null,
        },
        SortedCommand::Range(parts) => shown(members_of(sorted, parts), parts.with_scores),
        SortedCommand::Any => {
            let any = sorted.any(&mut Prng::new(seed));
            any.map_or(Reply::Null, |(member, _)| Reply::Bulk(member))
        }
        SortedCommand::Some { count, with_scores } => some(sorted, count, with_scores, seed),
        SortedCommand::Scan(asked) => {
            let (next, found) = sorted.scan(asked);
            scanned(
                next,
                found
                    .into_iter()
                    .flat_map(|(member, score)| [member, score.to_bytes()]),
            )
        }
        SortedCommand::Add { .. }
        | SortedCommand::Remove { .. }
        | SortedCommand::RemovePart(_)
        | SortedCommand::Pop { .. }
        | SortedCommand::StorePart { .. }
        | SortedCommand::StoreCombined(_) => unreachable!("it writes"),
    }
}

/// What a range gives, in its order.
fn members_of<'a>(sorted: &'a Sorted, parts: Parts<'_>) -> impl Iterator<Item = (Bytes, Double)> + use<'a> {
    let ranks = sorted.ranks_of(parts.part, parts.reverse);
    let (skipped, count) = match (parts.part, parts.limit) {
        (Part::Ranks(..), _) => (0, usize::MAX),
        (_, (skipped, count)) => (
            usize::try_from(skipped).unwrap_or(usize::MAX),
            usize::try_from(count).unwrap_or(usize::MAX),
        ),
    };
    let left = ranks.len().saturating_sub(skipped).min(count);
    let ranks = match parts.reverse {
        false => {
            let start = ranks.start.saturating_add(skipped).min(ranks.end);
            start..start + left
        }
        true => {
            let end = ranks.end.saturating_sub(skipped).max(ranks.start);
            end - left..end
        }
    };
    let found = sorted.range(ranks, parts.reverse);
    found.map(|(member, score)| (member.clone(), score))
}

fn some(sorted: &Sorted, count: i64, with_scores: bool, seed: u64) -> Reply {
    let mut prng = Prng::new(seed);
    let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count >= 0 {
        return shown(sorted.sample(size, &mut prng).into_iter(), with_scores);
    }
    shown(sorted.several(size, &mut prng), with_scores)
}

fn shown(members: impl Iterator<Item = (Bytes, Double)>, with_scores: bool) -> Reply {
    if with_scores {
        return within_budget(rows(members).map(Reply::Rows));
    }
    let mut budget = Budget::new();
    let items: Result<Vec<Reply>, TooLarge> = members.map(|(member, _)| budget.bulk(member)).collect();
    within_budget(items.map(Reply::Array))
}

fn rows(members: impl Iterator<Item = (Bytes, Double)>) -> Result<Vec<(Reply, Reply)>, TooLarge> {
    let mut budget = Budget::new();
    let rows = members.map(|(member, score)| {
        budget.element(0)?;
        Ok((budget.bulk(member)?, Reply::Double(score)))
    });
    rows.collect()
}

/// Carries out a command on several sorted sets.
pub(super) fn execute_several(keys: &mut Keys, command: SortedSetsCommand<'_>) -> Reply {
    match command {
        SortedSetsCommand::Pop {
            keys: names,
            last,
            count,
        } => pop_first(keys, names, last, count).unwrap_or_else(|reply| reply),
        SortedSetsCommand::Combined { .. } | SortedSetsCommand::CountCommon { .. } => {
            read_several(keys, command)
        }
    }
}

/// Answers a command on several sorted sets that reads.
///
/// # Panics
///
/// For one that writes.
pub(super) fn read_several(keys: &Keys, command: SortedSetsCommand<'_>) -> Reply {
    match command {
        SortedSetsCommand::Combined {
            combination,
            with_scores,
        } => match combined(keys, combination) {
            Ok(made) => shown(
                made.iter().map(|(member, score)| (member.clone(), score)),
                with_scores,
            ),
            Err(reply) => reply,
        },
        SortedSetsCommand::CountCommon { keys: names, limit } => match inputs(keys, names, None) {
            Ok(inputs) => length(common(&inputs).take(limit).count()),
            Err(reply) => reply,
        },
        SortedSetsCommand::Pop { .. } => unreachable!("it writes"),
    }
}

/// Pops from the first that is not empty.
fn pop_first(keys: &mut Keys, names: Args<'_>, last: bool, count: usize) -> Result<Reply, Reply> {
    for name in names.iter() {
        if keys.held::<Sorted>(name)?.is_none() {
            continue;
        }
        let popped = keys.change(name, |sorted: &mut Sorted| pop(sorted, last, Some(count)))?;
        let Reply::Rows(rows) = popped else {
            return Ok(popped);
        };
        let pairs = rows
            .into_iter()
            .map(|(member, score)| Reply::Array(vec![member, score]));
        let name = Reply::Bulk(Bytes::copy_from_slice(name));
        return Ok(Reply::Array(vec![name, Reply::Array(pairs.collect())]));
    }
    Ok(Reply::NullArray)
}

/// What is combined: sets count as sorted ones whose scores are all 1.
struct Input<'a> {
    kind: Kind<'a>,
    weight: f64,
}

#[derive(Clone, Copy)]
enum Kind<'a> {
    Nothing,
    Set(&'a Set),
    Sorted(&'a Sorted),
}

impl<'a> Input<'a> {
    fn len(&self) -> usize {
        match self.kind {
            Kind::Nothing => 0,
            Kind::Set(set) => set.len(),
            Kind::Sorted(sorted) => sorted.len(),
        }
    }

    fn score(&self, member: &[u8]) -> Option<Double> {
        let score = match self.kind {
            Kind::Nothing => None,
            Kind::Set(set) => set.has(member).then_some(1.0),
            Kind::Sorted(sorted) => sorted.score(member).map(Double::get),
        };
        score.map(|score| weighted(score, self.weight))
    }

    fn iter(&self) -> Box<dyn Iterator<Item = (Bytes, Double)> + 'a> {
        let weight = self.weight;
        match self.kind {
            Kind::Nothing => Box::new(std::iter::empty()),
            Kind::Set(set) => Box::new(set.iter().map(move |member| (member, weighted(1.0, weight)))),
            Kind::Sorted(sorted) => {
                let members = sorted.iter();
                Box::new(members.map(move |(member, score)| (member.clone(), weighted(score.get(), weight))))
            }
        }
    }
}

fn weighted(score: f64, weight: f64) -> Double {
    number(score * weight)
}

/// What is no number counts as zero, as in Redis.
fn number(score: f64) -> Double {
    Double::new(score).or(Double::new(0.0)).expect("zero is a number")
}

fn inputs<'a>(keys: &'a Keys, names: Args<'_>, weights: Option<Args<'_>>) -> Result<Vec<Input<'a>>, Reply> {
    let mut weights = weights.map(|weights| weights.iter());
    let inputs = names.iter().map(|name| {
        let weight = weights.as_mut().and_then(Iterator::next).and_then(Double::parse);
        let kind = match keys.get(name) {
            None => Kind::Nothing,
            Some(Value::Set(set)) => Kind::Set(set),
            Some(Value::Sorted(sorted)) => Kind::Sorted(sorted),
            Some(_) => return Err(wrong_type()),
        };
        let weight = weight.map_or(1.0, Double::get);
        Ok(Input { kind, weight })
    });
    inputs.collect()
}

/// The members of the first that are in all others, too; the smallest has to be the first.
fn common<'a>(inputs: &'a [Input<'a>]) -> impl Iterator<Item = (Bytes, Double)> + 'a {
    let smallest = inputs.iter().min_by_key(|input| input.len()).into_iter();
    let members = smallest.flat_map(Input::iter);
    members.filter(|(member, _)| inputs.iter().all(|input| input.score(member).is_some()))
}

fn combined(keys: &Keys, combination: Combination<'_>) -> Result<Sorted, Reply> {
    let Combination {
        combine,
        keys: names,
        weights,
        aggregate,
    } = combination;
    let mut inputs = inputs(keys, names, weights)?;
    let mut made = Sorted::default();
    match combine {
        Combine::Diff => {
            let (first, others) = inputs.split_first().expect("the parser takes one at least");
            let is_left = |member: &[u8]| others.iter().all(|other| other.score(member).is_none());
            for (member, score) in first.iter().filter(|(member, _)| is_left(member)) {
                made.set(&member, score);
            }
        }
        Combine::Union => {
            // The smallest comes first, as in Redis: sums of fractions depend on their order.
            inputs.sort_by_key(Input::len);
            for (member, score) in inputs.iter().flat_map(Input::iter) {
                let held = made.score(&member);
                made.set(
                    &member,
                    held.map_or(score, |held| aggregated(aggregate, held, score)),
                );
            }
        }
        Combine::Inter => {
            inputs.sort_by_key(Input::len);
            for (member, _) in common(&inputs) {
                let scores = inputs.iter().filter_map(|input| input.score(&member));
                let score = scores.reduce(|one, other| aggregated(aggregate, one, other));
                score.into_iter().for_each(|score| made.set(&member, score));
            }
        }
    }
    Ok(made)
}

fn aggregated(aggregate: Aggregate, one: Double, other: Double) -> Double {
    match aggregate {
        Aggregate::Sum => number(one.get() + other.get()),
        Aggregate::Min => one.min(other),
        Aggregate::Max => one.max(other),
    }
}

#[cfg(test)]
mod tests {
    use crate::machine::asked::Asked;

    #[test]
    fn a_sorted_set_without_members_is_no_key() {
        let mut asked = Asked::new();
        asked.check(&[
            ("ZADD z 1 a 2 b", ":2"),
            ("EXPIRE z 100", ":1"),
            ("ZREM z a", ":1"),
            ("TYPE z", "+zset"),
            ("ZPOPMAX z", "*2,$1,b,,2"),
            ("EXISTS z", ":0"),
            ("ZADD z XX 1 a", ":0"),
            ("EXISTS z", ":0"),
            ("ZADD z 3 c", ":1"),
            ("TTL z", ":-1"),
            ("ZRANGESTORE z z 5 9", ":0"),
            ("EXISTS z", ":0"),
        ]);
    }

    #[test]
    fn scores_order_the_members_and_names_those_of_one_score() {
        let mut asked = Asked::new();
        asked.check(&[
            ("ZADD z 2 b 1 c 1 a inf d -inf e -0 f", ":6"),
            ("ZRANGE z 0 -1", "*6,$1,e,$1,f,$1,a,$1,c,$1,b,$1,d"),
            (
                "ZRANGE z (1 +inf BYSCORE WITHSCORES",
                "*2,*2,$1,b,,2,*2,$1,d,,inf",
            ),
            ("ZRANGE z +inf (1 BYSCORE REV LIMIT 1 5", "*1,$1,b"),
            ("ZREVRANK z f", ":4"),
            ("ZSCORE z f", ",-0"),
            ("ZADD z 0 f", ":0"),
            ("ZSCORE z f", ",-0"),
            ("ZINCRBY z -inf d", "-ERR resulting score is not a number (NaN)"),
            ("ZSCORE z d", ",inf"),
            ("ZCOUNT z (-inf (inf", ":4"),
            ("ZREMRANGEBYRANK z -2 -1", ":2"),
            ("ZRANGE z 0 -1", "*4,$1,e,$1,f,$1,a,$1,c"),
        ]);
    }

    #[test]
    fn the_version_of_a_sorted_set_changes_when_it_does() {
        let mut asked = Asked::new();
        asked.check(&[
            ("ZADD z 1 a", ":1"), // entry 2
            ("ZADD z 1 a", ":0"),
            ("ZADD z NX 2 a", ":0"),
            ("ZREM z x", ":0"),
            ("NORAFT.VERSION z", ":2"),
            ("ZADD z GT CH 2 a", ":1"), // entry 6
            ("NORAFT.VERSION z", ":6"),
            ("PEXPIRE z 15", ":1"),
            ("SET k v", "+OK"),
            ("SET k v", "+OK"),
            ("ZCARD z", ":0"),
        ]);
    }
}
