//! The seeded bugs fit the sources as they are now, and every row of the list of known bugs is accounted for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::bugs::{Bug, Catalog, ROWS, World};
use harness::plan::Plan;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn catalog() -> Catalog {
    Catalog::load_all(&root()).unwrap_or_else(|error| panic!("{error}"))
}

/// Edits the sources in memory, as a hunt edits its copy.
fn apply(bug: &Bug) -> Result<(), String> {
    let mut files: BTreeMap<&Path, String> = BTreeMap::new();
    for edit in &bug.edits {
        let read = || fs::read_to_string(root().join(&edit.file)).map_err(|error| error.to_string());
        let content = files.remove(edit.file.as_path()).map_or_else(read, Ok)?;
        files.insert(
            &edit.file,
            edit.apply(&content).map_err(|error| error.to_string())?,
        );
    }
    Ok(())
}

#[test]
fn every_bug_fits_the_sources() {
    let broken: Vec<String> = catalog()
        .bugs
        .iter()
        .filter_map(|bug| Some(format!("harness/bugs/{}.toml: {}", bug.name, apply(bug).err()?)))
        .collect();
    assert!(
        broken.is_empty(),
        "the code moved on; rewrite the edits:\n{}",
        broken.join("\n")
    );
}

#[test]
fn bugs_are_put_into_the_daemon_and_nowhere_else() {
    for bug in catalog().bugs {
        for edit in &bug.edits {
            let inside = ["noraft/src", "noraftd/src"]
                .iter()
                .any(|part| edit.file.starts_with(part));
            assert!(inside, "{}: {}", bug.name, edit.file.display());
        }
        assert!(!bug.title.is_empty() && !bug.source.is_empty(), "{}", bug.name);
        if let Some(test) = &bug.test {
            assert!(root().join(test).is_file(), "{}: {}", bug.name, test.display());
        }
    }
}

#[test]
fn every_plan_that_hunts_a_bug_can_run_in_its_world() {
    let mut seen = BTreeSet::new();
    for bug in catalog().bugs {
        for world in [World::Sim, World::Cluster] {
            for path in bug.plans(world) {
                if seen.insert((world, path.clone())) {
                    let plan = Plan::load(&root().join(path))
                        .unwrap_or_else(|error| panic!("{}: {error}", bug.name));
                    let fits = world == World::Sim || plan.for_processes(1).is_ok();
                    assert!(
                        fits,
                        "{}: {} is no plan for real processes",
                        bug.name,
                        path.display()
                    );
                }
            }
        }
    }
    assert!(!seen.is_empty());
}

#[test]
fn every_row_of_the_list_has_a_bug_or_a_reason_why_not() {
    let catalog = catalog();
    let covered: BTreeSet<u32> = catalog.bugs.iter().flat_map(|bug| bug.rows.clone()).collect();
    let left_out: BTreeSet<u32> = catalog.left_out.iter().filter_map(|left| left.row).collect();
    let names: BTreeSet<&str> = catalog.left_out.iter().map(|left| left.name.as_str()).collect();
    assert_eq!(names.len(), catalog.left_out.len(), "a bug is left out once");
    assert_eq!(
        covered.intersection(&left_out).next(),
        None,
        "covered rows are not left out"
    );
    let all: BTreeSet<u32> = covered.union(&left_out).copied().collect();
    assert_eq!(all, (1..=ROWS).collect());
    assert!(catalog.left_out.iter().all(|left| !left.reason.is_empty()));
}

#[test]
fn an_unknown_bug_is_a_usage_error_that_names_it() {
    let output = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["bugs", "--only", "no-such-bug"])
        .current_dir(root())
        .output()
        .expect("the harness is a program");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(
        said.contains("`no-such-bug`") && said.contains("--list"),
        "{said}"
    );
}
