//! What a person looks up: the violation in full, operations, errors, faults, files.

use maud::{Markup, PreEscaped, html};

use super::headings::kind_of;
use super::words::{moment, seconds};
use super::{Page, account};
use crate::results::{Account, CheckResult, Counts, FaultResult, Outcome};
use crate::tally::FunctionTally;

/// Faults in the table.
const FAULTS_SHOWN: usize = 300;
/// Characters of an explanation.
const EXPLANATION_CHARS: usize = 50_000;

impl Page<'_> {
    /// The first violation, drawn and in words; the others in words.
    pub(super) fn violation(&self) -> Markup {
        let mut checks: Vec<&CheckResult> = self.broken();
        checks.extend(
            self.results
                .checks
                .iter()
                .filter(|check| check.verdict != Outcome::Invalid),
        );
        let shown: Vec<&CheckResult> = checks.into_iter().filter(|check| is_detailed(check)).collect();
        html! {
            @if !shown.is_empty() {
                section #violation tabindex="-1" {
                    h2 { "The violation" }
                    @for check in shown { (explanation(check)) }
                }
            }
        }
    }

    /// Whether there is more to say of what failed than the first screen does.
    pub(super) fn has_details(&self) -> bool {
        self.broken().iter().any(|check| is_detailed(check))
    }

    pub(super) fn operations(&self) -> Markup {
        html! {
            section #operations {
                h2 { "Operations" }
                div .scroll { table {
                    tr { th { "operation" }
                        @for column in ["invoked", "ok", "fail", "unknown", "p50 ms", "p99 ms", "max ms"] { th .n { (column) } } }
                    @for (name, function) in &self.tally.functions { (operations_row(name, &function.operations, function)) }
                    (operations_row("all", &self.tally.operations, &FunctionTally::default()))
                } }
            }
        }
    }

    pub(super) fn errors(&self) -> Markup {
        html! {
            section #errors {
                h2 { "Errors by kind" }
                @if self.tally.errors.is_empty() { p { "No operation failed." } }
                @else {
                    table {
                        tr { th { "error" } th .n { "times" } th { "means" } }
                        @for ((code, definite), count) in &self.tally.errors {
                            tr { td { (code) } td .n { (count) }
                                td { @if *definite { "nothing was done" } @else { "outcome unknown" } } }
                        }
                    }
                }
            }
        }
    }

    pub(super) fn faults(&self) -> Markup {
        let faults = &self.results.faults;
        html! {
            @if !faults.is_empty() {
                section #faults {
                    h2 { "Faults" }
                    details {
                        summary { "All " (faults.len()) " faults, with the evidence that they had an effect" }
                        div .scroll { table {
                            tr { th .n { "from" } th .n { "to" } th { "kind" } th { "fault" } th { "effect" } }
                            @for fault in faults.iter().take(FAULTS_SHOWN) { (fault_row(fault)) }
                        } }
                        @if let Some(left) = faults.len().checked_sub(FAULTS_SHOWN).filter(|left| *left > 0) {
                            p { "... and " (left) " more faults (results.json has them all)" }
                        }
                    }
                }
            }
        }
    }

    /// The files of the run that are there.
    pub(super) fn files(&self) -> Markup {
        let named = [
            ("schedule.jsonl", "every decision of the nemesis"),
            ("nodes.jsonl", "what each node said of itself"),
            ("plan.toml", "the plan, with its seed"),
            ("run.json", "the command line, the programs, the machine"),
            ("trace.txt", "the last events of the simulation"),
        ];
        let histories = self.origin.histories.iter();
        let histories = histories.map(|name| (name.as_str(), "every operation and fault"));
        let there = histories
            .chain(named)
            .filter(|(name, _)| self.folder.join(name).is_file());
        let logs: Vec<(usize, String)> = (1..=self.plan.machines())
            .map(|node| (node, format!("nodes/n{node}/log")))
            .filter(|(_, name)| self.folder.join(name).is_file())
            .collect();
        html! {
            section #files {
                h2 { "Files" }
                p .dim { "Everything is in " code { (self.folder.display()) } "." }
                ul .files {
                    @for (name, about) in there { li { a href=(name) { (name) } " " (about) } }
                    @if !logs.is_empty() {
                        li { @for (node, name) in &logs { a href=(name) { "n" (node) } " " } "the logs of the nodes" }
                    }
                }
                @if let Some(trouble) = &self.origin.trouble { p .dim { "Where this was recorded is not known: " (trouble) "." } }
            }
        }
    }
}

fn is_detailed(check: &CheckResult) -> bool {
    let has_operations = account(check).is_some_and(|account| !account.operations.is_empty());
    check.verdict != Outcome::Valid && (check.explanation.is_some() || has_operations)
}

fn explanation(check: &CheckResult) -> Markup {
    let text = check.explanation.as_deref().unwrap_or_default();
    let shown: String = text.chars().take(EXPLANATION_CHARS).collect();
    let is_cut = shown.len() < text.len();
    html! {
        h3 { (check.model) ": " (check.summary.as_deref().unwrap_or(check.verdict.name())) }
        @if let Some(account) = account(check) { (laid_out(account)) }
        @if !shown.is_empty() {
            details open[account(check).is_none()] {
                summary { "The explanation as text" }
                pre tabindex="0" { (shown) @if is_cut { "\n... (results.json has all of it)" } }
            }
        }
        @if let Some(usage) = check.usage.as_ref().filter(|usage| !usage.ignored.is_empty()) { p .dim { (usage) "." } }
    }
}

/// The operations on an axis of time, the reason beside them.
fn laid_out(account: &Account) -> Markup {
    html! {
        div .laid-out {
            // A document of ours, escaped where it was made.
            @if let Some(drawing) = &account.drawing { figure .scroll tabindex="0" { (PreEscaped(drawing)) } }
            div .why { @for sentence in &account.why { p { (sentence) } } }
        }
        @if !account.operations.is_empty() {
            div .scroll { table {
                tr { th {} th { "process" } th { "operation" } th { "node" } th .n { "called" } th .n { "returned" } }
                @for operation in &account.operations {
                    tr { td { b { (operation.letter) } } td { (operation.process) } td { (operation.what) }
                        td { (operation.node.as_deref().unwrap_or_default()) }
                        td .n { (operation.called_ns.map(moment).unwrap_or_default()) }
                        td .n { (operation.returned_ns.map_or_else(|| "outcome unknown".to_owned(), moment)) } }
                }
            } }
        }
    }
}

fn operations_row(name: &str, counts: &Counts, function: &FunctionTally) -> Markup {
    let millis = |percent| {
        let nanos = function.percentile(percent);
        nanos.map_or_else(String::new, |nanos| format!("{:.2}", nanos as f64 / 1e6))
    };
    html! {
        tr {
            td { (name) }
            @for count in [counts.invoked, counts.ok, counts.fail, counts.info] { td .n { (count) } }
            @for percent in [50, 99, 100] { td .n { (millis(percent)) } }
        }
    }
}

fn fault_row(fault: &FaultResult) -> Markup {
    html! {
        tr {
            td .n { (seconds(fault.from_ns)) } td .n { (fault.to_ns.map_or_else(|| "end".to_owned(), seconds)) }
            td { (kind_of(fault)) } td { (fault.fault) } td .unknown[fault.evidence.is_none()] { (fault.effect()) }
        }
    }
}
