use std::sync::Arc;

use super::*;
use crate::protocol::peer::{Extensions, Starts};
use crate::store::disk::memory::{Fault, MemDisk};

const CLUSTER: u64 = 9;
const ONE: NodeId = NodeId::new(1);
const TWO: NodeId = NodeId::new(2);
const SETTINGS: SharedSettings = SharedSettings {
    members: Some(7),
    payload_bytes_max: Some(1000),
    generation: 0,
};

/// Node 2, with what is on `disk`.
fn two(disk: &MemDisk) -> Admission {
    let owner = Owner {
        cluster_id: CLUSTER,
        node_id: TWO,
    };
    let known_peers = KnownPeers::load(Arc::new(disk.clone())).unwrap();
    Admission::new(owner, SETTINGS, [ONE].into(), known_peers)
}

/// Node 1 with this directory to node 2.
fn hello(incarnation: u64) -> Hello {
    Hello {
        cluster_id: CLUSTER,
        from: ONE,
        to: TWO,
        incarnation,
        extensions: Extensions::ours(SETTINGS),
    }
}

fn reject_of(result: Result<(), NotAdmitted>) -> Option<Reject> {
    match result {
        Ok(()) => None,
        Err(NotAdmitted::Refused(refusal)) => Some(refusal.reject),
        Err(NotAdmitted::Disk(error)) => panic!("{error}"),
    }
}

#[test]
fn a_hello_names_this_cluster_this_node_and_a_member() {
    let two = two(&MemDisk::new());
    let verdict = |hello: &Hello| two.verify(hello).err().map(|refusal| refusal.reject);
    let fit = hello(1);
    assert_eq!(verdict(&fit), None);
    let other = |change: fn(&mut Hello)| {
        let mut hello = fit.clone();
        change(&mut hello);
        verdict(&hello)
    };
    assert_eq!(other(|hello| hello.cluster_id = 8), Some(Reject::Cluster));
    assert_eq!(other(|hello| hello.to = ONE), Some(Reject::Node));
    assert_eq!(
        other(|hello| hello.from = NodeId::new(3)),
        Some(Reject::NotMember)
    );
    assert_eq!(other(|hello| hello.from = TWO), Some(Reject::NotMember));
}

#[test]
fn another_directory_is_refused_also_after_a_power_cut_until_it_is_readmitted() {
    let disk = MemDisk::new();
    two(&disk).admit(&hello(1)).unwrap();
    for seed in 0..20 {
        let disk = disk.after_power_cut(seed);
        assert_eq!(reject_of(two(&disk).admit(&hello(1))), None);
        assert_eq!(reject_of(two(&disk).admit(&hello(2))), Some(Reject::Incarnation));
        two(&disk).readmit(ONE, 2).unwrap();
        let disk = disk.after_power_cut(seed);
        assert_eq!(reject_of(two(&disk).admit(&hello(2))), None);
        assert_eq!(reject_of(two(&disk).admit(&hello(1))), Some(Reject::Incarnation));
    }
    let error = two(&disk).readmit(NodeId::new(3), 2).unwrap_err().to_string();
    assert_eq!(error, "node 3 is not another member of this cluster");
}

#[test]
fn a_node_that_was_removed_hears_so_and_one_never_met_has_the_directory_of_the_table() {
    let mut two = two(&MemDisk::new());
    let three = |incarnation| Hello {
        from: NodeId::new(3),
        ..hello(incarnation)
    };
    two.admit(&hello(1)).unwrap();
    two.note_roll(Roll {
        members: [NodeId::new(3)].into(),
        gone: [ONE].into(),
        incarnations: [(NodeId::new(3), 33)].into(),
        highest: Some(NodeId::new(3)),
        has_table: false,
    });
    assert!(two.verify(&hello(1)).is_ok(), "it has to prove itself first");
    assert_eq!(reject_of(two.admit(&hello(1))), Some(Reject::Removed));
    assert_eq!(two.known(ONE), None, "it makes room");
    assert_eq!(reject_of(two.admit(&three(34))), Some(Reject::Incarnation));
    assert_eq!(reject_of(two.admit(&three(33))), None);
    // What was met counts more than a table that may be behind.
    two.readmit(NodeId::new(3), 34).unwrap();
    assert_eq!(reject_of(two.admit(&three(34))), None);
    assert_eq!(reject_of(two.admit(&three(33))), Some(Reject::Incarnation));
}

/// A process of node 1, whose directory was started with these marks, the latest first.
fn started(marks: &[u32]) -> Hello {
    let mut hello = hello(1);
    hello.extensions.starts = Some(Starts {
        count: marks.len() as u64,
        marks: marks.to_vec(),
    });
    hello
}

#[test]
fn an_old_copy_of_a_directory_is_refused_however_often_it_is_started() {
    let disk = MemDisk::new();
    two(&disk).admit(&started(&[2, 1])).unwrap();
    two(&disk).admit(&started(&[4, 3, 2, 1])).unwrap();
    for seed in 0..20 {
        let disk = disk.after_power_cut(seed);
        let old = [
            &[2, 1][..],
            &[9, 2, 1],
            &[9, 9, 2, 1],
            &[9, 9, 9, 2, 1],
            &[9, 9, 9, 9, 9, 2, 1],
        ];
        for old in old {
            let reject = reject_of(two(&disk).admit(&started(old)));
            assert_eq!(reject, Some(Reject::OldCopy), "{old:?}");
        }
        let same = started(&[4, 3, 2, 1]);
        assert_eq!(reject_of(two(&disk).admit(&same)), None, "the same process");
        let later = started(&[7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(reject_of(two(&disk).admit(&later)), None, "a restart");
        assert_eq!(reject_of(two(&disk).admit(&same)), Some(Reject::OldCopy));
    }
}

#[test]
fn of_two_processes_with_copies_of_one_directory_only_the_first_is_heard() {
    let disk = MemDisk::new();
    let mut two = two(&disk);
    two.admit(&started(&[2, 1])).unwrap();
    assert_eq!(reject_of(two.admit(&started(&[3, 1]))), Some(Reject::OldCopy));
    assert_eq!(reject_of(two.admit(&started(&[2, 1]))), None);
    two.readmit(ONE, 1).unwrap();
    assert_eq!(reject_of(two.admit(&started(&[3]))), None, "it was set up again");
}

#[test]
fn a_node_of_an_earlier_version_says_no_start_and_is_admitted() {
    let disk = MemDisk::new();
    let mut two = two(&disk);
    two.admit(&hello(1)).unwrap();
    two.admit(&started(&[2, 1])).unwrap();
    assert_eq!(reject_of(two.admit(&hello(1))), None);
    assert_eq!(reject_of(two.admit(&started(&[1]))), Some(Reject::OldCopy));
}

/// What is longer ago than the marks go back cannot be compared.
#[test]
fn a_start_beyond_the_marks_is_admitted() {
    let disk = MemDisk::new();
    let mut two = two(&disk);
    two.admit(&started(&[1])).unwrap();
    let mut later = started(&[9, 8]);
    later.extensions.starts.as_mut().unwrap().count = 100;
    assert_eq!(reject_of(two.admit(&later)), None);
}

#[test]
fn who_cannot_be_written_down_is_not_admitted() {
    let disk = MemDisk::new();
    let mut two = two(&disk);
    let errno = nix::libc::EIO;
    for op in disk.operations()..disk.operations() + 4 {
        disk.arm(Some(Fault::Once { op, errno }));
        assert!(
            matches!(two.admit(&hello(1)), Err(NotAdmitted::Disk(_))),
            "operation {op}"
        );
        disk.arm(None);
    }
    assert_eq!(reject_of(two.admit(&hello(1))), None);
}

#[test]
fn settings_that_differ_are_refused_on_either_side() {
    let other = SharedSettings {
        members: Some(8),
        ..SETTINGS
    };
    let disk = MemDisk::new();
    let mut wrong = hello(1);
    wrong.extensions = Extensions::ours(other);
    let reject = reject_of(two(&disk).admit(&wrong));
    assert!(matches!(reject, Some(Reject::Settings(_))), "{reject:?}");
    assert_eq!(reject_of(two(&disk).admit(&hello(2))), None, "it was not met");
    let reply = |from, settings| HelloReply {
        from,
        incarnation: 5,
        extensions: Extensions::ours(settings),
    };
    assert_eq!(
        check_reply(TWO, SETTINGS, Level::FIRST, &reply(TWO, SETTINGS)),
        Ok(())
    );
    assert_eq!(
        check_reply(TWO, SETTINGS, Level::FIRST, &reply(ONE, SETTINGS)),
        Err(Unfit::Stranger(1))
    );
    let error = check_reply(TWO, SETTINGS, Level::FIRST, &reply(TWO, other)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "has other values for what every node has to share: peers"
    );
}

#[test]
fn a_node_of_another_generation_is_refused_before_it_hears_anything_else() {
    let again = SharedSettings {
        generation: 5,
        ..SETTINGS
    };
    let mut two = two(&MemDisk::new());
    two.note_roll(Roll {
        gone: [ONE].into(),
        ..Roll::default()
    });
    let mut later = hello(1);
    later.extensions = Extensions::ours(again);
    let reject = two.verify(&later).err().map(|refusal| refusal.reject);
    assert_eq!(reject, Some(Reject::Settings(SETTINGS.differences(again))));
    assert_eq!(two.verify(&hello(1)).err().map(|refusal| refusal.reject), None);
    let reply = HelloReply {
        from: TWO,
        incarnation: 5,
        extensions: Extensions::ours(SETTINGS),
    };
    let unfit = check_reply(TWO, again, Level::FIRST, &reply).unwrap_err();
    assert_eq!(
        unfit.to_string(),
        "has other values for what every node has to share: generation (see `noraftd recover`)"
    );
}

/// Node 1 was set up again, and has not been able to have that written down: the table of the state that node 2 is then set up
/// with has the directory that node 1 lost.
#[test]
fn a_node_that_is_set_up_again_knows_what_the_others_know_of_each_other() {
    let three = NodeId::new(3);
    let claim = |from, incarnation, met: &[(NodeId, u64)]| Claim {
        from,
        incarnation,
        met: met.iter().copied().collect(),
    };
    let old_table = Roll {
        members: [ONE, three].into(),
        gone: BTreeSet::new(),
        incarnations: [(ONE, 1), (three, 33)].into(),
        highest: Some(three),
        has_table: true,
    };
    let of_one = |incarnation, claims: &[Claim]| {
        let disk = MemDisk::new();
        let mut known = agreed(claims);
        known.remove(&TWO);
        KnownPeers::begin(Arc::new(disk.clone()), known).unwrap();
        let mut two = two(&disk.after_power_cut(1));
        two.note_roll(old_table.clone());
        reject_of(two.admit(&hello(incarnation)))
    };
    let both = [
        claim(ONE, 11, &[(TWO, 2), (three, 33)]),
        claim(three, 33, &[(ONE, 11), (TWO, 2)]),
    ];
    assert_eq!(of_one(11, &both), None);
    assert_eq!(of_one(1, &both), Some(Reject::Incarnation));
    // It runs with a directory of which the other node was not made aware: the table decides.
    let apart = [claim(ONE, 12, &[]), claim(three, 33, &[(ONE, 1)])];
    assert_eq!(of_one(12, &apart), Some(Reject::Incarnation));
    assert_eq!(of_one(1, &apart), None);
    // An earlier version does not say which nodes it has met.
    let earlier = [claim(ONE, 11, &[]), claim(three, 33, &[])];
    assert_eq!(of_one(11, &earlier), None);
    assert_eq!(agreed(&earlier), [(ONE, 11), (three, 33)].into());
}

/// It was away while others joined, and those that it knows have left since.
#[test]
fn a_node_that_was_away_listens_to_ids_behind_all_that_it_knows() {
    let mut two = two(&MemDisk::new());
    let from = |id| Hello {
        from: NodeId::new(id),
        ..hello(id)
    };
    let is_heard = |two: &mut Admission, id| two.verify(&from(id)).is_ok() && two.admit(&from(id)).is_ok();
    assert!(
        !is_heard(&mut two, 6),
        "without a table, the settings name every node"
    );
    two.note_roll(Roll {
        members: [ONE].into(),
        highest: Some(NodeId::new(5)),
        has_table: true,
        ..Roll::default()
    });
    assert!(!is_heard(&mut two, 5), "it was removed, or never there");
    assert!(is_heard(&mut two, 6) && is_heard(&mut two, 5 + LATER_MAX));
    assert!(!is_heard(&mut two, 6 + LATER_MAX));
    let other = Hello {
        incarnation: 7,
        ..from(6)
    };
    assert_eq!(reject_of(two.admit(&other)), Some(Reject::Incarnation));
    two.note_roll(Roll {
        members: [ONE].into(),
        gone: [NodeId::new(6)].into(),
        highest: Some(NodeId::new(7)),
        has_table: true,
        ..Roll::default()
    });
    assert_eq!(reject_of(two.admit(&from(6))), Some(Reject::Removed));
}

/// It lost so much of its log that it has no table any more, and the leader joined since.
#[test]
fn a_node_without_a_table_listens_to_a_later_id_that_is_in_one() {
    let mut two = two(&MemDisk::new());
    two.note_roll(Roll {
        members: [ONE, NodeId::new(3)].into(),
        highest: Some(NodeId::new(3)),
        ..Roll::default()
    });
    let mut later = Hello {
        from: NodeId::new(4),
        ..hello(4)
    };
    let rejected = two.verify(&later).err().map(|refusal| refusal.reject);
    assert_eq!(
        rejected,
        Some(Reject::NotMember),
        "a new node with mistaken settings"
    );
    later.extensions.version = Some("0.2.0".to_owned());
    assert!(two.verify(&later).is_ok() && two.admit(&later).is_ok());
    later.from = NodeId::new(4 + LATER_MAX);
    assert!(two.verify(&later).is_err());
}

/// The node that says it knows its own directory best.
#[test]
fn a_claim_contradicts_a_table_with_a_directory_that_was_lost() {
    let three = NodeId::new(3);
    let claim = Claim {
        from: three,
        incarnation: 30,
        met: [(ONE, 10)].into(),
    };
    assert_eq!(
        claim.contradicts([(ONE, 10), (NodeId::new(2), 20), (three, 30)]),
        None
    );
    assert_eq!(claim.contradicts([(ONE, 10), (three, 29)]), Some(three));
    assert_eq!(claim.contradicts([(ONE, 11), (three, 30)]), Some(ONE));
}
