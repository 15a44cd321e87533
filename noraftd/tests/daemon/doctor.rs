//! What `noraftd doctor` says of real nodes: each thing that it looks for is provoked, and named.

use std::fs;

use nix::sys::signal::Signal;
use noraftd::shell::clock;
use noraftd::test_clock::{ClockFile, Clocks};
use serde_json::Value as Json;

use crate::disk::SmallDisk;
use crate::support::cluster::{Cluster, PeersOver};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::program::{answer_of, complaint_of};

/// With an election timeout that no disk of a loaded machine is too slow for.
const PATIENT: [&str; 6] = [
    "--segment-bytes",
    "1MiB",
    "--election-timeout",
    "5s",
    "--heartbeat",
    "100ms",
];

/// A finding: the check, the nodes, and what is wrong.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    check: String,
    nodes: Vec<u64>,
    what: String,
}

/// Runs the verb; its exit code, and what it found.
fn doctor(nodes: &[&Node]) -> (Option<i32>, Vec<Found>) {
    let addresses: Vec<String> = nodes
        .iter()
        .map(|node| node.unix().display().to_string())
        .collect();
    let mut args = vec!["doctor", "--json"];
    args.extend(addresses.iter().map(String::as_str));
    let (code, json) = answer_of(&args);
    let json: Json = serde_json::from_str(&json).expect("JSON");
    let findings = json["findings"].as_array().expect("a list");
    assert_eq!(json["is_well"], findings.is_empty());
    let found = findings.iter().map(|finding| Found {
        check: finding["check"].as_str().expect("a word").to_owned(),
        nodes: finding["nodes"]
            .as_array()
            .expect("ids")
            .iter()
            .filter_map(Json::as_u64)
            .collect(),
        what: finding["what"].as_str().expect("a sentence").to_owned(),
    });
    (code, found.collect())
}

fn all(cluster: &Cluster) -> Vec<&Node> {
    cluster.nodes.iter().collect()
}

/// Waits until the check is among the findings of these nodes.
fn expect(nodes: &[&Node], check: &str, about: &[u64]) -> Found {
    eventually(&format!("a finding '{check}' of {about:?}"), || {
        let (code, found) = doctor(nodes);
        let found = found
            .into_iter()
            .find(|found| found.check == check && found.nodes == about);
        found.inspect(|_| assert!(code == Some(1) || code == Some(69), "{code:?}"))
    })
}

#[test]
fn nodes_that_are_well_have_no_finding() {
    let cluster = Cluster::start_with(3, PeersOver::Unix, &PATIENT);
    eventually("the doctor finds nothing", || {
        let (code, found) = doctor(&all(&cluster));
        // The machine of the test may have a nearly full disk, or low limits.
        let of_the_machine = |found: &Found| ["room", "files"].contains(&found.check.as_str());
        assert_eq!(code, Some(i32::from(!found.is_empty())));
        found.iter().all(of_the_machine).then_some(())
    });
}

#[test]
fn a_missing_majority_is_named_and_so_are_nodes_that_do_not_answer() {
    let mut cluster = Cluster::start_with(3, PeersOver::Unix, &PATIENT);
    let left = cluster.leader();
    let gone = cluster.followers();
    for at in &gone {
        cluster.nodes[*at].kill();
    }
    let id = left as u64 + 1;
    let majority = expect(&[&cluster.nodes[left]], "majority", &[id]);
    assert!(majority.what.contains("reaches 1 of 3 voters"), "{majority:?}");
    let mut pair = [id, gone[0] as u64 + 1];
    pair.sort_unstable();
    let contact = expect(&[&cluster.nodes[left]], "contact", &pair);
    assert!(
        contact
            .what
            .contains(&format!("does not reach node {}", gone[0] + 1)),
        "{contact:?}"
    );
    let (code, found) = doctor(&all(&cluster));
    assert_eq!(code, Some(69), "{found:?}");
    assert_eq!(
        found.iter().filter(|found| found.check == "answer").count(),
        2,
        "{found:?}"
    );
    assert!(found.iter().any(|found| found.check == "majority"), "{found:?}");
}

#[test]
fn nothing_that_answers_is_an_exit_code_of_its_own() {
    let (code, said) = answer_of(&["doctor", "127.0.0.1:1"]);
    assert_eq!(code, Some(69));
    assert!(
        said.starts_with("answer     127.0.0.1:1 does not answer: ")
            && said.contains("\n           -> start the node"),
        "{said}"
    );
    assert_eq!(complaint_of(&["doctor"]).0, Some(64));
}

#[test]
fn a_wall_clock_that_differs_is_named() {
    let mut cluster = Cluster::start_with(3, PeersOver::Unix, &PATIENT);
    let at = cluster.followers()[0];
    let path = cluster.nodes[at].dir.join("clocks");
    let mut clocks = Clocks::right(clock::system_now(), clock::unix_micros() * 1000);
    clocks.wall.shown += 3600 * 1_000_000_000;
    let _file = ClockFile::create(&path, &clocks).expect("a file");
    assert_eq!(cluster.nodes[at].stop(), Some(0));
    cluster.nodes[at].give(&["--test-clock", &path.display().to_string()]);
    cluster.nodes[at].start();
    let found = expect(&all(&cluster), "clock", &[at as u64 + 1]);
    assert!(
        found.what.contains("+3600.") || found.what.contains("+3599."),
        "{found:?}"
    );
    // Of a node alone, this machine's clock is the one to compare with.
    expect(&[&cluster.nodes[at]], "clock", &[at as u64 + 1]);
}

#[test]
fn a_slow_disk_is_named_with_what_its_syncs_take() {
    let dir = tempfile::tempdir().expect("a directory");
    let slow = [
        "--shadow-disk",
        "seed=1,sync=300ms",
        "--election-timeout",
        "100ms",
        "--heartbeat",
        "20ms",
    ];
    let node = Node::leading_alone(dir.path(), &slow);
    let mut client = node.client();
    let found = eventually("the disk is named", || {
        client.send(&["SET", "k", "v"]).expect("it is connected");
        let (_, found) = doctor(&[&node]);
        found
            .into_iter()
            .find(|found| found.check == "disk" && !found.what.contains(" of 0 syncs"))
    });
    assert!(
        found.what.contains("an election timeout of 100 ms") && found.what.contains("99 of 100"),
        "{found:?}"
    );
}

#[test]
fn a_link_that_works_in_one_direction_is_named() {
    let mut cluster = Cluster::start_with(3, PeersOver::Tcp, &PATIENT);
    let [at, to] = cluster.followers()[..] else {
        panic!("two of three follow")
    };
    let prefix = format!("{}=", to + 1);
    let address = cluster.nodes[at]
        .settings()
        .into_iter()
        .find_map(|word| word.strip_prefix(&prefix));
    let via = format!("{}=127.0.0.1:1", address.expect("its address"));
    assert_eq!(cluster.nodes[at].stop(), Some(0));
    cluster.nodes[at].give(&["--peer-via", &via]);
    cluster.nodes[at].start();
    let found = expect(&all(&cluster), "link", &[at as u64 + 1, to as u64 + 1]);
    let direction = format!("node {} does not reach node {}", at + 1, to + 1);
    assert!(found.what.starts_with(&direction), "{found:?}");
}

#[test]
fn settings_that_differ_are_named_with_their_values() {
    let mut cluster = Cluster::start_with(
        3,
        PeersOver::Unix,
        &["--segment-bytes", "1MiB", "--election-timeout", "5s"],
    );
    let at = cluster.followers()[0];
    assert_eq!(cluster.nodes[at].stop(), Some(0));
    cluster.nodes[at].give(&["--heartbeat", "70ms"]);
    cluster.nodes[at].start();
    let found = expect(&all(&cluster), "settings", &[1, 2, 3]);
    assert!(
        found.what.contains("heartbeat is ") && found.what.contains(&format!("70ms on node {}", at + 1)),
        "{found:?}"
    );
}

#[test]
fn nodes_of_two_clusters_are_no_cluster() {
    let dirs = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let mine = Node::leading_alone(dirs[0].path(), &[]);
    let mut other = Node::new(
        dirs[1].path(),
        &["--id", "2", "--cluster", "another"].map(String::from),
    );
    other.start();
    let found = expect(&[&mine, &other], "cluster", &[1, 2]);
    assert!(
        found.what.contains("'another' on node 2, 'noraft' on node 1"),
        "{found:?}"
    );
}

#[test]
fn a_low_limit_of_open_files_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = Node::alone(dir.path());
    node.limit_files(200);
    node.start();
    let found = expect(&[&node], "files", &[1]);
    assert!(found.what.contains("it may have 200 files open"), "{found:?}");
}

#[test]
fn a_disk_that_is_nearly_full_is_named_before_it_is_full() {
    let Some(disk) = SmallDisk::mount("32m") else {
        return;
    };
    let node = Node::leading_alone(disk.0.path(), &[]);
    let free = |found: &Found| found.check == "room";
    assert!(!doctor(&[&node]).1.iter().any(free), "there is room");
    fs::write(disk.0.path().join("ballast"), vec![1; 26 << 20]).expect("it fits");
    let found = expect(&[&node], "room", &[1]);
    assert!(found.what.contains("is nearly full"), "{found:?}");
    assert_eq!(
        node.status().expect("it answers").alarms,
        [],
        "no write is refused yet"
    );
}

#[test]
fn an_alarm_is_named_while_it_is_raised_and_until_it_is_cleared() {
    let cluster = Cluster::start(3, PeersOver::Unix);
    let (leader, silent) = (cluster.leader(), cluster.followers()[0]);
    let id = leader as u64 + 1;
    cluster.nodes[silent].signal(Signal::SIGSTOP);
    let raised = eventually("the alarm is named", || {
        let (_, found) = doctor(&[&cluster.nodes[leader]]);
        found
            .into_iter()
            .find(|found| found.check == "alarm" && found.what.contains("no-contact"))
    });
    assert_eq!(raised.nodes, [id]);
    cluster.nodes[silent].signal(Signal::SIGCONT);
    let is_over = |found: &Found| found.what.contains("alarm no-contact is over and not cleared");
    eventually("it is over", || {
        doctor(&[&cluster.nodes[leader]])
            .1
            .iter()
            .any(is_over)
            .then_some(())
    });
    cluster.nodes[leader].signal(Signal::SIGUSR2);
    eventually("it is cleared", || {
        let (_, found) = doctor(&[&cluster.nodes[leader]]);
        (!found.iter().any(|found| found.what.contains("no-contact"))).then_some(())
    });
}
