//! Power cuts on real processes: they take what was not synced, nothing else, and leave nothing behind.
//!
//! They need the daemon next to the harness, as `run` does, and for the ext4 tier root and loop devices; what
//! is missing is said, and the test skipped.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::path::Path;
use std::process::{Child, Command, Stdio};

use harness::cluster::power::Ground;
use harness::plan::PowerTier;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use serde_json::Value;

use crate::site::{Site, said, wait_for};
use crate::skip::skip;

const PLAN: &str = r#"
    version = 1
    name = "cuts"
    about = "power cuts, and little enough demanded that a busy machine manages it"
    time = "5s"
    seed = 5
    [cluster]
    segment_kib = 256
    [clients]
    count = 5
    rate = 500
    [[workload]]
    kind = "register"
    [nemesis]
    warmup = "300ms"
    calm = ["50ms", "150ms"]
    [[fault]]
    kind = "power"
    target = "all"
    duration = "20ms"
    [[fault]]
    kind = "power"
    target = "one"
    duration = "100ms"
    [limits]
    faults_min = 2
    operations_min = 20
"#;

/// Starts a run with power cuts; `None`, with a message, when there is no daemon.
fn start(tier: &str, time: &str) -> Option<(Site, Child)> {
    let site = Site::new()?;
    let child = site.start_with(PLAN, &["--power-tier", tier, "--time", time]);
    Some((site, child))
}

/// The report and the results, when it is over.
fn finish(site: &Site, run: Child) -> (String, Value) {
    let output = run.wait_with_output().unwrap();
    assert!(site.latest().join("results.json").is_file(), "{}", said(&output));
    (String::from_utf8(output.stdout).unwrap(), site.results())
}

/// Loop devices whose file is in `folder`.
fn loops_in(folder: &Path) -> Vec<String> {
    let ours = folder.display().to_string();
    let devices = std::fs::read_dir("/sys/block").unwrap();
    let backing = devices
        .filter_map(|device| std::fs::read_to_string(device.ok()?.path().join("loop/backing_file")).ok());
    backing.filter(|file| file.contains(&ours)).collect()
}

fn ext4_is_possible() -> bool {
    let root = Uid::effective().is_root() && Path::new("/dev/loop-control").exists();
    let tools = Command::new("mkfs.ext4")
        .arg("-V")
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !root || !tools {
        skip("power cuts on ext4 take root, loop devices and mkfs.ext4");
    }
    root && tools
}

#[test]
fn cuts_of_a_shadow_store_take_what_was_not_synced_and_nothing_else() {
    let Some((site, run)) = start("shadow", "5s") else {
        return;
    };
    let (report, results) = finish(&site, run);
    assert_eq!(results["verdict"], "valid", "{report}");
    let faults = results["faults"].as_array().unwrap();
    let lost = |name: &str| {
        faults
            .iter()
            .filter_map(|fault| fault["lost"][name].as_u64())
            .sum::<u64>()
    };
    assert!(lost("bytes") + lost("names") > 0, "{report}");
    assert!(report.contains("of which lost unsynced data"), "{report}");
}

#[test]
fn cuts_of_an_ext4_are_survived_and_nothing_stays_mounted() {
    if !ext4_is_possible() {
        return;
    }
    let Some((site, run)) = start("ext4", "4s") else {
        return;
    };
    let (report, results) = finish(&site, run);
    // Such cuts may all fall between two batches: then the run proves nothing, and says so.
    let reasons = results["reasons"].as_array().map_or(0, Vec::len);
    let nothing_taken = reasons == 1 && report.contains("took anything that was not synced");
    assert!(results["verdict"] == "valid" || nothing_taken, "{report}");
    assert!(report.contains("lost power"), "{report}");
    assert_eq!(loops_in(site.folder.path()), [""; 0]);
}

#[test]
fn a_harness_that_is_killed_leaves_no_loop_device_behind() {
    if !ext4_is_possible() {
        return;
    }
    let Some((site, mut run)) = start("ext4", "60s") else {
        return;
    };
    let await_loops = |count| {
        let there = || loops_in(site.folder.path()).len();
        wait_for(&format!("{count} loop devices"), || {
            (there() == count).then_some(())
        });
    };
    await_loops(3);
    kill(Pid::from_raw(run.id() as i32), Signal::SIGKILL).unwrap();
    run.wait().unwrap();
    await_loops(0);
}

#[test]
fn a_tier_that_is_not_possible_says_so() {
    let folder = tempfile::tempdir().unwrap();
    // This process shares its mounts with others, and must not mount anything.
    let refusal = Ground::lay(Some(PowerTier::Ext4), folder.path()).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "power cuts of the ext4 tier are not possible here: it takes root, to have mounts of one's own"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
