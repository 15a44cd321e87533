//! What is in `deploy/` for Prometheus and Grafana names metrics that a node really has, and pages that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::client::ok;
use crate::support::cluster::{Cluster, PeersOver};
use crate::support::eventually;
use crate::support::http::get;
use crate::support::skip::skip;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names of metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_metric = |word: &&str| word.starts_with("noraftd_") || word.starts_with("process_");
    words.filter(is_metric).map(str::to_owned).collect()
}

/// Every expression of the alert rules.
fn rules() -> Vec<String> {
    let text = read("deploy/alerts.yml");
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    lines.map(str::to_owned).collect()
}

/// Every expression of the dashboard.
fn panels() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana-dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().expect("targets"));
    targets
        .map(|target| target["expr"].as_str().expect("an expression").to_owned())
        .collect()
}

#[test]
fn rules_panels_and_the_book_name_metrics_that_exist() {
    let cluster = Cluster::start_with(
        3,
        PeersOver::Unix,
        &["--segment-bytes", "1MiB", "--http", "127.0.0.1:0"],
    );
    let leader = &cluster.nodes[cluster.leader()];
    assert_eq!(leader.client().call(&["SET", "k", "v"]), ok());
    let scrape = eventually("the leader shows what the others lack", || {
        let page = get(&leader.http(), "/metrics").body;
        page.contains("noraftd_peer_lag_entries{").then_some(page)
    });
    let samples: String = scrape
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect::<Vec<_>>()
        .join("\n");
    let known = names(&samples);
    let (rules, panels) = (rules(), panels());
    assert!(
        rules.len() >= 11 && panels.len() >= 30,
        "{} and {}",
        rules.len(),
        panels.len()
    );
    for expression in rules.iter().chain(&panels) {
        let named = names(expression);
        assert!(
            !named.is_empty() || expression.starts_with("up{"),
            "{expression} names no metric"
        );
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(
            unknown.is_empty(),
            "{expression} names {unknown:?}, which is not in\n{samples}"
        );
    }
    // The book names histograms as a whole.
    let families: BTreeSet<String> = scrape
        .lines()
        .filter_map(|line| Some(line.strip_prefix("# TYPE ")?.split(' ').next()?.to_owned()))
        .collect();
    let mut pages = vec!["docs/src/tasks/watch.md".to_owned()];
    for page in fs::read_dir(root().join("docs/src/runbook")).expect("a runbook") {
        pages.push(format!(
            "docs/src/runbook/{}",
            page.expect("a page").file_name().to_string_lossy()
        ));
    }
    for page in pages {
        let unknown: Vec<_> = names(&read(&page)).difference(&families).cloned().collect();
        assert!(unknown.is_empty(), "{page} names {unknown:?}");
    }
}

#[test]
fn every_rule_names_a_page_of_the_runbook() {
    let text = read("deploy/alerts.yml");
    let pages: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("runbook: "))
        .collect();
    assert_eq!(pages.len(), rules().len());
    for page in pages.into_iter().filter(|page| !page.contains("{{")) {
        assert!(
            root().join(format!("docs/src/runbook/{page}.md")).exists(),
            "{page}"
        );
    }
}

#[test]
fn promtool_accepts_the_rules_and_they_say_what_they_should() {
    for words in [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts-test.yml"],
    ] {
        match Command::new("promtool")
            .args(words)
            .current_dir(root().join("deploy"))
            .output()
        {
            Ok(output) => {
                let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
                assert!(output.status.success(), "{words:?}: {said}");
            }
            Err(error) => {
                return skip(&format!(
                    "promtool: {error}; the Debian package prometheus has it"
                ));
            }
        }
    }
}
