//! The libraries that a script has: what Lua 5.1 has of them, as far as it depends on nothing outside.
//!
//! Invariant: a function takes steps and bytes for what it looks at and makes before it does so. What would load text, or name an address,
//! a file, a clock or another process is not there: `load`, `loadstring`, `loadfile`, `dofile`, `require`, `collectgarbage`,
//! `newproxy`, `getfenv`, `setfenv`, `print`, `string.dump`, `io`, `os`, `debug`, `package` and `coroutine`.

mod base;
mod bits;
mod format;
mod json;
mod math;
mod redis;
mod tables;
mod text_library;

use bytes::Bytes;

pub(crate) use self::redis::sha1;
use super::value::{Failure, Native, TableId, Value};
use super::vm::{Run, Vm};

/// Puts the libraries into the global variables: those whose names are in the text, for no other way leads to one, but by `_G`.
pub(super) fn open(vm: &mut Vm<'_>, text: &[u8]) {
    let names = |name: &str| text.windows(name.len()).any(|part| part == name.as_bytes());
    let has_all = names("_G");

    let first: [(Native, Run); 3] = [
        (NEXT, base::next),
        (IPAIRS_NEXT, base::ipairs_next),
        (GMATCH_NEXT, text_library::gmatch_next),
    ];
    for (native, run) in first {
        let taken = vm.native(native.name, run);
        debug_assert_eq!(taken.at, native.at);
    }
    let globals = vm.globals;
    vm.open("_G", globals, base::FUNCTIONS);
    vm.set_global("_G", Value::Table(globals));
    vm.set_global("_VERSION", Value::text("Lua 5.1"));
    let strings = vm.text_methods;
    vm.open("string", strings, text_library::FUNCTIONS);
    for (name, functions) in [
        ("table", tables::FUNCTIONS),
        ("math", math::FUNCTIONS),
        ("bit", bits::FUNCTIONS),
        ("cjson", json::FUNCTIONS),
        ("redis", redis::FUNCTIONS),
    ] {
        if !has_all && !names(name) {
            continue;
        }
        let table = vm.free_table();
        vm.open(name, table, functions);
        let constants = match name {
            "math" => &[
                ("pi", Value::Number(std::f64::consts::PI)),
                ("huge", Value::Number(f64::INFINITY)),
            ][..],
            "cjson" => &[("null", Value::Null)],
            "redis" => &redis::CONSTANTS,
            _ => &[],
        };
        for (name, value) in constants {
            let key = Value::Text(Bytes::from_static(name.as_bytes()));
            vm.at_mut(table).set(&key, value.clone());
        }
    }
}

impl Vm<'_> {
    /// The global variables, and what is in them, stay as they are from now on.
    pub(in crate::lua) fn seal(&mut self) {
        self.tables.iter_mut().for_each(|table| table.is_readonly = true);
    }
}

/// What a function was called with.
pub(crate) struct Arguments {
    /// Of the function, as errors call it.
    function: &'static str,
    values: Vec<Value>,
}

impl Arguments {
    pub(crate) fn new(function: &'static str, values: Vec<Value>) -> Self {
        Self { function, values }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The argument at this place, from 0 on; nil where there is none.
    pub(super) fn get(&self, at: usize) -> Value {
        self.values.get(at).cloned().unwrap_or(Value::Nil)
    }

    fn is_absent(&self, at: usize) -> bool {
        self.values.get(at).is_none_or(Value::is_nil)
    }

    pub(crate) fn any(&self, vm: &Vm<'_>, at: usize) -> Result<Value, Failure> {
        let value = self.values.get(at).cloned();
        value.ok_or_else(|| self.bad(vm, at, "value expected"))
    }

    pub(super) fn number(&self, vm: &Vm<'_>, at: usize) -> Result<f64, Failure> {
        let number = self.values.get(at).and_then(Vm::to_number);
        number.ok_or_else(|| self.wrong_type(vm, at, "number"))
    }

    /// A whole number; what is behind the point is left out.
    pub(super) fn integer(&self, vm: &Vm<'_>, at: usize) -> Result<i64, Failure> {
        self.number(vm, at).map(|number| number as i64)
    }

    pub(super) fn integer_or(&self, vm: &Vm<'_>, at: usize, otherwise: i64) -> Result<i64, Failure> {
        match self.is_absent(at) {
            true => Ok(otherwise),
            false => self.integer(vm, at),
        }
    }

    pub(crate) fn text(&self, vm: &Vm<'_>, at: usize) -> Result<Bytes, Failure> {
        let text = self.values.get(at).and_then(Vm::to_text);
        text.ok_or_else(|| self.wrong_type(vm, at, "string"))
    }

    pub(super) fn text_or(&self, vm: &Vm<'_>, at: usize, otherwise: &'static [u8]) -> Result<Bytes, Failure> {
        match self.is_absent(at) {
            true => Ok(Bytes::from_static(otherwise)),
            false => self.text(vm, at),
        }
    }

    pub(crate) fn table(&self, vm: &Vm<'_>, at: usize) -> Result<TableId, Failure> {
        match self.values.get(at) {
            Some(Value::Table(table)) => Ok(*table),
            _ => Err(self.wrong_type(vm, at, "table")),
        }
    }

    pub(super) fn function(&self, vm: &Vm<'_>, at: usize) -> Result<Value, Failure> {
        match self.values.get(at) {
            Some(function @ Value::Function(_)) => Ok(function.clone()),
            _ => Err(self.wrong_type(vm, at, "function")),
        }
    }

    pub(super) fn bad(&self, vm: &Vm<'_>, at: usize, what: &str) -> Failure {
        let function = self.function;
        let place = match (vm.was_method, at) {
            (true, 0) => return vm.raised(&format!("calling '{function}' on bad self ({what})")),
            (true, at) => at,
            (false, at) => at + 1,
        };
        vm.raised(&format!("bad argument #{place} to '{function}' ({what})"))
    }

    fn wrong_type(&self, vm: &Vm<'_>, at: usize, expected: &str) -> Failure {
        let got = self.values.get(at).map_or("no value", Value::type_name);
        self.bad(vm, at, &format!("{expected} expected, got {got}"))
    }

    pub(super) fn into_values(self) -> Vec<Value> {
        self.values
    }
}

/// A row of a library: a name in it, the name of the function, and what it does.
type Row = (&'static str, &'static str, Run);

/// Functions that others return: every machine takes them first.
const NEXT: Native = Native { name: "next", at: 0 };
const IPAIRS_NEXT: Native = Native {
    name: "ipairs_next",
    at: 1,
};
const GMATCH_NEXT: Native = Native {
    name: "gmatch_next",
    at: 2,
};
