//! What operators do with values.

use std::cmp::Ordering;

use bytes::Bytes;

use super::ast::{Binary, Expr};
use super::eval::{described, first};
use super::number;
use super::value::{Failure, Value};
use super::vm::Vm;

type Evaluated = Result<Value, Failure>;

impl Vm<'_> {
    /// The number that a value is, or that a text says.
    pub(crate) fn to_number(value: &Value) -> Option<f64> {
        match value {
            Value::Number(number) => Some(*number),
            Value::Text(text) if text.len() <= NUMBER_BYTES_MAX => number::parse(text),
            _ => None,
        }
    }

    /// The text that a value is, or that a number is written as.
    pub(crate) fn to_text(value: &Value) -> Option<Bytes> {
        match value {
            Value::Text(text) => Some(text.clone()),
            Value::Number(number) => Some(Bytes::from(number::show(*number))),
            _ => None,
        }
    }

    pub(super) fn binary(
        &mut self,
        operator: Binary,
        (left, right): (&Value, &Value),
        exprs: &(Expr, Expr),
    ) -> Evaluated {
        let event = match operator {
            Binary::Equal => return Ok(Value::Bool(self.is_equal(left, right)?)),
            Binary::Unequal => return Ok(Value::Bool(!self.is_equal(left, right)?)),
            Binary::Less => return Ok(Value::Bool(self.is_less(left, right)?)),
            Binary::Greater => return Ok(Value::Bool(self.is_less(right, left)?)),
            Binary::LessEqual => return Ok(Value::Bool(self.is_at_most(left, right)?)),
            Binary::GreaterEqual => return Ok(Value::Bool(self.is_at_most(right, left)?)),
            Binary::Add => "__add",
            Binary::Subtract => "__sub",
            Binary::Multiply => "__mul",
            Binary::Divide => "__div",
            Binary::Modulo => "__mod",
            Binary::Power => "__pow",
            Binary::Concat => unreachable!("it is joined elsewhere"),
        };
        if let (Some(one), Some(other)) = (Self::to_number(left), Self::to_number(right)) {
            return Ok(Value::Number(calculate(operator, one, other)));
        }
        let handler = self.handler(left, right, event);
        if !handler.is_nil() {
            return Ok(first(self.call(&handler, vec![left.clone(), right.clone()])?));
        }
        let described = match Self::to_number(left) {
            Some(_) => described(&exprs.1, right),
            None => described(&exprs.0, left),
        };
        Err(self.raised(&format!("attempt to perform arithmetic on {described}")))
    }

    pub(super) fn negate(&mut self, value: &Value, expr: &Expr) -> Evaluated {
        if let Some(number) = Self::to_number(value) {
            return Ok(Value::Number(-number));
        }
        let handler = self.metamethod(value, "__unm");
        if !handler.is_nil() {
            return Ok(first(self.call(&handler, vec![value.clone(), value.clone()])?));
        }
        let described = described(expr, value);
        Err(self.raised(&format!("attempt to perform arithmetic on {described}")))
    }

    fn is_equal(&mut self, left: &Value, right: &Value) -> Result<bool, Failure> {
        if let (Value::Text(one), Value::Text(other)) = (left, right) {
            self.look(one.len().min(other.len()))?;
        }
        if left.is(right) {
            return Ok(true);
        }
        match (self.metamethod(left, "__eq"), self.metamethod(right, "__eq")) {
            (one @ Value::Function(_), other) if one.is(&other) => {
                let returned = self.call(&one, vec![left.clone(), right.clone()])?;
                Ok(first(returned).is_true())
            }
            _ => Ok(false),
        }
    }

    /// `<`
    pub(crate) fn is_less(&mut self, left: &Value, right: &Value) -> Result<bool, Failure> {
        match self.order(left, right)? {
            Some(order) => Ok(order == Some(Ordering::Less)),
            None => match self.compared(left, right, "__lt")? {
                Some(is) => Ok(is),
                None => Err(self.not_comparable(left, right)),
            },
        }
    }

    fn is_at_most(&mut self, left: &Value, right: &Value) -> Result<bool, Failure> {
        match self.order(left, right)? {
            Some(order) => Ok(matches!(order, Some(Ordering::Less | Ordering::Equal))),
            None => match self.compared(left, right, "__le")? {
                Some(is) => Ok(is),
                None => match self.compared(right, left, "__lt")? {
                    Some(is) => Ok(!is),
                    None => Err(self.not_comparable(left, right)),
                },
            },
        }
    }

    /// Of two numbers or texts; `Some(None)` for what is no number.
    fn order(&mut self, left: &Value, right: &Value) -> Result<Option<Option<Ordering>>, Failure> {
        Ok(match (left, right) {
            (Value::Number(one), Value::Number(other)) => Some(one.partial_cmp(other)),
            (Value::Text(one), Value::Text(other)) => {
                self.look(one.len().min(other.len()))?;
                Some(Some(one.cmp(other)))
            }
            _ => None,
        })
    }

    fn compared(
        &mut self,
        left: &Value,
        right: &Value,
        event: &'static str,
    ) -> Result<Option<bool>, Failure> {
        let handler = self.metamethod(left, event);
        if handler.is_nil() || !handler.is(&self.metamethod(right, event)) {
            return Ok(None);
        }
        let returned = self.call(&handler, vec![left.clone(), right.clone()])?;
        Ok(Some(first(returned).is_true()))
    }

    fn not_comparable(&self, left: &Value, right: &Value) -> Failure {
        let (one, other) = (left.type_name(), right.type_name());
        self.raised(&match one == other {
            true => format!("attempt to compare two {one} values"),
            false => format!("attempt to compare {one} with {other}"),
        })
    }
}

/// Powers are those of one library, not of the system's: every other operator is exact everywhere.
fn calculate(operator: Binary, one: f64, other: f64) -> f64 {
    match operator {
        Binary::Add => one + other,
        Binary::Subtract => one - other,
        Binary::Multiply => one * other,
        Binary::Divide => one / other,
        Binary::Modulo => one - (one / other).floor() * other,
        Binary::Power => libm::pow(one, other),
        Binary::Concat
        | Binary::Equal
        | Binary::Unequal
        | Binary::Less
        | Binary::LessEqual
        | Binary::Greater
        | Binary::GreaterEqual => unreachable!("no calculation"),
    }
}

/// A longer text is no number that anyone writes.
const NUMBER_BYTES_MAX: usize = 256;
