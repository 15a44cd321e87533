//! What the script draws: operations, faults and nodes over time, as data in the page.
//!
//! Two elements: `data` is JSON; `ops` are the operations, base64 of LEB128 numbers, five an operation, in order of invocation:
//! microseconds since the invocation before it, its duration in microseconds and one (0: it did not end), its lane, its function,
//! and its node times four and its ending (0 ok, 1 fail, 2 unknown). A million operations are about eight megabytes.
//!
//! Invariant: bounded, by `series::OPERATIONS_MAX` and the limits here; neither element can end early, whatever a run wrote.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, PreEscaped, html};
use serde_json::{Value, json};

use super::headings::kind_of;
use super::words::nodes_of;
use super::{Page, account};
use crate::nodes::NodeSample;
use crate::report::timeline;
use crate::results::{Account, FaultResult};
use crate::series::{Ending, OperationSpan};

/// Faults that are drawn.
const FAULTS_MAX: usize = 5000;
/// Samples of a node, about.
const SAMPLES: u64 = 1500;
/// Processes that the name of a lane lists.
const PROCESSES_NAMED: usize = 3;

impl Page<'_> {
    pub(super) fn over_time(&self) -> Markup {
        let has_violation = self
            .broken()
            .iter()
            .any(|check| account(check).is_some_and(is_timed));
        let is_long = self.tally.series.lanes.len() > 1;
        html! {
            section #time {
                h2 { "Over time" }
                noscript { div .scroll { (PreEscaped(timeline::draw(self.results, self.tally))) } }
                div #charts hidden {
                    div .tools role="toolbar" aria-label="What the timeline shows" {
                        button #all type="button" { "Whole run" }
                        @if has_violation { button #to-violation type="button" { "First violation" } }
                        button #earlier type="button" aria-label="Earlier" { "◀" }
                        button #later type="button" aria-label="Later" { "▶" }
                        button #closer type="button" aria-label="Zoom in" { "+" }
                        button #wider type="button" aria-label="Zoom out" { "−" }
                        @if is_long { button #fold type="button" aria-pressed="false" { "Fold clients" } }
                    }
                    div #legend {}
                    div #plot {
                        canvas #canvas tabindex="0" role="img" aria-describedby="shown"
                            aria-label="Throughput, latency, nodes, faults and the operations of each client over time" {}
                        div #tip role="tooltip" hidden {}
                    }
                    p #shown .dim role="status" {}
                    p .dim .hint { "Drag to zoom, double-click for the whole run. Keys: ← → + − and Home. " (self.about_data()) }
                }
                script type="application/json" id="data" { (PreEscaped(inert(&self.data()))) }
                script type="text/plain" id="ops" { (PreEscaped(encoded(&self.tally.series.operations))) }
            }
        }
    }

    fn about_data(&self) -> String {
        let mut said = String::new();
        if self.tally.series.omitted > 0 {
            said.push_str(&format!(
                "The last {} operations are counted, not drawn. ",
                self.tally.series.omitted
            ));
        }
        match &self.nodes {
            Ok(log) if log.samples.is_empty() => said.push_str("The nodes were not asked what they are."),
            Ok(_) => {}
            Err(trouble) => said.push_str(&format!("nodes.jsonl cannot be read: {trouble}.")),
        }
        said
    }

    fn data(&self) -> Value {
        let series = &self.tally.series;
        let lanes: Vec<String> = series
            .lanes
            .iter()
            .map(|processes| lane_name(processes))
            .collect();
        let phases = self.results.phases.iter();
        json!({
            "end": self.end_ns() / 1000,
            "functions": series.functions.all(),
            "asked": series.nodes.all(),
            "lanes": lanes,
            "count": series.operations.len(),
            "phases": phases.map(|phase| json!([phase.name, phase.from_ns / 1000, phase.to_ns / 1000])).collect::<Vec<_>>(),
            "faults": self.results.faults.iter().take(FAULTS_MAX).map(fault).collect::<Vec<_>>(),
            "nodes": self.node_data(),
            "violation": self.violated(),
        })
    }

    fn end_ns(&self) -> u64 {
        let faults = self.results.faults.iter().filter_map(|fault| fault.to_ns);
        let phases = self.results.phases.iter().map(|phase| phase.to_ns);
        faults
            .chain(phases)
            .chain([self.tally.series.end_ns, 1000])
            .max()
            .unwrap_or(1000)
    }

    fn node_data(&self) -> Vec<Value> {
        let Ok(log) = &self.nodes else { return Vec::new() };
        let nodes = 1..=self.plan.machines() as u64;
        let node = |node| {
            let samples = log.thinned(node, SAMPLES);
            json!({ "name": format!("n{node}"), "samples": samples.iter().flat_map(numbers).collect::<Vec<u64>>() })
        };
        nodes.map(node).collect()
    }

    /// The first violation: its time, and its operations where they are on the timeline.
    fn violated(&self) -> Value {
        let broken = self.broken();
        let Some(account) = broken
            .iter()
            .filter_map(|check| account(check))
            .find(|account| is_timed(account))
        else {
            return Value::Null;
        };
        let operations = account.operations.iter().filter_map(|operation| {
            let process: u64 = operation.process.strip_prefix('p')?.parse().ok()?;
            let mut lanes = self.tally.series.lanes.iter();
            let lane = lanes.position(|processes| processes.contains(&process))?;
            Some(json!([
                operation.letter,
                lane,
                operation.called_ns? / 1000,
                operation.what,
                operation.process
            ]))
        });
        json!({
            "from": account.from_ns.map(|ns| ns / 1000),
            "to": account.to_ns.or(account.from_ns).map(|ns| ns / 1000),
            "operations": operations.collect::<Vec<_>>(),
        })
    }
}

fn is_timed(account: &Account) -> bool {
    account.from_ns.is_some()
}

fn lane_name(processes: &[u64]) -> String {
    let named: Vec<String> = processes
        .iter()
        .take(PROCESSES_NAMED)
        .map(|process| format!("p{process}"))
        .collect();
    match processes.len().saturating_sub(PROCESSES_NAMED) {
        0 => named.join(" "),
        more => format!("{} and {more} more", named.join(" ")),
    }
}

fn fault(fault: &FaultResult) -> Value {
    json!({
        "name": fault.fault,
        "kind": kind_of(fault),
        "from": fault.from_ns / 1000,
        "to": fault.to_ns.map(|ns| ns / 1000),
        "nodes": nodes_of(&fault.fault),
        "took": fault.evidence.is_some(),
        "effect": fault.effect(),
    })
}

/// Microseconds, state (0 silent, 1 answers, 2 leads), term, commit index, applied index.
fn numbers(sample: &NodeSample) -> [u64; 5] {
    let at = sample.time_ns / 1000;
    match sample.said {
        None => [at, 0, 0, 0, 0],
        Some(said) => [
            at,
            1 + u64::from(said.leads),
            said.term,
            said.commit,
            said.applied,
        ],
    }
}

/// JSON that does not end the element that holds it.
fn inert(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c")
}

fn encoded(operations: &[OperationSpan]) -> String {
    let mut bytes = Vec::with_capacity(operations.len() * 7);
    let mut before = 0;
    for operation in operations {
        let ending = match operation.ending {
            Ending::Ok => 0,
            Ending::Fail => 1,
            Ending::Info => 2,
        };
        push(&mut bytes, operation.begin_us - before);
        push(
            &mut bytes,
            operation.micros.map_or(0, |micros| u64::from(micros) + 1),
        );
        push(&mut bytes, u64::from(operation.lane));
        push(&mut bytes, u64::from(operation.function));
        push(&mut bytes, u64::from(operation.node) * 4 + ending);
        before = operation.begin_us;
    }
    STANDARD.encode(bytes)
}

/// LEB128.
fn push(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_five_numbers() {
        let operation = |begin_us, micros, ending| OperationSpan {
            begin_us,
            micros,
            lane: 2,
            function: 1,
            node: 3,
            ending,
        };
        let text = encoded(&[
            operation(300, Some(127), Ending::Ok),
            operation(301, None, Ending::Info),
        ]);
        let bytes = STANDARD.decode(text).unwrap();
        assert_eq!(bytes, [0xac, 2, 0x80, 1, 2, 1, 12, 1, 0, 2, 1, 14]);
    }

    #[test]
    fn data_cannot_end_its_element() {
        assert_eq!(inert(&json!(["</script>"])), "[\"\\u003c/script>\"]");
    }
}
