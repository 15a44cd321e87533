//! `math` (Lua 5.1 reference manual, 5.6). What is not exact everywhere comes from one library, never from the system's.

use super::{Arguments, Row};
use crate::lua::value::{Returned, Value};
use crate::lua::vm::Vm;
use crate::prng::Prng;

macro_rules! of_one {
    ($name:literal, $function:expr) => {
        ($name, concat!("math.", $name), |vm, values| {
            let number = Arguments::new($name, values).number(vm, 0)?;
            let function: fn(f64) -> f64 = $function;
            Ok(vec![Value::Number(function(number))])
        })
    };
}

macro_rules! of_two {
    ($name:literal, $function:expr) => {
        ($name, concat!("math.", $name), |vm, values| {
            let arguments = Arguments::new($name, values);
            let (one, other) = (arguments.number(vm, 0)?, arguments.number(vm, 1)?);
            let function: fn(f64, f64) -> f64 = $function;
            Ok(vec![Value::Number(function(one, other))])
        })
    };
}

pub(super) const FUNCTIONS: &[Row] = &[
    of_one!("abs", f64::abs),
    of_one!("acos", libm::acos),
    of_one!("asin", libm::asin),
    of_one!("atan", libm::atan),
    of_two!("atan2", libm::atan2),
    of_one!("ceil", f64::ceil),
    of_one!("cos", libm::cos),
    of_one!("cosh", libm::cosh),
    of_one!("deg", |number| number / (std::f64::consts::PI / 180.0)),
    of_one!("exp", libm::exp),
    of_one!("floor", f64::floor),
    of_two!("fmod", libm::fmod),
    ("frexp", "math.frexp", frexp),
    of_two!("ldexp", |number, power| libm::ldexp(number, power as i32)),
    of_one!("log", libm::log),
    of_one!("log10", libm::log10),
    ("max", "math.max", max),
    ("min", "math.min", min),
    ("modf", "math.modf", modf),
    of_two!("pow", libm::pow),
    of_one!("rad", |number| number * (std::f64::consts::PI / 180.0)),
    ("random", "math.random", random),
    ("randomseed", "math.randomseed", random_seed),
    of_one!("sin", libm::sin),
    of_one!("sinh", libm::sinh),
    of_one!("sqrt", libm::sqrt),
    of_one!("tan", libm::tan),
    of_one!("tanh", libm::tanh),
];

fn frexp(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let number = Arguments::new("frexp", values).number(vm, 0)?;
    let (fraction, exponent) = match number.is_finite() {
        true => libm::frexp(number),
        false => (number, 0),
    };
    Ok(vec![Value::Number(fraction), Value::Number(f64::from(exponent))])
}

fn modf(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let number = Arguments::new("modf", values).number(vm, 0)?;
    let fraction = if number.is_infinite() {
        0.0
    } else {
        number - number.trunc()
    };
    Ok(vec![Value::Number(number.trunc()), Value::Number(fraction)])
}

fn max(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    choose("max", vm, values, |one, other| one > other)
}

fn min(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    choose("min", vm, values, |one, other| one < other)
}

fn choose(
    name: &'static str,
    vm: &mut Vm<'_>,
    values: Vec<Value>,
    is_better: fn(f64, f64) -> bool,
) -> Returned {
    let arguments = Arguments::new(name, values);
    let mut best = arguments.number(vm, 0)?;
    for at in 1..arguments.len() {
        let other = arguments.number(vm, at)?;
        if is_better(other, best) {
            best = other;
        }
    }
    Ok(vec![Value::Number(best)])
}

fn random(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("random", values);
    // 53 bits, as many as a number has.
    let drawn = (vm.prng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    if arguments.len() == 0 {
        return Ok(vec![Value::Number(drawn)]);
    }
    let (low, high) = match arguments.len() {
        1 => (1.0, arguments.number(vm, 0)?.floor()),
        _ => (arguments.number(vm, 0)?.floor(), arguments.number(vm, 1)?.floor()),
    };
    if low > high {
        return Err(arguments.bad(vm, arguments.len() - 1, "interval is empty"));
    }
    Ok(vec![Value::Number((drawn * (high - low + 1.0)).floor() + low)])
}

fn random_seed(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let seed = Arguments::new("randomseed", values).integer(vm, 0)?;
    vm.prng = Prng::new(seed.cast_unsigned());
    Ok(Vec::new())
}
