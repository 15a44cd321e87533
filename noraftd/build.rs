//! Records in the program which commit it was built from, where git and its history are available.

use std::process::Command;

fn main() {
    // What changes the program rebuilds it; a release is also rebuilt for a commit that changed nothing.
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release")
        && let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"])
        && std::path::Path::new(&log).exists()
    {
        println!("cargo::rerun-if-changed={log}");
    }
    let commit = git(&["rev-parse", "--short=8", "HEAD"]).unwrap_or_else(|| "00000000".to_owned());
    let is_dirty =
        git(&["status", "--porcelain", "--untracked-files=no", "."]).is_some_and(|said| !said.is_empty());
    println!("cargo::rustc-env=NORAFTD_COMMIT={commit}");
    println!("cargo::rustc-env=NORAFTD_DIRTY={}", u8::from(is_dirty));
}

/// What git prints; `None` without git, or outside of a repository.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| said.trim().to_owned())
}
