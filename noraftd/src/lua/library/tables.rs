//! `table` (Lua 5.1 reference manual, 5.5).

use super::{Arguments, Row};
use crate::lua::eval::first;
use crate::lua::value::{Failure, Returned, TableId, Value};
use crate::lua::vm::{ENTRY_BYTES, TEXT_BYTES, Vm};

pub(super) const FUNCTIONS: &[Row] = &[
    ("concat", "table.concat", concat),
    ("getn", "table.getn", get_n),
    ("insert", "table.insert", insert),
    ("maxn", "table.maxn", max_n),
    ("remove", "table.remove", remove),
    ("sort", "table.sort", sort),
];

fn number(n: usize) -> Value {
    Value::Number(n as f64)
}

fn get_n(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let table = Arguments::new("getn", values).table(vm, 0)?;
    Ok(vec![number(vm.at(table).length())])
}

fn max_n(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let table = Arguments::new("maxn", values).table(vm, 0)?;
    let (mut most, mut key) = (0.0, Value::Nil);
    loop {
        let Ok((found, seen)) = vm.at(table).next(&key) else {
            break;
        };
        vm.step(1 + seen as u64)?;
        let Some((next, _)) = found else { break };
        if let Value::Number(number) = next {
            most = f64::max(most, number);
        }
        key = next;
    }
    Ok(vec![Value::Number(most)])
}

fn concat(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("concat", values);
    let table = arguments.table(vm, 0)?;
    let between = arguments.text_or(vm, 1, b"")?;
    let length = i64::try_from(vm.at(table).length()).unwrap_or(i64::MAX);
    let (first, last) = (
        arguments.integer_or(vm, 2, 1)?,
        arguments.integer_or(vm, 3, length)?,
    );
    let mut joined = Vec::new();
    for at in first..=last {
        vm.step(1)?;
        let value = vm.at(table).get(&Value::Number(at as f64));
        let Some(text) = Vm::to_text(&value) else {
            let kind = value.type_name();
            let text = format!("invalid value ({kind}) at index {at} in table for 'concat'");
            return Err(vm.raised(&text));
        };
        vm.make(text.len() + between.len())?;
        joined.extend_from_slice(&text);
        if at != last {
            joined.extend_from_slice(&between);
        }
    }
    vm.make(TEXT_BYTES)?;
    Ok(vec![Value::Text(joined.into())])
}

/// The table may be changed.
fn changeable(vm: &Vm<'_>, table: TableId) -> Result<(), Failure> {
    match vm.at(table).is_readonly {
        true => Err(vm.readonly()),
        false => Ok(()),
    }
}

fn insert(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("insert", values);
    let table = arguments.table(vm, 0)?;
    changeable(vm, table)?;
    let length = vm.at(table).length();
    match arguments.len() {
        2 => vm.put(table, &number(length + 1), arguments.get(1))?,
        3 => {
            let at = arguments.integer(vm, 1)?;
            let value = arguments.get(2);
            let place = usize::try_from(at).ok().filter(|at| (1..=length).contains(at));
            match place {
                Some(place) if !value.is_nil() => {
                    vm.step((length - place) as u64 / MOVED_A_STEP)?;
                    vm.make(ENTRY_BYTES)?;
                    vm.at_mut(table).insert_at(place - 1, value);
                }
                Some(place) => {
                    for at in (place..=length).rev() {
                        vm.step(1)?;
                        let moved = vm.at(table).get(&number(at));
                        vm.put(table, &number(at + 1), moved)?;
                    }
                    vm.put(table, &number(place), value)?;
                }
                None => vm.put(table, &Value::Number(at as f64), value)?,
            }
        }
        _ => return Err(vm.raised("wrong number of arguments to 'insert'")),
    }
    Ok(Vec::new())
}

fn remove(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("remove", values);
    let table = arguments.table(vm, 0)?;
    changeable(vm, table)?;
    let length = vm.at(table).length();
    let at = arguments.integer_or(vm, 1, i64::try_from(length).unwrap_or(i64::MAX))?;
    let place = usize::try_from(at).ok().filter(|at| (1..=length).contains(at));
    let Some(place) = place else {
        return Ok(Vec::new());
    };
    vm.step((length - place) as u64 / MOVED_A_STEP)?;
    Ok(vec![vm.at_mut(table).remove_at(place - 1)])
}

/// By merging: an order that makes no sense ends as well.
fn sort(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("sort", values);
    let table = arguments.table(vm, 0)?;
    changeable(vm, table)?;
    let order = match arguments.get(1) {
        Value::Nil => None,
        _ => Some(arguments.function(vm, 1)?),
    };
    let mut from = vm.at(table).array().to_vec();
    vm.step(from.len() as u64)?;
    let count = from.len();
    let mut width = 1;
    while width < count {
        let mut merged = Vec::with_capacity(count);
        for start in (0..count).step_by(2 * width) {
            let middle = (start + width).min(count);
            let end = (start + 2 * width).min(count);
            merge(vm, order.as_ref(), &from, (start, middle, end), &mut merged)?;
        }
        from = merged;
        width *= 2;
    }
    // The order may have changed the table meanwhile.
    for (value, at) in from.into_iter().zip(1..) {
        vm.put(table, &Value::Number(f64::from(at)), value)?;
    }
    Ok(Vec::new())
}

fn merge(
    vm: &mut Vm<'_>,
    order: Option<&Value>,
    from: &[Value],
    (start, middle, end): (usize, usize, usize),
    merged: &mut Vec<Value>,
) -> Result<(), Failure> {
    let (mut left, mut right) = (start, middle);
    while let (Some(one), Some(other)) = (
        from.get(left).filter(|_| left < middle),
        from.get(right).filter(|_| right < end),
    ) {
        vm.step(2)?;
        let is_less = match order {
            None => vm.is_less(other, one)?,
            Some(order) => first(vm.call(order, vec![other.clone(), one.clone()])?).is_true(),
        };
        if is_less {
            merged.push(other.clone());
            right += 1;
        } else {
            merged.push(one.clone());
            left += 1;
        }
    }
    merged.extend_from_slice(from.get(left..middle).unwrap_or_default());
    merged.extend_from_slice(from.get(right..end).unwrap_or_default());
    Ok(())
}

/// Elements that are moved within the time of a step.
const MOVED_A_STEP: u64 = 8;
