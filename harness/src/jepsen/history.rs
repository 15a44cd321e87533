//! A history of ours as Jepsen's `history.edn`: one operation map a line.
//!
//! | field of ours | key |
//! |-|-|
//! | `i`, `t`, `p`, `f`, `v`, `node` | `:index`, `:time`, `:process`, `:f`, `:value`, `:node` |
//! | `k` | `:key` |
//! | `err` | `:error`, the short name |
//! | `saw`, `at`, `end`, `lease`, `index` | `:noraft/saw`, `:noraft/at`, `:noraft/end`, `:noraft/lease`, `:noraft/log-index` |
//!
//! A compare-and-set that found another value than it expected took effect as a look, and is `ok` in our histories; in
//! Jepsen's it is a `:fail`. A fault is an `:info` of the process `:nemesis`.

use std::fmt::Write as _;
use std::io::{self, BufRead, Write};

use serde_json::Value;

use super::edn::{Names, name_of, text, write};
use crate::history::{HistoryError, HistoryReader};
use crate::op::{EventKind, HistoryEvent};

/// Why a history was not exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It is not one of ours, or is damaged.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The output could not be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes the history in `input` to `output`; how many events it has.
///
/// # Errors
/// When the input is not a history of ours, or the output cannot be written.
pub fn export(input: impl BufRead, output: &mut impl Write) -> Result<u64, ExportError> {
    let mut reader = HistoryReader::new(input)?;
    let mut events = 0;
    let mut line = String::new();
    while let Some(event) = reader.next_event()? {
        line.clear();
        event_line(&event, &mut line);
        output.write_all(line.as_bytes())?;
        events += 1;
    }
    output.flush()?;
    Ok(events)
}

fn event_line(event: &HistoryEvent, out: &mut String) {
    // Infallible: it is written into memory.
    let _ = write!(out, "{{:index {}, :time {}, :type ", event.index(), event.time_ns);
    out.push_str(kind_of(event));
    out.push_str(", :process ");
    match event.process {
        Some(process) => out.push_str(&process.to_string()),
        None => out.push_str(":nemesis"),
    }
    out.push_str(", :f ");
    name_of(&event.function, out);
    if event.kind.is_fault() {
        fault(event, out);
    } else {
        operation(event, out);
    }
    out.push_str("}\n");
}

fn kind_of(event: &HistoryEvent) -> &'static str {
    match event.kind {
        EventKind::Invoke => ":invoke",
        EventKind::Ok if found_another(event) => ":fail",
        EventKind::Ok => ":ok",
        EventKind::Fail => ":fail",
        EventKind::Info | EventKind::FaultBegin | EventKind::FaultOk | EventKind::FaultEnd => ":info",
    }
}

/// A compare-and-set that did not swap.
fn found_another(event: &HistoryEvent) -> bool {
    let expected = event.value.as_ref().and_then(|value| value.get(0));
    event.saw.is_some() && event.saw.as_ref() != expected
}

fn operation(event: &HistoryEvent, out: &mut String) {
    let fields: [(&str, Option<&Value>); 4] = [
        (":key", event.key.as_ref()),
        (":value", event.value.as_ref()),
        (":noraft/saw", event.saw.as_ref()),
        (":noraft/at", event.at.as_ref()),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            let _ = write!(out, ", {name} ");
            write(value, Names::Texts, out);
        }
    }
    if event.end {
        out.push_str(", :noraft/end true");
    }
    for (name, number) in [
        (":noraft/lease", event.lease),
        (":noraft/log-index", event.certificate()),
    ] {
        if let Some(number) = number {
            let _ = write!(out, ", {name} {number}");
        }
    }
    if let Some(node) = &event.node {
        out.push_str(", :node ");
        text(node, out);
    }
    if let Some(error) = &event.error {
        out.push_str(", :error ");
        name_of(&error.code, out);
    }
}

fn fault(event: &HistoryEvent, out: &mut String) {
    let step = match event.kind {
        EventKind::FaultBegin => "begin",
        EventKind::FaultOk => "ok",
        EventKind::FaultEnd | EventKind::Invoke | EventKind::Ok | EventKind::Fail | EventKind::Info => "end",
    };
    let _ = write!(out, ", :value [:{step} ");
    write(event.value.as_ref().unwrap_or(&Value::Null), Names::Keywords, out);
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_a_map_of_jepsen() {
        let text = concat!(
            "{\"history\":1,\"workload\":\"register\"}\n",
            "{\"i\":0,\"t\":5,\"type\":\"invoke\",\"f\":\"cas\",\"p\":3,\"op\":0,\"k\":\"a\",\"v\":[1,2],\"node\":\"n1\"}\n",
            "{\"i\":1,\"t\":6,\"type\":\"fault.begin\",\"f\":\"kill-one\",\"v\":{\"nodes\":[\"n1\"]}}\n",
            "{\"i\":2,\"t\":9,\"type\":\"ok\",\"f\":\"cas\",\"p\":3,\"op\":0,\"k\":\"a\",\"v\":[1,2],\"saw\":7,\"index\":4}\n",
        );
        let mut out = Vec::new();
        assert_eq!(export(text.as_bytes(), &mut out).unwrap(), 3);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                "{:index 0, :time 5, :type :invoke, :process 3, :f :cas, :key \"a\", :value [1 2], :node \"n1\"}\n",
                "{:index 1, :time 6, :type :info, :process :nemesis, :f :kill-one, :value [:begin {:nodes [\"n1\"]}]}\n",
                "{:index 2, :time 9, :type :fail, :process 3, :f :cas, :key \"a\", :value [1 2], :noraft/saw 7, \
                 :noraft/log-index 4}\n",
            )
        );
    }

    #[test]
    fn what_is_no_history_of_ours_is_refused() {
        let error = export(&b"{:type :invoke}\n"[..], &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("expected the header"), "{error}");
    }
}
