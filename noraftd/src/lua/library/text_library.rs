//! `string` (Lua 5.1 reference manual, 5.4).

use bytes::Bytes;

use super::{Arguments, GMATCH_NEXT, Row};
use crate::lua::pattern::{Capture, Matcher, Trouble};
use crate::lua::value::{Failure, Returned, Value};
use crate::lua::vm::Vm;

pub(super) const FUNCTIONS: &[Row] = &[
    ("byte", "string.byte", byte),
    ("char", "string.char", char),
    ("find", "string.find", find),
    ("format", "string.format", super::format::format),
    ("gmatch", "string.gmatch", gmatch),
    ("gsub", "string.gsub", gsub),
    ("len", "string.len", len),
    ("lower", "string.lower", lower),
    ("match", "string.match", match_),
    ("rep", "string.rep", rep),
    ("reverse", "string.reverse", reverse),
    ("sub", "string.sub", sub),
    ("upper", "string.upper", upper),
];

/// A place that counts from the end when it is negative.
fn place(at: i64, length: usize) -> i64 {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    match at < 0 {
        true => at.saturating_add(length).saturating_add(1).max(0),
        false => at,
    }
}

/// The part between two places, which both are in it.
fn part(text: &Bytes, first: i64, last: i64) -> Bytes {
    let (first, last) = (place(first, text.len()).max(1), place(last, text.len()));
    let last = last.min(i64::try_from(text.len()).unwrap_or(i64::MAX));
    if first > last {
        return Bytes::new();
    }
    let place = |at: i64| usize::try_from(at).unwrap_or(0);
    text.slice(place(first) - 1..place(last))
}

fn len(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let text = Arguments::new("len", values).text(vm, 0)?;
    Ok(vec![Value::Number(text.len() as f64)])
}

fn sub(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("sub", values);
    let text = arguments.text(vm, 0)?;
    let (first, last) = (arguments.integer(vm, 1)?, arguments.integer_or(vm, 2, -1)?);
    // Copied, so that a small part does not keep a large text.
    let part = part(&text, first, last).to_vec();
    Ok(vec![vm.text(part)?])
}

fn mapped(name: &'static str, vm: &mut Vm<'_>, values: Vec<Value>, map: fn(&[u8]) -> Vec<u8>) -> Returned {
    let text = Arguments::new(name, values).text(vm, 0)?;
    vm.look(text.len())?;
    Ok(vec![vm.text(map(&text))?])
}

fn lower(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    mapped("lower", vm, values, <[u8]>::to_ascii_lowercase)
}

fn upper(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    mapped("upper", vm, values, <[u8]>::to_ascii_uppercase)
}

fn reverse(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    mapped("reverse", vm, values, |text| text.iter().rev().copied().collect())
}

fn rep(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("rep", values);
    let (text, count) = (arguments.text(vm, 0)?, arguments.integer(vm, 1)?);
    let count = usize::try_from(count).unwrap_or(0);
    // Taken before it is made.
    let bytes = text.len().saturating_mul(count);
    vm.make(bytes)?;
    Ok(vec![Value::Text(Bytes::from(text.repeat(match bytes {
        0 => 0,
        _ => count,
    })))])
}

fn byte(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("byte", values);
    let text = arguments.text(vm, 0)?;
    let first = arguments.integer_or(vm, 1, 1)?;
    let last = arguments.integer_or(vm, 2, place(first, text.len()))?;
    let part = part(&text, first, last);
    if part.len() > BYTES_MAX {
        return Err(vm.raised("string slice too long"));
    }
    vm.step(part.len() as u64)?;
    Ok(part.iter().map(|byte| Value::Number(f64::from(*byte))).collect())
}

fn char(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("char", values);
    let mut text = Vec::with_capacity(arguments.len());
    for at in 0..arguments.len() {
        let byte = u8::try_from(arguments.integer(vm, at)?);
        text.push(byte.map_err(|_| arguments.bad(vm, at, "invalid value"))?);
    }
    Ok(vec![vm.text(text)?])
}

/// Runs a matcher, which takes the steps of the script.
fn with_matcher<T>(
    vm: &mut Vm<'_>,
    text: &[u8],
    pattern: &[u8],
    run: impl FnOnce(&mut Matcher<'_>) -> Result<T, Trouble>,
) -> Result<T, Failure> {
    let before = vm.steps_left();
    let mut matcher = Matcher::new(text, pattern, before);
    let found = run(&mut matcher);
    vm.step(before - matcher.steps_left)?;
    match found {
        Ok(found) => Ok(found),
        Err(Trouble::Malformed(text)) => Err(vm.raised(text)),
        Err(Trouble::Spent) => Err(vm
            .step(u64::MAX)
            .map_or_else(|failure| failure, |()| vm.raised("spent"))),
    }
}

/// What was captured; the whole match where nothing was.
fn captured(vm: &mut Vm<'_>, text: &Bytes, captures: &[Capture], whole: std::ops::Range<usize>) -> Returned {
    if captures.is_empty() {
        return Ok(vec![vm.text(text.slice(whole).to_vec())?]);
    }
    let mut values = Vec::with_capacity(captures.len());
    for capture in captures {
        values.push(match *capture {
            Capture::Closed(from, length) => vm.text(text.slice(from..from + length).to_vec())?,
            Capture::Place(at) => Value::Number((at + 1) as f64),
            Capture::Open(_) => return Err(vm.raised("unfinished capture")),
        });
    }
    Ok(values)
}

fn find(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    search(vm, &Arguments::new("find", values), true)
}

fn match_(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    search(vm, &Arguments::new("match", values), false)
}

fn search(vm: &mut Vm<'_>, arguments: &Arguments, finds: bool) -> Returned {
    let (text, pattern) = (arguments.text(vm, 0)?, arguments.text(vm, 1)?);
    let start = place(arguments.integer_or(vm, 2, 1)?, text.len()).max(1) - 1;
    let start = usize::try_from(start).unwrap_or(usize::MAX).min(text.len());
    let is_plain = arguments.get(3).is_true() || !pattern.iter().any(|byte| SPECIAL.contains(byte));
    if finds && is_plain {
        return plain(vm, &text, &pattern, start);
    }
    let found = with_matcher(vm, &text, &pattern, |matcher| {
        let found = matcher.find(start)?;
        Ok(found.map(|range| (range, matcher.captures().to_vec())))
    })?;
    let Some((range, captures)) = found else {
        return Ok(vec![Value::Nil]);
    };
    if !finds {
        return captured(vm, &text, &captures, range);
    }
    let mut all = vec![
        Value::Number((range.start + 1) as f64),
        Value::Number(range.end as f64),
    ];
    if !captures.is_empty() {
        all.append(&mut captured(vm, &text, &captures, range)?);
    }
    Ok(all)
}

fn plain(vm: &mut Vm<'_>, text: &Bytes, pattern: &Bytes, start: usize) -> Returned {
    let within = text.get(start..).unwrap_or_default();
    if pattern.is_empty() {
        return Ok(vec![
            Value::Number((start + 1) as f64),
            Value::Number(start as f64),
        ]);
    }
    // What a search compares at most.
    let places = within.len().saturating_sub(pattern.len()) as u64 + 1;
    let cost = 1 + pattern.len() as u64 / 64;
    vm.step(places.saturating_mul(cost) / 16)?;
    let found = within.windows(pattern.len()).position(|window| window == pattern);
    Ok(found.map_or_else(
        || vec![Value::Nil],
        |at| {
            let first = start + at;
            vec![
                Value::Number((first + 1) as f64),
                Value::Number((first + pattern.len()) as f64),
            ]
        },
    ))
}

/// The iterator is a table that is called: a function of a library has no state.
fn gmatch(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("gmatch", values);
    let (text, pattern) = (arguments.text(vm, 0)?, arguments.text(vm, 1)?);
    let (iterator, meta) = (vm.table()?, vm.table()?);
    let next = Value::Function(crate::lua::value::Function::Native(GMATCH_NEXT));
    vm.put_field(meta, "__call", next)?;
    vm.put_field(iterator, "text", Value::Text(text))?;
    vm.put_field(iterator, "pattern", Value::Text(pattern))?;
    vm.put_field(iterator, "at", Value::Number(0.0))?;
    vm.at_mut(iterator).meta = Some(meta);
    Ok(vec![Value::Table(iterator)])
}

pub(super) fn gmatch_next(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let iterator = Arguments::new("gmatch", values).table(vm, 0)?;
    let (Value::Text(text), Value::Text(pattern), Value::Number(at)) = (
        vm.field(iterator, "text"),
        vm.field(iterator, "pattern"),
        vm.field(iterator, "at"),
    ) else {
        return Ok(vec![Value::Nil]);
    };
    let mut start = at.max(0.0) as usize;
    // A sign of the beginning has no meaning here.
    let found = with_matcher(vm, &text, &pattern, |matcher| {
        while start <= text.len() {
            if let Some(end) = matcher.match_here(start, 0)? {
                return Ok(Some((start..end, matcher.captures().to_vec())));
            }
            start += 1;
        }
        Ok(None)
    })?;
    let Some((range, captures)) = found else {
        vm.put_field(iterator, "text", Value::Nil)?;
        return Ok(vec![Value::Nil]);
    };
    let next = if range.is_empty() {
        range.end + 1
    } else {
        range.end
    };
    vm.put_field(iterator, "at", Value::Number(next as f64))?;
    captured(vm, &text, &captures, range)
}

fn gsub(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("gsub", values);
    let (text, pattern) = (arguments.text(vm, 0)?, arguments.text(vm, 1)?);
    let by = arguments.get(2);
    let is_possible = matches!(
        by,
        Value::Text(_) | Value::Number(_) | Value::Table(_) | Value::Function(_)
    );
    if !is_possible {
        return Err(arguments.bad(vm, 2, "string/function/table expected"));
    }
    let most = arguments.integer_or(vm, 3, i64::MAX)?;
    let is_anchored = pattern.first() == Some(&b'^');
    let (mut made, mut at, mut count) = (Vec::new(), 0, 0);
    while count < most {
        let found = with_matcher(vm, &text, &pattern, |matcher| {
            let end = matcher.match_here(at, usize::from(is_anchored))?;
            Ok(end.map(|end| (end, matcher.captures().to_vec())))
        })?;
        if let Some((end, captures)) = &found {
            count += 1;
            let put = replacement(vm, &text, captures, at..*end, &by)?;
            vm.make(put.len())?;
            made.extend_from_slice(&put);
        }
        match found {
            Some((end, _)) if end > at => at = end,
            Some(_) | None => match text.get(at) {
                Some(byte) => {
                    made.push(*byte);
                    at += 1;
                }
                None => break,
            },
        }
        if is_anchored {
            break;
        }
    }
    made.extend_from_slice(text.get(at..).unwrap_or_default());
    Ok(vec![vm.text(made)?, Value::Number(count as f64)])
}

/// What takes the place of a match.
fn replacement(
    vm: &mut Vm<'_>,
    text: &Bytes,
    captures: &[Capture],
    whole: std::ops::Range<usize>,
    by: &Value,
) -> Result<Bytes, Failure> {
    let whole_text = text.slice(whole.clone());
    if let Some(template) = Vm::to_text(by) {
        return filled(vm, text, captures, whole, &template);
    }
    let values = captured(vm, text, captures, whole)?;
    let value = match by {
        Value::Table(_) => {
            let key = values.into_iter().next().unwrap_or(Value::Nil);
            vm.index(by, &key, None)?
        }
        _ => crate::lua::eval::first(vm.call(by, values)?),
    };
    match &value {
        Value::Nil | Value::Bool(false) => Ok(whole_text),
        value => Vm::to_text(value)
            .ok_or_else(|| vm.raised(&format!("invalid replacement value (a {})", value.type_name()))),
    }
}

/// A template with `%0` to `%9`.
fn filled(
    vm: &mut Vm<'_>,
    text: &Bytes,
    captures: &[Capture],
    whole: std::ops::Range<usize>,
    template: &Bytes,
) -> Result<Bytes, Failure> {
    if !template.contains(&b'%') {
        return Ok(template.clone());
    }
    let mut made = Vec::new();
    let mut bytes = template.iter();
    while let Some(byte) = bytes.next() {
        vm.step(1)?;
        if *byte != b'%' {
            made.push(*byte);
            continue;
        }
        match bytes.next() {
            Some(b'0') => {
                vm.make(whole.len())?;
                made.extend_from_slice(text.get(whole.clone()).unwrap_or_default());
            }
            Some(digit @ b'1'..=b'9') => {
                let values = captured(vm, text, captures, whole.clone())?;
                let value = values.get(usize::from(digit - b'1')).and_then(Vm::to_text);
                let value = value.ok_or_else(|| vm.raised("invalid capture index"))?;
                vm.make(value.len())?;
                made.extend_from_slice(&value);
            }
            Some(other) => made.push(*other),
            None => return Err(vm.raised("invalid use of '%' in replacement string")),
        }
    }
    Ok(Bytes::from(made))
}

const SPECIAL: &[u8] = b"^$*+?.([%-";
/// As in Lua: what fits the stack.
const BYTES_MAX: usize = 8000;
