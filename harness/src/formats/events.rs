//! A history that is still in memory, as the events that its writer would write.
//!
//! Invariant: the recording is the one that the readers make of the written file.

use serde_json::Value;

use super::assemble::{Assembler, Entry, Function, Pairing, Process, Refusal};
use super::notation::{Notation, Scanner};
use super::trouble::Trouble;
use crate::history::Header;
use crate::op::HistoryEvent;
use crate::recording::budget::Budget;
use crate::recording::datum::{Datum, Pool};
use crate::recording::{Recording, ResultKind};

/// Takes the events of one history in their order, whatever their `index` says.
pub(crate) fn read(header: &Header, events: &[HistoryEvent], budget: &Budget) -> Result<Recording, Trouble> {
    let mut assembler = Assembler::new(Pairing::ByOp, budget);
    assembler.recording.workload = Some(header.workload.clone());
    if let Some(initial) = &header.initial {
        let initial = datum(initial, &mut assembler.recording.pool);
        assembler.recording.initial =
            Some(initial.ok_or_else(|| malformed(0, "expected an initial value in the header"))?);
    }
    for (at, event) in (0..).zip(events) {
        let entry = entry(at, event, &mut assembler.recording.pool)?;
        assembler.event(&entry).map_err(|refusal| match refusal {
            Refusal::Budget(limit) => Trouble::Budget { line: at + 2, limit },
            Refusal::Expected(what) => malformed(at, &format!("expected {what}")),
        })?;
    }
    Ok(assembler.finish())
}

fn entry<'a>(at: u64, event: &'a HistoryEvent, pool: &mut Pool) -> Result<Entry<'a>, Trouble> {
    let plain = if event.end {
        ResultKind::End
    } else {
        ResultKind::Plain
    };
    let mut value = |value: &Option<Value>| match value {
        Some(value) => datum(value, pool).ok_or_else(|| malformed(at, "expected a value of a history")),
        None => Ok(Datum::ABSENT),
    };
    let key = value(&event.key)?;
    let (value, result) = match (&event.saw, &event.at, event.lease) {
        (Some(_), _, _) => (value(&event.saw)?, ResultKind::Saw),
        (None, Some(_), _) => (value(&event.at)?, ResultKind::At),
        (None, None, Some(lease)) => (value(&Some(lease.into()))?, ResultKind::Plain),
        (None, None, None) => (value(&event.value)?, plain),
    };
    Ok(Entry {
        kind: event.kind,
        index: None,
        order: None,
        function: Function::Named(event.function.as_bytes()),
        process: event.process.map_or(Process::Absent, Process::Number),
        op: event.op(),
        key,
        value,
        result,
        time_ns: Some(event.time_ns),
        log_index: event.certificate(),
        node: event.node.as_deref().map(str::as_bytes),
    })
}

/// A value as the readers would read it from its text.
fn datum(value: &Value, pool: &mut Pool) -> Option<Datum> {
    match value {
        Value::Null => Some(Datum::NIL),
        Value::Bool(value) => Some(Datum::bool(*value)),
        Value::String(text) => Some(pool.text(text)),
        Value::Array(elements) => {
            let elements: Option<Vec<Datum>> = elements.iter().map(|element| datum(element, pool)).collect();
            Some(pool.list(&elements?))
        }
        Value::Number(number) => match number.as_i64() {
            Some(number) => Some(pool.int(number)),
            None => parsed(value, pool),
        },
        Value::Object(_) => parsed(value, pool),
    }
}

fn parsed(value: &Value, pool: &mut Pool) -> Option<Datum> {
    let text = format!("{value}\n");
    Scanner::new(text.as_bytes(), Notation::Json).datum(pool).ok()
}

fn malformed(at: u64, problem: &str) -> Trouble {
    Trouble::Malformed {
        line: at + 2,
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::history::HistoryWriter;
    use crate::op::EventKind;
    use crate::plan::{Plan, Span};
    use crate::sim::{Lines, simulate};

    /// Everything that the checkers see of a recording.
    fn shown(recording: &Recording) -> String {
        let mut shown = format!("{:?} {:?}\n", recording.workload, recording.counts);
        let initial = recording.initial.map(|initial| recording.pool.show(initial));
        shown += &format!("{initial:?} {:?} {:?}\n", recording.log_indexes, recording.faults);
        for (id, operation) in (0..).zip(&recording.operations) {
            let [key, input, output] = [operation.key, operation.input, operation.output]
                .map(|datum| format!("{}{}", recording.pool.show(datum), datum.is_absent()));
            shown += &format!(
                "{} {key} {input} {output} {} {} {} {:?} {:?} {:?} {:?}\n",
                operation.process,
                operation.call,
                operation.ret,
                recording.function(operation),
                operation.status,
                operation.result,
                recording.nodes.get(&id),
                recording.times.get(operation.call as usize),
            );
        }
        shown
    }

    fn assert_same(header: &Header, events: &[HistoryEvent]) {
        let mut writer = HistoryWriter::new(Vec::new(), header).unwrap();
        for event in events {
            writer.record(&mut event.clone()).unwrap();
        }
        let (bytes, path) = (writer.finish().unwrap(), Path::new("history.jsonl"));
        let budget = Budget::default();
        let file = crate::formats::read(Cursor::new(bytes), path, &budget).unwrap();
        let memory = crate::formats::read_events(header, events, path, &budget).unwrap();
        similar(&shown(&file), &shown(&memory));
    }

    fn similar(file: &str, memory: &str) {
        for (file, memory) in file.lines().zip(memory.lines()) {
            assert_eq!(file, memory);
        }
        assert_eq!(file.len(), memory.len());
    }

    #[test]
    fn every_field_is_taken_as_from_a_file() {
        let mut header = Header::new("register");
        header.initial = Some(json!([1, "a"]));
        let values = [
            json!(null),
            json!(true),
            json!(-7),
            json!(i64::MIN),
            json!(u64::MAX),
            json!(1.5),
            json!("7"),
            json!("zwei \" \n"),
            json!([1, [2, null], "x"]),
            json!({"a": 1, "b": [2]}),
        ];
        let mut events = Vec::new();
        for (op, value) in (0..).zip(values) {
            let mut call = HistoryEvent::invoke(op % 3 + 10 * op, op, "cas").at_time(op * 10);
            (call.key, call.value) = (Some(json!(format!("k{}", op % 2))), Some(value.clone()));
            call.node = Some("n1".into());
            let mut done = call.clone();
            done.kind = [EventKind::Ok, EventKind::Fail, EventKind::Info][op as usize % 3];
            match op % 5 {
                0 => done.saw = Some(value),
                1 => done.at = Some(value),
                2 => done.lease = Some(op),
                3 => done.end = true,
                _ => done = done.certified(op),
            }
            events.extend([call, done.at_time(op * 10 + 5)]);
        }
        let mut fault = HistoryEvent::fault(EventKind::FaultBegin, "cas", json!(1)).at_time(0);
        (fault.key, fault.node) = (Some(json!("k0")), Some("n1".into()));
        events.insert(3, fault);
        assert_same(&header, &events);
    }

    #[test]
    fn a_simulated_history_is_the_same_in_memory_as_in_its_file() {
        let plan = Path::new(env!("CARGO_MANIFEST_DIR")).join("../workloads/swarm.toml");
        let plan = Plan::load(&plan).unwrap().lasting(Span::from_millis(2000));
        for seed in 1..6 {
            for track in simulate(&plan, seed, Lines::None).histories {
                assert_same(&track.header, &track.events);
            }
        }
    }
}
