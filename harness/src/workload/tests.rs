//! What each workload asks for, and what it makes of the replies.

use std::collections::BTreeSet;

use noraftd::prng::Prng;
use serde_json::{Value, json};

use super::{Completion, Operation, Part, Workload, from_plan};
use crate::client::Reply;
use crate::plan::{LogPlan, ObjectPlan, RegisterPlan, WorkloadPlan};

fn bulk(text: &str) -> Reply {
    Reply::Bulk(bytes::Bytes::copy_from_slice(text.as_bytes()))
}

fn entry(id: &str, number: &str) -> Reply {
    Reply::Array(vec![bulk(id), Reply::Array(vec![bulk("v"), bulk(number)])])
}

fn registers() -> Box<dyn Workload> {
    from_plan(&WorkloadPlan::Register(RegisterPlan {
        keys: 2,
        operations_per_key: 50,
        ..RegisterPlan::default()
    }))
}

fn log(plan: LogPlan) -> Box<dyn Workload> {
    from_plan(&WorkloadPlan::Log(plan))
}

/// Of one key: only writes, or only reads.
fn object(kind: fn(ObjectPlan) -> WorkloadPlan, read: u32) -> Box<dyn Workload> {
    from_plan(&kind(ObjectPlan {
        keys: 1,
        operations_per_key: 4,
        read,
        write: 1 - read,
        ..ObjectPlan::default()
    }))
}

fn words(operation: &Operation) -> String {
    operation.request.join(" ")
}

/// What `workload` asks for next.
fn next(workload: &dyn Workload) -> Operation {
    workload.next(Part::All, &mut Prng::new(1))
}

#[test]
fn a_compare_and_set_expects_what_was_last_seen() {
    let workload = registers();
    let mut prng = Prng::new(1);
    let mut expected = 0;
    for _ in 0..500 {
        let operation = workload.next(Part::All, &mut prng);
        match operation.function {
            "write" => {
                let number = operation.value.as_ref().unwrap().as_i64().unwrap();
                assert_eq!(operation.request[2], number.to_string());
                let reply = Reply::Status("OK".into());
                workload.complete(&operation, &reply).unwrap();
            }
            "cas" => {
                let old = operation.value.as_ref().unwrap()[0].to_string();
                assert_eq!(operation.request[3..], ["IFEQ", &old, "GET"]);
                let completion = workload.complete(&operation, &bulk(&old)).unwrap();
                assert_eq!(completion.saw.unwrap().to_string(), old);
                expected += 1;
            }
            other => assert_eq!(other, "read"),
        }
    }
    assert!(expected > 50, "{expected} compare-and-sets");
}

#[test]
fn no_number_is_written_twice_and_worn_keys_are_replaced() {
    let workload = registers();
    let mut prng = Prng::new(2);
    let mut numbers = BTreeSet::new();
    let mut keys = BTreeSet::new();
    for _ in 0..1000 {
        let operation = workload.next(Part::All, &mut prng);
        keys.insert(operation.key.clone());
        if operation.function == "write" {
            assert!(numbers.insert(operation.value.unwrap().as_i64().unwrap()));
        }
    }
    assert!((20..=22).contains(&keys.len()), "{keys:?}");
}

#[test]
fn a_reader_only_reads() {
    let mut prng = Prng::new(4);
    for kind in [
        WorkloadPlan::Set,
        WorkloadPlan::Counter,
        WorkloadPlan::ListAppend,
        WorkloadPlan::Bank,
    ] {
        let workload = object(kind, 0);
        assert!((0..20).all(|_| {
            let first = workload.next(Part::Reader, &mut prng).request.remove(0);
            first == "GET" || first == "MGET"
        }));
    }
    let workload = registers();
    assert!((0..100).all(|_| workload.next(Part::Reader, &mut prng).function == "read"));
}

#[test]
fn the_finale_writes_and_reads_every_key() {
    let workload = registers();
    let mut prng = Prng::new(3);
    (0..300).for_each(|_| drop(workload.next(Part::All, &mut prng)));
    let mut done = Vec::new();
    let mut shown = Vec::new();
    while let Some(operation) = workload.finale(&done) {
        shown.push(operation.function);
        done.push(Completion::default());
    }
    assert_eq!(shown[..2], ["write", "write"]);
    assert!(
        shown[2..].iter().all(|function| *function == "read") && shown.len() >= 6,
        "{shown:?}"
    );
}

#[test]
fn replies_are_read_or_refused() {
    let workload = from_plan(&WorkloadPlan::Register(RegisterPlan {
        write: 0,
        cas: 0,
        ..RegisterPlan::default()
    }));
    let read = next(workload.as_ref());
    let value = |reply| {
        workload
            .complete(&read, &reply)
            .map(|completion| completion.value)
    };
    assert_eq!(value(Reply::Null), Ok(Some(Value::Null)));
    assert_eq!(value(bulk("7")), Ok(Some(json!(7))));
    assert_eq!(value(bulk("07")), Ok(Some(json!("07"))));
    assert!(value(Reply::Integer(7)).is_err());
    let write = workload.finale(&[]).unwrap();
    assert!(workload.complete(&write, &Reply::Null).is_err());
}

#[test]
fn reads_of_a_log_begin_at_ids_that_were_seen() {
    let workload = log(LogPlan {
        append: 0,
        tail: 0,
        ..LogPlan::default()
    });
    assert_eq!(next(workload.as_ref()).request[2], "-");
    let append = workload.finale(&[]).unwrap();
    let completion = workload.complete(&append, &bulk("5-0")).unwrap();
    assert_eq!(completion.at, Some(json!("5-0")));
    assert_eq!(
        next(workload.as_ref()).request[..4],
        ["XRANGE", "log:0", "5-0", "+"]
    );
}

#[test]
fn a_read_of_a_log_says_whether_it_reached_the_end() {
    let workload = log(LogPlan {
        append: 0,
        tail: 0,
        ..LogPlan::default()
    });
    let mut operation = next(workload.as_ref());
    operation.value = Some(json!({ "count": 2 }));
    let read = |items| workload.complete(&operation, &Reply::Array(items));
    let short = read(vec![entry("1-0", "1")]).unwrap();
    assert_eq!((short.value, short.end), (Some(json!([["1-0", 1]])), true));
    assert!(!read(vec![entry("1-0", "1"), entry("2-0", "2")]).unwrap().end);
    assert!(read(vec![bulk("1-0")]).is_err());
    assert!(workload.complete(&operation, &Reply::Null).is_err());
}

#[test]
fn the_tail_is_one_record_or_none() {
    let workload = log(LogPlan {
        append: 0,
        read: 0,
        ..LogPlan::default()
    });
    let operation = next(workload.as_ref());
    let said = |reply| {
        workload
            .complete(&operation, &reply)
            .map(|completion| completion.value)
    };
    assert_eq!(said(Reply::Array(vec![])), Ok(Some(Value::Null)));
    assert_eq!(
        said(Reply::Array(vec![entry("9-1", "4")])),
        Ok(Some(json!(["9-1", 4])))
    );
    assert!(said(Reply::Array(vec![entry("1-0", "1"), entry("2-0", "2")])).is_err());
}

#[test]
fn the_finale_appends_to_and_pages_through_every_log() {
    let workload = log(LogPlan {
        keys: 2,
        ..LogPlan::default()
    });
    let page = |end| Completion {
        value: Some(json!([["7-0", 1], ["8-0", 2]])),
        end,
        ..Completion::default()
    };
    let append = Completion::at(json!("8-0"));
    let mut done = Vec::new();
    let mut shown = Vec::new();
    for completion in [append.clone(), page(false), page(true), append, page(true)] {
        let operation = workload.finale(&done).unwrap();
        shown.push(operation.request[..3].join(" "));
        done.push(completion);
    }
    assert_eq!(workload.finale(&done), None);
    let wanted = [
        "XADD log:0 *",
        "XRANGE log:0 -",
        "XRANGE log:0 8-0",
        "XADD log:1 *",
        "XRANGE log:1 -",
    ];
    assert_eq!(shown, wanted);
}

#[test]
fn a_padded_record_comes_back_byte_by_byte() {
    let workload = log(LogPlan {
        keys: 1,
        append: 1,
        read: 0,
        tail: 0,
        padding_bytes_max: 1000,
        ..LogPlan::default()
    });
    let appends: Vec<Operation> = (0..40).map(|_| next(workload.as_ref())).collect();
    let padded: Vec<&Operation> = appends
        .iter()
        .filter(|append| append.request.len() == 7)
        .collect();
    let lengths: Vec<usize> = padded.iter().map(|append| append.request[6].len()).collect();
    assert!(
        (10..40).contains(&padded.len()),
        "some are, and some are not: {lengths:?}"
    );
    assert!(lengths.iter().any(|length| *length > 500) && lengths.iter().all(|length| *length <= 1000));
    let page = |fields: &[String]| {
        let fields = fields.iter().map(|field| bulk(field)).collect();
        let record = Reply::Array(vec![bulk("7-0"), Reply::Array(fields)]);
        let read = workload.finale(&[Completion::at(json!("7-0"))]).unwrap();
        workload.complete(&read, &Reply::Array(vec![record]))
    };
    let fields = &padded[0].request[3..];
    assert_eq!(
        page(fields).unwrap().value,
        Some(json!([["7-0", padded[0].value]]))
    );
    let mut cut = fields.to_vec();
    cut[3].pop();
    assert!(page(&cut).is_err() && page(&fields[..2]).is_err());
}

#[test]
fn a_padded_register_is_expected_and_shown_with_its_padding() {
    let workload = from_plan(&WorkloadPlan::Register(RegisterPlan {
        keys: 1,
        padding_bytes_max: 1000,
        ..RegisterPlan::default()
    }));
    let mut prng = Prng::new(1);
    let mut swaps = 0;
    for _ in 0..400 {
        let operation = workload.next(Part::All, &mut prng);
        match (operation.function, operation.request.as_slice()) {
            ("write", [_, _, value]) => {
                let reply = Reply::Status("OK".into());
                workload.complete(&operation, &reply).unwrap();
                let read = Operation::new("read", &operation.key, None, &["GET", &operation.key]);
                let other = workload.complete(&read, &bulk(&format!("{value}z"))).unwrap();
                assert_ne!(other.value, operation.value, "another padding");
                let shown = workload.complete(&read, &bulk(value)).unwrap();
                assert_eq!(shown.value, operation.value);
            }
            ("cas", [_, _, _, _, old, _]) => {
                swaps += usize::from(old.len() > 20);
                let seen = workload.complete(&operation, &bulk(old)).unwrap();
                assert_eq!(
                    seen.saw.as_ref(),
                    operation.value.as_ref().and_then(|pair| pair.get(0))
                );
            }
            _ => {}
        }
    }
    assert!(swaps > 5, "{swaps} expect a long value");
}

#[test]
fn a_set_is_read_with_every_element_that_it_can_ever_have() {
    let adds = object(WorkloadPlan::Set, 0);
    let asked: Vec<String> = (0..5).map(|_| words(&next(adds.as_ref()))).collect();
    let wanted = [
        "SET set:0.0/0 0",
        "SET set:0.0/1 1",
        "SET set:0.0/2 2",
        "SET set:0.0/3 3",
        "SET set:0.1/0 0",
    ];
    assert_eq!(asked, wanted, "after its last element comes another set");
    let reads = object(WorkloadPlan::Set, 1);
    let read = next(reads.as_ref());
    assert_eq!(words(&read), "MGET set:0.0/0 set:0.0/1 set:0.0/2 set:0.0/3");
    let seen = |places| reads.complete(&read, &Reply::Array(places));
    let places = vec![bulk("0"), Reply::Null, bulk("2"), bulk("x")];
    assert_eq!(seen(places).unwrap().value, Some(json!([0, 2, "x"])));
    assert!(seen(vec![bulk("0")]).is_err(), "an answer for each place");
}

#[test]
fn a_counter_is_zero_before_the_first_add() {
    let adds = object(WorkloadPlan::Counter, 0);
    let add = next(adds.as_ref());
    assert_eq!(
        (words(&add), &add.value),
        ("INCR counter:0.0".into(), &Some(json!(1)))
    );
    assert_eq!(
        adds.complete(&add, &Reply::Integer(4)).unwrap().at,
        Some(json!(4))
    );
    assert!(adds.complete(&add, &Reply::Null).is_err());
    let reads = object(WorkloadPlan::Counter, 1);
    let read = next(reads.as_ref());
    let seen = |reply| reads.complete(&read, &reply).unwrap().value;
    assert_eq!(
        [seen(Reply::Null), seen(bulk("3"))],
        [Some(json!(0)), Some(json!(3))]
    );
}

#[test]
fn an_element_that_no_comma_ends_is_none_that_was_appended() {
    let appends = object(WorkloadPlan::ListAppend, 0);
    let append = next(appends.as_ref());
    assert_eq!(words(&append), "APPEND list-append:0.0 1,");
    assert_eq!(append.value, Some(json!([["append", "list-append:0.0", 1]])));
    let reads = object(WorkloadPlan::ListAppend, 1);
    let read = next(reads.as_ref());
    assert_eq!(words(&read), "MGET list-append:0.0");
    let seen = |list| {
        let completion = reads.complete(&read, &Reply::Array(vec![list]));
        completion.unwrap().value.unwrap()[0][2].clone()
    };
    assert_eq!(seen(Reply::Null), json!([]));
    assert_eq!(seen(bulk("1,12,")), json!([1, 12]));
    assert_eq!(seen(bulk("1,12")), json!([1, "12 without its comma"]));
}

#[test]
fn a_transfer_begins_with_what_was_last_seen_and_keeps_the_total() {
    let workload = object(WorkloadPlan::Bank, 0);
    let first = next(workload.as_ref());
    let made = format!("SET bank:0.0 {} NX GET", first.request[2]);
    assert_eq!(words(&first), made, "nothing is there yet");
    // It was made: what the absent key stands for was what it replaced.
    workload.complete(&first, &Reply::Null).unwrap();
    let second = next(workload.as_ref());
    assert_eq!(second.request[4], first.request[2]);
    // Another one was there before it, and the next one begins with that.
    workload.complete(&second, &bulk("9 50 0 0 0 0")).unwrap();
    let third = next(workload.as_ref());
    assert_eq!(third.request[4], "9 50 0 0 0 0");
    for transfer in [first, second, third] {
        let [old, new] = [0, 1].map(|at| transfer.value.as_ref().unwrap()[at].clone());
        let total = |state: &Value| -> i64 {
            let balances = state[1].as_array().unwrap().iter();
            balances.map(|balance| balance.as_i64().unwrap()).sum()
        };
        assert_eq!((total(&old), total(&new)), (50, 50));
        assert_ne!(old[0], new[0], "each state has a number of its own");
    }
}
