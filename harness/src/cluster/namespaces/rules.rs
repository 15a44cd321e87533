//! What the packet filter between the namespaces does with each directed link, and what it has counted.
//!
//! Invariant: its rules are those of the cuts and troubles in force, and no others; its counters, one a link and kind of treatment,
//! are made once and only grow, so that the effect of a fault is the difference of two readings.

use std::collections::BTreeMap;

use noraftd::prng::Prng;
use serde::Deserialize;

use super::host;
use crate::cluster::link::{CutId, LinkStats};
use crate::plan::{CutMode, LinkEffect};

/// What becomes of the packets of a link. The strictest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Treatment {
    /// None arrives, and connections are reset when they send one.
    Refuse,
    /// None arrives, and the sender learns nothing.
    Drop,
    /// So many of a thousand are lost.
    Lose { permille: u64 },
    /// What is more than this is lost.
    Limit { bytes_per_second: u64 },
}

impl Treatment {
    /// Held-back data is not delivered late by a packet filter, but by TCP, which sends again what was dropped.
    pub(super) fn of_cut(mode: CutMode) -> Self {
        match mode {
            CutMode::Drop | CutMode::Stall => Self::Drop,
            CutMode::Reset => Self::Refuse,
        }
    }

    /// As bad as `seed` draws it; `None` for what happens to frames only.
    pub(super) fn of_effect(effect: LinkEffect, seed: u64) -> Option<Self> {
        let mut prng = Prng::new(seed).fork(FORK_TREATMENT);
        match effect {
            LinkEffect::Loss => Some(Self::Lose {
                permille: prng.between(PERMILLE_MIN, PERMILLE_MAX),
            }),
            LinkEffect::Narrow => Some(Self::Limit {
                bytes_per_second: prng.between(RATE_MIN, RATE_MAX),
            }),
            LinkEffect::Delay
            | LinkEffect::Duplicate
            | LinkEffect::Reorder
            | LinkEffect::Corrupt
            | LinkEffect::Slice
            | LinkEffect::Tear
            | LinkEffect::HalfClose => None,
        }
    }

    /// The ends of the rules for a link: what they are about, which counter they have, and what becomes of a packet.
    fn rules(self, link: (u64, u64)) -> Vec<String> {
        let rule = |about: &str, counted: &str, fate: &str| {
            format!("{about} counter name {} {fate}", counter_name(counted, link))
        };
        match self {
            Self::Refuse => vec![
                rule("meta l4proto tcp", REFUSED, "reject with tcp reset"),
                rule("", DROPPED, "drop"),
            ],
            Self::Drop => vec![rule("", DROPPED, "drop")],
            Self::Lose { permille } => {
                vec![rule(
                    &format!("numgen random mod 1000 < {permille}"),
                    LOST,
                    "drop",
                )]
            }
            Self::Limit { bytes_per_second } => {
                let limit =
                    format!("limit rate over {bytes_per_second} bytes/second burst {BURST_BYTES} bytes");
                vec![rule(&limit, LOST, "drop")]
            }
        }
    }
}

/// The cuts and troubles in force.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    in_force: BTreeMap<CutId, (Treatment, Vec<(u64, u64)>)>,
}

impl Rules {
    pub(super) fn add(&mut self, id: CutId, treatment: Treatment, pairs: &[(u64, u64)]) {
        self.in_force.insert(id, (treatment, pairs.to_vec()));
    }

    pub(super) fn remove(&mut self, id: CutId) {
        self.in_force.remove(&id);
    }

    pub(super) fn clear(&mut self) {
        self.in_force.clear();
    }

    /// A script that replaces what was in force. Of overlapping faults the strictest decides.
    pub(super) fn script(&self) -> String {
        let mut treated: Vec<(Treatment, (u64, u64))> = self
            .in_force
            .values()
            .flat_map(|(treatment, pairs)| pairs.iter().map(move |pair| (*treatment, *pair)))
            .collect();
        treated.sort_unstable();
        treated.dedup();
        let mut script = format!("flush chain {TABLE} {CHAIN}\n");
        for (treatment, link) in treated {
            let (from, to) = (host(link.0), host(link.1));
            for rule in treatment.rules(link) {
                script += &format!("add rule {TABLE} {CHAIN} ip saddr {from} ip daddr {to} {rule}\n");
            }
        }
        script
    }
}

/// A script that makes the table with its counters, in place of an earlier one.
pub(super) fn base_script(nodes: &[u64]) -> String {
    let mut script = format!(
        "add table {TABLE}\ndelete table {TABLE}\nadd table {TABLE}\n\
         add chain {TABLE} {CHAIN} {{ type filter hook forward priority 0; policy accept; }}\n"
    );
    for (from, to) in nodes
        .iter()
        .flat_map(|from| nodes.iter().map(move |to| (*from, *to)))
    {
        for counted in [DROPPED, REFUSED, LOST].iter().filter(|_| from != to) {
            script += &format!("add counter {TABLE} {}\n", counter_name(counted, (from, to)));
        }
    }
    script
}

/// What `nft -j list counters` says, by link.
pub(super) fn read_counters(json: &str) -> Result<BTreeMap<(u64, u64), LinkStats>, String> {
    let listing: Listing =
        serde_json::from_str(json).map_err(|error| format!("nft: its counters: {error}"))?;
    let mut links: BTreeMap<(u64, u64), LinkStats> = BTreeMap::new();
    for counter in listing.nftables.into_iter().filter_map(|item| item.counter) {
        let Some((counted, link)) = parse_counter_name(&counter.name) else {
            continue;
        };
        let stats = links.entry(link).or_default();
        match counted {
            DROPPED => stats.packets_dropped = counter.packets,
            REFUSED => stats.packets_refused = counter.packets,
            LOST => stats.packets_lost = counter.packets,
            _ => {}
        }
    }
    Ok(links)
}

#[derive(Deserialize)]
struct Listing {
    nftables: Vec<Item>,
}

/// What else is listed is none of ours.
#[derive(Deserialize)]
struct Item {
    counter: Option<Counter>,
}

#[derive(Deserialize)]
struct Counter {
    name: String,
    packets: u64,
}

fn counter_name(counted: &str, (from, to): (u64, u64)) -> String {
    format!("{counted}_{from}_{to}")
}

fn parse_counter_name(name: &str) -> Option<(&str, (u64, u64))> {
    let mut parts = name.split('_');
    let (counted, from, to) = (parts.next()?, parts.next()?, parts.next()?);
    Some((counted, (from.parse().ok()?, to.parse().ok()?)))
}

const TABLE: &str = "inet links";
const CHAIN: &str = "forward";
const DROPPED: &str = "dropped";
const REFUSED: &str = "refused";
const LOST: &str = "lost";
/// Separates how bad a trouble is from other draws of its seed.
const FORK_TREATMENT: u64 = 0x0070_6163_6b65_7473;
/// Packets lost, of a thousand: with more, TCP waits for longer than a fault lasts.
const PERMILLE_MIN: u64 = 50;
const PERMILLE_MAX: u64 = 400;
/// Fewer bytes a second than pulses, entries and acknowledgements take: else nothing would be too much.
const RATE_MIN: u64 = 1_000;
const RATE_MAX: u64 = 16_000;
/// A packet of the usual size passes.
const BURST_BYTES: u64 = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    const FROM_1_TO_2: &str = "add rule inet links forward ip saddr 10.0.1.2 ip daddr 10.0.2.2";

    #[test]
    fn a_directed_link_has_rules_of_its_own_and_the_strictest_comes_first() {
        let mut rules = Rules::default();
        let treatments = [
            Treatment::Limit {
                bytes_per_second: 2000,
            },
            Treatment::Lose { permille: 70 },
            Treatment::Drop,
            Treatment::Refuse,
        ];
        for (id, treatment) in (1..).map(CutId).zip(treatments) {
            rules.add(id, treatment, &[(1, 2)]);
        }
        let expected = [
            "meta l4proto tcp counter name refused_1_2 reject with tcp reset",
            " counter name dropped_1_2 drop",
            " counter name dropped_1_2 drop",
            "numgen random mod 1000 < 70 counter name lost_1_2 drop",
            "limit rate over 2000 bytes/second burst 2000 bytes counter name lost_1_2 drop",
        ]
        .map(|rule| format!("{FROM_1_TO_2} {rule}\n"));
        assert_eq!(
            rules.script(),
            format!("flush chain inet links forward\n{}", expected.concat())
        );
    }

    #[test]
    fn a_fault_heals_its_own_rules_and_leaves_those_of_others() {
        let mut rules = Rules::default();
        rules.add(CutId(1), Treatment::Drop, &[(1, 2), (2, 1)]);
        rules.add(CutId(2), Treatment::Drop, &[(1, 2)]);
        rules.remove(CutId(1));
        let one = format!("flush chain inet links forward\n{FROM_1_TO_2}  counter name dropped_1_2 drop\n");
        assert_eq!(rules.script(), one);
        rules.clear();
        assert_eq!(rules.script(), "flush chain inet links forward\n");
    }

    #[test]
    fn how_bad_it_is_follows_from_the_seed() {
        for effect in LinkEffect::ALL {
            let drawn = Treatment::of_effect(effect, 7);
            assert_eq!(
                drawn.is_some(),
                effect == LinkEffect::Loss || effect == LinkEffect::Narrow
            );
            assert_eq!(drawn, Treatment::of_effect(effect, 7));
            assert!(
                drawn.is_none() || drawn != Treatment::of_effect(effect, 8),
                "{effect:?}"
            );
        }
    }

    #[test]
    fn counters_are_read_by_link_and_only_ours() {
        let json = r#"{"nftables": [{"metainfo": {"version": "1.0.6"}},
            {"counter": {"family": "inet", "name": "dropped_1_2", "table": "links", "handle": 2, "packets": 3, "bytes": 60}},
            {"counter": {"family": "inet", "name": "refused_1_2", "table": "links", "handle": 3, "packets": 4, "bytes": 60}},
            {"counter": {"family": "inet", "name": "lost_2_1", "table": "links", "handle": 4, "packets": 5, "bytes": 60}},
            {"counter": {"family": "inet", "name": "another", "table": "other", "handle": 5, "packets": 6, "bytes": 60}}]}"#;
        let links = read_counters(json).unwrap();
        let (there, back) = (links[&(1, 2)], links[&(2, 1)]);
        assert_eq!(
            (there.packets_dropped, there.packets_refused, there.packets_lost),
            (3, 4, 0)
        );
        assert_eq!((back.packets_lost, links.len()), (5, 2));
        assert!(
            read_counters("no")
                .unwrap_err()
                .starts_with("nft: its counters: ")
        );
    }

    #[test]
    fn each_pair_has_its_counters() {
        let script = base_script(&[1, 2, 3]);
        assert_eq!(script.matches("add counter").count(), 6 * 3);
        assert!(script.contains("add counter inet links lost_3_1\n") && !script.contains("_1_1"));
    }
}
