//! Failures by signature: the broken rule and its place, whatever the seed.
//!
//! Invariant: a group's reproduction is the one that takes least, and the lowest seed of those; so it does not depend on the
//! order in which units ended.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::file::Place;
use super::record::{Failed, Record};
use super::work::folder_of;

/// Failures of one signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The seeds that failed so.
    pub seeds: u64,
    /// The one that takes least.
    pub best: Failed,
    /// Which unit that was.
    pub best_unit: u64,
    /// Where coverage steered that unit: the first of its numbers.
    pub steered_from: Option<u64>,
    /// Of which entry.
    pub entry: String,
    /// In which world.
    pub place: Place,
}

impl Group {
    /// What repeats it, in the campaign's folder: the plan and the seed, or what was recorded on real processes.
    pub(super) fn command(&self) -> String {
        match (self.place, self.steered_from) {
            (Place::Simulation, Some(first)) => format!(
                "harness sim plans/{}.toml --steer --keep-going --seeds {first}..{}",
                self.entry,
                self.best.seed + 1
            ),
            (Place::Simulation, None) => {
                format!("harness sim plans/{}.toml --seed {}", self.entry, self.best.seed)
            }
            (Place::Processes, _) => format!("harness replay {}/latest", folder_of(self.best_unit)),
        }
    }

    /// Names it, and its folder: short enough for a plan, and different for different rules and places.
    pub fn signature(&self) -> String {
        let whole = format!("{}\n{}", self.best.rule, self.best.place);
        let digest = Sha256::digest(whole.as_bytes());
        let hash: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{hash}", slug(&self.best.rule))
    }
}

/// The groups of all failures in `records`, by signature.
pub fn group(records: &[Record]) -> Vec<Group> {
    let mut groups: BTreeMap<(&str, &str), Group> = BTreeMap::new();
    for record in records {
        for failed in &record.failures {
            let here = Group {
                seeds: 0,
                best: failed.clone(),
                best_unit: record.unit.id,
                steered_from: record.steered.then_some(record.unit.first_seed),
                entry: record.entry.clone(),
                place: record.place,
            };
            let group = groups
                .entry((&failed.rule, &failed.place))
                .or_insert_with(|| here.clone());
            let seeds = group.seeds + 1;
            let key = |group: &Group| (group.best.cost, group.best.seed, group.best_unit);
            if key(&here) < key(group) {
                *group = here;
            }
            group.seeds = seeds;
        }
    }
    groups.into_values().collect()
}

fn slug(text: &str) -> String {
    let mut slug = String::new();
    for char in text.chars() {
        if slug.len() == SLUG_BYTES {
            break;
        }
        if char.is_ascii_alphanumeric() {
            slug.push(char.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

/// With the hash, as long as the name of a plan may be.
const SLUG_BYTES: usize = 31;

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn seeds_of_one_rule_and_place_are_one_group() {
        let groups = group(&samples::records());
        let found: Vec<_> = groups
            .iter()
            .map(|group| (group.best.rule.as_str(), group.seeds, group.best.seed))
            .collect();
        assert_eq!(found, [("liveness", 3, 24), ("panic", 1, 22)]);
    }

    #[test]
    fn what_was_found_while_coverage_steered_is_repeated_with_its_unit() {
        let mut records = samples::records();
        assert_eq!(
            group(&records)[0].command(),
            "harness sim plans/swarm-simulation.toml --seed 24"
        );
        records.iter_mut().for_each(|record| record.steered = true);
        let again = "harness sim plans/swarm-simulation.toml --steer --keep-going --seeds 21..25";
        assert_eq!(group(&records)[0].command(), again);
    }

    #[test]
    fn a_signature_is_the_name_of_a_plan() {
        let mut group = group(&samples::records()).remove(0);
        group.best.rule = "a node that lost its directory is not heard".to_owned();
        let signature = group.signature();
        assert!(
            signature.starts_with("a-node-that-lost-its-directory") && signature.len() <= 40,
            "{signature}"
        );
        group.best.place = "elsewhere".to_owned();
        assert_ne!(group.signature(), signature);
    }
}
