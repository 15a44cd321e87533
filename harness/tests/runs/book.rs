//! The commands in the book are run, a page at a time, and their output is compared.
//!
//! A block marked `console` is a session: `$ ` begins a command, `> ` continues it, and every other line is output that has
//! to appear, in order, with `...` for anything. A command has to succeed, unless it says itself what its exit code is.
//! Each page has a directory of its own, and ports of its own in place of 76xx and 77xx.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::skip::skip;

const HARNESS: &str = env!("CARGO_BIN_EXE_harness");

/// Begins the output of a step; no command prints it.
const MARK: char = '\u{1}';

struct Step {
    line: usize,
    command: String,
    output: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// All pages, with their text.
fn pages() -> Vec<(PathBuf, String)> {
    let mut folders = vec![root().join("docs/src")];
    let mut pages = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let text = std::fs::read_to_string(&path).unwrap();
                pages.push((path, text));
            }
        }
    }
    pages.sort();
    pages
}

/// The steps of all sessions on a page.
fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut is_session = false;
    for (at, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            is_session = line == "```console";
        } else if !is_session {
            continue;
        } else if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step {
                line: at + 1,
                command: command.to_owned(),
                output: Vec::new(),
            });
        } else {
            let step = steps.last_mut().expect("a session begins with a command");
            match line.strip_prefix('>') {
                Some(more) => {
                    step.command.push('\n');
                    step.command.push_str(more.strip_prefix(' ').unwrap_or(more));
                }
                None => step.output.push(line.to_owned()),
            }
        }
    }
    steps
}

/// Whether `text` is what `pattern` says, with `...` for anything.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split("...");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut is_open = false;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        is_open = part.is_empty();
    }
    rest.is_empty() || is_open
}

/// The ports in the text, as 76xx and 77xx.
fn ports_in(text: &str) -> BTreeSet<u16> {
    let numbers = text.split(|char: char| !char.is_ascii_digit());
    let ports = numbers.filter_map(|number| number.parse::<u16>().ok());
    ports.filter(|port| (7600..7800).contains(port)).collect()
}

/// The text with free ports, and with those of other nodes that follow from them.
fn with_free_ports(text: &str) -> String {
    let ports = ports_in(text);
    let pid = u16::try_from(std::process::id() % 50).expect("small");
    let bases = (0..50).map(|n| 10_000 + (pid + n) % 50 * 200);
    let is_free = |base: &u16| {
        let mut all = ports.iter().flat_map(|port| [port - 7600, port - 7600 + 100]);
        all.all(|port| TcpListener::bind(("127.0.0.1", base + port)).is_ok())
    };
    let base = bases.into_iter().find(is_free).expect("some ports are free");
    ports.iter().fold(text.to_owned(), |text, port| {
        text.replace(&port.to_string(), &(base + port - 7600).to_string())
    })
}

/// Runs a page in one shell; the output of each step is behind its mark.
fn run(steps: &[Step]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let mut script = String::from("trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n");
    for step in steps {
        let _ = writeln!(
            script,
            "printf '{MARK}'\n{}\nprintf '{MARK}%s\\n' $?",
            step.command
        );
    }
    let programs = Path::new(HARNESS).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let output = std::fs::File::create(folder.path().join(".output")).unwrap();
    let status = Command::new("bash")
        .args(["-c", &with_free_ports(&script)])
        .current_dir(folder.path())
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("PROJECT", root())
        .stdin(Stdio::null())
        .stderr(output.try_clone().unwrap())
        .stdout(output)
        .status();
    status.unwrap();
    let output = std::fs::read(folder.path().join(".output")).unwrap();
    let output = String::from_utf8_lossy(&output).into_owned();
    output.split(MARK).skip(1).map(str::to_owned).collect()
}

/// What is wrong with a step, if anything is.
fn complaint(step: &Step, said: &str, code: &str) -> Option<String> {
    let mut lines = said.lines();
    let missing = step
        .output
        .iter()
        .find(|wanted| *wanted != "..." && !lines.any(|line| fits(wanted, line)));
    if let Some(missing) = missing {
        return Some(format!("no line is '{missing}'"));
    }
    (code.lines().next() != Some("0")).then(|| format!("it ended with {code}"))
}

#[test]
fn every_command_in_the_book_does_what_the_book_says() {
    if !Path::new(HARNESS).with_file_name("noraftd").is_file() {
        skip("no noraftd beside the harness; `cargo build -p noraftd` makes one");
        return;
    }
    let has_client = Command::new("redis-cli").arg("--version").output().is_ok();
    let mut wrong = Vec::new();
    let mut run_steps = 0;
    for (path, text) in pages() {
        let steps = steps(&text);
        if steps.is_empty() {
            continue;
        }
        if !has_client && steps.iter().any(|step| step.command.contains("redis-cli")) {
            skip(&format!("no redis-cli for {}", path.display()));
            continue;
        }
        let said = run(&steps);
        for (step, said) in steps.iter().zip(said.chunks(2)) {
            let [said, code] = said else {
                panic!("{}:{}: the shell ended here", path.display(), step.line)
            };
            run_steps += 1;
            if let Some(why) = complaint(step, said, code) {
                let place = format!("{}:{}", path.display(), step.line);
                wrong.push(format!("{place}: $ {}\n{why}; it said:\n{said}", step.command));
            }
        }
        assert_eq!(said.len(), 2 * steps.len(), "{}", path.display());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(run_steps > 20 || !has_client, "{run_steps} commands in the book");
}

#[test]
fn a_pattern_fits_what_it_says() {
    assert!(fits("OK", "OK") && !fits("OK", "OK.") && !fits("OK", "NOK"));
    assert!(fits("...b...", "abc") && !fits("...b", "abc") && fits("a...", "abc") && fits("a...c", "abc"));
    assert!(!fits("...invalid...stale...", "stale, invalid"));
}

#[test]
fn every_page_is_in_the_summary() {
    let folder = root().join("docs/src");
    let summary = std::fs::read_to_string(folder.join("SUMMARY.md")).unwrap();
    for (path, _) in pages() {
        let name = path.strip_prefix(&folder).unwrap().display().to_string();
        assert!(
            name == "SUMMARY.md" || summary.contains(&format!("({name})")),
            "{name} is not in SUMMARY.md"
        );
    }
}
