//! What a client is answered, and when: with the disk and the other nodes at every stage.

use std::time::Duration;

use noraftd::protocol::outcome::{Doubt, Outcome, Refusal};
use noraftd::protocol::peer::PeerMessage;
use noraftd::protocol::resp::Reply;
use noraftd::time::Instant;

use super::SECOND;
use super::driven::{Driven, Setup, answered, answers, at, batches, messages, term_begins, write};

const OK: Outcome = Outcome::Done(Reply::Status("OK"));

/// Leads three nodes; its disk answers when it is let.
fn leader() -> Driven {
    leader_of(Setup::new(3, 0))
}

fn leader_of(mut setup: Setup) -> Driven {
    setup.settings.request_timeout = SECOND * 60;
    let mut driven = setup.start();
    driven.lead();
    driven.is_disk_held = true;
    driven
}

#[test]
fn an_acknowledgement_of_what_is_durable_here_counts_while_the_disk_is_busy() {
    let mut driven = leader();
    driven.ask(1, 1, &["SET", "k", "v"]);
    let first = driven.last();
    driven.sync();
    driven.ask(2, 2, &["SET", "k", "w"]);
    assert_eq!(answers(&driven.acknowledge_until(2, first)), [(1, OK)]);
    assert_eq!(
        answers(&driven.acknowledge(2)),
        [],
        "the second is on no majority of disks"
    );
    assert_eq!(answers(&driven.sync()), [(2, OK)]);
}

#[test]
fn what_other_nodes_have_is_not_committed_before_it_is_durable_here() {
    let mut driven = leader();
    driven.ask(1, 1, &["SET", "k", "v"]);
    assert_eq!(answers(&driven.acknowledge(2)), []);
    let before = driven.replica.status().log;
    assert!(before.commit_index < before.last_position.index);
    assert_eq!(answers(&driven.sync()), [(1, OK)]);
}

#[test]
fn reads_of_one_round_are_answered_together() {
    let mut driven = leader();
    (1..=4).for_each(|id| assert_eq!(answers(&driven.ask(id, id, &["GET", "k"])), []));
    assert_eq!(
        answered(&driven.acknowledge(2)),
        [1],
        "its round began before the others came"
    );
    assert_eq!(answered(&driven.acknowledge(2)), [2, 3, 4]);
}

#[test]
fn what_reads_are_answered_at_once_is_bounded_and_the_rest_follows_without_delay() {
    let mut driven = leader();
    (1..=5001).for_each(|id| drop(driven.ask(id, id, &["GET", "k"])));
    driven.acknowledge(2);
    let at_once = answered(&driven.acknowledge(2)).len();
    assert!((1..=4096).contains(&at_once), "{at_once} of 5000");
    assert_eq!(driven.replica.deadline(), Some(Instant::ZERO));
    assert_eq!(at_once + answered(&driven.pass(Duration::ZERO)).len(), 5000);
    assert_ne!(driven.replica.deadline(), Some(Instant::ZERO));
}

#[test]
fn the_bytes_that_reads_are_answered_at_once_are_bounded() {
    let mut driven = leader();
    driven.is_disk_held = false;
    driven.ask(1, 1, &["SET", "k", &"v".repeat(1 << 20)]);
    assert_eq!(answers(&driven.acknowledge(2)), [(1, OK)]);
    (2..=11).for_each(|id| drop(driven.ask(id, id, &["GET", "k"])));
    driven.acknowledge(2);
    let at_once = answered(&driven.acknowledge(2)).len();
    assert!((1..=4).contains(&at_once), "{at_once} MiB");
    let mut all = at_once;
    while driven.replica.deadline() == Some(Instant::ZERO) {
        all += answered(&driven.pass(Duration::ZERO)).len();
    }
    assert_eq!(all, 9);
}

#[test]
fn a_batch_is_bounded_and_the_rest_goes_into_the_next() {
    let mut setup = Setup::new(3, 0);
    setup.settings.limits.batch_bytes_max = 150;
    let mut driven = leader_of(setup);
    driven.ask(1, 1, &["SET", "k", "v"]);
    (2..=9).for_each(|id| drop(driven.ask(id, id, &["SET", "k", &"v".repeat(100)])));
    for expected in [2, 2, 2, 2] {
        let batch = batches(&driven.sync());
        let records = batch
            .iter()
            .flat_map(|batch| &batch.append)
            .map(|append| append.records.len());
        assert_eq!(records.collect::<Vec<_>>(), [expected]);
    }
    driven.sync();
    assert_eq!(answered(&driven.acknowledge(2)), (1..=9).collect::<Vec<_>>());
}

/// A node that takes so many requests at once.
fn setup_that_takes(requests: usize) -> Setup {
    let mut setup = Setup::new(3, 0);
    setup.settings.limits.requests_max = requests;
    setup
}

fn is_refused_as_too_many(driven: &mut Driven) -> bool {
    let said = answers(&driven.ask(99, 99, &["GET", "k"]));
    let voters = answers(&driven.change(98, &[1, 2, 3]));
    let overloaded = Outcome::Refused(Refusal::Overloaded);
    assert_eq!(
        said.iter().any(|(id, _)| *id == 99),
        voters.iter().any(|(id, _)| *id == 98)
    );
    said.contains(&(99, overloaded))
}

#[test]
fn requests_that_wait_for_a_leader_count_among_the_most_that_may_wait() {
    let mut driven = setup_that_takes(2).start();
    driven.ask(1, 1, &["SET", "k", "v"]);
    driven.ask(2, 2, &["GET", "k"]);
    assert!(is_refused_as_too_many(&mut driven));
}

#[test]
fn writes_count_among_the_most_that_may_wait_before_and_after_they_are_appended() {
    let mut driven = leader_of(setup_that_takes(3));
    driven.ask(1, 1, &["SET", "k", "v"]);
    driven.ask(2, 2, &["SET", "k", "v"]);
    driven.ask(3, 3, &["SET", "k", "v"]);
    assert!(
        is_refused_as_too_many(&mut driven),
        "one is in flight and two wait for it"
    );
    driven.sync();
    driven.sync();
    assert!(is_refused_as_too_many(&mut driven), "all wait for a majority");
    assert_eq!(answered(&driven.acknowledge(2)), [1, 2, 3]);
    assert!(!is_refused_as_too_many(&mut driven));
}

#[test]
fn reads_count_among_the_most_that_may_wait_in_a_round_and_before() {
    let mut driven = leader_of(setup_that_takes(2));
    driven.ask(1, 1, &["GET", "k"]);
    driven.ask(2, 2, &["GET", "k"]);
    assert!(
        is_refused_as_too_many(&mut driven),
        "one is in a round and one waits for the next"
    );
}

#[test]
fn a_read_that_waits_for_a_write_before_it_counts_among_the_most_that_may_wait() {
    let mut driven = leader_of(setup_that_takes(2));
    let before = driven.last();
    driven.ask(1, 1, &["SET", "k", "v"]);
    driven.sync();
    driven.ask(1, 2, &["GET", "k"]);
    // Its round is confirmed, and the write is not committed.
    assert_eq!(answers(&driven.acknowledge_until(2, before)), []);
    assert!(is_refused_as_too_many(&mut driven));
    assert_eq!(answered(&driven.acknowledge(2)), [1, 2]);
}

#[test]
fn changes_of_the_voters_count_among_the_most_that_may_wait() {
    let mut driven = leader_of(setup_that_takes(2));
    driven.ask(1, 1, &["SET", "k", "v"]);
    driven.change(2, &[1, 2]);
    assert!(
        is_refused_as_too_many(&mut driven),
        "it waits for the sync in flight"
    );
    driven.sync();
    assert!(is_refused_as_too_many(&mut driven), "it has begun");
}

/// A follower of node 2, to which it has a connection.
fn follower_of(setup: Setup) -> Driven {
    let mut driven = setup.start();
    driven.connect(2);
    let last = driven.last();
    driven.append(2, 1, last, Vec::new(), 1);
    driven
}

#[test]
fn what_was_passed_on_or_waits_behind_it_counts_among_the_most_that_may_wait() {
    let mut driven = follower_of(setup_that_takes(2));
    driven.ask(1, 1, &["GET", "k"]);
    driven.ask(1, 2, &["SET", "k", "v"]);
    let refused = answers(&driven.ask(3, 3, &["GET", "k"]));
    assert_eq!(refused, [(3, Outcome::Refused(Refusal::Overloaded))]);
}

/// The requests that are passed on.
fn passed_on(driven_outputs: &[noraftd::replica::event::Output]) -> Vec<(u64, u64)> {
    let forwards = messages(driven_outputs)
        .into_iter()
        .filter_map(|message| match message {
            PeerMessage::Forward { id, boot, .. } => Some((id, boot)),
            _ => None,
        });
    forwards.collect()
}

#[test]
fn a_write_is_not_passed_on_before_every_read_before_it_is_answered() {
    let mut driven = follower_of(Setup::new(3, 0));
    let first = passed_on(&driven.ask(1, 1, &["GET", "k"]));
    assert_eq!(
        passed_on(&driven.ask(1, 2, &["GET", "k"])),
        [],
        "one question is in flight"
    );
    let answer = |driven: &mut Driven, (id, boot): (u64, u64)| {
        let outcome = Outcome::Done(Reply::Integer(0));
        driven.hear(2, PeerMessage::Forwarded { id, boot, outcome })
    };
    let second = passed_on(&answer(&mut driven, first[0]));
    assert_eq!(
        passed_on(&driven.ask(1, 3, &["SET", "k", "v"])),
        [],
        "a read is on its way"
    );
    assert_eq!(passed_on(&answer(&mut driven, second[0])).len(), 1);
}

/// It may be on its way still, and would come after the read.
#[test]
fn a_read_behind_a_write_in_doubt_is_passed_on_once_a_later_write_was_done_there() {
    let mut driven = follower_of(Setup::new(3, 0));
    let last = driven.last();
    assert_eq!(passed_on(&driven.ask(1, 1, &["SET", "k", "v"])).len(), 1);
    let mut said = Vec::new();
    for _ in 0..10 {
        said.extend(answers(&driven.pass(SECOND / 10)));
        driven.append(2, 1, last, Vec::new(), 1);
    }
    assert!(matches!(said[..], [(1, Outcome::Indefinite(_))]), "{said:?}");
    assert_eq!(passed_on(&driven.ask(1, 2, &["GET", "k"])), []);
    let later = passed_on(&driven.ask(2, 3, &["SET", "k", "w"]));
    let (id, boot) = later[0];
    let outcome = OK;
    let done = driven.hear(2, PeerMessage::Forwarded { id, boot, outcome });
    assert_eq!(answers(&done), [(3, OK)]);
    assert_eq!(passed_on(&done).len(), 1, "nothing can come after it any more");
}

/// The connection's earlier read is over, and all that is left of it is a write that is not committed.
#[test]
fn a_read_waits_for_the_write_before_it_though_an_earlier_read_was_answered_meanwhile() {
    let mut driven = leader();
    driven.is_disk_held = false;
    let before = driven.last();
    driven.ask(1, 1, &["GET", "k"]);
    driven.ask(1, 2, &["SET", "k", "v"]);
    assert_eq!(
        answers(&driven.acknowledge_until(2, before)),
        [(1, Outcome::Done(Reply::Null))]
    );
    driven.ask(1, 3, &["GET", "k"]);
    assert_eq!(answers(&driven.acknowledge_until(2, before)), []);
    let done = answers(&driven.acknowledge(2));
    assert_eq!(done, [(2, OK), (3, Outcome::Done(Reply::Bulk("v".into())))]);
}

#[test]
fn a_leader_that_comes_back_to_an_index_says_that_it_does_not_know_what_became_of_the_entry_it_had_there() {
    let mut driven = leader();
    driven.is_disk_held = false;
    let term = driven.term().get();
    let before = driven.last();
    (1..=4).for_each(|id| drop(driven.ask(id, id, &["SET", "k", "old"])));
    // The next leader has none of these.
    let index = before.index.get() + 1;
    let deposed = driven.append(2, term + 1, before, vec![term_begins(term + 1, index)], 0);
    assert_eq!(answers(&deposed), [], "an entry may live on");
    driven.lead();
    assert_eq!(driven.last(), at(term + 2, index + 1));
    let again = answers(&driven.ask(5, 5, &["SET", "k", "new"]));
    let lost = Outcome::Indefinite(Doubt::LeadershipLost);
    assert_eq!(
        again,
        [(3, lost.clone()), (4, lost)],
        "the places of the third and fourth are used again"
    );
    assert_eq!(answers(&driven.acknowledge(2)), [(5, OK)]);
}

#[test]
fn a_change_in_whose_place_another_entry_is_proposed_is_in_doubt() {
    let mut driven = leader();
    driven.is_disk_held = false;
    let term = driven.term().get();
    let before = driven.last();
    (1..=2).for_each(|id| drop(driven.ask(id, id, &["SET", "k", "old"])));
    assert_eq!(answers(&driven.change(3, &[1, 2])), []);
    let index = before.index.get() + 1;
    driven.append(2, term + 1, before, vec![term_begins(term + 1, index)], 0);
    driven.lead();
    assert_eq!(
        driven.last(),
        at(term + 2, index + 1),
        "the change was one behind"
    );
    let again = answers(&driven.ask(4, 4, &["SET", "k", "new"]));
    assert_eq!(again, [(3, Outcome::Indefinite(Doubt::LeadershipLost))]);
    assert_eq!(answers(&driven.acknowledge(2)), [(4, OK)]);
}

#[test]
fn what_is_committed_in_the_place_of_a_write_refuses_it() {
    let mut driven = leader();
    driven.is_disk_held = false;
    let term = driven.term().get();
    let before = driven.last();
    (1..=2).for_each(|id| drop(driven.ask(id, id, &["SET", "k", "old"])));
    let index = before.index.get() + 1;
    driven.append(2, term + 1, before, vec![term_begins(term + 1, index)], index);
    let committed = driven.append(2, term + 1, at(term + 1, index), Vec::new(), index);
    assert!(answers(&committed).is_empty(), "it was answered with the entry");
}

/// The state is behind what is committed, for entries have to be read from the disk.
#[test]
fn a_confirmed_read_behind_which_a_write_was_appended_is_refused_when_leadership_is_lost() {
    let mut setup = Setup::new(3, 20);
    setup.settings.request_timeout = SECOND * 60;
    let mut driven = setup.start();
    driven.is_disk_held = true;
    driven.lead();
    driven.ask(1, 1, &["GET", "k"]);
    driven.ask(2, 2, &["GET", "k"]);
    for _ in 0..2 {
        assert_eq!(answers(&driven.acknowledge(2)), [], "the state is not read yet");
    }
    driven.ask(1, 3, &["SET", "k", "v"]);
    driven.sync();
    let (term, last) = (driven.term().get(), driven.last());
    let deposed = driven.append(3, term + 1, last, Vec::new(), 0);
    assert_eq!(answers(&deposed), [(1, Outcome::Refused(Refusal::ReadTimeout))]);
    driven.sync();
    let mut answered = Vec::new();
    for _ in 0..20 {
        answered.extend(answers(&driven.fetch()));
        if !answered.is_empty() {
            break;
        }
    }
    assert_eq!(answered, [(2, Outcome::Done(Reply::Bulk("1.21".into())))]);
}

/// Wherever a request waits, the driver has to come back in time to refuse it.
#[test]
fn the_deadline_that_is_named_is_that_of_the_request_that_waits_longest() {
    let timeout = Duration::from_millis(1);
    let setup = || {
        let mut setup = Setup::new(3, 0);
        setup.settings.request_timeout = timeout;
        setup
    };
    let lone = || setup().start();
    let leading = || {
        let mut driven = setup().start();
        driven.lead();
        driven.is_disk_held = true;
        driven
    };
    let following = || follower_of(setup());
    let writes = |driven: &mut Driven| drop(driven.ask(1, 1, &["SET", "k", "v"]));
    let reads = |driven: &mut Driven| drop(driven.ask(1, 1, &["GET", "k"]));
    let check = |mut driven: Driven, ask: &dyn Fn(&mut Driven)| {
        let begun = driven.now;
        ask(&mut driven);
        assert_eq!(driven.replica.deadline(), Some(begun + timeout));
        driven.now = begun + timeout / 2;
        ask(&mut driven);
        assert_eq!(driven.replica.deadline(), Some(begun + timeout), "of the first");
    };
    for driven in [lone(), leading(), following()] {
        check(driven, &writes);
    }
    for driven in [lone(), leading(), following()] {
        check(driven, &reads);
    }
    check(leading(), &|driven| drop(driven.change(1, &[1, 2])));
}

#[test]
fn a_change_that_waits_for_the_disk_is_refused_at_its_deadline_and_not_before() {
    let mut driven = Setup::new(3, 0).start();
    driven.lead();
    driven.is_disk_held = true;
    driven.ask(1, 1, &["SET", "k", "v"]);
    let (begun, timeout) = (driven.now, SECOND);
    assert_eq!(answers(&driven.change(2, &[1, 2])), []);
    driven.ask(3, 3, &["GET", "k"]);
    assert_eq!(answers(&driven.pass(timeout - Duration::from_nanos(1))), []);
    assert!(driven.replica.deadline().is_some_and(|at| at <= begun + timeout));
    let late = answers(&driven.pass(Duration::from_nanos(1)));
    assert!(
        late.contains(&(2, Outcome::Refused(Refusal::NoLeader))),
        "{late:?}"
    );
}

#[test]
fn a_change_without_a_majority_is_in_doubt_at_its_deadline_and_not_before() {
    let mut driven = Setup::new(3, 0).start();
    driven.lead();
    let before = driven.last();
    assert_eq!(answers(&driven.change(1, &[1, 2])), []);
    let mut passed = Duration::ZERO;
    // The others are heard, so it goes on leading, but have nothing new.
    let step = Duration::from_millis(100);
    while passed + step < SECOND {
        passed += step;
        assert_eq!(answers(&driven.pass(step)), []);
        driven.acknowledge_until(2, before);
    }
    assert_eq!(answers(&driven.pass(step - Duration::from_nanos(1))), []);
    let late = answers(&driven.pass(Duration::from_nanos(1)));
    assert_eq!(late, [(1, Outcome::Indefinite(Doubt::CommitTimeout))]);
}

#[test]
fn what_a_later_leader_cut_off_before_it_was_written_is_not_called_durable() {
    let mut driven = Setup::new(3, 1).start();
    driven.is_disk_held = true;
    driven.append(2, 1, at(1, 2), vec![write(1, 3)], 0);
    // Both wait until this batch is durable.
    driven.append(2, 2, at(1, 3), vec![term_begins(2, 4), write(2, 5)], 0);
    driven.append(3, 3, at(3, 5), Vec::new(), 0);
    driven.sync();
    let last = driven.last();
    assert!(
        last < at(2, 5),
        "the later leader has another entry there: {last:?}"
    );
    while driven.is_disk_busy() {
        driven.sync();
        let durable = driven.replica.durable_index();
        assert!(
            durable <= last.index,
            "{durable:?} is durable of a log that ends at {last:?}"
        );
    }
}
