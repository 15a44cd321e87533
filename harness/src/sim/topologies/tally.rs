//! What came of many cases, and the table of them.
//!
//! Invariant: the order in which cases end changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::limits::{HELD, LEADS_WITHIN, SERVES_WITHIN, TERMS_MAX};
use super::trial::{Kind, Tried};
use super::{Placement, Topologies};

/// What came of the cases so far.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    rows: BTreeMap<Kind, Row>,
    /// Cases that broke a rule.
    pub failed: Vec<Tried>,
    /// Cases in which writes were possible, and not demanded, and did not succeed.
    pub stuck: Vec<Tried>,
    /// Cases that ended.
    pub cases: usize,
    /// Time of the processors.
    pub cpu_ns: u64,
    /// Virtual time.
    pub virtual_ns: u64,
}

#[derive(Debug, Clone, Default)]
struct Row {
    topologies: BTreeSet<usize>,
    cases: u64,
    served: u64,
    served_on: u64,
    /// Writes succeeded through every node.
    through_all: u64,
    /// When writes had succeeded, in thousandths of an election timeout, with how often that was.
    times: BTreeMap<u64, u64>,
    terms: u64,
}

impl Tally {
    pub(super) fn add(&mut self, tried: Tried, cpu_ns: u64) {
        self.cases += 1;
        self.cpu_ns += cpu_ns;
        self.virtual_ns += tried.virtual_ns;
        let row = self.rows.entry(tried.kind).or_default();
        row.topologies.insert(tried.case.number);
        row.cases += 1;
        row.served += u64::from(tried.served.is_some());
        row.served_on += u64::from(tried.serves_on);
        row.through_all += u64::from(tried.through == tried.case.graph.nodes());
        row.terms = row.terms.max(tried.terms);
        if let Some(served) = tried.served {
            *row.times.entry(served).or_default() += 1;
        }
        let is_stuck = tried.kind == Kind::Center && !tried.serves_on;
        if tried.broken.is_some() {
            self.failed.push(tried);
        } else if is_stuck && self.stuck.len() < STUCK_KEPT {
            self.stuck.push(tried);
        }
    }

    pub(super) fn sort(&mut self) {
        let key = |tried: &Tried| (tried.case.number, tried.case.leader, tried.case.longest);
        self.failed.sort_by_key(key);
        self.stuck.sort_by_key(key);
    }

    /// The cases in which writes are demanded, and how many of them broke no rule.
    pub fn demanded(&self) -> (u64, u64) {
        let demanded = self.rows.get(&Kind::Quorum).map_or(0, |row| row.cases);
        let failed = self
            .failed
            .iter()
            .filter(|tried| tried.kind == Kind::Quorum)
            .count();
        (demanded, demanded - failed as u64)
    }

    /// How many cases of a kind were tried, and in how many a write succeeded, and others to the end.
    pub fn counts(&self, kind: Kind) -> (u64, u64) {
        self.rows
            .get(&kind)
            .map_or((0, 0), |row| (row.cases, row.served_on))
    }

    /// The state in a line.
    pub fn line(&self, of: usize) -> String {
        let (demanded, passed) = self.demanded();
        format!(
            "{} of {of} cases in {:.1} CPU s ({:.0} simulated s per CPU s), {passed} of {demanded} demanded passed | failed {}",
            self.cases,
            self.cpu_ns as f64 / 1e9,
            self.virtual_ns as f64 / self.cpu_ns.max(1) as f64,
            self.failed.len()
        )
    }

    /// The table, as a page.
    pub fn page(&self, what: &Topologies) -> String {
        let mut page = format!(
            "# Directed topologies of {} nodes\n\n{}\n\n{}\n\n{TABLE_HEAD}\n",
            what.nodes,
            self.introduction(what),
            demands(),
        );
        for kind in Kind::ALL {
            if let Some(row) = self.rows.get(&kind) {
                let _ = writeln!(page, "{}", row.line(kind));
            }
        }
        let _ = write!(page, "\n## Why\n\n{REASONS}");
        self.list(&mut page, what, "Broken rules", &self.failed);
        self.list(&mut page, what, "Possible, and without success", &self.stuck);
        page
    }

    fn introduction(&self, what: &Topologies) -> String {
        let placement = match what.placement {
            Placement::One => "one leader and one longest log for each, drawn by the seed",
            Placement::Leaders => "every leader for each, with one longest log, drawn by the seed",
            Placement::Every => "every leader with every longest log for each",
        };
        let flaps = if what.flaps {
            "; a link that the topology lacks comes and goes, about as often as elections take"
        } else {
            ""
        };
        let topologies: BTreeSet<usize> = self
            .rows
            .values()
            .flat_map(|row| row.topologies.iter().copied())
            .collect();
        let part = match (what.shard, what.sample, what.only) {
            (Some(shard), _, _) => format!(" (part {} of {})", shard.index(), shard.count()),
            (None, Some(_), _) => " (a sample)".to_owned(),
            (None, None, Some(only)) => format!(" (number {only} alone)"),
            (None, None, None) => String::new(),
        };
        format!(
            "{} topologies{part}, {} cases: {placement}{flaps}. Seed {}, {:.0} simulated seconds in {:.0} CPU seconds.",
            topologies.len(),
            self.cases,
            what.seed,
            self.virtual_ns as f64 / 1e9,
            self.cpu_ns as f64 / 1e9
        )
    }

    fn list(&self, page: &mut String, what: &Topologies, title: &str, cases: &[Tried]) {
        if cases.is_empty() {
            return;
        }
        let _ = write!(page, "\n## {title}\n\n");
        for tried in cases.iter().take(LISTED) {
            let said = tried
                .broken
                .as_ref()
                .map_or("no write succeeds", |broken| &broken.detail);
            let _ = writeln!(
                page,
                "- {}: {said}; again: `{}`",
                tried.case,
                what.repeat(&tried.case)
            );
        }
        if cases.len() > LISTED {
            let _ = writeln!(page, "- and {} more", cases.len() - LISTED);
        }
    }
}

impl Row {
    fn line(&self, kind: Kind) -> String {
        let name = match kind {
            Kind::Quorum => "a quorum is linked pairwise: demanded",
            Kind::Center => "only single nodes are linked to a quorum, one of them with a complete log",
            Kind::CenterBehind => {
                "only single nodes are linked to a quorum, and none of their logs is complete"
            }
            Kind::NoCenter => "no node is linked to a quorum",
        };
        format!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} | {} |",
            self.topologies.len(),
            self.cases,
            self.served,
            self.served_on,
            self.through_all,
            self.time_at(500),
            self.time_at(1000),
            self.terms
        )
    }

    /// The time within which so many thousandths of the successes came.
    fn time_at(&self, permille: u64) -> String {
        let wanted = (self.served * permille).div_ceil(1000);
        let mut seen = 0;
        let found = self.times.iter().find(|(_, count)| {
            seen += **count;
            seen >= wanted
        });
        found.map_or("-".to_owned(), |(time, _)| {
            format!("{:.1}", *time as f64 / 1000.0)
        })
    }
}

fn demands() -> String {
    format!(
        "The links of a healthy cluster are cut as the topology says and held so for {HELD} election timeouts, while a client at \
         each node writes; in half of the cases what is sent over a cut link vanishes, in the others its connections \
         are reset. Where a quorum is linked pairwise, both ways, a write through each such quorum has to succeed within \
         {SERVES_WITHIN} election timeouts, writes have to go on succeeding, and the highest term may grow by {TERMS_MAX}. Everywhere, \
         a node that is not linked both ways to a quorum may lead for {LEADS_WITHIN} election timeouts."
    )
}

const TABLE_HEAD: &str = "\
| links and logs | topologies | cases | a write succeeds | and to the end | through every node | median time | longest time | terms, most |
|-|-|-|-|-|-|-|-|-|";

const REASONS: &str = "\
- *A quorum is linked pairwise.* One of its nodes has the most complete log of the quorum. It is granted the pre-vote and the votes of the \
others once they have heard no leader for an election timeout; a leader outside that hears no quorum steps down within two.
- *Only single nodes are linked to a quorum, one of them with a complete log.* A star, or a chain. The center is elected as above. The others do not hear \
each other, so the center is the only node that can win.
- *None of their logs is complete.* The center lacks entries that nodes of each quorum around it have. They deny it their votes (Raft 5.4.1), \
and no other node is linked to a quorum. Raft cannot go on until a link is repaired: entries go from leaders to followers only, so the center does not \
get what it lacks.
- *No node is linked to a quorum.* An entry is committed when a quorum has acknowledged it to the leader. No node can be acknowledged by one.
";

/// Lines of a list in the table.
const LISTED: usize = 20;
/// Cases kept for a list.
const STUCK_KEPT: usize = 1000;
