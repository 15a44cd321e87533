//! Scripts that make shells complete noraftd: bash runs its own; zsh and fish do where they are installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::program::{complaint_of, noraftd, said, text};
use crate::support::skip::skip;

fn script(dir: &Path, shell: &str) -> PathBuf {
    let printed = noraftd(&["completion", shell]);
    assert!(printed.status.success(), "{}", said(&printed));
    let path = dir.join(shell);
    fs::write(&path, printed.stdout).expect("written");
    path
}

/// What a shell says to this; nothing where it is not installed.
fn run(shell: &str, words: &[&str]) -> Option<Output> {
    let output = Command::new(shell).args(words).output();
    if output.is_err() {
        skip(&format!("no {shell} here"));
    }
    output.ok()
}

/// What bash offers for the last of these words.
fn offered(script: &Path, words: &[&str]) -> Option<Vec<String>> {
    let last = words.len() - 1;
    let (word, before) = (words[last], words[last - 1]);
    let line = format!(
        "source '{}'; COMP_WORDS=({}); COMP_CWORD={last}; _noraftd noraftd '{word}' '{before}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display(),
        words
            .iter()
            .map(|word| format!("'{word}'"))
            .collect::<Vec<_>>()
            .join(" ")
    );
    let output = run("bash", &["--norc", "-c", &line])?;
    assert!(output.status.success(), "{}", said(&output));
    Some(text(&output.stdout).lines().map(str::to_owned).collect())
}

/// The verbs that the help lists.
fn verbs() -> Vec<String> {
    let help = text(&noraftd(&["--help"]).stdout);
    let (_, list) = help.split_once("Commands:\n").expect("the help lists the verbs");
    let lines = list.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_offers_every_verb_and_its_flags() {
    let dir = tempfile::tempdir().expect("a directory");
    let script = script(dir.path(), "bash");
    let Some(all) = offered(&script, &["noraftd", ""]) else {
        return;
    };
    for verb in verbs() {
        assert!(all.contains(&verb), "{verb}: {all:?}");
    }
    assert_eq!(
        offered(&script, &["noraftd", "doc"]),
        Some(vec!["doctor".to_owned()])
    );
    assert_eq!(
        offered(&script, &["noraftd", "serve", "--log-f"]),
        Some(vec!["--log-format".to_owned()])
    );
    assert_eq!(
        offered(&script, &["noraftd", "member", "set-"]),
        Some(vec!["set-address".to_owned()])
    );
    assert_eq!(
        offered(&script, &["noraftd", "completion", "f"]),
        Some(vec!["fish".to_owned()])
    );
}

#[test]
fn the_scripts_of_all_shells_name_every_verb_and_can_be_read() {
    let dir = tempfile::tempdir().expect("a directory");
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let path = script(dir.path(), shell);
        let written = fs::read_to_string(&path).expect("it was written");
        for verb in verbs() {
            assert!(written.contains(&verb), "{shell}: {verb}");
        }
        if let Some(output) = run(shell, &[check, &path.display().to_string()]) {
            assert!(output.status.success(), "{shell}: {}", said(&output));
        }
    }
    assert_eq!(complaint_of(&["completion", "tcsh"]).0, Some(64));
}
