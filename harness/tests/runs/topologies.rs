//! Every topology of three nodes, and a sample of those of five: writes succeed wherever a quorum is linked pairwise.

use harness::sim::Lines;
use harness::sim::topologies::{Kind, Placement, Tally, Topologies, attempt};

fn topologies(nodes: usize, placement: Placement) -> Topologies {
    Topologies {
        nodes,
        seed: 1,
        placement,
        flaps: false,
        shard: None,
        sample: None,
        only: None,
    }
}

/// Tries all cases, and reports those that broke a rule with the command that repeats them.
fn passed(what: &Topologies) -> Tally {
    let tally = what.run(&what.cases(), 2, |_| {});
    let failed = tally.failed.iter().filter_map(|tried| {
        let said = &tried.broken.as_ref()?.detail;
        Some(format!(
            "{}: {said}; again: {}",
            tried.case,
            what.repeat(&tried.case)
        ))
    });
    let failed: Vec<String> = failed.collect();
    assert!(failed.is_empty(), "{failed:#?}");
    tally
}

#[test]
fn a_quorum_linked_pairwise_serves_in_every_topology_of_three_nodes() {
    let tally = passed(&topologies(3, Placement::Every));
    // Nine of the sixteen have such a quorum: two nodes are one.
    assert_eq!(tally.counts(Kind::Quorum), (58, 58));
    assert_eq!(
        tally.counts(Kind::NoCenter),
        (42, 0),
        "nothing is committed without a quorum"
    );
}

#[test]
fn it_serves_while_another_link_comes_and_goes() {
    let what = Topologies {
        flaps: true,
        ..topologies(3, Placement::Every)
    };
    let tally = passed(&what);
    assert_eq!(tally.counts(Kind::Quorum), (58, 58));
}

#[test]
fn a_quorum_linked_pairwise_serves_in_a_sample_of_the_topologies_of_five_nodes() {
    let what = Topologies {
        sample: Some(200),
        ..topologies(5, Placement::One)
    };
    let tally = passed(&what);
    let (demanded, served) = tally.counts(Kind::Quorum);
    assert_eq!((tally.cases, served), (200, demanded));
    assert!(
        demanded > 0,
        "the sample has no topology in which a quorum is linked pairwise"
    );
    assert_eq!(tally.counts(Kind::NoCenter).1, 0);
}

#[test]
fn a_case_is_one_trace_whichever_others_are_tried() {
    let what = topologies(3, Placement::Leaders);
    let cases = what.cases();
    let case = cases[cases.len() / 2];
    let one = attempt(case, 1, true, Lines::None);
    assert_eq!(one, attempt(case, 1, true, Lines::None));
    assert_ne!(one.trace_hash, attempt(case, 2, true, Lines::None).trace_hash);
    let alone = Topologies {
        only: Some(case.number),
        ..what
    };
    assert!(
        alone.cases().contains(&case),
        "{case} is not tried again by its number"
    );
}
