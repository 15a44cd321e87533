//! What is said about each kind of violation, word for word, on histories small enough to read.

use std::io::Cursor;
use std::path::Path;

use harness::checker::{self, Budget, Options};
use harness::{formats, report};

/// Writes out one operation after the other: process, function, input, output.
fn sequence(operations: &[(u32, &str, &str, &str)]) -> String {
    let event = |kind, process: &u32, function: &str, value: &str| {
        format!("{{:process {process} :type :{kind} :f :{function} :value {value}}}\n")
    };
    let both = operations.iter().map(|(process, function, input, output)| {
        event("invoke", process, function, input) + &event("ok", process, function, output)
    });
    both.collect()
}

fn explains(name: &str, text: &str) {
    let budget = Budget::default();
    let mut recording = formats::read(Cursor::new(text.to_owned()), Path::new(name), &budget)
        .unwrap_or_else(|error| panic!("{error}"));
    let checked = checker::check(&mut recording, &Options::default(), &budget);
    let text = report::explain(&recording, &checked);
    assert!(text.len() < 4000, "{name}: {} bytes", text.len());
    insta::assert_snapshot!(name, text);
}

#[test]
fn registers() {
    explains(
        "repeated_values",
        &sequence(&[
            (0, "write", "1", "1"),
            (1, "write", "2", "2"),
            (0, "write", "1", "1"),
            (1, "read", "nil", "2"),
        ]),
    );
    explains(
        "cas_of_unknown_outcome",
        "{:process 0 :type :invoke :f :write :value 1}\n{:process 0 :type :ok :f :write :value 1}\n\
         {:process 1 :type :invoke :f :cas :value [1 2]}\n{:process 1 :type :info :f :cas :value [1 2]}\n\
         {:process :nemesis :type :info :f :kill :value \"n1\"}\n\
         {:process 2 :type :invoke :f :read}\n{:process 2 :type :ok :f :read :value 2}\n\
         {:process 3 :type :invoke :f :cas :value [1 3]}\n{:process 3 :type :ok :f :cas :value [1 3]}\n",
    );
}

#[test]
fn sets() {
    explains(
        "set_lost",
        &sequence(&[
            (0, "add", "1", "1"),
            (0, "add", "2", "2"),
            (1, "read", "nil", "[1]"),
        ]),
    );
    explains(
        "set_disappeared",
        &sequence(&[
            (0, "add", "1", "1"),
            (0, "add", "2", "2"),
            (1, "read", "nil", "[1 2]"),
            (1, "read", "nil", "[2]"),
        ]),
    );
    explains(
        "set_garbage",
        &sequence(&[(0, "add", "1", "1"), (1, "read", "nil", "[1 7]")]),
    );
}

#[test]
fn counters() {
    explains(
        "counter_lost",
        &sequence(&[
            (0, "add", "1", "1"),
            (0, "add", "1", "1"),
            (1, "read", "nil", "1"),
        ]),
    );
    explains(
        "counter_too_many",
        &sequence(&[(0, "add", "1", "1"), (1, "read", "nil", "3")]),
    );
}

#[test]
fn banks() {
    let reads = [
        (1, "read", "nil", "{0 60, 1 40}"),
        (1, "read", "nil", "{0 55, 1 45}"),
        (2, "read", "nil", "{0 55, 1 40}"),
    ];
    let transfer = sequence(&[(0, "transfer", "{:from 0 :to 1 :amount 5}", "nil")]);
    explains("bank_total", &(transfer.clone() + &sequence(&reads)));
    explains(
        "bank_negative",
        &(transfer + &sequence(&[(1, "read", "nil", "{0 -5, 1 105}")])),
    );
}

#[test]
fn locks() {
    explains(
        "lock_two_holders",
        &sequence(&[(0, "acquire", "nil", "1"), (1, "acquire", "nil", "2")]),
    );
}

#[test]
fn requests() {
    explains(
        "request_twice",
        &sequence(&[
            (0, "apply", "7", "7"),
            (1, "apply", "8", "8"),
            (1, "read", "nil", "[7 8 7]"),
        ]),
    );
    explains(
        "request_lost",
        &sequence(&[
            (0, "apply", "7", "7"),
            (1, "apply", "8", "8"),
            (1, "read", "nil", "[8]"),
        ]),
    );
}

/// A history of one log in our own format: process, function, input, and what its completion adds.
fn log_history(operations: &[(u32, &str, &str, &str)]) -> String {
    let mut out = String::from("{\"history\":1,\"workload\":\"log\"}\n");
    for (op, (process, function, input, completion)) in operations.iter().enumerate() {
        let (at, shared) = (
            2 * op,
            format!("\"f\":\"{function}\",\"p\":{process},\"op\":{op},\"k\":\"s\""),
        );
        out.push_str(&format!(
            "{{\"i\":{at},\"t\":{at}000000,\"type\":\"invoke\",{shared},\"v\":{input}}}\n\
             {{\"i\":{},\"t\":{}000000,{shared},{completion}}}\n",
            at + 1,
            at + 1
        ));
    }
    out
}

#[test]
fn trimmed_logs() {
    let appends = [
        (0, "append", "1", r#""type":"ok","v":1,"at":"10-0""#),
        (0, "append", "2", r#""type":"ok","v":2,"at":"20-0""#),
        (0, "append", "3", r#""type":"ok","v":3,"at":"30-0""#),
    ];
    let trim = |kind| (1, "trim", r#""20-0""#, kind);
    let (done, perhaps) = (r#""type":"ok","v":"20-0""#, r#""type":"info","v":"20-0""#);
    let all = r#""type":"ok","v":[["10-0",1],["20-0",2],["30-0",3]],"end":true"#;
    let two = r#""type":"ok","v":[["20-0",2],["30-0",3]],"end":true"#;
    let last = r#""type":"ok","v":[["30-0",3]],"end":true"#;
    let read = |of| (2, "read", r#"{"count":9}"#, of);
    let history = |more: &[_]| log_history(&[&appends[..], more].concat());
    explains("log_resurrected", &history(&[trim(done), read(all)]));
    explains(
        "log_resurrected_after_a_read",
        &history(&[trim(perhaps), read(two), read(all)]),
    );
    explains("log_trimmed_perhaps", &history(&[trim(perhaps), read(two)]));
    // Called when the log had one record, the trim may find only that, however high its label is.
    let early = (1, "trim", r#""30-0""#, r#""type":"info","v":"30-0""#);
    let fourth = (0, "append", "4", r#""type":"ok","v":4,"at":"40-0""#);
    let rest = r#""type":"ok","v":[["20-0",2],["30-0",3],["40-0",4]],"end":true"#;
    let late = [&appends[1..], &[fourth, read(rest)]].concat();
    let clipped = [&appends[..1], &[early], &late[..]].concat();
    explains("log_trimmed_before_it_grew", &log_history(&clipped));
    explains(
        "log_trimmed_positions_unknown",
        &log_history(&[(0, "append", "1", r#""type":"ok","at":null"#), trim(done)]),
    );
    explains("log_trimmed_too_much", &history(&[trim(done), read(last)]));
}

#[test]
fn logs_of_offsets() {
    let first = (0, "append", "1", r#""type":"ok","offset":0"#);
    let lost = (1, "append", "2", r#""type":"info""#);
    let third = (0, "append", "3", r#""type":"ok","offset":2"#);
    explains("log_hole", &log_history(&[first, third, lost]));
    explains("log_hole_filled", &log_history(&[first, lost, third]));
    explains("log_hole_of_no_append", &log_history(&[first, third]));
    let without_place = (0, "append", "4", r#""type":"ok","at":null"#);
    explains("log_offset_missing", &log_history(&[first, without_place]));
}

#[test]
fn an_append_that_repeats_its_record_reports_no_position() {
    let append = (0, "append", "7", r#""type":"ok","v":7"#);
    let read = (1, "read", "null", r#""type":"ok","v":[["10-0",7]],"end":true"#);
    explains("log_append_without_position", &log_history(&[append, read]));
    let empty = (1, "read", "null", r#""type":"ok","v":[],"end":true"#);
    explains("log_append_without_position_lost", &log_history(&[append, empty]));
}

#[test]
fn transactions() {
    let write_skew = "{:process 0 :type :invoke :f :txn :value [[:r 1 nil] [:append 2 20]]}\n\
         {:process 1 :type :invoke :f :txn :value [[:r 2 nil] [:append 1 10]]}\n\
         {:process 0 :type :ok :f :txn :value [[:r 1 []] [:append 2 20]]}\n\
         {:process 1 :type :ok :f :txn :value [[:r 2 []] [:append 1 10]]}\n";
    explains("txn_write_skew", write_skew);
    explains(
        "txn_stale_read",
        &sequence(&[
            (0, "txn", "[[:append 1 10]]", "[[:append 1 10]]"),
            (1, "txn", "[[:r 1 nil]]", "[[:r 1 []]]"),
        ]),
    );
    explains(
        "txn_intermediate",
        &sequence(&[
            (
                0,
                "txn",
                "[[:append 1 10] [:append 1 11]]",
                "[[:append 1 10] [:append 1 11]]",
            ),
            (1, "txn", "[[:r 1 nil]]", "[[:r 1 [10]]]"),
        ]),
    );
    explains(
        "txn_garbage",
        &sequence(&[(1, "txn", "[[:r 1 nil]]", "[[:r 1 [10]]]")]),
    );
}

#[test]
fn transactions_on_registers() {
    explains(
        "rw_stale_read",
        &sequence(&[
            (0, "txn", "[[:w 1 10]]", "[[:w 1 10]]"),
            (0, "txn", "[[:w 1 11]]", "[[:w 1 11]]"),
            (1, "txn", "[[:r 1 nil]]", "[[:r 1 10]]"),
        ]),
    );
    explains(
        "rw_lost_update",
        "{:process 0 :type :invoke :f :txn :value [[:r 1 nil] [:w 1 10]]}\n\
         {:process 1 :type :invoke :f :txn :value [[:r 1 nil] [:w 1 11]]}\n\
         {:process 0 :type :ok :f :txn :value [[:r 1 nil] [:w 1 10]]}\n\
         {:process 1 :type :ok :f :txn :value [[:r 1 nil] [:w 1 11]]}\n",
    );
    let write_skew = "{:process 0 :type :invoke :f :txn :value [[:r 1 nil] [:w 2 20]]}\n\
         {:process 1 :type :invoke :f :txn :value [[:r 2 nil] [:w 1 10]]}\n\
         {:process 0 :type :ok :f :txn :value [[:r 1 nil] [:w 2 20]]}\n\
         {:process 1 :type :ok :f :txn :value [[:r 2 nil] [:w 1 10]]}\n";
    explains("rw_write_skew", write_skew);
    explains(
        "rw_aborted_read",
        "{:process 0 :type :invoke :f :txn :value [[:w 1 10]]}\n{:process 0 :type :fail :f :txn :value [[:w 1 10]]}\n\
         {:process 1 :type :invoke :f :txn :value [[:r 1 nil]]}\n{:process 1 :type :ok :f :txn :value [[:r 1 10]]}\n",
    );
}

#[test]
fn texts() {
    explains(
        "kv_texts_part",
        &sequence(&[
            (0, "append", "\"a one;\"", "\"a one;\""),
            (0, "append", "\"b two;\"", "\"b two;\""),
            (1, "get", "nil", "\"a one;b two;\""),
            (1, "get", "nil", "\"b two;\""),
        ]),
    );
    explains(
        "kv_text_of_no_operation",
        &sequence(&[
            (0, "put", "\"a one;\"", "\"a one;\""),
            (1, "get", "nil", "\"a one;c\""),
        ]),
    );
    explains(
        "kv_stale",
        &sequence(&[
            (0, "put", "\"a one;\"", "\"a one;\""),
            (0, "append", "\"b two;\"", "\"b two;\""),
            (1, "get", "nil", "\"a one;b two;\""),
            (1, "get", "nil", "\"a one;\""),
        ]),
    );
}

#[test]
fn a_dirty_read_is_called_one() {
    explains(
        "register_dirty_read",
        "{:process 0 :type :invoke :f :write :value 1}\n{:process 0 :type :fail :f :write :value 1}\n\
         {:process 1 :type :invoke :f :read}\n{:process 1 :type :ok :f :read :value 1}\n",
    );
}
