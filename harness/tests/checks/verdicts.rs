//! What `harness check` says about small histories in which something is odd: a value of another type, an operation
//! that no model knows, a completion that does not fit. What is not understood never decides.
//!
//! `NORAFT_CASES` names a folder of further histories with a table of their verdicts (`CASES.tsv`); without it one
//! beside the workspace is used, and without that the test says so and passes.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::small::{CASES, Case};

use crate::skip::skip;

pub(crate) const VALID: i32 = 0;
pub(crate) const INVALID: i32 = 1;
pub(crate) const UNKNOWN: i32 = 2;
pub(crate) const UNREADABLE: i32 = 254;

struct Answer {
    code: i32,
    output: String,
}

fn check(file: &Path, arguments: &[&str]) -> Answer {
    let output = Command::new(env!("CARGO_BIN_EXE_harness"))
        .arg("check")
        .arg(file)
        .args(arguments)
        .output()
        .expect("the program starts");
    Answer {
        code: output.status.code().expect("it ends by itself"),
        output: String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
    }
}

/// The lines that say the verdict and what it rests on, without what differs from machine to machine; how a
/// violation is explained is tested elsewhere.
fn steady(answer: &Answer, folder: &Path) -> String {
    let folder = format!("{}/", folder.display());
    let lines = answer.output.lines().filter_map(|line| {
        let line = line.split_once(", read 0.").map_or(line, |(line, _)| line);
        let says = ["valid ", "invalid ", "unknown", "harness:"];
        says.iter()
            .any(|begin| line.starts_with(begin))
            .then(|| line.replace(&folder, ""))
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn small_histories_have_the_verdict_that_is_right() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut wrong = Vec::new();
    let mut printed = String::new();
    for Case {
        name,
        arguments,
        code,
        says,
        text,
    } in CASES
    {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("the folder takes a file");
        let answer = check(&file, arguments);
        if answer.code != *code || !answer.output.contains(says) {
            wrong.push(format!(
                "{name}: wanted {code} and {says:?}, got {}: {}",
                answer.code, answer.output
            ));
        }
        printed += &format!("$ harness check {name} {}\n", arguments.join(" "));
        printed += &format!(
            "{}\nexit code {}\n\n",
            steady(&answer, folder.path()),
            answer.code
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    insta::assert_snapshot!("small_histories", printed);
}

#[test]
fn the_report_in_json_says_what_was_used() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("a.edn");
    let text = "{:process 0 :type :invoke :f :write :value 1}\n{:process 0 :type :ok :f :write :value 1}\n\
                {:process 0 :type :invoke :f :purge}\n{:process 0 :type :ok :f :purge}\n\
                {:process 0 :type :invoke :f :read}\n{:process 0 :type :fail :f :read}\n";
    std::fs::write(&file, text).expect("the folder takes a file");
    let answer = check(&file, &["--json"]);
    let line: serde_json::Value = serde_json::from_str(answer.output.trim()).expect("a JSON object");
    assert_eq!((answer.code, &line["verdict"]), (UNKNOWN, &"unknown".into()));
    assert_eq!((&line["operations"], &line["recorded"]), (&1.into(), &3.into()));
    assert_eq!(
        line["ignored"],
        serde_json::json!([
            { "function": "purge", "why": "not an operation of this model", "count": 1 },
            { "function": "read", "why": "failed", "count": 1 },
        ])
    );
    let nowhere = check(&folder.path().join("nowhere.edn"), &["--json"]);
    let line = nowhere.output.lines().next().expect("a line");
    let line: serde_json::Value = serde_json::from_str(line).expect("a JSON object");
    assert_eq!(
        (nowhere.code, &line["verdict"]),
        (UNREADABLE, &serde_json::Value::Null)
    );
    assert!(
        line["error"]
            .as_str()
            .is_some_and(|error| error.contains("nowhere.edn")),
        "{line}"
    );
}

#[test]
fn compressed_histories_are_read_and_cut_ones_are_not() {
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    let folder = tempfile::tempdir().expect("a temporary folder");
    let stale = CASES
        .iter()
        .find(|case| case.code == INVALID)
        .expect("one is invalid");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(stale.text).expect("memory takes it");
    let bytes = encoder.finish().expect("memory takes it");
    let (whole, cut) = (
        folder.path().join("history.edn.gz"),
        folder.path().join("cut.edn.gz"),
    );
    std::fs::write(&whole, &bytes).expect("the folder takes a file");
    std::fs::write(&cut, &bytes[..bytes.len() - 9]).expect("the folder takes a file");
    assert_eq!(check(&whole, stale.arguments).code, INVALID);
    assert_eq!(check(&cut, stale.arguments).code, UNREADABLE);
    // Of a folder both are checked, and the violation is what counts.
    assert_eq!(check(folder.path(), stale.arguments).code, INVALID);
    std::fs::remove_file(&whole).expect("it is there");
    assert_eq!(check(folder.path(), stale.arguments).code, UNREADABLE);
}

#[test]
fn a_line_that_does_not_fit_into_the_budget_is_unknown() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("long.edn");
    let text = format!(
        "{{:process 0 :type :invoke :f :write :value {:?}}}\n",
        "x".repeat(20 << 20)
    );
    std::fs::write(&file, text).expect("the folder takes a file");
    let answer = check(&file, &["--budget-mem", "30M"]);
    assert_eq!(answer.code, UNKNOWN, "{}", answer.output);
    assert!(
        answer.output.contains("the memory budget ran out while reading"),
        "{}",
        answer.output
    );
}

fn shared() -> Option<PathBuf> {
    let given = std::env::var_os("NORAFT_CASES").map(PathBuf::from);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = ["../../shared/cases/histories", "../../../shared/cases/histories"];
    let mut folders = given.into_iter().chain(beside.map(|folder| root.join(folder)));
    let found = folders.find(|folder| folder.join("CASES.tsv").is_file());
    if found.is_none() {
        skip("no folder of cases (set NORAFT_CASES to it)");
    }
    found
}

#[test]
fn every_shared_case_has_the_verdict_that_is_right() {
    let Some(folder) = shared() else { return };
    let table = std::fs::read_to_string(folder.join("CASES.tsv")).expect("the table is readable");
    let mut wrong = Vec::new();
    for row in table.lines().skip(1) {
        let fields: Vec<&str> = row.split('\t').collect();
        let [file, verdicts, model, why] = fields[..] else {
            panic!("bad row {row:?}")
        };
        let initial: &[&str] = match file {
            "rw-init.edn" => &["--initial", "0"],
            _ => &[],
        };
        let answer = check(&folder.join(file), &[&["--model", model], initial].concat());
        let verdict = match answer.code {
            VALID => "valid",
            INVALID => "invalid",
            UNKNOWN => "unknown",
            _ => "unreadable",
        };
        if !verdicts.split('|').any(|right| right == verdict) {
            wrong.push(format!(
                "{file} ({why}): {verdict}, wanted {verdicts}: {}",
                answer.output
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
