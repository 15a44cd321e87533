//! Parsers of the commands on lists.

use super::data::{DataCommand, Row};
use super::lists::{FindOptions, ListCommand, Side};
use super::refused::{error, syntax_error, wrong_arity};
use super::words::Words;
use crate::protocol::resp::Reply;

pub(super) const ROWS: &[Row] = &[
    Row::write(80, "lpush", |words| push(words, Side::Left, false)),
    Row::write(81, "rpush", |words| push(words, Side::Right, false)),
    Row::write(82, "lpushx", |words| push(words, Side::Left, true)),
    Row::write(83, "rpushx", |words| push(words, Side::Right, true)),
    Row::write(84, "lpop", |words| pop(words, Side::Left, "lpop")),
    Row::write(85, "rpop", |words| pop(words, Side::Right, "rpop")),
    Row::write(86, "lset", |mut words| {
        let (key, index, element) = (words.next()?, words.integer()?, words.next()?);
        words.end(DataCommand::List(key, ListCommand::Set { index, element }))
    }),
    Row::write(87, "lrem", |mut words| {
        let (key, count, element) = (words.next()?, words.count()?, words.next()?);
        words.end(DataCommand::List(key, ListCommand::Remove { count, element }))
    }),
    Row::write(88, "linsert", insert),
    Row::write(89, "ltrim", |mut words| {
        let (key, first, last) = (words.next()?, words.integer()?, words.integer()?);
        words.end(DataCommand::List(key, ListCommand::Trim { first, last }))
    }),
    Row::write(90, "lmove", |mut words| {
        let (key, to, from_side, to_side) =
            (words.next()?, words.next()?, side(&mut words)?, side(&mut words)?);
        words.end(DataCommand::List(
            key,
            ListCommand::Move {
                to,
                from_side,
                to_side,
            },
        ))
    }),
    Row::write(91, "rpoplpush", |mut words| {
        let (key, to) = (words.next()?, words.next()?);
        let (from_side, to_side) = (Side::Right, Side::Left);
        words.end(DataCommand::List(
            key,
            ListCommand::Move {
                to,
                from_side,
                to_side,
            },
        ))
    }),
    Row::write(92, "lmpop", |mut words| {
        let keys = words.keys("ERR numkeys should be greater than 0", "ERR syntax error")?;
        let (side, count) = (side(&mut words)?, words.counted()?);
        words.end(DataCommand::PopLists { keys, side, count })
    }),
    Row::read(93, "llen", |mut words| {
        let key = words.next()?;
        words.end(DataCommand::List(key, ListCommand::Length))
    }),
    Row::read(94, "lindex", |mut words| {
        let (key, index) = (words.next()?, words.integer()?);
        words.end(DataCommand::List(key, ListCommand::Get { index }))
    }),
    Row::read(95, "lrange", |mut words| {
        let (key, first, last) = (words.next()?, words.integer()?, words.integer()?);
        words.end(DataCommand::List(key, ListCommand::Range { first, last }))
    }),
    Row::read(96, "lpos", find),
];

fn side(words: &mut Words<'_>) -> Result<Side, Reply> {
    match () {
        () if words.take("LEFT") => Ok(Side::Left),
        () if words.take("RIGHT") => Ok(Side::Right),
        () => Err(syntax_error()),
    }
}

fn push(mut words: Words<'_>, side: Side, existing: bool) -> Result<DataCommand<'_>, Reply> {
    let key = words.next()?;
    let elements = words.some()?;
    let push = ListCommand::Push {
        side,
        elements,
        existing,
    };
    Ok(DataCommand::List(key, push))
}

fn pop<'a>(mut words: Words<'a>, side: Side, name: &str) -> Result<DataCommand<'a>, Reply> {
    let key = words.next()?;
    let count = match words.rest().len() {
        0 => None,
        1 => Some(words.size("ERR value is out of range, must be positive")?),
        _ => return Err(wrong_arity(name)),
    };
    words.end(DataCommand::List(key, ListCommand::Pop { side, count }))
}

fn insert(mut words: Words<'_>) -> Result<DataCommand<'_>, Reply> {
    let key = words.next()?;
    let after = !words.take("BEFORE");
    if after && !words.take("AFTER") {
        return Err(syntax_error());
    }
    let (pivot, element) = (words.next()?, words.next()?);
    let insert = ListCommand::Insert {
        after,
        pivot,
        element,
    };
    words.end(DataCommand::List(key, insert))
}

fn find(mut words: Words<'_>) -> Result<DataCommand<'_>, Reply> {
    let (key, element) = (words.next()?, words.next()?);
    let mut options = FindOptions {
        rank: 1,
        count: None,
        looked_at_max: usize::MAX,
    };
    let or_all = |size| if size == 0 { usize::MAX } else { size };
    while !words.rest().is_empty() {
        let has_value = words.rest().len() > 1;
        if has_value && words.take("RANK") {
            options.rank = words.count()?;
            if options.rank == 0 {
                return Err(error(RANK_ZERO));
            }
        } else if has_value && words.take("COUNT") {
            options.count = Some(or_all(words.size("ERR COUNT can't be negative")?));
        } else if has_value && words.take("MAXLEN") {
            options.looked_at_max = or_all(words.size("ERR MAXLEN can't be negative")?);
        } else {
            return Err(syntax_error());
        }
    }
    Ok(DataCommand::List(key, ListCommand::Find { element, options }))
}

const RANK_ZERO: &str = "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list";
