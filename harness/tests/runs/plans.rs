//! The plans that come with the project.

use std::path::{Path, PathBuf};

use harness::campaign::{CampaignFile, Place};
use harness::nemesis::Lane;
use harness::plan::Plan;

fn shipped() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../workloads");
    let files = std::fs::read_dir(folder).expect("the project has a folder of plans");
    let paths = files.map(|file| file.expect("it can be listed").path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.is_file() && !is_campaign(path))
        .collect();
    paths.sort();
    paths
}

/// The one file there that is no plan.
fn is_campaign(path: &Path) -> bool {
    path.ends_with("nightly.toml")
}

#[test]
fn the_campaign_of_a_night_is_valid_and_has_both_worlds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../workloads");
    let campaign = CampaignFile::load(&folder.join("nightly.toml")).unwrap_or_else(|error| panic!("{error}"));
    for place in [Place::Simulation, Place::Processes] {
        let entries = campaign.entries.iter().filter(|entry| entry.place == place);
        assert!(entries.count() >= 5, "{place:?}");
    }
    assert!(campaign.keep.is_some(), "its room is bounded");
    let has = |name: &str| campaign.entries.iter().any(|entry| entry.plan.name == name);
    let absent: Vec<String> = shipped()
        .iter()
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .filter(|name| !has(name))
        .collect();
    // One takes root, and has a campaign of its own; one takes an older program; the third measures.
    assert_eq!(
        absent,
        ["everything-root", "roll", "speed"],
        "every other plan is in workloads/nightly.toml"
    );
}

#[test]
fn the_campaigns_over_everything_have_three_and_five_nodes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../workloads/campaigns");
    let mut names = Vec::new();
    for file in std::fs::read_dir(folder).expect("the project has a folder of campaigns") {
        let path = file.expect("it can be listed").path();
        let campaign = CampaignFile::load(&path).unwrap_or_else(|error| panic!("{error}"));
        let nodes: Vec<usize> = campaign
            .entries
            .iter()
            .map(|entry| entry.plan.cluster.nodes)
            .collect();
        assert_eq!(nodes, [3, 5], "{}", path.display());
        names.push(campaign.name);
    }
    names.sort();
    assert_eq!(names, ["everything-real", "everything-root"]);
}

#[test]
fn every_shipped_plan_is_valid_and_named_like_its_file() {
    let paths = shipped();
    assert!(paths.len() >= 5, "{paths:?}");
    for path in paths {
        let plan = Plan::load(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            Some(plan.name.as_str()),
            path.file_stem().and_then(|stem| stem.to_str())
        );
        assert!(
            !plan.about.is_empty(),
            "{}: `about` says what the plan is for",
            path.display()
        );
        let again = Plan::parse(&plan.to_toml(), &path).expect("what was written can be read");
        assert_eq!(again, plan);
    }
}

#[test]
fn every_fault_of_the_smoke_plan_turns_up_in_a_minute() {
    let path = shipped()
        .into_iter()
        .find(|path| path.ends_with("smoke.toml"))
        .expect("it is the default");
    let plan = Plan::load(&path).expect("tested above");
    let mut wanted = 0;
    for seed in 1..=10 {
        let mut kinds = std::collections::BTreeSet::new();
        for lane in Lane::all(&plan, seed) {
            let mut millis = 0;
            let in_a_minute = lane.take_while(|decision| {
                millis += decision.calm.as_millis() + decision.duration.as_millis();
                millis < plan.time.as_millis()
            });
            kinds.extend(in_a_minute.map(|decision| {
                let name = decision.fault.name();
                name.split('-').next().unwrap_or_default().to_owned()
            }));
        }
        let there = ["kill", "pause", "partition"]
            .iter()
            .all(|kind| kinds.contains(*kind));
        wanted += usize::from(there);
    }
    assert_eq!(wanted, 10, "every seed has kills, pauses and partitions");
}

#[test]
fn the_page_on_workloads_shows_the_code_as_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = root.join("docs/src/tasks/workloads.md");
    let page = std::fs::read_to_string(page).expect("there is a page");
    let blocks: Vec<&str> = page.split("```rust\n// ").skip(1).collect();
    assert!(blocks.len() >= 3, "{} blocks of code", blocks.len());
    for block in blocks {
        let (file, code) = block.split_once('\n').expect("a block names its file first");
        let (code, _) = code.split_once("```").expect("a block ends");
        let source =
            std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(source.contains(code.trim_end()), "{file} does not have:\n{code}");
    }
}
