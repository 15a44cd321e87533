//! Damage that a node found in files which no fault had touched.
//!
//! Invariant: a cut of power, or a call that failed, leaves a torn end at most. A record that is damaged in the middle of a log was
//! believed durable and never was, however well the other nodes repair it.

use std::fs;

use noraftd::store::Verdict;

use super::Nemesis;
use super::damage::place;
use crate::cluster::Node;

impl Nemesis {
    /// What nodes said of damaged segments though nothing had damaged them, one sentence a node. Their logs are read.
    pub fn unprovoked_damage(&self) -> Vec<String> {
        let nodes = self.cluster.nodes().iter();
        let untouched = nodes.filter(|node| !self.atlas().was_ever_touched(place(node)));
        untouched.filter_map(says_damage).collect()
    }
}

fn says_damage(node: &Node) -> Option<String> {
    // Without a log there is nothing that it said.
    let log = fs::read(node.process.log()).ok()?;
    let found = first_damage(&String::from_utf8_lossy(&log))?.to_owned();
    Some(format!(
        "n{} found damage that no fault has done, so it was never durable: {found}",
        node.id
    ))
}

/// The first finding of a damaged segment in a node's log.
fn first_damage(log: &str) -> Option<&str> {
    let mut findings = log.lines().filter_map(|line| line.split_once(" INFO "));
    let verdict = format!(": {}: ", Verdict::Damage.name());
    let is_damage = |said: &&str| said.starts_with("segment-") && said.contains(&verdict);
    findings.find_map(|(_, said)| Some(said).filter(is_damage))
}

#[cfg(test)]
mod tests {
    use super::first_damage;

    #[test]
    fn a_damaged_segment_is_found_among_what_a_node_said() {
        let log = "2026-12-01T04:27:36Z  INFO recovered 720 entries\n\
                   2026-12-01T04:27:36Z  INFO segment-0000000000000007, byte 4096: torn: cut\n\
                   2026-12-01T04:27:36Z  INFO segment-0000000000000006, byte 57344: damage: no batch begins here\n";
        assert_eq!(
            first_damage(log),
            Some("segment-0000000000000006, byte 57344: damage: no batch begins here")
        );
        let without = log.lines().take(2).collect::<Vec<_>>().join("\n");
        assert_eq!(first_damage(&without), None);
    }
}
