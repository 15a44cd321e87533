//! Statements, carried out.

use std::rc::Rc;

use super::ast::{Block, Body, Counting, Expr, Kind, Place, Source, Statement};
use super::value::{Closure, Failure, Function, Returned, Value};
use super::vm::{Frame, Vm};

/// How a block ends.
pub(super) enum Flow {
    Next,
    Break,
    Return(Vec<Value>),
}

type Done = Result<Flow, Failure>;

impl Vm<'_> {
    /// Calls a function that the script made.
    pub(super) fn run_closure(&mut self, closure: &Closure, mut arguments: Vec<Value>) -> Returned {
        let body = &closure.body;
        let base = self.stack.len();
        self.lines.push(self.line);
        self.stack.resize(base + body.slots, Value::Nil);
        let rest = match body.is_vararg && arguments.len() > body.parameters.len() {
            true => arguments.split_off(body.parameters.len()),
            false => Vec::new(),
        };
        let frame = Frame {
            base,
            rest: &rest,
            body,
            upvalues: &closure.upvalues,
        };
        let mut arguments = arguments.into_iter();
        for place in &body.parameters {
            self.declare(&frame, *place, arguments.next().unwrap_or(Value::Nil))?;
        }
        let flow = self.block(&body.block, &frame)?;
        self.stack.truncate(base);
        self.lines.pop();
        Ok(match flow {
            Flow::Return(values) => values,
            Flow::Next | Flow::Break => Vec::new(),
        })
    }

    /// A local variable begins.
    fn declare(&mut self, frame: &Frame<'_>, place: Place, value: Value) -> Result<(), Failure> {
        let is_shared = frame.body.captured.get(place.declaration).copied();
        let held = if is_shared.unwrap_or(false) {
            self.make(SHARED_BYTES)?;
            self.shared.push(value);
            Value::Shared(self.shared.len() - 1)
        } else {
            value
        };
        *self.slot(frame, place.slot) = held;
        Ok(())
    }

    fn slot(&mut self, frame: &Frame<'_>, slot: usize) -> &mut Value {
        let held = self.stack.get_mut(frame.base + slot);
        held.expect("a call has room for its variables")
    }

    fn set_local(&mut self, frame: &Frame<'_>, slot: usize, value: Value) {
        match *self.slot(frame, slot) {
            Value::Shared(at) => *self.shared_at(at) = value,
            _ => *self.slot(frame, slot) = value,
        }
    }

    pub(super) fn local(&self, frame: &Frame<'_>, slot: usize) -> Value {
        match self.stack.get(frame.base + slot) {
            Some(Value::Shared(at)) => self.shared.get(*at).cloned().unwrap_or(Value::Nil),
            Some(value) => value.clone(),
            None => Value::Nil,
        }
    }

    fn shared_at(&mut self, at: usize) -> &mut Value {
        self.shared.get_mut(at).expect("only this machine numbers them")
    }

    pub(super) fn upvalue(&self, frame: &Frame<'_>, at: usize) -> Value {
        let held = frame.upvalues.get(at).and_then(|at| self.shared.get(*at));
        held.cloned().unwrap_or(Value::Nil)
    }

    /// Makes a function of this body.
    pub(super) fn closure(&mut self, body: &Rc<Body>, frame: &Frame<'_>) -> Result<Value, Failure> {
        self.make(CLOSURE_BYTES + body.upvalues.len() * size_of::<usize>())?;
        let upvalues = body.upvalues.iter().map(|source| match *source {
            Source::Upvalue(at) => frame.upvalues.get(at).copied().unwrap_or(0),
            Source::Local(slot) => match self.stack.get(frame.base + slot) {
                Some(Value::Shared(at)) => *at,
                _ => unreachable!("a variable that an inner function uses is shared"),
            },
        });
        let closure = Closure {
            body: Rc::clone(body),
            upvalues: upvalues.collect(),
        };
        self.closures.push(closure);
        Ok(Value::Function(Function::Closure(self.closures.len() - 1)))
    }

    fn block(&mut self, block: &Block, frame: &Frame<'_>) -> Done {
        self.enter()?;
        for statement in block {
            match self.statement(statement, frame)? {
                Flow::Next => {}
                flow => {
                    self.leave();
                    return Ok(flow);
                }
            }
        }
        self.leave();
        Ok(Flow::Next)
    }

    fn statement(&mut self, statement: &Statement, frame: &Frame<'_>) -> Done {
        self.step(1)?;
        self.line = statement.line;
        match &statement.kind {
            Kind::Local(places, values) => self.declare_all(places, values, frame)?,
            Kind::LocalFunction(place, body) => {
                self.declare(frame, *place, Value::Nil)?;
                let function = self.closure(body, frame)?;
                self.set_local(frame, place.slot, function);
            }
            Kind::Assign(targets, values) => self.assign(targets, values, frame)?,
            Kind::Call(call) => {
                self.values(call, frame)?;
            }
            Kind::Do(block) => return self.block(block, frame),
            Kind::While(condition, block) => return self.while_loop(condition, block, frame),
            Kind::Repeat(block, condition) => return self.repeat_loop(block, condition, frame),
            Kind::If(cases, otherwise) => {
                for (condition, block) in cases {
                    if self.eval(condition, frame)?.is_true() {
                        return self.block(block, frame);
                    }
                }
                return self.block(otherwise, frame);
            }
            Kind::For(counting) => return self.counting_loop(counting, frame),
            Kind::ForIn(places, values, block) => return self.iterating_loop(places, values, block, frame),
            Kind::Return(values) => return self.all(values, frame).map(Flow::Return),
            Kind::Break => return Ok(Flow::Break),
        }
        Ok(Flow::Next)
    }

    fn declare_all(&mut self, places: &[Place], values: &[Expr], frame: &Frame<'_>) -> Result<(), Failure> {
        if let ([place], [value]) = (places, values) {
            let value = self.eval(value, frame)?;
            return self.declare(frame, *place, value);
        }
        let mut values = self.all(values, frame)?.into_iter();
        for place in places {
            self.declare(frame, *place, values.next().unwrap_or(Value::Nil))?;
        }
        Ok(())
    }

    fn assign(&mut self, targets: &[Expr], values: &[Expr], frame: &Frame<'_>) -> Result<(), Failure> {
        if let ([target], [value]) = (targets, values) {
            let place = self.target(target, frame)?;
            let value = self.eval(value, frame)?;
            return self.set_target(target, place, value, frame);
        }
        let mut places = Vec::with_capacity(targets.len());
        for target in targets {
            places.push(self.target(target, frame)?);
        }
        let mut values = self.all(values, frame)?;
        values.resize(targets.len(), Value::Nil);
        // As Lua does: the last one first.
        let all = targets.iter().zip(places).zip(values);
        for ((target, place), value) in all.rev() {
            self.set_target(target, place, value, frame)?;
        }
        Ok(())
    }

    /// For an element: of what, and which.
    fn target(&mut self, target: &Expr, frame: &Frame<'_>) -> Result<Option<(Value, Value)>, Failure> {
        match target {
            Expr::Index(parts, _) => {
                let (of, key) = &**parts;
                Ok(Some((self.eval(of, frame)?, self.eval(key, frame)?)))
            }
            _ => Ok(None),
        }
    }

    fn set_target(
        &mut self,
        target: &Expr,
        place: Option<(Value, Value)>,
        value: Value,
        frame: &Frame<'_>,
    ) -> Result<(), Failure> {
        match (target, place) {
            (Expr::Local(slot, _), _) => self.set_local(frame, *slot, value),
            (Expr::Upvalue(at, _), _) => {
                if let Some(at) = frame.upvalues.get(*at) {
                    *self.shared_at(*at) = value;
                }
            }
            (Expr::Global(name, line), _) => {
                self.line = *line;
                let globals = Value::Table(self.globals);
                self.set_index(&globals, &Value::Text(name.clone()), value, target)?;
            }
            (Expr::Index(parts, line), Some((of, key))) => {
                self.line = *line;
                self.set_index(&of, &key, value, &parts.0)?;
            }
            _ => unreachable!("the parser takes no other target"),
        }
        Ok(())
    }

    fn while_loop(&mut self, condition: &Expr, block: &Block, frame: &Frame<'_>) -> Done {
        while self.eval(condition, frame)?.is_true() {
            self.step(1)?;
            match self.block(block, frame)? {
                Flow::Next => {}
                Flow::Break => break,
                flow @ Flow::Return(_) => return Ok(flow),
            }
        }
        Ok(Flow::Next)
    }

    fn repeat_loop(&mut self, block: &Block, condition: &Expr, frame: &Frame<'_>) -> Done {
        loop {
            self.step(1)?;
            match self.block(block, frame)? {
                Flow::Next => {}
                Flow::Break => break,
                flow @ Flow::Return(_) => return Ok(flow),
            }
            if self.eval(condition, frame)?.is_true() {
                break;
            }
        }
        Ok(Flow::Next)
    }

    fn counting_loop(&mut self, counting: &Counting, frame: &Frame<'_>) -> Done {
        let line = self.line;
        let first = self.eval(&counting.first, frame)?;
        let last = self.eval(&counting.last, frame)?;
        let step = match &counting.step {
            Some(step) => self.eval(step, frame)?,
            None => Value::Number(1.0),
        };
        self.line = line;
        let mut at = self.bound(&first, "initial value")?;
        let last = self.bound(&last, "limit")?;
        let step = self.bound(&step, "step")?;
        while (step > 0.0 && at <= last) || (step <= 0.0 && at >= last) {
            self.step(1)?;
            self.declare(frame, counting.place, Value::Number(at))?;
            match self.block(&counting.block, frame)? {
                Flow::Next => {}
                Flow::Break => break,
                flow @ Flow::Return(_) => return Ok(flow),
            }
            at += step;
        }
        Ok(Flow::Next)
    }

    fn bound(&self, value: &Value, what: &str) -> Result<f64, Failure> {
        let number = Self::to_number(value);
        number.ok_or_else(|| self.raised(&format!("'for' {what} must be a number")))
    }

    fn iterating_loop(
        &mut self,
        places: &[Place],
        values: &[Expr],
        block: &Block,
        frame: &Frame<'_>,
    ) -> Done {
        let line = self.line;
        let mut values = self.all(values, frame)?.into_iter();
        let mut next = || values.next().unwrap_or(Value::Nil);
        let (function, state, mut control) = (next(), next(), next());
        loop {
            self.step(1)?;
            self.line = line;
            let returned = self.call(&function, vec![state.clone(), control])?;
            let mut returned = returned.into_iter();
            let first = returned.next().unwrap_or(Value::Nil);
            if first.is_nil() {
                return Ok(Flow::Next);
            }
            control = first.clone();
            let mut all = std::iter::once(first).chain(returned);
            for place in places {
                self.declare(frame, *place, all.next().unwrap_or(Value::Nil))?;
            }
            match self.block(block, frame)? {
                Flow::Next => {}
                Flow::Break => return Ok(Flow::Next),
                flow @ Flow::Return(_) => return Ok(flow),
            }
        }
    }
}

/// What a variable that functions share takes, and a function without its variables.
const SHARED_BYTES: usize = 32;
const CLOSURE_BYTES: usize = 64;
