//! What scripts do, and what they cannot.

mod language;
mod limits;
mod sandbox;

use bytes::Bytes;

use super::{Budget, Failure, Host, Spent, Value, Vm, machine, parse};

struct NoHost;

impl Host for NoHost {
    fn command(&mut self, vm: &mut Vm<'_>, _: Vec<Bytes>) -> Result<Value, Failure> {
        vm.error_table("ERR no command")
    }
}

const BUDGET: Budget = Budget {
    steps: 1_000_000,
    bytes: 64 << 20,
};

/// What a text returns, as `tostring` shows it; or why it did not.
fn run(text: &str) -> String {
    let body = match parse(text.as_bytes()) {
        Ok(body) => body,
        Err(error) => return format!("line {}: {}", error.line, error.text),
    };
    let mut host = NoHost;
    let mut vm = machine(text.as_bytes(), BUDGET, 7, &mut host);
    match vm.run(body) {
        Ok(value) => shown(&vm, &value),
        Err(Failure::Raised(raised)) => format!("error: {}", shown(&vm, &raised.value)),
        Err(Failure::Spent(Spent::Steps)) => "too many steps".to_owned(),
        Err(Failure::Spent(Spent::Bytes)) => "too many bytes".to_owned(),
    }
}

fn shown(vm: &Vm<'_>, value: &Value) -> String {
    match value {
        Value::Table(table) => {
            let parts = vm.elements(*table).iter().map(|value| shown(vm, value));
            format!("{{{}}}", parts.collect::<Vec<_>>().join(","))
        }
        Value::Nil => "nil".to_owned(),
        Value::Bool(is) => is.to_string(),
        other => Vm::to_text(other).map_or_else(
            || other.type_name().to_owned(),
            |text| String::from_utf8_lossy(&text).into_owned(),
        ),
    }
}

fn check(rows: &[(&str, &str)]) {
    for (text, expected) in rows {
        assert_eq!(run(text), *expected, "{text}");
    }
}
