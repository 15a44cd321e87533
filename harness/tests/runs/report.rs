//! The page of a run, as a person meets it: its text alone answers the five questions, and the command that it gives works.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::read::GzDecoder;
use harness::checker::{self, Budget, Options};
use harness::formats;
use harness::plan::{Plan, Span};
use harness::report::{self, page::HEADINGS};
use harness::results::{Counts, FaultResult, Outcome, Results};
use harness::run::report_again;
use harness::sim::{Lines, folder, simulate};
use harness::tally::Tally;
use serde_json::Value;

use crate::site::{HARNESS, said};

const VERDICT: &str = HEADINGS[0];
const RAN: &str = HEADINGS[1];
const FAILED: &str = HEADINGS[2];
const DISTURBED: &str = HEADINGS[3];
const REPEAT: &str = HEADINGS[4];

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn smoke() -> Plan {
    let plan = Plan::load(&project().join("workloads/smoke.toml")).unwrap();
    let mut plan = plan.lasting(Span::from_millis(3000));
    // Few operations, which is quick, and faults soon.
    plan.clients.count = 4;
    plan.clients.readers = 1;
    plan.clients.rate = 400;
    plan.nemesis.warmup = Span::from_millis(300);
    plan.limits.operations_min = 300;
    plan
}

/// What a person sees of a page without scripts: no style, no script, no markup.
fn visible(page: &str) -> String {
    let mut text = String::new();
    let mut rest = page;
    while let Some((before, from)) = rest.split_once('<') {
        text.push_str(before);
        let (tag, after) = from.split_once('>').unwrap();
        let name: String = tag.chars().take_while(char::is_ascii_alphanumeric).collect();
        rest = after;
        if name == "style" || name == "script" || name == "svg" {
            rest = after.split_once(&format!("</{name}>")).unwrap().1;
        }
        if !matches!(name.as_str(), "b" | "span" | "a" | "code") && !tag.starts_with("/b") {
            let is_inline = ["/span", "/a", "/code"].contains(&tag);
            text.push(if is_inline { ' ' } else { '\n' });
        }
    }
    let text = text + rest;
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")];
    entities
        .iter()
        .fold(text, |text, (entity, char)| text.replace(entity, char))
}

/// The text under each of the five headings.
fn sections(page: &str) -> BTreeMap<&'static str, String> {
    let text = visible(page);
    let mut sections: BTreeMap<&str, String> = BTreeMap::new();
    let mut heading = None;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(known) = HEADINGS.iter().find(|known| **known == line) {
            heading = Some(*known);
        } else if ["The violation", "Over time", "Operations by kind"].contains(&line) {
            heading = None;
        } else if let Some(heading) = heading {
            let section = sections.entry(heading).or_default();
            section.push_str(line);
            section.push('\n');
        }
    }
    assert_eq!(sections.len(), HEADINGS.len(), "{text}");
    sections
}

fn assert_says(sections: &BTreeMap<&str, String>, heading: &str, facts: &[&str]) {
    let text = sections[heading].replace('\n', " ");
    for fact in facts {
        assert!(text.contains(fact), "`{fact}` is not under `{heading}`: {text}");
    }
}

/// Runs the commands of a page as they are, from another directory, and compares their exit codes.
fn run_commands(sections: &BTreeMap<&str, String>, count: usize, code: u8) {
    let lines = sections[REPEAT].lines();
    let commands: Vec<&str> = lines.filter(|line| line.starts_with("harness ")).collect();
    assert_eq!(commands.len(), count, "{commands:?}");
    let elsewhere = tempfile::tempdir().unwrap();
    let programs = Path::new(HARNESS).parent().unwrap().display().to_string();
    for command in commands {
        let output = Command::new("sh")
            .args(["-c", command])
            .env("PATH", format!("{programs}:{}", std::env::var("PATH").unwrap()))
            .current_dir(elsewhere.path())
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(code.into()),
            "{command}\n{}",
            said(&output)
        );
    }
}

/// Simulates and keeps a run.
fn kept(root: &Path, plan: &Plan, seed: u64) -> (PathBuf, Results) {
    let run = simulate(plan, seed, Lines::Last(100));
    let (folder, _) = folder::keep(root, &run, &["harness".to_owned()]).unwrap();
    let results = std::fs::read_to_string(folder.file("results.json")).unwrap();
    (folder.path().to_owned(), serde_json::from_str(&results).unwrap())
}

fn page_of(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("report.html")).unwrap()
}

fn with_commas(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", number / 1000, number % 1000),
    }
}

#[test]
fn a_valid_run_answers_the_five_questions() {
    let root = tempfile::tempdir().unwrap();
    let (folder, results) = kept(root.path(), &smoke(), 1);
    assert_eq!(results.verdict, Outcome::Valid, "{:?}", results.reasons);
    let page = page_of(&folder);
    let sections = sections(&page);
    let ok = with_commas(results.operations.ok);
    assert_says(&sections, VERDICT, &["valid", &ok, "3 nodes", "has an order"]);
    let clients = format!("{} clients", smoke().clients.count);
    let asked = format!("{} ok", with_commas(results.operations.ok));
    let outage = "without a completed operation, from";
    assert_says(
        &sections,
        RAN,
        &["smoke, seed 1", "simulation", &clients, &asked, outage],
    );
    assert_says(&sections, FAILED, &["Nothing failed."]);
    let faults = format!("{} fault", results.faults.len());
    assert_says(&sections, DISTURBED, &[&faults, "observable effect"]);
    for fault in &results.faults {
        assert_says(&sections, DISTURBED, &[&fault.kind]);
    }
    run_commands(&sections, 2, 0);
    assert_eq!(
        report_again(&folder).unwrap(),
        page,
        "the folder is enough to make the page again"
    );
}

#[test]
fn a_run_that_proves_nothing_says_why() {
    let root = tempfile::tempdir().unwrap();
    let mut plan = smoke();
    plan.limits.operations_min = 1_000_000;
    let (folder, results) = kept(root.path(), &plan, 2);
    assert_eq!(results.verdict, Outcome::Unknown, "{:?}", results.reasons);
    let sections = sections(&page_of(&folder));
    let reason = &results.reasons[0];
    assert!(reason.contains("the plan wants 1000000"), "{reason}");
    assert_says(
        &sections,
        VERDICT,
        &["unknown", "This run proves nothing", reason],
    );
    assert_says(&sections, RAN, &["smoke, seed 2"]);
    assert_says(&sections, FAILED, &["Nothing was proved wrong", reason]);
    assert_says(&sections, DISTURBED, &["observable effect"]);
    // What is recorded is valid; that it proves nothing is the run's own verdict.
    let first: Vec<&str> = sections[REPEAT].lines().take(2).collect();
    let only = BTreeMap::from([(REPEAT, first.join("\n"))]);
    run_commands(&only, 1, 2);
}

/// A plan that must fail: no write is ever durable before its request is given up.
fn impatient() -> Plan {
    let mut plan = smoke();
    plan.sim.disk.sync_us = 50_000;
    plan.sim.node.request_timeout = Span::from_millis(1);
    plan.limits.recovery = Span::from_millis(500);
    plan
}

#[test]
fn a_broken_rule_says_what_when_and_why() {
    let root = tempfile::tempdir().unwrap();
    let (folder, results) = kept(root.path(), &impatient(), 3);
    assert_eq!(results.verdict, Outcome::Invalid);
    let broken = &results.checks[0];
    let at = broken.account.as_ref().unwrap().from_ns.unwrap();
    let sections = sections(&page_of(&folder));
    assert_says(
        &sections,
        VERDICT,
        &["invalid", broken.summary.as_deref().unwrap()],
    );
    let when = format!("When: at {:.6} s of the run", at as f64 / 1e9);
    assert_says(
        &sections,
        FAILED,
        &["invariants", &when, "Why: The rule `liveness` was broken"],
    );
    let first: Vec<&str> = sections[REPEAT].lines().take(2).collect();
    run_commands(&BTreeMap::from([(REPEAT, first.join("\n"))]), 1, 1);
}

/// The faults that a history names, as the run that recorded it counted them.
fn faults_of(history: &Path) -> Vec<FaultResult> {
    let text = std::fs::read_to_string(history).unwrap();
    let events = text
        .lines()
        .skip(1)
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut faults: Vec<FaultResult> = Vec::new();
    for event in events {
        let (name, details) = (event["f"].as_str().unwrap(), &event["v"]);
        match event["type"].as_str().unwrap() {
            "fault.begin" => {
                let targets = details.get("links").or(details.get("nodes"));
                let targets = targets.and_then(Value::as_array).unwrap().iter();
                let targets: Vec<&str> = targets.filter_map(Value::as_str).collect();
                faults.push(FaultResult {
                    fault: format!("{name}({})", targets.join(" ")),
                    kind: name.split('-').next().unwrap().to_owned(),
                    from_ns: event["t"].as_u64().unwrap(),
                    to_ns: None,
                    evidence: None,
                    why: None,
                    lost: None,
                });
            }
            "fault.end" => {
                let open = faults.iter_mut().find(|fault| fault.to_ns.is_none()).unwrap();
                open.to_ns = event["t"].as_u64();
                open.evidence = details["evidence"].as_str().map(str::to_owned);
            }
            _ => {}
        }
    }
    faults
}

/// A folder with a history that was recorded elsewhere and has no order.
fn recorded(root: &Path) -> (PathBuf, Results) {
    let folder = root.join("recorded");
    std::fs::create_dir(&folder).unwrap();
    let text = "version = 1\nname = \"recorded\"\nabout = \"a deposed leader answers\"\ntime = \"2s\"\nseed = 1\n\
                [[workload]]\nkind = \"register\"\n";
    std::fs::write(folder.join("plan.toml"), text).unwrap();
    let plan = Plan::load(&folder.join("plan.toml")).unwrap();
    let golden = project().join("results/golden/recorded-register-deposed-leader-answers.jsonl.gz");
    let history = folder.join("history.jsonl");
    let mut lines = GzDecoder::new(File::open(golden).unwrap());
    std::io::copy(&mut lines, &mut File::create(&history).unwrap()).unwrap();
    let mut recording = formats::read_path(&history).unwrap();
    let faults = faults_of(&history);
    let found = checker::check(&mut recording, &Options::default(), &Budget::default());
    let tally = Tally::read(&[history], &[]).unwrap();
    let checks = vec![report::check_result(&recording, &found, 0.0)];
    let mut results = Results::from_checks(tally.operations, checks);
    results.faults = faults;
    for (name, text) in report::files(&plan, 1, &folder, &results, &tally) {
        std::fs::write(folder.join(name), text).unwrap();
    }
    (folder, results)
}

#[test]
fn a_history_without_an_order_says_what_when_and_why() {
    let root = tempfile::tempdir().unwrap();
    let (folder, results) = recorded(root.path());
    assert_eq!(results.verdict, Outcome::Invalid);
    assert_ne!(results.operations, Counts::default());
    let check = &results.checks[0];
    let account = check.account.as_ref().unwrap();
    assert!((2..=4).contains(&account.operations.len()), "{account:?}");
    let page = page_of(&folder);
    let sections = sections(&page);
    let summary = check.summary.as_deref().unwrap();
    assert_says(&sections, VERDICT, &["invalid", summary]);
    let from = format!("When: between {:.6} s", account.from_ns.unwrap() as f64 / 1e9);
    assert_says(&sections, FAILED, &[summary, &from, "Why:", &account.why[0]]);
    let injected = format!("{} faults injected", results.faults.len());
    assert_says(&sections, DISTURBED, &[&injected, "partition", "kill", "n2"]);
    let text = visible(&page);
    for operation in &account.operations {
        assert!(
            text.contains(&operation.what) && text.contains(&operation.process),
            "{operation:?}"
        );
    }
    let check: Vec<&str> = sections[REPEAT]
        .lines()
        .filter(|line| line.contains(" check "))
        .collect();
    run_commands(&BTreeMap::from([(REPEAT, check.join("\n"))]), 1, 1);
    let drawing = account.drawing.as_ref().unwrap();
    assert!(page.contains(drawing.as_str()), "the operations are drawn");
    let output = Command::new(HARNESS).arg("report").arg(&folder).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(page_of(&folder), page);
}

#[test]
fn a_folder_without_a_history_gives_no_page() {
    let root = tempfile::tempdir().unwrap();
    let (folder, _) = recorded(root.path());
    std::fs::remove_file(folder.join("history.jsonl")).unwrap();
    let error = report_again(&folder).unwrap_err().to_string();
    assert!(
        error.contains("a history in") && error.contains("recorded"),
        "{error}"
    );
}

/// `make report-check` opens these pages in a browser, and names the folder.
#[test]
fn pages_for_a_browser() {
    let spare = tempfile::tempdir().unwrap();
    let named = std::env::var_os("REPORT_PAGES").map(PathBuf::from);
    let root = named.unwrap_or_else(|| spare.path().to_owned());
    let (invalid, _) = recorded(&root);
    let mut vain = smoke();
    vain.limits.operations_min = 1_000_000;
    let runs = [(smoke(), "valid"), (vain, "unknown"), (impatient(), "broken")];
    for (plan, name) in runs {
        let (folder, results) = kept(&root.join(".runs"), &plan, 3);
        assert!(results.operations.invoked > 0);
        std::fs::rename(folder, root.join(name)).unwrap();
    }
    std::fs::rename(invalid, root.join("invalid")).unwrap();
    for name in ["valid", "unknown", "broken", "invalid"] {
        assert!(root.join(name).join("report.html").is_file(), "{name}");
    }
}
