//! Expressions, and calls.

use bytes::Bytes;

use super::ast::{Binary, Call, Constructor, Expr};
use super::value::{Failure, Function, Returned, Value};
use super::vm::{Frame, Vm};

type Evaluated = Result<Value, Failure>;

impl Vm<'_> {
    /// One value.
    pub(super) fn eval(&mut self, expr: &Expr, frame: &Frame<'_>) -> Evaluated {
        self.step(1)?;
        match expr {
            Expr::Nil => Ok(Value::Nil),
            Expr::Bool(is) => Ok(Value::Bool(*is)),
            Expr::Number(number) => Ok(Value::Number(*number)),
            Expr::Text(text) => Ok(Value::Text(text.clone())),
            Expr::Local(slot, _) => Ok(self.local(frame, *slot)),
            Expr::Upvalue(at, _) => Ok(self.upvalue(frame, *at)),
            Expr::Rest => Ok(frame.rest.first().cloned().unwrap_or(Value::Nil)),
            Expr::Global(name, line) => {
                self.line = *line;
                let globals = Value::Table(self.globals);
                self.index(&globals, &Value::Text(name.clone()), None)
            }
            _ => {
                self.enter()?;
                let value = self.compound(expr, frame)?;
                self.leave();
                Ok(value)
            }
        }
    }

    fn compound(&mut self, expr: &Expr, frame: &Frame<'_>) -> Evaluated {
        match expr {
            Expr::Function(body) => self.closure(body, frame),
            Expr::Index(parts, line) => {
                let of = self.eval(&parts.0, frame)?;
                let key = self.eval(&parts.1, frame)?;
                self.line = *line;
                self.index(&of, &key, Some(&parts.0))
            }
            Expr::Call(call) => Ok(first(self.call_of(call, frame)?)),
            Expr::Binary(Binary::Concat, parts, line) => self.concat(parts, *line, frame),
            Expr::Binary(operator, parts, line) => {
                let left = self.eval(&parts.0, frame)?;
                let right = self.eval(&parts.1, frame)?;
                self.line = *line;
                self.binary(*operator, (&left, &right), parts)
            }
            Expr::And(parts) => {
                let left = self.eval(&parts.0, frame)?;
                match left.is_true() {
                    true => self.eval(&parts.1, frame),
                    false => Ok(left),
                }
            }
            Expr::Or(parts) => {
                let left = self.eval(&parts.0, frame)?;
                match left.is_true() {
                    true => Ok(left),
                    false => self.eval(&parts.1, frame),
                }
            }
            Expr::Not(of) => Ok(Value::Bool(!self.eval(of, frame)?.is_true())),
            Expr::Negate(of, line) => {
                let value = self.eval(of, frame)?;
                self.line = *line;
                self.negate(&value, of)
            }
            Expr::Length(of, line) => {
                let value = self.eval(of, frame)?;
                self.line = *line;
                self.length(&value, of)
            }
            Expr::Table(constructor) => self.constructed(constructor, frame),
            Expr::Single(of) => self.eval(of, frame),
            Expr::Nil
            | Expr::Bool(_)
            | Expr::Number(_)
            | Expr::Text(_)
            | Expr::Rest
            | Expr::Local(..)
            | Expr::Upvalue(..)
            | Expr::Global(..) => unreachable!("these are no deeper"),
        }
    }

    /// All values of an expression: of a call, or of `...`.
    pub(super) fn values(&mut self, expr: &Expr, frame: &Frame<'_>) -> Returned {
        match expr {
            Expr::Call(call) => {
                self.step(1)?;
                self.enter()?;
                let values = self.call_of(call, frame)?;
                self.leave();
                Ok(values)
            }
            Expr::Rest => {
                self.step(1 + frame.rest.len() as u64)?;
                Ok(frame.rest.to_vec())
            }
            _ => Ok(vec![self.eval(expr, frame)?]),
        }
    }

    /// The values of a list, of its last part all.
    pub(super) fn all(&mut self, list: &[Expr], frame: &Frame<'_>) -> Returned {
        let Some((last, others)) = list.split_last() else {
            return Ok(Vec::new());
        };
        if others.is_empty() {
            return self.values(last, frame);
        }
        let mut all = Vec::with_capacity(list.len());
        for expr in others {
            all.push(self.eval(expr, frame)?);
        }
        all.append(&mut self.values(last, frame)?);
        Ok(all)
    }

    fn constructed(&mut self, constructor: &Constructor, frame: &Frame<'_>) -> Evaluated {
        let table = self.table()?;
        for (key, value) in &constructor.pairs {
            let key = self.eval(key, frame)?;
            let value = self.eval(value, frame)?;
            self.line = constructor.line;
            self.put(table, &key, value)?;
        }
        let items = self.all(&constructor.items, frame)?;
        self.fill(table, items)?;
        Ok(Value::Table(table))
    }

    fn call_of(&mut self, call: &Call, frame: &Frame<'_>) -> Returned {
        let mut function = self.eval(&call.function, frame)?;
        let mut arguments = Vec::with_capacity(call.arguments.len() + 1);
        if let Some(method) = &call.method {
            self.line = call.line;
            let object = function;
            function = self.index(&object, &Value::Text(method.clone()), Some(&call.function))?;
            arguments.push(object);
        }
        arguments.append(&mut self.all(&call.arguments, frame)?);
        self.line = call.line;
        let is_callable = matches!(function, Value::Function(_))
            || (matches!(function, Value::Table(_)) && !self.metamethod(&function, "__call").is_nil());
        if !is_callable {
            let described = match &call.method {
                Some(method) => named("method", method, &function),
                None => described(&call.function, &function),
            };
            return Err(self.raised(&format!("attempt to call {described}")));
        }
        self.was_method = call.method.is_some();
        let returned = self.call(&function, arguments)?;
        self.line = call.line;
        Ok(returned)
    }

    /// Calls a function, or what has a metatable with one.
    pub(crate) fn call(&mut self, function: &Value, mut arguments: Vec<Value>) -> Returned {
        self.step(CALL_STEPS + arguments.len() as u64)?;
        self.enter()?;
        let returned = match function {
            Value::Function(Function::Native(native)) => {
                let run = self.natives.get(native.at).copied();
                run.expect("only this machine numbers them")(self, arguments)?
            }
            Value::Function(Function::Closure(at)) => {
                let closure = self.closures.get(*at).cloned();
                self.run_closure(&closure.expect("only this machine numbers them"), arguments)?
            }
            other => {
                let handler = self.metamethod(other, "__call");
                if handler.is_nil() {
                    let text = format!("attempt to call a {} value", other.type_name());
                    return Err(self.raised(&text));
                }
                arguments.insert(0, other.clone());
                self.call(&handler, arguments)?
            }
        };
        self.leave();
        Ok(returned)
    }

    /// What a metatable has for a value.
    pub(super) fn metamethod(&self, value: &Value, event: &'static str) -> Value {
        let Value::Table(table) = value else {
            return Value::Nil;
        };
        let meta = self.at(*table).meta;
        meta.map_or(Value::Nil, |meta| self.at(meta).get_text(event))
    }

    /// An element; `expr` is what `of` was.
    pub(super) fn index(&mut self, of: &Value, key: &Value, expr: Option<&Expr>) -> Evaluated {
        if let Value::Text(text) = key {
            self.look(text.len())?;
        }
        let mut of = of.clone();
        for _ in 0..CHAIN_MAX {
            let table = match &of {
                Value::Table(table) => *table,
                Value::Text(_) => self.text_methods,
                other => {
                    let described = expr.map_or_else(
                        || format!("a {} value", other.type_name()),
                        |expr| described(expr, other),
                    );
                    return Err(self.raised(&format!("attempt to index {described}")));
                }
            };
            self.step(1)?;
            let found = self.at(table).get(key);
            if !found.is_nil() {
                return Ok(found);
            }
            if table == self.globals {
                return Err(self.missing_global(key));
            }
            let handler = self.metamethod(&of, "__index");
            match handler {
                Value::Nil => return Ok(Value::Nil),
                Value::Function(_) => return Ok(first(self.call(&handler, vec![of, key.clone()])?)),
                other => of = other,
            }
        }
        Err(self.raised("loop in gettable"))
    }

    fn missing_global(&self, key: &Value) -> Failure {
        let name = match key {
            Value::Text(name) => String::from_utf8_lossy(name).into_owned(),
            other => other.type_name().to_owned(),
        };
        self.raised(&format!(
            "Script attempted to access nonexistent global variable '{name}'"
        ))
    }

    /// Sets an element; `expr` is what `of` was.
    pub(super) fn set_index(
        &mut self,
        of: &Value,
        key: &Value,
        value: Value,
        expr: &Expr,
    ) -> Result<(), Failure> {
        let mut of = of.clone();
        for _ in 0..CHAIN_MAX {
            let Value::Table(table) = of else {
                let described = described(expr, &of);
                return Err(self.raised(&format!("attempt to index {described}")));
            };
            self.step(1)?;
            let handler = match self.at(table).meta {
                Some(_) if self.at(table).get(key).is_nil() => self.metamethod(&of, "__newindex"),
                Some(_) | None => Value::Nil,
            };
            match handler {
                Value::Nil => return self.put(table, key, value),
                Value::Function(_) => {
                    self.call(&handler, vec![of, key.clone(), value])?;
                    return Ok(());
                }
                other => of = other,
            }
        }
        Err(self.raised("loop in settable"))
    }

    fn length(&mut self, value: &Value, expr: &Expr) -> Evaluated {
        match value {
            Value::Text(text) => Ok(Value::Number(text.len() as f64)),
            Value::Table(table) => Ok(Value::Number(self.at(*table).length() as f64)),
            other => {
                let text = format!("attempt to get length of {}", described(expr, other));
                Err(self.raised(&text))
            }
        }
    }

    fn concat(&mut self, parts: &(Expr, Expr), line: u32, frame: &Frame<'_>) -> Evaluated {
        // `a .. b .. c` is joined at once.
        let mut exprs = vec![&parts.0];
        let mut right = &parts.1;
        while let Expr::Binary(Binary::Concat, parts, _) = right {
            exprs.push(&parts.0);
            right = &parts.1;
        }
        exprs.push(right);
        let mut values = Vec::with_capacity(exprs.len());
        for expr in &exprs {
            values.push(self.eval(expr, frame)?);
        }
        self.line = line;
        if values.iter().all(is_textual) {
            return self.joined(&values);
        }
        let mut exprs = exprs.into_iter().rev();
        let mut values = values.into_iter().rev();
        let mut last_expr = exprs.next();
        let mut joined = values.next().unwrap_or(Value::Nil);
        for (expr, value) in exprs.zip(values) {
            joined = if is_textual(&value) && is_textual(&joined) {
                self.joined(&[value, joined])?
            } else {
                let of_right = last_expr.unwrap_or(expr);
                self.concat_by_metatable(&value, joined, (expr, of_right))?
            };
            last_expr = Some(expr);
        }
        Ok(joined)
    }

    fn concat_by_metatable(&mut self, left: &Value, right: Value, exprs: (&Expr, &Expr)) -> Evaluated {
        let handler = self.handler(left, &right, "__concat");
        if !handler.is_nil() {
            return Ok(first(self.call(&handler, vec![left.clone(), right])?));
        }
        let described = match is_textual(left) {
            true => described(exprs.1, &right),
            false => described(exprs.0, left),
        };
        Err(self.raised(&format!("attempt to concatenate {described}")))
    }

    fn joined(&mut self, values: &[Value]) -> Evaluated {
        let mut texts: Vec<Bytes> = Vec::with_capacity(values.len());
        for value in values {
            if matches!(value, Value::Number(_)) {
                self.step(NUMBER_STEPS)?;
            }
            texts.extend(Self::to_text(value));
        }
        let bytes = texts.iter().map(Bytes::len).sum();
        self.make(bytes + super::vm::TEXT_BYTES)?;
        let mut joined = Vec::with_capacity(bytes);
        texts.iter().for_each(|text| joined.extend_from_slice(text));
        Ok(Value::Text(Bytes::from(joined)))
    }

    /// What one of the metatables has for an operator.
    pub(super) fn handler(&self, left: &Value, right: &Value, event: &'static str) -> Value {
        match self.metamethod(left, event) {
            Value::Nil => self.metamethod(right, event),
            handler => handler,
        }
    }
}

/// The first value, or nil.
pub(super) fn first(values: Vec<Value>) -> Value {
    values.into_iter().next().unwrap_or(Value::Nil)
}

fn is_textual(value: &Value) -> bool {
    matches!(value, Value::Text(_) | Value::Number(_))
}

/// A value, and where it came from.
pub(super) fn described(expr: &Expr, value: &Value) -> String {
    match expr {
        Expr::Local(_, name) => named("local", name, value),
        Expr::Upvalue(_, name) => named("upvalue", name, value),
        Expr::Global(name, _) => named("global", name, value),
        Expr::Index(parts, _) => match &parts.1 {
            Expr::Text(name) => named("field", name, value),
            _ => format!("a {} value", value.type_name()),
        },
        _ => format!("a {} value", value.type_name()),
    }
}

fn named(kind: &str, name: &Bytes, value: &Value) -> String {
    let name = super::lexer::shown(name);
    format!("{kind} '{name}' (a {} value)", value.type_name())
}

/// What a call takes beside its arguments.
const CALL_STEPS: u64 = 5;
/// What a number takes that is written.
const NUMBER_STEPS: u64 = 5;
/// As in Lua (`MAXTAGLOOP`).
const CHAIN_MAX: usize = 100;
