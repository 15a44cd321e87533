//! Alarms, each provoked on real nodes: raised while what it names is so, and listed until an operator clears it.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use noraftd::local::alarms::AlarmKind;
use noraftd::local::status::AlarmReport;
use noraftd::protocol::resp::Value;
use noraftd::shell::clock;
use noraftd::test_clock::{ClockFile, Clocks};

use crate::disk::SmallDisk;
use crate::support::client::ok;
use crate::support::cluster::{Cluster, PeersOver};
use crate::support::eventually;
use crate::support::http::get;
use crate::support::node::Node;
use crate::support::program::answer_of;
use crate::support::skip::skip;

const HTTP: [&str; 4] = ["--segment-bytes", "1MiB", "--http", "127.0.0.1:0"];

fn alone(dir: &Path, more: &[&str]) -> Node {
    let args = [&["--id", "1"][..], &HTTP, more].concat();
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    Node::new(dir, &args)
}

/// The alarm of this kind that the node lists.
fn listed(node: &Node, kind: AlarmKind) -> Option<AlarmReport> {
    let alarms = node.status()?.alarms;
    alarms.into_iter().find(|alarm| alarm.alarm == kind.name())
}

/// Waits until the alarm is raised, and compares everything that shows it.
fn expect_raised(node: &Node, kind: AlarmKind) -> AlarmReport {
    let name = kind.name();
    let alarm = eventually(&format!("the alarm {name} is raised"), || {
        listed(node, kind).filter(|alarm| alarm.raised)
    });
    let page = get(&node.http(), "/metrics");
    for (metric, value) in [("alarm", 1.0), ("alarm_listed", 1.0), ("alarms_total", 1.0)] {
        let sample = page.sample(&format!("noraftd_{metric}{{alarm=\"{name}\"}}"));
        assert!(
            sample.is_some_and(|sample| sample >= value),
            "{metric} of {name}:\n{}",
            page.body
        );
    }
    let Value::Bulk(info) = node.client().call(&["INFO", "raft"]) else {
        panic!("no INFO")
    };
    let info = String::from_utf8_lossy(&info).into_owned();
    let raised = info.lines().find_map(|line| line.strip_prefix("raft_alarms:"));
    assert!(
        raised.is_some_and(|names| names.split(',').any(|listed| listed == name)),
        "{info}"
    );
    assert!(node.log().contains(&format!("alarm {name}: ")), "{}", node.log());
    let (_, said) = answer_of(&["status", &node.tcp]);
    assert!(said.contains(&format!("{name}: ")), "{said}");
    alarm
}

/// Waits until the alarm is over, and sees it listed until it is cleared.
fn expect_over_until_cleared(node: &Node, kind: AlarmKind) {
    let name = kind.name();
    // A wall clock that was wrong may show an end before the beginning.
    let is_over = |alarm: &AlarmReport| !alarm.raised && alarm.ended_ms.is_some();
    eventually(&format!("the alarm {name} is over"), || {
        listed(node, kind).filter(is_over)
    });
    let page = get(&node.http(), "/metrics");
    assert_eq!(
        page.sample(&format!("noraftd_alarm{{alarm=\"{name}\"}}")),
        Some(0.0)
    );
    assert_eq!(
        page.sample(&format!("noraftd_alarm_listed{{alarm=\"{name}\"}}")),
        Some(1.0)
    );
    node.signal(Signal::SIGUSR2);
    eventually(&format!("the alarm {name} is cleared"), || {
        listed(node, kind).is_none().then_some(())
    });
}

#[test]
fn a_node_that_is_well_has_no_alarm() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = alone(dir.path(), &[]);
    node.start();
    node.wait_for_leader();
    let page = get(&node.http(), "/metrics");
    // A disk may be slow, whatever it is.
    for kind in AlarmKind::ALL
        .into_iter()
        .filter(|kind| *kind != AlarmKind::SlowDisk)
    {
        let name = kind.name();
        assert_eq!(
            page.sample(&format!("noraftd_alarm_listed{{alarm=\"{name}\"}}")),
            Some(0.0),
            "{name}"
        );
    }
}

#[test]
fn a_full_disk_raises_room_until_there_is_some() {
    let Some(disk) = SmallDisk::mount("6m") else {
        return;
    };
    let mut node = alone(disk.0.path(), &[]);
    node.start();
    node.wait_for_leader();
    let ballast = disk.0.path().join("ballast");
    // Whatever room is left is taken; the write fails once it is.
    let _ = fs::write(&ballast, vec![1; 16 << 20]);
    let mut client = node.client();
    let value = "x".repeat(64 << 10);
    let is_full = (0..1000).any(|n| client.call(&["SET", &format!("k{n}"), &value]) != ok());
    assert!(is_full, "more than the disk holds");
    expect_raised(&node, AlarmKind::Room);
    node.signal(Signal::SIGUSR2);
    let alarm = expect_raised(&node, AlarmKind::Room);
    assert!(alarm.ended_ms.is_none(), "what is raised cannot be cleared");
    fs::remove_file(&ballast).expect("removed");
    expect_over_until_cleared(&node, AlarmKind::Room);
}

#[test]
fn a_process_near_its_limit_raises_memory_until_the_limit_is_lifted() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = alone(dir.path(), &[]);
    node.start();
    node.wait_for_leader();
    let prlimit = |limit: &str| {
        let set = Command::new("prlimit")
            .args(["--pid", &node.id().to_string(), &format!("--as={limit}")])
            .output();
        set.is_ok_and(|output| output.status.success())
    };
    let used = fs::read_to_string(format!("/proc/{}/status", node.id())).expect("it runs");
    let used = used
        .lines()
        .find_map(|line| line.strip_prefix("VmSize:"))
        .expect("a size");
    let kib: u64 = used.trim().trim_end_matches(" kB").parse().expect("a number");
    // Soft only: it is lifted again.
    if !prlimit(&format!("{}:", (kib << 10) * 105 / 100)) {
        return skip("prlimit cannot set limits of another process here");
    }
    let alarm = expect_raised(&node, AlarmKind::Memory);
    assert!(alarm.detail.contains("address space"), "{alarm:?}");
    assert!(prlimit("unlimited:"));
    expect_over_until_cleared(&node, AlarmKind::Memory);
}

#[test]
fn a_wall_clock_that_jumps_raises_clock_until_it_is_right() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("clocks");
    let right = Clocks::right(clock::system_now(), clock::unix_micros() * 1000);
    let file = ClockFile::create(&path, &right).expect("a file");
    let mut node = alone(dir.path(), &["--test-clock", &path.display().to_string()]);
    node.start();
    node.wait_for_leader();
    assert_eq!(node.client().call(&["SET", "k", "v"]), ok());
    let mut wrong = right;
    wrong.wall.shown += 3600 * 1_000_000_000;
    file.write(&wrong).expect("written");
    let alarm = expect_raised(&node, AlarmKind::Clock);
    assert!(alarm.detail.contains('+'), "{alarm:?}");
    let verbose = get(&node.http(), "/readyz?verbose").body;
    assert!(verbose.contains("[!] clock: warning: "), "{verbose}");
    file.write(&right).expect("written");
    expect_over_until_cleared(&node, AlarmKind::Clock);
}

#[test]
fn a_disk_that_syncs_slowly_raises_slow_disk() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = alone(
        dir.path(),
        &[
            "--shadow-disk",
            "seed=1,sync=300ms",
            "--election-timeout",
            "100ms",
            "--heartbeat",
            "20ms",
        ],
    );
    node.start();
    node.wait_for_leader();
    let mut client = node.client();
    eventually("slow syncs are noticed", || {
        // Something is written all the time.
        client.send(&["SET", "k", "v"]).expect("it is connected");
        listed(&node, AlarmKind::SlowDisk).filter(|alarm| alarm.raised)
    });
}

#[test]
fn a_member_that_is_not_heard_raises_no_contact_at_the_leader_until_it_is_back() {
    let cluster = Cluster::start_with(3, PeersOver::Unix, &HTTP);
    let (leader, silent) = (cluster.leader(), cluster.followers()[0]);
    cluster.nodes[silent].signal(Signal::SIGSTOP);
    // Another one may lead by then, on a slow machine: the one that goes on sees it all the same.
    let alarm = expect_raised(&cluster.nodes[leader], AlarmKind::NoContact);
    assert!(alarm.detail.contains(&(silent + 1).to_string()), "{alarm:?}");
    cluster.nodes[silent].signal(Signal::SIGCONT);
    expect_over_until_cleared(&cluster.nodes[leader], AlarmKind::NoContact);
}

#[test]
fn every_alarm_has_a_page_in_the_runbook() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/runbook");
    let index = fs::read_to_string(pages.join("index.md")).expect("an index");
    for kind in AlarmKind::ALL {
        let name = kind.name();
        let page = fs::read_to_string(pages.join(format!("{name}.md"))).expect(name);
        for part in ["What it means.", "What to look at.", "What to do."] {
            assert!(page.contains(part), "{name}: {part}");
        }
        assert!(index.contains(&format!("[`{name}`]({name}.md)")), "{name}");
    }
}
