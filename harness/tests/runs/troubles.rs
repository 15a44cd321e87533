//! Clocks and disks of real processes in trouble, and damaged files: each kind has evidence, and nothing is lost.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use crate::site::{Site, said};

/// A plan with these faults, each once, and little enough demanded that a busy machine manages it.
fn plan(faults: &[&str], duration: &str) -> String {
    let head = r#"
        version = 1
        name = "troubles"
        time = "6s"
        seed = 3
        [cluster]
        segment_kib = 256
        [clients]
        count = 5
        rate = 500
        [[workload]]
        kind = "register"
        padding_bytes_max = 2000
        [nemesis]
        warmup = "700ms"
        calm = ["20ms", "50ms"]
        each_once = true
    "#;
    let fault = |fault: &&str| format!("[[fault]]\nduration = \"{duration}\"\n{fault}\n");
    head.to_owned() + &faults.iter().map(fault).collect::<String>()
}

/// The evidence of each fault of a run that was valid, by the name of the fault.
fn evidence(plan: &str) -> Option<Vec<(String, String)>> {
    let site = Site::new()?;
    let output = site.start(plan).wait_with_output().unwrap();
    let results = site.results();
    assert_eq!(results["verdict"], "valid", "{}", said(&output));
    let faults = results["faults"].as_array().unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    Some(
        faults
            .iter()
            .map(|fault| (text(&fault["fault"]), text(&fault["evidence"])))
            .collect(),
    )
}

fn has(evidence: &[(String, String)], fault: &str, words: &str) {
    let found = evidence
        .iter()
        .any(|(name, evidence)| name.starts_with(fault) && evidence.contains(words));
    assert!(found, "{fault}: {words}: {evidence:#?}");
}

#[test]
fn clocks_that_are_wrong_are_seen_and_do_no_harm() {
    let faults = [
        "kind = \"clock\"\ntarget = \"leader\"\nchange = \"freeze\"",
        "kind = \"clock\"\ntarget = \"all\"",
        "kind = \"clock\"\ntarget = \"one\"\nchange = \"strobe\"",
    ];
    let Some(evidence) = evidence(&plan(&faults, "700ms")) else {
        return;
    };
    for fault in ["clock-freeze-leader", "clock-all", "clock-strobe-one"] {
        has(&evidence, fault, "as injected");
    }
}

#[test]
fn disks_in_trouble_and_damaged_files_are_survived() {
    let faults = [
        "kind = \"disk\"\ntarget = \"one\"\ntrouble = \"error\"",
        "kind = \"disk\"\ntarget = \"leader\"\ntrouble = \"full-overwrite\"",
        "kind = \"damage\"\ntarget = \"one\"\ndamage = \"flip\"",
        "kind = \"damage\"\ntarget = \"one\"\ndamage = \"votes\"",
    ];
    let Some(evidence) = evidence(&plan(&faults, "400ms")) else {
        return;
    };
    has(&evidence, "disk-error-one", "failed with EIO");
    has(&evidence, "disk-full-overwrite-leader", "found no room");
    has(&evidence, "damage-flip-one", "a bit of it flips");
    has(&evidence, "damage-votes-one", "refused to start");
}

#[test]
fn of_more_damage_than_can_be_repaired_only_right_answers_are_demanded() {
    let faults = [
        "kind = \"damage\"\ntarget = \"all\"\ndamage = \"flip\"",
        "kind = \"damage\"\ntarget = \"majority\"\ndamage = \"zero\"",
    ];
    let plan = plan(&faults, "200ms").replace("each_once", "damage_beyond = true\n        each_once");
    let Some(site) = Site::new() else {
        return;
    };
    let output = site.start(&plan).wait_with_output().unwrap();
    let results = site.results();
    assert_eq!(results["verdict"], "valid", "{}", said(&output));
    let liveness = results["checks"].as_array().unwrap().iter();
    let mut liveness = liveness.filter(|check| check["model"] == "liveness");
    let summary = liveness.next().unwrap()["summary"].as_str().unwrap();
    assert!(summary.contains("only right answers are demanded"), "{summary}");
    let faults = results["faults"].as_array().unwrap().iter();
    let evidence: Vec<&str> = faults.filter_map(|fault| fault["evidence"].as_str()).collect();
    let beyond =
        |evidence: &&str| evidence.contains("more than can be repaired") && evidence.contains("it said");
    assert!(evidence.iter().any(beyond), "{evidence:#?}");
}
