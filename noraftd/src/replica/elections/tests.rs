use super::*;
use crate::record::genesis_config;

/// Whether the first of `grants`, which asked, campaigns in a cluster of three, and with everyone's grant.
fn verdict(grants: &[(u64, Abstain)]) -> Option<bool> {
    verdict_among(3, grants)
}

fn verdict_among(voters: u64, grants: &[(u64, Abstain)]) -> Option<bool> {
    let config = genesis_config((1..=voters).map(NodeId::new));
    let own = NodeId::new(grants[0].0);
    let granted = grants
        .iter()
        .map(|(id, abstain)| (NodeId::new(*id), *abstain))
        .collect();
    Canvass {
        number: 1,
        term: Term::new(2),
        granted,
    }
    .verdict(own, &config)
    .map(|campaign| campaign.unanimous)
}

#[test]
fn a_majority_of_nodes_with_sure_logs_wins() {
    assert_eq!(verdict(&[(1, Abstain::No)]), None);
    assert_eq!(verdict(&[(1, Abstain::No), (2, Abstain::No)]), Some(false));
}

#[test]
fn an_abstaining_node_counts_only_when_everyone_granted() {
    for abstain in [Abstain::Tail, Abstain::Loss] {
        assert_eq!(verdict(&[(1, Abstain::No), (2, abstain)]), None);
        assert_eq!(
            verdict(&[(1, Abstain::No), (2, Abstain::Tail), (3, abstain)]),
            Some(true)
        );
    }
    assert_eq!(
        verdict(&[(1, Abstain::Tail), (2, Abstain::Tail), (3, Abstain::Tail)]),
        Some(true)
    );
}

#[test]
fn a_candidate_that_abstains_needs_everyone_however_many_are_sure() {
    for voters in [3, 5, 6] {
        for abstain in [Abstain::Tail, Abstain::Loss] {
            let sure = (2..=voters).map(|id| (id, Abstain::No));
            let mut grants = vec![(1, abstain)];
            grants.extend(sure);
            assert_eq!(verdict_among(voters, &grants), Some(true));
            grants.pop();
            assert_eq!(
                verdict_among(voters, &grants),
                None,
                "of {voters}, one is missing"
            );
        }
    }
}

#[test]
fn nobody_is_elected_after_a_majority_lost_entries_for_certain() {
    for other in [Abstain::No, Abstain::Tail, Abstain::Loss] {
        assert_eq!(
            verdict(&[(1, Abstain::Loss), (2, Abstain::Loss), (3, other)]),
            None
        );
    }
}

#[test]
fn in_a_joint_configuration_the_old_voters_losses_count() {
    let mut config = genesis_config([1, 2, 3].map(NodeId::new));
    config.new_voters = [3, 4, 5].map(NodeId::new).into();
    let lost_by = |lost: &[u64]| {
        let abstain = |id| {
            if lost.contains(&id) {
                Abstain::Loss
            } else {
                Abstain::No
            }
        };
        let granted = (1..=5).map(|id| (NodeId::new(id), abstain(id))).collect();
        let canvass = Canvass {
            number: 1,
            term: Term::new(2),
            granted,
        };
        canvass.has_lost_majority(&config)
    };
    assert!(lost_by(&[1, 2]) && lost_by(&[2, 3]));
    assert!(
        !lost_by(&[4, 5]),
        "what they acknowledged, two of the old ones did too"
    );
    assert!(!lost_by(&[1, 4]));
}

#[test]
fn a_joint_configuration_needs_both_majorities() {
    let mut config = genesis_config([1, 2, 3].map(NodeId::new));
    config.new_voters = [4, 5].map(NodeId::new).into();
    let old_only = |id: NodeId| id.get() <= 3;
    assert!(!has_quorum(&config, old_only));
    assert!(has_quorum(&config, |_| true));
    assert!(!has_quorum(&config, |id| id.get() >= 4));
}

#[test]
fn there_is_no_term_after_the_last_that_others_believe() {
    let before = |term: Term| Term::new(term.get() - 1);
    let last = before(TERM_END);
    assert_eq!(next_term(before(last)), Some(last));
    assert_eq!(next_term(last), None);
    assert_eq!(next_term(Term::new(u64::MAX)), None);
}
