//! `EVAL`: a script, carried out as a part of an entry.
//!
//! Its commands take the way of those of a block: what parses here and needs no higher level than that in force is carried out at once, and
//! what is refused changes nothing. A script that ends early keeps what it wrote, on every node the same.
//!
//! Invariant: nothing but the state, the entry and the text decides what a script does. Which commands and words there are belongs
//! to the level, as the bodies of entries do.

use bytes::Bytes;

use super::scripts::{Name, not_compiled};
use super::value;
use super::{Applying, execute};
use crate::lua::{self, Budget, CHUNK_NAME, Failure, Host, Raised, Spent, TableId, Value, Vm};
use crate::protocol::command::table::CommandSpec;
use crate::protocol::command::{
    Args, Command, Evaluation, Limit, Local, Named, Parsed, Request, ScriptCommand, parse,
};
use crate::protocol::resp::{Double, Reply, STATUSES};

/// Carries out a command about scripts.
pub(super) fn run(state: &mut Applying<'_>, command: ScriptCommand<'_>, place: u64) -> Reply {
    match command {
        ScriptCommand::Run(evaluation) => evaluate(state, evaluation, place),
        ScriptCommand::Load(text) => state.scripts.load(text, state.limits),
        ScriptCommand::Flush => {
            state.scripts.clear();
            Reply::Status("OK")
        }
        ScriptCommand::Exist(names) => state.scripts.exist(names),
    }
}

fn evaluate(state: &mut Applying<'_>, evaluation: Evaluation<'_>, place: u64) -> Reply {
    let (name, text) = match evaluation.script {
        Named::Text(text) => (Name::of(text), Bytes::copy_from_slice(text)),
        Named::Name(digits) => {
            let named = Name::parse(digits);
            let found = named.and_then(|name| Some((name, state.scripts.get(&name)?.clone())));
            match found {
                Some(found) => found,
                None => return error("NOSCRIPT No matching script. Please use EVAL."),
            }
        }
    };
    let body = match lua::parse(&text) {
        Ok(body) => body,
        Err(error) => return Reply::Error(not_compiled(&error)),
    };
    state.scripts.keep(name, &text, false, state.limits);
    let budget = Budget {
        steps: state.limits.get(Limit::ScriptSteps),
        bytes: state.limits.get(Limit::ScriptBytes),
    };
    let seed = state.keys.draw(place);
    let mut caller = Caller {
        state,
        only_reads: evaluation.only_reads,
        place: place << CALLS_BITS,
    };
    let mut vm = lua::machine(&text, budget, seed, &mut caller);
    let answer = begin(&mut vm, evaluation, text.len())
        .and_then(|()| vm.run(body))
        .and_then(|value| answer_of(&mut vm, &value, 0));
    answer.unwrap_or_else(|failure| failed(&vm, &name, failure, budget))
}

/// Takes what reading the text took, and gives the script its words.
fn begin(vm: &mut Vm<'_>, evaluation: Evaluation<'_>, text_bytes: usize) -> Result<(), Failure> {
    vm.step(text_bytes as u64 / TEXT_BYTES_A_STEP)?;
    for (name, words) in [("KEYS", evaluation.keys), ("ARGV", evaluation.arguments)] {
        let words = words_of(vm, words)?;
        vm.set_global(name, words);
    }
    Ok(())
}

fn words_of(vm: &mut Vm<'_>, words: Args<'_>) -> Result<Value, Failure> {
    let mut values = Vec::with_capacity(words.len());
    for word in words.iter() {
        values.push(vm.text(word.to_vec())?);
    }
    vm.list(values)
}

/// What a client hears of a script that did not come to its end.
fn failed(vm: &Vm<'_>, name: &Name, failure: Failure, budget: Budget) -> Reply {
    let (text, line) = match failure {
        Failure::Raised(raised) => (text_of(vm, &raised), raised.line),
        Failure::Spent(Spent::Steps) => {
            let steps = budget.steps;
            let text =
                format!("ERR the script took more than {steps} steps; what it wrote before that stays");
            (text, vm.line())
        }
        Failure::Spent(Spent::Bytes) => {
            let bytes = budget.bytes;
            let text =
                format!("ERR the script made more than {bytes} bytes; what it wrote before that stays");
            (text, vm.line())
        }
    };
    let name = name.digits();
    Reply::Error(format!("{text} script: {name}, on @{CHUNK_NAME}:{line}."))
}

fn text_of(vm: &Vm<'_>, raised: &Raised) -> String {
    let shown = |text: &[u8]| {
        let cut = text.get(..ERROR_BYTES_MAX).unwrap_or(text);
        String::from_utf8_lossy(cut).into_owned()
    };
    match &raised.value {
        Value::Table(table) => match Vm::to_text(&vm.field(*table, "err")) {
            Some(text) => shown(&text),
            None => "ERR unknown error".to_owned(),
        },
        value => match Vm::to_text(value) {
            Some(text) => format!("ERR {}", shown(&text)),
            None => format!("ERR {}", value.type_name()),
        },
    }
}

/// The commands of a script that runs.
struct Caller<'c, 's> {
    state: &'c mut Applying<'s>,
    only_reads: bool,
    /// Of the next command in the entry.
    place: u64,
}

impl Host for Caller<'_, '_> {
    fn command(&mut self, vm: &mut Vm<'_>, words: Vec<Bytes>) -> Result<Value, Failure> {
        self.place = self.place.wrapping_add(1);
        vm.step(self.cost(&words))?;
        let reply = self.carry_out(words).unwrap_or_else(|refused| refused);
        vm.make(reply.weight())?;
        value_of(vm, reply)
    }
}

impl Caller<'_, '_> {
    /// What a command takes beside its answer, before it is carried out: what it walks through without showing it.
    fn cost(&self, words: &[Bytes]) -> u64 {
        let Some((name, words)) = words.split_first() else {
            return 0;
        };
        let size = |word: &Bytes| self.state.keys.get(word).map_or(0, value::Value::size);
        let sizes = words.iter().map(size);
        match &name.to_ascii_uppercase()[..] {
            b"KEYS" => {
                let pattern = words.first().map_or(0, Bytes::len) as u64;
                let looked_at = (self.state.keys.len() as u64).min(NAMES_LOOKED_AT);
                looked_at.saturating_mul(1 + pattern)
            }
            b"LCS" => sizes.map(|size| 1 + size).fold(1, u64::saturating_mul) / PAIRS_A_STEP,
            b"APPEND" | b"SETRANGE" | b"GETRANGE" | b"SUBSTR" | b"INCRBYFLOAT" => {
                sizes.sum::<u64>() / BYTES_A_STEP
            }
            name if WALKS.contains(&name) => sizes.fold(0, u64::saturating_add).saturating_mul(ELEMENT_STEPS),
            _ => words.len() as u64,
        }
    }

    fn carry_out(&mut self, words: Vec<Bytes>) -> Result<Reply, Reply> {
        let spec = words.first().and_then(|name| CommandSpec::find(name));
        if let Some(spec) = spec {
            if spec.flags.contains(&"noscript") {
                return Err(error(NOT_ALLOWED));
            }
            if !spec.accepts(words.len()) {
                return Err(error(
                    "ERR Wrong number of args calling Redis command from script",
                ));
            }
            if self.only_reads && spec.flags.contains(&"write") {
                return Err(error(
                    "ERR Write commands are not allowed from read-only scripts.",
                ));
            }
        }
        let parsed = match (spec, parse(words)) {
            (_, Ok(parsed)) => parsed,
            (None, Err(_)) => return Err(error(UNKNOWN)),
            (Some(_), Err(refused)) => return Err(refused),
        };
        match parsed {
            Parsed::Replicated(request) => self.replicated(&request),
            Parsed::Local(local) => self.local(local),
            Parsed::Transaction(_) | Parsed::Own(_) => Err(error(NOT_ALLOWED)),
        }
    }

    fn replicated(&mut self, request: &Request) -> Result<Reply, Reply> {
        if request.takes_level() > self.state.level {
            return Err(error(UNKNOWN));
        }
        match Command::decode(&request.body).filter(|_| request.may_be_in_block()) {
            None | Some(Command::Script(_)) => Err(error(NOT_ALLOWED)),
            Some(command) => Ok(execute(self.state, &command, self.place)),
        }
    }

    /// Of what a node answers by itself, the little that is the same on every node. The time is that of the state.
    fn local(&self, local: Local) -> Result<Reply, Reply> {
        match local {
            Local::Time => {
                let millis = self.state.keys.clock().as_millis();
                let parts = [millis / 1000, millis % 1000 * 1000];
                let parts = parts.map(|part| Reply::Bulk(Bytes::from(part.to_string())));
                Ok(Reply::Array(parts.to_vec()))
            }
            Local::Ping(None) => Ok(Reply::Line("PONG".to_owned())),
            Local::Ping(Some(text)) | Local::Echo(text) => Ok(Reply::Bulk(text)),
            Local::Select => Ok(Reply::Status("OK")),
            Local::Hello(_)
            | Local::Quit
            | Local::Reset
            | Local::Client(_)
            | Local::Command(_)
            | Local::ConfigGet(_)
            | Local::Info(_)
            | Local::ReadOnly
            | Local::ReadWrite
            | Local::Role
            | Local::Sentinel(_)
            | Local::Subscribe(_)
            | Local::Wait
            | Local::WaitAof => Err(error(NOT_ALLOWED)),
        }
    }
}

/// What a command answers, as a script sees it: as in version 2 of the protocol.
fn value_of(vm: &mut Vm<'_>, reply: Reply) -> Result<Value, Failure> {
    vm.step(1)?;
    Ok(match reply {
        Reply::Status(text) => vm.single("ok", Value::text(text))?,
        Reply::Line(text) => vm.single("ok", Value::text(&text))?,
        Reply::Error(text) => vm.error_table(&text)?,
        Reply::Integer(number) => Value::Number(number as f64),
        Reply::Double(number) => Value::Text(number.to_bytes()),
        Reply::Bulk(bytes) => Value::Text(bytes),
        Reply::Null | Reply::NullArray => Value::Bool(false),
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) | Reply::Several(items) => {
            values_of(vm, items.into_iter())?
        }
        Reply::Map(pairs) | Reply::Rows(pairs) => {
            values_of(vm, pairs.into_iter().flat_map(|(key, value)| [key, value]))?
        }
        Reply::Pairs(pairs) => {
            let pairs = pairs.into_iter();
            values_of(vm, pairs.map(|(key, value)| Reply::Array(vec![key, value])))?
        }
    })
}

fn values_of(vm: &mut Vm<'_>, replies: impl Iterator<Item = Reply>) -> Result<Value, Failure> {
    let mut values = Vec::new();
    for reply in replies {
        values.push(value_of(vm, reply)?);
    }
    vm.list(values)
}

/// What a script returns, as its client sees it.
fn answer_of(vm: &mut Vm<'_>, value: &Value, depth: usize) -> Result<Reply, Failure> {
    vm.step(1)?;
    // Counted again for each place that it is at: the answer has every one.
    vm.make(std::mem::size_of::<Reply>())?;
    Ok(match value {
        Value::Text(text) => {
            vm.make(text.len())?;
            Reply::Bulk(text.clone())
        }
        Value::Number(number) => Reply::Integer(*number as i64),
        Value::Bool(true) => Reply::Integer(1),
        Value::Table(table) => table_of(vm, *table, depth)?,
        Value::Nil | Value::Bool(false) | Value::Null | Value::Function(_) | Value::Shared(_) => Reply::Null,
    })
}

fn table_of(vm: &mut Vm<'_>, table: TableId, depth: usize) -> Result<Reply, Failure> {
    let lossy = |text: &[u8]| {
        let cut = text.get(..ERROR_BYTES_MAX).unwrap_or(text);
        String::from_utf8_lossy(cut).into_owned()
    };
    if let Value::Text(text) = vm.field(table, "err") {
        return Ok(Reply::Error(lossy(&text)));
    }
    if let Value::Text(text) = vm.field(table, "ok") {
        let known = STATUSES.iter().find(|status| status.as_bytes() == text);
        return Ok(known.map_or_else(|| Reply::Line(lossy(&text)), |status| Reply::Status(status)));
    }
    if let Value::Number(number) = vm.field(table, "double")
        && let Some(number) = Double::new(number)
    {
        return Ok(Reply::Double(number));
    }
    if depth >= ANSWER_DEPTH_MAX {
        return Err(vm.raised("the answer of the script is nested too deep"));
    }
    let values: Vec<Value> = vm
        .elements(table)
        .iter()
        .take_while(|value| !value.is_nil())
        .cloned()
        .collect();
    let mut replies = Vec::new();
    for value in &values {
        replies.push(answer_of(vm, value, depth + 1)?);
    }
    Ok(Reply::Array(replies))
}

fn error(text: &str) -> Reply {
    Reply::Error(text.to_owned())
}

const UNKNOWN: &str = "ERR Unknown Redis command called from script";
const NOT_ALLOWED: &str = "ERR This Redis command is not allowed from script";

/// Commands that walk through whole values, and answer less.
const WALKS: &[&[u8]] = &[
    b"HRANDFIELD",
    b"HSCAN",
    b"LINSERT",
    b"LPOS",
    b"LREM",
    b"SDIFF",
    b"SDIFFSTORE",
    b"SINTER",
    b"SINTERCARD",
    b"SINTERSTORE",
    b"SRANDMEMBER",
    b"SSCAN",
    b"SUNION",
    b"SUNIONSTORE",
    b"XRANGE",
    b"XREAD",
    b"XREVRANGE",
    b"ZDIFF",
    b"ZDIFFSTORE",
    b"ZINTER",
    b"ZINTERCARD",
    b"ZINTERSTORE",
    b"ZRANDMEMBER",
    b"ZRANGESTORE",
    b"ZSCAN",
    b"ZUNION",
    b"ZUNIONSTORE",
];
/// As many as `KEYS` looks at.
const NAMES_LOOKED_AT: u64 = 100_000;
/// What an element takes that is walked by.
const ELEMENT_STEPS: u64 = 2;
const PAIRS_A_STEP: u64 = 16;
const BYTES_A_STEP: u64 = 64;
/// A script in a block may call so many times before it draws as the next one does.
const CALLS_BITS: u32 = 15;
/// What reading a text takes.
const TEXT_BYTES_A_STEP: u64 = 4;
/// An answer passes between nodes, inside that of a block (`protocol::peer::outcome_codec`).
const ANSWER_DEPTH_MAX: usize = 5;
/// As much of a text as an error or a status repeats: both are lines.
const ERROR_BYTES_MAX: usize = 8 << 10;

#[cfg(test)]
mod tests;
