//! `redis`: commands, and the replies that have a form of their own.

use bytes::Bytes;
use sha1::{Digest as _, Sha1};

use super::{Arguments, Row};
use crate::lua::value::{Failure, Returned, Value};
use crate::lua::vm::Vm;

pub(super) const FUNCTIONS: &[Row] = &[
    ("call", "redis.call", call),
    ("error_reply", "redis.error_reply", error_reply),
    ("log", "redis.log", log),
    ("pcall", "redis.pcall", pcall),
    (
        "replicate_commands",
        "redis.replicate_commands",
        replicate_commands,
    ),
    ("setresp", "redis.setresp", set_resp),
    ("sha1hex", "redis.sha1hex", sha1_hex),
    ("status_reply", "redis.status_reply", status_reply),
];

pub(super) const CONSTANTS: [(&str, Value); 4] = [
    ("LOG_DEBUG", Value::Number(0.0)),
    ("LOG_VERBOSE", Value::Number(1.0)),
    ("LOG_NOTICE", Value::Number(2.0)),
    ("LOG_WARNING", Value::Number(3.0)),
];

/// The SHA-1 of a text.
pub(crate) fn sha1(text: &[u8]) -> [u8; 20] {
    Sha1::digest(text).into()
}

fn call(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let answer = asked(vm, &values)?;
    match answer {
        Value::Table(table) if !vm.field(table, "err").is_nil() => Err(vm.failed(answer)),
        answer => Ok(vec![answer]),
    }
}

fn pcall(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let answer = asked(vm, &values)?;
    Ok(vec![answer])
}

fn asked(vm: &mut Vm<'_>, values: &[Value]) -> Result<Value, Failure> {
    if values.is_empty() {
        let text = "ERR Please specify at least one argument for this redis lib call";
        return vm.error_table(text);
    }
    let mut words = Vec::with_capacity(values.len());
    for value in values {
        let word = match value {
            // A whole number without an exponent.
            Value::Number(number) if is_whole(*number) => Some(Bytes::from(format!("{number:.0}"))),
            Value::Number(number) => Some(Bytes::from(seventeen_digits(*number))),
            value => Vm::to_text(value),
        };
        let Some(word) = word else {
            return vm.error_table("ERR Lua redis lib command arguments must be strings or integers");
        };
        vm.look(word.len())?;
        words.push(word);
    }
    vm.step(COMMAND_STEPS)?;
    vm.command(words)
}

fn is_whole(number: f64) -> bool {
    number.fract() == 0.0 && number.abs() < 1e17 && (number != 0.0 || number.is_sign_positive())
}

/// `%.17g`, as Redis passes a number.
fn seventeen_digits(number: f64) -> String {
    match crate::lua::number::not_finite(number) {
        Some(text) => text.to_owned(),
        None => crate::c_format::general(number, 17, false),
    }
}

impl Vm<'_> {
    /// What a command answers that was refused.
    pub(crate) fn error_table(&mut self, text: &str) -> Result<Value, Failure> {
        let text = self.text(text.as_bytes().to_vec())?;
        self.single("err", text)
    }

    /// A table with one element.
    pub(crate) fn single(&mut self, key: &'static str, value: Value) -> Result<Value, Failure> {
        let table = self.table()?;
        self.put_field(table, key, value)?;
        Ok(Value::Table(table))
    }
}

fn one_text(vm: &mut Vm<'_>, values: &[Value]) -> Result<Result<Bytes, Value>, Failure> {
    match values {
        [Value::Text(text)] => Ok(Ok(text.clone())),
        _ => {
            let refused = vm.error_table("ERR wrong number or type of arguments")?;
            Ok(Err(refused))
        }
    }
}

/// An error without a word in capitals before it gets one.
fn error_reply(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let text = match one_text(vm, &values)? {
        Ok(text) => text,
        Err(refused) => return Ok(vec![refused]),
    };
    let text = text.strip_prefix(b"-").unwrap_or(&text);
    let text = match text.contains(&b' ') {
        true => text.to_vec(),
        false => [b"ERR ", text].concat(),
    };
    let text = vm.text(text)?;
    Ok(vec![vm.single("err", text)?])
}

fn status_reply(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    Ok(vec![match one_text(vm, &values)? {
        Ok(text) => vm.single("ok", Value::Text(text))?,
        Err(refused) => refused,
    }])
}

fn sha1_hex(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("sha1hex", values);
    if arguments.len() != 1 {
        let refused = vm.error_table("ERR wrong number of arguments")?;
        return Err(vm.failed(refused));
    }
    let text = arguments.text(vm, 0)?;
    vm.step(text.len() as u64 / HASHED_A_STEP)?;
    let digits: String = sha1(&text).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(vec![vm.text(digits.into_bytes())?])
}

/// A script runs on every node: what it would write into a log is not written.
fn log(_: &mut Vm<'_>, _: Vec<Value>) -> Returned {
    Ok(Vec::new())
}

/// What a script does is always replicated as a whole.
fn replicate_commands(_: &mut Vm<'_>, _: Vec<Value>) -> Returned {
    Ok(vec![Value::Bool(true)])
}

fn set_resp(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let version = Arguments::new("setresp", values).integer(vm, 0)?;
    match version {
        2 => Ok(Vec::new()),
        _ => Err(vm.raised("RESP version must be 2: scripts have no other")),
    }
}

/// What a command takes beside its words and its answer.
const COMMAND_STEPS: u64 = 50;
const HASHED_A_STEP: u64 = 16;
