//! The `jepsen.checker` of docs/jepsen, run in Clojure. What it uses of Jepsen is replaced by a few lines; skipped without Clojure.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::skip::skip;

const HARNESS: &str = env!("CARGO_BIN_EXE_harness");

/// What has to be on the class path.
const SOURCES: [(&str, &str); 4] = [
    (
        "noraft_checker.clj",
        include_str!("../../../../docs/jepsen/noraft_checker.clj"),
    ),
    ("jepsen/checker.clj", include_str!("checker.clj")),
    ("jepsen/store.clj", include_str!("store.clj")),
    ("check.clj", include_str!("check.clj")),
];

/// A key is written and read; the nemesis has no outcome.
const KEYED: &str = "{:type :invoke, :f :write, :process 0, :value [1 5], :time 10, :index 0}\n\
     {:type :ok, :f :write, :process 0, :value [1 5], :time 20, :index 1}\n\
     {:type :invoke, :f :read, :process 1, :value [1 nil], :time 30, :index 2}\n\
     {:type :ok, :f :read, :process 1, :value [1 5], :time 40, :index 3}\n\
     {:type :info, :f :start, :process :nemesis, :value nil, :time 45, :index 4}\n";

/// `:valid?` and `:explanation` for `history`.
fn checked(folder: &Path, history: &str, arguments: &[&str]) -> (String, String) {
    fs::write(folder.join("history.edn"), history).expect("a file can be written");
    let programs = Path::new(HARNESS)
        .parent()
        .expect("a program is in a folder")
        .display();
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("clojure")
        .args(["-cp", ".", "check.clj", "history.edn"])
        .args(arguments)
        .env("PATH", format!("{programs}:{path}"))
        .current_dir(folder)
        .output()
        .expect("it answered before");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let trouble = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{trouble}");
    let (valid, explanation) = said.split_once('\n').unwrap_or_default();
    (valid.to_owned(), explanation.to_owned())
}

#[test]
fn a_history_of_jepsen_is_checked_from_within_jepsen() {
    let answers = Command::new("clojure").args(["-e", "(+ 1 1)"]).output();
    if !answers.is_ok_and(|output| output.stdout.starts_with(b"2")) {
        skip("no clojure; `scripts/setup.sh jepsen` installs it");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder can be made");
    fs::create_dir(folder.path().join("jepsen")).expect("a folder can be made");
    for (name, text) in SOURCES {
        fs::write(folder.path().join(name), text).expect("a file can be written");
    }
    let folder = folder.path();
    let (valid, explanation) = checked(folder, KEYED, &["[\"independent\" 3]", "register"]);
    assert_eq!(valid, "true", "{explanation}");
    assert!(folder.join("store/independent/3/noraft.edn").is_file());
    let wrong = KEYED.replace(":process 1, :value [1 5]", ":process 1, :value [1 7]");
    let (valid, explanation) = checked(folder, &wrong, &["nil", "register"]);
    assert_eq!(valid, "false", "{explanation}");
    assert!(explanation.contains("Why no order fits:"), "{explanation}");
    // Another value is there at first; the flag reaches the program.
    let later = KEYED.lines().skip(2).collect::<Vec<_>>().join("\n");
    let (valid, _) = checked(folder, &later, &["nil", "register", "--initial", "5"]);
    assert_eq!(valid, "true");
    let (valid, explanation) = checked(folder, KEYED, &["nil", "no-such-model"]);
    assert_eq!(valid, ":unknown");
    assert!(explanation.contains("no-such-model"), "{explanation}");
}
