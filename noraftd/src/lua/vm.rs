//! The machine that carries out a script: everything that it made, and what it may still take.
//!
//! Invariant: it does the same with the same text, seed and host, everywhere. Each part of a text that is carried out takes a step, and so
//! does each 64 bytes that are looked at; whatever is made takes bytes, which are not given back while the script runs. Both have a
//! limit, and so has the depth: no text makes the process run long, grow, or use up its stack.

use std::rc::Rc;

use bytes::Bytes;

use super::ast::Body;
use super::table::Table;
use super::value::{Closure, Failure, Function, Native, Raised, Returned, Spent, TableId, Value};
use crate::prng::Prng;

/// What a script may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    pub(crate) steps: u64,
    /// Of all that is made.
    pub(crate) bytes: u64,
}

/// What is outside of a script.
pub(crate) trait Host {
    /// Carries out a command, whose name is the first word, and gives what it answers as a value.
    ///
    /// # Errors
    ///
    /// When the script may not take what the answer takes.
    fn command(&mut self, vm: &mut Vm<'_>, words: Vec<Bytes>) -> Result<Value, Failure>;
}

/// A script that runs.
pub(crate) struct Vm<'h> {
    pub(super) tables: Vec<Table>,
    pub(super) closures: Vec<Closure>,
    /// What the functions of libraries do.
    pub(super) natives: Vec<Run>,
    /// Variables that functions share.
    pub(super) shared: Vec<Value>,
    /// The local variables of all calls under way.
    pub(super) stack: Vec<Value>,
    pub(super) globals: TableId,
    /// What texts have as methods.
    pub(super) text_methods: TableId,
    budget: Budget,
    depth: u32,
    /// The line of what is carried out.
    pub(super) line: u32,
    /// Of the calls under way.
    pub(super) lines: Vec<u32>,
    /// The last call was that of a method.
    pub(super) was_method: bool,
    pub(super) prng: Prng,
    host: Option<&'h mut dyn Host>,
}

/// What a function of a library does.
pub(crate) type Run = fn(&mut Vm<'_>, Vec<Value>) -> Returned;

/// Where a call has its variables.
#[derive(Debug)]
pub(super) struct Frame<'f> {
    pub(super) base: usize,
    pub(super) rest: &'f [Value],
    pub(super) body: &'f Body,
    pub(super) upvalues: &'f [usize],
}

impl<'h> Vm<'h> {
    /// Without the libraries; what is drawn follows from `seed`.
    pub(super) fn new(budget: Budget, seed: u64, host: &'h mut dyn Host) -> Self {
        Self {
            tables: vec![Table::default(), Table::default()],
            closures: Vec::new(),
            natives: Vec::new(),
            shared: Vec::new(),
            stack: Vec::new(),
            globals: TableId(0),
            text_methods: TableId(1),
            budget,
            depth: 0,
            line: 1,
            lines: Vec::new(),
            was_method: false,
            prng: Prng::new(seed),
            host: Some(host),
        }
    }

    /// Carries out a whole text, and gives the first thing that it returns.
    ///
    /// # Errors
    ///
    /// With why it did not come to its end.
    pub(crate) fn run(&mut self, body: Body) -> Result<Value, Failure> {
        let closure = Closure {
            body: Rc::new(body),
            upvalues: Rc::from([]),
        };
        let returned = self.run_closure(&closure, Vec::new())?;
        Ok(returned.into_iter().next().unwrap_or(Value::Nil))
    }

    /// Asks the host to carry out a command.
    pub(super) fn command(&mut self, words: Vec<Bytes>) -> Result<Value, Failure> {
        let host = self.host.take().expect("a command does not run a script");
        let returned = host.command(self, words);
        self.host = Some(host);
        returned
    }

    /// Takes steps.
    pub(crate) fn step(&mut self, count: u64) -> Result<(), Failure> {
        match self.budget.steps.checked_sub(count) {
            Some(left) => {
                self.budget.steps = left;
                Ok(())
            }
            None => {
                self.budget.steps = 0;
                Err(Failure::Spent(Spent::Steps))
            }
        }
    }

    /// The line of what is carried out.
    pub(crate) fn line(&self) -> u32 {
        self.line
    }

    /// Those that it may still take.
    pub(super) fn steps_left(&self) -> u64 {
        self.budget.steps
    }

    /// Looks at so many bytes.
    pub(crate) fn look(&mut self, bytes: usize) -> Result<(), Failure> {
        match bytes as u64 / BYTES_A_STEP {
            0 => Ok(()),
            steps => self.step(steps),
        }
    }

    /// Makes so many bytes.
    pub(crate) fn make(&mut self, bytes: usize) -> Result<(), Failure> {
        match self.budget.bytes.checked_sub(bytes as u64) {
            Some(left) => {
                self.budget.bytes = left;
                self.look(bytes)
            }
            None => {
                self.budget.bytes = 0;
                Err(Failure::Spent(Spent::Bytes))
            }
        }
    }

    /// A part that is deeper begins; it ends with [`Self::leave`], unless it fails.
    pub(super) fn enter(&mut self) -> Result<(), Failure> {
        if self.depth >= DEPTH_MAX {
            return Err(self.raised("stack overflow"));
        }
        self.depth += 1;
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Where things are, for one that goes on after an error.
    pub(super) fn mark(&self) -> (u32, usize, usize, u32) {
        (self.depth, self.stack.len(), self.lines.len(), self.line)
    }

    pub(super) fn back_to(&mut self, (depth, stack, lines, line): (u32, usize, usize, u32)) {
        self.depth = depth;
        self.stack.truncate(stack);
        self.lines.truncate(lines);
        self.line = line;
    }

    /// An error at the line of what is carried out.
    pub(crate) fn raised(&self, text: &str) -> Failure {
        self.failed(Value::text(&format!("{CHUNK_NAME}:{}: {text}", self.line)))
    }

    /// A table is to be changed that stays as it is.
    pub(super) fn readonly(&self) -> Failure {
        self.failed(Value::text(READONLY))
    }

    /// An error with this value.
    pub(crate) fn failed(&self, value: Value) -> Failure {
        let line = self.line;
        Failure::Raised(Box::new(Raised { value, line }))
    }

    /// A new text.
    pub(crate) fn text(&mut self, text: Vec<u8>) -> Result<Value, Failure> {
        self.make(text.len() + TEXT_BYTES)?;
        Ok(Value::Text(Bytes::from(text)))
    }

    /// A new table.
    pub(crate) fn table(&mut self) -> Result<TableId, Failure> {
        self.make(TABLE_BYTES)?;
        self.tables.push(Table::default());
        Ok(TableId(self.tables.len() - 1))
    }

    /// A new table with these elements.
    pub(crate) fn list(&mut self, items: Vec<Value>) -> Result<Value, Failure> {
        let table = self.table()?;
        self.fill(table, items)?;
        Ok(Value::Table(table))
    }

    /// Sets the elements from 1 on of a table.
    pub(super) fn fill(&mut self, table: TableId, items: Vec<Value>) -> Result<(), Failure> {
        self.step(items.len() as u64)?;
        self.make(items.len() * ENTRY_BYTES)?;
        self.at_mut(table).fill(items);
        Ok(())
    }

    pub(super) fn at(&self, table: TableId) -> &Table {
        self.tables
            .get(table.0)
            .expect("only this machine numbers tables")
    }

    pub(super) fn at_mut(&mut self, table: TableId) -> &mut Table {
        self.tables
            .get_mut(table.0)
            .expect("only this machine numbers tables")
    }

    /// The element of a table, without asking its metatable.
    pub(crate) fn field(&self, table: TableId, key: &'static str) -> Value {
        self.at(table).get_text(key)
    }

    /// The elements 1 to n.
    pub(crate) fn elements(&self, table: TableId) -> &[Value] {
        self.at(table).array()
    }

    /// Sets an element, without asking a metatable.
    pub(crate) fn put(&mut self, table: TableId, key: &Value, value: Value) -> Result<(), Failure> {
        match key {
            Value::Nil => return Err(self.raised("table index is nil")),
            Value::Number(number) if number.is_nan() => return Err(self.raised("table index is NaN")),
            Value::Text(text) => self.look(text.len())?,
            Value::Number(_) | Value::Bool(_) | Value::Table(_) | Value::Function(_) | Value::Null => {}
            Value::Shared(_) => unreachable!("no script has one"),
        }
        if self.at(table).is_readonly {
            return Err(self.raised(READONLY));
        }
        if self.at_mut(table).set(key, value) {
            self.step(ENTRY_STEPS)?;
            self.make(ENTRY_BYTES)?;
        }
        Ok(())
    }

    /// Sets what a library has.
    pub(crate) fn put_field(
        &mut self,
        table: TableId,
        key: &'static str,
        value: Value,
    ) -> Result<(), Failure> {
        self.put(table, &Value::Text(Bytes::from_static(key.as_bytes())), value)
    }

    /// Takes a function of a library.
    pub(super) fn native(&mut self, name: &'static str, run: Run) -> Native {
        self.natives.push(run);
        let at = self.natives.len() - 1;
        Native { name, at }
    }

    /// A library of functions, in a global variable: each by its name in it, and its name everywhere. Libraries are made before a script
    /// has a budget.
    pub(super) fn open(
        &mut self,
        name: &'static str,
        table: TableId,
        functions: &[(&'static str, &'static str, Run)],
    ) {
        let first = self.natives.len();
        self.natives.extend(functions.iter().map(|(_, _, run)| *run));
        let functions = functions.iter().zip(first..).map(|((key, name, _), at)| {
            let native = Native { name, at };
            (*key, Value::Function(Function::Native(native)))
        });
        self.at_mut(table).begin(functions);
        if table != self.globals {
            let key = Value::Text(Bytes::from_static(name.as_bytes()));
            self.at_mut(self.globals).set(&key, Value::Table(table));
        }
    }

    /// An empty table, without taking bytes.
    pub(super) fn free_table(&mut self) -> TableId {
        self.tables.push(Table::default());
        TableId(self.tables.len() - 1)
    }

    /// A global variable of the host's, for the script to use.
    pub(crate) fn set_global(&mut self, name: &'static str, value: Value) {
        let key = Value::Text(Bytes::from_static(name.as_bytes()));
        self.at_mut(self.globals).set(&key, value);
    }
}

impl std::fmt::Debug for Vm<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vm")
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

/// What errors call a script.
pub(crate) const CHUNK_NAME: &str = "user_script";
/// Calls, blocks and expressions inside each other. More than a thousand are more than a test's stack has room for.
const DEPTH_MAX: u32 = 800;
/// What an element takes that is new.
const ENTRY_STEPS: u64 = 4;
const READONLY: &str = "Attempt to modify a readonly table";
const BYTES_A_STEP: u64 = 64;
/// What a text takes beside its bytes, a table without its elements, and an element.
pub(super) const TEXT_BYTES: usize = 32;
pub(super) const TABLE_BYTES: usize = 128;
pub(super) const ENTRY_BYTES: usize = 96;
