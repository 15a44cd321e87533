//! `bit`: operations on 32 bits, as in LuaJIT's BitOp.

use super::{Arguments, Row};
use crate::lua::value::{Failure, Returned, Value};
use crate::lua::vm::Vm;

macro_rules! row {
    ($name:literal, $run:expr) => {
        ($name, concat!("bit.", $name), $run)
    };
}

macro_rules! fold {
    ($name:literal, $fold:expr) => {
        row!($name, |vm, values| fold($name, vm, values, $fold))
    };
}

macro_rules! shift {
    ($name:literal, $shift:expr) => {
        row!($name, |vm, values| shift($name, vm, values, $shift))
    };
}

pub(super) const FUNCTIONS: &[Row] = &[
    shift!("arshift", |bits, by| bits >> by),
    fold!("band", |one, other| one & other),
    row!("bnot", |vm, values| {
        let bits = bits(&Arguments::new("bnot", values), vm, 0)?;
        Ok(number(!bits))
    }),
    fold!("bor", |one, other| one | other),
    row!("bswap", |vm, values| {
        let bits = bits(&Arguments::new("bswap", values), vm, 0)?;
        Ok(number(bits.swap_bytes()))
    }),
    fold!("bxor", |one, other| one ^ other),
    shift!("lshift", |bits, by| bits << by),
    shift!("rol", i32::rotate_left),
    shift!("ror", i32::rotate_right),
    shift!("rshift", |bits, by| (bits.cast_unsigned() >> by).cast_signed()),
    row!("tobit", |vm, values| {
        Ok(number(bits(&Arguments::new("tobit", values), vm, 0)?))
    }),
    row!("tohex", to_hex),
];

/// As BitOp does: rounded, of which the lowest 32 bits.
fn bits(arguments: &Arguments, vm: &Vm<'_>, at: usize) -> Result<i32, Failure> {
    let number = arguments.number(vm, at)?.round_ties_even();
    Ok((number as i64 as u32).cast_signed())
}

fn number(bits: i32) -> Vec<Value> {
    vec![Value::Number(f64::from(bits))]
}

fn fold(name: &'static str, vm: &mut Vm<'_>, values: Vec<Value>, with: fn(i32, i32) -> i32) -> Returned {
    let arguments = Arguments::new(name, values);
    let mut all = bits(&arguments, vm, 0)?;
    for at in 1..arguments.len() {
        all = with(all, bits(&arguments, vm, at)?);
    }
    Ok(number(all))
}

fn shift(name: &'static str, vm: &mut Vm<'_>, values: Vec<Value>, with: fn(i32, u32) -> i32) -> Returned {
    let arguments = Arguments::new(name, values);
    let (of, by) = (bits(&arguments, vm, 0)?, bits(&arguments, vm, 1)?);
    Ok(number(with(of, by.cast_unsigned() & 31)))
}

fn to_hex(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("tohex", values);
    let of = bits(&arguments, vm, 0)?;
    let digits = match arguments.len() {
        1 => 8,
        _ => bits(&arguments, vm, 1)?,
    };
    let text = match digits < 0 {
        true => format!("{of:08X}"),
        false => format!("{of:08x}"),
    };
    let count = usize::try_from(digits.unsigned_abs()).unwrap_or(8).min(8);
    let text = text.get(8 - count..).unwrap_or_default().as_bytes().to_vec();
    Ok(vec![vm.text(text)?])
}
