//! The functions that are global (Lua 5.1 reference manual, 5.1).

use super::{Arguments, IPAIRS_NEXT, NEXT, Row};
use crate::lua::number;
use crate::lua::value::{Failure, Function, Returned, Value};
use crate::lua::vm::{CHUNK_NAME, Vm};

pub(super) const FUNCTIONS: &[Row] = &[
    ("assert", "assert", assert),
    ("error", "error", error),
    ("getmetatable", "getmetatable", get_metatable),
    ("ipairs", "ipairs", ipairs),
    ("next", "next", next),
    ("pairs", "pairs", pairs),
    ("pcall", "pcall", pcall),
    ("rawequal", "rawequal", raw_equal),
    ("rawget", "rawget", raw_get),
    ("rawset", "rawset", raw_set),
    ("select", "select", select),
    ("setmetatable", "setmetatable", set_metatable),
    ("tonumber", "tonumber", to_number),
    ("tostring", "tostring", to_string),
    ("type", "type", type_of),
    ("unpack", "unpack", unpack),
    ("xpcall", "xpcall", xpcall),
];

fn assert(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("assert", values);
    match arguments.any(vm, 0)?.is_true() {
        true => Ok(arguments.into_values()),
        false => match arguments.get(1) {
            Value::Nil => Err(vm.raised("assertion failed!")),
            _ => {
                let text = arguments.text(vm, 1)?;
                Err(vm.raised(&String::from_utf8_lossy(&text)))
            }
        },
    }
}

fn error(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("error", values);
    let level = arguments.integer_or(vm, 1, 1)?;
    let line = match level {
        1 => Some(vm.line),
        // What called the whole text has no line.
        2 if vm.lines.len() > 1 => vm.lines.last().copied(),
        _ => None,
    };
    match (arguments.get(0), line) {
        (Value::Text(text), Some(line)) => {
            let text = [format!("{CHUNK_NAME}:{line}: ").as_bytes(), &text].concat();
            let text = vm.text(text)?;
            Err(vm.failed(text))
        }
        (value, _) => Err(vm.failed(value)),
    }
}

fn get_metatable(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let value = Arguments::new("getmetatable", values).any(vm, 0)?;
    let protected = vm.metamethod(&value, "__metatable");
    let meta = match value {
        Value::Table(table) => vm.at(table).meta,
        _ => None,
    };
    Ok(vec![match protected {
        Value::Nil => meta.map_or(Value::Nil, Value::Table),
        protected => protected,
    }])
}

fn set_metatable(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("setmetatable", values);
    let table = arguments.table(vm, 0)?;
    let meta = match arguments.get(1) {
        Value::Nil if arguments.len() > 1 => None,
        Value::Table(meta) => Some(meta),
        _ => return Err(arguments.bad(vm, 1, "nil or table expected")),
    };
    if !vm.metamethod(&Value::Table(table), "__metatable").is_nil() {
        return Err(vm.raised("cannot change a protected metatable"));
    }
    if vm.at(table).is_readonly {
        return Err(vm.readonly());
    }
    vm.at_mut(table).meta = meta;
    Ok(vec![Value::Table(table)])
}

fn ipairs(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let table = Arguments::new("ipairs", values).table(vm, 0)?;
    let next = Value::Function(Function::Native(IPAIRS_NEXT));
    Ok(vec![next, Value::Table(table), Value::Number(0.0)])
}

pub(super) fn ipairs_next(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("ipairs", values);
    let (table, at) = (arguments.table(vm, 0)?, arguments.number(vm, 1)? + 1.0);
    let at = Value::Number(at);
    Ok(match vm.at(table).get(&at) {
        Value::Nil => vec![Value::Nil],
        value => vec![at, value],
    })
}

fn pairs(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let table = Arguments::new("pairs", values).table(vm, 0)?;
    let next = Value::Function(Function::Native(NEXT));
    Ok(vec![next, Value::Table(table), Value::Nil])
}

pub(super) fn next(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("next", values);
    let table = arguments.table(vm, 0)?;
    let key = arguments.get(1);
    if let Value::Text(text) = &key {
        vm.look(text.len())?;
    }
    let Ok((found, seen)) = vm.at(table).next(&key) else {
        return Err(vm.raised("invalid key to 'next'"));
    };
    vm.step(seen as u64)?;
    Ok(found.map_or_else(|| vec![Value::Nil], |(key, value)| vec![key, value]))
}

fn pcall(vm: &mut Vm<'_>, mut values: Vec<Value>) -> Returned {
    if values.is_empty() {
        return Err(Arguments::new("pcall", values).bad(vm, 0, "value expected"));
    }
    let function = values.remove(0);
    let mark = vm.mark();
    match vm.call(&function, values) {
        Ok(mut returned) => {
            returned.insert(0, Value::Bool(true));
            Ok(returned)
        }
        Err(Failure::Raised(raised)) => {
            vm.back_to(mark);
            // As in Redis: what a command was refused with is a text again.
            let value = match &raised.value {
                Value::Table(table) if matches!(vm.field(*table, "err"), Value::Text(_)) => {
                    vm.field(*table, "err")
                }
                value => value.clone(),
            };
            Ok(vec![Value::Bool(false), value])
        }
        Err(spent @ Failure::Spent(_)) => Err(spent),
    }
}

fn xpcall(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("xpcall", values);
    let (function, handler) = (arguments.any(vm, 0)?, arguments.any(vm, 1)?);
    let mut returned = pcall(vm, vec![function])?;
    if matches!(returned.first(), Some(Value::Bool(false))) {
        let raised = returned.pop().unwrap_or(Value::Nil);
        returned.append(&mut vm.call(&handler, vec![raised])?);
    }
    Ok(returned)
}

fn raw_equal(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("rawequal", values);
    let (one, other) = (arguments.any(vm, 0)?, arguments.any(vm, 1)?);
    if let Value::Text(text) = &one {
        vm.look(text.len())?;
    }
    Ok(vec![Value::Bool(one.is(&other))])
}

fn raw_get(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("rawget", values);
    let (table, key) = (arguments.table(vm, 0)?, arguments.any(vm, 1)?);
    if let Value::Text(text) = &key {
        vm.look(text.len())?;
    }
    Ok(vec![vm.at(table).get(&key)])
}

fn raw_set(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("rawset", values);
    let (table, key) = (arguments.table(vm, 0)?, arguments.any(vm, 1)?);
    if vm.at(table).is_readonly {
        return Err(vm.readonly());
    }
    vm.put(table, &key, arguments.any(vm, 2)?)?;
    Ok(vec![Value::Table(table)])
}

fn select(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("select", values);
    let count = arguments.len().saturating_sub(1);
    if matches!(arguments.get(0), Value::Text(text) if text == "#") {
        return Ok(vec![Value::Number(count as f64)]);
    }
    let at = arguments.integer(vm, 0)?;
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let from = if at < 0 { count.saturating_add(at) } else { at - 1 };
    if at == 0 || from < 0 {
        return Err(arguments.bad(vm, 0, "index out of range"));
    }
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    Ok(arguments.into_values().into_iter().skip(1).skip(from).collect())
}

fn to_number(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("tonumber", values);
    let base = arguments.integer_or(vm, 1, 10)?;
    let number = if base == 10 {
        Vm::to_number(&arguments.any(vm, 0)?)
    } else {
        let text = arguments.text(vm, 0)?;
        vm.look(text.len())?;
        let base = u32::try_from(base).ok().filter(|base| (2..=36).contains(base));
        let base = base.ok_or_else(|| arguments.bad(vm, 1, "base out of range"))?;
        number::parse_base(&text, base)
    };
    Ok(vec![number.map_or(Value::Nil, Value::Number)])
}

fn to_string(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let value = Arguments::new("tostring", values).any(vm, 0)?;
    let handler = vm.metamethod(&value, "__tostring");
    if !handler.is_nil() {
        return vm.call(&handler, vec![value]);
    }
    Ok(vec![match value {
        Value::Text(_) => value,
        other => vm.text(named(&other).into_bytes())?,
    }])
}

/// What has no text is called by its number: nothing has an address.
fn named(value: &Value) -> String {
    match value {
        Value::Nil => "nil".to_owned(),
        Value::Bool(is) => is.to_string(),
        Value::Number(number) => number::show(*number),
        Value::Text(_) | Value::Shared(_) => String::new(),
        Value::Table(table) => format!("table: 0x{:08x}", table.0),
        Value::Function(Function::Closure(at)) => format!("function: 0x{at:08x}"),
        Value::Function(Function::Native(native)) => format!("function: builtin: {native:?}"),
        Value::Null => "userdata: NULL".to_owned(),
    }
}

fn type_of(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let value = Arguments::new("type", values).any(vm, 0)?;
    Ok(vec![Value::text(value.type_name())])
}

fn unpack(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("unpack", values);
    let table = arguments.table(vm, 0)?;
    let first = arguments.integer_or(vm, 1, 1)?;
    let length = i64::try_from(vm.at(table).length()).unwrap_or(i64::MAX);
    let last = arguments.integer_or(vm, 2, length)?;
    if first > last {
        return Ok(Vec::new());
    }
    let count = last.checked_sub(first).filter(|count| *count < UNPACKED_MAX);
    let count = count.ok_or_else(|| vm.raised("too many results to unpack"))?;
    vm.step(count.unsigned_abs())?;
    let table = vm.at(table);
    let places = first..=last;
    Ok(places.map(|at| table.get(&Value::Number(at as f64))).collect())
}

/// As in Lua (`LUAI_MAXCSTACK`).
const UNPACKED_MAX: i64 = 8000;
