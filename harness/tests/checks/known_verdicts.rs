//! Histories recorded by others, with verdicts others gave: ours must be the same.
//!
//! They are not part of the project: `NORAFT_HISTORIES` names the folder that has `VERDICTS.tsv`, by
//! default one beside the workspace. Without it the tests say so and pass.

use std::path::{Path, PathBuf};

use harness::checker::{self, Budget, ModelName, Options};
use harness::formats;
use harness::results::Outcome;

use crate::skip::skip;

struct Known {
    path: PathBuf,
    model: ModelName,
    initial: Option<String>,
    verdict: Outcome,
    /// Event index of the failing operation, where the source gives it.
    failing: Option<u32>,
}

fn folder() -> Option<PathBuf> {
    let folder = match std::env::var_os("NORAFT_HISTORIES") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/histories"),
    };
    let candidates = [
        folder,
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/histories"),
    ];
    let found = candidates
        .into_iter()
        .find(|folder| folder.join("VERDICTS.tsv").is_file());
    if found.is_none() {
        skip("no recorded histories (set NORAFT_HISTORIES to their folder)");
    }
    found
}

fn known(folder: &Path) -> Vec<Known> {
    let table = std::fs::read_to_string(folder.join("VERDICTS.tsv")).expect("the table is readable");
    table
        .lines()
        .skip(1)
        .map(|line| parse_row(folder, line))
        .collect()
}

fn parse_row(folder: &Path, line: &str) -> Known {
    let fields: Vec<&str> = line.split('\t').collect();
    let [file, _format, model, initial, verdict, source] = fields[..] else {
        panic!("bad row {line:?}")
    };
    let model = ModelName::parse(model).unwrap_or_else(|| panic!("unknown model {model}"));
    let failing = source
        .split_once("failing op index ")
        .map(|(_, index)| index.trim().parse().expect("an index is a number"));
    Known {
        path: folder.join(file),
        model,
        initial: Some(initial.to_owned()).filter(|initial| !initial.is_empty()),
        verdict: if verdict.starts_with("valid") {
            Outcome::Valid
        } else {
            Outcome::Invalid
        },
        failing,
    }
}

#[test]
fn every_known_verdict_is_ours_too() {
    let Some(folder) = folder() else { return };
    let rows = known(&folder);
    assert!(rows.len() >= 125, "{} rows", rows.len());
    for row in rows {
        let mut recording = formats::read_path(&row.path).unwrap_or_else(|error| panic!("{error}"));
        let options = Options {
            model: Some(row.model),
            initial: row.initial.clone(),
            ..Options::default()
        };
        let report = checker::check(&mut recording, &options, &Budget::default());
        assert_eq!(
            report.outcome(),
            row.verdict,
            "{}: {:?}",
            row.path.display(),
            report.finding
        );
        if let (Some(failing), checker::Finding::Invalid { violation, .. }) = (row.failing, &report.finding) {
            let named = violation.operations().into_iter().any(|id| {
                let operation = &recording.operations[id as usize];
                operation.call == failing || operation.ret == failing
            });
            assert!(
                named,
                "{}: {violation:?} should name event {failing}",
                row.path.display()
            );
        }
    }
}
