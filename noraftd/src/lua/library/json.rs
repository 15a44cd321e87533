//! `cjson`: `encode`, `decode` and `null`, with the settings that Redis' library begins with.
//!
//! The keys of an object come in the order of the table. What the settings change (`encode_sparse_array` and the others) is not there.

use super::{Arguments, Row};
use crate::lua::number;
use crate::lua::value::{Failure, Returned, TableId, Value};
use crate::lua::vm::Vm;

pub(super) const FUNCTIONS: &[Row] = &[
    ("decode", "cjson.decode", decode),
    ("encode", "cjson.encode", encode),
];

fn encode(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("encode", values);
    let value = arguments.any(vm, 0)?;
    let mut out = Vec::new();
    write(vm, &value, 0, &mut out)?;
    Ok(vec![vm.text(out)?])
}

fn write(vm: &mut Vm<'_>, value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<(), Failure> {
    vm.step(VALUE_STEPS)?;
    let before = out.len();
    match value {
        Value::Nil | Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(is) => out.extend_from_slice(is.to_string().as_bytes()),
        Value::Number(number) if !number.is_finite() => {
            return Err(vm.raised("Cannot serialise number: must not be NaN or Inf"));
        }
        Value::Number(number) => out.extend_from_slice(number::show(*number).as_bytes()),
        Value::Text(text) => {
            vm.make(text.len())?;
            write_text(text, out);
        }
        Value::Table(table) if depth < DEPTH_MAX => return write_table(vm, *table, depth + 1, out),
        Value::Table(_) => {
            return Err(vm.raised(&format!("Cannot serialise, excessive depth ({})", depth + 1)));
        }
        Value::Function(_) | Value::Shared(_) => {
            return Err(vm.raised("Cannot serialise function: type not supported"));
        }
    }
    vm.make(out.len() - before)
}

fn write_text(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'/' => out.extend_from_slice(b"\\/"),
            8 => out.extend_from_slice(b"\\b"),
            9 => out.extend_from_slice(b"\\t"),
            10 => out.extend_from_slice(b"\\n"),
            12 => out.extend_from_slice(b"\\f"),
            13 => out.extend_from_slice(b"\\r"),
            0..=31 | 127 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            other => out.push(*other),
        }
    }
    out.push(b'"');
}

/// Every element of a table, in its order.
fn elements(vm: &mut Vm<'_>, table: TableId) -> Result<Vec<(Value, Value)>, Failure> {
    let (mut all, mut key) = (Vec::new(), Value::Nil);
    loop {
        let Ok((found, seen)) = vm.at(table).next(&key) else {
            return Ok(all);
        };
        vm.step(1 + seen as u64)?;
        let Some((next, value)) = found else {
            return Ok(all);
        };
        key = next.clone();
        all.push((next, value));
    }
}

/// How long the array is that these are elements of; `None` for an object.
fn array_length(vm: &Vm<'_>, elements: &[(Value, Value)]) -> Result<Option<usize>, Failure> {
    let mut longest = 0.0;
    for (key, _) in elements {
        match key {
            Value::Number(at) if *at >= 1.0 && at.fract() == 0.0 => longest = f64::max(longest, *at),
            _ => return Ok(None),
        }
    }
    if longest > SAFE_LENGTH && longest > elements.len() as f64 * SPARSE_RATIO {
        return Err(vm.raised("Cannot serialise table: excessively sparse array"));
    }
    Ok((longest > 0.0).then_some(longest as usize))
}

fn write_table(vm: &mut Vm<'_>, table: TableId, depth: usize, out: &mut Vec<u8>) -> Result<(), Failure> {
    let elements = elements(vm, table)?;
    if let Some(length) = array_length(vm, &elements)? {
        out.push(b'[');
        for at in 1..=length {
            if at > 1 {
                out.push(b',');
            }
            let value = vm.at(table).get(&Value::Number(at as f64));
            write(vm, &value, depth, out)?;
        }
        out.push(b']');
        return Ok(());
    }
    out.push(b'{');
    for (at, (key, value)) in elements.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let Some(key) = Vm::to_text(key) else {
            return Err(vm.raised("Cannot serialise table: table key must be a number or string"));
        };
        vm.make(key.len())?;
        write_text(&key, out);
        out.push(b':');
        write(vm, value, depth, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn decode(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let text = Arguments::new("decode", values).text(vm, 0)?;
    vm.step(text.len() as u64 / 8)?;
    let mut reader = JsonReader { text: &text, at: 0 };
    let value = reader.value(vm, 0)?;
    match reader.next_byte() {
        None => Ok(vec![value]),
        Some(_) => Err(reader.unexpected(vm, "the end")),
    }
}

struct JsonReader<'a> {
    text: &'a [u8],
    at: usize,
}

impl JsonReader<'_> {
    /// The next byte that is no blank; it is not taken.
    fn next_byte(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn unexpected(&self, vm: &Vm<'_>, expected: &str) -> Failure {
        let found = match self.text.get(self.at) {
            None => "T_END",
            Some(b'{') => "T_OBJ_BEGIN",
            Some(b'}') => "T_OBJ_END",
            Some(b'[') => "T_ARR_BEGIN",
            Some(b']') => "T_ARR_END",
            Some(b',') => "T_COMMA",
            Some(b':') => "T_COLON",
            Some(b'"') => "T_STRING",
            Some(b'-' | b'0'..=b'9') => "T_NUMBER",
            Some(_) => self.word(),
        };
        let place = self.at + 1;
        vm.raised(&format!(
            "Expected {expected} but found {found} at character {place}"
        ))
    }

    /// What a word is called that is not expected.
    fn word(&self) -> &'static str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        match rest {
            [b't', b'r', b'u', b'e', ..] | [b'f', b'a', b'l', b's', b'e', ..] => "T_BOOLEAN",
            [b'n', b'u', b'l', b'l', ..] => "T_NULL",
            _ => "invalid token",
        }
    }

    fn value(&mut self, vm: &mut Vm<'_>, depth: usize) -> Result<Value, Failure> {
        vm.step(VALUE_STEPS)?;
        match self.next_byte() {
            Some(b'{') => self.object(vm, depth + 1),
            Some(b'[') => self.array(vm, depth + 1),
            Some(b'"') => self.string(vm),
            Some(b'-' | b'0'..=b'9') => self.number(vm),
            _ => {
                for (word, value) in [
                    ("true", Value::Bool(true)),
                    ("false", Value::Bool(false)),
                    ("null", Value::Null),
                ] {
                    let rest = self.text.get(self.at..).unwrap_or_default();
                    if rest.starts_with(word.as_bytes()) {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                Err(self.unexpected(vm, "value"))
            }
        }
    }

    fn deeper(&self, vm: &Vm<'_>, depth: usize) -> Result<(), Failure> {
        match depth > DEPTH_MAX {
            true => Err(vm.raised(&format!("Found too many nested data structures ({depth})"))),
            false => Ok(()),
        }
    }

    fn object(&mut self, vm: &mut Vm<'_>, depth: usize) -> Result<Value, Failure> {
        self.deeper(vm, depth)?;
        let table = vm.table()?;
        self.at += 1;
        if self.next_byte() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Table(table));
        }
        loop {
            if self.next_byte() != Some(b'"') {
                return Err(self.unexpected(vm, "object key string"));
            }
            let key = self.string(vm)?;
            if self.next_byte() != Some(b':') {
                return Err(self.unexpected(vm, "colon"));
            }
            self.at += 1;
            let value = self.value(vm, depth)?;
            vm.put(table, &key, value)?;
            match self.next_byte() {
                Some(b'}') => break,
                Some(b',') => self.at += 1,
                _ => return Err(self.unexpected(vm, "comma or object end")),
            }
        }
        self.at += 1;
        Ok(Value::Table(table))
    }

    fn array(&mut self, vm: &mut Vm<'_>, depth: usize) -> Result<Value, Failure> {
        self.deeper(vm, depth)?;
        let table = vm.table()?;
        self.at += 1;
        if self.next_byte() == Some(b']') {
            self.at += 1;
            return Ok(Value::Table(table));
        }
        let mut place = 1.0;
        loop {
            let value = self.value(vm, depth)?;
            vm.put(table, &Value::Number(place), value)?;
            place += 1.0;
            match self.next_byte() {
                Some(b']') => break,
                Some(b',') => self.at += 1,
                _ => return Err(self.unexpected(vm, "comma or array end")),
            }
        }
        self.at += 1;
        Ok(Value::Table(table))
    }

    fn number(&mut self, vm: &Vm<'_>) -> Result<Value, Failure> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let is_part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        let length = rest.iter().take_while(is_part).count();
        let number = rest.get(..length).filter(|text| text.len() <= NUMBER_BYTES_MAX);
        let Some(number) = number.and_then(number::parse) else {
            return Err(self.unexpected(vm, "value"));
        };
        self.at += length;
        Ok(Value::Number(number))
    }

    fn string(&mut self, vm: &mut Vm<'_>) -> Result<Value, Failure> {
        self.at += 1;
        let mut text = Vec::new();
        loop {
            let byte = self.text.get(self.at).copied();
            self.at += 1;
            match byte {
                Some(b'"') => return vm.text(text),
                Some(b'\\') => self.escape(vm, &mut text)?,
                Some(0..=31) | None => {
                    self.at -= 1;
                    return Err(self.unexpected(vm, "string"));
                }
                Some(byte) => text.push(byte),
            }
        }
    }

    fn escape(&mut self, vm: &Vm<'_>, text: &mut Vec<u8>) -> Result<(), Failure> {
        let byte = self.text.get(self.at).copied();
        self.at += 1;
        text.push(match byte {
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(same @ (b'"' | b'\\' | b'/')) => same,
            Some(b'u') => {
                let Some(character) = self.code() else {
                    return Err(vm.raised(&format!(
                        "Expected value but found invalid unicode escape code at character {}",
                        self.at + 1
                    )));
                };
                let mut encoded = [0; 4];
                text.extend_from_slice(character.encode_utf8(&mut encoded).as_bytes());
                return Ok(());
            }
            _ => {
                return Err(vm.raised(&format!(
                    "Expected value but found invalid escape code at character {}",
                    self.at
                )));
            }
        });
        Ok(())
    }

    /// The character of four digits, or of a pair of such codes.
    fn code(&mut self) -> Option<char> {
        let first = self.digits()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first);
        }
        let follows = self.text.get(self.at..)?.starts_with(b"\\u");
        follows.then(|| self.at += 2)?;
        let second = self.digits().filter(|code| (0xdc00..0xe000).contains(code))?;
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
    }

    fn digits(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        let are_digits = digits.iter().all(u8::is_ascii_hexdigit);
        let text = std::str::from_utf8(digits).ok().filter(|_| are_digits)?;
        self.at += 4;
        u32::from_str_radix(text, 16).ok()
    }
}

/// Less than Redis' thousand: what nests here uses the stack.
const DEPTH_MAX: usize = 128;
/// What a value takes.
const VALUE_STEPS: u64 = 5;
const SAFE_LENGTH: f64 = 10.0;
const SPARSE_RATIO: f64 = 2.0;
const NUMBER_BYTES_MAX: usize = 256;
