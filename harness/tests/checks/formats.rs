//! Readers: each format is understood, and what is not understood is said with file, line and what was
//! expected.

use std::io::Cursor;
use std::path::Path;

use harness::checker::Budget;
use harness::formats;
use harness::model::NEVER;
use harness::recording::{Recording, Status};

fn read(text: &str) -> Result<Recording, String> {
    formats::read(
        Cursor::new(text.to_owned()),
        Path::new("history"),
        &Budget::default(),
    )
    .map_err(|error| error.to_string())
}

fn described(recording: &Recording) -> Vec<String> {
    let show = |datum| recording.pool.show(datum);
    let line = |operation: &harness::recording::Operation| {
        let ret = if operation.ret == NEVER {
            "-".to_owned()
        } else {
            operation.ret.to_string()
        };
        format!(
            "p{} {} {:?} {}..{ret} {} {} -> {}",
            operation.process,
            recording.function(operation),
            operation.status,
            operation.call,
            show(operation.key),
            show(operation.input),
            show(operation.output)
        )
    };
    recording.operations.iter().map(line).collect()
}

#[test]
fn our_files_pair_by_operation_id() {
    let text = r#"{"history":1,"workload":"register","initial":0,"seed":4}
{"i":0,"t":5,"type":"invoke","f":"cas","p":1,"op":0,"k":"a","v":[1,2],"node":"n1"}
{"i":1,"t":6,"type":"fault.begin","f":"kill","v":{"node":"n1"}}

{"i":2,"t":7,"type":"invoke","f":"write","p":2,"op":1,"k":"a","v":3}
{"i":3,"t":9,"type":"ok","f":"cas","p":1,"op":0,"k":"a","v":[1,2],"saw":null}
{"i":4,"t":9,"type":"info","f":"write","p":2,"op":1,"k":"a","v":3,"err":{"code":"timeout","definite":false}}
"#;
    let recording = read(text).unwrap();
    assert_eq!(
        described(&recording),
        [
            "p1 cas Ok 0..3 \"a\" [1 2] -> nil",
            "p2 write Info 2..- \"a\" 3 -> nil"
        ]
    );
    assert_eq!(recording.workload.as_deref(), Some("register"));
    assert_eq!(recording.initial.and_then(|initial| initial.as_int()), Some(0));
    let times: Vec<_> = (0..5).filter_map(|event| recording.time(event)).collect();
    assert_eq!(times, [5, 6, 7, 9, 9]);
    assert_eq!(recording.faults.len(), 1);
    assert_eq!(recording.faults[0].at, 1);
}

#[test]
fn edn_is_read_as_vector_or_lines_with_comments() {
    let operations = "{:process 0, :type :invoke, :f :write, :value 1} ; first\n\
                      {:process :nemesis :type :info :f :start :value #{\"n1\"}}\n\
                      #_ {:ignored true} #jepsen.history.Op{:process 0 :type :ok :f :write :value 1 :time 12}\n";
    let lines = described(&read(&format!("; a comment\n\n{operations}")).unwrap());
    assert_eq!(lines, ["p0 write Ok 0..2 nil 1 -> 1"]);
    assert_eq!(described(&read(&format!("[{operations}]")).unwrap()), lines);
    assert_eq!(described(&read(&format!("({operations})")).unwrap()), lines);
}

#[test]
fn elle_json_is_read() {
    let text = r#"[{"index":0,"type":"invoke","f":"txn","process":0,"value":[["append",1,2]]},
                   {"index":1,"type":"ok","f":"txn","process":0,"value":[["append",1,2]]}]"#;
    let lines = described(&read(text).unwrap());
    assert_eq!(
        lines,
        ["p0 txn Ok 0..1 nil [[\"append\" 1 2]] -> [[\"append\" 1 2]]"]
    );
}

#[test]
fn log_lines_are_read_and_others_skipped() {
    let text = "INFO  jepsen.core - hello\nINFO  jepsen.util - 0\t:invoke\t:cas\t[1 2]\n\n\
                2015-01-01 10:00:00 INFO jepsen.util: 0 :fail :cas [1 2]\nINFO jepsen.util - 1 :invoke :read nil\n";
    let recording = read(text).unwrap();
    assert_eq!(
        described(&recording),
        [
            "p0 cas Fail 0..1 nil [1 2] -> [1 2]",
            "p1 read Info 2..- nil nil -> nil"
        ]
    );
    assert!(recording.failed_cas_differs);
}

#[test]
fn what_is_not_understood_is_said_with_its_line() {
    let cases = [
        (
            "what\n",
            "history:1: expected a history: JSON lines, EDN operations or Jepsen log lines",
        ),
        (
            "",
            "history:1: expected a history: JSON lines, EDN operations or Jepsen log lines",
        ),
        (
            "{:type :info :process :nemesis}\n{:type :maybe :process 1}",
            "history:2: expected a type (invoke, ok, fail or info), found \"maybe\"",
        ),
        (
            "\n{:process 1 :type :ok :f :read}\n",
            "history:2: expected an open operation of process 1 to complete",
        ),
        (
            "[{:process 1 :type :invoke :f :read}\n\n{:process",
            "history:3: expected the end of the object before the end of the file",
        ),
        (
            "{\"history\":2,\"workload\":\"x\"}\n",
            "history:1: expected history version 1, found 2",
        ),
        (
            "{\"history\":1,\"workload\":\"register\"}\n{\"i\":1,\"type\":\"invoke\",\"f\":\"read\",\"p\":0,\"op\":0}\n",
            "history:2: expected event i=0, found i=1",
        ),
        (
            "{\"history\":1,\"workload\":\"register\"}\n{\"i\":0,\"type\":\"invoke\",\"f\":\"read\",\"p\":0}\n",
            "history:2: expected an operation id (op)",
        ),
        (
            "[{:process 1 :type :invoke :f :read}\n",
            "history:2: expected ']' before the end of the file",
        ),
        (
            "[{:process 1 :type :invoke :f :read})\n",
            "history:1: expected ']' or an operation, found ')'",
        ),
        (
            "{:process 1 :type :invoke :f :read}]\n",
            "history:1: expected an operation, found ']'",
        ),
        (
            "{:process 1 :type :invoke :f :read :value 1 :value 2}\n",
            "history:1: expected each field once, found \":value 2}\"",
        ),
        (
            "{:process 1 :type :invoke :f :read}\n{:type :ok :f :read :value 1}\n",
            "history:2: expected a process, as other operations have one",
        ),
        (
            "{:type :invoke :f :read}\n{\"type\": \"ok\", \"f\": \"read\"}\n",
            "history:2: expected a name, found \": \\\"ok\\\", \\\"f\\\": \\\"read\\\"}\"",
        ),
        (
            "\u{feff}what\n",
            "history:1: expected a history: JSON lines, EDN operations or Jepsen log lines",
        ),
        (
            "INFO jepsen.util - 1 :invoke :read nil\nINFO jepsen.util - 1 :begin :read nil\n",
            "history:2: expected :invoke, :ok, :fail or :info, found \":begin\"",
        ),
    ];
    for (text, expected) in cases {
        let error = read(text).map(|recording| described(&recording)).unwrap_err();
        assert_eq!(error, expected, "{text}");
    }
}

#[test]
fn no_cut_or_flip_of_a_history_makes_a_reader_panic() {
    let texts = [
        "{\"history\":1,\"workload\":\"log\"}\n{\"i\":0,\"t\":1,\"type\":\"invoke\",\"f\":\"append\",\"p\":0,\"op\":0,\"v\":\"x\\u00e9\"}\n",
        "[{:process 0, :type :invoke, :f :read, :value {:a #{1 2}}}\n {:process 0 :type :ok :f :read :value [nil 1.5]}]",
        "INFO  jepsen.util - 0\t:invoke\t:cas\t[1 2]\nINFO  jepsen.util - 0\t:info\t:cas\t:timed-out\n",
    ];
    let mut random = harness::generator::random::Random::new(1);
    for text in texts {
        for cut in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            for _ in 0..random.below(3) {
                let at = random.below(bytes.len());
                bytes[at] = random.bits() as u8;
            }
            bytes.truncate(text.len() - cut);
            // Only the absence of a panic is claimed: a changed history may still be one.
            let _ = formats::read(Cursor::new(bytes), Path::new("history"), &Budget::default());
        }
    }
}

#[test]
fn an_operation_left_open_is_unknown() {
    let recording = read("{:process 3 :type :invoke :f :write :value 1}\n").unwrap();
    assert_eq!(recording.operations[0].status, Status::Info);
    assert_eq!(recording.counts.info, 1);
}
