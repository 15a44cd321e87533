//! What a leader makes of followers that have less, or something else, than they acknowledged.

use noraft::LogPosition;
use noraftd::protocol::peer::PeerMessage;
use noraftd::replica::event::Output;

use super::driven::{Driven, Setup, at};

/// Leads term 2 with entries of term 1 before two of its own, all of which both followers have.
fn leader() -> Driven {
    let mut driven = Setup::new(3, 20).start();
    driven.lead();
    driven.ask(1, 1, &["SET", "a", "1"]);
    let last = driven.last();
    for follower in [2, 3] {
        driven.acknowledge_until(follower, last);
    }
    driven
}

/// After which positions node 2 is sent entries, or asked, and how many entries.
fn sent(outputs: &[Output]) -> Vec<(LogPosition, usize)> {
    let mut sent = Vec::new();
    for output in outputs {
        if let Output::Send {
            to,
            message: PeerMessage::Append { prev, records, .. },
        } = output
            && to.get() == 2
        {
            sent.push((*prev, records.len()));
        }
    }
    sent
}

/// What it cut off long ago is the end of its log again: the record of the cut was lost, and all behind it.
#[test]
fn a_follower_that_has_an_older_entry_than_it_acknowledged_is_contradicted() {
    let mut driven = leader();
    let index = driven.last().index.get();
    assert_eq!(driven.last(), at(2, index));
    let (own, before) = (at(2, index - 1), at(1, index - 2));
    let asked = driven.acknowledge_until(2, at(1, index - 1));
    assert_eq!(sent(&asked), [(own, 0)], "it has something else there");
    let sends = driven.acknowledge_until(2, before);
    assert_eq!(sent(&sends), [(before, 2)], "what it lost");
}
