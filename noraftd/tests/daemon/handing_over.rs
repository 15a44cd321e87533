//! Real nodes that hand leadership over, because they are ordered to or because they stop.
#![expect(
    clippy::disallowed_methods,
    reason = "how long clients wait is what is looked at"
)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::client::{Client, bulk};
use crate::support::cluster::{Cluster, PeersOver};
use crate::support::eventually;
use crate::support::program::{noraftd, said};
use noraftd::protocol::resp::Value;
use noraftd::store::disk::trouble::Trouble;
use noraftd::store::shadow::{Control, Order};

/// Runs `noraftd transfer`; its code, and what it said.
fn transfer(cluster: &Cluster, at: usize, to: &[&str]) -> (Option<i32>, String) {
    let address = cluster.nodes[at].unix().display().to_string();
    let args = ["transfer", &address].into_iter().chain(to.iter().copied());
    let output = noraftd(&args.collect::<Vec<_>>());
    (output.status.code(), said(&output))
}

/// What a client is answered that increments `key` all the time, and when.
fn increment(client: &mut Client, key: &str, is_over: &AtomicBool) -> Vec<(Instant, Value)> {
    let mut answers = Vec::new();
    while !is_over.load(Ordering::SeqCst) {
        let answer = client.call(&["INCR", key]);
        answers.push((Instant::now(), answer));
    }
    answers
}

/// What clients of the nodes `asked` are answered while `act` goes on.
fn under_load(
    cluster: &mut Cluster,
    asked: &[usize],
    act: impl FnOnce(&mut Cluster),
) -> Vec<Vec<(Instant, Value)>> {
    let is_over = AtomicBool::new(false);
    let clients: Vec<Client> = asked.iter().map(|at| cluster.nodes[*at].unix_client()).collect();
    thread::scope(|scope| {
        let count = |(key, mut client): (usize, Client)| {
            let is_over = &is_over;
            scope.spawn(move || increment(&mut client, &format!("c{key}"), is_over))
        };
        let writers: Vec<_> = clients.into_iter().enumerate().map(count).collect();
        thread::sleep(WARM_UP);
        act(cluster);
        thread::sleep(WARM_UP);
        is_over.store(true, Ordering::SeqCst);
        writers
            .into_iter()
            .map(|writer| writer.join().expect("no panic"))
            .collect()
    })
}

/// Every write was acknowledged once, and none failed.
fn check(cluster: &Cluster, answers: &[Vec<(Instant, Value)>]) {
    let mut client = cluster.nodes[cluster.leader()].unix_client();
    for (key, answers) in answers.iter().enumerate() {
        for (expected, (_, answer)) in (1..).zip(answers) {
            assert_eq!(*answer, Value::Integer(expected));
        }
        let count = answers.len().to_string();
        assert_eq!(client.call(&["GET", &format!("c{key}")]), bulk(&count));
    }
}

/// The longest time between two answers.
fn gap(answers: &[Vec<(Instant, Value)>]) -> Duration {
    let mut times: Vec<Instant> = answers.iter().flatten().map(|(at, _)| *at).collect();
    times.sort_unstable();
    let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
    gaps.max().unwrap_or_default()
}

#[test]
fn a_leader_that_is_stopped_hands_over_and_no_write_of_the_others_clients_fails() {
    let mut cluster = Cluster::start(3, PeersOver::Unix);
    for round in 0..3 {
        let (leader, followers) = (cluster.leader(), cluster.followers());
        let mut client = cluster.nodes[leader].unix_client();
        for key in 0..followers.len() {
            client.call(&["DEL", &format!("c{key}")]);
        }
        let answers = under_load(&mut cluster, &followers, |cluster| {
            assert_eq!(cluster.nodes[leader].stop(), Some(0));
            assert_ne!(cluster.leader(), leader);
        });
        check(&cluster, &answers);
        println!(
            "round {round}: the longest gap between answers was {:?}",
            gap(&answers)
        );
        cluster.nodes[leader].start();
        eventually("it is back", || {
            (cluster.nodes[leader].status()?.view.leader == Some(cluster.leader() as u64 + 1)).then_some(())
        });
    }
}

#[test]
fn a_leader_hands_over_when_it_is_ordered_to() {
    let mut cluster = Cluster::start(3, PeersOver::Unix);
    let (leader, to) = (cluster.leader(), cluster.followers()[1]);
    let name = (to + 1).to_string();
    cluster.nodes[to].wait_for_leader();
    let (code, text) = transfer(&cluster, to, &[]);
    assert_eq!(code, Some(1));
    let expected = format!("nothing was done; node {} leads\n", leader + 1);
    assert!(text.ends_with(&expected), "{text}");
    let answers = under_load(&mut cluster, &[0, 1, 2], |cluster| {
        let (code, text) = transfer(cluster, leader, &["--to", &name]);
        assert_eq!((code, text), (Some(0), format!("node {name} leads\n")));
    });
    check(&cluster, &answers);
    println!("the longest gap between answers was {:?}", gap(&answers));
    assert_eq!(cluster.leader(), to);
    let (code, text) = transfer(&cluster, to, &["--to", "9"]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains("ERR no voter that is meant can take over"),
        "{text}"
    );
}

/// Each sync takes most of an election timeout: too short for the others to miss the leader.
#[test]
fn a_leader_whose_disk_fails_slowly_hands_over_to_one_whose_disk_does_not() {
    let flags = [
        "--shadow-disk",
        "seed=1",
        "--election-timeout",
        "4s",
        "--segment-bytes",
        "1MiB",
    ];
    let cluster = Cluster::start_with(3, PeersOver::Unix, &flags);
    let (leader, other) = (cluster.leader(), cluster.followers()[0]);
    let control = Control::open(&cluster.nodes[leader].dir.join("data")).expect("a shadow disk has one");
    let trouble = Trouble::Slow;
    let delay = Duration::from_secs(3);
    control
        .set(Some(Order { trouble, delay }))
        .expect("it is written");
    let mut client = cluster.nodes[other].unix_client();
    eventually("another node leads", || {
        // Whatever comes of it: something has to be synced.
        client.call(&["INCR", "c"]);
        (cluster.leader() != leader).then_some(())
    });
    control.set(None).expect("it is written");
    eventually("writes are acknowledged", || {
        matches!(client.call(&["INCR", "c"]), Value::Integer(_)).then_some(())
    });
}

const WARM_UP: Duration = Duration::from_millis(300);
