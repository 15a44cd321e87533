//! `harness check` and `harness generate` as a user meets them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn harness(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(arguments)
        .output()
        .expect("the program starts")
}

fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../results/golden")
        .join(name);
    path.to_str().expect("the path is UTF-8").to_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Generates a history into `folder`.
fn generate(folder: &Path, name: &str, arguments: &[&str]) -> String {
    let path: PathBuf = folder.join(name);
    let path = path.to_str().expect("the path is UTF-8").to_owned();
    let output = harness(&[&["generate", "--out", &path], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    path
}

#[test]
fn the_exit_code_is_that_of_the_worst_file() {
    let valid = golden("register-valid.jsonl.gz");
    let invalid = golden("register-stale-read.jsonl.gz");
    assert_eq!(harness(&["check", &valid]).status.code(), Some(0));
    assert_eq!(harness(&["check", &valid, &invalid]).status.code(), Some(1));
    assert_eq!(
        harness(&["check", &valid, &invalid, "/nonexistent"])
            .status
            .code(),
        Some(1),
        "a file that cannot be read does not hide another's verdict"
    );
    assert_eq!(
        harness(&["check", &valid, "/nonexistent"]).status.code(),
        Some(254)
    );
    assert_eq!(harness(&["check"]).status.code(), Some(64));
    assert_eq!(
        harness(&["check", &valid, "--model", "what"]).status.code(),
        Some(64)
    );
    assert_eq!(harness(&["check", "--help"]).status.code(), Some(0));
    let empty = tempfile::NamedTempFile::new().unwrap();
    let output = harness(&["check", empty.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(254));
    assert!(String::from_utf8_lossy(&output.stderr).contains("expected a history"));
}

#[test]
fn a_folder_is_checked_in_order_one_json_object_a_file() {
    let output = harness(&["check", "--json", &golden(""), "--threads", "3"]);
    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<Value> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON object"))
        .collect();
    assert!(lines.len() >= 10);
    let files: Vec<&str> = lines.iter().map(|line| line["file"].as_str().unwrap()).collect();
    assert!(files.is_sorted(), "{files:?}");
    for line in &lines {
        let file = line["file"].as_str().unwrap();
        if file.contains("valid") {
            assert_eq!(line["verdict"], "valid", "{file}");
            assert!(line["explanation"].is_null());
        }
        assert!(line["operations"].as_u64().unwrap() > 0 && line["seconds"].is_number());
    }
}

#[test]
fn in_a_folder_only_histories_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("run/nodes");
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(folder.path().join("run/run.json"), "{\"argv\":[\"run\"]}\n").unwrap();
    std::fs::write(deep.join("n1.log"), "INFO starting\n").unwrap();
    generate(folder.path(), "run/history.jsonl", &["--ops", "50"]);
    let output = harness(&["check", "--json", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(stdout(&output).lines().count(), 1);
    let nothing = harness(&["check", deep.to_str().unwrap()]);
    assert_eq!(nothing.status.code(), Some(254), "{nothing:?}");
    let initial = harness(&["check", "--initial", "[", &golden("register-valid.jsonl.gz")]);
    assert_eq!(initial.status.code(), Some(64), "{initial:?}");
}

#[test]
fn every_planted_violation_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let common = ["stale-read", "lost-write", "future-read", "garbage-read"];
    let of_workload = [
        ("register", ["lost-update", "flicker"]),
        ("log", ["reordered-append", "duplicate"]),
    ];
    for (workload, more) in of_workload {
        for violation in common.iter().chain(&more) {
            for seed in ["1", "2", "3"] {
                let arguments = [
                    "--workload",
                    workload,
                    "--ops",
                    "500",
                    "--clients",
                    "12",
                    "--keys",
                    "2",
                ];
                let planted = ["--info", "0.03", "--seed", seed, "--violation", violation];
                let file = generate(
                    folder.path(),
                    "history.jsonl",
                    &[&arguments[..], &planted].concat(),
                );
                let output = harness(&["check", &file]);
                assert_eq!(
                    output.status.code(),
                    Some(1),
                    "{workload} {violation} --seed {seed}"
                );
            }
        }
    }
    let output = harness(&["generate", "--workload", "log", "--violation", "flicker"]);
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn what_is_generated_without_a_violation_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let kinds: [&[&str]; 4] = [
        &["--workload", "register"],
        &["--workload", "register", "--values", "repeated", "--cas", "0"],
        &["--workload", "register", "--values", "repeated", "--clients", "6"],
        &["--workload", "log"],
    ];
    for kind in kinds {
        for seed in ["1", "2"] {
            let arguments = [
                "--ops",
                "2000",
                "--clients",
                "20",
                "--info",
                "0.02",
                "--seed",
                seed,
            ];
            let merged: Vec<&str> = match kind.contains(&"--clients") {
                true => [&arguments[..2], &arguments[4..], kind].concat(),
                false => [&arguments[..], kind].concat(),
            };
            let file = generate(folder.path(), "history.jsonl", &merged);
            let output = harness(&["check", &file]);
            assert_eq!(output.status.code(), Some(0), "{merged:?}: {}", stdout(&output));
        }
    }
}

#[test]
fn the_memory_budget_is_never_exceeded_and_running_out_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let file = generate(
        folder.path(),
        "history.jsonl",
        &["--ops", "60000", "--clients", "20", "--seed", "4"],
    );
    let hard = generate(folder.path(), "hard.jsonl", HARD);
    let mut verdicts = Vec::new();
    // A build for tests takes 26 MiB before it has read an operation.
    for (file, megabytes) in [(&file, 32), (&file, 40), (&file, 400), (&hard, 80)] {
        let budget = format!("{megabytes}M");
        let output = harness(&[
            "check",
            "--json",
            "--budget-time",
            "20",
            "--budget-mem",
            &budget,
            file,
        ]);
        let line: Value = serde_json::from_str(stdout(&output).trim()).expect("a JSON object");
        let peak = line["peak_bytes"].as_u64().expect("the kernel reports it");
        assert!(
            peak <= megabytes << 20,
            "{peak} bytes with a budget of {budget}: {line}"
        );
        verdicts.push(line["verdict"].as_str().unwrap().to_owned());
    }
    assert_eq!(verdicts[0], "unknown");
    assert_eq!(verdicts[2], "valid");
}

#[test]
fn running_out_of_time_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let file = generate(folder.path(), "history.jsonl", HARD);
    let output = harness(&["check", "--budget-time", "0.2", &file]);
    let text = stdout(&output);
    assert!(matches!(output.status.code(), Some(0 | 2)), "{text}");
    assert!(
        output.status.code() == Some(0) || text.contains("the time budget ran out"),
        "{text}"
    );
}

#[test]
fn explanations_are_written_as_text_and_picture() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let output = harness(&[
        "check",
        "--explain",
        out.to_str().unwrap(),
        &golden("register-stale-read.jsonl.gz"),
    ]);
    assert_eq!(output.status.code(), Some(1));
    let mut files: Vec<_> = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 2, "{files:?}");
    let svg = std::fs::read_to_string(&files[0]).unwrap();
    let text = std::fs::read_to_string(&files[1]).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    assert!(text.contains("Why no order fits"));
    assert!(svg.len() < 100_000 && text.len() < 10_000);
}

#[test]
fn the_format_of_elle_cli_is_file_tab_and_result() {
    let (valid, invalid) = (
        golden("register-valid.jsonl.gz"),
        golden("register-stale-read.jsonl.gz"),
    );
    let output = harness(&["check", "--format", "elle-cli", &valid, &invalid]);
    assert_eq!(stdout(&output), format!("{valid} \t true\n{invalid} \t false\n"));
    assert_eq!(output.status.code(), Some(1));
    let both = harness(&["check", "--format", "text", "--json", &valid]);
    assert_eq!(both.status.code(), Some(64));
}

#[test]
fn an_exported_history_has_the_same_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let mut exported = 0;
    for entry in std::fs::read_dir(golden("")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(stem) = name.strip_suffix(".jsonl.gz") else {
            continue;
        };
        let output = harness(&["export", path.to_str().unwrap(), "--out", out]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let edn = folder.path().join(format!("{stem}.edn"));
        let answer = |path: &Path| -> Value {
            let output = harness(&["check", "--json", path.to_str().unwrap()]);
            serde_json::from_str(stdout(&output).trim()).expect("a JSON object")
        };
        let (ours, theirs) = (answer(&path), answer(&edn));
        for field in ["verdict", "model", "operations", "recorded", "ignored"] {
            assert_eq!(ours[field], theirs[field], "{name}: {field}");
        }
        // The steps of faults have other words.
        let words = |answer: &Value| {
            let text = answer["explanation"].as_str().unwrap_or_default().to_owned();
            text.split("\nMeanwhile:").next().unwrap_or_default().to_owned()
        };
        assert_eq!(words(&ours), words(&theirs), "{name}");
        exported += 1;
    }
    assert!(exported >= 10, "{exported} histories");
}

#[test]
fn the_help_has_not_changed() {
    let output = harness(&["check", "--help"]);
    insta::assert_snapshot!("check_help", stdout(&output));
}

/// As far as it goes: the files of the examples are not there, and nothing else may be wrong with them.
#[test]
fn every_example_of_the_help_is_understood() {
    let help = harness(&["check", "--help"]);
    let help = String::from_utf8(help.stdout).unwrap();
    let examples: Vec<&str> = help
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("harness "))
        .collect();
    assert!(examples.len() >= 3, "{help}");
    let nowhere = tempfile::tempdir().unwrap();
    for example in examples {
        let output = Command::new(env!("CARGO_BIN_EXE_harness"))
            .args(example.split_whitespace().skip(1))
            .current_dir(&nowhere)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(254), "{example}: {said}");
        assert!(said.contains("No such file or directory"), "{example}: {said}");
    }
}

/// Makes a history with more orders than a small budget allows to try.
const HARD: &[&str] = &[
    "--ops",
    "20000",
    "--clients",
    "40",
    "--values",
    "repeated",
    "--cas",
    "0.9",
    "--info",
    "0.05",
];
