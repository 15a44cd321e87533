//! The pages of the reference that are made from the programs and their sources are current.
//!
//! `NORAFT_BLESS=1 cargo test -p harness --test runs reference` writes them again.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod source;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::plan::{KindName, Worlds};

use crate::skip::skip;

const HARNESS: &str = env!("CARGO_BIN_EXE_harness");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Compares a page with what it has to be, or writes it.
fn expect_page(name: &str, wanted: &str) {
    let path = root().join("docs/src/reference").join(name);
    if std::env::var_os("NORAFT_BLESS").is_some() {
        std::fs::write(&path, wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/src/reference/{name} is not current; renew it with\n  \
         NORAFT_BLESS=1 cargo test -p harness --test runs reference"
    );
}

/// The path of noraftd, when it was built.
fn noraftd() -> Option<PathBuf> {
    let path = Path::new(HARNESS).with_file_name("noraftd");
    let found = path.is_file().then_some(path);
    if found.is_none() {
        skip("no noraftd beside the harness; `cargo build -p noraftd` makes one");
    }
    found
}

fn help(program: &Path, verbs: &[String]) -> String {
    let output = Command::new(program)
        .args(verbs)
        .arg("--help")
        .env_remove("COLUMNS")
        .output()
        .unwrap();
    assert!(output.status.success(), "{verbs:?} --help");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// The verbs that a help text lists.
fn verbs_in(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = lines.take_while(|line| !line.is_empty());
    // A line further in continues the text of the one above.
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names
        .filter(|name| !name.is_empty() && *name != "help")
        .map(str::to_owned)
        .collect()
}

/// A section for each verb, those of verbs behind their own.
fn sections(program: &Path, name: &str, verbs: &[String], page: &mut String) {
    let text = help(program, verbs);
    let title = [&[name.to_owned()], verbs].concat().join(" ");
    let _ = write!(page, "\n## {title}\n\n```text\n{}\n```\n", text.trim_end());
    for verb in verbs_in(&text) {
        sections(program, name, &[verbs, &[verb]].concat(), page);
    }
}

fn program_page(program: &Path, name: &str) -> String {
    let mut page = format!("# {name}\n\n{MADE} What `{name} --help` and the help of each verb print.\n");
    sections(program, name, &[], &mut page);
    page
}

const MADE: &str = "*This page is generated.*";

#[test]
fn the_page_of_noraftd_is_its_help() {
    let Some(program) = noraftd() else { return };
    expect_page("noraftd.md", &program_page(&program, "noraftd"));
}

#[test]
fn the_page_of_harness_is_its_help() {
    expect_page("harness.md", &program_page(Path::new(HARNESS), "harness"));
}

#[test]
fn the_page_of_exit_codes_is_what_the_programs_say() {
    let Some(program) = noraftd() else { return };
    let daemon = help(&program, &[]);
    let (_, codes) = daemon.split_once("Exit codes:\n").expect("the help lists them");
    let harness = help(Path::new(HARNESS), &[]);
    let (_, verdicts) = harness.split_once("Exit codes: ").expect("the help lists them");
    let verdicts = verdicts
        .split("\n\n")
        .next()
        .unwrap_or_default()
        .replace('\n', " ");
    let page = format!(
        "# Exit codes\n\n{MADE}\n\n## noraftd\n\n```text\n{}\n```\n\n## harness\n\n{verdicts}\n",
        codes.trim_end()
    );
    expect_page("exit-codes.md", &page);
}

#[test]
fn the_page_of_the_settings_file_is_what_the_sources_say() {
    let text = std::fs::read_to_string(root().join("noraftd/src/config/settings.rs")).unwrap();
    let items = source::items(&text);
    let settings = items.iter().find(|item| item.name == "Settings");
    let settings = settings.expect("the file has the settings");
    let mut page = format!(
        "# The settings file\n\n{MADE} The keys of the file that `noraftd serve --config FILE` reads: TOML, each key named as its flag, \
         with `_` for `-`. A flag wins over the file; an unknown key is an error.\n\n| key | meaning |\n|-|-|\n"
    );
    for field in &settings.members {
        let _ = writeln!(page, "| `{}` | {} |", field.name, field.doc);
    }
    page.push_str(
        "\n```toml\nid = 1\ncluster = \"orders\"\ndata_dir = \"/var/lib/noraftd\"\nlisten = [\"10.0.0.1:7601\"]\n\
         peers = [\"1=10.0.0.1:7701\", \"2=10.0.0.2:7701\", \"3=10.0.0.3:7701\"]\npeer_secret_file = \"/etc/noraftd/secret\"\n```\n",
    );
    expect_page("settings.md", &page);
}

/// The source files of a folder and its subfolders, `mod.rs` first in each.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort_by_key(|path| (!path.ends_with("mod.rs"), path.clone()));
    let nested = |path: PathBuf| match path.is_dir() {
        true => sources(&path),
        false => vec![path],
    };
    paths.into_iter().flat_map(nested).collect()
}

/// Types that a file spells in another way have the members of the type that is read for them, or none that a file shows.
fn as_read(items: Vec<source::Item>) -> Vec<source::Item> {
    let (mut stand_ins, mut shown) = (BTreeMap::new(), Vec::new());
    let wanted: Vec<String> = items.iter().filter_map(|item| item.read_from.clone()).collect();
    for item in items {
        if wanted.contains(&item.name) {
            stand_ins.insert(item.name, item.members);
        } else {
            shown.push(item);
        }
    }
    for item in &mut shown {
        if let Some(from) = &item.read_from {
            item.members = stand_ins.remove(from).unwrap_or_default();
        }
    }
    shown
}

/// A table for each type in a source file that is read from files.
fn tables(file: &Path, page: &mut String) {
    let items = as_read(source::items(&std::fs::read_to_string(file).unwrap()));
    for item in items.iter().filter(|item| item.is_read) {
        let _ = write!(page, "\n## {}\n\n{}\n", item.name, item.doc);
        if !item.members.is_empty() {
            page.push_str("\n| key or value | type | meaning |\n|-|-|-|\n");
        }
        for member in &item.members {
            let _ = writeln!(page, "| `{}` | {} | {} |", member.name, member.kind, member.doc);
        }
    }
}

#[test]
fn the_page_of_system_files_is_what_the_sources_say() {
    let mut page = format!(
        "# System files\n\n{MADE} Every table of the file of a system and every key in it, as `harness/src/systems` defines them. A \
         template is a text with placeholders in braces: `{{id}}`, `{{address}}` and `{{dir}}` of the node, `{{NAME_port}}` for each \
         port, `{{nodes}}`, `{{majority}}`, `{{first_address}}`, and `{{peers}}`. Other braces stand for themselves.\n"
    );
    for file in ["systems/file.rs", "systems/external.rs", "client/protocol.rs"] {
        tables(&root().join("harness/src").join(file), &mut page);
    }
    for key in ["lacks", "proxies", "peer_address", "SIGTERM", "nats", "first"] {
        assert!(page.contains(key), "{key}: {page}");
    }
    expect_page("system.md", &page);
}

/// Each kind that one of the two worlds lacks is listed with the reason.
#[test]
fn the_page_of_faults_is_what_the_table_says() {
    let mut page = format!(
        "# Faults\n\n{MADE} Every kind of fault, and where it is possible: on real processes (`harness run`) and in the simulation \
         (`harness sim`). A plan may have kinds of both: each world leaves out what it lacks, and a run says so. What a kind takes is in \
         [Plan files](plan.md).\n\n| kind | what is done | nodes | real processes | simulation |\n|-|-|-|-|-|\n"
    );
    let mut lacking = 0;
    for kind in KindName::ALL {
        let (real, simulated) = match kind.worlds() {
            Worlds::Both => ("yes".to_owned(), "yes".to_owned()),
            Worlds::Simulation(why) => (format!("no: {why}"), "yes".to_owned()),
            Worlds::Processes(why) => ("yes".to_owned(), format!("no: {why}")),
        };
        lacking += usize::from(kind.worlds() != Worlds::Both);
        let (name, meaning, nodes) = (kind.name(), kind.meaning(), kind.nodes_min());
        let _ = writeln!(
            page,
            "| `{name}` | {meaning} | {nodes} or more | {real} | {simulated} |"
        );
    }
    assert_eq!(page.matches("| no: ").count(), lacking);
    assert!(!page.contains("| no:  |"), "a world lacks a kind for a reason");
    expect_page("faults.md", &page);
}

#[test]
fn the_page_of_plan_files_is_what_the_sources_say() {
    let mut page = format!(
        "# Plan files\n\n{MADE} Every table of a plan and every key in it, as `harness/src/plan` defines them. Times are text such as \
         `\"400ms\"`, ranges of times are two of them.\n"
    );
    for file in sources(&root().join("harness/src/plan")) {
        tables(&file, &mut page);
    }
    for key in ["warmup", "impaired_max", "trouble", "vote-race", "ext4"] {
        assert!(page.contains(&format!("| `{key}` |")), "{key}: {page}");
    }
    expect_page("plan.md", &page);
}
