//! Each finding is provoked by the answers alone.

use std::io;

use super::*;
use crate::cli::query::QueryError;
use crate::endpoint::Endpoint;
use crate::local::status::{LoadingReport, PeerReport, StatusReport};
use crate::local::vitals::{SyncReport, VitalsReport};

fn address(id: u64) -> Endpoint {
    Endpoint::Tcp(format!("10.0.0.{id}:7601"))
}

fn peer(id: u64) -> PeerReport {
    PeerReport {
        id,
        address: format!("10.0.0.{id}:7701"),
        connected: true,
        level_supported: Some(1),
        proven: true,
        encrypted: false,
        dropped: 0,
        error: None,
    }
}

/// Node `id` of three, all of which are well.
fn node(id: u64) -> Examined {
    let mut status = StatusReport {
        id,
        cluster: "c".to_owned(),
        ..StatusReport::default()
    };
    status.view.voters = vec![1, 2, 3];
    status.view.leader = Some(1);
    status.connections.peers = (1..=3).filter(|other| *other != id).map(peer).collect();
    let vitals = VitalsReport {
        id,
        settings: [("heartbeat".to_owned(), "50ms".to_owned())].into(),
        election_timeout_ms: 500,
        segment_bytes: 64 << 20,
        files_open: 30,
        files_max: 1 << 20,
        disk_total_bytes: 100 << 30,
        disk_free_bytes: 50 << 30,
        syncs: SyncReport {
            count: 1000,
            p50_us: 1024,
            p99_us: 4096,
            slowest_us: 30_000,
            in_flight_us: 0,
        },
        ..VitalsReport::default()
    };
    Examined {
        address: address(id),
        status: Ok(status),
        vitals: Ok(vitals),
        clock: (0, 2),
    }
}

fn three() -> Vec<Examined> {
    (1..=3).map(node).collect()
}

fn status(node: &mut Examined) -> &mut StatusReport {
    node.status.as_mut().expect("it has answered")
}

fn vitals(node: &mut Examined) -> &mut VitalsReport {
    node.vitals.as_mut().expect("it has answered")
}

fn cut(all: &mut [Examined], from: usize, to: u64) {
    let peers = &mut status(&mut all[from - 1]).connections.peers;
    let link = peers.iter_mut().find(|peer| peer.id == to).expect("a peer");
    (link.connected, link.error) = (false, Some("timed out".to_owned()));
}

/// The check and the nodes of each finding.
fn found(all: &[Examined]) -> Vec<(&'static str, Vec<u64>)> {
    let findings = diagnose(all);
    findings
        .into_iter()
        .map(|finding| (finding.check, finding.nodes))
        .collect()
}

#[test]
fn three_nodes_that_are_well_have_no_finding() {
    assert_eq!(found(&three()), []);
    assert_eq!(found(&three()[..1]), [], "nor has one alone");
}

#[test]
fn a_node_that_does_not_answer_is_named_by_its_address_and_by_those_that_miss_it() {
    let mut all = three();
    all[2].status = Err(QueryError::Unreachable(address(3), io::Error::other("refused")));
    all[2].vitals = Err(QueryError::Unreachable(address(3), io::Error::other("refused")));
    (1..=2).for_each(|from| cut(&mut all, from, 3));
    assert_eq!(found(&all), [("answer", vec![]), ("contact", vec![1, 2, 3])]);
    let text = diagnose(&all)[1].to_string();
    assert!(
        text.contains("node 1, 2 does not reach node 3 at 10.0.0.3:7701 (timed out)"),
        "{text}"
    );
}

#[test]
fn a_majority_is_missing_where_fewer_voters_are_reached() {
    let mut all = vec![node(1)];
    (2..=3).for_each(|to| cut(&mut all, 1, to));
    status(&mut all[0]).view.leader = None;
    let checks: Vec<&str> = found(&all).into_iter().map(|(check, _)| check).collect();
    assert_eq!(checks, ["majority", "contact", "contact"]);
    // While the voters change, of either set.
    let mut all = vec![node(1)];
    status(&mut all[0]).view.voters = vec![1];
    status(&mut all[0]).view.new_voters = vec![1, 2, 3];
    (2..=3).for_each(|to| cut(&mut all, 1, to));
    assert_eq!(found(&all)[0].0, "majority");
}

#[test]
fn no_leader_in_a_majority_is_a_finding_of_its_own() {
    let mut all = three();
    all.iter_mut().for_each(|node| status(node).view.leader = None);
    assert_eq!(found(&all), [("leader", vec![1, 2, 3])]);
    // One that does not vote hears from none.
    let mut all = three();
    status(&mut all[2]).view.voters = vec![1, 2];
    status(&mut all[2]).view.leader = None;
    assert_eq!(found(&all), []);
}

#[test]
fn a_link_that_works_in_one_direction_is_another_finding_than_one_that_does_not_work() {
    let mut all = three();
    cut(&mut all, 2, 3);
    assert_eq!(found(&all), [("link", vec![2, 3])]);
    cut(&mut all, 3, 2);
    assert_eq!(found(&all), [("contact", vec![2, 3])]);
}

#[test]
fn a_clock_is_off_by_the_one_in_the_middle_or_by_this_machine() {
    let mut all = three();
    for (node, offset) in all.iter_mut().zip([-7_200_000, -7_200_300, -3_600_000]) {
        node.clock.0 = offset;
    }
    assert_eq!(found(&all), [("clock", vec![3])]);
    assert!(diagnose(&all)[0].what.contains("+3600.2 s") || diagnose(&all)[0].what.contains("+3600.0 s"));
    assert_eq!(found(&all[..1]), [("clock", vec![1])]);
    // As far as the way there may have taken.
    all[2].clock = (-7_200_000 + 1_900, 500);
    assert_eq!(found(&all), []);
}

#[test]
fn a_disk_is_slow_when_its_slow_syncs_take_an_eighth_of_the_timeout() {
    let mut all = three();
    vitals(&mut all[0]).syncs.p99_us = 131_072;
    assert_eq!(found(&all), [("disk", vec![1])]);
    vitals(&mut all[0]).syncs.count = 3;
    assert_eq!(found(&all), [], "too few to say");
    vitals(&mut all[1]).syncs.in_flight_us = 500_000;
    assert_eq!(found(&all), [("disk", vec![2])]);
    status(&mut all[2]).health.disk_too_slow = true;
    assert_eq!(found(&all), [("disk", vec![2]), ("disk", vec![3])]);
}

#[test]
fn room_and_files_run_out_by_share_or_by_number() {
    let mut all = three();
    vitals(&mut all[0]).disk_free_bytes = 4 << 30;
    vitals(&mut all[1]).disk_total_bytes = 1 << 30;
    vitals(&mut all[1]).disk_free_bytes = 255 << 20;
    status(&mut all[2]).storage.disk_full = true;
    assert_eq!(found(&all), [1, 2, 3].map(|id| ("room", vec![id])));
    let mut all = three();
    vitals(&mut all[0]).files_max = 1023;
    vitals(&mut all[1]).files_max = 2000;
    vitals(&mut all[1]).files_open = 1600;
    assert_eq!(found(&all), [("files", vec![1]), ("files", vec![2])]);
}

#[test]
fn what_should_be_the_same_is_compared() {
    let mut all = three();
    vitals(&mut all[1])
        .settings
        .insert("heartbeat".to_owned(), "100ms".to_owned());
    vitals(&mut all[1])
        .settings
        .insert("new".to_owned(), "of a later version".to_owned());
    status(&mut all[2]).process.version = "9.9.9".to_owned();
    assert_eq!(
        found(&all),
        [("version", vec![1, 2, 3]), ("settings", vec![1, 2, 3])]
    );
    let text = diagnose(&all)[1].to_string();
    assert!(
        text.contains("heartbeat is 100ms on node 2, 50ms on node 1, 3"),
        "{text}"
    );
    let mut all = three();
    status(&mut all[0]).cluster = "d".to_owned();
    assert_eq!(found(&all), [("cluster", vec![1, 2, 3])]);
    let mut all = three();
    all[1].vitals = Err(QueryError::Refused(address(2), "ERR unknown command".to_owned()));
    assert_eq!(found(&all), [("version", vec![2])]);
    all[1].vitals = Err(QueryError::Unreachable(address(2), io::Error::other("timed out")));
    assert_eq!(found(&all), [("disk", vec![2])], "its file system hangs");
}

#[test]
fn damage_loading_and_alarms_are_findings() {
    let mut all = three();
    status(&mut all[0]).health.holes = 3;
    status(&mut all[1]).health.abstaining = true;
    status(&mut all[2]).health.divergence = Some("at entry 7".to_owned());
    let alarm = |raised| AlarmReport {
        alarm: "room".to_owned(),
        raised,
        detail: "no room".to_owned(),
        since_ms: 1,
        ended_ms: None,
    };
    status(&mut all[0]).alarms = vec![alarm(true)];
    status(&mut all[1]).alarms = vec![alarm(false)];
    let expected = [
        ("damage", 1),
        ("damage", 2),
        ("divergence", 3),
        ("alarm", 1),
        ("alarm", 2),
    ];
    assert_eq!(found(&all), expected.map(|(check, id)| (check, vec![id])));
    let mut all = three();
    status(&mut all[2]).view.loading = Some(LoadingReport {
        total_bytes: 2 << 20,
        read_bytes: 1 << 20,
    });
    all[2].vitals = Err(QueryError::Refused(address(3), "LOADING".to_owned()));
    assert_eq!(found(&all), [("loading", vec![3])]);
}
