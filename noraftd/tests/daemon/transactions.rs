//! Transactions on a real cluster.

use noraftd::protocol::resp::Value;

use crate::support::client::{Client, bulk, error_text, ok};
use crate::support::cluster::{Cluster, PeersOver};
use crate::support::eventually;
use crate::support::program::noraftd;

pub(crate) fn upgrade(cluster: &Cluster) {
    let address = cluster.nodes[0].unix().display().to_string();
    eventually("the level rises, on every node", || {
        let raised = noraftd(&["upgrade", &address]).status.code() == Some(0);
        let clients = cluster.nodes.iter().map(|node| node.unix_client());
        let has = |mut client: Client| client.call(&["UNWATCH"]) == ok() && client.call(&["MULTI"]) == ok();
        (raised && clients.into_iter().all(has)).then_some(())
    });
}

fn queued() -> Value {
    Value::Status("QUEUED".into())
}

/// Moves one from an account to another, over and over until it is done.
fn transfer(client: &mut Client, from: &str, to: &str) {
    loop {
        assert_eq!(client.call(&["WATCH", from, to]), ok());
        let Value::Bulk(held) = client.call(&["GET", from]) else {
            panic!("it holds something")
        };
        let held: i64 = std::str::from_utf8(&held)
            .expect("digits")
            .parse()
            .expect("digits");
        assert_eq!(client.call(&["MULTI"]), ok());
        assert_eq!(client.call(&["SET", from, &(held - 1).to_string()]), queued());
        assert_eq!(client.call(&["INCR", to]), queued());
        match client.call(&["EXEC"]) {
            Value::Array(done) => {
                assert_eq!(done[0], ok());
                return;
            }
            // Another client was faster; of all that try, one is done.
            Value::Null => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn clients_of_all_nodes_move_amounts_and_none_is_lost() {
    let cluster = Cluster::start(3, PeersOver::Unix);
    upgrade(&cluster);
    let mut first = cluster.nodes[0].unix_client();
    assert_eq!(first.call(&["MSET", "a", "1000", "b", "1000"]), ok());
    let mut other = cluster.nodes[1].unix_client();
    for (between, done) in [(None, Value::Array(vec![ok()])), (Some("1000"), Value::Null)] {
        assert_eq!(first.call(&["WATCH", "a"]), ok());
        if let Some(value) = between {
            assert_eq!(other.call(&["SET", "a", value]), ok());
        }
        assert_eq!(first.call(&["MULTI"]), ok());
        assert_eq!(first.call(&["SET", "a", "1000"]), queued());
        assert_eq!(first.call(&["EXEC"]), done);
    }
    std::thread::scope(|scope| {
        let clients = (0..6).map(|at| {
            let mut client = cluster.nodes[at % 3].unix_client();
            scope.spawn(move || {
                let (from, to) = if at < 3 { ("a", "b") } else { ("b", "a") };
                (0..20).for_each(|_| transfer(&mut client, from, to));
            })
        });
        let clients: Vec<_> = clients.collect();
        clients
            .into_iter()
            .for_each(|client| client.join().expect("no panic"));
    });
    for node in &cluster.nodes {
        let mut client = node.unix_client();
        assert_eq!(client.call(&["MULTI"]), ok());
        for account in ["a", "b"] {
            assert_eq!(client.call(&["GET", account]), queued());
        }
        let held = Value::Array(vec![bulk("1000"), bulk("1000")]);
        assert_eq!(client.call(&["EXEC"]), held);
    }
}

#[test]
fn what_a_client_did_not_finish_or_did_wrong_is_not_done() {
    let cluster = Cluster::start(1, PeersOver::Unix);
    let mut client = cluster.nodes[0].unix_client();
    let refused = client.call(&["MULTI"]);
    assert!(error_text(&refused).contains("noraftd upgrade"), "{refused:?}");
    assert!(error_text(&client.call(&["SET", "k", "v"])).contains("MULTI was refused"));
    assert!(error_text(&client.call(&["EXEC"])).starts_with("EXECABORT"));
    upgrade(&cluster);
    for spoils in [&["SET", "k"][..], &["PING"], &["SELECT", "1"], &["NOSUCH"]] {
        assert_eq!(client.call(&["MULTI"]), ok());
        assert_eq!(client.call(&["SET", "k", "v"]), queued());
        error_text(&client.call(spoils));
        assert!(
            error_text(&client.call(&["EXEC"])).starts_with("EXECABORT"),
            "{spoils:?}"
        );
        assert_eq!(client.call(&["GET", "k"]), Value::Null);
    }
    assert_eq!(client.call(&["MULTI"]), ok());
    assert_eq!(client.call(&["SET", "k", "v"]), queued());
    assert_eq!(client.call(&["RESET"]), Value::Status("RESET".into()));
    assert_eq!(client.call(&["GET", "k"]), Value::Null);
    assert!(error_text(&client.call(&["EXEC"])).contains("without MULTI"));

    // All of it may be sent before anything is answered, in both versions of the protocol.
    client.call(&["HELLO", "3"]);
    let commands: [&[&str]; 7] = [
        &["SET", "k", "1"],
        &["WATCH", "k"],
        &["SET", "k", "2"],
        &["MULTI"],
        &["SET", "k", "3"],
        &["EXEC"],
        &["GET", "k"],
    ];
    for command in commands {
        client.send(command).expect("it is there");
    }
    let expected = [ok(), ok(), ok(), ok(), queued(), Value::Null, bulk("2")];
    for (command, expected) in commands.iter().zip(expected) {
        assert_eq!(client.receive().expect("an answer"), expected, "{command:?}");
    }
}
