//! Parsers of parts of a sorted set.

use super::data::DataCommand;
use super::refused::{error, integer, syntax_error};
use super::sorted::SortedCommand;
use super::sorted_parts::{NameEnd, Part, Parts, ScoreEnd};
use super::words::Words;
use crate::protocol::resp::{Double, Reply};

/// Both ends and the options of a range. `kind` has what the command's name says of it: `rev`, and one of `rank`, `score` and `lex`.
pub(super) fn parts<'a>(mut words: Words<'a>, kind: &str, may_have_scores: bool) -> Result<Parts<'a>, Reply> {
    let (mut first, mut last) = (words.next()?, words.next()?);
    let kinds = ["rank", "score", "lex"];
    let named = kinds.into_iter().find(|one| kind.ends_with(one));
    let (mut by, mut reverse) = (named, kind.starts_with("rev"));
    let (mut limit, mut with_scores) = ((0, -1), false);
    while !words.rest().is_empty() {
        if may_have_scores && words.take("WITHSCORES") {
            with_scores = true;
        } else if words.rest().len() > 2 && words.take("LIMIT") {
            limit = (words.integer()?, words.integer()?);
        } else if named.is_none() && !reverse && words.take("REV") {
            reverse = true;
        } else if by.is_none() && words.take("BYLEX") {
            by = Some("lex");
        } else if by.is_none() && words.take("BYSCORE") {
            by = Some("score");
        } else {
            return Err(syntax_error());
        }
    }
    let by = by.unwrap_or("rank");
    if limit.1 != -1 && by == "rank" {
        return Err(error(LIMIT_OF_RANKS));
    }
    if with_scores && by == "lex" {
        return Err(error(
            "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
        ));
    }
    if reverse && by != "rank" {
        std::mem::swap(&mut first, &mut last);
    }
    Ok(Parts {
        part: part_of(by, first, last)?,
        reverse,
        limit,
        with_scores,
    })
}

/// A command on the part between two ends, which are all that it has.
pub(super) fn removed<'a>(
    mut words: Words<'a>,
    by: &str,
    command: impl FnOnce(Part<'a>) -> SortedCommand<'a>,
) -> Result<DataCommand<'a>, Reply> {
    let (key, first, last) = (words.next()?, words.next()?, words.next()?);
    let part = part_of(by, first, last)?;
    words.end(DataCommand::Sorted(key, command(part)))
}

fn part_of<'a>(by: &str, first: &'a [u8], last: &'a [u8]) -> Result<Part<'a>, Reply> {
    Ok(match by {
        "rank" => Part::Ranks(integer(first)?, integer(last)?),
        "score" => {
            let end = |text| score_end(text).ok_or_else(|| error("ERR min or max is not a float"));
            Part::Scores(end(first)?, end(last)?)
        }
        _ => {
            let refused = || error("ERR min or max not valid string range item");
            let end = |text| name_end(text).ok_or_else(refused);
            Part::Names(end(first)?, end(last)?)
        }
    })
}

fn score_end(text: &[u8]) -> Option<ScoreEnd> {
    let (text, excluded) = match text.strip_prefix(b"(") {
        Some(text) => (text, true),
        None => (text, false),
    };
    // Redis takes nothing for zero here.
    let text = if text.is_empty() { b"0" } else { text };
    let score = Double::parse(text)?;
    Some(ScoreEnd { score, excluded })
}

fn name_end(text: &[u8]) -> Option<NameEnd<'_>> {
    match text {
        b"-" => Some(NameEnd::First),
        b"+" => Some(NameEnd::Last),
        [b'[', name @ ..] => Some(NameEnd::Included(name)),
        [b'(', name @ ..] => Some(NameEnd::Excluded(name)),
        [..] => None,
    }
}

const LIMIT_OF_RANKS: &str =
    "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX";
