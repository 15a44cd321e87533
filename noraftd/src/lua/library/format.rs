//! `string.format` (Lua 5.1 reference manual, 5.4), without `printf`.

use super::Arguments;
use crate::c_format::{exponential, general};
use crate::lua::number::not_finite;
use crate::lua::value::{Failure, Returned, Value};
use crate::lua::vm::Vm;

/// What is between `%` and the letter.
#[derive(Debug, Default)]
struct Spec {
    is_left: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    zeros: bool,
    width: usize,
    precision: Option<usize>,
}

pub(super) fn format(vm: &mut Vm<'_>, values: Vec<Value>) -> Returned {
    let arguments = Arguments::new("format", values);
    let template = arguments.text(vm, 0)?;
    vm.look(template.len())?;
    let mut made = Vec::with_capacity(template.len());
    let mut rest = &template[..];
    let mut at = 0;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte != b'%' {
            made.push(*byte);
            continue;
        }
        if let Some(behind) = rest.strip_prefix(b"%") {
            made.push(b'%');
            rest = behind;
            continue;
        }
        vm.step(1)?;
        at += 1;
        let spec = Spec::read(vm, &mut rest)?;
        let Some((letter, behind)) = rest.split_first() else {
            return Err(vm.raised("invalid option '%' to 'format'"));
        };
        rest = behind;
        let put = spec.written(vm, *letter, &arguments, at)?;
        vm.make(put.len())?;
        made.extend_from_slice(&put);
    }
    Ok(vec![vm.text(made)?])
}

impl Spec {
    fn read(vm: &Vm<'_>, rest: &mut &[u8]) -> Result<Self, Failure> {
        let mut spec = Self::default();
        let mut flags = 0;
        while let Some((flag, behind)) = rest.split_first() {
            match flag {
                b'-' => spec.is_left = true,
                b'+' => spec.plus = true,
                b' ' => spec.space = true,
                b'#' => spec.alternate = true,
                b'0' => spec.zeros = true,
                _ => break,
            }
            *rest = behind;
            flags += 1;
            if flags > FLAGS_MAX {
                return Err(vm.raised("invalid format (repeated flags)"));
            }
        }
        spec.width = digits(rest);
        if let Some(behind) = rest.strip_prefix(b".") {
            *rest = behind;
            spec.precision = Some(digits(rest));
        }
        if rest.first().is_some_and(u8::is_ascii_digit) {
            return Err(vm.raised("invalid format (width or precision too long)"));
        }
        Ok(spec)
    }

    fn written(
        &self,
        vm: &mut Vm<'_>,
        letter: u8,
        arguments: &Arguments,
        at: usize,
    ) -> Result<Vec<u8>, Failure> {
        Ok(match letter {
            b'c' => self.padded(&[arguments.integer(vm, at)? as u8]),
            b'd' | b'i' => {
                let number = arguments.number(vm, at)? as i64;
                self.whole(&number.unsigned_abs().to_string(), self.sign(number < 0), "")
            }
            b'u' => self.whole(&unsigned(arguments.number(vm, at)?).to_string(), "", ""),
            b'o' => {
                let digits = format!("{:o}", unsigned(arguments.number(vm, at)?));
                self.whole(&digits, "", if self.alternate { "0" } else { "" })
            }
            b'x' => {
                let digits = format!("{:x}", unsigned(arguments.number(vm, at)?));
                self.whole(&digits, "", if self.alternate { "0x" } else { "" })
            }
            b'X' => {
                let digits = format!("{:X}", unsigned(arguments.number(vm, at)?));
                self.whole(&digits, "", if self.alternate { "0X" } else { "" })
            }
            b'e' | b'E' | b'f' | b'g' | b'G' => {
                let text = self.fraction(letter, arguments.number(vm, at)?);
                vm.step(text.len() as u64)?;
                text
            }
            b'q' => quoted(&arguments.text(vm, at)?),
            b's' => {
                let text = arguments.text(vm, at)?;
                vm.look(text.len())?;
                match self.precision {
                    Some(precision) => self.padded(text.get(..precision).unwrap_or(&text)),
                    None => self.padded(&text),
                }
            }
            other => {
                let letter = char::from(other).escape_default();
                return Err(vm.raised(&format!("invalid option '%{letter}' to 'format'")));
            }
        })
    }

    fn sign(&self, is_negative: bool) -> &'static str {
        match is_negative {
            true => "-",
            false if self.plus => "+",
            false if self.space => " ",
            false => "",
        }
    }

    fn padded(&self, text: &[u8]) -> Vec<u8> {
        let blanks = vec![b' '; self.width.saturating_sub(text.len())];
        match self.is_left {
            true => [text, &blanks].concat(),
            false => [&blanks, text].concat(),
        }
    }

    /// A whole number: its digits, what is before them, and what its base is called by.
    fn whole(&self, digits: &str, sign: &str, base: &str) -> Vec<u8> {
        let base = if digits == "0" { "" } else { base };
        let digits = match self.precision {
            Some(0) if digits == "0" => String::new(),
            Some(precision) => format!("{digits:0>precision$}"),
            None if self.zeros && !self.is_left => {
                let width = self.width.saturating_sub(sign.len() + base.len());
                format!("{digits:0>width$}")
            }
            None => digits.to_owned(),
        };
        self.padded(format!("{sign}{base}{digits}").as_bytes())
    }

    fn fraction(&self, letter: u8, number: f64) -> Vec<u8> {
        let is_negative = number.is_sign_negative() && !number.is_nan();
        let sign = self.sign(is_negative);
        let size = number.abs();
        let precision = self.precision.unwrap_or(6);
        let text = match (not_finite(size), letter.to_ascii_lowercase()) {
            (Some(text), _) => text.to_owned(),
            (None, b'e') => exponential(size, precision),
            (None, b'f') => format!("{size:.precision$}"),
            (None, _) => general(size, precision, self.alternate),
        };
        let text = match letter.is_ascii_uppercase() {
            true => text.to_ascii_uppercase(),
            false => text,
        };
        if self.zeros && !self.is_left && size.is_finite() {
            let width = self.width.saturating_sub(sign.len());
            return format!("{sign}{text:0>width$}").into_bytes();
        }
        self.padded(format!("{sign}{text}").as_bytes())
    }
}

/// Two digits at most.
fn digits(rest: &mut &[u8]) -> usize {
    let mut number = 0;
    for _ in 0..2 {
        let Some((digit @ b'0'..=b'9', behind)) = rest.split_first() else {
            break;
        };
        number = number * 10 + usize::from(digit - b'0');
        *rest = behind;
    }
    number
}

fn unsigned(number: f64) -> u64 {
    match number < 0.0 {
        true => (number as i64).cast_unsigned(),
        false => number as u64,
    }
}

fn quoted(text: &[u8]) -> Vec<u8> {
    let mut made = vec![b'"'];
    for byte in text {
        match byte {
            b'"' | b'\\' | b'\n' => made.extend_from_slice(&[b'\\', *byte]),
            b'\r' => made.extend_from_slice(b"\\r"),
            0 => made.extend_from_slice(b"\\000"),
            other => made.push(*other),
        }
    }
    made.push(b'"');
    made
}

const FLAGS_MAX: usize = 5;
