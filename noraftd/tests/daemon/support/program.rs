//! The program as a command that is run to its end.

use std::process::{Command, Output, Stdio};

/// Runs `noraftd` with nothing to read and no terminal.
pub fn noraftd(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_noraftd"))
        .args(args)
        .env_remove("COLUMNS")
        .stdin(Stdio::null())
        .output()
        .expect("the program runs")
}

/// Runs `noraftd`: its exit code, and what it answers.
pub fn answer_of(args: &[&str]) -> (Option<i32>, String) {
    let output = noraftd(args);
    (output.status.code(), text(&output.stdout))
}

/// Runs `noraftd`: its exit code, and what it complains of.
pub fn complaint_of(args: &[&str]) -> (Option<i32>, String) {
    let output = noraftd(args);
    (output.status.code(), text(&output.stderr))
}

/// What it said on either stream.
pub fn said(output: &Output) -> String {
    text(&[&output.stdout[..], &output.stderr[..]].concat())
}

/// What it said on one stream.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
