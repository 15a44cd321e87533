//! Commands on lists.

use bytes::Bytes;
use imbl::Vector;

use super::keys::Keys;
use super::list::{List, within};
use super::reply::{Budget, TooLarge, length, within_budget};
use crate::protocol::command::{Args, FindOptions, ListCommand, Side};
use crate::protocol::resp::Reply;

/// Carries out a command on the list at `key`.
pub(super) fn execute(keys: &mut Keys, key: &[u8], command: ListCommand<'_>) -> Reply {
    let changed = match command {
        ListCommand::Push {
            side,
            elements,
            existing,
        } => push(keys, key, side, elements, existing),
        ListCommand::Pop { side, count } => keys.change(key, |list| pop(list, side, count)),
        ListCommand::Set { index, element } => set(keys, key, index, element),
        ListCommand::Remove { count, element } => keys.change(key, |list| remove(list, count, element)),
        ListCommand::Insert {
            after,
            pivot,
            element,
        } => keys.change(key, |list| insert(list, after, pivot, element)),
        ListCommand::Trim { first, last } => keys.change(key, |list| trim(list, first, last)),
        ListCommand::Move {
            to,
            from_side,
            to_side,
        } => move_element(keys, (key, from_side), (to, to_side)),
        ListCommand::Length
        | ListCommand::Get { .. }
        | ListCommand::Range { .. }
        | ListCommand::Find { .. } => Ok(read(keys, key, command)),
    };
    changed.unwrap_or_else(|reply| reply)
}

fn push(keys: &mut Keys, key: &[u8], side: Side, elements: Args<'_>, existing: bool) -> Result<Reply, Reply> {
    if existing && keys.held::<List>(key)?.is_none() {
        return Ok(Reply::Integer(0));
    }
    keys.change(key, |list: &mut List| {
        let elements = elements.iter().map(Bytes::copy_from_slice);
        elements.for_each(|element| list.push(side, element));
        length(list.len())
    })
}

fn pop(list: &mut List, side: Side, count: Option<usize>) -> Reply {
    let Some(count) = count else {
        return list.pop(side).map_or(Reply::Null, Reply::Bulk);
    };
    if list.len() == 0 {
        return Reply::NullArray;
    }
    pop_some(list, side, count).map_or_else(|too_large| within_budget(Err(too_large)), Reply::Array)
}

/// What is more than a reply may be stays in the list.
fn pop_some(list: &mut List, side: Side, count: usize) -> Result<Vec<Reply>, TooLarge> {
    let (mut budget, count) = (Budget::new(), count.min(list.len()));
    let ends: Box<dyn Iterator<Item = &Bytes>> = match side {
        Side::Left => Box::new(list.iter()),
        Side::Right => Box::new(list.iter().rev()),
    };
    let popped: Result<Vec<Reply>, TooLarge> = ends
        .take(count)
        .map(|element| budget.bulk(element.clone()))
        .collect();
    let popped = popped?;
    (0..count).for_each(|_| drop(list.pop(side)));
    Ok(popped)
}

fn set(keys: &mut Keys, key: &[u8], index: i64, element: &[u8]) -> Result<Reply, Reply> {
    if keys.held::<List>(key)?.is_none() {
        return Ok(Reply::Error("ERR no such key".to_owned()));
    }
    keys.change(key, |list: &mut List| match list.place(index) {
        Some(at) => {
            list.set(at, Bytes::copy_from_slice(element));
            Reply::Status("OK")
        }
        None => Reply::Error("ERR index out of range".to_owned()),
    })
}

fn remove(list: &mut List, count: i64, element: &[u8]) -> Reply {
    let most = match usize::try_from(count.unsigned_abs()) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(most) => most,
    };
    let mut removed = 0;
    let mut stays = |held: &&Bytes| {
        let goes = removed < most && **held == element;
        removed += usize::from(goes);
        !goes
    };
    let left: Vector<Bytes> = if count >= 0 {
        list.iter().filter(&mut stays).cloned().collect()
    } else {
        let mut left: Vec<&Bytes> = list.iter().rev().filter(&mut stays).collect();
        left.reverse();
        left.into_iter().cloned().collect()
    };
    if removed > 0 {
        list.replace(left);
    }
    length(removed)
}

fn insert(list: &mut List, after: bool, pivot: &[u8], element: &[u8]) -> Reply {
    if list.len() == 0 {
        return Reply::Integer(0);
    }
    let Some(at) = list.iter().position(|held| *held == pivot) else {
        return Reply::Integer(-1);
    };
    let at = at + usize::from(after);
    let (before, behind) = (list.elements.iter().take(at), list.elements.iter().skip(at));
    let inserted = [Bytes::copy_from_slice(element)];
    let elements = before.cloned().chain(inserted).chain(behind.cloned()).collect();
    list.replace(elements);
    length(list.len())
}

fn trim(list: &mut List, first: i64, last: i64) -> Reply {
    let left = within(first, last, list.len());
    let behind = list.len() - left.end;
    (0..behind).for_each(|_| drop(list.pop(Side::Right)));
    (0..left.start).for_each(|_| drop(list.pop(Side::Left)));
    Reply::Status("OK")
}

fn move_element(
    keys: &mut Keys,
    (from, from_side): (&[u8], Side),
    (to, to_side): (&[u8], Side),
) -> Result<Reply, Reply> {
    if keys.held::<List>(from)?.is_none() {
        return Ok(Reply::Null);
    }
    keys.held::<List>(to)?;
    if from == to {
        return keys.change(from, |list: &mut List| rotate(list, from_side, to_side));
    }
    let Some(element) = keys.change(from, |list: &mut List| list.pop(from_side))? else {
        return Ok(Reply::Null);
    };
    keys.change(to, |list: &mut List| list.push(to_side, element.clone()))?;
    Ok(Reply::Bulk(element))
}

fn rotate(list: &mut List, from: Side, to: Side) -> Reply {
    let element = list.pop(from);
    element.iter().for_each(|element| list.push(to, element.clone()));
    element.map_or(Reply::Null, Reply::Bulk)
}

/// Pops from the first list that there is.
pub(super) fn pop_first(keys: &mut Keys, names: Args<'_>, side: Side, count: usize) -> Reply {
    for name in names.iter() {
        match keys.held::<List>(name) {
            Ok(Some(_)) => {}
            Ok(None) => continue,
            Err(reply) => return reply,
        }
        let popped = keys.change(name, |list: &mut List| pop_some(list, side, count));
        return match popped {
            Ok(Ok(popped)) => {
                let name = Reply::Bulk(Bytes::copy_from_slice(name));
                Reply::Array(vec![name, Reply::Array(popped)])
            }
            Ok(Err(too_large)) => within_budget(Err(too_large)),
            Err(reply) => reply,
        };
    }
    Reply::NullArray
}

/// Answers a command that reads.
///
/// # Panics
///
/// For one that writes.
pub(super) fn read(keys: &Keys, key: &[u8], command: ListCommand<'_>) -> Reply {
    let nothing = List::default();
    let list = match keys.held::<List>(key) {
        Ok(held) => held.unwrap_or(&nothing),
        Err(reply) => return reply,
    };
    match command {
        ListCommand::Length => length(list.len()),
        ListCommand::Get { index } => {
            let element = list.place(index).and_then(|at| list.elements.get(at));
            element.cloned().map_or(Reply::Null, Reply::Bulk)
        }
        ListCommand::Range { first, last } => {
            let mut budget = Budget::new();
            let range = within(first, last, list.len());
            let found = list.elements.focus().narrow(range).into_iter();
            let items: Result<Vec<Reply>, TooLarge> =
                found.map(|element| budget.bulk(element.clone())).collect();
            within_budget(items.map(Reply::Array))
        }
        ListCommand::Find { element, options } => find(list, element, options),
        ListCommand::Push { .. }
        | ListCommand::Pop { .. }
        | ListCommand::Set { .. }
        | ListCommand::Remove { .. }
        | ListCommand::Insert { .. }
        | ListCommand::Trim { .. }
        | ListCommand::Move { .. } => unreachable!("it writes"),
    }
}

fn find(list: &List, element: &[u8], options: FindOptions) -> Reply {
    let (count, last) = (list.len(), options.rank < 0);
    let mut places: Box<dyn Iterator<Item = (usize, &Bytes)>> = match last {
        false => Box::new((0..count).zip(list.iter())),
        true => Box::new((0..count).rev().zip(list.iter().rev())),
    };
    let skipped = usize::try_from(options.rank.unsigned_abs() - 1).unwrap_or(usize::MAX);
    let found = places.by_ref().take(options.looked_at_max);
    let found = found.filter(|(_, held)| **held == element).skip(skipped);
    let mut found = found.map(|(at, _)| length(at));
    match options.count {
        None => found.next().unwrap_or(Reply::Null),
        Some(most) => {
            let mut budget = Budget::new();
            let items = found.take(most).map(|at| budget.element(0).map(|()| at));
            within_budget(items.collect::<Result<_, TooLarge>>().map(Reply::Array))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::machine::asked::Asked;

    #[test]
    fn a_list_without_elements_is_no_key() {
        let mut asked = Asked::new();
        asked.check(&[
            ("RPUSH l a b c", ":3"),
            ("EXPIRE l 100", ":1"),
            ("LPOP l 2", "*2,$1,a,$1,b"),
            ("TYPE l", "+list"),
            ("LMOVE l m LEFT RIGHT", "$1,c"),
            ("EXISTS l m", ":1"),
            ("TTL m", ":-1"),
            ("LTRIM m 1 0", "+OK"),
            ("EXISTS m", ":0"),
            ("LPOP m", "_"),
            ("LPOP m 1", "_"),
            ("LPUSHX m a", ":0"),
            ("LINSERT m BEFORE a b", ":0"),
            ("EXISTS m", ":0"),
            ("LPUSH l x", ":1"),
            ("TTL l", ":-1"),
            ("LREM l 0 x", ":1"),
            ("EXISTS l", ":0"),
        ]);
    }

    #[test]
    fn the_version_of_a_list_changes_when_it_does() {
        let mut asked = Asked::new();
        asked.check(&[
            ("RPUSH l a b", ":2"), // entry 2
            ("LREM l 0 x", ":0"),
            ("LSET l 0 a", "+OK"),
            ("LTRIM l 0 -1", "+OK"),
            ("LSET l 2 a", "-ERR index out of range"),
            ("NORAFT.VERSION l", ":2"),
            ("LMOVE l l LEFT RIGHT", "$1,a"), // entry 7
            ("NORAFT.VERSION l", ":7"),
            ("LRANGE l 0 -1", "*2,$1,b,$1,a"),
        ]);
    }
}
