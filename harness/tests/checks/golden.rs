//! Golden histories: what `harness check` says about every history in `results/golden/`, word for word, and the verbs
//! that make and test such a folder.
//!
//! To accept new words: `harness golden test --accept`; of pictures: `INSTA_UPDATE=always cargo test -p harness --test checks golden::`.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use harness::checker::{self, Budget, ModelName, Options};
use harness::golden::{Golden, difference};
use harness::results::Outcome;
use harness::{formats, report};

/// Histories whose picture is kept as well.
const PICTURED: [&str; 2] = ["register-stale-read", "log-lost-write"];

fn ours() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/golden")
}

#[test]
fn the_answers_about_our_golden_histories_have_not_changed() {
    let mut changed = String::new();
    for golden in Golden::all(&ours()).unwrap() {
        let answer = golden.check().unwrap_or_else(|error| panic!("{error}"));
        if let Some(difference) = difference(golden.expected(), &answer) {
            changed.push_str(&format!("{}\n{difference}\n", golden.name()));
        }
    }
    assert!(
        changed.is_empty(),
        "{changed}accept: harness golden test --accept"
    );
}

#[test]
fn the_pictures_of_golden_histories_have_not_changed() {
    let folder = ours();
    for name in PICTURED {
        let mut recording = formats::read_path(&folder.join(format!("{name}.jsonl.gz"))).unwrap();
        let report = checker::check(&mut recording, &Options::default(), &Budget::default());
        insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => &folder }, {
            let svg = report::svg::draw(&recording, &report).unwrap();
            insta::assert_snapshot!(format!("{name}.svg"), svg);
        });
    }
}

#[test]
fn every_model_has_a_valid_and_an_invalid_golden_history() {
    let all = Golden::all(&ours()).unwrap();
    let found: BTreeSet<(&str, &str)> = all
        .iter()
        .map(|golden| (golden.expected().model.as_str(), golden.expected().verdict.name()))
        .collect();
    for model in ModelName::ALL {
        for verdict in [Outcome::Valid, Outcome::Invalid] {
            let wanted = (model.name(), verdict.name());
            assert!(found.contains(&wanted), "no golden history is {wanted:?}");
        }
    }
}

/// A register that loses a write, in the files of three tools.
const STALE: [(&str, &str); 3] = [
    (
        "ours.jsonl",
        "{\"history\":1,\"workload\":\"register\"}\n\
         {\"i\":0,\"t\":1,\"type\":\"invoke\",\"f\":\"write\",\"p\":0,\"op\":0,\"k\":1,\"v\":1}\n\
         {\"i\":1,\"t\":2,\"type\":\"ok\",\"f\":\"write\",\"p\":0,\"op\":0,\"k\":1,\"v\":1}\n\
         {\"i\":2,\"t\":3,\"type\":\"invoke\",\"f\":\"read\",\"p\":1,\"op\":1,\"k\":1}\n\
         {\"i\":3,\"t\":4,\"type\":\"ok\",\"f\":\"read\",\"p\":1,\"op\":1,\"k\":1,\"v\":null}\n",
    ),
    (
        "jepsen.edn",
        "{:process 0, :type :invoke, :f :write, :value 1}\n{:process 0, :type :ok, :f :write, :value 1}\n\
         {:process 1, :type :invoke, :f :read, :value nil}\n{:process 1, :type :ok, :f :read, :value 0}\n",
    ),
    (
        "porcupine.log",
        "{:process 0, :type :invoke, :f :append, :key \"0\", :value \"x\"}\n\
         {:process 0, :type :ok, :f :append, :key \"0\", :value \"x\"}\n\
         {:process 1, :type :invoke, :f :get, :key \"0\", :value nil}\n\
         {:process 1, :type :ok, :f :get, :key \"0\", :value \"\"}\n",
    ),
];

fn harness(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the program starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn with_histories() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in STALE {
        std::fs::write(folder.path().join(name), text).unwrap();
        let output = harness(
            folder.path(),
            &[
                "golden",
                "add",
                name,
                "--name",
                name.split('.').next().unwrap(),
                "--dir",
                "g",
                "--initial",
                "0",
            ],
        );
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(said(&output).contains("invalid"), "{}", said(&output));
    }
    folder
}

#[test]
fn histories_of_three_tools_are_kept_tested_and_accepted() {
    let folder = with_histories();
    let test = |more: &[&str]| harness(folder.path(), &[&["golden", "test", "g"], more].concat());
    let same = test(&[]);
    assert_eq!(same.status.code(), Some(0), "{}", said(&same));
    assert_eq!(said(&same), "3 golden histories: 3 as expected\n");
    // A checker that no longer notices is one that said something else before.
    let path = folder.path().join("g/jepsen.golden");
    let text = std::fs::read_to_string(&path).unwrap();
    let other = text.replace("verdict = \"invalid\"", "verdict = \"valid\"");
    assert_ne!(text, other);
    std::fs::write(&path, other).unwrap();
    let changed = test(&[]);
    assert_eq!(changed.status.code(), Some(1), "{}", said(&changed));
    let shown = said(&changed);
    assert!(shown.contains("jepsen: the answer has changed"), "{shown}");
    assert!(
        shown.contains("The verdict was valid, and is now invalid."),
        "{shown}"
    );
    assert!(shown.contains("2 as expected, 1 changed"), "{shown}");
    assert_eq!(test(&["--accept"]).status.code(), Some(0));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    assert_eq!(test(&[]).status.code(), Some(0));
}

#[test]
fn a_history_that_is_another_one_has_no_answer_and_hides_no_change() {
    let folder = with_histories();
    let test = || harness(folder.path(), &["golden", "test", "g"]);
    std::fs::write(folder.path().join("g/ours.jsonl.gz"), "{}\n").unwrap();
    let output = test();
    assert_eq!(output.status.code(), Some(254), "{}", said(&output));
    assert!(
        said(&output).contains("is not the history that was added"),
        "{}",
        said(&output)
    );
    let path = folder.path().join("g/jepsen.golden");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}more\n")).unwrap();
    let output = test();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains("only the words differ"),
        "{}",
        said(&output)
    );
}

#[test]
fn a_folder_of_a_run_gives_one_golden_history_for_each_of_its_histories() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    std::fs::create_dir(&run).unwrap();
    std::fs::write(run.join("history-register.jsonl"), STALE[0].1).unwrap();
    std::fs::write(run.join("history-second.jsonl"), STALE[0].1).unwrap();
    std::fs::write(run.join("schedule.jsonl"), "").unwrap();
    let add = |name: &str| harness(folder.path(), &["golden", "add", "run", "--name", name]);
    let output = add("may");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let names: Vec<String> = Golden::all(&folder.path().join("results/golden"))
        .unwrap()
        .iter()
        .map(|golden| golden.name().to_owned())
        .collect();
    assert_eq!(names, ["may-register", "may-second"]);
    let taken = add("may");
    assert_eq!(taken.status.code(), Some(254), "{}", said(&taken));
    assert!(said(&taken).contains("this name is taken"), "{}", said(&taken));
    let odd = add("../may");
    assert!(
        said(&odd).contains("is no name for a golden history"),
        "{}",
        said(&odd)
    );
    let empty = harness(folder.path(), &["golden", "test", "run"]);
    assert_eq!(empty.status.code(), Some(254), "{}", said(&empty));
    assert!(
        said(&empty).contains("no golden histories here"),
        "{}",
        said(&empty)
    );
}

#[test]
fn what_cannot_be_read_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("notes.txt"), "nothing\n").unwrap();
    let output = harness(
        folder.path(),
        &["golden", "add", "notes.txt", "--name", "n", "--dir", "g"],
    );
    assert_eq!(output.status.code(), Some(254), "{}", said(&output));
    assert!(said(&output).contains("expected a history"), "{}", said(&output));
    let left = std::fs::read_dir(folder.path().join("g")).unwrap().count();
    assert_eq!(left, 0);
}
