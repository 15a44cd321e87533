//! The five headings: verdict, what ran, what failed, what was disturbed, how to repeat it.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::words::{count, counted, duration, moment, nodes_of, seconds};
use super::{HEADINGS, Page, account};
use crate::plan::KindName;
use crate::results::{CheckResult, FaultResult, Outcome};

/// Reasons and remarks that are listed.
const REASONS_SHOWN: usize = 12;
/// Sentences of a violation on the first screen.
const SENTENCES_SHOWN: usize = 3;

/// The faults of one kind.
#[derive(Default)]
struct Kind {
    injected: u64,
    effective: u64,
    nanos: u64,
    nodes: Vec<u64>,
}

impl Page<'_> {
    pub(super) fn headings(&self) -> Markup {
        let [verdict, ran, failed, disturbed, repeat] = HEADINGS;
        html! {
            section #verdict { h2 { (verdict) } (self.verdict()) }
            section #ran { h2 { (ran) } (self.ran()) }
            section #failed { h2 { (failed) } (self.failed()) }
            section #disturbed { h2 { (disturbed) } (self.disturbed()) }
            section #repeat { h2 { (repeat) } (self.repeat()) }
        }
    }

    fn verdict(&self) -> Markup {
        let verdict = self.results.verdict;
        html! {
            p .verdict { b .badge { (verdict) } " " (self.sentence()) }
        }
    }

    /// The verdict in one sentence.
    fn sentence(&self) -> String {
        let ok = self.tally.operations.ok;
        let nodes = counted(self.plan.cluster.nodes as u64, "node");
        match self.results.verdict {
            Outcome::Valid => format!(
                "What clients saw of {} on {nodes} has an order, through {} that had an effect.",
                counted(ok, "completed operation"),
                counted(self.effective(), "fault")
            ),
            Outcome::Invalid => match self.broken().first() {
                Some(check) => format!("{}: {}.", check.model, summary(check)),
                None => "The system broke its promise.".to_owned(),
            },
            Outcome::Unknown => match self.doubts().first() {
                Some(doubt) => format!("This run proves nothing: {doubt}."),
                None => "This run proves nothing.".to_owned(),
            },
        }
    }

    /// Why a run proves nothing: its own reasons, then checks that could not decide.
    fn doubts(&self) -> Vec<String> {
        let undecided = |check: &&CheckResult| check.verdict == Outcome::Unknown;
        let checks = self.results.checks.iter().filter(undecided);
        let checks = checks.map(|check| format!("{}: {}", check.model, summary(check)));
        self.results.reasons.iter().cloned().chain(checks).collect()
    }

    fn effective(&self) -> u64 {
        let faults = self.results.faults.iter();
        faults.filter(|fault| fault.evidence.is_some()).count() as u64
    }

    fn ran(&self) -> Markup {
        let (plan, counts) = (self.plan, self.tally.operations);
        let workloads: Vec<&str> = plan.workloads.iter().map(|workload| workload.name()).collect();
        let place = match (self.origin.is_of_processes(), self.origin.is_simulation()) {
            (_, true) => "in the simulation, in virtual time",
            (true, false) => "as real processes",
            (false, false) => "(where they ran is not recorded)",
        };
        let nodes = counted(plan.cluster.nodes as u64, "node");
        let clients = counted(plan.clients.count as u64, "client");
        html! {
            dl {
                dt { "Plan" } dd { (plan.name) ", seed " (self.seed) ", " (plan.time) }
                dt { "System" } dd { @if let Some(system) = &self.results.system { (system) ", " } (nodes) " " (place) }
                @if let Some(network) = &self.results.network { dt { "Between the nodes" } dd { (network) } }
                dt { "Clients" } dd { (clients) ": " (workloads.join(", ")) }
                dt { "Operations" }
                dd { (count(counts.invoked)) ": " (count(counts.ok)) " ok, " (count(counts.fail)) " failed, "
                    (count(counts.info)) " of unknown outcome" }
                dt { "Faults" }
                dd { (count(self.results.faults.len() as u64)) " injected, " (count(self.effective())) " had an observable effect" }
                dt { "Longest outage" } dd { (self.outage()) }
                dt { "Checked" } dd { (self.checked()) }
                @if let Some(build) = self.build() { dt { "Build" } dd { (build) } }
            }
        }
    }

    fn outage(&self) -> String {
        match self.tally.series.longest_outage() {
            Some(outage) => format!(
                "{} without a completed operation, from {} to {}",
                duration(outage.to_ns - outage.from_ns),
                seconds(outage.from_ns),
                seconds(outage.to_ns)
            ),
            None => "no operation completed".to_owned(),
        }
    }

    fn checked(&self) -> Markup {
        html! {
            ul .checks {
                @for check in &self.results.checks {
                    li {
                        (check.model) ": " b class=(check.verdict) { (check.verdict) }
                        @if check.operations > 0 { span .dim { ", " (counted(check.operations, "operation")) } }
                    }
                }
            }
        }
    }

    fn build(&self) -> Option<String> {
        let origin = &self.origin;
        match (&origin.noraftd, &origin.version) {
            (Some(daemon), _) => {
                let hash: String = daemon.sha256.chars().take(12).collect();
                let started = origin.started.as_deref().unwrap_or("an unknown time");
                let kernel = origin.kernel.as_deref().unwrap_or("an unknown kernel");
                Some(format!(
                    "noraftd {}, SHA-256 {hash}, started {started} on {kernel}",
                    daemon.version
                ))
            }
            (None, Some(version)) => {
                let trace = origin.trace_hash.as_deref().unwrap_or("unknown");
                Some(format!("harness {version}, trace {trace}"))
            }
            (None, None) => None,
        }
    }

    fn failed(&self) -> Markup {
        let broken = self.broken();
        let doubts = self.doubts();
        html! {
            @if broken.is_empty() && doubts.is_empty() { p { "Nothing failed." } }
            @for (at, check) in broken.iter().enumerate() { (self.one_failed(check, at == 0)) }
            @if !doubts.is_empty() {
                p { @if broken.is_empty() { "Nothing was proved wrong, but this run proves nothing:" }
                    @else { "What else was wrong with this run:" } }
                (list(&doubts))
            }
            @if !self.results.remarks.is_empty() { p { "Remarks:" } (list(&self.results.remarks)) }
        }
    }

    fn one_failed(&self, check: &CheckResult, is_first: bool) -> Markup {
        let account = account(check);
        let sentences = account.map(|account| account.why.as_slice()).unwrap_or_default();
        html! {
            p { b { (check.model) } ": " (summary(check)) "." }
            p { b { "When: " } (when(check)) }
            @if !sentences.is_empty() {
                p { b { "Why: " }
                    @for sentence in sentences.iter().take(SENTENCES_SHOWN) { (sentence) " " }
                    @if let Some(more) = sentences.len().checked_sub(SENTENCES_SHOWN).filter(|more| *more > 0) {
                        "(and " (counted(more as u64, "sentence")) " below)"
                    }
                }
            }
            @if is_first { p { a #jump href=(if self.has_details() { "#violation" } else { "#time" }) { "See it on an axis of time" } } }
        }
    }

    fn disturbed(&self) -> Markup {
        let faults = &self.results.faults;
        let skipped = self.tally.decisions_skipped;
        html! {
            @if faults.is_empty() {
                p { @if self.plan.faults.is_empty() { "Nothing: the plan has no faults." } @else { "Nothing: no fault was injected." } }
            } @else {
                p {
                    (counted(faults.len() as u64, "fault")) " injected, " (count(self.effective())) " had an observable effect"
                    @if skipped > 0 { "; " (count(skipped)) " skipped (no eligible target)" } "."
                }
                (kinds_table(faults, self.tally.series.end_ns))
            }
        }
    }

    fn repeat(&self) -> Markup {
        html! {
            @for command in self.commands() {
                p .dim { (command.does) }
                div .command { pre tabindex="0" { code { (command.line) } } button .copy type="button" { "Copy" } }
            }
        }
    }
}

/// When a violation was, in words.
fn when(check: &CheckResult) -> String {
    match account(check).map(|account| (account.from_ns, account.to_ns)) {
        Some((Some(from), Some(to))) if from < to => {
            format!("between {} and {} of the run", moment(from), moment(to))
        }
        Some((Some(at), _)) => format!("at {} of the run", moment(at)),
        Some((None, _)) | None => "not recorded".to_owned(),
    }
}

fn kinds_table(faults: &[FaultResult], end_ns: u64) -> Markup {
    let mut kinds: BTreeMap<&str, Kind> = BTreeMap::new();
    for fault in faults {
        let kind = kinds.entry(kind_of(fault)).or_default();
        kind.injected += 1;
        kind.effective += u64::from(fault.evidence.is_some());
        kind.nanos += fault.to_ns.unwrap_or(end_ns).saturating_sub(fault.from_ns);
        kind.nodes.extend(nodes_of(&fault.fault));
    }
    html! {
        table .kinds {
            tr { th { "kind" } th .n { "injected" } th .n { "effect" } th .n { "in force" } th { "nodes" } th { "what is done" } }
            @for (name, kind) in &mut kinds {
                tr {
                    td { (name) } td .n { (kind.injected) }
                    td .n.unknown[kind.effective < kind.injected] { (kind.effective) }
                    td .n { (duration(kind.nanos)) } td { (nodes(&mut kind.nodes)) }
                    td { (meaning(name)) }
                }
            }
        }
    }
}

/// What a fault of this kind does, in a sentence; none for a kind that this harness does not know.
fn meaning(kind: &str) -> &'static str {
    KindName::named(kind).map_or("", KindName::meaning)
}

/// The kind that the plan names, or what the fault's name begins with.
pub(super) fn kind_of(fault: &FaultResult) -> &str {
    match fault.kind.as_str() {
        "" => fault.fault.split('(').next().unwrap_or_default(),
        kind => kind,
    }
}

fn nodes(nodes: &mut Vec<u64>) -> String {
    nodes.sort_unstable();
    nodes.dedup();
    let names: Vec<String> = nodes.iter().map(|node| format!("n{node}")).collect();
    names.join(" ")
}

fn list(items: &[String]) -> Markup {
    html! {
        ul {
            @for item in items.iter().take(REASONS_SHOWN) { li { (item) } }
            @if let Some(more) = items.len().checked_sub(REASONS_SHOWN).filter(|more| *more > 0) {
                li .dim { "and " (more) " more (results.json has them all)" }
            }
        }
    }
}

/// Why a check came to its verdict, without a full stop.
fn summary(check: &CheckResult) -> &str {
    let summary = check.summary.as_deref().unwrap_or(check.verdict.name());
    summary.trim_end_matches('.')
}
