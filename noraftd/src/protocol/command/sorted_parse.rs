//! Parsers of the commands on sorted sets.

use super::Args;
use super::data::{DataCommand, Row};
use super::refused::{error, syntax_error};
use super::sets::Combine;
use super::sorted::{AddOptions, Aggregate, Combination, SortedCommand, SortedSetsCommand};
use super::sorted_parts_parse::{parts, removed};
use super::words::{Scan, Words};
use crate::protocol::resp::{Double, Reply};

pub(super) const ROWS: &[Row] = &[
    Row::write(40, "zadd", add),
    Row::write(41, "zincrby", |mut words| {
        let key = words.next()?;
        let options = AddOptions {
            increment: true,
            ..AddOptions::default()
        };
        added(key, options, words)
    }),
    Row::write(42, "zrem", |words| {
        of_members(words, |members| SortedCommand::Remove { members })
    }),
    Row::write(43, "zremrangebyrank", |words| {
        removed(words, "rank", SortedCommand::RemovePart)
    }),
    Row::write(44, "zremrangebyscore", |words| {
        removed(words, "score", SortedCommand::RemovePart)
    }),
    Row::write(45, "zremrangebylex", |words| {
        removed(words, "lex", SortedCommand::RemovePart)
    }),
    Row::write(46, "zpopmin", |words| pop(words, false)),
    Row::write(47, "zpopmax", |words| pop(words, true)),
    Row::write(48, "zmpop", pop_of_several),
    Row::write(49, "zrangestore", |mut words| {
        let (key, source) = (words.next()?, words.next()?);
        let parts = parts(words, "", false)?;
        Ok(DataCommand::Sorted(
            key,
            SortedCommand::StorePart { source, parts },
        ))
    }),
    Row::write(50, "zunionstore", |words| {
        store(words, Combine::Union, "zunionstore")
    }),
    Row::write(51, "zinterstore", |words| {
        store(words, Combine::Inter, "zinterstore")
    }),
    Row::write(52, "zdiffstore", |words| {
        store(words, Combine::Diff, "zdiffstore")
    }),
    Row::read(53, "zscore", |words| {
        of_member(words, |member| SortedCommand::Score { member })
    }),
    Row::read(54, "zmscore", |words| {
        of_members(words, |members| SortedCommand::Scores { members })
    }),
    Row::read(55, "zcard", |mut words| {
        let key = words.next()?;
        words.end(DataCommand::Sorted(key, SortedCommand::Length))
    }),
    Row::read(56, "zcount", |words| {
        removed(words, "score", SortedCommand::Count)
    }),
    Row::read(57, "zlexcount", |words| {
        removed(words, "lex", SortedCommand::Count)
    }),
    Row::read(58, "zrank", |words| {
        of_member(words, |member| SortedCommand::Rank {
            member,
            reverse: false,
        })
    }),
    Row::read(59, "zrevrank", |words| {
        of_member(words, |member| SortedCommand::Rank {
            member,
            reverse: true,
        })
    }),
    Row::read(60, "zrange", |words| range(words, "")),
    Row::read(61, "zrevrange", |words| range(words, "rev rank")),
    Row::read(62, "zrangebyscore", |words| range(words, "score")),
    Row::read(63, "zrevrangebyscore", |words| range(words, "rev score")),
    Row::read(64, "zrangebylex", |words| range(words, "lex")),
    Row::read(65, "zrevrangebylex", |words| range(words, "rev lex")),
    Row::read(66, "zunion", |words| combined(words, Combine::Union, "zunion")),
    Row::read(67, "zinter", |words| combined(words, Combine::Inter, "zinter")),
    Row::read(68, "zdiff", |words| combined(words, Combine::Diff, "zdiff")),
    Row::read(69, "zintercard", count_common),
    Row::read(70, "zrandmember", random),
    Row::read(71, "zscan", |mut words| {
        let key = words.next()?;
        let scan = SortedCommand::Scan(Scan::parse(&mut words)?);
        words.end(DataCommand::Sorted(key, scan))
    }),
];

fn add(mut words: Words<'_>) -> Result<DataCommand<'_>, Reply> {
    let key = words.next()?;
    let mut options = AddOptions::default();
    loop {
        let option = match () {
            () if words.take("NX") => &mut options.missing,
            () if words.take("XX") => &mut options.existing,
            () if words.take("GT") => &mut options.greater,
            () if words.take("LT") => &mut options.less,
            () if words.take("CH") => &mut options.changed,
            () if words.take("INCR") => &mut options.increment,
            () => break,
        };
        *option = true;
    }
    added(key, options, words)
}

fn added<'a>(key: &'a [u8], options: AddOptions, words: Words<'a>) -> Result<DataCommand<'a>, Reply> {
    let pairs = words.some()?;
    let AddOptions {
        missing,
        existing,
        greater,
        less,
        ..
    } = options;
    if !pairs.len().is_multiple_of(2) {
        return Err(syntax_error());
    }
    if missing && existing {
        return Err(error("ERR XX and NX options at the same time are not compatible"));
    }
    if missing && (greater || less) || greater && less {
        return Err(error(
            "ERR GT, LT, and/or NX options at the same time are not compatible",
        ));
    }
    if options.increment && pairs.len() > 2 {
        return Err(error("ERR INCR option supports a single increment-element pair"));
    }
    if pairs.pairs().any(|(score, _)| Double::parse(score).is_none()) {
        return Err(error("ERR value is not a valid float"));
    }
    Ok(DataCommand::Sorted(key, SortedCommand::Add { options, pairs }))
}

fn pop(mut words: Words<'_>, last: bool) -> Result<DataCommand<'_>, Reply> {
    let key = words.next()?;
    let count = match words.rest().len() {
        0 => None,
        1 => Some(words.size("ERR value is out of range, must be positive")?),
        _ => return Err(syntax_error()),
    };
    words.end(DataCommand::Sorted(key, SortedCommand::Pop { last, count }))
}

fn pop_of_several(mut words: Words<'_>) -> Result<DataCommand<'_>, Reply> {
    let keys = words.keys("ERR numkeys should be greater than 0", "ERR syntax error")?;
    let last = !words.take("MIN");
    if last && !words.take("MAX") {
        return Err(syntax_error());
    }
    let count = words.counted()?;
    words.end(DataCommand::SortedSets(SortedSetsCommand::Pop {
        keys,
        last,
        count,
    }))
}

fn range<'a>(mut words: Words<'a>, kind: &str) -> Result<DataCommand<'a>, Reply> {
    let key = words.next()?;
    let parts = parts(words, kind, true)?;
    Ok(DataCommand::Sorted(key, SortedCommand::Range(parts)))
}

fn store<'a>(mut words: Words<'a>, combine: Combine, name: &str) -> Result<DataCommand<'a>, Reply> {
    let key = words.next()?;
    let (combination, _) = combination(words, combine, name, false)?;
    Ok(DataCommand::Sorted(
        key,
        SortedCommand::StoreCombined(combination),
    ))
}

fn combined<'a>(words: Words<'a>, combine: Combine, name: &str) -> Result<DataCommand<'a>, Reply> {
    let (combination, with_scores) = combination(words, combine, name, true)?;
    Ok(DataCommand::SortedSets(SortedSetsCommand::Combined {
        combination,
        with_scores,
    }))
}

fn combination<'a>(
    mut words: Words<'a>,
    combine: Combine,
    name: &str,
    may_have_scores: bool,
) -> Result<(Combination<'a>, bool), Reply> {
    let keys = words.inputs(name)?;
    let (mut weights, mut aggregate, mut with_scores) = (None, Aggregate::Sum, false);
    let is_weighted = combine != Combine::Diff;
    while !words.rest().is_empty() {
        let left = words.rest().len();
        if is_weighted && left > keys.len() && words.take("WEIGHTS") {
            let all = words.several(keys.len())?;
            if all.iter().any(|weight| Double::parse(weight).is_none()) {
                return Err(error("ERR weight value is not a float"));
            }
            weights = Some(all);
        } else if is_weighted && left > 1 && words.take("AGGREGATE") {
            aggregate = match () {
                () if words.take("SUM") => Aggregate::Sum,
                () if words.take("MIN") => Aggregate::Min,
                () if words.take("MAX") => Aggregate::Max,
                () => return Err(syntax_error()),
            };
        } else if may_have_scores && words.take("WITHSCORES") {
            with_scores = true;
        } else {
            return Err(syntax_error());
        }
    }
    let combination = Combination {
        combine,
        keys,
        weights,
        aggregate,
    };
    Ok((combination, with_scores))
}

fn count_common(mut words: Words<'_>) -> Result<DataCommand<'_>, Reply> {
    let keys = words.inputs("zintercard")?;
    let limit = words.limited()?;
    Ok(DataCommand::SortedSets(SortedSetsCommand::CountCommon {
        keys,
        limit,
    }))
}

fn random(mut words: Words<'_>) -> Result<DataCommand<'_>, Reply> {
    let key = words.next()?;
    if words.rest().is_empty() {
        return Ok(DataCommand::Sorted(key, SortedCommand::Any));
    }
    let count = words.count()?;
    let with_scores = words.take("WITHSCORES");
    let command = words.end(DataCommand::Sorted(
        key,
        SortedCommand::Some { count, with_scores },
    ))?;
    if with_scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(error("ERR value is out of range"));
    }
    Ok(command)
}

fn of_member<'a>(
    mut words: Words<'a>,
    command: impl FnOnce(&'a [u8]) -> SortedCommand<'a>,
) -> Result<DataCommand<'a>, Reply> {
    let (key, member) = (words.next()?, words.next()?);
    words.end(DataCommand::Sorted(key, command(member)))
}

fn of_members<'a>(
    mut words: Words<'a>,
    command: impl FnOnce(Args<'a>) -> SortedCommand<'a>,
) -> Result<DataCommand<'a>, Reply> {
    let key = words.next()?;
    let members = words.some()?;
    Ok(DataCommand::Sorted(key, command(members)))
}
